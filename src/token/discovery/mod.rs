//! Issuers' keys over HTTP: provider metadata and key sets, fetched, checked, kept
//! (OpenID Connect Discovery 1.0 §4).
//!
//! One issuer's trouble stays its own: each has its own keys, its own fetch, its own pauses and its
//! own breaker; a provider that is down answers [`KeyError::Unavailable`] and nobody else notices.
//! Starting up waits for no one. A caller can make us fetch, at most once per pause; it cannot make
//! us fetch from anywhere but the issuer, connect into a private network, evict a good key, or wait
//! longer than the budget of one fetch. A provider can name a key set's place and its keys; it can
//! not say how long they count, when to come back, or where else to go.
//!
//! | in | what is decided there |
//! |---|---|
//! | `cache` | when to fetch, who waits, how long keys count |
//! | `fetch` | two documents, one budget |
//! | `places` | which URLs a key set may have |
//! | `resolve`, `address` | which addresses are connected to |
//! | `http` | what is taken as an answer |
//! | `file`, `static_keys` | when a file has changed, and what that changes |

mod address;
mod cache;
mod fetch;
mod file;
mod http;
mod places;
mod resolve;
mod static_keys;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::error::excerpt;
use super::jwks::{JwksError, KeySet, NotFound, Unfit};
use super::{Algorithm, IssuerUrl, KeyError, KeySource, VerificationKey};

use cache::{Kept, Pace};
use static_keys::StaticKeys;

pub use address::{AddressKind, AddressRefused};
pub use fetch::{FETCH_BUDGET, FetchError};
pub use resolve::{Resolve, SystemResolver};

/// How often files are looked at, and ages of keys.
pub const ATTEND_EVERY: Duration = Duration::from_secs(5);

/// How one issuer's keys are come by.
#[derive(Clone, Debug)]
pub struct IssuerKeysConfig {
    /// Whose keys.
    pub issuer: IssuerUrl,
    /// From where.
    pub source: KeysFrom,
    /// Hosts (`host` or `host:port`) where its key set may be beside its own.
    pub jwks_hosts: Vec<String>,
    /// Whether its hosts may have addresses that are not public: private, loopback, link-local and
    /// the like. For https.
    pub allow_private_network: bool,
    /// Whether `http` is good enough for an issuer on this very machine. Such an issuer is
    /// connected to on loopback only, whatever [`Self::allow_private_network`] says.
    pub allow_insecure_http_loopback: bool,
    /// A PEM file of certificate authorities trusted for this issuer beside the system's; taken
    /// over anew when it changes.
    pub ca_file: Option<PathBuf>,
}

impl IssuerKeysConfig {
    /// Keys by discovery, over https, from public addresses, with the system's certificate
    /// authorities.
    pub fn discovery(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            source: KeysFrom::Discovery,
            jwks_hosts: Vec::new(),
            allow_private_network: false,
            allow_insecure_http_loopback: false,
            ca_file: None,
        }
    }
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum KeysFrom {
    /// The issuer's provider metadata.
    Discovery,
    /// A key set file, taken over anew when it changes. Each key is for the algorithm it names,
    /// RS256 if it is an RSA key and names none.
    JwksFile(PathBuf),
}

/// Why a configuration of issuers cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The same issuer twice.
    #[error("issuer {issuer} is configured twice")]
    Twice {
        /// The issuer.
        issuer: IssuerUrl,
    },
    /// Discovery over `http`, and not on this machine or not allowed.
    #[error("issuer {issuer} is not https, and http on loopback is not allowed for it")]
    NotHttps {
        /// The issuer.
        issuer: IssuerUrl,
    },
    /// A file cannot be read.
    #[error("cannot read {path:?} of issuer {issuer}")]
    Unreadable {
        /// The issuer.
        issuer: IssuerUrl,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The static key set is none.
    #[error("static key set of {issuer} cannot be used")]
    StaticJwks {
        /// The issuer.
        issuer: IssuerUrl,
        /// What is wrong with it.
        source: JwksError,
    },
    /// The static key set has no key that could verify a token.
    #[error("static key set of {issuer} has no usable key")]
    StaticJwksEmpty {
        /// The issuer.
        issuer: IssuerUrl,
    },
    /// A host among `jwks_hosts` is none.
    #[error("jwks_hosts of {issuer} has {got:?}, which is not a host or host:port")]
    JwksHost {
        /// The issuer.
        issuer: IssuerUrl,
        /// The entry.
        got: String,
    },
    /// The certificate authorities for it are not PEM certificates.
    #[error("CA file of {issuer} has no readable certificate")]
    CaPem {
        /// The issuer.
        issuer: IssuerUrl,
    },
    /// TLS cannot be set up.
    #[error("no HTTP client for issuer {issuer}")]
    Client {
        /// The issuer.
        issuer: IssuerUrl,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// Keys of many issuers, by discovery or from files.
pub struct HttpKeys {
    issuers: HashMap<IssuerUrl, Source>,
}

enum Source {
    File(StaticKeys),
    Kept(Arc<Kept>),
}

impl HttpKeys {
    /// Checks the configuration and reads its files. Talks to nobody.
    pub fn new(issuers: Vec<IssuerKeysConfig>) -> Result<Self, ConfigError> {
        Self::with_resolver(issuers, Arc::new(SystemResolver))
    }

    /// The same, asking `names` for the hosts' addresses.
    pub fn with_resolver(
        issuers: Vec<IssuerKeysConfig>,
        names: Arc<dyn Resolve>,
    ) -> Result<Self, ConfigError> {
        Self::with_pace(issuers, names, Pace::DEFAULT)
    }

    fn with_pace(
        issuers: Vec<IssuerKeysConfig>,
        names: Arc<dyn Resolve>,
        pace: Pace,
    ) -> Result<Self, ConfigError> {
        let mut clients = http::Clients::new(names);
        let mut sources = HashMap::new();
        for config in issuers {
            let issuer = config.issuer.clone();
            let source = match &config.source {
                KeysFrom::JwksFile(path) => Source::File(StaticKeys::open(&issuer, path)?),
                KeysFrom::Discovery => {
                    let fetcher = fetch::Fetcher::new(&config, &mut clients)?;
                    Source::Kept(Arc::new(Kept::new(fetcher, pace)))
                }
            };
            if sources.insert(issuer.clone(), source).is_some() {
                return Err(ConfigError::Twice { issuer });
            }
        }
        Ok(Self { issuers: sources })
    }

    /// Starts fetching every key set that is not there or is old, in the background. Needs a tokio
    /// runtime; nothing depends on its being called.
    pub fn prefetch(&self) {
        for source in self.issuers.values() {
            if let Source::Kept(kept) = source {
                kept.refresh_if_due();
            }
        }
    }

    /// From now on and until the last other handle is dropped: fetches what is not there or grows
    /// old before anybody asks for it, and takes over files that change. Needs a tokio runtime.
    pub fn attend(self: &Arc<Self>) {
        let keys = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut turns = tokio::time::interval(ATTEND_EVERY);
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut reading: Option<JoinHandle<()>> = None;
            loop {
                turns.tick().await;
                let Some(keys) = keys.upgrade() else { return };
                keys.prefetch();
                // A file system may hang; what depends on none must not.
                if reading.as_ref().is_none_or(JoinHandle::is_finished) {
                    reading = Some(tokio::task::spawn_blocking(move || keys.reread()));
                }
            }
        });
    }

    /// Looks at every file once and takes over what changed. Blocks.
    fn reread(&self) {
        for (issuer, source) in &self.issuers {
            match source {
                Source::File(keys) => keys.reread(issuer),
                Source::Kept(kept) => kept.reread(),
            }
        }
    }

    /// Why keys of each issuer's set could not be used, once for each key, sorted by issuer.
    pub fn skipped(&self) -> Vec<(IssuerUrl, Vec<Unfit>)> {
        let skipped = |source: &Source| match source {
            Source::File(keys) => keys.now().unfit(),
            Source::Kept(kept) => kept.skipped(),
        };
        let all = self.issuers.iter().map(|(i, s)| (i.clone(), skipped(s)));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// How long ago each issuer's keys were last read, sorted by issuer: `None` if there are no
    /// keys that could be used now. Static keys are always new.
    pub fn ages(&self) -> Vec<(IssuerUrl, Option<Duration>)> {
        let age = |source: &Source| match source {
            Source::File(_) => Some(Duration::ZERO),
            Source::Kept(kept) => kept.age(),
        };
        let ages = self.issuers.iter().map(|(i, s)| (i.clone(), age(s)));
        let mut ages: Vec<_> = ages.collect();
        ages.sort_by(|(a, _), (b, _)| a.cmp(b));
        ages
    }
}

#[async_trait]
impl KeySource for HttpKeys {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        match self.issuers.get(issuer) {
            Some(Source::Kept(kept)) => kept.key(issuer, kid, algorithm).await,
            Some(Source::File(keys)) => fixed(issuer, Some(&keys.now()), kid, algorithm),
            None => fixed(issuer, None, kid, algorithm),
        }
    }

    /// Needs a tokio runtime, as [`Self::prefetch`] does.
    fn available(&self) -> bool {
        self.issuers.values().any(|source| match source {
            Source::File(_) => true,
            Source::Kept(kept) => kept.available(),
        })
    }

    /// Needs a tokio runtime, as [`Self::prefetch`] does.
    fn did_not_verify(&self, issuer: &IssuerUrl) {
        if let Some(Source::Kept(kept)) = self.issuers.get(issuer) {
            kept.refresh_in_background();
        }
    }
}

/// Keys that never change and need no network: for the demo, for tests.
#[derive(Default)]
pub struct FixedKeys(HashMap<IssuerUrl, KeySet>);

impl FixedKeys {
    /// These issuers and no others.
    pub fn new(sets: impl IntoIterator<Item = (IssuerUrl, KeySet)>) -> Self {
        Self(sets.into_iter().collect())
    }
}

#[async_trait]
impl KeySource for FixedKeys {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        fixed(issuer, self.0.get(issuer), kid, algorithm)
    }
}

/// An error and what led to it, outermost first: the log's JSON form shows an error's own text only.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Keys left out of a set are an operator's business: someone's tokens will fail for it. A secret
/// among them is everybody's: who read it can sign as this issuer elsewhere.
fn report_skipped(issuer: &IssuerUrl, keys: &KeySet) {
    for (kid, unfit) in keys.skipped() {
        let kid = kid.as_deref().map(excerpt);
        if *unfit == Unfit::Secret {
            tracing::error!(%issuer, ?kid, %unfit, "ALARM: an issuer publishes a secret; skipped the key");
        } else {
            tracing::warn!(%issuer, ?kid, %unfit, "skipped an issuer key");
        }
    }
}

fn fixed(
    issuer: &IssuerUrl,
    keys: Option<&KeySet>,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<Arc<VerificationKey>, KeyError> {
    let found = keys.map_or(Err(NotFound::NoSuchKey), |keys| keys.find(kid, algorithm));
    found.map_err(|not_found| key_error(not_found, issuer, kid, algorithm))
}

fn key_error(
    not_found: NotFound,
    issuer: &IssuerUrl,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> KeyError {
    let (issuer, kid) = (issuer.clone(), kid.map(str::to_owned));
    match not_found {
        NotFound::NoSuchKey => KeyError::Unknown { issuer, kid },
        NotFound::NotForAlgorithm => KeyError::AlgorithmRefused {
            issuer,
            kid,
            algorithm,
        },
    }
}
