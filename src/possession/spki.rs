//! SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) and RSAPublicKey (RFC 8017 §A.1.1), read strictly.
//!
//! The reader takes one encoding of each value, so what it took *is* the canonical DER and is
//! certified byte for byte. It knows structure only; which algorithms are welcome is decided by
//! the caller.

/// Why bytes are not the canonical DER of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpkiError {
    /// A value is cut short, or its length is not in the shortest form.
    #[error("a DER value is cut short or its length is not canonical")]
    Length,
    /// Another type than the structure asks for.
    #[error("found DER tag {got:#04x} in place of {want:#04x}")]
    Tag {
        /// The tag that had to be there.
        want: u8,
        /// The tag that was.
        got: u8,
    },
    /// Something follows the end of the structure.
    #[error("{bytes} bytes follow the end of a DER structure")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// INTEGER that is negative, empty or padded.
    #[error("a DER integer is negative or not in its shortest form")]
    Integer,
    /// BIT STRING that does not end on an octet.
    #[error("the key's bit string has unused bits")]
    UnusedBits,
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// Reads one DER value after the other.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The tag of the next value, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next value's content octets; it must have this tag.
    pub(super) fn read(&mut self, want: u8) -> Result<&'a [u8], SpkiError> {
        let whole = self.read_whole(want)?;
        Ok(&whole[header_length(whole)..])
    }

    /// The next value with its header; it must have this tag.
    pub(super) fn read_whole(&mut self, want: u8) -> Result<&'a [u8], SpkiError> {
        let got = self.peek().ok_or(SpkiError::Length)?;
        if got != want {
            return Err(SpkiError::Tag { want, got });
        }
        let total = total_length(self.0).ok_or(SpkiError::Length)?;
        let (whole, rest) = self.0.split_at_checked(total).ok_or(SpkiError::Length)?;
        self.0 = rest;
        Ok(whole)
    }

    /// A BIT STRING of whole octets.
    pub(super) fn read_bits(&mut self) -> Result<&'a [u8], SpkiError> {
        match self.read(BIT_STRING)?.split_first() {
            Some((0, bits)) => Ok(bits),
            _ => Err(SpkiError::UnusedBits),
        }
    }

    /// A positive INTEGER, big-endian, without the sign octet.
    pub(super) fn read_positive(&mut self) -> Result<&'a [u8], SpkiError> {
        match self.read(INTEGER)? {
            [0x00, magnitude @ ..] if magnitude.first() >= Some(&0x80) => Ok(magnitude),
            magnitude @ [0x01..=0x7f, ..] => Ok(magnitude),
            _ => Err(SpkiError::Integer),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(self) -> Result<(), SpkiError> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(SpkiError::Trailing { bytes }),
        }
    }
}

/// Header and content of the value at the start of `der`; `None` if the header is not canonical.
/// Four length octets are more than any limit in this room needs.
fn total_length(der: &[u8]) -> Option<usize> {
    let header = header_length(der);
    let length = match *der.get(1)? {
        short @ ..0x80 => usize::from(short),
        long => {
            let octets = der.get(2..header)?;
            let length = octets.iter().fold(0, |n, o| n << 8 | usize::from(*o));
            // X.690 §10.1: definite, in the fewest octets.
            let shortest = octets.first() != Some(&0) && length >= 0x80;
            (shortest && (0x81..=0x84).contains(&long)).then_some(length)?
        }
    };
    header.checked_add(length)
}

fn header_length(der: &[u8]) -> usize {
    match der.get(1) {
        Some(long @ 0x81..) => 2 + usize::from(long & 0x7f),
        _ => 2,
    }
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
        let mut outer = Reader::new(der);
        let mut fields = Reader::new(outer.read(SEQUENCE)?);
        outer.end()?;
        let mut identifier = Reader::new(fields.read(SEQUENCE)?);
        let bits = fields.read_bits()?;
        fields.end()?;
        let algorithm = identifier.read(OBJECT_IDENTIFIER)?;
        let parameters = match identifier.peek() {
            Some(tag) => identifier.read_whole(tag)?,
            None => &[],
        };
        identifier.end()?;
        Ok(Self {
            algorithm,
            parameters,
            bits,
        })
    }
}

/// Modulus and exponent of an RSAPublicKey, big-endian without leading zeros.
pub(super) fn rsa_numbers(der: &[u8]) -> Result<(&[u8], &[u8]), SpkiError> {
    let mut outer = Reader::new(der);
    let mut fields = Reader::new(outer.read(SEQUENCE)?);
    outer.end()?;
    let modulus = fields.read_positive()?;
    let exponent = fields.read_positive()?;
    fields.end()?;
    Ok((modulus, exponent))
}

/// AlgorithmIdentifier of rsaEncryption: its parameters are NULL (RFC 3279 §2.3.1).
const RSA_IDENTIFIER: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// The SubjectPublicKeyInfo around an RSAPublicKey.
pub(super) fn wrap_rsa(rsa_public_key: &[u8]) -> Vec<u8> {
    let mut bits = vec![0 /* unused bits */];
    bits.extend(rsa_public_key);
    let mut fields = RSA_IDENTIFIER.to_vec();
    put(&mut fields, BIT_STRING, &bits);
    let mut spki = Vec::new();
    put(&mut spki, SEQUENCE, &fields);
    spki
}

fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len().to_be_bytes();
    let first = length.iter().position(|o| *o != 0).unwrap_or(7);
    match content.len() {
        0..0x80 => {}
        _ => out.push(0x80 | (length.len() - first) as u8),
    }
    out.extend(&length[first..]);
    out.extend(content);
}

/// An object identifier in dots, for people; octets that are none are shown in hexadecimal.
pub(super) fn dotted(content: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc: u64 = 0;
    for octet in content {
        if arc >= 1 << 56 || arcs.len() == 16 {
            return hexadecimal(content);
        }
        arc = arc << 7 | u64::from(octet & 0x7f);
        if octet & 0x80 == 0 {
            match arcs.is_empty() {
                // X.690 §8.19.4: the first two arcs share the first subidentifier.
                true => arcs.extend([(arc / 40).min(2), arc - (arc / 40).min(2) * 40]),
                false => arcs.push(arc),
            }
            arc = 0;
        }
    }
    if content.last().is_none_or(|octet| octet & 0x80 != 0) {
        return hexadecimal(content);
    }
    let words: Vec<_> = arcs.iter().map(u64::to_string).collect();
    words.join(".")
}

fn hexadecimal(octets: &[u8]) -> String {
    let shown = octets.iter().take(32).map(|octet| format!("{octet:02x}"));
    format!("0x{}", shown.collect::<String>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ED25519: &[u8] = b"\x30\x0b\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a";

    #[test]
    fn the_parts_of_a_key_are_found() {
        let spki = Spki::from_der(ED25519).unwrap();
        assert_eq!(spki.algorithm, b"\x2b\x65\x70");
        assert_eq!(spki.parameters, b"");
        assert_eq!(spki.bits, b"\x2a");
    }

    #[test]
    fn only_the_shortest_definite_length_is_read() {
        for (der, rule) in [
            (
                &b"\x30\x81\x0b\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a"[..],
                "long form of a short length",
            ),
            (
                b"\x30\x82\x00\x0b\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a",
                "leading zero",
            ),
            (
                b"\x30\x80\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a\x00\x00",
                "indefinite",
            ),
            (
                b"\x30\x0c\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a",
                "past the end",
            ),
            (
                b"\x30\xff\xff\xff\xff",
                "a length of lengths beyond the input",
            ),
            (b"\x30\x85\x01\x00\x00\x00\x00", "five length octets"),
            (b"\x30", "no length at all"),
        ] {
            assert_eq!(Spki::from_der(der).err(), Some(SpkiError::Length), "{rule}");
        }
    }

    #[test]
    fn nothing_may_follow_at_any_level() {
        let after_all = [ED25519, b"\x00"].concat();
        let in_the_key = b"\x30\x0d\x30\x05\x06\x03\x2b\x65\x70\x03\x02\x00\x2a\x05\x00";
        let in_the_identifier =
            b"\x30\x0f\x30\x09\x06\x03\x2b\x65\x70\x05\x00\x05\x00\x03\x02\x00\x2a";
        for (der, bytes) in [(&after_all[..], 1), (in_the_key, 2), (in_the_identifier, 2)] {
            assert_eq!(
                Spki::from_der(der).err(),
                Some(SpkiError::Trailing { bytes })
            );
        }
    }

    #[test]
    fn a_bit_string_ends_on_an_octet() {
        let mut der = ED25519.to_vec();
        der[11] = 1;
        assert_eq!(Spki::from_der(&der).err(), Some(SpkiError::UnusedBits));
        der[11] = 0;
        assert!(Spki::from_der(&der).is_ok());
    }

    #[test]
    fn integers_are_positive_and_shortest() {
        for content in [
            &b"\x02\x01\x80"[..],
            b"\x02\x01\x00",
            b"\x02\x00",
            b"\x02\x02\x00\x7f",
        ] {
            assert_eq!(
                Reader::new(content).read_positive(),
                Err(SpkiError::Integer)
            );
        }
        assert_eq!(
            Reader::new(b"\x02\x02\x00\x80").read_positive(),
            Ok(&b"\x80"[..])
        );
        assert_eq!(
            Reader::new(b"\x02\x01\x7f").read_positive(),
            Ok(&b"\x7f"[..])
        );
    }

    #[test]
    fn lengths_are_written_as_they_are_read() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0x1234] {
            let content = vec![0x2a; length];
            let mut der = Vec::new();
            put(&mut der, SEQUENCE, &content);
            let mut reader = Reader::new(&der);
            assert_eq!(reader.read(SEQUENCE), Ok(&content[..]));
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn identifiers_are_shown_in_dots() {
        for (content, text) in [
            (
                &b"\x2a\x86\x48\xce\x3d\x03\x01\x07"[..],
                "1.2.840.10045.3.1.7",
            ),
            (b"\x2b\x81\x04\x00\x0a", "1.3.132.0.10"),
            (b"\x88\x37\x03", "2.999.3"),
            (b"\x2b\x81", "0x2b81"),
            (b"", "0x"),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                "0xffffffffffffffffff7f",
            ),
        ] {
            assert_eq!(dotted(content), text);
        }
    }
}
