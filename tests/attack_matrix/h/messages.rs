//! H1, H3, H6, H7, H12, H13: single requests.

use crate::ask::{self, Door};
use crate::h::Kit;
use crate::report::Report;

const TOO_LARGE: &str = "REQUEST_TOO_LARGE";
const MALFORMED: &str = "REQUEST_MALFORMED";
const LIMIT: usize = 64 * 1024;

/// Head and body of a good request, its length and its `connection` taken out.
fn parts(kit: &Kit) -> (String, String) {
    let text = kit.good().http(Door::V2);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let lines = head.split("\r\n");
    let kept: Vec<&str> = lines
        .filter(|line| !line.starts_with("content-length") && !line.starts_with("connection"))
        .collect();
    (kept.join("\r\n"), body.to_owned())
}

/// A whole request with these further header lines, each with its end.
fn with(kit: &Kit, headers: impl Fn(&str) -> String, frame: impl Fn(&str) -> String) -> Vec<u8> {
    let (head, body) = parts(kit);
    format!("{head}\r\n{}\r\n{}", headers(&body), frame(&body)).into_bytes()
}

fn length(body: &str) -> String {
    format!("connection: close\r\ncontent-length: {}\r\n", body.len())
}

fn chunks(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

const CHUNKED: &str = "connection: close\r\ntransfer-encoding: chunked\r\n";

/// H1
pub(super) async fn large(kit: &Kit, report: &mut Report) {
    for over in [1, LIMIT, 16 << 20] {
        let fill = |body: &str, to: usize| format!("{body}{}", " ".repeat(to - body.len()));
        let by_length = |to: usize| {
            with(
                kit,
                |_| format!("connection: close\r\ncontent-length: {to}\r\n"),
                |body| fill(body, to),
            )
        };
        let by_chunks =
            |to: usize| with(kit, |_| CHUNKED.to_owned(), |body| chunks(&fill(body, to)));
        let what = format!("{over} octets too many");
        kit.refused(
            report,
            &what,
            &by_length(LIMIT + over),
            TOO_LARGE,
            Some(&by_length(LIMIT)),
        )
        .await;
        let what = format!("{over} octets too many, in chunks");
        kit.refused(
            report,
            &what,
            &by_chunks(LIMIT + over),
            TOO_LARGE,
            Some(&by_chunks(LIMIT)),
        )
        .await;
    }
    // Announced and never sent: the answer does not wait for it.
    let announced = with(
        kit,
        |_| "connection: close\r\ncontent-length: 1000000000000\r\n".to_owned(),
        |_| String::new(),
    );
    kit.refused(report, "announced", &announced, TOO_LARGE, None)
        .await;
}

/// H3
pub(super) async fn headers(kit: &Kit, report: &mut Report) {
    let many = |count: usize| {
        with(
            kit,
            |body| {
                length(body)
                    + &(0..count)
                        .map(|n| format!("x-{n}: y\r\n"))
                        .collect::<String>()
            },
            str::to_owned,
        )
    };
    let long = |octets: usize| {
        with(
            kit,
            |body| length(body) + &format!("x-long: {}\r\n", "y".repeat(octets)),
            str::to_owned,
        )
    };
    let refused = "HTTP 431";
    kit.refused(
        report,
        "100,000 headers",
        &many(100_000),
        refused,
        Some(&many(50)),
    )
    .await;
    kit.refused(report, "65 headers", &many(65), refused, Some(&many(50)))
        .await;
    kit.refused(
        report,
        "1 MB of header",
        &long(1 << 20),
        refused,
        Some(&long(16 << 10)),
    )
    .await;
    let path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(1 << 20));
    let answer = ask::send(kit.site.at, path.as_bytes()).await;
    report.saw(&answer);
    let right = matches!(&*answer.word(), "HTTP 414" | "HTTP 431");
    report.check("1 MB of path", right, &answer);
}

/// H6
pub(super) async fn smuggling(kit: &Kit, report: &mut Report) {
    // (what, headers, body, the word of the answer), then the twin's headers and body.
    type Part = fn(&str) -> String;
    let same: Part = str::to_owned;
    let chunked: Part = |_| CHUNKED.to_owned();
    let table: [(&str, Part, Part, &str, Part, Part); 13] = [
        (
            "a length before an encoding",
            |body| format!("{}transfer-encoding: chunked\r\n", length(body)),
            chunks,
            MALFORMED,
            chunked,
            chunks,
        ),
        (
            "a length after an encoding",
            |body| format!("transfer-encoding: chunked\r\n{}", length(body)),
            chunks,
            MALFORMED,
            chunked,
            chunks,
        ),
        (
            "an encoding nobody knows",
            |_| "transfer-encoding: xchunked\r\n".to_owned(),
            chunks,
            "HTTP 400",
            chunked,
            chunks,
        ),
        (
            "chunked and then another",
            |_| "transfer-encoding: chunked, identity\r\n".to_owned(),
            chunks,
            "HTTP 400",
            chunked,
            chunks,
        ),
        (
            "chunked twice",
            |_| "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n".to_owned(),
            chunks,
            MALFORMED,
            chunked,
            chunks,
        ),
        (
            "an encoding with a blank before its colon",
            |_| "transfer-encoding : chunked\r\n".to_owned(),
            chunks,
            "HTTP 400",
            chunked,
            chunks,
        ),
        (
            "two lengths",
            |body| format!("content-length: 1\r\n{}", length(body)),
            same,
            "HTTP 400",
            length,
            same,
        ),
        (
            "a length twice",
            |body| format!("content-length: {}\r\n{}", body.len(), length(body)),
            same,
            MALFORMED,
            length,
            same,
        ),
        (
            "a length with a sign",
            |body| format!("content-length: +{}\r\n", body.len()),
            same,
            "HTTP 400",
            length,
            same,
        ),
        (
            "a bare line feed in the head",
            |body| format!("x: y\n{}", length(body)),
            same,
            MALFORMED,
            length,
            same,
        ),
        (
            "a folded line",
            |body| format!("x: y\r\n z\r\n{}", length(body)),
            same,
            "HTTP 400",
            length,
            same,
        ),
        (
            "a bare line feed after a chunk's size",
            chunked,
            |body| format!("{:x}\n{body}\r\n0\r\n\r\n", body.len()),
            MALFORMED,
            chunked,
            chunks,
        ),
        (
            "a chunk's size beyond all numbers",
            chunked,
            |body| format!("1{:016x}\r\n{body}\r\n0\r\n\r\n", body.len()),
            MALFORMED,
            chunked,
            chunks,
        ),
    ];
    for (what, headers, frame, word, good_headers, good_frame) in table {
        let twin = with(kit, good_headers, good_frame);
        kit.refused(report, what, &with(kit, headers, frame), word, Some(&twin))
            .await;
    }
    // The request behind a body in chunks is never answered.
    let mut two = with(kit, |_| "transfer-encoding: chunked\r\n".to_owned(), chunks);
    two.extend(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = ask::send(kit.site.at, &two).await;
    report.saw(&answer);
    report.check("behind a body", answer.is_issued(), &answer);
    report.check(
        "behind a body",
        !answer.body().contains("HTTP/1.1"),
        &answer,
    );
}

/// H7
pub(super) async fn compressed(kit: &Kit, report: &mut Report) {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let headers = |body: &str| format!("content-encoding: {coding}\r\n{}", length(body));
        let bad = with(kit, headers, str::to_owned);
        let twin = with(kit, length, str::to_owned);
        kit.refused(report, coding, &bad, MALFORMED, Some(&twin))
            .await;
    }
    // The start of a gzip file, unannounced.
    let (head, _) = parts(kit);
    let mut bad = format!("{head}\r\n{}\r\n", length("0123456789")).into_bytes();
    bad.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]);
    let twin = with(kit, length, str::to_owned);
    kit.refused(report, "unannounced", &bad, MALFORMED, Some(&twin))
        .await;
}

/// H12
pub(super) async fn other_routes(kit: &Kit, report: &mut Report) {
    for path in [
        "/metrics",
        "/livez",
        "/readyz",
        "/readyz?verbose",
        "/debug",
        "/admin",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = ask::send(kit.site.at, request.as_bytes()).await;
        report.saw(&answer);
        report.check(path, answer.word() == "ROUTE_UNKNOWN", &answer);
    }
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = ask::send(kit.site.ops, request.as_bytes()).await;
    let right = answer.body().contains("shortleaf_certs_issued_total");
    report.check("the operators' port", right, &answer);
}

/// H13
pub(super) async fn foreign_origins(kit: &Kit, report: &mut Report) {
    let origin = "origin: https://elsewhere.example\r\n";
    let preflight = "access-control-request-method: POST\r\n\
                     access-control-request-headers: authorization\r\n";
    for (what, method, headers) in [
        ("a foreign origin", "GET", origin.to_owned()),
        ("its preflight", "OPTIONS", format!("{origin}{preflight}")),
    ] {
        let request = format!(
            "{method} /api/v2/trustBundle HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n"
        );
        let (answer, head) = ask::send_for_head(kit.site.at, request.as_bytes()).await;
        report.saw(&answer);
        let says = |line: &str| head.lines().any(|told| told.eq_ignore_ascii_case(line));
        report.check(what, says("access-control-allow-origin: *"), &head);
        let lower = head.to_ascii_lowercase();
        report.check(what, !lower.contains("allow-credentials"), &head);
        report.check(what, !lower.contains("authorization"), &head);
    }
    // The operators' port has no word for browsers.
    let request = format!("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{origin}\r\n");
    let (answer, head) = ask::send_for_head(kit.site.ops, request.as_bytes()).await;
    report.saw(&answer);
    let silent = !head.to_ascii_lowercase().contains("access-control");
    report.check("the operators' port", silent, &head);
}
