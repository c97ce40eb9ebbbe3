//! Where CA keys live: signers behind [`crate::ca::Signer`], and the making of new CAs.
//!
//! A private key is held by aws-lc-rs, which wipes it when it is dropped, and has no `Debug`.
//! The p384 and p256 crates read, check and write keys; aws-lc-rs signs. Keys outside this
//! process (PKCS#11, a KMS) come later through the same port.

#[cfg(test)]
mod contract;
pub mod ephemeral;
pub mod file;
pub mod init;
mod private;

pub use ephemeral::{DevelopmentCa, EphemeralSigner};
pub use file::FileSigner;
pub use private::{KeyError, PrivateKey};
