//! A token we show to one issuer, and to nobody else.
//!
//! A Kubernetes API server gives its discovery document and keys to callers it knows, by the
//! service-account token that lies in a file of the pod and is replaced while the pod runs. Who
//! gets hold of one is that pod as far as the cluster is concerned: so it goes over TLS to the hosts
//! the issuer's configuration names as its own, never where a document points, and is in no log.

use std::fmt;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

use reqwest::header::HeaderValue;
use url::Url;

use super::ConfigError;
use super::file::{Look, Watched};
use super::places::{Place, host_and_port};
use crate::token::{IssuerName, IssuerUrl};

/// Largest file of a bearer token read, in bytes.
const MAX_BEARER_BYTES: u64 = 16 * 1024;

/// What is sent, and whom to.
pub(super) struct Credential {
    file: Watched,
    header: RwLock<HeaderValue>,
    hosts: Vec<Place>,
}

impl Credential {
    /// Reads the file at `path`, for the hosts of `issuer` and of `metadata_url`.
    pub(super) fn open(
        issuer: &IssuerUrl,
        path: &Path,
        metadata_url: &Url,
    ) -> Result<Self, ConfigError> {
        let name = || IssuerName::from(issuer.clone());
        let opened = Watched::open(path, MAX_BEARER_BYTES);
        let (file, content) = opened.map_err(|source| ConfigError::Unreadable {
            issuer: name(),
            path: path.to_owned(),
            source,
        })?;
        let header = header(&content).ok_or_else(|| ConfigError::BearerToken {
            issuer: name(),
            path: path.to_owned(),
        })?;
        let own = Url::parse(issuer.as_str()).ok();
        let hosts = [own.as_ref(), Some(metadata_url)].into_iter().flatten();
        Ok(Self {
            file,
            header: RwLock::new(header),
            hosts: hosts.filter_map(host_and_port).collect(),
        })
    }

    /// The header for a request to `url`, if it may have one.
    pub(super) fn header_for(&self, url: &Url) -> Option<HeaderValue> {
        let is_own = host_and_port(url).is_some_and(|place| self.hosts.contains(&place));
        let header = || self.header.read().unwrap_or_else(PoisonError::into_inner);
        (is_own && url.scheme() == "https").then(|| header().clone())
    }

    /// Takes over what changed. Blocks.
    pub(super) fn reread(&self, issuer: &IssuerName) {
        let path = self.file.path();
        match self.file.look() {
            Look::Same => {}
            Look::Changed(content) => match header(&content) {
                Some(header) => {
                    *self.header.write().unwrap_or_else(PoisonError::into_inner) = header;
                    tracing::debug!(%issuer, ?path, "took over a new bearer token");
                }
                None => tracing::warn!(%issuer, ?path, "kept the bearer token there was"),
            },
            Look::Unreadable(error) => {
                tracing::warn!(%issuer, ?path, cause = %error, "kept the bearer token there was");
            }
        }
    }
}

/// `Bearer` and the token of a file (RFC 6750 §2.1), which may end with a line end.
fn header(content: &[u8]) -> Option<HeaderValue> {
    let token = std::str::from_utf8(content).ok()?.trim_end();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.is_empty() || !token.bytes().all(is_token) {
        return None;
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Where it goes, and never what it is.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("path", &self.file.path())
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(content: &str) -> Result<(Credential, tempfile::NamedTempFile), ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let issuer = IssuerUrl::new("https://cluster.example/oidc").unwrap();
        let metadata = Url::parse("https://10.0.0.1:6443/.well-known/openid-configuration");
        let opened = Credential::open(&issuer, file.path(), &metadata.unwrap())?;
        Ok((opened, file))
    }

    fn sent(credential: &Credential, url: &str) -> Option<String> {
        let header = credential.header_for(&Url::parse(url).unwrap())?;
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_token_goes_to_its_issuers_own_hosts_over_tls_and_nowhere_else() {
        let (credential, _file) = open("to.ken\n").unwrap();
        for url in [
            "https://cluster.example/keys",
            "https://cluster.example:443/",
            "https://10.0.0.1:6443/openid/v1/jwks",
        ] {
            let sent = sent(&credential, url);
            assert_eq!(sent.as_deref(), Some("Bearer to.ken"), "{url}");
        }
        for url in [
            "http://cluster.example/keys",
            "http://cluster.example:443/keys",
            "https://cluster.example:6443/",
            "https://10.0.0.1/",
            "https://keys.cluster.example/",
            "https://cluster.example.evil.example/",
        ] {
            assert_eq!(sent(&credential, url), None, "{url}");
        }
    }

    #[test]
    fn a_token_is_replaced_with_its_file_and_kept_while_that_is_no_token() {
        let (credential, file) = open("one").unwrap();
        let issuer = IssuerName::new("https://cluster.example/oidc").unwrap();
        let url = "https://cluster.example/";
        for (content, expected) in [
            ("two", "two"),
            ("", "two"),
            ("a b", "two"),
            ("three", "three"),
        ] {
            std::fs::write(file.path(), content).unwrap();
            credential.reread(&issuer);
            let expected = format!("Bearer {expected}");
            assert_eq!(sent(&credential, url), Some(expected), "{content:?}");
        }
    }

    #[test]
    fn a_file_without_a_token_is_refused_at_the_start() {
        for content in ["", "\n", "a b", "a\nb", "é", "a\r\nX: y"] {
            let refused = open(content).err();
            let refused = refused.is_some_and(|e| matches!(e, ConfigError::BearerToken { .. }));
            assert!(refused, "{content:?}");
        }
    }

    #[test]
    fn a_token_is_in_no_debug_output() {
        let (credential, _file) = open("se.cr.et").unwrap();
        let url = Url::parse("https://cluster.example/").unwrap();
        let told = format!("{credential:?} {:?}", credential.header_for(&url));
        assert!(
            told.contains("cluster.example") && !told.contains("se.cr"),
            "{told}"
        );
    }
}
