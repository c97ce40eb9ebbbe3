//! Where an issuer's key set may be: on the issuer's own host, or on one the operator named.
//!
//! A provider's document may name a place; it never decides one (metabase#72534). Hosts are
//! compared whole and with their ports, as the URL standard reads them.

use url::{Host, Url};

use super::{ConfigError, FetchError, IssuerKeysConfig};
use crate::token::error::excerpt;
use crate::token::{IssuerUrl, is_loopback};

/// Issuers whose key sets are known to live elsewhere.
const JWKS_PINS: &[(&str, &str)] = &[("https://accounts.google.com", "www.googleapis.com")];

/// Longest `jwks_uri` asked, in bytes.
const MAX_JWKS_URI_BYTES: usize = 2048;

/// A host and a port.
pub(super) type Place = (Host<String>, u16);

/// Where a key set may be.
pub(super) struct Places {
    /// Host and port: the issuer's own first, then where its metadata is.
    allowed: Vec<Place>,
    http_on_loopback: bool,
}

impl Places {
    /// For `issuer`, which is the one of this configuration, or one of its family.
    pub(super) fn new(issuer: &IssuerUrl, config: &IssuerKeysConfig) -> Result<Self, ConfigError> {
        let own = Url::parse(issuer.as_str()).ok();
        let own = [own.as_ref(), config.discovery_url.as_ref()];
        let own = own.into_iter().flatten().filter_map(host_and_port);
        let mut allowed: Vec<_> = own.collect();
        let pins = JWKS_PINS.iter().filter(|(of, _)| *of == issuer.as_str());
        for (_, host) in pins {
            allowed.push(place(config, host)?);
        }
        allowed.extend(configured(config)?);
        Ok(Self {
            allowed,
            http_on_loopback: config.allow_insecure_http_loopback,
        })
    }

    /// Whether the hosts that a configuration names are hosts.
    pub(super) fn check_hosts(config: &IssuerKeysConfig) -> Result<(), ConfigError> {
        configured(config).map(drop)
    }

    /// The URL of a key set, if it may be asked.
    pub(super) fn check(&self, jwks_uri: &str) -> Result<Url, FetchError> {
        let text = Some(jwks_uri).filter(|text| text.len() <= MAX_JWKS_URI_BYTES);
        let url = text.and_then(|text| Url::parse(text).ok()).filter(|url| {
            let place = host_and_port(url);
            let allowed = place.is_some_and(|place| self.allowed.contains(&place));
            let userinfo = !url.username().is_empty() || url.password().is_some();
            allowed && !userinfo && self.scheme_allowed(url)
        });
        url.ok_or_else(|| FetchError::JwksPlace {
            got: excerpt(jwks_uri),
        })
    }

    /// Https, or plain http on this machine where the operator said so.
    pub(super) fn scheme_allowed(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => self.http_on_loopback && is_loopback(url),
            _ => false,
        }
    }
}

/// The hosts that are configured.
fn configured(config: &IssuerKeysConfig) -> Result<Vec<Place>, ConfigError> {
    config.jwks_hosts.iter().map(|h| place(config, h)).collect()
}

/// One of them, `host` or `host:port`.
fn place(config: &IssuerKeysConfig, host: &str) -> Result<Place, ConfigError> {
    let place = Url::parse(&format!("https://{host}/")).ok();
    // A path, user or query in the entry would show in the URL made from it.
    let place = place.filter(|url| url.path() == "/" && is_plain(url));
    let place = place.as_ref().and_then(host_and_port);
    place.ok_or_else(|| ConfigError::JwksHost {
        issuer: config.issuer.clone(),
        got: host.to_owned(),
    })
}

pub(super) fn host_and_port(url: &Url) -> Option<Place> {
    Some((url.host()?.to_owned(), url.port_or_known_default()?))
}

/// Without a user, a query and a fragment.
pub(super) fn is_plain(url: &Url) -> bool {
    let userinfo = !url.username().is_empty() || url.password().is_some();
    !userinfo && url.query().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::metadata::ProviderMetadata;

    fn places(issuer: &str, jwks_hosts: &[&str], loopback: bool) -> Result<Places, ConfigError> {
        let issuer = IssuerUrl::new(issuer).unwrap();
        let mut config = IssuerKeysConfig::discovery(issuer.clone());
        config.jwks_hosts = jwks_hosts.iter().map(|&host| host.to_owned()).collect();
        config.allow_insecure_http_loopback = loopback;
        Places::new(&issuer, &config)
    }

    #[test]
    fn a_key_set_lives_on_its_issuers_host() {
        let places = places("https://issuer.example/tenant", &[], false).unwrap();
        for uri in [
            "https://issuer.example/keys",
            "https://issuer.example:443/tenant/keys?v=2",
            "HTTPS://ISSUER.example/keys",
        ] {
            assert!(places.check(uri).is_ok(), "{uri}");
        }
        for uri in [
            "https://issuer.example:8443/keys",
            "https://keys.issuer.example/keys",
            "https://example/keys",
            "https://issuer.example.evil.example/keys",
            "https://issuer.example@evil.example/keys",
            "https://user@issuer.example/keys",
            "http://issuer.example/keys",
            "ftp://issuer.example/keys",
            "file:///etc/passwd",
            "file://issuer.example/keys",
            "data:,{}",
            "//issuer.example/keys",
            "/keys",
            "",
            "https://169.254.169.254/keys",
            "https://[::1]/keys",
            "https://issuer.example./keys",
        ] {
            let error = places.check(uri).unwrap_err();
            assert!(
                matches!(&error, FetchError::JwksPlace { got } if got == uri),
                "{uri}: {error}"
            );
        }
    }

    #[test]
    fn other_hosts_are_named_by_configuration() {
        let places = places(
            "https://issuer.example",
            &["keys.example", "other.example:8443"],
            false,
        )
        .unwrap();
        for (uri, allowed) in [
            ("https://keys.example/jwks", true),
            ("https://keys.example:8443/jwks", false),
            ("https://other.example:8443/jwks", true),
            ("https://other.example/jwks", false),
            ("https://sub.keys.example/jwks", false),
            ("http://keys.example/jwks", false),
        ] {
            assert_eq!(places.check(uri).is_ok(), allowed, "{uri}");
        }
    }

    #[test]
    fn googles_keys_are_where_google_keeps_them() {
        let google = IssuerUrl::new("https://accounts.google.com").unwrap();
        let document = include_bytes!("../../../testdata/discovery/google.json");
        let keys = ProviderMetadata::parse(document, &google).unwrap().jwks_uri;
        assert_eq!(keys, "https://www.googleapis.com/oauth2/v3/certs");
        let its = places(google.as_str(), &[], false).unwrap();
        assert!(its.check(&keys).is_ok());
        assert!(its.check("https://storage.googleapis.com/keys").is_err());
        for other in [
            "https://accounts.google.com.evil.example",
            "https://accounts.google.com/",
            "https://issuer.example",
        ] {
            assert!(places(other, &[], false).unwrap().check(&keys).is_err());
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine_and_is_asked_for() {
        let issuer = "http://127.0.0.1:8080";
        let uri = "http://127.0.0.1:8080/keys";
        assert!(places(issuer, &[], true).unwrap().check(uri).is_ok());
        assert!(places(issuer, &[], false).unwrap().check(uri).is_err());
        let elsewhere = places(issuer, &["10.0.0.1:80"], true).unwrap();
        assert!(elsewhere.check("http://10.0.0.1:80/keys").is_err());
    }

    #[test]
    fn a_host_in_the_configuration_is_a_host() {
        for host in [
            "",
            "a/b",
            "u@a.example",
            "a.example?q",
            "a.example#f",
            "a b",
            "a.example:99999",
            "https://a.example",
        ] {
            let error = places("https://issuer.example", &[host], false).err();
            assert!(
                matches!(error, Some(ConfigError::JwksHost { got, .. }) if got == host),
                "{host}"
            );
        }
    }
}
