//! Which rules can hold for a token at all, without asking each of a thousand.
//!
//! A rule for one issuer that wants an exact value of a claim cannot hold for a token with another
//! value. So rules are found by issuer and by the first such claim; what has neither is always
//! asked. The order of the file is kept, because the first rule that holds names the decision.

use std::collections::{BTreeSet, HashMap};

use super::claim::Claims;
use super::{Issuers, Rule, Want};
use crate::token::IssuerUrl;

/// Rules by what they cannot do without.
#[derive(Debug, Default)]
pub(super) struct Index {
    issuers: HashMap<String, OfIssuer>,
    /// For a family of issuers, or for all.
    general: Vec<usize>,
}

/// Rules of one issuer.
#[derive(Debug, Default)]
struct OfIssuer {
    /// By place of a claim, and value of it.
    keyed: HashMap<usize, HashMap<String, Vec<usize>>>,
    others: Vec<usize>,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            let Issuers::One(issuer) = &rule.issuer else {
                index.general.push(at);
                continue;
            };
            let bucket = index.issuers.entry(issuer.as_str().to_owned()).or_default();
            match key(rule) {
                Some((place, values)) => {
                    let by_value = bucket.keyed.entry(place).or_default();
                    for value in values {
                        by_value.entry(value.to_owned()).or_default().push(at);
                    }
                }
                None => bucket.others.push(at),
            }
        }
        index
    }

    /// The rules that may hold, in their order. Every rule that is left out does not hold.
    pub(super) fn candidates<'r>(
        &self,
        issuer: &IssuerUrl,
        rules: &'r [Rule],
        claims: &Claims<'_>,
    ) -> impl Iterator<Item = &'r Rule> {
        let mut found: BTreeSet<usize> = BTreeSet::new();
        if let Some(bucket) = self.issuers.get(issuer.as_str()) {
            found.extend(&bucket.others);
            for (place, by_value) in &bucket.keyed {
                let texts = claims.texts(*place).iter();
                found.extend(texts.filter_map(|text| by_value.get(&**text)).flatten());
            }
        }
        let general = self.general.iter();
        found.extend(general.filter(|at| rules[**at].is_about(issuer)));
        found.into_iter().map(|at| &rules[at])
    }
}

/// The first claim of which the rule wants exact values only, with these.
fn key(rule: &Rule) -> Option<(usize, Vec<&str>)> {
    rule.claims.iter().find_map(|(place, matcher)| {
        let exact = matcher.0.iter().map(|want| match want {
            Want::Exactly(text) => Some(text.as_str()),
            Want::Like(_) => None,
        });
        Some((*place, exact.collect::<Option<Vec<_>>>()?))
    })
}
