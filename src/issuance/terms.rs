//! What a request is decided by and signed with: whom we believe, who of them may have a
//! certificate, and the CA. All of it is one value, which may be replaced while requests come: a
//! request takes it once, at its start, and sees no other until its end.

use std::sync::{Arc, PoisonError, RwLock};

use super::{Error, TrustedIssuer};
use crate::ca::{Authority, Signer};
use crate::rules::RuleSet;
use crate::token::{self, IssuerPattern, IssuerTable, IssuerUrl, KeySource};

/// Whom an instance believes, and with which CA it answers.
#[derive(Clone)]
pub struct Terms {
    /// Whose tokens are believed. Of two with the same name the later one counts; the
    /// configuration refuses that before.
    pub issuers: Vec<TrustedIssuer>,
    /// Tells them from others, for the audit log; none where no configuration says whom.
    pub issuers_digest: Option<[u8; 32]>,
    /// Who of them may have a certificate; none = everybody they vouch for.
    pub rules: Option<Arc<RuleSet>>,
    /// Their keys.
    pub keys: Arc<dyn KeySource>,
    /// The issuing CA.
    pub authority: Arc<Authority>,
    /// Its key.
    pub signer: Arc<dyn Signer>,
}

/// Terms as requests use them.
pub(super) struct InForce {
    /// Tells these from those before and after.
    pub(super) number: u64,
    issuers: IssuerTable<Arc<TrustedIssuer>>,
    pub(super) issuers_digest: Option<[u8; 32]>,
    pub(super) rules: Option<Arc<RuleSet>>,
    pub(super) keys: Arc<dyn KeySource>,
    pub(super) authority: Arc<Authority>,
    pub(super) signer: Arc<dyn Signer>,
}

impl InForce {
    fn new(terms: Terms, number: u64) -> Self {
        let issuers = terms.issuers.into_iter();
        let issuers = issuers.map(|i| (i.policy.issuer.clone(), Arc::new(i)));
        Self {
            number,
            issuers: issuers.collect(),
            issuers_digest: terms.issuers_digest,
            rules: terms.rules,
            keys: terms.keys,
            authority: terms.authority,
            signer: terms.signer,
        }
    }

    /// What an issuer is configured as: itself, or the pattern of its family.
    pub(super) fn configured_as<'a>(&'a self, issuer: &'a str) -> Option<&'a str> {
        let found = self.issuers.named_by(issuer)?;
        Some(found.family.map_or(issuer, IssuerPattern::as_str))
    }

    /// The issuer that this `iss` names, and what is configured for it.
    pub(super) fn issuer(&self, claimed: &str) -> Result<(IssuerUrl, Arc<TrustedIssuer>), Error> {
        let found = self.issuers.named_by(claimed);
        let found = found.ok_or_else(|| token::Error::unknown_issuer(claimed))?;
        Ok((found.issuer, Arc::clone(found.value)))
    }
}

/// The terms there are now.
pub(super) struct Current(RwLock<Arc<InForce>>);

impl Current {
    pub(super) fn new(terms: Terms) -> Self {
        Self(RwLock::new(Arc::new(InForce::new(terms, 0))))
    }

    pub(super) fn get(&self) -> Arc<InForce> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// For whoever asks from here on. `told` comes between: where it fails nothing changes.
    pub(super) fn replace<E>(
        &self,
        terms: Terms,
        told: impl FnOnce(&InForce, &InForce) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.get();
        let new = InForce::new(terms, before.number + 1);
        told(&before, &new)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }
}
