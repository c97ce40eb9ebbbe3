//! Each refusal changes one thing of the certificate that the first test accepts.

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};

use super::testing::*;
use super::*;
use crate::ct::{Sct, SctError};
use crate::der::{self, tag};
use crate::x509::oid;

/// Verifies at noon plus five minutes, under the world's own trust.
fn verify(world: &World, leaf: &[u8]) -> Result<VerifiedCertificate, Error> {
    certificate(leaf, &[], &world.trust(), &policy(), NOON.plus(300))
}

/// The error of a leaf that differs from the good one by `change`, with an SCT of its own.
fn refused(change: impl FnOnce(&mut Leaf)) -> Error {
    let world = World::new();
    let mut leaf = Leaf::good();
    change(&mut leaf);
    verify(&world, &world.issue(leaf)).unwrap_err()
}

#[test]
fn a_logged_leaf_of_a_trusted_ca_is_believed_and_the_checks_are_listed() {
    let world = World::new();
    let verified = verify(&world, &world.issue(Leaf::good())).unwrap();
    assert_eq!(verified.issuer(), ISSUER);
    assert_eq!(verified.identity(), &San::Uri(WORKFLOW.into()));
    let log = world.log.key().id();
    let path = vec!["CN=Test Issuing CA".into(), "CN=Test Root".into()];
    let at = NOON.plus(300);
    assert_eq!(
        verified.checks(),
        [
            Check::Chain { path, at },
            Check::Profile,
            Check::IssuerAgrees,
            Check::Logged { logs: vec![log] },
            Check::Identity
        ]
    );
    let line = "chain to a trusted root at 2026-11-21T12:05:00Z: CN=Test Issuing CA → CN=Test Root";
    assert_eq!(verified.checks()[0].to_string(), line);
}

#[test]
fn an_email_address_is_an_identity_too() {
    let world = World::new();
    let mut leaf = Leaf::good();
    leaf.set(
        oid::SUBJECT_ALT_NAME,
        true,
        names(&[(1, "dev@example.com")]),
    );
    let leaf = world.issue(leaf);
    let email = San::Email("dev@example.com".into());
    let policy = IdentityPolicy::new(ISSUER, email).unwrap();
    certificate(&leaf, &[], &world.trust(), &policy, NOON).unwrap();
}

#[test]
fn a_user_name_is_an_identity_and_another_type_of_other_name_is_none() {
    let world = World::new();
    let with = |kind: &[u8], text: &[u8]| {
        let kind = der::tlv(tag::OID, &[kind]);
        let value = der::tlv(tag::context_constructed(0), &[text]);
        let name = der::tlv(tag::context_constructed(0), &[&kind, &value]);
        let mut leaf = Leaf::good();
        leaf.set(oid::SUBJECT_ALT_NAME, true, der::sequence(&[&name]));
        world.issue(leaf)
    };
    let text = der::tlv(tag::UTF8_STRING, &["jäne!example.com".as_bytes()]);
    let policy = IdentityPolicy::new(ISSUER, San::OtherName("jäne!example.com".into())).unwrap();
    let check = |leaf: &[u8]| certificate(leaf, &[], &world.trust(), &policy, NOON);
    let good = with(oid::USERNAME, &text);
    assert_eq!(check(&good).unwrap().identity().name(), "jäne!example.com");
    let ia5 = der::tlv(0x16, &[b"jane!example.com"]);
    let broken = der::tlv(tag::UTF8_STRING, &[&[0xff, b'!', b'a']]);
    for (kind, text) in [
        (oid::FULCIO, &text),
        (oid::USERNAME, &ia5),
        (oid::USERNAME, &broken),
        (oid::USERNAME, &[&text[..], &text[..]].concat()),
    ] {
        let error = check(&with(kind, text)).unwrap_err();
        assert!(
            matches!(
                error,
                Error::ExtensionNotOfProfile {
                    name: "subjectAltName",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn the_issuing_ca_may_come_with_the_leaf() {
    let world = World::new();
    let leaf = world.issue(Leaf::good());
    let mut trust = world.trust();
    trust.authorities[0].chain.remove(0);
    let alone = certificate(&leaf, &[], &trust, &policy(), NOON).unwrap_err();
    assert_eq!(
        alone.to_string(),
        "no path from CN=Test Issuing CA to a trusted root"
    );
    let supplied = [world.issuing.clone()];
    certificate(&leaf, &supplied, &trust, &policy(), NOON).unwrap();
}

#[test]
fn the_first_and_the_last_second_count_and_no_other() {
    let world = World::new();
    let leaf = world.issue(Leaf::good());
    let at = |at| certificate(&leaf, &[], &world.trust(), &policy(), at);
    at(NOON).unwrap();
    at(NOON.plus(599)).unwrap();
    for wrong in [NOON.plus(-1), NOON.plus(600)] {
        let error = at(wrong).unwrap_err();
        assert_eq!(error.step(), Step::Time);
        let want = format!(
            "the certificate is valid 2026-11-21T12:00:00Z to 2026-11-21T12:09:59Z, the time is {wrong}"
        );
        assert_eq!(error.to_string(), want);
    }
}

#[test]
fn a_ca_with_the_same_name_and_another_key_is_not_trusted() {
    let (world, other) = (World::new(), World::new());
    let leaf = other.issue(Leaf::good());
    let supplied = [other.issuing.clone(), other.root.clone()];
    let error = certificate(&leaf, &supplied, &world.trust(), &policy(), NOON).unwrap_err();
    assert_eq!(error.step(), Step::Chain);
}

#[test]
fn a_root_past_its_own_end_is_refused() {
    let ends = NOON.plus(299);
    let root = Ca {
        not_after: ends,
        ..Ca::good()
    };
    let world = World::with(root, Ca::good());
    let leaf = world.issue(Leaf::good());
    certificate(&leaf, &[], &world.trust(), &policy(), ends).unwrap();
    let error = verify(&world, &leaf).unwrap_err();
    assert!(matches!(error, Error::RootOutsideValidity { not_after, .. } if not_after == ends));
}

#[test]
fn an_issuing_ca_past_its_own_end_is_refused() {
    let issuing = Ca {
        not_after: NOON.plus(299),
        ..Ca::good()
    };
    let world = World::with(Ca::good(), issuing);
    let error = verify(&world, &world.issue(Leaf::good())).unwrap_err();
    let Error::Untrusted { source, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(source, webpki::Error::CertExpired { .. }));
}

#[test]
fn a_ca_for_another_purpose_is_refused() {
    let issuing = Ca {
        purposes: vec![ExtendedKeyUsagePurpose::ServerAuth],
        ..Ca::good()
    };
    let world = World::with(Ca::good(), issuing);
    let error = verify(&world, &world.issue(Leaf::good())).unwrap_err();
    let Error::Untrusted { source, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(
        source,
        webpki::Error::RequiredEkuNotFoundContext(_)
    ));
}

#[test]
fn a_ca_that_may_only_sign_lists_is_refused() {
    let issuing = Ca {
        usages: vec![KeyUsagePurpose::CrlSign],
        ..Ca::good()
    };
    let world = World::with(Ca::good(), issuing);
    let error = verify(&world, &world.issue(Leaf::good())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the CA CN=Test Issuing CA lacks keyCertSign"
    );
}

#[test]
fn a_retired_ca_is_refused_even_if_the_caller_brings_it() {
    let world = World::new();
    let leaf = world.issue(Leaf::good());
    let mut trust = world.trust();
    trust.authorities[0].valid.end = Some(NOON.plus(-1));
    let error = certificate(&leaf, &[], &trust, &policy(), NOON).unwrap_err();
    assert!(matches!(error, Error::NoAuthorityAt { known: 1, .. }));
    // The same root is still in use for another issuing CA.
    let mut successor = trust.authorities[0].clone();
    successor.valid.end = None;
    successor.chain.remove(0);
    trust.authorities.push(successor);
    let supplied = [world.issuing.clone()];
    let error = certificate(&leaf, &supplied, &trust, &policy(), NOON).unwrap_err();
    let Error::Untrusted { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source, webpki::Error::UnknownIssuer);
}

#[test]
fn one_usable_ca_among_others_is_enough() {
    let (world, other) = (World::new(), World::new());
    let leaf = world.issue(Leaf::good());
    let mut trust = other.trust();
    trust.authorities.extend(world.trust().authorities);
    trust.authorities.extend(other.trust().authorities);
    trust.logs.extend(world.trust().logs);
    certificate(&leaf, &[], &trust, &policy(), NOON).unwrap();
}

#[test]
fn what_follows_the_certificate_is_refused() {
    let world = World::new();
    let mut leaf = world.issue(Leaf::good());
    leaf.push(0);
    let error = verify(&world, &leaf).unwrap_err();
    assert_eq!(error.step(), Step::Read);
}

#[test]
fn a_precertificate_is_not_a_certificate() {
    let error = refused(|leaf| leaf.set(oid::POISON, true, vec![5, 0]));
    let Error::Untrusted { source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source, webpki::Error::UnsupportedCriticalExtension);
}

#[test]
fn a_leaf_outside_the_profile_is_refused_with_what_it_says() {
    type Change = fn(&mut Leaf);
    let cases: &[(Change, &str)] = &[
        (
            |leaf| leaf.set(oid::KEY_USAGE, true, vec![3, 2, 2, 0x84]),
            "keyUsage is critical, digitalSignature, keyCertSign, the profile demands critical, digitalSignature",
        ),
        (
            |leaf| leaf.set(oid::KEY_USAGE, false, vec![3, 2, 7, 0x80]),
            "keyUsage is digitalSignature, the profile demands critical, digitalSignature",
        ),
        (
            |leaf| leaf.remove(oid::KEY_USAGE),
            "the certificate has no keyUsage",
        ),
        (
            |leaf| leaf.set(oid::EXTENDED_KEY_USAGE, false, purposes(&[3, 1])),
            "extKeyUsage is serverAuth, codeSigning, the profile demands codeSigning",
        ),
        (
            |leaf| leaf.set(oid::BASIC_CONSTRAINTS, true, vec![0x30, 0]),
            "basicConstraints is critical, CA false, the profile demands absent",
        ),
        (
            |leaf| leaf.remove(oid::SUBJECT_ALT_NAME),
            "the certificate has no subjectAltName",
        ),
        (
            |leaf| leaf.remove(&fulcio(1)),
            "the certificate has no issuer extension .1",
        ),
        (
            |leaf| leaf.remove(&fulcio(8)),
            "the certificate has no issuer extension .8",
        ),
        (
            |leaf| leaf.set(&fulcio(8), false, utf8("https://other.example")),
            "issuer extension .1 says \"https://token.actions.githubusercontent.com\", .8 says \"https://other.example\"",
        ),
    ];
    for (change, text) in cases {
        let error = refused(change);
        assert_eq!(
            (error.step(), error.to_string().as_str()),
            (Step::Profile, *text)
        );
    }
}

#[test]
fn exactly_one_name_of_a_known_type_is_read() {
    let other = "https://github.com/mallory/app";
    for value in [
        names(&[(6, WORKFLOW), (6, other)]),
        names(&[(6, WORKFLOW), (1, "dev@example.com")]),
        names(&[(2, "example.com")]),
        names(&[]),
        names(&[(6, "\u{ff}")]),
    ] {
        let error = refused(|leaf| leaf.set(oid::SUBJECT_ALT_NAME, true, value));
        assert!(matches!(error.step(), Step::Profile), "{error}");
    }
}

#[test]
fn an_extension_may_stand_there_once() {
    let again = (fulcio(1), false, ISSUER.as_bytes().to_vec());
    let error = refused(|leaf| leaf.extensions.push(again));
    let want = "the certificate has 1.3.6.1.4.1.57264.1.1 more than once";
    assert_eq!(error.to_string(), want);
}

#[test]
fn a_leaf_that_was_not_logged_is_refused() {
    let world = World::new();
    let error = verify(&world, &world.issue_unlogged(Leaf::good())).unwrap_err();
    assert!(matches!(error, Error::NotLogged), "{error}");
}

#[test]
fn an_sct_of_an_unknown_log_does_not_count() {
    let world = World::new();
    let mut trust = world.trust();
    trust.logs[0].key = Log::new().key();
    let leaf = world.issue(Leaf::good());
    let error = certificate(&leaf, &[], &trust, &policy(), NOON).unwrap_err();
    assert!(matches!(error, Error::NoKnownLog { scts: 1, known: 1 }));
}

#[test]
fn an_sct_for_another_certificate_does_not_count() {
    let world = World::new();
    let mut other = Leaf::good();
    other.serial += 1;
    let leaf = world.issue_with(Leaf::good(), &[world.sct(&other)]);
    let error = verify(&world, &leaf).unwrap_err();
    assert!(matches!(error, Error::SctInvalid { .. }), "{error}");
}

#[test]
fn an_sct_with_a_changed_timestamp_does_not_count() {
    let world = World::new();
    let sct = world.sct(&Leaf::good());
    let later = Sct {
        timestamp: sct.timestamp.plus(1),
        ..sct.clone()
    };
    let error = verify(&world, &world.issue_with(Leaf::good(), &[later])).unwrap_err();
    let Error::SctInvalid { log, source } = error else {
        panic!("{error}")
    };
    assert_eq!(log, sct.log_id);
    assert_eq!(source, SctError::SignatureInvalid { log });
}

#[test]
fn a_bad_sct_of_a_known_log_is_not_outweighed_by_a_good_one() {
    let world = World::new();
    let sct = world.sct(&Leaf::good());
    let bad = Sct {
        timestamp: sct.timestamp.plus(1),
        ..sct.clone()
    };
    let error = verify(&world, &world.issue_with(Leaf::good(), &[sct, bad])).unwrap_err();
    assert!(matches!(error, Error::SctInvalid { .. }), "{error}");
}

#[test]
fn an_sct_from_outside_the_logs_window_does_not_count() {
    let world = World::new();
    let leaf = world.issue(Leaf::good());
    let mut trust = world.trust();
    trust.logs[0].valid.end = Some(NOON.plus(-1));
    let error = certificate(&leaf, &[], &trust, &policy(), NOON).unwrap_err();
    assert!(
        matches!(error, Error::SctTime { dated: NOON, .. }),
        "{error}"
    );
    trust.logs[0].valid.end = Some(NOON);
    certificate(&leaf, &[], &trust, &policy(), NOON).unwrap();
}

#[test]
fn an_sct_from_the_future_does_not_count_beyond_a_minute_of_clock_skew() {
    let world = World::new();
    let dated = |dated| {
        let sct = world.sct_dated(&Leaf::good(), dated);
        let leaf = world.issue_with(Leaf::good(), &[sct]);
        certificate(&leaf, &[], &world.trust(), &policy(), NOON)
    };
    dated(NOON.plus(60)).unwrap();
    let error = dated(NOON.plus(61)).unwrap_err();
    assert!(matches!(error, Error::SctTime { at: NOON, .. }), "{error}");
}

#[test]
fn a_valid_certificate_of_somebody_else_is_refused() {
    let world = World::new();
    let leaf = world.issue(Leaf::good());
    let ask = |policy| certificate(&leaf, &[], &world.trust(), &policy, NOON).unwrap_err();
    let upper = WORKFLOW.to_uppercase();
    let error = ask(IdentityPolicy::new(ISSUER, San::Uri(upper)).unwrap());
    assert!(matches!(error, Error::WrongIdentity { .. }), "{error}");
    let error = ask(IdentityPolicy::new(ISSUER, San::Email(WORKFLOW.into())).unwrap());
    assert!(matches!(error, Error::WrongIdentity { .. }), "{error}");
    let slash = format!("{ISSUER}/");
    let error = ask(IdentityPolicy::new(slash, San::Uri(WORKFLOW.into())).unwrap());
    assert_eq!(
        error.to_string(),
        format!("the identity issuer is {ISSUER:?}, expected \"{ISSUER}/\"")
    );
}

#[test]
fn a_policy_names_issuer_and_identity() {
    let name =
        |policy: Result<_, Error>| policy.map(|_: IdentityPolicy| ()).unwrap_err().to_string();
    let workflow = San::Uri(WORKFLOW.into());
    assert_eq!(
        name(IdentityPolicy::new("", workflow)),
        "the policy names no issuer"
    );
    let nobody = San::Uri(String::new());
    assert_eq!(
        name(IdentityPolicy::new(ISSUER, nobody)),
        "the policy names no identity"
    );
}

#[test]
fn inspecting_shows_every_extension_by_name() {
    let world = World::new();
    let leaf = inspect(&world.issue(Leaf::good())).unwrap();
    assert_eq!(leaf.key, "P-256");
    assert_eq!(leaf.signature_algorithm, "ecdsa-with-SHA256");
    assert_eq!(
        (leaf.subject.as_str(), leaf.issuer.as_str()),
        ("", "CN=Test Issuing CA")
    );
    assert_eq!((leaf.not_before, leaf.not_after), (NOON, NOON.plus(599)));
    assert_eq!(leaf.text(8), Some(ISSUER));
    assert_eq!(leaf.scts()[0].log_id, world.log.key().id());
    let unnamed = leaf.extensions.iter().filter(|e| e.name.is_none()).count();
    assert_eq!(unnamed, 0, "{:?}", leaf.extensions);
}

#[test]
fn inspecting_shows_what_it_cannot_decode_as_bytes() {
    let world = World::new();
    let mut leaf = Leaf::good();
    leaf.set(&fulcio(8), false, b"not DER".to_vec());
    leaf.set(&[0x2a, 3, 4], false, vec![1, 2, 3]);
    let leaf = inspect(&world.issue_unlogged(leaf)).unwrap();
    let [.., eight, unknown] = leaf.extensions.as_slice() else {
        panic!()
    };
    assert_eq!(eight.value, Value::Opaque(b"not DER".to_vec()));
    assert_eq!(unknown.oid, "1.2.3.4");
    assert_eq!(unknown.value, Value::Opaque(vec![1, 2, 3]));
}
