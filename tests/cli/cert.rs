//! `cert`: a certificate for a token. Where the token and the key come from, and how it ends without
//! one, is beneath.

mod keys;
mod refusals;
mod tokens;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::dev::Dev;
use crate::github::TokenService;
use crate::parts;
use crate::program::{Call, Ended, PATIENCE, Place};

/// Whom the default token of `dev` names.
pub(crate) const WORKFLOW: &str =
    "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// Has the shape of a token and nothing else of it.
const NO_TOKEN: &str = "e30.e30.AAAA";

impl Dev {
    /// `shortleaf cert` at this instance.
    pub(crate) fn cert(&self, more: &[&str]) -> Call {
        let words = ["cert", "--server", self.variable("FULCIO_URL")];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        self.place.call(&words)
    }

    /// A certificate for a new key: `cert.pem` and `key.pem`.
    pub(crate) fn certify(&self) -> Ended {
        let token = self.token(&[]);
        let files = ["--new-key", "key.pem", "--out", "cert.pem"];
        let words = [&["--token", &token][..], &files].concat();
        self.cert(&words).run().exits(0)
    }
}

#[test]
fn a_token_in_a_file_buys_a_certificate_for_a_new_key() {
    let dev = Dev::start(&[]);
    let ended = dev.certify().says(&format!("identity   {WORKFLOW}"));
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
    let url = server.base();
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
