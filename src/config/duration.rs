//! Durations as people write them: a whole number and one unit.

use std::time::Duration;

/// Reads `250ms`, `30s`, `10m`, `24h`, `7d`. `None` for anything else.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let scale = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(scale).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_is_a_duration() {
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse("10m"), Some(Duration::from_secs(600)));
        assert_eq!(parse("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "10",
            "m",
            "1.5m",
            "-1s",
            "10 m",
            "10min",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
