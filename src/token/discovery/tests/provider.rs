//! A provider on loopback that answers what the test tells it to, as slowly as the test likes,
//! over plain http or TLS.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Mutex;

use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value as Json, json};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::{KEYS, METADATA, PACE, failure, with_pace};
use crate::token::discovery::*;

/// Bytes to answer with, how long to wait before the first and before the second half, and bytes
/// to go on with for as long as anyone reads.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) first: Duration,
    pub(super) second: Duration,
    pub(super) endless: Option<(Vec<u8>, Duration)>,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
    headers: Vec<String>,
    connections: usize,
    sent: usize,
}

/// A provider whose answers can change while it runs.
pub(super) struct Provider {
    pub(super) url: String,
    script: Arc<Mutex<Script>>,
    pub(super) server: tokio::task::JoinHandle<()>,
    /// The certificate authority of one that speaks TLS.
    pub(super) ca_file: Option<NamedTempFile>,
}

/// A certificate authority and a server certificate for `host`.
fn certificates(host: &str) -> (NamedTempFile, ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &root).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(root.pem().as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    (file, config)
}

pub(super) fn http(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    Answer {
        bytes: (head + body).into_bytes(),
        first: Duration::ZERO,
        second: Duration::ZERO,
        endless: None,
    }
}

pub(super) fn ok(body: &Json) -> Answer {
    http(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

impl Provider {
    /// Serves good metadata and a key set with these keys.
    pub(super) async fn start(keys: Json) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self::serving(url, keys, listener, None, None)
    }

    /// The same over TLS, as `https://host:port`, with a certificate for that host.
    pub(super) async fn start_tls(host: &str, keys: Json) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ca_file, config) = certificates(host);
        let tls = TlsAcceptor::from(Arc::new(config));
        let url = format!("https://{host}:{port}");
        Self::serving(url, keys, listener, Some(tls), Some(ca_file))
    }

    fn serving(
        url: String,
        keys: Json,
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        ca_file: Option<NamedTempFile>,
    ) -> Self {
        let script = Arc::<Mutex<Script>>::default();
        let server = tokio::spawn(serve(listener, tls, Arc::clone(&script)));
        let provider = Self {
            url,
            script,
            server,
            ca_file,
        };
        provider.answer(METADATA, ok(&provider.metadata()));
        provider.answer(KEYS, ok(&json!({ "keys": keys })));
        provider
    }

    pub(super) fn metadata(&self) -> Json {
        json!({
            "issuer": self.url,
            "jwks_uri": format!("{}{KEYS}", self.url),
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    pub(super) fn answer(&self, path: &str, answer: Answer) {
        let mut script = self.script.lock().unwrap();
        script.answers.insert(path.to_owned(), answer);
    }

    pub(super) fn answer_metadata(&self, member: &str, value: impl Into<Json>) {
        let mut metadata = self.metadata();
        metadata[member] = value.into();
        self.answer(METADATA, ok(&metadata));
    }

    pub(super) fn asked(&self, path: &str) -> usize {
        self.script
            .lock()
            .unwrap()
            .asked
            .get(path)
            .copied()
            .unwrap_or(0)
    }

    /// Connections accepted, whatever came of them.
    pub(super) fn connections(&self) -> usize {
        self.script.lock().unwrap().connections
    }

    /// Bytes handed to the network.
    pub(super) fn sent(&self) -> usize {
        self.script.lock().unwrap().sent
    }

    /// What came with the requests.
    pub(super) fn headers(&self) -> Vec<String> {
        self.script.lock().unwrap().headers.clone()
    }

    pub(super) fn issuer(&self) -> IssuerUrl {
        IssuerUrl::new(&self.url).unwrap()
    }

    pub(super) fn config(&self) -> IssuerKeysConfig {
        IssuerKeysConfig {
            allow_insecure_http_loopback: self.ca_file.is_none(),
            allow_private_network: self.ca_file.is_some(),
            ca_file: self.ca_file.as_ref().map(|file| file.path().to_owned()),
            ..IssuerKeysConfig::discovery(self.issuer())
        }
    }

    pub(super) fn keys(&self, pace: Pace) -> HttpKeys {
        with_pace(vec![self.config()], pace).unwrap()
    }

    /// Why a first request gets no key.
    pub(super) async fn failure(&self) -> String {
        let keys = self.keys(PACE);
        failure(keys.key(&self.issuer(), Some("k1"), Algorithm::Es256).await)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, script: Arc<Mutex<Script>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (script, tls) = (Arc::clone(&script), tls.clone());
        script.lock().unwrap().connections += 1;
        tokio::spawn(async move {
            match tls {
                None => answer(stream, script).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        answer(stream, script).await;
                    }
                }
            }
        });
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: Arc<Mutex<Script>>) {
    let mut request = Vec::new();
    while !request.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let answer = {
        let mut script = script.lock().unwrap();
        *script.asked.entry(path.clone()).or_default() += 1;
        script.headers.push(request);
        script.answers.get(&path).cloned()
    };
    let answer = answer.unwrap_or_else(|| http("404 Not Found", "", ""));
    let (head, rest) = answer.bytes.split_at(answer.bytes.len() / 2);
    tokio::time::sleep(answer.first).await;
    let _ = stream.write_all(head).await;
    tokio::time::sleep(answer.second).await;
    let _ = stream.write_all(rest).await;
    let _ = stream.flush().await;
    if let Some((more, every)) = answer.endless {
        while stream.write_all(&more).await.is_ok() && stream.flush().await.is_ok() {
            script.lock().unwrap().sent += more.len();
            tokio::time::sleep(every).await;
        }
    }
    let _ = stream.shutdown().await;
}
