//! H4 and H5: HTTP/2, frame by frame.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::h::{Kit, closed_after};
use crate::http2::{
    CANCEL, CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame, header,
    preface, request,
};
use crate::report::Report;

const PATIENCE: Duration = Duration::from_secs(20);

/// Writes until the peer has had enough; what it said, if it closed.
async fn until_closed(
    kit: &Kit,
    opening: Vec<u8>,
    mut more: impl FnMut() -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(kit.site.at).await.unwrap();
    stream.write_all(&opening).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let writes = async {
        while let Some(bytes) = more() {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await
    };
    let mut said = Vec::new();
    let reads = timeout(PATIENCE, read.read_to_end(&mut said));
    let closed = tokio::select! {
        () = writes => unreachable!("it never ends"),
        ended = reads => ended.is_ok(),
    };
    closed.then_some(said)
}

/// Whether the last word, if a reset did not swallow it, is that this is too much.
fn is_calmed(said: &Option<Vec<u8>>) -> bool {
    const ENHANCE_YOUR_CALM: u8 = 11;
    let Some(mut said) = said.as_deref() else {
        return false;
    };
    while let Some((head, rest)) = said.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            break;
        };
        if head[3] == GOAWAY {
            return payload.get(7) == Some(&ENHANCE_YOUR_CALM);
        }
        said = rest;
    }
    true
}

/// `:status: 200` in HPACK's own table.
pub(super) const OK: u8 = 0x88;

/// How a request over a connection of its own is answered: with the octet that says the status, or
/// none if stream or connection end without. A peer that says nothing is an error.
pub(super) async fn answer(kit: &Kit, bytes: &[u8]) -> Result<Option<u8>, Elapsed> {
    let mut stream = TcpStream::connect(kit.site.at).await.unwrap();
    // Whoever refuses it may have closed already.
    let _ = stream.write_all(bytes).await;
    let mut answer = async || {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.ok()?;
            match head[3] {
                HEADERS => return status(&payload),
                RST_STREAM | GOAWAY => return None,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, answer()).await
}

/// The first field of an answer, which is its status (RFC 9113 §8.3.2).
fn status(block: &[u8]) -> Option<u8> {
    let mut octets = block.iter().copied();
    loop {
        let octet = octets.next()?;
        if octet & 0xe0 != 0x20 {
            return Some(octet);
        }
        // A change of the table's size comes before it (RFC 7541 §6.3, §5.1).
        if octet == 0x3f {
            while octets.next()? & 0x80 != 0 {}
        }
    }
}

/// H4: open and cancel, as fast as it goes; and other floods that cost the sender little.
pub(super) async fn rapid_reset(kit: &Kit, report: &mut Report) {
    let whole = request("POST", "/api/v2/signingCert");
    // Without a method: a mistake that makes us cancel the stream (CVE-2025-8671).
    let mistaken = header(":path", "/");
    // A thousand at a time: they arrive faster than anybody can look at them.
    let flood = |block: &[u8], flags: u8, then: Option<(u8, [u8; 4])>| {
        let (block, mut stream) = (block.to_vec(), 1_u32);
        move || {
            let mut bytes = Vec::new();
            for _ in 0..1000 {
                bytes.extend(frame(HEADERS, flags | END_HEADERS, stream, &block));
                if let Some((kind, payload)) = then {
                    bytes.extend(frame(kind, 0, stream, &payload));
                }
                stream += 2;
            }
            (stream < 200_000).then_some(bytes)
        }
    };
    let reset = Some((RST_STREAM, CANCEL));
    let floods = [
        ("opened and cancelled", flood(&whole, 0, reset)),
        ("whole, and cancelled", flood(&whole, END_STREAM, reset)),
        ("cancelled by our side", flood(&mistaken, END_STREAM, None)),
    ];
    for (what, more) in floods {
        let started = Instant::now();
        let said = until_closed(kit, preface(), more).await;
        report.saw(&closed_after(started));
        report.check(what, is_calmed(&said), format!("{said:?}"));
    }
    let twin = frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        1,
        &request("GET", "/healthz"),
    );
    let twin = answer(kit, &[preface(), twin].concat()).await;
    report.check("the twin", twin == Ok(Some(OK)), format!("{twin:?}"));
}

/// H5: headers without an end.
pub(super) async fn continuation(kit: &Kit, report: &mut Report) {
    let opening = || {
        let mut bytes = preface();
        bytes.extend(frame(HEADERS, END_STREAM, 1, &request("GET", "/healthz")));
        bytes
    };
    for (what, part) in [
        ("empty frames", Vec::new()),
        ("small headers", header("x", "y")),
        ("large headers", header("x", "y").repeat(1000)),
    ] {
        let started = Instant::now();
        let mut sent = 0_usize;
        let more = || {
            sent += 1;
            (sent < 100_000).then(|| frame(CONTINUATION, 0, 1, &part))
        };
        let said = until_closed(kit, opening(), more).await;
        report.saw(&closed_after(started));
        report.check(what, is_calmed(&said), format!("{said:?}"));
    }
    let block = request("GET", "/healthz");
    let twin = [
        preface(),
        frame(HEADERS, END_STREAM, 1, &block[..20]),
        frame(CONTINUATION, END_HEADERS, 1, &block[20..]),
    ];
    let twin = answer(kit, &twin.concat()).await;
    report.check("the twin", twin == Ok(Some(OK)), format!("{twin:?}"));
}
