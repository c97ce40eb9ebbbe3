//! Signatures by subject keys, checked by aws-lc-rs over the bytes as they came.

use super::{Hash, KeyKind, Scheme, SubjectKey};
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};

/// The signature is not this key's over this message.
#[derive(Debug)]
pub(super) struct Invalid;

type Verifier = &'static dyn VerificationAlgorithm;

/// The verifier of the one scheme a kind proves possession with.
pub(super) fn verifier_of(kind: KeyKind) -> Verifier {
    match kind {
        KeyKind::EcdsaP256 => &lc::ECDSA_P256_SHA256_ASN1,
        KeyKind::EcdsaP384 => &lc::ECDSA_P384_SHA384_ASN1,
        KeyKind::EcdsaP521 => &lc::ECDSA_P521_SHA512_ASN1,
        KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => &lc::RSA_PKCS1_2048_8192_SHA256,
        KeyKind::Ed25519 => &lc::ED25519,
    }
}

/// The verifier of any scheme a signing request may name; `None` if the key cannot make it.
fn verifier(kind: KeyKind, scheme: Scheme) -> Option<Verifier> {
    match (kind, scheme) {
        (KeyKind::EcdsaP256, Scheme::Ecdsa(hash)) => Some(match hash {
            Hash::Sha256 => &lc::ECDSA_P256_SHA256_ASN1,
            Hash::Sha384 => &lc::ECDSA_P256_SHA384_ASN1,
            Hash::Sha512 => &lc::ECDSA_P256_SHA512_ASN1,
        }),
        (KeyKind::EcdsaP384, Scheme::Ecdsa(hash)) => Some(match hash {
            Hash::Sha256 => &lc::ECDSA_P384_SHA256_ASN1,
            Hash::Sha384 => &lc::ECDSA_P384_SHA384_ASN1,
            Hash::Sha512 => &lc::ECDSA_P384_SHA512_ASN1,
        }),
        (KeyKind::EcdsaP521, Scheme::Ecdsa(hash)) => Some(match hash {
            Hash::Sha256 => &lc::ECDSA_P521_SHA256_ASN1,
            Hash::Sha384 => &lc::ECDSA_P521_SHA384_ASN1,
            Hash::Sha512 => &lc::ECDSA_P521_SHA512_ASN1,
        }),
        (KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096, Scheme::RsaPkcs1(hash)) => {
            Some(match hash {
                Hash::Sha256 => &lc::RSA_PKCS1_2048_8192_SHA256,
                Hash::Sha384 => &lc::RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => &lc::RSA_PKCS1_2048_8192_SHA512,
            })
        }
        (KeyKind::Ed25519, Scheme::Ed25519) => Some(&lc::ED25519),
        (
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521,
            Scheme::RsaPkcs1(_) | Scheme::Ed25519,
        )
        | (
            KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096,
            Scheme::Ecdsa(_) | Scheme::Ed25519,
        )
        | (KeyKind::Ed25519, Scheme::Ecdsa(_) | Scheme::RsaPkcs1(_)) => None,
    }
}

/// The two integers of an ECDSA signature side by side, each as wide as the curve's order.
fn side_by_side(kind: KeyKind) -> Option<(usize, Verifier)> {
    match kind {
        KeyKind::EcdsaP256 => Some((2 * 32, &lc::ECDSA_P256_SHA256_FIXED)),
        KeyKind::EcdsaP384 => Some((2 * 48, &lc::ECDSA_P384_SHA384_FIXED)),
        KeyKind::EcdsaP521 => Some((2 * 66, &lc::ECDSA_P521_SHA512_FIXED)),
        KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 | KeyKind::Ed25519 => None,
    }
}

/// Checks a signature of the named scheme, ECDSA in DER.
pub(super) fn verify(
    key: &SubjectKey,
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Invalid> {
    if scheme == key.kind().scheme() {
        return key
            .parsed()
            .verify_sig(message, signature)
            .map_err(|_| Invalid);
    }
    let verifier = verifier(key.kind(), scheme).ok_or(Invalid)?;
    UnparsedPublicKey::new(verifier, key.parsed())
        .verify(message, signature)
        .map_err(|_| Invalid)
}

/// Checks a proof of possession: the key's own scheme; ECDSA in DER or, failing that, P1363.
///
/// DER first: 64 octets may be read either way, and most clients mean DER.
pub(super) fn verify_proof(
    key: &SubjectKey,
    challenge: &[u8],
    proof: &[u8],
) -> Result<(), Invalid> {
    let as_der = verify(key, key.kind().scheme(), challenge, proof);
    match side_by_side(key.kind()) {
        Some((width, verifier)) if as_der.is_err() && proof.len() == width => {
            UnparsedPublicKey::new(verifier, key.parsed())
                .verify(challenge, proof)
                .map_err(|_| Invalid)
        }
        _ => as_der,
    }
}
