//! Where the value stands that an error is about: on the command line, in a variable, in a line of
//! the file.

use toml::de::{DeTable, DeValue};

use super::{Error, Inputs, file, schema};

/// Where to look, if it is known and the error does not say it already. What nobody set is looked
/// for in the file, where it would be.
pub fn place(inputs: &Inputs, error: &Error) -> Option<String> {
    let line = if let Error::UnknownKey { line, .. } = error {
        Some(*line)
    } else {
        None
    };
    place_or(inputs, error.key()?, line)
}

/// The same for a setting.
pub fn place_of(inputs: &Inputs, key: &str) -> Option<String> {
    place_or(inputs, key, None)
}

fn place_or(inputs: &Inputs, key: &str, known: Option<Option<usize>>) -> Option<String> {
    if inputs.flags.iter().any(|(flag, _)| flag == key) {
        return Some(format!("--set {key}"));
    }
    let variable = schema::variable(key);
    if inputs.environment.iter().any(|(name, _)| *name == variable) {
        return Some(variable);
    }
    let path = inputs.file.as_ref()?;
    let text = file::text(path).ok()?;
    let line = match known {
        Some(line) => line,
        None => {
            let table = DeTable::parse(&text).ok()?;
            offset(table.get_ref(), key).map(|at| file::place(&text, at).0)
        }
    };
    Some(match line {
        Some(line) => format!("{}, line {line}", path.display()),
        None => path.display().to_string(),
    })
}

/// Where a dotted path begins, or the innermost entry of a repeated table that lacks the rest of it.
fn offset(table: &DeTable<'_>, path: &str) -> Option<usize> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let (name, index) = match first.split_once('[') {
        Some((name, index)) => (name, index.strip_suffix(']')?.parse::<usize>().ok()),
        None => (first, None),
    };
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
    let (here, value) = match (value.get_ref(), index) {
        (DeValue::Array(items), Some(index)) => {
            let item = items.get(index)?;
            (item.span().start, item.get_ref())
        }
        (value, _) => (key.span().start, value),
    };
    match (value, rest) {
        (DeValue::Table(inner), Some(rest)) => {
            let inside = offset(inner, rest);
            inside.or_else(|| index.is_some().then_some(here))
        }
        (_, _) => Some(here),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Where an error about `key` is placed, the file's folder aside.
    fn placed(key: &str, flags: &[&str], variables: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path: PathBuf = dir.path().join("x.toml");
        let text = "[server]\nlisten = \"x\"\n\n[[issuer]]\nurl = 1\n\n[[issuer]]\nurl = 2\n\
                    [[ct.log]]\nname = 1\n";
        std::fs::write(&path, text).unwrap();
        let pairs = |names: &[&str]| {
            let pair = |name: &&str| ((*name).to_owned(), String::new());
            names.iter().map(pair).collect::<Vec<_>>()
        };
        let inputs = Inputs {
            file: Some(path),
            environment: pairs(variables),
            flags: pairs(flags),
        };
        let error = Error::Missing {
            key: key.to_owned(),
            why: "",
        };
        let place = place(&inputs, &error).unwrap();
        place.rsplit('/').next().unwrap().to_owned()
    }

    #[test]
    fn a_value_is_found_where_it_was_taken_from() {
        let key = "server.listen";
        assert_eq!(placed(key, &[], &[]), "x.toml, line 2");
        let variable = "SHORTLEAF_SERVER_LISTEN";
        assert_eq!(placed(key, &[], &[variable]), variable);
        assert_eq!(placed(key, &[key], &[variable]), "--set server.listen");
    }

    #[test]
    fn an_entry_of_a_repeated_table_is_found_by_its_number() {
        assert_eq!(placed("issuer[1].url", &[], &[]), "x.toml, line 8");
        assert_eq!(placed("ct.log[0].name", &[], &[]), "x.toml, line 10");
    }

    #[test]
    fn what_an_entry_lacks_is_looked_for_at_its_head() {
        assert_eq!(placed("issuer[1].type", &[], &[]), "x.toml, line 7");
    }

    #[test]
    fn what_stands_nowhere_has_the_file_alone() {
        assert_eq!(placed("ca.key", &[], &[]), "x.toml");
        assert_eq!(placed("server.drain", &[], &[]), "x.toml");
    }
}
