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
//! | `family` | which issuers of a family there are, and how many may be new |
//! | `cache` | when to fetch, who waits, how long keys count |
//! | `fetch` | two documents, one budget |
//! | `places` | which URLs a key set may have |
//! | `resolve`, `address` | which addresses are connected to |
//! | `credential` | who is shown a secret of ours |
//! | `http` | what is taken as an answer |
//! | `file`, `static_keys` | when a file has changed, and what that changes |

mod address;
mod cache;
mod credential;
mod family;
mod fetch;
mod file;
mod http;
mod look;
mod places;
mod resolve;
mod static_keys;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use url::Url;

use super::error::excerpt;
use super::jwks::{JwksError, KeySet, NotFound, Unfit};
use super::{Algorithm, IssuerName, IssuerTable, IssuerUrl, KeyError, KeySource, VerificationKey};

use cache::{Kept, Pace};
use family::Family;
use static_keys::StaticKeys;

pub use address::{AddressKind, AddressRefused};
pub use family::{DISCOVERIES_AT_ONCE, DISCOVERIES_PER_MINUTE, MAX_PROVEN, MAX_PROVEN_IN_ALL};
pub use fetch::{FETCH_BUDGET, FetchError};
pub use look::{LookError, Looked, look};
pub use resolve::{Resolve, SystemResolver};

/// How often files are looked at, and ages of keys.
pub const ATTEND_EVERY: Duration = Duration::from_secs(5);

/// How one issuer's keys are come by, or those of each issuer of a family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKeysConfig {
    /// Whose keys. Of what follows a family may have [`Self::jwks_hosts`] and [`Self::ca_file`],
    /// and each of its issuers has them.
    pub issuer: IssuerName,
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
    /// The same as PEM text, where there is no such file.
    pub ca_pem: Option<String>,
    /// Where the metadata is, if not where the issuer's URL says: the API server as a pod reaches
    /// it. What it says of itself has to be the issuer all the same.
    pub discovery_url: Option<Url>,
    /// A file with a token that the issuer's own host and that of [`Self::discovery_url`] are
    /// shown, over https; taken over anew when it changes.
    pub bearer_token_file: Option<PathBuf>,
}

impl IssuerKeysConfig {
    /// Keys by discovery, over https, from public addresses, with the system's certificate
    /// authorities.
    pub fn discovery(issuer: impl Into<IssuerName>) -> Self {
        Self {
            issuer: issuer.into(),
            source: KeysFrom::Discovery,
            jwks_hosts: Vec::new(),
            allow_private_network: false,
            allow_insecure_http_loopback: false,
            ca_file: None,
            ca_pem: None,
            discovery_url: None,
            bearer_token_file: None,
        }
    }
}

/// Where keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        issuer: IssuerName,
    },
    /// Discovery over `http`, and not on this machine or not allowed.
    #[error("issuer {issuer} is not https, and http on loopback is not allowed for it")]
    NotHttps {
        /// The issuer.
        issuer: IssuerName,
    },
    /// A file cannot be read.
    #[error("cannot read {path:?} of issuer {issuer}")]
    Unreadable {
        /// The issuer.
        issuer: IssuerName,
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
        issuer: IssuerName,
        /// What is wrong with it.
        source: JwksError,
    },
    /// The static key set has no key that could verify a token.
    #[error("static key set of {issuer} has no usable key")]
    StaticJwksEmpty {
        /// The issuer.
        issuer: IssuerName,
    },
    /// A family has a setting that only one issuer can have.
    #[error("{issuer} is a family of issuers, which cannot have {setting}")]
    NotForFamilies {
        /// The family.
        issuer: IssuerName,
        /// The setting.
        setting: &'static str,
    },
    /// The metadata's URL carries more than a place.
    #[error("discovery_url of {issuer} carries user information, a query or a fragment")]
    DiscoveryUrl {
        /// The issuer.
        issuer: IssuerName,
    },
    /// The bearer token's file has no token.
    #[error("{path:?} of issuer {issuer} holds no bearer token")]
    BearerToken {
        /// The issuer.
        issuer: IssuerName,
        /// The file.
        path: PathBuf,
    },
    /// A host among `jwks_hosts` is none.
    #[error("jwks_hosts of {issuer} has {got:?}, which is not a host or host:port")]
    JwksHost {
        /// The issuer.
        issuer: IssuerName,
        /// The entry.
        got: String,
    },
    /// The certificate authorities for it are not PEM certificates.
    #[error("CA file of {issuer} has no readable certificate")]
    CaPem {
        /// The issuer.
        issuer: IssuerName,
    },
    /// TLS cannot be set up.
    #[error("no HTTP client for issuer {issuer}")]
    Client {
        /// The issuer.
        issuer: IssuerName,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

impl ConfigError {
    /// Whose configuration it is.
    pub fn issuer(&self) -> &IssuerName {
        match self {
            Self::Twice { issuer }
            | Self::NotHttps { issuer }
            | Self::Unreadable { issuer, .. }
            | Self::StaticJwks { issuer, .. }
            | Self::StaticJwksEmpty { issuer }
            | Self::NotForFamilies { issuer, .. }
            | Self::DiscoveryUrl { issuer }
            | Self::BearerToken { issuer, .. }
            | Self::JwksHost { issuer, .. }
            | Self::CaPem { issuer }
            | Self::Client { issuer, .. } => issuer,
        }
    }

    /// The file it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Unreadable { path, .. } | Self::BearerToken { path, .. } => Some(path),
            Self::Twice { .. }
            | Self::NotHttps { .. }
            | Self::StaticJwks { .. }
            | Self::StaticJwksEmpty { .. }
            | Self::NotForFamilies { .. }
            | Self::DiscoveryUrl { .. }
            | Self::JwksHost { .. }
            | Self::CaPem { .. }
            | Self::Client { .. } => None,
        }
    }
}

/// Keys of many issuers, by discovery or from files.
pub struct HttpKeys {
    issuers: IssuerTable<Entry>,
    names: Arc<dyn Resolve>,
    pace: Pace,
}

/// One issuer, or family, as it is configured, and what is known of its keys.
struct Entry {
    config: IssuerKeysConfig,
    /// Shared with those who came before and after, as long as the configuration says the same.
    source: Arc<Source>,
}

enum Source {
    File(IssuerUrl, StaticKeys),
    Kept(Arc<Kept>),
    Family(Box<Family>),
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
        Self::build(issuers, names, pace, None)
    }

    /// For other issuers: what is known of those that stay as they are configured is kept, with
    /// their pauses and breakers, so that nobody is asked anew; what is known of the others goes
    /// with the last handle to these.
    pub fn succeeded(&self, issuers: Vec<IssuerKeysConfig>) -> Result<Self, ConfigError> {
        Self::build(issuers, Arc::clone(&self.names), self.pace, Some(self))
    }

    fn build(
        issuers: Vec<IssuerKeysConfig>,
        names: Arc<dyn Resolve>,
        pace: Pace,
        before: Option<&Self>,
    ) -> Result<Self, ConfigError> {
        let is_family = |config: &&IssuerKeysConfig| matches!(config.issuer, IssuerName::Family(_));
        let families = issuers.iter().filter(is_family).count();
        let mut clients = http::Clients::new(Arc::clone(&names));
        let mut entries = IssuerTable::default();
        for config in issuers {
            let name = config.issuer.clone();
            let source = match before.and_then(|before| before.source_of(&config)) {
                Some(known) => known,
                None => Arc::new(Source::new(config.clone(), &mut clients, pace)?),
            };
            let entry = Entry { config, source };
            if entries.insert(name.clone(), entry).is_some() {
                return Err(ConfigError::Twice { issuer: name });
            }
        }
        for (_, entry) in entries.iter() {
            if let Source::Family(family) = &*entry.source {
                family.share_with(families);
            }
        }
        Ok(Self {
            issuers: entries,
            names,
            pace,
        })
    }

    /// Of these sources, whose configuration nobody asks for.
    #[cfg(test)]
    fn of(sources: impl IntoIterator<Item = (IssuerName, Source)>) -> Arc<Self> {
        let entry = |(name, source): (IssuerName, Source)| {
            let config = IssuerKeysConfig::discovery(name.clone());
            let source = Arc::new(source);
            (name, Entry { config, source })
        };
        Arc::new(Self {
            issuers: sources.into_iter().map(entry).collect(),
            names: Arc::new(SystemResolver),
            pace: Pace::DEFAULT,
        })
    }

    /// What is known of an issuer that is configured in this very way.
    fn source_of(&self, config: &IssuerKeysConfig) -> Option<Arc<Source>> {
        let same = match &config.issuer {
            IssuerName::One(issuer) => self.issuers.get(issuer),
            IssuerName::Family(family) => {
                let mut entries = self.issuers.iter();
                let found = entries.find(|(name, _)| *name == family.as_str());
                found.map(|(_, entry)| entry)
            }
        };
        let same = same.filter(|entry| entry.config == *config)?;
        Some(Arc::clone(&same.source))
    }

    /// Starts fetching every key set that is in use and not there or old, in the background. Needs
    /// a tokio runtime; nothing depends on its being called.
    pub fn prefetch(&self) {
        for (_, entry) in self.issuers.iter() {
            match &*entry.source {
                Source::File(..) => {}
                Source::Kept(kept) => kept.refresh_if_due(),
                Source::Family(family) => family.prefetch(),
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
        for (_, entry) in self.issuers.iter() {
            match &*entry.source {
                Source::File(issuer, keys) => keys.reread(issuer),
                Source::Kept(kept) => kept.reread(),
                Source::Family(family) => family.reread(),
            }
        }
    }

    /// Why keys of each issuer's set could not be used, once for each key, sorted by issuer. A
    /// family is one, by its pattern.
    pub fn skipped(&self) -> Vec<(String, Vec<Unfit>)> {
        self.each(|source| match source {
            Source::File(_, keys) => keys.now().unfit(),
            Source::Kept(kept) => kept.skipped(),
            Source::Family(family) => family.skipped(),
        })
    }

    /// How long ago each issuer's keys were last read, sorted by issuer: `None` if there are no
    /// keys that could be used now. Static keys are always new. A family is one, by its pattern,
    /// and has the age of the youngest keys of its issuers in use; it is new while none is.
    pub fn ages(&self) -> Vec<(String, Option<Duration>)> {
        self.each(|source| match source {
            Source::File(..) => Some(Duration::ZERO),
            Source::Kept(kept) => kept.age(),
            Source::Family(family) => family.age(),
        })
    }

    fn source(&self, issuer: &IssuerUrl) -> Option<&Source> {
        self.issuers.get(issuer).map(|entry| &*entry.source)
    }

    fn each<T>(&self, what: impl Fn(&Source) -> T) -> Vec<(String, T)> {
        let all = self.issuers.iter();
        let mut all: Vec<_> = all
            .map(|(name, entry)| (name.to_owned(), what(&entry.source)))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

impl Source {
    fn new(
        config: IssuerKeysConfig,
        clients: &mut http::Clients,
        pace: Pace,
    ) -> Result<Self, ConfigError> {
        let issuer = match config.issuer.clone() {
            IssuerName::One(issuer) => issuer,
            IssuerName::Family(family) => {
                if let Some(setting) = family::refused_setting(&config) {
                    let issuer = family.into();
                    return Err(ConfigError::NotForFamilies { issuer, setting });
                }
                places::Places::check_hosts(&config)?;
                let documents = clients.for_family(&config)?;
                let family = Family::new(config, documents, pace);
                return Ok(Self::Family(Box::new(family)));
            }
        };
        Ok(match &config.source {
            KeysFrom::JwksFile(path) => {
                let keys = StaticKeys::open(&issuer, path)?;
                Self::File(issuer, keys)
            }
            KeysFrom::Discovery => {
                let fetcher = fetch::Fetcher::new(issuer, &config, clients)?;
                Self::Kept(Arc::new(Kept::new(fetcher, pace)))
            }
        })
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
        match self.source(issuer) {
            Some(Source::Kept(kept)) => kept.key(issuer, kid, algorithm).await,
            Some(Source::Family(family)) => family.key(issuer, kid, algorithm).await,
            Some(Source::File(_, keys)) => fixed(issuer, Some(&keys.now()), kid, algorithm),
            None => fixed(issuer, None, kid, algorithm),
        }
    }

    /// Needs a tokio runtime, as [`Self::prefetch`] does.
    fn available(&self) -> bool {
        self.issuers.iter().any(|(_, entry)| match &*entry.source {
            Source::File(..) => true,
            Source::Kept(kept) => kept.available(),
            Source::Family(family) => family.available(),
        })
    }

    /// Needs a tokio runtime, as [`Self::prefetch`] does.
    fn did_not_verify(&self, issuer: &IssuerUrl) {
        match self.source(issuer) {
            Some(Source::Kept(kept)) => kept.refresh_in_background(),
            Some(Source::Family(family)) => family.did_not_verify(issuer),
            Some(Source::File(..)) | None => {}
        }
    }

    fn did_verify(&self, issuer: &IssuerUrl) {
        if let Some(Source::Family(family)) = self.source(issuer) {
            family.did_verify(issuer);
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
