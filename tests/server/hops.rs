//! Proxies in front: whom they name is in the log if they are configured, and nowhere if not.

use std::time::Duration;

use serde_json::Value;
use shortleaf::server::{ConnectionLimits, Front, Hops};
use shortleaf::telemetry::Format;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, UNHURRIED, UNHURRIED_REQUEST, answer, exchange};
use crate::log::Page;

const POST: &str = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                    authorization: a.b.c\r\ncontent-length: 2\r\n";
const LINE: &str = "PROXY TCP4 198.51.100.7 127.0.0.1 4711 80\r\n";

/// A house that trusts this network.
async fn house(network: [u8; 4], speak_proxy: bool) -> House {
    patient(network, speak_proxy, UNHURRIED.handshake).await
}

/// The same; for so long it waits for a hop's header.
async fn patient(network: [u8; 4], speak_proxy: bool, handshake: Duration) -> House {
    let front = Front {
        hops: Hops::new([(network.into(), 8)], speak_proxy),
        limits: ConnectionLimits {
            handshake,
            ..UNHURRIED
        },
        ..Default::default()
    };
    House::behind(UNHURRIED_REQUEST, front).await
}

/// Who asked, as the last line of the log has it.
fn client(page: &Page) -> String {
    let text = page.text();
    let event: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    event["client"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn x_forwarded_for_is_believed_from_a_trusted_hop_only() {
    for (network, named) in [
        ([127, 0, 0, 0], "198.51.100.7"),
        ([10, 0, 0, 0], "127.0.0.1"),
    ] {
        let (page, _guard) = Page::open(Format::Json, "info");
        let house = house(network, false).await;
        let forwarded = "x-forwarded-for: 203.0.113.1, 198.51.100.7\r\n";
        let answer = exchange(house.at, &format!("{POST}{forwarded}\r\n{{}}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(client(&page), named);
    }
}

#[tokio::test]
async fn a_proxy_header_is_believed_from_a_trusted_hop_only() {
    let (page, _guard) = Page::open(Format::Json, "info");
    let trusting = house([127, 0, 0, 0], true).await;
    let answer = exchange(trusting.at, &format!("{LINE}{POST}\r\n{{}}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client(&page), "198.51.100.7");
    // Whom it names is no hop: what that one writes is not believed.
    let forwarded = "x-forwarded-for: 203.0.113.1\r\n";
    exchange(trusting.at, &format!("{LINE}{POST}{forwarded}\r\n{{}}")).await;
    assert_eq!(client(&page), "198.51.100.7");

    let distrusting = house([10, 0, 0, 0], true).await;
    let answer = exchange(distrusting.at, &format!("{LINE}{POST}\r\n{{}}")).await;
    assert_eq!(answer.status, 400);
    let answer = exchange(distrusting.at, &format!("{POST}\r\n{{}}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(client(&page), "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_hop_without_its_header_is_closed_and_others_are_served() {
    let trusting = house([127, 0, 0, 0], true).await;
    let hurried = patient([127, 0, 0, 0], true, Duration::from_millis(300)).await;
    for (house, opening) in [
        (&trusting, POST),
        (&trusting, "PROXY TCP4 nonsense\r\n"),
        (&hurried, "PROXY"),
        (&hurried, ""),
    ] {
        let mut stream = TcpStream::connect(house.at).await.unwrap();
        stream.write_all(opening.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        assert_eq!(bytes, b"", "{opening:?}");
    }
    let mut stream = TcpStream::connect(trusting.at).await.unwrap();
    stream.write_all(LINE.as_bytes()).await.unwrap();
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.status, 200);
}
