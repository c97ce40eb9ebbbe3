//! The algorithms of CA keys: ECDSA on two curves, each with its one hash.
//!
//! P-521, RSA and Ed25519 CAs are left out on purpose: for each there is a client that cannot
//! verify it.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, EcdsaVerificationAlgorithm, UnparsedPublicKey,
};

use super::oid;
use crate::der::{self, Reader, tag};

/// A signature algorithm of a CA key, with its one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 on P-256.
    EcdsaP256Sha256,
    /// ecdsa-with-SHA384 on P-384.
    EcdsaP384Sha384,
}

/// The signature is not by this key over this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: &'static [Self] = &[Self::EcdsaP256Sha256, Self::EcdsaP384Sha384];

    /// Its identifier's content octets.
    pub fn oid(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256Sha256 => oid::ECDSA_SHA256,
            Self::EcdsaP384Sha384 => oid::ECDSA_SHA384,
        }
    }

    /// The curve's identifier, content octets.
    pub fn curve(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256Sha256 => oid::P256,
            Self::EcdsaP384Sha384 => oid::P384,
        }
    }

    /// Octets of a coordinate, and of r and s at most.
    pub fn field_octets(self) -> usize {
        match self {
            Self::EcdsaP256Sha256 => 32,
            Self::EcdsaP384Sha384 => 48,
        }
    }

    /// AlgorithmIdentifier, DER; parameters are absent (RFC 5758 §3.2).
    pub fn identifier(self) -> &'static [u8] {
        match self {
            Self::EcdsaP256Sha256 => {
                &[0x30, 10, tag::OID, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]
            }
            Self::EcdsaP384Sha384 => {
                &[0x30, 10, tag::OID, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]
            }
        }
    }

    /// The algorithm of an AlgorithmIdentifier, if it is one of ours in its only form.
    pub fn from_identifier(identifier: &[u8]) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|algorithm| algorithm.identifier() == identifier)
    }

    /// SubjectPublicKeyInfo, DER, of a key on this curve; `point` is uncompressed.
    pub fn spki(self, point: &[u8]) -> Vec<u8> {
        let identifier = der::sequence(&[
            &der::tlv(tag::OID, &[oid::EC_PUBLIC_KEY]),
            &der::tlv(tag::OID, &[self.curve()]),
        ]);
        der::sequence(&[&identifier, &der::bit_string(point)])
    }

    /// The algorithm a key of this SubjectPublicKeyInfo signs with, if it is one of ours: the
    /// named curve, the uncompressed point, the canonical encoding.
    pub fn of_key(spki: &[u8]) -> Option<Self> {
        let point = subject_public_key(spki).ok()?;
        let mut all = Self::ALL.iter().copied();
        all.find(|algorithm| {
            point.len() == 1 + 2 * algorithm.field_octets()
                && point[0] == 4 // uncompressed (SEC 1 §2.3.3)
                && algorithm.spki(point) == spki
        })
    }

    /// Verifies a DER signature over `message` by the key in `spki`.
    pub fn verify(self, spki: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if Self::of_key(spki) != Some(self) {
            return Err(BadSignature);
        }
        let point = subject_public_key(spki).map_err(|_| BadSignature)?;
        UnparsedPublicKey::new(self.verification(), point)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }

    fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &ECDSA_P384_SHA384_ASN1,
        }
    }
}

/// As RFC 5758 spells it, with the curve, which the identifier does not say.
impl std::fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256Sha256 => "ecdsa-with-SHA256 on P-256",
            Self::EcdsaP384Sha384 => "ecdsa-with-SHA384 on P-384",
        })
    }
}

/// The identifier of a key by RFC 5280 §4.2.1.2 method 1: a name, no security, hence SHA-1.
pub fn key_identifier(spki: &[u8]) -> Result<[u8; 20], der::Error> {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, subject_public_key(spki)?);
    let mut identifier = [0; 20];
    identifier.copy_from_slice(hash.as_ref());
    Ok(identifier)
}

/// The octets of the subjectPublicKey BIT STRING inside a SubjectPublicKeyInfo.
pub fn subject_public_key(spki: &[u8]) -> Result<&[u8], der::Error> {
    let mut fields = Reader::new(der::single(spki, tag::SEQUENCE)?.content);
    fields.expect(tag::SEQUENCE)?;
    let bits = fields.expect(tag::BIT_STRING)?;
    fields.end()?;
    match bits.content {
        [0 /* unused bits */, key @ ..] => Ok(key),
        _ => Err(der::Error::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_found_again_by_its_identifier() {
        for algorithm in SignatureAlgorithm::ALL {
            let identifier = algorithm.identifier();
            let named = der::tlv(tag::OID, &[algorithm.oid()]);
            assert_eq!(identifier, der::sequence(&[&named]));
            assert_eq!(
                SignatureAlgorithm::from_identifier(identifier),
                Some(*algorithm)
            );
        }
        // With NULL parameters it is another algorithm's habit (RSA), not ours.
        let with_null = der::sequence(&[&der::tlv(tag::OID, &[oid::ECDSA_SHA384]), &[5, 0]]);
        assert_eq!(SignatureAlgorithm::from_identifier(&with_null), None);
    }

    #[test]
    fn a_key_is_ours_by_curve_and_uncompressed_point() {
        let p384 = SignatureAlgorithm::EcdsaP384Sha384;
        let point = [&[4][..], &[7; 96]].concat();
        assert_eq!(SignatureAlgorithm::of_key(&p384.spki(&point)), Some(p384));
        let compressed = [&[2][..], &[7; 48]].concat();
        assert_eq!(SignatureAlgorithm::of_key(&p384.spki(&compressed)), None);
        let p256 = SignatureAlgorithm::EcdsaP256Sha256;
        assert_eq!(SignatureAlgorithm::of_key(&p256.spki(&point)), None);
        assert_eq!(SignatureAlgorithm::of_key(&[]), None);
    }
}
