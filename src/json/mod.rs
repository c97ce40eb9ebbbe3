//! Strict JSON (RFC 8259) for hostile bytes: tokens, key sets, request bodies, log answers.
//!
//! Two parsers that read one text differently are how a token comes to mean two things. So this
//! one leaves nothing to choose: one value and nothing after it, UTF-8 without a byte order mark,
//! no member name twice at any depth, no lone surrogate, at most [`MAX_DEPTH`] levels, and
//! numbers that keep their digits. Its work is linear in the input, whose length the caller
//! bounds. It does not write JSON, and it does not round numbers for anyone.

mod read;

pub use read::{Error, MAX_DEPTH, Problem, parse};

/// A parsed value. Numbers keep their text, so that integers stay exact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number, as it was written.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
}

/// A number as it was written, known to follow RFC 8259 §6.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Number(String);

/// An object: members in the order written, no name twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Object(Vec<(String, Value)>);

impl Number {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value if it was written as an integer (no fraction, no exponent) and fits. `-0` is none:
    /// to other readers it is a float, and the two do not agree that it is 0.
    pub fn as_i64(&self) -> Option<i64> {
        if self.0 == "-0" {
            return None;
        }
        // The grammar is already checked, so all `parse` can still object to is `.`, `e` or size.
        self.0.parse().ok()
    }
}

impl Object {
    /// The member of this exact name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// What stands at the end of a path of member names; nothing at the end of none.
    pub fn at(&self, path: &[impl AsRef<str>]) -> Option<&Value> {
        let (last, parents) = path.split_last()?;
        let mut object = self;
        for name in parents {
            object = object.get(name.as_ref())?.as_object()?;
        }
        object.get(last.as_ref())
    }

    /// All members in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }
}

impl Value {
    /// The string inside, if this is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self {
            Some(s)
        } else {
            None
        }
    }

    /// The object inside, if this is one.
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(o) = self {
            Some(o)
        } else {
            None
        }
    }

    /// The array inside, if this is one.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Self::Array(a) = self {
            Some(a)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_goes_from_member_to_member_and_never_through_anything_else() {
        let value = parse(br#"{"a":{"b.c":{"d":1},"e":["x"]}}"#).unwrap();
        let object = value.as_object().unwrap();
        let at = |path: &[&str]| object.at(path);
        assert_eq!(
            at(&["a", "b.c", "d"]),
            Some(&Value::Number(Number("1".into())))
        );
        assert_eq!(at(&["a"]), object.get("a"));
        for path in [
            &[][..],
            &["x"],
            &["a", "b"],
            &["a", "e", "0"],
            &["a", "b.c", "d", "d"],
        ] {
            assert_eq!(at(path), None, "{path:?}");
        }
    }

    #[test]
    fn integers_are_exact_and_nothing_else_is_an_integer() {
        let integer = |text: &str| {
            let Ok(Value::Number(number)) = parse(text.as_bytes()) else {
                panic!("{text} is a number");
            };
            number.as_i64()
        };
        assert_eq!(integer("9007199254740993"), Some(9_007_199_254_740_993));
        assert_eq!(integer("-9223372036854775808"), Some(i64::MIN));
        for text in ["9223372036854775808", "1.0", "1e3", "1E0", "-0"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
