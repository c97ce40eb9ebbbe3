//! Why something a log said is not believed.

use super::LogId;
use super::wire::Malformed;
use crate::json::{self, Problem};
use crate::time::UnixMillis;

/// Why an SCT, a list of them, a tree head or the answer that carried one is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SctError {
    /// The answer's body is over the limit.
    #[error("answer is larger than {max} bytes")]
    AnswerTooLarge {
        /// The limit.
        max: usize,
    },
    /// The answer is no JSON, or none that everyone would read the same way.
    #[error("answer is not strict JSON")]
    NotJson(#[source] json::Error),
    /// The answer ends inside its JSON.
    #[error("answer is cut short after {octets} octets")]
    CutShort {
        /// Its length.
        octets: usize,
    },
    /// The answer is JSON, but not an object.
    #[error("answer is not a JSON object")]
    NotAnObject,
    /// A member that RFC 6962 §4 asks for is missing or of another type.
    #[error("{member} is not {want}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// What it has to be.
        want: &'static str,
    },
    /// A member of the answer is not padded standard base64.
    #[error("{member} is not base64")]
    Base64 {
        /// The member's name.
        member: &'static str,
    },
    /// A hash in the answer is not 32 octets long.
    #[error("{member} has {got} octets, not 32")]
    HashLength {
        /// The member's name.
        member: &'static str,
        /// Its length.
        got: usize,
    },
    /// Not a v1 SCT.
    #[error("SCT version is {got}, only 0 (v1) is known")]
    Version {
        /// The version as sent.
        got: u8,
    },
    /// The extensions do not fit their length field.
    #[error("SCT extensions of {got} octets do not fit the structure")]
    ExtensionsTooLong {
        /// Their length.
        got: usize,
    },
    /// The structure ends inside a value.
    #[error("structure is cut short")]
    Truncated,
    /// Octets follow the structure.
    #[error("{extra} octets follow the structure")]
    Trailing {
        /// How many.
        extra: usize,
    },
    /// A list without SCTs.
    #[error("SCT list is empty")]
    EmptyList,
    /// From another log.
    #[error("SCT is from log {got}, not from {want}")]
    WrongLog {
        /// The SCT's log.
        got: LogId,
        /// The configured log.
        want: LogId,
    },
    /// Longer than a certificate has room for.
    #[error("SCT has {got} octets, at most {max} fit a certificate")]
    TooLong {
        /// Its length.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Dated too far ahead.
    #[error("SCT is dated {timestamp}, now is {now}")]
    FromTheFuture {
        /// The SCT's time.
        timestamp: UnixMillis,
        /// Our time.
        now: UnixMillis,
    },
    /// Dated too far back.
    #[error("SCT is dated {timestamp}, too far before {now}")]
    TooOld {
        /// The SCT's time.
        timestamp: UnixMillis,
        /// Our time.
        now: UnixMillis,
    },
    /// A hash other than SHA-256.
    #[error("signature names hash {got}, only 4 (SHA-256) is taken")]
    HashAlgorithm {
        /// HashAlgorithm as sent.
        got: u8,
    },
    /// An algorithm that is not the key's.
    #[error("signature names algorithm {got}, the log's key is of algorithm {want}")]
    SignatureAlgorithm {
        /// SignatureAlgorithm as sent.
        got: u8,
        /// The key's.
        want: u8,
    },
    /// Not a signature by this log over these octets.
    #[error("signature is not by log {log} over this entry")]
    SignatureInvalid {
        /// The log.
        log: LogId,
    },
}

impl SctError {
    /// A fixed word for metrics and log lines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::NotJson(error) => match error.what {
                Problem::Syntax | Problem::Trailing | Problem::Encoding => "answer_not_json",
                Problem::DuplicateMember(_) | Problem::TooDeep => "answer_malformed",
            },
            Self::CutShort { .. } => "answer_cut_short",
            Self::NotAnObject
            | Self::Member { .. }
            | Self::Base64 { .. }
            | Self::HashLength { .. } => "answer_malformed",
            Self::Version { .. } => "version",
            Self::ExtensionsTooLong { .. } | Self::EmptyList => "malformed",
            Self::Truncated => "truncated",
            Self::Trailing { .. } => "trailing",
            Self::TooLong { .. } => "too_long",
            Self::WrongLog { .. } => "wrong_log",
            Self::FromTheFuture { .. } => "future",
            Self::TooOld { .. } => "stale",
            Self::HashAlgorithm { .. } => "hash",
            Self::SignatureAlgorithm { .. } => "algorithm",
            Self::SignatureInvalid { .. } => "signature",
        }
    }
}

impl From<Malformed> for SctError {
    fn from(rule: Malformed) -> Self {
        match rule {
            Malformed::Truncated => Self::Truncated,
            Malformed::Trailing(extra) => Self::Trailing { extra },
        }
    }
}
