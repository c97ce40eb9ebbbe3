#[allow(unused)]
use super::SignatureAlgorithm;
use crate::time::UnixSeconds;

/// A certificate as read: the bytes, and the parts of them we build on, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
}

/// Why bytes are not a certificate we can use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not DER, or not a certificate.
    #[error("not a DER certificate")]
    Malformed,
}

impl Certificate {
    /// Reads exactly one certificate from all of `der`.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        let _ = der;
        todo!()
    }
    /// The whole certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// TBSCertificate, with its header.
    pub fn tbs(&self) -> &[u8] {
        todo!()
    }
    /// Serial number content octets.
    pub fn serial(&self) -> &[u8] {
        todo!()
    }
    /// Issuer Name, with its header.
    pub fn issuer(&self) -> &[u8] {
        todo!()
    }
    /// Subject Name, with its header.
    pub fn subject(&self) -> &[u8] {
        todo!()
    }
    /// SubjectPublicKeyInfo, with its header.
    pub fn spki(&self) -> &[u8] {
        todo!()
    }
    /// SubjectKeyIdentifier value.
    pub fn ski(&self) -> Option<&[u8]> {
        todo!()
    }
    /// First second of validity.
    pub fn not_before(&self) -> UnixSeconds {
        todo!()
    }
    /// Last second of validity, inclusive.
    pub fn not_after(&self) -> UnixSeconds {
        todo!()
    }
    /// The content octets of an extension's extnValue, by dotted OID content octets, if present.
    pub fn extension(&self, oid: &[u8]) -> Option<&[u8]> {
        let _ = oid;
        todo!()
    }
}
