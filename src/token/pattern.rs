//! A family of issuers written as one URL: `https://oidc.eks.*.amazonaws.com/id/*`.
//!
//! A `*` stands for one or more of `-`, `_`, ASCII letters and digits, as in Fulcio; everything
//! else is itself. What is compared are the labels of the host and the segments of the path of a
//! URL that was parsed first, so no `*` ever covers a `.`, `/`, `:`, `@`, `?` or `#`, and an issuer
//! that only contains what a pattern describes is none of its family (GHSA-59jp-pj84-45mr).

use std::fmt;

use super::{IssuerUrl, IssuerUrlError};

/// Longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Most `*` in a pattern.
pub const MAX_WILDCARDS: usize = 8;
/// Labels at the end of a host that a pattern has to spell out: else the family is anybody's.
///
/// It can be anybody's all the same, where names are given away under two labels (`co.uk`,
/// `github.io`). Which those are is a list of thousands that changes weekly; instead of carrying it,
/// [`IssuerPattern::any_name_under`] lets whoever configures a family be asked.
const LITERAL_LABELS: usize = 2;

/// A pattern of issuers, ready to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerPattern {
    text: String,
    host: Vec<Glob>,
    path: Vec<Glob>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Over [`MAX_PATTERN_BYTES`].
    #[error("pattern of {bytes} bytes is longer than {MAX_PATTERN_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Without a `*` it is an issuer.
    #[error("{got:?} has no \"*\": write it as an issuer")]
    NoWildcard {
        /// The text.
        got: String,
    },
    /// Over [`MAX_WILDCARDS`].
    #[error("{got:?} has {wildcards} \"*\", at most {MAX_WILDCARDS} are allowed")]
    TooMany {
        /// The text.
        got: String,
        /// How many.
        wildcards: usize,
    },
    /// Not `https`: a family of issuers is not looked for on this machine.
    #[error("{got:?} does not begin with \"https://\"")]
    NotHttps {
        /// The text.
        got: String,
    },
    /// Not more than one: it would look as if it covered dots and slashes.
    #[error("{got:?} has \"**\": a \"*\" covers a name without \".\" and \"/\"; write one")]
    Doubled {
        /// The text.
        got: String,
    },
    /// `https://*.com/x` is everybody's.
    #[error("{got:?} has a \"*\" in the last two labels of its host, which anyone can register")]
    Anybody {
        /// The text.
        got: String,
    },
    /// With something harmless for each `*` it still is no issuer.
    #[error("{got:?} matches no issuer")]
    NoIssuer {
        /// The text.
        got: String,
        /// What is wrong with such an issuer.
        source: IssuerUrlError,
    },
}

impl IssuerPattern {
    /// Reads a pattern.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let got = || text.to_owned();
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong { bytes: text.len() });
        }
        let wildcards = text.bytes().filter(|b| *b == b'*').count();
        match wildcards {
            0 => return Err(PatternError::NoWildcard { got: got() }),
            1..=MAX_WILDCARDS => {}
            _ => {
                let got = got();
                return Err(PatternError::TooMany { got, wildcards });
            }
        }
        if text.contains("**") {
            return Err(PatternError::Doubled { got: got() });
        }
        let (host, path) = parts(text).ok_or_else(|| PatternError::NotHttps { got: got() })?;
        let name = host.split(':').next().unwrap_or_default();
        if name
            .rsplit('.')
            .take(LITERAL_LABELS)
            .any(|l| l.contains('*'))
        {
            return Err(PatternError::Anybody { got: got() });
        }
        IssuerUrl::new(&text.replace('*', "x"))
            .map_err(|source| PatternError::NoIssuer { got: got(), source })?;
        Ok(Self {
            text: text.to_owned(),
            host: host.split('.').map(Glob::new).collect(),
            path: path.split('/').map(Glob::new).collect(),
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The domain of which every name is believed, where the pattern spells out no more of its host
    /// than it has to: `example.com` of `https://*.example.com`.
    pub fn any_name_under(&self) -> Option<&str> {
        let (host, _) = parts(&self.text)?;
        let name = host.split(':').next()?;
        let (before, _) = name.rmatch_indices('.').nth(LITERAL_LABELS - 1)?;
        let open = name[..before].rsplit('.').next()?.contains('*');
        open.then(|| &name[before + 1..])
    }

    /// How many `*` it has: of two patterns that match, the one with fewer says more.
    pub fn wildcards(&self) -> usize {
        self.text.bytes().filter(|b| *b == b'*').count()
    }

    /// Whether `issuer` is of this family.
    pub fn matches(&self, issuer: &IssuerUrl) -> bool {
        let Some((host, path)) = parts(issuer.as_str()) else {
            return false;
        };
        each(&self.host, host.split('.')) && each(&self.path, path.split('/'))
    }

    /// Whether some issuer is of both families.
    pub fn overlaps(&self, other: &Self) -> bool {
        let meet = |ours: &[Glob], theirs: &[Glob]| {
            let mut pairs = ours.iter().zip(theirs);
            ours.len() == theirs.len() && pairs.all(|(a, b)| a.overlaps(b))
        };
        meet(&self.host, &other.host) && meet(&self.path, &other.path)
    }
}

impl fmt::Display for IssuerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Authority, and path without its first slash ([`NO_PATH`] for none, which is not the empty path).
fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://")?;
    Some(match rest.split_once('/') {
        Some(parts) => parts,
        None => (rest, NO_PATH),
    })
}

/// Neither a segment of a path nor matched by a `*`.
const NO_PATH: &str = "\0";

fn each<'a>(globs: &[Glob], mut parts: impl Iterator<Item = &'a str>) -> bool {
    let all = globs
        .iter()
        .all(|glob| parts.next().is_some_and(|part| glob.matches(part)));
    all && parts.next().is_none()
}

/// One label or segment: literals with a `*` between each two.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob(Vec<String>);

impl Glob {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.0.split_first() else {
            return false;
        };
        // Every place up to which the literals so far, and the stars between them, can reach.
        let mut reached: Vec<usize> = match text.starts_with(first.as_str()) {
            true => vec![first.len()],
            false => return false,
        };
        for literal in others {
            let starts = ends_of_star(text, &reached);
            let after = starts.filter(|at| text[*at..].starts_with(literal.as_str()));
            reached = after.map(|at| at + literal.len()).collect();
        }
        reached.contains(&text.len())
    }

    /// Whether some text is described by both: both are walked at once, over every pair of places
    /// that the same text can lead to.
    fn overlaps(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.steps(), other.steps());
        let width = theirs.len() + 1;
        let mut seen = vec![false; (ours.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((a, b)) = open.pop() {
            if std::mem::replace(&mut seen[a * width + b], true) {
                continue;
            }
            let (x, y) = (ours.get(a), theirs.get(b));
            // A star that has covered something may end here.
            open.extend((x == Some(&Step::More)).then_some((a + 1, b)));
            open.extend((y == Some(&Step::More)).then_some((a, b + 1)));
            match (x, y) {
                (None, None) => return true,
                (Some(x), Some(y)) if x.meets(y) => open.push((x.after(a), y.after(b))),
                (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) => {}
            }
        }
        false
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (at, literal) in self.0.iter().enumerate() {
            if at > 0 {
                steps.extend([Step::Covered, Step::More]);
            }
            steps.extend(literal.bytes().map(Step::Just));
        }
        steps
    }
}

/// What one octet of a text may be; a `*` is one covered octet, then any number more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Just(u8),
    Covered,
    More,
}

impl Step {
    fn meets(self, other: &Self) -> bool {
        match (self, *other) {
            (Self::Just(a), Self::Just(b)) => a == b,
            (Self::Just(octet), Self::Covered | Self::More)
            | (Self::Covered | Self::More, Self::Just(octet)) => is_covered(octet),
            (Self::Covered | Self::More, Self::Covered | Self::More) => true,
        }
    }

    /// The place after one octet at this one.
    fn after(self, at: usize) -> usize {
        match self {
            Self::Just(_) | Self::Covered => at + 1,
            Self::More => at,
        }
    }
}

/// Whether a `*` may stand for it.
fn is_covered(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

/// Where a `*` that begins at one of `starts` can end, each place once. Issuers are ASCII.
fn ends_of_star<'a>(text: &'a str, starts: &[usize]) -> impl Iterator<Item = usize> + use<'a> {
    let mut ends = vec![false; text.len() + 1];
    let mut open = false;
    for (at, octet) in text.bytes().enumerate() {
        open = (open || starts.contains(&at)) && is_covered(octet);
        ends[at + 1] = open;
    }
    (0..=text.len()).filter(move |at| ends[*at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, issuer: &str) -> bool {
        let pattern = IssuerPattern::new(pattern).unwrap();
        IssuerUrl::new(issuer).is_ok_and(|issuer| pattern.matches(&issuer))
    }

    const EKS: &str = "https://oidc.eks.*.amazonaws.com/id/*";

    #[test]
    fn an_issuer_of_the_family_matches() {
        for (pattern, issuer) in [
            (
                EKS,
                "https://oidc.eks.us-west-2.amazonaws.com/id/B02C93B6A2D30341AD01E1B6D48164CB",
            ),
            (
                "https://*.oic.prod-aks.azure.com/*/*",
                "https://eu.oic.prod-aks.azure.com/a-1/b_2",
            ),
            (
                "https://*.oic.prod-aks.azure.com/*/*/",
                "https://eu.oic.prod-aks.azure.com/a/b/",
            ),
            ("https://a.example/x-*-y", "https://a.example/x-1-y"),
            ("https://a.example/x-*-y", "https://a.example/x--y-y"),
            ("https://a.example/*a*a*", "https://a.example/aaaaaa"),
            ("https://a.example:8443/*", "https://a.example:8443/b"),
        ] {
            assert!(matches(pattern, issuer), "{pattern} {issuer}");
        }
    }

    #[test]
    fn whatever_only_contains_the_family_does_not() {
        for issuer in [
            "http://oidc.eks.us-west-2.amazonaws.com/id/A",
            "https://oidc.eks.amazonaws.com/id/A",
            "https://oidc.eks..amazonaws.com/id/A",
            "https://oidc.eks.a.b.amazonaws.com/id/A",
            "https://oidc.eks.us-west-2.amazonaws.com/id/",
            "https://oidc.eks.us-west-2.amazonaws.com/id",
            "https://oidc.eks.us-west-2.amazonaws.com",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A/",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A/B",
            "https://oidc.eks.us-west-2.amazonaws.com//id/A",
            "https://oidc.eks.us-west-2.amazonaws.com/id//A",
            "https://oidc.eks.us-west-2.amazonaws.com/ID/A",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A%2f",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A.B",
            "https://oidc.eks.us-west-2.amazonaws.com:443/id/A",
            "https://oidc.eks.us-west-2.amazonaws.com.evil.example/id/A",
            "https://OIDC.eks.us-west-2.amazonaws.com/id/A",
            "https://evil.example/oidc.eks.us-west-2.amazonaws.com/id/A",
            "https://evil.example?https://oidc.eks.us-west-2.amazonaws.com/id/A",
            "https://evil.example#https://oidc.eks.us-west-2.amazonaws.com/id/A",
            "https://evil.example@oidc.eks.us-west-2.amazonaws.com/id/A",
            "https://oidc.eks.us-west-2.amazonaws.com@evil.example/id/A",
            "https://oidc.eks.evil.example/.amazonaws.com/id/A",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A?",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A#",
            "https://oidc.eks.us-west-2.amazonaws.com/id/A\n",
            " https://oidc.eks.us-west-2.amazonaws.com/id/A",
            "https://oidc.eks.ü.amazonaws.com/id/A",
            "https://oidc.eks.*.amazonaws.com/id/A",
        ] {
            assert!(!matches(EKS, issuer), "{issuer:?}");
        }
        assert!(!matches("https://a.example/*", "https://a.example"));
        assert!(!matches(
            "https://a.example/x-*-y",
            "https://a.example/x--y"
        ));
        assert!(!matches(
            "https://a.example/*a*a*",
            "https://a.example/aaaa"
        ));
    }

    #[test]
    fn families_overlap_where_one_issuer_is_of_both() {
        for (a, b, overlap) in [
            (EKS, "https://oidc.eks.us-east-1.amazonaws.com/id/*", true),
            (EKS, "https://oidc.eks.*.amazonaws.com/id/A", true),
            (EKS, "https://oidc.eks.*.amazonaws.com/*/A", true),
            (EKS, EKS, true),
            (EKS, "https://oidc.eks.*.amazonaws.com/id", false),
            (EKS, "https://oidc.eks.*.amazonaws.com/id/*/", false),
            (EKS, "https://oidc.gke.*.amazonaws.com/id/*", false),
            ("https://a.example/x*", "https://a.example/*y", true),
            ("https://a.example/x*", "https://a.example/xy*", true),
            ("https://a.example/x*", "https://a.example/y*", false),
            ("https://a.example/x*z", "https://a.example/xz*", true),
            // A `*` is one character at least, and never a dot.
            ("https://a.example/x*", "https://a.example/x.*", false),
            ("https://a.example/ab*", "https://a.example/*b", true),
            ("https://*.a.example", "https://b*.a.example", true),
            ("https://*.a.example", "https://*.a.example:8443", false),
        ] {
            let (left, right) = (IssuerPattern::new(a), IssuerPattern::new(b));
            let (left, right) = (left.unwrap(), right.unwrap());
            assert_eq!(left.overlaps(&right), overlap, "{a} {b}");
            assert_eq!(right.overlaps(&left), overlap, "{b} {a}");
        }
    }

    #[test]
    fn a_pattern_that_spells_out_two_labels_says_of_which_domain() {
        let under = |text: &str| {
            let pattern = IssuerPattern::new(text).unwrap();
            pattern.any_name_under().map(str::to_owned)
        };
        assert_eq!(under("https://*.co.uk/"), Some("co.uk".to_owned()));
        for text in [
            "https://x-*.example.com/a",
            "https://a.*.example.com:8443/*",
            "https://*.*.example.com",
        ] {
            assert_eq!(under(text), Some("example.com".to_owned()), "{text}");
        }
        for text in [
            "https://example.com/*",
            "https://ci.example.com/*",
            "https://*.ci.example.com",
            "https://*.ci.example.com:8443/*",
        ] {
            assert_eq!(under(text), None, "{text}");
        }
    }

    #[test]
    fn a_pattern_is_a_family_that_belongs_to_somebody() {
        let got = |text: &str| text.to_owned();
        for (text, error) in [
            (
                "https://a.example/x",
                PatternError::NoWildcard {
                    got: got("https://a.example/x"),
                },
            ),
            (
                "http://a.example/*",
                PatternError::NotHttps {
                    got: got("http://a.example/*"),
                },
            ),
            ("*", PatternError::NotHttps { got: got("*") }),
            (
                "https://a.example/**",
                PatternError::Doubled {
                    got: got("https://a.example/**"),
                },
            ),
            (
                "https://*/x",
                PatternError::Anybody {
                    got: got("https://*/x"),
                },
            ),
            (
                "https://*.com/x",
                PatternError::Anybody {
                    got: got("https://*.com/x"),
                },
            ),
            (
                "https://a.*.com/x",
                PatternError::Anybody {
                    got: got("https://a.*.com/x"),
                },
            ),
            (
                "https://a.b*/x",
                PatternError::Anybody {
                    got: got("https://a.b*/x"),
                },
            ),
        ] {
            assert_eq!(IssuerPattern::new(text), Err(error), "{text}");
        }
        for text in [
            "https://u@a.example/*",
            "https://a.example/*?q",
            "https://a.example/* ",
        ] {
            let error = IssuerPattern::new(text).unwrap_err();
            assert!(
                matches!(error, PatternError::NoIssuer { .. }),
                "{text}: {error}"
            );
        }
        let many = format!("https://a.example/{}", "*/".repeat(MAX_WILDCARDS + 1));
        let error = IssuerPattern::new(&many).unwrap_err();
        assert!(matches!(error, PatternError::TooMany { wildcards: 9, .. }));
        let long = format!("https://a.example/*{}", "x".repeat(MAX_PATTERN_BYTES));
        let error = IssuerPattern::new(&long).unwrap_err();
        assert!(matches!(error, PatternError::TooLong { .. }));
    }
}
