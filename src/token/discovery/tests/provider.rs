//! A provider on loopback that answers what the test tells it to, as slowly as the test likes.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{KEYS, METADATA, PACE, failure};
use crate::token::discovery::*;

/// Bytes to answer with, and how long to wait before the first and before the second half.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) first: Duration,
    pub(super) second: Duration,
}

#[derive(Default)]
struct Script {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
}

/// A provider whose answers can change while it runs.
pub(super) struct Provider {
    pub(super) url: String,
    script: Arc<Mutex<Script>>,
    pub(super) server: tokio::task::JoinHandle<()>,
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
        let script = Arc::<Mutex<Script>>::default();
        let server = tokio::spawn(serve(listener, Arc::clone(&script)));
        let provider = Self {
            url,
            script,
            server,
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

    pub(super) fn issuer(&self) -> IssuerUrl {
        IssuerUrl::new(&self.url).unwrap()
    }

    pub(super) fn config(&self) -> IssuerKeysConfig {
        IssuerKeysConfig {
            allow_insecure_http_loopback: true,
            ..IssuerKeysConfig::discovery(self.issuer())
        }
    }

    pub(super) fn keys(&self, pace: Pace) -> HttpKeys {
        HttpKeys::with_pace(vec![self.config()], pace).unwrap()
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

async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        tokio::spawn(async move {
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
                script.answers.get(&path).cloned()
            };
            let answer = answer.unwrap_or_else(|| http("404 Not Found", "", ""));
            let (head, rest) = answer.bytes.split_at(answer.bytes.len() / 2);
            tokio::time::sleep(answer.first).await;
            let _ = stream.write_all(head).await;
            tokio::time::sleep(answer.second).await;
            let _ = stream.write_all(rest).await;
        });
    }
}
