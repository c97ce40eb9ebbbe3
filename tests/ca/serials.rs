//! Serial numbers as drawn from the machine's own generator.

use std::collections::HashSet;

use shortleaf::ca::{InstanceId, Serial};
use shortleaf::system::SystemEntropy;

/// Draws `count` serials, wants them all different, and counts the ones of each random bit.
fn draw(count: usize) -> [usize; 144] {
    let mut seen = HashSet::with_capacity(count);
    let mut ones = [0; 144];
    for _ in 0..count {
        let serial = Serial::draw(InstanceId::FIRST, &SystemEntropy);
        assert_eq!(serial.octets()[0], 1);
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += usize::from(serial.octets()[1 + bit / 8] >> (bit % 8) & 1);
        }
        assert!(seen.insert(serial), "{serial} came twice");
    }
    ones
}

#[test]
fn serials_do_not_repeat_and_no_random_bit_leans() {
    const DRAWS: usize = 20_000;
    // Six standard deviations (half the root of the draws, 71) each way: with 144 bits a false
    // alarm comes once in millions of runs, a bit that is stuck every time.
    for (bit, ones) in draw(DRAWS).into_iter().enumerate() {
        assert!(ones.abs_diff(DRAWS / 2) < 425, "bit {bit}: {ones}");
    }
}

#[test]
#[ignore = "the long form, for .ci/long"]
fn a_million_serials_are_unique_and_every_bit_is_even_to_half_a_percent() {
    const DRAWS: usize = 1_000_000;
    for (bit, ones) in draw(DRAWS).into_iter().enumerate() {
        assert!(ones.abs_diff(DRAWS / 2) < DRAWS / 200, "bit {bit}: {ones}");
    }
}
