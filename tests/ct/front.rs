//! A log in memory behind RFC 6962 HTTP. Its precertificates are stand-ins: their octets are the
//! TBSCertificate, and the first chain element is the issuer's key, so that nothing is parsed.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::{CertificateLog, PreEntry};
use shortleaf::time::{UnixMillis, UnixSeconds};

use crate::contract::{BUDGET, NOW};

/// A stand-in entry; different names make different entries.
pub(crate) fn entry(name: &str) -> PreEntry {
    rebuild(vec![name.as_bytes().to_vec(), b"spki".to_vec()])
}

fn rebuild(mut chain: Vec<Vec<u8>>) -> PreEntry {
    let precert = chain.remove(0);
    let (spki, tbs) = (chain[0].clone(), precert.clone());
    PreEntry::new(precert, chain, &spki, tbs, UnixSeconds(0))
}

/// Serves the log and answers with its URL.
pub(crate) async fn serve(log: Arc<MemoryLog>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/log", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/log/ct/v1/add-pre-chain", post(add_pre_chain))
        .route("/log/ct/v1/get-sth", get(get_sth))
        .with_state(log);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn add_pre_chain(
    State(log): State<Arc<MemoryLog>>,
    body: String,
) -> Result<String, StatusCode> {
    let body: Value = serde_json::from_str(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let chain = body["chain"].as_array().ok_or(StatusCode::BAD_REQUEST)?;
    let chain = chain
        .iter()
        .map(|der| STANDARD.decode(der.as_str().unwrap()).unwrap())
        .collect();
    let proven = log.submit(&rebuild(chain), NOW, BUDGET).await;
    let proven = proven.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(proven.sct().add_chain_json())
}

async fn get_sth(State(log): State<Arc<MemoryLog>>) -> String {
    sth(&log, NOW).to_string()
}

/// The answer to get-sth.
pub(crate) fn sth(log: &MemoryLog, now: UnixMillis) -> Value {
    let head = log.head(now).unwrap();
    let head = head.head();
    json!({
        "tree_size": head.size,
        "timestamp": head.timestamp.0,
        "sha256_root_hash": STANDARD.encode(head.root),
        "tree_head_signature": STANDARD.encode(&head.signature),
    })
}
