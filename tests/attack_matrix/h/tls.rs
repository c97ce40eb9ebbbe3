//! H11: who does not speak TLS 1.2 or 1.3 where it is spoken, and plain HTTP where it may not be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use shortleaf::config::{self, Error, Inputs};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::ask::{self, Answer, Door};
use crate::h::{Kit, closed_after};
use crate::report::Report;
use crate::site::Site;

const HANDSHAKE: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(15);

/// A ClientHello whose newest version is this one, with a suite of its time (RFC 4346 §7.4.1.2).
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]); // random
    body.push(0); // session_id
    body.extend([0, 2, 0xc0, 0x13]); // cipher_suites: ECDHE_RSA_WITH_AES_128_CBC_SHA
    body.extend([1, 0]); // compression_methods: null
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

/// What comes back before the server closes.
async fn told(site: &Site, opening: &[u8]) -> (Option<Vec<u8>>, Answer) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(site.at).await.unwrap();
    let _ = stream.write_all(opening).await;
    let mut bytes = Vec::new();
    let read = timeout(HANDSHAKE + SLACK, stream.read_to_end(&mut bytes)).await;
    (read.ok().map(|_| bytes), closed_after(started))
}

pub(super) async fn versions(kit: &Kit, report: &mut Report) {
    public_addresses(report);
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["ca.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let front = format!(
        "public_url = \"https://ca.example\"\ntls_chain = {:?}\ntls_key = {:?}",
        write("chain.pem", certificate.pem()),
        write("key.pem", key.serialize_pem()),
    );
    let site = Site::start_behind(&front, &[], "").await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = TlsConnector::from(Arc::new(config));

    let plain = site.by_key(&kit.key).http(Door::V2);
    let garbage = [0x16, 3, 1, 0x40, 0x00].repeat(4000);
    let inputs: [(&str, Vec<u8>); 8] = [
        ("TLS 1.1", hello([3, 2])),
        ("TLS 1.0", hello([3, 1])),
        ("SSL 3.0", hello([3, 0])),
        ("SSL 2.0", vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10]),
        ("plain HTTP", plain.into_bytes()),
        ("plain HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("garbage", garbage),
        ("half a hello", hello([3, 3])[..20].to_vec()),
    ];
    let attacks = async {
        for (what, opening) in inputs {
            let (bytes, answer) = told(&site, &opening).await;
            report.saw(&answer);
            // An alert, or nothing: no HTTP and no handshake.
            let refused = bytes
                .as_ref()
                .is_some_and(|b| b.first().is_none_or(|kind| *kind == 21));
            report.check(what, refused, format!("{bytes:?}"));
        }
    };
    // Its own good requests: they go over TLS.
    let good = async {
        let mut answers = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            let stream = TcpStream::connect(site.at).await.unwrap();
            let name = ServerName::try_from("ca.example").unwrap();
            let mut stream = client.connect(name, stream).await.unwrap();
            let request = site.by_key(&kit.key).http(Door::V2);
            stream.write_all(request.as_bytes()).await.unwrap();
            answers.push(ask::read(&mut stream, started).await);
        }
        answers
    };
    let ((), answers) = tokio::join!(attacks, good);
    for answer in answers {
        report.check("a good request over TLS", answer.is_issued(), &answer);
    }
}

/// Plain HTTP where others can hear it is a mistake of the configuration.
fn public_addresses(report: &mut Report) {
    let folder = tempfile::tempdir().unwrap();
    let load = |listen: &str, more: &str| {
        let path = folder.path().join("shortleaf.toml");
        let text = format!(
            "[server]\nlisten = {listen:?}\n{more}\n[ct]\nmode = \"off\"\n[[issuer]]\n\
             url = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n"
        );
        std::fs::write(&path, text).unwrap();
        config::load(&Inputs {
            file: Some(path),
            ..Inputs::default()
        })
    };
    for listen in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "192.0.2.1:80"] {
        let started = Instant::now();
        let refused = load(listen, "").err();
        report.saw(&closed_after(started));
        let right =
            matches!(&refused, Some(Error::NeedsSwitch { key, .. }) if key == "server.listen");
        report.check(listen, right, format!("{refused:?}"));
        let twin = load(listen, "insecure_plain_http = true");
        report.check(listen, twin.is_ok(), format!("its twin: {twin:?}"));
    }
}
