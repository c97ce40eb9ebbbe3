//! One fetch: provider metadata, then the key set, within one budget.
//!
//! What is fetched from is decided by configuration ([`super::places`]), whom that is, by
//! [`super::resolve`], what is taken as an answer, by [`super::http`].

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderName;
use url::Url;

use super::address::AddressRefused;
use super::http::{Clients, Documents};
use super::places::{Places, is_plain};
use super::{ConfigError, IssuerKeysConfig};
use crate::token::jwks::{JwksError, KeySet, MAX_JWKS_BYTES};
use crate::token::metadata::{MAX_METADATA_BYTES, MetadataError, ProviderMetadata};
use crate::token::{Algorithm, IssuerName, IssuerUrl};

/// Time for all of one fetch, both documents.
pub const FETCH_BUDGET: Duration = Duration::from_secs(5);

/// Why there are no keys, or not now. Texts of the provider's are shortened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The budget was spent.
    #[error("provider did not answer within {budget:?}")]
    TimedOut {
        /// The budget.
        budget: Duration,
    },
    /// An address that this issuer may not have; nobody was connected to.
    #[error(transparent)]
    Address(#[from] AddressRefused),
    /// The connection failed.
    #[error("could not talk to {url}")]
    Transport {
        /// Whom to.
        url: String,
        /// How.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Not 200; redirects are among these.
    #[error("{url} answered {status}")]
    Status {
        /// Where.
        url: String,
        /// What.
        status: StatusCode,
    },
    /// A body that is not plain JSON by its headers.
    #[error("{url} answered with {header} {got:?}")]
    Header {
        /// Where.
        url: String,
        /// Which header.
        header: HeaderName,
        /// Its value.
        got: String,
    },
    /// The body went past its limit and was not read further.
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge {
        /// Where.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// The metadata cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// `jwks_uri` is not a URL that may be asked.
    #[error("jwks_uri {got:?} is not an https URL on the issuer's host or a configured one")]
    JwksPlace {
        /// The URI, as the document has it.
        got: String,
    },
    /// The key set cannot be used.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// The key set has no key that could verify a token.
    #[error("key set has no usable key, {skipped} were skipped")]
    NoUsableKey {
        /// How many were unfit.
        skipped: usize,
    },
    /// So many issuers of this family are new that no more are found out about now.
    #[error("too many new issuers of {family} at once")]
    TooManyNew {
        /// The family.
        family: IssuerName,
    },
    /// So many wait for the fetch under way that no more are let in.
    #[error("too many requests wait for the keys already")]
    Crowded,
    /// Nothing is known yet: the first fetch is under way or ended without a result.
    #[error("the keys were not read yet")]
    NotRead,
}

/// What one good fetch gives.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) algorithms: Vec<Algorithm>,
}

/// Fetches one issuer's keys.
pub(super) struct Fetcher {
    issuer: IssuerUrl,
    metadata_url: Url,
    places: Places,
    documents: Arc<dyn Documents>,
}

impl Fetcher {
    /// Over HTTP, with the client this issuer needs.
    pub(super) fn new(
        issuer: IssuerUrl,
        config: &IssuerKeysConfig,
        clients: &mut Clients,
    ) -> Result<Self, ConfigError> {
        let (metadata_url, places) = plan(&issuer, config)?;
        let documents = clients.for_issuer(&issuer, config, &metadata_url)?;
        Ok(Self {
            issuer,
            metadata_url,
            places,
            documents,
        })
    }

    /// From these documents, as `config` says, which is the issuer's own or its family's.
    pub(super) fn reading(
        issuer: IssuerUrl,
        config: &IssuerKeysConfig,
        documents: Arc<dyn Documents>,
    ) -> Result<Self, ConfigError> {
        let (metadata_url, places) = plan(&issuer, config)?;
        Ok(Self {
            issuer,
            metadata_url,
            places,
            documents,
        })
    }

    pub(super) fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// See [`Documents::reread`].
    pub(super) fn reread(&self) {
        self.documents.reread(&self.issuer.clone().into());
    }

    /// Both documents, or nothing, within `budget`.
    pub(super) async fn fetch(&self, budget: Duration) -> Result<Fetched, FetchError> {
        let both = tokio::time::timeout(budget, self.both_documents()).await;
        both.unwrap_or(Err(FetchError::TimedOut { budget }))
    }

    async fn both_documents(&self) -> Result<Fetched, FetchError> {
        let metadata = self.documents.get(&self.metadata_url, MAX_METADATA_BYTES);
        let metadata = ProviderMetadata::parse(&metadata.await?, &self.issuer)?;
        let jwks_url = self.places.check(&metadata.jwks_uri)?;
        let keys = self.documents.get(&jwks_url, MAX_JWKS_BYTES);
        let keys = KeySet::parse(&keys.await?)?;
        if keys.is_empty() {
            let skipped = keys.skipped().len();
            return Err(FetchError::NoUsableKey { skipped });
        }
        Ok(Fetched {
            keys,
            algorithms: metadata.algorithms,
        })
    }
}

/// Where the metadata is (OpenID Connect Discovery 1.0 §4.1, unless the operator says otherwise),
/// and where the key set may be.
fn plan(issuer: &IssuerUrl, config: &IssuerKeysConfig) -> Result<(Url, Places), ConfigError> {
    let places = Places::new(issuer, config)?;
    let metadata_url = match &config.discovery_url {
        Some(url) if !is_plain(url) => {
            let issuer = config.issuer.clone();
            return Err(ConfigError::DiscoveryUrl { issuer });
        }
        Some(url) => Some(url.clone()),
        None => {
            let base = issuer.as_str();
            let base = base.strip_suffix('/').unwrap_or(base);
            Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()
        }
    };
    let allowed = metadata_url.filter(|url| places.scheme_allowed(url));
    match allowed {
        Some(metadata_url) => Ok((metadata_url, places)),
        None => Err(ConfigError::NotHttps {
            issuer: config.issuer.clone(),
        }),
    }
}
