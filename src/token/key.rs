//! One public key of an issuer, and the question whether a signature is its.
//!
//! A key knows from its own type which algorithms it can be used with; the token only gets to
//! agree. jsonwebtoken checks the signatures, over the bytes as they were sent; ES512, which it does
//! not know, goes to aws-lc-rs directly.
//!
//! jsonwebtoken takes a key apart for each signature. So a key that has verified often is asked in
//! the form it was parsed to when its set was read, a P-256 key perhaps with a table of its
//! multiples ([`crate::fixed_key`]). Of both only a yes counts: what they do not find good is the
//! library's to refuse.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use jsonwebtoken::DecodingKey;

use super::Algorithm;
use crate::b64::URL_SAFE_NO_PAD;
use crate::fixed_key::{POINT_BYTES, PreparedKey, Signature};
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

/// What [`super::jwks`] made of a key, its numbers checked.
pub(super) struct Material {
    /// Ready to verify, once for each algorithm of the key's type; the first one is what a key
    /// means that names none.
    pub(super) parsed: Vec<(Algorithm, ParsedPublicKey)>,
    /// The same for jsonwebtoken; `None` of a P-521 key, which it does not know.
    pub(super) library: Option<DecodingKey>,
    /// How long each signature is.
    pub(super) signature_bytes: usize,
    /// Of a P-256 key, uncompressed: what a table is made of.
    pub(super) p256: Option<[u8; POINT_BYTES]>,
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
        let (own, others) = (&self.material.p256, &other.material.p256);
        own.is_some() && own == others && self.algorithm == other.algorithm
    }

    /// It has to earn its table anew: this was no time to prepare it.
    pub fn postpone(&self) {
        self.held.store(0, Ordering::Relaxed);
    }

    /// Whether [`Self::prepare`] would pay: a P-256 key that has verified often.
    pub fn is_worth_preparing(&self) -> bool {
        self.material.p256.is_some()
            && !self.is_prepared()
            && self.held.load(Ordering::Relaxed) >= WORTH_PREPARING
    }

    /// Makes a P-256 key verify faster from here on. Takes milliseconds and a quarter of a
    /// megabyte: for keys that verify often, off a request's path.
    pub fn prepare(&self) {
        if let Some(point) = &self.material.p256
            && !self.is_prepared()
            && let Some(prepared) = PreparedKey::of(point)
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
        self.parsed_for(algorithm).is_some()
    }

    fn parsed_for(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let own = self.algorithm.is_none_or(|own| own == algorithm);
        let mut by_type = self.material.parsed.iter().filter(|_| own);
        by_type.find_map(|(of, key)| (*of == algorithm).then_some(key))
    }

    /// The same key, held to its own `alg` or else to the first algorithm of its type.
    pub(super) fn with_own_algorithm_only(mut self) -> Self {
        let first = self
            .material
            .parsed
            .first()
            .map(|(algorithm, _)| *algorithm);
        self.algorithm = self.algorithm.or(first);
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
        let key = self.parsed_for(algorithm).ok_or(SignatureMismatch)?;
        if octets.len() != self.material.signature_bytes {
            return Err(SignatureMismatch);
        }
        if self.holds_as_prepared(signing_input, &octets) {
            return Ok(());
        }
        let known = self.held.load(Ordering::Relaxed) >= WORTH_PREPARING;
        if known && key.verify_sig(signing_input, &octets).is_ok() {
            return Ok(());
        }
        // A key not known yet, or no yes: the library decides.
        let holds = match (&self.material.library, in_the_library(algorithm)) {
            (Some(library), Some(algorithm)) => {
                jsonwebtoken::crypto::verify(signature, signing_input, library, algorithm)
                    .unwrap_or(false)
            }
            _ => key.verify_sig(signing_input, &octets).is_ok(),
        };
        if !holds {
            return Err(SignatureMismatch);
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Only `true` is a verdict.
    fn holds_as_prepared(&self, signing_input: &[u8], signature: &[u8]) -> bool {
        self.prepared.get().is_some_and(|prepared| {
            prepared.holds(&sha256(&[signing_input]), Signature::from_fixed(signature))
        })
    }
}

/// Which key, never its bits: they are public, and long.
impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_type = self.material.parsed.iter().map(|(algorithm, _)| algorithm);
        f.debug_struct("VerificationKey")
            .field("by_type", &by_type.collect::<Vec<_>>())
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
impl VerificationKey {
    /// As if it had verified often: asked in its parsed form first.
    pub(super) fn become_known(&self) {
        self.held.store(WORTH_PREPARING, Ordering::Relaxed);
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
        let table = PreparedKey::of(other.material.p256.as_ref().unwrap()).unwrap();
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
    fn a_key_that_is_known_gives_the_same_verdicts() {
        for algorithm in [
            Algorithm::Rs256,
            Algorithm::Ps384,
            Algorithm::EdDsa,
            Algorithm::Es512,
        ] {
            let (signing, key) = pair(algorithm);
            key.become_known();
            let signature = b64(signing.sign(algorithm, MESSAGE));
            assert_eq!(key.verify(algorithm, MESSAGE, &signature), Ok(()));
            let other = key.verify(algorithm, b"header.others", &signature);
            assert_eq!(other, Err(SignatureMismatch));
        }
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
