//! `dev` and `dev token`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::parts;
use crate::program::{Beside, PATIENCE, Place, hang_up};

/// A running development instance, and the variables of its env.sh.
pub(crate) struct Dev {
    pub(crate) place: Place,
    pub(crate) beside: Beside,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Dev {
    pub(crate) fn start(more: &[&str]) -> Self {
        let place = Place::new();
        let words: Vec<&str> = ["dev", "--out", "out"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        let mut beside = place.start(&words);
        match more.contains(&"--json") {
            true => beside.0.wait_for_line("{", PATIENCE),
            false => beside.ready(),
        };
        let variables = place
            .read("out/env.sh")
            .lines()
            .map(|line| {
                let (name, value) = line
                    .strip_prefix("export ")
                    .unwrap()
                    .split_once('=')
                    .unwrap();
                (name.to_owned(), value.trim_matches('\'').to_owned())
            })
            .collect();
        Self {
            place,
            beside,
            variables,
        }
    }

    pub(crate) fn variable(&self, name: &str) -> &str {
        &self.variables[name]
    }

    /// A token from `dev token`, in a file; answers with the file's name.
    pub(crate) fn token(&self, more: &[&str]) -> String {
        let words: Vec<&str> = ["dev", "token", "--issuer-url", self.variable("OIDC_ISSUER")]
            .iter()
            .chain(more)
            .copied()
            .collect();
        let token = self.place.run(&words).exits(0).stdout;
        let name = format!(
            "{}.jwt",
            token.len() + token.bytes().map(usize::from).sum::<usize>()
        );
        self.place.write(&name, &token);
        name
    }
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let payload = token.trim().split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn it_answers_until_interrupted_and_leaves_nothing_behind() {
    for signal in ["INT", "TERM", hang_up()] {
        let dev = Dev::start(&[]);
        let health = format!("{}/healthz", dev.variable("FULCIO_URL"));
        let (status, _) = parts::http("GET", &health, None).unwrap();
        assert_eq!(status, 200);
        assert_eq!(dev.place.left_behind().len(), 1, "its records");
        let (stdout, stderr) = dev.beside.stop(signal);
        assert_eq!(stdout, format!("READY {}\n", dev.variables["FULCIO_URL"]));
        assert!(
            stderr.contains("16 certificates each; --strict for one"),
            "{stderr}"
        );
        assert_eq!(dev.place.left_behind(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn under_nohup_a_terminal_that_closes_does_not_end_it() {
    let place = Place::new();
    let mut shell = place.command("/bin/sh");
    let line = format!("trap '' HUP; exec {} dev", crate::program::SHORTLEAF);
    let mut beside = Beside(parts::Running::start(
        "nohup dev",
        shell.args(["-c", &line]),
    ));
    let health = format!("{}/healthz", beside.ready());
    beside.0.signal("HUP");
    // Time to be gone if it were heeded; a slow machine makes this blind, not red.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(parts::http("GET", &health, None).unwrap().0, 200);
    beside.stop("TERM");
}

#[test]
fn what_it_writes_out_is_what_it_serves() {
    let dev = Dev::start(&[]);
    for (variable, name) in [
        ("TRUSTED_ROOT", "trusted_root.json"),
        ("SIGNING_CONFIG", "signing_config.json"),
        ("CLIENT_TRUST_CONFIG", "client_trust_config.json"),
    ] {
        let written = std::fs::read_to_string(dev.variable(variable)).unwrap();
        let url = format!("{}/trust/{name}", dev.variable("FULCIO_URL"));
        assert_eq!(
            parts::http("GET", &url, None),
            Some((200, written)),
            "{name}"
        );
    }
}

#[test]
fn a_shell_that_read_its_env_sh_can_still_be_configured() {
    let dev = Dev::start(&[]);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/shortleaf.toml");
    let mut call = dev
        .place
        .call(&["config", "check", "--no-files", "--config", shipped]);
    for (name, value) in &dev.variables {
        call = call.env(name, value);
    }
    call.run().exits(0);
}

#[test]
fn records_and_ready_can_be_had_in_other_shapes() {
    let place = Place::new();
    let mut beside = place.start(&["--json", "dev", "--state", "records", "--strict"]);
    let ready = beside.0.wait_for_line("{", crate::program::PATIENCE);
    let ready: Value = serde_json::from_str(&format!("{{{ready}")).unwrap();
    assert_eq!((&ready["v"], &ready["strict"]), (&1.into(), &true.into()));
    let health = format!("{}/healthz", ready["ready"].as_str().unwrap());
    assert_eq!(parts::http("GET", &health, None).unwrap().0, 200);
    let livez = format!("{}/livez", ready["operators"].as_str().unwrap());
    assert_eq!(parts::http("GET", &livez, None).unwrap().0, 200);
    let (_, stderr) = beside.stop("TERM");
    assert_eq!(stderr, "", "no talk beside JSON");
    assert!(
        place.path("records/issuance.redb").is_file(),
        "records stay where they were wanted"
    );
}

#[test]
fn a_token_says_what_it_was_asked_to_say() {
    let dev = Dev::start(&[]);
    let issuer = dev.variable("OIDC_ISSUER");
    let mint = |more: &[&str]| {
        let words: Vec<&str> = ["dev", "token"].iter().chain(more).copied().collect();
        let minted = dev
            .place
            .call(&words)
            .env("OIDC_ISSUER", issuer)
            .run()
            .exits(0);
        claims(&minted.stdout)
    };
    let github = mint(&[]);
    assert_eq!(github["iss"], issuer);
    assert_eq!(github["repository"], "acme/app");
    let email = format!("{issuer}/email");
    assert_eq!(mint(&["--issuer-url", &email])["email_verified"], true);
    let own = mint(&[
        "--claims",
        r#"{"sub":"me"}"#,
        "--audience",
        "https://ca.example/?a=b&c",
    ]);
    assert_eq!(
        (&own["sub"], &own["repository"]),
        (&"me".into(), &Value::Null)
    );
    assert_eq!(own["aud"], "https://ca.example/?a=b&c");
    dev.place
        .write("claims.json", r#"{"sub":null,"ref":"refs/heads/dev"}"#);
    let over = mint(&["--claims", "claims.json", "--over-defaults"]);
    assert_eq!(
        (&over["sub"], &over["ref"]),
        (&Value::Null, &"refs/heads/dev".into())
    );
    assert_eq!(over["repository"], "acme/app");

    let words = ["dev", "token", "--issuer-url", issuer, "--claims", "{sub"];
    dev.place
        .run(&words)
        .exits(2)
        .says("JSON object of claims")
        .says("try: a JSON object, or a file");
    // Neither JSON nor a file.
    let words = ["dev", "token", "--issuer-url", issuer, "--claims", "sub=me"];
    let ended = dev.place.run(&words).exits(2);
    ended.says("try: a JSON object, or a file");
}

#[test]
fn what_another_process_has_is_wrong_usage_and_says_what_to_do() {
    let dev = Dev::start(&["--state", "records"]);
    let address = dev.variable("FULCIO_URL").trim_start_matches("http://");
    dev.place
        .run(&["dev", "--listen", address])
        .exits(2)
        .says(&format!("cannot listen on {address}"))
        .says("--listen 127.0.0.1:0 takes a port that is free");
    dev.place
        .run(&["dev", "--state", "records"])
        .exits(2)
        .says("is in use by another process")
        .says("try: a `serve` or `dev` that runs has this state directory");
}

/// Buys a certificate with a token, and again, and then tries with something that is none.
fn decide(dev: &Dev) {
    let token = dev.token(&[]);
    let words = ["cert", "--server", dev.variable("FULCIO_URL"), "--token"];
    let cert = |token: &str, out: &str| {
        let more = [token, "--new-key", &format!("{out}.key"), "--out", out];
        let words: Vec<&str> = words.iter().chain(&more).copied().collect();
        dev.place.run(&words)
    };
    cert(&token, "first.pem").exits(0);
    let spoilt = dev.place.read(&token).trim().replace('.', ".x");
    dev.place.write("spoilt.jwt", &spoilt);
    cert("spoilt.jwt", "second.pem").exits(4);
}

#[test]
fn each_decision_is_one_readable_line() {
    let mut dev = Dev::start(&[]);
    decide(&dev);
    dev.beside.told("refused");
    let (_, stderr) = dev.beside.stop("TERM");
    let lines = |word: &str| -> Vec<&str> {
        let lines = stderr.lines();
        lines.filter(|line| line.starts_with(word)).collect()
    };
    let [issued] = lines("issued     ")[..] else {
        panic!("{stderr}")
    };
    let identity = "uri:https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    assert!(
        issued.contains(&format!("{identity}  serial 01")),
        "{issued}"
    );
    let [refused] = lines("refused    ")[..] else {
        panic!("{stderr}")
    };
    assert!(
        refused.starts_with("refused    TOKEN_MALFORMED  "),
        "{refused}"
    );
}

#[test]
fn decisions_are_objects_with_json_and_nothing_when_quiet() {
    let mut dev = Dev::start(&["--json"]);
    decide(&dev);
    dev.beside.told("refused");
    let (_, stderr) = dev.beside.stop("TERM");
    let events = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let events: Vec<Value> = events.collect();
    let [issued, refused] = events.as_slice() else {
        panic!("{stderr}")
    };
    assert_eq!(
        (&issued["v"], &issued["event"]),
        (&1.into(), &"issued".into())
    );
    assert_eq!(issued["serial"].as_str().map(str::len), Some(38));
    assert_eq!(refused["reason"], "TOKEN_MALFORMED");

    let dev = Dev::start(&["--quiet"]);
    decide(&dev);
    let (_, stderr) = dev.beside.stop("TERM");
    assert_eq!(stderr, "");
}
