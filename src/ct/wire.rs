//! The presentation language of TLS (RFC 5246 §4), as far as RFC 6962 needs it: big-endian
//! integers and octets behind their length.

/// The rule the bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// The bytes end inside a value.
    Truncated,
    /// So many bytes follow the value.
    Trailing(usize),
}

/// Reads values off the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (front, rest) = self.0.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(*front)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// Octets behind a 16-bit length.
    pub(super) fn octets16(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::from(self.array().map(u16::from_be_bytes)?);
        let (front, rest) = self.0.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(front)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.0.len() {
            0 => Ok(()),
            extra => Err(Malformed::Trailing(extra)),
        }
    }
}

/// The largest content of a 16-bit length.
pub(super) const OCTETS16_MAX: usize = 0xffff;
/// The largest content of a 24-bit length.
pub(super) const OCTETS24_MAX: usize = 0xff_ffff;

/// Writes octets behind a 16-bit length. Longer ones get a length that does not cover them:
/// nobody reads or verifies such bytes, and this room's parsers let none in.
pub(super) fn put_octets16(out: &mut Vec<u8>, octets: &[u8]) {
    let len = u16::try_from(octets.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(octets);
}

/// Writes octets behind a 24-bit length; longer ones as in [`put_octets16`].
pub(super) fn put_octets24(out: &mut Vec<u8>, octets: &[u8]) {
    let len = octets.len().min(OCTETS24_MAX) as u32;
    out.extend(&len.to_be_bytes()[1..]);
    out.extend(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = vec![7];
        put_octets16(&mut bytes, b"abc");
        assert_eq!(bytes, b"\x07\x00\x03abc");
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.octets16(), Ok(&b"abc"[..]));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_24_bit_length_has_three_octets() {
        let mut bytes = Vec::new();
        put_octets24(&mut bytes, &[9; 0x1_0002]);
        assert_eq!(bytes[..4], [1, 0, 2, 9]);
    }

    #[test]
    fn values_that_end_early_or_late_are_refused() {
        let mut reader = Reader::new(b"\x00\x03ab");
        assert_eq!(reader.octets16(), Err(Malformed::Truncated));
        assert_eq!(Reader::new(b"ab").end(), Err(Malformed::Trailing(2)));
    }
}
