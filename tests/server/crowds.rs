//! Too many at once, and messages that can be read in two ways: some are told to come again or to
//! leave, the others are served.

use std::time::Duration;

use shortleaf::server::{ConnectionLimits, RequestLimits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::house::{House, PATIENCE, UNHURRIED, UNHURRIED_REQUEST, answer};

const BEARER: &str = "authorization: Bearer a.b.c\r\n";
const SHORT: Duration = Duration::from_millis(300);

async fn house(limits: RequestLimits) -> House {
    House::with(limits, UNHURRIED).await
}

#[tokio::test]
async fn who_finds_no_place_is_told_to_come_again_and_nothing_of_it_is_parsed() {
    let house = house(RequestLimits {
        in_flight: 1,
        queue: 1,
        ..UNHURRIED_REQUEST
    })
    .await;
    let gate = house.script.hold();
    let works = house.post("/api/v2/signingCert", BEARER, "{}");
    let waits = async {
        house.until_asked(1).await;
        house.post("/api/v2/signingCert", BEARER, "{}").await
    };
    let shed = async {
        // Where it is in the house it stands in the queue: its body came with its head.
        house.until("shortleaf_requests_in_flight", 2.0).await;
        // Without a token and without sense: that would be told if anybody had looked.
        let announced = "content-length: 9\r\n";
        let request = format!(
            "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{announced}\r\n"
        );
        let answer = house.send(&request).await;
        // What costs nothing is still served.
        let health = house.get("/healthz").await;
        assert_eq!(house.asked().len(), 1);
        gate.add_permits(2);
        (answer, health)
    };
    let (works, waits, (shed, health)) = tokio::join!(works, waits, shed);
    assert_eq!((works.status, waits.status, health.status), (200, 200, 200));
    assert_eq!((shed.status, &*shed.reason()), (503, "OVERLOADED"));
    assert_eq!(shed.header("retry-after"), Some("2"));
    assert_eq!(shed.message(), "The service is busy");
    assert!(shed.header("x-request-id").is_some());
    let counted = r#"shortleaf_certs_refused_total{issuer="unknown",reason="OVERLOADED"} 1"#;
    assert!(house.metrics.render().contains(counted));
}

#[tokio::test]
async fn nobody_waits_longer_than_the_queue_allows() {
    let house = house(RequestLimits {
        in_flight: 1,
        queue_wait: SHORT,
        ..UNHURRIED_REQUEST
    })
    .await;
    let gate = house.script.hold();
    let works = house.post("/api/v1/signingCert", BEARER, "{}");
    let waits = async {
        house.until_asked(1).await;
        let start = Instant::now();
        let answer = house.post("/api/v1/signingCert", BEARER, "{}").await;
        assert!(start.elapsed() >= SHORT);
        gate.add_permits(1);
        answer
    };
    let (works, waits) = tokio::join!(works, waits);
    assert_eq!(works.status, 201);
    assert_eq!((waits.status, &*waits.reason()), (503, "OVERLOADED"));
}

#[tokio::test]
async fn a_caller_who_hung_up_keeps_its_place_until_the_work_is_done() {
    let house = house(RequestLimits {
        in_flight: 1,
        queue_wait: SHORT,
        ..UNHURRIED_REQUEST
    })
    .await;
    let gate = house.script.hold();
    let mut gone = TcpStream::connect(house.at).await.unwrap();
    let request = format!(
        "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\n{BEARER}content-length: 2\r\n\r\n{{}}"
    );
    gone.write_all(request.as_bytes()).await.unwrap();
    house.until_asked(1).await;
    drop(gone);
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!((answer.status, &*answer.reason()), (503, "OVERLOADED"));
    gate.add_permits(2);
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_slowest_body_makes_room_for_a_new_one() {
    let house = house(RequestLimits {
        reading: 1,
        ..UNHURRIED_REQUEST
    })
    .await;
    let head = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                content-length: 2\r\nauthorization: a.b.c\r\n\r\n";
    let mut slow = TcpStream::connect(house.at).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    house.until("shortleaf_bodies_waiting", 1.0).await;
    let mut good = TcpStream::connect(house.at).await.unwrap();
    good.write_all(head.as_bytes()).await.unwrap();
    let refused = answer(&mut slow).await;
    assert_eq!((refused.status, &*refused.reason()), (503, "OVERLOADED"));
    good.write_all(b"{}").await.unwrap();
    assert_eq!(answer(&mut good).await.status, 200);
}

#[tokio::test]
async fn more_requests_than_the_house_holds_are_told_to_come_again() {
    let house = house(RequestLimits {
        requests: 1,
        ..UNHURRIED_REQUEST
    })
    .await;
    let gate = house.script.hold();
    let works = house.post("/api/v2/signingCert", BEARER, "{}");
    let shed = async {
        house.until_asked(1).await;
        let answer = house.get("/healthz").await;
        gate.add_permits(1);
        answer
    };
    let (works, shed) = tokio::join!(works, shed);
    assert_eq!(works.status, 200);
    assert_eq!((shed.status, &*shed.reason()), (503, "OVERLOADED"));
    assert_eq!(house.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_connection_without_a_request_makes_room_and_one_with_a_request_does_not() {
    let house = House::with(
        UNHURRIED_REQUEST,
        ConnectionLimits {
            connections: 2,
            ..UNHURRIED
        },
    )
    .await;
    let gate = house.script.hold();
    let works = house.post("/api/v2/signingCert", BEARER, "{}");
    let others = async {
        house.until_asked(1).await;
        let mut idle = TcpStream::connect(house.at).await.unwrap();
        assert_eq!(house.get("/healthz").await.status, 200);
        let mut bytes = Vec::new();
        let left = timeout(PATIENCE, idle.read_to_end(&mut bytes));
        assert_eq!(left.await.unwrap().unwrap(), 0);
        gate.add_permits(1);
    };
    let (works, ()) = tokio::join!(works, others);
    assert_eq!(works.status, 200);
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_ends_its_connection() {
    let house = House::open().await;
    let post = |headers: &str, body: &str| {
        format!("POST /api/v2/signingCert HTTP/1.1\r\n{headers}{BEARER}\r\n{body}")
    };
    let host = "host: x\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let table = [
        (
            format!("{host}content-length: 7\r\n{chunked}"),
            "2\r\n{}\r\n0\r\n\r\n",
            "it can be read in more than one way",
        ),
        (
            format!("{host}{chunked}content-length: 7\r\n"),
            "2\r\n{}\r\n0\r\n\r\n",
            "it can be read in more than one way",
        ),
        (
            format!("{host}content-length: 2\r\ncontent-length: 2\r\n"),
            "{}",
            "it can be read in more than one way",
        ),
        (
            "host: x\ncontent-length: 2\r\n".to_owned(),
            "{}",
            "it can be read in more than one way",
        ),
        (
            format!("{host}{chunked}{chunked}"),
            "2\r\n{}\r\n0\r\n\r\n",
            "chunked, once, is the only transfer encoding taken",
        ),
        (
            format!("{host}transfer-encoding: gzip, chunked\r\n"),
            "2\r\n{}\r\n0\r\n\r\n",
            "chunked, once, is the only transfer encoding taken",
        ),
        (
            "content-length: 2\r\n".to_owned(),
            "{}",
            "the request does not name one host",
        ),
        (
            format!("{host}{host}content-length: 2\r\n"),
            "{}",
            "the request does not name one host",
        ),
    ];
    for (headers, body, told) in table {
        // No `connection: close`: the server is the one that ends it.
        let refused = house.send(&post(&headers, body)).await;
        assert_eq!(
            (refused.status, &*refused.reason(), refused.message()),
            (
                400,
                "REQUEST_MALFORMED",
                format!("The request could not be parsed: {told}")
            ),
            "{headers:?}"
        );
    }
    assert_eq!(house.asked(), []);
    let length = format!("{host}content-length: 2\r\nconnection: close\r\n");
    assert_eq!(house.send(&post(&length, "{}")).await.status, 200);
}

#[tokio::test]
async fn what_follows_a_body_in_chunks_is_no_request() {
    let house = House::open().await;
    let smuggled = "GET /api/v2/trustBundle HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let request = format!(
        "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\n{BEARER}transfer-encoding: chunked\r\n\r\n\
         2\r\n{{}}\r\n0\r\n\r\n{smuggled}"
    );
    let answer = house.send(&request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(!answer.body.contains("HTTP/1.1"), "{}", answer.body);
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_it_is() {
    let house = House::open().await;
    for coding in ["gzip", "deflate", "br", "identity, gzip"] {
        let headers = format!("{BEARER}content-encoding: {coding}\r\n");
        let refused = house.post("/api/v2/signingCert", &headers, "{}").await;
        assert_eq!(
            refused.message(),
            "The request could not be parsed: the body is compressed; send it as it is"
        );
    }
    assert_eq!(house.asked(), []);
    let headers = format!("{BEARER}content-encoding: identity\r\n");
    let answer = house.post("/api/v2/signingCert", &headers, "{}").await;
    assert_eq!(answer.status, 200);
}
