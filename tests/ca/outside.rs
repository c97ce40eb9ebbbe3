//! The certificates on file under OpenSSL's eyes.

use shortleaf::x509::pem;

use crate::openssl::Openssl;

/// 2026-11-21T12:00:00Z, the first second of every leaf on file.
const NOON: i64 = 1_795_262_400;

/// Puts leaf, precertificate, issuing CA and root into files of their own.
fn unpack(openssl: &Openssl, text: &str) {
    let blocks = pem::decode(text).unwrap();
    let names = ["leaf.pem", "precert.pem", "issuing.pem", "root.pem"];
    assert_eq!(blocks.len(), names.len());
    for (name, block) in names.iter().zip(blocks) {
        openssl.file(name, pem::encode(&block.label, &block.der));
    }
}

fn verify(openssl: &Openssl, at: i64) -> Result<String, String> {
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
        let Some(openssl) = Openssl::find() else {
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
    let Some(openssl) = Openssl::find() else {
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
    let Some(openssl) = Openssl::find() else {
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
