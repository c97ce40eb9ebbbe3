//! What everybody may see of an instance: its CA chains, whom it believes, the trust files. Rendered
//! when it changes and not for each who asks.

use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;

use super::response::{self, OidcIssuer, WrittenChain};

/// The trust files, ready to be served (JSON).
#[derive(Clone, Debug, Default)]
pub struct TrustFiles {
    /// `trusted_root.json`
    pub trusted_root: String,
    /// `signing_config.json`
    pub signing_config: String,
    /// `client_trust_config.json`
    pub client_trust_config: String,
}

/// Everything there is to see.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// DER chains, each intermediates then root, the active one first.
    pub chains: Vec<Vec<Vec<u8>>>,
    /// What `GET /api/v2/configuration` shows.
    pub issuers: Vec<OidcIssuer>,
    /// What `GET /trust/…` serves.
    pub trust: TrustFiles,
}

/// What is seen now. One request sees one of them.
pub struct Shown(RwLock<Arc<Pages>>);

/// All of it as it leaves.
pub(super) struct Pages {
    pub(super) active: WrittenChain,
    pub(super) trust_bundle: Bytes,
    pub(super) root_cert: Bytes,
    pub(super) configuration: Bytes,
    pub(super) trusted_root: Bytes,
    pub(super) signing_config: Bytes,
    pub(super) client_trust_config: Bytes,
}

impl Shown {
    /// Shows this first.
    pub fn new(sight: Sight) -> Self {
        Self(RwLock::new(Arc::new(Pages::of(sight))))
    }

    /// Shows this from here on.
    pub fn replace(&self, sight: Sight) {
        let pages = Arc::new(Pages::of(sight));
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pages;
    }

    pub(super) fn pages(&self) -> Arc<Pages> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pages {
    fn of(sight: Sight) -> Self {
        let Sight {
            chains,
            issuers,
            trust,
        } = sight;
        Self {
            active: WrittenChain::new(chains.first().map_or(&[], Vec::as_slice)),
            trust_bundle: response::trust_bundle(&chains),
            root_cert: response::root_cert(&chains),
            configuration: response::configuration(issuers),
            trusted_root: trust.trusted_root.into(),
            signing_config: trust.signing_config.into(),
            client_trust_config: trust.client_trust_config.into(),
        }
    }
}
