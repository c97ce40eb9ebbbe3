//! Two encoders, one certificate.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::{Counter, Draft, ISSUER, Key, NOON, World, subject_key};
use crate::ca::{
    EncodeError, Encoder, Error, InstanceId, LeafProfile, Plan, SelfCheckError, Serial,
    check_encoder,
};
use crate::identity::{Extension, Principal, San};
use crate::possession::{AlgorithmList, PossessedKey, by_csr};
use crate::time::UnixSeconds;
use crate::x509::SignatureAlgorithm;

const URL: Option<&str> = Some("http://crl.example.com/crl/leaf.crl");

fn profile(url: Option<&str>) -> LeafProfile {
    LeafProfile::new("leaf", 600, 0, url).unwrap()
}

#[test]
fn the_self_check_finds_nothing_where_there_is_nothing() {
    for algorithm in SignatureAlgorithm::ALL {
        let world = World::new(*algorithm);
        for url in [None, URL] {
            check_encoder(&world.authority, &profile(url)).unwrap();
        }
    }
}

#[test]
fn the_self_check_fails_when_one_octet_of_the_template_is_changed() {
    let world = World::new(SignatureAlgorithm::EcdsaP384Sha384);
    let whole = &*world.authority;
    let octets = whole.clone().template_mut().octets().count();
    assert!(octets > 150, "{octets}");
    for at in 0..octets {
        let mut changed = whole.clone();
        *changed.template_mut().octets().nth(at).unwrap() ^= 1;
        let error = check_encoder(&changed, &profile(URL)).err();
        assert!(
            matches!(
                error,
                // Where a tag or length was hit it does not even read back.
                Some(SelfCheckError::Differ { .. } | SelfCheckError::Encode { .. })
            ),
            "octet {at}"
        );
        // Not used, so not asked.
        let rcgen = changed.with_encoder(Encoder::Rcgen);
        check_encoder(&rcgen, &profile(URL)).unwrap();
    }
}

#[test]
fn the_self_check_says_where_the_two_part() {
    let world = World::new(SignatureAlgorithm::EcdsaP256Sha256);
    let mut changed = (*world.authority).clone();
    // The last octet of the CRL extension's identifier.
    *changed.template_mut().octets().last().unwrap() ^= 1;
    let error = check_encoder(&changed, &profile(URL)).err().unwrap();
    let SelfCheckError::Differ {
        template,
        rcgen,
        at,
        sample,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(template, rcgen);
    assert!(at > template / 2 && at < template, "{at} of {template}");
    assert!(sample.starts_with("P-256 key, "), "{sample}");
    // Without a list in the profile only the longest sample has that extension, and it is found.
    assert!(check_encoder(&changed, &profile(None)).is_err());
}

#[test]
fn an_encoder_has_a_name_and_the_template_is_the_usual_one() {
    assert_eq!(Encoder::from_name("template"), Some(Encoder::default()));
    assert_eq!(Encoder::from_name("rcgen"), Some(Encoder::Rcgen));
    assert_eq!(Encoder::from_name("Template"), None);
}

#[test]
fn a_year_no_certificate_has_is_not_written() {
    let (key, root) = (Key::p256(5), Key::p384(6));
    let mut issuing = Draft::issuing(&key, &root);
    issuing.not_before = "500101000000Z"; // 1950
    let mut above = Draft::root(&root);
    above.not_before = "500101000000Z";
    let world = World::of(vec![issuing.sign(&root), above.sign(&root)], key);
    // Back-dating stops at the CA's first second, so no plan reaches further back.
    let first = UnixSeconds(-631_152_000);
    let plan = world.plan_for(super::world::email_principal(), subject_key(7), first);
    assert!(plan.unwrap().precertificate().is_ok());
    let error = Error::from(EncodeError::Time { at: first.plus(-1) });
    assert_eq!(error.reason(), crate::fault::Reason::Internal);
}

/// Precertificate, final and the final without a log; `None` where the claims are too long together.
fn made(world: &World, plan: impl Fn() -> Plan) -> Option<[Vec<u8>; 3]> {
    let tbs = match plan().precertificate() {
        Err(Error::TooLong { .. }) => return None,
        other => other.unwrap(),
    };
    let without_log = plan().leaf_without_log().unwrap();
    let precert = tbs.tbs().to_vec();
    let sealed = world.seal(world.sign(tbs));
    Some([precert, sealed.der().to_vec(), without_log.tbs().to_vec()])
}

/// A proven key of each kind, RSA in its smallest size.
fn keys() -> Vec<PossessedKey> {
    let mut keys = vec![subject_key(7)];
    for algorithm in [
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let request = rcgen::CertificateParams::default();
        let csr = request.serialize_request(&pair).unwrap().pem().unwrap();
        keys.push(by_csr(csr.as_bytes(), &AlgorithmList::all().into()).unwrap());
    }
    keys
}

/// Texts of every length there may be, the ends more often, not only in ASCII.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,80}",
        "[ -~é✓]{1,300}",
        "[!-~]{1020}",
        "[!-~]{1}",
        "[!-~]{90,270}",
    ]
}

fn san() -> impl Strategy<Value = San> {
    prop_oneof![
        "[a-z]{1,40}@[a-z.]{1,200}".prop_map(San::Email),
        "[a-z]{1}@[a-z]{1}".prop_map(San::Email),
        "[a-z]{1}:[!-~]{1}".prop_map(San::Uri),
        "https://[!-~]{1,250}".prop_map(San::Uri),
        "https://[!-~]{1008}".prop_map(San::Uri),
        "[ -~é✓]{1,90}".prop_map(|name| San::OtherName(name.replace('!', ".") + "!example.com")),
        "[a-z]{978}".prop_map(|name| San::OtherName(name + "!example.com")),
    ]
}

/// Any of the optional extensions, each with a text.
fn identity() -> impl Strategy<Value = Vec<Extension>> {
    let arcs = (2u8..=6).chain(9..=24).collect::<Vec<_>>();
    let some = proptest::sample::subsequence(arcs, 0..=21);
    let each = some.prop_flat_map(|arcs| {
        let texts = proptest::collection::vec(text(), arcs.len());
        (Just(arcs), texts)
    });
    each.prop_map(|(arcs, texts)| {
        let chosen = arcs.into_iter().zip(texts);
        let issuers = [1, 8].map(|arc| (arc, ISSUER.to_owned()));
        let mut all: Vec<Extension> = chosen
            .chain(issuers)
            .map(|(arc, value)| Extension { arc, value })
            .collect();
        all.sort_by_key(|extension| extension.arc);
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the plan, precertificate and final are the same from either encoder.
    #[test]
    fn the_encoders_agree_on_every_plan(
        p384 in any::<bool>(),
        key in any::<prop::sample::Index>(),
        san in san(),
        identity in identity(),
        draw in any::<u8>(),
        url in any::<bool>(),
        now in prop_oneof![
            Just(NOON.0),
            // Around the end of 2049, and anywhere in the CA's life.
            2_524_607_000i64..2_524_609_000,
            1_767_225_600i64..2_840_140_000,
        ],
    ) {
        static KEYS: std::sync::OnceLock<Vec<PossessedKey>> = std::sync::OnceLock::new();
        let signer = match p384 {
            true => Key::p384(5),
            false => Key::p256(5),
        };
        let root = Key::p384(6);
        let (mut issuing, mut above) = (Draft::issuing(&signer, &root), Draft::root(&root));
        (issuing.not_after, above.not_after) = ("20600101000000Z", "20700101000000Z");
        let world = World::of(vec![issuing.sign(&root), above.sign(&root)], signer);
        let principal = Arc::new(Principal::for_test(san, ISSUER, identity));
        let key = Arc::new(key.get(KEYS.get_or_init(keys)).clone());
        let leaf = Arc::new(profile(URL.filter(|_| url)));
        let made = |encoder| {
            let authority = (*world.authority).clone().with_profile(&leaf);
            let authority = Arc::new(authority.with_encoder(encoder));
            made(&world, || {
                let serial = Serial::draw(InstanceId::FIRST, &Counter::new(draw));
                let (authority, leaf) = (authority.clone(), leaf.clone());
                let (principal, key) = (principal.clone(), key.clone());
                Plan::new(authority, leaf, serial, principal, key, UnixSeconds(now)).unwrap()
            })
        };
        prop_assert_eq!(made(Encoder::Template), made(Encoder::Rcgen));
    }
}
