//! One address among others: it holds its share of the connections and no more.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use shortleaf::server::{ConnectionLimits, Front, Hops};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::house::{House, PATIENCE, UNHURRIED, UNHURRIED_REQUEST};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
const POST: &str = "POST /api/v2/signingCert HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
                    authorization: a.b.c\r\ncontent-length: 2\r\n\r\n{}";
/// After this long a connection that is of no use may be told to leave.
const PAST_GRACE: Duration = Duration::from_millis(1_100);
const FULL: &str = r#"shortleaf_connections_closed_total{reason="address_full"}"#;
const MADE_ROOM: &str = r#"shortleaf_connections_closed_total{reason="made_room"}"#;

/// A house where one address may hold two connections.
async fn house(hops: Hops) -> House {
    let front = Front {
        limits: ConnectionLimits {
            per_address: Some(2),
            ..UNHURRIED
        },
        hops,
        ..Default::default()
    };
    House::behind(UNHURRIED_REQUEST, front).await
}

async fn from(address: [u8; 4], house: &House) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((address, 0))).unwrap();
    socket.connect(house.at).await.unwrap()
}

/// Whether a request over it is answered.
async fn is_served(stream: &mut TcpStream, request: &str) -> bool {
    let mut bytes = [0; 4096];
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let read = timeout(PATIENCE, stream.read(&mut bytes)).await;
    let read = read.expect("an answer or an end").unwrap_or(0);
    bytes[..read].starts_with(b"HTTP/1.1 200 ")
}

/// Two connections whose requests are worked on.
async fn busy(house: &House, opening: &str) -> [TcpStream; 2] {
    let mut both = [
        from([127, 0, 0, 1], house).await,
        from([127, 0, 0, 1], house).await,
    ];
    for stream in &mut both {
        stream.write_all(opening.as_bytes()).await.unwrap();
        stream.write_all(POST.as_bytes()).await.unwrap();
    }
    house.until_asked(2).await;
    both
}

#[tokio::test]
async fn an_address_whose_share_is_in_use_gets_no_more_and_others_are_served() {
    let house = house(Hops::default()).await;
    let gate = house.script.hold();
    let [mut first, second] = busy(&house, "").await;
    sleep(PAST_GRACE).await;
    assert!(!is_served(&mut from([127, 0, 0, 1], &house).await, HEALTH).await);
    assert_eq!(house.number(FULL), 1.0);
    assert!(is_served(&mut from([127, 0, 0, 2], &house).await, HEALTH).await);
    gate.add_permits(2);
    let mut bytes = Vec::new();
    first.read_to_end(&mut bytes).await.unwrap();
    assert!(
        bytes.starts_with(b"HTTP/1.1 200 "),
        "what was in flight is answered"
    );
    drop(second);
    house.until("shortleaf_connections_open", 1.0).await;
    assert!(is_served(&mut from([127, 0, 0, 1], &house).await, HEALTH).await);
    assert_eq!(house.number(FULL), 1.0);
}

#[tokio::test]
async fn an_address_with_idle_connections_of_its_own_gives_up_the_longest_idle_one() {
    let house = house(Hops::default()).await;
    let mut longest = from([127, 0, 0, 1], &house).await;
    let mut other = from([127, 0, 0, 2], &house).await;
    assert!(is_served(&mut other, HEALTH).await);
    assert!(is_served(&mut longest, HEALTH).await);
    let mut later = from([127, 0, 0, 1], &house).await;
    assert!(is_served(&mut later, HEALTH).await);
    sleep(PAST_GRACE).await;
    assert!(is_served(&mut from([127, 0, 0, 1], &house).await, HEALTH).await);
    house.until(MADE_ROOM, 1.0).await;
    assert_eq!(house.number(FULL), 0.0);
    assert!(!is_served(&mut longest, HEALTH).await);
    // Neither its younger neighbour nor another address, idle for longer than all.
    assert!(is_served(&mut later, HEALTH).await && is_served(&mut other, HEALTH).await);
}

#[tokio::test]
async fn a_trusted_hop_has_no_share_and_whom_it_names_has_one() {
    let loopback = [(IpAddr::from([127, 0, 0, 0]), 8)];
    let behind = house(Hops::new(loopback, false)).await;
    behind.script.hold();
    let _both = busy(&behind, "").await;
    assert!(is_served(&mut from([127, 0, 0, 1], &behind).await, HEALTH).await);

    let proxied = house(Hops::new(loopback, true)).await;
    proxied.script.hold();
    let line = |source: &str| format!("PROXY TCP4 {source} 127.0.0.1 4711 80\r\n");
    let _both = busy(&proxied, &line("198.51.100.7")).await;
    for (source, served) in [("198.51.100.7", false), ("198.51.100.8", true)] {
        let request = line(source) + HEALTH;
        let mut stream = from([127, 0, 0, 1], &proxied).await;
        assert_eq!(is_served(&mut stream, &request).await, served, "{source}");
    }
    assert_eq!((proxied.number(FULL), behind.number(FULL)), (1.0, 0.0));
}
