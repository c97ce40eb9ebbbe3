//! A log's public key: P-256 or RSA of at least 2048 bits (RFC 6962 §2.1.4), and its id.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::LogId;
use super::error::SctError;
use super::wire::{Malformed, Reader, put_octets16};
use crate::fixed_key::{POINT_BYTES, PreparedKey, Signature};
use crate::hash::sha256;

/// Smallest RSA modulus of a log (RFC 6962 §2.1.4).
pub const RSA_BITS_MIN: usize = 2048;

/// HashAlgorithm.sha256 (RFC 5246 §7.4.1.4.1).
const HASH_SHA256: u8 = 4;

/// Why a log key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither of the two algorithms, or no public key at all.
    #[error("log key is not the SubjectPublicKeyInfo of a P-256 or RSA key")]
    Unsupported,
    /// The modulus is too small.
    #[error("log key is RSA of {bits} bits, at least {RSA_BITS_MIN} are needed")]
    RsaTooSmall {
        /// The modulus in bits.
        bits: usize,
    },
    /// Another encoding of the key than DER's only one: its hash would not be the log's id.
    #[error("log key is not in its canonical DER encoding")]
    NotCanonical,
    /// The private key is not a P-256 key in PKCS#8, or cannot be made.
    #[error("log signing key is not a P-256 key in PKCS#8")]
    PrivateKey,
}

/// The kinds of key a log may have (RFC 6962 §2.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rsa {
        /// The modulus in bits.
        bits: usize,
    },
}

impl KeyKind {
    /// SignatureAlgorithm (RFC 5246 §7.4.1.4.1).
    fn code(self) -> u8 {
        match self {
            Self::Rsa { .. } => 1,
            Self::EcdsaP256 => 3,
        }
    }
}

/// A log's public key. Cheap to clone.
#[derive(Clone)]
pub struct LogKey {
    id: LogId,
    spki: Arc<[u8]>,
    kind: KeyKind,
    key: ParsedPublicKey,
    /// Filled by [`Self::prepare`], for every clone at once.
    prepared: Arc<OnceLock<PreparedKey>>,
}

impl LogKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let (_, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| KeyError::Unsupported)?;
        let (kind, key) = if let Ok(x509_parser::public_key::PublicKey::RSA(rsa)) = info.parsed() {
            let bits = bits(rsa.modulus);
            if bits < RSA_BITS_MIN {
                return Err(KeyError::RsaTooSmall { bits });
            }
            let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki);
            (KeyKind::Rsa { bits }, key)
        } else {
            let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki);
            (KeyKind::EcdsaP256, key)
        };
        let key = key.map_err(|_| KeyError::Unsupported)?;
        let canonical: PublicKeyX509Der<'_> = key.as_der().map_err(|_| KeyError::Unsupported)?;
        if canonical.as_ref() != spki {
            return Err(KeyError::NotCanonical);
        }
        Ok(Self {
            id: LogId(sha256(&[spki])),
            spki: spki.into(),
            kind,
            key,
            prepared: Arc::default(),
        })
    }

    /// Makes this key and its clones verify faster from here on, where it is a P-256 key. Takes
    /// milliseconds, half a megabyte for the first key of the process and half of that for each
    /// further one: worth it for a key that verifies thousands of SCTs, off a request's path.
    pub fn prepare(&self) {
        let point: Option<&[u8; POINT_BYTES]> = match self.kind {
            // The canonical encoding ends with the uncompressed point.
            KeyKind::EcdsaP256 => self.spki.last_chunk(),
            KeyKind::Rsa { .. } => None,
        };
        if !self.is_prepared()
            && let Some(prepared) = point.and_then(PreparedKey::of)
        {
            // Somebody else may have been faster with the same table.
            let _ = self.prepared.set(prepared);
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    pub fn id(&self) -> LogId {
        self.id
    }

    /// What kind of key it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The SubjectPublicKeyInfo in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether [`Self::prepare`] has done its work.
    pub fn is_prepared(&self) -> bool {
        self.prepared.get().is_some()
    }

    /// Checks a DigitallySigned structure (RFC 5246 §4.7), all of it, over `message`.
    pub fn verify(&self, message: &[u8], digitally_signed: &[u8]) -> Result<(), SctError> {
        let signed = DigitallySigned::parse(digitally_signed)?;
        if signed.hash != HASH_SHA256 {
            return Err(SctError::HashAlgorithm { got: signed.hash });
        }
        // The key decides what the signature is; the structure may only agree.
        let want = self.kind.code();
        if signed.algorithm != want {
            return Err(SctError::SignatureAlgorithm {
                got: signed.algorithm,
                want,
            });
        }
        if self.holds_as_prepared(message, signed.signature) {
            return Ok(());
        }
        // Not prepared, or no yes: aws-lc-rs decides.
        self.key
            .verify_sig(message, signed.signature)
            .map_err(|_| SctError::SignatureInvalid { log: self.id })
    }

    /// Only `true` is a verdict.
    fn holds_as_prepared(&self, message: &[u8], signature: &[u8]) -> bool {
        self.prepared.get().is_some_and(|prepared| {
            prepared.holds(&sha256(&[message]), Signature::from_der(signature))
        })
    }
}

impl PartialEq for LogKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for LogKey {}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({:?} {})", self.kind, self.id)
    }
}

/// How long a big-endian number is.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    let top = number.get(zeros).map_or(8, |octet| octet.leading_zeros());
    ((number.len() - zeros) * 8).saturating_sub(top as usize)
}

/// The parts of a DigitallySigned structure.
pub(super) struct DigitallySigned<'a> {
    hash: u8,
    algorithm: u8,
    signature: &'a [u8],
}

impl<'a> DigitallySigned<'a> {
    /// Reads exactly one structure from all of `bytes`.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let parsed = Self {
            hash: reader.u8()?,
            algorithm: reader.u8()?,
            signature: reader.octets16()?,
        };
        reader.end()?;
        Ok(parsed)
    }
}

/// An ECDSA P-256 signature over a SHA-256 hash, as a DigitallySigned structure.
pub(super) fn digitally_signed_ecdsa(signature: &[u8]) -> Vec<u8> {
    let mut out = vec![HASH_SHA256, KeyKind::EcdsaP256.code()];
    put_octets16(&mut out, signature);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixed_key::Answer;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PKCS1_SHA256,
    };
    use p256::elliptic_curve::PrimeField;
    use p256::elliptic_curve::ops::Reduce;
    use p256::elliptic_curve::sec1::{FromSec1Point, ToSec1Point};
    use p256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar, Sec1Point};

    fn p256() -> (EcdsaKeyPair, LogKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = LogKey::from_spki_der(spki.as_ref()).unwrap();
        (pair, key)
    }

    /// A key with a table of its own, or with somebody else's.
    fn prepared_as(key: &LogKey, whose: &LogKey) -> LogKey {
        let key = LogKey::from_spki_der(key.spki()).unwrap();
        let table = PreparedKey::of(whose.spki().last_chunk().unwrap()).unwrap();
        key.prepared.set(table).unwrap();
        key
    }

    fn rsa() -> (RsaKeyPair, LogKey) {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = LogKey::from_spki_der(spki.as_ref()).unwrap();
        (pair, key)
    }

    fn signed_by_ecdsa(pair: &EcdsaKeyPair) -> Vec<u8> {
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        digitally_signed_ecdsa(signature.as_ref())
    }

    fn signed_by_rsa(pair: &RsaKeyPair) -> Vec<u8> {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            b"message",
            &mut signature,
        )
        .unwrap();
        let mut out = vec![4, 1];
        put_octets16(&mut out, &signature);
        out
    }

    /// The key under which r = 3, s = 1 is the signature of `message`, with the point of x = n + 3
    /// as its R: Q = (s·R − e·G) ÷ r.
    fn key_that_signs_with_x_above_n(message: &[u8]) -> LogKey {
        let mut x = (-Scalar::ONE).to_repr();
        x[31] += 4; // n − 1, which ends in 0x50
        let encoded = Sec1Point::from_bytes([&[2], &x[..]].concat()).unwrap();
        let point: Option<AffinePoint> = AffinePoint::from_sec1_point(&encoded).into();
        let e = Scalar::reduce(&FieldBytes::from(sha256(&[message])));
        let third = Scalar::from(3u64).invert().unwrap();
        let point = ProjectivePoint::from(point.unwrap()) - ProjectivePoint::GENERATOR * e;
        let encoded = AffinePoint::from(point * third).to_sec1_point(false);
        let (_, any) = p256();
        let spki = [&any.spki()[..26], encoded.as_bytes()].concat();
        LogKey::from_spki_der(&spki).unwrap()
    }

    #[test]
    fn both_kinds_of_log_key_verify_what_they_signed() {
        let (pair, key) = p256();
        assert_eq!(key.verify(b"message", &signed_by_ecdsa(&pair)), Ok(()));
        assert_eq!(
            key.verify(b"another", &signed_by_ecdsa(&pair)),
            Err(SctError::SignatureInvalid { log: key.id() })
        );
        let (pair, key) = rsa();
        assert_eq!(key.verify(b"message", &signed_by_rsa(&pair)), Ok(()));
        assert_eq!(
            key.verify(b"another", &signed_by_rsa(&pair)),
            Err(SctError::SignatureInvalid { log: key.id() })
        );
    }

    #[test]
    fn a_prepared_key_gives_the_same_verdicts() {
        let (pair, key) = p256();
        let clone = key.clone();
        assert!(!clone.is_prepared());
        key.prepare();
        key.prepare();
        assert!(clone.is_prepared());
        let signed = signed_by_ecdsa(&pair);
        assert!(clone.holds_as_prepared(b"message", &signed[4..]));
        assert!(!clone.holds_as_prepared(b"another", &signed[4..]));
        assert_eq!(clone.verify(b"message", &signed), Ok(()));
        let refused = SctError::SignatureInvalid { log: key.id() };
        assert_eq!(clone.verify(b"another", &signed), Err(refused));
        let longer = [&signed[..], &[0]].concat();
        let error = clone.verify(b"message", &longer);
        assert_eq!(error, Err(SctError::Trailing { extra: 1 }));
    }

    #[test]
    fn a_refusal_by_the_table_is_confirmed_before_it_counts() {
        let ((pair, key), (stranger, other)) = (p256(), p256());
        let misled = prepared_as(&key, &other);
        let signed = signed_by_ecdsa(&pair);
        assert!(!misled.holds_as_prepared(b"message", &signed[4..]));
        assert_eq!(misled.verify(b"message", &signed), Ok(()));
        // What both refuse is refused.
        let refused = SctError::SignatureInvalid { log: key.id() };
        let error = misled.verify(b"another", &signed_by_ecdsa(&stranger));
        assert_eq!(error, Err(refused));
    }

    /// The x coordinate of this signature's point is n + 3, so its r is 3: the table cannot tell
    /// whether an x of 3 was meant.
    #[test]
    fn what_the_table_leaves_undecided_is_decided() {
        let (hash, key) = (
            sha256(&[b"message"]),
            key_that_signs_with_x_above_n(b"message"),
        );
        let prepared = prepared_as(&key, &key);
        let signature = Signature::from_der(&[0x30, 6, 2, 1, 3, 2, 1, 1]).unwrap();
        let table = prepared.prepared.get().unwrap();
        assert_eq!(table.check(&hash, &signature), Answer::Undecided);
        let signed = |s| digitally_signed_ecdsa(&[0x30, 6, 2, 1, 3, 2, 1, s]);
        assert_eq!(prepared.verify(b"message", &signed(1)), Ok(()));
        let refused = SctError::SignatureInvalid { log: key.id() };
        assert_eq!(prepared.verify(b"message", &signed(2)), Err(refused));
    }

    #[test]
    fn an_rsa_key_has_nothing_to_prepare() {
        let (pair, key) = rsa();
        key.prepare();
        assert!(!key.is_prepared());
        assert_eq!(key.verify(b"message", &signed_by_rsa(&pair)), Ok(()));
    }

    #[test]
    fn a_signature_of_the_other_kind_is_refused_by_its_label() {
        let ((ecdsa, ecdsa_key), (rsa, rsa_key)) = (p256(), rsa());
        assert_eq!(
            ecdsa_key.verify(b"message", &signed_by_rsa(&rsa)),
            Err(SctError::SignatureAlgorithm { got: 1, want: 3 })
        );
        assert_eq!(
            rsa_key.verify(b"message", &signed_by_ecdsa(&ecdsa)),
            Err(SctError::SignatureAlgorithm { got: 3, want: 1 })
        );
        // And by its content, when the label lies.
        let mut lying = signed_by_rsa(&rsa);
        lying[1] = 3;
        assert_eq!(
            ecdsa_key.verify(b"message", &lying),
            Err(SctError::SignatureInvalid {
                log: ecdsa_key.id()
            })
        );
    }

    #[test]
    fn only_sha_256_is_taken() {
        let (pair, key) = p256();
        let mut signed = signed_by_ecdsa(&pair);
        signed[0] = 2; // SHA-1
        assert_eq!(
            key.verify(b"message", &signed),
            Err(SctError::HashAlgorithm { got: 2 })
        );
    }

    #[test]
    fn a_signature_cut_short_or_followed_by_an_octet_is_refused() {
        let (pair, key) = p256();
        let signed = signed_by_ecdsa(&pair);
        assert_eq!(
            key.verify(b"message", &signed[..signed.len() - 1]),
            Err(SctError::Truncated)
        );
        let longer = [&signed[..], &[0]].concat();
        assert_eq!(
            key.verify(b"message", &longer),
            Err(SctError::Trailing { extra: 1 })
        );
    }

    #[test]
    fn the_id_is_the_hash_of_the_key() {
        let (_, key) = p256();
        assert_eq!(key.id().0, sha256(&[key.spki()]));
    }

    #[test]
    fn other_curves_and_bytes_that_are_no_key_are_refused() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        assert_eq!(
            LogKey::from_spki_der(spki.as_ref()),
            Err(KeyError::Unsupported)
        );
        let (pair, _) = p256();
        let bare_point = pair.public_key().as_ref();
        assert_eq!(
            LogKey::from_spki_der(bare_point),
            Err(KeyError::Unsupported)
        );
        assert_eq!(LogKey::from_spki_der(b""), Err(KeyError::Unsupported));
    }

    #[test]
    fn a_key_in_another_encoding_than_its_own_is_refused() {
        let (_, key) = p256();
        let longer = [key.spki(), &[0]].concat();
        assert_eq!(LogKey::from_spki_der(&longer), Err(KeyError::NotCanonical));
        // The same point compressed: another hash, hence another log id, for the same key.
        let (head, point) = key.spki().split_at(26);
        let mut compressed = [head, &[2 | point[64] & 1], &point[1..33]].concat();
        compressed[1] -= 32; // SubjectPublicKeyInfo
        compressed[24] -= 32; // subjectPublicKey
        let error = LogKey::from_spki_der(&compressed);
        assert_eq!(error, Err(KeyError::NotCanonical));
        assert_eq!(LogKey::from_spki_der(key.spki()), Ok(key));
    }

    #[test]
    fn an_rsa_key_of_1024_bits_is_refused() {
        let spki = rsa_1024_spki();
        assert_eq!(
            LogKey::from_spki_der(&spki),
            Err(KeyError::RsaTooSmall { bits: 1024 })
        );
    }

    /// A well-formed SubjectPublicKeyInfo around a 1024-bit modulus nobody has factors of.
    fn rsa_1024_spki() -> Vec<u8> {
        let mut modulus = vec![0x00, 0xc5];
        modulus.extend([0x5b; 127]);
        let mut key = vec![0x30, 0x81, 0x89, 0x02, 0x81, 0x81];
        key.extend(modulus);
        key.extend([0x02, 0x03, 0x01, 0x00, 0x01]);
        let mut bits = vec![0x03, 0x81, 0x8d, 0x00];
        bits.extend(key);
        let rsa_encryption = [
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
            0x00,
        ];
        let mut spki = vec![0x30, 0x81, (rsa_encryption.len() + bits.len()) as u8];
        spki.extend(rsa_encryption);
        spki.extend(bits);
        spki
    }
}
