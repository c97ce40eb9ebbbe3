//! SPIFFE IDs, read as strictly as the standard writes them (SPIFFE-ID §2): what has two spellings
//! is none.

use super::Problem;

/// Longest SPIFFE ID, in bytes (SPIFFE-ID §2.3).
pub const MAX_ID_BYTES: usize = 2048;
/// Longest trust domain, in bytes (SPIFFE-ID §2.1).
pub const MAX_TRUST_DOMAIN_BYTES: usize = 255;

const SCHEME: &str = "spiffe://";

/// The name of a trust domain: lower-case letters, digits, `.`, `-` and `_`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomain(String);

/// Why a text names no trust domain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{got:?} is no SPIFFE trust domain: 1 to {MAX_TRUST_DOMAIN_BYTES} of a-z, 0-9, \".\", \"-\" and \"_\""
)]
pub struct TrustDomainError {
    /// The text.
    pub got: String,
}

impl TrustDomain {
    /// Takes `example.org`, or `spiffe://example.org` as Fulcio does too.
    pub fn parse(text: &str) -> Result<Self, TrustDomainError> {
        let name = text.strip_prefix(SCHEME).unwrap_or(text);
        if is_trust_domain(name) {
            Ok(Self(name.to_owned()))
        } else {
            Err(TrustDomainError {
                got: text.to_owned(),
            })
        }
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `id` is a SPIFFE ID of this trust domain, which is compared whole (fulcio#588).
    pub(super) fn check(&self, id: &str) -> Result<(), Problem> {
        let rest = id.strip_prefix(SCHEME).ok_or(Problem::NotASpiffeId)?;
        let (domain, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, "-"),
        };
        if id.len() > MAX_ID_BYTES || !is_trust_domain(domain) || !path.split('/').all(is_segment) {
            return Err(Problem::NotASpiffeId);
        }
        if domain == self.0 {
            Ok(())
        } else {
            Err(Problem::OtherTrustDomain)
        }
    }
}

fn is_trust_domain(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b);
    (1..=MAX_TRUST_DOMAIN_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// SPIFFE-ID §2.2: never empty, no relative step, no percent-encoding.
fn is_segment(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    !matches!(text, "" | "." | "..") && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str) -> Result<(), Problem> {
        TrustDomain::parse("example.org").unwrap().check(id)
    }

    #[test]
    fn an_id_of_the_trust_domain_is_taken() {
        for id in [
            "spiffe://example.org",
            "spiffe://example.org/workload",
            "spiffe://example.org/ns/prod/sa/Build_Bot-1.2",
            "spiffe://example.org/...",
        ] {
            assert_eq!(check(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn another_trust_domain_is_told_from_a_broken_id() {
        for id in [
            "spiffe://example.com/w",
            "spiffe://evil-example.org/w",
            "spiffe://sub.example.org/w",
            "spiffe://example.org.evil.example/w",
            "spiffe://example.or/w",
        ] {
            assert_eq!(check(id), Err(Problem::OtherTrustDomain), "{id}");
        }
    }

    #[test]
    fn what_could_be_spelt_two_ways_is_no_id() {
        let long = format!("spiffe://example.org/{}", "x".repeat(MAX_ID_BYTES));
        for id in [
            "",
            "example.org/w",
            "SPIFFE://example.org/w",
            "spiffe:/example.org/w",
            "spiffe:///w",
            "spiffe://Example.org/w",
            "spiffe://example.org/",
            "spiffe://example.org//w",
            "spiffe://example.org/w/",
            "spiffe://example.org/./w",
            "spiffe://example.org/a/../w",
            "spiffe://example.org/%61",
            "spiffe://example.org:443/w",
            "spiffe://user@example.org/w",
            "spiffe://example.org/w?q",
            "spiffe://example.org/w#f",
            "spiffe://example.org/w w",
            "spiffe://example.org/größe",
            &long,
        ] {
            assert_eq!(check(id), Err(Problem::NotASpiffeId), "{id}");
        }
    }

    #[test]
    fn a_trust_domain_has_one_spelling() {
        assert_eq!(
            TrustDomain::parse("spiffe://example.org"),
            TrustDomain::parse("example.org")
        );
        let long = "d".repeat(MAX_TRUST_DOMAIN_BYTES);
        assert!(TrustDomain::parse(&long).is_ok());
        for text in [
            "",
            "Example.org",
            "example.org/",
            "example.org:1",
            "a b",
            &format!("{long}d"),
        ] {
            let got = text.to_owned();
            assert_eq!(TrustDomain::parse(text), Err(TrustDomainError { got }));
        }
    }
}
