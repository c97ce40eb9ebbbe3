//! What is wrong with rules that are well written: names where numbers exist, doors left open.

use super::{Issuers, Rule, RuleSet, Want};
use crate::identity::IdClaims;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; the rules are used.
    Warning,
    /// The rules are not used.
    Error,
}

/// What is known of an issuer that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is not configured: none of its tokens is taken.
    NotConfigured,
    /// Which of its claims identify something for good, nobody has said.
    WithoutIds,
    /// It is a provider's with these.
    Ids(IdClaims),
}

/// Something about a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The rule's name.
    pub rule: String,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// What, and what to do.
    pub text: String,
}

impl RuleSet {
    /// Looks every rule over; `of` knows the issuers.
    pub fn findings(&self, of: &dyn Fn(&str) -> Known) -> Vec<Finding> {
        let mut out = Vec::new();
        for rule in &self.allow {
            let mut found = Findings {
                rule,
                out: &mut out,
            };
            if let Known::Ids(ids) = issuer(rule, of, &mut found) {
                self.identity(rule, &ids, &mut found);
            }
        }
        for rule in &self.deny {
            let mut found = Findings {
                rule,
                out: &mut out,
            };
            issuer(rule, of, &mut found);
        }
        out
    }

    fn identity(&self, rule: &Rule, ids: &IdClaims, found: &mut Findings<'_>) {
        let has = |name: &str| {
            let mut named = rule.claims.iter();
            named.any(|(place, _)| self.names[*place].as_str() == name)
        };
        // A pattern names many things, and an id by a pattern none.
        let pinned = rule.claims.iter().any(|(place, matcher)| {
            let exact = matcher
                .0
                .iter()
                .all(|want| matches!(want, Want::Exactly(_)));
            exact && ids.any_of.contains(&self.names[*place].as_str())
        });
        match (ids.any_of, pinned, rule.names_only) {
            ([], ..) => {
                let text = format!(
                    "this provider has no ids: {} can be taken by somebody else once given up",
                    ids.names.join(", ")
                );
                found.add(Severity::Warning, text);
            }
            (_, true, _) => {}
            (any_of, false, false) => {
                let text = format!(
                    "names can change hands: add {}, or names_only = true",
                    any_of.join(" or ")
                );
                found.add(Severity::Error, text);
            }
            (any_of, false, true) => {
                let text = format!("rests on names only, without {}", any_of.join(" or "));
                found.add(Severity::Warning, text);
            }
        }
        if has("sub") {
            let text = "\"sub\" is a text that its issuer composes, and owners can reshape it";
            found.add(Severity::Warning, text.to_owned());
        }
        for (claim, text) in [
            (ids.event, "pull requests may start such a job"),
            (ids.runner, "self-hosted runners may run it"),
        ] {
            if let Some(claim) = claim.filter(|claim| !has(claim)) {
                found.add(Severity::Warning, format!("{text}: add {claim}"));
            }
        }
        if let Some(kind) = ids.ref_kind.filter(|kind| has("ref") && !has(kind)) {
            let text = format!("a branch and a tag can have one name: add {kind}");
            found.add(Severity::Warning, text);
        }
        if has("workflow_ref") && !has("job_workflow_ref") {
            let text = "the signer is job_workflow_ref, which differs for reusable workflows";
            found.add(Severity::Warning, text.to_owned());
        }
    }
}

/// What is known of the rule's issuer; a rule about all of them is about no provider.
fn issuer(rule: &Rule, of: &dyn Fn(&str) -> Known, found: &mut Findings<'_>) -> Known {
    let issuer = match &rule.issuer {
        Issuers::One(issuer) => issuer.as_str(),
        Issuers::Family(family) => family.as_str(),
        Issuers::All => return Known::WithoutIds,
    };
    let known = of(issuer);
    if known == Known::NotConfigured {
        let text = format!("issuer {issuer:?} is not configured: this rule never holds");
        found.add(Severity::Warning, text);
    }
    known
}

struct Findings<'a> {
    rule: &'a Rule,
    out: &'a mut Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, text: String) {
        self.out.push(Finding {
            severity,
            rule: self.rule.name.clone(),
            line: self.rule.line,
            text,
        });
    }
}
