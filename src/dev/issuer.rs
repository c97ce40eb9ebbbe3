//! The development OIDC issuer: publishes metadata and one key set, and mints whatever claims it
//! is asked for. It believes everybody, so it lives on loopback, answers only to names of this
//! machine, and is only inside `dev` and `demo`.
//!
//! One process serves two issuers with one key: the root (GitHub Actions' claims) and `/email`.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::KeyPair as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jsonwebtoken::EncodingKey;
use openidconnect::core::{
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AuthUrl, EmptyAdditionalProviderMetadata, IssuerUrl, JsonWebKeyId, JsonWebKeySetUrl,
    ResponseTypes,
};
use serde_json::{Map, Value, json};

use crate::config::SHARED_AUDIENCE;
use crate::entropy::Entropy;
use crate::hex;
use crate::time::{Clock, UnixSeconds};

/// Life of a minted token unless the claims say otherwise, in seconds.
const TOKEN_LIFETIME_S: i64 = 300;
/// Largest body of a token request, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// Name of the one signing key.
const KEY_ID: &str = "dev-1";

/// Which of the two issuers, and so which claims a token has by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persona {
    /// GitHub Actions' claims, issuer at the root.
    Github,
    /// An email address, issuer at `/email`.
    Email,
}

/// The issuer's key and addresses.
pub struct DevIssuer {
    base: String,
    audience: String,
    key: EncodingKey,
    public: CoreJsonWebKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// Why there is no development issuer, or no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The signing key could not be made.
    #[error("could not make the development issuer's key")]
    Key,
    /// The issuer's own URL is not one.
    #[error("{url:?} cannot be an issuer")]
    Url {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: openidconnect::url::ParseError,
    },
    /// The claims could not be signed.
    #[error("could not sign the token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl DevIssuer {
    /// An issuer that answers at `base` (`http://127.0.0.1:PORT`, no trailing slash), with a fresh key.
    pub fn new(
        base: &str,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Error> {
        // RS256, as GitHub signs: cosign takes an inline token for a file name otherwise.
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| Error::Key)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Error::Key)?;
        let info = pkcs8::PrivateKeyInfoRef::try_from(pkcs8.as_ref()).map_err(|_| Error::Key)?;
        let modulus = pair
            .public_key()
            .modulus()
            .big_endian_without_leading_zero()
            .to_vec();
        let exponent = pair
            .public_key()
            .exponent()
            .big_endian_without_leading_zero()
            .to_vec();
        Ok(Self {
            base: base.to_owned(),
            audience: SHARED_AUDIENCE.to_owned(),
            key: EncodingKey::from_rsa_der(info.private_key.as_bytes()),
            public: CoreJsonWebKey::new_rsa(
                modulus,
                exponent,
                Some(JsonWebKeyId::new(KEY_ID.to_owned())),
            ),
            clock,
            entropy,
        })
    }

    /// The same, minting for this audience where none is asked for, not the shared one.
    #[must_use]
    pub fn for_audience(mut self, audience: String) -> Self {
        self.audience = audience;
        self
    }

    /// The `iss` of a persona's tokens.
    pub fn url(&self, persona: Persona) -> String {
        match persona {
            Persona::Github => self.base.clone(),
            Persona::Email => format!("{}/email", self.base),
        }
    }

    /// Signs `claims`. Absent `iss`, `aud`, `iat`, `nbf`, `exp` and `jti` are filled in; a member
    /// that is `null` is left out, so that a token without it can be had.
    pub fn mint(&self, persona: Persona, claims: Map<String, Value>) -> Result<String, Error> {
        let now = self.clock.now().seconds();
        let mut jti = [0; 16];
        self.entropy.fill(&mut jti);
        let mut all = Map::new();
        all.insert("jti".to_owned(), json!(hex::encode(&jti)));
        all.insert("iss".to_owned(), json!(self.url(persona)));
        all.insert("aud".to_owned(), json!(self.audience));
        all.insert("iat".to_owned(), json!(now.0));
        all.insert("nbf".to_owned(), json!(now.0));
        all.insert("exp".to_owned(), json!(now.plus(TOKEN_LIFETIME_S).0));
        all.extend(claims);
        all.retain(|_, value| !value.is_null());
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.kid = Some(KEY_ID.to_owned());
        jsonwebtoken::encode(&header, &all, &self.key).map_err(Error::Sign)
    }

    /// What a persona's tokens say unless told otherwise.
    pub fn default_claims(&self, persona: Persona) -> Map<String, Value> {
        let claims = match persona {
            Persona::Github => github_claims(self.clock.now().seconds()),
            Persona::Email => {
                json!({ "sub": "dev-user-1", "email": "dev@shortleaf.example", "email_verified": true })
            }
        };
        claims.as_object().cloned().unwrap_or_default()
    }

    /// The provider metadata of a persona (OpenID Connect Discovery §3).
    fn metadata(&self, persona: Persona) -> Result<CoreProviderMetadata, Error> {
        let url = self.url(persona);
        let bad = |source| Error::Url {
            url: url.clone(),
            source,
        };
        Ok(CoreProviderMetadata::new(
            IssuerUrl::new(url.clone()).map_err(bad)?,
            // Required by the standard for a provider people log in to; nobody logs in here.
            AuthUrl::new(format!("{url}/authorize")).map_err(bad)?,
            JsonWebKeySetUrl::new(format!("{}/jwks", self.base)).map_err(bad)?,
            vec![ResponseTypes::new(vec![CoreResponseType::IdToken])],
            vec![CoreSubjectIdentifierType::Public],
            vec![CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256],
            EmptyAdditionalProviderMetadata {},
        ))
    }

    /// The key set, as served.
    pub fn jwks(&self) -> CoreJsonWebKeySet {
        CoreJsonWebKeySet::new(vec![self.public.clone()])
    }

    /// Everything it answers over HTTP.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(|s: State<Arc<Self>>| discovery(s, Persona::Github)),
            )
            .route(
                "/email/.well-known/openid-configuration",
                get(|s: State<Arc<Self>>| discovery(s, Persona::Email)),
            )
            .route(
                "/jwks",
                get(|State(issuer): State<Arc<Self>>| async move { document(&issuer.jwks()) }),
            )
            .route(
                "/token",
                get(ambient)
                    .post(|s: State<Arc<Self>>, q, b: Bytes| requested(s, q, b, Persona::Github)),
            )
            .route(
                "/email/token",
                get(|s: State<Arc<Self>>, q| requested(s, q, Bytes::new(), Persona::Email))
                    .post(|s: State<Arc<Self>>, q, b: Bytes| requested(s, q, b, Persona::Email)),
            )
            .layer(axum::extract::DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(from_fn(only_for_this_machine))
            .with_state(self)
    }
}

/// Never shows the key.
impl std::fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevIssuer")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Loopback keeps other machines out, but not a page in a browser on this one: its domain may
/// resolve to 127.0.0.1 once it is loaded, and then reads what it asks for (DNS rebinding). The
/// browser still says whom it means.
async fn only_for_this_machine(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = match headers.get(header::HOST) {
        Some(host) => Authority::try_from(host.as_bytes()).ok(),
        None => request.uri().authority().cloned(), // HTTP/2
    };
    match host.is_some_and(|host| is_this_machine(host.host())) {
        true => next.run(request).await,
        false => StatusCode::MISDIRECTED_REQUEST.into_response(),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.is_loopback());
    loopback || host.eq_ignore_ascii_case("localhost")
}

#[derive(serde::Deserialize)]
struct TokenQuery {
    audience: Option<String>,
    /// `defaults`: lay the body over the persona's default claims instead of taking it alone.
    base: Option<String>,
}

async fn discovery(State(issuer): State<Arc<DevIssuer>>, persona: Persona) -> Response {
    match issuer.metadata(persona) {
        Ok(metadata) => document(&metadata),
        Err(error) => failed(&error),
    }
}

/// The shape GitHub's runners use: `GET …/token?audience=A`, answer in `value`.
async fn ambient(state: State<Arc<DevIssuer>>, query: Query<TokenQuery>) -> Response {
    requested(state, query, Bytes::new(), Persona::Github).await
}

/// `POST …/token` with claims as a JSON object; an empty body asks for the default claims.
async fn requested(
    State(issuer): State<Arc<DevIssuer>>,
    Query(query): Query<TokenQuery>,
    body: Bytes,
    persona: Persona,
) -> Response {
    let asked: Map<String, Value> = if body.is_empty() {
        Map::new()
    } else {
        match serde_json::from_slice(&body) {
            Ok(claims) => claims,
            Err(_) => {
                return (
                    StatusCode::BAD_REQUEST,
                    "the body must be a JSON object of claims\n",
                )
                    .into_response();
            }
        }
    };
    let mut claims = match query.base.as_deref() {
        Some("defaults") => issuer.default_claims(persona),
        _ if asked.is_empty() => issuer.default_claims(persona),
        _ => Map::new(),
    };
    claims.extend(asked);
    if let Some(audience) = query.audience {
        claims.insert("aud".to_owned(), Value::String(audience));
    }
    match issuer.mint(persona, claims) {
        Ok(token) => document(&json!({ "token": token, "value": token })),
        Err(error) => failed(&error),
    }
}

fn document(value: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn failed(error: &Error) -> Response {
    tracing::error!(%error, "development issuer");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// The claims of a push to a made-up repository, every one that GitHub sends.
fn github_claims(now: UnixSeconds) -> Value {
    json!({
        "sub": "repo:acme/app:ref:refs/heads/main",
        "actor": "octocat",
        "actor_id": "12",
        "base_ref": "",
        "check_run_id": "44444444444",
        "event_name": "push",
        "head_ref": "",
        "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_sha": "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
        "ref": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "repository": "acme/app",
        "repository_id": "456789",
        "repository_owner": "acme",
        "repository_owner_id": "123456",
        "repository_visibility": "private",
        "run_attempt": "1",
        "run_id": now.0.to_string(),
        "run_number": "33",
        "runner_environment": "github-hosted",
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "workflow": "Release",
        "workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/main",
        "workflow_sha": "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;
    use crate::system::{SystemClock, SystemEntropy};

    #[tokio::test]
    async fn a_token_is_minted_only_for_who_calls_it_by_a_name_of_this_machine() {
        let base = "http://127.0.0.1:4";
        let issuer = DevIssuer::new(base, Arc::new(SystemClock), Arc::new(SystemEntropy));
        let router = Arc::new(issuer.unwrap()).router();
        let asked = async |host: &str| {
            let request = Request::post("/token").header(header::HOST, host);
            let request = request.body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap().status()
        };
        for host in ["127.0.0.1:4", "localhost:4", "127.0.0.1", "[::1]:4"] {
            assert_eq!(asked(host).await, StatusCode::OK, "{host}");
        }
        // What a page's own domain resolves to after it was loaded is for the page to say.
        for host in [
            "evil.example:4",
            "127.0.0.1.evil.example",
            "10.0.0.1:4",
            "@",
            "",
        ] {
            assert_eq!(asked(host).await, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
    }
}
