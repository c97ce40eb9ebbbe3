//! An issuing CA: its chain, read and checked once, and the bytes leaves copy from it.

use crate::x509::{Certificate, SignatureAlgorithm};

/// Names an issuing CA in plans, records and audit lines: SHA-256 of its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IssuingCaId(pub [u8; 32]);

/// An issuing CA whose chain was checked: issuing certificate first, self-signed root last.
#[derive(Clone)]
pub struct Authority {
    id: IssuingCaId,
    chain: Vec<Certificate>,
    algorithm: SignatureAlgorithm,
}

/// Why a chain does not make an issuing CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// There is no certificate.
    #[error("the chain is empty")]
    Empty,
}

impl Authority {
    /// Checks a chain, issuing CA first and root last, against the CA profile and the signer's
    /// public key (`spki`), at `now`.
    pub fn new(
        chain: Vec<Certificate>,
        spki: &[u8],
        now: crate::time::UnixSeconds,
    ) -> Result<Self, AuthorityError> {
        let _ = (chain, spki, now);
        todo!()
    }
    /// Its id.
    pub fn id(&self) -> IssuingCaId {
        self.id
    }
    /// Issuing CA first, root last.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }
    /// The issuing certificate.
    pub fn issuing(&self) -> &Certificate {
        &self.chain[0]
    }
    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}
