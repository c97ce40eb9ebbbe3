//! Issuers' keys over HTTP: provider metadata and key sets, fetched, checked, kept
//! (OpenID Connect Discovery 1.0 §4).
//!
//! One issuer's trouble stays its own: each has its own keys, its own fetch and its own pauses, a
//! provider that is down answers [`KeyError::Unavailable`] and nobody else notices. Starting up
//! waits for no one. A caller can make us fetch, at most once per pause; it cannot make us fetch
//! from anywhere but the issuer, evict a good key, or wait longer than the budget of one fetch.
//!
//! Not here yet, and with a place kept in `fetch::client`: checking the address that is connected
//! to, a breaker, and a memory of unknown key ids.

mod cache;
mod fetch;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::jwks::{JwksError, KeySet, NotFound};
use super::{Algorithm, IssuerUrl, KeyError, KeySource, VerificationKey};

use cache::{Kept, Pace};
pub use fetch::{FETCH_BUDGET, FetchError};

/// How one issuer's keys are come by.
#[derive(Clone, Debug)]
pub struct IssuerKeysConfig {
    /// Whose keys.
    pub issuer: IssuerUrl,
    /// From where.
    pub source: KeysFrom,
    /// Hosts (`host` or `host:port`) where its key set may be beside its own.
    pub jwks_hosts: Vec<String>,
    /// Whether `http` is good enough for an issuer on this very machine.
    pub allow_insecure_http_loopback: bool,
    /// Certificate authorities trusted for this issuer beside the system's, as PEM.
    pub ca_pem: Option<Vec<u8>>,
}

impl IssuerKeysConfig {
    /// Keys by discovery, over https, with the system's certificate authorities.
    pub fn discovery(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            source: KeysFrom::Discovery,
            jwks_hosts: Vec::new(),
            allow_insecure_http_loopback: false,
            ca_pem: None,
        }
    }
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum KeysFrom {
    /// The issuer's provider metadata.
    Discovery,
    /// The content of a key set file. Each key is for the algorithm it names, RS256 if it is an
    /// RSA key and names none.
    StaticJwks(Vec<u8>),
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
    /// The static key set cannot be read.
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
    Fixed(KeySet),
    Kept(Arc<Kept>),
}

impl HttpKeys {
    /// Checks the configuration. Talks to nobody.
    pub fn new(issuers: Vec<IssuerKeysConfig>) -> Result<Self, ConfigError> {
        Self::with_pace(issuers, Pace::DEFAULT)
    }

    fn with_pace(issuers: Vec<IssuerKeysConfig>, pace: Pace) -> Result<Self, ConfigError> {
        let mut clients = fetch::Clients::default();
        let mut sources = HashMap::new();
        for config in issuers {
            let issuer = config.issuer.clone();
            let source = match &config.source {
                KeysFrom::StaticJwks(bytes) => Source::Fixed(static_keys(&issuer, bytes)?),
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

    /// Starts fetching every key set now, in the background, so that the first request finds
    /// them. Needs a tokio runtime; nothing depends on its being called.
    pub fn prefetch(&self) {
        for source in self.issuers.values() {
            if let Source::Kept(kept) = source {
                kept.refresh_in_background();
            }
        }
    }

    /// How long ago each issuer's keys were last read, sorted by issuer: `None` if there are no
    /// keys that could be used now. Static keys are always new.
    pub fn ages(&self) -> Vec<(IssuerUrl, Option<Duration>)> {
        let age = |source: &Source| match source {
            Source::Fixed(_) => Some(Duration::ZERO),
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
            Some(Source::Fixed(keys)) => fixed(issuer, Some(keys), kid, algorithm),
            None => fixed(issuer, None, kid, algorithm),
        }
    }

    /// Needs a tokio runtime, as [`Self::prefetch`] does.
    fn available(&self) -> bool {
        self.issuers.values().any(|source| match source {
            Source::Fixed(_) => true,
            Source::Kept(kept) => kept.available(),
        })
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

fn static_keys(issuer: &IssuerUrl, bytes: &[u8]) -> Result<KeySet, ConfigError> {
    let keys = KeySet::parse_standalone(bytes).map_err(|source| ConfigError::StaticJwks {
        issuer: issuer.clone(),
        source,
    })?;
    cache::report_skipped(issuer, &keys);
    if keys.is_empty() {
        let issuer = issuer.clone();
        return Err(ConfigError::StaticJwksEmpty { issuer });
    }
    Ok(keys)
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
