//! PEM (RFC 7468) in and out.
//!
//! What real clients send is wider than the RFC: lines end in CRLF, the base64 stands in one
//! unwrapped line, the last line has no end. Those are taken. Everything else is refused rather
//! than guessed at: text outside the blocks, headers inside them and the empty line that would end
//! such headers (RFC 1421 §4.4: to other readers what stands before it is no part of the content),
//! labels that disagree, base64 that is not padded or has bits left over.

use base64::Engine;
use zeroize::{Zeroize as _, Zeroizing};

use crate::b64::STANDARD;

/// The largest text read, in octets.
pub const MAX_TEXT: usize = 256 * 1024;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Base64 characters in a line we write (RFC 7468 §2).
const LINE: usize = 64;
/// The octets that make such a line.
const LINE_OCTETS: usize = LINE / 4 * 3;
/// How many lines are made in one go.
const LINES_AT_ONCE: usize = 16;

/// One armoured block.
#[derive(Clone, PartialEq, Eq)]
pub struct Block {
    /// The words between `BEGIN` and the dashes.
    pub label: String,
    /// The decoded bytes.
    pub der: Vec<u8>,
}

/// A block may hold a private key, so only its size is shown.
impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({:?}, {} octets)", self.label, self.der.len())
    }
}

/// Why text is not PEM. Line numbers start at 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is over the limit.
    #[error("the text has {got} octets, at most {MAX_TEXT} are read")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// There is no block.
    #[error("there is no PEM block")]
    Empty,
    /// A line outside the blocks.
    #[error("line {line} is outside any PEM block")]
    Outside {
        /// Which line.
        line: usize,
    },
    /// A BEGIN or END line that is not well formed.
    #[error("line {line} is not a whole PEM boundary")]
    Boundary {
        /// Which line.
        line: usize,
    },
    /// A block that does not end, or ends with another label.
    #[error("the {label:?} block has no matching END line")]
    Unfinished {
        /// The label of its BEGIN line.
        label: String,
    },
    /// What stands in the block is not base64.
    #[error("the {label:?} block is not base64")]
    Base64 {
        /// The label of its BEGIN line.
        label: String,
    },
}

/// Reads all of `text` as one or more blocks; blank lines may stand between them.
pub fn decode(text: &str) -> Result<Vec<Block>, Error> {
    if text.len() > MAX_TEXT {
        return Err(Error::TooLong { got: text.len() });
    }
    let mut blocks = Vec::new();
    // The text of a private key does not outlive its reading: room for all of it, so that no
    // half-read key is left behind in freed memory, and once, so that many blocks cost no more
    // than one.
    let mut body = Zeroizing::new(Vec::with_capacity(text.len()));
    // `lines` ends a line at LF or CRLF, and does not need an end on the last one.
    let mut lines = text.lines().zip(1..);
    while let Some((first, line)) = lines.next() {
        let first = first.trim_ascii_end();
        if first.is_empty() {
            continue;
        }
        if !first.starts_with(BEGIN) {
            return Err(Error::Outside { line });
        }
        let label = boundary(first, BEGIN).ok_or(Error::Boundary { line })?;
        loop {
            let Some((next, line)) = lines.next() else {
                return Err(Error::Unfinished {
                    label: label.into(),
                });
            };
            let next = next.trim_ascii_end();
            if next.starts_with(DASHES) {
                match boundary(next, END).ok_or(Error::Boundary { line })? {
                    end if end == label => break,
                    _ => {
                        return Err(Error::Unfinished {
                            label: label.into(),
                        });
                    }
                }
            }
            if next.is_empty() {
                return Err(Error::Base64 {
                    label: label.into(),
                });
            }
            body.extend_from_slice(next.as_bytes());
        }
        let der = STANDARD.decode(&*body).map_err(|_| Error::Base64 {
            label: label.into(),
        })?;
        body.as_mut_slice().zeroize();
        body.clear();
        blocks.push(Block {
            label: label.into(),
            der,
        });
    }
    if blocks.is_empty() {
        return Err(Error::Empty);
    }
    Ok(blocks)
}

/// Writes one block: lines of 64 characters, each ended by LF.
pub fn encode(label: &str, der: &[u8]) -> String {
    let mut out = String::new();
    append(&mut out, label, der, "\n");
    out
}

/// The same to the end of `out`, with `end` after each line: `\n` in a JSON string has two characters.
pub fn append(out: &mut String, label: &str, der: &[u8], end: &str) {
    let lines = der.len().div_ceil(LINE_OCTETS);
    // Room for all of it at once: no copy of a private key is left behind.
    out.reserve(
        lines * (LINE + end.len()) + 2 * (label.len() + BEGIN.len() + DASHES.len() + end.len()),
    );
    for part in [BEGIN, label, DASHES, end] {
        out.push_str(part);
    }
    // Several lines at once: beginning anew costs more than a line.
    let mut text = Zeroizing::new([0; LINES_AT_ONCE * LINE]);
    for octets in der.chunks(LINES_AT_ONCE * LINE_OCTETS) {
        let written = STANDARD.encode_slice(octets, &mut *text);
        let written = written.expect("there is room for the lines of so many octets");
        let mut lines = str::from_utf8(&text[..written]).expect("base64 is ASCII");
        while !lines.is_empty() {
            let (line, rest) = lines.split_at(LINE.min(lines.len()));
            out.push_str(line);
            out.push_str(end);
            lines = rest;
        }
    }
    for part in [END, label, DASHES, end] {
        out.push_str(part);
    }
}

/// The label of a boundary line.
fn boundary<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix(DASHES)?;
    let words = label
        .split(' ')
        .all(|word| !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric()));
    words.then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der() -> Vec<u8> {
        (0..100).collect()
    }

    fn long_der() -> Vec<u8> {
        (0..2000).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 47, 48, 49, 767, 768, 769, 2000] {
            let der = &long_der()[..length];
            let text = encode("PUBLIC KEY", der);
            let blocks = decode(&text).unwrap();
            assert_eq!(blocks.len(), 1);
            assert_eq!(blocks[0].label, "PUBLIC KEY");
            assert_eq!(blocks[0].der, der);
            assert!(text.lines().all(|line| line.len() <= 64));
        }
    }

    #[test]
    fn the_forms_real_clients_send_are_read() {
        let text = encode("CERTIFICATE", &der());
        let body: String = text.lines().filter(|line| !line.contains('-')).collect();
        for form in [
            text.replace('\n', "\r\n"),
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----"),
            format!("\n{}\n\n", text.trim_end()),
            text.replace('\n', " \n"),
        ] {
            assert_eq!(decode(&form).unwrap()[0].der, der(), "{form:?}");
        }
    }

    #[test]
    fn several_blocks_stay_in_order() {
        let text = encode("A", b"1") + "\n" + &encode("B", b"2");
        let labels: Vec<_> = decode(&text)
            .unwrap()
            .into_iter()
            .map(|b| b.label)
            .collect();
        assert_eq!(labels, ["A", "B"]);
    }

    #[test]
    fn anything_else_is_refused() {
        let a = || "A".to_owned();
        for (text, error) in [
            ("", Error::Empty),
            (" \n\n", Error::Empty),
            ("hello", Error::Outside { line: 1 }),
            (
                "-----BEGIN A-----\nAA==\n-----END A-----\nbye",
                Error::Outside { line: 4 },
            ),
            ("-----BEGIN A---\n", Error::Boundary { line: 1 }),
            ("-----BEGIN A\u{e9}-----\n", Error::Boundary { line: 1 }),
            (
                "-----BEGIN A-----\nAA==\n",
                Error::Unfinished { label: a() },
            ),
            (
                "-----BEGIN A-----\nAA==\n-----END B-----\n",
                Error::Unfinished { label: a() },
            ),
            (
                "-----BEGIN A-----\nAA==\n-----BEGIN A-----\n",
                Error::Boundary { line: 3 },
            ),
            (
                "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END A-----\n",
                Error::Base64 { label: a() },
            ),
            (
                "-----BEGIN A-----\nAAAA\n\nAA==\n-----END A-----\n",
                Error::Base64 { label: a() },
            ),
            (
                "-----BEGIN A-----\n\r\nAA==\n-----END A-----\n",
                Error::Base64 { label: a() },
            ),
            (
                "-----BEGIN A-----\nAA\n-----END A-----\n",
                Error::Base64 { label: a() },
            ),
            (
                "-----BEGIN A-----\nAB==\n-----END A-----\n",
                Error::Base64 { label: a() },
            ),
        ] {
            assert_eq!(decode(text), Err(error), "{text:?}");
        }
        assert!(decode("-----BEGIN A-----\nAA==\n-----END A-----").is_ok());
        let long = " ".repeat(MAX_TEXT + 1);
        assert_eq!(decode(&long), Err(Error::TooLong { got: long.len() }));
    }

    #[test]
    fn a_block_does_not_print_what_it_holds() {
        let block = Block {
            label: "PRIVATE KEY".into(),
            der: vec![1, 2, 3],
        };
        assert_eq!(format!("{block:?}"), "Block(\"PRIVATE KEY\", 3 octets)");
    }

    #[test]
    fn many_small_blocks_take_no_longer_than_one_large_one() {
        // Room for the whole text, wiped for each block, made this quadratic.
        let many = "-----BEGIN A-----\n-----END A-----\n".repeat(MAX_TEXT / 34);
        let started = std::time::Instant::now();
        assert_eq!(decode(&many).unwrap().len(), MAX_TEXT / 34);
        assert!(started.elapsed() < std::time::Duration::from_millis(200));
    }
}
