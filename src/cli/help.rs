//! `help exit-codes`, `help environment`, `help files`, and `completion`.

use clap::{CommandFactory, ValueEnum};
use serde_json::json;

use super::exit::Exit;
use super::output::{Failure, Output};
use crate::config::schema;

/// What `help` knows about.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Topic {
    /// Every exit code and its meaning.
    ExitCodes,
    /// Every environment variable that is read.
    Environment,
    /// Every file that is read or written.
    Files,
}

/// Variables that are not settings.
const VARIABLES: &[(&str, &str)] = &[
    ("SHORTLEAF_CONFIG", "configuration file"),
    ("SHORTLEAF_SERVER", "the CA for `cert`"),
    (
        "SIGSTORE_ID_TOKEN",
        "OIDC token for `cert`, secret; before any platform is asked",
    ),
    (
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "where `cert` asks for a token on GitHub Actions",
    ),
    (
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "the credential for it, secret",
    ),
    (
        "GITHUB_ACTIONS",
        "set by GitHub: the token is masked, a missing permission is named",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "PEM roots to believe in the place of the system's, for every https connection made",
    ),
    ("OIDC_ISSUER", "the issuer `dev token` asks"),
    ("XDG_CONFIG_HOME, HOME", "where configuration is looked for"),
    (
        "TMPDIR",
        "where `dev` and `demo` keep their temporary folder",
    ),
    ("NO_COLOR, CLICOLOR, CLICOLOR_FORCE", "colour"),
];

/// Variables whose value is not shown.
const SECRET: &[&str] = &["SIGSTORE_ID_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"];

const FILES: &[(&str, &str)] = &[
    (
        "./shortleaf.toml",
        "configuration, if --config and SHORTLEAF_CONFIG name no other",
    ),
    (
        "$XDG_CONFIG_HOME/shortleaf/config.toml",
        "configuration, next",
    ),
    ("/etc/shortleaf/config.toml", "configuration, last"),
    (
        "ca.chain, ca.key, ca.passphrase_file",
        "what `serve` signs with; `ca init` writes them",
    ),
    ("<state.dir>/issuance.redb", "issuance records"),
    (
        "<state.dir>/issuance.journal",
        "issuance records not yet in issuance.redb; belongs to it",
    ),
    (
        "<state.dir>/audit.log",
        "audit log, hash-chained JSON lines",
    ),
    (
        "/var/run/sigstore/cosign/oidc-token",
        "token for `cert`, if no other is given",
    ),
];

pub(super) fn run(words: &[String], out: &Output) -> Result<(), Failure> {
    let topic = match words {
        [word] => Topic::from_str(word, false).ok(),
        _ => None,
    };
    let Some(topic) = topic else {
        return of_command(words, out);
    };
    let mut rows: Vec<Vec<String>> = match topic {
        Topic::ExitCodes => Exit::ALL
            .iter()
            .map(|e| {
                vec![
                    e.code().to_string(),
                    e.word().to_owned(),
                    e.meaning().to_owned(),
                ]
            })
            .collect(),
        Topic::Environment => {
            let settings = schema::SETTINGS
                .iter()
                .map(|s| vec![schema::variable(s.key), format!("setting {}", s.key)]);
            settings.chain(VARIABLES.iter().map(pair)).collect()
        }
        Topic::Files => FILES.iter().map(pair).collect(),
    };
    if matches!(topic, Topic::Environment) {
        for row in &mut rows {
            if let [name, meaning] = &mut row[..]
                && let Some(value) = value(name)
            {
                meaning.push_str(&format!(" = {value}"));
            }
        }
    }
    if out.json {
        return out.json(json!({ "rows": rows }));
    }
    for line in aligned(&rows) {
        out.result(&line)?;
    }
    Ok(())
}

/// What `--help` of this command prints; of no command, of the program.
fn of_command(words: &[String], out: &Output) -> Result<(), Failure> {
    let mut command = &super::Cli::command();
    for word in words {
        command = command.find_subcommand(word).ok_or_else(|| {
            let text = format!("there is no command and no topic {word:?}");
            Failure::new(Exit::Usage, text)
                .hint("shortleaf help; topics are exit-codes, environment, files")
        })?;
    }
    let line = ["shortleaf"]
        .into_iter()
        .chain(words.iter().map(String::as_str));
    let asked = super::Cli::command().try_get_matches_from(line.chain(["--help"]));
    // clap's way to hand out help.
    let help = asked.map_or_else(|help| help.render().to_string(), |_| String::new());
    out.raw(help.as_bytes())?;
    match words {
        [] => out.result("\nTopics: shortleaf help exit-codes | environment | files"),
        _ => Ok(()),
    }
}

fn pair((name, meaning): &(&str, &str)) -> Vec<String> {
    vec![(*name).to_owned(), (*meaning).to_owned()]
}

/// The rows as lines, every column but the last as wide as its widest text.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|r| r.get(column))
            .map(String::len)
            .max()
    };
    let line = |row: &Vec<String>| {
        let (last, before) = row.split_last()?;
        let cells = before.iter().enumerate().map(|(column, text)| {
            let width = width(column).unwrap_or(0);
            format!("{text:<width$}  ")
        });
        Some(cells.collect::<String>() + last)
    };
    rows.iter().filter_map(line).collect()
}

/// What a variable is set to, secrets hidden.
fn value(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?;
    let secret = schema::SETTINGS
        .iter()
        .filter(|setting| setting.secret)
        .any(|setting| schema::variable(setting.key) == name);
    if secret || SECRET.contains(&name) {
        return Some("(hidden)".to_owned());
    }
    Some(format!("{value:?}"))
}

pub(super) fn completion(shell: clap_complete::Shell, out: &Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::Cli::command(), "shortleaf", &mut script);
    out.raw(&script)
}
