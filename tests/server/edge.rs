//! What operators are told of connections that never became a request.

use std::time::Duration;

use shortleaf::server::{ConnectionLimits, Front, Hops, RequestLimits};
use shortleaf::telemetry::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::version;

use crate::house::{House, UNHURRIED, UNHURRIED_REQUEST, answer};
use crate::log::Page;
use crate::scan::hello;
use crate::tls::{self, Pair};

const SHORT: Duration = Duration::from_millis(300);
const GET: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
const POST: &str = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                    authorization: a.b.c\r\ncontent-length: 2\r\n\r\n";
const UNOPENED: &str = "shortleaf_handshakes_failed_total";
const CLOSED: &str = "shortleaf_connections_closed_total";

async fn house(limits: ConnectionLimits) -> House {
    House::with(UNHURRIED_REQUEST, limits).await
}

/// Sends this over a connection of its own and reads until it is closed.
async fn send(house: &House, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read).await;
    read
}

/// The sum of a family's series.
fn sum(house: &House, family: &str) -> f64 {
    let text = house.metrics.render();
    let lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{family}{{")));
    let numbers = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
    numbers.sum()
}

#[tokio::test]
async fn a_handshake_that_fails_is_counted_by_its_reason() {
    let pair = Pair::new();
    let house = tls::house(&pair.tls(), UNHURRIED).await;
    let counted_in = async |house: &House, reason: &str| {
        let series = format!("{UNOPENED}{{reason=\"{reason}\"}}");
        house.until(&series, 1.0).await;
    };
    let counted = async |reason| counted_in(&house, reason).await;
    let versions = [&version::TLS13];
    tls::ask(&house, &tls::client(&pair, &versions, &[]))
        .await
        .unwrap();
    assert_eq!(sum(&house, UNOPENED), 0.0);

    send(&house, &hello(0x0302, &[0xc02b], &[0])).await;
    counted("no_shared_version").await;
    send(&house, &hello(0x0303, &[0xc009], &[0])).await;
    counted("no_suite").await;
    let spdy = tls::client(&pair, &versions, &["spdy/1"]);
    tls::ask(&house, &spdy).await.unwrap_err();
    counted("alpn").await;
    send(&house, GET.as_bytes()).await;
    counted("plaintext").await;
    let stranger = tls::client(&Pair::new(), &versions, &[]);
    tls::ask(&house, &stranger).await.unwrap_err();
    counted("alert").await;
    drop(TcpStream::connect(house.at).await.unwrap());
    counted("hung_up").await;
    assert_eq!(sum(&house, UNOPENED), 6.0);

    let limits = ConnectionLimits {
        handshake: SHORT,
        ..UNHURRIED
    };
    let hurried = tls::house(&pair.tls(), limits).await;
    let _silent = TcpStream::connect(hurried.at).await.unwrap();
    counted_in(&hurried, "timeout").await;
    assert_eq!(sum(&hurried, UNOPENED), 1.0);
}

#[tokio::test]
async fn a_hop_without_its_header_is_counted() {
    let front = Front {
        hops: Hops::new([([127, 0, 0, 0].into(), 8)], true),
        ..Default::default()
    };
    let house = House::behind(UNHURRIED_REQUEST, front).await;
    send(&house, GET.as_bytes()).await;
    let series = format!("{UNOPENED}{{reason=\"proxy_header\"}}");
    house.until(&series, 1.0).await;
    send(&house, format!("PROXY UNKNOWN\r\n{GET}").as_bytes()).await;
    assert_eq!(sum(&house, UNOPENED), 1.0);
}

/// Streams that are begun and cancelled at once (CVE-2023-44487).
fn resets(count: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (0..count).map(|number| (2 * number + 1).to_be_bytes()) {
        // HEADERS, END_STREAM and END_HEADERS: GET http://x/
        bytes.extend([0, 0, 6, 1, 5]);
        bytes.extend(stream);
        bytes.extend([0x82, 0x84, 0x86, 0x41, 1, b'x']);
        bytes.extend([0, 0, 4, 3, 0]); // RST_STREAM: CANCEL
        bytes.extend(stream);
        bytes.extend([0, 0, 0, 8]);
    }
    bytes
}

#[tokio::test]
async fn a_connection_closed_by_us_is_counted_by_its_reason() {
    let counted = async |house: &House, reason: &str, number| {
        let series = format!("{CLOSED}{{reason=\"{reason}\"}}");
        house.until(&series, number).await;
        assert_eq!(sum(house, CLOSED), number, "{reason}");
    };
    let mut limits = UNHURRIED;
    limits.header = SHORT;
    let hurried = house(limits).await;
    send(&hurried, b"GET /healthz HTTP/1.1\r\nhos").await;
    counted(&hurried, "header_timeout", 1.0).await;

    let mut limits = UNHURRIED;
    limits.idle = SHORT;
    let hurried = house(limits).await;
    send(&hurried, b"").await;
    counted(&hurried, "idle", 1.0).await;
    // Between two requests.
    let alive = GET.replace("close", "keep-alive");
    send(&hurried, alive.as_bytes()).await;
    counted(&hurried, "idle", 2.0).await;
    // There HTTP/1.1 waits for a head already.
    let mut limits = UNHURRIED;
    limits.header = SHORT;
    let hurried = house(limits).await;
    send(&hurried, alive.as_bytes()).await;
    counted(&hurried, "idle", 1.0).await;

    let house = house(UNHURRIED).await;
    send(&house, GET.as_bytes()).await;
    assert_eq!(sum(&house, CLOSED), 0.0);
    send(&house, "no HTTP\r\n\r\n".as_bytes()).await;
    counted(&house, "malformed", 1.0).await;
    let long = GET.replace(
        "\r\n\r\n",
        &format!("\r\nx: {}\r\n\r\n", "y".repeat(1 << 16)),
    );
    send(&house, long.as_bytes()).await;
    let one = |reason| format!("{CLOSED}{{reason=\"{reason}\"}}");
    house.until(&one("headers_too_large"), 1.0).await;
    send(&house, &resets(200)).await;
    house.until(&one("http2_abuse"), 1.0).await;
    assert_eq!(sum(&house, CLOSED), 3.0);
}

#[tokio::test]
async fn who_makes_room_and_who_does_not_finish_is_counted() {
    let one = |reason| format!("{CLOSED}{{reason=\"{reason}\"}}");
    let full = house(ConnectionLimits {
        connections: 1,
        ..UNHURRIED
    })
    .await;
    let _idle = TcpStream::connect(full.at).await.unwrap();
    send(&full, GET.as_bytes()).await;
    full.until(&one("made_room"), 1.0).await;

    let aged = house(ConnectionLimits {
        max_age: SHORT,
        finish: SHORT,
        ..UNHURRIED
    })
    .await;
    aged.script.hold();
    send(&aged, (POST.to_owned() + "{}").as_bytes()).await;
    aged.until(&one("age"), 1.0).await;
    aged.until(&one("unfinished"), 1.0).await;
}

#[tokio::test]
async fn open_connections_and_waiting_bodies_are_gauges() {
    let house = house(UNHURRIED).await;
    let (open, waiting) = ("shortleaf_connections_open", "shortleaf_bodies_waiting");
    assert_eq!((house.number(open), house.number(waiting)), (0.0, 0.0));
    let mut slow = TcpStream::connect(house.at).await.unwrap();
    slow.write_all(POST.as_bytes()).await.unwrap();
    house.until(waiting, 1.0).await;
    assert_eq!(house.number(open), 1.0);
    slow.write_all(b"{}").await.unwrap();
    assert_eq!(answer(&mut slow).await.status, 200);
    house.until(waiting, 0.0).await;
    house.until(open, 0.0).await;
}

#[tokio::test]
async fn a_body_that_comes_too_late_is_counted_and_one_in_time_is_not() {
    let late = r#"shortleaf_bodies_cut_total{reason="timeout"}"#;
    let limits = RequestLimits {
        body: SHORT,
        ..UNHURRIED_REQUEST
    };
    let house = House::with(limits, UNHURRIED).await;
    // With its head.
    send(&house, (POST.to_owned() + "{}").as_bytes()).await;
    assert_eq!(house.number(late), 0.0);
    let mut slow = TcpStream::connect(house.at).await.unwrap();
    slow.write_all(POST.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut slow).await.status, 400);
    assert_eq!(house.number(late), 1.0);
}

#[tokio::test]
async fn an_ambiguous_request_is_counted_by_its_shape_and_its_answer_has_an_id() {
    let house = House::open().await;
    let host = "host: x\r\n";
    let table = [
        (
            format!("{host}x: y\ncontent-length: 2\r\n"),
            "bare_line_feed",
        ),
        (
            format!("{host}content-length: 2\r\ntransfer-encoding: chunked\r\n"),
            "length_and_encoding",
        ),
        (
            format!("{host}content-length: 2\r\ncontent-length: 2\r\n"),
            "two_lengths",
        ),
        (
            format!("{host}transfer-encoding: gzip, chunked\r\n"),
            "encoding",
        ),
        ("content-length: 2\r\n".to_owned(), "host"),
    ];
    for (headers, shape) in table {
        let (page, _guard) = Page::open(Format::Json, "shortleaf=debug");
        let request = format!("POST /api/v2/signingCert HTTP/1.1\r\n{headers}\r\n{{}}");
        let refused = house.send(&request).await;
        assert_eq!(
            (refused.status, &*refused.reason()),
            (400, "REQUEST_MALFORMED")
        );
        assert_eq!(refused.header("x-request-id"), Some(&*"ab".repeat(16)));
        let series = format!("shortleaf_requests_ambiguous_total{{shape=\"{shape}\"}}");
        assert_eq!(house.number(&series), 1.0, "{shape}");
        let told = page.text();
        assert!(
            told.contains(shape) && told.contains(&"ab".repeat(16)),
            "{told}"
        );
    }
    let given = "POST / HTTP/1.1\r\nx-request-id: job-17\r\n\r\n";
    assert_eq!(
        house.send(given).await.header("x-request-id"),
        Some("job-17")
    );
    let good = POST.to_owned() + "{}";
    assert_eq!(house.send(&good).await.status, 200);
    assert_eq!(sum(&house, "shortleaf_requests_ambiguous_total"), 6.0);
}
