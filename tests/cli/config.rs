//! `config check` and `config show`.

use serde_json::Value;

use crate::program::{PASSPHRASE, Place};

/// The least that can be used.
const LEAST: &str = "[[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example/2026\"\nkey = \"log.pub.pem\"\n\
                     [[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n";

#[test]
fn the_shipped_configuration_can_be_used() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/shortleaf.toml");
    let ended = place
        .run(&["config", "check", "--config", shipped])
        .exits(0);
    assert_eq!(ended.stdout, "ok 1 issuer(s), 0 warning(s)\n");
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_warning_is_told_and_is_no_failure() {
    let place = Place::new();
    place.write("shortleaf.toml", LEAST);
    let words = [
        "config",
        "check",
        "--set",
        "server.listen=0.0.0.0:0",
        "--set",
        "server.insecure_plain_http=true",
    ];
    let ended = place.run(&words).exits(0).says("warning: ");
    assert!(ended.stdout.ends_with("1 warning(s)\n"), "{ended}");
    let words: Vec<&str> = ["--json"].into_iter().chain(words).collect();
    let ended = place.run(&words).exits(0);
    assert_eq!(ended.json()["warnings"].as_array().map(Vec::len), Some(1));
    assert!(ended.stderr.starts_with("{\"v\":1,\"warning\":"), "{ended}");
}

#[test]
fn every_value_is_shown_with_its_source() {
    let place = Place::new();
    let with_file = format!(
        "[server]\nlisten = \"127.0.0.1:1\"\nops_listen = \"127.0.0.1:2\"\ndrain = \"1s\"\n{LEAST}"
    );
    place.write("shortleaf.toml", &with_file);
    let shown = place
        .call(&[
            "config",
            "show",
            "--effective",
            "--set",
            "server.listen=127.0.0.1:3",
        ])
        .env("SHORTLEAF_SERVER_LISTEN", "127.0.0.1:9")
        .env("SHORTLEAF_SERVER_OPS_LISTEN", "127.0.0.1:4")
        .env("SHORTLEAF_CA_PASSPHRASE", PASSPHRASE)
        .run()
        .exits(0)
        .stdout;
    for row in [
        "server.listen = \"127.0.0.1:3\"   # flag",
        "server.ops_listen = \"127.0.0.1:4\"   # environment SHORTLEAF_SERVER_OPS_LISTEN",
        "server.drain = \"1s\"   # file shortleaf.toml",
        "ca.lifetime = \"10m\"   # default",
        "ca.passphrase = (hidden)   # environment SHORTLEAF_CA_PASSPHRASE",
        "issuer[0].url = \"https://issuer.example\"   # file shortleaf.toml",
    ] {
        assert!(shown.lines().any(|line| line == row), "{row}\n{shown}");
    }
}

#[test]
fn without_effective_only_what_was_set_is_shown() {
    let place = Place::new();
    place.write(
        "shortleaf.toml",
        &format!("[server]\ndrain = \"1s\"\n{LEAST}"),
    );
    let shown = place.run(&["--json", "config", "show"]).exits(0).json();
    let keys: Vec<&str> = shown["settings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .filter(|key| !key.contains('['))
        .collect();
    assert_eq!(keys, ["server.drain"]);
    assert_eq!(shown["settings"][0]["source"], "file shortleaf.toml");
}

#[test]
fn what_show_prints_is_in_force_for_the_file_an_environment_variable_names() {
    let place = Place::new();
    let file = place.write(
        "elsewhere/x.toml",
        &format!("[server]\ndrain = \"7s\"\n{LEAST}"),
    );
    let shown = place
        .call(&["config", "show"])
        .env("SHORTLEAF_CONFIG", file.to_str().unwrap())
        .run()
        .exits(0)
        .stdout;
    assert!(shown.contains("server.drain = \"7s\""), "{shown}");
    place.write(
        ".config/shortleaf/config.toml",
        &format!("[server]\ndrain = \"8s\"\n{LEAST}"),
    );
    let shown = place.run(&["config", "show"]).exits(0).stdout;
    assert!(shown.contains("server.drain = \"8s\""), "{shown}");
}

#[test]
fn a_slip_exits_3_and_names_the_nearest() {
    let place = Place::new();
    let file = |text: &str| place.write("shortleaf.toml", &format!("{text}\n{LEAST}"));
    // (the file's head, flags, a variable, what the message names)
    type Slip = (
        &'static str,
        &'static [&'static str],
        Option<&'static str>,
        &'static [&'static str],
    );
    let table: [Slip; 6] = [
        (
            "[server]\nlissten = \"x\"",
            &[],
            None,
            &["`server.lissten`", "line 2", "`server.listen`"],
        ),
        (
            "",
            &["--set", "state.dri=x"],
            None,
            &["`state.dri`", "`state.dir`"],
        ),
        (
            "",
            &[],
            Some("SHORTLEAF_STATE_DRI"),
            &["SHORTLEAF_STATE_DIR"],
        ),
        (
            "[server]\nlisten = \"localhost\"",
            &[],
            None,
            &["`server.listen`", "\"localhost\"", "127.0.0.1:8080"],
        ),
        (
            "[server]\nlisten = 8080",
            &[],
            None,
            &["`server.listen`", "8080"],
        ),
        ("[server", &[], None, &["TOML", "line 1"]),
    ];
    for (text, flags, variable, named) in table {
        file(text);
        let words: Vec<&str> = ["--json", "config", "check"]
            .iter()
            .chain(flags)
            .copied()
            .collect();
        let mut call = place.call(&words);
        if let Some(variable) = variable {
            call = call.env(variable, "x");
        }
        let error = call.run().exits(3).error();
        let mut members: Vec<&String> = error.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["code", "doc", "exit", "hint", "message", "v"]);
        assert_eq!(error["code"], "CONFIGURATION");
        assert_eq!(error["exit"], 3);
        assert_eq!(error["doc"], "config/shortleaf.toml");
        for part in named {
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(part), "{part} in {message}");
        }
        file("");
        place.run(&["config", "check"]).exits(0);
    }
}

#[test]
fn a_passphrase_in_the_file_is_refused_and_not_repeated() {
    let place = Place::new();
    place.write(
        "shortleaf.toml",
        &format!("[ca]\npassphrase = \"{PASSPHRASE}\"\n{LEAST}"),
    );
    let error: Value = place.run(&["--json", "config", "check"]).exits(3).error();
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("SHORTLEAF_CA_PASSPHRASE"),
        "{error}"
    );
}
