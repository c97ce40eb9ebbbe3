//! Multiples of one point, and sums of them.

use p256::elliptic_curve::sec1::ToSec1Point;
use p256::elliptic_curve::{BatchNormalize, Group, PrimeField, scalar::IsHigh};
use p256::{ProjectivePoint, Scalar};

use super::field::Element;

/// Rows of a table: one for each octet of a scalar.
const ROWS: usize = 32;
/// Points of a row: digits lie between −128 and 128, and a negative one takes the point's opposite.
const ROW: usize = 128;

/// A finite point of the curve. One line of cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Affine {
    x: Element,
    y: Element,
}

/// The points d·256^i·P for d from 1 to 128 and i from 0 to 31: 256 KiB.
pub(super) struct Table(Box<[[Affine; ROW]]>);

impl Table {
    /// `None` for the point at infinity, which has no multiples worth a table.
    pub(super) fn of(point: ProjectivePoint) -> Option<Self> {
        let mut rows = Vec::with_capacity(ROWS);
        let mut first = point;
        for _ in 0..ROWS {
            let mut multiples = [first; ROW];
            for d in 1..ROW {
                multiples[d] = multiples[d - 1] + first;
            }
            rows.push(affine(&multiples)?);
            first = multiples[ROW - 1].double();
        }
        Some(Self(rows.into_boxed_slice()))
    }

    /// `sum` and `scalar` times this table's point; `None` where the formulas do not reach.
    pub(super) fn add_multiple(&self, sum: Option<Sum>, scalar: &Scalar) -> Option<Sum> {
        let mut sum = sum;
        for (row, digit) in self.0.iter().zip(digits(scalar)) {
            let Some(index) = usize::from(digit.unsigned_abs()).checked_sub(1) else {
                continue;
            };
            let Affine { x, y } = row[index];
            let y = if digit < 0 { -y } else { y };
            sum = Some(match sum {
                None => Sum::of(x, y),
                Some(sum) => sum.plus(x, y)?,
            });
        }
        sum
    }
}

fn affine(multiples: &[ProjectivePoint; ROW]) -> Option<[Affine; ROW]> {
    let mut row = [Affine {
        x: Element::ONE,
        y: Element::ONE,
    }; ROW];
    for (place, point) in row
        .iter_mut()
        .zip(ProjectivePoint::batch_normalize(&multiples[..]))
    {
        let encoded = point.to_sec1_point(false);
        let coordinate = |octets: &[u8]| Element::from_be_bytes(octets.try_into().ok()?);
        *place = Affine {
            x: coordinate(encoded.x()?)?,
            y: coordinate(encoded.y()?)?,
        };
    }
    Some(row)
}

/// The scalar as Σ dᵢ·256^i mod n, every dᵢ between −128 and 128.
fn digits(scalar: &Scalar) -> [i16; ROWS] {
    // Of k and n − k the smaller one is below 2^255: no carry leaves its highest digit.
    let negative = bool::from(scalar.is_high());
    let smaller = if negative { -*scalar } else { *scalar };
    let octets = smaller.to_repr();
    let mut digits = [0; ROWS];
    let mut carry = 0;
    for (digit, octet) in digits.iter_mut().zip(octets.iter().rev()) {
        let value = i16::from(*octet) + carry;
        carry = i16::from(value > 128);
        let value = value - 256 * carry;
        *digit = if negative { -value } else { value };
    }
    digits
}

/// A finite point as (X/ZZ, Y/ZZZ), with ZZ³ = ZZZ² and neither of them zero.
#[derive(Clone, Copy)]
pub(super) struct Sum {
    x: Element,
    y: Element,
    zz: Element,
    zzz: Element,
}

impl Sum {
    fn of(x: Element, y: Element) -> Self {
        Self {
            x,
            y,
            zz: Element::ONE,
            zzz: Element::ONE,
        }
    }

    /// The sum with another point, eight multiplications and two squarings; `None` if the two are
    /// equal or opposite, where the slope is no quotient.
    #[inline(always)]
    fn plus(self, x: Element, y: Element) -> Option<Self> {
        let run = x * self.zz - self.x;
        if run.is_zero() {
            return None;
        }
        let rise = y * self.zzz - self.y;
        let run2 = run.square();
        let run3 = run * run2;
        let moved = self.x * run2;
        let x = rise.square() - run3 - moved - moved;
        Some(Self {
            x,
            y: rise * (moved - x) - self.y * run3,
            zz: self.zz * run2,
            zzz: self.zzz * run3,
        })
    }

    /// Whether the affine x coordinate is this one. No inversion: x·ZZ = X.
    pub(super) fn has_x(&self, x: Element) -> bool {
        x * self.zz == self.x
    }
}

#[cfg(test)]
mod tests {
    use p256::elliptic_curve::ops::Reduce;
    use p256::{AffinePoint, FieldBytes};
    use proptest::prelude::*;

    use super::*;

    fn scalar(octets: [u8; 32]) -> Scalar {
        Scalar::reduce(&FieldBytes::from(octets))
    }

    fn value(digits: [i16; ROWS]) -> Scalar {
        let weight = Scalar::from(256u64);
        digits.iter().rev().fold(Scalar::ZERO, |sum, digit| {
            let magnitude = Scalar::from(u64::from(digit.unsigned_abs()));
            sum * weight + if *digit < 0 { -magnitude } else { magnitude }
        })
    }

    fn is(sum: &Sum, point: ProjectivePoint) -> bool {
        let encoded = AffinePoint::from(point).to_sec1_point(false);
        let coordinate = |octets: &[u8]| Element::from_be_bytes(octets.try_into().unwrap());
        let (x, y) = (encoded.x().unwrap(), encoded.y().unwrap());
        sum.has_x(coordinate(x).unwrap()) && coordinate(y).unwrap() * sum.zzz == sum.y
    }

    proptest! {
        #[test]
        fn digits_add_up_to_their_scalar(octets in any::<[u8; 32]>()) {
            let scalar = scalar(octets);
            let digits = digits(&scalar);
            prop_assert!(digits.iter().all(|digit| (-128..=128).contains(digit)));
            prop_assert_eq!(value(digits), scalar);
        }
    }

    #[test]
    fn digits_at_the_edges_add_up_too() {
        let half = (-Scalar::ONE) * Scalar::from(2u64).invert().unwrap();
        let edges = [[0x80; 32], [0x7f; 32], [0x81; 32], [0xff; 32]].map(scalar);
        let middle = [half, half + Scalar::ONE, Scalar::ZERO, Scalar::ONE];
        for scalar in edges.into_iter().chain(middle) {
            assert_eq!(value(digits(&scalar)), scalar);
            assert_eq!(value(digits(&-scalar)), -scalar);
        }
    }

    #[test]
    fn multiples_are_those_of_p256() {
        let point = ProjectivePoint::GENERATOR * scalar([0x5a; 32]);
        let table = Table::of(point).unwrap();
        for k in [1u64, 2, 127, 128, 129, 255, 256, 257, 32_896, u64::MAX]
            .map(Scalar::from)
            .into_iter()
            .chain([[0x80; 32], [0x3c; 32], [0xff; 32]].map(scalar))
        {
            for k in [k, -k] {
                let sum = table.add_multiple(None, &k).unwrap();
                assert!(is(&sum, point * k), "{k:?}");
            }
        }
    }

    #[test]
    fn a_point_and_itself_or_its_opposite_have_no_sum_here() {
        let table = Table::of(ProjectivePoint::GENERATOR).unwrap();
        let once = table.add_multiple(None, &Scalar::ONE);
        assert!(table.add_multiple(once, &Scalar::ONE).is_none());
        assert!(table.add_multiple(once, &-Scalar::ONE).is_none());
        // Any other multiple is one.
        let three = table.add_multiple(once, &Scalar::from(2u64)).unwrap();
        assert!(is(&three, ProjectivePoint::GENERATOR * Scalar::from(3u64)));
    }

    #[test]
    fn nothing_times_the_point_adds_nothing() {
        let table = Table::of(ProjectivePoint::GENERATOR).unwrap();
        assert!(table.add_multiple(None, &Scalar::ZERO).is_none());
        let once = table.add_multiple(None, &Scalar::ONE);
        let still = table.add_multiple(once, &Scalar::ZERO).unwrap();
        assert!(is(&still, ProjectivePoint::GENERATOR));
    }

    #[test]
    fn infinity_has_no_table() {
        assert!(Table::of(ProjectivePoint::IDENTITY).is_none());
    }
}
