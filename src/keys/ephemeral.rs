//! A CA key that lives as long as the process: for `demo`, `dev` and tests.

use async_trait::async_trait;

use super::init::{self, InitError};
use super::private::{KeyError, PrivateKey, SigningKey};
use crate::ca::{Authority, AuthorityError, SignError, Signer};
use crate::entropy::Entropy;
use crate::time::UnixSeconds;
use crate::x509::{Certificate, CertificateError, SignatureAlgorithm};

/// A signer whose key was made at start and is written nowhere. No `Debug`.
pub struct EphemeralSigner(SigningKey);

impl EphemeralSigner {
    /// A fresh key.
    pub fn generate(
        algorithm: SignatureAlgorithm,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyError> {
        Self::new(&PrivateKey::generate(algorithm, entropy)?)
    }

    /// A signer for a key that is already there.
    pub fn new(key: &PrivateKey) -> Result<Self, KeyError> {
        Ok(Self(key.signing()?))
    }
}

#[async_trait]
impl Signer for EphemeralSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.0.algorithm
    }
    fn spki(&self) -> &[u8] {
        &self.0.spki
    }
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign(message)
    }
}

/// A whole CA in memory: root, issuing CA, keys.
pub struct DevelopmentCa {
    /// The issuing CA with its chain.
    pub authority: Authority,
    /// Its key.
    pub signer: EphemeralSigner,
    /// The key of a log, P-256.
    pub log_key: PrivateKey,
}

/// Why there is no development CA.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevelopmentError {
    /// The certificates could not be made.
    #[error(transparent)]
    Init(#[from] InitError),
    /// The key could not be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What was made does not parse.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// What was made is no CA.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
}

impl DevelopmentCa {
    /// Makes one, valid from `now` on, with an issuing key of the given algorithm.
    pub fn new(
        algorithm: SignatureAlgorithm,
        now: UnixSeconds,
        entropy: &dyn Entropy,
    ) -> Result<Self, DevelopmentError> {
        let request = init::Request {
            organization: "shortleaf development",
            algorithm,
            crl_url: None,
            now,
        };
        let new = init::build(&request, entropy)?;
        let chain = [new.issuing_der, new.root_der].map(Certificate::from_der);
        let chain = chain.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            authority: Authority::new(chain, new.issuing_key.spki(), now)?,
            signer: EphemeralSigner::new(&new.issuing_key)?,
            log_key: new.log_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::contract;
    use crate::system::SystemEntropy;

    #[test]
    fn an_ephemeral_signer_keeps_the_signers_contract() {
        for algorithm in SignatureAlgorithm::ALL {
            contract::check(&EphemeralSigner::generate(*algorithm, &SystemEntropy).unwrap());
        }
    }

    #[test]
    fn a_development_ca_passes_the_checks_of_every_ca() {
        for algorithm in SignatureAlgorithm::ALL {
            let now = UnixSeconds(1_795_262_400);
            let ca = DevelopmentCa::new(*algorithm, now, &SystemEntropy).unwrap();
            assert_eq!(ca.authority.algorithm(), *algorithm);
            assert_eq!(ca.authority.chain().len(), 2);
            assert_eq!(ca.authority.issuing().spki(), ca.signer.spki());
        }
    }
}
