//! The doors on a free port of 127.0.0.1 with the whole pipeline behind them, every part of which
//! can fail; a client that sees answers to the byte; and our own log, taken down.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use shortleaf::issuance::Parts;
use shortleaf::rates::Rates;
use shortleaf::server::{
    Front, Metrics, Public, PublicParts, RequestLimits, Shown, Sight, public_router, serve,
};
use shortleaf::telemetry::{Format, subscriber};
use shortleaf::time::UnixSeconds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;

use crate::ask::{Ask, Door, Proof};
use crate::faults::{Faults, INSIDE};
use crate::secrets;
use crate::world::issuer::{Alg, Identity, merge};
use crate::world::subject::{Kind, Subject};
use crate::world::{Seeded, World};

/// A world with its doors open.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) faults: Arc<Faults>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) at: SocketAddr,
    pub(crate) subject: Subject,
    page: Page,
    secrets: Mutex<Vec<String>>,
    stop: CancellationToken,
    /// The log of this thread, on which a test's server runs too.
    _page: DefaultGuard,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(|_| ()).await
    }

    /// With other parts; `change` sees them before they are made to fail on request.
    pub(crate) async fn with(change: impl FnOnce(&mut Parts)) -> Self {
        Self::behind(Front::default(), change).await
    }

    /// The same, meeting its peers so.
    pub(crate) async fn behind(front: Front, change: impl FnOnce(&mut Parts)) -> Self {
        let page = Page::default();
        let writer = page.clone();
        let log = subscriber(Format::Json, "trace", move || writer.clone()).unwrap();
        let guard = tracing::subscriber::set_default(log);

        let faults = Arc::new(Faults::default());
        let mut rates = Rates::off();
        let world = World::with(|parts| {
            change(parts);
            rates = parts.rates.clone();
            faults.surround(parts);
        });
        let issuers = [Identity::Email, Identity::Github].map(|who| world.issuer(who).url().into());
        let metrics = Arc::new(Metrics::new(issuers, UnixSeconds(i64::MAX)));
        let router = public_router(Public::new(PublicParts {
            issuance: Arc::new(world.service().clone()),
            clock: world.clock(),
            entropy: Arc::new(Seeded::default()),
            metrics: Arc::clone(&metrics),
            shown: Arc::new(Shown::new(Sight::default())),
            limits: RequestLimits::default(),
            rates,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, front, stop.clone()));
        Self {
            world,
            faults,
            metrics,
            at,
            subject: Subject::generate(Kind::P256),
            page,
            secrets: Mutex::default(),
            stop,
            _page: guard,
        }
    }

    /// A request that gets a certificate.
    pub(crate) fn good(&self) -> Ask {
        self.with_claims(Identity::Github, json!({}))
    }

    /// The same, but for these claims.
    pub(crate) fn with_claims(&self, identity: Identity, over: Value) -> Ask {
        let mut claims = identity.claims();
        merge(&mut claims, over);
        let challenge = match identity {
            Identity::Email => claims["email"].clone(),
            Identity::Github | Identity::GithubWithEnvironment => claims["sub"].clone(),
        };
        let issuer = self.world.issuer(identity);
        let token = issuer.token(claims, self.world.now().seconds().0);
        let challenge = challenge.as_str().unwrap_or_default();
        Ask::new(token, Proof::of(&self.subject, challenge))
    }

    /// A good request with these members laid upon the token's header.
    pub(crate) fn with_header(&self, over: Value) -> Ask {
        let good = self.good();
        let token = good.token.as_deref().unwrap();
        let [mut header, payload] = decoded(token);
        let mut object = serde_json::from_str(&header).unwrap();
        merge(&mut object, over);
        header = object.to_string();
        let issuer = self.world.issuer(Identity::Github);
        let token = issuer.sign(Alg::Rs256, &header, &payload);
        Ask {
            token: Some(token),
            ..good
        }
    }

    /// Sends it, takes the answer, and sees to it that nothing leaks.
    pub(crate) async fn ask(&self, door: Door, ask: &Ask) -> Answer {
        self.secrets.lock().unwrap().extend(ask.secrets());
        let answer = exchange(self.at, &ask.http(door)).await;
        secrets::none_in("an answer", &answer.text);
        if answer.status >= 300 {
            for secret in ask.secrets() {
                assert!(!answer.text.contains(&secret), "{secret} in {answer:?}");
            }
        }
        for word in INSIDE.split([':', '@', ' ']).filter(|word| word.len() > 4) {
            assert!(!answer.text.contains(word), "{word} in {answer:?}");
        }
        answer
    }

    /// What our own log says of decisions so far, oldest first.
    pub(crate) fn told(&self) -> Vec<Value> {
        let text = self.page.text();
        let events = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let decision = |event: &Value| {
            ["issued", "refused"]
                .map(Value::from)
                .contains(&event["message"])
        };
        events.filter(decision).collect()
    }

    /// The world's rules hold, and our own log has nothing of what callers sent, at any level.
    pub(crate) async fn check(&self) {
        self.world.check().await;
        let text = self.page.text();
        secrets::none_in("the log", &text);
        for secret in self.secrets.lock().unwrap().iter() {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Header and payload of a token.
fn decoded(token: &str) -> [String; 2] {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut parts = token.split('.');
    std::array::from_fn(|_| {
        let octets = URL_SAFE_NO_PAD.decode(parts.next().unwrap()).unwrap();
        String::from_utf8(octets).unwrap()
    })
}

/// Everything this thread logs.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Head and body.
    text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        let mut headers = head.lines().filter_map(|line| line.split_once(": "));
        let found = headers.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    pub(crate) fn body(&self) -> &str {
        let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
        body
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap()
    }

    /// `ErrorInfo.reason`.
    pub(crate) fn reason(&self) -> String {
        let status = self.json();
        status["details"][0]["reason"].as_str().unwrap().to_owned()
    }

    /// The leaf, in PEM, from either door's answer.
    pub(crate) fn leaf(&self) -> String {
        const END: &str = "-----END CERTIFICATE-----";
        let body = match self.status {
            200 => {
                let body = self.json();
                let kinds = [
                    "signedCertificateEmbeddedSct",
                    "signedCertificateDetachedSct",
                ];
                let kind = kinds.iter().find(|kind| body.get(**kind).is_some());
                let leaf = &body[*kind.unwrap()]["chain"]["certificates"][0];
                leaf.as_str().unwrap().to_owned()
            }
            201 => self.body().to_owned(),
            _ => panic!("no certificate in {self:?}"),
        };
        let end = body.find(END).unwrap() + END.len();
        body[..end].to_owned()
    }
}

/// Sends the bytes, reads until the server closes.
pub(crate) async fn exchange(at: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    // A reset after the answer is as good as an end: the body was refused unread.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8(bytes).unwrap();
    let status = text.split(' ').nth(1).expect("a status line");
    Answer {
        status: status.parse().unwrap(),
        text,
    }
}
