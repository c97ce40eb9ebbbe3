//! One issuer's keys from a file: no network, no age, and another set when the file has one.
//!
//! A start with a broken file is refused; a file that breaks later leaves the keys there were, with
//! a warning, because a half-finished copy must not turn every token away.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::file::{Look, Watched};
use super::{ConfigError, report_skipped};
use crate::fault;
use crate::token::IssuerUrl;
use crate::token::jwks::{KeySet, MAX_JWKS_BYTES};

/// The keys of a file, as they were when it last had usable ones.
pub(super) struct StaticKeys {
    file: Watched,
    keys: RwLock<Arc<KeySet>>,
}

impl StaticKeys {
    /// Reads the file; one without a usable key is an error.
    pub(super) fn open(issuer: &IssuerUrl, path: &Path) -> Result<Self, ConfigError> {
        let opened = Watched::open(path, MAX_JWKS_BYTES as u64);
        let (file, bytes) = opened.map_err(|source| ConfigError::Unreadable {
            issuer: issuer.clone().into(),
            path: path.to_owned(),
            source,
        })?;
        let keys = RwLock::new(Arc::new(parse(issuer, &bytes)?));
        Ok(Self { file, keys })
    }

    /// The keys of the moment.
    pub(super) fn now(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes over what changed. Blocks.
    pub(super) fn reread(&self, issuer: &IssuerUrl) {
        let path = self.file.path();
        match self.file.look() {
            Look::Same => {}
            Look::Changed(bytes) => match parse(issuer, &bytes) {
                Ok(mut keys) => {
                    keys.carry_over(&self.now());
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                    tracing::info!(%issuer, path = %path.display(), "took over a new static key set");
                }
                Err(error) => {
                    let cause = fault::chain(&error);
                    tracing::warn!(%issuer, path = %path.display(), cause, "kept the static keys there were");
                }
            },
            Look::Unreadable(error) => {
                tracing::warn!(%issuer, path = %path.display(), cause = %error, "kept the static keys there were");
            }
        }
    }
}

fn parse(issuer: &IssuerUrl, bytes: &[u8]) -> Result<KeySet, ConfigError> {
    let keys = KeySet::parse_standalone(bytes).map_err(|source| ConfigError::StaticJwks {
        issuer: issuer.clone().into(),
        source,
    })?;
    report_skipped(issuer, &keys);
    if keys.is_empty() {
        let issuer = issuer.clone().into();
        return Err(ConfigError::StaticJwksEmpty { issuer });
    }
    Ok(keys)
}
