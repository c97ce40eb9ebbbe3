//! Why a verified token still names nobody. The text names the claim and what is wrong with it,
//! never its value: values can name people, and the caller has the token at hand.

use std::fmt;

use super::extension_name;
use crate::fault::Reason;
use crate::token::IssuerUrl;

/// What a claim was needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The subject alternative name.
    San,
    /// A Fulcio extension, by its last arc.
    Extension(u8),
}

impl Purpose {
    /// Its name in certificates and documentation.
    pub fn name(self) -> &'static str {
        match self {
            Self::San => "Subject Alternative Name",
            Self::Extension(arc) => extension_name(arc).unwrap_or("unknown extension"),
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// An array or an object where a text is needed.
    #[error("is not a string, number or boolean")]
    NotAScalar,
    /// Anything but a string where an address is needed.
    #[error("is not a string")]
    NotAString,
    /// More bytes than a certificate takes.
    #[error("takes {bytes} bytes, at most {max} are accepted")]
    TooLong {
        /// How many.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A character that no reader would see as itself.
    #[error("contains the character {0:?}")]
    Hidden(char),
    /// Not one plain address (RFC 5321 §4.1.2, dot-string form only).
    #[error("is not one email address in printable ASCII")]
    NotAnAddress,
    /// Not an absolute URL.
    #[error("does not make a URL with scheme and host")]
    NotAUrl,
    /// A `%` without two hexadecimal digits.
    #[error("makes a URL with a broken percent-encoding")]
    BrokenEscape,
    /// A URL that cannot be an IA5String.
    #[error("makes a URL that is not printable ASCII")]
    NotAscii,
    /// An address where a name or a URI is needed.
    #[error("is an email address")]
    AnAddress,
    /// A URI of another scheme or host than the issuer's subject domain.
    #[error("is not a URI of the issuer's subject domain")]
    OtherDomain,
    /// `!` in a user name, which separates it from its domain.
    #[error("contains \"!\", which separates a name from its domain")]
    HasExclamation,
    /// `@` in a user name.
    #[error("contains \"@\", as an email address does")]
    HasAt,
    /// A character in a user name that nobody sees.
    #[error("contains U+{:04X}, which nobody sees", *.0 as u32)]
    Unseen(char),
    /// Not a SPIFFE ID (SPIFFE-ID §2).
    #[error("is not a SPIFFE ID")]
    NotASpiffeId,
    /// A SPIFFE ID of somebody else.
    #[error("is a SPIFFE ID of another trust domain than the issuer's")]
    OtherTrustDomain,
    /// Not what a cluster names things.
    #[error("is not a Kubernetes name: a-z, 0-9, \"-\" and \".\"")]
    NotAKubernetesName,
    /// An empty or relative step in something that becomes part of a path.
    #[error("has an empty or relative path segment")]
    NotAPath,
    /// An address on another instance than the one that issued the token.
    #[error("is not an address of the issuer's own")]
    OtherInstance,
    /// Not one of the words this claim can be.
    #[error("is not a value it can have")]
    NotAllowed,
}

/// Why the claims make no principal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A claim that is needed is absent, null or empty.
    #[error("token of {issuer} has no claim {claim:?}, needed for {purpose}")]
    ClaimMissing {
        /// The claim.
        claim: String,
        /// What needs it.
        purpose: Purpose,
        /// Whose token.
        issuer: IssuerUrl,
    },
    /// A claim that is needed cannot be used.
    #[error("claim {claim:?} of {issuer}, needed for {purpose}, {problem}")]
    ClaimInvalid {
        /// The claim.
        claim: String,
        /// What needs it.
        purpose: Purpose,
        /// Whose token.
        issuer: IssuerUrl,
        /// What is wrong with it.
        problem: Problem,
    },
    /// `email_verified` is not JSON `true`.
    #[error("{issuer} does not say that it verified the email address")]
    EmailUnverified {
        /// Whose token.
        issuer: IssuerUrl,
    },
}

impl Error {
    /// The stable word for it.
    pub fn reason(&self) -> Reason {
        match self {
            Self::ClaimMissing { .. } => Reason::ClaimMissing,
            Self::ClaimInvalid { .. } => Reason::ClaimInvalid,
            Self::EmailUnverified { .. } => Reason::EmailUnverified,
        }
    }

    /// The claim at fault.
    pub fn claim(&self) -> &str {
        match self {
            Self::ClaimMissing { claim, .. } | Self::ClaimInvalid { claim, .. } => claim,
            Self::EmailUnverified { .. } => "email_verified",
        }
    }

    /// What the claim was needed for, by name.
    pub fn extension(&self) -> &'static str {
        match self {
            Self::ClaimMissing { purpose, .. } | Self::ClaimInvalid { purpose, .. } => {
                purpose.name()
            }
            Self::EmailUnverified { .. } => Purpose::San.name(),
        }
    }

    /// Whose token it was.
    pub fn issuer(&self) -> &IssuerUrl {
        match self {
            Self::ClaimMissing { issuer, .. }
            | Self::ClaimInvalid { issuer, .. }
            | Self::EmailUnverified { issuer } => issuer,
        }
    }
}
