//! H6: requests that two readers take for different ones. Beside the usual ones ([`messages`]) what
//! proxies and servers were found to read differently, and what HTTP/2 carries that no request of
//! HTTP/1.1 could (RFC 9113 §8.2).

use std::time::Instant;

use crate::ask;
use crate::h::{Kit, closed_after, frames, messages};
use crate::http2::{END_HEADERS, END_STREAM, HEADERS, frame, header, preface};
use crate::report::Report;

const SMUGGLED: &str = "GET /api/v2/trustBundle HTTP/1.1\r\nhost: x\r\n\r\n";

/// All of them.
pub(super) async fn smuggling(kit: &Kit, report: &mut Report) {
    messages::smuggling(kit, report).await;
    heads(kit, report).await;
    in_http_2(kit, report).await;
}

/// Heads of which at most one reading is a request, each with a request hidden behind it.
async fn heads(kit: &Kit, report: &mut Report) {
    let post = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\n";
    let length = SMUGGLED.len();
    for (what, head) in [
        (
            "a length of 0x",
            format!("{post}content-length: 0x{length:x}\r\n"),
        ),
        (
            "a length in two parts",
            format!("{post}content-length: 0, {length}\r\n"),
        ),
        (
            "a length after a blank",
            format!("{post}content-length : {length}\r\n"),
        ),
        (
            "a length under a tab",
            format!("{post}x: y\r\n\tcontent-length: {length}\r\n"),
        ),
        (
            "a length beyond all numbers",
            format!("{post}content-length: 99999999999999999999\r\n"),
        ),
        (
            "a length below none",
            format!("{post}content-length: -1\r\n"),
        ),
        (
            "two lengths that agree with nobody",
            format!("{post}content-length: 0\r\ncontent-length: {length}\r\n"),
        ),
        (
            "an encoding by another name",
            format!("{post}transfer-encoding: chunke\r\n"),
        ),
        (
            "an encoding in quotes",
            format!("{post}transfer-encoding: \"chunked\"\r\n"),
        ),
        (
            "an encoding behind a form feed",
            format!("{post}transfer-encoding: \x0cchunked\r\n"),
        ),
        (
            "an encoding and a length of nothing",
            format!("{post}transfer-encoding: chunked\r\ncontent-length: 0\r\n"),
        ),
        ("a header without a name", format!("{post}: y\r\n")),
        ("a NUL in a header", format!("{post}x: a\0b\r\n")),
        (
            "a carriage return alone",
            format!("{post}x: a\rcontent-length: {length}\r\n"),
        ),
        ("no version", "GET /healthz\r\n".to_owned()),
        (
            "version 0.9",
            "GET /healthz HTTP/0.9\r\nhost: x\r\n".to_owned(),
        ),
        (
            "version 1.2",
            "GET /healthz HTTP/1.2\r\nhost: x\r\n".to_owned(),
        ),
        (
            "a path with a blank",
            "GET /healthz /x HTTP/1.1\r\nhost: x\r\n".to_owned(),
        ),
        (
            "two hosts in one",
            "GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n".to_owned(),
        ),
        ("no host", "GET /healthz HTTP/1.1\r\n".to_owned()),
    ] {
        let answer = ask::send(kit.site.at, format!("{head}\r\n{SMUGGLED}").as_bytes()).await;
        report.saw(&answer);
        let refused = matches!(
            &*answer.word(),
            "REQUEST_MALFORMED" | "HTTP 400" | "HTTP 505" | "closed"
        );
        report.check(what, refused, &answer);
        report.check(
            what,
            !answer.body().contains("HTTP/1.1"),
            "what was behind it was answered",
        );
    }
    let whole = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = ask::send(kit.site.at, whole.as_bytes()).await;
    report.check("the twin", answer.body().contains("SERVING"), &answer);
}

/// Requests in HTTP/2 that a gateway would turn into two.
async fn in_http_2(kit: &Kit, report: &mut Report) {
    let pseudo = |path: &str| {
        [
            header(":method", "GET"),
            header(":scheme", "http"),
            header(":authority", "x"),
            header(":path", path),
        ]
        .concat()
    };
    let health = || pseudo("/healthz");
    for (what, block) in [
        (
            "an encoding",
            [health(), header("transfer-encoding", "chunked")].concat(),
        ),
        (
            "a connection",
            [health(), header("connection", "close")].concat(),
        ),
        (
            "a proxy's connection",
            [health(), header("proxy-connection", "close")].concat(),
        ),
        ("an upgrade", [health(), header("upgrade", "h2c")].concat()),
        (
            "an end of line in a value",
            [health(), header("x", "y\r\nz: w")].concat(),
        ),
        (
            "an end of line in a name",
            [health(), header("x\r\nz", "y")].concat(),
        ),
        ("a NUL in a value", [health(), header("x", "a\0b")].concat()),
        (
            "a large letter in a name",
            [health(), header("Host", "x")].concat(),
        ),
        ("a colon in a name", [health(), header("x:y", "z")].concat()),
        (
            "a pseudo-header of nobody",
            [health(), header(":hidden", "x")].concat(),
        ),
        (
            "a pseudo-header behind the others",
            [header("x", "y"), health()].concat(),
        ),
        (
            "two paths",
            [health(), header(":path", "/metrics")].concat(),
        ),
        (
            "an end of line in a path",
            pseudo("/healthz HTTP/1.1\r\nhost: y\r\n\r\nGET /x"),
        ),
        ("no path", pseudo("")),
        (
            "a length that is not so",
            [health(), header("content-length", "7")].concat(),
        ),
    ] {
        let started = Instant::now();
        let refused = is_refused(kit, &block).await;
        report.saw(&closed_after(started));
        report.check(what, refused, "it was answered as if it were good");
    }
    report.check("the twin", !is_refused(kit, &health()).await, "no answer");
}

/// Whether these headers on stream 1 are answered with anything but 200.
async fn is_refused(kit: &Kit, block: &[u8]) -> bool {
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, block);
    let answer = frames::answer(kit, &[preface(), request].concat()).await;
    // A peer that says nothing would be a fault as well.
    answer.is_ok_and(|status| status != Some(frames::OK))
}
