//! The words of RFC 5280 as types: algorithms, extensions by name, certificates as read.

mod algorithm;
mod certificate;
pub mod oid;
pub mod pem;
mod time;

pub use algorithm::{BadSignature, SignatureAlgorithm, key_identifier, subject_public_key};
pub use certificate::{Certificate, CertificateError, Extension, MAX_CERTIFICATE};
pub use time::put_time;
