//! Issuers that answer what they are told to, and places that only count who comes.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::issuer::Issuer;
use crate::parts::free_port;

pub(super) const METADATA: &str = "/.well-known/openid-configuration";
pub(super) const KEYS: &str = "/keys";

/// What comes back.
#[derive(Clone)]
pub(super) enum Reply {
    /// These bytes.
    Bytes(Vec<u8>),
    /// These bytes, and those over and over, with this pause between.
    Endless(Vec<u8>, Vec<u8>, Duration),
}

/// An answer with these headers, each with its line end.
pub(super) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    Reply::Bytes([head.as_bytes(), body].concat())
}

pub(super) fn json(body: impl AsRef<[u8]>) -> Reply {
    answer("200 OK", "Content-Type: application/json\r\n", body)
}

/// What a provider answers where.
#[derive(Default)]
struct Script {
    answers: Vec<(String, Reply)>,
    asked: Vec<String>,
}

/// An issuer on loopback with the usual keys, unless told otherwise.
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) issuer: Issuer,
    /// How its claims are read.
    pub(super) kind: &'static str,
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Provider {
    pub(super) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = Self::at(name, listener.local_addr().unwrap());
        tokio::spawn(serve(listener, Arc::clone(&provider.script)));
        provider
    }

    /// One that nobody listens for yet.
    pub(super) fn absent(name: &str) -> Self {
        Self::at(name, SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())))
    }

    fn at(name: &str, address: SocketAddr) -> Self {
        let issuer = Issuer::new(&format!("http://{address}"));
        let provider = Self {
            name: name.to_owned(),
            kind: "email",
            address,
            script: Arc::default(),
            issuer,
        };
        provider.answer(METADATA, json(provider.issuer.metadata()));
        provider.answer(KEYS, json(provider.issuer.jwks()));
        provider
    }

    /// Listens from a few seconds on.
    pub(super) fn opens_again(&self) -> tokio::task::JoinHandle<()> {
        let (address, script) = (self.address, Arc::clone(&self.script));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            let listener = TcpListener::bind(address).await.unwrap();
            serve(listener, script).await;
        })
    }

    pub(super) fn answer(&self, path: &str, reply: Reply) {
        let mut script = self.script.lock().unwrap();
        script.answers.retain(|(known, _)| known != path);
        script.answers.push((path.to_owned(), reply));
    }

    pub(super) fn publish(&self, jwks: &str) {
        self.answer(KEYS, json(jwks));
    }

    /// One member of the metadata other than usual.
    pub(super) fn metadata_with(&self, member: &str, value: serde_json::Value) {
        let mut metadata: serde_json::Value =
            serde_json::from_str(&self.issuer.metadata()).unwrap();
        metadata[member] = value;
        self.answer(METADATA, json(metadata.to_string()));
    }

    pub(super) fn asked(&self, path: &str) -> usize {
        let script = self.script.lock().unwrap();
        script.asked.iter().filter(|asked| *asked == path).count()
    }

    pub(super) fn settings(&self) -> String {
        settings(
            self.issuer.url(),
            self.kind,
            "insecure_loopback_http = true",
        )
    }
}

/// An entry of the configuration.
pub(super) fn settings(url: &str, kind: &str, more: &str) -> String {
    format!(
        "[[issuer]]\nurl = {url:?}\ntype = {kind:?}\naudiences = [\"sigstore\"]\n\
         accept_shared_audience = true\n{more}\n"
    )
}

async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&script)));
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Arc<Mutex<Script>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let reply = {
        let mut script = script.lock().unwrap();
        script.asked.push(path.clone());
        let found = script.answers.iter().find(|(known, _)| *known == path);
        found.map(|(_, reply)| reply.clone())
    };
    match reply.unwrap_or_else(|| answer("404 Not Found", "", "")) {
        Reply::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Endless(head, more, pause) => {
            let _ = stream.write_all(&head).await;
            while stream.write_all(&more).await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        }
    }
    let _ = stream.shutdown().await;
}

/// Counts connections and says nothing.
pub(super) struct Witness {
    pub(super) port: u16,
    came: Arc<AtomicUsize>,
}

impl Witness {
    /// On every address of this machine.
    pub(super) async fn start() -> Self {
        let listener = match TcpListener::bind("[::]:0").await {
            Ok(both_kinds) => both_kinds,
            Err(_) => TcpListener::bind("0.0.0.0:0").await.unwrap(),
        };
        let port = listener.local_addr().unwrap().port();
        let came = Arc::new(AtomicUsize::new(0));
        tokio::spawn({
            let came = Arc::clone(&came);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    came.fetch_add(1, Ordering::SeqCst);
                    drop(stream);
                }
            }
        });
        Self { port, came }
    }

    pub(super) fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

/// An issuer at `https://localhost`, with a certificate of its own authority.
pub(super) struct Neighbour {
    pub(super) issuer: Issuer,
    authority: tempfile::NamedTempFile,
}

impl Neighbour {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let issuer = Issuer::new(&format!("https://localhost:{port}"));

        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &root).unwrap();
        let mut authority = tempfile::NamedTempFile::new().unwrap();
        authority.write_all(root.pem().as_bytes()).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let config =
            ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![leaf.der().clone()], key.into())
                .unwrap();

        let script = Arc::new(Mutex::new(Script {
            answers: vec![
                (METADATA.to_owned(), json(issuer.metadata())),
                (KEYS.to_owned(), json(issuer.jwks())),
            ],
            asked: Vec::new(),
        }));
        let tls = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = tls.accept(stream).await {
                    tokio::spawn(converse(stream, Arc::clone(&script)));
                }
            }
        });
        Self { issuer, authority }
    }

    pub(super) fn settings(&self) -> String {
        let authority = self.authority.path();
        let more = format!("allow_private_network = true\nca_file = {authority:?}");
        settings(self.issuer.url(), "email", &more)
    }
}
