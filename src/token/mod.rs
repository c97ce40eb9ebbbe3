//! OIDC tokens (RFC 7519, RFC 7515, OpenID Connect Core): what arrives is [`RawToken`], what
//! leaves is [`VerifiedToken`], and only [`verify`] makes one.

pub mod discovery;

use std::sync::Arc;

use async_trait::async_trait;

use crate::json;
use crate::time::UnixSeconds;

/// Largest token accepted, in bytes, checked before anything is split or decoded.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// An issuer's identifier exactly as configured and as `iss` must spell it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IssuerUrl(Arc<str>);

/// A signature algorithm of RFC 7518 / RFC 8037. There is no HMAC and no `none` to be confused with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// What this instance demands of one issuer's tokens.
#[derive(Clone, Debug)]
pub struct IssuerPolicy {
    /// The exact `iss`.
    pub issuer: IssuerUrl,
    /// Accepted `aud` values; a token must carry exactly one of them and nothing else.
    pub audiences: Vec<String>,
    /// Largest age since `iat`, in seconds.
    pub max_token_age_s: i64,
    /// Largest `exp − iat`, in seconds.
    pub max_token_lifetime_s: i64,
    /// Clock difference tolerated for `exp`, `nbf` and `iat`, in seconds, at most 30.
    pub leeway_s: i64,
    /// How many different keys one token may have certified.
    pub certificates_per_token: u32,
}

/// A token that parsed strictly. Nothing in it is proven yet.
pub struct RawToken {
    _p: (),
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

/// What a token's uses are counted under: SHA-256 over issuer and `jti`, or over the token's
/// signing input where it has no `jti` (never the signature: an ECDSA signature has two spellings).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId(pub(crate) [u8; 32]);

impl TokenId {
    /// The octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }
    /// An id read back from a record.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

/// Lower-case hex.
impl std::fmt::Debug for TokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenId(")?;
        self.0
            .iter()
            .try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
    }
}

/// A parsed public key of an issuer, fit for the algorithms it names.
pub struct VerificationKey {
    _p: (),
}

/// Where issuers' signing keys come from.
///
/// Contract: answers only with a key of `issuer`'s own set whose `kid` is exactly `kid` and whose
/// type fits `algorithm`; `kid` absent is allowed only with a set of one key. Implementations
/// fetch, cache and coalesce by themselves; the caller does not retry.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key that must have signed the token.
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError>;
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The set was read and has no such key.
    #[error("no key {kid:?} of {issuer:?} fits {algorithm:?}")]
    Unknown {
        /// The issuer asked.
        issuer: IssuerUrl,
        /// The `kid` asked for.
        kid: Option<String>,
        /// The algorithm it must fit.
        algorithm: Algorithm,
    },
    /// The set could not be read now.
    #[error("could not fetch the signing keys of {issuer:?}")]
    Unavailable {
        /// The issuer asked.
        issuer: IssuerUrl,
        /// What went wrong on the way.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}
