//! How `cert` ends without a certificate, and what it waits for before.

use std::fs;

use super::NO_TOKEN;
use crate::dev::Dev;
use crate::github::TokenService;
use crate::program::Place;

#[test]
fn a_wait_that_the_server_asks_for_is_told_once() {
    let place = Place::new();
    let body = r#"{"message":"m","details":[{"reason":"RATE_LIMITED"}]}"#;
    let answers = vec![(429, body.to_owned()), (400, "{}".to_owned())];
    for (more, told) in [(&[][..], 1), (&["--quiet"], 0), (&["--json"], 0)] {
        let server = TokenService::start(answers.clone());
        let url = server.base();
        let words = ["cert", "--server", &url, "--token", "-", "--new-key", "k"];
        let call = place.call(&[&words[..], more].concat());
        let ended = call.stdin(NO_TOKEN).run().exits(2);
        let line = "wait       1 s, then again: the server said 429 RATE_LIMITED\n";
        assert_eq!(ended.stderr.matches(line).count(), told, "{ended}");
        assert_eq!(server.asked().len(), 2);
    }
}

#[test]
fn a_log_that_is_away_is_a_reason_to_try_again_later() {
    let place = Place::new();
    for (status, reason, exit) in [(503, "CT_LOG_UNAVAILABLE", 5), (500, "CT_LOG_REJECTED", 24)] {
        let body = format!(r#"{{"message":"m","details":[{{"reason":"{reason}"}}]}}"#);
        let server = TokenService::start(vec![(status, body)]);
        let url = server.base();
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
