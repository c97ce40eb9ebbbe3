//! The configuration file: read within its limit, parsed as TOML, held against the schema's keys.

use std::io::Read as _;
use std::path::Path;

use toml::Table;
use toml::de::{DeTable, DeValue};

use super::Error;
use super::schema::{self, REPEATED, SETTINGS};
use crate::spelling;

/// Largest configuration file read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The file's text.
pub(super) fn text(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bounded = file.take(MAX_FILE_BYTES + 1);
    bounded.read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE_BYTES,
        });
    }
    Ok(text)
}

/// This file's tables, with no key that is not in the schema.
pub(super) fn parse(path: &Path, text: &str) -> Result<Table, Error> {
    let syntax = |e: toml::de::Error| {
        let at = e.span().map_or(0, |span| span.start);
        let (line, column) = place(text, at);
        Error::Syntax {
            path: path.to_owned(),
            line,
            column,
            // Not its Display, which prints the line: a passphrase may stand there.
            message: e.message().to_owned(),
        }
    };
    refuse_unknown_keys(DeTable::parse(text).map_err(syntax)?.get_ref(), "", text)?;
    toml::from_str(text).map_err(syntax)
}

/// Line and column of an offset, both from 1; columns count characters.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// Walks the file's tables and stops at the first key the schema does not have.
fn refuse_unknown_keys(table: &DeTable<'_>, prefix: &str, text: &str) -> Result<(), Error> {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        let (line, _) = place(text, key.span().start);
        if schema::find(&path).is_some() {
            continue;
        }
        match (value.get_ref(), REPEATED.iter().find(|r| r.table == path)) {
            (DeValue::Array(items), Some(repeated)) => {
                for item in items.iter() {
                    if let DeValue::Table(item) = item.get_ref() {
                        refuse_unknown_item_keys(item, repeated, text)?;
                    }
                }
            }
            (DeValue::Table(inner), None) if is_section(&path) => {
                refuse_unknown_keys(inner, &path, text)?
            }
            (_, Some(_)) => {
                return Err(Error::WrongType {
                    key: path.clone(),
                    message: format!("write it as [[{path}]], once per entry"),
                });
            }
            (_, None) => return Err(unknown_key(&path, Some(line))),
        }
    }
    Ok(())
}

fn refuse_unknown_item_keys(
    item: &DeTable<'_>,
    repeated: &schema::Repeated,
    text: &str,
) -> Result<(), Error> {
    for key in item.keys() {
        let name: &str = key.get_ref();
        if repeated.members.iter().all(|member| member.key != name) {
            let (line, _) = place(text, key.span().start);
            let nearest = spelling::nearest(name, repeated.members.iter().map(|member| member.key));
            return Err(Error::UnknownKey {
                key: format!("{}.{name}", repeated.table),
                line: Some(line),
                nearest: nearest.map(|n| format!("{}.{n}", repeated.table)),
            });
        }
    }
    Ok(())
}

fn is_section(path: &str) -> bool {
    let within = |key: &str| {
        key.strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    SETTINGS.iter().any(|s| within(s.key)) || REPEATED.iter().any(|r| within(r.table))
}

/// A key that is not in the schema.
pub(super) fn unknown_key(path: &str, line: Option<usize>) -> Error {
    let tables = REPEATED.iter().map(|r| r.table);
    let sections = SETTINGS
        .iter()
        .filter_map(|s| Some(s.key.split_once('.')?.0));
    let all = SETTINGS.iter().map(|s| s.key).chain(tables).chain(sections);
    Error::UnknownKey {
        key: path.to_owned(),
        line,
        nearest: spelling::nearest(path, all).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a file of this content.
    fn refused(text: &str) -> Error {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shortleaf.toml");
        std::fs::write(&path, text).unwrap();
        parse(&path, &super::text(&path).unwrap()).unwrap_err()
    }

    /// Key, line and nearest key of the complaint about an unknown one.
    fn unknown(text: &str) -> (String, Option<usize>, Option<String>) {
        let error = refused(text);
        let Error::UnknownKey { key, line, nearest } = error else {
            panic!("{error:?}");
        };
        (key, line, nearest)
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_key() {
        let (key, line, nearest) = unknown("[server]\n\nlissten = \"127.0.0.1:1\"\n");
        assert_eq!((key.as_str(), line), ("server.lissten", Some(3)));
        assert_eq!(nearest.as_deref(), Some("server.listen"));
    }

    #[test]
    fn a_slip_in_the_syntax_names_its_place_and_repeats_nothing_of_the_line() {
        let what = |text: &str| {
            let error = refused(text);
            let words = format!("{error} {error:?}");
            assert!(!words.contains("planted"), "{words}");
            let (_, what) = words.split_once(" is not valid TOML at ").unwrap();
            what[..what.find(" Syntax").unwrap()].to_owned()
        };
        assert_eq!(
            what("[ca]\npassphrase = planted\n"),
            "line 2, column 14: string values must be quoted, expected literal string"
        );
        assert_eq!(
            what("[ca]\nprofile = \"é\" planted\n"),
            "line 2, column 15: unexpected key or value, expected newline, `#`"
        );
        for text in [
            "[ca]\npassphrase = \"planted\n",
            "[ca]\npassphrase = 'planted\n",
            "[ca]\npassphrase = \"\"\"planted",
            "[ca]\npassphrase = \"planted\\q\"",
            "[ca]\npassphrase \"planted\"\n",
            "[ca]\nplanted\n",
            "[ca]\npassphrase = \"planted\"\npassphrase = \"planted\"\n",
            "[ca]\npassphrase = [\"planted\"\n",
            "[ca]\npassphrase = {planted}\n",
            "[ca]\npassphrase = 2026-99-99planted\n",
            "[ca]\npassphrase = 99planted\n",
            "[ca]\npassphrase = \"x\"\npassphrase.planted = 1\n",
        ] {
            what(text);
        }
    }

    #[test]
    fn an_unknown_key_of_an_issuer_names_the_nearest_key_of_issuers() {
        let issuer = "[[issuer]]\nurl = \"https://a.example\"\naudience = [\"x\"]\n";
        let (key, line, nearest) = unknown(issuer);
        assert_eq!((key.as_str(), line), ("issuer.audience", Some(3)));
        assert_eq!(nearest.as_deref(), Some("issuer.audiences"));
    }

    #[test]
    fn a_key_in_the_wrong_section_or_in_none_and_a_section_find_theirs() {
        for (text, meant) in [
            ("listen = \"x\"\n", "server.listen"),
            ("lissten = \"x\"\n", "server.listen"),
            ("[state]\nlisten = \"x\"\n", "server.listen"),
            ("[server]\nretention = \"x\"\n", "state.retention"),
            ("[sever]\nlisten = \"x\"\n", "server"),
            ("[logs]\nlevel = \"x\"\n", "log"),
            ("[[issuers]]\nurl = \"x\"\n", "issuer"),
            ("[[log]]\nname = \"x\"\n", "ct.log"),
            ("[[ci_providers]]\nname = \"x\"\n", "ci_provider"),
        ] {
            let (_, _, nearest) = unknown(text);
            assert_eq!(nearest.as_deref(), Some(meant), "{text}");
        }
        assert_eq!(unknown("[zzzzzzzz]\nx = 1\n").2, None);
    }

    #[test]
    fn an_issuer_written_as_a_plain_table_is_told_how_to_write_it() {
        let error = refused("[issuer]\nurl = \"https://a.example\"\n");
        assert!(matches!(error, Error::WrongType { key, .. } if key == "issuer"));
    }
}
