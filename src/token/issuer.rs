//! An issuer's identifier: the one spelling that `iss`, configuration and provider metadata share.
//!
//! OpenID Connect compares issuers as strings. So does this type: it checks once that the text is
//! a plain URL and from then on only ever compares bytes. Nothing is trimmed, lower-cased or
//! completed, because every such kindness makes two issuers equal that are not (go-oidc#468).

use std::fmt;
use std::sync::Arc;

/// Longest issuer accepted, in bytes.
pub const MAX_ISSUER_BYTES: usize = 1024;

/// An issuer's identifier exactly as configured and as `iss` must spell it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerUrl(Arc<str>);

/// Why a text cannot be an issuer's identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerUrlError {
    /// Not an absolute `https` or `http` URL with a host.
    #[error("issuer {got:?} is not an http(s) URL with a host")]
    NotAUrl {
        /// The text.
        got: String,
    },
    /// User information, a query or a fragment (OpenID Connect Discovery 1.0 §4.3).
    #[error("issuer {got:?} carries user information, a query or a fragment")]
    MoreThanALocation {
        /// The text.
        got: String,
    },
    /// Blanks, control characters or characters outside ASCII.
    #[error("issuer {got:?} is not printable ASCII without blanks")]
    NotPrintable {
        /// The text.
        got: String,
    },
    /// Over [`MAX_ISSUER_BYTES`].
    #[error("issuer of {bytes} bytes is longer than {MAX_ISSUER_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

impl IssuerUrl {
    /// Takes `url` as it is, or refuses it.
    pub fn new(url: &str) -> Result<Self, IssuerUrlError> {
        let got = || url.to_owned();
        if url.len() > MAX_ISSUER_BYTES {
            return Err(IssuerUrlError::TooLong { bytes: url.len() });
        }
        if !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(IssuerUrlError::NotPrintable { got: got() });
        }
        // The scheme is spelt out because the URL parser also takes `HTTPS:host` and `https:/host`.
        let known_scheme = url.starts_with("https://") || url.starts_with("http://");
        let parsed = url::Url::parse(url)
            .ok()
            .filter(|u| known_scheme && u.has_host());
        let parsed = parsed.ok_or_else(|| IssuerUrlError::NotAUrl { got: got() })?;
        let userinfo = !parsed.username().is_empty() || parsed.password().is_some();
        if userinfo || url.contains(['?', '#', '@']) {
            return Err(IssuerUrlError::MoreThanALocation { got: got() });
        }
        Ok(Self(url.into()))
    }

    /// The text, unchanged.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Hashed and compared as its text is.
impl std::borrow::Borrow<str> for IssuerUrl {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the host is this machine by its very name, where `http` may do.
pub(crate) fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_keeps_its_spelling() {
        for url in [
            "https://token.actions.githubusercontent.com",
            "https://oidc.prod-aks.azure.com/t/",
            "http://127.0.0.1:8080",
            "https://EXAMPLE.com:443/a/../b",
        ] {
            assert_eq!(
                IssuerUrl::new(url).map(|i| i.to_string()),
                Ok(url.to_owned())
            );
        }
    }

    #[test]
    fn what_is_not_a_plain_location_is_no_issuer() {
        for url in [
            "",
            "accounts.google.com",
            "ftp://a.example",
            "https://",
            "https:a.example",
            "HTTPS://a.example",
        ] {
            let got = url.to_owned();
            assert_eq!(
                IssuerUrl::new(url),
                Err(IssuerUrlError::NotAUrl { got }),
                "{url}"
            );
        }
        for url in [
            "https://a@b.example",
            "https://b.example?https://a.example",
            "https://b.example/#",
            "https://b.example/?",
        ] {
            let got = url.to_owned();
            assert_eq!(
                IssuerUrl::new(url),
                Err(IssuerUrlError::MoreThanALocation { got }),
                "{url}"
            );
        }
        for url in [
            " https://a.example",
            "https://a.example\n",
            "https://é.example",
        ] {
            let got = url.to_owned();
            assert_eq!(
                IssuerUrl::new(url),
                Err(IssuerUrlError::NotPrintable { got }),
                "{url}"
            );
        }
    }
}
