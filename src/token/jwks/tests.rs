//! Keys that are skipped, keys that are found, sets that are none.

use serde_json::json;

use super::super::testing::{SigningKey, b64};
use super::*;

fn set(keys: serde_json::Value) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn good(algorithm: Algorithm) -> serde_json::Value {
    SigningKey::for_algorithm(algorithm).jwk("k1")
}

fn with(mut jwk: serde_json::Value, member: &str, value: serde_json::Value) -> serde_json::Value {
    jwk[member] = value;
    jwk
}

/// Reads `jwk` beside a good key: it is skipped for `unfit`, and the good one keeps working.
fn skips(jwk: serde_json::Value, unfit: Unfit) {
    let neighbour = SigningKey::for_algorithm(Algorithm::Es256).jwk("neighbour");
    let set = set(json!([jwk, neighbour]));
    let reasons: Vec<_> = set.skipped().iter().map(|(_, unfit)| *unfit).collect();
    assert_eq!(reasons, [unfit], "{jwk}");
    assert!(set.find(Some("neighbour"), Algorithm::Es256).is_ok());
    assert_eq!(
        set.find(Some("k1"), Algorithm::Es256).err(),
        Some(NotFound::NoSuchKey)
    );
}

#[test]
fn a_key_of_every_kind_is_found_by_id_and_algorithm() {
    for algorithm in Algorithm::ALL {
        let set = set(json!([good(*algorithm)]));
        assert!(set.find(Some("k1"), *algorithm).is_ok(), "{algorithm}");
        assert!(set.find(None, *algorithm).is_ok());
        assert_eq!(
            set.find(Some("K1"), *algorithm).err(),
            Some(NotFound::NoSuchKey)
        );
        assert_eq!(
            set.find(Some("k1\0"), *algorithm).err(),
            Some(NotFound::NoSuchKey)
        );
        assert_eq!((set.len(), set.is_empty()), (1, false));
    }
}

#[test]
fn a_key_serves_only_the_algorithms_of_its_type_and_its_alg() {
    let rsa = good(Algorithm::Rs256);
    let rs256 = set(json!([with(rsa.clone(), "alg", json!("RS256"))]));
    assert!(rs256.find(Some("k1"), Algorithm::Rs256).is_ok());
    for algorithm in [Algorithm::Rs512, Algorithm::Ps256, Algorithm::Es256] {
        let found = rs256.find(Some("k1"), algorithm).err();
        assert_eq!(found, Some(NotFound::NotForAlgorithm));
    }
    let any_rsa = set(json!([rsa]));
    assert!(any_rsa.find(Some("k1"), Algorithm::Ps256).is_ok());
    let p384 = set(json!([good(Algorithm::Es384)]));
    let found = p384.find(Some("k1"), Algorithm::Es256).err();
    assert_eq!(found, Some(NotFound::NotForAlgorithm));
}

#[test]
fn a_set_without_metadata_holds_each_key_to_one_algorithm() {
    let keys = json!({ "keys": [good(Algorithm::Rs256)] }).to_string();
    let alone = KeySet::parse_standalone(keys.as_bytes()).unwrap();
    assert!(alone.find(Some("k1"), Algorithm::Rs256).is_ok());
    assert_eq!(
        alone.find(Some("k1"), Algorithm::Ps256).err(),
        Some(NotFound::NotForAlgorithm)
    );
    let pss = json!({ "keys": [with(good(Algorithm::Ps256), "alg", json!("PS256"))] }).to_string();
    let pss = KeySet::parse_standalone(pss.as_bytes()).unwrap();
    assert!(pss.find(Some("k1"), Algorithm::Ps256).is_ok());
}

#[test]
fn secret_material_is_not_a_public_key() {
    skips(
        json!({ "kty": "oct", "kid": "k1", "k": "c2VjcmV0" }),
        Unfit::Secret,
    );
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth"] {
        skips(
            with(good(Algorithm::Rs256), member, json!("AQ")),
            Unfit::Secret,
        );
    }
    skips(
        with(good(Algorithm::Es256), "d", json!("AQ")),
        Unfit::Secret,
    );
    skips(
        with(good(Algorithm::EdDsa), "d", json!("AQ")),
        Unfit::Secret,
    );
}

#[test]
fn a_key_for_something_else_does_not_verify() {
    skips(
        with(good(Algorithm::Rs256), "use", json!("enc")),
        Unfit::OtherUse,
    );
    skips(
        with(good(Algorithm::Es256), "key_ops", json!(["deriveKey"])),
        Unfit::OtherUse,
    );
    skips(
        with(good(Algorithm::Rs256), "alg", json!("RSA-OAEP")),
        Unfit::OtherKind,
    );
    skips(
        with(good(Algorithm::Rs256), "alg", json!("HS256")),
        Unfit::OtherKind,
    );
    skips(
        with(good(Algorithm::Rs256), "alg", json!("ES256")),
        Unfit::Mismatch,
    );
    skips(
        with(good(Algorithm::Es256), "alg", json!("ES384")),
        Unfit::Mismatch,
    );
    let verifying = with(good(Algorithm::Es256), "key_ops", json!(["verify"]));
    assert!(
        set(json!([verifying]))
            .find(Some("k1"), Algorithm::Es256)
            .is_ok()
    );
}

#[test]
fn an_rsa_key_has_a_safe_size_and_exponent() {
    let of = |n: Vec<u8>| with(good(Algorithm::Rs256), "n", json!(b64(n)));
    // Odd, and but for its last octets the same octet throughout.
    let number = |octets: usize, last: u16| {
        let mut n = vec![0xc5; octets];
        n[octets - 2..].copy_from_slice(&last.to_be_bytes());
        n
    };
    let without_small_factors = |octets| {
        let mut candidates = (1..).step_by(2).map(|last| number(octets, last));
        candidates.find(|n| !is_factorable(n)).unwrap()
    };
    let modulus = |octets| of(without_small_factors(octets));
    for octets in [128, 255, 1025, 4096] {
        skips(modulus(octets), Unfit::UnsafeRsa);
    }
    for octets in [256, 384, 512] {
        assert!(
            set(json!([modulus(octets)]))
                .find(Some("k1"), Algorithm::Rs256)
                .is_ok()
        );
    }
    for exponent in ["AQ", "Aw", "AAEAAQ", "AQAC", ""] {
        skips(
            with(good(Algorithm::Rs256), "e", json!(exponent)),
            Unfit::UnsafeRsa,
        );
    }
    skips(of(number(256, 0xc5c5)), Unfit::FactorableRsa); // 3 divides it
    let even = with(good(Algorithm::Rs256), "n", json!(b64([0xc4; 256])));
    skips(even, Unfit::UnsafeRsa);
    let padded = [&[0][..], &[0xc5; 256]].concat();
    skips(
        with(good(Algorithm::Rs256), "n", json!(b64(padded))),
        Unfit::Malformed,
    );
}

#[test]
fn a_point_is_on_its_curve_and_of_full_width() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512] {
        let jwk = good(algorithm);
        skips(
            with(jwk.clone(), "x", jwk["y"].clone()),
            Unfit::InvalidPoint,
        );
        skips(with(jwk.clone(), "x", json!("AQ")), Unfit::InvalidPoint);
    }
    skips(
        with(good(Algorithm::Es256), "crv", json!("P-384")),
        Unfit::InvalidPoint,
    );
    skips(
        with(good(Algorithm::Es256), "crv", json!("secp256k1")),
        Unfit::OtherKind,
    );
    skips(
        with(good(Algorithm::EdDsa), "crv", json!("X25519")),
        Unfit::OtherKind,
    );
    skips(
        with(good(Algorithm::EdDsa), "x", json!("AQ")),
        Unfit::InvalidPoint,
    );
}

#[test]
fn what_is_not_a_jwk_is_skipped() {
    skips(json!("k1"), Unfit::Malformed);
    skips(json!({}), Unfit::Malformed);
    skips(json!({ "kty": "RSA", "kid": "k1" }), Unfit::Malformed);
    skips(json!({ "kty": "XYZ", "kid": "k1" }), Unfit::OtherKind);
    skips(
        with(good(Algorithm::Es256), "kid", json!(1)),
        Unfit::Malformed,
    );
    skips(
        with(good(Algorithm::Es256), "kid", json!("")),
        Unfit::Malformed,
    );
    skips(
        with(good(Algorithm::Es256), "kid", json!("k".repeat(257))),
        Unfit::Malformed,
    );
    skips(
        with(good(Algorithm::Es256), "x", json!("A=")),
        Unfit::Malformed,
    );
}

#[test]
fn two_keys_of_one_id_are_none() {
    let other = SigningKey::for_algorithm(Algorithm::Es256).jwk("k2");
    for copies in 2..=3 {
        let mut keys = vec![other.clone()];
        keys.extend((0..copies).map(|_| good(Algorithm::Es256)));
        let set = set(json!(keys));
        assert_eq!(
            set.find(Some("k1"), Algorithm::Es256).err(),
            Some(NotFound::NoSuchKey)
        );
        assert!(set.find(Some("k2"), Algorithm::Es256).is_ok());
        assert!(
            set.skipped()
                .contains(&(Some("k1".into()), Unfit::SharedKeyId))
        );
    }
}

#[test]
fn an_unusable_key_does_not_take_its_namesake_along() {
    let encryption = with(good(Algorithm::Rs256), "use", json!("enc"));
    let set = set(json!([encryption, good(Algorithm::Es256)]));
    assert!(set.find(Some("k1"), Algorithm::Es256).is_ok());
}

#[test]
fn without_key_id_a_set_of_two_entries_has_no_key() {
    let mut nameless = good(Algorithm::Es256);
    nameless.as_object_mut().unwrap().remove("kid");
    let alone = set(json!([nameless]));
    assert!(alone.find(None, Algorithm::Es256).is_ok());
    assert_eq!(
        alone.find(Some("k1"), Algorithm::Es256).err(),
        Some(NotFound::NoSuchKey)
    );
    let two = set(json!([nameless, json!({ "kty": "XYZ" })]));
    assert_eq!(
        two.find(None, Algorithm::Es256).err(),
        Some(NotFound::NoSuchKey)
    );
}

#[test]
fn a_set_has_bounds() {
    let nothing = json!({ "kty": "XYZ" });
    assert_eq!(set(json!(vec![&nothing; MAX_KEYS])).len(), 0);
    let many = json!({ "keys": vec![&nothing; MAX_KEYS + 1] }).to_string();
    let error = KeySet::parse(many.as_bytes()).unwrap_err();
    assert_eq!(error, JwksError::TooManyKeys { keys: 65 });
    let error = KeySet::parse(&vec![b' '; MAX_JWKS_BYTES + 1]).unwrap_err();
    assert_eq!(
        error,
        JwksError::TooLarge {
            bytes: MAX_JWKS_BYTES + 1
        }
    );
}

#[test]
fn what_is_not_a_set_is_an_error() {
    for text in ["{}", "[]", r#"{"keys":{}}"#, r#"{"Keys":[]}"#] {
        assert_eq!(
            KeySet::parse(text.as_bytes()).unwrap_err(),
            JwksError::NoKeys,
            "{text}"
        );
    }
    let error = KeySet::parse(br#"{"keys":[],"keys":[]}"#).unwrap_err();
    assert!(matches!(error, JwksError::NotJson(_)));
}

#[test]
fn a_key_that_is_still_there_keeps_what_was_prepared_for_it() {
    let (kept, gone) = (
        good(Algorithm::Es256),
        SigningKey::for_algorithm(Algorithm::Es256),
    );
    let find = |set: &KeySet, kid| set.find(kid, Algorithm::Es256).unwrap();
    let before = set(json!([kept, gone.jwk("k2")]));
    find(&before, Some("k1")).prepare();
    find(&before, Some("k2")).prepare();

    // Alone now, so that a token without a key id means it too; and another key of the other's name.
    let mut alone = set(json!([kept]));
    alone.carry_over(&before);
    assert!(find(&alone, Some("k1")).is_prepared() && find(&alone, None).is_prepared());
    let other = SigningKey::for_algorithm(Algorithm::Es256).jwk("k2");
    let mut changed = set(json!([kept, other]));
    changed.carry_over(&before);
    assert!(Arc::ptr_eq(
        &find(&changed, Some("k1")),
        &find(&before, Some("k1"))
    ));
    assert!(!find(&changed, Some("k2")).is_prepared());
    // The same point, but the set says more about it than before.
    let mut narrower = set(json!([with(kept.clone(), "alg", json!("ES256"))]));
    let unsaid = with(kept, "alg", json!(null));
    let unsaid = set(json!([without(unsaid, "alg")]));
    find(&unsaid, Some("k1")).prepare();
    narrower.carry_over(&unsaid);
    assert!(!find(&narrower, Some("k1")).is_prepared());
}

fn without(mut jwk: serde_json::Value, member: &str) -> serde_json::Value {
    jwk.as_object_mut().unwrap().remove(member);
    jwk
}

#[test]
fn each_reason_to_leave_a_key_out_has_a_word_of_its_own() {
    let words: HashSet<_> = Unfit::ALL.map(Unfit::word).into();
    assert_eq!(words.len(), Unfit::ALL.len());
}
