//! An OIDC issuer for tests: fixed keys, any claims, and, when asked, real HTTP on 127.0.0.1.
//!
//! Its tokens are what the world's clock and claims make them and nothing else, so a test that
//! needs a wrong token asks for exactly that one. Written without the product's own issuer: an
//! error made in both would not be seen.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

/// Made once with `openssl genpkey`; signs nothing outside tests.
const RS256_KEY: &str = include_str!("keys/issuer-rs256.pem");
const ES256_KEY: &str = include_str!("keys/issuer-es256.pem");

/// The audience every Sigstore client asks for.
pub(crate) const AUDIENCE: &str = "sigstore";

/// How a token is signed; also the `kid` of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alg {
    /// As GitHub signs.
    Rs256,
    /// As many others do.
    Es256,
}

impl Alg {
    fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// One issuer: an `iss` and the two fixed keys.
pub(crate) struct Issuer {
    url: String,
    rs256: rsa::KeyPair,
    es256: EcdsaKeyPair,
    minted: AtomicU64,
}

impl Issuer {
    /// The issuer whose `iss` is `url`.
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            rs256: rsa::KeyPair::from_pkcs8(&der(RS256_KEY)).expect("a fixed key"),
            es256: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(ES256_KEY))
                .expect("a fixed key"),
            minted: AtomicU64::new(0),
        }
    }

    /// Its `iss`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A good token for `claims` at `now`: RS256, five minutes, a `jti` of its own. A claim given
    /// wins over what is filled in; a claim given as null is left out.
    pub(crate) fn token(&self, claims: Value, now: i64) -> String {
        self.token_with(Alg::Rs256, claims, now)
    }

    /// The same, signed as asked.
    pub(crate) fn token_with(&self, alg: Alg, claims: Value, now: i64) -> String {
        let number = self.minted.fetch_add(1, Ordering::Relaxed);
        let mut all = json!({
            "iss": self.url, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 300,
            "jti": format!("{}-{number}", self.url),
        });
        merge(&mut all, claims);
        let header = json!({ "alg": alg.name(), "typ": "JWT", "kid": alg.name() });
        self.sign(alg, &header.to_string(), &all.to_string())
    }

    /// Exactly this header and this payload, whatever they say, signed with `alg`'s key.
    pub(crate) fn sign(&self, alg: Alg, header: &str, payload: &str) -> String {
        self.sign_octets(alg, header, payload.as_bytes())
    }

    /// The same for a payload that is no text.
    pub(crate) fn sign_octets(&self, alg: Alg, header: &str, payload: &[u8]) -> String {
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(payload)
        );
        let random = SystemRandom::new();
        let signature = match alg {
            Alg::Rs256 => {
                let mut out = vec![0; self.rs256.public_modulus_len()];
                self.rs256
                    .sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut out)
                    .expect("RSA signs");
                out
            }
            Alg::Es256 => self
                .es256
                .sign(&random, input.as_bytes())
                .expect("ECDSA signs")
                .as_ref()
                .to_vec(),
        };
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
        crate::secrets::plant_token(&token);
        token
    }

    /// Its key set (RFC 7517): both keys.
    pub(crate) fn jwks(&self) -> String {
        let rsa = self.rs256.public_key();
        let point = self.es256.public_key().as_ref();
        json!({ "keys": [
            {
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "RS256",
                "n": URL_SAFE_NO_PAD.encode(rsa.modulus().big_endian_without_leading_zero()),
                "e": URL_SAFE_NO_PAD.encode(rsa.exponent().big_endian_without_leading_zero()),
            },
            {
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "ES256",
                // Uncompressed: 04 ‖ x ‖ y.
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
                "y": URL_SAFE_NO_PAD.encode(&point[33..]),
            },
        ] })
        .to_string()
    }

    /// Its provider metadata, with no more members than GitHub's has.
    pub(crate) fn metadata(&self) -> String {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}/keys", self.url),
            "subject_types_supported": ["public", "pairwise"],
            "response_types_supported": ["id_token"],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "scopes_supported": ["openid"],
        })
        .to_string()
    }
}

/// What GitHub says about one push to one repository; every claim its tokens carry.
pub(crate) fn github_claims() -> Value {
    json!({
        "sub": "repo:octo-org/octo-app:ref:refs/heads/main",
        "actor": "octocat",
        "actor_id": "583231",
        "base_ref": "",
        "event_name": "push",
        "head_ref": "",
        "job_workflow_ref": "octo-org/shared/.github/workflows/build.yml@refs/tags/v1",
        "job_workflow_sha": "1111111111111111111111111111111111111111",
        "ref": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "repository": "octo-org/octo-app",
        "repository_id": "701234567",
        "repository_owner": "octo-org",
        "repository_owner_id": "9919",
        "repository_visibility": "public",
        "run_attempt": "2",
        "run_id": "6543210987",
        "run_number": "41",
        "runner_environment": "github-hosted",
        "sha": "2222222222222222222222222222222222222222",
        "workflow": "release",
        "workflow_ref": "octo-org/octo-app/.github/workflows/release.yml@refs/heads/main",
        "workflow_sha": "3333333333333333333333333333333333333333",
    })
}

/// The same from a job that deploys to an environment.
pub(crate) fn github_claims_with_environment() -> Value {
    let mut claims = github_claims();
    merge(
        &mut claims,
        json!({
            "sub": "repo:octo-org/octo-app:environment:production",
            "environment": "production",
        }),
    );
    claims
}

/// A person whose address the issuer has verified.
pub(crate) fn email_claims() -> Value {
    json!({
        "sub": "248289761001",
        "email": "jane@example.com",
        "email_verified": true,
    })
}

/// The identities a certificate can be made for, each with its issuer, its claims and its challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Email,
    Github,
    GithubWithEnvironment,
}

impl Identity {
    /// Every one.
    pub(crate) const ALL: [Self; 3] = [Self::Email, Self::Github, Self::GithubWithEnvironment];
    /// The paths of the two issuers, for [`Served::start`].
    pub(crate) const PATHS: [&str; 2] = ["/email", "/github"];

    /// Which of the two issuers vouches for it.
    pub(crate) fn issuer(self) -> usize {
        match self {
            Self::Email => 0,
            Self::Github | Self::GithubWithEnvironment => 1,
        }
    }

    /// What the issuer says of it.
    pub(crate) fn claims(self) -> Value {
        match self {
            Self::Email => email_claims(),
            Self::Github => github_claims(),
            Self::GithubWithEnvironment => github_claims_with_environment(),
        }
    }

    /// What the proof of possession signs.
    pub(crate) fn challenge(self) -> String {
        let claim = match self {
            Self::Email => "email",
            Self::Github | Self::GithubWithEnvironment => "sub",
        };
        self.claims()[claim].as_str().expect("a string").to_owned()
    }
}

/// Lays the members of `over` upon `base`; null takes a member away.
pub(crate) fn merge(base: &mut Value, over: Value) {
    let base: &mut Map<String, Value> = base.as_object_mut().expect("claims are an object");
    let Value::Object(over) = over else {
        panic!("claims are an object")
    };
    base.extend(over);
    base.retain(|_, value| !value.is_null());
}

/// The wall clock, for tests that talk to programs with clocks of their own.
pub(crate) fn wall_clock() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the end of time")
}

/// Issuers answering over HTTP on a free port of 127.0.0.1, one beneath each path.
pub(crate) struct Served {
    issuers: Arc<Vec<Issuer>>,
    address: std::net::SocketAddr,
    stopping: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// One issuer for each path (`/github`); its `iss` is `http://127.0.0.1:PORT` and the path.
    pub(crate) fn start(paths: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let issuers: Arc<Vec<Issuer>> = Arc::new(
            paths
                .iter()
                .map(|path| Issuer::new(&format!("http://{address}{path}")))
                .collect(),
        );
        let stopping = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let thread = thread::spawn({
            let (issuers, stopping) = (Arc::clone(&issuers), Arc::clone(&stopping));
            let connections = Arc::clone(&connections);
            move || {
                for stream in listener.incoming().flatten() {
                    if stopping.load(Ordering::SeqCst) {
                        return;
                    }
                    connections.fetch_add(1, Ordering::SeqCst);
                    let issuers = Arc::clone(&issuers);
                    // A client may hold a connection it does not use; the others go on.
                    thread::spawn(move || answer(&stream, &issuers));
                }
            }
        });
        Self {
            issuers,
            address,
            stopping,
            connections,
            thread: Some(thread),
        }
    }

    /// The issuer beneath the path given at this place.
    pub(crate) fn issuer(&self, index: usize) -> &Issuer {
        &self.issuers[index]
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The first two issuers' `iss`.
    pub(crate) fn urls(&self) -> [&str; 2] {
        [self.issuer(0).url(), self.issuer(1).url()]
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        // Wakes `accept`, which then sees the flag.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request, one answer, end of connection.
fn answer(mut stream: &TcpStream, issuers: &[Issuer]) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    // To the end of the header: closing with unread bytes would reset the connection.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = request.split(' ').nth(1).unwrap_or_default();
    let body = issuers.iter().find_map(|issuer| {
        let (_, prefix) = issuer.url.split_at(issuer.url.rfind('/')?);
        match path.strip_prefix(prefix)? {
            "/.well-known/openid-configuration" => Some(issuer.metadata()),
            "/keys" => Some(issuer.jwks()),
            _ => None,
        }
    });
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", String::new()),
    };
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// The bytes inside a PEM block.
pub(crate) fn der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text.trim()).expect("base64")
}
