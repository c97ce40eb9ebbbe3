//! The pair check sees every change.

use proptest::prelude::*;

use super::world::{World, extension};
use crate::ca::encode::Last;
use crate::ca::pair::{PairError, check};
use crate::der::{self, Backwards, Reader, tag};
use crate::x509::{Certificate, SignatureAlgorithm, oid};

fn pair() -> (Vec<u8>, Vec<u8>) {
    let world = World::new(SignatureAlgorithm::EcdsaP256Sha256);
    let precert = world.precertificate();
    let tbs = |der: &[u8]| Certificate::from_der(der.to_vec()).unwrap().tbs().to_vec();
    let precert_tbs = tbs(precert.der());
    (precert_tbs, tbs(world.seal(precert).der()))
}

/// The fields of a TBSCertificate, the extensions one by one.
pub(super) fn take_apart(tbs: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let all = |content| {
        let mut reader = Reader::new(content);
        let mut out = Vec::new();
        while !reader.is_empty() {
            out.push(reader.any().unwrap().whole.to_vec());
        }
        out
    };
    let mut fields = all(der::single(tbs, tag::SEQUENCE).unwrap().content);
    let last = fields.pop().unwrap();
    let list = der::single(&last, tag::context_constructed(3))
        .unwrap()
        .content;
    (
        fields,
        all(der::single(list, tag::SEQUENCE).unwrap().content),
    )
}

pub(super) fn put_together(fields: &[Vec<u8>], extensions: &[Vec<u8>]) -> Vec<u8> {
    let list = der::sequence(&[&extensions.concat()]);
    let list = der::tlv(tag::context_constructed(3), &[&list]);
    der::sequence(&[&fields.concat(), &list])
}

#[test]
fn a_sealed_final_corresponds_to_its_precertificate() {
    let (precert, final_) = pair();
    assert_eq!(check(&precert, &final_), Ok(()));
    let (fields, extensions) = take_apart(&final_);
    assert_eq!(put_together(&fields, &extensions), final_);
}

#[test]
fn a_change_in_any_field_is_named() {
    const NAMES: [&str; 7] = [
        "version",
        "serialNumber",
        "signature",
        "issuer",
        "validity",
        "subject",
        "subjectPublicKeyInfo",
    ];
    let (precert, final_) = pair();
    let (fields, extensions) = take_apart(&final_);
    for (at, field) in NAMES.into_iter().enumerate() {
        let mut changed = fields.clone();
        match changed[at].len() {
            2 => changed[at] = der::sequence(&[&[5, 0]]), // the empty subject
            n => changed[at][n - 1] ^= 1,
        }
        let got = check(&precert, &put_together(&changed, &extensions));
        assert_eq!(got, Err(PairError::Field { field }));
    }
}

#[test]
fn a_change_in_any_extension_is_found_at_its_place() {
    let (precert, final_) = pair();
    let (fields, extensions) = take_apart(&final_);
    let last = extensions.len() - 1; // the SCT list
    for position in 0..last {
        let bad = Err(PairError::Extension { position });
        let same = |extensions: &[Vec<u8>]| check(&precert, &put_together(&fields, extensions));
        let mut changed = extensions.clone();
        *changed[position].last_mut().unwrap() ^= 1;
        assert_eq!(same(&changed), bad);
        let mut dropped = extensions.clone();
        dropped.remove(position);
        assert_eq!(same(&dropped), bad);
        let mut doubled = extensions.clone();
        doubled.insert(position, extension(oid::CERTIFICATE_POLICIES, false, &[]));
        assert_eq!(same(&doubled), bad);
        if position + 1 < last {
            let mut swapped = extensions.clone();
            swapped.swap(position, position + 1);
            assert_eq!(same(&swapped), bad);
        }
    }
}

#[test]
fn where_poison_and_list_stand_does_not_matter() {
    let (precert, final_) = pair();
    let (fields, mut extensions) = take_apart(&final_);
    let list = extensions.pop().unwrap();
    extensions.insert(0, list);
    let moved = put_together(&fields, &extensions);
    assert_eq!(check(&precert, &moved), Ok(()));
}

#[test]
fn there_is_exactly_one_poison_and_one_list() {
    let (precert, final_) = pair();
    let more = |tbs: &[u8], last: Last<'_>| {
        let mut extension = Backwards::with_room(0);
        last.put(&mut extension);
        let (fields, mut extensions) = take_apart(tbs);
        extensions.push(extension.into_written());
        put_together(&fields, &extensions)
    };
    let none = |tbs: &[u8]| {
        let (fields, mut extensions) = take_apart(tbs);
        extensions.pop();
        put_together(&fields, &extensions)
    };
    let poison = |precert, final_| Err(PairError::Poison { precert, final_ });
    let lists = |precert, final_| Err(PairError::SctList { precert, final_ });
    assert_eq!(check(&none(&precert), &final_), poison(0, 0));
    assert_eq!(check(&more(&precert, Last::Poison), &final_), poison(2, 0));
    assert_eq!(check(&precert, &more(&final_, Last::Poison)), poison(1, 1));
    assert_eq!(
        check(&more(&precert, Last::SctList(&[0, 0])), &final_),
        lists(1, 1)
    );
    assert_eq!(check(&precert, &none(&final_)), lists(0, 0));
    assert_eq!(
        check(&precert, &more(&final_, Last::SctList(&[0, 0]))),
        lists(0, 2)
    );
}

#[test]
fn unique_identifiers_and_trailing_bytes_do_not_read() {
    let (precert, final_) = pair();
    let (mut fields, extensions) = take_apart(&final_);
    fields.push(vec![0x81, 2, 0, 1]); // [1] issuerUniqueID
    let error = der::Error::Tag {
        want: 0xa3,
        got: 0x81,
    };
    assert_eq!(
        check(&precert, &put_together(&fields, &extensions)),
        Err(PairError::Malformed(error))
    );
    let trailing = [&final_[..], &[0]].concat();
    let error = der::Error::Trailing { octets: 1 };
    assert_eq!(check(&precert, &trailing), Err(PairError::Malformed(error)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the claims, the two certificates correspond, and one flipped bit breaks them.
    #[test]
    fn a_pair_always_corresponds_and_no_bit_is_free(
        values in proptest::collection::vec("[ -~é]{1,60}", 5),
        seed in 1u8..=200,
        bit in any::<prop::sample::Index>(),
    ) {
        use super::world::{ISSUER, NOON, subject_key};
        use crate::identity::{Extension, Principal, San};
        let arcs = [1u8, 3, 8, 9, 17, 21, 24];
        let extensions = arcs.iter().enumerate().map(|(at, arc)| Extension {
            arc: *arc,
            value: match arc {
                1 | 8 => ISSUER.into(),
                _ => values[at % values.len()].clone(),
            },
        });
        let san = San::Uri(format!("https://example.com/{seed}"));
        let principal = Principal::for_test(san, ISSUER, extensions.collect());
        let world = World::new(SignatureAlgorithm::EcdsaP256Sha256);
        let plan = world.plan_for(principal, subject_key(seed), NOON).unwrap();
        let precert = world.sign(plan.precertificate().unwrap());
        let tbs = |der: &[u8]| Certificate::from_der(der.to_vec()).unwrap().tbs().to_vec();
        let precert_tbs = tbs(precert.der());
        let final_tbs = tbs(world.seal(precert).der());
        prop_assert_eq!(check(&precert_tbs, &final_tbs), Ok(()));

        let (fields, extensions) = take_apart(&final_tbs);
        let shared = put_together(&fields, &extensions).len() - extensions.last().unwrap().len();
        let mut flipped = final_tbs;
        let bit = bit.index(shared * 8);
        flipped[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(check(&precert_tbs, &flipped).is_err());
    }
}
