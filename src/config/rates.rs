//! Rate limits: a number in a span of time, and how many at once.

use std::time::Duration;

use super::judge::bad;
use super::{Error, raw};
use crate::rates::{Limit, LimitError, Limits};

/// More at once than any instance can answer in a quarter of an hour.
const BURST_MAX: u32 = 1_000_000;
/// As many in a second.
const COUNT_MAX: u32 = 1_000_000;
/// A wider network than this is no subscriber's.
const IPV6_PREFIX_MIN: u8 = 32;

const RATE_WANTED: &str = "write a whole number up to 1000000 and a span, such as \"100/s\", \"600/m\" or \"1000/h\", or \"off\"";

/// The three limits, each with its burst.
pub(super) fn judge(raw: raw::RateLimits) -> Result<Limits, Error> {
    Ok(Limits {
        per_address: limit("per_address", &raw.per_address, raw.per_address_burst)?,
        ipv6_prefix: prefix(raw.ipv6_prefix)?,
        per_issuer: limit("per_issuer", &raw.per_issuer, raw.per_issuer_burst)?,
        per_identity: limit("per_identity", &raw.per_identity, raw.per_identity_burst)?,
    })
}

fn limit(name: &str, rate: &str, burst: i64) -> Result<Option<Limit>, Error> {
    let key = format!("rate_limits.{name}");
    let burst_key = format!("{key}_burst");
    // Judged also where nothing is counted: it will be in force when somebody writes a rate.
    let at_once = u32::try_from(burst).ok();
    let at_once = at_once.filter(|burst| (1..=BURST_MAX).contains(burst));
    let Some(at_once) = at_once else {
        let why = "between 1 and 1000000; \"off\" as the rate admits everything";
        return Err(bad(burst_key, burst.to_string(), why));
    };
    if rate == "off" {
        return Ok(None);
    }
    let Some((count, per)) = parse(rate) else {
        return Err(bad(key, rate, RATE_WANTED));
    };
    let limit = Limit::new(count, per, at_once);
    let limit = limit.map_err(|error| match error {
        LimitError::Nothing { .. } => bad(key, rate, RATE_WANTED),
        LimitError::TooSlow { .. } => bad(
            burst_key,
            format!("{burst} at {rate}"),
            "it would take more than a day until a whole burst is there again",
        ),
    });
    limit.map(Some)
}

/// `100/s`, and per minute and hour.
fn parse(text: &str) -> Option<(u32, Duration)> {
    let (count, span) = text.split_once('/')?;
    let seconds = match span {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let is_plain = count.bytes().all(|octet| octet.is_ascii_digit());
    let count = count
        .parse()
        .ok()
        .filter(|count| is_plain && *count <= COUNT_MAX)?;
    Some((count, Duration::from_secs(seconds)))
}

fn prefix(bits: i64) -> Result<u8, Error> {
    let prefix = u8::try_from(bits).ok();
    let prefix = prefix.filter(|bits| (IPV6_PREFIX_MIN..=128).contains(bits));
    prefix.ok_or_else(|| {
        bad(
            "rate_limits.ipv6_prefix",
            bits.to_string(),
            "between 32 and 128; 64 is what one subscriber is given at least",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_span_is_a_rate() {
        for (text, count, seconds) in [
            ("100/s", 100, 1),
            ("1/m", 1, 60),
            ("1000000/h", 1_000_000, 3600),
        ] {
            assert_eq!(parse(text), Some((count, Duration::from_secs(seconds))));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "/s",
            "1",
            "1/",
            "1/d",
            "+1/s",
            "-1/s",
            "1.5/s",
            "1 /s",
            "1000001/s",
            "1/s/s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_burst_that_does_not_fit_its_rate_is_told_with_both() {
        let error = limit("per_identity", "1/h", 25).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`rate_limits.per_identity_burst` is \"25 at 1/h\": \
             it would take more than a day until a whole burst is there again"
        );
        assert!(limit("per_identity", "1/h", 24).unwrap().is_some());
    }
}
