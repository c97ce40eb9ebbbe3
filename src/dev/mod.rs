//! `dev`: a whole development instance in one process on 127.0.0.1; `demo` runs on the same parts.
//!
//! CA, log and OIDC issuer are made for this process. It believes whatever its own issuer signs,
//! so everything listens on loopback and nothing of it belongs into production.

pub mod issuer;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ca::{InstanceId, LeafProfile, ProfileError};
use crate::config::IssuerSettings;
pub use crate::config::SHARED_AUDIENCE;
use crate::ct::KeyError;
use crate::ct::memory::MemoryLog;
use crate::entropy::Entropy;
use crate::identity::{IssuerType, Mapping, MappingError, Parameters};
use crate::instance::{self, Blueprint, Listeners, PublishedLog, Running, parts};
use crate::issuance::{self, CtMode, Terms};
use crate::keys::ephemeral::{DevelopmentCa, DevelopmentError};
use crate::possession::{AlgorithmList, WeakKeys};
use crate::rates::Rates;
use crate::server::{Front, Hops, serve};
use crate::store;
use crate::system::{SystemClock, SystemEntropy};
use crate::time::Clock;
use crate::token::{IssuerName, IssuerUrl, IssuerUrlError};
use crate::x509::SignatureAlgorithm;
use issuer::{DevIssuer, Persona};

/// How many keys a token may have certified in `dev`: cosign reads one token again for each image.
pub const LENIENT_CERTIFICATES_PER_TOKEN: u32 = 16;
/// For the whole log step; the log is in this process.
const LOG_DEADLINE: Duration = Duration::from_secs(4);

/// How the instance is to be.
#[derive(Debug)]
pub struct Options {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Outside issuers to believe as well.
    pub issuers: Vec<IssuerSettings>,
    /// Where records live; `None` takes a temporary folder, removed at the end.
    pub state: Option<PathBuf>,
    /// Whether to keep the defaults of `serve`: one certificate a token, no shared audience.
    pub strict: bool,
    /// The issuing key.
    pub algorithm: SignatureAlgorithm,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            issuers: Vec::new(),
            state: None,
            strict: false,
            algorithm: SignatureAlgorithm::EcdsaP384Sha384,
        }
    }
}

/// Why there is no development instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is not on this machine.
    #[error("{address} is not a loopback address: a development instance believes everybody")]
    NotLoopback {
        /// As given.
        address: SocketAddr,
    },
    /// No listener for the issuer.
    #[error("no free port for the development issuer")]
    Listen(#[source] std::io::Error),
    /// No folder for the records.
    #[error("cannot use {path:?} for the records")]
    State {
        /// Which folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file for clients cannot be written.
    #[error("cannot write {path:?}")]
    Out {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The development issuer.
    #[error(transparent)]
    Issuer(#[from] issuer::Error),
    /// The development issuer's address can be no issuer.
    #[error("the development issuer cannot be believed")]
    Own(#[from] IssuerUrlError),
    /// The development issuer's type means nothing without more.
    #[error("the development issuer cannot be believed")]
    Mapping(#[from] MappingError),
    /// The CA.
    #[error("could not make a CA")]
    Ca(#[from] DevelopmentError),
    /// The log.
    #[error("could not make a log")]
    Log(#[from] KeyError),
    /// The profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// Store or audit log does not open.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The parts.
    #[error(transparent)]
    Parts(#[from] parts::Error),
    /// The listeners.
    #[error(transparent)]
    Start(#[from] instance::Error),
}

/// A development instance that answers.
pub struct Dev {
    instance: Running,
    issuer: Arc<DevIssuer>,
    stop: CancellationToken,
    tasks: TaskTracker,
    state: PathBuf,
    // Removed when this is dropped.
    _scratch: Option<tempfile::TempDir>,
}

/// Makes everything and answers until [`Dev::stop`].
pub async fn start(options: Options) -> Result<Dev, Error> {
    if !options.listen.ip().is_loopback() {
        return Err(Error::NotLoopback {
            address: options.listen,
        });
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let (now, started) = (clock.now(), Instant::now());

    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(Error::Listen)?;
    let base = format!("http://{}", socket.local_addr().map_err(Error::Listen)?);
    let ops = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listeners = Listeners::bind(options.listen, ops).await?;
    let url = format!("http://{}", listeners.address());
    let issuer = DevIssuer::new(&base, clock.clone(), entropy.clone())?;
    let issuer = Arc::new(match options.strict {
        true => issuer.for_audience(url.clone()),
        false => issuer,
    });
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    tasks.spawn(serve(
        socket,
        issuer.clone().router(),
        Front::default(),
        stop.clone(),
    ));
    tasks.close();

    let (state, scratch) = state_folder(options.state.clone())?;
    let (records, audit) = (state.join("issuance.redb"), state.join("audit.log"));
    let (store, audit) = store::open(&records, &audit, &*entropy, now)?;
    let ca = DevelopmentCa::new(options.algorithm, now.seconds(), &*entropy)?;
    let log = MemoryLog::generate("dev-log")?;
    let published = PublishedLog {
        base_url: None,
        spki: log.spki().to_vec(),
        valid_from: ca.authority.issuing().not_before(),
    };
    let profile = LeafProfile::new("dev", LeafProfile::LIFETIME_S, 0, None)?;
    let issuers = believed(&issuer, &options, &url)?;
    let keys = Arc::new(parts::keys(&issuers)?);

    let instance = instance::start(
        Blueprint {
            public_url: None,
            tls: None,
            terms: None,
            look_every: instance::LOOK_EVERY,
            hops: Hops::default(),
            connections_per_address: None,
            drain: Duration::from_secs(5),
            issuance: issuance::Parts {
                terms: Terms {
                    issuers: parts::trusted(&issuers),
                    issuers_digest: None,
                    rules: None,
                    keys: keys.clone(),
                    authority: Arc::new(ca.authority.with_profile(&profile)),
                    signer: Arc::new(ca.signer),
                },
                profile: Arc::new(profile),
                ct: CtMode::Required {
                    logs: vec![Arc::new(log)],
                    deadline: LOG_DEADLINE,
                },
                store: Arc::new(store),
                audit,
                entropy: entropy.clone(),
                instance: InstanceId::FIRST,
                permitted: AlgorithmList::all(),
                weak_keys: WeakKeys::default(),
                rates: Rates::off(),
                retention: None,
                monotonic: Some(Arc::new(move || started.elapsed())),
                probe: issuance::no_probe(),
            },
            issuers,
            key_states: parts::key_states(&keys),
            logs: vec![published],
            clock,
            entropy,
            configuration: None,
        },
        listeners,
    )?;
    Ok(Dev {
        instance,
        issuer,
        stop,
        tasks,
        state,
        _scratch: scratch,
    })
}

fn state_folder(asked: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), Error> {
    match asked {
        Some(path) => {
            std::fs::create_dir_all(&path).map_err(|source| Error::State {
                path: path.clone(),
                source,
            })?;
            Ok((path, None))
        }
        None => {
            let scratch = tempfile::Builder::new().prefix("shortleaf-").tempdir();
            let scratch = scratch.map_err(|source| Error::State {
                path: std::env::temp_dir(),
                source,
            })?;
            Ok((scratch.path().to_owned(), Some(scratch)))
        }
    }
}

/// Our own two personas and the outside issuers asked for. Tokens are meant for this instance's
/// `url`; unless strict, also for the audience that outside clients always ask for.
fn believed(own: &DevIssuer, options: &Options, url: &str) -> Result<Vec<IssuerSettings>, Error> {
    let audiences = match options.strict {
        true => vec![url.to_owned()],
        false => vec![SHARED_AUDIENCE.to_owned(), url.to_owned()],
    };
    let mut all = Vec::new();
    for (kind, persona) in [
        (IssuerType::GithubWorkflow, Persona::Github),
        (IssuerType::Email, Persona::Email),
    ] {
        let mut mine = outside(kind, IssuerUrl::new(&own.url(persona))?)?;
        mine.audiences.clone_from(&audiences);
        all.push(mine);
    }
    all.extend(options.issuers.iter().cloned());
    for issuer in &mut all {
        issuer.certificates_per_token = match options.strict {
            true => 1,
            false => LENIENT_CERTIFICATES_PER_TOKEN,
        };
        // Whoever starts this has named them himself, and only this machine can send tokens.
        let one = matches!(issuer.name, IssuerName::One(_));
        issuer.allow_private_network = one;
        issuer.insecure_loopback_http = one;
    }
    Ok(all)
}

/// An outside issuer for [`Options::issuers`], audience `sigstore`, of a type that needs nothing
/// beside its name.
pub fn outside(kind: IssuerType, issuer: IssuerUrl) -> Result<IssuerSettings, MappingError> {
    let name = IssuerName::One(issuer);
    Ok(IssuerSettings {
        mapping: Mapping::new(kind, &name, &Parameters::default())?,
        name,
        place: None,
        preset: None,
        kind,
        audiences: vec![SHARED_AUDIENCE.to_owned()],
        max_token_age_s: 600,
        max_token_lifetime_s: 86_400,
        certificates_per_token: 1,
        jwks_file: None,
        ca_file: None,
        ca_pem: None,
        discovery_url: None,
        bearer_token_file: None,
        jwks_hosts: Vec::new(),
        subject_domain: None,
        spiffe_trust_domain: None,
        ci_provider: None,
        skip_email_verification: false,
        allow_private_network: false,
        insecure_loopback_http: false,
    })
}

impl Dev {
    /// The instance itself.
    pub fn instance(&self) -> &Running {
        &self.instance
    }

    /// The issuer.
    pub fn issuer(&self) -> &DevIssuer {
        &self.issuer
    }

    /// Where records live.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Writes what clients need into `folder`: `env.sh` and the three trust files.
    pub fn write_out(&self, folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(|source| Error::Out {
            path: folder.to_owned(),
            source,
        })?;
        let folder = folder.canonicalize().map_err(|source| Error::Out {
            path: folder.to_owned(),
            source,
        })?;
        let trust = self.instance.trust();
        let files = [
            ("trusted_root.json", &trust.trusted_root),
            ("signing_config.json", &trust.signing_config),
            ("client_trust_config.json", &trust.client_trust_config),
        ];
        for (name, text) in files {
            write(&folder.join(name), text)?;
        }
        write(&folder.join("env.sh"), &self.environment(&folder))
    }

    /// `export` lines for a shell.
    fn environment(&self, folder: &Path) -> String {
        let file = |name: &str| folder.join(name).display().to_string();
        let github = self.issuer.url(Persona::Github);
        let variables = [
            ("FULCIO_URL", self.instance.url().to_owned()),
            ("SHORTLEAF_SERVER", self.instance.url().to_owned()),
            ("OIDC_ISSUER", github.clone()),
            ("OIDC_ISSUER_EMAIL", self.issuer.url(Persona::Email)),
            // What a GitHub Actions job finds; the development issuer takes any credential.
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                format!("{github}/token?api-version=2.0"),
            ),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "development".to_owned()),
            ("TRUSTED_ROOT", file("trusted_root.json")),
            ("SIGNING_CONFIG", file("signing_config.json")),
            ("CLIENT_TRUST_CONFIG", file("client_trust_config.json")),
            ("SHORTLEAF_OPS_URL", self.instance.ops_url().to_owned()),
        ];
        variables
            .iter()
            .fold(String::new(), |mut text, (name, value)| {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "export {name}={}", quoted(value));
                text
            })
    }

    /// Stops both servers; the temporary folder goes with the value.
    pub async fn stop(self) {
        self.instance.stop().await;
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(|source| Error::Out {
        path: path.to_owned(),
        source,
    })
}

/// As one word of a POSIX shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "'\\''"))
}
