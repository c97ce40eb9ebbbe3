//! From plan to certificate: profile, serial, exact bytes, lint, signature, seal.

mod authority;
mod issue;
mod profile;
mod serial;

pub use authority::{Authority, AuthorityError, IssuingCaId};
pub use issue::{Leaf, Plan, Precert, Signed, Tbs};
pub use profile::{LeafProfile, ProfileHash};
pub use serial::{InstanceId, Serial};

use async_trait::async_trait;

use crate::fault::Reason;
use crate::x509::SignatureAlgorithm;

/// The CA's private key, wherever it lives.
///
/// Contract: `sign` hashes and signs exactly `message`, and answers with the signature's DER (for
/// ECDSA: SEQUENCE of r and s). It does not retry; `Unavailable` may succeed later. The key never
/// changes during the value's life. A signer whose key lives outside this process verifies its own
/// signatures before handing them out.
#[async_trait]
pub trait Signer: Send + Sync {
    /// The algorithm of every signature it makes.
    fn algorithm(&self) -> SignatureAlgorithm;
    /// The public half, SubjectPublicKeyInfo DER.
    fn spki(&self) -> &[u8];
    /// Signs `message`.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key cannot be reached now.
    #[error("the CA key cannot sign now")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a certificate could not be planned, encoded, sealed or signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The lint refused the exact bytes that would have been signed.
    #[error("lint refused the certificate: {0}")]
    Lint(crate::lint::Findings),
    /// The signer failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Error {
    /// The stable word for the answer.
    pub fn reason(&self) -> Reason {
        todo!()
    }
}
