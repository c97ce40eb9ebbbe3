//! How many lines of the log those may have who are sent away for asking too often: such a request
//! costs its caller nothing, and a flood of them must not become one of lines.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::rates::{Limit, Moment};

/// Lines in a second, after a burst.
const LINES_PER_SECOND: u32 = 20;
const BURST: u32 = 200;

/// Gives out lines.
pub(super) struct Sparing {
    start: Instant,
    limit: Limit,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    until: Moment,
    left_out: u64,
}

impl Sparing {
    pub(super) fn new() -> Self {
        let limit = Limit::new(LINES_PER_SECOND, Duration::from_secs(1), BURST);
        Self {
            start: Instant::now(),
            limit: limit.expect("none of the numbers is zero, and the burst is back in seconds"),
            given: Mutex::default(),
        }
    }

    /// If there is a line: how many got none since the last one.
    pub(super) fn line(&self) -> Option<u64> {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Moment::after(self.start.elapsed());
        match self.limit.take(given.until, now) {
            Ok(until) => {
                given.until = until;
                Some(std::mem::take(&mut given.left_out))
            }
            Err(_) => {
                given.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_gets_a_burst_of_lines_and_then_some_that_count_the_others() {
        let sparing = Sparing::new();
        for _ in 0..BURST {
            assert_eq!(sparing.line(), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(sparing.line(), None);
        }
        advance(Duration::from_millis(50)).await;
        assert_eq!(sparing.line(), Some(3));
        assert_eq!(sparing.line(), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!((sparing.line(), sparing.line()), (Some(1), Some(0)));
    }
}
