//! A whole CA in one value: fixed clock, seeded chance, two issuers, a log, a store, a trail.
//!
//! Every port is the product's own adapter for memory, looked at from outside: the world sees each
//! signature being made, each submission, each line of the trail. [`World::check`] then proves
//! the rules that no test may break, whatever it is about; call it at the end of each.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod issuer;
pub(crate) mod parts;
pub(crate) mod subject;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shortleaf::audit::{self, AuditLog, Chain, Event};
use shortleaf::ca::{InstanceId, LeafProfile, Serial, SignError, Signer};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::{self, CertificateLog, LogId, PreEntry, SubmitError, VerifiedSct};
use shortleaf::entropy::Entropy;
use shortleaf::identity::{Mapping, builtin};
use shortleaf::issuance::store::{IssuanceStore, Record, Selector};
use shortleaf::issuance::{
    self, CtMode, Issued, Parts, Proof, Request, Service, Terms, TrustedIssuer, no_probe,
};
use shortleaf::keys::file;
use shortleaf::merkle;
use shortleaf::possession::{AlgorithmList, WeakKeys};
use shortleaf::rates::memory::MemoryCounter;
use shortleaf::rates::{Limits, Rates};
use shortleaf::store::memory::MemoryStore;
use shortleaf::time::{Clock, UnixMillis, UnixSeconds};
use shortleaf::token::jwks::{KeySet, NotFound};
use shortleaf::token::{Algorithm, IssuerPolicy, IssuerUrl, KeyError, KeySource, VerificationKey};
use shortleaf::x509::SignatureAlgorithm;
use x509_parser::prelude::*;

use issuer::{AUDIENCE, Identity, Issuer, der};
use subject::{Kind, Subject};

/// When every world begins: 2026-12-01T12:00:00Z.
pub(crate) const BEGINNING: UnixSeconds = UnixSeconds(1_796_126_400);

const CHAIN: &str = include_str!("keys/chain.pem");
const ISSUING_KEY: &str = include_str!("keys/issuing.key.pem");
const LOG_KEY: &str = include_str!("keys/log.key.pem");
/// Of the SCT list (RFC 6962 §3.3).
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";
/// Of the poison (RFC 6962 §3.1).
const POISON: &str = "1.3.6.1.4.1.11129.2.4.3";

/// A CA and everything around it.
pub(crate) struct World {
    clock: Arc<WorldClock>,
    issuers: [Issuer; 2],
    signer: Arc<WatchedSigner>,
    log: Arc<WatchedLog>,
    store: Arc<MemoryStore>,
    trail: Arc<Trail>,
    service: Service,
    returned: Mutex<Vec<Issued>>,
}

impl World {
    /// The usual one: a P-384 CA, a log that answers, single-use tokens.
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// The usual one with other parts: `change` sees them before the service is put together.
    pub(crate) fn with(change: impl FnOnce(&mut Parts)) -> Self {
        let clock = Arc::new(WorldClock(AtomicU64::new(UnixMillis::from(BEGINNING).0)));
        let issuers =
            Identity::PATHS.map(|path| Issuer::new(&format!("https://issuer.example{path}")));
        let keys = issuers.iter().map(|issuer| {
            let keys = KeySet::parse(issuer.jwks().as_bytes()).expect("a key set");
            (url(issuer), keys)
        });
        let mappings = [
            Mapping::Email {
                skip_verification: false,
                issuer: None,
            },
            Mapping::CiProvider(Arc::new(builtin::github())),
        ];
        let trusted = issuers
            .iter()
            .zip(mappings)
            .map(|(issuer, mapping)| TrustedIssuer {
                policy: IssuerPolicy {
                    issuer: url(issuer).into(),
                    audiences: vec![AUDIENCE.to_owned()],
                    max_token_age_s: 600,
                    max_token_lifetime_s: 86_400,
                    leeway_s: 30,
                    certificates_per_token: 1,
                },
                mapping,
            });
        let (authority, signer) =
            file::open(CHAIN, ISSUING_KEY, None, BEGINNING).expect("the world's CA opens");
        let profile = LeafProfile::new("leaf-v1", 600, 0, None).expect("the usual profile");
        let store = Arc::new(MemoryStore::new());
        let signer = Arc::new(WatchedSigner {
            inner: signer,
            store: Arc::clone(&store),
            signed: Mutex::default(),
        });
        let log = Arc::new(WatchedLog {
            inner: MemoryLog::new("world", &der(LOG_KEY)).expect("the world's log opens"),
            accepted: Mutex::default(),
        });
        let trail = Arc::new(Trail::default());
        let mut parts = Parts {
            terms: Terms {
                issuers: trusted.collect(),
                issuers_digest: None,
                rules: None,
                keys: Arc::new(WorldKeys(keys.collect())),
                authority: Arc::new(authority.with_profile(&profile)),
                signer: Arc::clone(&signer) as Arc<dyn Signer>,
            },
            profile: Arc::new(profile),
            ct: CtMode::Required {
                logs: vec![Arc::clone(&log) as Arc<dyn CertificateLog>],
                deadline: Duration::from_secs(60),
            },
            store: Arc::clone(&store) as Arc<dyn IssuanceStore>,
            audit: Arc::clone(&trail) as Arc<dyn AuditLog>,
            entropy: Arc::new(Seeded::default()),
            instance: InstanceId::FIRST,
            permitted: AlgorithmList::all(),
            weak_keys: WeakKeys::default(),
            rates: Rates {
                limits: Limits::OFF,
                counter: Arc::new(MemoryCounter::new(elapsed(&clock))),
            },
            retention: None,
            monotonic: None,
            probe: no_probe(),
        };
        change(&mut parts);
        Self {
            clock,
            issuers,
            signer,
            log,
            store,
            trail,
            service: Service::new(parts),
            returned: Mutex::default(),
        }
    }

    /// The clock, for what wants one.
    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    /// What it reads.
    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Moves it forward.
    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// Who vouches for `identity`.
    pub(crate) fn issuer(&self, identity: Identity) -> &Issuer {
        &self.issuers[identity.issuer()]
    }

    /// A good token for `identity`, minted now.
    pub(crate) fn token(&self, identity: Identity) -> String {
        self.issuer(identity)
            .token(identity.claims(), self.now().seconds().0)
    }

    /// A good request: a token of its own, and proof that `subject` is held.
    pub(crate) fn request(&self, identity: Identity, subject: &Subject) -> Request {
        self.request_with(self.token(identity), subject, &identity.challenge())
    }

    /// A request with this token and a proof over this challenge.
    pub(crate) fn request_with(
        &self,
        token: String,
        subject: &Subject,
        challenge: &str,
    ) -> Request {
        Request {
            token,
            proof: Proof::Signature {
                public_key: subject.spki_pem().into_bytes(),
                signature: subject.prove(challenge),
            },
            request_id: "world".to_owned(),
        }
    }

    /// Asks the service at the world's time, and remembers what came back.
    pub(crate) async fn ask(&self, request: Request) -> Result<Issued, issuance::Error> {
        let issued = self.service.issue(request, self.now()).await;
        crate::secrets::none_in("a decision", format!("{issued:?}"));
        if let Err(refused) = &issued {
            crate::secrets::none_in("a refusal", refused.to_string());
        }
        let issued = issued.map_err(|refused| refused.error)?;
        lock(&self.returned).push(issued.clone());
        Ok(issued)
    }

    /// A certificate for `identity` and a new P-256 key.
    pub(crate) async fn certificate(&self, identity: Identity) -> Issued {
        let subject = Subject::generate(Kind::P256);
        self.ask(self.request(identity, &subject))
            .await
            .expect("a good request gets a certificate")
    }

    /// The service itself.
    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// The words of the trail, oldest first.
    pub(crate) fn trail(&self) -> Vec<&'static str> {
        lock(&self.trail.0).iter().map(|event| event.kind).collect()
    }

    /// Its lines of one kind, oldest first.
    pub(crate) fn trail_of(&self, kind: &str) -> Vec<serde_json::Value> {
        let trail = lock(&self.trail.0);
        let lines = trail.iter().filter(|said| said.kind == kind);
        lines
            .map(|said| serde_json::from_slice(&said.line).expect("a line is JSON"))
            .collect()
    }

    /// The record of a serial.
    pub(crate) async fn record(&self, serial: Serial) -> Option<Record> {
        record(&self.store, serial).await
    }

    /// How many entries the log has.
    pub(crate) fn logged(&self) -> u64 {
        self.log.inner.size()
    }

    /// Proves, about all that happened in this world so far:
    /// nothing was signed that was not recorded and announced first; no serial has two precertificates
    /// or two finals; whatever was returned is stored as returned, and is in the log's tree.
    pub(crate) async fn check(&self) {
        self.check_signatures();
        self.check_trail();
        let returned = lock(&self.returned).clone();
        for issued in &returned {
            let record = self.record(issued.serial).await;
            let stored = record
                .and_then(|record| record.leaf)
                .map(|leaf| leaf.leaf_der);
            assert_eq!(
                stored.as_deref(),
                Some(&*issued.leaf_der),
                "{}: returned and not stored so",
                issued.serial
            );
            if issued.sct_embedded {
                self.check_logged(issued);
            }
        }
    }

    /// At most two signatures for a serial, precertificate and final, each over recorded intent.
    fn check_signatures(&self) {
        let signed = lock(&self.signer.signed);
        let mut seen = BTreeSet::new();
        for signature in signed.iter() {
            assert!(
                signature.recorded,
                "{}: signed before its intent was stored",
                signature.serial
            );
            let what = (signature.serial, signature.is_precertificate);
            assert!(
                seen.insert(what),
                "{}: signed twice as the same kind",
                signature.serial
            );
        }
    }

    /// No line holds a secret, and each `…_signed` line follows its `…_signing` line, for the same
    /// serial.
    fn check_trail(&self) {
        let mut announced = BTreeSet::new();
        for event in lock(&self.trail.0).iter() {
            crate::secrets::none_in("the audit trail", &event.line);
            let serial = event.serial.clone();
            if event.kind.ends_with("_signing") {
                announced.insert((event.kind.replace("_signing", ""), serial));
            } else if let Some(kind) = event.kind.strip_suffix("_signed") {
                assert!(
                    announced.remove(&(kind.to_owned(), serial.clone())),
                    "{serial:?}: {kind} signed without a line before"
                );
            }
        }
    }

    /// The SCT in the leaf is one this log gave for this serial, and its entry is in the tree.
    fn check_logged(&self, issued: &Issued) {
        let (_, leaf) = X509Certificate::from_der(&issued.leaf_der).expect("a certificate");
        let list = leaf
            .extensions()
            .iter()
            .find(|extension| extension.oid.to_id_string() == SCT_LIST)
            .expect("an SCT list");
        let accepted = lock(&self.log.accepted);
        let (entry, sct) = accepted
            .iter()
            .find(|(entry, _)| serial_of_certificate(entry.precert_der()) == issued.serial)
            .expect("returned and never submitted");
        let inner = ct::sct_list(&[sct.sct()]);
        // The extension's value is an OCTET STRING around the list.
        assert!(list.value.ends_with(&inner), "another SCT is embedded");

        let head = self
            .log
            .inner
            .head(self.now())
            .expect("the log signs its head");
        let leaf = ct::sct_leaf_hash(sct.sct(), entry.issuer_key_hash(), entry.tbs());
        let (index, path) = self
            .log
            .inner
            .inclusion_proof(&leaf, head.head().size)
            .expect("promised and not in the tree");
        let proven =
            merkle::verify_inclusion(&leaf, index, head.head().size, &path, &head.head().root);
        assert_eq!(proven, Ok(()));
    }
}

/// Every world draws the same octets in the same order.
#[derive(Default)]
pub(crate) struct Seeded(AtomicU64);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let count = self.0.fetch_add(1, Ordering::SeqCst);
            let block = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &count.to_be_bytes());
            chunk.copy_from_slice(&block.as_ref()[..chunk.len()]);
        }
    }
}

struct WorldClock(AtomicU64);

/// The same as a clock that nobody sets.
fn elapsed(clock: &Arc<WorldClock>) -> impl Fn() -> Duration + use<> {
    let clock = Arc::clone(clock);
    move || Duration::from_millis(clock.now().0)
}

impl Clock for WorldClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// The issuers' key sets, there from the start.
struct WorldKeys(HashMap<IssuerUrl, KeySet>);

#[async_trait]
impl KeySource for WorldKeys {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        let unknown = || KeyError::Unknown {
            issuer: issuer.clone(),
            kid: kid.map(str::to_owned),
        };
        let keys = self.0.get(issuer).ok_or_else(unknown)?;
        keys.find(kid, algorithm).map_err(|why| match why {
            NotFound::NoSuchKey => unknown(),
            NotFound::NotForAlgorithm => KeyError::AlgorithmRefused {
                issuer: issuer.clone(),
                kid: kid.map(str::to_owned),
                algorithm,
            },
        })
    }
}

/// The signer, noting for each signature whether its intent was in the store by then.
struct WatchedSigner {
    inner: file::FileSigner,
    store: Arc<MemoryStore>,
    signed: Mutex<Vec<Signature>>,
}

struct Signature {
    serial: Serial,
    is_precertificate: bool,
    recorded: bool,
}

#[async_trait]
impl Signer for WatchedSigner {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.inner.algorithm()
    }
    fn spki(&self) -> &[u8] {
        self.inner.spki()
    }
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let (_, tbs) = TbsCertificate::from_der(message).expect("only certificates are signed");
        let serial = Serial::from_octets(tbs.raw_serial()).expect("a serial of ours");
        let is_precertificate = tbs
            .extensions()
            .iter()
            .any(|extension| extension.oid.to_id_string() == POISON);
        let recorded = record(&self.store, serial).await.is_some();
        lock(&self.signed).push(Signature {
            serial,
            is_precertificate,
            recorded,
        });
        self.inner.sign(message).await
    }
}

/// The log, noting what it took and what it promised.
struct WatchedLog {
    inner: MemoryLog,
    accepted: Mutex<Vec<(PreEntry, VerifiedSct)>>,
}

#[async_trait]
impl CertificateLog for WatchedLog {
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
        let sct = self.inner.submit(entry, now, budget).await?;
        lock(&self.accepted).push((entry.clone(), sct.clone()));
        Ok(sct)
    }
    async fn probe(&self, budget: Duration) -> Result<(), SubmitError> {
        self.inner.probe(budget).await
    }
}

/// The audit log, in memory.
#[derive(Default)]
struct Trail(Mutex<Vec<Said>>);

/// What is compared of a line.
struct Said {
    kind: &'static str,
    serial: Option<String>,
    /// As it would stand in a file, whatever came before it.
    line: Vec<u8>,
}

impl AuditLog for Trail {
    fn append(&self, event: &Event<'_>) -> Result<(), audit::Error> {
        let serial = event.fields.iter().find(|(name, _)| *name == "serial");
        let mut line = Vec::new();
        Chain::START.line(event, &mut line);
        lock(&self.0).push(Said {
            kind: event.kind,
            serial: serial.map(|(_, value)| value.to_string()),
            line,
        });
        Ok(())
    }
}

async fn record(store: &MemoryStore, serial: Serial) -> Option<Record> {
    let selector = Selector {
        serial: Some(serial),
        ..Selector::default()
    };
    let (from, to) = (UnixSeconds(0), UnixSeconds(i64::MAX));
    let found = store.find_issued(&selector, from, to, 1).await;
    found.expect("the store in memory answers").pop()
}

fn serial_of_certificate(der: &[u8]) -> Serial {
    let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
    Serial::from_octets(certificate.raw_serial()).expect("a serial of ours")
}

fn url(issuer: &Issuer) -> IssuerUrl {
    IssuerUrl::new(issuer.url()).expect("an issuer's URL")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds this")
}
