//! Good traffic at a steady rate: a request each so many milliseconds, whether or not earlier ones
//! were answered, each over a connection of its own as a job in CI would bring it.
//!
//! A latency begins when its request was due, so that waiting for a place counts.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::load::{self, Answer};
use crate::requests;

/// A good request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// The name in the server's certificate.
pub(crate) const SERVER: &str = "ca.example";

/// What to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// Minted requests; each is sent once.
    pub(crate) requests: PathBuf,
    /// The first of them to send, and how many.
    pub(crate) from: usize,
    pub(crate) count: usize,
    pub(crate) per_second: u32,
    /// The server's certificate, where it speaks TLS.
    pub(crate) certificate: Option<PathBuf>,
}

/// What came of it. Latencies are in microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) asked: usize,
    pub(crate) failed: usize,
    pub(crate) first_failure: Option<String>,
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) max: u64,
}

/// Sends it, on this thread.
pub(crate) fn run(order: &Order) -> io::Result<Seen> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(send(order))
}

async fn send(order: &Order) -> io::Result<Seen> {
    let mut requests = requests::read(&order.requests)?;
    let requests = requests.drain(order.from..order.from + order.count);
    let tls = match &order.certificate {
        Some(certificate) => Some(connector(&fs::read(certificate)?)?),
        None => None,
    };
    let start = Instant::now();
    let mut sent = Vec::with_capacity(order.count);
    for (number, request) in (0..).zip(requests) {
        let due = start + Duration::from_secs(1) * number / order.per_second;
        sleep_until(due).await;
        let (address, tls) = (order.address.clone(), tls.clone());
        let client = client(1, order.from as u32 + number);
        sent.push(tokio::spawn(async move {
            let answer = timeout(PATIENCE, ask(client, &address, tls, &request)).await;
            let fault = match answer {
                Ok(Ok(answer)) if answer.status == 200 => None,
                Ok(Ok(Answer { status, body })) => {
                    Some(format!("{status} {}", String::from_utf8_lossy(&body)))
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {PATIENCE:?}")),
            };
            (due.elapsed(), fault)
        }));
    }
    let mut latencies = Vec::with_capacity(order.count);
    let mut faults = Vec::new();
    for one in sent {
        let (took, fault) = one.await.map_err(io::Error::other)?;
        latencies.push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        faults.extend(fault);
    }
    latencies.sort_unstable();
    let at = |hundredths: usize| latencies.get(latencies.len() * hundredths / 100).copied();
    Ok(Seen {
        asked: latencies.len(),
        failed: faults.len(),
        first_failure: faults.into_iter().next(),
        p50: at(50).unwrap_or(0),
        p99: at(99).unwrap_or(0),
        max: latencies.last().copied().unwrap_or(0),
    })
}

async fn ask(
    from: Ipv4Addr,
    address: &str,
    tls: Option<TlsConnector>,
    request: &[u8],
) -> io::Result<Answer> {
    let stream = connect(from, address).await?;
    stream.set_nodelay(true)?;
    match tls {
        None => exchange(stream, request).await,
        Some(tls) => {
            let name = ServerName::try_from(SERVER).map_err(io::Error::other)?;
            exchange(tls.connect(name, stream).await?, request).await
        }
    }
}

/// An address of this machine: one of the many that `127.NETWORK.0.0/16` has.
pub(crate) fn client(network: u8, number: u32) -> Ipv4Addr {
    // None that ends with 0 or 255, though here nobody would mind.
    let [third, fourth] = [number / 250 % 256, number % 250 + 1].map(|octet| octet as u8);
    Ipv4Addr::new(127, network, third, fourth)
}

/// Connects from this address.
pub(crate) async fn connect(from: Ipv4Addr, to: &str) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to.parse().map_err(io::Error::other)?).await
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> io::Result<Answer> {
    stream.write_all(request).await?;
    stream.flush().await?;
    load::read_answer(&mut stream, &mut Vec::with_capacity(16 * 1024)).await
}

fn connector(certificate: &[u8]) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
