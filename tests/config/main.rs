//! The configuration: its files as they are given away, and what each value may be.

mod files;
mod house;
mod issuers;
mod listeners;
mod providers;

use shortleaf::config::{Inputs, load};

const ISSUER: &str = "[[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n";
const LOG: &str = "[[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example/2026\"\nkey = \"log.pub.pem\"\n";

/// An issuer and a log, after these lines.
fn full(top: &str) -> String {
    format!("{top}\n{ISSUER}{LOG}")
}

fn judge(text: &str) -> Result<shortleaf::config::Settings, shortleaf::config::Error> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("shortleaf.toml");
    std::fs::write(&path, text).expect("written");
    load(&Inputs {
        file: Some(path),
        ..Inputs::default()
    })
    .map(|loaded| loaded.settings)
}

/// The key an error is about, whatever kind of error it is.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what is not about a key fails the test"
)]
fn key_of(error: &shortleaf::config::Error) -> String {
    use shortleaf::config::Error;
    match error {
        Error::UnknownKey { key, .. }
        | Error::WrongType { key, .. }
        | Error::BadValue { key, .. }
        | Error::Unusable { key, .. }
        | Error::Missing { key, .. }
        | Error::NeedsSwitch { key, .. } => key.clone(),
        _ => panic!("not about a key: {error}"),
    }
}

/// For each key the settings that are refused because of it, and the same with one thing changed.
fn twins(table: impl IntoIterator<Item = (&'static str, String, String)>) {
    for (key, refused, accepted) in table {
        match judge(&refused) {
            Ok(_) => panic!("accepted, though {key} is wrong:\n{refused}"),
            Err(error) => assert_eq!(key_of(&error), key, "{error}\n{refused}"),
        }
        if let Err(error) = judge(&accepted) {
            panic!("refused, though nothing is wrong: {error}\n{accepted}");
        }
    }
}
