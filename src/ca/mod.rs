//! From plan to certificate: profile, serial, exact bytes, lint, signature, seal.
//!
//! Promises: nothing is signed that was not linted as the exact bytes; one final per
//! precertificate, the same but for poison and SCT list; the issuer's name and key identifier are
//! the CA certificate's bytes. RFC 5280 for the form, RFC 6962 for precertificates, Fulcio for
//! the extensions. Recording, logging and retrying are `issuance`'s; keys live behind [`Signer`].

mod authority;
pub(crate) mod encode;
mod issue;
pub mod pair;
pub(crate) mod profile;
mod serial;
#[cfg(test)]
mod tests;

pub use authority::{Authority, AuthorityError, IssuingCaId, MAX_CHAIN};
pub use encode::EncodeError;
pub use issue::{Leaf, Plan, Precert, Signed, Tbs};
pub use profile::{LeafProfile, ProfileError, ProfileHash};
pub use serial::{InstanceId, Serial};

use async_trait::async_trait;

use crate::fault::Reason;
use crate::time::UnixSeconds;
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
    /// The name cannot stand in a certificate.
    #[error("{name:?} is not a name a certificate can carry: printable ASCII, up to 1 kB")]
    San {
        /// The name.
        name: String,
    },
    /// The value of an extension is too long.
    #[error("the value for extension .{arc} has {octets} octets, at most 1 kB fits")]
    ValueTooLong {
        /// Last arc of the extension.
        arc: u8,
        /// Its length.
        octets: usize,
    },
    /// The value of an extension is empty or has control characters.
    #[error("the value for extension .{arc} is empty or has control characters: {value:?}")]
    ValueText {
        /// Last arc of the extension.
        arc: u8,
        /// The value.
        value: String,
    },
    /// The names and values do not fit together.
    #[error("the claims together make a certificate of up to {octets} octets, at most {max} fit")]
    TooLong {
        /// How long it could become.
        octets: usize,
        /// The limit.
        max: usize,
    },
    /// A certificate of the CA's chain is not valid now.
    #[error("the CA chain is valid from {not_before} to {not_after}, now is {now}")]
    AuthorityNotValid {
        /// First second.
        not_before: UnixSeconds,
        /// Last second.
        not_after: UnixSeconds,
        /// Now.
        now: UnixSeconds,
    },
    /// The bytes could not be made.
    #[error("could not encode the certificate")]
    Encode(#[from] EncodeError),
    /// The lint refused the exact bytes that would have been signed.
    #[error("lint refused the certificate: {0}")]
    Lint(crate::lint::Findings),
    /// The signer holds another CA's key.
    #[error("the signer does not hold the key of issuing CA {authority}")]
    WrongSigner {
        /// The issuing CA of the plan.
        authority: IssuingCaId,
    },
    /// The signer failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The signer answered with something that is no signature.
    #[error("the signer answered with {octets} octets that are no ECDSA signature of its kind")]
    SignatureForm {
        /// How many octets came.
        octets: usize,
    },
    /// The bytes inside the signed certificate are not those the lint saw.
    #[error("the signed certificate does not hold the linted bytes")]
    NotWhatWasLinted,
    /// A final carries exactly one SCT.
    #[error("{got} SCTs to seal with, exactly one is needed")]
    SctCount {
        /// How many there were.
        got: usize,
    },
    /// The SCT is for another precertificate.
    #[error("the SCT is not for this precertificate")]
    SctNotForThisPrecertificate,
    /// Precertificate and final do not correspond.
    #[error("precertificate and final do not correspond")]
    Pair(#[from] pair::PairError),
}

impl Error {
    /// The stable word for the answer.
    pub fn reason(&self) -> Reason {
        match self {
            Self::San { .. }
            | Self::ValueTooLong { .. }
            | Self::ValueText { .. }
            | Self::TooLong { .. } => Reason::ClaimInvalid,
            Self::AuthorityNotValid { .. } | Self::Sign(SignError::Unavailable { .. }) => {
                Reason::CaUnavailable
            }
            Self::Encode(_)
            | Self::Lint(_)
            | Self::WrongSigner { .. }
            | Self::SignatureForm { .. }
            | Self::NotWhatWasLinted
            | Self::SctCount { .. }
            | Self::SctNotForThisPrecertificate
            | Self::Pair(_) => Reason::Internal,
        }
    }
}
