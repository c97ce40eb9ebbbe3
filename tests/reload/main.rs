//! Requests over HTTP while the files change under them, as a Kubernetes volume changes: no request
//! sees half of one state and half of another, and none fails that should not.
//!
//! There are two states. Everything of a certificate tells which one it is of: the chain (the CA),
//! the issuer in it (whom the configuration or Fulcio's file believes) and its lifetime (the rule).
//! Every other change cannot be used: then the state before it goes on. `.ci/long reload` does it
//! with 100 changes and 10,000 requests.
#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

#[path = "../world/issuer.rs"]
mod issuer;
#[path = "../world/parts.rs"]
mod parts;
#[path = "../world/secrets.rs"]
mod secrets;
#[path = "../world/subject.rs"]
mod subject;
mod volume;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use shortleaf::config::{self, Inputs};
use shortleaf::instance::{self, Listeners, Running, parts as assembly};
use shortleaf::trust;
use shortleaf::x509::{Certificate, pem};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::issuer::{Alg, Served, email_claims, merge, wall_clock};
use crate::subject::{Kind, Subject};
use crate::volume::{Broken, State, Volume};

/// For each change, with those before and after it under way.
const REQUESTS_PER_CHANGE: usize = 100;
const CLIENTS: usize = 16;
/// Where a server looks every two seconds this one looks oftener, so that the test ends today.
const LOOK_EVERY: Duration = Duration::from_millis(40);
/// What a loaded machine may take for what is done in milliseconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// `…57264.1.1`, the issuer as raw text.
const ISSUER: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 1];

/// Who vouches, by the path of its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// An `[[issuer]]` of both states.
    Configuration,
    /// An issuer of Fulcio's file in both states.
    FulciosFile,
    /// An `[[issuer]]` of the second state alone.
    Second,
}

const PATHS: [&str; 3] = ["/configured", "/fulcio", "/second"];

/// Everything the clients share.
struct World {
    issuers: Served,
    volume: Volume,
    running: Running,
    http: reqwest::Client,
    /// Odd while a change is on its way that can be used; else half of it tells the state.
    epoch: AtomicUsize,
    sent: AtomicUsize,
    permits: Semaphore,
}

impl World {
    async fn start() -> Arc<Self> {
        let issuers = Served::start(&PATHS);
        let volume = Volume::new(PATHS.map(|path| {
            let at = PATHS.iter().position(|other| *other == path);
            issuers.issuer(at.unwrap()).url().to_owned()
        }));
        volume.show(&volume.folder(State::First));
        let inputs = Inputs {
            file: Some(volume.path("shortleaf.toml")),
            ..Inputs::default()
        };
        let loaded = config::load(&inputs).unwrap();
        let server = &loaded.settings.server;
        let listeners = Listeners::bind(server.listen, server.ops_listen).await;
        let mut blueprint = assembly::blueprint(loaded).unwrap();
        blueprint.look_every = LOOK_EVERY;
        Arc::new(Self {
            running: instance::start(blueprint, listeners.unwrap()).unwrap(),
            issuers,
            volume,
            http: reqwest::Client::new(),
            epoch: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            permits: Semaphore::new(0),
        })
    }

    /// The state in use, unless that changes now; with what tells whether it changed meanwhile.
    fn state(&self) -> (usize, Option<State>) {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let state = epoch.is_multiple_of(2).then(|| State::BOTH[epoch / 2 % 2]);
        (epoch, state)
    }

    async fn get(&self, url: String) -> String {
        let answer = self.http.get(url).send().await.unwrap();
        answer.error_for_status().unwrap().text().await.unwrap()
    }

    /// What `/metrics` says of this line, zero if nothing.
    async fn metric(&self, name: &str) -> usize {
        let page = self
            .get(format!("{}/metrics", self.running.ops_url()))
            .await;
        let found = page.lines().find_map(|line| line.strip_prefix(name));
        found.map_or(0, |number| number.trim().parse().unwrap())
    }

    async fn reloads(&self, result: &str) -> usize {
        let name = format!("shortleaf_reloads_total{{what=\"terms\",result=\"{result}\"}}");
        self.metric(&name).await
    }

    /// Has the volume changed, and waits until there is one reload more with this result.
    async fn change(&self, result: &str, change: impl FnOnce(&Volume)) {
        let before = self.reloads(result).await;
        change(&self.volume);
        let seen = async {
            while self.reloads(result).await == before {
                tokio::time::sleep(Duration::from_millis(5)).await; // another process's turn
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.unwrap_or_else(|_| panic!("nothing was {result}"));
    }

    /// One request after the other, as long as there are permits.
    async fn client(self: Arc<Self>) {
        while let Ok(permit) = self.permits.acquire().await {
            permit.forget();
            let number = self.sent.fetch_add(1, Ordering::SeqCst);
            let by = match number % 8 {
                0 => By::Second,
                1 | 3 | 5 => By::FulciosFile,
                _ => By::Configuration,
            };
            let (epoch, expected) = self.state();
            let (status, answer) = self.ask(by).await;
            let (after, _) = self.state();
            let expected = expected.filter(|_| after == epoch);
            let answered = answer.to_string();
            let answered = &answered[..answered.len().min(400)];
            let said = format!("request {number}, {by:?}, expecting {expected:?}: {answered}");
            match seen(status, &answer, by, &self.volume, &said) {
                Some(state) => assert!(expected.is_none_or(|e| e == state), "{state:?}: {said}"),
                None => assert_ne!(expected, Some(State::Second), "{said}"),
            }
        }
    }

    async fn ask(&self, by: By) -> (u16, Value) {
        let issuer = self.issuers.issuer(by as usize);
        let mut claims = email_claims();
        merge(
            &mut claims,
            json!({ "federated": { "by": volume::OF_SECOND } }),
        );
        let key = Subject::generate(Kind::P256);
        let proof = key.prove(claims["email"].as_str().unwrap());
        let body = json!({
            "credentials": { "oidcIdentityToken": issuer.token_with(Alg::Es256, claims, wall_clock()) },
            "publicKeyRequest": {
                "publicKey": { "algorithm": "ECDSA", "content": key.spki_pem() },
                "proofOfPossession": BASE64.encode(proof),
            },
        });
        let url = format!("{}/api/v2/signingCert", self.running.url());
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }
}

/// The one state that everything in this answer is of; none for a refusal by the first state of
/// whom only the second knows.
#[track_caller]
fn seen(status: u16, answer: &Value, by: By, volume: &Volume, said: &str) -> Option<State> {
    if by == By::Second && status != 200 {
        assert_eq!(
            answer["details"][0]["reason"], "TOKEN_ISSUER_UNKNOWN",
            "{said}"
        );
        return None;
    }
    assert_eq!(status, 200, "{said}");
    let chain = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"];
    let chain = chain.as_array().expect(said).iter();
    let chain: Vec<Vec<u8>> = chain.map(|pem| der(pem.as_str().unwrap())).collect();
    let leaf = Certificate::from_der(chain[0].clone()).unwrap();
    let all = State::BOTH.map(|state| {
        let ca = volume.chain(state);
        let of_ca = chain[1..] == *ca;
        let signed_by = Certificate::from_der(ca[0].clone()).unwrap();
        let by_key = leaf.aki() == signed_by.ski();
        let of_issuer = leaf.extension(ISSUER) == Some(volume.issuer(state, by as usize));
        let life = leaf.not_after().0 - leaf.not_before().0 + 1;
        [of_ca, by_key, of_issuer, life == state.lifetime_s()]
    });
    match all {
        [first, second] if first == [true; 4] && second == [false; 4] => Some(State::First),
        [first, second] if second == [true; 4] && first == [false; 4] => Some(State::Second),
        [first, second] => panic!("a mixture of {first:?} and {second:?}: {said}"),
    }
}

fn der(text: &str) -> Vec<u8> {
    pem::decode(text).unwrap().pop().unwrap().der
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_sees_a_mixture_and_none_fails_that_should_not() {
    let changes = parts::rounds("reload", 20, 100);
    let world = World::start().await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&world).client());
    }
    let mut taken = 0;
    for number in 0..changes {
        world.permits.add_permits(REQUESTS_PER_CHANGE);
        let next = State::BOTH[(taken + 1) % 2];
        match Broken::ALL.get(number / 2 % Broken::ALL.len()) {
            // What cannot be used changes nothing ...
            Some(broken) if number % 2 == 0 => {
                let folder = world.volume.broken(next, *broken);
                world.change("refused", |volume| volume.show(&folder)).await;
                assert_eq!(world.metric(REFUSED).await, 1);
            }
            // ... until what follows it can, which is the other state.
            Some(_) | None => {
                world.epoch.fetch_add(1, Ordering::SeqCst);
                world.change("taken", |volume| volume.mend(next)).await;
                world.epoch.fetch_add(1, Ordering::SeqCst);
                assert_eq!(world.metric(REFUSED).await, 0);
                taken += 1;
            }
        }
    }
    // Those who wait for a permit get none; what was sent is answered.
    let all = changes * REQUESTS_PER_CHANGE;
    while world.permits.available_permits() > 0 {
        if let Some(ended) = clients.try_join_next() {
            ended.expect("a client goes on");
        }
        tokio::task::yield_now().await;
    }
    world.permits.close();
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert_eq!(world.sent.load(Ordering::SeqCst), all);

    everybody_is_told_of_both(&world, State::BOTH[taken % 2]).await;
    // Two documents of each issuer; of the third each time that it is there again.
    let fetches = 2 + taken.div_ceil(2);
    assert!(
        world.issuers.connections() <= 2 * fetches,
        "nobody is asked anew"
    );
    let Ok(world) = Arc::try_unwrap(world).map_err(drop) else {
        panic!("the clients have gone");
    };
    world.running.stop().await;
    the_audit_log_says_so(&world.volume, taken);
}

const REFUSED: &str = "shortleaf_reload_refused{what=\"terms\"}";

/// The trust files and bundles have the CA in use first, and the other one, too.
async fn everybody_is_told_of_both(world: &World, now: State) {
    let url = world.running.url();
    let bundle = world.get(format!("{url}/api/v2/trustBundle")).await;
    let bundle: Value = serde_json::from_str(&bundle).unwrap();
    let chains = bundle["chains"].as_array().unwrap().iter();
    let chains: Vec<Vec<Vec<u8>>> = chains
        .map(|chain| {
            let chain = chain["certificates"].as_array().unwrap().iter();
            chain.map(|pem| der(pem.as_str().unwrap())).collect()
        })
        .collect();
    let expected = [now, now.other()].map(|state| world.volume.chain(state).to_vec());
    assert_eq!(chains, expected);

    let root = world.get(format!("{url}/trust/trusted_root.json")).await;
    let root = trust::parse_trusted_root(root.as_bytes()).unwrap();
    let chains: Vec<_> = root.authorities.iter().map(|ca| ca.chain.clone()).collect();
    assert_eq!(chains, expected);
    let ends = root.authorities.iter().map(|ca| ca.valid.end.is_some());
    assert_eq!(ends.collect::<Vec<_>>(), [false, true]);

    let configuration = world.get(format!("{url}/api/v2/configuration")).await;
    let second = world.issuers.issuer(By::Second as usize).url();
    assert_eq!(configuration.contains(second), now == State::Second);
}

/// Each certificate's line names a rule and a CA of one state, and each change has its line.
fn the_audit_log_says_so(volume: &Volume, taken: usize) {
    let text = fs::read_to_string(volume.path("state/audit.log")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let of = |kind: &str| -> Vec<&Value> {
        let lines = lines.iter();
        lines.filter(|line| line["event"] == kind).collect()
    };
    let pairs = of("issued").into_iter().map(|line| {
        // Its first word is the state.
        let rule = line["rule"].as_str().unwrap().split(' ').next();
        (line["ca"].to_string(), rule.map(str::to_owned))
    });
    let pairs: BTreeSet<_> = pairs.collect();
    assert_eq!(pairs.len(), 2, "{pairs:?}");
    let changes = of("terms");
    assert_eq!(changes.len(), taken);
    for two in changes.windows(2) {
        for name in ["ca", "issuers", "rules"] {
            let before = format!("{name}_before");
            assert_eq!(two[1][&before], two[0][name], "{two:?}");
        }
    }
}
