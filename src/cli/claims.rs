//! Claims from the command line: a file, standard input, or the JSON itself. Nobody vouches for them.

use std::path::Path;

use super::exit::Exit;
use super::files;
use super::output::{Failure, chain};
use crate::json::{self, Object, Value};
use crate::token::{IssuerUrl, MAX_TOKEN_BYTES};

/// What `--claims` says: JSON where it begins with `{`, else a file or `-`.
pub(super) fn read(word: &str) -> Result<Object, Failure> {
    if word.trim_start().starts_with('{') {
        return parse(word.as_bytes(), "--claims");
    }
    let bytes = files::read_or_stdin(Path::new(word), MAX_TOKEN_BYTES as u64)?;
    parse(&bytes, word)
}

/// Reads a JSON object as a token's claims are read; `name` is where it stands.
pub(super) fn parse(bytes: &[u8], name: &str) -> Result<Object, Failure> {
    let wrong = |what: String| {
        Failure::new(Exit::Usage, format!("{name} is no set of claims: {what}"))
            .hint("a JSON object such as {\"iss\": \"https://…\", \"sub\": \"…\"}")
    };
    match json::parse(bytes) {
        Ok(Value::Object(claims)) => Ok(claims),
        Ok(_) => Err(wrong("not an object".to_owned())),
        Err(error) => Err(wrong(chain(&error))),
    }
}

/// The `iss` of claims that `name` holds.
pub(super) fn issuer(claims: &Object, name: &str) -> Result<IssuerUrl, Failure> {
    let text = claims.get("iss").and_then(Value::as_str);
    let text = text.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{name} has no text \"iss\""))
            .hint("rules are about an issuer's tokens: add its \"iss\"")
    })?;
    issuer_url(text)
}

/// An issuer, exactly as tokens spell it.
pub(super) fn issuer_url(text: &str) -> Result<IssuerUrl, Failure> {
    IssuerUrl::new(text).map_err(|e| {
        Failure::from_error(Exit::Usage, &e)
            .hint("an issuer is a URL such as https://token.actions.githubusercontent.com")
    })
}
