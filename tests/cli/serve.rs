//! `serve` over the files `ca init` made, `trust export` beside it, `audit verify` after it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use shortleaf::system::SystemClock;
use shortleaf::x509::pem;

use crate::ca::init;
use crate::issuer::{Alg, Identity, Issuer, Served, github_claims, wall_clock};
use crate::log::Log;
use crate::parts::{self, PATIENCE, free_port};
use crate::program::{Beside, Ended, PASSPHRASE, Place, hang_up};

pub(crate) const MEMORY_LOG: &str = "[[ct.log]]\nkind = \"memory\"\nname = \"here\"\n";
pub(crate) const ISSUER: &str = "[[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\njwks_file = \"jwks.json\"\n";

/// The file `shortleaf.toml`: ports that are free, the CA of `ca init`, and the rest as given.
pub(crate) fn configure(place: &Place, rest: &str) {
    // From a file: nothing here goes looking for it on the network.
    let issuer = Issuer::new("https://issuer.example");
    place.write("jwks.json", &issuer.jwks());
    place.write(
        "shortleaf.toml",
        &format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\npublic_url = \"https://ca.example\"\n\
             [ca]\npassphrase_file = \"passphrase\"\n{rest}"
        ),
    );
}

/// A server whose log is a process-wide neighbour over HTTP, and whose issuers are the test's.
pub(crate) struct World {
    pub(crate) place: Place,
    pub(crate) issuers: Served,
    pub(crate) log: Log,
}

impl World {
    pub(crate) fn new() -> Self {
        let place = Place::new();
        init(&place, &[]);
        let log = Log::start(Arc::new(SystemClock));
        place.write(
            "log.pub.pem",
            &pem::encode("PUBLIC KEY", log.inner().spki()),
        );
        let issuers = Served::start(&Identity::PATHS);
        let [email, github] = issuers.urls();
        let issuer = |url: &str, kind: &str| {
            format!(
                "[[issuer]]\nurl = {url:?}\ntype = {kind:?}\naudiences = [\"sigstore\"]\naccept_shared_audience = true\ninsecure_loopback_http = true\n"
            )
        };
        configure(
            &place,
            &format!(
                "[[ct.log]]\nkind = \"rfc6962\"\nname = \"neighbour\"\nurl = {:?}\nkey = \"log.pub.pem\"\n{}{}",
                log.url(),
                issuer(email, "email"),
                issuer(github, "github-workflow"),
            ),
        );
        Self {
            place,
            issuers,
            log,
        }
    }

    fn serve(&self) -> (Beside, String) {
        let mut serve = self.place.start(&["serve"]);
        let url = serve.ready();
        (serve, url)
    }

    fn buy(&self, url: &str) {
        let token = self.issuers.issuer(1).token(github_claims(), wall_clock());
        buy(&self.place, url, &token).exits(0);
    }
}

#[test]
fn without_a_log_there_is_no_server() {
    let place = Place::new();
    init(&place, &[]);
    configure(&place, ISSUER);
    let error = place.run(&["--json", "serve"]).exits(3).error();
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("ct.log") && message.contains("ct.mode = \"off\""),
        "{message}"
    );
}

#[test]
fn a_log_in_memory_needs_its_switch() {
    let place = Place::new();
    init(&place, &[]);
    configure(&place, &format!("{MEMORY_LOG}{ISSUER}"));
    place
        .run(&["serve"])
        .exits(3)
        .says("`ct.insecure_memory_log = true`");
    assert!(
        !place.path("state").exists(),
        "a refused start leaves nothing"
    );
}

#[test]
fn with_its_switch_it_warns_answers_and_ends_cleanly() {
    let place = Place::new();
    init(&place, &[]);
    configure(
        &place,
        &format!("[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"),
    );
    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    let operators = serve.operators();
    let get = |url: String| parts::http("GET", &url, None).unwrap();
    assert_eq!(get(format!("{url}/healthz")).0, 200);
    for name in ["trusted_root", "signing_config", "client_trust_config"] {
        let (status, body) = get(format!("{url}/trust/{name}.json"));
        assert_eq!(status, 200, "{name}");
        let _: Value = serde_json::from_str(&body).unwrap();
    }
    assert_eq!(get(format!("{operators}/livez")).0, 200);
    let (status, ready) = get(format!("{operators}/readyz?verbose"));
    assert_eq!(status, 200, "{ready}");
    for part in [
        "[+]key ok",
        "[+]log ok",
        "[+]store ok",
        "[+]issuers: 1 of 1 with usable keys",
        "[+]chain ok",
    ] {
        assert!(ready.contains(part), "{part}\n{ready}");
    }
    let (status, metrics) = get(format!("{operators}/metrics"));
    assert_eq!(status, 200);
    assert!(
        metrics.contains("shortleaf_ca_not_after_seconds"),
        "{metrics}"
    );

    let (stdout, stderr) = serve.stop("TERM");
    assert_eq!(stdout, format!("READY {url}\n"));
    let lines: Vec<Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    for (line, said) in lines.iter().zip(["no identity.rules", "in memory"]) {
        assert_eq!(line["level"], "WARN");
        assert!(line["message"].as_str().unwrap().contains(said), "{stderr}");
    }

    // Its log is gone and with it the log's key, so nobody can say what it was.
    place
        .run(&["trust", "export"])
        .exits(3)
        .says("/trust/trusted_root.json");
    place
        .run(&["trust", "export", "--format", "client-trust"])
        .exits(3);
    let chain = place
        .run(&["trust", "export", "--format", "pem"])
        .exits(0)
        .stdout;
    assert_eq!(chain, place.read("ca/chain.pem"));
}

#[test]
fn an_issuer_that_is_away_shows_to_operators_and_keeps_nobody_from_being_ready() {
    let place = Place::new();
    init(&place, &[]);
    let away = format!("http://127.0.0.1:{}", free_port());
    configure(
        &place,
        &format!(
            "[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}\
             [[issuer]]\nurl = {away:?}\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n\
             insecure_loopback_http = true\n"
        ),
    );
    let mut serve = place.start(&["serve"]);
    serve.ready();
    let operators = serve.operators();
    let get = |path: &str| parts::http("GET", &format!("{operators}{path}"), None).unwrap();
    let (status, ready) = get("/readyz");
    assert_eq!(
        (status, ready),
        (200, format!("[!]issuer {away}: no usable keys\nready\n"))
    );
    let (_, metrics) = get("/metrics");
    for line in [
        r#"shortleaf_jwks_age_seconds{issuer="https://issuer.example"} 0"#,
        &format!("shortleaf_jwks_age_seconds{{issuer={away:?}}} inf"),
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    serve.stop("TERM");
}

#[test]
fn without_its_passphrase_it_says_where_to_put_it() {
    let place = Place::new();
    init(&place, &[]);
    configure(
        &place,
        &format!("[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"),
    );
    let without = place
        .read("shortleaf.toml")
        .replace("passphrase_file", "# passphrase_file");
    place.write("shortleaf.toml", &without);
    place
        .run(&["serve"])
        .exits(3)
        .says("SHORTLEAF_CA_PASSPHRASE");
    place
        .call(&["serve"])
        .env("SHORTLEAF_CA_PASSPHRASE", "wrong")
        .run()
        .exits(3)
        .says("passphrase does not open");
    assert!(
        !place.path("state").exists(),
        "a refused start leaves nothing"
    );
    let mut command = place.command(crate::program::SHORTLEAF);
    command
        .arg("serve")
        .env("SHORTLEAF_CA_PASSPHRASE", PASSPHRASE);
    let mut serve = Beside(parts::Running::start("shortleaf serve", &mut command));
    serve.ready();
    serve.stop("INT");
}

#[test]
fn a_state_directory_that_others_can_write_to_is_refused() {
    let place = Place::new();
    init(&place, &[]);
    configure(
        &place,
        &format!("[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"),
    );
    let state = place.path("state");
    fs::create_dir(&state).unwrap();
    let mode = |mode| fs::set_permissions(&state, Permissions::from_mode(mode)).unwrap();
    for open in [0o720, 0o702, 0o1777] {
        mode(open);
        for words in [&["config", "check"][..], &["serve"]] {
            place
                .run(words)
                .exits(3)
                .says(&format!(
                    "state\" has mode {open:04o}: others than its owner"
                ))
                .says("chmod 700");
        }
        assert_eq!(
            fs::read_dir(&state).unwrap().count(),
            0,
            "nothing is written"
        );
    }
    for closed in [0o700, 0o755] {
        mode(closed);
        place.run(&["config", "check"]).exits(0);
        let mut serve = place.start(&["serve"]);
        serve.ready();
        serve.stop("TERM");
    }
}

#[test]
fn what_is_exported_is_what_is_served() {
    let world = World::new();
    let (serve, url) = world.serve();
    for (format, name) in [
        ("trusted-root", "trusted_root"),
        ("signing-config", "signing_config"),
        ("client-trust", "client_trust_config"),
    ] {
        let (status, served) =
            parts::http("GET", &format!("{url}/trust/{name}.json"), None).unwrap();
        assert_eq!(status, 200);
        let exported = world
            .place
            .run(&["trust", "export", "--format", format])
            .exits(0)
            .stdout;
        assert_eq!(exported, served, "{format}");
        world
            .place
            .run(&["trust", "export", "--format", format, "--out", "file"])
            .exits(0)
            .says("trust      file\n");
        assert_eq!(world.place.read("file"), served, "{format}");
    }
    serve.stop("TERM");
}

#[test]
fn the_audit_log_of_an_issuance_is_whole_and_a_flipped_byte_is_found_in_its_line() {
    let world = World::new();
    let (serve, url) = world.serve();
    world.buy(&url);
    serve.stop("TERM");
    let shown = world
        .place
        .run(&["--json", "audit", "verify", "state/audit.log"])
        .exits(0)
        .json();
    assert_eq!(
        (&shown["ok"], &shown["torn_tail"]),
        (&true.into(), &0.into())
    );
    assert_eq!(
        (&shown["signing"], &shown["signed"]),
        (&2.into(), &2.into())
    );

    let log = fs::read(world.place.path("state/audit.log")).unwrap();
    assert_eq!(
        log.iter().filter(|b| **b == b'\n').count() as u64,
        shown["lines"]
    );
    let lines = log.split_inclusive(|b| *b == b'\n');
    let lines: Vec<Value> = lines.map(|l| serde_json::from_slice(l).unwrap()).collect();
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(
        (&first["event"], &last["event"]),
        (&"start".into(), &"stop".into())
    );
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(first["configuration"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&first["instance"], &last["instance"]),
        (&"01".into(), &"01".into())
    );

    let mut start = 0;
    for (index, line) in log.split_inclusive(|b| *b == b'\n').enumerate() {
        let mut flipped = log.clone();
        flipped[start + line.len() / 2] ^= 1;
        fs::write(world.place.path("copy.log"), &flipped).unwrap();
        let number = format!("audit line {} ", index + 1);
        world
            .place
            .run(&["audit", "verify", "copy.log"])
            .exits(1)
            .says(&number);
        start += line.len();
    }

    // A line that a crash cut short was never acted upon.
    fs::write(world.place.path("copy.log"), &log[..log.len() - 5]).unwrap();
    world
        .place
        .run(&["audit", "verify", "copy.log"])
        .exits(0)
        .says("cut short");
}

#[test]
fn a_second_start_goes_on_with_the_first_ones_records() {
    let world = World::new();
    for (round, signal) in [(1, "TERM"), (2, hang_up())] {
        let (serve, url) = world.serve();
        world.buy(&url);
        serve.stop(signal);
        let shown = world
            .place
            .run(&["--json", "audit", "verify", "state/audit.log"])
            .exits(0)
            .json();
        assert_eq!(shown["signed"], 2 * round);
    }
}

/// The claims of a person, for the audience that [`configure`] has.
fn for_us() -> Value {
    let mut claims = Identity::Email.claims();
    claims["aud"] = "https://ca.example".into();
    claims
}

/// `cert` with this token and a key that is made for it.
fn buy(place: &Place, url: &str, token: &str) -> Ended {
    let line = [
        "cert",
        "--server",
        url,
        "--token",
        "-",
        "--new-key",
        "key.pem",
        "--out",
        "cert.pem",
    ];
    let ended = place.call(&line).stdin(token).run();
    // Where it is refused there is none.
    let _ = fs::remove_file(place.path("key.pem"));
    ended
}

#[test]
fn a_key_set_file_that_changes_is_taken_over_while_it_serves() {
    let place = Place::new();
    init(&place, &[]);
    configure(
        &place,
        &format!("[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"),
    );
    let issuer = Issuer::new("https://issuer.example");
    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    let buy = |alg| {
        buy(
            &place,
            &url,
            &issuer.token_with(alg, for_us(), wall_clock()),
        )
    };
    buy(Alg::Rs256).exits(0);
    let mut keys: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    keys["keys"]
        .as_array_mut()
        .unwrap()
        .retain(|key| key["kid"] == "ES256");
    place.write("jwks.json", &keys.to_string());
    let changed = Instant::now();
    while buy(Alg::Rs256).exit == 0 {
        assert!(changed.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(250));
    }
    let refused = buy(Alg::Rs256);
    assert!(refused.stderr.contains("no key"), "{}", refused.stderr);
    buy(Alg::Es256).exits(0);
    serve.stop("TERM");
}

#[test]
fn a_rule_file_that_changes_is_taken_over_while_it_serves() {
    let place = Place::new();
    init(&place, &[]);
    let rule = |address: &str| {
        format!(
            "[[allow]]\nname = \"{address}\"\nissuer = \"https://issuer.example\"\n\
             claims = {{ email = \"{address}\" }}\n"
        )
    };
    let identity = Identity::Email.claims();
    let own = identity["email"].as_str().unwrap();
    place.write("rules.toml", &rule(own));
    configure(
        &place,
        &format!(
            "[identity]\nrules = \"rules.toml\"\n[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"
        ),
    );
    let issuer = Issuer::new("https://issuer.example");
    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    let operators = serve.operators();
    let buy = || {
        buy(
            &place,
            &url,
            &issuer.token_with(Alg::Es256, for_us(), wall_clock()),
        )
    };
    let until = |exit: i32| {
        let changed = Instant::now();
        loop {
            let ended = buy();
            if ended.exit == exit {
                return ended;
            }
            assert!(changed.elapsed() < PATIENCE, "{ended}");
            std::thread::sleep(Duration::from_millis(250));
        }
    };
    buy().exits(0);
    place.write("rules.toml", &rule("somebody@else.example"));
    let refused = until(25);
    assert!(
        refused.stderr.contains("somebody@else.example"),
        "{refused}"
    );

    // What cannot be used changes nothing, and is seen.
    place.write("rules.toml", "[[allow]]\nname = 1\n");
    let metric = "shortleaf_reload_refused{what=\"terms\"} 1";
    let seen = parts::wait_until(PATIENCE, || {
        let (_, text) = parts::http("GET", &format!("{operators}/metrics"), None)?;
        text.lines().any(|line| line == metric).then_some(())
    });
    assert!(seen.is_some());
    buy().exits(25);

    place.write("rules.toml", &rule(own));
    until(0);
    serve.stop("TERM");
    let audit = fs::read_to_string(place.path("state/audit.log")).unwrap();
    let lines = |event: &str| {
        let event = format!("\"event\":\"{event}\"");
        let lines = audit.lines().filter(move |line| line.contains(&event));
        lines.filter(|line| line.contains("\"rules\":\"")).count()
    };
    // Those of before the start, and each that was taken over; what they decided names them too.
    assert_eq!((lines("start"), lines("terms")), (1, 2), "{audit}");
    assert!(lines("issued") > 1 && lines("refused") > 1, "{audit}");
}

#[test]
fn each_stage_of_an_issuance_is_measured() {
    let world = World::new();
    let (mut serve, url) = world.serve();
    let operators = serve.operators();
    let measured = || {
        let metrics = parts::http("GET", &format!("{operators}/metrics"), None);
        let (_, text) = metrics.unwrap();
        ["token", "sign", "log", "store"].map(|stage| {
            let start = format!("shortleaf_stage_seconds_count{{stage=\"{stage}\"}} ");
            let count = text.lines().find_map(|line| line.strip_prefix(&start));
            count.and_then(|count| count.parse().ok()).unwrap_or(0)
        })
    };
    assert_eq!(measured(), [0, 0, 0, 0]);
    world.buy(&url);
    assert_eq!(measured(), [1, 2, 1, 2]);
    serve.stop("TERM");
}
