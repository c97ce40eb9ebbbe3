//! One public key of an issuer, and the question whether a signature is its.
//!
//! A key knows from its own type which algorithms it can be used with; the token only gets to
//! agree. jsonwebtoken checks the signatures, over the bytes as they were sent; ES512, which it
//! does not know, goes to aws-lc-rs directly.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::Algorithm;

/// A parsed public key of an issuer, fit for the algorithms it names.
pub struct VerificationKey {
    material: Material,
    /// The one algorithm its key set allows it, where the set says so (RFC 7517 §4.4).
    algorithm: Option<Algorithm>,
}

/// A key by its type; parameters were checked by [`super::jwks`].
pub(super) enum Material {
    Rsa {
        key: DecodingKey,
        modulus_bytes: usize,
    },
    P256(DecodingKey),
    P384(DecodingKey),
    /// The uncompressed point.
    P521(Vec<u8>),
    Ed25519(DecodingKey),
}

/// The signature is not this key's over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignatureMismatch;

impl VerificationKey {
    pub(super) fn new(material: Material, algorithm: Option<Algorithm>) -> Self {
        Self {
            material,
            algorithm,
        }
    }

    /// Whether type, curve and the key set's own `alg` allow `algorithm`.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.by_type().contains(&algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// What its type allows; the first one is what a key means that does not say.
    fn by_type(&self) -> &'static [Algorithm] {
        use Algorithm::{EdDsa, Es256, Es384, Es512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        match self.material {
            Material::Rsa { .. } => &[Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
            Material::P256(_) => &[Es256],
            Material::P384(_) => &[Es384],
            Material::P521(_) => &[Es512],
            Material::Ed25519(_) => &[EdDsa],
        }
    }

    /// The same key, held to its own `alg` or else to the first algorithm of its type.
    pub(super) fn with_own_algorithm_only(mut self) -> Self {
        self.algorithm = self.algorithm.or(self.by_type().first().copied());
        self
    }

    /// Checks `signature` (base64url) over `signing_input`.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        signing_input: &[u8],
        signature: &str,
    ) -> Result<(), SignatureMismatch> {
        // One length per key: no ASN.1 form, no padding, no appended bytes reaches the arithmetic.
        let octets = URL_SAFE_NO_PAD.decode(signature);
        let octets = octets.map_err(|_| SignatureMismatch)?;
        if !self.fits(algorithm) || octets.len() != self.signature_bytes() {
            return Err(SignatureMismatch);
        }
        let holds = match &self.material {
            Material::Rsa { key, .. }
            | Material::P256(key)
            | Material::P384(key)
            | Material::Ed25519(key) => in_the_library(algorithm).is_some_and(|algorithm| {
                let outcome =
                    jsonwebtoken::crypto::verify(signature, signing_input, key, algorithm);
                outcome.unwrap_or(false)
            }),
            Material::P521(point) => UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point)
                .verify(signing_input, &octets)
                .is_ok(),
        };
        if holds {
            Ok(())
        } else {
            Err(SignatureMismatch)
        }
    }

    fn signature_bytes(&self) -> usize {
        match self.material {
            Material::Rsa { modulus_bytes, .. } => modulus_bytes,
            Material::P256(_) | Material::Ed25519(_) => 64,
            Material::P384(_) => 96,
            Material::P521(_) => 132,
        }
    }
}

/// Which key, never its bits: they are public, and long.
impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.material {
            Material::Rsa { .. } => "RSA",
            Material::P256(_) => "P-256",
            Material::P384(_) => "P-384",
            Material::P521(_) => "P-521",
            Material::Ed25519(_) => "Ed25519",
        };
        f.debug_struct("VerificationKey")
            .field("kind", &kind)
            .field("algorithm", &self.algorithm)
            .finish()
    }
}

fn in_the_library(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    match algorithm {
        Algorithm::Rs256 => Some(jsonwebtoken::Algorithm::RS256),
        Algorithm::Rs384 => Some(jsonwebtoken::Algorithm::RS384),
        Algorithm::Rs512 => Some(jsonwebtoken::Algorithm::RS512),
        Algorithm::Ps256 => Some(jsonwebtoken::Algorithm::PS256),
        Algorithm::Ps384 => Some(jsonwebtoken::Algorithm::PS384),
        Algorithm::Ps512 => Some(jsonwebtoken::Algorithm::PS512),
        Algorithm::Es256 => Some(jsonwebtoken::Algorithm::ES256),
        Algorithm::Es384 => Some(jsonwebtoken::Algorithm::ES384),
        Algorithm::EdDsa => Some(jsonwebtoken::Algorithm::EdDSA),
        Algorithm::Es512 => None,
    }
}
