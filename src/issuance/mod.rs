//! The pipeline from request to certificate, and what keeps its promises when something fails.
//!
//! Three sentences: nothing is signed that was not linted as the exact bytes; nothing is signed
//! that was not written down first; when in doubt the answer is 503, never a certificate. The ten
//! steps are in `pipeline`, each point of no return with what is durable there and what a crash
//! costs; `docs/storage.md` has the table.
//!
//! It sees the world only through ports. It does not decide claim rules or revoke.

mod admission;
mod clock;
mod error;
mod flight;
mod pipeline;
mod readiness;
mod refused;
mod seen;
pub mod store;
mod sweep;
mod tally;
mod terms;
mod trail;

pub use clock::{JUMP_MAX, Monotonic};
pub use error::{Error, Failures};
pub use refused::{Refused, Whom};
pub use seen::{KEYS_MAX, WINDOW};
pub use sweep::{ORPHAN_AFTER_S, Swept};
pub use terms::Terms;

use std::sync::Arc;
use std::time::Duration;

use self::clock::ClockWatch;
use self::flight::Flights;
use self::seen::Seen;
use self::store::IssuanceStore;
use self::tally::Tally;
use self::terms::Current;
use crate::audit::{self, AuditLog};
use crate::ca::{InstanceId, LeafProfile, Serial};
use crate::ct::CertificateLog;
use crate::entropy::Entropy;
use crate::hash::sha256;
use crate::identity::Mapping;
use crate::possession::{AlgorithmList, KeyPolicy, WeakKeys};
use crate::rates::Rates;
use crate::time::{UnixMillis, UnixSeconds};
use crate::token::IssuerPolicy;

/// What a caller asks for. Nothing in it is believed yet.
pub struct Request {
    /// The OIDC token, as it arrived.
    pub token: String,
    /// The key and the proof that the caller holds it.
    pub proof: Proof,
    /// For logs and the audit trail, at most 128 characters.
    pub request_id: String,
}

/// The two ways to show possession of a key.
pub enum Proof {
    /// A public key (PEM or DER) and a signature over the challenge.
    Signature {
        /// The key.
        public_key: Vec<u8>,
        /// The signature.
        signature: Vec<u8>,
    },
    /// A PKCS#10 request (PEM) that signs itself.
    Csr(Vec<u8>),
}

/// A certificate that is stored and logged, ready to leave.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The leaf, DER.
    pub leaf_der: Arc<[u8]>,
    /// Issuing CA first, root last, DER.
    pub chain: Arc<[Vec<u8>]>,
    /// Its serial.
    pub serial: Serial,
    /// The `iss` of the verified token.
    pub issuer: Arc<str>,
    /// Its `sub`.
    pub subject: Arc<str>,
    /// The name the certificate carries: `email:…` or `uri:…`.
    pub san: Arc<str>,
    /// SHA-256 of the certified SubjectPublicKeyInfo.
    pub spki_hash: [u8; 32],
    /// Whether this instance certified the same key for another identity within [`WINDOW`].
    pub key_of_another: bool,
    /// The claim rule that decided, if there are rules.
    pub rule: Option<Arc<str>>,
    /// The hash of the rules it is of, if there are any.
    pub rules: Option<[u8; 32]>,
    /// Whether the rules refuse this identity and only their shadow mode lets it pass.
    pub would_refuse: bool,
    /// Last second of validity.
    pub not_after: UnixSeconds,
    /// Whether the SCT is embedded; false only with `[ct] mode = "off"`.
    pub sct_embedded: bool,
    /// Whether this is the stored answer to an earlier request with the same token and key.
    pub repeated: bool,
}

/// An issuer this instance believes, or a family of them, and what their claims mean.
#[derive(Clone)]
pub struct TrustedIssuer {
    /// Whose tokens, and what they must fulfil.
    pub policy: IssuerPolicy,
    /// How their claims become an identity.
    pub mapping: Mapping,
}

/// Whether a certificate needs an SCT.
#[derive(Clone)]
pub enum CtMode {
    /// No certificate without one from the first of these logs that gives one.
    Required {
        /// In order of preference.
        logs: Vec<Arc<dyn CertificateLog>>,
        /// For all of them together.
        deadline: Duration,
    },
    /// Written out by the operator: certificates carry no SCT.
    Off,
}

/// Everything a service is made of.
#[derive(Clone)]
pub struct Parts {
    /// What it begins with, until [`Service::take`] has it take others.
    pub terms: Terms,
    /// What the leaves look like.
    pub profile: Arc<LeafProfile>,
    /// The logs.
    pub ct: CtMode,
    /// The record.
    pub store: Arc<dyn IssuanceStore>,
    /// The trail.
    pub audit: Arc<dyn AuditLog>,
    /// Where serials come from.
    pub entropy: Arc<dyn Entropy>,
    /// The first octet of every serial.
    pub instance: InstanceId,
    /// Which keys may be certified.
    pub permitted: AlgorithmList,
    /// Which of these are refused all the same, because others know them.
    pub weak_keys: WeakKeys,
    /// How often an issuer and an identity may ask; what an address may, the doors ask before.
    pub rates: Rates,
    /// How long records are kept; none = for ever.
    pub retention: Option<Duration>,
    /// A clock that nobody sets, to notice when the wall clock is; none = not watched.
    pub monotonic: Option<Monotonic>,
    /// Called at every point where a crash is interesting; [`no_probe`] outside tests.
    pub probe: Probe,
}

/// What tests hang into the pipeline.
pub type Probe = Arc<dyn Fn(KillPoint) + Send + Sync>;

/// Does nothing.
pub fn no_probe() -> Probe {
    Arc::new(|_| ())
}

/// Calls `kill` when the process comes to the point that `spec` names (`intent_stored`), or comes
/// there for the nth time (`leaf_signed:3`); `None` for any other text. Absent from release builds.
#[cfg(debug_assertions)]
pub fn kill_at(spec: &str, kill: fn() -> !) -> Option<Probe> {
    use std::sync::atomic::{AtomicU32, Ordering};
    let (name, nth) = spec.split_once(':').unwrap_or((spec, "1"));
    let at = *KillPoint::ALL.iter().find(|at| at.as_str() == name)?;
    let left = AtomicU32::new(nth.parse().ok().filter(|nth| *nth > 0)?);
    Some(Arc::new(move |point| {
        if point == at && left.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill();
        }
    }))
}

/// How one log answered one submission, its own retries included.
pub struct Submitted<'a> {
    /// Of the request it was for.
    pub request_id: &'a str,
    /// The log's name.
    pub log: &'a str,
    /// A word of [`crate::ct::OUTCOMES`].
    pub outcome: &'static str,
    /// What it is that went wrong, if it did.
    pub error: Option<&'a (dyn std::error::Error + 'static)>,
}

/// Who is told of each submission, for the log and for metrics.
pub type OnSubmitted = Arc<dyn Fn(&Submitted<'_>) + Send + Sync>;

/// What an issuance waits for: the parts that can be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Verifying the token, a fetch of the issuer's keys included.
    Token,
    /// One signature of the CA's key.
    Sign,
    /// An SCT, whichever log gave it.
    Log,
    /// One durable write of the store.
    Store,
}

impl Stage {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Token, Self::Sign, Self::Log, Self::Store];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Sign => "sign",
            Self::Log => "log",
            Self::Store => "store",
        }
    }
}

/// Who is told how long each stage took, whatever came of it.
pub type OnStage = Arc<dyn Fn(Stage, Duration) + Send + Sync>;

/// Where a process may die in the middle of an issuance. `docs/storage.md` says what each costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KillPoint {
    /// Planned and linted; nothing written.
    BeforeIntent,
    /// The intent is durable.
    IntentStored,
    /// The line before the precertificate's signature is written.
    PrecertAnnounced,
    /// The precertificate exists.
    PrecertSigned,
    /// The line after its signature is written; the log is about to be asked.
    PrecertRecorded,
    /// A log answered with an SCT.
    SctReceived,
    /// The final is encoded, linted and compared.
    LeafLinted,
    /// The final exists.
    LeafSigned,
    /// The final is durable.
    FinalStored,
    /// The answer is about to leave.
    Answering,
}

impl KillPoint {
    /// In the order of the pipeline.
    pub const ALL: &'static [Self] = &[
        Self::BeforeIntent,
        Self::IntentStored,
        Self::PrecertAnnounced,
        Self::PrecertSigned,
        Self::PrecertRecorded,
        Self::SctReceived,
        Self::LeafLinted,
        Self::LeafSigned,
        Self::FinalStored,
        Self::Answering,
    ];

    /// Its name, `intent_stored`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeIntent => "before_intent",
            Self::IntentStored => "intent_stored",
            Self::PrecertAnnounced => "precert_announced",
            Self::PrecertSigned => "precert_signed",
            Self::PrecertRecorded => "precert_recorded",
            Self::SctReceived => "sct_received",
            Self::LeafLinted => "leaf_linted",
            Self::LeafSigned => "leaf_signed",
            Self::FinalStored => "final_stored",
            Self::Answering => "answering",
        }
    }
}

/// The issuance service: everything behind the doors. Clones share everything.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

/// What every request shares.
struct Inner {
    parts: Parts,
    on_submitted: OnSubmitted,
    on_stage: OnStage,
    /// Those of the parts, until others are taken over.
    terms: Current,
    key_policy: KeyPolicy,
    flights: Flights,
    seen: Seen,
    tally: Tally,
    clock: ClockWatch,
}

/// What may be certified: never a key of a log, nor, see [`never_certified`], one of the CA's.
fn key_policy(parts: &Parts) -> KeyPolicy {
    // A log's id is the hash of its key (RFC 6962 §3.2).
    let logs = match &parts.ct {
        CtMode::Required { logs, .. } => logs.as_slice(),
        CtMode::Off => &[],
    };
    let logs = logs.iter().map(|log| log.id().0);
    let (permitted, weak) = (parts.permitted.clone(), parts.weak_keys.clone());
    KeyPolicy::new(permitted, weak, logs.chain(never_certified(&parts.terms)))
}

/// The keys of the chain and of the signer.
fn never_certified(terms: &Terms) -> impl Iterator<Item = [u8; 32]> {
    let chain = terms.authority.chain().iter().map(|ca| ca.spki());
    let ours = chain.chain([terms.signer.spki()]);
    ours.map(|spki| sha256(&[spki]))
}

impl Service {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        Self::telling(parts, Arc::new(|_| ()), Arc::new(|_, _| ()))
    }

    /// The same, and `on_submitted` is called for each submission to a log, `on_stage` for each
    /// stage of an issuance that ended.
    pub fn telling(parts: Parts, on_submitted: OnSubmitted, on_stage: OnStage) -> Self {
        Self {
            inner: Arc::new(Inner {
                terms: Current::new(parts.terms.clone()),
                key_policy: key_policy(&parts),
                flights: Flights::default(),
                seen: Seen::default(),
                tally: Tally::default(),
                clock: ClockWatch::new(parts.monotonic.clone()),
                on_submitted,
                on_stage,
                parts,
            }),
        }
    }

    /// From request to certificate. `now` is the request's one clock reading. From the moment
    /// something is written down it runs to its end even if the caller stops waiting.
    ///
    /// Writes one `issued` or `refused` line to the audit log. A refusal that anybody can have as often
    /// as he likes is counted instead, and [`sweep`](Self::sweep) writes how many there were.
    pub async fn issue(&self, request: Request, now: UnixMillis) -> Result<Issued, Refused> {
        let request_id = request.request_id.clone();
        let mut whom = Whom::default();
        let result = self.inner.issue(request, now, &mut whom).await;
        result.map_err(|error| {
            let refused = Refused { whom, error };
            // A refusal stays a refusal where the line cannot be written.
            let _ = self.inner.refused(&request_id, now, &refused);
            refused
        })
    }

    /// Writes the `start` line: which program, with which settings, signs from here on. Without it
    /// nothing may be signed. `configuration` is the digest of the settings in force.
    pub fn started(
        &self,
        now: UnixMillis,
        configuration: Option<&[u8; 32]>,
    ) -> Result<(), audit::Error> {
        self.inner.started(now, configuration)
    }

    /// Writes the `stop` line. A log without one after its last `start` ended by a crash.
    pub fn stopped(&self, now: UnixMillis) -> Result<(), audit::Error> {
        self.inner.stopped(now)
    }

    /// What this issuer is configured as now: itself, or the pattern of its family. Metrics are
    /// counted under it, because anybody can found another cluster.
    pub fn configured_as(&self, issuer: &str) -> Option<String> {
        let terms = self.inner.terms.get();
        terms.configured_as(issuer).map(str::to_owned)
    }

    /// Has these terms decide about every request that begins from here on; those under way go on
    /// with theirs. If they differ from those before, a `terms` line says so first; where it cannot
    /// be written, nothing changes.
    pub fn take(&self, terms: Terms, now: UnixMillis) -> Result<(), audit::Error> {
        // Before anybody can ask for them. Those of the CA before stay ours, too.
        never_certified(&terms).for_each(|key| self.inner.key_policy.add_ours(key));
        let told = |before: &_, new: &_| self.inner.terms_change(now, before, new);
        self.inner.terms.replace(terms, told)
    }

    /// Never certifies the key of this SubjectPublicKeyInfo from here on: it has an office of ours
    /// that is not among the parts, such as the TLS listener's.
    pub fn never_certify(&self, spki: &[u8]) {
        self.inner.key_policy.add_ours(sha256(&[spki]));
    }

    /// Waits for the issuances that go on without a caller. Call it once no request can come any
    /// more and before the process ends: what is cut off is an orphan, and perhaps logged.
    pub async fn finish(&self) {
        self.inner.flights.landed().await;
    }

    /// Whether each part that issuance needs is fit now: (`key`, `log` unless `[ct] mode = "off"`,
    /// `store`, `issuers`, `chain`, `clock`), for `/readyz`. Costs a signature and a commit: the door decides how often.
    pub async fn readiness(&self, now: UnixMillis) -> Vec<(&'static str, Result<(), String>)> {
        self.inner.readiness(now).await
    }

    /// Gives up intents that never got a final, a line each ("presumed to exist", so they can be
    /// revoked by serial), and forgets token uses and retry entries that have expired. Call it at
    /// start and every minute; calling it twice changes nothing. While the clock is not trusted it
    /// does no more than to write how many refusals had no line of their own.
    pub async fn sweep(&self, now: UnixMillis) -> Result<Swept, Error> {
        self.inner.sweep(now).await
    }
}
