//! Claims as the texts that certificates hold.
//!
//! A string is itself, a boolean its word, a number its plain decimal digits, exactly: never by
//! way of a float, or repository 9007199254740993 would sign as its neighbour. `null` is absent.
//! Arrays and objects have no text, and inventing one (Fulcio prints Go syntax) would make it part
//! of somebody's identity.

use std::borrow::Cow;

use super::Problem;
use crate::json::{Number, Object, Value};
use crate::token::hidden_character;

/// Longest claim put into a certificate, in bytes.
pub const MAX_CLAIM_BYTES: usize = 1000;

/// A token's claims over a provider's defaults: claims win.
pub(super) struct Values<'a> {
    pub(super) claims: &'a Object,
    pub(super) defaults: &'a [(String, String)],
}

impl<'a> Values<'a> {
    /// The text under `name`, if there is one.
    pub(super) fn get(&self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        let Some(text) = self.claims.get(name).map(text).transpose()?.flatten() else {
            let default = self.defaults.iter().find(|(n, _)| n == name);
            return Ok(default.map(|(_, text)| Cow::Borrowed(text.as_str())));
        };
        check_text(&text, MAX_CLAIM_BYTES)?;
        Ok(Some(text))
    }
}

/// The one text a claim has, in certificates and in rules; `null` is absent.
fn text(value: &Value) -> Result<Option<Cow<'_, str>>, Problem> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => Cow::Owned(decimal(number)?),
        Value::Array(_) | Value::Object(_) => return Err(Problem::NotAScalar),
    }))
}

/// A claim as the text a certificate would hold, or nothing if it has none.
pub(crate) fn claim_text(value: &Value) -> Option<Cow<'_, str>> {
    text(value).ok().flatten()
}

/// What every text in a certificate has to satisfy.
pub(super) fn check_text(text: &str, max: usize) -> Result<(), Problem> {
    match hidden_character(text) {
        Some(character) => Err(Problem::Hidden(character)),
        None if text.len() > max => Err(Problem::TooLong {
            bytes: text.len(),
            max,
        }),
        None => Ok(()),
    }
}

/// The first character of `name` that takes no room on a page: one of those that Unicode calls default
/// ignorable (DerivedCoreProperties.txt), or a blank at either end. Other texts may hold some, which
/// are part of many an emoji.
pub(super) fn unseen_character(name: &str) -> Option<char> {
    let at_an_end = name.chars().next().into_iter().chain(name.chars().last());
    let ignorable = name.chars().find(|c| {
        matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
    });
    ignorable.or_else(|| at_an_end.into_iter().find(|c| c.is_whitespace()))
}

/// A number without exponent: digits moved, none computed. `1.50e3` is `1500`, `1.0` is `1`.
fn decimal(number: &Number) -> Result<String, Problem> {
    let text = number.as_str();
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        return Ok(text.to_owned());
    }
    let (sign, unsigned) = text
        .strip_prefix('-')
        .map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();

    // Where the point goes, counted in digits from the left. An exponent that would write more
    // zeros than a claim may have bytes is refused before it writes one.
    let shift = exponent.parse::<i32>().ok();
    let shift = shift.filter(|e| e.unsigned_abs() as usize <= MAX_CLAIM_BYTES);
    let shift = shift.ok_or(Problem::TooLong {
        bytes: text.len().max(MAX_CLAIM_BYTES + 1),
        max: MAX_CLAIM_BYTES,
    })?;
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX) + i64::from(shift);

    let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or(0));
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let padded = [zeros(-point), digits, zeros(point - length)].concat();
    let (whole, fraction) = padded.split_at(usize::try_from(point).unwrap_or(0));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let dot = if fraction.is_empty() { "" } else { "." };
    Ok([sign, whole, dot, fraction].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn get(claims: &str, name: &str) -> Result<Option<String>, Problem> {
        let claims = json::parse(claims.as_bytes()).unwrap();
        let defaults = [
            ("url".to_owned(), "https://github.com".to_owned()),
            ("environment".to_owned(), String::new()),
        ];
        let values = Values {
            claims: claims.as_object().unwrap(),
            defaults: &defaults,
        };
        Ok(values.get(name)?.map(Cow::into_owned))
    }

    fn text(value: &str) -> Result<Option<String>, Problem> {
        get(&format!("{{\"x\":{value}}}"), "x")
    }

    #[test]
    fn scalars_become_their_text() {
        for (value, expected) in [
            (r#""a b""#, "a b"),
            (r#""""#, ""),
            ("true", "true"),
            ("false", "false"),
            ("0", "0"),
            ("-7", "-7"),
            ("9007199254740993", "9007199254740993"),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567890",
            ),
        ] {
            assert_eq!(text(value), Ok(Some(expected.into())), "{value}");
        }
    }

    #[test]
    fn numbers_are_written_out_exactly() {
        for (value, expected) in [
            ("1.0", "1"),
            ("1.50", "1.5"),
            ("1.50e3", "1500"),
            ("1E+2", "100"),
            ("125e-2", "1.25"),
            ("125e-5", "0.00125"),
            ("-0.10", "-0.1"),
            ("0e9", "0"),
            ("9007199254740993.0", "9007199254740993"),
            (
                "0.1000000000000000055511151231257827",
                "0.1000000000000000055511151231257827",
            ),
        ] {
            assert_eq!(text(value), Ok(Some(expected.into())), "{value}");
        }
    }

    #[test]
    fn an_exponent_does_not_write_a_book() {
        assert_eq!(text("1e999").unwrap().unwrap().len(), 1000);
        for value in ["1e1000", "1e1001", "1e-1001", "1e99999999999"] {
            let problem = text(value).unwrap_err();
            assert!(
                matches!(problem, Problem::TooLong { .. }),
                "{value}: {problem}"
            );
        }
    }

    #[test]
    fn null_is_absent_and_collections_have_no_text() {
        assert_eq!(text("null"), Ok(None));
        for value in ["[]", r#"["a"]"#, "{}"] {
            assert_eq!(text(value), Err(Problem::NotAScalar));
        }
    }

    #[test]
    fn claims_win_over_defaults() {
        assert_eq!(get("{}", "url"), Ok(Some("https://github.com".into())));
        assert_eq!(
            get(r#"{"url":null}"#, "url"),
            Ok(Some("https://github.com".into()))
        );
        assert_eq!(
            get(r#"{"url":"https://ghe.example"}"#, "url"),
            Ok(Some("https://ghe.example".into()))
        );
        assert_eq!(get(r#"{"url":""}"#, "url"), Ok(Some(String::new())));
        assert_eq!(get("{}", "environment"), Ok(Some(String::new())));
        assert_eq!(get("{}", "other"), Ok(None));
    }

    #[test]
    fn a_claim_is_short_and_shows_all_its_characters() {
        assert!(text(&format!("\"{}\"", "x".repeat(1000))).is_ok());
        let problem = text(&format!("\"{}\"", "x".repeat(1001)));
        assert_eq!(
            problem,
            Err(Problem::TooLong {
                bytes: 1001,
                max: 1000
            })
        );
        assert_eq!(text(r#""a\u0000""#), Err(Problem::Hidden('\0')));
        assert_eq!(text(r#""a\nb""#), Err(Problem::Hidden('\n')));
        assert_eq!(text(r#""\u202eb""#), Err(Problem::Hidden('\u{202e}')));
        assert!(text(r#""größe""#).is_ok());
    }
}
