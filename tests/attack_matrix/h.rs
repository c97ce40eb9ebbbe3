//! H: what arrives on the wire before there is a token to judge.
//!
//! Each attack runs against the server as `serve` runs it, with its limits as they are. As long as
//! it lasts, good requests are made over connections of their own: every one must be served. What
//! is refused is refused without a word to anybody else, and its twin is served.

mod crowds;
mod floods;
mod frames;
mod messages;
mod shapes;
mod slow;
mod tls;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;

use crate::ask::{self, Answer, Ask, Door, Proof};
use crate::issuer::{self, Alg};
use crate::keys::TestKey;
use crate::report::{Case, Report, Verdict, judge};
use crate::site::{PERSON, Site};

/// How much the process may grow, the attackers in it counted as well.
const GROWTH: usize = 64 << 20;
/// Between two good requests.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs these rows.
pub(crate) fn run(rows: &[String]) -> Vec<Report> {
    let is_wanted = |row: &str| rows.iter().any(|wanted| wanted == row);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let kit = Kit::new().await;
        let mut reports = Vec::new();
        // One after another: each has to stand alone beside the good requests.
        macro_rules! row {
            ($name:literal, $attack:expr) => {
                if is_wanted($name) {
                    let mut report = Report::new($name);
                    meanwhile(&kit, &mut report, $attack).await;
                    reports.push(report);
                }
            };
        }
        row!("H1", messages::large);
        row!("H2", slow::senders);
        row!("H3", messages::headers);
        row!("H4", frames::rapid_reset);
        row!("H5", frames::continuation);
        row!("H6", shapes::smuggling);
        row!("H7", messages::compressed);
        row!("H9", crowds::idle);
        row!("H10", crowds::hang_up);
        row!("H11", tls::versions);
        row!("H12", messages::other_routes);
        row!("H13", messages::foreign_origins);
        if is_wanted("H14") {
            reports.push(judge(&kit.site, "H14", doors(&kit)).await);
        }
        row!("H15", floods::one_client);
        reports
    })
}

/// A site, and a key nobody objects to.
struct Kit {
    site: Site,
    key: TestKey,
}

impl Kit {
    async fn new() -> Self {
        Self {
            site: Site::start(&[]).await,
            key: TestKey::generate(KeyKind::EcdsaP256),
        }
    }

    /// A good request with a token of its own.
    fn good(&self) -> Ask {
        self.site.by_key(&self.key)
    }

    /// Bytes that must be refused, and the same with one thing other that must be served.
    async fn refused(
        &self,
        report: &mut Report,
        what: &str,
        bad: &[u8],
        word: &str,
        twin: Option<&[u8]>,
    ) {
        let answer = ask::send(self.site.at, bad).await;
        report.saw(&answer);
        report.check(what, answer.word() == word, format!("{answer}, not {word}"));
        if let Some(twin) = twin {
            let answer = ask::send(self.site.at, twin).await;
            report.check(what, answer.is_issued(), format!("its twin: {answer}"));
        }
    }
}

/// Runs an attack beside good requests, and looks at what both have cost.
async fn meanwhile(kit: &Kit, report: &mut Report, attack: impl AsyncFnOnce(&Kit, &mut Report)) {
    let before = resident();
    let mut good = Report::new(&report.row);
    let mut asked = 0;
    let serve_others = async {
        loop {
            let answer = kit.site.ask(Door::V2, &kit.good()).await;
            asked += 1;
            good.check("a good request meanwhile", answer.is_issued(), &answer);
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::select! {
        never = serve_others => never,
        () = attack(kit, report) => {}
    }
    // At least one, however short the attack was.
    let answer = kit.site.ask(Door::V2, &kit.good()).await;
    good.check("a good request afterwards", answer.is_issued(), &answer);
    report.join(good);
    let grown = resident().saturating_sub(before);
    let told = format!("{} MB more, after {asked} good requests", grown >> 20);
    report.check("memory", grown <= GROWTH, told);
}

/// What the process holds in memory, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    kilobytes.unwrap_or(0_usize) * 1024
}

/// H14: the same at every door there is, whatever it is that is wrong.
fn doors(kit: &Kit) -> Vec<Case> {
    let case = |what: &str, change: &dyn Fn(&mut Ask), reason| {
        let mut ask = kit.good();
        change(&mut ask);
        Case {
            what: what.to_owned(),
            ask,
            verdict: Verdict::Refused {
                reason,
                twin: kit.good(),
            },
        }
    };
    let token = |what: &str, header: Value, over: Value, reason| {
        let issuer = kit.site.issuer();
        let now = issuer::wall_clock();
        let mut claims = json!({
            "iss": issuer.url(), "aud": issuer::AUDIENCE, "iat": now, "exp": now + 300,
            "sub": PERSON, "email": PERSON, "email_verified": true,
        });
        issuer::merge(&mut claims, over);
        let token = issuer.sign(Alg::Rs256, &header.to_string(), &claims.to_string());
        case(what, &|ask| ask.token.clone_from(&token), reason)
    };
    let usual = || json!({ "alg": "RS256", "kid": "RS256" });
    let with_key = |ask: &mut Ask, new: &[u8]| {
        if let Proof::Key { content, .. } = &mut ask.proof {
            *content = new.to_vec();
        }
    };
    vec![
        case(
            "two parts",
            &|ask| ask.token = "a.b".to_owned(),
            Reason::TokenMalformed,
        ),
        token(
            "no algorithm",
            json!({ "alg": "none" }),
            json!({}),
            Reason::TokenAlgorithmRefused,
        ),
        token(
            "claims of another type",
            usual(),
            json!({ "exp": "soon" }),
            Reason::TokenMalformed,
        ),
        token(
            "a stranger",
            usual(),
            json!({ "iss": "https://evil.example" }),
            Reason::TokenIssuerUnknown,
        ),
        token(
            "for somebody else",
            usual(),
            json!({ "aud": "others" }),
            Reason::TokenAudienceMismatch,
        ),
        token(
            "long ago",
            usual(),
            json!({ "iat": 1, "exp": 300 }),
            Reason::TokenExpired,
        ),
        token(
            "a made-up key",
            json!({ "alg": "RS256", "kid": "k" }),
            json!({}),
            Reason::TokenKeyUnknown,
        ),
        token(
            "nobody verified",
            usual(),
            json!({ "email_verified": false }),
            Reason::EmailUnverified,
        ),
        case(
            "a signature of nobody",
            &|ask| {
                let dot = ask.token.rfind('.').unwrap();
                ask.token.replace_range(dot + 1..dot + 5, "AAAA");
            },
            Reason::TokenSignatureInvalid,
        ),
        case(
            "a key of nobody",
            &|ask| with_key(ask, b"nobody"),
            Reason::PublicKeyMalformed,
        ),
        case(
            "a proof of nobody",
            &|ask| {
                if let Proof::Key { signature, .. } = &mut ask.proof {
                    *signature = b"nobody".to_vec();
                }
            },
            Reason::ProofInvalid,
        ),
        case(
            "a request of nobody",
            &|ask| ask.proof = Proof::Csr(b"nobody".to_vec()),
            Reason::CsrMalformed,
        ),
    ]
}

/// How long it took, in an answer of no words.
fn closed_after(started: Instant) -> Answer {
    Answer::closed(started.elapsed())
}
