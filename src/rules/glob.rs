//! Patterns for whole values: `*` is any text without `/`, `**` any text at all.

use std::fmt;

/// Longest pattern, in bytes.
pub const MAX_GLOB_BYTES: usize = 256;
/// Most wildcards in a pattern.
pub const MAX_GLOB_STARS: usize = 8;

/// An anchored pattern: it matches a whole value or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    /// The literal before the first wildcard.
    first: String,
    /// Each wildcard with the literal that follows it.
    others: Vec<(Star, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Star {
    /// `*`
    Segment,
    /// `**`
    Anything,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GlobError {
    /// Over [`MAX_GLOB_BYTES`].
    #[error("glob of {bytes} bytes is longer than {MAX_GLOB_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Over [`MAX_GLOB_STARS`].
    #[error("glob {got:?} has {stars} wildcards, at most {MAX_GLOB_STARS} are allowed")]
    TooManyStars {
        /// The pattern.
        got: String,
        /// How many.
        stars: usize,
    },
    /// Without a wildcard it is a value.
    #[error("glob {got:?} has no \"*\": write it as a plain value")]
    NoStar {
        /// The pattern.
        got: String,
    },
    /// Three in a row say nothing that two do not.
    #[error("glob {got:?} has more than two \"*\" in a row")]
    StarsInARow {
        /// The pattern.
        got: String,
    },
}

impl Glob {
    /// Reads a pattern. Only `*` is special; there is no way to quote it.
    pub fn new(text: &str) -> Result<Self, GlobError> {
        let got = || text.to_owned();
        if text.len() > MAX_GLOB_BYTES {
            return Err(GlobError::TooLong { bytes: text.len() });
        }
        if text.contains("***") {
            return Err(GlobError::StarsInARow { got: got() });
        }
        let mut pieces = text.split('*');
        let first = pieces.next().unwrap_or_default().to_owned();
        let mut others: Vec<(Star, String)> = Vec::new();
        let mut pieces = pieces.peekable();
        while let Some(piece) = pieces.next() {
            // Nothing between two stars: they are one `**`.
            match pieces.next_if(|_| piece.is_empty()) {
                Some(after) => others.push((Star::Anything, after.to_owned())),
                None => others.push((Star::Segment, piece.to_owned())),
            }
        }
        match others.len() {
            0 => Err(GlobError::NoStar { got: got() }),
            1..=MAX_GLOB_STARS => Ok(Self {
                text: got(),
                first,
                others,
            }),
            stars => Err(GlobError::TooManyStars { got: got(), stars }),
        }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `value`, as a whole, is described. Linear in the value for each wildcard.
    pub fn matches(&self, value: &str) -> bool {
        let value = value.as_bytes();
        if !value.starts_with(self.first.as_bytes()) {
            return false;
        }
        // Every place up to which what was read of the pattern can reach.
        let mut reached = vec![false; value.len() + 1];
        reached[self.first.len()] = true;
        for (star, literal) in &self.others {
            let mut open = false;
            let mut next = vec![false; value.len() + 1];
            for at in 0..=value.len() {
                // `open`: a star that began at or before `at` has got as far as `at`.
                open |= reached[at];
                if open && value[at..].starts_with(literal.as_bytes()) {
                    next[at + literal.len()] = true;
                }
                let blocks = *star == Star::Segment && value.get(at) == Some(&b'/');
                open &= !blocks;
            }
            reached = next;
        }
        reached[value.len()]
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, value: &str) -> bool {
        Glob::new(pattern).unwrap().matches(value)
    }

    #[test]
    fn a_star_stops_at_a_slash_and_two_do_not() {
        for (pattern, value) in [
            ("refs/heads/*", "refs/heads/main"),
            ("refs/heads/*", "refs/heads/"),
            ("refs/heads/release/*", "refs/heads/release/1.2"),
            ("refs/**", "refs/heads/a/b"),
            ("**", ""),
            ("**", "a/b"),
            ("*", "größe"),
            ("*-*", "a-b-c"),
            ("a*a", "aa"),
            ("**/x", "a/b/x"),
            ("a**b*c", "a/b/b-c"),
        ] {
            assert!(matches(pattern, value), "{pattern} {value}");
        }
        for (pattern, value) in [
            ("refs/heads/*", "refs/heads/a/b"),
            ("refs/heads/*", "refs/heads"),
            ("refs/heads/*", "xrefs/heads/main"),
            ("refs/heads/*", "refs/tags/main"),
            ("*", "a/b"),
            ("a*a", "a"),
            ("**/x", "x"),
            ("*.yml", "a.yml@main"),
            ("a*b", "A-b"),
        ] {
            assert!(!matches(pattern, value), "{pattern} {value}");
        }
    }

    #[test]
    fn a_value_is_never_a_pattern() {
        assert!(!matches("a/*", "*"));
        assert!(matches("a/*", "a/*"));
        assert!(matches("[a]?*", "[a]?"));
        assert!(!matches("[a]?*", "ab"));
    }

    #[test]
    fn a_pattern_is_short_and_needed() {
        let got = |text: &str| text.to_owned();
        let long = format!("*{}", "x".repeat(MAX_GLOB_BYTES));
        assert_eq!(
            Glob::new(&long),
            Err(GlobError::TooLong { bytes: long.len() })
        );
        assert_eq!(
            Glob::new("plain"),
            Err(GlobError::NoStar { got: got("plain") })
        );
        assert_eq!(
            Glob::new("a***b"),
            Err(GlobError::StarsInARow { got: got("a***b") })
        );
        let nine = "*a".repeat(9);
        let error = GlobError::TooManyStars {
            got: nine.clone(),
            stars: 9,
        };
        assert_eq!(Glob::new(&nine), Err(error));
        assert!(Glob::new(&"**a".repeat(8)).is_ok());
    }

    /// The same language by another road: try every length for every star.
    fn slowly(pattern: &str, value: &str) -> bool {
        let lengths = |most: usize| 0..=most;
        if let Some(rest) = pattern.strip_prefix("**") {
            return lengths(value.len())
                .any(|n| value.is_char_boundary(n) && slowly(rest, &value[n..]));
        }
        if let Some(rest) = pattern.strip_prefix('*') {
            let most = value.find('/').unwrap_or(value.len());
            return lengths(most).any(|n| value.is_char_boundary(n) && slowly(rest, &value[n..]));
        }
        match (pattern.chars().next(), value.chars().next()) {
            (None, None) => true,
            (Some(p), Some(v)) if p == v => {
                slowly(&pattern[p.len_utf8()..], &value[v.len_utf8()..])
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn both_roads_agree(pattern in "[ab/*ü]{1,10}", value in "[ab/*ü]{0,10}") {
            if let Ok(glob) = Glob::new(&pattern) {
                prop_assert_eq!(glob.matches(&value), slowly(&pattern, &value));
            }
        }
    }
}
