//! From plan to sealed leaf.

use std::sync::Arc;

use async_trait::async_trait;

use super::pairs::{put_together, take_apart};
use super::world::{
    Draft, ISSUER, Key, NOON, World, block_on, email_principal, rdn, subject_key,
    workflow_principal,
};
use crate::ca::{Error, LeafProfile, Plan, SignError, Signer};
use crate::der::{self, tag};
use crate::fault::Reason;
use crate::identity::{Extension, Principal, San};
use crate::possession::{AlgorithmList, by_csr};
use crate::time::UnixSeconds;
use crate::x509::{Certificate, SignatureAlgorithm, oid};

fn p256_world() -> World {
    World::new(SignatureAlgorithm::EcdsaP256Sha256)
}

fn read(der: &[u8]) -> Certificate {
    Certificate::from_der(der.to_vec()).unwrap()
}

#[test]
fn the_extensions_stand_in_the_profiles_order() {
    let world = p256_world().with_profile(600, 0, Some("http://crl.example.com/crl/leaf.crl"));
    let precert = world.precertificate();
    let names = |der: &[u8]| -> Vec<(String, bool)> {
        let certificate = read(der);
        let names = certificate.extensions().map(|one| {
            let name = match oid::fulcio_arc(one.oid) {
                Some(arc) => format!(".{arc}"),
                None => oid::name(one.oid).unwrap_or("?").into(),
            };
            (name, one.critical)
        });
        names.collect()
    };
    let mut want: Vec<(String, bool)> = [
        ("keyUsage", true),
        ("extKeyUsage", false),
        ("subjectKeyIdentifier", false),
        ("authorityKeyIdentifier", false),
        ("subjectAltName", true),
    ]
    .map(|(name, critical)| (name.into(), critical))
    .into();
    for arc in [1, 2, 3, 4, 5, 6, 8, 9, 12, 23, 24] {
        want.push((format!(".{arc}"), false));
    }
    want.push(("cRLDistributionPoints".into(), false));
    want.push(("precertificatePoison".into(), true));
    assert_eq!(names(precert.der()), want);
    *want.last_mut().unwrap() = ("signedCertificateTimestampList".into(), false);
    assert_eq!(names(world.seal(precert).der()), want);
}

#[test]
fn the_old_extensions_are_raw_and_the_new_ones_utf8_strings() {
    let world = p256_world();
    let leaf = read(world.seal(world.precertificate()).der());
    let value = |arc: u8| leaf.extension(&oid::fulcio(arc)).unwrap();
    assert_eq!(value(1), ISSUER.as_bytes());
    assert_eq!(value(8), der::tlv(tag::UTF8_STRING, &[ISSUER.as_bytes()]));
    assert_eq!(value(5), b"octo/app");
    assert_eq!(value(23), der::tlv(0x0c, &["Wärme ✓".as_bytes()]));
}

#[test]
fn both_cas_sign_what_a_second_library_verifies() {
    use p256::ecdsa::signature::Verifier;
    for algorithm in SignatureAlgorithm::ALL {
        let world = World::new(*algorithm);
        let leaf = read(world.seal(world.precertificate()).der());
        let issuing = world.authority.issuing();
        // The test key signed by the pure Rust crate; aws-lc-rs verifies, and the other way round.
        assert_eq!(
            algorithm.verify(issuing.spki(), leaf.tbs(), leaf.signature()),
            Ok(())
        );
        match &world.signer {
            Key::P256(key, _) => {
                let signature = p256::ecdsa::DerSignature::try_from(leaf.signature()).unwrap();
                assert!(key.verifying_key().verify(leaf.tbs(), &signature).is_ok());
            }
            Key::P384(key, _) => {
                let signature = p384::ecdsa::DerSignature::try_from(leaf.signature()).unwrap();
                assert!(key.verifying_key().verify(leaf.tbs(), &signature).is_ok());
            }
        }
        assert_eq!(leaf.issuer(), issuing.subject());
        assert_eq!(leaf.aki(), issuing.ski());
    }
}

#[test]
fn the_entry_is_the_final_without_its_sct_list() {
    let world = p256_world();
    let precert = world.precertificate();
    let entry = precert.entry();
    assert_eq!(entry.precert_der(), precert.der());
    assert_eq!(entry.chain().len(), 2);
    let body = entry.tbs().to_vec();
    let leaf = read(world.seal(precert).der());
    let list = leaf.extensions().last().unwrap();
    assert_eq!(list.oid, oid::SCT_LIST);
    let (fields, mut extensions) = take_apart(leaf.tbs());
    extensions.pop();
    assert_eq!(put_together(&fields, &extensions), body);
}

#[test]
fn odd_issuer_names_come_out_byte_for_byte() {
    const CN: &[u8] = &[0x55, 4, 3];
    const OU: &[u8] = &[0x55, 4, 11];
    const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
    let (printable, teletex, ia5) = (0x13, 0x14, 0x16);
    let multi_valued = {
        let pair = |attribute: &[u8], text: &[u8]| {
            der::sequence(&[&der::tlv(tag::OID, &[attribute]), &der::tlv(0x0c, &[text])])
        };
        der::tlv(tag::SET, &[&pair(CN, b"ca"), &pair(OU, b"unit")])
    };
    for parts in [
        vec![rdn(OU, 0x0c, b"one"), rdn(OU, 0x0c, b"two")],
        vec![rdn(DC, ia5, b"example"), rdn(DC, ia5, b"com")],
        vec![rdn(CN, printable, b"Test CA")],
        vec![rdn(CN, 0x0c, b"Test CA")],
        vec![rdn(CN, teletex, b"T\xe9st CA")],
        vec![rdn(CN, 0x0c, "Prüf-CA".as_bytes())],
        vec![multi_valued],
    ] {
        let name = der::sequence(&[&parts.concat()]);
        let (key, root) = (Key::p256(5), Key::p384(6));
        let mut issuing = Draft::issuing(&key, &root);
        issuing.subject = name.clone();
        let chain = vec![issuing.sign(&root), Draft::root(&root).sign(&root)];
        let world = World::of(chain, key);
        let precert = world.precertificate();
        assert_eq!(read(precert.der()).issuer(), name);
        assert_eq!(read(world.seal(precert).der()).issuer(), name);
    }
}

#[test]
fn subject_keys_of_every_kind_come_out_byte_for_byte() {
    let world = p256_world();
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let request = rcgen::CertificateParams::default();
        let csr = request.serialize_request(&pair).unwrap().pem().unwrap();
        let key = by_csr(csr.as_bytes(), &AlgorithmList::all().into()).unwrap();
        let spki = key.spki_der().to_vec();
        let plan = world.plan_for(email_principal(), key, NOON).unwrap();
        let precert = world.sign(plan.precertificate().unwrap());
        let leaf = read(world.seal(precert).der());
        assert_eq!(leaf.spki(), spki, "{algorithm:?}");
    }
}

#[test]
fn validity_counts_both_ends() {
    let world = p256_world();
    let plan = world.plan();
    assert_eq!(plan.not_before(), NOON);
    assert_eq!(plan.not_after(), NOON.plus(599));
    let leaf = read(world.seal(world.precertificate()).der());
    assert_eq!(
        (leaf.not_before(), leaf.not_after()),
        (NOON, NOON.plus(599))
    );
}

#[test]
fn a_leaf_ends_with_the_first_ca_above_it_that_ends() {
    // The issuing CA ends at 12:05:00, the root at 12:04:59.
    let (key, root) = (Key::p256(5), Key::p384(6));
    let mut issuing = Draft::issuing(&key, &root);
    issuing.not_after = "261121120500Z";
    let mut above = Draft::root(&root);
    above.not_after = "261121120459Z";
    let world = World::of(vec![issuing.sign(&root), above.sign(&root)], key);
    let plan_at = |now| world.plan_for(email_principal(), subject_key(7), now);
    assert_eq!(plan_at(NOON).unwrap().not_after(), NOON.plus(299));
    let last = plan_at(NOON.plus(299)).unwrap();
    assert_eq!(
        (last.not_before(), last.not_after()),
        (NOON.plus(299), NOON.plus(299))
    );
    assert!(last.precertificate().is_ok());
    let error = plan_at(NOON.plus(300)).err().unwrap();
    assert!(matches!(error, Error::AuthorityNotValid { now, .. } if now == NOON.plus(300)));
    assert_eq!(error.reason(), Reason::CaUnavailable);
}

#[test]
fn back_dating_does_not_reach_before_the_ca() {
    let (key, root) = (Key::p256(5), Key::p384(6));
    let mut issuing = Draft::issuing(&key, &root);
    issuing.not_before = "261121115950Z";
    let world = World::of(
        vec![issuing.sign(&root), Draft::root(&root).sign(&root)],
        key,
    );
    let world = world.with_profile(600, 30, None);
    let plan = world.plan();
    assert_eq!(plan.not_before(), NOON.plus(-10));
    assert_eq!(plan.not_after(), NOON.plus(589));
    assert!(plan.precertificate().is_ok());
    let clear = p256_world().with_profile(600, 30, None);
    assert_eq!(clear.plan().not_before(), NOON.plus(-27));
}

#[test]
fn years_from_2050_on_are_written_in_full() {
    // 2049-12-31T23:55:00Z.
    let now = UnixSeconds(2_524_607_700);
    let (key, root) = (Key::p256(5), Key::p384(6));
    let mut issuing = Draft::issuing(&key, &root);
    let mut above = Draft::root(&root);
    (issuing.not_after, above.not_after) = ("20600101000000Z", "20700101000000Z");
    let chain = vec![issuing.sign(&root), above.sign(&root)];
    let world = World::of(chain, key);
    let plan = world
        .plan_for(email_principal(), subject_key(7), now)
        .unwrap();
    let tbs = plan.precertificate().unwrap();
    let der = tbs.unsigned_der();
    let utc = der::tlv(tag::UTC_TIME, &[b"491231235500Z"]);
    let generalized = der::tlv(tag::GENERALIZED_TIME, &[b"20500101000459Z"]);
    let validity = der::sequence(&[&utc, &generalized]);
    assert!(der.windows(validity.len()).any(|window| window == validity));
    assert_eq!(read(der).not_after(), now.plus(599));
}

#[test]
fn an_sct_for_another_precertificate_does_not_seal_this_one() {
    let world = p256_world();
    let other = {
        let plan = world
            .plan_for(workflow_principal(), subject_key(8), NOON)
            .unwrap();
        world.sign(plan.precertificate().unwrap())
    };
    let stranger = world.sct(other.entry());
    let error = world.precertificate().seal(vec![stranger]).err().unwrap();
    assert!(matches!(error, Error::SctNotForThisPrecertificate));
    let precert = world.precertificate();
    let own = world.sct(precert.entry());
    assert!(precert.seal(vec![own]).is_ok());
}

#[test]
fn exactly_one_sct_seals() {
    let world = p256_world();
    let none = world.precertificate().seal(vec![]).err();
    assert!(matches!(none, Some(Error::SctCount { got: 0 })));
    let precert = world.precertificate();
    let sct = world.sct(precert.entry());
    let two = precert.seal(vec![sct.clone(), sct]).err();
    assert!(matches!(two, Some(Error::SctCount { got: 2 })));
}

#[test]
fn whatever_sct_is_believed_fits_the_final() {
    let world = p256_world();
    let precert = world.precertificate();
    let longest = world.longest_sct(precert.entry());
    let tbs = precert.seal(vec![longest]).unwrap();
    let leaf = read(world.sign(tbs).der());
    let list = leaf.extension(oid::SCT_LIST).unwrap();
    assert!((1022..=1024).contains(&list.len()), "{}", list.len());
}

#[test]
fn without_a_log_the_final_has_neither_poison_nor_list() {
    let world = p256_world();
    let leaf = world.sign(world.plan().leaf_without_log().unwrap());
    let leaf = read(leaf.der());
    assert_eq!(leaf.extension(oid::POISON), None);
    assert_eq!(leaf.extension(oid::SCT_LIST), None);
}

#[test]
fn only_the_plans_own_ca_signs() {
    let world = p256_world();
    for stranger in [Key::p256(9), Key::p384(9)] {
        let tbs = world.plan().precertificate().unwrap();
        let error = block_on(tbs.sign(&stranger)).err().unwrap();
        assert!(
            matches!(error, Error::WrongSigner { authority } if authority == world.authority.id())
        );
        assert_eq!(error.reason(), Reason::Internal);
    }
}

/// Holds the right public key and answers what it was told to.
struct Puppet(Vec<u8>, Result<Vec<u8>, ()>);

#[async_trait]
impl Signer for Puppet {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaP256Sha256
    }
    fn spki(&self) -> &[u8] {
        &self.0
    }
    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        self.1.clone().map_err(|()| SignError::Unavailable {
            source: "the module is gone".into(),
        })
    }
}

#[test]
fn what_is_no_signature_does_not_reach_a_certificate() {
    let world = p256_world();
    let sign = |answer| {
        let puppet = Puppet(world.signer.spki().to_vec(), answer);
        block_on(world.plan().precertificate().unwrap().sign(&puppet))
    };
    let pair = |r: &[u8], s: &[u8]| Ok(der::sequence(&[r, s]));
    let one = der::unsigned(&[1]);
    for bad in [
        Ok(vec![]),
        Ok(vec![7; 64]),
        pair(&one, &[2, 1, 0]),
        pair(&[2, 1, 0x80], &one),
        pair(&[2, 2, 0, 1], &one),
        pair(&one, &der::unsigned(&[1; 33])),
        Ok(der::sequence(&[&one, &one, &one])),
    ] {
        assert!(matches!(sign(bad), Err(Error::SignatureForm { .. })));
    }
    assert!(sign(pair(&one, &der::unsigned(&[0xff; 32]))).is_ok());
    let away = sign(Err(())).err().unwrap();
    assert_eq!(away.reason(), Reason::CaUnavailable);
}

#[test]
fn claims_that_cannot_stand_in_a_certificate_are_the_tokens_fault() {
    let world = p256_world();
    let plan = |san: San, value: &str| {
        let extensions = [(1, ISSUER), (8, ISSUER), (9, value)].map(|(arc, value)| Extension {
            arc,
            value: value.into(),
        });
        let principal = Principal::for_test(san, ISSUER, extensions.into());
        world.plan_for(principal, subject_key(7), NOON)
    };
    let uri = || San::Uri("https://example.com/a".into());
    assert!(plan(uri(), "x").and_then(Plan::precertificate).is_ok());
    assert!(
        plan(uri(), &"x".repeat(1020))
            .and_then(Plan::precertificate)
            .is_ok()
    );
    for (san, value) in [
        (San::Uri("https://example.com/ä".into()), "x"),
        (San::Uri("https://example.com/a b".into()), "x"),
        (San::Uri("https://example.com/\0".into()), "x"),
        (San::Email(String::new()), "x"),
        (San::OtherName("a\nb!example.com".into()), "x"),
        (San::OtherName("x".repeat(1000)), "x"),
        (San::Uri(format!("https://{}", "x".repeat(1020))), "x"),
        (uri(), ""),
        (uri(), "a\nb"),
        (uri(), &"x".repeat(1021)),
    ] {
        let error = plan(san, value).err().unwrap();
        assert_eq!(error.reason(), Reason::ClaimInvalid, "{error}");
    }
}

#[test]
fn claims_too_long_together_are_the_tokens_fault_before_anything_is_signed() {
    // The longest signature there is.
    let world = World::new(SignatureAlgorithm::EcdsaP384Sha384);
    let precert = |last: usize| {
        let full = (9..=21).map(|arc| (arc, "x".repeat(1020)));
        let last = [(22, "x".repeat(300)), (23, "x".repeat(last))];
        let issuer = [(1, ISSUER.to_owned()), (8, ISSUER.to_owned())];
        let list = issuer.into_iter().chain(full).chain(last);
        let list = list.map(|(arc, value)| Extension { arc, value }).collect();
        let san = San::Uri("https://example.com/a".into());
        let principal = Principal::for_test(san, ISSUER, list);
        let plan = world.plan_for(principal, subject_key(7), NOON).unwrap();
        plan.precertificate()
    };
    let longest = (256..=1020).rev().find(|last| precert(*last).is_ok());
    let longest = longest.unwrap();
    let error = precert(longest + 1).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the claims together make a certificate of up to 16385 octets, at most 16384 fit"
    );
    assert_eq!(error.reason(), Reason::ClaimInvalid);

    // With the longest SCT as well the final is linted, and as long as it may be.
    let precert = world.sign(precert(longest).unwrap());
    let sct = world.longest_sct(precert.entry());
    let leaf = world.sign(precert.seal(vec![sct]).unwrap());
    assert!((16_376..=16_384).contains(&leaf.der().len()));
}

#[test]
fn the_longest_name_still_passes_the_lint() {
    let world = p256_world();
    let longest = format!("https://example.com/{}", "x".repeat(1016 - 20));
    let list = [(1, ISSUER), (8, ISSUER)].map(|(arc, value)| Extension {
        arc,
        value: value.into(),
    });
    let principal = Principal::for_test(San::Uri(longest), ISSUER, list.into());
    let plan = world.plan_for(principal, subject_key(7), NOON).unwrap();
    assert!(plan.precertificate().is_ok());
}

#[test]
fn a_user_name_is_linted_to_the_octet() {
    let world = p256_world();
    let precert = |name: &str| {
        let list = [(1, ISSUER), (8, ISSUER)].map(|(arc, value)| Extension {
            arc,
            value: value.into(),
        });
        let san = San::OtherName(name.into());
        let principal = Principal::for_test(san, ISSUER, list.into());
        let plan = world.plan_for(principal, subject_key(7), NOON).unwrap();
        plan.precertificate()
    };
    let der = precert("jäne!a.b").unwrap().unsigned_der().to_vec();
    let expected = [
        &[0x30, 0x1b, 0xa0, 0x19][..], // GeneralNames { [0] otherName
        &[0x06, 0x0a, 0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 7], // type-id
        &[0xa0, 0x0b, 0x0c, 0x09],     // value [0] { UTF8String
        "jäne!a.b".as_bytes(),
    ]
    .concat();
    assert!(der.windows(expected.len()).any(|octets| octets == expected));
    for name in ["jane", "!a.b", "jane!", "a!b!c"] {
        let error = precert(name).err().unwrap();
        assert!(matches!(&error, Error::Lint(_)), "{name}: {error}");
    }
}

#[test]
fn extensions_out_of_order_stop_at_the_lint() {
    let world = p256_world();
    let list = [(8, ISSUER), (1, ISSUER)].map(|(arc, value)| Extension {
        arc,
        value: value.into(),
    });
    let san = San::Uri("https://example.com/a".into());
    let principal = Principal::for_test(san, ISSUER, list.into());
    let plan = world.plan_for(principal, subject_key(7), NOON).unwrap();
    let error = plan.precertificate().err().unwrap();
    assert!(matches!(&error, Error::Lint(findings) if findings.0[0].rule == "c13"));
    assert_eq!(error.reason(), Reason::Internal);
}

#[test]
fn a_profile_the_ca_was_not_configured_with_stops_at_the_lint() {
    let mut world = p256_world();
    // The same name, a second more: not the profile that was configured under it.
    let changed = LeafProfile::new("leaf", 601, 0, None).unwrap();
    world.profile = Arc::new(changed.clone());
    let error = world.plan().precertificate().err().unwrap();
    let found = "lint refused the certificate: c20 profile \"leaf\" is not known";
    assert_eq!(error.to_string(), found);
    assert_eq!(error.reason(), Reason::Internal);
    let authority = Arc::unwrap_or_clone(world.authority);
    world.authority = Arc::new(authority.with_profile(&changed));
    assert!(world.plan().precertificate().is_ok());
}
