//! Verifying ECDSA signatures (P-256, SHA-256) quickly under a key that was known beforehand.
//!
//! **Variable time, so for public data only**: signatures, keys and messages that anybody may see.
//! Never for anything secret, and never for a proof of possession, whose key is new each time.
//!
//! A key is prepared once, into a table of its multiples ([`PreparedKey::of`], some
//! milliseconds); a verification then is some sixty additions, no doublings, one inversion mod n,
//! and the comparison r·ZZ = X instead of an inversion mod p: a quarter of the time. The
//! generator's table is shared. Each table is 256 KiB. Windows of seven bits were slower whatever
//! the caches held, windows of nine bits 1 µs faster for twice the memory.
//!
//! **Only "yes" counts.** [`PreparedKey::holds`] says yes to nothing that aws-lc-rs refuses. After
//! anything but a yes the caller asks aws-lc-rs, whose word is final: the signature may not hold, may
//! not be in the one form expected, or may meet a case the formulas leave out (equal or opposite
//! points, an x coordinate that may have wrapped at n). So only a wrong yes could do harm, and
//! `tests/fixed_key.rs` looks for one.
//!
//! Not here: threads. Whoever owns a key decides when it is prepared, and asks aws-lc-rs until then.

mod field;
mod table;

use std::fmt;
use std::sync::LazyLock;

use p256::elliptic_curve::ops::Reduce;
use p256::elliptic_curve::sec1::FromSec1Point;
use p256::elliptic_curve::{Field, PrimeField};
use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, Sec1Point};

use self::field::Element;
use self::table::Table;
use crate::der::{self, tag};

/// An uncompressed point (SEC 1 §2.3.3).
pub const POINT_BYTES: usize = 65;

/// p − n: an r below it may stand for the x coordinate r + n as well (SEC 1 §4.1.4).
const P_MINUS_N: [u8; 32] = [
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x43, 0x19, 0x05, 0x53, 0x58, 0xe8, 0x61, 0x7b, 0x0c, 0x46, 0x35, 0x3d, 0x03, 0x9c, 0xda, 0xae,
];

/// The generator's multiples. `None` cannot be: it is a point.
static GENERATOR: LazyLock<Option<Table>> = LazyLock::new(|| Table::of(ProjectivePoint::GENERATOR));

/// r and s, each between 1 and n − 1.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    r: Scalar,
    s: Scalar,
}

impl Signature {
    /// Reads an ECDSA-Sig-Value (RFC 3279 §2.2.3) in DER, all of `octets`.
    pub fn from_der(octets: &[u8]) -> Option<Self> {
        let whole = der::single(octets, tag::SEQUENCE).ok()?;
        let mut parts = der::Reader::new(whole.content);
        let r = unsigned(parts.expect(tag::INTEGER).ok()?.content)?;
        let s = unsigned(parts.expect(tag::INTEGER).ok()?.content)?;
        parts.end().ok()?;
        Self::from_parts(r, s)
    }

    /// Reads r ‖ s, 32 octets each (RFC 7518 §3.4).
    pub fn from_fixed(octets: &[u8]) -> Option<Self> {
        let (r, s) = octets.split_at_checked(32)?;
        Self::from_parts(r.try_into().ok()?, s.try_into().ok()?)
    }

    fn from_parts(r: [u8; 32], s: [u8; 32]) -> Option<Self> {
        let in_range = |octets: [u8; 32]| {
            let scalar: Option<Scalar> = Scalar::from_repr(octets.into()).into();
            scalar.filter(|scalar| !bool::from(scalar.is_zero()))
        };
        Some(Self {
            r: in_range(r)?,
            s: in_range(s)?,
        })
    }
}

/// The content of a non-negative INTEGER in its only DER form (X.690 §8.3.2), if it fits.
fn unsigned(content: &[u8]) -> Option<[u8; 32]> {
    let digits = match content {
        [0, rest @ ..] if rest.first().is_some_and(|octet| *octet >= 0x80) => rest,
        [0x01..=0x7f, ..] => content,
        _ => return None,
    };
    let mut octets = [0; 32];
    let start = octets.len().checked_sub(digits.len())?;
    octets[start..].copy_from_slice(digits);
    Some(octets)
}

/// What the tables say about a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is the key's over this hash.
    Holds,
    /// It is not; to be confirmed by aws-lc-rs before anybody acts on it.
    Fails,
    /// A case the formulas leave out; aws-lc-rs decides.
    Undecided,
}

/// A public key with a table of its multiples.
pub struct PreparedKey(Table);

impl PreparedKey {
    /// Builds the table, and the generator's if this is the first one. Takes milliseconds: not for
    /// the path of a request. `None` if `point` is not on the curve.
    pub fn of(point: &[u8; POINT_BYTES]) -> Option<Self> {
        let encoded = Sec1Point::from_bytes(point).ok()?;
        let point: Option<AffinePoint> = AffinePoint::from_sec1_point(&encoded).into();
        LazyLock::force(&GENERATOR);
        Table::of(point?.into()).map(Self)
    }

    /// Whether the signature, if there is one, is the key's over `hash`. `false` is no verdict.
    #[must_use]
    pub fn holds(&self, hash: &[u8; 32], signature: Option<Signature>) -> bool {
        signature.is_some_and(|signature| self.check(hash, &signature) == Answer::Holds)
    }

    /// Checks a signature over a SHA-256 `hash` (SEC 1 §4.1.4).
    #[must_use]
    pub fn check(&self, hash: &[u8; 32], signature: &Signature) -> Answer {
        let Signature { r, s } = signature;
        let Some(inverse) = Option::<Scalar>::from(s.invert_vartime()) else {
            return Answer::Undecided; // cannot be: s is not zero
        };
        let e = Scalar::reduce(&FieldBytes::from(*hash));
        let (u1, u2) = (e * inverse, *r * inverse);
        let r: [u8; 32] = r.to_repr().into();

        let sum = GENERATOR.as_ref().and_then(|generator| {
            // u1 is zero with e, and then there is nothing to add to.
            let sum = if bool::from(u1.is_zero()) {
                None
            } else {
                Some(generator.add_multiple(None, &u1)?)
            };
            self.0.add_multiple(sum, &u2)
        });
        let (Some(sum), Some(x)) = (sum, Element::from_be_bytes(&r)) else {
            return Answer::Undecided;
        };
        if sum.has_x(x) {
            Answer::Holds
        } else if r < P_MINUS_N {
            Answer::Undecided
        } else {
            Answer::Fails
        }
    }
}

impl fmt::Debug for PreparedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PreparedKey")
    }
}
