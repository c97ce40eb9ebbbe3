//! Tokens that a job already has, or can ask its platform for. Looked for in this order:
//! `SIGSTORE_ID_TOKEN`, GitHub Actions' request URL, the file cosign uses.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::{bounded, http};

/// Where cosign's file provider looks too.
pub const TOKEN_FILE: &str = "/var/run/sigstore/cosign/oidc-token";
/// As much of it as is read; no server takes a longer token.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// GitHub's own toolkit tries this often.
const GITHUB_ATTEMPTS: u32 = 10;

/// A token and where it came from.
pub struct Found {
    /// The token.
    pub token: SecretString,
    /// In words, for the talk.
    pub source: &'static str,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing here offers one.
    #[error("no OIDC token: none given, none in SIGSTORE_ID_TOKEN, no platform that offers one")]
    None,
    /// GitHub Actions runs us without the permission.
    #[error("this GitHub Actions job may not ask for an OIDC token")]
    GithubPermission,
    /// GitHub did not answer with a token.
    #[error("GitHub's token service gave no token after {attempts} attempt(s){}", status.map(|s| format!("; its last answer was {s}")).unwrap_or_default())]
    Github {
        /// How often we asked.
        attempts: u32,
        /// The last status, if it answered at all.
        status: Option<u16>,
        /// Why the last time there was no answer.
        source: Option<reqwest::Error>,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {path}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client could not be set up.
    #[error(transparent)]
    Client(#[from] super::Error),
}

/// Finds a token meant for `audience`, reading the environment through `variable`.
pub async fn find(
    audience: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Found, Error> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(token) = set("SIGSTORE_ID_TOKEN") {
        return Ok(Found {
            token: SecretString::from(token.trim().to_owned()),
            source: "SIGSTORE_ID_TOKEN",
        });
    }
    match (
        set("ACTIONS_ID_TOKEN_REQUEST_URL"),
        set("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
    ) {
        (Some(url), Some(credential)) => {
            let token = github(&url, &SecretString::from(credential), audience).await?;
            return Ok(Found {
                token,
                source: "GitHub Actions",
            });
        }
        _ if set("GITHUB_ACTIONS").is_some() => return Err(Error::GithubPermission),
        _ => {}
    }
    if Path::new(TOKEN_FILE).is_file() {
        let mut text = String::new();
        File::open(TOKEN_FILE)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
            .map_err(|source| Error::File {
                path: TOKEN_FILE.to_owned(),
                source,
            })?;
        return Ok(Found {
            token: SecretString::from(text.trim().to_owned()),
            source: "token file",
        });
    }
    Err(Error::None)
}

/// `GET <url>&audience=…` with the job's credential; the URL already has a query.
async fn github(
    url: &str,
    credential: &SecretString,
    audience: &str,
) -> Result<SecretString, Error> {
    let client = http()?;
    let separator = if url.contains('?') { '&' } else { '?' };
    let audience: String = url::form_urlencoded::byte_serialize(audience.as_bytes()).collect();
    let url = format!("{url}{separator}audience={audience}");
    let (mut status, mut attempts, mut source) = (None, 0, None);
    for attempt in 1..=GITHUB_ATTEMPTS {
        let answer = client
            .get(&url)
            .header(
                "authorization",
                format!("bearer {}", credential.expose_secret()),
            )
            .send()
            .await;
        attempts = attempt;
        match answer {
            Ok(answer) => {
                (status, source) = (Some(answer.status().as_u16()), None);
                if answer.status().is_success() {
                    let body = bounded(answer, "GitHub's token service").await?;
                    let value = serde_json::from_slice::<serde_json::Value>(&body)
                        .ok()
                        .and_then(|v| v["value"].as_str().map(str::to_owned));
                    if let Some(token) = value {
                        return Ok(SecretString::from(token));
                    }
                } else if answer.status().is_client_error() && answer.status().as_u16() != 429 {
                    break;
                }
            }
            Err(error) => source = Some(error.without_url()),
        }
        if attempt < GITHUB_ATTEMPTS {
            tokio::time::sleep(Duration::from_millis(100 << attempt.min(4))).await;
        }
    }
    Err(Error::Github {
        attempts,
        status,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_without_the_permission_is_told_so_and_a_bare_shell_is_not() {
        let github = |name: &str| (name == "GITHUB_ACTIONS").then(|| "true".to_owned());
        assert!(matches!(
            find("a", &github).await,
            Err(Error::GithubPermission)
        ));
        assert!(matches!(find("a", &|_: &str| None).await, Err(Error::None)));
    }

    #[tokio::test]
    async fn a_token_in_the_environment_comes_first() {
        let both = |name: &str| match name {
            "SIGSTORE_ID_TOKEN" => Some("token\n".to_owned()),
            "ACTIONS_ID_TOKEN_REQUEST_URL" => Some("http://127.0.0.1:1/?x=y".to_owned()),
            _ => None,
        };
        let found = find("a", &both).await.ok();
        assert_eq!(
            found.map(|f| f.token.expose_secret().to_owned()).as_deref(),
            Some("token")
        );
    }
}
