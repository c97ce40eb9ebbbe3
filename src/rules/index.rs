//! Which rules can hold for a token at all, without asking each of a thousand.
//!
//! A rule for one issuer that wants an exact value of a claim cannot hold for a token with another
//! value. So rules are found by issuer and by the first such claim; what has none is always
//! asked. The order of the file is kept, because the first rule that holds names the decision.

use std::collections::{BTreeSet, HashMap};

use super::claim::Claims;
use super::{Issuers, Rule, Want};
use crate::token::{IssuerPattern, IssuerUrl};

/// What belongs to the rules about an issuer, by whom they name.
#[derive(Debug, Default)]
pub(super) struct ByIssuer<T> {
    one: HashMap<String, T>,
    families: HashMap<String, (IssuerPattern, T)>,
    all: T,
}

impl<T: Default> ByIssuer<T> {
    pub(super) fn entry(&mut self, issuers: &Issuers) -> &mut T {
        match issuers {
            Issuers::One(issuer) => self.one.entry(issuer.as_str().to_owned()).or_default(),
            Issuers::Family(family) => {
                let entry = self.families.entry(family.as_str().to_owned());
                &mut entry.or_insert_with(|| (family.clone(), T::default())).1
            }
            Issuers::All => &mut self.all,
        }
    }

    /// What is about this issuer, in no order.
    pub(super) fn about<'s>(&'s self, issuer: &IssuerUrl) -> impl Iterator<Item = &'s T> {
        let one = self.one.get(issuer.as_str()).into_iter();
        let families = self.families.values();
        let families = families.filter(move |(family, _)| family.matches(issuer));
        one.chain(families.map(|(_, of)| of)).chain([&self.all])
    }
}

/// Rules by what they cannot do without.
#[derive(Debug, Default)]
pub(super) struct Index(ByIssuer<Keyed>);

#[derive(Debug, Default)]
struct Keyed {
    /// By place of a claim, and value of it.
    by_value: HashMap<usize, HashMap<String, Vec<usize>>>,
    others: Vec<usize>,
}

impl Index {
    pub(super) fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        for (at, rule) in rules.iter().enumerate() {
            let of_issuer = index.0.entry(&rule.issuer);
            match key(rule) {
                Some((place, values)) => {
                    let by_value = of_issuer.by_value.entry(place).or_default();
                    for value in values {
                        by_value.entry(value.to_owned()).or_default().push(at);
                    }
                }
                None => of_issuer.others.push(at),
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
        for of_issuer in self.0.about(issuer) {
            found.extend(&of_issuer.others);
            for (place, by_value) in &of_issuer.by_value {
                let texts = claims.texts(*place).iter();
                found.extend(texts.filter_map(|text| by_value.get(&**text)).flatten());
            }
        }
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
