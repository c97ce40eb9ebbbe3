//! Every setting's value in force and where it came from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;

use toml::{Table, Value};

use super::Settings;
use super::load::{items, lookup, member_key};
use super::schema::{Member, REPEATED, SETTINGS};
use crate::hash::sha256;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// The file.
    File(PathBuf),
    /// The variable of this name.
    Environment(String),
    /// The issuer's preset.
    Preset(&'static str),
    /// A flag.
    Flag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Preset(word) => write!(f, "preset {word}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// Every setting's value in force and its source, secrets hidden and what is not set among them; in
/// the order of the schema.
#[derive(Clone, Debug)]
pub struct Effective(pub Vec<(String, String, Source)>);

impl Effective {
    /// The setting that is this text: a path, or an issuer's URL.
    pub fn key_of(&self, text: &str) -> Option<&str> {
        let shown = Value::String(text.to_owned()).to_string();
        let mut rows = self.0.iter();
        rows.find(|(_, value, _)| *value == shown)
            .map(|(key, ..)| key.as_str())
    }

    /// The settings of this table, as they came from these sources.
    pub(super) fn of(table: &Table, sources: &BTreeMap<String, Source>) -> Self {
        let row = |key: String, value: Option<&Value>, secret: bool| {
            let shown = match value {
                None => NOT_SET.to_owned(),
                Some(_) if secret => "(hidden)".to_owned(),
                Some(value) => value.to_string(),
            };
            let source = sources.get(&key).cloned().unwrap_or(Source::Default);
            (key, shown, source)
        };
        let mut rows: Vec<_> = SETTINGS
            .iter()
            .map(|s| row(s.key.to_owned(), lookup(table, s.key), s.secret))
            .collect();
        for repeated in REPEATED {
            for (index, item) in items(table, repeated).enumerate() {
                let member = |member: &Member| {
                    let key = member_key(repeated, index, member.key);
                    row(key, item.get(member.key), false)
                };
                rows.extend(repeated.members.iter().map(member));
            }
        }
        Self(rows)
    }

    /// Puts in what an issuer has from its preset, or because it names nothing else.
    pub(super) fn complete(&mut self, settings: &Settings) {
        let mut open = HashMap::new();
        for (key, shown, source) in &mut self.0 {
            if shown == NOT_SET {
                open.insert(key.as_str(), (shown, source));
            }
        }
        for (index, issuer) in settings.issuers.iter().enumerate() {
            let audiences: Vec<_> = issuer.audiences.iter().map(|a| format!("{a:?}")).collect();
            for (name, value) in [
                ("url", format!("{:?}", issuer.name.as_str())),
                ("audiences", format!("[{}]", audiences.join(", "))),
                ("max_token_age", span(issuer.max_token_age_s)),
                ("max_token_lifetime", span(issuer.max_token_lifetime_s)),
                (
                    "certificates_per_token",
                    issuer.certificates_per_token.to_string(),
                ),
            ] {
                let key = format!("issuer[{index}].{name}");
                if let Some((shown, source)) = open.get_mut(key.as_str()) {
                    let preset = issuer.preset.map(|preset| Source::Preset(preset.as_str()));
                    (**shown, **source) = (value, preset.unwrap_or(Source::Default));
                }
            }
        }
    }

    /// SHA-256 over every key with its value, secrets hidden: equal where two instances, or two
    /// starts of one, run with the same settings, wherever each value came from. What stands in
    /// the files that settings name is not in it.
    pub fn digest(&self) -> [u8; 32] {
        self.digest_of(|_| true)
    }

    /// The same over the keys that are `meant`.
    pub fn digest_of(&self, meant: impl Fn(&str) -> bool) -> [u8; 32] {
        // TOML prints no octet of zero, so no two lists run together into the same octets.
        let rows = self.0.iter().filter(|(key, _, _)| meant(key));
        let text: String = rows
            .map(|(key, value, _)| format!("{key}\0{value}\0"))
            .collect();
        sha256(&[text.as_bytes()])
    }

    /// The keys whose values differ, in order.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let values = |of: &Self| -> BTreeMap<String, String> {
            let rows = of.0.iter();
            rows.map(|(key, value, _)| (key.clone(), value.clone()))
                .collect()
        };
        let (own, others) = (values(self), values(other));
        let keys: BTreeSet<_> = own.keys().chain(others.keys()).collect();
        let keys = keys.into_iter();
        keys.filter(|key| own.get(*key) != others.get(*key))
            .cloned()
            .collect()
    }
}

/// What stands for a setting that has no default and is not set.
const NOT_SET: &str = "(not set)";

/// A time as the file writes it.
fn span(seconds: i64) -> String {
    match seconds {
        s if s % 3600 == 0 => format!("\"{}h\"", s / 3600),
        s if s % 60 == 0 => format!("\"{}m\"", s / 60),
        s => format!("\"{s}s\""),
    }
}
