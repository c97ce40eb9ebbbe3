//! The configuration file: read within its limit, parsed as TOML, held against the schema's keys.

use std::path::Path;

use toml::Table;
use toml::de::{DeTable, DeValue};

use super::Error;
use super::schema::{self, REPEATED, SETTINGS};

/// Largest configuration file read, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The file's tables, with no key that is not in the schema.
pub(super) fn read(path: &Path) -> Result<Table, Error> {
    let unreadable = |source| Error::Unreadable {
        path: path.to_owned(),
        source,
    };
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_FILE_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE_BYTES,
        });
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let syntax = |e: toml::de::Error| Error::Syntax {
        path: path.to_owned(),
        message: e.to_string(),
    };
    refuse_unknown_keys(DeTable::parse(&text).map_err(syntax)?.get_ref(), "", &text)?;
    toml::from_str(&text).map_err(syntax)
}

/// Walks the file's tables and stops at the first key the schema does not have.
fn refuse_unknown_keys(table: &DeTable<'_>, prefix: &str, text: &str) -> Result<(), Error> {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        let line = text[..key.span().start].matches('\n').count() + 1;
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
                    message: format!("write it as [[{path}]], once per entry (line {line})"),
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
        if !repeated.keys.contains(&name) {
            let line = text[..key.span().start].matches('\n').count() + 1;
            let nearest = schema::nearest(name, repeated.keys.iter().copied());
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
    let all = SETTINGS
        .iter()
        .map(|s| s.key)
        .chain(REPEATED.iter().map(|r| r.table));
    Error::UnknownKey {
        key: path.to_owned(),
        line,
        nearest: schema::nearest(path, all).map(str::to_owned),
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
        read(&path).unwrap_err()
    }

    #[test]
    fn an_unknown_key_names_its_line_and_the_nearest_key() {
        match refused("[server]\n\nlissten = \"127.0.0.1:1\"\n") {
            Error::UnknownKey { key, line, nearest } => {
                assert_eq!(
                    (key.as_str(), line, nearest.as_deref()),
                    ("server.lissten", Some(3), Some("server.listen"))
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_unknown_key_of_an_issuer_names_the_nearest_key_of_issuers() {
        match refused("[[issuer]]\nurl = \"https://a.example\"\naudience = [\"x\"]\n") {
            Error::UnknownKey { key, line, nearest } => {
                assert_eq!(
                    (key.as_str(), line, nearest.as_deref()),
                    ("issuer.audience", Some(3), Some("issuer.audiences"))
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_issuer_written_as_a_plain_table_is_told_how_to_write_it() {
        let error = refused("[issuer]\nurl = \"https://a.example\"\n");
        assert!(matches!(error, Error::WrongType { key, .. } if key == "issuer"));
    }
}
