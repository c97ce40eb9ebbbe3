//! `$.federated_claims.connector_id`: where an issuer that signs for others says for whom.

use crate::json::{Object, Value};

/// Longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 256;
/// Most steps of a path: what a token's JSON may nest.
const MAX_STEPS: usize = 8;

/// A path of member names into the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    text: String,
    steps: Vec<String>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} is no path of claims: `$`, then up to {MAX_STEPS} times `.` and a name of letters, digits, \"_\" and \"-\""
)]
pub struct ClaimPathError {
    /// The text.
    pub got: String,
}

impl ClaimPath {
    /// Member steps only: no index, no wildcard, no filter.
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        let wrong = || ClaimPathError {
            got: text.to_owned(),
        };
        let names = text.strip_prefix("$.").ok_or_else(wrong)?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(allowed);
        let steps: Vec<_> = names.split('.').map(str::to_owned).collect();
        let fits = text.len() <= MAX_PATH_BYTES && steps.len() <= MAX_STEPS;
        if !fits || !steps.iter().all(|name| is_name(name)) {
            return Err(wrong());
        }
        Ok(Self {
            text: text.to_owned(),
            steps,
        })
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands there.
    pub(super) fn find<'a>(&self, claims: &'a Object) -> Option<&'a Value> {
        claims.at(&self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn a_path_goes_from_member_to_member() {
        let claims = json::parse(br#"{"a":{"b-1":{"c":"x"}},"d":"y","e":["z"]}"#).unwrap();
        let claims = claims.as_object().unwrap();
        let find = |path: &str| {
            let found = ClaimPath::parse(path).unwrap().find(claims)?.as_str();
            found.map(str::to_owned)
        };
        assert_eq!(find("$.a.b-1.c").as_deref(), Some("x"));
        assert_eq!(find("$.d").as_deref(), Some("y"));
        for absent in ["$.a.b", "$.d.x", "$.e.0", "$.a.b-1", "$.zz"] {
            assert_eq!(find(absent), None, "{absent}");
        }
    }

    #[test]
    fn anything_but_member_steps_is_refused() {
        let deep = format!("${}", ".a".repeat(MAX_STEPS));
        assert!(ClaimPath::parse(&deep).is_ok());
        for text in [
            "",
            "$",
            "$.",
            "a.b",
            ".a",
            "$a",
            "$..a",
            "$.a.",
            "$.a[0]",
            "$['a']",
            "$.*",
            "$.a b",
            &format!("{deep}.a"),
            &format!("$.{}", "a".repeat(MAX_PATH_BYTES)),
        ] {
            let got = text.to_owned();
            assert_eq!(ClaimPath::parse(text), Err(ClaimPathError { got }));
        }
    }
}
