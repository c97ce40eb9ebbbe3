//! One look at an issuer's keys, for somebody who asks whether its tokens could be verified. What is
//! read is read as for a request, and kept by nobody.

use std::sync::Arc;

use super::fetch::{FETCH_BUDGET, FetchError, Fetcher};
use super::http::Clients;
use super::static_keys::StaticKeys;
use super::{ConfigError, IssuerKeysConfig, KeysFrom, SystemResolver};
use crate::token::jwks::{KeySet, Unfit};
use crate::token::{Algorithm, IssuerName, IssuerUrl};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What its tokens may be signed with by its metadata; all there are where its keys are from a
    /// file.
    pub algorithms: Vec<Algorithm>,
    /// Its keys by `kid`, each with what it verifies.
    pub keys: Vec<(Option<String>, Vec<Algorithm>)>,
    /// The keys that cannot be used, by `kid` where they have one, and why.
    pub skipped: Vec<(Option<String>, Unfit)>,
}

/// Why nothing was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The issuer, or the way to it.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

/// Reads the keys of `issuer`, which `config` is about, once. Takes at most [`FETCH_BUDGET`].
pub async fn look(config: &IssuerKeysConfig, issuer: &IssuerUrl) -> Result<Looked, LookError> {
    if let KeysFrom::JwksFile(path) = &config.source {
        let keys = StaticKeys::open(issuer, path)?.now();
        return Ok(Looked::of(&keys, Algorithm::ALL.to_vec()));
    }
    let mut clients = Clients::new(Arc::new(SystemResolver));
    let fetcher = match &config.issuer {
        IssuerName::One(_) => Fetcher::new(issuer.clone(), config, &mut clients)?,
        IssuerName::Family(_) => {
            let documents = clients.for_family(config)?;
            Fetcher::reading(issuer.clone(), config, documents)?
        }
    };
    let fetched = fetcher.fetch(FETCH_BUDGET).await?;
    Ok(Looked::of(&fetched.keys, fetched.algorithms))
}

impl Looked {
    fn of(keys: &KeySet, algorithms: Vec<Algorithm>) -> Self {
        Self {
            algorithms,
            keys: keys.listed(),
            skipped: keys.skipped().to_vec(),
        }
    }
}
