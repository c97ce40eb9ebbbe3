//! Issuers for unit tests: a key of each kind, its JWK, and tokens signed with it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::jwks::{KeySet, NotFound};
use super::{
    Algorithm, IssuerPolicy, IssuerUrl, KeyError, KeySource, RawToken, VerificationKey,
    VerifiedToken,
};
use crate::time::UnixSeconds;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const NOW: UnixSeconds = UnixSeconds(1_795_262_400);

pub(crate) fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A signing key of an issuer.
pub(crate) enum SigningKey {
    Rsa(&'static RsaKeyPair),
    Ec(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub(crate) fn for_algorithm(algorithm: Algorithm) -> Self {
        let ec = |with, curve| Self::Ec(EcdsaKeyPair::generate(with).unwrap(), curve);
        match algorithm {
            Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512 => Self::Rsa(rsa_key()),
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => Self::Rsa(rsa_key()),
            Algorithm::Es256 => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::Es384 => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::Es512 => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
        }
    }

    pub(crate) fn jwk(&self, kid: &str) -> serde_json::Value {
        match self {
            Self::Rsa(pair) => {
                let key = pair.public_key();
                let (n, e) = (key.modulus(), key.exponent());
                let (n, e) = (
                    n.big_endian_without_leading_zero(),
                    e.big_endian_without_leading_zero(),
                );
                json!({ "kty": "RSA", "kid": kid, "use": "sig", "n": b64(n), "e": b64(e) })
            }
            Self::Ec(pair, curve) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point[1..].split_at(point.len() / 2);
                json!({ "kty": "EC", "kid": kid, "crv": curve, "x": b64(x), "y": b64(y) })
            }
            Self::Ed25519(pair) => {
                json!({ "kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(pair.public_key()) })
            }
        }
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                let encoding: &'static dyn signature::RsaEncoding = match algorithm.as_str() {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    _ => &signature::RSA_PSS_SHA512,
                };
                pair.sign(encoding, &random, message, &mut out).unwrap();
                out
            }
            Self::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of exactly these texts.
    pub(crate) fn token(&self, algorithm: Algorithm, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", b64(header), b64(claims));
        let signature = self.sign(algorithm, input.as_bytes());
        format!("{input}.{}", b64(signature))
    }
}

/// One RSA key for all tests: making one takes a while.
fn rsa_key() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
}

/// Claims that pass under [`policy`] at [`NOW`].
pub(crate) fn claims() -> serde_json::Value {
    json!({
        "iss": ISSUER,
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "aud": "sigstore",
        "exp": NOW.0 + 300,
        "iat": NOW.0 - 10,
        "nbf": NOW.0 - 10,
        "jti": "0b5e5a4e",
    })
}

pub(crate) fn policy() -> IssuerPolicy {
    IssuerPolicy {
        issuer: IssuerUrl::new(ISSUER).unwrap().into(),
        audiences: vec!["sigstore".into()],
        max_token_age_s: 600,
        max_token_lifetime_s: 86_400,
        leeway_s: 30,
        certificates_per_token: 1,
    }
}

/// Keys by issuer, and how often anyone asked.
pub(crate) struct CountingKeys {
    sets: HashMap<IssuerUrl, KeySet>,
    pub(crate) asked: AtomicUsize,
    pub(crate) doubted: AtomicUsize,
}

impl CountingKeys {
    pub(crate) fn new(sets: Vec<(&str, serde_json::Value)>) -> Self {
        let sets = sets.into_iter().map(|(issuer, keys)| {
            let set = KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
            (IssuerUrl::new(issuer).unwrap(), set)
        });
        Self {
            sets: sets.collect(),
            asked: AtomicUsize::new(0),
            doubted: AtomicUsize::new(0),
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl KeySource for CountingKeys {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let (issuer, kid) = (issuer.clone(), kid.map(str::to_owned));
        match self.sets[&issuer].find(kid.as_deref(), algorithm) {
            Ok(key) => Ok(key),
            Err(NotFound::NoSuchKey) => Err(KeyError::Unknown { issuer, kid }),
            Err(NotFound::NotForAlgorithm) => Err(KeyError::AlgorithmRefused {
                issuer,
                kid,
                algorithm,
            }),
        }
    }

    fn did_not_verify(&self, _issuer: &IssuerUrl) {
        self.doubted.fetch_add(1, Ordering::Relaxed);
    }
}

impl VerifiedToken {
    /// A token taken for verified, so that other rooms can be tested without keys and clocks.
    /// Needs `iss`, `sub`, `aud`, `iat` and `exp`, as any token does.
    pub(crate) fn for_test(claims: &str) -> Self {
        let text = format!("{}.{}.AA", b64(r#"{"alg":"RS256","kid":"k"}"#), b64(claims));
        let raw = RawToken::parse(&text).unwrap();
        super::verify::believe(raw)
    }
}

/// Runs a future that never has to wait, without a runtime.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("the future waits for something"),
    }
}
