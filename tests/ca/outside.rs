//! The certificates on file under other people's eyes: OpenSSL, pkilint, x509-cert.

use shortleaf::x509::{Certificate, pem};
use x509_cert::der::{Decode, Encode};

use crate::tool::Tool;

/// 2026-11-21T12:00:00Z, the first second of every leaf on file.
const NOON: i64 = 1_795_262_400;

/// Puts leaf, precertificate, issuing CA and root into files of their own.
fn unpack(tool: &Tool, text: &str) {
    let blocks = pem::decode(text).unwrap();
    let names = ["leaf.pem", "precert.pem", "issuing.pem", "root.pem"];
    assert_eq!(blocks.len(), names.len());
    for (name, block) in names.iter().zip(blocks) {
        tool.file(name, pem::encode(&block.label, &block.der));
    }
}

fn verify(openssl: &Tool, at: i64) -> Result<String, String> {
    openssl.run(&format!(
        "verify -x509_strict -attime {at} -CAfile root.pem -untrusted issuing.pem leaf.pem"
    ))
}

#[test]
fn every_leaf_on_file_verifies_strictly_while_it_lives() {
    for text in [
        include_str!("../../testdata/ca/workflow-p384.pem"),
        include_str!("../../testdata/ca/email-p256.pem"),
    ] {
        let Some(openssl) = Tool::find("openssl") else {
            return;
        };
        unpack(&openssl, text);
        assert_eq!(verify(&openssl, NOON).unwrap(), "leaf.pem: OK\n");
        assert_eq!(verify(&openssl, NOON + 598).unwrap(), "leaf.pem: OK\n");
        // OpenSSL takes notAfter itself, second 599, as over; RFC 5280 §4.1.2.5 still includes it.
        let early = verify(&openssl, NOON - 1).unwrap_err();
        assert!(early.contains("error 9 at 0 depth"), "{early}");
        let late = verify(&openssl, NOON + 600).unwrap_err();
        assert!(late.contains("error 10 at 0 depth"), "{late}");
    }
}

#[test]
fn a_precertificate_is_no_certificate() {
    let Some(openssl) = Tool::find("openssl") else {
        return;
    };
    unpack(&openssl, include_str!("../../testdata/ca/email-p256.pem"));
    let poisoned = openssl
        .run(&format!(
            "verify -attime {NOON} -CAfile root.pem -untrusted issuing.pem precert.pem"
        ))
        .unwrap_err();
    // X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION
    assert!(poisoned.contains("error 34 at 0 depth"), "{poisoned}");
}

#[test]
fn openssl_reads_the_names_and_extensions_we_wrote() {
    let Some(openssl) = Tool::find("openssl") else {
        return;
    };
    unpack(
        &openssl,
        include_str!("../../testdata/ca/workflow-p384.pem"),
    );
    let text = openssl.run("x509 -in leaf.pem -noout -text").unwrap();
    let mut rest = text.as_str();
    for line in [
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA384",
        "Issuer: CN = Test issuing CA",
        "Not Before: Nov 21 12:00:00 2026 GMT",
        "Not After : Nov 21 12:09:59 2026 GMT",
        "Subject: \n",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "X509v3 Extended Key Usage: \n                Code Signing\n",
        "X509v3 Subject Key Identifier:",
        "X509v3 Authority Key Identifier:",
        "X509v3 Subject Alternative Name: critical\n                URI:https://github.com/octo/app/",
        "1.3.6.1.4.1.57264.1.1: \n                https://token.actions.githubusercontent.com\n",
        "1.3.6.1.4.1.57264.1.8:",
        "1.3.6.1.4.1.57264.1.24:",
        "URI:http://crl.example.com/crl/leaf.crl",
        "CT Precertificate SCTs:",
        "Timestamp : Nov 21 12:00:00.000 2026 GMT",
    ] {
        let at = rest.find(line);
        assert!(at.is_some(), "{line:?} is missing or out of order:\n{text}");
        rest = &rest[at.unwrap() + line.len()..];
    }
    assert!(!text.contains("Basic Constraints"));
}

#[test]
fn pkilint_has_nothing_to_say() {
    for text in [
        include_str!("../../testdata/ca/workflow-p384.pem"),
        include_str!("../../testdata/ca/email-p256.pem"),
    ] {
        let Some(pkilint) = Tool::find("lint_pkix_cert") else {
            return;
        };
        unpack(&pkilint, text);
        // The exit status is the number of findings at or above the severity.
        for file in ["leaf.pem", "issuing.pem", "root.pem"] {
            let findings = pkilint.run(&format!("lint -s NOTICE {file}"));
            assert_eq!(findings.as_deref().map(str::trim), Ok(""), "{file}");
        }
    }
}

#[test]
fn another_library_reads_the_same_and_writes_the_same_bytes() {
    for text in [
        include_str!("../../testdata/ca/workflow-p384.pem"),
        include_str!("../../testdata/ca/email-p256.pem"),
    ] {
        for block in pem::decode(text).unwrap() {
            let theirs = x509_cert::Certificate::from_der(&block.der).unwrap();
            assert_eq!(theirs.to_der().unwrap(), block.der);
            let ours = Certificate::from_der(block.der).unwrap();
            let tbs = theirs.tbs_certificate();
            assert_eq!(tbs.serial_number().as_bytes(), ours.serial());
            assert_eq!(tbs.issuer().to_der().unwrap(), ours.issuer());
            assert_eq!(tbs.subject().to_der().unwrap(), ours.subject());
            let spki = tbs.subject_public_key_info().to_der().unwrap();
            assert_eq!(spki, ours.spki());
            let theirs = tbs.extensions().unwrap();
            assert_eq!(theirs.len(), ours.extensions().len());
            for (theirs, ours) in theirs.iter().zip(ours.extensions()) {
                assert_eq!(theirs.to_der().unwrap(), ours.whole);
                assert_eq!(theirs.critical, ours.critical);
            }
        }
    }
}

#[test]
fn a_damaged_certificate_is_refused_or_read_as_the_bytes_it_is() {
    let whole = pem::decode(include_str!("../../testdata/ca/email-p256.pem")).unwrap();
    let whole = &whole[0].der;
    for at in 0..whole.len() {
        assert!(Certificate::from_der(whole[..at].to_vec()).is_err());
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= flip;
            if let Ok(read) = Certificate::from_der(damaged.clone()) {
                assert_eq!(read.der(), damaged);
            }
        }
    }
}
