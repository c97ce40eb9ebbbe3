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
    Ambiguous,
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

    /// Takes what was read; whether everything so far can be read in one way only.
    pub(super) fn take(&mut self, mut octets: &[u8]) -> bool {
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
                Reading::Nothing => return true,
                Reading::Ambiguous => return false,
            }
        }
        self.reading != Reading::Ambiguous
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
        let mut ambiguous = is_bare;
        if is_empty && self.lines > 0 {
            ambiguous |= self.encoded && self.length.is_some();
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
                    ambiguous |= length.is_none() || self.length.is_some();
                    self.length = length;
                } else if value_of(line, b"transfer-encoding:").is_some() {
                    self.encoded = true;
                }
            }
            self.lines += 1;
        }
        (self.line_len, self.last) = (0, 0);
        if ambiguous {
            self.reading = Reading::Ambiguous;
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
pub(super) fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    if version != Version::HTTP_11 {
        return None;
    }
    // RFC 9112 §3.2: a request without a Host, or with two, is to be refused.
    let mut hosts = headers.get_all(HOST).iter();
    if hosts.next().is_none() || hosts.next().is_some() {
        return Some("the request does not name one host");
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => None,
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        (Some(_), _) => Some("chunked, once, is the only transfer encoding taken"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    /// The verdict must not depend on how the octets are cut.
    fn clear(text: &str) -> bool {
        let whole = Heads::new().take(text.as_bytes());
        for size in [1, 2, 3, 7] {
            let mut heads = Heads::new();
            let cut = (text.as_bytes().chunks(size)).fold(true, |_, part| heads.take(part));
            assert_eq!(cut, whole, "{size}: {text:?}");
        }
        whole
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_noticed_wherever_it_stands() {
        let post = |headers: &str| format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let table = [
            ("content-length: 2\n", "content-length: 2\r\n"),
            (
                "x: y\ncontent-length: 2\r\n",
                "x: y\r\ncontent-length: 2\r\n",
            ),
            (
                "content-length: 2\r\nTransfer-Encoding: chunked\r\n",
                "content-length: 2\r\nTransfer-Encodin: chunked\r\n",
            ),
            (
                "transfer-encoding: chunked\r\nContent-Length: 2\r\n",
                "transfer-encoding: chunked\r\n",
            ),
            (
                "content-length: 2\r\ncontent-length: 2\r\n",
                "content-length: 2\r\n",
            ),
            ("content-length: +2\r\n", "content-length: 2\r\n"),
            ("content-length: 2, 2\r\n", "content-length: \t2\r\n"),
            ("content-length:\r\n", "content-length: 0\r\n"),
        ];
        for (bad, good) in table {
            let body = if good.contains("0\r") { "" } else { "{}" };
            assert!(clear(&(post(good) + body)), "{good:?}");
            assert!(!clear(&(post(bad) + body)), "{bad:?}");
            // As the second request of a connection, after one with a body and one without.
            let before = post("content-length: 5\r\n") + "a\nb\nc" + GET;
            assert!(clear(&(before.clone() + &post(good) + body)), "{good:?}");
            assert!(!clear(&(before + &post(bad) + body)), "{bad:?}");
        }
        let padded = format!("content-length: {}2\r\n", " ".repeat(LINE_START));
        assert!(!clear(&post(&padded)));
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
