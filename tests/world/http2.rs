//! HTTP/2 by hand (RFC 9113): frames that no well-behaved library would send.
#![allow(dead_code, reason = "each program uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "what is built here is small")]

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The payload of a RST_STREAM that says CANCEL.
pub(crate) const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// One frame (RFC 9113 §4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// What a client says first, with settings that change nothing.
pub(crate) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// A header in HPACK, neither indexed nor compressed (RFC 7541 §6.2.2).
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).unwrap()); // below 127: one octet
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// The headers that every request has.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    [
        header(":method", method),
        header(":scheme", "http"),
        header(":authority", "x"),
        header(":path", path),
    ]
    .concat()
}
