//! The audit log's lines: JSON, hash-chained, one before and one after every signature, one for
//! every decision. Pure: the file is `store::audit_file`.
//!
//! A line is one JSON object whose last two members are always `prev` and `sum`:
//!
//! ```text
//! {"time":"…","event":"…","request":"…",<fields>,"prev":"<64 hex>","sum":"<64 hex>"}
//! ```
//!
//! `sum` is SHA-256 over every byte of the line before `,"sum"`; `prev` is the `sum` of the line
//! before, 64 zeros on the first. An edited, deleted, inserted or swapped line therefore breaks
//! the chain at a line that [`verify`] names.
//!
//! What a chain without a key cannot show: that whole lines are missing from the end, or that
//! everything after some line was written anew. For that, compare [`Summary::head`] with a copy
//! kept elsewhere.

use std::fmt;
use std::io::{self, BufRead, Read as _, Write as _};

use async_trait::async_trait;

use crate::hash::sha256;
use crate::hex;
use crate::time::UnixMillis;

/// Longest line that is read back, newline included. A leaf with every extension at its limit
/// stays below 64 KiB in hex.
pub const MAX_LINE_BYTES: usize = 256 * 1024;

/// One thing worth remembering.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What happened: a fixed word (`precert_signing`, `precert_signed`, `issued`, `refused`, …).
    pub kind: &'static str,
    /// When, by the request's clock.
    pub at: UnixMillis,
    /// The request's id.
    pub request_id: &'a str,
    /// Further members, in this order. Never a token, key or proof.
    pub fields: &'a [(&'static str, Value<'a>)],
}

/// What a member holds; a JSON string in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Itself.
    Text(&'a str),
    /// Lower-case hex.
    Octets(&'a [u8]),
}

/// As in the line, without quotes and escapes.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Octets(octets) => f.write_str(&hex::encode(octets)),
        }
    }
}

/// Where events go.
///
/// Contract: when either call returns `Ok`, the line is with the operating system (it survives the
/// death of this process) and is made durable no later than the next successful store commit.
/// Lines keep the order of the calls. After an error nothing may be signed.
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Appends one line.
    fn append(&self, event: &Event<'_>) -> Result<(), Error>;

    /// The same for a request among many: the lines of those who are as far may go out together.
    async fn append_with_others(&self, event: &Event<'_>) -> Result<(), Error> {
        self.append(event)
    }
}

/// Why a line could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The write failed.
    #[error("could not write the audit log")]
    Write(#[source] io::Error),
    /// An earlier write failed, so the file's end is not known; only a restart mends it.
    #[error("the audit log is closed since an earlier write failed")]
    Poisoned,
}

/// The end of a chain: what the next line has to name in `prev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    head: [u8; 32],
}

impl Chain {
    /// Before the first line.
    pub const START: Self = Self { head: [0; 32] };

    /// The `sum` of the last line.
    pub fn head(&self) -> &[u8; 32] {
        &self.head
    }

    /// Appends the event's line to `out`, newline included. The chain that ends in it: use it only
    /// once the line is written.
    pub fn line(&self, event: &Event<'_>, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        let _ = write!(out, r#"{{"time":"{}","event":"{}""#, event.at, event.kind); // a Vec never fails
        put_member(out, "request", Value::Text(event.request_id));
        for (name, value) in event.fields {
            put_member(out, name, *value);
        }
        put_member(out, "prev", Value::Octets(&self.head));
        let head = sha256(&[&out[start..]]);
        put_member(out, "sum", Value::Octets(&head));
        out.extend_from_slice(b"}\n");
        Self { head }
    }

    /// The chain that ends in `line` (without its newline), if `line` follows this one.
    pub fn followed_by(&self, line: &[u8]) -> Result<Self, Why> {
        let parts = Parts::of(line)?;
        if parts.prev != self.head {
            return Err(Why::Order);
        }
        Ok(Self { head: parts.sum })
    }

    /// The chain that ends in `line` (without its newline), which is believed if its own `sum`
    /// is right. What came before it is not looked at.
    pub fn ending_in(line: &[u8]) -> Result<Self, Why> {
        Ok(Self {
            head: Parts::of(line)?.sum,
        })
    }
}

/// What an unbroken chain held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Whole lines.
    pub lines: u64,
    /// How many of them announce a signature (`…_signing`).
    pub signing: u64,
    /// How many of them report one (`…_signed`). Less than `signing` after a crash or a failing
    /// signer, never more.
    pub signed: u64,
    /// The `sum` of the last whole line, zeros if there is none.
    pub head: [u8; 32],
    /// Bytes after the last newline: a line that a crash cut short. It was never acted upon: the
    /// next start cuts it off and writes an `audit_repaired` line.
    pub torn_tail: usize,
}

/// Why a file is not an unbroken chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// A line does not fit.
    #[error("audit line {line} {why}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// How it fails.
        why: Why,
    },
    /// The file could not be read on.
    #[error("could not read audit line {line}")]
    Read {
        /// Counted from 1.
        line: u64,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// How a line fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// It does not have the form of a line.
    #[error("is not an audit line")]
    Malformed,
    /// Its bytes are not those its `sum` was made over: edited, or cut.
    #[error("does not match its own checksum")]
    Checksum,
    /// It does not follow the line before it: a line was deleted, inserted or moved.
    #[error("does not follow the line before it")]
    Order,
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
}

/// Walks a whole chain from its first line.
pub fn verify(mut lines: impl BufRead) -> Result<Summary, Broken> {
    let mut summary = Summary {
        lines: 0,
        signing: 0,
        signed: 0,
        head: Chain::START.head,
        torn_tail: 0,
    };
    let mut buffer = Vec::new();
    loop {
        let line = summary.lines + 1;
        buffer.clear();
        (&mut lines)
            .take(MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut buffer)
            .map_err(|source| Broken::Read { line, source })?;
        if buffer.pop_if(|last| *last == b'\n').is_none() {
            if buffer.len() == MAX_LINE_BYTES {
                let why = Why::TooLong;
                return Err(Broken::Line { line, why });
            }
            summary.torn_tail = buffer.len();
            return Ok(summary);
        }
        let parts = Parts::of(&buffer).map_err(|why| Broken::Line { line, why })?;
        if parts.prev != summary.head {
            let why = Why::Order;
            return Err(Broken::Line { line, why });
        }
        summary.signing += u64::from(parts.event.ends_with(b"_signing"));
        summary.signed += u64::from(parts.event.ends_with(b"_signed"));
        summary.head = parts.sum;
        summary.lines = line;
    }
}

/// The parts of a line whose `sum` is right.
struct Parts<'a> {
    event: &'a [u8],
    prev: [u8; 32],
    sum: [u8; 32],
}

impl<'a> Parts<'a> {
    fn of(line: &'a [u8]) -> Result<Self, Why> {
        // `prev` and `sum` stand at fixed places from the end, so no reader has to agree with
        // another about the JSON in between.
        let (rest, sum) = split_hash(line, b",\"sum\":\"", b"\"}").ok_or(Why::Malformed)?;
        if sha256(&[rest]) != sum {
            return Err(Why::Checksum);
        }
        let (rest, prev) = split_hash(rest, b",\"prev\":\"", b"\"").ok_or(Why::Malformed)?;
        const EVENT: &[u8] = b",\"event\":\"";
        let start = rest
            .windows(EVENT.len())
            .position(|window| window == EVENT)
            .ok_or(Why::Malformed)?;
        let rest = &rest[start + EVENT.len()..];
        let event = rest.split(|octet| *octet == b'"').next().unwrap_or(rest);
        Ok(Self { event, prev, sum })
    }
}

/// Splits `… before <64 hex> after` into what stands first and the octets.
fn split_hash<'a>(line: &'a [u8], before: &[u8], after: &[u8]) -> Option<(&'a [u8], [u8; 32])> {
    let line = line.strip_suffix(after)?;
    let (line, digits) = line.split_at_checked(line.len().checked_sub(64)?)?;
    Some((line.strip_suffix(before)?, from_hex(digits)?))
}

fn from_hex(digits: &[u8]) -> Option<[u8; 32]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None, // upper case too: one spelling per hash
    };
    let mut octets = [0; 32];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(octets)
}

/// Names are words of this program: nothing in them has to be escaped.
fn put_member(line: &mut Vec<u8>, name: &'static str, value: Value<'_>) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
    match value {
        Value::Text(text) => put_string(line, text),
        Value::Octets(octets) => {
            line.push(b'"');
            hex::append(line, octets);
            line.push(b'"');
        }
    }
}

/// A JSON string (RFC 8259 §7). A request id or claim may hold anything, but never ends a line.
fn put_string(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    let escaped = |octet: &u8| matches!(octet, b'"' | b'\\' | 0..=0x1f | 0x7f);
    let mut rest = text.as_bytes();
    // Most texts are as they are, and all of one is looked at faster than up to the first such octet.
    if !rest.iter().fold(false, |any, octet| any | escaped(octet)) {
        line.extend_from_slice(rest);
        line.push(b'"');
        return;
    }
    while let Some(at) = rest.iter().position(escaped) {
        line.extend_from_slice(&rest[..at]);
        let _ = write!(line, "\\u{:04x}", rest[at]); // a Vec never fails
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line about the serial, and the chain that ends in it.
    fn line(chain: Chain, kind: &'static str, serial: &str) -> (Vec<u8>, Chain) {
        let mut line = Vec::new();
        let event = Event {
            kind,
            at: UnixMillis(1_795_262_400_250),
            request_id: "r-1",
            fields: &[("serial", Value::Text(serial))],
        };
        let chain = chain.line(&event, &mut line);
        (line, chain)
    }

    fn three_lines() -> Vec<Vec<u8>> {
        let mut chain = Chain::START;
        let mut lines = Vec::new();
        for kind in ["leaf_signing", "leaf_signed", "issued"] {
            let (line, next) = line(chain, kind, "01");
            lines.push(line);
            chain = next;
        }
        lines
    }

    fn broken_at(lines: &[Vec<u8>]) -> (u64, Why) {
        match verify(lines.concat().as_slice()).unwrap_err() {
            Broken::Line { line, why } => (line, why),
            Broken::Read { source, .. } => panic!("{source}"),
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_its_members_in_order() {
        let (line, _) = line(Chain::START, "issued", "0a");
        let line = String::from_utf8(line).unwrap();
        assert!(line.starts_with(
            r#"{"time":"2026-11-21T12:00:00.250Z","event":"issued","request":"r-1","serial":"0a","prev":"000000"#
        ), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["prev"].as_str().unwrap(), "0".repeat(64));
    }

    #[test]
    fn an_unbroken_chain_verifies_and_counts_its_signatures() {
        let summary = verify(three_lines().concat().as_slice()).unwrap();
        assert_eq!(
            (
                summary.lines,
                summary.signing,
                summary.signed,
                summary.torn_tail
            ),
            (3, 1, 1, 0)
        );
        assert_eq!(
            Chain::ending_in(three_lines()[2].trim_ascii_end())
                .unwrap()
                .head(),
            &summary.head
        );
    }

    #[test]
    fn an_empty_log_is_an_unbroken_chain() {
        assert_eq!(verify(&b""[..]).unwrap().head, [0; 32]);
    }

    #[test]
    fn an_edited_line_is_named() {
        let mut lines = three_lines();
        let at = lines[1].windows(4).position(|w| w == b"\"01\"").unwrap();
        lines[1][at + 1] = b'9';
        assert_eq!(broken_at(&lines), (2, Why::Checksum));
    }

    #[test]
    fn a_line_edited_with_a_new_checksum_breaks_the_next_one() {
        let mut lines = three_lines();
        let first = Chain::ending_in(lines[0].trim_ascii_end()).unwrap();
        lines[1] = line(first, "leaf_signed", "99").0;
        assert_eq!(broken_at(&lines), (3, Why::Order));
    }

    #[test]
    fn a_deleted_line_is_noticed_at_its_successor() {
        let mut lines = three_lines();
        lines.remove(1);
        assert_eq!(broken_at(&lines), (2, Why::Order));
        let mut lines = three_lines();
        lines.remove(0);
        assert_eq!(broken_at(&lines), (1, Why::Order));
    }

    #[test]
    fn swapped_lines_are_noticed() {
        let mut lines = three_lines();
        lines.swap(1, 2);
        assert_eq!(broken_at(&lines), (2, Why::Order));
    }

    #[test]
    fn a_line_cut_in_the_middle_of_the_log_is_damage() {
        let mut lines = three_lines();
        let half = lines[1].len() / 2;
        lines[1].truncate(half);
        lines[1].push(b'\n');
        assert_eq!(broken_at(&lines), (2, Why::Malformed));
    }

    #[test]
    fn a_torn_last_line_is_reported_and_is_not_damage() {
        let mut lines = three_lines();
        lines[2].truncate(40);
        let summary = verify(lines.concat().as_slice()).unwrap();
        assert_eq!((summary.lines, summary.torn_tail), (2, 40));
    }

    #[test]
    fn a_line_over_the_limit_is_refused_without_reading_it_all() {
        let endless = io::BufReader::new(io::repeat(b'x'));
        let broken = verify(endless).unwrap_err();
        assert!(
            matches!(
                broken,
                Broken::Line {
                    line: 1,
                    why: Why::TooLong
                }
            ),
            "{broken}"
        );
    }

    #[test]
    fn no_value_can_end_a_line_or_forge_a_member() {
        let hostile = Event {
            kind: "refused",
            at: UnixMillis(0),
            request_id: "\u{0}\r\n\u{7f}é",
            fields: &[("serial", Value::Text("x\n\",\"sum\":\"\\"))],
        };
        let mut line = Vec::new();
        let chain = Chain::START.line(&hostile, &mut line);
        assert_eq!(line.iter().filter(|octet| **octet == b'\n').count(), 1);
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["request"], "\u{0}\r\n\u{7f}é");
        assert_eq!(value["serial"], "x\n\",\"sum\":\"\\");
        assert_eq!(&verify(line.as_slice()).unwrap().head, chain.head());
    }
}
