//! Certificate transparency (RFC 6962): what is submitted, what comes back, and when to believe it.
//!
//! An answer from a log is an [`Sct`], which proves nothing. [`verify_sct`] turns it into a
//! [`VerifiedSct`], bound to one [`PreEntry`] and to a [`LogKey`] we were configured with, and
//! only that can reach a certificate. [`signed_entry`] alone writes the octets a log signs: the
//! leaf hash, signing and checking all use it, so they cannot drift apart.
//!
//! Not here: choosing between several logs, and auditing them afterwards.

mod answer;
mod check;
mod error;
mod failure;
mod head;
mod key;
pub mod memory;
pub mod rfc6962;
mod sct;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use answer::{MAX_ANSWER_BYTES, answer, head_answer};
pub use check::{
    MAX_SCT_BYTES, SCT_AGE_MAX_MS, SCT_AHEAD_MAX_MS, VerifiedSct, verify_embedded, verify_sct,
};
pub use error::SctError;
pub use failure::Failure;
pub use head::{TreeHead, VerifiedHead, verify_head};
pub use key::{KeyError, KeyKind, LogKey, RSA_BITS_MIN};
pub use sct::{Sct, decode_sct_list, sct_leaf_hash, sct_list, signed_entry};

use crate::hash::sha256;
use crate::hex;
use crate::time::{UnixMillis, UnixSeconds};

/// SHA-256 of the log key's SubjectPublicKeyInfo (RFC 6962 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub [u8; 32]);

/// A precertificate on its way to the logs. The same bytes go to every log and on every retry;
/// clones share them.
#[derive(Clone, Debug)]
pub struct PreEntry {
    precert_der: Arc<[u8]>,
    chain: Arc<[Vec<u8>]>,
    issuer_key_hash: [u8; 32],
    tbs: Arc<[u8]>,
    not_after: UnixSeconds,
    dedupe_key: [u8; 32],
}

impl PreEntry {
    /// A precertificate with its chain (issuing CA first, root last, without the precertificate
    /// itself), the issuing CA's SubjectPublicKeyInfo, and the TBSCertificate without the poison.
    pub fn new(
        precert_der: impl Into<Arc<[u8]>>,
        chain: impl Into<Arc<[Vec<u8>]>>,
        issuer_spki: &[u8],
        tbs_without_poison: impl Into<Arc<[u8]>>,
        not_after: UnixSeconds,
    ) -> Self {
        let issuer_key_hash = sha256(&[issuer_spki]);
        let tbs = tbs_without_poison.into();
        Self {
            dedupe_key: sha256(&[&issuer_key_hash, &tbs]),
            precert_der: precert_der.into(),
            chain: chain.into(),
            issuer_key_hash,
            tbs,
            not_after,
        }
    }

    /// The signed precertificate.
    pub fn precert_der(&self) -> &Arc<[u8]> {
        &self.precert_der
    }

    /// The CA certificates, issuing CA first, root last.
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// SHA-256 of the issuing CA's SubjectPublicKeyInfo.
    pub fn issuer_key_hash(&self) -> &[u8; 32] {
        &self.issuer_key_hash
    }

    /// The TBSCertificate without the poison: what the log signs.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// The end of the certificate's life, which decides the log's shard.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// SHA-256(issuer key hash ‖ TBSCertificate): equal for equal entries, and nothing else.
    pub fn dedupe_key(&self) -> &[u8; 32] {
        &self.dedupe_key
    }
}

/// A log that takes precertificates.
///
/// Contract: `submit` sends exactly the entry's bytes, again on each of its own retries, ends
/// within `budget`, and answers only with an SCT that [`verify_sct`] accepted. The caller does
/// not retry the same log. A failure is never a statement about whether the entry was logged.
#[async_trait]
pub trait CertificateLog: Send + Sync {
    /// The log's id.
    fn id(&self) -> LogId;
    /// A name for logs and metrics: a fixed word per log, no secret, no URL credentials.
    fn name(&self) -> &str;
    /// Submits a precertificate. `now` is the request's clock reading, for the timestamp window.
    async fn submit(
        &self,
        entry: &PreEntry,
        now: UnixMillis,
        budget: Duration,
    ) -> Result<VerifiedSct, SubmitError>;
    /// Whether the log answers and its head verifies; for readiness, cheap enough for every few seconds.
    async fn probe(&self, budget: Duration) -> Result<(), SubmitError>;
}

/// Every word a submission can end with: `accepted`, and those of [`SubmitError::word`].
pub const OUTCOMES: &[&str] = &[
    "accepted",
    "rejected",
    "timeout",
    "unreachable",
    "broken",
    "redirect",
    "throttled",
    "status",
    "answer_too_large",
    "answer_not_json",
    "answer_cut_short",
    "answer_malformed",
    "version",
    "malformed",
    "wrong_log",
    "too_long",
    "future",
    "stale",
    "truncated",
    "trailing",
    "hash",
    "algorithm",
    "signature",
    "signing",
    "other",
];

/// Why there is no SCT, by class, never by text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// Another try, or another log, may succeed.
    #[error("log {log} gave no usable SCT")]
    Retryable {
        /// The log's name.
        log: String,
        /// How long the log asked us to wait.
        retry_after: Option<Duration>,
        /// What went wrong; a [`Failure`] from this room's own logs.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log refuses this entry for good.
    #[error("log {log} refuses the entry with status {status}")]
    Rejected {
        /// The log's name.
        log: String,
        /// HTTP status.
        status: u16,
    },
}

impl SubmitError {
    /// A fixed word for metrics and log lines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Retryable { source, .. } => source
                .downcast_ref::<Failure>()
                .map_or("other", Failure::word),
            Self::Rejected { .. } => "rejected",
        }
    }

    /// What went wrong, where one of this room's own logs says so.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Retryable { source, .. } => source.downcast_ref(),
            Self::Rejected { .. } => None,
        }
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(tbs: &[u8], spki: &[u8]) -> PreEntry {
        PreEntry::new(vec![1], vec![], spki, tbs.to_vec(), UnixSeconds(0))
    }

    #[test]
    fn entries_are_the_same_when_issuer_key_and_tbs_are() {
        let one = entry(b"tbs", b"spki");
        assert_eq!(one.dedupe_key(), entry(b"tbs", b"spki").dedupe_key());
        assert_ne!(one.dedupe_key(), entry(b"tbs2", b"spki").dedupe_key());
        assert_ne!(one.dedupe_key(), entry(b"tbs", b"spki2").dedupe_key());
    }

    /// One of each, but for the two whose source is the network's.
    fn failures() -> Vec<Failure> {
        let (log, got) = (LogId([0; 32]), 1);
        let (timestamp, now) = (UnixMillis(1), UnixMillis(2));
        let believed = [
            SctError::AnswerTooLarge { max: 1 },
            SctError::NotJson(crate::json::parse(b"<").unwrap_err()),
            SctError::CutShort { octets: 1 },
            SctError::NotAnObject,
            SctError::Member {
                member: "id",
                want: "a string",
            },
            SctError::Base64 { member: "id" },
            SctError::HashLength { member: "id", got },
            SctError::Version { got: 1 },
            SctError::ExtensionsTooLong { got },
            SctError::EmptyList,
            SctError::WrongLog {
                got: log,
                want: log,
            },
            SctError::TooLong { got, max: 0 },
            SctError::FromTheFuture { timestamp, now },
            SctError::TooOld { timestamp, now },
            SctError::Truncated,
            SctError::Trailing { extra: 1 },
            SctError::HashAlgorithm { got: 1 },
            SctError::SignatureAlgorithm { got: 1, want: 3 },
            SctError::SignatureInvalid { log },
        ];
        let budget = Duration::ZERO;
        let others = [
            Failure::Timeout { budget },
            Failure::Unreachable("no route".into()),
            Failure::Broken("reset".into()),
            Failure::Redirect { status: 302 },
            Failure::Throttled { status: 429 },
            Failure::Status { status: 500 },
            Failure::Signing,
        ];
        others
            .into_iter()
            .chain(believed.map(Failure::from))
            .collect()
    }

    #[test]
    fn every_outcome_has_a_word_of_the_list_and_the_documents_have_each_word() {
        let words = failures().into_iter().map(|failure| failure.word());
        let mut words: Vec<&str> = words.collect();
        words.dedup();
        words.extend(["accepted", "rejected", "other"]);
        words.sort_unstable();
        let mut known = OUTCOMES.to_vec();
        known.sort_unstable();
        assert_eq!(words, known);

        let table = include_str!("../../docs/ct-submission.md");
        let told: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
            .map(|(word, _)| word)
            .collect();
        assert_eq!(told, OUTCOMES);
    }

    #[test]
    fn a_foreign_source_has_the_word_other() {
        let error = SubmitError::Retryable {
            log: "log".into(),
            retry_after: None,
            source: "something else".into(),
        };
        assert_eq!(error.word(), "other");
        assert!(error.failure().is_none());
    }
}
