//! Moduli whose primes can be found: by division, by their shape, by their nearness.
//!
//! Three searches, cheapest first. The modulus is public, so arithmetic may take whatever time the
//! number wants (num-bigint); its size is settled before, and the work is the same few hundred
//! divisions and 110 square roots for every modulus of that size: under a millisecond at 4096
//! bits. A caller pays for them with a verified token.

use num_bigint::BigUint;

use super::Insecure;

/// Primes below this are looked for, as CAs do (Mozilla's requirements, Boulder's goodkey).
const TRIAL_END: usize = 752;
/// How many odd primes that is.
const TRIAL_PRIMES: usize = 132;
/// Every odd prime below [`TRIAL_END`], ascending.
const PRIMES: [u32; TRIAL_PRIMES] = odd_primes();

/// Rounds of Fermat's method. CAs make 100 (Baseline Requirements §6.1.6); keys made by adding a
/// little to a prime until another comes fall in the first few.
const FERMAT_ROUNDS: usize = 110;

/// The largest prime that every version of the flawed generator worked modulo; with it the
/// product of all primes up to here divides each product it used (2, 3, …, 167 for the shortest).
const ROCA_LAST: u32 = 167;
/// Its base.
const ROCA_BASE: u32 = 65537;

/// Refuses an odd modulus, big-endian, that somebody else could factor.
pub(super) fn refuse(modulus: &[u8]) -> Result<(), Insecure> {
    let modulus = BigUint::from_bytes_be(modulus);
    if let Some(prime) = PRIMES
        .into_iter()
        .find(|prime| residue(&modulus, *prime) == 0)
    {
        return Err(Insecure::RsaSmallFactor { prime });
    }
    if has_roca_structure(&modulus) {
        return Err(Insecure::RsaRoca);
    }
    match has_close_factors(&modulus, FERMAT_ROUNDS) {
        true => Err(Insecure::RsaClosePrimes),
        false => Ok(()),
    }
}

/// Whether somebody else could factor this odd modulus: for keys that are not a caller's.
pub(crate) fn is_factorable(modulus: &[u8]) -> bool {
    refuse(modulus).is_err()
}

/// Whether the modulus is a power of 65537 modulo every small prime at once.
///
/// The flawed library made primes of the form k·M + (65537^a mod M), M a product of the first
/// primes, so its moduli are 65537^c mod M. For each small prime the logarithm of the modulus must
/// exist, and one c must satisfy all of them: two logarithms agree modulo what the orders have in
/// common. An honest modulus does so once in about 2^150.
fn has_roca_structure(modulus: &BigUint) -> bool {
    let small = PRIMES.into_iter().take_while(|prime| *prime <= ROCA_LAST);
    let logarithms: Option<Vec<Logarithm>> = small
        .map(|prime| Logarithm::find(residue(modulus, prime), prime))
        .collect();
    logarithms.is_some_and(|all| {
        let mut pairs = all.iter().enumerate();
        pairs.all(|(at, one)| all[..at].iter().all(|other| one.agrees_with(other)))
    })
}

/// A discrete logarithm to the base 65537: the exponent is `exponent` modulo `order`.
struct Logarithm {
    exponent: u32,
    order: u32,
}

impl Logarithm {
    /// By trying: the group has at most 166 elements.
    fn find(value: u32, prime: u32) -> Option<Self> {
        let base = ROCA_BASE % prime;
        let mut powers = Vec::with_capacity(prime as usize);
        let mut power = 1;
        loop {
            powers.push(power);
            power = power * base % prime;
            if power == 1 {
                break;
            }
        }
        let exponent = powers.iter().position(|power| *power == value)?;
        Some(Self {
            exponent: u32::try_from(exponent).ok()?,
            order: u32::try_from(powers.len()).ok()?,
        })
    }

    /// Whether one exponent can satisfy both.
    fn agrees_with(&self, other: &Self) -> bool {
        let common = greatest_common_divisor(self.order, other.order);
        self.exponent % common == other.exponent % common
    }
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

/// Fermat: an odd n = (a + b)(a - b), where a is just above √n if the factors are close. Each round
/// tries one a: is a² - n the square of a b?
fn has_close_factors(n: &BigUint, rounds: usize) -> bool {
    let mut a = n.sqrt();
    let mut rest = &a * &a;
    if rest == *n {
        return true;
    }
    // Up to the next square, and then from square to square: (a + 1)² = a² + 2a + 1.
    rest += (&a << 1u8) + 1u8;
    a += 1u8;
    rest -= n;
    for _ in 0..rounds {
        if is_square(&rest) {
            return true;
        }
        rest += (&a << 1u8) + 1u8;
        a += 1u8;
    }
    false
}

fn is_square(n: &BigUint) -> bool {
    let root = n.sqrt();
    &root * &root == *n
}

fn residue(modulus: &BigUint, prime: u32) -> u32 {
    // A remainder by a u32 fits one.
    u32::try_from(modulus % prime).unwrap_or_default()
}

/// By sieving.
const fn odd_primes() -> [u32; TRIAL_PRIMES] {
    let mut composite = [false; TRIAL_END];
    let mut primes = [0; TRIAL_PRIMES];
    let (mut number, mut found) = (3, 0);
    while number < TRIAL_END {
        if !composite[number] {
            primes[found] = number as u32;
            found += 1;
            let mut multiple = number * number;
            while multiple < TRIAL_END {
                composite[multiple] = true;
                multiple += 2 * number;
            }
        }
        number += 2;
    }
    assert!(found == TRIAL_PRIMES);
    primes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    /// A number of this many bits, its two highest set, that is the same on every run.
    fn drawn(seed: &str, bits: u64) -> BigUint {
        let blocks = (0..bits.div_ceil(256)).map(|n| sha256(&[seed.as_bytes(), &n.to_be_bytes()]));
        let octets: Vec<u8> = blocks.flatten().collect();
        let mut number = BigUint::from_bytes_be(&octets) >> (octets.len() as u64 * 8 - bits);
        number.set_bit(bits - 1, true);
        number.set_bit(bits - 2, true);
        number
    }

    /// Fermat's test to two bases: enough for numbers that nobody chose to deceive us.
    fn is_prime(n: &BigUint) -> bool {
        let one = BigUint::from(1u8);
        [2u8, 3]
            .iter()
            .all(|base| BigUint::from(*base).modpow(&(n - 1u8), n) == one)
    }

    fn next_prime(mut n: BigUint) -> BigUint {
        n.set_bit(0, true);
        while PRIMES.iter().any(|prime| residue(&n, *prime) == 0) || !is_prime(&n) {
            n += 2u8;
        }
        n
    }

    fn primorial(last: u32) -> BigUint {
        let odd = PRIMES.iter().take_while(|prime| **prime <= last);
        odd.fold(BigUint::from(2u8), |product, prime| product * *prime)
    }

    /// A prime as the flawed generator made them: k·M + (65537^a mod M).
    fn roca_prime(seed: &str, bits: u64, m: &BigUint) -> BigUint {
        let start = drawn(seed, bits) / m;
        let exponent = drawn(&format!("{seed} a"), 64);
        let offset = BigUint::from(ROCA_BASE).modpow(&exponent, m);
        let mut candidates = (0u32..).map(|step| (&start + step) * m + &offset);
        candidates.find(is_prime).unwrap()
    }

    fn judged(modulus: &BigUint) -> Result<(), Insecure> {
        refuse(&modulus.to_bytes_be())
    }

    #[test]
    fn the_primes_are_all_there() {
        assert_eq!(PRIMES[..5], [3, 5, 7, 11, 13]);
        assert_eq!(PRIMES[TRIAL_PRIMES - 1], 751);
        let by_division = (3..752u32).filter(|n| (2..*n).all(|d| n % d != 0));
        assert!(by_division.eq(PRIMES));
    }

    #[test]
    fn a_modulus_with_a_prime_below_752_is_refused_and_names_it() {
        let cofactor = next_prime(drawn("cofactor", 512));
        for prime in PRIMES {
            assert_eq!(
                judged(&(&cofactor * prime)),
                Err(Insecure::RsaSmallFactor { prime })
            );
        }
        // The next prime is not looked for.
        assert_eq!(judged(&(cofactor * 757u32)), Ok(()));
    }

    #[test]
    fn a_modulus_of_the_flawed_generator_is_refused_at_each_size() {
        // The products it used: 39, 71 and 126 primes for moduli from 512, 992 and 1984 bits.
        for (bits, last) in [(256, 167), (512, 353), (1024, 701)] {
            let m = primorial(last);
            let [p, q] = ["p", "q"].map(|seed| roca_prime(seed, bits, &m));
            assert_eq!(judged(&(&p * &q)), Err(Insecure::RsaRoca), "{bits}");
            // One prime of an honest generator is enough to hide the structure.
            let honest = next_prime(drawn("honest", bits));
            assert_eq!(judged(&(&p * honest)), Ok(()), "{bits}");
        }
    }

    #[test]
    fn a_power_modulo_each_small_prime_is_not_enough_without_one_exponent() {
        // 65537 is a power of itself everywhere; multiplied by a number that is 65537 modulo 11
        // and 1 modulo the others it still is, with an exponent of 2 there and of 1 elsewhere.
        let m = primorial(ROCA_LAST);
        let others = &m / 11u8;
        let mut twist = &others + 1u8;
        while &twist % 11u8 != BigUint::from(ROCA_BASE % 11) {
            twist += &others;
        }
        let split = (&twist * ROCA_BASE) % &m;
        for prime in PRIMES.into_iter().take_while(|prime| *prime <= ROCA_LAST) {
            assert!(Logarithm::find(residue(&split, prime), prime).is_some());
        }
        assert!(!has_roca_structure(&split));
        assert!(has_roca_structure(&BigUint::from(ROCA_BASE)));
    }

    #[test]
    fn close_primes_are_found_in_a_hundred_and_ten_rounds_and_not_one_later() {
        // n = a² - b², and a is the k-th number above √n: b² lies between (a-k)(a+k) steps.
        let a = drawn("middle", 1024) << 1u8;
        for (rounds, found) in [
            (1, true),
            (109, true),
            (110, true),
            (111, false),
            (200, false),
        ] {
            let steps: u32 = 2 * rounds - 1;
            let mut b = (&a * steps).sqrt();
            b.set_bit(0, true);
            let n = &a * &a - &b * &b;
            let first = n.sqrt() + 1u8;
            assert_eq!(&a - first + 1u8, BigUint::from(rounds));
            assert_eq!(has_close_factors(&n, FERMAT_ROUNDS), found, "{rounds}");
        }
    }

    #[test]
    fn neighbouring_primes_are_refused_and_distant_ones_pass() {
        let p = next_prime(drawn("p", 1024));
        let neighbour = next_prime(&p + 2u8);
        assert_eq!(judged(&(&p * &neighbour)), Err(Insecure::RsaClosePrimes));
        assert_eq!(judged(&(&p * &p)), Err(Insecure::RsaClosePrimes));
        let distant = next_prime(drawn("q", 1024));
        assert_eq!(judged(&(&p * &distant)), Ok(()));
    }

    #[test]
    fn the_largest_modulus_is_judged_in_time() {
        let modulus = (BigUint::from(1u8) << 4096u32) - 1_761u32;
        let started = std::time::Instant::now();
        assert!(!has_close_factors(&modulus, FERMAT_ROUNDS));
        assert!(!has_roca_structure(&modulus));
        let _ = judged(&modulus);
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_millis(50), "{took:?}");
    }
}
