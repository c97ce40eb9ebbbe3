//! A log in this process for a CA in another: RFC 6962 `add-pre-chain` over HTTP in front of the
//! log in memory. It can take an entry and keep its answer back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::{CertificateLog, PreEntry};
use shortleaf::x509::Certificate;

use crate::world::now;

#[derive(Default)]
struct State {
    /// Every precertificate taken.
    taken: Vec<Vec<u8>>,
    /// The how-manieth entry from now is taken and not answered.
    hold: Option<usize>,
    held: bool,
}

struct Shared {
    log: MemoryLog,
    issuer_spki: Vec<u8>,
    state: Mutex<State>,
    moved: Condvar,
}

/// Lives as long as the test process.
pub(crate) struct LogServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl LogServer {
    pub(crate) fn start(issuer_spki: &[u8]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            log: MemoryLog::generate("log").unwrap(),
            issuer_spki: issuer_spki.to_vec(),
            state: Mutex::default(),
            moved: Condvar::new(),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.connection(stream));
            }
        });
        Self { shared, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn spki(&self) -> &[u8] {
        self.shared.log.spki()
    }

    /// Takes the `nth` entry from now and does not answer it.
    pub(crate) fn hold(&self, nth: usize) {
        let mut state = self.shared.state.lock().unwrap();
        (state.hold, state.held) = (Some(nth), false);
    }

    pub(crate) fn wait_until_held(&self) {
        let state = self.shared.state.lock().unwrap();
        let held = self
            .shared
            .moved
            .wait_timeout_while(state, Duration::from_secs(60), |state| !state.held);
        assert!(held.unwrap().0.held, "nothing was submitted");
    }

    pub(crate) fn release(&self) {
        let mut state = self.shared.state.lock().unwrap();
        (state.hold, state.held) = (None, false);
        self.shared.moved.notify_all();
    }

    pub(crate) fn has(&self, precert_der: &[u8]) -> bool {
        let state = self.shared.state.lock().unwrap();
        state.taken.iter().any(|taken| taken == precert_der)
    }

    /// The serial of every precertificate taken.
    pub(crate) fn serials(&self) -> Vec<Vec<u8>> {
        let state = self.shared.state.lock().unwrap();
        let serial = |der: &Vec<u8>| {
            Certificate::from_der(der.clone())
                .unwrap()
                .serial()
                .to_vec()
        };
        state.taken.iter().map(serial).collect()
    }
}

impl Shared {
    /// One request; the client may always connect again.
    fn connection(&self, stream: TcpStream) {
        let mut reader = BufReader::new(&stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let answer = self.add_pre_chain(&body);
        if self.holds_back() {
            return;
        }
        let _ = write!(
            &stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
    }

    fn add_pre_chain(&self, body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap();
        let chain = body["chain"].as_array().unwrap().iter();
        let mut chain = chain.map(|der| STANDARD.decode(der.as_str().unwrap()).unwrap());
        let precert_der = chain.next().unwrap();
        let precert = Certificate::from_der(precert_der.clone()).unwrap();
        let entry = PreEntry::new(
            precert_der.clone(),
            chain.collect::<Vec<_>>(),
            &self.issuer_spki,
            without_poison(precert.tbs()),
            precert.not_after(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let sct = runtime.block_on(self.log.submit(&entry, now(), Duration::from_secs(1)));
        self.state.lock().unwrap().taken.push(precert_der);
        sct.unwrap().sct().add_chain_json()
    }

    /// Whether this answer is to be kept back; returns only when that is over.
    fn holds_back(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        match &mut state.hold {
            Some(1) => {
                state.held = true;
                self.moved.notify_all();
                drop(self.moved.wait_while(state, |state| state.held));
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}

/// The critical poison extension (RFC 6962 §3.1).
const POISON: [u8; 21] = [
    0x30, 0x13, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x03, 0x01, 0x01,
    0xff, 0x04, 0x02, 0x05, 0x00,
];

/// The TBSCertificate without its poison, the lengths around it put right.
fn without_poison(tbs: &[u8]) -> Vec<u8> {
    let fields = content(tbs);
    let before: usize = elements(fields)
        .iter()
        .filter(|e| e[0] != 0xa3)
        .map(|e| e.len())
        .sum();
    let extensions = content(content(&fields[before..]));
    let kept: Vec<u8> = elements(extensions)
        .into_iter()
        .filter(|extension| *extension != POISON)
        .flatten()
        .copied()
        .collect();
    assert_eq!(kept.len() + POISON.len(), extensions.len());
    let mut all = fields[..before].to_vec();
    all.extend(wrap(0xa3, &wrap(0x30, &kept)));
    wrap(0x30, &all)
}

/// Octets of the header of the element that `der` begins with, and of the whole.
fn lengths(der: &[u8]) -> (usize, usize) {
    let long = usize::from(der[1]);
    if long < 0x80 {
        return (2, 2 + long);
    }
    let octets = &der[2..2 + long - 0x80];
    let length = octets
        .iter()
        .fold(0, |sum, octet| sum << 8 | usize::from(*octet));
    (2 + octets.len(), 2 + octets.len() + length)
}

fn content(der: &[u8]) -> &[u8] {
    let (header, whole) = lengths(der);
    &der[header..whole]
}

fn elements(mut der: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    while !der.is_empty() {
        let (element, rest) = der.split_at(lengths(der).1);
        all.push(element);
        der = rest;
    }
    all
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut der = match content.len() {
        0..=0x7f => vec![tag, length[1]],
        0x80..=0xff => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    der.extend(content);
    der
}
