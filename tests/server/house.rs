//! A server on a free port with a service that answers what the test says and remembers what it
//! was asked; and a client that shows answers to the byte.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shortleaf::ca::Serial;
use shortleaf::entropy::Entropy;
use shortleaf::issuance::{Issued, Proof, Request};
use shortleaf::rates::Rates;
use shortleaf::server::{
    ConnectionLimits, Edge, Fitness, Front, Issuance, IssuerName, KeyState, Metrics, OidcIssuer,
    Ops, Problem, Public, PublicParts, RequestLimits, Shown, Sight, TrustFiles, ops_router,
    public_router, serve,
};
use shortleaf::time::{Clock, UnixMillis, UnixSeconds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for whatever happens at all: a bound against hanging, not a claim about speed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Limits in time that no test comes to: the one that it is about is what ends its connection.
pub(crate) const UNHURRIED: ConnectionLimits = ConnectionLimits {
    connections: 2048,
    per_address: None,
    handshake: HOUR,
    header: HOUR,
    idle: HOUR,
    max_age: HOUR,
    finish: HOUR,
    drain: HOUR,
};
/// The same of a request.
pub(crate) const UNHURRIED_REQUEST: RequestLimits = RequestLimits {
    body_bytes: 64 * 1024,
    body: HOUR,
    reading: 256,
    in_flight: 512,
    queue: 256,
    queue_wait: HOUR,
    requests: 2048,
    whole: HOUR,
};

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_262_400_000);
pub(crate) const ISSUER: &str = "https://issuer.example";
/// One that is configured too.
pub(crate) const FAMILY: &str = "https://*.clusters.example";

/// A whole `-----BEGIN CERTIFICATE-----` text as it stands inside JSON, for DER of one octet.
pub(crate) fn json_pem(octet: u8) -> String {
    pem(octet).replace('\n', "\\n")
}

pub(crate) fn pem(octet: u8) -> String {
    let base64 = ["AQ==", "Ag==", "Aw==", "BA=="][usize::from(octet) - 1];
    format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
}

/// A certificate with a leaf of DER 01 under the chain 02, 03.
pub(crate) fn certificate() -> Issued {
    Issued {
        leaf_der: Arc::from([1]),
        chain: Arc::from([vec![2], vec![3]]),
        serial: Serial::from_octets(&[1; 19]).unwrap(),
        issuer: ISSUER.into(),
        subject: "jane".into(),
        san: "email:jane@example.com".into(),
        spki_hash: [7; 32],
        key_of_another: false,
        rule: None,
        rules: None,
        would_refuse: false,
        not_after: UnixSeconds(1_795_263_000),
        sct_embedded: true,
        repeated: false,
    }
}

/// What the service was asked, in a form that compares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Key {
        token: String,
        public_key: Vec<u8>,
        signature: Vec<u8>,
    },
    Csr {
        token: String,
        csr: Vec<u8>,
    },
}

#[derive(Default)]
pub(crate) struct Script {
    answers: Mutex<VecDeque<Result<Issued, Problem>>>,
    pub(crate) asked: Mutex<Vec<Asked>>,
    pub(crate) request_ids: Mutex<Vec<String>>,
    pub(crate) times: Mutex<Vec<UnixMillis>>,
    pub(crate) fitness: Mutex<Vec<Fitness>>,
    pub(crate) probes: Mutex<u32>,
    pub(crate) key_states: Mutex<Vec<KeyState>>,
    /// When set, each request takes a permit before it is answered.
    pub(crate) gate: Mutex<Option<Arc<Semaphore>>>,
    pub(crate) panics: Mutex<bool>,
}

impl Script {
    pub(crate) fn answer(&self, answer: Result<Issued, Problem>) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// Holds requests until a permit is added.
    pub(crate) fn hold(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(gate.clone());
        gate
    }
}

#[async_trait]
impl Issuance for Script {
    async fn issue(&self, request: Request, now: UnixMillis) -> Result<Issued, Problem> {
        let token = request.token;
        self.asked.lock().unwrap().push(match request.proof {
            Proof::Signature {
                public_key,
                signature,
            } => Asked::Key {
                token,
                public_key,
                signature,
            },
            Proof::Csr(csr) => Asked::Csr { token, csr },
        });
        self.request_ids.lock().unwrap().push(request.request_id);
        self.times.lock().unwrap().push(now);
        assert!(!*self.panics.lock().unwrap(), "the script says panic");
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let scripted = self.answers.lock().unwrap().pop_front();
        scripted.unwrap_or_else(|| Ok(certificate()))
    }

    async fn readiness(&self, _: UnixMillis) -> Vec<Fitness> {
        *self.probes.lock().unwrap() += 1;
        self.fitness.lock().unwrap().clone()
    }

    fn configured_as(&self, issuer: &str) -> Option<String> {
        let is_cluster = issuer.ends_with(".clusters.example");
        Some(if is_cluster { FAMILY } else { issuer }.to_owned())
    }
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixMillis {
        NOW
    }
}

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) {
        out.fill(0xab);
    }
}

pub(crate) struct House {
    pub(crate) at: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) script: Arc<Script>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<()>,
}

pub(crate) fn issuer(name: IssuerName, issuer_type: &str) -> OidcIssuer {
    OidcIssuer {
        name,
        audience: "sigstore".into(),
        challenge_claim: "sub".into(),
        spiffe_trust_domain: String::new(),
        issuer_type: issuer_type.into(),
        subject_domain: String::new(),
        skip_email_verification: false,
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(RequestLimits::default(), ConnectionLimits::default()).await
    }

    pub(crate) async fn with(limits: RequestLimits, connections: ConnectionLimits) -> Self {
        let front = Front {
            limits: connections,
            ..Default::default()
        };
        Self::behind(limits, front).await
    }

    pub(crate) async fn behind(limits: RequestLimits, front: Front) -> Self {
        Self::built(limits, front, Duration::ZERO).await
    }

    /// Where an answer about readiness stands for so long.
    pub(crate) async fn probed(readiness_age: Duration) -> Self {
        Self::built(UNHURRIED_REQUEST, Front::default(), readiness_age).await
    }

    async fn built(limits: RequestLimits, front: Front, readiness_age: Duration) -> Self {
        let script = Arc::new(Script::default());
        let metrics = Arc::new(Metrics::new(
            [ISSUER.to_owned(), FAMILY.to_owned()],
            UnixSeconds(1_900_000_000),
        ));
        let public = public_router(Public::new(PublicParts {
            issuance: script.clone(),
            clock: Arc::new(Fixed),
            entropy: Arc::new(Fixed),
            metrics: metrics.clone(),
            shown: Arc::new(Shown::new(Sight {
                chains: vec![vec![vec![2], vec![3]], vec![vec![4]]],
                issuers: vec![
                    issuer(
                        IssuerName::Wildcard("https://*.example".into()),
                        "ci-provider",
                    ),
                    issuer(IssuerName::Url("https://b.example".into()), "ci-provider"),
                    issuer(IssuerName::Url("https://a.example".into()), "uri"),
                ],
                trust: TrustFiles {
                    trusted_root: r#"{"file":"trusted root"}"#.into(),
                    signing_config: r#"{"file":"signing config"}"#.into(),
                    client_trust_config: r#"{"file":"client trust config"}"#.into(),
                },
            })),
            limits,
            rates: Rates::off(),
        }));
        let ops = ops_router(Ops {
            issuance: script.clone(),
            clock: Arc::new(Fixed),
            metrics: metrics.clone(),
            tls: front.tls.clone(),
            key_states: {
                let script = script.clone();
                Arc::new(move || script.key_states.lock().unwrap().clone())
            },
            readiness_age,
        });
        let stop = CancellationToken::new();
        // The operators' listener is plain, and knows of no hops.
        let plain = Front {
            limits: front.limits,
            ..Default::default()
        };
        let (ops, _) = listen(ops, plain, &stop).await;
        let edge = Edge::new(&metrics, Arc::new(Fixed));
        let (at, serving) = listen(public, Front { edge, ..front }, &stop).await;
        Self {
            at,
            ops,
            script,
            metrics,
            stop,
            serving,
        }
    }

    pub(crate) async fn post(&self, path: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let host = "host: 127.0.0.1\r\nconnection: close";
        self.send(&format!(
            "POST {path} HTTP/1.1\r\n{host}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str) -> Answer {
        let host = "host: 127.0.0.1\r\nconnection: close";
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\n{host}\r\n{headers}\r\n"
        ))
        .await
    }

    pub(crate) async fn send(&self, request: &str) -> Answer {
        exchange(self.at, request).await
    }

    /// The number behind this name and these labels among the metrics.
    pub(crate) fn number(&self, series: &str) -> f64 {
        let number = self.shown(series);
        number.unwrap_or_else(|| panic!("no {series} in\n{}", self.metrics.render()))
    }

    /// The same, or none where it does not begin before there is something to count.
    fn shown(&self, series: &str) -> Option<f64> {
        let text = self.metrics.render();
        let mut lines = text.lines();
        let number = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        number.map(|number| number.parse().unwrap())
    }

    /// Waits until that number is this one.
    pub(crate) async fn until(&self, series: &str, number: f64) {
        until(
            || self.shown(series) == Some(number),
            || format!("{series} {:?}, not {number}", self.shown(series)),
        )
        .await;
    }

    /// Waits until the service was asked so often.
    pub(crate) async fn until_asked(&self, times: usize) {
        let asked = || self.asked().len();
        let missing = || format!("asked {} times, not {times}", asked());
        until(|| asked() >= times, missing).await;
    }

    /// What the service was asked, all in all.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }
}

/// Looks again until it is so.
async fn until(so: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let start = tokio::time::Instant::now();
    while !so() {
        assert!(start.elapsed() < PATIENCE, "{}", otherwise());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen(
    router: axum::Router,
    front: Front,
    stop: &CancellationToken,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    (
        at,
        tokio::spawn(serve(listener, router, front, stop.clone())),
    )
}

/// An HTTP/1.1 answer, taken apart by hand so that no library smooths it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n == name)?;
        Some(value)
    }

    pub(crate) fn header_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.headers.iter().map(|(n, _)| n.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// `ErrorInfo.reason`.
    pub(crate) fn reason(&self) -> String {
        let status: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        status["details"][0]["reason"].as_str().unwrap().to_owned()
    }

    pub(crate) fn message(&self) -> String {
        let status: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        status["message"].as_str().unwrap().to_owned()
    }
}

/// Sends the bytes, reads until the server closes.
pub(crate) async fn exchange(at: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(&mut stream).await
}

pub(crate) async fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end: the body was refused unread.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer with a head");
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Answer {
        status: status.parse().unwrap(),
        headers: lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}
