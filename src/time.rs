//! Points in time as the protocols write them: whole seconds (RFC 7519, RFC 5280) and
//! milliseconds (RFC 6962) since the Unix epoch.
//!
//! Nothing here reads a clock. A request reads one, once, at the door through [`Clock`], and
//! hands the value down.

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub i64);

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// Where the time comes from. One reading per request, passed on as an argument.
pub trait Clock: Send + Sync {
    /// The wall clock now.
    fn now(&self) -> UnixMillis;
}

impl UnixSeconds {
    /// This moment moved by `seconds`, staying inside the range of the type.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this moment; negative if `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl UnixMillis {
    /// The second this moment falls in.
    pub fn seconds(self) -> UnixSeconds {
        UnixSeconds(i64::try_from(self.0 / 1000).unwrap_or(i64::MAX))
    }

    /// This moment moved by `millis`, staying inside the range of the type.
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add_signed(millis))
    }
}

impl From<UnixSeconds> for UnixMillis {
    fn from(at: UnixSeconds) -> Self {
        Self(u64::try_from(at.0).unwrap_or(0).saturating_mul(1000))
    }
}

/// RFC 3339 in UTC, `2026-11-21T12:00:00Z`; moments no calendar reaches print as bare seconds.
impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(at) => write!(f, "{at}"),
            Err(_) => write!(f, "{}s", self.0),
        }
    }
}

/// RFC 3339 in UTC with milliseconds, `2026-11-21T12:00:00.250Z`.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match at {
            Some(at) => write!(f, "{at:.3}"),
            None => write!(f, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_print_as_rfc_3339() {
        assert_eq!(
            UnixSeconds(1_795_262_400).to_string(),
            "2026-11-21T12:00:00Z"
        );
    }

    #[test]
    fn a_moment_beyond_the_calendar_still_prints() {
        assert_eq!(UnixSeconds(i64::MAX).to_string(), "9223372036854775807s");
    }

    #[test]
    fn milliseconds_round_down_to_their_second() {
        assert_eq!(UnixMillis(1_999).seconds(), UnixSeconds(1));
        assert_eq!(
            UnixMillis(1_795_262_400_250).to_string(),
            "2026-11-21T12:00:00.250Z"
        );
    }
}
