//! DER (X.690), the little of it that certificates need: a strict reader and plain writers.
//!
//! The reader takes one-octet tags, definite lengths in their shortest form, and nothing else; it
//! hands out slices of its input, so what is copied onward is copied byte for byte. It does not
//! know types: whoever reads an INTEGER checks the INTEGER. Nothing recurses, so depth is the
//! caller's business.

/// The tags we read and write.
pub mod tag {
    /// BOOLEAN.
    pub const BOOLEAN: u8 = 0x01;
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING.
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// GeneralizedTime.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// SEQUENCE and SEQUENCE OF.
    pub const SEQUENCE: u8 = 0x30;
    /// SET and SET OF.
    pub const SET: u8 = 0x31;

    /// `[n]` over a primitive value, for n up to 30.
    pub const fn context(n: u8) -> u8 {
        0x80 | n
    }

    /// `[n]` over a constructed value, for n up to 30.
    pub const fn context_constructed(n: u8) -> u8 {
        0xa0 | n
    }
}

/// Why bytes are not the DER that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ends inside a value.
    #[error("the input ends {missing} octets early")]
    Truncated {
        /// How many octets are missing, as far as is known.
        missing: usize,
    },
    /// The length is indefinite, longer than needed, or beyond four octets.
    #[error("a length is not in its shortest definite form")]
    Length,
    /// The tag needs more than one octet.
    #[error("a tag number is above 30")]
    HighTag,
    /// Another tag was due.
    #[error("tag 0x{got:02x} where 0x{want:02x} is due")]
    Tag {
        /// The tag that was due.
        want: u8,
        /// The tag that stands there.
        got: u8,
    },
    /// There is more than there should be.
    #[error("{octets} octets too many")]
    Trailing {
        /// How many octets are left.
        octets: usize,
    },
}

/// One value: its tag, its content, and all of its octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The tag octet.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
    /// Header and content.
    pub whole: &'a [u8],
}

/// Reads values one after another.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next value, whatever it is.
    pub fn any(&mut self) -> Result<Element<'a>, Error> {
        let (tag, header, length) = header(self.rest)?;
        let end = header.saturating_add(length);
        let Some((whole, rest)) = self.rest.split_at_checked(end) else {
            let missing = end.saturating_sub(self.rest.len());
            return Err(Error::Truncated { missing });
        };
        self.rest = rest;
        Ok(Element {
            tag,
            content: &whole[header..],
            whole,
        })
    }

    /// The next value, which must have this tag.
    pub fn expect(&mut self, want: u8) -> Result<Element<'a>, Error> {
        match self.rest.first() {
            Some(&got) if got != want => Err(Error::Tag { want, got }),
            _ => self.any(),
        }
    }

    /// The next value if it has this tag; otherwise nothing is read.
    pub fn optional(&mut self, want: u8) -> Result<Option<Element<'a>>, Error> {
        match self.rest.first() {
            Some(&got) if got == want => self.any().map(Some),
            _ => Ok(None),
        }
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            octets => Err(Error::Trailing { octets }),
        }
    }
}

/// The one value that is all of `input`.
pub fn single(input: &[u8], want: u8) -> Result<Element<'_>, Error> {
    let mut reader = Reader::new(input);
    let element = reader.expect(want)?;
    reader.end()?;
    Ok(element)
}

/// Tag, number of header octets, length of the content.
fn header(input: &[u8]) -> Result<(u8, usize, usize), Error> {
    let [tag, first, rest @ ..] = input else {
        return Err(Error::Truncated {
            missing: 2 - input.len(),
        });
    };
    if tag & 0x1f == 0x1f {
        return Err(Error::HighTag);
    }
    let count = match first {
        0..=0x7f => return Ok((*tag, 2, usize::from(*first))),
        0x81..=0x84 => usize::from(first & 0x7f),
        // 0x80 is the indefinite form; beyond four octets nothing of ours fits anyway.
        _ => return Err(Error::Length),
    };
    let Some(octets) = rest.get(..count) else {
        return Err(Error::Truncated {
            missing: count - rest.len(),
        });
    };
    let length = octets
        .iter()
        .fold(0usize, |length, octet| length << 8 | usize::from(*octet));
    // X.690 §10.1: as few octets as can be.
    if octets[0] == 0 || length < 0x80 {
        return Err(Error::Length);
    }
    Ok((*tag, 2 + count, length))
}

/// Tag, length and the concatenation of `parts`.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    put_length(&mut out, length);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// SEQUENCE of the given, already encoded values.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag::SEQUENCE, parts)
}

/// BIT STRING of whole octets.
pub fn bit_string(octets: &[u8]) -> Vec<u8> {
    tlv(tag::BIT_STRING, &[&[0 /* unused bits */], octets])
}

/// OCTET STRING.
pub fn octet_string(octets: &[u8]) -> Vec<u8> {
    tlv(tag::OCTET_STRING, &[octets])
}

/// INTEGER from an unsigned big-endian number.
pub fn unsigned(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    match &number[zeros..] {
        [] => vec![tag::INTEGER, 1, 0],
        // A set top bit would make it negative.
        digits @ [0x80..=0xff, ..] => tlv(tag::INTEGER, &[&[0], digits]),
        digits => tlv(tag::INTEGER, &[digits]),
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
        return;
    }
    let octets = length.to_be_bytes();
    let zeros = octets.iter().take_while(|octet| **octet == 0).count();
    let digits = &octets[zeros..];
    out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0x7f)); // at most 8
    out.extend_from_slice(digits);
}

/// Writes DER from its end to its start: when a header is due its content is there already, so no
/// length is computed beforehand and nothing is moved afterwards.
#[derive(Debug)]
pub struct Backwards {
    octets: Vec<u8>,
    /// What has been written begins here.
    start: usize,
}

impl Backwards {
    /// Room for `octets`; more is made when it does not suffice.
    pub fn with_room(octets: usize) -> Self {
        Self {
            octets: vec![0; octets],
            start: octets,
        }
    }

    /// How much has been written: the mark for the [`Self::header`] of what is written next.
    pub fn len(&self) -> usize {
        self.octets.len() - self.start
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts octets in front of what has been written.
    pub fn put(&mut self, octets: &[u8]) {
        if octets.len() > self.start {
            self.make_room(octets.len());
        }
        let start = self.start - octets.len();
        self.octets[start..self.start].copy_from_slice(octets);
        self.start = start;
    }

    /// Puts tag and length in front of what has been written since `mark`.
    pub fn header(&mut self, tag: u8, mark: usize) {
        let length = self.len() - mark;
        if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
            self.put(&[tag, short]);
            return;
        }
        let octets = length.to_be_bytes();
        let zeros = octets.iter().take_while(|octet| **octet == 0).count();
        let digits = &octets[zeros..];
        self.put(digits);
        self.put(&[tag, 0x80 | u8::try_from(digits.len()).unwrap_or(0x7f)]); // at most 8
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        &self.octets[self.start..]
    }

    /// What has been written.
    pub fn into_written(mut self) -> Vec<u8> {
        self.octets.drain(..self.start);
        self.octets
    }

    /// At least doubles the room, so that a long value costs few copies.
    fn make_room(&mut self, octets: usize) {
        let more = self.octets.len().max(octets);
        let mut larger = vec![0; more + self.octets.len()];
        larger[more + self.start..].copy_from_slice(self.written());
        self.octets = larger;
        self.start += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backwards_writes_what_forwards_does() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            for room in [0, 10, 100_000] {
                let content = vec![7; length];
                let mut out = Backwards::with_room(room);
                out.put(&[5, 0]);
                let mark = out.len();
                out.put(&content);
                out.header(tag::OCTET_STRING, mark);
                out.put(&[2, 1, 9]);
                out.header(tag::SEQUENCE, 0);
                let want = sequence(&[&[2, 1, 9], &octet_string(&content), &[5, 0]]);
                assert_eq!(out.written(), want);
                assert_eq!(out.into_written(), want, "{length} octets, room for {room}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let content = vec![7; length];
            let der = octet_string(&content);
            let element = single(&der, tag::OCTET_STRING).unwrap();
            assert_eq!(element.content, content);
            assert_eq!(element.whole, der);
        }
    }

    #[test]
    fn values_follow_one_another() {
        let mut reader = Reader::new(&[2, 1, 5, 5, 0]);
        assert_eq!(reader.expect(tag::INTEGER).unwrap().content, [5]);
        assert_eq!(reader.optional(tag::BOOLEAN).unwrap(), None);
        assert!(
            reader
                .optional(tag::NULL)
                .unwrap()
                .unwrap()
                .content
                .is_empty()
        );
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn only_shortest_definite_lengths_of_one_octet_tags_are_read() {
        let long = |octets: &[u8]| [octets, &[0; 300]].concat();
        for (input, error) in [
            (vec![], Error::Truncated { missing: 2 }),
            (vec![4], Error::Truncated { missing: 1 }),
            (vec![4, 3, 0], Error::Truncated { missing: 2 }),
            (vec![4, 0x82, 1], Error::Truncated { missing: 1 }),
            (vec![4, 0x80, 0, 0], Error::Length),
            (long(&[4, 0x81, 0x7f]), Error::Length),
            (long(&[4, 0x82, 0, 0xff]), Error::Length),
            (long(&[4, 0x85, 0, 0, 0, 1, 0]), Error::Length),
            (long(&[4, 0xff]), Error::Length),
            (vec![0x1f, 0x20, 0], Error::HighTag),
        ] {
            assert_eq!(Reader::new(&input).any(), Err(error), "{input:02x?}");
        }
        // The twins: one step to the shortest form.
        assert!(Reader::new(&long(&[4, 0x81, 0x80])).any().is_ok());
        assert!(Reader::new(&long(&[4, 0x82, 1, 0])).any().is_ok());
    }

    #[test]
    fn a_single_value_has_the_tag_asked_for_and_no_company() {
        let null = [5, 0];
        assert!(single(&null, tag::NULL).is_ok());
        assert_eq!(
            single(&null, tag::INTEGER),
            Err(Error::Tag { want: 2, got: 5 })
        );
        assert_eq!(
            single(&[5, 0, 0], tag::NULL),
            Err(Error::Trailing { octets: 1 })
        );
    }

    #[test]
    fn unsigned_numbers_are_short_and_never_negative() {
        assert_eq!(unsigned(&[0, 0]), [2, 1, 0]);
        assert_eq!(unsigned(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(unsigned(&[0x80]), [2, 2, 0, 0x80]);
    }
}
