//! Notices when somebody sets the wall clock: certificates would begin or end in the wrong place.
//!
//! Only a step is noticed, not a clock that was wrong from the start. Issuing stops for as long
//! as the difference stands; a restart takes the clock as it then is.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Error;
use crate::time::UnixMillis;

/// How far wall clock and monotonic clock may part.
pub const JUMP_MAX: Duration = Duration::from_secs(5);

/// A clock that only moves forward, at the pace of time, since any moment.
pub type Monotonic = Arc<dyn Fn() -> Duration + Send + Sync>;

/// The two clocks at the first request, and the monotonic one now.
pub(super) struct ClockWatch {
    monotonic: Option<Monotonic>,
    first: OnceLock<(UnixMillis, Duration)>,
}

impl ClockWatch {
    pub(super) fn new(monotonic: Option<Monotonic>) -> Self {
        Self {
            monotonic,
            first: OnceLock::new(),
        }
    }

    /// Whether the wall clock, read just now, went as far as the monotonic one since the start.
    pub(super) fn check(&self, now: UnixMillis) -> Result<(), Error> {
        let Some(monotonic) = &self.monotonic else {
            return Ok(());
        };
        let elapsed = monotonic();
        let (wall, since) = *self.first.get_or_init(|| (now, elapsed));
        let passed = elapsed.saturating_sub(since).as_millis();
        let expected = u128::from(wall.0) + passed;
        let apart = expected.abs_diff(u128::from(now.0));
        if apart > JUMP_MAX.as_millis() {
            let by_ms = u64::try_from(apart).unwrap_or(u64::MAX);
            return Err(Error::ClockJumped { by_ms });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_795_262_400_000);

    fn watch() -> (ClockWatch, Arc<Mutex<Duration>>) {
        let steady = Arc::new(Mutex::new(Duration::from_secs(100)));
        let read = Arc::clone(&steady);
        let watch = ClockWatch::new(Some(Arc::new(move || *read.lock().unwrap())));
        watch.check(NOW).unwrap();
        (watch, steady)
    }

    #[test]
    fn clocks_that_go_together_are_fine() {
        let (watch, steady) = watch();
        *steady.lock().unwrap() += Duration::from_secs(3600);
        watch.check(NOW.plus(3_600_000 + 5_000)).unwrap();
        watch.check(NOW.plus(3_600_000 - 5_000)).unwrap();
    }

    #[test]
    fn a_step_in_either_direction_stops_issuing_until_it_is_undone() {
        let (watch, _) = watch();
        for step in [5_001, -5_001, 3_600_000, -3_600_000] {
            let stopped = watch.check(NOW.plus(step)).unwrap_err();
            assert!(
                matches!(stopped, Error::ClockJumped { by_ms } if by_ms == step.unsigned_abs()),
                "{stopped}"
            );
            watch.check(NOW).unwrap();
        }
    }

    #[test]
    fn without_a_monotonic_clock_nothing_is_noticed() {
        let watch = ClockWatch::new(None);
        watch.check(NOW).unwrap();
        watch.check(UnixMillis(0)).unwrap();
    }
}
