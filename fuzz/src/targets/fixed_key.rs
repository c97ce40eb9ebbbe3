//! Prepared keys: what the tables say of a signature is never a yes to what aws-lc-rs or the p256
//! crate refuse, and never a no to what they accept.
//!
//! An input is one octet for the key, one for the form, and then either a hash and a signature as
//! they come, or the two scalars that a good signature is made of and what to change in it (octet,
//! bits): nobody guesses a signature that holds. `tests/fixed_key.rs` has the same judges.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use p256::ecdsa::VerifyingKey;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::elliptic_curve::ops::Reduce as _;
use p256::elliptic_curve::point::AffineCoordinates as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::elliptic_curve::{Field as _, PrimeField as _};
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use shortleaf::der::{self, tag};
use shortleaf::fixed_key::{Answer, PreparedKey, Signature};

/// The generator, its opposite, its double, and one like any other: a table takes too long to be
/// built for each input.
static KEYS: LazyLock<[Key; 4]> = LazyLock::new(|| {
    let one = Scalar::ONE;
    [one, -one, one + one, scalar([0x5a; 32])]
        .map(|secret| Key::new(ProjectivePoint::GENERATOR * secret))
});

pub(crate) fn run(input: &[u8]) {
    let [key, form, rest @ ..] = input else {
        return;
    };
    let key = &KEYS[usize::from(key % 4)];
    let Some((first, rest)) = rest.split_first_chunk::<32>() else {
        return;
    };
    match form % 2 {
        0 => as_it_comes(key, first, rest),
        _ => made(key, scalar(*first), rest),
    }
}

/// A signature in either form, with whatever is wrong in how it is written.
fn as_it_comes(key: &Key, hash: &[u8; 32], signature: &[u8]) {
    let digest = digest::Digest::import_less_safe(hash, &digest::SHA256).expect("32 octets");
    for (read, judge) in [
        (Signature::from_der(signature), &key.asn1),
        (Signature::from_fixed(signature), &key.fixed),
    ] {
        let judged = judge.verify_digest_sig(&digest, signature).is_ok();
        match read.map(|signature| key.prepared.check(hash, &signature)) {
            Some(Answer::Holds) => assert!(judged, "a yes to {signature:02x?}"),
            Some(Answer::Fails) | None => assert!(!judged, "a no to {signature:02x?}"),
            Some(Answer::Undecided) => {}
        }
    }
}

/// A good signature of these scalars, changed as the rest says: which octet of hash, r and s, and
/// by which bits.
fn made(key: &Key, u1: Scalar, rest: &[u8]) {
    let Some((u2, changes)) = rest.split_first_chunk::<32>() else {
        return;
    };
    let u2 = scalar(*u2);
    // A sum at infinity has no x, and s = 0 is no signature.
    let sum = ProjectivePoint::GENERATOR * u1 + key.point * u2;
    if bool::from(u2.is_zero()) || sum == ProjectivePoint::IDENTITY {
        return;
    }
    let good = signed_by_scalars(key, u1, u2);
    let mut parts = [good.hash, good.r, good.s];
    for change in changes.as_chunks::<2>().0 {
        let at = usize::from(change[0]) % 96;
        parts[at / 32][at % 32] ^= change[1];
    }
    let answer = key.check(&parts[0], &parts[1], &parts[2]);
    if parts == [good.hash, good.r, good.s] {
        assert_ne!(answer, Answer::Fails, "made to hold");
    }
}

/// One public key as all three see it.
pub(crate) struct Key {
    pub(crate) point: ProjectivePoint,
    pub(crate) prepared: PreparedKey,
    pub(crate) asn1: ParsedPublicKey,
    pub(crate) fixed: ParsedPublicKey,
    pub(crate) p256: VerifyingKey,
}

impl Key {
    pub(crate) fn new(point: ProjectivePoint) -> Self {
        let encoded = AffinePoint::from(point).to_sec1_point(false);
        let octets = encoded.as_bytes();
        Self {
            point,
            prepared: PreparedKey::of(octets.try_into().expect("65 octets")).expect("a point"),
            asn1: ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, octets).expect("a point"),
            fixed: ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, octets).expect("a point"),
            p256: VerifyingKey::from_sec1_bytes(octets).expect("a point"),
        }
    }

    /// The tables' answer, after it was held against both judges.
    pub(crate) fn check(&self, hash: &[u8; 32], r: &[u8; 32], s: &[u8; 32]) -> Answer {
        let digest = digest::Digest::import_less_safe(hash, &digest::SHA256).expect("32 octets");
        let (sequence, pair) = (in_der(r, s), [&r[..], s].concat());
        let judged = self.asn1.verify_digest_sig(&digest, &sequence).is_ok();
        assert_eq!(
            self.fixed.verify_digest_sig(&digest, &pair).is_ok(),
            judged,
            "the judge agrees with itself"
        );
        let by_p256 = p256::ecdsa::Signature::from_slice(&pair)
            .is_ok_and(|signature| self.p256.verify_prehash(hash, &signature).is_ok());
        assert_eq!(by_p256, judged, "the judges agree");

        let answers = [Signature::from_der(&sequence), Signature::from_fixed(&pair)]
            .map(|read| read.map(|signature| self.prepared.check(hash, &signature)));
        assert_eq!(answers[0], answers[1], "both forms are one signature");
        // What cannot be read has r or s out of range.
        let answer = answers[0].unwrap_or(Answer::Fails);
        match answer {
            Answer::Holds => assert!(judged, "a yes to {r:02x?} {s:02x?} over {hash:02x?}"),
            Answer::Fails => assert!(!judged, "a no to {r:02x?} {s:02x?} over {hash:02x?}"),
            Answer::Undecided => {}
        }
        let holds = self.prepared.holds(hash, Signature::from_der(&sequence));
        assert_eq!(holds, answer == Answer::Holds);
        answer
    }
}

/// ECDSA-Sig-Value of any two numbers.
pub(crate) fn in_der(r: &[u8; 32], s: &[u8; 32]) -> Vec<u8> {
    let integer = |number: &[u8; 32]| {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        let digits = &number[zeros.min(31)..];
        let sign: &[u8] = if digits[0] >= 0x80 { &[0] } else { &[] };
        der::tlv(tag::INTEGER, &[sign, digits])
    };
    der::sequence(&[&integer(r), &integer(s)])
}

pub(crate) fn scalar(octets: [u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(octets))
}

pub(crate) fn octets(scalar: Scalar) -> [u8; 32] {
    scalar.to_repr().into()
}

pub(crate) fn x_of(point: ProjectivePoint) -> [u8; 32] {
    AffinePoint::from(point).x().into()
}

/// A hash with r and s.
#[derive(Clone, Copy)]
pub(crate) struct Signed {
    pub(crate) hash: [u8; 32],
    pub(crate) r: [u8; 32],
    pub(crate) s: [u8; 32],
}

/// The signature whose two scalars, for `key`, are u1 and u2.
pub(crate) fn signed_by_scalars(key: &Key, u1: Scalar, u2: Scalar) -> Signed {
    let r = scalar(x_of(ProjectivePoint::GENERATOR * u1 + key.point * u2));
    let s = r * u2.invert().expect("not zero");
    Signed {
        hash: octets(u1 * s),
        r: octets(r),
        s: octets(s),
    }
}
