//! A refusal, and whom it concerns.

use std::fmt;
use std::sync::Arc;

use super::Error;
use crate::fault::{Fault, Reason};

/// Whom a decision is about, as far as it was proven by then: a member is absent until the step
/// that proves it is done. Nothing in it is a secret; what a certificate says, anybody may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whom {
    /// The `iss` of the token, once the token is verified: one of the configured issuers.
    pub issuer: Option<Arc<str>>,
    /// The `sub` of the token, once it is verified.
    pub subject: Option<Arc<str>>,
    /// The name a certificate would carry (`email:…`, `uri:…`), once the claims became one.
    pub san: Option<Arc<str>>,
    /// The hash of the claim rules that it was held against, if there are any.
    pub rules: Option<[u8; 32]>,
}

/// Why there is no certificate, and for whom.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Whom it concerns.
    pub whom: Whom,
    /// Why.
    pub error: Error,
}

impl Refused {
    /// The stable word.
    pub fn reason(&self) -> Reason {
        self.error.reason()
    }

    /// The configured issuer in question: of the verified token, else the one that an unverified
    /// token was held against.
    pub fn issuer(&self) -> Option<&str> {
        let held_against = || self.error.issuer().map(|issuer| issuer.as_str());
        self.whom.issuer.as_deref().or_else(held_against)
    }

    /// The claim rule that refused, or came closest.
    pub fn rule(&self) -> Option<&str> {
        self.error.rule()
    }

    /// Whether it is a decision about somebody, which the audit log has a line for. Of what is no
    /// token of ours nobody knows whose it is; and who asks too often was not decided about.
    pub(super) fn is_about_somebody(&self) -> bool {
        let was_judged = match self.reason().fault() {
            Fault::Throttle => false,
            Fault::Caller
            | Fault::Credentials
            | Fault::Policy
            | Fault::Dependency
            | Fault::Ours => true,
        };
        self.whom.subject.is_some() && was_judged
    }

    /// Members for `ErrorInfo.metadata`: the error's own and, whatever the error, the issuer.
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        let issuer = self.issuer().map(|issuer| ("issuer", issuer.to_owned()));
        issuer.into_iter().chain(self.error.metadata()).collect()
    }
}

/// As the error says it.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}
