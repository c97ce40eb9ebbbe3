//! Laying file, environment and flags over the defaults, with the source of each value kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use toml::{Table, Value};

use super::effective::{Effective, Source};
use super::raw::Raw;
use super::schema::{self, Kind, REPEATED, Repeated, SETTINGS};
use super::{Error, Settings, file};
use crate::hash::sha256;
use crate::spelling;

/// The variables with our prefix that are not settings: the configuration file's own path, what
/// `dev` writes for clients, and what the tests, benches and continuous integration use.
const OTHER_VARIABLES: &[&str] = &[
    "SHORTLEAF_CONFIG",
    "SHORTLEAF_SERVER",
    "SHORTLEAF_OPS_URL",
    "SHORTLEAF_PARTS",
    "SHORTLEAF_KILLS",
    "SHORTLEAF_REGENERATE",
];
const OTHER_PREFIXES: &[&str] = &["SHORTLEAF_TEST_", "SHORTLEAF_BENCH_"];

/// Where values may come from.
#[derive(Clone, Default)]
pub struct Inputs {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment; names without our prefix are ignored.
    pub environment: Vec<(String, String)>,
    /// Flags: a setting's key and its value as text.
    pub flags: Vec<(String, String)>,
}

/// Names only: a value may be a passphrase.
impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn names(pairs: &[(String, String)]) -> Vec<&str> {
            pairs.iter().map(|(name, _)| name.as_str()).collect()
        }
        f.debug_struct("Inputs")
            .field("file", &self.file)
            .field("environment", &names(&self.environment))
            .field("flags", &names(&self.flags))
            .finish()
    }
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where each came from.
    pub effective: Effective,
    /// What they were read from, to be read again.
    pub inputs: Inputs,
    /// SHA-256 of the file as it was.
    pub file_hash: Option<[u8; 32]>,
}

/// What a configuration is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To issue.
    Issuing,
    /// To know whose tokens would buy certificates.
    Looking,
}

/// Reads, merges and judges the configuration.
pub fn load(inputs: &Inputs) -> Result<Loaded, Error> {
    read(inputs, Purpose::Issuing)
}

/// The same where nothing will be issued: a configuration that names no log yet will do.
pub fn load_to_look(inputs: &Inputs) -> Result<Loaded, Error> {
    read(inputs, Purpose::Looking)
}

fn read(inputs: &Inputs, purpose: Purpose) -> Result<Loaded, Error> {
    let mut table = Table::new();
    let mut sources = BTreeMap::new();
    let mut file_hash = None;
    if let Some(path) = &inputs.file {
        let text = file::text(path)?;
        file_hash = Some(sha256(&[text.as_bytes()]));
        table = file::parse(path, &text)?;
        let source = Source::File(path.clone());
        for setting in SETTINGS {
            if lookup(&table, setting.key).is_some() {
                refuse_secret(setting, &source)?;
                sources.insert(setting.key.to_owned(), source.clone());
            }
        }
        // Only the file can hold repeated tables.
        for repeated in REPEATED {
            for (index, item) in items(&table, repeated).enumerate() {
                for name in item.as_table().into_iter().flat_map(Table::keys) {
                    sources.insert(member_key(repeated, index, name), source.clone());
                }
            }
        }
    }
    for (name, text) in &inputs.environment {
        if let Some(key) = setting_of_variable(name)? {
            insert(&mut table, key, parse_text(key, text)?)?;
            sources.insert(key.to_owned(), Source::Environment(name.clone()));
        }
    }
    for (key, text) in &inputs.flags {
        let setting = schema::find(key).ok_or_else(|| file::unknown_key(key, None))?;
        refuse_secret(setting, &Source::Flag)?;
        insert(&mut table, setting.key, parse_text(setting.key, text)?)?;
        sources.insert(setting.key.to_owned(), Source::Flag);
    }
    for setting in SETTINGS {
        let Some(default) = setting.default else {
            continue;
        };
        if lookup(&table, setting.key).is_none() {
            insert(&mut table, setting.key, default_value(default))?;
        }
    }
    if purpose == Purpose::Looking && lookup(&table, "ct.log").is_none() {
        insert(&mut table, "ct.mode", Value::String("off".to_owned()))?;
    }
    for repeated in REPEATED {
        for item in items_mut(&mut table, repeated) {
            lay_defaults(repeated, item);
        }
    }
    for setting in SETTINGS {
        if let Some(value) = lookup(&table, setting.key) {
            check_type(setting.key, setting.kind, setting.secret, value)?;
        }
    }
    for repeated in REPEATED {
        for (index, item) in items(&table, repeated).enumerate() {
            check_item(repeated, index, item)?;
        }
    }
    let mut effective = Effective::of(&table, &sources);
    // Types and needed keys were judged by the schema; only a struct that disagrees with it fails.
    let raw = Raw::deserialize(Value::Table(table)).map_err(|e| Error::WrongType {
        key: "configuration".to_owned(),
        message: e.message().to_owned(),
    })?;
    let settings = Settings::judge(raw)?;
    effective.complete(&settings);
    Ok(Loaded {
        settings,
        effective,
        inputs: inputs.clone(),
        file_hash,
    })
}

/// Files are copied and kept, and every user of a machine can list its command lines.
fn refuse_secret(setting: &schema::Setting, source: &Source) -> Result<(), Error> {
    if !setting.secret {
        return Ok(());
    }
    Err(Error::BadValue {
        key: setting.key.to_owned(),
        value: format!("(hidden, in {source})"),
        why: "a passphrase does not belong there; name a file with `ca.passphrase_file` or set SHORTLEAF_CA_PASSPHRASE",
    })
}

/// The setting an environment variable names; `None` for variables that are not ours to read.
fn setting_of_variable(name: &str) -> Result<Option<&'static str>, Error> {
    if !name.starts_with("SHORTLEAF_")
        || OTHER_VARIABLES.contains(&name)
        || OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    {
        return Ok(None);
    }
    if let Some(setting) = SETTINGS.iter().find(|s| schema::variable(s.key) == name) {
        return Ok(Some(setting.key));
    }
    // With its section and without: `SHORTLEAF_LISTEN` is meant as well as it can be said.
    let mut spellings = Vec::new();
    for setting in SETTINGS {
        let (_, alone) = setting.key.rsplit_once('.').unwrap_or_default();
        spellings.push((schema::variable(setting.key), setting.key));
        spellings.push((schema::variable(alone), setting.key));
    }
    let prefix = schema::variable("").len();
    let word = &name[prefix..];
    let texts = || spellings.iter().map(|(text, key)| (&text[prefix..], key));
    let spelled = |word: &str| texts().find(|(text, _)| *text == word);
    let near = || spelling::nearest(word, texts().map(|(text, _)| text)).and_then(spelled);
    let nearest = spelled(word).or_else(near);
    let nearest = nearest.map(|(_, key)| schema::variable(key));
    Err(Error::UnknownVariable {
        name: name.to_owned(),
        nearest,
    })
}

/// Turns text from the environment or a flag into the setting's type.
fn parse_text(key: &'static str, text: &str) -> Result<Value, Error> {
    let wrong = |message: String| Error::WrongType {
        key: key.to_owned(),
        message,
    };
    match schema::find(key).map(|s| s.kind) {
        Some(Kind::Text) | None => Ok(Value::String(text.to_owned())),
        Some(Kind::Bool) => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| wrong(format!("{text:?} is neither true nor false"))),
        Some(Kind::Integer) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| wrong(format!("{text:?} is not a whole number"))),
        Some(Kind::List) => Ok(Value::Array(
            text.split(',')
                .map(|item| Value::String(item.trim().to_owned()))
                .collect(),
        )),
        Some(Kind::Texts) => Err(wrong("only the file has room for it".to_owned())),
    }
}

/// Refuses a value of another type, by its key; the deserializer would not know it.
fn check_type(key: &str, kind: Kind, secret: bool, value: &Value) -> Result<(), Error> {
    let (fits, wanted) = match kind {
        Kind::Text => (value.is_str(), "a text in quotes"),
        Kind::Bool => (value.is_bool(), "true or false, without quotes"),
        Kind::Integer => (value.is_integer(), "a whole number"),
        Kind::List => (
            value
                .as_array()
                .is_some_and(|items| items.iter().all(Value::is_str)),
            "a list of texts",
        ),
        Kind::Texts => (
            value
                .as_table()
                .is_some_and(|items| items.values().all(Value::is_str)),
            "a table of texts, such as { environment = \"none\" }",
        ),
    };
    if fits {
        return Ok(());
    }
    let got = if secret {
        "it is not".to_owned()
    } else {
        format!("{value} is not")
    };
    Err(Error::WrongType {
        key: key.to_owned(),
        message: format!("{got} {wanted}"),
    })
}

/// The same for an entry of a repeated table, which must also have what it cannot do without.
fn check_item(repeated: &Repeated, index: usize, item: &Value) -> Result<(), Error> {
    let table = repeated.table;
    let Some(item) = item.as_table() else {
        return Err(Error::WrongType {
            key: format!("{table}[{index}]"),
            message: format!("write it as [[{table}]], once per entry"),
        });
    };
    for member in repeated.members {
        let key = member_key(repeated, index, member.key);
        match (item.get(member.key), member.needed_for) {
            (Some(value), _) => check_type(&key, member.kind, false, value)?,
            (None, Some(why)) => return Err(Error::Missing { key, why }),
            (None, None) => {}
        }
    }
    Ok(())
}

/// The dotted path of a member of a repeated table's entry.
pub(super) fn member_key(repeated: &Repeated, index: usize, member: &str) -> String {
    format!("{}[{index}].{member}", repeated.table)
}

/// Gives an entry of a repeated table what the file leaves to the defaults.
fn lay_defaults(repeated: &Repeated, item: &mut Value) {
    let Some(item) = item.as_table_mut() else {
        return; // judged with the others' types
    };
    for member in repeated.members {
        if let Some(default) = member.default {
            item.entry(member.key)
                .or_insert_with(|| default_value(default));
        }
    }
}

/// The entries of a repeated table, to be changed.
fn items_mut<'t>(table: &'t mut Table, repeated: &Repeated) -> impl Iterator<Item = &'t mut Value> {
    let items = match repeated.table.split_once('.') {
        Some((section, name)) => table.get_mut(section).and_then(|s| s.get_mut(name)),
        None => table.get_mut(repeated.table),
    };
    items
        .and_then(Value::as_array_mut)
        .into_iter()
        .flat_map(|items| items.iter_mut())
}

/// The entries of a repeated table.
pub(super) fn items<'t>(table: &'t Table, repeated: &Repeated) -> impl Iterator<Item = &'t Value> {
    let items = match repeated.table.split_once('.') {
        Some((section, name)) => table.get(section).and_then(|s| s.get(name)),
        None => table.get(repeated.table),
    };
    items.and_then(Value::as_array).into_iter().flatten()
}

fn default_value(literal: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("v = {literal}"));
    let value = parsed.ok().and_then(|mut table| table.remove("v"));
    value.expect("the schema's own literals, every one of which a test parses")
}

pub(super) fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let (section, name) = key.rsplit_once('.')?;
    table.get(section)?.as_table()?.get(name)
}

fn insert(table: &mut Table, key: &str, value: Value) -> Result<(), Error> {
    let wrong = |key: &str| Error::WrongType {
        key: key.to_owned(),
        message: "expected a table".to_owned(),
    };
    let (section, name) = key.rsplit_once('.').ok_or_else(|| wrong(key))?;
    let inner = table
        .entry(section)
        .or_insert_with(|| Value::Table(Table::new()));
    inner
        .as_table_mut()
        .ok_or_else(|| wrong(section))?
        .insert(name.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, Inputs) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shortleaf.toml");
        std::fs::write(&path, text).unwrap();
        (
            dir,
            Inputs {
                file: Some(path),
                ..Inputs::default()
            },
        )
    }

    const ISSUER_AND_LOG: &str = r#"
[[issuer]]
url = "https://token.actions.githubusercontent.com"
type = "github-workflow"
audiences = ["https://ca.example"]
[[ct.log]]
kind = "rfc6962"
name = "log"
url = "https://log.example/2026"
key = "log.pub.pem"
"#;

    fn value(loaded: &Loaded, key: &str) -> (String, Source) {
        let row = loaded
            .effective
            .0
            .iter()
            .find(|(k, _, _)| k == key)
            .unwrap();
        (row.1.clone(), row.2.clone())
    }

    #[test]
    fn every_default_is_what_the_schema_says() {
        for setting in SETTINGS {
            if let Some(default) = setting.default {
                let value =
                    toml::from_str::<Table>(&format!("v = {default}")).unwrap()["v"].clone();
                assert_eq!(default_value(default), value, "{}", setting.key);
            }
        }
        for member in REPEATED.iter().flat_map(|repeated| repeated.members) {
            if let Some(default) = member.default {
                let value =
                    toml::from_str::<Table>(&format!("v = {default}")).unwrap()["v"].clone();
                assert_eq!(default_value(default), value, "{}", member.key);
            }
        }
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
        let (_dir, mut inputs) = file(&format!(
            "[server]\nlisten = \"127.0.0.1:1\"\n{ISSUER_AND_LOG}"
        ));
        let loaded = load(&Inputs {
            file: inputs.file.clone(),
            ..Inputs::default()
        })
        .unwrap();
        assert_eq!(
            value(&loaded, "server.listen"),
            (
                "\"127.0.0.1:1\"".to_owned(),
                Source::File(inputs.file.clone().unwrap())
            )
        );
        assert_eq!(
            value(&loaded, "server.drain"),
            ("\"20s\"".to_owned(), Source::Default)
        );
        inputs.environment.push((
            "SHORTLEAF_SERVER_LISTEN".to_owned(),
            "127.0.0.1:2".to_owned(),
        ));
        let loaded = load(&inputs).unwrap();
        assert_eq!(
            value(&loaded, "server.listen").1,
            Source::Environment("SHORTLEAF_SERVER_LISTEN".to_owned())
        );
        inputs
            .flags
            .push(("server.listen".to_owned(), "127.0.0.1:3".to_owned()));
        let loaded = load(&inputs).unwrap();
        assert_eq!(
            value(&loaded, "server.listen"),
            ("\"127.0.0.1:3\"".to_owned(), Source::Flag)
        );
        assert_eq!(
            loaded.settings.server.listen,
            "127.0.0.1:3".parse().unwrap()
        );
    }

    #[test]
    fn an_unknown_variable_with_our_prefix_is_refused_and_a_test_variable_is_not() {
        let (_dir, mut inputs) = file(ISSUER_AND_LOG);
        inputs
            .environment
            .push(("SHORTLEAF_TEST_REQUIRE".to_owned(), "all".to_owned()));
        load(&inputs).unwrap();
        inputs
            .environment
            .push(("SHORTLEAF_SERVER_LISSEN".to_owned(), "x".to_owned()));
        match load(&inputs) {
            Err(Error::UnknownVariable { nearest, .. }) => {
                assert_eq!(nearest.as_deref(), Some("SHORTLEAF_SERVER_LISTEN"))
            }
            other => panic!("{other:?}"),
        }
        for (name, meant) in [
            ("SHORTLEAF_LISTEN", Some("SHORTLEAF_SERVER_LISTEN")),
            ("SHORTLEAF_OPS_LISTEN", Some("SHORTLEAF_SERVER_OPS_LISTEN")),
            ("SHORTLEAF_STATEDIR", Some("SHORTLEAF_STATE_DIR")),
            ("SHORTLEAF_CA_CRL", Some("SHORTLEAF_CA_CRL_URL")),
            ("SHORTLEAF_ZZZZZZZZZZZZZZZZZZZZZZ", None),
        ] {
            let error = setting_of_variable(name).unwrap_err();
            let Error::UnknownVariable { nearest, .. } = error else {
                panic!("{error:?}");
            };
            assert_eq!(nearest.as_deref(), meant, "{name}");
        }
    }

    #[test]
    fn a_passphrase_is_hidden_and_may_not_stand_in_the_file() {
        let (_dir, mut inputs) = file(ISSUER_AND_LOG);
        inputs.environment.push((
            "SHORTLEAF_CA_PASSPHRASE".to_owned(),
            "planted-secret".to_owned(),
        ));
        let loaded = load(&inputs).unwrap();
        assert_eq!(value(&loaded, "ca.passphrase").0, "(hidden)");
        assert!(!format!("{loaded:?}").contains("planted-secret"));
        assert!(!format!("{inputs:?}").contains("planted-secret"));
        let (_dir, inputs) = file(&format!(
            "[ca]\npassphrase = \"planted-secret\"\n{ISSUER_AND_LOG}"
        ));
        let refused = load(&inputs).unwrap_err();
        assert!(matches!(&refused, Error::BadValue { key, .. } if key == "ca.passphrase"));
        assert!(!format!("{refused:?} {refused}").contains("planted-secret"));
    }

    #[test]
    fn the_digest_is_of_the_values_whatever_their_source_and_of_no_secret() {
        let (_dir, plain) = file(ISSUER_AND_LOG);
        let digest = |variables: &[(&str, &str)]| {
            let variables = variables.iter();
            let variables = variables.map(|(name, value)| ((*name).into(), (*value).into()));
            let inputs = Inputs {
                environment: variables.collect(),
                ..plain.clone()
            };
            load(&inputs).unwrap().effective.digest()
        };
        let usual = digest(&[]);
        assert_eq!(digest(&[("SHORTLEAF_LOG_LEVEL", "info")]), usual);
        assert_ne!(digest(&[("SHORTLEAF_LOG_LEVEL", "debug")]), usual);
        let secret = |value| digest(&[("SHORTLEAF_CA_PASSPHRASE", value)]);
        assert_eq!(secret("planted-secret"), secret("another"));
    }

    #[test]
    fn a_passphrase_may_not_be_a_flag_that_every_user_can_list() {
        let (_dir, mut inputs) = file(ISSUER_AND_LOG);
        inputs
            .flags
            .push(("ca.passphrase".to_owned(), "planted-secret".to_owned()));
        let refused = load(&inputs).unwrap_err();
        assert!(matches!(&refused, Error::BadValue { key, .. } if key == "ca.passphrase"));
        assert!(!format!("{refused:?} {refused} {inputs:?}").contains("planted-secret"));
    }

    #[test]
    fn a_shell_that_read_the_development_environment_can_still_configure() {
        let (_dir, mut inputs) = file(ISSUER_AND_LOG);
        for name in ["SHORTLEAF_SERVER", "SHORTLEAF_OPS_URL"] {
            let url = "http://127.0.0.1:1".to_owned();
            inputs.environment.push((name.to_owned(), url));
        }
        assert!(load(&inputs).is_ok());
    }
}
