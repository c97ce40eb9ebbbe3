//! A client's key for tests: every kind the contract knows, and its proof of possession.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The kinds of subject key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    P256,
    P384,
    P521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
}

impl Kind {
    /// Every one.
    pub(crate) const ALL: [Self; 7] = [
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(rsa::KeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A fresh key of a kind.
pub(crate) struct Subject {
    kind: Kind,
    pair: Pair,
    spki: Vec<u8>,
}

impl Subject {
    /// Makes one. RSA 4096 takes a second or two.
    pub(crate) fn generate(kind: Kind) -> Self {
        match kind {
            Kind::P256 => Self::ecdsa(kind, &ECDSA_P256_SHA256_ASN1_SIGNING),
            Kind::P384 => Self::ecdsa(kind, &ECDSA_P384_SHA384_ASN1_SIGNING),
            Kind::P521 => Self::ecdsa(kind, &ECDSA_P521_SHA512_ASN1_SIGNING),
            Kind::Rsa2048 => Self::rsa(kind, KeySize::Rsa2048),
            Kind::Rsa3072 => Self::rsa(kind, KeySize::Rsa3072),
            Kind::Rsa4096 => Self::rsa(kind, KeySize::Rsa4096),
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().expect("a key");
                let spki = spki(pair.public_key());
                Self {
                    kind,
                    pair: Pair::Ed25519(pair),
                    spki,
                }
            }
        }
    }

    fn ecdsa(kind: Kind, algorithm: &'static EcdsaSigningAlgorithm) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).expect("a key");
        let spki = spki(pair.public_key());
        Self {
            kind,
            pair: Pair::Ecdsa(pair),
            spki,
        }
    }

    fn rsa(kind: Kind, size: KeySize) -> Self {
        let pair = rsa::KeyPair::generate(size).expect("a key");
        let spki = spki(pair.public_key());
        Self {
            kind,
            pair: Pair::Rsa(pair),
            spki,
        }
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// SubjectPublicKeyInfo, DER.
    pub(crate) fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The same as PEM with LF line ends.
    pub(crate) fn spki_pem(&self) -> String {
        let text = STANDARD.encode(&self.spki);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|octet| char::from(*octet)));
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    /// The proof of possession over `challenge`; ECDSA in ASN.1.
    pub(crate) fn prove(&self, challenge: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        let proof = match &self.pair {
            Pair::Ecdsa(pair) => pair
                .sign(&random, challenge.as_bytes())
                .expect("ECDSA signs")
                .as_ref()
                .to_vec(),
            Pair::Rsa(pair) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, challenge.as_bytes(), &mut out)
                    .expect("RSA signs");
                out
            }
            Pair::Ed25519(pair) => pair.sign(challenge.as_bytes()).as_ref().to_vec(),
        };
        crate::secrets::plant("a proof of possession", &proof);
        proof
    }
}

fn spki<'a, K: AsDer<PublicKeyX509Der<'a>>>(key: &K) -> Vec<u8> {
    key.as_der()
        .expect("a public key encodes")
        .as_ref()
        .to_vec()
}
