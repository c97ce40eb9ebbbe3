//! The public key as clients send it: PEM or DER, in the handful of forms that exist.
//!
//! Accepted are PEM `PUBLIC KEY` and `RSA PUBLIC KEY` (the latter is wrapped) and bare DER of a
//! SubjectPublicKeyInfo. Curves are named, points uncompressed and on their curve (RFC 5480 §2);
//! whatever has a second spelling is refused in that spelling.

use super::policy::{self, Insecure};
use super::spki::{self, Spki, SpkiError};
use super::{KeyKind, Scheme, signature};
use crate::der::{self, tag};
use crate::fault::Reason;
use crate::x509::{oid, pem};
use aws_lc_rs::signature::ParsedPublicKey;
use curve25519_dalek::edwards::CompressedEdwardsY;

/// The largest key text that is looked at; an RSA-4096 key in PEM takes 800 bytes.
pub const MAX_KEY_BYTES: usize = 16 * 1024;

/// Why bytes are not a key to certify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Nothing was sent.
    #[error("no public key")]
    Missing,
    /// More than [`MAX_KEY_BYTES`].
    #[error("the public key is {bytes} bytes long, at most {MAX_KEY_BYTES} are read")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// It begins like PEM and is not.
    #[error("the public key is not valid PEM")]
    Pem,
    /// One key per request.
    #[error("the public key is {blocks} PEM blocks, not one")]
    Blocks {
        /// How many blocks there are.
        blocks: usize,
    },
    /// A PEM block of something else.
    #[error("the PEM block is labelled {label:?}, not \"PUBLIC KEY\" or \"RSA PUBLIC KEY\"")]
    Label {
        /// Its label, cut to a bearable length.
        label: String,
    },
    /// Not one canonical structure.
    #[error("the public key is not canonical DER: {0}")]
    NotCanonical(#[from] SpkiError),
    /// The algorithm's parameters are not the ones its standard prescribes.
    #[error("the algorithm parameters of the {algorithm} key are not as its standard has them")]
    Parameters {
        /// ECDSA, RSA or Ed25519.
        algorithm: &'static str,
    },
    /// A curve spelled out by its numbers: the base point would be the sender's choice (CVE-2020-0601).
    #[error("the curve is given by explicit parameters, not by name")]
    ExplicitCurve,
    /// Compressed, hybrid, at infinity, or of the wrong length.
    #[error("the {kind} point is not in uncompressed form")]
    PointForm {
        /// Whose curve it had to be on.
        kind: KeyKind,
    },
    /// Coordinates out of range or off the curve (SP 800-56A §5.6.2.3.3).
    #[error("the {kind} point is not on its curve")]
    PointNotOnCurve {
        /// The curve.
        kind: KeyKind,
    },
    /// Not 32 octets, or a y coordinate of p or above (RFC 8032 §5.1.3).
    #[error("the Ed25519 point is not 32 octets in canonical form")]
    Ed25519Encoding,
    /// It parses, and the key policy refuses it.
    #[error(transparent)]
    Insecure(#[from] Insecure),
}

impl KeyError {
    /// The stable word for the answer.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Insecure(_) => Reason::PublicKeyInsecure,
            Self::Missing
            | Self::TooLarge { .. }
            | Self::Pem
            | Self::Blocks { .. }
            | Self::Label { .. }
            | Self::NotCanonical(_)
            | Self::Parameters { .. }
            | Self::ExplicitCurve
            | Self::PointForm { .. }
            | Self::PointNotOnCurve { .. }
            | Self::Ed25519Encoding => Reason::PublicKeyMalformed,
        }
    }
}

/// A key that parses and passes the key policy. Nobody has shown yet to hold it.
#[derive(Clone, Debug)]
pub struct SubjectKey {
    kind: KeyKind,
    spki_der: Vec<u8>,
    parsed: ParsedPublicKey,
}

impl SubjectKey {
    /// Reads the key in any form of the contract.
    pub fn from_bytes(content: &[u8]) -> Result<Self, KeyError> {
        match content.len() {
            0 => return Err(KeyError::Missing),
            bytes if bytes > MAX_KEY_BYTES => return Err(KeyError::TooLarge { bytes }),
            _ => {}
        }
        // No DER begins with white space or a dash, so the two forms cannot be confused.
        if !content.trim_ascii_start().starts_with(b"-") {
            return Self::from_spki_der(content.to_vec());
        }
        let block = only_block(content)?;
        match block.label.as_str() {
            "PUBLIC KEY" => Self::from_spki_der(block.der),
            // PKCS#1: wrapped, then judged like any other.
            "RSA PUBLIC KEY" => Self::from_spki_der(spki::wrap_rsa(&block.der)),
            other => Err(KeyError::Label {
                label: other.chars().take(LABEL_SHOWN).collect(),
            }),
        }
    }

    /// Reads the canonical DER of a SubjectPublicKeyInfo.
    pub(super) fn from_spki_der(der: Vec<u8>) -> Result<Self, KeyError> {
        let (kind, bits) = read(&der)?;
        let parsed =
            ParsedPublicKey::new(signature::verifier_of(kind), bits).map_err(|_| rejected(kind))?;
        Ok(Self {
            kind,
            parsed,
            spki_der: der,
        })
    }

    /// The kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SubjectPublicKeyInfo, canonical DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }

    /// The key, ready to verify signatures of [`KeyKind::scheme`].
    pub(super) fn parsed(&self) -> &ParsedPublicKey {
        &self.parsed
    }

    pub(super) fn into_spki_der(self) -> Vec<u8> {
        self.spki_der
    }
}

/// As much of an unknown label as is quoted back.
const LABEL_SHOWN: usize = 40;

fn only_block(text: &[u8]) -> Result<pem::Block, KeyError> {
    let text = str::from_utf8(text).map_err(|_| KeyError::Pem)?;
    let blocks = pem::decode(text).map_err(|_| KeyError::Pem)?;
    match <[pem::Block; 1]>::try_from(blocks) {
        Ok([block]) => Ok(block),
        Err(blocks) => Err(KeyError::Blocks {
            blocks: blocks.len(),
        }),
    }
}

/// The kind of key, and the octets of subjectPublicKey.
fn read(der: &[u8]) -> Result<(KeyKind, &[u8]), KeyError> {
    let spki = Spki::from_der(der)?;
    let kind = match spki.algorithm {
        oid::EC_PUBLIC_KEY => ec(&spki)?,
        oid::RSA_ENCRYPTION => rsa(&spki)?,
        oid::ED25519 => ed25519(&spki)?,
        other => {
            return Err(Insecure::Algorithm {
                oid: spki::shown(other),
            })?;
        }
    };
    Ok((kind, spki.bits))
}

fn ec(spki: &Spki<'_>) -> Result<KeyKind, KeyError> {
    if spki.parameters.first() == Some(&tag::SEQUENCE) {
        return Err(KeyError::ExplicitCurve);
    }
    let name = der::single(spki.parameters, tag::OID)
        .map_err(|_| KeyError::Parameters { algorithm: "ECDSA" })?;
    let (kind, width) = match name.content {
        oid::P256 => (KeyKind::EcdsaP256, 32),
        oid::P384 => (KeyKind::EcdsaP384, 48),
        oid::P521 => (KeyKind::EcdsaP521, 66),
        other if oid::arcs(other).is_none() => {
            return Err(KeyError::Parameters { algorithm: "ECDSA" });
        }
        other => {
            return Err(Insecure::Curve {
                oid: spki::shown(other),
            })?;
        }
    };
    // SEC 1 §2.3.3: 04, X, Y. The other forms name the same points a second time.
    if spki.bits.first() != Some(&0x04) || spki.bits.len() != 1 + 2 * width {
        return Err(KeyError::PointForm { kind });
    }
    Ok(kind)
}

fn rsa(spki: &Spki<'_>) -> Result<KeyKind, KeyError> {
    if spki.parameters != spki::NULL {
        return Err(KeyError::Parameters { algorithm: "RSA" });
    }
    let (modulus, exponent) = spki::rsa_numbers(spki.bits)?;
    Ok(policy::rsa(modulus, exponent)?)
}

fn ed25519(spki: &Spki<'_>) -> Result<KeyKind, KeyError> {
    if !spki.parameters.is_empty() {
        // RFC 8410 §3: MUST be absent.
        return Err(KeyError::Parameters {
            algorithm: "Ed25519",
        });
    }
    let point = <&[u8; 32]>::try_from(spki.bits).map_err(|_| KeyError::Ed25519Encoding)?;
    if !is_below_p(point) {
        return Err(KeyError::Ed25519Encoding);
    }
    // aws-lc-rs looks at this only when it verifies, where it would be the proof's fault.
    let Some(point) = CompressedEdwardsY(*point).decompress() else {
        let kind = KeyKind::Ed25519;
        return Err(KeyError::PointNotOnCurve { kind });
    };
    Ok(policy::ed25519(&point)?)
}

/// Whether the little-endian y, its sign bit aside, is below p = 2^255 - 19.
fn is_below_p(point: &[u8; 32]) -> bool {
    let high_bits_are_ones = point[31] & 0x7f == 0x7f && point[1..31].iter().all(|o| *o == 0xff);
    !(high_bits_are_ones && point[0] >= 0xed)
}

/// What it means that aws-lc-rs refused a key whose form we had already read.
fn rejected(kind: KeyKind) -> KeyError {
    match kind.scheme() {
        Scheme::Ecdsa(_) => KeyError::PointNotOnCurve { kind },
        Scheme::RsaPkcs1(_) => KeyError::Parameters { algorithm: "RSA" },
        Scheme::Ed25519 => KeyError::Ed25519Encoding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_canonical_y_is_p_minus_one() {
        let mut y = [0xff; 32];
        y[0] = 0xec;
        assert!(is_below_p(&y));
        y[0] = 0xed;
        assert!(!is_below_p(&y));
        y[31] = 0x7f;
        assert!(!is_below_p(&y));
        y[15] = 0xfe;
        assert!(is_below_p(&y));
    }

    #[test]
    fn a_key_is_measured_before_it_is_read() {
        assert_eq!(SubjectKey::from_bytes(&[]).err(), Some(KeyError::Missing));
        let bytes = MAX_KEY_BYTES + 1;
        assert_eq!(
            SubjectKey::from_bytes(&vec![b'-'; bytes]).err(),
            Some(KeyError::TooLarge { bytes })
        );
        assert!(matches!(
            SubjectKey::from_bytes(&vec![b'-'; bytes - 1]),
            Err(KeyError::Pem)
        ));
    }
}
