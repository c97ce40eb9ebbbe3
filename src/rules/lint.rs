//! What is wrong with rules that are well written: names where numbers exist, doors left open.

use super::expression::Expression;
use super::{Issuers, Rule, RuleSet, Want};
use crate::identity::IdClaims;
use crate::identity::presets::{Preset, REGISTERED};
use crate::spelling;

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

impl Known {
    fn providers(&self) -> &[Preset] {
        match self {
            Self::Of { providers, .. } => providers,
            Self::NotConfigured { .. } | Self::Nobodys { .. } => &[],
        }
    }

    /// What is to be said of a claim that none of these issuers' tokens have.
    fn lack(&self, name: &str) -> Option<String> {
        let others = !matches!(self, Self::Of { others: false, .. });
        let providers = self.providers();
        if providers.iter().any(|preset| has(*preset, name)) {
            return None;
        }
        let pointer = format!("/{name}");
        let inside = providers
            .iter()
            .any(|preset| preset.claims().contains(&&*pointer));
        // Wherever its tokens come from, a cluster's have this member.
        if inside || name.starts_with("kubernetes.io/") {
            return Some(format!(
                "{name:?} is inside another claim: begin with \"/\", {pointer:?}"
            ));
        }
        let all = providers.iter().flat_map(|preset| preset.claims());
        let meant = nearest(name, &all.copied().collect::<Vec<_>>());
        // What others' tokens have is not known: only a slip is worth a word then.
        if providers.is_empty() || (others && meant.is_none()) {
            return None;
        }
        let mut titles: Vec<_> = providers.iter().map(|preset| preset.title()).collect();
        titles.dedup();
        let whose = match titles.len() {
            1..=3 => titles.join(" and "),
            _ => "these issuers'".to_owned(),
        };
        let meant = meant.map(|meant| format!("; did you mean {meant:?}?"));
        Some(format!(
            "{whose} tokens have no claim {name:?}{}",
            meant.unwrap_or_default()
        ))
    }
}

/// Whether its tokens may have this claim.
fn has(preset: Preset, name: &str) -> bool {
    let claims = preset.claims();
    if claims.is_empty() || claims.contains(&name) || REGISTERED.contains(&name) {
        return true;
    }
    let Some(pointer) = name.strip_prefix('/') else {
        return false;
    };
    let (member, inner) = pointer.split_once('/').unwrap_or((pointer, ""));
    let member = member.replace("~1", "/").replace("~0", "~");
    let is_listed = claims.contains(&member.as_str()) || REGISTERED.contains(&member.as_str());
    // What is inside is known where any of it is.
    let within = format!("/{member}/");
    is_listed && (inner.is_empty() || claims.iter().all(|claim| !claim.starts_with(&within)))
}

/// The claim somebody meant, by its whole name or by the part after its last slash.
fn nearest<'a>(name: &str, claims: &[&'a str]) -> Option<&'a str> {
    let last = |claim: &'a str| claim.rsplit('/').next().unwrap_or_default();
    let ends = || claims.iter().map(|claim| last(claim));
    let of_end = |end: &str| claims.iter().copied().find(|claim| last(claim) == end);
    spelling::nearest(name, claims.iter().copied())
        .or_else(|| of_end(name))
        .or_else(|| of_end(spelling::nearest(name, ends())?))
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
            let known = found.known(of);
            // Of several providers each is asked, so that the strictest decides.
            for preset in known.providers() {
                self.identity(rule, &preset.ids(), &mut found);
            }
            self.claims(rule, &known, &mut found);
            out.append(&mut found.out);
        }
        for rule in &self.deny {
            let mut found = Findings::of(rule);
            let known = found.known(of);
            self.claims(rule, &known, &mut found);
            out.append(&mut found.out);
        }
        out
    }

    /// Whose tokens its rules are about.
    pub fn issuers(&self) -> impl Iterator<Item = &Issuers> {
        self.deny.iter().chain(&self.allow).map(|rule| &rule.issuer)
    }

    /// The claims that a rule names, in its lines and in its `when`.
    fn named<'a>(&'a self, rule: &'a Rule) -> Vec<&'a str> {
        let lines = rule.claims.iter();
        let lines = lines.map(|(place, _)| self.names[*place].as_str());
        let when = rule.when.iter().flat_map(Expression::claims);
        lines.chain(when).collect()
    }

    /// Lines that can hold for nobody, which in a refusing rule is a door left open.
    fn claims(&self, rule: &Rule, known: &Known, found: &mut Findings<'_>) {
        for (place, matcher) in &rule.claims {
            let name = self.names[*place].as_str();
            let starred = matcher.0.iter().find_map(|want| match want {
                Want::Exactly(text) if text.contains('*') => Some(text),
                Want::Exactly(_) | Want::Like(_) => None,
            });
            match starred {
                Some(_) if matches!(name, "sub" | "/sub") => {
                    let text = "\"*\" in \"sub\" is plain text, and \"sub\" takes no pattern: write its claims";
                    found.add(Severity::Warning, text.to_owned());
                }
                Some(text) => {
                    let text =
                        format!("\"*\" is plain text here: write {name} = {{ glob = {text:?} }}");
                    found.add(Severity::Warning, text);
                }
                None => {}
            }
        }
        for name in self.named(rule) {
            if let Some(text) = known.lack(name) {
                found.add(Severity::Warning, text);
            }
        }
    }

    fn identity(&self, rule: &Rule, ids: &IdClaims, found: &mut Findings<'_>) {
        let named = self.named(rule);
        let has = |name: &str| named.contains(&name);
        // A pattern names many things, and an id by a pattern none.
        let pinned = rule.claims.iter().any(|(place, matcher)| {
            let exact = matcher
                .0
                .iter()
                .all(|want| matches!(want, Want::Exactly(_)));
            exact && ids.any_of.contains(&self.names[*place].as_str())
        });
        // Each issuer of a family signs what it likes; where anybody can have one, only an id that the
        // provider gives out tells them apart.
        let anybodys = matches!(rule.issuer, Issuers::Family(_));
        match (ids.any_of, pinned, rule.names_only) {
            ([], _, false) if anybodys => {
                let text = format!(
                    "whoever has an issuer of this family chooses {}: name one issuer, or names_only = true if all are yours",
                    ids.names.join(", ")
                );
                found.add(Severity::Error, text);
            }
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

    /// What is known of whom the rule is about; of a rule about nobody it says so.
    fn known(&mut self, of: &dyn Fn(&Issuers) -> Known) -> Known {
        let issuer = match &self.rule.issuer {
            Issuers::One(issuer) => issuer.as_str(),
            Issuers::Family(family) => family.as_str(),
            Issuers::All => "",
        };
        let known = of(&self.rule.issuer);
        let text = match &known {
            Known::Of { .. } => return known,
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
        known
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
