//! Parts that fail on request, each with words in its error that belong in our own log and nowhere
//! else.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shortleaf::audit::{self, AuditLog, Event};
use shortleaf::ca::{Serial, SignError, Signer};
use shortleaf::ct::{CertificateLog, LogId, PreEntry, SubmitError, VerifiedSct};
use shortleaf::issuance::store::{
    Begun, Final, Intent, IssuanceStore, Record, Selector, StoreError, Submission, TokenUse,
};
use shortleaf::issuance::{CtMode, KillPoint, Parts};
use shortleaf::time::{UnixMillis, UnixSeconds};
use shortleaf::token::{Algorithm, IssuerUrl, KeyError, KeySource, VerificationKey};
use shortleaf::x509::SignatureAlgorithm;

/// What a failing part says about the house: an address, a password.
pub(crate) const INSIDE: &str = "ca:hunter2@10.99.0.7 says no";

/// What fails now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The signer cannot be reached after this many signatures more.
    SignerAwayAfter(usize),
    /// The signer answers with something that is no signature.
    SignerTalksNonsense,
    /// The log cannot be reached.
    LogAway,
    /// The log asks to come back in so many seconds.
    LogBusy(u64),
    /// The log refuses the entry for good.
    LogRefuses,
    /// This call of the store does not get through.
    StoreAway(Call),
    /// Nobody knows whether this call of the store did its work; it did.
    StoreUnsure(Call),
    /// The store finds a damaged record.
    StoreDamaged,
    /// The line of this kind cannot be written.
    AuditAway(&'static str),
    /// The issuers' keys cannot be fetched.
    KeysAway,
    /// The pipeline itself panics.
    Panic,
}

/// The calls of the store that an issuance makes, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    FindRetry,
    PutIntent,
    PutSubmission,
    PutFinal,
}

/// The one switch that all failing parts look at.
#[derive(Default)]
pub(crate) struct Faults {
    now: Mutex<Option<Fault>>,
    signatures: AtomicUsize,
}

impl Faults {
    /// From now on this fails, and nothing else.
    pub(crate) fn set(&self, fault: Fault) {
        self.signatures.store(0, Ordering::SeqCst);
        *self.now.lock().unwrap() = Some(fault);
    }

    /// Nothing fails any more.
    pub(crate) fn mend(&self) {
        *self.now.lock().unwrap() = None;
    }

    fn now(&self) -> Option<Fault> {
        *self.now.lock().unwrap()
    }

    /// Puts a part that can fail around each of `parts`.
    pub(crate) fn surround(self: &Arc<Self>, parts: &mut Parts) {
        parts.terms.signer = self.around(parts.terms.signer.clone());
        parts.store = self.around(parts.store.clone());
        parts.audit = self.around(parts.audit.clone());
        parts.terms.keys = self.around(parts.terms.keys.clone());
        if let CtMode::Required { logs, .. } = &mut parts.ct {
            for log in logs {
                *log = self.around(log.clone());
            }
        }
        let faults = Arc::clone(self);
        parts.probe = Arc::new(move |point| {
            let panics = faults.now() == Some(Fault::Panic) && point == KillPoint::IntentStored;
            assert!(!panics, "{INSIDE}");
        });
    }

    fn around<T: ?Sized>(self: &Arc<Self>, inner: Arc<T>) -> Arc<Faulty<T>> {
        let faults = Arc::clone(self);
        Arc::new(Faulty { inner, faults })
    }
}

struct Faulty<T: ?Sized> {
    faults: Arc<Faults>,
    inner: Arc<T>,
}

fn inside() -> io::Error {
    io::Error::other(INSIDE)
}

#[async_trait]
impl Signer for Faulty<dyn Signer> {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }

    fn spki(&self) -> &[u8] {
        self.inner.spki()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let before = self.faults.signatures.fetch_add(1, Ordering::SeqCst);
        match self.faults.now() {
            Some(Fault::SignerAwayAfter(good)) if before >= good => {
                let source = Box::new(inside());
                Err(SignError::Unavailable { source })
            }
            Some(Fault::SignerTalksNonsense) => Ok(INSIDE.into()),
            _ => self.inner.sign(message).await,
        }
    }
}

#[async_trait]
impl CertificateLog for Faulty<dyn CertificateLog> {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn submit(
        &self,
        entry: &PreEntry,
        now: UnixMillis,
        budget: Duration,
    ) -> Result<VerifiedSct, SubmitError> {
        let log = self.name().to_owned();
        let retry_after = match self.faults.now() {
            Some(Fault::LogAway) => None,
            Some(Fault::LogBusy(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Fault::LogRefuses) => return Err(SubmitError::Rejected { log, status: 400 }),
            _ => return self.inner.submit(entry, now, budget).await,
        };
        Err(SubmitError::Retryable {
            log,
            retry_after,
            source: Box::new(inside()),
        })
    }

    async fn probe(&self, budget: Duration) -> Result<(), SubmitError> {
        self.inner.probe(budget).await
    }
}

impl Faulty<dyn IssuanceStore> {
    /// What fails before the call reaches the store.
    fn before(&self, call: Call) -> Result<(), StoreError> {
        match self.faults.now() {
            Some(Fault::StoreAway(away)) if away == call => Err(StoreError::Unavailable {
                source: Arc::new(inside()),
            }),
            Some(Fault::StoreDamaged) => Err(StoreError::Corrupt { what: INSIDE }),
            _ => Ok(()),
        }
    }

    /// What becomes of its answer.
    fn after<T>(&self, call: Call, result: Result<T, StoreError>) -> Result<T, StoreError> {
        match self.faults.now() {
            Some(Fault::StoreUnsure(unsure)) if unsure == call => Err(StoreError::OutcomeUnknown),
            _ => result,
        }
    }
}

#[async_trait]
impl IssuanceStore for Faulty<dyn IssuanceStore> {
    async fn find_retry(
        &self,
        token: &shortleaf::token::TokenId,
        spki_hash: &[u8; 32],
        now: UnixSeconds,
    ) -> Result<Option<Record>, StoreError> {
        self.before(Call::FindRetry)?;
        self.inner.find_retry(token, spki_hash, now).await
    }

    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError> {
        self.before(Call::PutIntent)?;
        let result = self.inner.put_intent(intent, token_use).await;
        self.after(Call::PutIntent, result)
    }

    async fn put_submission(&self, submission: Submission) -> Result<(), StoreError> {
        self.before(Call::PutSubmission)?;
        self.inner.put_submission(submission).await
    }

    async fn put_final(&self, leaf: Final) -> Result<(), StoreError> {
        self.before(Call::PutFinal)?;
        let result = self.inner.put_final(leaf).await;
        self.after(Call::PutFinal, result)
    }

    async fn find_issued(
        &self,
        selector: &Selector,
        from: UnixSeconds,
        to: UnixSeconds,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.find_issued(selector, from, to, limit).await
    }

    async fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.inner.orphans(before, limit).await
    }

    async fn abandon(&self, serials: &[Serial], at: UnixSeconds) -> Result<(), StoreError> {
        self.inner.abandon(serials, at).await
    }

    async fn expire(&self, now: UnixSeconds) -> Result<usize, StoreError> {
        self.inner.expire(now).await
    }

    async fn forget(&self, before: UnixSeconds, limit: usize) -> Result<usize, StoreError> {
        self.inner.forget(before, limit).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.inner.health().await
    }
}

impl AuditLog for Faulty<dyn AuditLog> {
    fn append(&self, event: &Event<'_>) -> Result<(), audit::Error> {
        match self.faults.now() {
            Some(Fault::AuditAway(kind)) if kind == event.kind => {
                Err(audit::Error::Write(inside()))
            }
            _ => self.inner.append(event),
        }
    }
}

#[async_trait]
impl KeySource for Faulty<dyn KeySource> {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        if self.faults.now() == Some(Fault::KeysAway) {
            return Err(KeyError::Unavailable {
                issuer: issuer.clone(),
                retry_after: None,
                source: Arc::new(inside()),
            });
        }
        self.inner.key(issuer, kid, algorithm).await
    }
}
