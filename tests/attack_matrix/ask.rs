//! One request for a certificate as bytes on a connection, and the answer to it.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The two REST APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    V2,
    V1,
}

/// The key and its proof.
#[derive(Clone)]
pub(crate) enum Proof {
    Key {
        content: Vec<u8>,
        signature: Vec<u8>,
    },
    Csr(Vec<u8>),
}

/// What is asked, whatever the door.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) token: String,
    pub(crate) proof: Proof,
    /// The name the token vouches for, as it will stand in the certificate.
    pub(crate) san: String,
}

impl Ask {
    /// Where it can be asked: v2 carries the key as text, v1 the token in a header, where blanks
    /// at the ends, line breaks and many kilobytes are something else before they are a token.
    pub(crate) fn doors(&self) -> Vec<Door> {
        let in_a_header = self.token.bytes().all(|b| b.is_ascii_graphic());
        if !in_a_header || self.token.len() > 24 * 1024 {
            return vec![Door::V2];
        }
        match &self.proof {
            Proof::Key { content, .. } if str::from_utf8(content).is_err() => vec![Door::V1],
            Proof::Key { .. } | Proof::Csr(_) => vec![Door::V2, Door::V1],
        }
    }

    /// The bytes on the wire. v2 has the token in the body, v1 in a header.
    pub(crate) fn http(&self, door: Door) -> String {
        let (path, header, body) = match door {
            Door::V2 => ("/api/v2/signingCert", String::new(), self.v2()),
            Door::V1 => {
                let header = format!("authorization: Bearer {}\r\n", self.token);
                ("/api/v1/signingCert", header, self.v1())
            }
        };
        format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n{header}\r\n{body}",
            body.len(),
        )
    }

    fn v2(&self) -> String {
        let mut body = match &self.proof {
            Proof::Key { content, signature } => json!({ "publicKeyRequest": {
                "publicKey": { "algorithm": "ECDSA", "content": str::from_utf8(content).unwrap() },
                "proofOfPossession": STANDARD.encode(signature),
            } }),
            Proof::Csr(csr) => json!({ "certificateSigningRequest": STANDARD.encode(csr) }),
        };
        body["credentials"] = json!({ "oidcIdentityToken": self.token });
        body.to_string()
    }

    fn v1(&self) -> String {
        let body = match &self.proof {
            Proof::Key { content, signature } => json!({
                "publicKey": { "algorithm": "ecdsa", "content": STANDARD.encode(content) },
                "signedEmailAddress": STANDARD.encode(signature),
            }),
            Proof::Csr(csr) => json!({ "certificateSigningRequest": STANDARD.encode(csr) }),
        };
        body.to_string()
    }
}

/// An answer as it came.
pub(crate) struct Answer {
    status: u16,
    head: String,
    body: String,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn is_issued(&self) -> bool {
        matches!(self.status, 200 | 201)
    }

    /// `ErrorInfo.reason`, or `issued`.
    pub(crate) fn word(&self) -> String {
        if self.is_issued() {
            return "issued".to_owned();
        }
        let status: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let reason = status["details"][0]["reason"].as_str();
        match (reason, self.status) {
            (Some(reason), _) => reason.to_owned(),
            (None, 0) => "closed".to_owned(),
            (None, status) => format!("HTTP {status}"),
        }
    }

    /// No answer: the server closed, or refused in the words of another protocol.
    pub(crate) fn closed(took: Duration) -> Self {
        Self {
            status: 0,
            head: String::new(),
            body: String::new(),
            took,
        }
    }

    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// HTTP status and `Retry-After`.
    pub(crate) fn status(&self) -> (u16, Option<u64>) {
        let mut lines = self.head.lines();
        let wait = lines.find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("retry-after")
                .then(|| value.parse().ok())?
        });
        (self.status, wait)
    }

    /// The leaf of a v2 answer, in PEM.
    pub(crate) fn leaf(&self) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        let leaf = &body["signedCertificateEmbeddedSct"]["chain"]["certificates"][0];
        leaf.as_str().map(str::to_owned)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body.trim_end())
    }
}

/// Sends the request, reads until the server closes.
pub(crate) async fn exchange(at: SocketAddr, door: Door, ask: &Ask) -> Answer {
    send(at, ask.http(door).as_bytes()).await
}

/// The same with any bytes.
pub(crate) async fn send(at: SocketAddr, request: &[u8]) -> Answer {
    let started = Instant::now();
    let mut stream = TcpStream::connect(at).await.unwrap();
    // A server that refuses a body need not read it: neither a failed write nor a reset after the
    // answer says anything against the answer.
    let _ = stream.write_all(request).await;
    read(&mut stream, started).await
}

/// The same, with the answer's headers.
pub(crate) async fn send_for_head(at: SocketAddr, request: &[u8]) -> (Answer, String) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(at).await.unwrap();
    let _ = stream.write_all(request).await;
    read_all(&mut stream, started).await
}

/// What the server answers before it closes.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), started: Instant) -> Answer {
    read_all(stream, started).await.0
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin), started: Instant) -> (Answer, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let took = started.elapsed();
    crate::secrets::none_in("an answer", &bytes);
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let answer = Answer {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
        took,
    };
    (answer, head.to_owned())
}

/// The answer to a GET, head and body.
pub(crate) async fn get(at: SocketAddr, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
