//! Keys that can sign, one of each kind, made by aws-lc-rs; and the few writers the tests need.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shortleaf::possession::KeyKind;

/// A key pair of any kind we certify.
pub(crate) enum TestKey {
    /// Signs in DER.
    Ecdsa(KeyKind, EcdsaKeyPair),
    /// Signs PKCS#1 v1.5 with SHA-256.
    Rsa(KeyKind, RsaKeyPair),
    /// Pure.
    Ed25519(Ed25519KeyPair),
}

impl TestKey {
    /// A new key.
    pub(crate) fn generate(kind: KeyKind) -> Self {
        let ec = |algorithm| Self::Ecdsa(kind, EcdsaKeyPair::generate(algorithm).unwrap());
        let rsa = |size| Self::Rsa(kind, RsaKeyPair::generate(size).unwrap());
        match kind {
            KeyKind::EcdsaP256 => ec(&lc::ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyKind::EcdsaP384 => ec(&lc::ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyKind::EcdsaP521 => ec(&lc::ECDSA_P521_SHA512_ASN1_SIGNING),
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyKind::Ed25519 => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
        }
    }

    /// One of every kind.
    pub(crate) fn one_of_each() -> impl Iterator<Item = Self> {
        KeyKind::ALL.iter().copied().map(Self::generate)
    }

    /// Its kind.
    pub(crate) fn kind(&self) -> KeyKind {
        match self {
            Self::Ecdsa(kind, _) | Self::Rsa(kind, _) => *kind,
            Self::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// SubjectPublicKeyInfo as aws-lc writes it.
    pub(crate) fn spki(&self) -> Vec<u8> {
        match self {
            Self::Ecdsa(_, key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Rsa(_, key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    /// Point, RSAPublicKey or 32 octets: the content of subjectPublicKey.
    pub(crate) fn bits(&self) -> Vec<u8> {
        match self {
            Self::Ecdsa(_, key) => key.public_key().as_ref().to_vec(),
            Self::Rsa(_, key) => key.public_key().as_ref().to_vec(),
            Self::Ed25519(key) => key.public_key().as_ref().to_vec(),
        }
    }

    /// The content of the modulus, an RSA key's first number.
    pub(crate) fn modulus(&self) -> Vec<u8> {
        // SEQUENCE { INTEGER modulus, INTEGER 65537 }, the first two with lengths of two octets.
        let bits = self.bits();
        bits[8..bits.len() - 5].to_vec()
    }

    /// A proof of possession.
    pub(crate) fn sign(&self, challenge: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ecdsa(_, key) => key.sign(&random, challenge).unwrap().as_ref().to_vec(),
            Self::Rsa(_, key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&lc::RSA_PKCS1_SHA256, &random, challenge, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ed25519(key) => key.sign(challenge).as_ref().to_vec(),
        }
    }

    /// The same key for rcgen, which makes signing requests.
    pub(crate) fn for_rcgen(&self) -> rcgen::KeyPair {
        let pkcs8 = match self {
            Self::Ecdsa(_, key) => key.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Self::Rsa(_, key) => {
                use aws_lc_rs::encoding::Pkcs8V1Der;
                let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
                der.as_ref().to_vec()
            }
            Self::Ed25519(key) => key.to_pkcs8v1().unwrap().as_ref().to_vec(),
        };
        rcgen::KeyPair::try_from(pkcs8).unwrap()
    }
}

/// An ECDSA signature in DER as its two integers side by side, each `width` octets.
pub(crate) fn side_by_side(der: &[u8], width: usize) -> Vec<u8> {
    // SEQUENCE with a length of one octet, or of two for P-521.
    let mut rest = if der[1] == 0x81 { &der[3..] } else { &der[2..] };
    let mut fixed = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let integer = &rest[2..2 + length];
        let magnitude = integer.strip_prefix(&[0]).unwrap_or(integer);
        fixed.extend(vec![0; width - magnitude.len()]);
        fixed.extend(magnitude);
        rest = &rest[2 + length..];
    }
    fixed
}

/// A DER value.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ ..0x80 => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// A SubjectPublicKeyInfo from AlgorithmIdentifier content and key octets.
pub(crate) fn spki(identifier: &[u8], bits: &[u8]) -> Vec<u8> {
    let bits = [&[0], bits].concat();
    let fields = [tlv(0x30, identifier), tlv(0x03, &bits)].concat();
    tlv(0x30, &fields)
}

/// PEM with lines of 64 characters.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    for line in text.as_bytes().chunks(64) {
        lines.push_str(str::from_utf8(line).unwrap());
        lines.push('\n');
    }
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// PEM as sigstore-java sends it: all base64 on one line, and no newline at the end.
pub(crate) fn one_line_pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----")
}
