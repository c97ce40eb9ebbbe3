//! An issuer's key set (RFC 7517 §5, RFC 7518 §6, RFC 8037 §2), read strictly.
//!
//! A set that is not a set is an error. A set with an unfit key in it is still a set: the key is
//! skipped and reported, so that one bad entry does not lock out everyone whose tokens are signed
//! with another. Keys are found by exact `kid` only; two usable keys of one `kid` are none.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::key::Material;
use super::{Algorithm, MAX_KID_BYTES, VerificationKey};
use crate::json::{self, Object, Value};
use crate::possession::is_factorable;

/// Largest key set accepted, in bytes.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;

/// Most keys accepted in one set.
pub const MAX_KEYS: usize = 64;

/// RSA moduli accepted, in bits; checked before any arithmetic.
pub const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// 65537, the one RSA exponent accepted.
const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// Members that only a private or a shared key has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const SECRET_MEMBERS: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why bytes are not a key set at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JwksError {
    /// Over [`MAX_JWKS_BYTES`].
    #[error("key set of {bytes} bytes is larger than {MAX_JWKS_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not acceptable JSON.
    #[error("key set is not strict JSON")]
    NotJson(#[from] json::Error),
    /// No array `keys`.
    #[error("key set has no array \"keys\"")]
    NoKeys,
    /// Over [`MAX_KEYS`].
    #[error("key set has {keys} keys, at most {MAX_KEYS} are accepted")]
    TooManyKeys {
        /// How many.
        keys: usize,
    },
}

/// Why one key of a set is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Not an object, or a member of the wrong kind.
    #[error("is not a JWK")]
    Malformed,
    /// Carries private or symmetric key material.
    #[error("carries secret key material")]
    Secret,
    /// `use` or `key_ops` say that it does not verify signatures.
    #[error("is not for verifying signatures")]
    OtherUse,
    /// A key type, curve or `alg` no accepted token can use.
    #[error("has a type, curve or algorithm that no accepted token uses")]
    OtherKind,
    /// `alg` does not go with the key's type.
    #[error("names an algorithm that its type does not allow")]
    Mismatch,
    /// An RSA modulus outside [`RSA_BITS`] or even, or an exponent other than 65537.
    #[error("is an RSA key of unsafe size or exponent")]
    UnsafeRsa,
    /// An RSA modulus whose primes others can find: ROCA (CVE-2017-15361), small or close ones.
    #[error("is an RSA key that others can factor")]
    FactorableRsa,
    /// A point that is not on the curve, or coordinates of the wrong width.
    #[error("is not a point on its curve")]
    InvalidPoint,
    /// Its `kid` is another usable key's too.
    #[error("shares its key id with another key")]
    SharedKeyId,
}

impl Unfit {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Secret,
        Self::OtherUse,
        Self::OtherKind,
        Self::Mismatch,
        Self::UnsafeRsa,
        Self::FactorableRsa,
        Self::InvalidPoint,
        Self::SharedKeyId,
    ];

    /// For metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Secret => "secret",
            Self::OtherUse => "other_use",
            Self::OtherKind => "other_kind",
            Self::Mismatch => "mismatch",
            Self::UnsafeRsa => "unsafe_rsa",
            Self::FactorableRsa => "factorable_rsa",
            Self::InvalidPoint => "invalid_point",
            Self::SharedKeyId => "shared_key_id",
        }
    }
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// No usable key of this `kid`, or no `kid` and more keys than one.
    NoSuchKey,
    /// The key is there, and is not for this algorithm.
    NotForAlgorithm,
}

/// An issuer's usable keys.
#[derive(Debug)]
pub struct KeySet {
    by_kid: HashMap<String, Arc<VerificationKey>>,
    /// The key that a token without `kid` means: that of a set of one.
    only: Option<Arc<VerificationKey>>,
    skipped: Vec<(Option<String>, Unfit)>,
}

impl KeySet {
    /// Reads a JWK set, leaving every key to all algorithms that its type and `alg` allow.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        Self::parse_with(bytes, |key| key)
    }

    /// Reads a JWK set that comes without provider metadata: a key that names no `alg` is for
    /// the first algorithm of its type and no other (RS256 for RSA).
    pub fn parse_standalone(bytes: &[u8]) -> Result<Self, JwksError> {
        Self::parse_with(bytes, VerificationKey::with_own_algorithm_only)
    }

    fn parse_with(
        bytes: &[u8],
        restrict: fn(VerificationKey) -> VerificationKey,
    ) -> Result<Self, JwksError> {
        let bytes_len = bytes.len();
        if bytes_len > MAX_JWKS_BYTES {
            return Err(JwksError::TooLarge { bytes: bytes_len });
        }
        let document = json::parse(bytes)?;
        let keys = document.as_object().and_then(|set| set.get("keys"));
        let keys = keys.and_then(Value::as_array).ok_or(JwksError::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::TooManyKeys { keys: keys.len() });
        }

        let mut usable = Vec::new();
        let mut skipped = Vec::new();
        for jwk in keys {
            match read(jwk) {
                Ok((kid, key)) => usable.push((kid, Arc::new(restrict(key)))),
                Err(unfit) => skipped.push((kid_of(jwk), unfit)),
            }
        }
        let only = match (keys.len(), usable.first()) {
            (1, Some((_, key))) => Some(Arc::clone(key)),
            _ => None,
        };
        let mut by_kid = HashMap::new();
        let mut shared = HashSet::new();
        for (kid, key) in usable {
            let Some(kid) = kid else { continue };
            if shared.contains(&kid) || by_kid.remove(&kid).is_some() {
                skipped.push((Some(kid.clone()), Unfit::SharedKeyId));
                shared.insert(kid);
            } else {
                by_kid.insert(kid, key);
            }
        }
        Ok(Self {
            by_kid,
            only,
            skipped,
        })
    }

    /// The key for a token with this header: exactly this `kid`, or the only key there is.
    pub fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, NotFound> {
        let key = match kid {
            Some(kid) => self.by_kid.get(kid),
            None => self.only.as_ref(),
        };
        let key = key.ok_or(NotFound::NoSuchKey)?;
        if key.fits(algorithm) {
            Ok(Arc::clone(key))
        } else {
            Err(NotFound::NotForAlgorithm)
        }
    }

    /// How many keys a token can name.
    pub fn len(&self) -> usize {
        let nameless = self.by_kid.is_empty() && self.only.is_some();
        self.by_kid.len() + usize::from(nameless)
    }

    /// Whether no token can be checked with it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes from an earlier reading of the same issuer's set what it knows about keys that are in
    /// both: how often they verified, and what was prepared for them.
    pub fn carry_over(&mut self, before: &Self) {
        let known = |key: &Arc<VerificationKey>| {
            let mut earlier = before.by_kid.values().chain(&before.only);
            earlier.find(|earlier| earlier.is(key)).cloned()
        };
        for key in self.by_kid.values_mut().chain(&mut self.only) {
            if let Some(earlier) = known(key) {
                *key = earlier;
            }
        }
    }

    /// Every usable key by its `kid`, in their order, with the algorithms it verifies.
    pub fn listed(&self) -> Vec<(Option<String>, Vec<Algorithm>)> {
        let fits = |key: &VerificationKey| {
            let all = Algorithm::ALL.iter().copied();
            all.filter(|algorithm| key.fits(*algorithm)).collect()
        };
        let named = self.by_kid.iter();
        let mut listed: Vec<_> = named
            .map(|(kid, key)| (Some(kid.clone()), fits(key)))
            .collect();
        listed.sort_by(|(one, _), (other, _)| one.cmp(other));
        if let (true, Some(only)) = (listed.is_empty(), &self.only) {
            listed.push((None, fits(only)));
        }
        listed
    }

    /// Why keys were left out, once for each.
    pub fn unfit(&self) -> Vec<Unfit> {
        self.skipped.iter().map(|(_, unfit)| *unfit).collect()
    }

    /// The keys left out, by their `kid` where they have one, and why: something to alarm on.
    pub fn skipped(&self) -> &[(Option<String>, Unfit)] {
        &self.skipped
    }
}

fn kid_of(jwk: &Value) -> Option<String> {
    let kid = jwk.as_object()?.get("kid")?.as_str()?;
    Some(kid.to_owned())
}

fn read(jwk: &Value) -> Result<(Option<String>, VerificationKey), Unfit> {
    let jwk = jwk.as_object().ok_or(Unfit::Malformed)?;
    if SECRET_MEMBERS.iter().any(|name| jwk.get(name).is_some()) {
        return Err(Unfit::Secret);
    }
    let kid = optional_text(jwk, "kid")?;
    if kid.is_some_and(|kid| !(1..=MAX_KID_BYTES).contains(&kid.len())) {
        return Err(Unfit::Malformed);
    }
    if !verifies_signatures(jwk)? {
        return Err(Unfit::OtherUse);
    }
    let algorithm = match optional_text(jwk, "alg")? {
        None => None,
        Some(name) => Some(Algorithm::from_name(name).ok_or(Unfit::OtherKind)?),
    };
    let key = VerificationKey::new(material(jwk)?, algorithm);
    if algorithm.is_some_and(|own| !key.fits(own)) {
        return Err(Unfit::Mismatch);
    }
    Ok((kid.map(str::to_owned), key))
}

fn verifies_signatures(jwk: &Object) -> Result<bool, Unfit> {
    let by_use = matches!(optional_text(jwk, "use")?, None | Some("sig"));
    let by_operations = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(all)) => all.iter().any(|o| o.as_str() == Some("verify")),
        Some(_) => return Err(Unfit::Malformed),
    };
    Ok(by_use && by_operations)
}

fn material(jwk: &Object) -> Result<Material, Unfit> {
    let kind = optional_text(jwk, "kty")?.ok_or(Unfit::Malformed)?;
    let curve = optional_text(jwk, "crv")?;
    match (kind, curve) {
        ("RSA", _) => rsa(&octets(jwk, "n")?, &octets(jwk, "e")?),
        ("EC", Some("P-256")) => {
            let point = point(jwk, 32)?;
            let material = ecc(Algorithm::Es256, &ECDSA_P256_SHA256_FIXED, &point, 64)?;
            let library = Some(DecodingKey::from_ec_der(&point));
            let p256 = point.try_into().ok();
            Ok(Material {
                library,
                p256,
                ..material
            })
        }
        ("EC", Some("P-384")) => {
            let point = point(jwk, 48)?;
            let material = ecc(Algorithm::Es384, &ECDSA_P384_SHA384_FIXED, &point, 96)?;
            let library = Some(DecodingKey::from_ec_der(&point));
            Ok(Material {
                library,
                ..material
            })
        }
        ("EC", Some("P-521")) => {
            let point = point(jwk, 66)?;
            ecc(Algorithm::Es512, &ECDSA_P521_SHA512_FIXED, &point, 132)
        }
        ("OKP", Some("Ed25519")) => {
            let x = octets(jwk, "x")?;
            let material = ecc(Algorithm::EdDsa, &ED25519, &x, 64)?;
            let library = Some(DecodingKey::from_ed_der(&x));
            Ok(Material {
                library,
                ..material
            })
        }
        _ => Err(Unfit::OtherKind),
    }
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Material, Unfit> {
    let leading_zeros = match modulus.first() {
        None | Some(0) => return Err(Unfit::Malformed), // RFC 7518 §2: no leading zero octet
        Some(first) => first.leading_zeros() as usize,
    };
    let bits = modulus.len() * 8 - leading_zeros;
    let odd = modulus.last().is_some_and(|last| last & 1 == 1);
    if !RSA_BITS.contains(&bits) || !odd || exponent != RSA_EXPONENT {
        return Err(Unfit::UnsafeRsa);
    }
    if is_factorable(modulus) {
        return Err(Unfit::FactorableRsa);
    }
    let key = RsaPublicKeyComponents {
        n: modulus,
        e: exponent,
    };
    let parse = |(algorithm, parameters): &(Algorithm, &'static RsaParameters)| {
        let parsed = key.to_parsed_public_key(parameters);
        let parsed = parsed.map_err(|_| Unfit::UnsafeRsa)?;
        Ok((*algorithm, parsed))
    };
    Ok(Material {
        parsed: BY_RSA.iter().map(parse).collect::<Result<_, _>>()?,
        library: Some(DecodingKey::from_rsa_raw_components(modulus, exponent)),
        signature_bytes: modulus.len(),
        p256: None,
    })
}

/// What RSA keys verify; RS256 is what one means that names none.
const BY_RSA: &[(Algorithm, &RsaParameters)] = &[
    (Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
    (Algorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
    (Algorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
    (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
    (Algorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
    (Algorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
];

/// An uncompressed point (SEC 1 §2.3.3) from coordinates of the field's full width.
fn point(jwk: &Object, width: usize) -> Result<Vec<u8>, Unfit> {
    let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
    if x.len() != width || y.len() != width {
        return Err(Unfit::InvalidPoint);
    }
    Ok([&[4 /* uncompressed */][..], &x, &y].concat())
}

/// A key on the one curve of one algorithm.
fn ecc(
    algorithm: Algorithm,
    verifier: &'static dyn VerificationAlgorithm,
    point: &[u8],
    signature_bytes: usize,
) -> Result<Material, Unfit> {
    let parsed = ParsedPublicKey::new(verifier, point).map_err(|_| Unfit::InvalidPoint)?;
    Ok(Material {
        parsed: vec![(algorithm, parsed)],
        library: None,
        signature_bytes,
        p256: None,
    })
}

fn optional_text<'a>(jwk: &'a Object, name: &str) -> Result<Option<&'a str>, Unfit> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Unfit::Malformed),
    }
}

fn octets(jwk: &Object, name: &str) -> Result<Vec<u8>, Unfit> {
    let text = optional_text(jwk, name)?.ok_or(Unfit::Malformed)?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Unfit::Malformed)
}

#[cfg(test)]
mod tests;
