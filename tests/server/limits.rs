//! What a slow, silent or greedy peer cannot do, with the constants scaled down; and how the
//! instance stops.

use std::time::Duration;

use shortleaf::server::{ConnectionLimits, RequestLimits};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::house::{House, PATIENCE, UNHURRIED, UNHURRIED_REQUEST, answer, exchange};

const BEARER: &str = "authorization: Bearer a.b.c\r\n";

const SHORT: Duration = Duration::from_millis(300);

/// A house whose connections have these limits; in each test one is short, the rest never come.
async fn house(connections: ConnectionLimits) -> House {
    House::with(UNHURRIED_REQUEST, connections).await
}

/// Reads what the server has to say until it closes.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("the server closes");
}

/// It was not closed before its time. That time is up at some time: there is no other limit.
/// `start` is from before the server can have begun to count.
#[track_caller]
fn not_before(limit: Duration, start: Instant) {
    let took = start.elapsed();
    assert!(took >= limit, "{took:?} for {limit:?}");
}

/// A request that is worked on, once the service was asked.
async fn in_flight(house: &House) -> TcpStream {
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    let request = format!(
        "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\n{BEARER}content-length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    house.until_asked(1).await;
    stream
}

/// Waits until nobody can connect any more.
async fn until_shut(house: &House) {
    let shut = async {
        while TcpStream::connect(house.at).await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, shut).await.expect("it is shut");
}

async fn until_stopped(house: &mut House) {
    let stopped = timeout(PATIENCE, &mut house.serving).await;
    stopped.expect("it stops").unwrap();
}

/// A body of exactly `bytes`, valid JSON with one long unknown field.
fn padded(bytes: usize) -> String {
    let frame = r#"{"x":""}"#.len();
    format!(r#"{{"x":"{}"}}"#, "y".repeat(bytes - frame))
}

#[tokio::test]
async fn a_body_of_64_kib_is_taken_and_one_byte_more_is_not() {
    let house = House::open().await;
    let answer = house
        .post("/api/v2/signingCert", BEARER, &padded(64 * 1024))
        .await;
    assert_eq!(answer.status, 200);
    let answer = house
        .post("/api/v2/signingCert", BEARER, &padded(64 * 1024 + 1))
        .await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (400, "REQUEST_TOO_LARGE")
    );
    assert_eq!(
        answer.message(),
        "The request is too large: the limit is 65536 bytes"
    );
    assert_eq!(house.asked().len(), 1);
}

#[tokio::test]
async fn a_chunked_body_has_the_same_limit() {
    let house = House::open().await;
    for (bytes, status) in [(64 * 1024, 200), (64 * 1024 + 1, 400)] {
        let body = padded(bytes);
        let request = format!(
            "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{BEARER}\
             transfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{body}\r\n0\r\n\r\n"
        );
        assert_eq!(house.send(&request).await.status, status, "{bytes}");
    }
}

#[tokio::test]
async fn a_body_announced_too_large_is_refused_before_it_is_sent() {
    let house = House::open().await;
    let request = format!(
        "POST /api/v1/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{BEARER}\
         expect: 100-continue\r\ncontent-length: 1000000000000\r\n\r\n"
    );
    let answer = house.send(&request).await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (400, "REQUEST_TOO_LARGE")
    );
}

/// A body that no socket buffer holds, from a client that reads when all is sent: it must be able to
/// send it, or it never learns why.
#[tokio::test]
async fn who_sends_everything_before_reading_is_told_why_it_was_too_much() {
    let house = House::open().await;
    let bytes = 7 << 20;
    let sized = format!("content-length: {bytes}\r\n\r\n{}", "y".repeat(bytes));
    let chunked = format!(
        "transfer-encoding: chunked\r\n\r\n{bytes:x}\r\n{}\r\n0\r\n\r\n",
        "y".repeat(bytes)
    );
    for body in [sized, chunked] {
        let request = format!("POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\n{BEARER}{body}");
        let mut stream = TcpStream::connect(house.at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // What the house makes of its connections is its own; that the answer arrives is the claim.
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(
            answer.contains(r#""metadata":{"limit":"65536"}"#),
            "{answer}"
        );
    }
    assert_eq!(house.asked(), []);
}

#[tokio::test]
async fn the_rest_of_an_endless_body_is_not_read() {
    let house = House::open().await;
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    let head = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("400\r\n{}\r\n", "y".repeat(0x400));
    let mut sent = 0;
    // Far more than any socket buffer: without a limit this would go on to the end.
    while sent < 64 << 20 && stream.write_all(chunk.as_bytes()).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "the server took {sent} bytes");
}

#[tokio::test]
async fn a_body_cut_short_never_reaches_the_service() {
    let house = House::open().await;
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    let head = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    // hyper may close at once instead; in neither case is the service asked.
    let _ = until_closed(&mut stream).await;
    assert_eq!(house.asked(), []);
}

#[tokio::test]
async fn a_body_that_dribbles_is_refused_in_time() {
    let house = House::with(
        RequestLimits {
            body: SHORT,
            ..UNHURRIED_REQUEST
        },
        UNHURRIED,
    )
    .await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    let head = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\ncontent-length: 900\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let dribble = tokio::spawn(async move {
        while write.write_all(b" ").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let mut bytes = vec![0; 64];
    let read = timeout(PATIENCE, read.read(&mut bytes)).await;
    let read = read.expect("an answer").unwrap();
    not_before(SHORT, start);
    assert!(bytes[..read].starts_with(b"HTTP/1.1 400 "));
    dribble.abort();
}

#[tokio::test]
async fn a_service_that_never_answers_is_500_when_the_request_is_over_time() {
    let house = House::with(
        RequestLimits {
            whole: SHORT,
            ..UNHURRIED_REQUEST
        },
        UNHURRIED,
    )
    .await;
    house.script.hold();
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!((answer.status, answer.reason().as_str()), (500, "INTERNAL"));
}

#[tokio::test]
async fn a_header_of_a_16_kib_token_fits() {
    let house = House::open().await;
    let headers = format!("authorization: Bearer {}\r\n", "x".repeat(16 * 1024));
    let answer = house.post("/api/v2/signingCert", &headers, "{}").await;
    assert_eq!(answer.status, 200);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("http://{}/api/v2/signingCert", house.at);
    let token = "x".repeat(16 * 1024);
    let answer = client.post(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn headers_beyond_the_limit_do_not_reach_a_door() {
    let house = House::open().await;
    let headers = format!("authorization: Bearer {}\r\n", "x".repeat(40 * 1024));
    let answer = house.post("/api/v2/signingCert", &headers, "{}").await;
    assert_eq!(answer.status, 431);
    assert_eq!(house.asked(), []);
}

#[tokio::test]
async fn half_a_header_is_closed_after_the_header_limit() {
    let house = house(ConnectionLimits {
        header: SHORT,
        ..UNHURRIED
    })
    .await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhos")
        .await
        .unwrap();
    until_closed(&mut stream).await;
    not_before(SHORT, start);
}

#[tokio::test]
async fn a_header_that_dribbles_is_closed_after_the_header_limit() {
    let house = house(ConnectionLimits {
        header: SHORT,
        ..UNHURRIED
    })
    .await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nx: ")
        .await
        .unwrap();
    let (mut read, mut write) = stream.into_split();
    let dribble = tokio::spawn(async move {
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    until_closed(&mut read).await;
    not_before(SHORT, start);
    dribble.abort();
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_closed_after_the_idle_limit() {
    let house = house(ConnectionLimits {
        idle: SHORT,
        ..UNHURRIED
    })
    .await;
    let start = Instant::now();
    let mut silent = TcpStream::connect(house.at).await.unwrap();
    until_closed(&mut silent).await;
    not_before(SHORT, start);
    let start = Instant::now();
    let mut half_a_preface = TcpStream::connect(house.at).await.unwrap();
    half_a_preface
        .write_all(b"PRI * HTTP/2.0\r\n")
        .await
        .unwrap();
    until_closed(&mut half_a_preface).await;
    not_before(SHORT, start);
}

#[tokio::test]
async fn an_http_2_peer_that_falls_silent_is_closed_after_the_idle_limit_and_its_grace() {
    let house = house(ConnectionLimits {
        idle: SHORT,
        finish: SHORT,
        ..UNHURRIED
    })
    .await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    stream
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap(); // an empty SETTINGS frame
    until_closed(&mut stream).await;
    not_before(2 * SHORT, start);
}

#[tokio::test]
async fn a_request_longer_than_the_idle_limit_is_still_answered() {
    let house = house(ConnectionLimits {
        idle: SHORT,
        ..UNHURRIED
    })
    .await;
    let gate = house.script.hold();
    let release = async {
        house.until_asked(1).await;
        sleep(SHORT * 3).await;
        gate.add_permits(1);
    };
    let (answer, ()) = tokio::join!(house.post("/api/v2/signingCert", BEARER, "{}"), release);
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_busy_connection_is_asked_to_leave_at_its_age_limit() {
    let house = house(ConnectionLimits {
        max_age: SHORT,
        ..UNHURRIED
    })
    .await;
    let start = Instant::now();
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    let mut bytes = vec![0; 4096];
    loop {
        let asked = stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            .await;
        let answered = stream.read(&mut bytes).await;
        if asked.is_err() || !answered.is_ok_and(|bytes| bytes > 0) {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    not_before(SHORT, start);
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_seat() {
    let house = house(ConnectionLimits {
        connections: 1,
        ..UNHURRIED
    })
    .await;
    // Of use, so that it makes no room however long this takes.
    let gate = house.script.hold();
    let seated = in_flight(&house).await;
    let waiting = exchange(
        house.at,
        "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    let mut waiting = std::pin::pin!(waiting);
    let early = timeout(Duration::from_millis(200), waiting.as_mut()).await;
    assert!(early.is_err(), "there was no seat");
    gate.add_permits(1);
    drop(seated);
    assert_eq!(waiting.await.status, 200);
}

#[tokio::test]
async fn stopping_refuses_new_peers_and_finishes_what_is_in_flight() {
    let mut house = house(UNHURRIED).await;
    let gate = house.script.hold();
    let mut stream = in_flight(&house).await;
    house.stop.cancel();
    until_shut(&house).await;
    assert!(!house.serving.is_finished(), "one request is in flight");
    gate.add_permits(1);
    assert_eq!(answer(&mut stream).await.status, 200);
    until_stopped(&mut house).await;
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_over_http_2() {
    let mut house = house(UNHURRIED).await;
    let gate = house.script.hold();
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("http://{}/api/v1/signingCert", house.at);
    let asking = tokio::spawn(client.post(url).bearer_auth("a.b.c").send());
    house.until_asked(1).await;
    house.stop.cancel();
    until_shut(&house).await;
    gate.add_permits(1);
    assert_eq!(asking.await.unwrap().unwrap().status(), 201);
    until_stopped(&mut house).await;
}

#[tokio::test]
async fn an_idle_keep_alive_connection_does_not_delay_the_stop() {
    let mut house = house(UNHURRIED).await;
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = vec![0; 4096];
    assert!(stream.read(&mut bytes).await.unwrap() > 0);
    house.stop.cancel();
    until_stopped(&mut house).await;
}

#[tokio::test]
async fn what_does_not_finish_is_cut_off_at_the_drain_limit() {
    let mut house = house(ConnectionLimits {
        drain: SHORT,
        ..UNHURRIED
    })
    .await;
    house.script.hold();
    let _stream = in_flight(&house).await;
    let start = Instant::now();
    house.stop.cancel();
    until_stopped(&mut house).await;
    not_before(SHORT, start);
}

#[tokio::test]
async fn a_decision_is_counted_even_if_the_caller_hangs_up() {
    let house = House::open().await;
    let gate = house.script.hold();
    drop(in_flight(&house).await);
    house.until("shortleaf_connections_open", 0.0).await;
    gate.add_permits(1);
    let counted = r#"shortleaf_certs_issued_total{issuer="https://issuer.example"}"#;
    house.until(counted, 1.0).await;
}
