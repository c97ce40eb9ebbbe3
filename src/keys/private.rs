//! A private key on P-256 or P-384: made, read, written, and handed to aws-lc-rs for signing.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
};
use p384::elliptic_curve::sec1::ToSec1Point;
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::{DecodePrivateKey, EncodePrivateKey, PrivateKeyInfoRef, SecretDocument};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::ca::SignError;
use crate::entropy::Entropy;
use crate::x509::{SignatureAlgorithm, pem, subject_public_key};

/// Draws of a scalar before the random source is given up. On P-384 one in 2^192 fails; on P-256
/// one in 2^32.
const DRAWS: usize = 64;

/// scrypt's cost: 16 MiB. OpenSSL refuses key files that want more than 32 MiB, as this crate's
/// own default (N = 2^17) would.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 1;

/// A private key. It has no `Debug`, and is wiped from memory when dropped.
pub struct PrivateKey {
    scalar: Scalar,
    spki: Vec<u8>,
}

/// The two crates' keys wipe themselves.
enum Scalar {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
}

/// Why there is no private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not PKCS#8, or its parts disagree.
    #[error("not a PKCS#8 private key on P-384 or P-256")]
    NotPkcs8,
    /// The random source gives no usable number.
    #[error("the random source gives no usable number")]
    Entropy,
    /// It could not be encrypted.
    #[error("could not encrypt the private key")]
    Encrypt(#[source] pkcs8::Error),
    /// The two libraries do not agree on the key.
    #[error("the key does not load for signing")]
    Rejected,
}

impl PrivateKey {
    /// A fresh key.
    pub fn generate(
        algorithm: SignatureAlgorithm,
        entropy: &dyn Entropy,
    ) -> Result<Self, KeyError> {
        let mut octets = Zeroizing::new(vec![0; algorithm.field_octets()]);
        for _ in 0..DRAWS {
            entropy.fill(&mut octets);
            // Refused are zero and what is not below the group's order; the rest is uniform.
            if let Some(key) = Self::from_scalar(algorithm, &octets) {
                return Ok(key);
            }
        }
        Err(KeyError::Entropy)
    }

    /// The key with this number, if it is one.
    pub(crate) fn from_scalar(algorithm: SignatureAlgorithm, octets: &[u8]) -> Option<Self> {
        let scalar = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => {
                Scalar::P256(p256::SecretKey::from_slice(octets).ok()?)
            }
            SignatureAlgorithm::EcdsaP384Sha384 => {
                Scalar::P384(p384::SecretKey::from_slice(octets).ok()?)
            }
        };
        Some(Self::new(scalar))
    }

    /// Reads PKCS#8 DER. A public key inside must be the private one's.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(key) = p384::SecretKey::from_pkcs8_der(der) {
            return Ok(Self::new(Scalar::P384(key)));
        }
        let key = p256::SecretKey::from_pkcs8_der(der).map_err(|_| KeyError::NotPkcs8)?;
        Ok(Self::new(Scalar::P256(key)))
    }

    fn new(scalar: Scalar) -> Self {
        let (algorithm, point) = match &scalar {
            Scalar::P256(key) => (
                SignatureAlgorithm::EcdsaP256Sha256,
                key.public_key().to_sec1_point(false).as_bytes().to_vec(),
            ),
            Scalar::P384(key) => (
                SignatureAlgorithm::EcdsaP384Sha384,
                key.public_key().to_sec1_point(false).as_bytes().to_vec(),
            ),
        };
        let spki = algorithm.spki(&point);
        Self { scalar, spki }
    }

    /// The algorithm it signs with.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        match self.scalar {
            Scalar::P256(_) => SignatureAlgorithm::EcdsaP256Sha256,
            Scalar::P384(_) => SignatureAlgorithm::EcdsaP384Sha384,
        }
    }

    /// The public half, SubjectPublicKeyInfo DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// PKCS#8 DER, which wipes itself when dropped.
    pub fn to_pkcs8(&self) -> Result<SecretDocument, KeyError> {
        match &self.scalar {
            Scalar::P256(key) => key.to_pkcs8_der(),
            Scalar::P384(key) => key.to_pkcs8_der(),
        }
        .map_err(|_| KeyError::NotPkcs8)
    }

    /// PEM: `PRIVATE KEY`, or with a passphrase `ENCRYPTED PRIVATE KEY`, PBES2 with scrypt
    /// (N = 2^14, r = 8, p = 1) and AES-256-CBC, which OpenSSL 3 reads.
    pub fn to_pem(
        &self,
        passphrase: Option<&SecretString>,
        entropy: &dyn Entropy,
    ) -> Result<Zeroizing<String>, KeyError> {
        let plain = self.to_pkcs8()?;
        let Some(passphrase) = passphrase else {
            let text = pem::encode("PRIVATE KEY", plain.as_bytes());
            return Ok(Zeroizing::new(text));
        };
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        entropy.fill(&mut salt);
        entropy.fill(&mut iv);
        let encrypted = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)
            .map_err(|_| pkcs8::Error::ParametersMalformed)
            .and_then(|cost| {
                Ok(pbes2::Parameters::generate_scrypt_aes256cbc(
                    cost, &salt, iv,
                )?)
            })
            .and_then(|parameters| {
                PrivateKeyInfoRef::try_from(plain.as_bytes())?
                    .encrypt_with_params(parameters, passphrase.expose_secret())
            })
            .map_err(KeyError::Encrypt)?;
        let text = pem::encode("ENCRYPTED PRIVATE KEY", encrypted.as_bytes());
        Ok(Zeroizing::new(text))
    }

    /// The key in the form that signs. aws-lc-rs derives the public half again; both libraries
    /// must come to the same.
    pub(super) fn signing(&self) -> Result<SigningKey, KeyError> {
        let algorithm = self.algorithm();
        let signing = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            SignatureAlgorithm::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        };
        let pair = EcdsaKeyPair::from_pkcs8(signing, self.to_pkcs8()?.as_bytes())
            .map_err(|_| KeyError::Rejected)?;
        let point = subject_public_key(&self.spki).map_err(|_| KeyError::Rejected)?;
        if pair.public_key().as_ref() != point {
            return Err(KeyError::Rejected);
        }
        Ok(SigningKey {
            algorithm,
            spki: self.spki.clone(),
            point: point.to_vec(),
            pair,
        })
    }
}

/// A key in aws-lc-rs, ready to sign. No `Debug`.
pub(super) struct SigningKey {
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) spki: Vec<u8>,
    point: Vec<u8>,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        match self.pair.sign(&SystemRandom::new(), message) {
            Ok(signature) => Ok(signature.as_ref().to_vec()),
            Err(unspecified) => Err(SignError::Unavailable {
                source: Box::new(unspecified),
            }),
        }
    }
}

/// For the certificates of new CAs, which rcgen signs itself.
impl rcgen::PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            SignatureAlgorithm::EcdsaP384Sha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        SigningKey::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
