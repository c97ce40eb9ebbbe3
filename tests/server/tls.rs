//! TLS on the public listener: real handshakes by rustls. What other programs see is in `scan`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, SignatureAlgorithm};
use rustls_pki_types::ServerName;
use shortleaf::server::{ConnectionLimits, Front, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use tokio_rustls::rustls::crypto::{CryptoProvider, SupportedKxGroup};
use tokio_rustls::rustls::{
    ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, RootCertStore,
    SupportedProtocolVersion, version,
};

use crate::house::{House, PATIENCE, UNHURRIED, UNHURRIED_REQUEST};

pub(crate) const NAME: &str = "ca.example";
const REQUEST: &str = "GET /healthz HTTP/1.1\r\nhost: ca.example\r\nconnection: close\r\n\r\n";
const SHORT: Duration = Duration::from_millis(300);

/// A certificate that is its own root, and its key.
pub(crate) struct Pair {
    pub(crate) chain: String,
    pub(crate) key: String,
    roots: RootCertStore,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::of(&PKCS_ECDSA_P256_SHA256)
    }

    /// With a key of this kind.
    pub(crate) fn of(kind: &'static SignatureAlgorithm) -> Self {
        Self::made(kind, |_| ())
    }

    /// That ends when this day begins.
    pub(crate) fn until((year, month, day): (i32, u8, u8)) -> Self {
        Self::made(&PKCS_ECDSA_P256_SHA256, |params| {
            params.not_after = rcgen::date_time_ymd(year, month, day);
        })
    }

    fn made(
        kind: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = KeyPair::generate_for(kind).unwrap();
        let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            roots,
        }
    }

    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::new(Tls::from_pem(self.chain.as_bytes(), self.key.as_bytes()).unwrap())
    }
}

pub(crate) async fn house(tls: &Arc<Tls>, limits: ConnectionLimits) -> House {
    let front = Front {
        limits,
        tls: Some(tls.clone()),
        ..Default::default()
    };
    House::behind(UNHURRIED_REQUEST, front).await
}

/// A client that believes this pair, in these versions, with these protocols.
pub(crate) fn client(
    pair: &Pair,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> TlsConnector {
    let mut groups = default_provider().kx_groups;
    groups.insert(0, kx_group::X25519MLKEM768);
    client_with(pair, versions, protocols, groups)
}

/// The same, with these key exchanges in its own order.
fn client_with(
    pair: &Pair,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
    kx_groups: Vec<&'static dyn SupportedKxGroup>,
) -> TlsConnector {
    let provider = CryptoProvider {
        kx_groups,
        ..default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(pair.roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn shake(house: &House, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(house.at).await?;
    let name = ServerName::try_from(NAME).unwrap();
    client.connect(name, stream).await
}

/// The status line of an answer over a connection of its own.
pub(crate) async fn ask(house: &House, client: &TlsConnector) -> std::io::Result<String> {
    let mut stream = shake(house, client).await?;
    stream.write_all(REQUEST.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_hybrid_key_exchange_is_taken() {
    let pair = Pair::new();
    let house = house(&pair.tls(), ConnectionLimits::default()).await;
    for (version, wanted, group) in [
        (
            &version::TLS13,
            ProtocolVersion::TLSv1_3,
            NamedGroup::X25519MLKEM768,
        ),
        (
            &version::TLS12,
            ProtocolVersion::TLSv1_2,
            NamedGroup::X25519,
        ),
    ] {
        let client = client(&pair, &[version], &["http/1.1"]);
        let stream = shake(&house, &client).await.unwrap();
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.protocol_version(), Some(wanted));
        let taken = connection.negotiated_key_exchange_group();
        assert_eq!(taken.map(|group| group.name()), Some(group));
        assert_eq!(ask(&house, &client).await.unwrap(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn the_hybrid_key_exchange_is_taken_from_whoever_knows_it_and_asked_of_nobody_else() {
    let pair = Pair::new();
    let house = house(&pair.tls(), ConnectionLimits::default()).await;
    let (hybrid, x25519) = (kx_group::X25519MLKEM768, kx_group::X25519);
    let again = HandshakeKind::FullWithHelloRetryRequest;
    for (version, groups, taken, kind) in [
        (
            &version::TLS13,
            vec![hybrid, x25519],
            hybrid,
            HandshakeKind::Full,
        ),
        (&version::TLS13, vec![x25519, hybrid], hybrid, again),
        (&version::TLS13, vec![x25519], x25519, HandshakeKind::Full),
        (
            &version::TLS12,
            vec![x25519, hybrid],
            x25519,
            HandshakeKind::Full,
        ),
    ] {
        let client = client_with(&pair, &[version], &[], groups);
        let stream = shake(&house, &client).await.unwrap();
        let (_, connection) = stream.get_ref();
        let group = connection.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), taken.name());
        assert_eq!(connection.handshake_kind(), Some(kind));
    }
}

#[tokio::test]
async fn http_2_is_preferred_and_a_protocol_we_do_not_speak_is_refused() {
    let pair = Pair::new();
    let house = house(&pair.tls(), ConnectionLimits::default()).await;
    for (offered, taken) in [
        (&["http/1.1", "h2"][..], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let client = client(&pair, &[&version::TLS13], offered);
        let stream = shake(&house, &client).await.unwrap();
        let (_, connection) = stream.get_ref();
        assert_eq!(connection.alpn_protocol(), taken.map(str::as_bytes));
    }
    let client = client(&pair, &[&version::TLS13], &["spdy/1"]);
    let refused = shake(&house, &client).await.unwrap_err().to_string();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[tokio::test]
async fn http_2_works_over_tls() {
    let pair = Pair::new();
    let house = house(&pair.tls(), ConnectionLimits::default()).await;
    let root = reqwest::Certificate::from_pem(pair.chain.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .resolve(NAME, house.at)
        .build()
        .unwrap();
    let url = format!("https://{NAME}:{}/api/v2/signingCert", house.at.port());
    let asked = client.post(url).bearer_auth("a.b.c").body("{}");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn who_does_not_speak_tls_gets_no_answer_and_others_do() {
    let pair = Pair::new();
    let limits = ConnectionLimits {
        handshake: SHORT,
        ..UNHURRIED
    };
    let hurried = house(&pair.tls(), limits).await;
    let unhurried = house(&pair.tls(), UNHURRIED).await;
    let client = client(&pair, &[&version::TLS13], &[]);
    let garbage = [0x16_u8, 3, 1, 0xff, 0xff].repeat(200);
    for (house, opening) in [
        (&unhurried, REQUEST.as_bytes()),
        (&unhurried, &garbage),
        (&hurried, b"\x16\x03\x01"),
        (&hurried, b""),
    ] {
        let mut waiting = TcpStream::connect(unhurried.at).await.unwrap();
        waiting.write_all(opening).await.unwrap();
        assert_eq!(ask(&unhurried, &client).await.unwrap(), "HTTP/1.1 200 OK");
        let mut stream = TcpStream::connect(house.at).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let mut bytes = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
            .await
            .expect("closed at the handshake's limit at the latest");
        assert!(!bytes.starts_with(b"HTTP"), "{opening:?}");
    }
}

#[tokio::test]
async fn a_half_open_handshake_does_not_delay_the_stop() {
    let pair = Pair::new();
    let mut house = house(&pair.tls(), UNHURRIED).await;
    let _half = TcpStream::connect(house.at).await.unwrap();
    house.until("shortleaf_connections_open", 1.0).await;
    house.stop.cancel();
    let stopped = timeout(PATIENCE, &mut house.serving).await;
    stopped.expect("before the handshake's limit").unwrap();
}

#[tokio::test]
async fn a_certificate_replaced_under_load_costs_nobody_a_connection() {
    let (old, new) = (Pair::new(), Pair::new());
    let tls = old.tls();
    let house = Arc::new(house(&tls, ConnectionLimits::default()).await);
    // Believes both: what matters here is that every request is answered.
    let mut both = Pair::new();
    for pair in [&old, &new] {
        both.roots.roots.extend(pair.roots.roots.iter().cloned());
    }
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let done = &done;
    let client_of_both = client(&both, &[&version::TLS13, &version::TLS12], &[]);
    let load = async || {
        while !done.load(Ordering::Relaxed) {
            let line = ask(&house, &client_of_both).await.unwrap();
            assert_eq!(line, "HTTP/1.1 200 OK");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    };
    let (only_old, only_new) = (
        client(&old, &[&version::TLS13], &[]),
        client(&new, &[&version::TLS13], &[]),
    );
    let read = |pair: &Pair| Tls::from_pem(pair.chain.as_bytes(), pair.key.as_bytes()).unwrap();
    let replace = async {
        let mut open = shake(&house, &only_old).await.unwrap();
        for _ in 0..20 {
            sleep(Duration::from_millis(5)).await;
            tls.replace(read(&new));
            assert!(ask(&house, &only_new).await.is_ok());
            assert!(ask(&house, &only_old).await.is_err());
            tls.replace(read(&old));
        }
        // Opened before the first of them.
        open.write_all(REQUEST.as_bytes()).await.unwrap();
        let mut answer = String::new();
        open.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(load(), load(), load(), replace);
    assert!(answered.load(Ordering::Relaxed) > 20);
}
