//! OIDC tokens (RFC 7519, RFC 7515, OpenID Connect Core): what arrives is [`RawToken`], what
//! leaves is [`VerifiedToken`], and only [`verify`] makes one.
//!
//! General JWT libraries accept far more than a certificate authority may: missing issuers,
//! several audiences, critical headers nobody understood. So parsing and every claim check are
//! our own and strict; the library is asked one question, whether a signature over the original
//! bytes holds. The order is cheap before dear: nothing leaves this process for a token whose
//! shape, issuer, audience or times already refuse it.
//!
//! What the claims mean is decided in [`crate::identity`]; whether a token was used before, in
//! [`crate::issuance`].

mod algorithm;
mod error;
mod issuer;
mod key;
mod name;
mod pattern;
mod raw;
#[cfg(test)]
pub(crate) mod testing;
mod verify;
#[cfg(test)]
mod wycheproof;

pub mod discovery;
pub mod jwks;
pub mod metadata;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::hex;
use crate::json;
use crate::time::UnixSeconds;

pub use algorithm::Algorithm;
pub use error::{Error, Part};
pub use issuer::{IssuerUrl, IssuerUrlError, MAX_ISSUER_BYTES};
pub use key::{VerificationKey, WORTH_PREPARING};
pub use name::{Found, IssuerName, IssuerNameError, IssuerTable};
pub use pattern::{IssuerPattern, MAX_PATTERN_BYTES, MAX_WILDCARDS, PatternError};
pub use raw::{MAX_KID_BYTES, MAX_TOKEN_BYTES, RawToken};
pub use verify::{MAX_LEEWAY_S, verify};

pub(crate) use issuer::is_loopback;
pub(crate) use raw::hidden_character;

/// What this instance demands of one issuer's tokens.
#[derive(Clone, Debug)]
pub struct IssuerPolicy {
    /// The exact `iss`, or the family of issuers it has to be of.
    pub issuer: IssuerName,
    /// Accepted `aud` values; a token must carry exactly one of them and nothing else.
    pub audiences: Vec<String>,
    /// Largest age since `iat`, in seconds.
    pub max_token_age_s: i64,
    /// Largest `exp − iat`, in seconds.
    pub max_token_lifetime_s: i64,
    /// Clock difference tolerated for `exp`, `nbf` and `iat`, in seconds; more than
    /// [`MAX_LEEWAY_S`] counts as that.
    pub leeway_s: i64,
    /// How many different keys one token may have certified.
    pub certificates_per_token: u32,
}

/// A token whose signature, issuer, audience and times hold.
#[derive(Clone)]
pub struct VerifiedToken {
    issuer: IssuerUrl,
    subject: String,
    claims: Arc<json::Object>,
    id: TokenId,
    kid: Option<String>,
    hash: [u8; 32],
    issued_at: UnixSeconds,
    expires_at: UnixSeconds,
}

impl VerifiedToken {
    /// The issuer that signed it.
    pub fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// `sub`: not empty, no control or direction-changing character.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Every claim, as signed.
    pub fn claims(&self) -> &json::Object {
        &self.claims
    }

    /// What its uses are counted under.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// The header's key id.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// SHA-256 of the token's text: names the token in records without being usable as one.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// `iat`.
    pub fn issued_at(&self) -> UnixSeconds {
        self.issued_at
    }

    /// `exp`.
    pub fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }
}

/// Issuer and hash only: claims can name people.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What a token's uses are counted under: SHA-256 over issuer and `jti`, or over the token's
/// signing input where it has no `jti` (never the signature: an ECDSA signature has two spellings).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(pub(crate) [u8; 32]);

impl TokenId {
    /// The hash itself, as stores keep it.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash read back from a store.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

/// Lower-case hex.
impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({})", hex::encode(&self.0))
    }
}

/// Where issuers' signing keys come from.
///
/// Contract: answers only with a key of `issuer`'s own set whose `kid` is exactly `kid` and whose
/// type fits `algorithm`, where `algorithm` is one the issuer announced; `kid` absent is allowed
/// only with a set of one key. Implementations fetch, cache and coalesce by themselves; the
/// caller does not retry.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key that must have signed the token.
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError>;

    /// Whether the keys of at least one issuer are there or may still come, as far as is known
    /// without waiting for anybody. For readiness; an implementation that says no goes on trying.
    fn available(&self) -> bool {
        true
    }

    /// A token did not verify with the key that [`Self::key`] gave. The issuer may have put
    /// another key in its place; an implementation that can look again does, without being
    /// waited for, and not more often than for an unknown `kid`.
    fn did_not_verify(&self, _issuer: &IssuerUrl) {}

    /// A token did verify with the key that [`Self::key`] gave: this issuer exists, and somebody
    /// uses it. An implementation that has to choose whose keys to keep keeps these.
    fn did_verify(&self, _issuer: &IssuerUrl) {}
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The set was read and has no such key.
    #[error("no {} in the key set of {issuer}", error::named(kid.as_deref()))]
    Unknown {
        /// The issuer asked.
        issuer: IssuerUrl,
        /// The `kid` asked for.
        kid: Option<String>,
    },
    /// The key is there, and is not for this algorithm; or the issuer does not announce it.
    #[error("{} of {issuer} is not for {algorithm}", error::named(kid.as_deref()))]
    AlgorithmRefused {
        /// The issuer asked.
        issuer: IssuerUrl,
        /// The `kid` asked for.
        kid: Option<String>,
        /// The token's algorithm.
        algorithm: Algorithm,
    },
    /// One of a family, at a place where a family's issuers cannot be. Nobody was asked.
    #[error("token issuer {issuer} is not one whose keys may be fetched")]
    OutOfReach {
        /// The issuer that was not asked.
        issuer: IssuerUrl,
        /// Where it is said to be.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The set could not be read now.
    #[error("could not fetch the signing keys of {issuer}")]
    Unavailable {
        /// The issuer asked.
        issuer: IssuerUrl,
        /// When it is asked again, where that is known.
        retry_after: Option<Duration>,
        /// What went wrong on the way.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}
