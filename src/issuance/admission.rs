//! Step 3's other half: whether the claim rules let this identity have a certificate.

use std::sync::Arc;
use std::time::Duration;

use super::{Error, Inner};
use crate::rules::{Decision, Mode, RuleSet};
use crate::token::VerifiedToken;

/// What the rules said about a request that goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission {
    /// The rule that decided; none where there are no rules, or none is about this issuer.
    pub(super) rule: Option<Arc<str>>,
    /// The longest life it leaves the certificate.
    pub(super) max_lifetime: Option<Duration>,
    /// The hash of the rules, if there are any.
    pub(super) rules: Option<[u8; 32]>,
    /// Whether only [`Mode::Shadow`] lets it pass.
    pub(super) would_refuse: bool,
}

impl Inner {
    /// Decides by the token's verified claims. Without rules everybody an issuer vouches for goes
    /// on, as in Fulcio; with rules whom none allows does not.
    pub(super) fn admitted(
        &self,
        rules: Option<&RuleSet>,
        token: &VerifiedToken,
    ) -> Result<Admission, Error> {
        let Some(rules) = rules else {
            return Ok(Admission::default());
        };
        let hash = Some(*rules.hash());
        match (rules.decide(token.issuer(), token.claims()), rules.mode()) {
            (Decision::Allowed { rule, max_lifetime }, _) => Ok(Admission {
                rule: Some(rule.into()),
                rules: hash,
                max_lifetime,
                would_refuse: false,
            }),
            (Decision::Refused(refusal), Mode::Shadow) => Ok(Admission {
                rule: refusal.rule().map(Arc::from),
                rules: hash,
                max_lifetime: None,
                would_refuse: true,
            }),
            (Decision::Refused(refusal), Mode::Enforce) => Err(Error::Rule {
                explain: rules.explains_to_caller(),
                refusal: Arc::new(refusal),
            }),
        }
    }
}
