//! The parser: one pass over the text, and every rule where its grammar stands.

use std::collections::HashSet;
use std::fmt;

use super::{Number, Object, Value};

/// Deepest nesting of arrays and objects accepted; the outermost one is at depth 1.
pub const MAX_DEPTH: usize = 8;

/// How much of a duplicate member's name an error shows, in characters.
const NAME_SHOWN: usize = 64;

/// Why bytes are not acceptable JSON, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Error {
    /// Offset of the first byte that cannot be accepted.
    pub at: usize,
    /// The rule it breaks.
    pub what: Problem,
}

/// The rule broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// Not JSON.
    Syntax,
    /// A member name for the second time.
    DuplicateMember(String),
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Bytes after the value.
    Trailing,
    /// Not UTF-8, or a lone surrogate escape.
    Encoding,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("not valid JSON"),
            Self::DuplicateMember(name) => {
                let beginning: String = name.chars().take(NAME_SHOWN).collect();
                write!(f, "member {beginning:?} appears twice")
            }
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::Trailing => f.write_str("bytes after the JSON value"),
            Self::Encoding => f.write_str("not valid UTF-8"),
        }
    }
}

/// Parses exactly one JSON value from all of `bytes`, in linear time.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error {
        at: e.valid_up_to(),
        what: Problem::Encoding,
    })?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(1)?;
    reader.skip_blanks();
    if reader.at < text.len() {
        return Err(reader.error(Problem::Trailing));
    }
    Ok(value)
}

/// A cursor over text already known to be UTF-8. `at` always lies on a character boundary.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, what: Problem) -> Error {
        Error { at: self.at, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes `literal` if it is next.
    fn take(&mut self, literal: &str) -> bool {
        let found = self.text[self.at..].starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    fn expect(&mut self, literal: &str) -> Result<(), Error> {
        if self.take(literal) {
            Ok(())
        } else {
            Err(self.error(Problem::Syntax))
        }
    }

    /// One value with the blanks before it; an array or object here would be at level `depth`.
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        self.skip_blanks();
        match self.peek() {
            Some(b'{' | b'[') if depth > MAX_DEPTH => Err(self.error(Problem::TooDeep)),
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.expect("true").map(|()| Value::Bool(true)),
            Some(b'f') => self.expect("false").map(|()| Value::Bool(false)),
            Some(b'n') => self.expect("null").map(|()| Value::Null),
            _ => Err(self.error(Problem::Syntax)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        self.expect("[")?;
        self.skip_blanks();
        if self.take("]") {
            return Ok(items);
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_blanks();
            if self.take("]") {
                return Ok(items);
            }
            self.expect(",")?;
        }
    }

    fn object(&mut self, depth: usize) -> Result<Object, Error> {
        let mut members = Vec::new();
        let mut names_at = Vec::new();
        self.expect("{")?;
        self.skip_blanks();
        if self.take("}") {
            return Ok(Object(members));
        }
        loop {
            self.skip_blanks();
            names_at.push(self.at);
            let name = self.string()?;
            self.skip_blanks();
            self.expect(":")?;
            members.push((name, self.value(depth + 1)?));
            self.skip_blanks();
            if self.take("}") {
                break;
            }
            self.expect(",")?;
        }
        match first_duplicate(&members) {
            None => Ok(Object(members)),
            Some(n) => Err(Error {
                at: names_at[n],
                what: Problem::DuplicateMember(members.swap_remove(n).0),
            }),
        }
    }

    /// A string, its escapes resolved (RFC 8259 §7).
    fn string(&mut self) -> Result<String, Error> {
        self.expect("\"")?;
        let mut out = String::new();
        loop {
            let run = plain_run(&self.text.as_bytes()[self.at..]);
            out.push_str(&self.text[self.at..self.at + run]);
            self.at += run;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.error(Problem::Syntax)), // a bare control character, or the end
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.at += 1;
        let Some(letter) = self.peek() else {
            return Err(self.error(Problem::Syntax));
        };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.four_hex_digits()?;
                let code = match high {
                    0xd800..=0xdbff if self.take("\\u") => {
                        let low = self.four_hex_digits()?;
                        // Only a low surrogate completes the pair; anything else leaves the
                        // high one alone, and `from_u32` refuses it.
                        if (0xdc00..=0xdfff).contains(&low) {
                            0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00)
                        } else {
                            high
                        }
                    }
                    _ => high,
                };
                char::from_u32(code).ok_or(Error {
                    at: start,
                    what: Problem::Encoding,
                })?
            }
            _ => {
                self.at = start;
                return Err(self.error(Problem::Syntax));
            }
        })
    }

    fn four_hex_digits(&mut self) -> Result<u32, Error> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let mut code = 0;
        for digit in digits.ok_or(self.error(Problem::Syntax))? {
            let nibble = char::from(*digit).to_digit(16);
            code = code << 4 | nibble.ok_or(self.error(Problem::Syntax))?;
        }
        self.at += 4;
        Ok(code)
    }

    /// A number as written: `-? int frac? exp?` (RFC 8259 §6).
    fn number(&mut self) -> Result<Number, Error> {
        let start = self.at;
        self.take("-");
        if !self.take("0") {
            self.digits()?;
        }
        if self.take(".") {
            self.digits()?;
        }
        if self.take("e") || self.take("E") {
            let _sign = self.take("+") || self.take("-");
            self.digits()?;
        }
        Ok(Number(self.text[start..self.at].to_owned()))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Error> {
        let rest = &self.text[self.at..];
        match rest.bytes().take_while(u8::is_ascii_digit).count() {
            0 => Err(self.error(Problem::Syntax)),
            n => {
                self.at += n;
                Ok(())
            }
        }
    }
}

/// How many octets at the front of `text` stand for themselves in a string (RFC 8259 §7).
fn plain_run(text: &[u8]) -> usize {
    // Sixteen at once, and no branch for any of them: a token has two thousand octets.
    let special = |octet: &u8| (*octet == b'"') | (*octet == b'\\') | (*octet < 0x20);
    let (chunks, _) = text.as_chunks::<16>();
    let is_plain = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |any, o| any | special(o));
    let plain = chunks.iter().take_while(is_plain).count() * 16;
    let rest = &text[plain..];
    plain + rest.iter().position(special).unwrap_or(rest.len())
}

/// So many names are compared with each other sooner than they are hashed.
const FEW_NAMES: usize = 64;

/// The index of the first member whose name was there before.
fn first_duplicate(members: &[(String, Value)]) -> Option<usize> {
    if members.len() <= FEW_NAMES {
        let stood_before = |n: &usize| members[..*n].iter().any(|(m, _)| *m == members[*n].0);
        return (0..members.len()).find(stood_before);
    }
    let mut seen = HashSet::with_capacity(members.len());
    members
        .iter()
        .position(|(name, _)| !seen.insert(name.as_str()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(text: &str) -> Problem {
        parse(text.as_bytes()).unwrap_err().what
    }

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_value_of_every_kind_parses() {
        let value = parse(br#" {"a":[null,true,false,-1.5e3],"b":"x\ny","":{}} "#).unwrap();
        let object = value.as_object().unwrap();
        assert_eq!(
            object.get("a").and_then(Value::as_array).unwrap(),
            [
                Value::Null,
                Value::Bool(true),
                Value::Bool(false),
                Value::Number(Number("-1.5e3".into())),
            ]
        );
        assert_eq!(object.get("b").and_then(Value::as_str), Some("x\ny"));
        assert_eq!(object.get(""), Some(&Value::Object(Object::default())));
    }

    #[test]
    fn a_member_named_twice_is_found_among_few_and_many() {
        for members in [2, FEW_NAMES, FEW_NAMES + 1, 5 * FEW_NAMES] {
            let names = (1..members).map(|n| format!("\"m{n}\":0"));
            let mut names: Vec<String> = names.collect();
            assert!(parse(format!("{{{}}}", names.join(",")).as_bytes()).is_ok());
            names.push("\"m1\":0".into());
            let twice = Problem::DuplicateMember("m1".into());
            assert_eq!(problem(&format!("{{{}}}", names.join(","))), twice);
        }
    }

    #[test]
    fn a_string_ends_where_it_does_however_long_it_is() {
        for length in 0..70 {
            let plain = "x".repeat(length);
            for (rest, string) in [("", ""), ("\\n\u{e9}", "\n\u{e9}")] {
                let value = parse(format!("\"{plain}{rest}\"").as_bytes()).unwrap();
                assert_eq!(value.as_str(), Some(&*format!("{plain}{string}")));
            }
            for end in ["", "\u{1f}\"", "\n\""] {
                let error = parse(format!("\"{plain}{end}").as_bytes()).unwrap_err();
                assert_eq!((error.at, error.what), (length + 1, Problem::Syntax));
            }
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_at_any_depth() {
        assert_eq!(
            parse(br#"{"a":1,"b":2,"a":3}"#),
            Err(Error {
                at: 13,
                what: Problem::DuplicateMember("a".into())
            })
        );
        assert_eq!(
            problem(r#"[{"x":{"a":1,"\u0061":2}}]"#),
            Problem::DuplicateMember("a".into())
        );
        assert!(parse(br#"[{"x":{"a":1,"A":2}},{"x":1}]"#).is_ok());
    }

    #[test]
    fn eight_levels_are_read_and_the_ninth_is_not() {
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(
            parse(nested(MAX_DEPTH + 1).as_bytes()),
            Err(Error {
                at: 8,
                what: Problem::TooDeep
            })
        );
        assert_eq!(problem(&"[".repeat(1 << 20)), Problem::TooDeep);
    }

    #[test]
    fn nothing_may_follow_the_value_but_blanks() {
        assert!(parse(b"{} \r\n\t").is_ok());
        for text in ["{}{}", "{},", "1 2", "01", "null\u{0}", "{}\u{a0}"] {
            assert_eq!(problem(text), Problem::Trailing, "{text:?}");
        }
    }

    #[test]
    fn only_utf_8_without_a_byte_order_mark_is_text() {
        assert_eq!(parse(b"\"\xff\"").unwrap_err().what, Problem::Encoding);
        assert_eq!(
            parse(b"\"\xed\xa0\x80\"").unwrap_err().what,
            Problem::Encoding
        );
        assert_eq!(problem("\u{feff}{}"), Problem::Syntax);
        assert!(parse("\"é\"".as_bytes()).is_ok());
    }

    #[test]
    fn a_surrogate_escape_needs_its_other_half() {
        assert_eq!(parse(br#""\ud83d\ude00""#), Ok(Value::String("😀".into())));
        for text in [
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d""#,
            r#""\ud83dx""#,
        ] {
            assert_eq!(problem(text), Problem::Encoding, "{text}");
        }
    }

    #[test]
    fn what_rfc_8259_does_not_know_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "{'a':1}",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "NaN",
            "Infinity",
            "True",
            "nul",
            "\"",
            "\"\\",
            "\"\\x41\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\n\"",
            "\"\u{0}\"",
            "// c\n1",
            "\u{b}1",
        ] {
            assert_eq!(problem(text), Problem::Syntax, "{text:?}");
        }
    }

    /// JSON-shaped text: well-formed more often than not.
    fn jsonish() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "null|true|false|-?[0-9]{1,20}(\\.[0-9]{1,4})?([eE][-+]?[0-9]{1,2})?",
            r#""([a-z\u{e9}\u{1f600} ]|\\["/bfnrt\\]|\\u[0-9a-fA-F]{4}){0,6}""#,
        ];
        leaf.prop_recursive(9, 64, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{}]", items.join(" ,"))),
                prop::collection::vec((r#""[ab]{0,2}""#, inner), 0..4).prop_map(|members| {
                    let members: Vec<_> =
                        members.iter().map(|(n, v)| format!("{n}: {v}")).collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    fn same(ours: &Value, theirs: &serde_json::Value) -> bool {
        match ours {
            Value::Null => theirs.is_null(),
            Value::Bool(b) => theirs.as_bool() == Some(*b),
            Value::Number(n) => {
                // serde_json's floats may be off in the last place; integers may not.
                let (mine, other): (f64, _) = (n.as_str().parse().unwrap(), theirs.as_f64());
                other.is_some_and(|other| (mine - other).abs() <= mine.abs() * 1e-15)
                    && (n.as_i64().is_none() || theirs.as_i64() == n.as_i64())
            }
            Value::String(s) => theirs.as_str() == Some(s),
            Value::Array(items) => theirs.as_array().is_some_and(|other| {
                items.len() == other.len() && items.iter().zip(other).all(|(a, b)| same(a, b))
            }),
            Value::Object(object) => theirs.as_object().is_some_and(|other| {
                object.0.len() == other.len()
                    && object
                        .iter()
                        .all(|(n, a)| other.get(n).is_some_and(|b| same(a, b)))
            }),
        }
    }

    proptest! {
        #[test]
        fn what_we_accept_serde_json_reads_alike(text in jsonish()) {
            if let Ok(ours) = parse(text.as_bytes()) {
                let theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
                prop_assert!(same(&ours, &theirs), "{text}");
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_widen_the_language(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if parse(&bytes).is_ok() {
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
            }
        }

        #[test]
        fn what_serde_json_writes_we_read(text in "\\PC{0,32}") {
            let written = serde_json::to_string(&serde_json::json!({ text.as_str(): [text.as_str()] })).unwrap();
            let ours = parse(written.as_bytes()).unwrap();
            prop_assert_eq!(ours.as_object().unwrap().iter().next().unwrap().0, text);
        }
    }
}
