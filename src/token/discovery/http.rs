//! One GET at an issuer's, and the client that makes it.
//!
//! Redirects are answers, not instructions (GHSA-f5mr-q85p-6hh6). No proxy, no cookie, nothing of
//! the environment, and no credential but the one configured for this very issuer. Bodies are read up
//! to their limit and never decompressed. Of the answer's headers two are read, and only to refuse by
//! them: what a provider says about caching or coming back later changes nothing here.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue,
};
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use url::Url;

use super::address::{AddressRefused, Reach};
use super::credential::Credential;
use super::file::{Look, Watched};
use super::resolve::{Checked, Resolve};
use super::{ConfigError, FETCH_BUDGET, FetchError, IssuerKeysConfig};
use crate::fault;
use crate::token::error::excerpt;
use crate::token::{IssuerName, IssuerUrl};
use crate::trace;

/// Largest file of certificate authorities read, in bytes.
const MAX_CA_BYTES: u64 = 1024 * 1024;

/// For one connection, TLS included; shared by the addresses of a host, so that one that is dead
/// leaves time for the next.
const CONNECT_BUDGET: Duration = Duration::from_secs(3);

/// Documents by their URL. Tests have them without a network.
#[async_trait]
pub(super) trait Documents: Send + Sync {
    /// The body at `url`, if it is one and not over `limit` bytes.
    async fn get(&self, url: &Url, limit: usize) -> Result<Vec<u8>, FetchError>;

    /// Takes over what changed in the files it was made from. Blocks; see [`Watched`].
    fn reread(&self, _issuer: &IssuerName) {}
}

/// Documents over HTTP/1.1, within one [`Reach`].
pub(super) struct Http {
    /// Replaced when the file of certificate authorities changes.
    client: RwLock<Client>,
    names: Checked,
    authorities: Option<Watched>,
    credential: Option<Credential>,
}

/// HTTP clients, shared where issuers need the same: reading the system's certificate
/// authorities takes a while.
pub(super) struct Clients {
    names: Arc<dyn Resolve>,
    shared: HashMap<Reach, Arc<Http>>,
}

impl Clients {
    pub(super) fn new(names: Arc<dyn Resolve>) -> Self {
        let shared = HashMap::new();
        Self { names, shared }
    }

    /// The client for an issuer whose documents are at URLs like `metadata_url`.
    pub(super) fn for_issuer(
        &mut self,
        issuer: &IssuerUrl,
        config: &IssuerKeysConfig,
        metadata_url: &Url,
    ) -> Result<Arc<Http>, ConfigError> {
        let reach = match (metadata_url.scheme(), config.allow_private_network) {
            ("https", true) => Reach::Private,
            ("https", false) => Reach::Public,
            // Plain http works where there are no certificate authorities at all.
            _ => Reach::Loopback,
        };
        if let Some(path) = &config.bearer_token_file {
            let credential = Credential::open(issuer, path, metadata_url)?;
            let own = self.own(config, reach)?;
            return Ok(Arc::new(Http {
                credential: Some(credential),
                ..own
            }));
        }
        self.client(config, reach)
    }

    /// The client for all issuers of a family: to public addresses, whatever is configured.
    pub(super) fn for_family(
        &mut self,
        config: &IssuerKeysConfig,
    ) -> Result<Arc<Http>, ConfigError> {
        self.client(config, Reach::Public)
    }

    fn client(
        &mut self,
        config: &IssuerKeysConfig,
        reach: Reach,
    ) -> Result<Arc<Http>, ConfigError> {
        let own = config.ca_file.is_some() || config.ca_pem.is_some();
        if own && reach != Reach::Loopback {
            return self.own(config, reach).map(Arc::new);
        }
        if let Some(shared) = self.shared.get(&reach) {
            return Ok(Arc::clone(shared));
        }
        let built = Arc::new(self.own(config, reach)?);
        self.shared.insert(reach, Arc::clone(&built));
        Ok(built)
    }

    /// A client of this configuration's own, with the certificate authorities it names.
    fn own(&self, config: &IssuerKeysConfig, reach: Reach) -> Result<Http, ConfigError> {
        let (issuer, names) = (&config.issuer, Checked::new(Arc::clone(&self.names), reach));
        let (client, authorities) = match (reach, &config.ca_file) {
            (Reach::Loopback, _) => (build(issuer, client(&names).tls_certs_only([]))?, None),
            (Reach::Public | Reach::Private, None) => match &config.ca_pem {
                Some(pem) => (with_authorities(issuer, &names, pem.as_bytes())?, None),
                None => (build(issuer, client(&names))?, None),
            },
            (Reach::Public | Reach::Private, Some(path)) => {
                let opened = Watched::open(path, MAX_CA_BYTES);
                let (authorities, pem) = opened.map_err(|source| ConfigError::Unreadable {
                    issuer: issuer.clone(),
                    path: path.to_owned(),
                    source,
                })?;
                let client = with_authorities(issuer, &names, &pem)?;
                (client, Some(authorities))
            }
        };
        Ok(Http {
            client: RwLock::new(client),
            names,
            authorities,
            credential: None,
        })
    }
}

fn with_authorities(
    issuer: &IssuerName,
    names: &Checked,
    pem: &[u8],
) -> Result<Client, ConfigError> {
    let authorities = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
    if authorities.is_empty() {
        let issuer = issuer.clone();
        return Err(ConfigError::CaPem { issuer });
    }
    build(issuer, client(names).tls_certs_merge(authorities))
}

fn build(issuer: &IssuerName, builder: ClientBuilder) -> Result<Client, ConfigError> {
    builder.build().map_err(|source| ConfigError::Client {
        issuer: issuer.clone(),
        source,
    })
}

/// What every client for issuers has in common.
fn client(names: &Checked) -> ClientBuilder {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Client::builder()
        .user_agent(concat!("shortleaf/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .dns_resolver(names.clone())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        // Two documents do not need streams, and a provider gets no frames to play with.
        .http1_only()
        .timeout(FETCH_BUDGET)
        .connect_timeout(CONNECT_BUDGET)
        // Minutes pass between fetches: a kept connection would be a dead one.
        .pool_max_idle_per_host(0)
}

#[async_trait]
impl Documents for Http {
    async fn get(&self, url: &Url, limit: usize) -> Result<Vec<u8>, FetchError> {
        self.names.check_literal(url)?;
        let transport = |error| transport(url, error);
        let mut request = self.client().get(url.clone());
        let credential = self.credential.as_ref();
        if let Some(header) = credential.and_then(|credential| credential.header_for(url)) {
            request = request.header(AUTHORIZATION, header);
        }
        // Whoever caused the fetch is not known yet: the trace goes out, the caller's words about
        // it stay here.
        if let Some(here) = trace::current() {
            request = request.header("traceparent", here.outgoing().parent);
        }
        let answer = request.send().await;
        let mut answer = answer.map_err(transport)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status {
                url: shown(url),
                status: answer.status(),
            });
        }
        check_headers(url, &answer)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > limit {
                let url = shown(url);
                return Err(FetchError::TooLarge { url, limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn reread(&self, issuer: &IssuerName) {
        if let Some(credential) = &self.credential {
            credential.reread(issuer);
        }
        let Some(file) = &self.authorities else {
            return;
        };
        let path = file.path();
        match file.look() {
            Look::Same => {}
            Look::Changed(pem) => match with_authorities(issuer, &self.names, &pem) {
                Ok(client) => {
                    *self.client.write().unwrap_or_else(PoisonError::into_inner) = client;
                    tracing::info!(%issuer, path = %path.display(), "took over new certificate authorities");
                }
                Err(error) => {
                    let cause = fault::chain(&error);
                    tracing::warn!(%issuer, path = %path.display(), cause, "kept the certificate authorities there were");
                }
            },
            Look::Unreadable(error) => {
                tracing::warn!(%issuer, path = %path.display(), cause = %error, "kept the certificate authorities there were");
            }
        }
    }
}

impl Http {
    fn client(&self) -> Client {
        let client = self.client.read().unwrap_or_else(PoisonError::into_inner);
        client.clone()
    }
}

/// Refuses what says of itself that it is compressed, or something else than data. Key sets are
/// often served as plain files, so `octet-stream` and no type at all will do; the parser decides.
fn check_headers(url: &Url, answer: &Response) -> Result<(), FetchError> {
    let refuse = |header: HeaderName, got: &HeaderValue| FetchError::Header {
        url: shown(url),
        header,
        got: excerpt(&String::from_utf8_lossy(got.as_bytes())),
    };
    for encoding in answer.headers().get_all(CONTENT_ENCODING) {
        if encoding != "identity" {
            return Err(refuse(CONTENT_ENCODING, encoding));
        }
    }
    for kind in answer.headers().get_all(CONTENT_TYPE) {
        let lower = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
        let essence = lower.split(';').next().unwrap_or_default().trim();
        let json = essence.ends_with("/json") || essence.ends_with("+json");
        if !json && !essence.ends_with("/octet-stream") {
            return Err(refuse(CONTENT_TYPE, kind));
        }
    }
    Ok(())
}

/// An address out of reach comes back wrapped by everything between the resolver and here.
fn transport(url: &Url, error: reqwest::Error) -> FetchError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<AddressRefused>() {
            return refused.clone().into();
        }
        cause = inner.source();
    }
    FetchError::Transport {
        url: shown(url),
        source: error.without_url().into(),
    }
}

/// The key set's URL is the provider's text.
fn shown(url: &Url) -> String {
    excerpt(url.as_str())
}
