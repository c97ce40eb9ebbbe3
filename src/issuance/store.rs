//! What the pipeline needs remembered, as a port. What each adapter does to keep the contract is
//! in `docs/storage.md`.

use std::sync::Arc;

use async_trait::async_trait;

use crate::ca::{IssuingCaId, ProfileHash, Serial};
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// Written durably before the first signature (step 6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The serial, never used before.
    pub serial: Serial,
    /// What is to be signed first, linted, in its zero-signature wrapping: the precertificate, or
    /// the leaf where certificates are not logged.
    pub unsigned: Arc<[u8]>,
    /// SHA-256 of the whole token as it arrived.
    pub token_hash: [u8; 32],
    /// What uses are counted under.
    pub token_id: TokenId,
    /// SHA-256 of the subject's SPKI.
    pub spki_hash: [u8; 32],
    /// Which CA is about to sign.
    pub issuing_ca: IssuingCaId,
    /// Under which profile.
    pub profile: ProfileHash,
    /// The request's id.
    pub request_id: String,
    /// The token's `kid`.
    pub kid: Option<String>,
    /// The token's `iss`.
    pub issuer: String,
    /// The token's `sub`.
    pub subject: String,
    /// The SAN, as `email:…` or `uri:…`.
    pub san: String,
    /// The claim rule that let it pass, or in shadow mode would have refused it; none where there
    /// are no rules.
    pub rule: Option<String>,
    /// The hash of the rules it is of; none where there are no rules, and in records of before it
    /// was kept.
    pub rules: Option<[u8; 32]>,
    /// Every Fulcio extension value; shared by the copies that a repeated write needs.
    pub extensions: Arc<[(u8, String)]>,
    /// The request's clock reading.
    pub at: UnixSeconds,
    /// Last second of the planned validity.
    pub not_after: UnixSeconds,
}

/// How the token's use is to be counted, atomically with the intent.
#[derive(Clone, Debug)]
pub struct TokenUse {
    /// How many different keys the token may have certified.
    pub limit: u32,
    /// When the count may be forgotten: the token's `exp`.
    pub expires_at: UnixSeconds,
}

/// What happened to the use and the intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Recorded; the token had this key already, or had a use left.
    Recorded,
    /// Nothing recorded: the token has no use left for another key.
    Exhausted,
}

/// What the log said (step 8): queued without waiting, durable with the next commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Which intent.
    pub serial: Serial,
    /// The signed precertificate.
    pub precert_der: Arc<[u8]>,
    /// The SCTs as TLS-encoded structures.
    pub scts: Vec<Vec<u8>>,
}

/// The final certificate (step 10), durable before it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Final {
    /// Which intent.
    pub serial: Serial,
    /// The certificate.
    pub leaf_der: Arc<[u8]>,
    /// When it was finished.
    pub at: UnixSeconds,
}

/// A record as it stands: intent always, the rest as far as it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Step 6.
    pub intent: Intent,
    /// Step 8, if reached.
    pub submission: Option<Submission>,
    /// Step 10, if reached.
    pub leaf: Option<Final>,
    /// When the sweep gave it up: there is no final and there never will be.
    pub abandoned: Option<UnixSeconds>,
}

/// Which records.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// This serial.
    pub serial: Option<Serial>,
    /// This SPKI hash.
    pub spki_hash: Option<[u8; 32]>,
    /// This `iss`.
    pub issuer: Option<String>,
    /// This `sub`.
    pub subject: Option<String>,
    /// This SAN, as recorded.
    pub san: Option<String>,
    /// This `kid`.
    pub kid: Option<String>,
    /// This issuing CA.
    pub issuing_ca: Option<IssuingCaId>,
    /// All of these extension values.
    pub extensions: Vec<(u8, String)>,
}

impl Selector {
    /// Whether the record matches every given field.
    pub fn matches(&self, intent: &Intent) -> bool {
        fn fits<T: PartialEq>(wanted: &Option<T>, got: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == got)
        }
        fits(&self.serial, &intent.serial)
            && fits(&self.spki_hash, &intent.spki_hash)
            && fits(&self.issuer, &intent.issuer)
            && fits(&self.subject, &intent.subject)
            && fits(&self.san, &intent.san)
            && (self.kid.is_none() || self.kid == intent.kid)
            && fits(&self.issuing_ca, &intent.issuing_ca)
            && self
                .extensions
                .iter()
                .all(|wanted| intent.extensions.contains(wanted))
    }
}

/// The issuance record.
///
/// Contract:
/// - **durable**: `Ok` from `put_intent` and `put_final` survives `kill -9` and power loss.
/// - **atomic**: `put_intent` counts the token's use and writes the intent, or does neither.
/// - **idempotent**: the same (token, key) never counts twice; the same `put_intent` twice is
///   `Recorded`, another intent under the same serial is `Conflict`; the same `put_final` twice is
///   `Ok`, another final for the same serial, one without an intent, or one whose intent was
///   abandoned, is `Conflict`.
/// - **ordered**: `put_submission` is durable no later than the next commit after it; one without
///   an intent is dropped.
/// - **honest**: an outcome not known is `OutcomeUnknown`, never `Ok`, never a plain failure.
/// - records are kept until retention removes them; only token uses and the retry index expire.
#[async_trait]
pub trait IssuanceStore: Send + Sync {
    /// The stored final for this token and key whose certificate is still valid at `now`.
    async fn find_retry(
        &self,
        token: &TokenId,
        spki_hash: &[u8; 32],
        now: UnixSeconds,
    ) -> Result<Option<Record>, StoreError>;
    /// Counts the use and writes the intent. `Conflict` if the serial is known with another intent.
    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError>;
    /// Queues what the log said; returns once queued in order.
    async fn put_submission(&self, submission: Submission) -> Result<(), StoreError>;
    /// Writes the final.
    async fn put_final(&self, leaf: Final) -> Result<(), StoreError>;
    /// Records matching every given field whose `at` lies in `from ≤ at < to`, oldest first, at most `limit`.
    async fn find_issued(
        &self,
        selector: &Selector,
        from: UnixSeconds,
        to: UnixSeconds,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;
    /// Intents without a final older than `before` that were not given up yet, oldest first:
    /// presumed to exist, revocable.
    async fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError>;
    /// Gives up intents: from now on they take no final and are no longer listed by `orphans`.
    /// Serials unknown, finished or given up already are left as they are.
    async fn abandon(&self, serials: &[Serial], at: UnixSeconds) -> Result<(), StoreError>;
    /// Forgets token uses and retry entries that expired before `now`; how many.
    async fn expire(&self, now: UnixSeconds) -> Result<usize, StoreError>;
    /// Deletes records whose `at` lies before `before`, oldest first, at most `limit`; how many.
    /// Those that [`orphans`](Self::orphans) still lists stay.
    async fn forget(&self, before: UnixSeconds, limit: usize) -> Result<usize, StoreError>;
    /// A round trip that proves a durable commit is possible now.
    async fn health(&self) -> Result<(), StoreError>;
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing was written; later may work.
    #[error("the store is unavailable")]
    Unavailable {
        /// What went wrong.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The caller's view is stale: the serial is known, or the final differs.
    #[error("the store already holds something else for serial {serial}")]
    Conflict {
        /// Which serial.
        serial: Serial,
    },
    /// It may or may not have been written; the same call again is safe.
    #[error("the store did not say whether it wrote")]
    OutcomeUnknown,
    /// What was read makes no sense.
    #[error("the store holds a damaged record: {what}")]
    Corrupt {
        /// Which of a record's parts (`intent`, `submission`, `final`), or what leads to it.
        what: &'static str,
    },
}
