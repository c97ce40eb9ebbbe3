//! What is wrong with rules that are well written: names where numbers exist, doors left open.

use super::{Issuers, Rule, RuleSet, Want};
use crate::identity::IdClaims;
use crate::identity::presets::Preset;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look; the rules are used.
    Warning,
    /// The rules are not used.
    Error,
}

/// What is known of the issuers that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// None is configured: no token of theirs is taken.
    NotConfigured {
        /// One that is, and is spelled much like it.
        nearest: Option<String>,
    },
    /// Nobody's, whatever is configured: issuers are compared byte for byte.
    Nobodys {
        /// How it is spelled.
        nearest: String,
    },
    /// There are some.
    Of {
        /// Whose they are, each once.
        providers: Vec<Preset>,
        /// Whether there are some of others too, of whom nothing is known.
        others: bool,
    },
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
    pub fn findings(&self, of: &dyn Fn(&Issuers) -> Known) -> Vec<Finding> {
        let mut out = Vec::new();
        for rule in &self.allow {
            let mut found = Findings::of(rule);
            // Of several providers each is asked, so that the strictest decides.
            for preset in found.providers(of) {
                self.identity(rule, &preset.ids(), &mut found);
            }
            out.append(&mut found.out);
        }
        for rule in &self.deny {
            let mut found = Findings::of(rule);
            found.providers(of);
            out.append(&mut found.out);
        }
        out
    }

    /// Whose tokens its rules are about.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuers> {
        self.deny.iter().chain(&self.allow).map(|rule| &rule.issuer)
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

/// What is found about one rule.
struct Findings<'a> {
    rule: &'a Rule,
    out: Vec<Finding>,
}

impl<'a> Findings<'a> {
    fn of(rule: &'a Rule) -> Self {
        let out = Vec::new();
        Self { rule, out }
    }

    /// The providers whose tokens the rule is about; of a rule about nobody's it says so.
    fn providers(&mut self, of: &dyn Fn(&Issuers) -> Known) -> Vec<Preset> {
        let issuer = match &self.rule.issuer {
            Issuers::One(issuer) => issuer.as_str(),
            Issuers::Family(family) => family.as_str(),
            Issuers::All => "",
        };
        let text = match of(&self.rule.issuer) {
            Known::Of { providers, .. } => return providers,
            Known::NotConfigured { nearest: None } => {
                format!("issuer {issuer:?} is not configured: this rule never holds")
            }
            Known::NotConfigured {
                nearest: Some(nearest),
            } => format!(
                "issuer {issuer:?} is not configured: this rule never holds; did you mean {nearest:?}?"
            ),
            Known::Nobodys { nearest } => format!(
                "no token is of issuer {issuer:?}: this rule never holds; did you mean {nearest:?}?"
            ),
        };
        self.add(Severity::Warning, text);
        Vec::new()
    }

    /// Adds it, unless it was said of another provider already.
    fn add(&mut self, severity: Severity, text: String) {
        if self.out.iter().all(|other| other.text != text) {
            self.out.push(Finding {
                severity,
                rule: self.rule.name.clone(),
                line: self.rule.line,
                text,
            });
        }
    }
}
