//! Rules c08–c19: the extensions, by name, order and exact value.

use aws_lc_rs::digest;
use x509_parser::extensions::{
    AuthorityInfoAccess, GeneralName, SubjectAlternativeName, X509Extension,
};
use x509_parser::prelude::FromDer;

use super::oid::Name;
use super::reading::{Nested, Reading, SEQUENCE, content};
use super::tbs::same_bytes;
use super::{Expected, Kind, SanKind, oid};

/// The largest extension value, in octets.
const MAX_VALUE: usize = 1024;
/// BIT STRING with bit 0, digitalSignature, alone.
const DIGITAL_SIGNATURE: &[u8] = &[0x03, 0x02, 0x07, 0x80];
/// NULL.
const POISON_VALUE: &[u8] = &[0x05, 0x00];
const UTF8_STRING: u8 = 0x0c;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
/// AuthorityKeyIdentifier [0] keyIdentifier.
const KEY_IDENTIFIER: u8 = 0x80;
/// [0], constructed.
const EXPLICIT_0: u8 = 0xa0;
/// GeneralName [0] otherName.
const OTHER_NAME: u8 = 0xa0;
/// GeneralName [1] rfc822Name.
const RFC822_NAME: u8 = 0x81;
/// GeneralName [6] uniformResourceIdentifier.
const URI_NAME: u8 = 0x86;

pub(super) fn san(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    let extension = required(read, oid::SUBJECT_ALT_NAME, "SAN")?;
    // The subject is empty, so this must be critical (RFC 5280 §4.2.1.6).
    criticality(extension, true, "SAN")?;
    let (_, names) = SubjectAlternativeName::from_der(extension.value)
        .map_err(|error| format!("SAN does not parse: {error}"))?;
    // A name that cannot be read is an item called Invalid, not an error: it falls through here.
    let other_name;
    let (tag, content, name) = match (names.general_names.as_slice(), expected.san) {
        ([GeneralName::RFC822Name(name)], SanKind::Email) => (RFC822_NAME, name.as_bytes(), *name),
        ([GeneralName::URI(name)], SanKind::Uri) => (URI_NAME, name.as_bytes(), *name),
        ([GeneralName::OtherName(..)], SanKind::OtherName) => {
            // Its value is of any type: compared as the octets it has to be.
            other_name = username(expected.name);
            (OTHER_NAME, &*other_name, expected.name)
        }
        (other, planned) => {
            return Err(format!("SAN is {other:?}, planned is one {planned:?}"));
        }
    };
    let one_name = Nested {
        tags: &[SEQUENCE, tag],
        content,
    };
    same_value("SAN value", extension.value, one_name)?;
    let printable = name.bytes().all(|octet| octet.is_ascii_graphic());
    let well_formed = match expected.san {
        SanKind::Email => printable && has_two_parts(name.rsplit_once('@')),
        SanKind::Uri => printable && has_two_parts(name.split_once(':')),
        SanKind::OtherName => {
            let domain = name.split_once('!').map_or("", |(_, domain)| domain);
            has_two_parts(name.split_once('!'))
                && !domain.contains('!')
                && !name.chars().any(char::is_control)
        }
    };
    if !well_formed {
        let planned = expected.san;
        return Err(format!("SAN {name:?} is not printable, or no {planned:?}"));
    }
    if name != expected.name {
        let planned = expected.name;
        return Err(format!("SAN is {name:?}, planned is {planned:?}"));
    }
    Ok(())
}

fn has_two_parts(parts: Option<(&str, &str)>) -> bool {
    parts.is_some_and(|(first, second)| !first.is_empty() && !second.is_empty())
}

/// type-id, and the name as the [0] value (RFC 5280 §4.2.1.6).
fn username(name: &str) -> Vec<u8> {
    let kind = Nested {
        tags: &[OID],
        content: oid::USERNAME,
    };
    let value = Nested {
        tags: &[EXPLICIT_0, UTF8_STRING],
        content: name.as_bytes(),
    };
    [kind.to_vec(), value.to_vec()].concat()
}

pub(super) fn key_usage(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    let want = bare(DIGITAL_SIGNATURE);
    exactly(read, oid::KEY_USAGE, "key usage", true, want)
}

pub(super) fn extended_key_usage(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    let want = Nested {
        tags: &[SEQUENCE, OID],
        content: oid::CODE_SIGNING,
    };
    let name = "extended key usage";
    exactly(read, oid::EXTENDED_KEY_USAGE, name, false, want)
}

pub(super) fn basic_constraints(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    absent(read, oid::BASIC_CONSTRAINTS, "basicConstraints")
}

pub(super) fn key_identifiers(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    // RFC 5280 §4.2.1.2 method 1: SHA-1 of the key bits, a name and no security.
    let key = &read
        .certificate
        .tbs_certificate
        .subject_pki
        .subject_public_key;
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &key.data);
    let ski = Nested {
        tags: &[OCTET_STRING],
        content: hash.as_ref(),
    };
    exactly(read, oid::SUBJECT_KEY_IDENTIFIER, "SKI", false, ski)?;
    let aki = Nested {
        tags: &[SEQUENCE, KEY_IDENTIFIER],
        content: expected.issuer_ski,
    };
    exactly(read, oid::AUTHORITY_KEY_IDENTIFIER, "AKI", false, aki)
}

pub(super) fn allow_list(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    let mut previous = None;
    for (name, extension) in read.named() {
        if extension.value.len() > MAX_VALUE {
            let len = extension.value.len();
            return Err(format!(
                "{} has {len} octets, at most {MAX_VALUE}",
                extension.oid
            ));
        }
        // Rules c11 and c18 say more about these two than that they are not on the list.
        if [oid::BASIC_CONSTRAINTS, oid::NO_REV_AVAIL].contains(&name) {
            continue;
        }
        let place = place(name).ok_or_else(|| format!("{} is not on the list", extension.oid))?;
        if previous >= Some(place) {
            return Err(format!("{} stands twice or out of order", extension.oid));
        }
        previous = Some(place);
    }
    Ok(())
}

/// Where an extension stands in the profile; `None` if it has no place in a leaf.
fn place(name: Name) -> Option<u8> {
    const FULCIO_BASE: u8 = 10;
    match name {
        oid::KEY_USAGE => Some(0),
        oid::EXTENDED_KEY_USAGE => Some(1),
        oid::SUBJECT_KEY_IDENTIFIER => Some(2),
        oid::AUTHORITY_KEY_IDENTIFIER => Some(3),
        oid::SUBJECT_ALT_NAME => Some(4),
        oid::CRL_DISTRIBUTION_POINTS => Some(50),
        oid::POISON => Some(51),
        oid::SCT_LIST => Some(52),
        _ => match name.fulcio_arc()? {
            // .7 is the type of an otherName, not an extension.
            arc @ (1..=6 | 8..=24) => Some(FULCIO_BASE + arc),
            _ => None,
        },
    }
}

pub(super) fn issuer_claim(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    // Some verifiers read .1, others .8: a certificate with two issuers would mean two things.
    let old = read.fulcio(1).ok_or("issuer extension .1 is absent")?;
    let new = read.fulcio(8).ok_or("issuer extension .8 is absent")?;
    let claim = expected.issuer_claim.as_bytes();
    if claim.is_empty() {
        return Err("the token's issuer is empty".into());
    }
    same_bytes("issuer extension .1", old.value, claim)?;
    let want = Nested {
        tags: &[UTF8_STRING],
        content: claim,
    };
    same_value("issuer extension .8", new.value, want)
}

pub(super) fn identity_text(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    // One bit for each arc there can be: they are below 128.
    let bit = |arc: u8| 1u128.checked_shl(arc.into()).unwrap_or(0);
    let present = read.identity().fold(0, |set, (arc, _)| set | bit(arc));
    let mut planned = expected.identity.iter().map(|(arc, _)| *arc);
    if let Some(arc) = planned.find(|arc| !issuers(*arc) && present & bit(*arc) == 0) {
        return Err(format!(".{arc} is planned and absent"));
    }
    for (arc, extension) in read.identity() {
        if extension.critical {
            return Err(format!(".{arc} is critical"));
        }
        let text = match arc {
            ..=7 => extension.value,
            _ => content(UTF8_STRING, extension.value)
                .ok_or_else(|| format!(".{arc} is not one UTF8String"))?,
        };
        let text = std::str::from_utf8(text).map_err(|_| format!(".{arc} is not UTF-8"))?;
        // Most are plain ASCII, where no character has to be taken apart.
        let printable = |all, octet| all & (0x20..=0x7e).contains(&octet);
        let plain = text.bytes().fold(true, printable);
        if text.is_empty() || (!plain && text.chars().any(char::is_control)) {
            return Err(format!(
                ".{arc} is empty or has control characters: {text:?}"
            ));
        }
        if !issuers(arc) && !expected.identity.contains(&(arc, text)) {
            return Err(format!(".{arc} says {text:?}, which is not planned"));
        }
    }
    Ok(())
}

/// The two extensions rule c14 compares with the token's issuer.
fn issuers(arc: u8) -> bool {
    matches!(arc, 1 | 8)
}

pub(super) fn poison(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    match expected.kind {
        Kind::Precert => {
            absent(read, oid::SCT_LIST, "SCT list")?;
            exactly(read, oid::POISON, "poison", true, bare(POISON_VALUE))
        }
        Kind::Leaf | Kind::LeafWithoutLog => Ok(()),
    }
}

pub(super) fn sct_list(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    match expected.kind {
        Kind::Precert => Ok(()),
        Kind::LeafWithoutLog => {
            absent(read, oid::POISON, "poison")?;
            absent(read, oid::SCT_LIST, "SCT list")
        }
        Kind::Leaf => {
            absent(read, oid::POISON, "poison")?;
            let extension = required(read, oid::SCT_LIST, "SCT list")?;
            once(read, oid::SCT_LIST, "SCT list")?;
            criticality(extension, false, "SCT list")?;
            one_sct(extension.value)
                .ok_or_else(|| "SCT list is not exactly one v1 SCT of a log's algorithms".into())
        }
    }
}

/// RFC 6962 §3.3: OCTET STRING { u16 total, u16 length, SCT }. Python and Rust clients refuse two.
fn one_sct(value: &[u8]) -> Option<()> {
    let list = all_of_u16(content(OCTET_STRING, value)?)?;
    let sct = all_of_u16(list)?;
    let ([0 /* v1 */], rest) = sct.split_at_checked(1)? else {
        return None;
    };
    let (_log_id_and_timestamp, rest) = rest.split_at_checked(32 + 8)?;
    let (_extensions, rest) = u16_prefixed(rest)?;
    // The two algorithms a log may have (RFC 6962 §2.1.4).
    let signature = rest
        .strip_prefix(&[4 /* sha256 */, 3 /* ecdsa */])
        .or_else(|| rest.strip_prefix(&[4, 1 /* rsa */]))?;
    (!all_of_u16(signature)?.is_empty()).then_some(())
}

fn u16_prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

fn all_of_u16(bytes: &[u8]) -> Option<&[u8]> {
    match u16_prefixed(bytes)? {
        (all, []) => Some(all),
        _ => None,
    }
}

pub(super) fn revocation_opt_outs(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    // noRevAvail tells a verifier not to look for a revocation (RFC 9608 §4); ours are looked for.
    absent(read, oid::NO_REV_AVAIL, "noRevAvail")?;
    let Some(extension) = read.extension(oid::AUTHORITY_INFO_ACCESS) else {
        return Ok(());
    };
    let (_, access) = AuthorityInfoAccess::from_der(extension.value)
        .map_err(|error| format!("authorityInfoAccess does not parse: {error}"))?;
    if access
        .iter()
        .any(|one| one.access_method.as_bytes() == oid::OCSP)
    {
        return Err("authorityInfoAccess names an OCSP responder".into());
    }
    Ok(())
}

pub(super) fn crl_distribution_point(
    read: &Reading<'_>,
    expected: &Expected<'_>,
) -> Result<(), String> {
    let Some(url) = expected.crl_url else {
        return absent(read, oid::CRL_DISTRIBUTION_POINTS, "CRL distribution point");
    };
    // The list carries its own signature; https could not be fetched while building a path.
    if !url.starts_with("http://") {
        return Err(format!("CRL URL {url:?} is not http"));
    }
    // DistributionPoint { [0] distributionPoint { [0] fullName { [6] URI } } }
    let want = Nested {
        tags: &[SEQUENCE, SEQUENCE, 0xa0, 0xa0, URI_NAME],
        content: url.as_bytes(),
    };
    let name = "CRL distribution point";
    exactly(read, oid::CRL_DISTRIBUTION_POINTS, name, false, want)
}

fn required<'r, 'a>(
    read: &'r Reading<'a>,
    oid: Name,
    name: &str,
) -> Result<&'r X509Extension<'a>, String> {
    read.extension(oid)
        .ok_or_else(|| format!("{name} is absent"))
}

fn absent(read: &Reading<'_>, oid: Name, name: &str) -> Result<(), String> {
    match read.count(oid) {
        0 => Ok(()),
        n => Err(format!("{name} is present ({n} times)")),
    }
}

fn once(read: &Reading<'_>, oid: Name, name: &str) -> Result<(), String> {
    match read.count(oid) {
        1 => Ok(()),
        n => Err(format!("{name} is present {n} times, not once")),
    }
}

fn criticality(extension: &X509Extension<'_>, want: bool, name: &str) -> Result<(), String> {
    if extension.critical == want {
        return Ok(());
    }
    Err(format!(
        "{name} has critical = {}, not {want}",
        extension.critical
    ))
}

/// The extension stands there once, with this criticality and exactly this value.
fn exactly(
    read: &Reading<'_>,
    oid: Name,
    name: &str,
    critical: bool,
    value: Nested<'_>,
) -> Result<(), String> {
    let extension = required(read, oid, name)?;
    once(read, oid, name)?;
    criticality(extension, critical, name)?;
    same_value(name, extension.value, value)
}

/// These octets and nothing around them.
fn bare(content: &[u8]) -> Nested<'_> {
    Nested { tags: &[], content }
}

/// `got` against `want`, which is written out only where they differ.
fn same_value(name: &str, got: &[u8], want: Nested<'_>) -> Result<(), String> {
    match want.is(got) {
        true => Ok(()),
        false => same_bytes(name, got, &want.to_vec()),
    }
}
