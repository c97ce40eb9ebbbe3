//! The key policy: keys that parse, and are still not safe to certify.
//!
//! The NIST curves need no rule beyond their parser's: their groups have prime order. Ed25519 needs
//! one, because its group does not. RSA needs several: size, exponent and parity
//! first, each decided before any arithmetic on the number, so that a huge one costs nothing
//! (CVE-2023-29409); then, on a modulus of a known size, the search for weak primes, whose cost
//! is bounded by that size (`weak_primes`). What only an operator can know, keys that leaked and
//! keys that are ours, is `refused`'s.

use super::{KeyKind, weak_primes};
use curve25519_dalek::edwards::EdwardsPoint;

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
    /// A prime that trial division finds: chance or a broken generator.
    #[error("the RSA modulus is divisible by {prime}")]
    RsaSmallFactor {
        /// The smallest one.
        prime: u32,
    },
    /// Both primes are powers of 65537 modulo a product of small primes (CVE-2017-15361): the
    /// factors can be computed.
    #[error("the RSA modulus has the structure of CVE-2017-15361 (ROCA)")]
    RsaRoca,
    /// The primes lie so close together that Fermat's method finds them (CVE-2022-26320).
    #[error("the primes of the RSA modulus lie too close together")]
    RsaClosePrimes,
    /// On the operator's list.
    #[error("the key is on this instance's list of known weak keys")]
    KnownWeak,
    /// A certificate for it would vouch for the CA or the log as if it were a workload.
    #[error("the key is one of this instance's own")]
    Ours,
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
    /// A point with a part of small order, which no generator makes: its owner can sign so that
    /// some verifiers accept and others refuse.
    #[error("the Ed25519 point has a component of small order")]
    Ed25519MixedOrder,
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
    weak_primes::refuse(modulus)?;
    Ok(kind)
}

fn bit_length(big_endian: &[u8]) -> usize {
    let unused = big_endian.first().map_or(0, |octet| octet.leading_zeros());
    big_endian.len() * 8 - unused as usize
}

/// Judges an Ed25519 key that is a point of the curve, whose group has a cofactor of 8.
pub(super) fn ed25519(point: &EdwardsPoint) -> Result<KeyKind, Insecure> {
    if point.is_small_order() {
        return Err(Insecure::Ed25519SmallOrder);
    }
    if !point.is_torsion_free() {
        return Err(Insecure::Ed25519MixedOrder);
    }
    Ok(KeyKind::Ed25519)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;

    /// 2^bits - c for the smallest c that leaves no factor below 752.
    fn odd_modulus(bits: usize) -> Vec<u8> {
        let end = BigUint::from(1u8) << bits;
        let mut candidates = (1u32..).step_by(2).map(|c| (&end - c).to_bytes_be());
        candidates
            .find(|modulus| weak_primes::refuse(modulus).is_ok())
            .unwrap()
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
    fn a_point_generates_the_large_group_and_nothing_beside_it() {
        use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
        for (at, small) in EIGHT_TORSION.into_iter().enumerate() {
            assert_eq!(ed25519(&small), Err(Insecure::Ed25519SmallOrder));
            let judged = ed25519(&(ED25519_BASEPOINT_POINT + small));
            // The first is the identity.
            let expected = match at {
                0 => Ok(KeyKind::Ed25519),
                _ => Err(Insecure::Ed25519MixedOrder),
            };
            assert_eq!(judged, expected, "{at}");
        }
    }
}
