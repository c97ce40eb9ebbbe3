//! Claim rules: which of the identities an issuer vouches for may have a certificate.
//!
//! Trusting a CI provider's issuer means trusting everybody who may run a job there (fulcio#1989).
//! A [`RuleSet`] says who: refusing rules first, then the first allowing rule that holds names the
//! decision; where none does, there is no certificate. Rules look at verified claims only, compare
//! whole values byte for byte, and never read a value as a pattern (GHSA-59w7-v8rr-pr4p).
//!
//! Pure: the same rules and the same claims give the same [`Decision`], now and in the explanation.
//! Which claims identify something for good, a provider's [`IdClaims`](crate::identity::IdClaims)
//! say.

mod claim;
mod closest;
mod explain;
mod expression;
mod glob;
mod index;
mod lint;
mod read;

use std::time::Duration;

use crate::hash::sha256;
use crate::json::Object;
use crate::token::{IssuerPattern, IssuerUrl};

pub use claim::{ClaimName, ClaimNameError, MAX_CLAIM_NAME_BYTES};
pub use explain::{Differs, Explanation, RuleTrace, Trace};
pub use expression::{Evaluation, ExpressionError, MAX_EXPRESSION_BYTES, MAX_EXPRESSION_NODES};
pub use glob::{Glob, GlobError, MAX_GLOB_BYTES, MAX_GLOB_STARS};
pub use lint::{Finding, Known, Severity};
pub use read::{Error, MAX_FILE_BYTES, MAX_RULES, MAX_VALUES};

use claim::Claims;
use closest::Closest;
use expression::Expression;
use index::Index;

/// What a refusal by these rules does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No certificate.
    Enforce,
    /// The decision is recorded, and the certificate made: to see what a rule would do.
    Shadow,
}

/// Every rule, checked and ready.
#[derive(Debug)]
pub struct RuleSet {
    mode: Mode,
    explain_to_caller: bool,
    deny: Vec<Rule>,
    allow: Vec<Rule>,
    deny_index: Index,
    allow_index: Index,
    closest: Closest,
    /// Every claim that some rule looks at; rules name them by their place here, so that each is
    /// looked up once for a token.
    names: Vec<ClaimName>,
    hash: [u8; 32],
}

/// Whether a rule lets pass or stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// `[[allow]]`.
    Allow,
    /// `[[deny]]`.
    Deny,
}

/// One rule.
#[derive(Debug)]
struct Rule {
    name: String,
    /// Where it begins in its file, counted from 1.
    line: usize,
    issuer: Issuers,
    /// Each with its place in [`RuleSet::names`].
    claims: Vec<(usize, Matcher)>,
    when: Option<Expression>,
    names_only: bool,
    max_lifetime: Option<Duration>,
}

/// Whose tokens a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuers {
    /// This one's.
    One(IssuerUrl),
    /// Every one's of this family.
    Family(IssuerPattern),
    /// Refusing rules only.
    All,
}

/// What a claim has to be: any of these.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Matcher(Vec<Want>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    Exactly(String),
    Like(Glob),
}

/// What the rules say about one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The first allowing rule that holds.
    Allowed {
        /// Its name.
        rule: String,
        /// The longest life it gives a certificate, if it shortens it.
        max_lifetime: Option<Duration>,
    },
    /// No certificate.
    Refused(Refusal),
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A refusing rule holds.
    #[error("rule {rule:?} refuses this identity")]
    Denied {
        /// Its name.
        rule: String,
    },
    /// A refusing rule cannot be evaluated for this token, and so may not be passed over.
    #[error("rule {rule:?} cannot be evaluated for this identity: {problem}")]
    Undecided {
        /// Its name.
        rule: String,
        /// What its expression met.
        problem: String,
    },
    /// No allowing rule is about this issuer.
    #[error("no rule allows anybody of {issuer}")]
    NoRule {
        /// The issuer.
        issuer: IssuerUrl,
    },
    /// No allowing rule holds.
    #[error("no rule allows this identity; closest is {rule:?}: {differs}")]
    NoneHolds {
        /// The allowing rule of the same issuer of which most claims hold; of several, the first.
        rule: String,
        /// The first line of it that does not hold.
        differs: Differs,
    },
}

impl Refusal {
    /// The rule that refused, or came closest.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Denied { rule } | Self::Undecided { rule, .. } | Self::NoneHolds { rule, .. } => {
                Some(rule)
            }
            Self::NoRule { .. } => None,
        }
    }

    /// The claim that differed first.
    pub fn claim(&self) -> Option<&str> {
        match self {
            Self::NoneHolds { differs, .. } => Some(differs.name()),
            Self::Denied { .. } | Self::Undecided { .. } | Self::NoRule { .. } => None,
        }
    }
}

impl RuleSet {
    /// Reads a rule file. `text` is at most [`MAX_FILE_BYTES`] long.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let read::File {
            mode,
            explain_to_caller,
            deny,
            allow,
            names,
        } = read::file(text)?;
        Ok(Self {
            mode,
            explain_to_caller,
            deny_index: Index::of(&deny),
            allow_index: Index::of(&allow),
            closest: Closest::of(&allow),
            deny,
            allow,
            names,
            hash: Self::hash_of(text),
        })
    }

    /// Whether refusals count.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a caller may learn which rule came closest and what differed.
    pub fn explains_to_caller(&self) -> bool {
        self.explain_to_caller
    }

    /// What [`Self::hash`] would be of this file.
    pub fn hash_of(text: &str) -> [u8; 32] {
        sha256(&[text.as_bytes()])
    }

    /// SHA-256 of the file: what a decision was made with.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.deny.len() + self.allow.len()
    }

    /// Whether there are none: then everybody is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decides about a verified token of `issuer` with these claims.
    pub fn decide(&self, issuer: &IssuerUrl, claims: &Object) -> Decision {
        let claims = Claims::new(&self.names, claims);
        for rule in self.deny_index.candidates(issuer, &self.deny, &claims) {
            if !rule.claims_hold(&claims) {
                continue;
            }
            match rule.condition(&claims) {
                Evaluation::False => {}
                Evaluation::True => {
                    let rule = rule.name.clone();
                    return Decision::Refused(Refusal::Denied { rule });
                }
                // Fails closed: what the rule would have said is not known.
                Evaluation::Failed(problem) => {
                    let rule = rule.name.clone();
                    return Decision::Refused(Refusal::Undecided { rule, problem });
                }
            }
        }
        let mut candidates = self.allow_index.candidates(issuer, &self.allow, &claims);
        let first = candidates
            .find(|rule| rule.claims_hold(&claims) && rule.condition(&claims) == Evaluation::True);
        match first {
            Some(rule) => Decision::Allowed {
                rule: rule.name.clone(),
                max_lifetime: rule.max_lifetime,
            },
            None => Decision::Refused(self.none_holds(issuer, &claims)),
        }
    }
}

impl Rule {
    fn is_about(&self, issuer: &IssuerUrl) -> bool {
        match &self.issuer {
            Issuers::One(one) => one == issuer,
            Issuers::Family(family) => family.matches(issuer),
            Issuers::All => true,
        }
    }

    fn claims_hold(&self, claims: &Claims<'_>) -> bool {
        let mut all = self.claims.iter();
        all.all(|(place, matcher)| matcher.holds(*place, claims))
    }

    /// What `when` says; a rule without holds.
    fn condition(&self, claims: &Claims<'_>) -> Evaluation {
        match &self.when {
            Some(when) => when.evaluate(claims.for_expressions()),
            None => Evaluation::True,
        }
    }
}

impl Matcher {
    /// Whether the claim is there and is any of what is wanted; of an array, any element.
    fn holds(&self, place: usize, claims: &Claims<'_>) -> bool {
        let texts = claims.texts(place);
        texts
            .iter()
            .any(|text| self.0.iter().any(|want| want.is(text)))
    }
}

impl Want {
    fn is(&self, text: &str) -> bool {
        match self {
            Self::Exactly(want) => want == text,
            Self::Like(glob) => glob.matches(text),
        }
    }
}

#[cfg(test)]
mod tests;
