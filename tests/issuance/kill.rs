//! The process dies at each point of the pipeline, with the log in another process; then it is
//! started again, and everything that was promised must hold.
//!
//! The process that dies is this test binary, started again for one hidden test. Each point is
//! met at the first, second, … request of a process, five times in the ordinary run;
//! `SHORTLEAF_KILLS=100` is the long form.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::panicking;
use std::time::Duration;

use serde_json::{Value, json};
use shortleaf::audit;
use shortleaf::ca::{Authority, InstanceId, LeafProfile, Serial};
use shortleaf::ct::LogKey;
use shortleaf::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use shortleaf::hash::sha256;
use shortleaf::hex;
use shortleaf::issuance::store::{IssuanceStore, Record, Selector};
use shortleaf::issuance::{
    CtMode, Error, KillPoint, ORPHAN_AFTER_S, Parts, Proof, Request, Service, Terms, kill_at,
    no_probe,
};
use shortleaf::keys::{EphemeralSigner, PrivateKey, init};
use shortleaf::possession::{AlgorithmList, WeakKeys};
use shortleaf::rates::Rates;
use shortleaf::store::{self, redb::RedbStore};
use shortleaf::system::SystemEntropy;
use shortleaf::time::UnixSeconds;
use shortleaf::x509::{Certificate, SignatureAlgorithm};

use crate::issuer::{self, Issuer};
use crate::log_server::LogServer;
use crate::samples::NOW;
use crate::world::{ISSUER, Keys, key, now, trusted};

/// Names the directory in which the process to be killed works; its absence means that the hidden
/// test has nothing to do.
const DIRECTORY: &str = "SHORTLEAF_TEST_KILL_DIR";
/// What the real binary reads too.
const KILL_AT: &str = "SHORTLEAF_TEST_KILL_AT";

/// When the process dies.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// By its own hand.
    At(KillPoint),
    /// By ours, after the log took the precertificate and before it answered.
    LogAsked,
}

macro_rules! moments {
    ($($name:ident: $moment:expr;)*) => {
        $(#[test]
        fn $name() {
            killed($moment);
        })*
    };
}

moments! {
    before_the_intent_is_written: Moment::At(KillPoint::BeforeIntent);
    after_the_store_has_the_intent: Moment::At(KillPoint::IntentStored);
    after_the_first_audit_line: Moment::At(KillPoint::PrecertAnnounced);
    after_the_precertificate_signature: Moment::At(KillPoint::PrecertSigned);
    after_the_second_audit_line: Moment::At(KillPoint::PrecertRecorded);
    when_the_log_was_asked: Moment::LogAsked;
    when_the_sct_was_received: Moment::At(KillPoint::SctReceived);
    when_the_final_is_linted_and_compared: Moment::At(KillPoint::LeafLinted);
    when_the_final_is_signed: Moment::At(KillPoint::LeafSigned);
    when_the_final_is_stored: Moment::At(KillPoint::FinalStored);
    before_the_answer_leaves: Moment::At(KillPoint::Answering);
}

#[test]
fn every_kill_point_has_its_test() {
    let source = include_str!("kill.rs");
    for point in KillPoint::ALL {
        let named = format!("Moment::At(KillPoint::{point:?});");
        assert!(source.contains(&named), "{named}");
    }
}

/// What one request sends, made by the parent so that it can send the same again.
struct Asked {
    token: String,
    public_key: Vec<u8>,
    signature: Vec<u8>,
}

impl Asked {
    fn new(issuer: &Issuer, token: Option<&str>) -> Self {
        let key = key();
        let fresh = || issuer.token(issuer::email_claims(), NOW.0);
        Self {
            token: token.map_or_else(fresh, str::to_owned),
            public_key: key.spki_der().to_vec(),
            signature: key.prove("jane@example.com"),
        }
    }

    fn request(&self, id: &str) -> Request {
        Request {
            token: self.token.clone(),
            proof: Proof::Signature {
                public_key: self.public_key.clone(),
                signature: self.signature.clone(),
            },
            request_id: id.to_owned(),
        }
    }
}

/// One state directory with its CA, and the log that outlives its processes.
struct House {
    dir: tempfile::TempDir,
    log: LogServer,
    issuer: Issuer,
}

/// What a process writes of a request has no secret of it, wherever the process died. The
/// requests themselves and the CA's key lie beside it.
impl Drop for House {
    fn drop(&mut self) {
        for name in ["issuance.redb", "issuance.journal", "audit.jsonl"] {
            if let (false, Ok(octets)) = (panicking(), std::fs::read(self.path().join(name))) {
                crate::secrets::none_in(name, octets);
            }
        }
    }
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let request = init::Request {
            organization: "kill",
            algorithm,
            crl_url: None,
            now: NOW,
        };
        let ca = init::build(&request, &SystemEntropy).unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        put("issuing.key", ca.issuing_key.to_pkcs8().unwrap().as_bytes());
        put("issuing.der", &ca.issuing_der);
        put("root.der", &ca.root_der);
        Self {
            log: LogServer::start(Certificate::from_der(ca.issuing_der).unwrap().spki()),
            dir,
            issuer: Issuer::new(ISSUER),
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a process that makes these requests one after another.
    fn spawn(&self, asked: &[Asked], kill_at: &str) -> Child {
        let requests: Vec<Value> = asked
            .iter()
            .map(|asked| {
                json!({
                    "token": asked.token,
                    "public_key": hex::encode(&asked.public_key),
                    "signature": hex::encode(&asked.signature),
                })
            })
            .collect();
        let work = json!({
            "log_url": self.log.url(),
            "log_key": hex::encode(self.log.spki()),
            "requests": requests,
        });
        std::fs::write(self.path().join("work.json"), work.to_string()).unwrap();
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::hidden_child", "--nocapture"])
            .env(DIRECTORY, self.path())
            .env(KILL_AT, kill_at)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// The certificates that left the process, by request.
    fn answers(&self) -> Vec<(usize, Vec<u8>)> {
        (0..)
            .map(|n| (n, self.path().join(format!("answer-{n}.der"))))
            .map_while(|(n, path)| Some((n, std::fs::read(path).ok()?)))
            .collect()
    }
}

/// The service over a state directory, as a process would have it.
struct Process {
    service: Service,
    store: Arc<RedbStore>,
}

impl Process {
    fn start(dir: &Path, log_url: &str, log_spki: &[u8], kill_at_spec: Option<&str>) -> Self {
        let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
        let key = PrivateKey::from_pkcs8(&read("issuing.key")).unwrap();
        let chain = ["issuing.der", "root.der"];
        let chain = chain.map(|name| Certificate::from_der(read(name)).unwrap());
        let (path, audit) = (dir.join("issuance.redb"), dir.join("audit.jsonl"));
        let (store, audit) = store::open(&path, &audit, &SystemEntropy, now()).unwrap();
        let store = Arc::new(store);
        let log = Rfc6962Log::new(Rfc6962Config {
            name: "log".into(),
            url: log_url.into(),
            key: LogKey::from_spki_der(log_spki).unwrap(),
            host: None,
            ca_pem: None,
        });
        let authority = Authority::new(chain.to_vec(), key.spki(), NOW).unwrap();
        let profile = LeafProfile::new("test-1", 600, 0, None).unwrap();
        let service = Service::new(Parts {
            terms: Terms {
                issuers: vec![trusted(1)],
                issuers_digest: None,
                rules: None,
                keys: Arc::new(Keys::of(&Issuer::new(ISSUER))),
                authority: Arc::new(authority.with_profile(&profile)),
                signer: Arc::new(EphemeralSigner::new(&key).unwrap()),
            },
            profile: Arc::new(profile),
            ct: CtMode::Required {
                logs: vec![Arc::new(log.unwrap())],
                deadline: Duration::from_secs(60),
            },
            store: store.clone(),
            audit,
            entropy: Arc::new(SystemEntropy),
            instance: InstanceId::FIRST,
            permitted: AlgorithmList::all(),
            weak_keys: WeakKeys::default(),
            rates: Rates::off(),
            retention: None,
            monotonic: None,
            probe: kill_at_spec
                .map_or_else(no_probe, |spec| kill_at(spec, std::process::abort).unwrap()),
        });
        Self { service, store }
    }

    async fn records(&self) -> Vec<Record> {
        let (from, to) = (UnixSeconds(0), UnixSeconds(i64::MAX));
        let all = Selector::default();
        let found = self.store.find_issued(&all, from, to, 1000);
        found.await.unwrap()
    }
}

/// The process that dies. Does nothing unless the parent named a directory.
#[test]
fn hidden_child() {
    let Some(dir) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        return;
    };
    let work: Value =
        serde_json::from_slice(&std::fs::read(dir.join("work.json")).unwrap()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let kill_at = std::env::var(KILL_AT).ok().filter(|spec| !spec.is_empty());
    let log_key = unhex(&text(&work["log_key"]));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = text(&work["log_url"]);
        let process = Process::start(&dir, &url, &log_key, kill_at.as_deref());
        for (n, request) in work["requests"].as_array().unwrap().iter().enumerate() {
            let asked = Asked {
                token: text(&request["token"]),
                public_key: unhex(&text(&request["public_key"])),
                signature: unhex(&text(&request["signature"])),
            };
            let issued = process
                .service
                .issue(asked.request("first"), now())
                .await
                .unwrap();
            // "Leaving" is being in this file.
            let mut answer = std::fs::File::create(dir.join(format!("answer-{n}.der"))).unwrap();
            answer.write_all(&issued.leaf_der).unwrap();
        }
    });
}

fn killed(moment: Moment) {
    let kills = std::env::var("SHORTLEAF_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = House::new();
    for kill in 0..kills {
        runtime.block_on(killed_once(&house, moment, kill % 5 + 1));
    }
}

/// `nth` requests of which the last one meets the moment; then everything is checked.
async fn killed_once(house: &House, moment: Moment, nth: usize) {
    for (n, _) in house.answers() {
        std::fs::remove_file(house.path().join(format!("answer-{n}.der"))).unwrap();
    }
    let asked: Vec<_> = (0..nth).map(|_| Asked::new(&house.issuer, None)).collect();
    let mut child = match moment {
        Moment::At(point) => house.spawn(&asked, &format!("{}:{nth}", point.as_str())),
        Moment::LogAsked => {
            house.log.hold(nth);
            let mut child = house.spawn(&asked, "");
            house.log.wait_until_held();
            child.kill().unwrap();
            child
        }
    };
    let status = child.wait().unwrap();
    house.log.release();
    assert!(!status.success(), "{moment:?}: it was to die, not to end");

    // Started again.
    let process = Process::start(house.path(), &house.log.url(), house.log.spki(), None);
    let before = process.records().await;
    let abandoned_before = before.iter().filter(|r| r.abandoned.is_some()).count();

    // Nothing left that is not stored and logged.
    let answers = house.answers();
    assert_eq!(answers.len(), nth - 1, "{moment:?}");
    for (_, answer) in &answers {
        let record = before
            .iter()
            .find(|r| r.leaf.as_ref().is_some_and(|l| *l.leaf_der == **answer));
        let record = record.unwrap_or_else(|| panic!("{moment:?}: a certificate left unrecorded"));
        let submission = record.submission.as_ref().unwrap();
        assert!(
            house.log.has(&submission.precert_der),
            "{moment:?}: not logged"
        );
    }

    // Every signature that was even announced has an intent, so it can be revoked.
    let trail = std::fs::read(house.path().join("audit.jsonl")).unwrap();
    audit::verify(trail.as_slice()).unwrap();
    for line in trail
        .split(|octet| *octet == b'\n')
        .filter(|line| !line.is_empty())
    {
        let line: Value = serde_json::from_slice(line).unwrap();
        if let Some(serial) = line["serial"].as_str() {
            let known = before.iter().any(|r| r.intent.serial.to_string() == serial);
            assert!(known, "{moment:?}: {line} has no intent");
        }
    }
    // And so has everything that the log took.
    for logged in house.log.serials() {
        let known = before
            .iter()
            .any(|r| r.intent.serial.octets() == logged.as_slice());
        assert!(known, "{moment:?}: a logged precertificate has no intent");
    }

    // The same token and key again: the stored certificate, or a new one under a new serial.
    let last = &asked[nth - 1];
    let of_last: Vec<_> = before
        .iter()
        .filter(|r| r.intent.token_hash == sha256(&[last.token.as_bytes()]))
        .collect();
    let stored = of_last.iter().find_map(|r| r.leaf.as_ref());
    let again = process
        .service
        .issue(last.request("again"), now())
        .await
        .unwrap();
    match stored {
        Some(leaf) => {
            assert!(again.repeated, "{moment:?}");
            assert_eq!(leaf.leaf_der, again.leaf_der);
        }
        None => {
            assert!(!again.repeated, "{moment:?}");
            assert!(of_last.iter().all(|r| r.intent.serial != again.serial));
        }
    }
    let survives = matches!(
        moment,
        Moment::At(KillPoint::FinalStored | KillPoint::Answering)
    );
    assert_eq!(stored.is_some(), survives, "{moment:?}");
    // The one use it had went to this key, once.
    let another_key = Asked::new(&house.issuer, Some(&last.token));
    let refused = process
        .service
        .issue(another_key.request("other"), now())
        .await
        .unwrap_err();
    assert!(
        matches!(refused.error, Error::Replayed { limit: 1, .. }),
        "{moment:?}: {refused}"
    );

    // The sweep lists what was given up, once; it stays in the record, revocable.
    let left_behind: Vec<Serial> = of_last
        .iter()
        .filter(|r| r.leaf.is_none())
        .map(|r| r.intent.serial)
        .collect();
    let expected = match moment {
        Moment::At(KillPoint::BeforeIntent | KillPoint::FinalStored | KillPoint::Answering) => 0,
        Moment::At(_) | Moment::LogAsked => 1,
    };
    assert_eq!(left_behind.len(), expected, "{moment:?}");
    let late = NOW.plus(ORPHAN_AFTER_S + 1);
    let orphans = process.store.orphans(late, 100).await.unwrap();
    let orphans: Vec<_> = orphans.iter().map(|record| record.intent.serial).collect();
    assert_eq!(orphans, left_behind, "{moment:?}");
    let swept = process.service.sweep(late.into()).await.unwrap();
    assert_eq!(swept.abandoned, expected, "{moment:?}");
    let after = process.records().await;
    let abandoned = after
        .iter()
        .filter(|record| record.abandoned.is_some())
        .count();
    assert_eq!(abandoned, abandoned_before + expected, "{moment:?}");
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let octet = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(octet).collect()
}
