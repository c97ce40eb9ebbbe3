//! K1 to K3: points, curves, kinds of key.

use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;

use super::Kit;
use crate::keys::{spki, tlv};
use crate::material::{self, Curve, SigningRequest, curves, ed25519};
use crate::report::Case;

pub(super) fn points(kit: &Kit) -> Vec<Case> {
    let mut cases = Vec::new();
    for curve in curves() {
        let key = kit.key(curve.kind);
        for (what, point) in bad_points(&curve, &key.bits()) {
            let what = format!("{}: {what}", curve.kind);
            cases.push(kit.malformed(what, &curve.key(&point), key));
        }
    }
    let curve = &curves()[0];
    let [x, y] = curve.beside();
    let request = SigningRequest {
        spki: curve.key(&curve.point(&x, &y)),
        ..SigningRequest::of(kit.p256())
    };
    let request = request.signed_by(kit.p256());
    cases.push(kit.csr_der(
        "off curve in a CSR",
        &request,
        kit.p256(),
        Reason::CsrMalformed,
    ));

    let key = kit.key(KeyKind::Ed25519);
    let little = |y: u8| [vec![y], vec![0; 31]].concat();
    let p_minus_1 = [vec![0xec], vec![0xff; 30], vec![0x7f]].concat();
    let p_plus_3 = [vec![0xf0], vec![0xff; 30], vec![0x7f]].concat();
    for (what, point) in [
        ("off curve", little(2)),
        ("y above p", p_plus_3),
        ("31 octets", key.bits()[1..].to_vec()),
        ("33 octets", [&key.bits()[..], &[0]].concat()),
    ] {
        cases.push(kit.malformed(format!("Ed25519: {what}"), &ed25519(&point), key));
    }
    for (what, point) in [
        ("the identity", little(1)),
        ("order 2", p_minus_1),
        ("order 4", little(0)),
        ("mixed order", little(3)),
    ] {
        cases.push(kit.insecure(format!("Ed25519: {what}"), &ed25519(&point), key));
    }
    cases
}

/// Points that are none of the curve's, or are spelled a second way.
fn bad_points(curve: &Curve, good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let [x, y] = curve.coordinates(good);
    let odd = u8::from(y.bit(0));
    let (at_zero, twist, beside) = (curve.at_zero(), curve.on_the_twist(), curve.beside());
    let all_ones = vec![0xff; 2 * curve.width];
    vec![
        ("at infinity", vec![0]),
        ("at infinity, padded", vec![0; good.len()]),
        ("zeros", [&[4], &vec![0; good.len() - 1][..]].concat()),
        ("off curve by one", curve.point(&x, &(&y + 1u8))),
        ("another curve's", curve.point(&beside[0], &beside[1])),
        ("the twist's", curve.point(&twist[0], &twist[1])),
        ("x = p", curve.point(&curve.p, &at_zero)),
        ("coordinates all ones", [&[4], &all_ones[..]].concat()),
        ("compressed", [vec![2 | odd], curve.octets(&x)].concat()),
        ("hybrid", [&[6 | odd], &good[1..]].concat()),
        ("without its first octet", good[1..].to_vec()),
        ("an octet too long", [good, &[0]].concat()),
        ("empty", vec![]),
    ]
}

pub(super) fn explicit_curves(kit: &Kit) -> Vec<Case> {
    let mut cases = Vec::new();
    for curve in curves() {
        let key = kit.key(curve.kind);
        let point = key.bits();
        // CVE-2020-0601: the key is its own generator, so its private key is 1.
        for (what, generator) in [
            (
                "by its own numbers",
                curve.point(&curve.p, &curve.at_zero()),
            ),
            ("with the key as generator", point.clone()),
        ] {
            let parameters = curve.explicit(&generator);
            let der = spki(&[material::EC, &parameters].concat(), &point);
            cases.push(kit.malformed(format!("{} {what}", curve.kind), &der, key));
        }
        for (what, parameters) in [("implicit", &b"\x05\x00"[..]), ("absent", b"")] {
            let der = spki(&[material::EC, parameters].concat(), &point);
            cases.push(kit.malformed(format!("{} {what}", curve.kind), &der, key));
        }
    }
    cases
}

pub(super) fn other_kinds(kit: &Kit) -> Vec<Case> {
    let ec = |name: &[u8]| [material::EC, &tlv(0x06, name)].concat();
    let kinds: Vec<(&str, Vec<u8>, usize)> = vec![
        ("P-192", ec(b"\x2a\x86\x48\xce\x3d\x03\x01\x01"), 49),
        ("P-224", ec(b"\x2b\x81\x04\x00\x21"), 57),
        ("secp256k1", ec(b"\x2b\x81\x04\x00\x0a"), 65),
        (
            "brainpoolP256r1",
            ec(b"\x2b\x24\x03\x03\x02\x08\x01\x01\x07"),
            65,
        ),
        (
            "brainpoolP384r1",
            ec(b"\x2b\x24\x03\x03\x02\x08\x01\x01\x0b"),
            97,
        ),
        ("SM2", ec(b"\x2a\x81\x1c\xcf\x55\x01\x82\x2d"), 65),
        ("sect283k1", ec(b"\x2b\x81\x04\x00\x10"), 73),
        ("id-ecDH", tlv(0x06, b"\x2b\x81\x04\x01\x0c"), 65),
        (
            "DSA",
            [&tlv(0x06, b"\x2a\x86\x48\xce\x38\x04\x01")[..], b"\x30\x00"].concat(),
            131,
        ),
        (
            "Diffie-Hellman",
            tlv(0x06, b"\x2a\x86\x48\xce\x3e\x02\x01"),
            131,
        ),
        ("X25519", tlv(0x06, b"\x2b\x65\x6e"), 32),
        ("X448", tlv(0x06, b"\x2b\x65\x6f"), 56),
        ("Ed448", tlv(0x06, b"\x2b\x65\x71"), 57),
        (
            "RSASSA-PSS",
            tlv(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"),
            270,
        ),
        (
            "ML-DSA-65",
            tlv(0x06, b"\x60\x86\x48\x01\x65\x03\x04\x03\x12"),
            1952,
        ),
        ("an identifier of 100 octets", tlv(0x06, &[1; 100]), 32),
    ];
    let key = kit.p256();
    let case = |(what, identifier, octets): (&str, Vec<u8>, usize)| {
        kit.insecure(what, &spki(&identifier, &vec![4; octets]), key)
    };
    kinds.into_iter().map(case).collect()
}
