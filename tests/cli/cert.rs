//! `cert` and `inspect`: from a token to a certificate someone can read.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::dev::Dev;
use crate::github::{CREDENTIAL, TokenService};
use crate::parts;
use crate::program::{Call, PATIENCE, Place};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// Has the shape of a token and nothing else of it.
const NO_TOKEN: &str = "e30.e30.AAAA";

impl Dev {
    /// `shortleaf cert` at this instance.
    pub(crate) fn cert(&self, more: &[&str]) -> Call {
        let words = ["cert", "--server", self.variable("FULCIO_URL")];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        self.place.call(&words)
    }
}

#[test]
fn a_token_in_a_file_buys_a_certificate_for_a_new_key() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    let ended = dev
        .cert(&[
            "--token",
            &token,
            "--new-key",
            "key.pem",
            "--out",
            "cert.pem",
        ])
        .run()
        .exits(0)
        .says(&format!("identity   {WORKFLOW}"));
    assert_eq!(ended.stdout, "");
    let key = fs::metadata(dev.place.path("key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    let Some(openssl) = parts::require_or_skip("openssl") else {
        return;
    };
    let run = |words: &[&str]| {
        parts::run("openssl", dev.place.command(&openssl).args(words), PATIENCE).stdout
    };
    assert_eq!(
        run(&["x509", "-in", "cert.pem", "-noout", "-pubkey"]),
        run(&["pkey", "-in", "key.pem", "-pubout"]),
        "the certificate is for the key"
    );
}

#[test]
fn the_chain_goes_to_standard_output_without_out() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    let ended = dev
        .cert(&["--token", &token, "--new-key", "key.pem"])
        .run()
        .exits(0);
    assert_eq!(
        ended.stdout.matches("-----BEGIN CERTIFICATE-----").count(),
        3
    );
    let quiet = dev
        .cert(&["-q", "--token", &token, "--new-key", "key2.pem"])
        .run()
        .exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_token_may_come_from_standard_input_or_the_environment() {
    let dev = Dev::start(&[]);
    let token = dev.place.read(&dev.token(&[]));
    dev.cert(&["--token", "-", "--new-key", "a.pem"])
        .stdin(&token)
        .run()
        .exits(0);
    dev.cert(&["--new-key", "b.pem"])
        .env("SIGSTORE_ID_TOKEN", &token)
        .run()
        .exits(0)
        .says("token      from SIGSTORE_ID_TOKEN");
}

#[test]
fn in_a_job_the_token_is_fetched_for_this_server_and_masked() {
    let dev = Dev::start(&["--strict"]);
    let url = dev.variable("ACTIONS_ID_TOKEN_REQUEST_URL");
    let ended = dev
        .cert(&["--new-key", "key.pem"])
        .env("GITHUB_ACTIONS", "true")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", url)
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CREDENTIAL)
        .run()
        .exits(0)
        .says("token      from GitHub Actions");
    assert!(
        ended.stderr.starts_with("::add-mask::eyJ"),
        "masked before anything else"
    );
}

#[test]
fn githubs_service_is_asked_as_github_wants_it_and_again_when_it_fails() {
    let dev = Dev::start(&[]);
    let token = dev.place.read(&dev.token(&[])).trim().to_owned();
    let service = TokenService::start(vec![
        (500, "later".to_owned()),
        (429, "slower".to_owned()),
        (200, "not json".to_owned()),
        (
            200,
            serde_json::json!({ "count": 1, "value": token }).to_string(),
        ),
    ]);
    let ended = dev
        .cert(&[
            "--audience",
            "https://ca.example/?a=b&c d",
            "--new-key",
            "key.pem",
        ])
        .env("GITHUB_ACTIONS", "true")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &service.url())
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CREDENTIAL)
        .run()
        .exits(0);
    assert_eq!(
        ended.stderr.lines().next(),
        Some(&*format!("::add-mask::{token}"))
    );
    assert_eq!(ended.stderr.matches(&token).count(), 1);
    let asked = service.asked();
    assert_eq!(asked.len(), 4);
    for request in asked {
        assert_eq!(
            request.path,
            "/token?api-version=2.0&audience=https%3A%2F%2Fca.example%2F%3Fa%3Db%26c+d"
        );
        assert_eq!(request.authorization, format!("bearer {CREDENTIAL}"));
    }
}

#[test]
fn a_service_that_says_no_is_not_asked_again_and_one_that_is_down_ten_times() {
    let place = Place::new();
    for (status, times) in [(403, 1), (503, 10)] {
        let service = TokenService::start(vec![(status, "no".to_owned())]);
        let error = place
            .call(&[
                "--json",
                "cert",
                "--server",
                "http://127.0.0.1:1",
                "--new-key",
                "key.pem",
            ])
            .env("GITHUB_ACTIONS", "true")
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", &service.url())
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CREDENTIAL)
            .run()
            .exits(4)
            .error();
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("after {times} attempt")),
            "{message}"
        );
        assert!(message.contains(&status.to_string()), "{message}");
        assert_eq!(service.asked().len(), times);
        assert!(!place.path("key.pem").exists(), "no certificate, no key");
    }
}

#[test]
fn a_service_that_cannot_be_reached_is_told_with_the_reason() {
    let place = Place::new();
    let words = ["cert", "--server", "http://127.0.0.1:1", "--new-key"];
    place
        .call(&[&words[..], &["key.pem"]].concat())
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:1/?x=y")
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", CREDENTIAL)
        .run()
        .exits(4)
        .says("after 10 attempt(s): error sending request")
        .says("Connection refused")
        .says("no proxy is used");
}

#[test]
fn a_job_without_the_permission_is_told_what_to_write() {
    let place = Place::new();
    let words = [
        "cert",
        "--server",
        "http://127.0.0.1:1",
        "--new-key",
        "key.pem",
    ];
    place
        .call(&words)
        .env("GITHUB_ACTIONS", "true")
        .run()
        .exits(4)
        .says("permissions: id-token: write");
    place.run(&words).exits(4).says("--token FILE");
}

#[test]
fn a_key_or_a_request_of_ones_own_is_certified() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    let Some(openssl) = parts::require_or_skip("openssl") else {
        return;
    };
    let run = |words: &[&str]| {
        parts::run("openssl", dev.place.command(&openssl).args(words), PATIENCE).stdout
    };
    // Each key with the digest that goes with it.
    for (name, digest, options) in [
        (
            "p256",
            "-sha256",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        ),
        (
            "p384",
            "-sha384",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ),
        (
            "rsa",
            "-sha256",
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ),
        ("ed25519", "-sha512", &["-algorithm", "ed25519"]),
    ] {
        let (key, csr) = (format!("{name}.pem"), format!("{name}.csr"));
        let words: Vec<&str> = ["genpkey", "-out", &key]
            .iter()
            .chain(options)
            .copied()
            .collect();
        run(&words);
        run(&[
            "req",
            "-new",
            digest,
            "-key",
            &key,
            "-subj",
            "/CN=ignored",
            "-out",
            &csr,
        ]);
        let public = run(&["pkey", "-in", &key, "-pubout"]);
        for source in [["--key", &*key], ["--csr", &*csr]] {
            dev.cert(&["--token", &token, source[0], source[1], "--out", "cert.pem"])
                .run()
                .exits(0);
            assert_eq!(
                run(&["x509", "-in", "cert.pem", "-noout", "-pubkey"]),
                public,
                "{source:?}"
            );
        }
    }
}

#[test]
fn the_result_is_json_too() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    let shown = dev
        .cert(&["--json", "--token", &token, "--new-key", "key.pem"])
        .run()
        .exits(0);
    assert_eq!(shown.stderr, "", "no talk beside JSON");
    let shown = shown.json();
    assert_eq!(shown["chain"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown["identity"], WORKFLOW);
    assert_eq!(shown["key_file"], "key.pem");
    assert_eq!(shown["serial"].as_str().map(str::len), Some(38));
}

#[test]
fn nothing_is_overwritten_and_no_key_is_left_without_a_certificate() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    dev.place.write("key.pem", "mine");
    dev.cert(&["--token", &token, "--new-key", "key.pem"])
        .run()
        .exits(2)
        .says("not overwritten");
    assert_eq!(dev.place.read("key.pem"), "mine");

    let past = r#"{"iat":1767225600,"nbf":1767225600,"exp":1767225900}"#;
    let expired = dev.token(&["--claims", past, "--over-defaults"]);
    let error = dev
        .cert(&["--json", "--token", &expired, "--new-key", "new.pem"])
        .run()
        .exits(4)
        .error();
    assert_eq!(error["code"], "TOKEN_EXPIRED");
    assert_eq!(error["doc"], "docs/errors.md");
    assert!(
        error["hint"].as_str().unwrap().contains("fresh token"),
        "{error}"
    );
    assert!(!dev.place.path("new.pem").exists());
    // The same command, a good token.
    dev.cert(&["--token", &token, "--new-key", "new.pem"])
        .run()
        .exits(0);
}

#[test]
fn a_key_whose_certificate_may_be_on_the_way_is_kept() {
    let place = Place::new();
    // Fails after it may have issued, as a server behind a proxy does.
    let broken = TokenService::start(vec![(503, "{}".to_owned())]);
    let server = broken.url().replace("/token?api-version=2.0", "");
    let words = [
        "cert",
        "--server",
        &server,
        "--token",
        "-",
        "--new-key",
        "key.pem",
    ];
    place
        .call(&words)
        .stdin(NO_TOKEN)
        .run()
        .exits(5)
        .says("again with --key key.pem");
    assert!(place.path("key.pem").is_file());
    assert!(broken.asked().len() > 1, "tried again by itself");
}

#[test]
fn a_wait_that_the_server_asks_for_is_told_once() {
    let place = Place::new();
    let body = r#"{"message":"m","details":[{"reason":"RATE_LIMITED"}]}"#;
    let answers = vec![(429, body.to_owned()), (400, "{}".to_owned())];
    for (more, told) in [(&[][..], 1), (&["--quiet"], 0), (&["--json"], 0)] {
        let server = TokenService::start(answers.clone());
        let url = server.url().replace("/token?api-version=2.0", "");
        let words = ["cert", "--server", &url, "--token", "-", "--new-key", "k"];
        let call = place.call(&[&words[..], more].concat());
        let ended = call.stdin(NO_TOKEN).run().exits(2);
        let line = "wait       1 s, then again: the server said 429 RATE_LIMITED\n";
        assert_eq!(ended.stderr.matches(line).count(), told, "{ended}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn what_is_no_token_does_not_leave_this_machine() {
    let place = Place::new();
    let server = TokenService::start(vec![(400, "{}".to_owned())]);
    let url = server.url().replace("/token?api-version=2.0", "");
    let words = ["--json", "cert", "--server", &url, "--new-key", "key.pem"];
    let call = |token: &str| {
        place.write("file", token);
        place.call(&[&words[..], &["--token", "file"]].concat())
    };
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let long = format!("e30.e30.{}", "A".repeat(16 * 1024));
    for (text, code, message) in [
        (pem, "TOKEN_MALFORMED", "file is a PEM file, not a token"),
        ("garbage", "TOKEN_MALFORMED", "not three parts"),
        ("a.b.c.d", "TOKEN_MALFORMED", "not three parts"),
        ("e30.e3 .AAAA", "TOKEN_MALFORMED", "not base64url"),
        ("e30..AAAA", "TOKEN_MALFORMED", "not base64url"),
        (&long, "TOKEN_MALFORMED", "16384"),
        (" \n", "TOKEN_MISSING", "file is empty"),
    ] {
        let error = call(text).run().exits(4).error();
        assert_eq!(error["code"], code, "{error}");
        let told = error["message"].as_str().unwrap();
        assert!(told.contains(message), "{told}");
        assert!(error["hint"].is_string(), "{error}");
    }
    let ambient = place.call(&words).env("SIGSTORE_ID_TOKEN", "garbage").run();
    let error = ambient.exits(4).error();
    let told = error["message"].as_str().unwrap();
    assert!(
        told.contains("SIGSTORE_ID_TOKEN is not three parts"),
        "{told}"
    );
    assert_eq!(server.asked().len(), 0, "nothing was sent");

    call(NO_TOKEN).run().exits(2);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_log_that_is_away_is_a_reason_to_try_again_later() {
    let place = Place::new();
    for (status, reason, exit) in [(503, "CT_LOG_UNAVAILABLE", 5), (500, "CT_LOG_REJECTED", 24)] {
        let body = format!(r#"{{"message":"m","details":[{{"reason":"{reason}"}}]}}"#);
        let server = TokenService::start(vec![(status, body)]);
        let url = server.url().replace("/token?api-version=2.0", "");
        place.write("token", NO_TOKEN);
        place
            .run(&[
                "cert",
                "--server",
                &url,
                "--token",
                "token",
                "--new-key",
                "key.pem",
            ])
            .exits(exit)
            .says("in 1 s, again with --key key.pem");
        fs::remove_file(place.path("key.pem")).unwrap();
    }
}

#[test]
fn strict_sells_one_certificate_a_token_and_the_same_key_gets_it_again() {
    let dev = Dev::start(&["--strict"]);
    // As the README has it: no audience is asked for.
    let token = dev.token(&[]);
    dev.cert(&[
        "--token",
        &token,
        "--new-key",
        "key.pem",
        "--out",
        "first.pem",
    ])
    .run()
    .exits(0);
    dev.cert(&["--token", &token, "--key", "key.pem", "--out", "again.pem"])
        .run()
        .exits(0);
    assert_eq!(dev.place.read("first.pem"), dev.place.read("again.pem"));
    let error = dev
        .cert(&["--json", "--token", &token, "--new-key", "other.pem"])
        .run()
        .exits(4)
        .error();
    assert_eq!(error["code"], "TOKEN_REPLAYED");

    let shared = dev.token(&["--audience", "sigstore"]);
    let error = dev
        .cert(&["--json", "--token", &shared, "--new-key", "other.pem"])
        .run()
        .exits(4)
        .error();
    assert_eq!(error["code"], "TOKEN_AUDIENCE_MISMATCH");
}

#[test]
fn a_certificate_that_could_not_be_written_is_not_asked_for() {
    let place = Place::new();
    let server = TokenService::start(vec![(400, "{}".to_owned())]);
    let url = server.url().replace("/token?api-version=2.0", "");
    place.write("token", NO_TOKEN);
    place.write("old.pem", "old");
    let cert = |out: &str| {
        let key = [
            "cert",
            "--server",
            &url,
            "--token",
            "token",
            "--new-key",
            "key.pem",
        ];
        place.run(&[&key[..], &["--out", out]].concat())
    };
    // A folder that is not there, one that takes nothing, a folder in the file's place.
    for out in ["no/such/folder/cert.pem", "/proc/cert.pem", "tmp"] {
        cert(out).exits(2).says(&format!("cannot write {out}"));
        assert!(!place.path("key.pem").exists());
    }
    assert_eq!(server.asked().len(), 0, "no token was spent");
    for out in ["new.pem", "old.pem"] {
        cert(out).exits(2);
    }
    assert_eq!(server.asked().len(), 2);
    assert_eq!(place.read("old.pem"), "old", "tried and not touched");
    assert!(!place.path("new.pem").exists());
}

#[test]
fn a_key_that_cannot_be_used_is_told_what_it_is() {
    let place = Place::new();
    let Some(openssl) = parts::require_or_skip("openssl") else {
        return;
    };
    let run = |words: &[&str]| {
        parts::run("openssl", place.command(&openssl).args(words), PATIENCE).stdout
    };
    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    run(&[&["genpkey", "-out", "good.pem"][..], &curve].concat());
    let pass = "pass:correct-horse-battery";
    run(&[
        "pkcs8",
        "-topk8",
        "-in",
        "good.pem",
        "-passout",
        pass,
        "-out",
        "closed.pem",
    ]);
    run(&[
        "ec",
        "-in",
        "good.pem",
        "-aes128",
        "-passout",
        pass,
        "-out",
        "old-closed.pem",
    ]);
    run(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-out",
        "two.pem",
    ]);
    run(&["pkey", "-in", "good.pem", "-pubout", "-out", "public.pem"]);
    let good = place.read("good.pem");
    place.write("damaged.pem", &good.replacen("MIGH", "MIGX", 1));
    place.write("text.pem", "garbage");
    let cert = |key: &str| {
        let server = ["cert", "--server", "http://127.0.0.1:1", "--token", "-"];
        place
            .call(&[&server[..], &["--key", key]].concat())
            .stdin(NO_TOKEN)
            .run()
    };
    for (key, told, advised) in [
        (
            "closed.pem",
            "it is encrypted",
            "openssl pkey -in closed.pem",
        ),
        (
            "old-closed.pem",
            "it is encrypted",
            "openssl pkey -in old-closed.pem",
        ),
        (
            "two.pem",
            "another block stands before the key",
            "openssl pkey -in two.pem",
        ),
        ("public.pem", "it is a public key", "--csr"),
        (
            "damaged.pem",
            "it is damaged",
            "openssl pkey -in damaged.pem",
        ),
        ("text.pem", "it holds no private key", "--new-key"),
    ] {
        let told = format!("FAIL 2  cannot use the key in {key}: {told}");
        cert(key)
            .exits(2)
            .says(&told)
            .says(&format!("try: {advised}").replace("try: --csr", "--csr"));
    }
    // Nobody listens there.
    cert("good.pem").exits(5);
}

#[test]
fn each_refusal_has_its_exit() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    dev.place.write("garbage", "garbage");
    dev.place.write("large", &"x".repeat(65 * 1024));
    let elsewhere = [
        "--json",
        "cert",
        "--server",
        "http://127.0.0.1:1",
        "--token",
        &token,
        "--new-key",
        "k.pem",
    ];
    assert_eq!(
        dev.place.run(&elsewhere).exits(5).error()["code"],
        "NETWORK"
    );
    for (words, exit, code) in [
        (
            ["--token", "garbage", "--new-key", "k.pem"],
            4,
            "TOKEN_MALFORMED",
        ),
        (["--token", "large", "--new-key", "k.pem"], 2, "USAGE"),
        (["--token", "absent", "--new-key", "k.pem"], 2, "USAGE"),
        (["--token", &token, "--key", "garbage"], 2, "USAGE"),
        (["--token", &token, "--csr", "garbage"], 2, "CSR_MALFORMED"),
        (
            ["--token", &token, "--new-key", "no/such/folder/k.pem"],
            2,
            "USAGE",
        ),
    ] {
        let words: Vec<&str> = ["--json"].iter().chain(&words).copied().collect();
        let error = dev.cert(&words).run().exits(exit).error();
        assert_eq!(error["code"], code, "{words:?}: {error}");
        assert!(error["hint"].is_string(), "{words:?}: {error}");
        assert!(!dev.place.path("k.pem").exists(), "{words:?}");
    }
}

#[test]
fn inspect_names_every_extension() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    dev.cert(&[
        "--token",
        &token,
        "--new-key",
        "key.pem",
        "--out",
        "cert.pem",
    ])
    .run()
    .exits(0);
    let shown = dev.place.run(&["inspect", "cert.pem"]).exits(0).stdout;
    let leaf = shown.split("\n\n").next().unwrap();
    for part in [
        "subject                                     (empty)",
        &format!("URI:{WORKFLOW}"),
        "digitalSignature",
        "codeSigning",
        "Source Repository URI",
        "https://github.com/acme/app",
        "P-256",
    ] {
        assert!(leaf.contains(part), "{part}\n{leaf}");
    }
    assert!(
        leaf.contains("log ") && leaf.contains(" at 20"),
        "its SCT\n{leaf}"
    );

    let piped = dev.place.call(&["inspect", "-"]);
    let piped = piped.stdin(&dev.place.read("cert.pem")).run().exits(0);
    assert_eq!(piped.stdout, shown);
    let empty = dev.place.call(&["inspect", "-"]).run();
    empty.exits(13);

    let json = dev
        .place
        .run(&["--json", "inspect", "cert.pem"])
        .exits(0)
        .json();
    let certificates = json["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 3);
    let extensions = certificates[0]["extensions"].as_array().unwrap();
    let nameless: Vec<_> = extensions.iter().filter(|e| e["name"].is_null()).collect();
    assert!(nameless.is_empty(), "{nameless:?}");
    let fulcio = extensions.iter().filter(|e| {
        e["oid"]
            .as_str()
            .unwrap()
            .starts_with("1.3.6.1.4.1.57264.1.")
    });
    assert!(fulcio.clone().count() >= 22, "{extensions:?}");
    // For programs: the claim and nothing beside it.
    for extension in fulcio {
        let value = extension["value"][0].as_str().unwrap();
        assert!(!value.starts_with('.') && !value.is_empty(), "{value}");
    }
}
