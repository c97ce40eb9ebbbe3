//! Keys of issuers that are not the usual two, and tokens signed with anything.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(super) fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Header and payload as they are, with whatever signature.
pub(super) fn token(header: &str, payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = sign(input.as_bytes());
    format!("{input}.{}", b64(signature))
}

/// A P-256 key of an issuer.
pub(super) struct Key {
    pub(super) kid: String,
    pair: EcdsaKeyPair,
}

impl Key {
    pub(super) fn new(kid: &str) -> Self {
        Self {
            kid: kid.to_owned(),
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    pub(super) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": self.kid, "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    pub(super) fn jwks(&self) -> String {
        json!({ "keys": [self.jwk()] }).to_string()
    }

    /// A token that names this key.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.token_as(&json!({ "alg": "ES256", "kid": self.kid }), claims)
    }

    /// A token with this header.
    pub(super) fn token_as(&self, header: &Value, claims: &Value) -> String {
        token(
            &header.to_string(),
            claims.to_string().as_bytes(),
            |input| {
                let signature = self.pair.sign(&SystemRandom::new(), input).unwrap();
                signature.as_ref().to_vec()
            },
        )
    }
}
