//! A claim by its name, and the texts it has in one token.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use cel::{Context, Value as CelValue};

use super::expression;
use crate::identity::claim_text;
use crate::json::{Object, Value};

/// Longest name of a claim, in bytes.
pub const MAX_CLAIM_NAME_BYTES: usize = 256;

/// A claim: a member of the token's own object, or by JSON Pointer (RFC 6901) one further inside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClaimName {
    text: String,
    steps: Vec<String>,
}

/// Why a text names no claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} names no claim: a member's name, or a JSON Pointer such as \"/kubernetes.io/namespace\", of 1 to {MAX_CLAIM_NAME_BYTES} bytes"
)]
pub struct ClaimNameError {
    /// The text.
    pub got: String,
}

impl ClaimName {
    /// What does not begin with `/` is a member's name as it stands.
    pub fn parse(text: &str) -> Result<Self, ClaimNameError> {
        let wrong = || ClaimNameError {
            got: text.to_owned(),
        };
        if text.is_empty() || text.len() > MAX_CLAIM_NAME_BYTES {
            return Err(wrong());
        }
        let steps = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(pointer) => {
                let steps: Option<Vec<_>> = pointer.split('/').map(unescaped).collect();
                steps.ok_or_else(wrong)?
            }
        };
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 6901 §4: `~1` is `/`, `~0` is `~`, and no other escape exists.
fn unescaped(step: &str) -> Option<String> {
    let mut out = String::new();
    let mut characters = step.chars();
    while let Some(character) = characters.next() {
        out.push(match character {
            '~' => match characters.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            other => other,
        });
    }
    Some(out)
}

/// One token's claims, each looked up at most once.
pub(super) struct Claims<'a> {
    names: &'a [ClaimName],
    claims: &'a Object,
    texts: Vec<OnceCell<Vec<Cow<'a, str>>>>,
    for_expressions: OnceCell<Context<'static, 'static>>,
}

impl<'a> Claims<'a> {
    pub(super) fn new(names: &'a [ClaimName], claims: &'a Object) -> Self {
        Self {
            names,
            claims,
            texts: vec![OnceCell::new(); names.len()],
            for_expressions: OnceCell::new(),
        }
    }

    /// The texts of the claim at this place: none if it is absent or has no text, several if it is
    /// an array.
    pub(super) fn texts(&self, place: usize) -> &[Cow<'a, str>] {
        self.texts[place].get_or_init(|| match self.claims.at(&self.names[place].steps) {
            None => Vec::new(),
            Some(Value::Array(all)) => all.iter().filter_map(claim_text).collect(),
            Some(one) => claim_text(one).into_iter().collect(),
        })
    }

    pub(super) fn name(&self, place: usize) -> &'a ClaimName {
        &self.names[place]
    }

    /// The claims as an expression sees them, made when the first one asks.
    pub(super) fn for_expressions(&self) -> &Context<'static, 'static> {
        self.for_expressions.get_or_init(|| {
            let mut context = expression::context();
            context.add_variable_from_value("claims", object(self.claims));
            context
        })
    }
}

fn object(claims: &Object) -> CelValue {
    let members = claims
        .iter()
        .map(|(name, value)| (name.to_owned(), as_cel(value)));
    CelValue::from(members.collect::<std::collections::HashMap<String, CelValue>>())
}

/// Integers that fit are integers; other numbers are their exact text, never a float.
fn as_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(truth) => CelValue::Bool(*truth),
        Value::String(text) => CelValue::from(text.as_str()),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => CelValue::Int(integer),
            None => CelValue::from(claim_text(value).unwrap_or_default().into_owned()),
        },
        Value::Array(all) => CelValue::from(all.iter().map(as_cel).collect::<Vec<_>>()),
        Value::Object(members) => object(members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn a_claim_is_found_by_name_or_pointer() {
        let claims =
            br#"{"a":"1","b/c":2,"d":{"e~f":{"g":true}},"h":["x",3,null,{"y":1}],"i":null}"#;
        let claims = json::parse(claims).unwrap();
        let claims = claims.as_object().unwrap();
        let texts = |name: &str| {
            let names = [ClaimName::parse(name).unwrap()];
            Claims::new(&names, claims).texts(0).join(",")
        };
        for (name, expected) in [
            ("a", "1"),
            ("/a", "1"),
            ("b/c", "2"),
            ("/b~1c", "2"),
            ("/d/e~0f/g", "true"),
            ("h", "x,3"),
            ("i", ""),
            ("d", ""),
            ("zz", ""),
            ("/a/b", ""),
            ("/h/0", ""),
        ] {
            assert_eq!(texts(name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_is_short_and_its_escapes_exist() {
        for text in ["", "/a~", "/a~2b", &"x".repeat(MAX_CLAIM_NAME_BYTES + 1)] {
            let got = text.to_owned();
            assert_eq!(ClaimName::parse(text), Err(ClaimNameError { got }));
        }
        assert!(ClaimName::parse("a~2").is_ok());
    }
}
