//! Strict JSON (RFC 8259) for hostile bytes: tokens, key sets, request bodies, log answers.
//! See the module's own functions for what is refused and the limits.

use std::fmt;

/// Deepest nesting accepted: the outermost value is at depth 1.
pub const MAX_DEPTH: usize = 8;

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
            Self::DuplicateMember(name) => write!(f, "member {name:?} appears twice"),
            Self::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} levels"),
            Self::Trailing => f.write_str("bytes after the JSON value"),
            Self::Encoding => f.write_str("not valid UTF-8"),
        }
    }
}

/// Parses exactly one JSON value from all of `bytes`, in linear time.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let _ = bytes;
    todo!()
}

impl Number {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value if it was written as an integer (no fraction, no exponent) and fits.
    pub fn as_i64(&self) -> Option<i64> {
        todo!()
    }
}

impl Object {
    /// The member of this exact name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
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
