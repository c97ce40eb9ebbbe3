//! The generic cell rate algorithm (ITU-T I.371 Annex A) in whole nanoseconds: for each key one
//! number, the moment from which nothing is owed any more.
//!
//! A request moves that moment on by one interval. It is admitted while the moment stays within a
//! burst of intervals from now, so any span of time sees at most `burst` requests and one more for
//! each interval in it. What is owed wears off by itself; a key that owes nothing need not be kept.

use std::fmt;
use std::time::Duration;

/// From nothing left to everything there again, at most: nobody is told to come back later than
/// that, and no key is kept longer.
pub const REFILL_MAX: Duration = Duration::from_secs(24 * 3600);

/// Nanoseconds since any beginning, on a clock that nobody sets: the wall clock may be put back by
/// hours, and everybody would wait for as long. It lasts for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// This long after the beginning.
    pub fn after(beginning: Duration) -> Self {
        Self(nanos(beginning))
    }

    /// The nanoseconds, for stores that keep them.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// What a store kept.
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

/// So many in such a span of time, and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    count: u32,
    per: Duration,
    burst: u32,
    /// Between two requests of somebody who never rests.
    interval: u64,
    /// `burst` of them.
    depth: u64,
}

/// Why this is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// One of the numbers is zero: nothing would ever be admitted.
    #[error("{count} per {per:?} in bursts of {burst} admits nothing")]
    Nothing {
        /// How many.
        count: u32,
        /// In what time.
        per: Duration,
        /// How many at once.
        burst: u32,
    },
    /// After a burst it would be too long until the next one.
    #[error("{count} per {per:?} takes more than {REFILL_MAX:?} to make up for a burst of {burst}")]
    TooSlow {
        /// How many.
        count: u32,
        /// In what time.
        per: Duration,
        /// How many at once.
        burst: u32,
    },
}

impl Limit {
    /// `count` requests in `per`, and `burst` at once.
    pub fn new(count: u32, per: Duration, burst: u32) -> Result<Self, LimitError> {
        if count == 0 || burst == 0 || per.is_zero() {
            return Err(LimitError::Nothing { count, per, burst });
        }
        // Rounded up: never more than was written down.
        let interval = nanos(per).div_ceil(u64::from(count));
        let depth = interval.checked_mul(u64::from(burst));
        let depth = depth.filter(|depth| *depth <= nanos(REFILL_MAX));
        Ok(Self {
            count,
            per,
            burst,
            interval,
            depth: depth.ok_or(LimitError::TooSlow { count, per, burst })?,
        })
    }

    /// How far apart requests are that never stop coming.
    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// How many are admitted at once.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// One request of a key that owes until `tat` (the theoretical arrival time; any moment that has
    /// passed for a key nobody keeps): until when it owes then, or how long to wait. A request that
    /// comes exactly that much later is admitted, if no other came before it.
    pub fn take(&self, tat: Moment, now: Moment) -> Result<Moment, Duration> {
        let owed = tat.max(now).0.saturating_add(self.interval);
        let too_far = owed.saturating_sub(now.0.saturating_add(self.depth));
        match too_far {
            0 => Ok(Moment(owed)),
            wait => Err(Duration::from_nanos(wait)),
        }
    }

    /// The same key after a request that moved it to `paid` turned out not to count. Time has worn
    /// off a part of it already, or all; only the rest is given back, so that what is admitted never
    /// exceeds what would have been without that request.
    pub fn give_back(&self, tat: Moment, paid: Moment, now: Moment) -> Moment {
        let rest = paid.0.saturating_sub(now.0).min(self.interval);
        Moment(tat.0.saturating_sub(rest))
    }
}

/// `100 per 1s in bursts of 1000`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            count, per, burst, ..
        } = self;
        write!(f, "{count} per {per:?} in bursts of {burst}")
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    #[test]
    fn a_burst_is_admitted_at_once_and_then_one_each_interval() {
        let limit = Limit::new(1, 10 * SECOND, 3).unwrap();
        let mut tat = Moment::default();
        for _ in 0..3 {
            tat = limit.take(tat, at(100)).unwrap();
        }
        assert_eq!(limit.take(tat, at(100)), Err(10 * SECOND));
        assert_eq!(limit.take(tat, at(109)), Err(SECOND));
        tat = limit.take(tat, at(110)).unwrap();
        assert_eq!(limit.take(tat, at(110)), Err(10 * SECOND));
        // After a rest the whole burst, and no more than that.
        for _ in 0..3 {
            tat = limit.take(tat, at(1000)).unwrap();
        }
        assert_eq!(limit.take(tat, at(1000)), Err(10 * SECOND));
    }

    #[test]
    fn what_admits_nothing_or_takes_more_than_a_day_is_no_limit() {
        for (count, per, burst) in [(0, SECOND, 1), (1, Duration::ZERO, 1), (1, SECOND, 0)] {
            let nothing = LimitError::Nothing { count, per, burst };
            assert_eq!(Limit::new(count, per, burst), Err(nothing));
        }
        let hour = 3600 * SECOND;
        let slow = LimitError::TooSlow {
            count: 1,
            per: hour,
            burst: 25,
        };
        assert_eq!(Limit::new(1, hour, 25), Err(slow));
        assert!(Limit::new(1, hour, 24).is_ok());
        let (count, burst) = (1, u32::MAX);
        let beyond = Limit::new(count, Duration::MAX, burst).unwrap_err();
        assert!(matches!(beyond, LimitError::TooSlow { .. }));
    }

    #[test]
    fn a_limit_says_what_was_written_down() {
        let limit = Limit::new(100, SECOND, 1000).unwrap();
        assert_eq!(limit.to_string(), "100 per 1s in bursts of 1000");
    }

    fn limits() -> impl Strategy<Value = Limit> {
        let numbers = (1..2000_u32, 1..100_000_u64, 1..50_u32);
        numbers.prop_filter_map("within a day", |(count, millis, burst)| {
            Limit::new(count, Duration::from_millis(millis), burst).ok()
        })
    }

    /// Pauses between requests, in nanoseconds, about as long as a limit's interval.
    fn pauses(limit: &Limit) -> impl Strategy<Value = Vec<u64>> + use<> {
        proptest::collection::vec(0..limit.interval * 3, 1..120)
    }

    fn limit_and_pauses() -> impl Strategy<Value = (Limit, Vec<u64>)> {
        limits().prop_flat_map(|limit| (Just(limit), pauses(&limit)))
    }

    proptest! {
        #[test]
        fn no_span_of_time_sees_more_than_a_burst_and_one_for_each_interval(
            (limit, pauses) in limit_and_pauses()
        ) {
            let (mut now, mut tat, mut admitted) = (0, Moment::default(), Vec::new());
            for pause in pauses {
                now += pause;
                if let Ok(owed) = limit.take(tat, Moment(now)) {
                    tat = owed;
                    admitted.push(now);
                }
            }
            for (first, from) in admitted.iter().enumerate() {
                for (last, to) in admitted.iter().enumerate().skip(first) {
                    let most = u64::from(limit.burst) + (to - from) / limit.interval;
                    prop_assert!((last - first + 1) as u64 <= most);
                }
            }
        }

        #[test]
        fn the_wait_is_exact((limit, pauses) in limit_and_pauses()) {
            let (mut now, mut tat) = (0, Moment::default());
            for pause in pauses {
                now += pause;
                match limit.take(tat, Moment(now)) {
                    Ok(owed) => tat = owed,
                    Err(wait) => {
                        let then = now + nanos(wait);
                        prop_assert_eq!(
                            limit.take(tat, Moment(then - 1)),
                            Err(Duration::from_nanos(1))
                        );
                        prop_assert!(limit.take(tat, Moment(then)).is_ok());
                        prop_assert!(wait <= Duration::from_nanos(limit.interval));
                    }
                }
            }
        }

        #[test]
        fn who_keeps_to_the_interval_is_never_refused(limit in limits(), from: u32) {
            let (mut now, mut tat) = (u64::from(from), Moment::default());
            for _ in 0..100 {
                tat = limit.take(tat, Moment(now)).unwrap();
                now += limit.interval;
            }
        }

        #[test]
        fn what_is_given_back_at_once_was_never_taken((limit, pauses) in limit_and_pauses()) {
            let (mut now, mut tat) = (0, Moment::default());
            for (number, pause) in pauses.into_iter().enumerate() {
                now += pause;
                let Ok(owed) = limit.take(tat, Moment(now)) else { continue };
                if number % 2 == 0 {
                    tat = owed;
                } else {
                    let back = limit.give_back(owed, owed, Moment(now));
                    prop_assert_eq!(back.max(Moment(now)), tat.max(Moment(now)));
                }
            }
        }

        /// The world with a request that was given back never admits what one without it would not.
        #[test]
        fn giving_back_admits_nothing_that_was_not_due_anyway(
            (limit, pauses) in limit_and_pauses(),
            which in 0..120_usize,
            after in 0..120_usize,
        ) {
            let (mut now, mut with, mut without) = (0, Moment::default(), Moment::default());
            let mut paid = None;
            for (number, pause) in pauses.into_iter().enumerate() {
                now += pause;
                if number >= which + after && let Some(paid) = paid.take() {
                    with = limit.give_back(with, paid, Moment(now));
                }
                if let Ok(owed) = limit.take(with, Moment(now)) {
                    with = owed;
                    if number == which {
                        paid = Some(owed);
                    } else {
                        without = limit.take(without, Moment(now)).unwrap();
                    }
                }
                prop_assert!(with.max(Moment(now)) >= without.max(Moment(now)));
            }
        }

        #[test]
        fn no_moment_overflows(limit in limits(), tat: u64, paid: u64, now: u64) {
            let (tat, paid, now) = (Moment(tat), Moment(paid), Moment(now));
            if let Ok(owed) = limit.take(tat, now) {
                prop_assert!(owed >= now.max(tat));
            }
            prop_assert!(limit.give_back(tat, paid, now) <= tat);
        }
    }
}
