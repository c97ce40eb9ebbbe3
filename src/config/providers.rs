//! Judging `[[ci_provider]]`: providers that neither a preset nor Fulcio's file describes.
//!
//! An operator's table goes through the constructor that ours go through; what is wrong with it is
//! told at its key.

use std::sync::Arc;

use super::judge::{bad, unusable};
use super::{Error, raw};
use crate::identity::{Definition, Provider, ProviderError, Providers, extension_name};

pub(super) fn judge(raw: Vec<raw::CiProvider>) -> Result<Providers, Error> {
    let mut providers = Providers::new();
    for (index, entry) in raw.into_iter().enumerate() {
        let key = |name: &str| format!("ci_provider[{index}].{name}");
        let provider = Arc::new(provider(&entry, &key)?);
        if entry.name.is_empty() {
            let why = "an issuer could not name it";
            return Err(bad(key("name"), entry.name, why));
        }
        if providers.contains_key(&entry.name) {
            let why = "another [[ci_provider]] has this name";
            return Err(bad(key("name"), entry.name, why));
        }
        providers.insert(entry.name, provider);
    }
    Ok(providers)
}

fn provider(entry: &raw::CiProvider, key: &dyn Fn(&str) -> String) -> Result<Provider, Error> {
    let mut extensions = Vec::new();
    for (name, template) in &entry.extensions {
        // The schema has no other key; a test holds the two against each other.
        let arc = arc(name).ok_or_else(|| Error::UnknownKey {
            key: key(name),
            line: None,
            nearest: None,
        })?;
        extensions.push((arc, template.as_str()));
    }
    let required: Vec<_> = entry.required_claims.iter().map(String::as_str).collect();
    let defaults = entry.default_values.iter();
    let defaults: Vec<_> = defaults.map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let provider = Provider::new(Definition {
        defaults: &defaults,
        required: &required,
        extensions: &extensions,
        san: &entry.san,
        ..Definition::EMPTY
    });
    provider.map_err(|error| {
        let (name, template) = match &error {
            ProviderError::NoSan | ProviderError::San(_) => ("san", entry.san.as_str()),
            ProviderError::Extension { arc: of, .. }
            | ProviderError::NotTemplated { arc: of }
            | ProviderError::Twice { arc: of } => {
                let mut all = entry.extensions.iter();
                let found = all.find(|(name, _)| arc(name) == Some(*of));
                found.map_or(("name", ""), |(name, text)| (name, text))
            }
        };
        unusable(key(name), template, error)
    })
}

/// The extension of a key: `build_signer_uri` is .9, whose name is Build Signer URI.
fn arc(key: &str) -> Option<u8> {
    let is_it = |name: &str| name.to_lowercase().replace(' ', "_") == key;
    (1..=u8::MAX).find(|arc| extension_name(*arc).is_some_and(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::REPEATED;

    #[test]
    fn every_extension_that_may_have_a_template_has_a_key_and_no_other() {
        let table = REPEATED.iter().find(|table| table.table == "ci_provider");
        let members = table.unwrap().members.iter();
        let arcs: Vec<_> = members.filter_map(|member| arc(member.key)).collect();
        assert_eq!(arcs, (2..=6).chain(9..=23).collect::<Vec<_>>());
        let own = ["name", "san", "required_claims", "default_values"];
        assert_eq!(arcs.len() + own.len(), table.unwrap().members.len());
    }
}
