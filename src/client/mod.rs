//! The caller's side: find a token, ask a server for a certificate.
//!
//! Speaks the Fulcio REST v2 contract, so it works against any server that does.

pub mod ambient;

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

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
    /// An answer larger than any chain.
    #[error("the answer from {url} is larger than {limit} bytes")]
    TooLarge {
        /// Whom we asked.
        url: String,
        /// The limit.
        limit: usize,
    },
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

/// Asks `server` to certify the key of `csr_pem` for the identity of `token`. Answers the PEM
/// texts, leaf first, root last. Tries again, within 30 s in all, when the server is unreachable,
/// overloaded or failing; the request is idempotent while the token and the key are the same.
pub async fn certificate(server: &str, token: &str, csr_pem: &str) -> Result<Vec<String>, Error> {
    let client = http()?;
    let url = format!("{}/api/v2/signingCert", server.trim_end_matches('/'));
    let body = json!({
        "credentials": { "oidcIdentityToken": token },
        "certificateSigningRequest": STANDARD.encode(csr_pem),
    })
    .to_string();
    let started = Instant::now();
    let mut attempt = 1;
    loop {
        let error = match ask(&client, &url, &body).await {
            Ok(chain) => return Ok(chain),
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
            | Error::BadAnswer { .. }
            | Error::TooLarge { .. } => return Err(error),
        };
        if attempt >= ATTEMPTS || started.elapsed() + wait >= DEADLINE {
            return Err(error);
        }
        attempt += 1;
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
    let unreachable = |source: reqwest::Error| Error::Unreachable {
        url: url.to_owned(),
        source: source.without_url(),
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
        .map(|c| c.as_str().map(str::to_owned))
        .collect();
    pems.filter(|pems| pems.len() >= 2)
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

    #[test]
    fn a_chain_needs_a_leaf_and_an_issuer() {
        assert_eq!(
            chain(br#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":["a"]}}}"#),
            None
        );
        assert_eq!(
            chain(br#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":["a","b"]}}}"#),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
    }
}
