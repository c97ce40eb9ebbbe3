//! K6: DER and PEM with a second meaning, and the forms that real clients send.

use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;

use super::Kit;
use crate::keys::{one_line_pem, pem, spki, tlv};
use crate::material::{self, curves, nested};
use crate::report::Case;

pub(super) fn encodings(kit: &Kit) -> Vec<Case> {
    let mut cases = wrong_der(kit);
    cases.extend(wrong_pem(kit));
    cases.extend(legitimate_forms(kit));
    cases
}

fn wrong_der(kit: &Kit) -> Vec<Case> {
    let key = kit.p256();
    let (good, point) = (key.spki(), key.bits());
    let identifier = [material::EC, curves()[0].name].concat();
    let bits = |content: &[u8]| tlv(0x30, &[tlv(0x30, &identifier), content.to_vec()].concat());
    let unused = |count: u8| tlv(0x03, &[&[count], &point[..]].concat());
    let mut cases: Vec<Case> = [
        ("an octet after all", [&good[..], &[0]].concat()),
        ("two keys in a row", [&good[..], &good].concat()),
        (
            "a NULL after the bits",
            tlv(0x30, &[&good[2..], b"\x05\x00"].concat()),
        ),
        (
            "a NULL after the curve",
            spki(&[&identifier[..], b"\x05\x00"].concat(), &point),
        ),
        (
            "a length in two octets",
            [&[0x30, 0x81, good[1]], &good[2..]].concat(),
        ),
        (
            "a length in five octets",
            [&[0x30, 0x85, 0, 0, 0, 0, good[1]], &good[2..]].concat(),
        ),
        (
            "an indefinite length",
            [&[0x30, 0x80], &good[2..], &[0, 0]].concat(),
        ),
        ("cut short", good[..good.len() - 1].to_vec()),
        (
            "a length of 4 GiB",
            [&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &good[2..]].concat(),
        ),
        ("unused bits", bits(&unused(4))),
        ("more unused bits than there are", bits(&unused(9))),
        ("a BIT STRING in pieces", bits(&tlv(0x23, &unused(0)))),
        ("an OCTET STRING for the bits", bits(&tlv(0x04, &point))),
        (
            "a SET for the outer SEQUENCE",
            [&[0x31], &good[1..]].concat(),
        ),
        ("a tag in two octets", [&[0x3f, 0x10], &good[1..]].concat()),
        ("nothing in a SEQUENCE", tlv(0x30, &[])),
        ("4,000 SEQUENCEs", nested(4000)),
        (
            "4,000 SEQUENCEs for parameters",
            spki(&[material::EC, &nested(2500)].concat(), &point),
        ),
        ("only zeros", vec![0; 91]),
        (
            "an endless identifier",
            spki(&tlv(0x06, &[0x81; 9]), &point),
        ),
        ("an empty identifier", spki(&tlv(0x06, &[]), &point)),
        (
            "a curve that is no identifier",
            spki(&[material::EC, &tlv(0x06, &[0x80, 1])].concat(), &point),
        ),
    ]
    .into_iter()
    .map(|(what, der)| kit.malformed(what, &der, key))
    .collect();
    // As it comes, without PEM around it: only v1 can carry this.
    cases.push(kit.bytes(
        "bare DER and an octet",
        [&good[..], &[0xff]].concat(),
        key,
        Reason::PublicKeyMalformed,
    ));
    cases.push(kit.bytes(
        "a megabyte of SEQUENCEs",
        "0\u{7f}".repeat(500_000).into_bytes(),
        key,
        Reason::RequestTooLarge,
    ));

    let key = kit.key(KeyKind::Rsa2048);
    let modulus = key.modulus();
    let f4 = tlv(0x02, material::F4);
    let numbers = |modulus: &[u8], rest: &[u8]| {
        spki(
            material::RSA,
            &tlv(0x30, &[&tlv(0x02, modulus), rest].concat()),
        )
    };
    let identified =
        |parameters: &[u8]| spki(&[&material::RSA[..11], parameters].concat(), &key.bits());
    for (what, der) in [
        ("a negative modulus", numbers(&modulus[1..], &f4)),
        (
            "a padded modulus",
            numbers(&[&[0], &modulus[..]].concat(), &f4),
        ),
        ("no exponent", numbers(&modulus, &[])),
        ("a negative exponent", numbers(&modulus, b"\x02\x01\x81")),
        (
            "a padded exponent",
            numbers(&modulus, b"\x02\x04\x00\x01\x00\x01"),
        ),
        (
            "a third number",
            numbers(&modulus, &[&f4[..], &f4].concat()),
        ),
        ("RSA without NULL", identified(b"")),
        ("RSA with an empty SEQUENCE", identified(b"\x30\x00")),
        (
            "RSA with a NULL that has content",
            identified(b"\x05\x01\x00"),
        ),
        ("RSA with two NULLs", identified(b"\x05\x00\x05\x00")),
    ] {
        cases.push(kit.malformed(what, &der, key));
    }
    let key = kit.key(KeyKind::Ed25519);
    let with_null = spki(&[material::ED25519, b"\x05\x00"].concat(), &key.bits());
    cases.push(kit.malformed("Ed25519 with NULL", &with_null, key));
    cases
}

fn wrong_pem(kit: &Kit) -> Vec<Case> {
    let key = kit.p256();
    let der = key.spki();
    let good = pem("PUBLIC KEY", &der);
    let (first, rest) = good.split_once('\n').unwrap();
    let body: String = good.lines().filter(|line| !line.starts_with('-')).collect();
    let forms = [
        ("two blocks", format!("{good}{good}")),
        ("a certificate's label", pem("CERTIFICATE", &der)),
        ("a private key's label", pem("PRIVATE KEY", &der)),
        ("EC PUBLIC KEY", pem("EC PUBLIC KEY", &der)),
        ("a label in lower case", pem("public key", &der)),
        ("an SPKI under PKCS#1's label", pem("RSA PUBLIC KEY", &der)),
        ("words before", format!("-- a key:\n{good}")),
        ("words after", format!("{good}and more\n")),
        (
            "a header",
            format!("{first}\nProc-Type: 4,ENCRYPTED\n\n{rest}"),
        ),
        (
            "another label at the end",
            good.replace("END PUBLIC", "END RSA PUBLIC"),
        ),
        ("no end", good.replace("-----END PUBLIC KEY-----\n", "")),
        ("no start", format!("-{rest}")),
        ("four dashes", good.replace("-----BEGIN", "----BEGIN")),
        (
            "all in one line",
            format!("{first}{body}-----END PUBLIC KEY-----"),
        ),
        ("URL-safe base64", good.replacen(&body[..2], "-_", 1)),
        (
            "an equals sign in the middle",
            good.replacen(&body[..2], "M=", 1),
        ),
        (
            "padding missing",
            format!(
                "{first}\n{}\n-----END PUBLIC KEY-----\n",
                body.trim_end_matches('=')
            ),
        ),
        ("a NUL inside", good.replacen('M', "\0", 1)),
        ("a blank inside", good.replacen("MF", "M F", 1)),
        ("an empty line inside", good.replacen("\nM", "\n\nM", 1)),
        ("an empty block", pem("PUBLIC KEY", &[])),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("no key at all", String::new()),
        (
            "9,000 empty lines",
            format!("{}{good}", "\n".repeat(16 * 1024)),
        ),
        (
            "a block inside a block",
            format!("{first}\n{good}-----END PUBLIC KEY-----\n"),
        ),
    ];
    let case = |(what, text): (&str, String)| {
        kit.bytes(what, text.into_bytes(), key, Reason::PublicKeyMalformed)
    };
    forms.into_iter().map(case).collect()
}

fn legitimate_forms(kit: &Kit) -> Vec<Case> {
    let key = kit.p256();
    let good = pem("PUBLIC KEY", &key.spki());
    let rsa = kit.key(KeyKind::Rsa2048);
    vec![
        kit.issued_key("CRLF", good.replace('\n', "\r\n"), key),
        kit.issued_key(
            "unwrapped, no last newline",
            one_line_pem("PUBLIC KEY", &key.spki()),
            key,
        ),
        kit.issued_key("no last newline", good.trim_end().to_owned(), key),
        kit.issued_key("empty lines around it", format!("\n\n{good}\n\n"), key),
        kit.issued_key("PKCS#1", pem("RSA PUBLIC KEY", &rsa.bits()), rsa),
    ]
}
