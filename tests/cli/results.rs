//! A result that cannot be written is a failure, whatever else went well.
#![cfg(target_os = "linux")]

use crate::dev::Dev;
use crate::program::Place;

const LOST: &str = "cannot write the result to standard output";

#[test]
fn no_command_calls_a_lost_result_a_success() {
    let dev = Dev::start(&[]);
    dev.certify();
    let issuer = dev.variable("OIDC_ISSUER");
    dev.place.write("audit.log", "");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/shortleaf.toml");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
    for words in [
        &["dev", "token", "--issuer-url", issuer][..],
        &["inspect", "cert.pem"],
        &["--json", "inspect", "cert.pem"],
        &["audit", "verify", "audit.log"],
        &["config", "show", "--config", shipped],
        &["config", "check", "--no-files", "--config", shipped],
        &["issuer", "list", "--config", shipped],
        &["rules", "check", rules],
        &["completion", "bash"],
        &["help"],
        &["help", "exit-codes"],
        &["--help"],
        &["--version"],
    ] {
        dev.place.call(words).run().exits(0);
        dev.place
            .call(words)
            .run_into_a_full_disk()
            .exits(1)
            .says(LOST);
    }
}

#[test]
fn a_lost_certificate_can_be_had_again() {
    let dev = Dev::start(&["--strict"]);
    let token = dev.token(&["--audience", dev.variable("FULCIO_URL")]);
    let again = "the same token and key get the same certificate: again with --key key.pem";
    dev.cert(&["--token", &token, "--new-key", "key.pem"])
        .run_into_a_full_disk()
        .exits(1)
        .says(LOST)
        .says(again);
    dev.cert(&["--json", "--token", &token, "--key", "key.pem"])
        .run_into_a_full_disk()
        .exits(1)
        .says(again);
    dev.cert(&["--token", &token, "--key", "key.pem", "--out", "/dev/full"])
        .run()
        .exits(2)
        .says(again);
    dev.cert(&["--token", &token, "--key", "key.pem"])
        .run()
        .exits(0);
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    let place = Place::new();
    let line = format!(
        "{} completion bash | true; exit ${{PIPESTATUS[0]}}",
        crate::program::SHORTLEAF
    );
    let mut shell = place.command("/bin/bash");
    assert!(shell.args(["-c", &line]).status().unwrap().success());
}
