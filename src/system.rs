//! The machine's clock and random source behind the vocabulary's traits.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::entropy::Entropy;
use crate::time::{Clock, UnixMillis};

/// The wall clock. Before 1970 it reads zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The operating system's generator, through aws-lc-rs.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            // The contract: never return without randomness. A panic could be caught on the way up.
            std::process::abort();
        }
    }
}
