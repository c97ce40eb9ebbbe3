//! What makes a chain an issuing CA: each broken chain beside the whole one.

use super::world::{Draft, Key, NOON, authority_key_id, ca_constraints, common_name, extension};
use crate::ca::{Authority, AuthorityError};
use crate::der::{self, tag};
use crate::time::UnixSeconds;
use crate::x509::{Certificate, oid};

fn keys() -> (Key, Key) {
    (Key::p384(1), Key::p384(2))
}

fn load(chain: Vec<Certificate>, key: &Key) -> Result<Authority, AuthorityError> {
    use crate::ca::Signer;
    Authority::new(chain, key.spki(), NOON)
}

/// A two-certificate chain with the issuing draft and the root draft changed.
fn changed(
    issuing: impl FnOnce(Draft) -> Draft,
    root: impl FnOnce(Draft) -> Draft,
) -> Option<AuthorityError> {
    let (key, root_key) = keys();
    let issuing = issuing(Draft::issuing(&key, &root_key)).sign(&root_key);
    let root = root(Draft::root(&root_key)).sign(&root_key);
    load(vec![issuing, root], &key).err()
}

fn same(draft: Draft) -> Draft {
    draft
}

#[test]
fn a_whole_chain_is_an_issuing_ca() {
    assert_eq!(changed(same, same), None);
}

#[test]
fn a_self_signed_ca_alone_is_a_chain() {
    let root = Key::p256(3);
    let draft = Draft::root(&root);
    assert!(load(vec![draft.sign(&root)], &root).is_ok());
}

#[test]
fn three_certificates_chain_when_the_path_lengths_allow_it() {
    let (leaf, middle, root) = (Key::p256(1), Key::p384(2), Key::p384(3));
    let chain = |root_allows: u8| {
        let mut issuing = Draft::issuing(&leaf, &middle);
        issuing.issuer = common_name("Test middle");
        let mut above = Draft::issuing(&middle, &root)
            .without(oid::BASIC_CONSTRAINTS)
            .with(ca_constraints(1));
        above.subject = common_name("Test middle");
        let top = Draft::root(&root)
            .without(oid::BASIC_CONSTRAINTS)
            .with(ca_constraints(root_allows));
        vec![issuing.sign(&middle), above.sign(&root), top.sign(&root)]
    };
    assert!(load(chain(2), &leaf).is_ok());
    let error = AuthorityError::PathLength {
        at: 2,
        allowed: 1,
        got: 2,
    };
    assert_eq!(load(chain(1), &leaf).err(), Some(error));
}

#[test]
fn an_empty_or_endless_chain_is_none() {
    let key = Key::p384(1);
    assert_eq!(load(vec![], &key).err(), Some(AuthorityError::Empty));
    let one = Draft::root(&key).sign(&key);
    let error = AuthorityError::TooLong { got: 9 };
    assert_eq!(load(vec![one; 9], &key).err(), Some(error));
}

#[test]
fn every_certificate_is_a_ca_that_says_so() {
    let not_critical = |draft: Draft| {
        let value = der::sequence(&[&[1, 1, 0xff]]);
        let bare = draft.without(oid::BASIC_CONSTRAINTS);
        bare.with(extension(oid::BASIC_CONSTRAINTS, false, &value))
    };
    let not_ca = |draft: Draft| {
        let bare = draft.without(oid::BASIC_CONSTRAINTS);
        bare.with(extension(oid::BASIC_CONSTRAINTS, true, &der::sequence(&[])))
    };
    let error = |at| Some(AuthorityError::NotCa { at });
    assert_eq!(
        changed(|d| d.without(oid::BASIC_CONSTRAINTS), same),
        error(0)
    );
    assert_eq!(changed(not_critical, same), error(0));
    assert_eq!(changed(same, not_ca), error(1));
}

#[test]
fn the_issuing_ca_signs_certificates_and_lists_and_the_root_certificates() {
    let usage = |octet: u8| {
        move |draft: Draft| {
            let bare = draft.without(oid::KEY_USAGE);
            bare.with(extension(oid::KEY_USAGE, true, &[3, 2, 1, octet]))
        }
    };
    let missing = |at, usage| Some(AuthorityError::KeyUsage { at, usage });
    assert_eq!(changed(usage(4), same), missing(0, "cRLSign"));
    assert_eq!(changed(usage(2), same), missing(0, "keyCertSign"));
    assert_eq!(changed(same, usage(2)), missing(1, "keyCertSign"));
    assert_eq!(changed(same, usage(4)), None);
    assert_eq!(
        changed(|d| d.without(oid::KEY_USAGE), same),
        missing(0, "keyCertSign")
    );
}

#[test]
fn the_subject_key_identifier_is_there() {
    let error = |at| Some(AuthorityError::NoKeyIdentifier { at });
    assert_eq!(
        changed(|d| d.without(oid::SUBJECT_KEY_IDENTIFIER), same),
        error(0)
    );
    assert_eq!(
        changed(same, |d| d.without(oid::SUBJECT_KEY_IDENTIFIER)),
        error(1)
    );
}

#[test]
fn code_signing_is_passed_down() {
    let usage = |purpose: &'static [u8]| {
        move |draft: Draft| {
            let value = der::sequence(&[&der::tlv(tag::OID, &[purpose])]);
            let bare = draft.without(oid::EXTENDED_KEY_USAGE);
            bare.with(extension(oid::EXTENDED_KEY_USAGE, false, &value))
        }
    };
    // id-kp-timeStamping
    const STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];
    let error = |at| Some(AuthorityError::CodeSigning { at });
    assert_eq!(
        changed(|d| d.without(oid::EXTENDED_KEY_USAGE), same),
        error(0)
    );
    assert_eq!(changed(usage(STAMPING), same), error(0));
    assert_eq!(changed(usage(oid::ANY_EXTENDED_KEY_USAGE), same), error(0));
    assert_eq!(changed(same, usage(STAMPING)), error(1));
    assert_eq!(changed(same, usage(oid::CODE_SIGNING)), None);
    assert_eq!(changed(same, usage(oid::ANY_EXTENDED_KEY_USAGE)), None);
}

#[test]
fn no_critical_extension_is_beyond_the_clients() {
    let constrained = |draft: Draft| draft.with(extension(oid::NAME_CONSTRAINTS, true, &[0x30, 0]));
    let error = AuthorityError::CriticalExtension {
        at: 0,
        oid: "2.5.29.30".into(),
    };
    assert_eq!(changed(constrained, same), Some(error));
    let policies =
        |draft: Draft| draft.with(extension(oid::CERTIFICATE_POLICIES, false, &[0x30, 0]));
    assert_eq!(changed(policies, same), None);
}

#[test]
fn malformed_extensions_are_named() {
    let trailing = |draft: Draft| {
        let bare = draft.without(oid::KEY_USAGE);
        bare.with(extension(oid::KEY_USAGE, true, &[3, 2, 1, 6, 0]))
    };
    let error = AuthorityError::MalformedExtension {
        at: 0,
        extension: "keyUsage",
    };
    assert_eq!(changed(trailing, same), Some(error));
}

#[test]
fn every_certificate_is_valid_now_to_the_second() {
    let (key, root) = keys();
    let chain = vec![
        Draft::issuing(&key, &root).sign(&root),
        Draft::root(&root).sign(&root),
    ];
    let at = |now: i64| {
        use crate::ca::Signer;
        Authority::new(chain.clone(), key.spki(), UnixSeconds(now)).err()
    };
    // 2026-01-01T00:00:00Z and 2030-12-31T23:59:59Z
    let (first, last) = (1_767_225_600, 1_924_991_999);
    assert_eq!(at(first), None);
    assert_eq!(at(last), None);
    let early = AuthorityError::NotYetValid {
        at: 0,
        not_before: UnixSeconds(first),
        now: UnixSeconds(first - 1),
    };
    assert_eq!(at(first - 1), Some(early));
    let late = AuthorityError::Expired {
        at: 0,
        not_after: UnixSeconds(last),
        now: UnixSeconds(last + 1),
    };
    assert_eq!(at(last + 1), Some(late));
    // An expired root is an expired chain, although some path builders do not look.
    let expired_root = changed(same, |mut draft| {
        draft.not_after = "261121115959Z";
        draft
    });
    let error = AuthorityError::Expired {
        at: 1,
        not_after: UnixSeconds(NOON.0 - 1),
        now: NOON,
    };
    assert_eq!(expired_root, Some(error));
}

#[test]
fn no_two_certificates_have_one_name() {
    let rename = |mut draft: Draft| {
        draft.subject = common_name("Test root");
        draft
    };
    let error = AuthorityError::SameName {
        first: 0,
        second: 1,
    };
    assert_eq!(changed(rename, same), Some(error));
}

#[test]
fn each_certificate_is_issued_by_the_next() {
    let (key, root) = keys();
    let fail = |why| Some(AuthorityError::NotIssuedByNext { at: 0, why });
    let renamed = changed(
        |mut draft| {
            draft.issuer = common_name("Another root");
            draft
        },
        same,
    );
    assert_eq!(renamed, fail("its issuer is another name"));
    let pointed = changed(
        |draft| {
            let bare = draft.without(oid::AUTHORITY_KEY_IDENTIFIER);
            bare.with(authority_key_id(&[9; 20]))
        },
        same,
    );
    assert_eq!(
        pointed,
        fail("its authority key identifier is another key's")
    );
    let forged = vec![
        Draft::issuing(&key, &root).sign(&key),
        Draft::root(&root).sign(&root),
    ];
    assert_eq!(
        load(forged, &key).err(),
        fail("its signature does not verify")
    );
    // The same name in another string type is another name to every client.
    let retyped = changed(
        |mut draft| {
            let name = super::world::rdn(&[0x55, 4, 3], 0x13, b"Test root");
            draft.issuer = der::sequence(&[&name]);
            draft
        },
        same,
    );
    assert_eq!(retyped, fail("its issuer is another name"));
}

#[test]
fn the_chain_ends_in_a_self_signed_root() {
    let (key, root) = keys();
    let issuing = Draft::issuing(&key, &root).sign(&root);
    let error = Some(AuthorityError::NoRoot { at: 0 });
    assert_eq!(load(vec![issuing.clone()], &key).err(), error);
    // A root of the right name and key whose own signature is another's.
    let fake = Draft::root(&root).sign(&key);
    let error = Some(AuthorityError::NoRoot { at: 1 });
    assert_eq!(load(vec![issuing, fake], &key).err(), error);
}

#[test]
fn the_key_is_the_issuing_certificates() {
    let (key, root) = keys();
    let chain = vec![
        Draft::issuing(&key, &root).sign(&root),
        Draft::root(&root).sign(&root),
    ];
    assert_eq!(
        load(chain.clone(), &root).err(),
        Some(AuthorityError::KeyMismatch)
    );
    assert!(load(chain, &key).is_ok());
}

#[test]
fn keys_are_on_the_two_curves_every_client_knows() {
    let swapped = |mut draft: Draft| {
        let ed25519 = der::sequence(&[&der::tlv(tag::OID, &[oid::ED25519])]);
        draft.spki = der::sequence(&[&ed25519, &der::bit_string(&[1; 32])]);
        draft
    };
    assert_eq!(
        changed(swapped, same),
        Some(AuthorityError::KeyKind { at: 0 })
    );
}

#[test]
fn every_refusal_says_what_to_try() {
    for error in [
        AuthorityError::Empty,
        AuthorityError::NotCa { at: 0 },
        AuthorityError::KeyMismatch,
        AuthorityError::NoRoot { at: 1 },
    ] {
        assert!(!error.hint().is_empty());
    }
}
