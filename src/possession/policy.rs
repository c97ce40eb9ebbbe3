//! The key policy: keys that parse, and are still not safe to certify.
//!
//! Curves and Ed25519 need no rule beyond their parser's. RSA does: size, exponent and parity
//! here, each decided before any arithmetic on the number, so that a huge one costs nothing
//! (CVE-2023-29409). The rules that look for weak primes (ROCA, small factors, primes close
//! together) belong behind [`rsa`], on a modulus that has passed these.

use super::KeyKind;

/// Why a well-formed key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Insecure {
    /// Another size than the three we certify.
    #[error("the RSA modulus has {bits} bits, not 2048, 3072 or 4096")]
    RsaSize {
        /// Its size.
        bits: usize,
    },
    /// Another exponent than F4: small ones have a history, large ones are a burden on verifiers.
    #[error("the RSA exponent is not 65537")]
    RsaExponent,
    /// Two is a factor.
    #[error("the RSA modulus is even")]
    RsaEvenModulus,
    /// A curve we do not certify.
    #[error("the curve {oid} is not P-256, P-384 or P-521")]
    Curve {
        /// Its object identifier, in dots.
        oid: String,
    },
    /// A kind of key we do not certify.
    #[error("a key of algorithm {oid} is neither ECDSA, RSA nor Ed25519")]
    Algorithm {
        /// Its object identifier, in dots.
        oid: String,
    },
    /// A point that generates a handful of elements: one signature fits every message.
    #[error("the Ed25519 point has small order")]
    Ed25519SmallOrder,
}

/// F4, big-endian.
const EXPONENT: &[u8] = &[0x01, 0x00, 0x01];

/// Judges an RSA key by its numbers, big-endian without leading zeros.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<KeyKind, Insecure> {
    let bits = bit_length(modulus);
    let kind = match bits {
        2048 => KeyKind::Rsa2048,
        3072 => KeyKind::Rsa3072,
        4096 => KeyKind::Rsa4096,
        _ => return Err(Insecure::RsaSize { bits }),
    };
    if exponent != EXPONENT {
        return Err(Insecure::RsaExponent);
    }
    if modulus.last().is_none_or(|octet| octet % 2 == 0) {
        return Err(Insecure::RsaEvenModulus);
    }
    Ok(kind)
}

fn bit_length(big_endian: &[u8]) -> usize {
    let unused = big_endian.first().map_or(0, |octet| octet.leading_zeros());
    big_endian.len() * 8 - unused as usize
}

/// The y coordinates, little-endian, of the eight points of order 1, 2, 4 and 8 on edwards25519.
/// The sign bit of x is left out: both signs are of small order.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    // y = 0: order 4
    [0; 32],
    // y = 1: the identity
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    // y = p - 1: order 2
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    // order 8
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    // order 8
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Judges an Ed25519 key whose encoding is canonical.
pub(super) fn ed25519(point: &[u8; 32]) -> Result<KeyKind, Insecure> {
    let mut y = *point;
    y[31] &= 0x7f;
    if SMALL_ORDER_Y.contains(&y) {
        return Err(Insecure::Ed25519SmallOrder);
    }
    Ok(KeyKind::Ed25519)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd_modulus(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits.div_ceil(8)];
        modulus[0] >>= modulus.len() * 8 - bits;
        modulus
    }

    #[test]
    fn three_sizes_pass_and_their_neighbours_do_not() {
        for (bits, kind) in [
            (2048, KeyKind::Rsa2048),
            (3072, KeyKind::Rsa3072),
            (4096, KeyKind::Rsa4096),
        ] {
            assert_eq!(rsa(&odd_modulus(bits), EXPONENT), Ok(kind));
            for bits in [bits - 1, bits + 1, bits + 8] {
                assert_eq!(
                    rsa(&odd_modulus(bits), EXPONENT),
                    Err(Insecure::RsaSize { bits })
                );
            }
        }
        for bits in [512, 1024, 16_384, 1_000_000] {
            assert_eq!(
                rsa(&odd_modulus(bits), EXPONENT),
                Err(Insecure::RsaSize { bits })
            );
        }
    }

    #[test]
    fn only_f4_is_an_exponent() {
        for exponent in [&[1][..], &[3], &[0x80], &[1, 0, 0], &[1, 0, 1, 1], &[]] {
            assert_eq!(
                rsa(&odd_modulus(2048), exponent),
                Err(Insecure::RsaExponent)
            );
        }
    }

    #[test]
    fn an_even_modulus_is_refused() {
        let mut modulus = odd_modulus(2048);
        *modulus.last_mut().unwrap() = 0xfe;
        assert_eq!(rsa(&modulus, EXPONENT), Err(Insecure::RsaEvenModulus));
    }

    #[test]
    fn a_point_of_small_order_is_refused_with_either_sign() {
        for mut point in SMALL_ORDER_Y {
            assert_eq!(ed25519(&point), Err(Insecure::Ed25519SmallOrder));
            point[31] |= 0x80;
            assert_eq!(ed25519(&point), Err(Insecure::Ed25519SmallOrder));
            point[0] ^= 0x04;
            assert_eq!(ed25519(&point), Ok(KeyKind::Ed25519));
        }
    }
}
