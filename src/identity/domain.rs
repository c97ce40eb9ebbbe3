//! The domain an issuer may name people in: its own, or one beside it.
//!
//! Whoever configures `uri` and `username` issuers says which domain their subjects belong to.
//! That it is the issuer's to speak for is taken from the names alone, as in Fulcio: host equal, or
//! the last two labels equal.

use super::Problem;
use super::email;
use super::uri;
use super::values::unseen_character;

/// Fewest labels of a host before its last two say anything about who owns it.
const MIN_LABELS: usize = 2;

/// Why a domain is not the issuer's to speak for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// `uri` needs a URL such as `https://example.com`.
    #[error("subject domain {got:?} is not scheme and host, such as \"https://example.com\"")]
    NotAUrl {
        /// The setting.
        got: String,
    },
    /// `username` needs a bare host such as `example.com`.
    #[error("subject domain {got:?} is not a bare host name, such as \"example.com\"")]
    NotAHost {
        /// The setting.
        got: String,
    },
    /// `uri`: `http` under an `https` issuer, or the reverse.
    #[error("subject domain {got:?} and issuer {issuer:?} differ in their scheme")]
    Scheme {
        /// The setting.
        got: String,
        /// The issuer.
        issuer: String,
    },
    /// Neither the issuer's host nor one that shares its last two labels.
    #[error(
        "subject domain {got:?} is neither the host of issuer {issuer:?} nor ends in its last two labels"
    )]
    Foreign {
        /// The setting.
        got: String,
        /// The issuer, or the pattern of issuers.
        issuer: String,
    },
}

/// Scheme and host of the URIs an issuer vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriDomain {
    scheme: String,
    host: String,
}

impl UriDomain {
    /// `domain` as `https://example.com`, under an issuer or a pattern of issuers.
    pub fn new(domain: &str, issuer: &str) -> Result<Self, DomainError> {
        let got = || domain.to_owned();
        let split = domain.split_once("://");
        // What stands behind the host would be ignored; better it is not there.
        let usable =
            split.filter(|(_, host)| is_host_name(host) && uri::print_back(domain).is_ok());
        let (scheme, host) = usable.ok_or_else(|| DomainError::NotAUrl { got: got() })?;
        if issuer.split_once("://").map(|(scheme, _)| scheme) != Some(scheme) {
            let issuer = issuer.to_owned();
            return Err(DomainError::Scheme { got: got(), issuer });
        }
        check_neighbour(host, issuer)?;
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
        })
    }

    /// The URI as it stands in the certificate, if `subject` is one of this domain.
    pub(super) fn check(&self, subject: &str) -> Result<String, Problem> {
        if email::is_address(subject) {
            return Err(Problem::AnAddress);
        }
        let printed = uri::print_back(subject)?;
        let (scheme, rest) = printed.split_once("://").ok_or(Problem::NotAUrl)?;
        let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default();
        if (scheme, host) == (&*self.scheme, &*self.host) {
            Ok(printed)
        } else {
            Err(Problem::OtherDomain)
        }
    }
}

/// The domain that makes an issuer's user names unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameDomain(String);

impl NameDomain {
    /// `domain` as `example.com`, under an issuer or a pattern of issuers.
    pub fn new(domain: &str, issuer: &str) -> Result<Self, DomainError> {
        if !is_host_name(domain) {
            let got = domain.to_owned();
            return Err(DomainError::NotAHost { got });
        }
        check_neighbour(domain, issuer)?;
        Ok(Self(domain.to_owned()))
    }

    /// `name!domain`. A `!` in the name could move the domain, an address would look like one that
    /// somebody verified, and two names that look alike are one to whoever reads a policy.
    pub(super) fn check(&self, name: &str) -> Result<String, Problem> {
        if name.contains('!') {
            return Err(Problem::HasExclamation);
        }
        if name.contains('@') {
            return Err(Problem::HasAt);
        }
        if let Some(unseen) = unseen_character(name) {
            return Err(Problem::Unseen(unseen));
        }
        Ok(format!("{name}!{}", self.0))
    }
}

/// A DNS name without a port.
fn is_host_name(host: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    host.bytes().all(allowed) && host.split('.').all(|label| !label.is_empty())
}

/// Hosts equal, or their last two labels.
fn check_neighbour(host: &str, issuer: &str) -> Result<(), DomainError> {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let issuing = rest.split(['/', ':']).next().unwrap_or_default();
    // A `*` in the last two labels of a pattern would be anybody's domain, and the end of an IPv4
    // address is nobody's.
    let owner = |host: &str| {
        let last: Vec<_> = host
            .rsplit('.')
            .take(MIN_LABELS)
            .map(str::to_owned)
            .collect();
        let known =
            |label: &String| !label.contains('*') && !label.bytes().all(|b| b.is_ascii_digit());
        (last.len() == MIN_LABELS && last.iter().all(known)).then_some(last)
    };
    let same_host = host == issuing && !host.contains('*');
    if same_host || owner(host).is_some_and(|labels| Some(labels) == owner(issuing)) {
        return Ok(());
    }
    Err(DomainError::Foreign {
        got: host.to_owned(),
        issuer: issuer.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://accounts.example.com";

    #[test]
    fn an_issuer_speaks_for_its_host_and_its_neighbours() {
        for host in ["accounts.example.com", "example.com", "users.example.com"] {
            assert!(NameDomain::new(host, ISSUER).is_ok(), "{host}");
            assert!(UriDomain::new(&format!("https://{host}"), ISSUER).is_ok());
        }
        assert!(NameDomain::new("localhost", "https://localhost:8080/x").is_ok());
        assert!(NameDomain::new("example.com", "https://*.example.com/*").is_ok());
    }

    #[test]
    fn and_for_nobody_elses() {
        for (host, issuer) in [
            ("example.org", ISSUER),
            ("evil-example.com", "https://example.com"),
            ("com", ISSUER),
            ("localhost", ISSUER),
            ("example.com", "https://com"),
            ("example.com", "https://*.com"),
            ("example.com", "https://accounts.*.com"),
            ("10.0.0.1", "https://127.9.0.1"),
        ] {
            let foreign = DomainError::Foreign {
                got: host.into(),
                issuer: issuer.into(),
            };
            assert_eq!(
                NameDomain::new(host, issuer),
                Err(foreign),
                "{host} {issuer}"
            );
        }
    }

    #[test]
    fn a_setting_has_the_form_its_type_needs() {
        for got in [
            "example.com",
            "https://",
            "https://example.com/",
            "https://a b",
            "1://a.b",
        ] {
            let error = DomainError::NotAUrl { got: got.into() };
            assert_eq!(UriDomain::new(got, ISSUER), Err(error), "{got}");
        }
        for got in [
            "",
            "https://example.com",
            "example.com/",
            ".example.com",
            "a b.com",
        ] {
            let error = DomainError::NotAHost { got: got.into() };
            assert_eq!(NameDomain::new(got, ISSUER), Err(error), "{got}");
        }
        let scheme = DomainError::Scheme {
            got: "http://example.com".into(),
            issuer: ISSUER.into(),
        };
        assert_eq!(UriDomain::new("http://example.com", ISSUER), Err(scheme));
    }

    #[test]
    fn a_uri_is_of_scheme_and_host() {
        let domain = UriDomain::new("https://example.com", ISSUER).unwrap();
        for subject in [
            "https://example.com",
            "https://example.com/users/1",
            "https://example.com:8443/users/1",
            "https://example.com/a?b#c",
        ] {
            assert_eq!(domain.check(subject), Ok(subject.to_owned()));
        }
        for (subject, problem) in [
            ("http://example.com/1", Problem::OtherDomain),
            ("https://accounts.example.com/1", Problem::OtherDomain),
            ("https://example.com.evil.example/1", Problem::OtherDomain),
            ("https://Example.com/1", Problem::OtherDomain),
            ("https://example.com@evil.example/", Problem::NotAUrl),
            ("example.com/1", Problem::NotAUrl),
            ("jane@example.com", Problem::AnAddress),
        ] {
            assert_eq!(domain.check(subject), Err(problem), "{subject}");
        }
    }

    #[test]
    fn a_user_name_is_no_address_and_moves_no_domain() {
        let domain = NameDomain::new("example.com", ISSUER).unwrap();
        assert_eq!(domain.check("jane"), Ok("jane!example.com".into()));
        assert_eq!(domain.check("jäne"), Ok("jäne!example.com".into()));
        assert_eq!(domain.check("a!b"), Err(Problem::HasExclamation));
        for address in ["jane@example.com", "jane@example.com.", "jane@exämple.com"] {
            assert_eq!(domain.check(address), Err(Problem::HasAt), "{address}");
        }
    }

    #[test]
    fn no_two_user_names_look_alike_by_what_nobody_sees() {
        let domain = NameDomain::new("example.com", ISSUER).unwrap();
        assert!(domain.check("jane doe").is_ok());
        for (name, unseen) in [
            ("jane\u{200b}", '\u{200b}'),
            ("ja\u{ad}ne", '\u{ad}'),
            ("jane\u{2060}", '\u{2060}'),
            ("\u{3164}", '\u{3164}'),
            ("jane\u{fe0f}", '\u{fe0f}'),
            ("jane\u{e0041}", '\u{e0041}'),
            ("jane ", ' '),
            ("\u{a0}jane", '\u{a0}'),
        ] {
            assert_eq!(domain.check(name), Err(Problem::Unseen(unseen)), "{name:?}");
        }
    }
}
