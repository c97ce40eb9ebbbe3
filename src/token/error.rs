//! Why a token is refused. The text is safe to send back: it quotes at most a short excerpt of
//! what the caller sent and never the token, its signature or a whole claim set.

use std::fmt;
use std::time::Duration;

use super::{Algorithm, IssuerUrl, KeyError, MAX_KID_BYTES, MAX_TOKEN_BYTES};
use crate::fault::Reason;
use crate::json;
use crate::time::UnixSeconds;

/// One of the three parts of a JWS compact serialization (RFC 7515 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The claims.
    Claims,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims",
            Self::Signature => "signature",
        })
    }
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Over [`MAX_TOKEN_BYTES`]; nothing else was looked at.
    #[error("token of {bytes} bytes is longer than {MAX_TOKEN_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not header, claims and signature.
    #[error("token has {dots} dots instead of 2")]
    NotThreeParts {
        /// How many dots it has.
        dots: usize,
    },
    /// Padding, another alphabet, blanks, or bits past the last byte (RFC 7515 §2).
    #[error("token {part} is not base64url without padding")]
    NotBase64Url {
        /// Where.
        part: Part,
    },
    /// Not acceptable JSON.
    #[error("token {part} is not strict JSON: {problem}")]
    NotJson {
        /// Where.
        part: Part,
        /// The rule it breaks.
        problem: json::Error,
    },
    /// JSON, and no object.
    #[error("token {part} is not a JSON object")]
    NotAnObject {
        /// Where.
        part: Part,
    },
    /// A header parameter that brings keys, critical extensions, compression or encryption along.
    #[error("token header carries {parameter:?}, which is never accepted")]
    HeaderRefused {
        /// The parameter.
        parameter: &'static str,
    },
    /// A header parameter of the wrong kind.
    #[error("token header parameter {parameter:?} is not {want}")]
    HeaderInvalid {
        /// The parameter.
        parameter: &'static str,
        /// What it has to be.
        want: &'static str,
    },
    /// `none`, HMAC, or a name nobody registered.
    #[error("token algorithm {got:?} is not accepted")]
    AlgorithmRefused {
        /// The name, shortened.
        got: String,
    },
    /// The signature part is empty.
    #[error("token is not signed")]
    Unsigned,
    /// A registered claim is absent or of the wrong kind.
    #[error("token claim {claim:?} is not {want}")]
    ClaimMalformed {
        /// The claim.
        claim: &'static str,
        /// What it has to be.
        want: &'static str,
    },
    /// A registered claim holds a character that no reader would see.
    #[error("token claim {claim:?} contains the character {character:?}")]
    ClaimUnprintable {
        /// The claim.
        claim: &'static str,
        /// The first such character.
        character: char,
    },
    /// `aud` names no party, or several.
    #[error("token audience names {count} parties instead of 1")]
    AudienceCount {
        /// How many.
        count: usize,
    },
    /// `iss` is not the issuer, byte for byte.
    #[error("token issuer {got:?} is not configured")]
    UnknownIssuer {
        /// The `iss`, shortened.
        got: String,
    },
    /// `aud` is somebody else.
    #[error("token audience is {got:?}, this issuer is configured for {want:?}")]
    WrongAudience {
        /// The `aud`, shortened.
        got: String,
        /// What is accepted.
        want: Vec<String>,
    },
    /// `exp` has passed.
    #[error("token expired at {expired_at}, now is {now}")]
    Expired {
        /// `exp`.
        expired_at: UnixSeconds,
        /// The time of the request.
        now: UnixSeconds,
    },
    /// `nbf` or `iat` lies ahead.
    #[error("token {claim} is {valid_from}, now is {now}")]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Its value.
        valid_from: UnixSeconds,
        /// The time of the request.
        now: UnixSeconds,
    },
    /// `iat` is too far back.
    #[error("token is {age_s} s old, at most {max_s} s are accepted from this issuer")]
    TooOld {
        /// Seconds since `iat`.
        age_s: i64,
        /// The cap.
        max_s: i64,
    },
    /// `exp − iat` is too large.
    #[error("token lives {lifetime_s} s, at most {max_s} s are accepted from this issuer")]
    LivesTooLong {
        /// `exp − iat`.
        lifetime_s: i64,
        /// The cap.
        max_s: i64,
    },
    /// There is no key to check it with.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The signature does not hold.
    #[error("token signature does not verify with the {algorithm} {} of {issuer}", named(kid.as_deref()))]
    SignatureInvalid {
        /// Whose key.
        issuer: IssuerUrl,
        /// Which key.
        kid: Option<String>,
        /// How it was checked.
        algorithm: Algorithm,
    },
}

impl Error {
    /// The stable word for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLong { .. }
            | Self::NotThreeParts { .. }
            | Self::NotBase64Url { .. }
            | Self::NotJson { .. }
            | Self::NotAnObject { .. }
            | Self::HeaderRefused { .. }
            | Self::HeaderInvalid { .. }
            | Self::ClaimMalformed { .. } => Reason::TokenMalformed,
            Self::AlgorithmRefused { .. } | Self::Unsigned => Reason::TokenAlgorithmRefused,
            Self::ClaimUnprintable { .. } => Reason::ClaimInvalid,
            Self::UnknownIssuer { .. } | Self::Key(KeyError::OutOfReach { .. }) => {
                Reason::TokenIssuerUnknown
            }
            Self::AudienceCount { .. } | Self::WrongAudience { .. } => {
                Reason::TokenAudienceMismatch
            }
            Self::Expired { .. } => Reason::TokenExpired,
            Self::NotYetValid { .. } => Reason::TokenNotYetValid,
            Self::TooOld { .. } | Self::LivesTooLong { .. } => Reason::TokenTooOld,
            Self::Key(KeyError::Unknown { .. }) => Reason::TokenKeyUnknown,
            Self::Key(KeyError::AlgorithmRefused { .. }) => Reason::TokenAlgorithmRefused,
            Self::Key(KeyError::Unavailable { .. }) => Reason::IdentityProviderUnavailable,
            Self::SignatureInvalid { .. } => Reason::TokenSignatureInvalid,
        }
    }

    /// When trying again may help, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Key(KeyError::Unavailable { retry_after, .. }) = self {
            *retry_after
        } else {
            None
        }
    }

    /// Nobody configured is called `claimed`.
    pub fn unknown_issuer(claimed: &str) -> Self {
        Self::UnknownIssuer {
            got: excerpt(claimed),
        }
    }
}

/// A key as messages call it.
pub(super) fn named(kid: Option<&str>) -> String {
    match kid {
        Some(kid) => format!("key {kid:?}"),
        None => "key without an id".to_owned(),
    }
}

/// The beginning of untrusted text: enough to recognise it, too little to flood a log.
pub(super) fn excerpt(text: &str) -> String {
    const CHARACTERS: usize = MAX_KID_BYTES / 2;
    let mut short: String = text.chars().take(CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_called_by_its_id_or_told_to_have_none() {
        let told = |kid: Option<&str>| {
            let issuer = IssuerUrl::new("https://issuer.example").unwrap();
            let kid = kid.map(str::to_owned);
            KeyError::Unknown { issuer, kid }.to_string()
        };
        let end = "in the key set of https://issuer.example";
        assert_eq!(told(Some("dev-1")), format!("no key \"dev-1\" {end}"));
        assert_eq!(told(None), format!("no key without an id {end}"));
    }
}
