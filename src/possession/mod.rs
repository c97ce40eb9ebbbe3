//! The caller's key, and the proof that the caller holds it.
//!
//! Promise: a [`PossessedKey`] is canonical DER of a key that passes the key policy, and whoever
//! sent it has signed with it: either a challenge only this request's identity gives
//! ([`by_signature`]), or a PKCS#10 request around the key itself ([`by_csr`], RFC 2986). The
//! signature is checked over the very bytes that were signed, never over a re-encoding.
//!
//! A key is judged in the order of cost: size of the text, structure, the numbers' own sizes, point
//! on curve, weak primes, the instance's list of refused keys, and the signature at last.
//!
//! Deliberately not here: which identity the challenge belongs to (`identity`), and whether a key
//! is blocked or was seen before (`issuance`).

mod algorithm;
mod csr;
mod key;
mod policy;
mod refused;
mod signature;
mod spki;
mod weak_primes;

pub use algorithm::{AlgorithmList, Hash, KeyKind, Scheme, UnknownAlgorithm};
pub use csr::{CsrError, MAX_CSR_BYTES};
pub use key::{KeyError, MAX_KEY_BYTES, SubjectKey};
pub use policy::Insecure;
pub use refused::{KeyPolicy, MAX_WEAK_KEYS, MAX_WEAK_KEYS_BYTES, WeakKeys, WeakKeysError};
pub use spki::SpkiError;
pub(crate) use weak_primes::is_factorable;

use crate::fault::Reason;
use crate::hash::sha256;

/// A public key that its sender has shown to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossessedKey {
    spki_der: Vec<u8>,
    spki_hash: [u8; 32],
    kind: KeyKind,
}

impl PossessedKey {
    /// Takes the key out of its wrapping, now that its holder is known.
    fn proven(key: SubjectKey) -> Self {
        Self {
            kind: key.kind(),
            spki_hash: Self::hash_of(key.spki_der()),
            spki_der: key.into_spki_der(),
        }
    }

    /// SubjectPublicKeyInfo, canonical DER: the bytes that go into the certificate.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SHA-256 of [`Self::spki_der`]: the name under which records and blocks know this key.
    pub fn spki_hash(&self) -> [u8; 32] {
        self.spki_hash
    }

    fn hash_of(spki_der: &[u8]) -> [u8; 32] {
        sha256(&[spki_der])
    }
}

/// Why a key was not accepted as the caller's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key alone was reason enough.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The certificate signing request is not one.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// The proof is not this key's signature over this identity's challenge.
    #[error("the proof is not the {key} key's {scheme} signature of the challenge")]
    ProofInvalid {
        /// The key.
        key: KeyKind,
        /// The one scheme its proofs are made with.
        scheme: Scheme,
    },
    /// The signing request is not signed by the key inside it.
    #[error("the request is not signed with {scheme} by the {key} key inside it")]
    CsrSignatureInvalid {
        /// The key inside.
        key: KeyKind,
        /// The scheme its signature claims.
        scheme: Scheme,
    },
    /// Key and hash are a pair that is not on the list.
    #[error("{key} key, {scheme} signature")]
    NotPermitted {
        /// The key.
        key: KeyKind,
        /// The scheme it signed with.
        scheme: Scheme,
    },
    /// The signing request names an algorithm we do not check.
    #[error("unrecognized signature algorithm: {algorithm}")]
    Unrecognized {
        /// Its object identifier, in dots.
        algorithm: String,
    },
}

impl Error {
    /// The stable word for the answer.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Key(error) => error.reason(),
            Self::Csr(CsrError::Key(KeyError::Insecure(_))) => Reason::PublicKeyInsecure,
            Self::Csr(_) => Reason::CsrMalformed,
            Self::ProofInvalid { .. } | Self::CsrSignatureInvalid { .. } => Reason::ProofInvalid,
            Self::NotPermitted { .. } | Self::Unrecognized { .. } => Reason::AlgorithmNotPermitted,
        }
    }
}

/// Proof by signature: `proof` is `key`'s signature over the octets of `challenge`.
///
/// An ECDSA proof may be ASN.1 DER or the two integers side by side (IEEE P1363); either may
/// have a high s, as ordinary signers produce it half of the time.
pub fn by_signature(
    key: SubjectKey,
    challenge: impl AsRef<[u8]>,
    proof: &[u8],
    policy: &KeyPolicy,
) -> Result<PossessedKey, Error> {
    policy.admit(&key)?;
    let (kind, scheme) = (key.kind(), key.kind().scheme());
    signature::verify_proof(&key, challenge.as_ref(), proof)
        .map_err(|signature::Invalid| Error::ProofInvalid { key: kind, scheme })?;
    if !policy.permits(kind, scheme) {
        return Err(Error::NotPermitted { key: kind, scheme });
    }
    Ok(PossessedKey::proven(key))
}

/// Proof by PKCS#10: the PEM request `csr` is signed by the key inside it.
///
/// Only key and signature count. Subject, alternative names and requested extensions are what
/// clients happen to send; the identity comes from the token alone.
pub fn by_csr(csr: &[u8], policy: &KeyPolicy) -> Result<PossessedKey, Error> {
    let der = csr::from_pem(csr)?;
    let request = csr::Request::from_der(&der)?;
    let key = request.key()?;
    policy.admit(&key)?;
    let kind = key.kind();
    let scheme = Scheme::from_identifier(request.signature_algorithm).ok_or_else(|| {
        Error::Unrecognized {
            algorithm: request.signature_algorithm_name(),
        }
    })?;
    signature::verify(&key, scheme, request.info, request.signature)
        .map_err(|signature::Invalid| Error::CsrSignatureInvalid { key: kind, scheme })?;
    if !policy.permits(kind, scheme) {
        return Err(Error::NotPermitted { key: kind, scheme });
    }
    Ok(PossessedKey::proven(key))
}
