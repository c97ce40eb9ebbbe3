//! Certificate transparency (RFC 6962): what is submitted, what comes back, and when to believe it.

pub mod memory;
pub mod rfc6962;

use std::time::Duration;

use async_trait::async_trait;

use crate::time::{UnixMillis, UnixSeconds};

/// SHA-256 of the log key's SubjectPublicKeyInfo (RFC 6962 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub [u8; 32]);

/// A precertificate on its way to the logs. The same bytes go to every log and on every retry.
#[derive(Clone, Debug)]
pub struct PreEntry {
    precert_der: Vec<u8>,
    chain: Vec<Vec<u8>>,
    issuer_key_hash: [u8; 32],
    tbs: Vec<u8>,
    not_after: UnixSeconds,
    dedupe_key: [u8; 32],
}

/// An SCT (RFC 6962 §3.2) as decoded; unproven until it is a [`VerifiedSct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sct {
    /// Which log says so.
    pub log_id: LogId,
    /// When the log took the entry.
    pub timestamp: UnixMillis,
    /// Opaque, but signed.
    pub extensions: Vec<u8>,
    /// The DigitallySigned structure: hash, algorithm, length, signature.
    pub signature: Vec<u8>,
}

/// An SCT proven to be for one precertificate and from a log we know. Made only by [`verify_sct`].
#[derive(Clone, Debug)]
pub struct VerifiedSct {
    sct: Sct,
    entry: [u8; 32],
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
        /// What went wrong.
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
