//! Strict JSON: what we read, serde_json reads, and reads the same way.

use serde_json::Value as Theirs;
use shortleaf::json::{self, Value};

pub(crate) fn run(input: &[u8]) {
    if let Ok(ours) = json::parse(input) {
        second_opinion(input, &ours);
    }
}

/// Holds a document that we read against serde_json.
pub(crate) fn second_opinion(text: &[u8], ours: &Value) {
    match serde_json::from_slice(text) {
        Ok(theirs) => assert!(same(ours, &theirs), "{ours:?} is {theirs:?} to serde_json"),
        // We keep a number's digits; serde_json has no room for 1e999.
        Err(error) => assert!(
            error.to_string().starts_with("number out of range"),
            "{error}"
        ),
    }
}

fn same(ours: &Value, theirs: &Theirs) -> bool {
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Bool(ours), Theirs::Bool(theirs)) => ours == theirs,
        (Value::String(ours), Theirs::String(theirs)) => ours == theirs,
        // Floats are rounded there; integers must agree.
        (Value::Number(ours), Theirs::Number(theirs)) => match ours.as_i64() {
            Some(number) => theirs.as_i64() == Some(number),
            None => theirs.as_i64().is_none(),
        },
        (Value::Array(ours), Theirs::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
        }
        (Value::Object(ours), Theirs::Object(theirs)) => {
            ours.iter().count() == theirs.len()
                && ours
                    .iter()
                    .all(|(name, value)| theirs.get(name).is_some_and(|theirs| same(value, theirs)))
        }
        (
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_),
            _,
        ) => false,
    }
}
