//! A whole CA in one process, with parts that can be made to fail.

use std::future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use shortleaf::audit::{self, AuditLog, Chain, Event};
use shortleaf::ca::{InstanceId, LeafProfile, SignError, Signer};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::{CertificateLog, LogId, PreEntry, SubmitError, VerifiedSct};
use shortleaf::identity::Mapping;
use shortleaf::issuance::store::{
    Begun, Final, Intent, IssuanceStore, Record, Selector, StoreError, Submission, TokenUse,
};
use shortleaf::issuance::{
    CtMode, Error, Issued, Parts, Proof, Request, Service, Terms, TrustedIssuer, no_probe,
};
use shortleaf::keys::DevelopmentCa;
use shortleaf::possession::{AlgorithmList, WeakKeys};
use shortleaf::rates::Rates;
use shortleaf::store::memory::MemoryStore;
use shortleaf::system::SystemEntropy;
use shortleaf::time::{UnixMillis, UnixSeconds};
use shortleaf::token::jwks::KeySet;
use shortleaf::token::{
    Algorithm, IssuerPolicy, IssuerUrl, KeyError, KeySource, TokenId, VerificationKey,
};
use shortleaf::x509::SignatureAlgorithm;

use crate::issuer::{self, Issuer};
use crate::samples::NOW;
use crate::subject::{Kind, Subject};

pub(crate) const ISSUER: &str = "https://issuer.example";

/// Clock, issuer, CA, log, store and audit trail. Every fault is a switch on one of them.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) signer: Arc<CountingSigner>,
    pub(crate) log: Arc<FaultyLog>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) audit: Arc<Trail>,
    pub(crate) parts: Parts,
}

impl World {
    pub(crate) fn new() -> Self {
        let ca = DevelopmentCa::new(SignatureAlgorithm::EcdsaP256Sha256, NOW, &SystemEntropy);
        let ca = ca.unwrap();
        let profile = LeafProfile::new("test-1", 600, 0, None).unwrap();
        let issuer = Issuer::new(ISSUER);
        let signer = Arc::new(CountingSigner::new(Arc::new(ca.signer)));
        let log = Arc::new(FaultyLog::new("first"));
        let store = Arc::new(FaultyStore::default());
        let audit = Arc::new(Trail::default());
        let parts = Parts {
            terms: Terms {
                issuers: vec![trusted(1)],
                issuers_digest: None,
                rules: None,
                keys: Arc::new(Keys::of(&issuer)),
                authority: Arc::new(ca.authority.with_profile(&profile)),
                signer: signer.clone(),
            },
            profile: Arc::new(profile),
            ct: CtMode::Required {
                logs: vec![log.clone()],
                deadline: Duration::from_secs(60),
            },
            store: store.clone(),
            audit: audit.clone(),
            entropy: Arc::new(SystemEntropy),
            instance: InstanceId::FIRST,
            permitted: AlgorithmList::all(),
            weak_keys: WeakKeys::default(),
            rates: Rates::off(),
            retention: None,
            monotonic: None,
            probe: no_probe(),
        };
        Self {
            issuer,
            signer,
            log,
            store,
            audit,
            parts,
        }
    }

    pub(crate) fn service(&self) -> Service {
        Service::new(self.parts.clone())
    }

    /// A fresh good token.
    pub(crate) fn token(&self) -> String {
        self.issuer.token(issuer::email_claims(), NOW.0)
    }

    /// One fresh token, one fresh key, one certificate.
    pub(crate) async fn one(&self) -> Result<Issued, Error> {
        let (token, key) = (self.token(), key());
        self.service()
            .issue(request(&token, &key, "r-1"), now())
            .await
            .map_err(|refused| refused.error)
    }

    pub(crate) async fn records(&self) -> Vec<Record> {
        let all = Selector::default();
        let (from, to) = (UnixSeconds(0), UnixSeconds(i64::MAX));
        self.store
            .inner
            .find_issued(&all, from, to, 1000)
            .await
            .unwrap()
    }
}

pub(crate) fn now() -> UnixMillis {
    UnixMillis::from(NOW)
}

pub(crate) fn trusted(certificates_per_token: u32) -> TrustedIssuer {
    TrustedIssuer {
        policy: IssuerPolicy {
            issuer: IssuerUrl::new(ISSUER).unwrap().into(),
            audiences: vec![issuer::AUDIENCE.into()],
            max_token_age_s: 600,
            max_token_lifetime_s: 3600,
            leeway_s: 0,
            certificates_per_token,
        },
        mapping: Mapping::Email {
            skip_verification: false,
            issuer: None,
        },
    }
}

pub(crate) fn key() -> Subject {
    Subject::generate(Kind::P256)
}

/// What a client sends for the token and key.
pub(crate) fn request(token: &str, key: &Subject, id: &str) -> Request {
    let email = issuer::email_claims()["email"].as_str().unwrap().to_owned();
    Request {
        token: token.to_owned(),
        proof: Proof::Signature {
            public_key: key.spki_der().to_vec(),
            signature: key.prove(&email),
        },
        request_id: id.to_owned(),
    }
}

/// The issuer's keys without a network.
pub(crate) struct Keys(KeySet);

impl Keys {
    pub(crate) fn of(issuer: &Issuer) -> Self {
        Self(KeySet::parse(issuer.jwks().as_bytes()).unwrap())
    }
}

#[async_trait]
impl KeySource for Keys {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        self.0.find(kid, algorithm).map_err(|_| KeyError::Unknown {
            issuer: issuer.clone(),
            kid: kid.map(str::to_owned),
        })
    }
}

/// Counts signatures, and can lose its key.
pub(crate) struct CountingSigner {
    inner: Arc<dyn Signer>,
    pub(crate) signatures: AtomicU32,
    pub(crate) away: AtomicBool,
    /// Never answers.
    pub(crate) stuck: AtomicBool,
}

impl CountingSigner {
    pub(crate) fn new(inner: Arc<dyn Signer>) -> Self {
        Self {
            inner,
            signatures: AtomicU32::new(0),
            away: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
        }
    }
    pub(crate) fn count(&self) -> u32 {
        self.signatures.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Signer for CountingSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }
    fn spki(&self) -> &[u8] {
        self.inner.spki()
    }
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.away.load(Ordering::SeqCst) {
            let source = std::io::Error::other("the key is away").into();
            return Err(SignError::Unavailable { source });
        }
        if self.stuck.load(Ordering::SeqCst) {
            future::pending::<()>().await;
        }
        self.signatures.fetch_add(1, Ordering::SeqCst);
        self.inner.sign(message).await
    }
}

/// How a log behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Silent,
    Down,
    Refusing,
    /// Says nothing until it is well again.
    Slow,
    Panicking,
}

/// A real log in memory in front of which things go wrong.
pub(crate) struct FaultyLog {
    pub(crate) inner: MemoryLog,
    pub(crate) mood: Mutex<Mood>,
    pub(crate) asked: AtomicU32,
}

impl FaultyLog {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            inner: MemoryLog::generate(name).unwrap(),
            mood: Mutex::new(Mood::Well),
            asked: AtomicU32::new(0),
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn mood(&self) -> Mood {
        *self.mood.lock().unwrap()
    }
}

#[async_trait]
impl CertificateLog for FaultyLog {
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
        self.asked.fetch_add(1, Ordering::SeqCst);
        let log = self.name().to_owned();
        while self.mood() == Mood::Slow {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        match self.mood() {
            Mood::Well | Mood::Slow => self.inner.submit(entry, now, budget).await,
            Mood::Silent => future::pending().await,
            Mood::Down => Err(SubmitError::Retryable {
                log,
                retry_after: Some(Duration::from_secs(7)),
                source: Box::new(std::io::Error::other("down")),
            }),
            Mood::Refusing => Err(SubmitError::Rejected { log, status: 400 }),
            Mood::Panicking => panic!("asked for by the test"),
        }
    }
    async fn probe(&self, budget: Duration) -> Result<(), SubmitError> {
        self.inner.probe(budget).await
    }
}

/// What the next writes answer instead of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    Conflict,
    /// Not written, and the caller cannot know.
    UnknownNotWritten,
    /// Written, and the caller cannot know.
    UnknownWritten,
    /// Never answers.
    Stuck,
}

/// A store in memory in front of which things go wrong.
#[derive(Default)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryStore,
    pub(crate) intent_faults: Mutex<Vec<Fault>>,
    pub(crate) final_faults: Mutex<Vec<Fault>>,
    pub(crate) intents: Mutex<Vec<Intent>>,
}

async fn faulty<T>(
    fault: Option<Fault>,
    intent: shortleaf::ca::Serial,
    write: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match fault {
        None => write.await,
        Some(Fault::Unavailable) => Err(StoreError::Unavailable {
            source: Arc::new(std::io::Error::other("no space left on device")),
        }),
        Some(Fault::Conflict) => Err(StoreError::Conflict { serial: intent }),
        Some(Fault::UnknownNotWritten) => Err(StoreError::OutcomeUnknown),
        Some(Fault::UnknownWritten) => {
            write.await?;
            Err(StoreError::OutcomeUnknown)
        }
        Some(Fault::Stuck) => future::pending().await,
    }
}

#[async_trait]
impl IssuanceStore for FaultyStore {
    async fn find_retry(
        &self,
        token: &TokenId,
        spki_hash: &[u8; 32],
        now: UnixSeconds,
    ) -> Result<Option<Record>, StoreError> {
        self.inner.find_retry(token, spki_hash, now).await
    }
    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError> {
        self.intents.lock().unwrap().push(intent.clone());
        let fault = self.intent_faults.lock().unwrap().pop();
        let serial = intent.serial;
        faulty(fault, serial, self.inner.put_intent(intent, token_use)).await
    }
    async fn put_submission(&self, submission: Submission) -> Result<(), StoreError> {
        self.inner.put_submission(submission).await
    }
    async fn put_final(&self, leaf: Final) -> Result<(), StoreError> {
        let fault = self.final_faults.lock().unwrap().pop();
        faulty(fault, leaf.serial, self.inner.put_final(leaf)).await
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
    async fn abandon(
        &self,
        serials: &[shortleaf::ca::Serial],
        at: UnixSeconds,
    ) -> Result<(), StoreError> {
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

/// An audit trail in memory whose writes can fail from some line on.
#[derive(Default)]
pub(crate) struct Trail {
    lines: Mutex<Vec<Line>>,
    /// Lines that may still be written; none = all.
    pub(crate) room_for: Mutex<Option<usize>>,
}

/// One line of it.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) kind: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
    /// As it would stand in a file.
    text: Vec<u8>,
    end: Chain,
}

impl Trail {
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.lines().iter().map(|line| line.kind).collect()
    }

    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    /// The lines as they would stand in a file.
    pub(crate) fn text(&self) -> Vec<u8> {
        self.lines()
            .into_iter()
            .flat_map(|line| line.text)
            .collect()
    }
}

impl AuditLog for Trail {
    fn append(&self, event: &Event<'_>) -> Result<(), audit::Error> {
        let mut room = self.room_for.lock().unwrap();
        match room.as_mut() {
            Some(0) => return Err(audit::Error::Poisoned),
            Some(left) => *left -= 1,
            None => {}
        }
        let mut lines = self.lines.lock().unwrap();
        let mut text = Vec::new();
        let chain = lines.last().map_or(Chain::START, |line| line.end);
        let end = chain.line(event, &mut text);
        crate::secrets::none_in("the audit trail", &text);
        let fields = event.fields.iter();
        lines.push(Line {
            kind: event.kind,
            fields: fields
                .map(|(name, value)| (*name, value.to_string()))
                .collect(),
            end,
            text,
        });
        Ok(())
    }
}

/// Claims that make a token expire before it is used.
pub(crate) fn expired() -> serde_json::Value {
    let mut claims = issuer::email_claims();
    issuer::merge(
        &mut claims,
        json!({ "iat": NOW.0 - 400, "exp": NOW.0 - 100 }),
    );
    claims
}
