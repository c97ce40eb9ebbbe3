//! Whom an entry of the configuration is about, and which entry a token's `iss` belongs to.
//!
//! An issuer that is configured by itself is its own entry, whatever families it is of. Else the
//! most precise family has it: the fewest `*`, and of two with as many the first by its text. Keys
//! and policy are both found here, so that no token is held against one entry with another's keys.

use std::collections::HashMap;
use std::fmt;

use super::{IssuerPattern, IssuerUrl, IssuerUrlError, PatternError};

/// One issuer, or a family of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerName {
    /// One issuer.
    One(IssuerUrl),
    /// Every issuer of a pattern.
    Family(IssuerPattern),
}

/// Why a text names neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerNameError {
    /// It has no `*` and is no issuer.
    #[error(transparent)]
    One(#[from] IssuerUrlError),
    /// It has a `*` and is no pattern.
    #[error(transparent)]
    Family(#[from] PatternError),
}

impl IssuerName {
    /// With a `*` in it a family, else one issuer.
    pub fn new(text: &str) -> Result<Self, IssuerNameError> {
        Ok(match text.contains('*') {
            true => Self::Family(IssuerPattern::new(text)?),
            false => Self::One(IssuerUrl::new(text)?),
        })
    }

    /// As it is configured.
    pub fn as_str(&self) -> &str {
        match self {
            Self::One(issuer) => issuer.as_str(),
            Self::Family(family) => family.as_str(),
        }
    }

    /// The issuer that a token with this `iss` is of, if it is one of these.
    pub fn named_by(&self, iss: &str) -> Option<IssuerUrl> {
        match self {
            Self::One(issuer) => (issuer.as_str() == iss).then(|| issuer.clone()),
            // Parsed before it is compared (GHSA-59jp-pj84-45mr).
            Self::Family(family) => IssuerUrl::new(iss).ok().filter(|i| family.matches(i)),
        }
    }
}

impl From<IssuerUrl> for IssuerName {
    fn from(issuer: IssuerUrl) -> Self {
        Self::One(issuer)
    }
}

impl From<IssuerPattern> for IssuerName {
    fn from(family: IssuerPattern) -> Self {
        Self::Family(family)
    }
}

impl fmt::Display for IssuerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What there is for issuers and for families of them.
pub struct IssuerTable<T> {
    exact: HashMap<IssuerUrl, T>,
    /// The most precise first.
    families: Vec<(IssuerPattern, T)>,
}

/// An entry, and the issuer it was found for.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'t, T> {
    /// The concrete issuer.
    pub issuer: IssuerUrl,
    /// The family it is of, unless it is configured by itself.
    pub family: Option<&'t IssuerPattern>,
    /// What there is for it.
    pub value: &'t T,
}

impl<T> Default for IssuerTable<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            families: Vec::new(),
        }
    }
}

impl<T> IssuerTable<T> {
    /// Puts an entry in; the one of the same name comes back.
    pub fn insert(&mut self, name: IssuerName, value: T) -> Option<T> {
        let family = match name {
            IssuerName::One(issuer) => return self.exact.insert(issuer, value),
            IssuerName::Family(family) => family,
        };
        fn precision(family: &IssuerPattern) -> (usize, &str) {
            (family.wildcards(), family.as_str())
        }
        let place = self
            .families
            .binary_search_by(|(other, _)| precision(other).cmp(&precision(&family)));
        match place {
            Ok(at) => Some(std::mem::replace(&mut self.families[at].1, value)),
            Err(at) => {
                self.families.insert(at, (family, value));
                None
            }
        }
    }

    /// The entry for tokens with this `iss`, which nobody has parsed yet.
    pub fn named_by(&self, iss: &str) -> Option<Found<'_, T>> {
        if let Some((issuer, value)) = self.exact.get_key_value(iss) {
            return Some(Found {
                issuer: issuer.clone(),
                family: None,
                value,
            });
        }
        if self.families.is_empty() {
            return None;
        }
        let issuer = IssuerUrl::new(iss).ok()?;
        let (family, value) = self.family(&issuer)?;
        Some(Found {
            issuer,
            family: Some(family),
            value,
        })
    }

    /// The entry for this issuer.
    pub fn get(&self, issuer: &IssuerUrl) -> Option<&T> {
        let exact = self.exact.get(issuer);
        exact.or_else(|| self.family(issuer).map(|(_, value)| value))
    }

    /// Every entry with the name it was put in under, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let exact = self.exact.iter().map(|(i, value)| (i.as_str(), value));
        exact.chain(self.families.iter().map(|(f, value)| (f.as_str(), value)))
    }

    fn family(&self, issuer: &IssuerUrl) -> Option<(&IssuerPattern, &T)> {
        let found = self.families.iter().find(|(f, _)| f.matches(issuer));
        found.map(|(family, value)| (family, value))
    }
}

impl<T> FromIterator<(IssuerName, T)> for IssuerTable<T> {
    /// Of two entries of the same name the later one counts.
    fn from_iter<I: IntoIterator<Item = (IssuerName, T)>>(entries: I) -> Self {
        let mut table = Self::default();
        for (name, value) in entries {
            table.insert(name, value);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "https://oidc.eks.us-west-2.amazonaws.com/id/A";

    fn table(names: &[&'static str]) -> IssuerTable<&'static str> {
        let entries = names.iter().map(|n| (IssuerName::new(n).unwrap(), *n));
        entries.collect()
    }

    fn found(names: &[&'static str], iss: &str) -> Option<&'static str> {
        table(names).named_by(iss).map(|found| *found.value)
    }

    #[test]
    fn an_issuer_that_is_configured_by_itself_is_of_no_family() {
        let names = [CLUSTER, "https://oidc.eks.*.amazonaws.com/id/*"];
        let table = table(&names);
        let exact = table.named_by(CLUSTER).unwrap();
        assert_eq!((*exact.value, exact.family), (CLUSTER, None));
        let other = CLUSTER.replace("/A", "/B");
        let of_family = table.named_by(&other).unwrap();
        assert_eq!(of_family.issuer.as_str(), other);
        assert_eq!(of_family.family.unwrap().as_str(), names[1]);
        assert_eq!(*of_family.value, names[1]);
    }

    #[test]
    fn the_family_with_the_fewest_wildcards_has_it_whatever_the_order() {
        let (vague, precise) = (
            "https://oidc.eks.*.amazonaws.com/id/*",
            "https://oidc.eks.us-west-2.amazonaws.com/id/*",
        );
        for names in [[vague, precise], [precise, vague]] {
            assert_eq!(found(&names, CLUSTER), Some(precise));
            assert_eq!(found(&names, &CLUSTER.replace('2', "1")), Some(vague));
        }
    }

    #[test]
    fn of_two_as_precise_the_first_by_its_text_has_it() {
        let (first, second) = ("https://*.b.example/a", "https://a.b.example/*");
        for names in [[first, second], [second, first]] {
            assert_eq!(found(&names, "https://a.b.example/a"), Some(first));
            assert_eq!(found(&names, "https://a.b.example/b"), Some(second));
        }
    }

    #[test]
    fn the_same_name_again_takes_the_others_place() {
        let mut table = IssuerTable::default();
        for name in [CLUSTER, "https://a.example/*"] {
            let name = IssuerName::new(name).unwrap();
            assert_eq!(table.insert(name.clone(), 1), None);
            assert_eq!(table.insert(name, 2), Some(1));
        }
        assert_eq!(table.iter().count(), 2);
    }

    #[test]
    fn an_iss_is_of_a_family_only_as_a_plain_https_url() {
        let names = ["https://oidc.eks.*.amazonaws.com/id/*"];
        assert_eq!(found(&names, CLUSTER), Some(names[0]));
        for other in [
            format!("https://evil.example?{CLUSTER}"),
            format!("https://evil.example#{CLUSTER}"),
            CLUSTER.replace("https://", "https://u@"),
            CLUSTER.replace("https", "http"),
            format!("{CLUSTER}\n"),
            String::new(),
        ] {
            assert_eq!(found(&names, &other), None, "{other:?}");
        }
    }

    #[test]
    fn a_name_is_a_family_by_its_star() {
        assert_eq!(IssuerName::new(CLUSTER).unwrap().as_str(), CLUSTER);
        let one = IssuerName::new("https://");
        assert!(matches!(one, Err(IssuerNameError::One(_))));
        let family = IssuerName::new("https://*.com/x");
        assert!(matches!(
            family,
            Err(IssuerNameError::Family(PatternError::Anybody { .. }))
        ));
    }
}
