//! One public key of an issuer, and the question whether a signature is its.
//!
//! A key knows from its own type which algorithms it can be used with; the token only gets to
//! agree. jsonwebtoken checks the signatures, over the bytes as they were sent; ES512, which it
//! does not know, goes to aws-lc-rs directly.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::Algorithm;
use crate::fixed_key::{PreparedKey, Signature};
use crate::hash::sha256;

/// So many good signatures take as much longer without a table as the table takes to build.
pub const WORTH_PREPARING: u32 = 100;

/// A parsed public key of an issuer, fit for the algorithms it names.
pub struct VerificationKey {
    material: Material,
    /// The one algorithm its key set allows it, where the set says so (RFC 7517 §4.4).
    algorithm: Option<Algorithm>,
    /// Filled by [`Self::prepare`].
    prepared: OnceLock<PreparedKey>,
    /// How many signatures held that no table knew about.
    held: AtomicU32,
}

/// A key by its type; parameters were checked by [`super::jwks`].
pub(super) enum Material {
    Rsa {
        key: DecodingKey,
        modulus_bytes: usize,
    },
    P256 {
        key: DecodingKey,
        /// Uncompressed.
        point: Vec<u8>,
    },
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
            prepared: OnceLock::new(),
            held: AtomicU32::new(0),
        }
    }

    /// Whether the other one is the same key, fit for the same algorithms. Only of P-256 keys anybody
    /// asks: there is nothing to remember about others.
    pub(super) fn is(&self, other: &Self) -> bool {
        let (Material::P256 { point, .. }, Material::P256 { point: others, .. }) =
            (&self.material, &other.material)
        else {
            return false;
        };
        point == others && self.algorithm == other.algorithm
    }

    /// It has to earn its table anew: this was no time to prepare it.
    pub fn postpone(&self) {
        self.held.store(0, Ordering::Relaxed);
    }

    /// Whether [`Self::prepare`] would pay: a P-256 key that has verified often.
    pub fn is_worth_preparing(&self) -> bool {
        let can_be = matches!(self.material, Material::P256 { .. });
        can_be && !self.is_prepared() && self.held.load(Ordering::Relaxed) >= WORTH_PREPARING
    }

    /// Makes a P-256 key verify faster from here on. Takes milliseconds and a quarter of a
    /// megabyte: for keys that verify often, off a request's path.
    pub fn prepare(&self) {
        if let Material::P256 { point, .. } = &self.material
            && !self.is_prepared()
            && let Some(prepared) = point[..].try_into().ok().and_then(PreparedKey::of)
        {
            // Somebody else may have been faster with the same table.
            let _ = self.prepared.set(prepared);
        }
    }

    /// Whether [`Self::prepare`] has done its work.
    pub fn is_prepared(&self) -> bool {
        self.prepared.get().is_some()
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
            Material::P256 { .. } => &[Es256],
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
        if self.holds_as_prepared(signing_input, &octets) {
            return Ok(());
        }
        // Not prepared, or no yes: the libraries decide.
        let holds = match &self.material {
            Material::Rsa { key, .. }
            | Material::P256 { key, .. }
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
            self.held.fetch_add(1, Ordering::Relaxed);
            Ok(())
        } else {
            Err(SignatureMismatch)
        }
    }

    /// Only `true` is a verdict.
    fn holds_as_prepared(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.prepared.get().is_some_and(|prepared| {
            prepared.holds(&sha256(&[signing_input]), Signature::from_fixed(signature))
        })
    }

    fn signature_bytes(&self) -> usize {
        match self.material {
            Material::Rsa { modulus_bytes, .. } => modulus_bytes,
            Material::P256 { .. } | Material::Ed25519(_) => 64,
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
            Material::P256 { .. } => "P-256",
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::jwks::KeySet;
    use super::super::testing::{SigningKey, b64};
    use super::*;

    const MESSAGE: &[u8] = b"header.claims";

    fn pair(algorithm: Algorithm) -> (SigningKey, Arc<VerificationKey>) {
        let signing = SigningKey::for_algorithm(algorithm);
        let set = json!({ "keys": [signing.jwk("k1")] }).to_string();
        let set = KeySet::parse(set.as_bytes()).unwrap();
        (signing, set.find(None, algorithm).unwrap())
    }

    fn es256() -> (SigningKey, Arc<VerificationKey>) {
        pair(Algorithm::Es256)
    }

    fn signed(key: &SigningKey) -> String {
        b64(key.sign(Algorithm::Es256, MESSAGE))
    }

    fn holds(key: &VerificationKey, message: &[u8], signature: &str) -> bool {
        key.verify(Algorithm::Es256, message, signature).is_ok()
    }

    #[test]
    fn a_prepared_key_gives_the_same_verdicts() {
        let (signing, key) = es256();
        let signature = signed(&signing);
        assert!(!key.is_prepared());
        key.prepare();
        key.prepare();
        assert!(key.is_prepared());
        let octets = URL_SAFE_NO_PAD.decode(&signature).unwrap();
        assert!(key.holds_as_prepared(MESSAGE, &octets));
        assert!(holds(&key, MESSAGE, &signature));
        assert!(!holds(&key, b"header.others", &signature));
        assert!(!holds(&key, MESSAGE, &signature[..84]));
        let another = key.verify(Algorithm::Es384, MESSAGE, &signature);
        assert_eq!(another, Err(SignatureMismatch));
    }

    #[test]
    fn a_refusal_by_the_table_is_confirmed_before_it_counts() {
        let ((signing, misled), (stranger, other)) = (es256(), es256());
        let Material::P256 { point, .. } = &other.material else {
            panic!("P-256 was asked for");
        };
        let table = PreparedKey::of(point[..].try_into().unwrap()).unwrap();
        misled.prepared.set(table).unwrap();
        let signature = signed(&signing);
        let octets = URL_SAFE_NO_PAD.decode(&signature).unwrap();
        assert!(!misled.holds_as_prepared(MESSAGE, &octets));
        assert!(holds(&misled, MESSAGE, &signature));
        // What both refuse is refused.
        assert!(!holds(&misled, b"header.others", &signed(&stranger)));
    }

    #[test]
    fn a_key_is_worth_preparing_after_a_hundred_good_signatures() {
        let (signing, key) = es256();
        let signature = signed(&signing);
        for _ in 0..2 * WORTH_PREPARING {
            assert!(!holds(&key, b"header.others", &signature));
        }
        assert!(!key.is_worth_preparing());
        for _ in 0..WORTH_PREPARING {
            assert!(!key.is_worth_preparing());
            assert!(holds(&key, MESSAGE, &signature));
        }
        assert!(key.is_worth_preparing());
        key.prepare();
        assert!(!key.is_worth_preparing());
    }

    #[test]
    fn other_kinds_of_key_have_nothing_to_prepare() {
        let (signing, key) = pair(Algorithm::EdDsa);
        let signature = b64(signing.sign(Algorithm::EdDsa, MESSAGE));
        for _ in 0..=WORTH_PREPARING {
            assert_eq!(key.verify(Algorithm::EdDsa, MESSAGE, &signature), Ok(()));
        }
        assert!(!key.is_worth_preparing());
        key.prepare();
        assert!(!key.is_prepared());
    }
}
