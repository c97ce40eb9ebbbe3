//! HTTP/1.1 messages whose length two readers could take differently (request smuggling).
//!
//! hyper reads them as RFC 9112 permits a tolerant server to; a proxy in front of us may read them
//! otherwise, and what one of us takes for a body the other takes for a request. Whoever sends one
//! gets 400 and no further word (RFC 9112 §2.2, §3.2, §6.1, §6.3). [`Heads`] sees what hyper hides from the
//! service: bare line feeds and a length beside an encoding.

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Version};

/// The start of a line that is kept: the longest one that matters is a length and its name.
const LINE_START: usize = 64;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What makes a message one that can be read in two ways, or leaves open whom it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line of the head ends in a line feed alone.
    BareLineFeed,
    /// A length beside an encoding.
    LengthAndEncoding,
    /// More than one length.
    TwoLengths,
    /// A length that is no number, or too long a one.
    BadLength,
    /// An encoding other than `chunked`, or two.
    Encoding,
    /// No host, or two.
    Host,
}

impl Shape {
    pub(super) const ALL: [Self; 6] = [
        Self::BareLineFeed,
        Self::LengthAndEncoding,
        Self::TwoLengths,
        Self::BadLength,
        Self::Encoding,
        Self::Host,
    ];

    /// For operators.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare_line_feed",
            Self::LengthAndEncoding => "length_and_encoding",
            Self::TwoLengths => "two_lengths",
            Self::BadLength => "bad_length",
            Self::Encoding => "encoding",
            Self::Host => "host",
        }
    }

    /// For callers.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::BareLineFeed | Self::LengthAndEncoding | Self::TwoLengths | Self::BadLength => {
                "it can be read in more than one way"
            }
            Self::Encoding => "chunked, once, is the only transfer encoding taken",
            Self::Host => "the request does not name one host",
        }
    }
}

/// Reads the heads of an HTTP/1 connection's requests as they come in.
pub(super) struct Heads {
    reading: Reading,
    line: [u8; LINE_START],
    /// Octets of the current line so far, those not kept as well.
    line_len: usize,
    /// The last octet of the current line.
    last: u8,
    lines: usize,
    length: Option<u64>,
    encoded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Head,
    /// So many octets more.
    Body(u64),
    /// HTTP/2, or after a body in chunks: its request is the connection's last.
    Nothing,
    /// Something in it can be read in two ways.
    Ambiguous(Shape),
}

impl Heads {
    pub(super) fn new() -> Self {
        Self {
            reading: Reading::Head,
            line: [0; LINE_START],
            line_len: 0,
            last: 0,
            lines: 0,
            length: None,
            encoded: false,
        }
    }

    /// Whether a head has begun and is not yet whole.
    pub(super) fn in_a_head(&self) -> bool {
        self.reading == Reading::Head && (self.lines > 0 || self.line_len > 0)
    }

    /// Takes what was read; the first shape so far that can be read in two ways.
    pub(super) fn take(&mut self, mut octets: &[u8]) -> Option<Shape> {
        while !octets.is_empty() {
            match self.reading {
                Reading::Head => {
                    let end = octets.iter().position(|octet| *octet == b'\n');
                    let (part, rest) = octets.split_at(end.map_or(octets.len(), |at| at + 1));
                    self.keep(part);
                    if end.is_some() {
                        self.line_ends();
                    }
                    octets = rest;
                }
                Reading::Body(left) => {
                    let here = usize::try_from(left)
                        .unwrap_or(usize::MAX)
                        .min(octets.len());
                    octets = &octets[here..];
                    self.reading = match left - here as u64 {
                        0 => Reading::Head,
                        left => Reading::Body(left),
                    };
                }
                Reading::Nothing => return None,
                Reading::Ambiguous(shape) => return Some(shape),
            }
        }
        match self.reading {
            Reading::Ambiguous(shape) => Some(shape),
            Reading::Head | Reading::Body(_) | Reading::Nothing => None,
        }
    }

    fn keep(&mut self, part: &[u8]) {
        if self.line_len < LINE_START {
            let room = part.len().min(LINE_START - self.line_len);
            self.line[self.line_len..self.line_len + room].copy_from_slice(&part[..room]);
        }
        // The octet before the line feed, which may have come with an earlier read.
        match part {
            [.., before, b'\n'] => self.last = *before,
            [b'\n'] => {}
            [.., last] => self.last = *last,
            [] => {}
        }
        self.line_len += part.len();
    }

    fn line_ends(&mut self) {
        let line = &self.line[..self.line_len.min(LINE_START)];
        let is_bare = self.last != b'\r';
        let is_empty = self.line_len == 2;
        let is_whole = self.line_len <= LINE_START;
        let mut ambiguous = is_bare.then_some(Shape::BareLineFeed);
        if is_empty && self.lines > 0 {
            let both = self.encoded && self.length.is_some();
            ambiguous = ambiguous.or(both.then_some(Shape::LengthAndEncoding));
            self.reading = match (self.encoded, self.length) {
                (true, _) => Reading::Nothing,
                (false, Some(length)) if length > 0 => Reading::Body(length),
                (false, _) => Reading::Head,
            };
            (self.lines, self.length, self.encoded) = (0, None, false);
        } else if self.lines == 0 && line == PREFACE {
            self.reading = Reading::Nothing;
        } else if !is_empty {
            // An empty line before a request is nothing (RFC 9112 §2.2).
            if self.lines > 0 {
                if let Some(value) = value_of(line, b"content-length:") {
                    let length = if is_whole { number(value) } else { None };
                    let fault = match (length, self.length) {
                        (None, _) => Some(Shape::BadLength),
                        (Some(_), Some(_)) => Some(Shape::TwoLengths),
                        (Some(_), None) => None,
                    };
                    ambiguous = ambiguous.or(fault);
                    self.length = length;
                } else if value_of(line, b"transfer-encoding:").is_some() {
                    self.encoded = true;
                }
            }
            self.lines += 1;
        }
        (self.line_len, self.last) = (0, 0);
        if let Some(shape) = ambiguous {
            self.reading = Reading::Ambiguous(shape);
        }
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// Digits and nothing else (RFC 9110 §8.6).
fn number(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    let digits = value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok()?.parse().ok().filter(|_| digits)
}

/// What the headers say of a message, where it is not what it should be.
pub(super) fn fault(version: Version, headers: &HeaderMap) -> Option<Shape> {
    if version != Version::HTTP_11 {
        return None;
    }
    // RFC 9112 §3.2: a request without a Host, or with two, is to be refused.
    let mut hosts = headers.get_all(HOST).iter();
    if hosts.next().is_none() || hosts.next().is_some() {
        return Some(Shape::Host);
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => None,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        (Some(_), _) => Some(Shape::Encoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// The verdict must not depend on how the octets are cut.
    fn shape(text: &str) -> Option<Shape> {
        let whole = Heads::new().take(text.as_bytes());
        for size in [1, 2, 3, 7] {
            let mut heads = Heads::new();
            let cut = (text.as_bytes().chunks(size)).fold(None, |_, part| heads.take(part));
            assert_eq!(cut, whole, "{size}: {text:?}");
        }
        whole
    }

    fn clear(text: &str) -> bool {
        shape(text).is_none()
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_noticed_wherever_it_stands() {
        let post = |headers: &str| format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let table = [
            (
                "content-length: 2\n",
                "content-length: 2\r\n",
                Shape::BareLineFeed,
            ),
            (
                "x: y\ncontent-length: 2\r\n",
                "x: y\r\ncontent-length: 2\r\n",
                Shape::BareLineFeed,
            ),
            (
                "content-length: 2\r\nTransfer-Encoding: chunked\r\n",
                "content-length: 2\r\nTransfer-Encodin: chunked\r\n",
                Shape::LengthAndEncoding,
            ),
            (
                "transfer-encoding: chunked\r\nContent-Length: 2\r\n",
                "transfer-encoding: chunked\r\n",
                Shape::LengthAndEncoding,
            ),
            (
                "content-length: 2\r\ncontent-length: 2\r\n",
                "content-length: 2\r\n",
                Shape::TwoLengths,
            ),
            (
                "content-length: +2\r\n",
                "content-length: 2\r\n",
                Shape::BadLength,
            ),
            (
                "content-length: 2, 2\r\n",
                "content-length: \t2\r\n",
                Shape::BadLength,
            ),
            (
                "content-length:\r\n",
                "content-length: 0\r\n",
                Shape::BadLength,
            ),
        ];
        for (bad, good, why) in table {
            let body = if good.contains("0\r") { "" } else { "{}" };
            assert!(clear(&(post(good) + body)), "{good:?}");
            assert_eq!(shape(&(post(bad) + body)), Some(why), "{bad:?}");
            // As the second request of a connection, after one with a body and one without.
            let before = post("content-length: 5\r\n") + "a\nb\nc" + GET;
            assert!(clear(&(before.clone() + &post(good) + body)), "{good:?}");
            assert_eq!(shape(&(before + &post(bad) + body)), Some(why), "{bad:?}");
        }
        let padded = format!("content-length: {}2\r\n", " ".repeat(LINE_START));
        assert!(!clear(&post(&padded)));
    }

    #[test]
    fn a_head_has_begun_between_its_first_octet_and_its_last() {
        let mut heads = Heads::new();
        assert!(!heads.in_a_head());
        for (part, begun) in [
            ("G", true),
            ("ET / HTTP/1.1\r\n", true),
            ("host: x\r\n\r\n", false),
            ("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{", false),
            ("}", false),
            ("PO", true),
        ] {
            assert_eq!(heads.take(part.as_bytes()), None);
            assert_eq!(heads.in_a_head(), begun, "{part:?}");
        }
    }

    #[test]
    fn bodies_and_http_2_are_not_read_as_heads() {
        assert!(clear(&format!("\r\n{GET}\r\n{GET}")));
        assert!(clear(
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\n\ncontent-length: x\n"
        ));
        let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\n{}\n";
        assert!(
            clear(chunked),
            "hyper reads the chunks, and nothing after them"
        );
    }
}
