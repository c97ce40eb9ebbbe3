//! One fetch: provider metadata, then the key set, within one budget.
//!
//! What is fetched from is decided by configuration. A provider's document may name its key set's
//! place only on its own host or on a host the operator allowed; redirects are answers, not
//! instructions (GHSA-f5mr-q85p-6hh6); bodies are read up to their limit and never decompressed.

use std::error::Error as StdError;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use url::{Host, Url};

use super::{ConfigError, IssuerKeysConfig};
use crate::token::jwks::{JwksError, KeySet, MAX_JWKS_BYTES};
use crate::token::metadata::{MAX_METADATA_BYTES, MetadataError, ProviderMetadata};
use crate::token::{Algorithm, IssuerUrl, is_loopback};

/// Time for all of one fetch, both documents.
pub const FETCH_BUDGET: Duration = Duration::from_secs(5);

/// Issuers whose key sets are known to live elsewhere.
const JWKS_PINS: &[(&str, &str)] = &[("https://accounts.google.com", "www.googleapis.com")];

/// Why a fetch gave no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The budget was spent.
    #[error("provider did not answer within {budget:?}")]
    TimedOut {
        /// The budget.
        budget: Duration,
    },
    /// The connection failed.
    #[error("could not talk to {url}")]
    Transport {
        /// Whom to.
        url: String,
        /// How.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Not 200; redirects are among these.
    #[error("{url} answered {status}")]
    Status {
        /// Where.
        url: String,
        /// What.
        status: StatusCode,
    },
    /// A body that is not plain JSON by its headers.
    #[error("{url} answered with {header} {got:?}")]
    Header {
        /// Where.
        url: String,
        /// Which header.
        header: HeaderName,
        /// Its value.
        got: String,
    },
    /// The body went past its limit and was not read further.
    #[error("{url} answered with more than {limit} bytes")]
    TooLarge {
        /// Where.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// The metadata cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// `jwks_uri` is not a URL that may be asked.
    #[error("jwks_uri {got:?} is not an https URL on the issuer's host or a configured one")]
    JwksPlace {
        /// The URI, as the document has it.
        got: String,
    },
    /// The key set cannot be used.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// The key set has no key that could verify a token.
    #[error("key set has no usable key, {skipped} were skipped")]
    NoUsableKey {
        /// How many were unfit.
        skipped: usize,
    },
}

/// What one good fetch gives.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) algorithms: Vec<Algorithm>,
}

/// Fetches one issuer's keys.
pub(super) struct Fetcher {
    issuer: IssuerUrl,
    client: Client,
    metadata_url: Url,
    places: Places,
}

/// Where a key set may be.
struct Places {
    /// Host and port: the issuer's own first.
    allowed: Vec<(Host<String>, u16)>,
    http_on_loopback: bool,
}

impl Fetcher {
    pub(super) fn new(
        config: &IssuerKeysConfig,
        clients: &mut Clients,
    ) -> Result<Self, ConfigError> {
        let issuer = config.issuer.clone();
        let base = issuer.as_str().strip_suffix('/').unwrap_or(issuer.as_str());
        let metadata_url = Url::parse(&format!("{base}/.well-known/openid-configuration")).ok();
        let places = Places::new(config)?;
        let metadata_url = metadata_url.filter(|url| places.scheme_allowed(url));
        let Some(metadata_url) = metadata_url else {
            return Err(ConfigError::NotHttps { issuer });
        };
        Ok(Self {
            client: clients.client(config, metadata_url.scheme() == "https")?,
            issuer,
            metadata_url,
            places,
        })
    }

    pub(super) fn issuer(&self) -> &IssuerUrl {
        &self.issuer
    }

    /// Both documents, or nothing, within `budget`.
    pub(super) async fn fetch(&self, budget: Duration) -> Result<Fetched, FetchError> {
        let both = tokio::time::timeout(budget, self.both_documents()).await;
        both.unwrap_or(Err(FetchError::TimedOut { budget }))
    }

    async fn both_documents(&self) -> Result<Fetched, FetchError> {
        let metadata = self.body(&self.metadata_url, MAX_METADATA_BYTES).await?;
        let metadata = ProviderMetadata::parse(&metadata, &self.issuer)?;
        let jwks_url = self.places.check(&metadata.jwks_uri)?;
        let keys = KeySet::parse(&self.body(&jwks_url, MAX_JWKS_BYTES).await?)?;
        if keys.is_empty() {
            let skipped = keys.skipped().len();
            return Err(FetchError::NoUsableKey { skipped });
        }
        Ok(Fetched {
            keys,
            algorithms: metadata.algorithms,
        })
    }

    async fn body(&self, url: &Url, limit: usize) -> Result<Vec<u8>, FetchError> {
        let transport = |source: reqwest::Error| FetchError::Transport {
            url: url.to_string(),
            source: source.without_url().into(),
        };
        let answer = self.client.get(url.clone()).send().await;
        let mut answer = answer.map_err(transport)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status {
                url: url.to_string(),
                status: answer.status(),
            });
        }
        check_headers(url, &answer)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > limit {
                let url = url.to_string();
                return Err(FetchError::TooLarge { url, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Refuses what says of itself that it is compressed, or something else than data. Key sets are
/// often served as plain files, so `octet-stream` and no type at all will do; the parser decides.
fn check_headers(url: &Url, answer: &Response) -> Result<(), FetchError> {
    let refuse = |header: HeaderName, got: &[u8]| FetchError::Header {
        url: url.to_string(),
        header,
        got: String::from_utf8_lossy(got).into_owned(),
    };
    if let Some(encoding) = answer.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(refuse(CONTENT_ENCODING, encoding.as_bytes()));
    }
    let Some(kind) = answer.headers().get(CONTENT_TYPE) else {
        return Ok(());
    };
    let lower = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
    let essence = lower.split(';').next().unwrap_or_default().trim();
    let json = essence.ends_with("/json") || essence.ends_with("+json");
    if json || essence.ends_with("/octet-stream") {
        Ok(())
    } else {
        Err(refuse(CONTENT_TYPE, kind.as_bytes()))
    }
}

impl Places {
    fn new(config: &IssuerKeysConfig) -> Result<Self, ConfigError> {
        let issuer = &config.issuer;
        let own = Url::parse(issuer.as_str()).ok();
        let mut allowed: Vec<_> = own.as_ref().and_then(host_and_port).into_iter().collect();
        let pins = JWKS_PINS.iter().filter(|(of, _)| *of == issuer.as_str());
        let pins = pins.map(|(_, host)| *host);
        for host in pins.chain(config.jwks_hosts.iter().map(String::as_str)) {
            let place = Url::parse(&format!("https://{host}/")).ok();
            // A path, user or query in the entry would show in the URL made from it.
            let place = place.filter(|url| url.path() == "/" && is_plain(url));
            let place = place.as_ref().and_then(host_and_port);
            allowed.push(place.ok_or_else(|| ConfigError::JwksHost {
                issuer: issuer.clone(),
                got: host.to_owned(),
            })?);
        }
        Ok(Self {
            allowed,
            http_on_loopback: config.allow_insecure_http_loopback,
        })
    }

    fn check(&self, jwks_uri: &str) -> Result<Url, FetchError> {
        let url = Url::parse(jwks_uri).ok().filter(|url| {
            let place = host_and_port(url);
            let allowed = place.is_some_and(|place| self.allowed.contains(&place));
            let userinfo = !url.username().is_empty() || url.password().is_some();
            allowed && !userinfo && self.scheme_allowed(url)
        });
        url.ok_or_else(|| FetchError::JwksPlace {
            got: jwks_uri.to_owned(),
        })
    }

    fn scheme_allowed(&self, url: &Url) -> bool {
        match url.scheme() {
            "https" => true,
            "http" => self.http_on_loopback && is_loopback(url),
            _ => false,
        }
    }
}

fn host_and_port(url: &Url) -> Option<(Host<String>, u16)> {
    Some((url.host()?.to_owned(), url.port_or_known_default()?))
}

fn is_plain(url: &Url) -> bool {
    let userinfo = !url.username().is_empty() || url.password().is_some();
    !userinfo && url.query().is_none() && url.fragment().is_none()
}

/// HTTP clients, shared where issuers need the same: reading the system's certificate
/// authorities takes a while.
#[derive(Default)]
pub(super) struct Clients {
    system: Option<Client>,
}

impl Clients {
    fn client(&mut self, config: &IssuerKeysConfig, tls: bool) -> Result<Client, ConfigError> {
        let build = |builder: ClientBuilder| {
            builder.build().map_err(|source| ConfigError::Client {
                issuer: config.issuer.clone(),
                source,
            })
        };
        if !tls {
            // Plain http on loopback: works where there are no certificate authorities at all.
            return build(client().tls_certs_only([]));
        }
        if let Some(pem) = &config.ca_pem {
            let authorities = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
            if authorities.is_empty() {
                let issuer = config.issuer.clone();
                return Err(ConfigError::CaPem { issuer });
            }
            return build(client().tls_certs_merge(authorities));
        }
        if let Some(shared) = &self.system {
            return Ok(shared.clone());
        }
        Ok(self.system.insert(build(client())?).clone())
    }
}

/// What every client for issuers has in common. A resolver that checks addresses before they are
/// connected to belongs here (`dns_resolver`).
fn client() -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("shortleaf/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .timeout(FETCH_BUDGET)
        // Minutes pass between fetches: a kept connection would be a dead one.
        .pool_max_idle_per_host(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(issuer: &str, jwks_hosts: &[&str], loopback: bool) -> Result<Places, ConfigError> {
        let mut config = IssuerKeysConfig::discovery(IssuerUrl::new(issuer).unwrap());
        config.jwks_hosts = jwks_hosts.iter().map(|&host| host.to_owned()).collect();
        config.allow_insecure_http_loopback = loopback;
        Places::new(&config)
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
        let keys = "https://www.googleapis.com/oauth2/v3/certs";
        assert!(
            places("https://accounts.google.com", &[], false)
                .unwrap()
                .check(keys)
                .is_ok()
        );
        assert!(
            places("https://accounts.google.com.evil.example", &[], false)
                .unwrap()
                .check(keys)
                .is_err()
        );
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
