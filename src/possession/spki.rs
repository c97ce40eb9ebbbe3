//! SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) and RSAPublicKey (RFC 8017 §A.1.1), read strictly.
//!
//! The reader takes one encoding of each value, so what it took *is* the canonical DER and is
//! certified byte for byte. It knows structure only; which algorithms are welcome is decided by
//! the caller.

use crate::der::{self, Reader, tag};
use crate::x509::oid;

/// Why bytes are not the canonical DER of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpkiError {
    /// Not the structure that is due, or not in its one encoding.
    #[error(transparent)]
    Der(#[from] der::Error),
    /// INTEGER that is negative, zero, empty or padded.
    #[error("an integer is not positive or not in its shortest form")]
    Integer,
    /// BIT STRING that does not end on an octet.
    #[error("a bit string has unused bits")]
    UnusedBits,
    /// OBJECT IDENTIFIER with an arc that is padded, has no end, or is beyond 64 bits.
    #[error("an object identifier is not one")]
    Identifier,
}

/// The parts of a SubjectPublicKeyInfo.
pub(super) struct Spki<'a> {
    /// Content octets of the algorithm's object identifier.
    pub(super) algorithm: &'a [u8],
    /// The algorithm's parameters with their header; empty when absent.
    pub(super) parameters: &'a [u8],
    /// The octets of subjectPublicKey.
    pub(super) bits: &'a [u8],
}

impl<'a> Spki<'a> {
    /// Reads exactly one from all of `der`.
    pub(super) fn from_der(der: &'a [u8]) -> Result<Self, SpkiError> {
        let mut fields = Reader::new(der::single(der, tag::SEQUENCE)?.content);
        let identifier = fields.expect(tag::SEQUENCE)?.content;
        let bits = whole_octets(fields.expect(tag::BIT_STRING)?.content)?;
        fields.end()?;
        let (algorithm, parameters) = algorithm(identifier)?;
        Ok(Self {
            algorithm,
            parameters,
            bits,
        })
    }
}

/// Object identifier and parameters in the content of an AlgorithmIdentifier (RFC 5280 §4.1.1.2).
pub(super) fn algorithm(content: &[u8]) -> Result<(&[u8], &[u8]), SpkiError> {
    let mut fields = Reader::new(content);
    let algorithm = fields.expect(tag::OID)?.content;
    let parameters = match fields.is_empty() {
        true => &[],
        false => fields.any()?.whole,
    };
    fields.end()?;
    match oid::arcs(algorithm) {
        Some(_) => Ok((algorithm, parameters)),
        None => Err(SpkiError::Identifier),
    }
}

/// The octets of a BIT STRING that is made of whole ones.
pub(super) fn whole_octets(content: &[u8]) -> Result<&[u8], SpkiError> {
    match content {
        [0 /* unused bits */, octets @ ..] => Ok(octets),
        _ => Err(SpkiError::UnusedBits),
    }
}

/// Modulus and exponent of an RSAPublicKey, big-endian without leading zeros.
pub(super) fn rsa_numbers(der: &[u8]) -> Result<(&[u8], &[u8]), SpkiError> {
    let mut fields = Reader::new(der::single(der, tag::SEQUENCE)?.content);
    let modulus = positive(fields.expect(tag::INTEGER)?.content)?;
    let exponent = positive(fields.expect(tag::INTEGER)?.content)?;
    fields.end()?;
    Ok((modulus, exponent))
}

/// The magnitude of a positive INTEGER (X.690 §8.3: a leading zero only before a set bit).
fn positive(content: &[u8]) -> Result<&[u8], SpkiError> {
    match content {
        [0, magnitude @ ..] if magnitude.first() >= Some(&0x80) => Ok(magnitude),
        magnitude @ [0x01..=0x7f, ..] => Ok(magnitude),
        _ => Err(SpkiError::Integer),
    }
}

/// NULL, whole: the parameters of rsaEncryption (RFC 3279 §2.3.1).
pub(super) const NULL: &[u8] = &[tag::NULL, 0];

/// The SubjectPublicKeyInfo around an RSAPublicKey.
pub(super) fn wrap_rsa(rsa_public_key: &[u8]) -> Vec<u8> {
    let algorithm = der::tlv(tag::OID, &[oid::RSA_ENCRYPTION]);
    der::sequence(&[
        &der::sequence(&[&algorithm, NULL]),
        &der::bit_string(rsa_public_key),
    ])
}

/// The longest identifier that is shown.
const OID_SHOWN: usize = 32;

/// An object identifier in dots, for error texts; untrusted, so bounded.
pub(super) fn shown(identifier: &[u8]) -> String {
    let short = identifier.len() <= OID_SHOWN;
    let dotted = short.then(|| oid::dotted(identifier)).flatten();
    dotted.unwrap_or_else(|| "(not an object identifier)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &[u8] = b"\x30\x0b\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a";

    #[test]
    fn the_parts_of_a_key_are_found() {
        let spki = Spki::from_der(ED25519).unwrap();
        assert_eq!(spki.algorithm, oid::ED25519);
        assert_eq!(spki.parameters, b"");
        assert_eq!(spki.bits, b"\x2a");
    }

    #[test]
    fn nothing_may_follow_at_any_level() {
        let after_all = [ED25519, b"\x00"].concat();
        let in_the_key = b"\x30\x0d\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a\x05\x00";
        let in_the_identifier =
            b"\x30\x0f\x30\x09\x06\x03\x2b\x65\x70\x05\x00\x05\x00\x03\x02\x00\x2a";
        for (der, octets) in [(&after_all[..], 1), (in_the_key, 2), (in_the_identifier, 2)] {
            assert_eq!(
                Spki::from_der(der).err(),
                Some(SpkiError::Der(der::Error::Trailing { octets }))
            );
        }
    }

    #[test]
    fn an_algorithm_has_an_identifier_that_is_one() {
        for identifier in [&b"\x2a\x86"[..], b"\x80\x01", b"", &[0xff; 12]] {
            let content = der::tlv(tag::OID, &[identifier]);
            assert_eq!(algorithm(&content), Err(SpkiError::Identifier));
        }
        assert_eq!(
            algorithm(b"\x06\x03\x2b\x65\x70"),
            Ok((oid::ED25519, &b""[..]))
        );
    }

    #[test]
    fn a_bit_string_ends_on_an_octet() {
        let mut der = ED25519.to_vec();
        der[11] = 1;
        assert_eq!(Spki::from_der(&der).err(), Some(SpkiError::UnusedBits));
        der[11] = 0;
        assert!(Spki::from_der(&der).is_ok());
        assert_eq!(whole_octets(b""), Err(SpkiError::UnusedBits));
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        for content in [&b"\x80"[..], b"\x00", b"", b"\x00\x7f"] {
            assert_eq!(positive(content), Err(SpkiError::Integer));
        }
        assert_eq!(positive(b"\x00\x80"), Ok(&b"\x80"[..]));
        assert_eq!(positive(b"\x7f"), Ok(&b"\x7f"[..]));
    }

    #[test]
    fn an_identifier_is_shown_in_dots_unless_it_is_none_or_endless() {
        assert_eq!(shown(oid::P256), "1.2.840.10045.3.1.7");
        for none in [&[0x2a, 0x86][..], &[], &[0x2a; OID_SHOWN + 1]] {
            assert_eq!(shown(none), "(not an object identifier)");
        }
    }
}
