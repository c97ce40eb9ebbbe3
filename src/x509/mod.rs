//! The words of RFC 5280 as types: algorithms, extensions by name, certificates as read.

mod certificate;
pub mod oid;
pub mod pem;

pub use certificate::{Certificate, CertificateError};

/// A signature algorithm of a CA key, with its one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 on P-256.
    EcdsaP256Sha256,
    /// ecdsa-with-SHA384 on P-384.
    EcdsaP384Sha384,
}
