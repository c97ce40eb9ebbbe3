//! Validity times (RFC 5280 §4.1.2.5): UTCTime through 2049, GeneralizedTime from 2050, whole
//! seconds, always Z. Other spellings of the same moment are refused.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::der::{Backwards, Element, tag};
use crate::time::UnixSeconds;

/// The moment, or `None` if it is not written as RFC 5280 demands.
pub(super) fn read(element: &Element<'_>) -> Option<UnixSeconds> {
    let (year, rest) = match element.tag {
        tag::UTC_TIME => {
            let (year, rest) = element.content.split_at_checked(2)?;
            let year = digits(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        tag::GENERALIZED_TIME => {
            let (year, rest) = element.content.split_at_checked(4)?;
            (digits(year).filter(|year| *year >= 2050)?, rest)
        }
        _ => return None,
    };
    let rest = rest.strip_suffix(b"Z").filter(|rest| rest.len() == 10)?;
    let two = |at: usize| digits(&rest[at..at + 2]).and_then(|number| i8::try_from(number).ok());
    // A leap second (60) is not a time certificates can name.
    let at =
        jiff::civil::DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(UnixSeconds(at.timestamp().as_second()))
}

/// Writes the moment; `None`, and nothing written, before 1950 and where the calendar ends in 9999.
pub fn put_time(out: &mut Backwards, at: UnixSeconds) -> Option<()> {
    let at = Offset::UTC.to_datetime(Timestamp::from_second(at.0).ok()?);
    let year = at.year();
    let mut text = *b"YYYYMMDDhhmmssZ";
    let (month, day) = (at.month().into(), at.day().into());
    let (hour, minute, second) = (at.hour().into(), at.minute().into(), at.second().into());
    let numbers = [year / 100, year % 100, month, day, hour, minute, second];
    for (two, number) in text.chunks_exact_mut(2).zip(numbers) {
        let number = u8::try_from(number).ok()?;
        two.copy_from_slice(&[b'0' + number / 10, b'0' + number % 10]);
    }
    let (tag, digits) = match year {
        1950..=2049 => (tag::UTC_TIME, &text[2..]),
        2050..=9999 => (tag::GENERALIZED_TIME, &text[..]),
        _ => return None,
    };
    let mark = out.len();
    out.put(digits);
    out.header(tag, mark);
    Some(())
}

fn digits(text: &[u8]) -> Option<i16> {
    text.iter().try_fold(0i16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| i16::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tag: u8, text: &str) -> Option<UnixSeconds> {
        read(&Element {
            tag,
            content: text.as_bytes(),
            whole: &[],
        })
    }

    #[test]
    fn each_year_has_one_form() {
        let utc = |text| at(tag::UTC_TIME, text);
        let generalized = |text| at(tag::GENERALIZED_TIME, text);
        assert_eq!(utc("261121120000Z"), Some(UnixSeconds(1_795_262_400)));
        assert_eq!(utc("491231235959Z"), Some(UnixSeconds(2_524_607_999)));
        assert_eq!(
            generalized("20500101000000Z"),
            Some(UnixSeconds(2_524_608_000))
        );
        assert_eq!(utc("500101000000Z"), Some(UnixSeconds(-631_152_000)));
        assert_eq!(generalized("20491231235959Z"), None);
        assert_eq!(at(tag::OCTET_STRING, "261121120000Z"), None);
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_written() {
        // 1950-01-01, the last second before 1970, a leap day, both sides of 2050, the last the calendar has.
        for seconds in [
            -631_152_000,
            -1,
            1_709_208_000,
            2_524_607_999,
            2_524_608_000,
            253_402_207_200,
        ] {
            let mut out = Backwards::with_room(0);
            assert_eq!(put_time(&mut out, UnixSeconds(seconds)), Some(()));
            let mut reader = crate::der::Reader::new(out.written());
            let element = reader.any().unwrap();
            assert_eq!(read(&element), Some(UnixSeconds(seconds)));
            assert_eq!(reader.end(), Ok(()));
        }
        for seconds in [-631_152_001, 253_402_207_201, i64::MIN, i64::MAX] {
            let mut out = Backwards::with_room(0);
            assert_eq!(put_time(&mut out, UnixSeconds(seconds)), None);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "2611211200Z",
            "261121120000",
            "261121120000+0000",
            "261121120000.5Z",
            "261131120000Z",
            "261321120000Z",
            "261121240000Z",
            "261121120060Z",
            "26112112000xZ",
            "+61121120000Z",
        ] {
            assert_eq!(at(tag::UTC_TIME, text), None, "{text}");
        }
    }
}
