//! A certificate log behind RFC 6962 HTTP on 127.0.0.1: the log in memory, on a thread of its
//! own, so that it lives on when the server under test dies.
//!
//! It takes real precertificates apart by itself, as any log must, and stands in for one that is
//! down on request. Any test binary may include this file alone:
//! `#[path = "../world/log.rs"] mod log;`.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::{CertificateLog as _, PreEntry};
use shortleaf::der::{self, Reader, tag};
use shortleaf::time::{Clock, UnixMillis};
use shortleaf::x509::{Certificate, oid};
use tokio::sync::{oneshot, watch};

/// EXPLICIT [3], where a TBSCertificate keeps its extensions.
const EXTENSIONS: u8 = tag::context_constructed(3);

/// The running log. Dropped, it closes its door.
pub(crate) struct Log {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
}

struct Shared {
    log: MemoryLog,
    clock: Arc<dyn Clock>,
    down: AtomicBool,
    asked: AtomicUsize,
    traces: Mutex<Vec<(String, String)>>,
    held: watch::Sender<bool>,
}

impl Log {
    /// An empty log with a fresh key.
    pub(crate) fn start(clock: Arc<dyn Clock>) -> Self {
        let shared = Arc::new(Shared {
            log: MemoryLog::generate("log").expect("a key can be made"),
            clock,
            down: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
            traces: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket option");
        let address = listener.local_addr().expect("it is bound");
        let (stop, stopped) = oneshot::channel();
        let app = Router::new()
            .route("/log/ct/v1/add-pre-chain", post(add_pre_chain))
            .route("/log/ct/v1/get-sth", get(get_sth))
            .with_state(shared.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            shared,
            address,
            stop: Some(stop),
        }
    }

    /// The submission prefix.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/log", self.address)
    }

    /// The log itself: its key, its tree.
    pub(crate) fn inner(&self) -> &MemoryLog {
        &self.shared.log
    }

    /// Down, it answers everything with 503.
    pub(crate) fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Held, it takes submissions in and does not answer them until it is let go.
    pub(crate) fn hold(&self, held: bool) {
        self.shared.held.send_replace(held);
    }

    /// `traceparent` and `tracestate` of each submission, as far as they were there.
    pub(crate) fn traces(&self) -> Vec<(String, String)> {
        self.shared.traces.lock().expect("nobody panics").clone()
    }

    /// How many requests came, answered or not.
    pub(crate) fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Shared {
    fn up(&self) -> Result<(), StatusCode> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.down.load(Ordering::SeqCst) {
            true => Err(StatusCode::SERVICE_UNAVAILABLE),
            false => Ok(()),
        }
    }
}

async fn add_pre_chain(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> Result<String, StatusCode> {
    shared.up()?;
    let said = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let trace = (said("traceparent"), said("tracestate"));
    shared.traces.lock().expect("nobody panics").push(trace);
    let mut held = shared.held.subscribe();
    let _ = held.wait_for(|held| !held).await;
    let entry = chain(&body)
        .and_then(entry)
        .ok_or(StatusCode::BAD_REQUEST)?;
    let proven = shared
        .log
        .submit(&entry, shared.clock.now(), Duration::ZERO)
        .await;
    let proven = proven.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(proven.sct().add_chain_json())
}

async fn get_sth(State(shared): State<Arc<Shared>>) -> Result<String, StatusCode> {
    shared.up()?;
    Ok(sth(&shared.log, shared.clock.now()).to_string())
}

/// The answer to get-sth.
pub(crate) fn sth(log: &MemoryLog, now: UnixMillis) -> Value {
    let head = log.head(now).expect("the key signs");
    let head = head.head();
    json!({
        "tree_size": head.size,
        "timestamp": head.timestamp.0,
        "sha256_root_hash": STANDARD.encode(head.root),
        "tree_head_signature": STANDARD.encode(&head.signature),
    })
}

fn chain(body: &str) -> Option<Vec<Vec<u8>>> {
    let body: Value = serde_json::from_str(body).ok()?;
    let chain = body.get("chain")?.as_array()?;
    let octets = |der: &Value| STANDARD.decode(der.as_str()?).ok();
    chain.iter().map(octets).collect()
}

/// What a log makes of a chain: the precertificate's TBSCertificate without the poison, and the
/// hash of the next certificate's key.
pub(crate) fn entry(mut chain: Vec<Vec<u8>>) -> Option<PreEntry> {
    let precert = Certificate::from_der(chain.first()?.clone()).ok()?;
    let issuer = Certificate::from_der(chain.get(1)?.clone()).ok()?;
    let tbs = without_poison(precert.tbs())?;
    let der = chain.remove(0);
    Some(PreEntry::new(
        der,
        chain,
        issuer.spki(),
        tbs,
        precert.not_after(),
    ))
}

/// The TBSCertificate with exactly one critical poison taken out, everything else byte for byte.
fn without_poison(tbs: &[u8]) -> Option<Vec<u8>> {
    let poison = der::sequence(&[
        &der::tlv(tag::OID, &[oid::POISON]),
        &[0x01, 0x01, 0xff], // critical
        &der::octet_string(&[0x05, 0x00]),
    ]);
    let mut fields = Reader::new(der::single(tbs, tag::SEQUENCE).ok()?.content);
    let mut kept = Vec::new();
    let mut poisons = 0;
    while !fields.is_empty() {
        let field = fields.any().ok()?;
        if field.tag != EXTENSIONS {
            kept.push(field.whole.to_vec());
            continue;
        }
        let mut extensions = Reader::new(der::single(field.content, tag::SEQUENCE).ok()?.content);
        let mut others = Vec::new();
        while !extensions.is_empty() {
            match extensions.any().ok()?.whole {
                extension if extension == poison => poisons += 1,
                extension => others.push(extension),
            }
        }
        kept.push(der::tlv(EXTENSIONS, &[&der::sequence(&others)]));
    }
    let kept: Vec<&[u8]> = kept.iter().map(Vec::as_slice).collect();
    (poisons == 1).then(|| der::sequence(&kept))
}
