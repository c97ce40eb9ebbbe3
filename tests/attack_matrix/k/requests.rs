//! K7: what a signing request may wish for, and what it must not be.

use shortleaf::fault::Reason;

use super::{CSR, Kit};
use crate::keys::{TestKey, pem, tlv};
use crate::material::{self, SigningRequest, nested};
use crate::report::Case;

pub(super) fn signing_requests(kit: &Kit) -> Vec<Case> {
    let key = kit.p256();
    let signed = |request: &SigningRequest| request.signed_by(key);
    let armoured = |request: &SigningRequest| pem(CSR, &signed(request)).into_bytes();
    let plain = || SigningRequest::of(key);

    const CA_TRUE: (&[u8], bool, &[u8]) = (b"\x55\x1d\x13", true, b"\x30\x03\x01\x01\xff");
    const SAN: (&[u8], bool, &[u8]) = (b"\x55\x1d\x11", true, b"\x30\x0e\x82\x0cevil.example");
    const ANY: (&[u8], bool, &[u8]) = (b"\x55\x1d\x25", true, b"\x30\x06\x06\x04\x55\x1d\x25\x00");
    const SIGN_ALL: (&[u8], bool, &[u8]) = (b"\x55\x1d\x0f", true, b"\x03\x02\x01\xfe");
    const FULCIO: (&[u8], bool, &[u8]) = (
        b"\x2b\x06\x01\x04\x01\x83\xbf\x30\x01\x01",
        false,
        b"https://evil.example",
    );
    const POISON: (&[u8], bool, &[u8]) = (
        b"\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03",
        true,
        b"\x05\x00",
    );
    let common_name = b"\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04evil";
    let with_subject = SigningRequest {
        subject: tlv(0x30, common_name),
        ..plain()
    };
    let twice = material::extension_request(&[SAN]).repeat(2);
    let with_twice = SigningRequest {
        attributes: tlv(0xa0, &twice),
        ..plain()
    };
    let password = tlv(
        0x30,
        &[
            &b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07"[..],
            &tlv(0x31, b"\x0c\x06secret"),
        ]
        .concat(),
    );
    let with_password = SigningRequest {
        attributes: tlv(0xa0, &password),
        ..plain()
    };
    let wishes = [CA_TRUE, SAN, ANY, SIGN_ALL, FULCIO, POISON];
    let mut cases = vec![
        kit.issued_csr("CA:TRUE", armoured(&plain().asking(&[CA_TRUE]))),
        kit.issued_csr("another name", armoured(&plain().asking(&[SAN]))),
        kit.issued_csr("every usage", armoured(&plain().asking(&[ANY, SIGN_ALL]))),
        kit.issued_csr("an issuer of its own", armoured(&plain().asking(&[FULCIO]))),
        kit.issued_csr("the poison", armoured(&plain().asking(&[POISON]))),
        kit.issued_csr("everything at once", armoured(&plain().asking(&wishes))),
        kit.issued_csr("a subject", armoured(&with_subject)),
        kit.issued_csr("the same attribute twice", armoured(&with_twice)),
        kit.issued_csr("a challenge password", armoured(&with_password)),
        kit.issued_csr(
            "the old label",
            pem("NEW CERTIFICATE REQUEST", &signed(&plain())).into_bytes(),
        ),
        kit.issued_csr(
            "CRLF",
            pem(CSR, &signed(&plain()))
                .replace('\n', "\r\n")
                .into_bytes(),
        ),
    ];
    cases.extend(wrong_requests(kit));
    cases
}

fn wrong_requests(kit: &Kit) -> Vec<Case> {
    let key = kit.p256();
    let plain = || SigningRequest::of(key);
    let good = plain().signed_by(key);
    let inner = |good: &[u8]| good[3..].to_vec();
    let mut cases = Vec::new();
    for version in [&[1][..], &[2], &[0xff], &[0, 0], &[]] {
        let version = tlv(0x02, version);
        let what = format!("version {version:02x?}");
        let request = SigningRequest { version, ..plain() };
        cases.push(kit.csr_der(what, &request.signed_by(key), key, Reason::CsrMalformed));
    }
    let without_attributes = SigningRequest {
        attributes: Vec::new(),
        ..plain()
    };
    let deep = SigningRequest {
        attributes: tlv(0xa0, &nested(4000)),
        ..plain()
    };
    let after_attributes = SigningRequest {
        attributes: b"\xa0\x00\x05\x00".to_vec(),
        ..plain()
    };
    let deep_subject = SigningRequest {
        subject: nested(4000),
        ..plain()
    };
    for (what, der) in [
        ("no attributes", without_attributes.signed_by(key)),
        ("4,000 SEQUENCEs for attributes", deep.signed_by(key)),
        ("4,000 SEQUENCEs for a subject", deep_subject.signed_by(key)),
        (
            "a NULL after the attributes",
            after_attributes.signed_by(key),
        ),
        ("an octet after all", [&good[..], &[0]].concat()),
        (
            "a NULL after the signature",
            tlv(0x30, &[&inner(&good)[..], b"\x05\x00"].concat()),
        ),
        ("cut short", good[..good.len() - 1].to_vec()),
        ("a key for a request", key.spki()),
    ] {
        cases.push(kit.csr_der(what, &der, key, Reason::CsrMalformed));
    }
    for (what, algorithm) in [
        ("an endless algorithm", &b"\x06\x02\x2a\x86"[..]),
        (
            "an algorithm with two parameters",
            b"\x06\x03\x2b\x65\x71\x05\x00\x05\x00",
        ),
        ("no algorithm", b""),
    ] {
        let algorithm = algorithm.to_vec();
        let request = SigningRequest {
            algorithm,
            ..plain()
        };
        cases.push(kit.csr_der(what, &request.signed_by(key), key, Reason::CsrMalformed));
    }
    let armoured = pem(CSR, &good);
    for (what, text) in [
        ("two requests", armoured.repeat(2)),
        ("another label", pem("CERTIFICATE", &good)),
        ("no PEM", "MIH".to_owned()),
    ] {
        cases.push(kit.csr(what, text.into_bytes(), key, Reason::CsrMalformed));
    }
    let other = TestKey::generate(key.kind());
    let changed = {
        let mut der = good.clone();
        let last = der.len() - 1;
        der[last] ^= 1;
        der
    };
    for (what, der) in [
        ("signed by another key", plain().signed_by(&other)),
        ("a damaged signature", changed),
    ] {
        cases.push(kit.csr_der(what, &der, key, Reason::ProofInvalid));
    }
    for (what, algorithm) in [
        (
            "ecdsa-with-SHA1",
            &b"\x06\x07\x2a\x86\x48\xce\x3d\x04\x01"[..],
        ),
        (
            "ecdsa-with-SHA224",
            b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01",
        ),
        (
            "ecdsa-with-SHA256 and NULL",
            b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00",
        ),
    ] {
        let algorithm = algorithm.to_vec();
        let request = SigningRequest {
            algorithm,
            ..plain()
        };
        let reason = Reason::AlgorithmNotPermitted;
        cases.push(kit.csr_der(what, &request.signed_by(key), key, reason));
    }
    cases
}
