//! C: transparency logs that lie.
//!
//! Every input is a good request to a running server whose log answers falsely, by the table of
//! `tests/ct/lies.rs`. Alone, such a log means no certificate: the intent stays, the metric and
//! shortleaf's own log have the lie's word, and the twin, the same request when the log speaks the
//! truth, is served. Beside an honest log it means that log's SCT in the certificate.

use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use shortleaf::ct::{LogId, PreEntry};
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;
use shortleaf::system::SystemClock;
use shortleaf::telemetry::{Format, subscriber};
use shortleaf::time::Clock as _;
use shortleaf::x509::pem;
use x509_parser::prelude::*;

use crate::ask::{Answer, Ask, Door};
use crate::keys::TestKey;
use crate::lies::{Asked, LIES, LIES_BY_RSA, Liar, Lie};
use crate::log;
use crate::report::Report;
use crate::scripted::{Reply, Server};
use crate::site::Site;

/// What a caller may be told to wait, whatever a log says.
const RETRY_AFTER_MAX_S: u64 = 300;
/// What the caller is told of the times that logs ask for.
const WAITS_S: &[(&str, u64)] = &[
    ("503 for a day", RETRY_AFTER_MAX_S),
    ("503 until the year 9000", RETRY_AFTER_MAX_S),
    ("429 for half a minute", 30),
    ("429 for more seconds than there are", RETRY_AFTER_MAX_S),
];
/// For all logs together, in milliseconds; and how far an answer may come after it.
const DEADLINE_MS: u128 = 3_000;
const SLACK_MS: u128 = 3_000;

/// Runs these rows.
pub(crate) fn run(rows: &[String]) -> Vec<Report> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let page = Page::open();
    let is_wanted = |lie: &&'static Lie| rows.iter().any(|row| row == lie.row);
    let mut reports: Vec<Report> = Vec::new();
    let mut add = |report: Report| match reports.iter_mut().find(|r| r.row == report.row) {
        Some(known) => known.join(report),
        None => reports.push(report),
    };
    runtime.block_on(async {
        let alone = House::new(&page, false, false).await;
        for lie in LIES.iter().filter(is_wanted) {
            add(alone.told_alone(lie).await);
        }
        let by_rsa = House::new(&page, true, false).await;
        for lie in LIES_BY_RSA.iter().filter(is_wanted) {
            add(by_rsa.told_alone(lie).await);
        }
        let beside = House::new(&page, false, true).await;
        for row in rows {
            if let Some(lie) = LIES.iter().find(|lie| lie.row == row) {
                add(beside.told_beside_an_honest_log(lie).await);
            }
        }
    });
    reports
}

/// A log that tells what it is told to tell; without a lie, the truth.
struct Teller {
    liar: Arc<Liar>,
    lie: Arc<Mutex<Option<(&'static Lie, usize)>>>,
    server: Server,
}

impl Teller {
    async fn start(by_rsa: bool) -> Self {
        let liar = Arc::new(Liar::new(by_rsa));
        let lie: Arc<Mutex<Option<(&Lie, usize)>>> = Arc::default();
        let (teller, told) = (liar.clone(), lie.clone());
        let server = Server::answering(move |_, request| {
            let Some(entry) = entry(&request.body) else {
                return Reply::Answer(400, "", "not a precertificate".into());
            };
            let now = SystemClock.now();
            let mut told = told.lock().unwrap();
            let before = told.as_ref().map_or(0, |(_, before)| *before);
            let asked = &Asked {
                entry: &entry,
                now,
                before,
            };
            match &mut *told {
                Some((lie, before)) => {
                    *before += 1;
                    (lie.tell)(&teller, asked)
                }
                None => teller.truth(asked),
            }
        });
        Self {
            liar,
            lie,
            server: server.await,
        }
    }

    fn tell(&self, lie: Option<&'static Lie>) {
        *self.lie.lock().unwrap() = lie.map(|lie| (lie, 0));
    }

    /// Its part of a configuration.
    fn settings(&self, name: &str, folder: &tempfile::TempDir) -> String {
        let key = folder.path().join(format!("{name}.pub.pem"));
        std::fs::write(&key, pem::encode("PUBLIC KEY", &self.liar.spki())).unwrap();
        format!(
            "[[ct.log]]\nkind = \"rfc6962\"\nname = \"{name}\"\nurl = \"{}\"\nkey = \"{}\"\n",
            self.server.url(),
            key.display()
        )
    }
}

/// The entry of an add-pre-chain.
fn entry(body: &[u8]) -> Option<PreEntry> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let chain = body.get("chain")?.as_array()?.iter();
    let octets = |der: &Value| STANDARD.decode(der.as_str()?).ok();
    log::entry(chain.map(octets).collect::<Option<_>>()?)
}

/// A site whose first log lies.
struct House<'a> {
    page: &'a Page,
    site: Site,
    teller: Teller,
    honest: Option<Teller>,
    key: TestKey,
    _folder: tempfile::TempDir,
}

impl<'a> House<'a> {
    async fn new(page: &'a Page, by_rsa: bool, beside: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let teller = Teller::start(by_rsa).await;
        let mut logs = format!("[ct]\ndeadline = \"{DEADLINE_MS}ms\"\n");
        logs += &teller.settings("liar", &folder);
        let mut honest = None;
        if beside {
            let other = Teller::start(false).await;
            logs += &other.settings("honest", &folder);
            honest = Some(other);
        }
        Self {
            page,
            site: Site::start_with_logs(&logs).await,
            teller,
            honest,
            key: TestKey::generate(KeyKind::EcdsaP256),
            _folder: folder,
        }
    }

    /// How often a log's submissions ended so.
    async fn count(&self, log: &str, outcome: &str) -> u64 {
        let series =
            format!(r#"shortleaf_ct_submissions_total{{log="{log}",outcome="{outcome}"}} "#);
        let text = self.site.metrics().await;
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.map_or(0, |count| count.parse().unwrap())
    }

    async fn asked(&self, lie: Option<&'static Lie>, ask: &Ask) -> Answer {
        self.teller.tell(lie);
        self.site.ask(Door::V2, ask).await
    }

    async fn told_alone(&self, lie: &'static Lie) -> Report {
        let mut report = Report::new(lie.row);
        let ask = self.site.by_key(&self.key);
        let begun = self.site.begun();
        let (counted, sent) = (
            self.count("liar", lie.outcome).await,
            self.teller.server.requests().len(),
        );
        let lines = self.page.of(lie.outcome);

        let answer = self.asked(Some(lie), &ask).await;
        report.saw(&answer);
        let mut check = |holds, otherwise: &str| {
            report.check(lie.what, holds, format!("{otherwise}: {answer}"));
        };
        let is_accepted = lie.outcome == "accepted";
        match lie.outcome {
            "accepted" => check(answer.is_issued(), "a true answer is not taken"),
            outcome => {
                let reason = match outcome {
                    "rejected" => Reason::CtLogRejected,
                    _ => Reason::CtLogUnavailable,
                };
                check(answer.word() == reason.as_str(), "another reason");
                let (status, wait) = answer.status();
                let right = match outcome {
                    "rejected" => (status, wait) == (500, None),
                    _ => status == 503 && wait.is_some_and(|s| s <= RETRY_AFTER_MAX_S),
                };
                check(right, "another status or wait");
                if let Some((_, asked)) = WAITS_S.iter().find(|(what, _)| *what == lie.what) {
                    check(wait == Some(*asked), "another wait than the log's");
                }
                let written = self.page.of(outcome) - lines;
                check(written == 1, "no event with the lie's word, or several");
            }
        }
        check(self.site.begun() == begun + 1, "no intent, or several");
        let took = answer.took.as_millis();
        check(took < DEADLINE_MS + SLACK_MS, "over the deadline");
        let count = self.count("liar", lie.outcome).await - counted;
        check(count == 1, "not counted once under its word");
        let requests = self.teller.server.requests().split_off(sent);
        let same = |request: &_| is_same(request, &requests[0]);
        check(requests.iter().all(same), "what was sent changed");
        let tries = match lie.outcome {
            "rejected" => 1..=1,
            _ => 1..=3,
        };
        check(tries.contains(&requests.len()), "too many tries");

        report.sent += requests.len();

        // The twin: the same token and key, and a log that speaks the truth.
        if !is_accepted {
            let answer = self.asked(None, &ask).await;
            report.check(
                lie.what,
                answer.is_issued() && sct_logs(&answer) == [self.teller.liar.key().id()],
                format!("its twin: {answer}"),
            );
        }
        report
    }

    async fn told_beside_an_honest_log(&self, lie: &'static Lie) -> Report {
        let mut report = Report::new(lie.row);
        let honest = self.honest.as_ref().unwrap().liar.key().id();
        let (lied, helped) = (
            self.count("liar", lie.outcome).await,
            self.count("honest", "accepted").await,
        );
        let ask = self.site.by_key(&self.key);
        let answer = self.asked(Some(lie), &ask).await;
        report.saw(&answer);
        let (whose, help) = match lie.outcome {
            "accepted" => (self.teller.liar.key().id(), 0),
            _ => (honest, 1),
        };
        let right = answer.is_issued() && sct_logs(&answer) == [whose];
        report.check(lie.what, right, format!("beside an honest log: {answer}"));
        let lied = self.count("liar", lie.outcome).await - lied;
        let helped = self.count("honest", "accepted").await - helped;
        let counted = format!("counted {lied} and {helped} times");
        report.check(lie.what, (lied, helped) == (1, help), counted);
        report
    }
}

fn is_same(one: &crate::scripted::Request, other: &crate::scripted::Request) -> bool {
    one.line == "POST /ct/v1/add-pre-chain" && one.body == other.body
}

/// Whose SCTs are in the certificate.
fn sct_logs(answer: &Answer) -> Vec<LogId> {
    let leaf = answer.leaf().unwrap_or_default();
    let Ok((_, leaf)) = parse_x509_pem(leaf.as_bytes()) else {
        return Vec::new();
    };
    let leaf = leaf.parse_x509().unwrap();
    let mut logs = Vec::new();
    for extension in leaf.extensions() {
        if let ParsedExtension::SCT(scts) = extension.parsed_extension() {
            logs.extend(scts.iter().map(|sct| LogId(*sct.id.key_id)));
        }
    }
    logs
}

/// What shortleaf's own log says.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    /// From now on, of the whole process.
    fn open() -> Self {
        let page = Self::default();
        let writer = page.clone();
        let subscriber = subscriber(Format::Json, "shortleaf=info", move || writer.clone());
        tracing::subscriber::set_global_default(subscriber.unwrap()).unwrap();
        page
    }

    /// How many submissions it says ended so, with a cause.
    fn of(&self, outcome: &str) -> usize {
        let text = self.0.lock().unwrap();
        let lines = text.split(|octet| *octet == b'\n');
        let events = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let is_told = |event: &Value| {
            event["message"] == "log gave no SCT"
                && event["outcome"] == outcome
                && event["log"] == "liar"
                && event["cause"]
                    .as_str()
                    .is_some_and(|cause| !cause.is_empty())
                && event["request_id"].is_string()
        };
        events.filter(is_told).count()
    }
}
