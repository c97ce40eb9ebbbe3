//! The same token and the same key given to Fulcio and to shortleaf, over the same CA.

use std::collections::BTreeSet;
use std::fs;

use crate::answer::{Parts, ask, certificate, dissect};
use crate::differences::DELIBERATE;
use crate::fulcio::{Ca, Fulcio};
use crate::issuer::{Identity, Served, wall_clock};
use crate::parts;
use crate::serve::{Log, Serve};
use crate::subject::{Kind, Subject};

/// Holds two leaves against each other. Panics at the first part that differs, is missing or
/// stands elsewhere without being in the table; answers with the parts of the table that differ.
fn compare(what: &str, ours: &[u8], theirs: &[u8]) -> BTreeSet<&'static str> {
    compare_parts(what, dissect(ours), dissect(theirs))
}

/// The same for leaves taken apart already.
pub(crate) fn compare_parts(what: &str, ours: Parts, theirs: Parts) -> BTreeSet<&'static str> {
    let differing = DELIBERATE
        .iter()
        .filter(|row| value(&ours, row.part) != value(&theirs, row.part))
        .map(|row| row.part)
        .collect();
    let rest = |parts: Parts| -> Parts {
        parts
            .into_iter()
            .filter(|(part, _)| !DELIBERATE.iter().any(|row| row.part == part))
            .collect()
    };
    assert_eq!(rest(ours), rest(theirs), "{what}: ours, then Fulcio's");
    differing
}

fn value<'a>(parts: &'a Parts, name: &str) -> Option<&'a [u8]> {
    parts
        .iter()
        .find(|(part, _)| part == name)
        .map(|(_, value)| value.as_slice())
}

/// Both CAs side by side, and every certificate of the one compared with the other's.
fn agree_on_every_key_and_identity(curve: &str, kinds: &[Kind]) {
    let Some(program) = parts::require_or_skip("fulcio") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let served = Served::start(&Identity::PATHS);
    let ca = Ca::make(folder.path(), curve);
    let oracle = Fulcio::start(&program, &ca, folder.path(), served.urls(), None);
    let ours = Serve::start(&ca, folder.path(), served.urls(), &Log::Memory);

    let mut differing = BTreeSet::new();
    for kind in kinds {
        let subject = Subject::generate(*kind);
        for identity in Identity::ALL {
            let challenge = identity.challenge();
            let token = served
                .issuer(identity.issuer())
                .token(identity.claims(), wall_clock());
            let theirs = ask(oracle.url(), &token, &subject, &challenge);
            let ours = ask(ours.url(), &token, &subject, &challenge);
            let what = format!("{kind:?}, {identity:?}");
            differing.extend(compare(&what, ours.leaf(), theirs.leaf()));
            assert_eq!(
                ours.chain[1..],
                theirs.chain[1..],
                "{what}: the chain after the leaf"
            );
            assert_eq!(theirs.form, "signedCertificateDetachedSct");
            assert_eq!(ours.form, "signedCertificateEmbeddedSct");
        }
    }
    for row in DELIBERATE {
        assert!(
            differing.contains(row.part),
            "{} no longer differs ({}): take it out of the table",
            row.part,
            row.why
        );
    }
}

#[test]
fn fulcio_and_shortleaf_agree_on_every_key_and_identity() {
    agree_on_every_key_and_identity("P-384", &Kind::ALL);
}

#[test]
fn fulcio_and_shortleaf_agree_under_a_p256_ca() {
    agree_on_every_key_and_identity("P-256", &[Kind::P256]);
}

#[test]
#[should_panic(expected = "a doctored leaf: ours, then Fulcio's")]
fn a_byte_that_differs_outside_the_table_is_found() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let _ca = Ca::make(folder.path(), "P-256");
    let pem = fs::read_to_string(folder.path().join("issuing.pem")).expect("just made");
    let good = certificate(&pem);
    let mut doctored = good.clone();
    // The last letter of the subject's common name.
    let at = good
        .windows(7)
        .position(|window| window == b"issuing")
        .expect("it is in the subject");
    doctored[at + 6] = b'G';
    compare("the same leaf", &good, &good);
    compare("a doctored leaf", &good, &doctored);
}
