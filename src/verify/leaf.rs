//! What a leaf must be: a signer's certificate with one name, vouched for by one issuer.

use std::collections::HashSet;

use super::Error;
use super::inspect::{Extension, Inspection, Name, Value};
use crate::identity::San;

/// Checks usage and names, and answers with the one identity.
pub(super) fn profile(leaf: &Inspection) -> Result<San, Error> {
    let mut seen = HashSet::new();
    if let Some(twice) = leaf.extensions.iter().find(|e| !seen.insert(&e.oid)) {
        let oid = twice.oid.clone();
        return Err(Error::ExtensionTwice { oid });
    }
    // No basicConstraints is the profile; `cA FALSE` would be harmless, and is not ours.
    if let Some(basic) = leaf.named("basicConstraints") {
        return Err(not_of_profile("basicConstraints", basic, "absent"));
    }
    let usage = required(leaf, "keyUsage")?;
    if !usage.critical || usage.value != Value::KeyUsage(vec!["digitalSignature"]) {
        return Err(not_of_profile(
            "keyUsage",
            usage,
            "critical, digitalSignature",
        ));
    }
    let purpose = required(leaf, "extKeyUsage")?;
    if purpose.value != Value::ExtendedKeyUsage(vec!["codeSigning".into()]) {
        return Err(not_of_profile("extKeyUsage", purpose, "codeSigning"));
    }
    let names = required(leaf, "subjectAltName")?;
    if let (true, Value::SubjectAltName(all)) = (names.critical, &names.value) {
        match all.as_slice() {
            [Name::Email(address)] if printable(address) => return Ok(San::Email(address.clone())),
            [Name::Uri(uri)] if printable(uri) => return Ok(San::Uri(uri.clone())),
            [Name::Username(name)] if !name.chars().any(char::is_control) => {
                return Ok(San::OtherName(name.clone()));
            }
            _ => {}
        }
    }
    Err(not_of_profile(
        "subjectAltName",
        names,
        "critical, one email address, URI or user name",
    ))
}

/// The issuer both extensions name.
pub(super) fn issuer(leaf: &Inspection) -> Result<String, Error> {
    let text = |arc, name| leaf.text(arc).ok_or(Error::ExtensionMissing { name });
    let v1 = text(1, "issuer extension .1")?;
    let v2 = text(8, "issuer extension .8")?;
    if v1 != v2 {
        let (v1, v2) = (v1.to_owned(), v2.to_owned());
        return Err(Error::IssuersDisagree { v1, v2 });
    }
    Ok(v1.to_owned())
}

/// IA5String without spaces and controls. x509-parser reads any UTF-8 where RFC 5280 has IA5String,
/// and two texts that look alike must not both be somebody's name.
fn printable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic())
}

fn required<'a>(leaf: &'a Inspection, name: &'static str) -> Result<&'a Extension, Error> {
    leaf.named(name).ok_or(Error::ExtensionMissing { name })
}

fn not_of_profile(name: &'static str, extension: &Extension, want: &'static str) -> Error {
    let critical = if extension.critical { "critical, " } else { "" };
    let got = format!("{critical}{}", extension.value);
    Error::ExtensionNotOfProfile { name, got, want }
}
