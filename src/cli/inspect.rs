//! `inspect`: what a certificate says, every extension by name.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value as Json, json};

use super::exit::Exit;
use super::files;
use super::output::{Failure, Output};
use crate::hex;
use crate::verify::{Inspection, Name, Value, inspect};
use crate::x509::pem;

/// Largest file read, in bytes.
const MAX_INPUT_BYTES: u64 = 256 * 1024;

#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// Certificate or chain, PEM or DER; `-` is standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

pub(super) fn run(args: &InspectArgs, out: &Output) -> Result<(), Failure> {
    let certificates = certificates(&files::read_or_stdin(&args.file, MAX_INPUT_BYTES)?)?;
    let decoded: Result<Vec<Inspection>, _> = certificates.iter().map(|der| inspect(der)).collect();
    let decoded = decoded.map_err(|e| none(Failure::from_error(Exit::NoCertificate, &e)))?;
    if out.json {
        return out
            .json(json!({ "certificates": decoded.iter().map(as_json).collect::<Vec<_>>() }));
    }
    for (depth, certificate) in decoded.iter().enumerate() {
        if depth > 0 {
            out.result("")?;
        }
        print(certificate, out)?;
    }
    Ok(())
}

fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let Some(text) = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| text.contains("-----BEGIN"))
    else {
        return Ok(vec![bytes.to_vec()]);
    };
    let blocks =
        pem::decode(text).map_err(|e| none(Failure::from_error(Exit::NoCertificate, &e)))?;
    let ders: Vec<_> = blocks
        .into_iter()
        .filter(|b| b.label == "CERTIFICATE")
        .map(|b| b.der)
        .collect();
    if ders.is_empty() {
        return Err(none(Failure::new(
            Exit::NoCertificate,
            "the file holds no CERTIFICATE block",
        )));
    }
    Ok(ders)
}

fn none(failure: Failure) -> Failure {
    failure.hint("give a certificate or a chain, PEM or DER, such as `shortleaf cert --out` writes")
}

fn print(certificate: &Inspection, out: &Output) -> Result<(), Failure> {
    let row = |name: &str, value: &str| out.result(&format!("{name:<42}  {}", printable(value)));
    row("serial", &hex::encode(&certificate.serial))?;
    row(
        "subject",
        if certificate.subject.is_empty() {
            "(empty)"
        } else {
            &certificate.subject
        },
    )?;
    row("issuer", &certificate.issuer)?;
    row(
        "valid",
        &format!(
            "{} to {} inclusive",
            certificate.not_before, certificate.not_after
        ),
    )?;
    row("key", &certificate.key)?;
    row("signature", &certificate.signature_algorithm)?;
    for extension in &certificate.extensions {
        let name = extension
            .name
            .map_or_else(|| extension.oid.clone(), str::to_owned);
        let critical = if extension.critical {
            " (critical)"
        } else {
            ""
        };
        for line in lines(&extension.value) {
            row(&format!("{name}{critical}"), &line)?;
        }
    }
    Ok(())
}

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::KeyUsage(names) => vec![names.join(", ")],
        Value::ExtendedKeyUsage(names) => vec![names.join(", ")],
        Value::SubjectKeyIdentifier(id) | Value::AuthorityKeyIdentifier(id) => {
            vec![hex::encode(id)]
        }
        Value::SubjectAltName(names) => names.iter().map(name).collect(),
        Value::BasicConstraints { ca, path_len } => {
            vec![format!(
                "CA {ca}{}",
                path_len
                    .map(|n| format!(", path length {n}"))
                    .unwrap_or_default()
            )]
        }
        Value::CrlUrls(urls) => urls.clone(),
        Value::Text { arc, text } => vec![format!(".{arc}  {text}")],
        Value::Scts(scts) => scts
            .iter()
            .map(|sct| format!("log {} at {}", STANDARD.encode(sct.log_id.0), sct.timestamp))
            .collect(),
        Value::Poison => vec!["precertificate: not for use".to_owned()],
        Value::Opaque(bytes) => vec![hex::encode(bytes)],
    }
}

/// The names a certificate is for, as text that is safe on a terminal.
pub(super) fn identity(certificate: &Inspection) -> String {
    let names = certificate.extensions.iter().filter_map(|extension| {
        let Value::SubjectAltName(names) = &extension.value else {
            return None;
        };
        Some(names.iter().map(|name| match name {
            Name::Email(text) | Name::Uri(text) | Name::Username(text) | Name::Other(text) => {
                printable(text)
            }
        }))
    });
    names.flatten().collect::<Vec<_>>().join(", ")
}

fn name(name: &Name) -> String {
    match name {
        Name::Email(address) => format!("email:{address}"),
        Name::Uri(uri) => format!("URI:{uri}"),
        Name::Username(name) => format!("username:{name}"),
        Name::Other(text) => text.clone(),
    }
}

fn as_json(certificate: &Inspection) -> Json {
    let extensions: Vec<Json> = certificate
        .extensions
        .iter()
        .map(|e| json!({ "oid": e.oid, "name": e.name, "critical": e.critical, "value": values(&e.value) }))
        .collect();
    json!({
        "serial": hex::encode(&certificate.serial),
        "subject": certificate.subject,
        "issuer": certificate.issuer,
        "not_before": certificate.not_before.to_string(),
        "not_after": certificate.not_after.to_string(),
        "key": certificate.key,
        "signature_algorithm": certificate.signature_algorithm,
        "extensions": extensions,
    })
}

/// As in [`lines`], without what only helps the eye.
fn values(value: &Value) -> Vec<String> {
    if let Value::Text { text, .. } = value {
        return vec![text.clone()];
    }
    lines(value)
}

/// A certificate's own words, safe to show on a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
