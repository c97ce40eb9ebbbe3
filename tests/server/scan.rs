//! The public listener as a scanner sees it: handshakes put together by hand, so that no library's
//! own limits hide what ours would take, and openssl where it is installed.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_RSA_SHA256, SignatureAlgorithm,
};
use shortleaf::server::{ConnectionLimits, Tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{House, UNHURRIED};
use crate::tls::{NAME, Pair, house};

const SSL_3: u16 = 0x0300;
const TLS_1_0: u16 = 0x0301;
const TLS_1_1: u16 = 0x0302;
const TLS_1_2: u16 = 0x0303;

const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;

/// How a server answered a first message.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Chose { suite: u16, compression: u8 },
    Alert(u8),
}

/// A ClientHello (RFC 5246 §7.4.1.2) that can use every kind of certificate and key we have.
pub(crate) fn hello(version: u16, suites: &[u16], compressions: &[u8]) -> Vec<u8> {
    let u16s = |values: &[u16]| {
        let octets = values.iter().flat_map(|value| value.to_be_bytes());
        octets.collect::<Vec<u8>>()
    };
    let long = |content: &[u8]| [&u16s(&[content.len() as u16]), content].concat();
    let extension = |kind: u16, content: &[u8]| [&*u16s(&[kind]), &long(content)].concat();
    let signatures = [
        0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601,
    ];
    let extensions = [
        extension(10 /* supported_groups */, &long(&u16s(&[29, 23, 24]))),
        extension(11 /* ec_point_formats */, &[1, 0]),
        extension(
            13, /* signature_algorithms */
            &long(&u16s(&signatures)),
        ),
        extension(23 /* extended_master_secret */, &[]),
    ]
    .concat();
    let body = [
        &*u16s(&[version]),
        &[7; 32], // random
        &[0],     // no session
        &long(&u16s(suites)),
        &[compressions.len() as u8],
        compressions,
        &long(&extensions),
    ]
    .concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1 /* client_hello */][..], &length[1..], &body].concat();
    // In records of at most 2^14 octets.
    let records = message.chunks(1 << 14).map(|part| {
        let head = [
            22, /* handshake */
            3,
            if version == SSL_3 { 0 } else { 1 },
        ];
        [&head[..], &long(part)].concat()
    });
    records.collect::<Vec<_>>().concat()
}

async fn told(house: &House, hello: &[u8]) -> Told {
    let mut stream = TcpStream::connect(house.at).await.unwrap();
    stream.write_all(hello).await.unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.unwrap();
    let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut record).await.unwrap();
    match head[0] {
        21 => Told::Alert(record[1]),
        22 => {
            assert_eq!(record[0], 2, "server_hello");
            let session = usize::from(record[38]);
            let at = 39 + session;
            Told::Chose {
                suite: u16::from_be_bytes([record[at], record[at + 1]]),
                compression: record[at + 2],
            }
        }
        other => panic!("a record of type {other}"),
    }
}

/// Every suite of TLS 1.2 the server takes, in its order: each is taken away as it is chosen.
async fn suites(house: &House) -> Vec<u16> {
    let mut found = Vec::new();
    // All there can be; TLS 1.3 has its own, and a hello of every number would be too long.
    for first in (0..=0xf000).step_by(0x1000) {
        loop {
            let offered: Vec<u16> = (first..=first + 0xfff)
                .filter(|suite| !found.contains(suite))
                .collect();
            match told(house, &hello(TLS_1_2, &offered, &[0])).await {
                Told::Chose { suite, .. } => found.push(suite),
                Told::Alert(alert) => {
                    assert_eq!(alert, HANDSHAKE_FAILURE);
                    break;
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn of_all_suites_of_tls_1_2_only_those_with_forward_secrecy_and_authentication_are_taken() {
    let table: [(&'static SignatureAlgorithm, [u16; 3]); 2] = [
        // AES-256-GCM, AES-128-GCM and ChaCha20-Poly1305: ECDHE_ECDSA, then ECDHE_RSA.
        (&PKCS_ECDSA_P256_SHA256, [0xc02c, 0xc02b, 0xcca9]),
        (&PKCS_RSA_SHA256, [0xc030, 0xc02f, 0xcca8]),
    ];
    for (kind, expected) in table {
        let house = house(&Pair::of(kind).tls(), ConnectionLimits::default()).await;
        let mut found = suites(&house).await;
        found.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{found:04x?}");
    }
}

#[tokio::test]
async fn versions_before_1_2_are_refused_by_name() {
    let house = house(&Pair::new().tls(), ConnectionLimits::default()).await;
    let suites = [0xc02b, 0xc009, 0x002f];
    for version in [SSL_3, TLS_1_0, TLS_1_1] {
        let answer = told(&house, &hello(version, &suites, &[0])).await;
        assert_eq!(answer, Told::Alert(PROTOCOL_VERSION), "{version:04x}");
    }
    let good = Told::Chose {
        suite: 0xc02b,
        compression: 0,
    };
    assert_eq!(told(&house, &hello(TLS_1_2, &suites, &[0])).await, good);
    // Who can compress is answered without (CVE-2012-4929).
    assert_eq!(told(&house, &hello(TLS_1_2, &suites, &[1, 0])).await, good);
}

/// What `openssl s_client` says of a connection that it types `input` into, or nothing where there
/// is no openssl. Its own end closes the connection, unless there is input: then the server's.
fn s_client(house: &House, switches: &[&str], input: &str) -> Option<(bool, String)> {
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", &house.at.to_string()])
        .args(switches)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    let stdin = Some(stdin).filter(|_| !input.is_empty());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), text))
}

/// A house with a certificate below an intermediate one.
async fn chained(limits: ConnectionLimits) -> House {
    let authority = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let intermediate = params.self_signed(&authority).unwrap();
    let issuer = Issuer::new(params, authority);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([NAME.to_owned()]).unwrap();
    let server = params.signed_by(&key, &issuer).unwrap();
    let chain = server.pem() + &intermediate.pem();
    let tls = Tls::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes());
    house(&tls.unwrap().into(), limits).await
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_gets_the_versions_suites_and_protocols_meant_and_no_others() {
    let house = chained(ConnectionLimits::default()).await;
    let weak = "ALL:@SECLEVEL=0";
    let failure = "alert handshake failure";
    // (switches, whether a connection comes about, a word of the answer)
    let table: [(&[&str], bool, &str); 28] = [
        (&["-tls1_3"], true, "TLSv1.3"),
        (&["-tls1_2"], true, "TLSv1.2"),
        (&["-tls1_1", "-cipher", weak], false, "alert"),
        (&["-tls1", "-cipher", weak], false, "alert"),
        (&["-alpn", "h2,http/1.1"], true, "ALPN protocol: h2"),
        (&["-alpn", "http/1.1,h2"], true, "ALPN protocol: h2"),
        (&["-alpn", "http/1.1"], true, "ALPN protocol: http/1.1"),
        (&["-alpn", "http/1.0"], false, "no application protocol"),
        (&["-alpn", "nothing"], false, "no application protocol"),
        (&[], true, "No ALPN negotiated"),
        // No forward secrecy; no authenticated encryption; nobody who answers for it.
        (&["-tls1_2", "-cipher", "AES128-GCM-SHA256"], false, failure),
        (&["-tls1_2", "-cipher", "AES128-SHA"], false, failure),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
            false,
            failure,
        ),
        (&["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], false, failure),
        (&["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"], false, failure),
        (
            &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
            true,
            "CHACHA20",
        ),
        (
            &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"],
            false,
            failure,
        ),
        // Key exchanges and signatures.
        (&["-groups", "X25519"], true, "X25519"),
        (&["-groups", "P-384"], true, "secp384r1"),
        (&["-groups", "P-521"], false, failure),
        (&["-groups", "X448"], false, failure),
        (&["-groups", "ffdhe2048"], false, failure),
        (
            &["-tls1_2", "-cipher", weak, "-sigalgs", "ECDSA+SHA1"],
            false,
            failure,
        ),
        // Whatever name is asked for, there is one certificate.
        (&["-servername", "other.example"], true, "TLSv1.3"),
        (&["-noservername"], true, "TLSv1.3"),
        // Nothing is stapled, compressed or asked of the client.
        (&["-status"], true, "OCSP response: no response sent"),
        (&["-tls1_2"], true, "Compression: NONE"),
        (&["-tls1_2"], true, "No client certificate CA names sent"),
    ];
    for (switches, connects, word) in table {
        let Some((connected, text)) = s_client(&house, switches, "") else {
            eprintln!("openssl is not installed");
            return;
        };
        assert_eq!(connected, connects, "{switches:?}\n{text}");
        assert!(text.contains(word), "{switches:?}: no {word:?} in\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_gets_the_whole_chain_and_nothing_to_come_back_with() {
    let house = chained(ConnectionLimits::default()).await;
    let count = |switches: &[&str], words: &str| {
        let (connected, text) = s_client(&house, switches, "")?;
        assert!(connected, "{switches:?}\n{text}");
        Some(text.matches(words).count())
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let Some(sent) = count(&[version, "-showcerts"], "-----BEGIN CERTIFICATE-----") else {
            eprintln!("openssl is not installed");
            return;
        };
        assert_eq!(sent, 2, "{version}");
        // A ticket would come after the handshake, and with it the offer of early data.
        assert_eq!(count(&[version], "New Session Ticket"), Some(0));
        assert_eq!(count(&[version], "session ticket"), Some(0));
        assert_eq!(count(&[version], "Max Early Data"), Some(0));
    }
    // Six handshakes in a row, each from the beginning.
    let again = ["-tls1_2", "-reconnect"];
    assert_eq!(count(&again, "New, TLSv1.2"), Some(6));
    assert_eq!(count(&again, "Reused, "), Some(0));
    assert_eq!(count(&again, "Session-ID: \n"), Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_cannot_renegotiate() {
    let house = chained(ConnectionLimits {
        // The client says no word after it; it has this long to ask.
        idle: Duration::from_secs(2),
        finish: Duration::from_millis(500),
        ..UNHURRIED
    })
    .await;
    let Some((_, text)) = s_client(&house, &["-tls1_2", "-msg"], "R\n") else {
        eprintln!("openssl is not installed");
        return;
    };
    assert!(text.contains("RENEGOTIATING"), "{text}");
    // It asked twice and was answered once.
    assert_eq!(text.matches(", ClientHello").count(), 2, "{text}");
    assert_eq!(text.matches(", ServerHello\n").count(), 1, "{text}");
}
