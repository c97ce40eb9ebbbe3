//! The prime field that P-256 is drawn over, in Montgomery form.
//!
//! p = 2^256 − 2^224 + 2^192 + 2^96 − 1, so p ≡ −1 mod 2^64: the multiple of p that clears a word
//! is that word, and adding it is two shifts and one multiplication.

use std::ops::{Add, Mul, Neg, Sub};

/// 256 bits, least significant word first.
type Words = [u64; 4];

/// p.
const P: Words = [
    0xffff_ffff_ffff_ffff,
    0x0000_0000_ffff_ffff,
    0x0000_0000_0000_0000,
    0xffff_ffff_0000_0001,
];
/// 2^512 mod p.
const R2: Words = [
    0x0000_0000_0000_0003,
    0xffff_fffb_ffff_ffff,
    0xffff_ffff_ffff_fffe,
    0x0000_0004_ffff_fffd,
];

/// An element, as its product with 2^256 mod p. Always below p, so equal elements are equal words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element(Words);

impl Element {
    const ZERO: Self = Self([0; 4]);
    /// 2^256 mod p.
    pub(super) const ONE: Self = Self([
        0x0000_0000_0000_0001,
        0xffff_ffff_0000_0000,
        0xffff_ffff_ffff_ffff,
        0x0000_0000_ffff_fffe,
    ]);

    /// The element of this number, big-endian; `None` from p on.
    pub(super) fn from_be_bytes(octets: &[u8; 32]) -> Option<Self> {
        let mut words = [0; 4];
        let (chunks, _) = octets.as_chunks::<8>();
        for (word, chunk) in words.iter_mut().rev().zip(chunks) {
            *word = u64::from_be_bytes(*chunk);
        }
        let (_, below_p) = difference(words, P);
        below_p.then(|| Self(words) * Self(R2))
    }

    #[inline(always)]
    pub(super) fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    #[inline(always)]
    pub(super) fn square(self) -> Self {
        let [a0, a1, a2, a3] = self.0;
        // What stands off the diagonal, once …
        let (t1, c) = a0.carrying_mul(a1, 0);
        let (t2, c) = a0.carrying_mul(a2, c);
        let (t3, t4) = a0.carrying_mul(a3, c);
        let (t3, c) = a1.carrying_mul(a2, t3);
        let (t4, t5) = a1.carrying_mul_add(a3, t4, c);
        let (t5, t6) = a2.carrying_mul(a3, t5);
        // … doubled …
        let t7 = t6 >> 63;
        let t6 = t6 << 1 | t5 >> 63;
        let t5 = t5 << 1 | t4 >> 63;
        let t4 = t4 << 1 | t3 >> 63;
        let t3 = t3 << 1 | t2 >> 63;
        let t2 = t2 << 1 | t1 >> 63;
        let t1 = t1 << 1;
        // … and the diagonal.
        let (t0, high) = a0.carrying_mul(a0, 0);
        let (t1, c) = t1.carrying_add(high, false);
        let (low, high) = a1.carrying_mul(a1, 0);
        let (t2, c) = t2.carrying_add(low, c);
        let (t3, c) = t3.carrying_add(high, c);
        let (low, high) = a2.carrying_mul(a2, 0);
        let (t4, c) = t4.carrying_add(low, c);
        let (t5, c) = t5.carrying_add(high, c);
        let (low, high) = a3.carrying_mul(a3, 0);
        let (t6, c) = t6.carrying_add(low, c);
        let (t7, _) = t7.carrying_add(high, c);
        reduced([t0, t1, t2, t3], [t4, t5, t6, t7])
    }
}

impl Mul for Element {
    type Output = Self;

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let [a0, a1, a2, a3] = self.0;
        let [b0, b1, b2, b3] = other.0;
        let (t0, c) = a0.carrying_mul(b0, 0);
        let (t1, c) = a1.carrying_mul(b0, c);
        let (t2, c) = a2.carrying_mul(b0, c);
        let (t3, t4) = a3.carrying_mul(b0, c);
        let (t1, c) = a0.carrying_mul(b1, t1);
        let (t2, c) = a1.carrying_mul_add(b1, t2, c);
        let (t3, c) = a2.carrying_mul_add(b1, t3, c);
        let (t4, t5) = a3.carrying_mul_add(b1, t4, c);
        let (t2, c) = a0.carrying_mul(b2, t2);
        let (t3, c) = a1.carrying_mul_add(b2, t3, c);
        let (t4, c) = a2.carrying_mul_add(b2, t4, c);
        let (t5, t6) = a3.carrying_mul_add(b2, t5, c);
        let (t3, c) = a0.carrying_mul(b3, t3);
        let (t4, c) = a1.carrying_mul_add(b3, t4, c);
        let (t5, c) = a2.carrying_mul_add(b3, t5, c);
        let (t6, t7) = a3.carrying_mul_add(b3, t6, c);
        reduced([t0, t1, t2, t3], [t4, t5, t6, t7])
    }
}

impl Add for Element {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (sum, carry) = sum(self.0, other.0);
        below_p(sum, carry)
    }
}

impl Sub for Element {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let (less, borrow) = difference(self.0, other.0);
        let mask = u64::from(borrow).wrapping_neg();
        let (words, _) = sum(less, P.map(|word| word & mask));
        Self(words)
    }
}

impl Neg for Element {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

/// (high, low) / 2^256 mod p, for products of two elements.
#[inline(always)]
fn reduced(low: Words, high: Words) -> Element {
    let [t0, t1, t2, t3] = low;
    let [t1, t2, t3, u4] = word_cleared(t0, [t1, t2, t3]);
    let [t2, t3, u4, u5] = word_cleared(t1, [t2, t3, u4]);
    let [t3, u4, u5, u6] = word_cleared(t2, [t3, u4, u5]);
    let cleared = word_cleared(t3, [u4, u5, u6]);
    let (words, carry) = sum(cleared, high);
    // Below 2p: the product is below p², and below 2^256·p was added before the division.
    below_p(words, carry)
}

/// ((a, b, c, m) + m·p) / 2^64, a being the second lowest word: the lowest has become zero.
#[inline(always)]
fn word_cleared(m: u64, [a, b, c]: [u64; 3]) -> Words {
    // m·p = m·p₃·2^192 + m·2^96 − m, and the −m is what clears the word.
    let (low, high) = m.carrying_mul(P[3], 0);
    let (a, carry) = a.carrying_add(m << 32, false);
    let (b, carry) = b.carrying_add(m >> 32, carry);
    let (c, carry) = c.carrying_add(low, carry);
    // p₃ is below 2^64 − 1, so `high` has room.
    [a, b, c, high + u64::from(carry)]
}

/// The element of a number below 2p.
#[inline(always)]
fn below_p(words: Words, carry: bool) -> Element {
    let (less, borrow) = difference(words, P);
    let mask = u64::from(borrow & !carry).wrapping_neg();
    let [w0, w1, w2, w3] = words;
    let [l0, l1, l2, l3] = less;
    // Selected by mask, not by branch: which one it is, is a coin toss.
    Element([
        (w0 & mask) | (l0 & !mask),
        (w1 & mask) | (l1 & !mask),
        (w2 & mask) | (l2 & !mask),
        (w3 & mask) | (l3 & !mask),
    ])
}

#[inline(always)]
fn sum(a: Words, b: Words) -> (Words, bool) {
    let (w0, c) = a[0].carrying_add(b[0], false);
    let (w1, c) = a[1].carrying_add(b[1], c);
    let (w2, c) = a[2].carrying_add(b[2], c);
    let (w3, c) = a[3].carrying_add(b[3], c);
    ([w0, w1, w2, w3], c)
}

#[inline(always)]
fn difference(a: Words, b: Words) -> (Words, bool) {
    let (w0, c) = a[0].borrowing_sub(b[0], false);
    let (w1, c) = a[1].borrowing_sub(b[1], c);
    let (w2, c) = a[2].borrowing_sub(b[2], c);
    let (w3, c) = a[3].borrowing_sub(b[3], c);
    ([w0, w1, w2, w3], c)
}

#[cfg(test)]
mod tests {
    use p256::elliptic_curve::bigint::{NonZero, U256};
    use proptest::prelude::*;

    use super::*;

    fn p() -> NonZero<U256> {
        NonZero::new(U256::from_words(P)).unwrap()
    }

    fn element(number: &U256) -> Element {
        Element::from_be_bytes(&number.to_be_bytes().into()).unwrap()
    }

    /// Out of Montgomery form.
    fn number(element: Element) -> U256 {
        let Element(words) = element * Element([1, 0, 0, 0]);
        U256::from_words(words)
    }

    /// Words that carry, borrow and wrap more often than chance would have them.
    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            Just(1),
            Just(u64::MAX),
            Just(P[1]),
            Just(P[3]),
            any::<u64>()
        ]
    }

    fn residue() -> impl Strategy<Value = U256> {
        [word(), word(), word(), word()].prop_map(|words| U256::from_words(words).rem_vartime(&p()))
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_crypto_bigint(a in residue(), b in residue()) {
            let (x, y) = (element(&a), element(&b));
            prop_assert_eq!(number(x), a);
            prop_assert_eq!(number(x * y), a.mul_mod(&b, &p()));
            prop_assert_eq!(number(x.square()), a.mul_mod(&a, &p()));
            prop_assert_eq!(number(x + y), a.add_mod(&b, &p()));
            prop_assert_eq!(number(x - y), a.sub_mod(&b, &p()));
            prop_assert_eq!(number(-x), a.neg_mod(&p()));
            prop_assert_eq!(x == y, a == b);
        }

        /// Operands of a product may be any words below p, in Montgomery form or not.
        #[test]
        fn a_product_of_elements_stays_below_p(a in residue(), b in residue()) {
            let (x, y) = (Element(a.to_words()), Element(b.to_words()));
            for Element(words) in [x * y, x.square(), x + y, x - y, -x] {
                prop_assert!(U256::from_words(words) < p().get());
            }
            prop_assert_eq!(x.square(), x * x);
        }
    }

    #[test]
    fn the_constants_are_what_they_say() {
        assert_eq!(number(Element::ONE), U256::ONE);
        assert_eq!(number(element(&U256::ZERO)), U256::ZERO);
        assert!(element(&U256::ZERO).is_zero());
        assert!(!Element::ONE.is_zero());
        let r = U256::MAX.rem_vartime(&p()).add_mod(&U256::ONE, &p());
        assert_eq!(U256::from_words(R2), r.mul_mod(&r, &p()));
    }

    #[test]
    fn numbers_from_p_on_are_no_elements() {
        let one_less = p().get().wrapping_sub(&U256::ONE);
        assert_eq!(number(element(&one_less)), one_less);
        for number in [p().get(), p().get().wrapping_add(&U256::ONE), U256::MAX] {
            assert_eq!(Element::from_be_bytes(&number.to_be_bytes().into()), None);
        }
    }
}
