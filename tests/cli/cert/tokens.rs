//! Where `cert` finds a token, and what it takes for one.

use serde_json::json;

use super::NO_TOKEN;
use crate::dev::Dev;
use crate::github::{CREDENTIAL, TokenService};
use crate::issuer::Issuer;
use crate::program::Place;

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
fn what_is_no_token_does_not_leave_this_machine() {
    let place = Place::new();
    let server = TokenService::start(vec![(400, "{}".to_owned())]);
    let url = server.base();
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
fn a_token_on_the_command_line_is_not_repeated() {
    let place = Place::new();
    let token = Issuer::new("https://issuer.example").token(json!({}), 0);
    let server = ["cert", "--server", "http://127.0.0.1:1", "--new-key", "key"];
    // Whatever a command writes is searched for the token.
    for (words, told) in [
        (&["--token", &*token][..], "a token stands where the name"),
        (&[&*token], "a token stands among the arguments"),
        (&["--json", &*token], "a token stands among the arguments"),
    ] {
        let ended = place.run(&[&server[..], words].concat()).exits(2);
        ended.says(told).says("on standard input");
    }
    place
        .run(&[&server[..], &["other"]].concat())
        .exits(2)
        .says("'other'");
}
