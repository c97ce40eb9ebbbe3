//! One running shortleaf: parts put together, listeners bound, trust files written.
//!
//! `serve` builds it from settings ([`parts`]), `dev` and `demo` from throw-away keys. All wiring
//! that more than one command needs is here.

pub mod descriptors;
mod error;
pub mod examine;
mod files;
pub mod parts;
mod prepare;
mod shown;
mod terms;
mod tls;
mod watch;
pub mod whom;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shown::Told;
use terms::Reload;
pub use terms::TermsFiles;
pub use tls::TlsFiles;
use tls::TlsReload;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
pub use watch::LOOK_EVERY;

use crate::audit;
use crate::ca::{self, SelfCheckError};
use crate::config::IssuerSettings;
use crate::entropy::Entropy;
use crate::issuance::{self, OnStage, OnSubmitted, Service};
use crate::server::{
    ConnectionLimits, Edge, Front, Hops, KeyStates, Metrics, Ops, Public, PublicParts,
    RequestLimits, Shown, TrustFiles, ops_router, public_router, serve,
};
use crate::telemetry;
use crate::time::{Clock, UnixSeconds};
use crate::trust;

/// How old a readiness answer may be before the parts are asked again.
const READINESS_AGE: Duration = Duration::from_secs(2);
/// How often abandoned intents are looked for and expired token uses forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The two listeners, bound and not answering yet.
pub struct Listeners {
    public: TcpListener,
    ops: TcpListener,
    at: SocketAddr,
    ops_at: SocketAddr,
}

impl Listeners {
    /// Binds both; port 0 takes a free one.
    pub async fn bind(public: SocketAddr, ops: SocketAddr) -> Result<Self, Error> {
        let (public, at) = bind(public)?;
        let (ops, ops_at) = bind(ops)?;
        Ok(Self {
            public,
            ops,
            at,
            ops_at,
        })
    }

    /// Where clients will connect.
    pub fn address(&self) -> SocketAddr {
        self.at
    }
}

/// Everything an instance is made of.
pub struct Blueprint {
    /// The URL in the trust files; `None` takes the address bound.
    pub public_url: Option<String>,
    /// The public listener's certificate and key; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Whom the public listener believes about whom they speak for.
    pub hops: Hops,
    /// How many connections one address may hold; none = as many as there are.
    pub connections_per_address: Option<usize>,
    /// How long stopping waits for requests in flight.
    pub drain: Duration,
    /// The pipeline's parts.
    pub issuance: issuance::Parts,
    /// The files that the terms of issuance are from, if they are: their changes are taken over.
    pub terms: Option<TermsFiles>,
    /// How often files are looked at that may change.
    pub look_every: Duration,
    /// Issuers as `GET /api/v2/configuration` shows them.
    pub issuers: Vec<IssuerSettings>,
    /// How each issuer's keys are, for operators.
    pub key_states: KeyStates,
    /// Logs as the trusted root lists them.
    pub logs: Vec<PublishedLog>,
    /// The clock every request reads once.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Digest of the settings in force, for the audit log; none where no configuration is.
    pub configuration: Option<[u8; 32]>,
}

/// A log as the trusted root lists it.
#[derive(Clone, Debug)]
pub struct PublishedLog {
    /// Its submission prefix; `None` for a log inside this process, which is listed under the
    /// public URL.
    pub base_url: Option<String>,
    /// Its key, SubjectPublicKeyInfo DER.
    pub spki: Vec<u8>,
    /// Since when its SCTs are to be believed.
    pub valid_from: UnixSeconds,
}

/// Why an instance does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The trust files cannot be written.
    #[error("could not write the trust files")]
    Trust(#[from] trust::Error),
    /// The audit log does not take its first line.
    #[error("could not write the start into the audit log")]
    Audit(#[from] audit::Error),
    /// The encoder of certificates failed its check.
    #[error("the template encoder does not write what rcgen does")]
    Encoder(#[from] SelfCheckError),
}

impl Error {
    /// What to try, in one line, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Encoder(_) => {
                Some("set ca.encoder = \"rcgen\", and report this: it is a fault of ours")
            }
            Self::Listen { .. } | Self::Trust(_) | Self::Audit(_) => None,
        }
    }
}

/// An instance that answers.
pub struct Running {
    url: String,
    ops_url: String,
    trust: TrustFiles,
    service: Arc<Service>,
    clock: Arc<dyn Clock>,
    drain: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Answers on the listeners until [`Running::stop`].
pub fn start(blueprint: Blueprint, listeners: Listeners) -> Result<Running, Error> {
    let Listeners {
        public,
        ops,
        at,
        ops_at,
    } = listeners;
    let scheme = blueprint.tls.as_ref().map_or("http", |_| "https");
    let (url, ops_url) = (format!("{scheme}://{at}"), format!("http://{ops_at}"));
    let public_url = blueprint.public_url.clone().unwrap_or_else(|| url.clone());

    let authority = blueprint.issuance.terms.authority.clone();
    // Before the first request, and before anything is served that names this CA.
    ca::check_encoder(&authority, &blueprint.issuance.profile)?;
    let lifetime_s = blueprint.issuance.profile.lifetime_s();
    let told = Told::new(public_url, blueprint.logs, lifetime_s, &authority);
    let sight = told.sight(&blueprint.issuers)?;
    let trust = sight.trust.clone();
    let shown = Arc::new(Shown::new(sight));
    let believed = blueprint.issuers.iter().map(|i| i.name.as_str().to_owned());
    let metrics = Arc::new(Metrics::new(believed, authority.issuing().not_after()));
    let on_submitted = on_submitted(metrics.clone());
    let on_stage = on_stage(metrics.clone());
    let rates = blueprint.issuance.rates.clone();
    let service = Service::telling(blueprint.issuance, on_submitted, on_stage);
    let service = Arc::new(service);
    service.started(blueprint.clock.now(), blueprint.configuration.as_ref())?;

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let edge = Edge::new(&metrics, blueprint.entropy.clone());
    let doors = public_router(Public::new(PublicParts {
        issuance: service.clone(),
        clock: blueprint.clock.clone(),
        entropy: blueprint.entropy,
        metrics: metrics.clone(),
        shown: shown.clone(),
        limits: RequestLimits::default(),
        rates,
    }));
    let limits = ConnectionLimits {
        drain: blueprint.drain,
        ..ConnectionLimits::default()
    };
    let plain = Front {
        limits,
        ..Front::default()
    };
    let front = Front {
        limits: ConnectionLimits {
            per_address: blueprint.connections_per_address,
            ..limits
        },
        edge,
        tls: blueprint.tls.as_ref().map(TlsFiles::tls),
        hops: blueprint.hops,
    };
    tasks.spawn(serve(public, doors, front, stop.clone()));
    let tls = blueprint.tls.as_ref().map(TlsFiles::tls);
    let every = blueprint.look_every;
    if let Some(files) = blueprint.tls {
        let notices = files.notices();
        let clock = blueprint.clock.clone();
        let reload = TlsReload::new(files, service.clone(), metrics.clone(), clock.clone());
        tasks.spawn(reload.watch().run(every, stop.clone()));
        tasks.spawn(tls::say_when_it_ends(notices, clock, stop.clone()));
    }
    if let Some(files) = blueprint.terms {
        let reload = Reload {
            files,
            told,
            shown,
            service: service.clone(),
            metrics: metrics.clone(),
            clock: blueprint.clock.clone(),
        };
        tasks.spawn(reload.watch().run(every, stop.clone()));
    }
    let for_operators = ops_router(Ops {
        issuance: service.clone(),
        clock: blueprint.clock.clone(),
        metrics,
        tls,
        key_states: blueprint.key_states,
        readiness_age: READINESS_AGE,
    });
    tasks.spawn(serve(ops, for_operators, plain, stop.clone()));
    tasks.spawn(sweep(
        service.clone(),
        blueprint.clock.clone(),
        stop.clone(),
    ));
    tasks.close();
    Ok(Running {
        url,
        ops_url,
        trust,
        service,
        clock: blueprint.clock,
        drain: limits.drain,
        stop,
        tasks,
    })
}

/// Connections the kernel holds for us until they are accepted, if the system lets it: a burst of as
/// many as are open at once. One that finds no place comes again after a second, and good ones with it.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let bound = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart need not wait for the old connections to be forgotten (RFC 9293 §3.6.1).
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let at = listener.local_addr()?;
        Ok((listener, at))
    };
    bound().map_err(|source| Error::Listen { address, source })
}

/// What logs answer goes to our own log and is counted.
fn on_submitted(metrics: Arc<Metrics>) -> OnSubmitted {
    Arc::new(move |submitted| {
        telemetry::submitted(submitted);
        metrics.submitted(submitted.log, submitted.outcome);
    })
}

/// How long each stage of an issuance took is counted.
fn on_stage(metrics: Arc<Metrics>) -> OnStage {
    Arc::new(move |stage, took| metrics.stage(stage, took))
}

/// Looks for abandoned intents and forgets what expired, now and until told to stop. What a crash
/// left is reported by the start that follows it.
async fn sweep(service: Arc<Service>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    loop {
        match service.sweep(clock.now()).await {
            Ok(swept) if swept.abandoned > 0 => {
                tracing::warn!(intents = swept.abandoned, "abandoned: presumed to exist");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "sweep failed");
            }
        }
        let pause = tokio::time::sleep(SWEEP_EVERY);
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

impl Running {
    /// Where clients connect.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where operators connect.
    pub fn ops_url(&self) -> &str {
        &self.ops_url
    }

    /// The trust files as served.
    pub fn trust(&self) -> &TrustFiles {
        &self.trust
    }

    /// Stops accepting, finishes what is in flight, and returns when all is done.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        // Whose caller has gone holds no connection open.
        let _ = tokio::time::timeout(self.drain, self.service.finish()).await;
        if let Err(error) = self.service.stopped(self.clock.now()) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no line about the stop"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Encoder, InstanceId, LeafProfile};
    use crate::issuance::CtMode;
    use crate::keys::DevelopmentCa;
    use crate::possession::{AlgorithmList, WeakKeys};
    use crate::rates::Rates;
    use crate::store::audit_file::AuditFile;
    use crate::store::memory::MemoryStore;
    use crate::system::{SystemClock, SystemEntropy};
    use crate::token::discovery::FixedKeys;
    use crate::x509::SignatureAlgorithm;

    fn blueprint(change: impl FnOnce(ca::Authority) -> ca::Authority) -> Blueprint {
        let now = SystemClock.now();
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let made = DevelopmentCa::new(algorithm, now.seconds(), &SystemEntropy).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let audit = AuditFile::open(&folder.path().join("audit.log"), now).unwrap();
        Blueprint {
            public_url: None,
            tls: None,
            terms: None,
            look_every: LOOK_EVERY,
            hops: Hops::default(),
            connections_per_address: None,
            drain: Duration::ZERO,
            issuance: issuance::Parts {
                terms: issuance::Terms {
                    issuers: Vec::new(),
                    issuers_digest: None,
                    rules: None,
                    keys: Arc::new(FixedKeys::default()),
                    authority: Arc::new(change(made.authority)),
                    signer: Arc::new(made.signer),
                },
                profile: Arc::new(LeafProfile::new("leaf", 600, 0, None).unwrap()),
                ct: CtMode::Off,
                store: Arc::new(MemoryStore::new()),
                audit: Arc::new(audit),
                entropy: Arc::new(SystemEntropy),
                instance: InstanceId::FIRST,
                permitted: AlgorithmList::all(),
                weak_keys: WeakKeys::default(),
                rates: Rates::off(),
                retention: None,
                monotonic: None,
                probe: issuance::no_probe(),
            },
            issuers: Vec::new(),
            key_states: Arc::new(Vec::new),
            logs: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            configuration: None,
        }
    }

    #[tokio::test]
    async fn an_instance_whose_template_lost_an_octet_does_not_start() {
        async fn started(blueprint: Blueprint) -> Result<(), Error> {
            let free = SocketAddr::from(([127, 0, 0, 1], 0));
            let listeners = Listeners::bind(free, free).await?;
            start(blueprint, listeners)?.stop().await;
            Ok(())
        }
        let error = started(blueprint(|ca| ca.spoilt())).await.err();
        let Some(Error::Encoder(SelfCheckError::Differ { .. })) = &error else {
            panic!("{error:?}");
        };
        assert!(error.unwrap().hint().unwrap().contains("ca.encoder"));
        started(blueprint(|ca| ca)).await.unwrap();
        // What the hint says to try.
        let rcgen = |ca: ca::Authority| ca.spoilt().with_encoder(Encoder::Rcgen);
        started(blueprint(rcgen)).await.unwrap();
    }
}
