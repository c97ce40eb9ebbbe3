//! The floods: what a crowd of hostile peers does to a listener, as fast as it is let.
//!
//! Each is a number of workers that connect, misbehave in one way, and begin again where they are
//! thrown out. They cost the server what they can; what they are told counts for nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio::time::{sleep, timeout};

use crate::good;
use crate::http2::{self, CANCEL, END_HEADERS, HEADERS, RST_STREAM};
use crate::issuer;
use crate::subject::{Kind, Subject};

/// The flood comes from so many addresses: what an address may is no help against it.
const ADDRESSES: usize = 200;

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Flood {
    /// Tokens like any other, each with a key id that its issuer never had (J20).
    RandomKids,
    /// Bodies that are announced and then come an octet a second (H2).
    SlowBodies,
    /// Connections on which nothing, or half a head, is ever said (H9).
    HalfOpen,
    /// Heads of a megabyte (H3).
    OversizeHeaders,
    /// What is no TLS, to a listener that speaks nothing else (H11).
    GarbageTls,
    /// HTTP/2 streams opened and cancelled at once (H4, CVE-2023-44487).
    RapidReset,
}

impl Flood {
    /// Every one.
    pub(crate) const ALL: [Self; 6] = [
        Self::RandomKids,
        Self::SlowBodies,
        Self::HalfOpen,
        Self::OversizeHeaders,
        Self::GarbageTls,
        Self::RapidReset,
    ];

    /// Whether the listener that it is meant for speaks TLS.
    pub(crate) fn meets_tls(self) -> bool {
        self == Self::GarbageTls
    }

    /// Connections held at once.
    fn workers(self) -> usize {
        match self {
            // More than a set of keys lets wait.
            Self::RandomKids => 160,
            // More bodies than may be on their way, more connections than there are places.
            Self::SlowBodies => 400,
            Self::HalfOpen => 2600,
            Self::GarbageTls => 300,
            Self::OversizeHeaders | Self::RapidReset => 32,
        }
    }
}

/// Whom to meet, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) flood: Flood,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// In whose name tokens are made up.
    pub(crate) issuer: String,
    pub(crate) millis: u64,
}

/// What the flood came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// Connections that were opened.
    pub(crate) connections: usize,
    /// Whole requests, heads or opened streams sent on them.
    pub(crate) sent: usize,
    /// How often each beginning of an answer came back.
    pub(crate) told: BTreeMap<String, usize>,
}

impl Done {
    fn hear(&mut self, answer: &[u8]) {
        // HTTP/1.1 and a status; of HTTP/2 and TLS the first octets say nothing.
        let word = match answer.get(..12) {
            Some(line) if line.starts_with(b"HTTP/1.1 ") => String::from_utf8_lossy(line),
            Some(_) => "other".into(),
            None => "closed".into(),
        };
        *self.told.entry(word.into_owned()).or_default() += 1;
    }
}

/// Lets this program have as many files open as it may, and those that it starts from then on.
pub(crate) fn open_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    let _ = setrlimit(Resource::Nofile, most);
}

/// Does it, on this thread.
pub(crate) fn run(order: &Order) -> io::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let crowd = Rc::new(Crowd {
        order: order.clone(),
        template: Template::new(&order.issuer),
        done: RefCell::default(),
    });
    let all = LocalSet::new();
    for number in 0..order.flood.workers() {
        let crowd = Rc::clone(&crowd);
        all.spawn_local(async move {
            // Whatever ends a connection, the next one comes; a pause only where none is given.
            loop {
                if crowd.once(number).await.is_err() {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    let over = Duration::from_millis(order.millis);
    runtime.block_on(all.run_until(async { sleep(over).await }));
    Ok(crowd.done.take())
}

struct Crowd {
    order: Order,
    template: Template,
    done: RefCell<Done>,
}

impl Crowd {
    /// One connection of worker `number`, from its beginning to its end.
    async fn once(&self, number: usize) -> io::Result<()> {
        let from = good::client(2, (number % ADDRESSES) as u32);
        let mut stream = good::connect(from, &self.order.address).await?;
        self.done.borrow_mut().connections += 1;
        match self.order.flood {
            Flood::RandomKids => self.random_kids(&mut stream).await,
            Flood::SlowBodies => self.slow_body(&mut stream).await,
            Flood::HalfOpen => self.half_open(&mut stream, number).await,
            Flood::OversizeHeaders => self.oversize_headers(&mut stream).await,
            Flood::GarbageTls => self.garbage_tls(&mut stream, number).await,
            Flood::RapidReset => self.rapid_reset(stream).await,
        }
    }

    /// Request upon request on one connection, as long as it is answered.
    async fn random_kids(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut answer = vec![0; 4096];
        loop {
            stream.write_all(&self.template.request()).await?;
            self.done.borrow_mut().sent += 1;
            // An error is one small answer, and comes in one piece.
            let read = stream.read(&mut answer).await?;
            self.done.borrow_mut().hear(&answer[..read]);
            if read == 0 {
                return Ok(());
            }
        }
    }

    async fn slow_body(&self, stream: &mut TcpStream) -> io::Result<()> {
        let head = "POST /api/v2/signingCert HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n{";
        stream.write_all(head.as_bytes()).await?;
        self.done.borrow_mut().sent += 1;
        let (mut read, mut write) = stream.split();
        let dribbles = async {
            while write.write_all(b" ").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        let mut answer = [0; 4096];
        tokio::select! {
            read = read.read(&mut answer) => self.done.borrow_mut().hear(&answer[..read?]),
            () = dribbles => {}
        }
        Ok(())
    }

    async fn half_open(&self, stream: &mut TcpStream, number: usize) -> io::Result<()> {
        if number.is_multiple_of(2) {
            stream
                .write_all(b"POST /api/v2/signingCert HTTP/1.1\r\nHo")
                .await?;
            self.done.borrow_mut().sent += 1;
        }
        self.to_the_end(stream).await
    }

    async fn oversize_headers(&self, stream: &mut TcpStream) -> io::Result<()> {
        let (mut read, mut write) = stream.split();
        let sends = async {
            write.write_all(b"GET /healthz HTTP/1.1\r\nX: ").await?;
            let some = [b'y'; 16 * 1024];
            for _ in 0..64 {
                write.write_all(&some).await?;
            }
            write.write_all(b"\r\n\r\n").await
        };
        let mut answer = [0; 4096];
        let (sent, heard) = tokio::join!(sends, read.read(&mut answer));
        self.done.borrow_mut().sent += 1;
        self.done.borrow_mut().hear(&answer[..heard?]);
        sent
    }

    /// Noise, plain HTTP, and the beginning of a handshake that never goes on.
    async fn garbage_tls(&self, stream: &mut TcpStream, number: usize) -> io::Result<()> {
        let noise: Vec<u8> = match number % 4 {
            0 => (0..4096)
                .map(|at: usize| (at * 97 + number) as u8)
                .collect(),
            1 => b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            // A record of handshake that is one octet long, and no message of TLS.
            2 => [0x16_u8, 3, 1, 0, 1, 0xff].repeat(300),
            _ => vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        };
        stream.write_all(&noise).await?;
        self.done.borrow_mut().sent += 1;
        self.to_the_end(stream).await
    }

    async fn rapid_reset(&self, stream: TcpStream) -> io::Result<()> {
        let (mut read, mut write) = stream.into_split();
        let block = http2::request("POST", "/api/v2/signingCert");
        let sends = async {
            write.write_all(&http2::preface()).await?;
            for stream in (1..).step_by(2) {
                let mut pair = http2::frame(HEADERS, END_HEADERS, stream, &block);
                pair.extend(http2::frame(RST_STREAM, 0, stream, &CANCEL));
                write.write_all(&pair).await?;
                self.done.borrow_mut().sent += 1;
            }
            Ok(())
        };
        let mut answer = Vec::new();
        tokio::select! {
            ended = read.read_to_end(&mut answer) => ended.map(drop),
            sent = sends => sent,
        }
    }

    /// Until the server has had enough.
    async fn to_the_end(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut answer = Vec::new();
        let mut stream = stream.take(4096);
        let _ = timeout(Duration::from_secs(60), stream.read_to_end(&mut answer)).await;
        self.done.borrow_mut().hear(&answer);
        Ok(())
    }
}

/// A request that is good but for its token's key id and signature.
struct Template {
    claims: String,
    key: String,
    proof: String,
}

impl Template {
    fn new(issuer: &str) -> Self {
        let now = issuer::wall_clock();
        let mut claims = issuer::github_claims();
        issuer::merge(
            &mut claims,
            json!({
                "iss": issuer, "aud": issuer::AUDIENCE, "iat": now, "nbf": now, "exp": now + 600,
            }),
        );
        let key = Subject::generate(Kind::P256);
        Self {
            claims: URL_SAFE_NO_PAD.encode(claims.to_string()),
            proof: STANDARD.encode(key.prove("nobody")),
            key: key.spki_pem(),
        }
    }

    fn request(&self) -> Vec<u8> {
        let mut chance = [0; 16];
        aws_lc_rs::rand::fill(&mut chance).expect("the system has chance");
        let kid = URL_SAFE_NO_PAD.encode(chance);
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid }).to_string();
        let token = format!(
            "{}.{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            self.claims,
            URL_SAFE_NO_PAD.encode([0x5a; 256])
        );
        let body = json!({
            "credentials": { "oidcIdentityToken": token },
            "publicKeyRequest": {
                "publicKey": { "algorithm": "ECDSA", "content": self.key },
                "proofOfPossession": self.proof,
            },
        })
        .to_string();
        format!(
            "POST /api/v2/signingCert HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}
