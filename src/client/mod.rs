//! The caller's side: find a token, ask a server for a certificate.
//!
//! Speaks the Fulcio REST v2 contract, so it works against any server that does.

pub mod ambient;
pub mod shape;

use std::error::Error as StdError;
use std::time::{Duration, Instant};
use std::{io, iter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio_rustls::rustls;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::x509::{Certificate, pem};

/// For one attempt, connection included.
const ATTEMPT: Duration = Duration::from_secs(15);
/// For all attempts together.
const DEADLINE: Duration = Duration::from_secs(30);
/// Attempts at the most.
const ATTEMPTS: u32 = 3;
/// Largest answer read, in bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The HTTP client could not be set up.
    #[error("could not set up the HTTP client")]
    Setup(#[source] reqwest::Error),
    /// No answer.
    #[error("no answer from {url}")]
    Unreachable {
        /// Whom we asked.
        url: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The server's TLS certificate is not believed. Nothing was sent.
    #[error("the TLS certificate of {url} is not trusted")]
    Untrusted {
        /// Whom we asked.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// The server said no. Its words are set apart from ours.
    #[error("the server refused with {status} {reason}; it said: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// `ErrorInfo.reason`, or `UNKNOWN` from servers that send none.
        reason: String,
        /// The server's text, control characters removed.
        message: String,
        /// How long it asks us to wait, in seconds.
        retry_after_s: Option<u64>,
    },
    /// An answer that is not the contract's.
    #[error("the answer from {url} is not what was asked for: {what}")]
    BadAnswer {
        /// Whom we asked.
        url: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The request we were to send is none.
    #[error("the signing request is not a PEM PKCS#10 request")]
    NoRequest,
    /// A certificate that is of no use to whoever holds the key.
    #[error("the certificate from {url} is for another key than the request's")]
    OtherKey {
        /// Whom we asked.
        url: String,
    },
    /// An answer larger than any chain.
    #[error("the answer from {url} is larger than {limit} bytes")]
    TooLarge {
        /// Whom we asked.
        url: String,
        /// The limit.
        limit: usize,
    },
}

/// Whether a connection failed because the other side's TLS certificate is not believed.
pub fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    let mut causes = iter::successors(Some(error), |&cause| cause.source());
    causes.any(|cause| {
        // What an I/O error is made of is not among its sources, and may be another one.
        let outer = cause.downcast_ref::<io::Error>();
        let mut layers = iter::successors(outer, |layer| layer.get_ref()?.downcast_ref());
        layers.any(|layer| {
            let inner = layer.get_ref().and_then(|inner| inner.downcast_ref());
            matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
        })
    })
}

/// A client for one purpose: no redirects, no proxy, bounded in time.
pub(crate) fn http() -> Result<reqwest::Client, Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(ATTEMPT)
        .build()
        .map_err(Error::Setup)
}

/// Asks `server` to certify the key of `csr_pem` for the identity of `token`, and takes no
/// certificate for another key. Answers the PEM
/// texts, leaf first, root last. Tries again, within 30 s in all, when the server is unreachable,
/// overloaded or failing; the request is idempotent while the token and the key are the same.
/// `waiting` hears of each wait before it begins: what it is for, and how long.
pub async fn certificate(
    server: &str,
    token: &str,
    csr_pem: &str,
    waiting: &(dyn Fn(&Error, Duration) + Sync),
) -> Result<Vec<String>, Error> {
    let client = http()?;
    let url = format!("{}/api/v2/signingCert", server.trim_end_matches('/'));
    let body = json!({
        "credentials": { "oidcIdentityToken": token },
        "certificateSigningRequest": STANDARD.encode(csr_pem),
    })
    .to_string();
    let asked_for = requested_key(csr_pem).ok_or(Error::NoRequest)?;
    let started = Instant::now();
    let mut attempt = 1;
    loop {
        let error = match ask(&client, &url, &body).await {
            Ok(chain) => {
                return match certified_key(&chain) {
                    Some(key) if key == asked_for => Ok(chain),
                    Some(_) => Err(Error::OtherKey { url }),
                    None => Err(Error::BadAnswer {
                        url,
                        what: "its first certificate does not parse",
                    }),
                };
            }
            Err(error) => error,
        };
        let wait = match &error {
            Error::Unreachable { .. } => Duration::from_millis(250 * u64::from(attempt)),
            Error::Refused {
                status: 408 | 429 | 500..=599,
                retry_after_s,
                ..
            } => Duration::from_secs(retry_after_s.unwrap_or(1)),
            Error::Refused { .. }
            | Error::Setup(_)
            | Error::Untrusted { .. }
            | Error::BadAnswer { .. }
            | Error::NoRequest
            | Error::OtherKey { .. }
            | Error::TooLarge { .. } => return Err(error),
        };
        if attempt >= ATTEMPTS || started.elapsed().saturating_add(wait) >= DEADLINE {
            return Err(error);
        }
        attempt += 1;
        waiting(&error, wait);
        tokio::time::sleep(wait).await;
    }
}

/// Asks a development issuer (`shortleaf dev`) for a token with the claims of `body`, a JSON object.
pub async fn development_token(url: &str, body: Vec<u8>) -> Result<String, Error> {
    let unreachable = |source: reqwest::Error| Error::Unreachable {
        url: url.to_owned(),
        source: source.without_url(),
    };
    let answer = http()?
        .post(url)
        .body(body)
        .send()
        .await
        .map_err(unreachable)?;
    let status = answer.status().as_u16();
    let bytes = bounded(answer, url).await?;
    if status != 200 {
        let message = printable(&String::from_utf8_lossy(&bytes), 2048);
        return Err(Error::Refused {
            status,
            reason: "UNKNOWN".to_owned(),
            message,
            retry_after_s: None,
        });
    }
    let parsed: Option<Value> = serde_json::from_slice(&bytes).ok();
    let token = parsed
        .as_ref()
        .and_then(|v| v["token"].as_str())
        .map(str::to_owned);
    token.ok_or_else(|| Error::BadAnswer {
        url: url.to_owned(),
        what: "no token",
    })
}

async fn ask(client: &reqwest::Client, url: &str, body: &str) -> Result<Vec<String>, Error> {
    let unreachable = |source: reqwest::Error| {
        let (url, source) = (url.to_owned(), source.without_url());
        match is_untrusted(&source) {
            true => Error::Untrusted { url, source },
            false => Error::Unreachable { url, source },
        }
    };
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_owned())
        .send()
        .await
        .map_err(unreachable)?;
    let status = answer.status().as_u16();
    let retry_after_s = answer
        .headers()
        .get("retry-after")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    let bytes = bounded(answer, url).await?;
    if status != 200 {
        return Err(refused(status, retry_after_s, &bytes));
    }
    chain(&bytes).ok_or_else(|| Error::BadAnswer { url: url.to_owned(), what: "no signedCertificateEmbeddedSct or signedCertificateDetachedSct with at least two certificates" })
}

/// The SubjectPublicKeyInfo of a PEM signing request.
fn requested_key(csr_pem: &str) -> Option<Vec<u8>> {
    let block = pem::decode(csr_pem).ok()?.into_iter().next()?;
    let (_, request) = X509CertificationRequest::from_der(&block.der).ok()?;
    Some(request.certification_request_info.subject_pki.raw.to_vec())
}

/// The SubjectPublicKeyInfo of a chain's leaf.
fn certified_key(chain: &[String]) -> Option<Vec<u8>> {
    let block = pem::decode(chain.first()?).ok()?.into_iter().next()?;
    let leaf = Certificate::from_der(block.der).ok()?;
    Some(leaf.spki().to_vec())
}

/// Reads a body chunk by chunk, never past the limit.
pub(crate) async fn bounded(mut answer: reqwest::Response, url: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|source| Error::Unreachable {
        url: url.to_owned(),
        source: source.without_url(),
    })? {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Error::TooLarge {
                url: url.to_owned(),
                limit: MAX_ANSWER_BYTES,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refused(status: u16, retry_after_s: Option<u64>, body: &[u8]) -> Error {
    let parsed: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let reason = parsed["details"]
        .as_array()
        .into_iter()
        .flatten()
        .find_map(|d| d["reason"].as_str());
    let message = parsed["message"].as_str().unwrap_or("(no message)");
    Error::Refused {
        status,
        reason: printable(reason.unwrap_or("UNKNOWN"), 64),
        message: printable(message, 2048),
        retry_after_s,
    }
}

/// A server's words, safe to show on a terminal.
fn printable(text: &str, limit: usize) -> String {
    text.chars()
        .take(limit)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn chain(body: &[u8]) -> Option<Vec<String>> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    let certificate = [
        "signedCertificateEmbeddedSct",
        "signedCertificateDetachedSct",
    ]
    .iter()
    .find_map(|key| parsed.get(key))?;
    let pems: Option<Vec<String>> = certificate["chain"]["certificates"]
        .as_array()?
        .iter()
        .map(|c| only_a_certificate(c.as_str()?))
        .collect();
    pems.filter(|pems| pems.len() >= 2)
}

/// One certificate, in our own writing: it goes to a terminal or into a file, and a server may
/// have put anything around it.
fn only_a_certificate(text: &str) -> Option<String> {
    let [block] = <[pem::Block; 1]>::try_from(pem::decode(text).ok()?).ok()?;
    (block.label == "CERTIFICATE").then(|| pem::encode("CERTIFICATE", &block.der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_reason_and_loses_control_characters() {
        let body =
            br#"{"code":3,"message":"bad\u001b[31m token","details":[{"reason":"TOKEN_EXPIRED"}]}"#;
        let Error::Refused {
            reason, message, ..
        } = refused(400, None, body)
        else {
            panic!("not a refusal")
        };
        assert_eq!(
            (reason.as_str(), message.as_str()),
            ("TOKEN_EXPIRED", "bad [31m token")
        );
    }

    /// Answers one request with these PEM texts as the chain.
    async fn server(chain: Vec<String>) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body =
            json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": chain } } });
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
            }
            let body = body.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        });
        url
    }

    #[tokio::test]
    async fn a_certificate_for_another_key_is_not_taken() {
        let (mine, other) = (
            rcgen::KeyPair::generate().unwrap(),
            rcgen::KeyPair::generate().unwrap(),
        );
        let params = rcgen::CertificateParams::default();
        let csr = params.serialize_request(&mine).unwrap().pem().unwrap();
        let ask = async |key| {
            let leaf = certificate_for(&params, key);
            let server = server(vec![leaf.clone(), leaf]).await;
            certificate(&server, "token", &csr, &|_, _| {}).await
        };
        assert!(matches!(ask(&other).await, Err(Error::OtherKey { .. })));
        assert_eq!(ask(&mine).await.unwrap().len(), 2);
    }

    fn certificate_for(params: &rcgen::CertificateParams, key: &rcgen::KeyPair) -> String {
        params.self_signed(key).unwrap().pem()
    }

    #[tokio::test]
    async fn a_server_that_asks_for_patience_without_end_is_given_up() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            // Long enough that this and the longest wait there is are more than a Duration holds.
            tokio::time::sleep(Duration::from_millis(1100)).await;
            let answer = format!(
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: {}\r\ncontent-length: 0\r\n\r\n",
                u64::MAX
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&key);
        let csr = csr.unwrap().pem().unwrap();
        let error = certificate(&server, "token", &csr, &|_, _| panic!("it waits"));
        let error = error.await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Refused {
                    status: 503,
                    retry_after_s: Some(u64::MAX),
                    ..
                }
            ),
            "{error}"
        );
    }

    /// The chain of an answer with these certificates.
    fn answered(certificates: &[&str]) -> Option<Vec<String>> {
        let answer = json!({
            "signedCertificateEmbeddedSct": { "chain": { "certificates": certificates } }
        });
        chain(answer.to_string().as_bytes())
    }

    #[test]
    fn a_chain_needs_a_leaf_and_an_issuer() {
        let [leaf, issuer] = [[1], [2]].map(|der| pem::encode("CERTIFICATE", &der));
        assert_eq!(answered(&[&leaf]), None);
        assert_eq!(
            answered(&[leaf.trim_end(), &issuer]),
            Some(vec![leaf.clone(), issuer.clone()])
        );
    }

    #[test]
    fn a_chain_is_certificates_and_nothing_else() {
        let one = pem::encode("CERTIFICATE", &[1]);
        for other in [
            format!("\u{1b}]0;owned\u{7}{one}"),
            format!("{one}{one}"),
            pem::encode("PRIVATE KEY", &[1]),
            String::new(),
        ] {
            assert_eq!(answered(&[&one, &other]), None, "{other:?}");
        }
    }
}
