//! `config check` and `config show`.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::ca::init;
use crate::issuer::Issuer;
use crate::program::{PASSPHRASE, Place};

/// What is said first of a configuration without claim rules.
const OPEN: &str =
    "warning: no identity.rules: everybody that an issuer vouches for gets a certificate\n";

/// The least that can be used.
const LEAST: &str = "[[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example/2026\"\nkey = \"log.pub.pem\"\n\
                     [[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n";

#[test]
fn the_shipped_configuration_can_be_used() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/shortleaf.toml");
    let ended = place
        .run(&["config", "check", "--no-files", "--config", shipped])
        .exits(0);
    assert_eq!(ended.stdout, "ok 1 issuer(s), 1 warning(s)\n");
    assert_eq!(ended.stderr, OPEN);
}

#[test]
fn a_warning_is_told_and_is_no_failure() {
    let place = Place::new();
    place.write("shortleaf.toml", LEAST);
    let words = [
        "config",
        "check",
        "--no-files",
        "--set",
        "server.listen=0.0.0.0:0",
        "--set",
        "server.insecure_plain_http=true",
        "--set",
        "server.public_url=http://ca.example",
    ];
    let ended = place.run(&words).exits(0).says("warning: ");
    assert!(ended.stdout.ends_with("2 warning(s)\n"), "{ended}");
    assert!(ended.stderr.starts_with(OPEN), "{ended}");
    let words: Vec<&str> = ["--json"].into_iter().chain(words).collect();
    let ended = place.run(&words).exits(0);
    assert_eq!(ended.json()["warnings"].as_array().map(Vec::len), Some(2));
    assert_eq!(ended.json()["issuers"], 1);
    assert!(ended.stderr.starts_with("{\"v\":1,\"warning\":"), "{ended}");
}

/// A place where everything that the file names is there and fits; nothing listens anywhere.
fn whole() -> Place {
    let place = Place::new();
    init(&place, &[]);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(place.path("passphrase"), private).unwrap();
    place.write("roots.pem", &place.read("ca/root.pem"));
    let issuer = Issuer::new("https://issuer.example");
    place.write("jwks.json", &issuer.jwks());
    place.write(
        "shortleaf.toml",
        "[ca]\npassphrase_file = \"passphrase\"\n\
         [[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://127.0.0.1:1\"\nkey = \"ca/log.pub.pem\"\nca_file = \"roots.pem\"\n\
         [[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\njwks_file = \"jwks.json\"\n\
         [[issuer]]\nurl = \"https://127.0.0.1:1\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\nca_file = \"roots.pem\"\n",
    );
    place
}

#[test]
fn a_configuration_whose_files_all_fit_passes_and_nothing_is_made() {
    let place = whole();
    let ended = place.run(&["config", "check"]).exits(0);
    assert_eq!(ended.stdout, "ok 2 issuer(s), 1 warning(s)\n");
    assert_eq!(ended.stderr, OPEN);
    assert!(!place.path("state").exists());
}

#[test]
fn issuers_of_fulcios_file_are_counted_and_looked_over_as_ones_own() {
    let place = whole();
    let root = place.read("ca/root.pem").replace('\n', "\\n");
    let file = |more: &str| {
        let issuer = |name: &str, more: &str| {
            format!(
                "  https://{name}.example:\n    issuer-url: https://{name}.example\n    \
                 client-id: sigstore\n    type: email\n{more}"
            )
        };
        let issuers = issuer("one", "") + &issuer("two", more);
        place.write("fulcio.yaml", &format!("oidc-issuers:\n{issuers}"));
        place.run(&[
            "config",
            "check",
            "--set",
            "identity.fulcio_config=fulcio.yaml",
        ])
    };
    let ended = file(&format!("    ca-cert: \"{root}\"\n")).exits(0).says(
        "warning: 2 issuer(s) of identity.fulcio_config accept the shared audience \"sigstore\": \
         a token handed to another Sigstore service works here too\n",
    );
    assert_eq!(ended.stdout, "ok 4 issuer(s), 2 warning(s)\n");
    assert!(ended.stderr.starts_with(OPEN), "{ended}");
    let set = "identity.fulcio_config=fulcio.yaml";
    let ended = place
        .run(&["config", "check", "--no-files", "--set", set])
        .exits(0);
    assert_eq!(
        ended.stdout,
        "ok 2 issuer(s) beside those of fulcio.yaml, 1 warning(s)\n"
    );
    file("    ca-cert: garbage\n")
        .exits(3)
        .says("identity configuration \"fulcio.yaml\", line 6: this issuer's keys cannot be set up: CA file of https://two.example has no readable certificate")
        .says("try: ca_file, and ca-cert in Fulcio's file, want PEM certificates");
}

#[test]
fn an_issuer_of_fulcios_file_that_serve_would_refuse_is_told_with_its_line() {
    let place = whole();
    let issuer = |url: &str| {
        let text = format!(
            "oidc-issuers:\n  {url}:\n    issuer-url: {url}\n    client-id: sigstore\n    type: email\n"
        );
        place.write("fulcio.yaml", &text);
        let set = "identity.fulcio_config=fulcio.yaml";
        place.run(&["config", "check", "--set", set])
    };
    issuer("http://dex-idp:8888/auth")
        .exits(3)
        .says("\"fulcio.yaml\", line 2: this issuer's keys cannot be set up: issuer http://dex-idp:8888/auth is not https")
        .says("try: an issuer's keys are fetched over https; plain http is for this very machine");
    issuer("https://dex-idp:8888/auth").exits(0);
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_setting_and_line() {
    let place = whole();
    let text = place.read("shortleaf.toml")
        + "[[issuer]]\nurl = \"https://a.example\"\ntype = \"email\"\naudiences = [\"x\"]\n";
    let line = text.matches('\n').count() + 1;
    let with = |more: &str| {
        place.write("shortleaf.toml", &format!("{text}{more}"));
        place.run(&["config", "check"])
    };
    let all = with("jwks_file = \"no.json\"\nca_file = \"\"\nbearer_token_file = \"no.jwt\"\n");
    let all = all.exits(3);
    for (more, setting, told) in [
        (0, "jwks_file", "cannot read \"no.json\""),
        (1, "ca_file", "cannot read \"\""),
        (2, "bearer_token_file", "cannot read \"no.jwt\""),
    ] {
        let at = line + more;
        let told = format!("FAIL 3  shortleaf.toml, line {at}: `issuer[2].{setting}`: {told}");
        assert!(all.stderr.contains(&told), "{told}\n{all}");
    }
    with("").exits(0);
}

#[test]
fn both_files_of_the_listener_are_told_if_neither_is_there() {
    let place = whole();
    let settings = [
        "server.tls_chain=tls.pem",
        "server.tls_key=tls.key",
        "server.public_url=https://ca.example",
    ];
    let words = settings.into_iter().flat_map(|set| ["--set", set]);
    let words: Vec<&str> = ["config", "check"].into_iter().chain(words).collect();
    place
        .run(&words)
        .exits(3)
        .says("cannot read \"tls.pem\": No such file")
        .says("cannot read \"tls.key\": No such file");
}

#[test]
fn each_file_that_cannot_be_used_is_told_by_its_name() {
    let another = Place::new();
    init(&another, &[]);
    // (the file, what stands in it instead, what is told)
    let key_for_another = another.read("ca/chain.pem");
    let table: [(&str, Option<&str>, &str); 10] = [
        (
            "ca/chain.pem",
            None,
            "cannot read \"./ca/chain.pem\": No such file",
        ),
        ("ca/chain.pem", Some("x"), "the chain file is not PEM"),
        (
            "ca/chain.pem",
            Some(&key_for_another),
            "the CA key does not belong to the issuing certificate",
        ),
        ("ca/issuing.key.pem", Some("x"), "the key file is not PEM"),
        (
            "passphrase",
            None,
            "cannot read \"passphrase\": No such file",
        ),
        (
            "passphrase",
            Some("wrong"),
            "the passphrase does not open the key file",
        ),
        (
            "ca/log.pub.pem",
            Some("x"),
            "log log: no usable public key in \"ca/log.pub.pem\"",
        ),
        (
            "jwks.json",
            Some("{}"),
            "static key set of https://issuer.example cannot be used",
        ),
        ("roots.pem", None, "cannot read \"roots.pem\": No such file"),
        (
            "roots.pem",
            Some("x"),
            "CA file of https://127.0.0.1:1 has no readable certificate",
        ),
    ];
    let place = whole();
    for (name, instead, told) in table {
        let good = place.read(name);
        match instead {
            Some(text) => place.write(name, text),
            None => {
                std::fs::remove_file(place.path(name)).unwrap();
                place.path(name)
            }
        };
        place
            .run(&["config", "check"])
            .exits(3)
            .says(told)
            .says("FAIL 3  ");
        place.write(name, &good);
        place.run(&["config", "check"]).exits(0);
    }
}

#[test]
fn every_file_that_cannot_be_used_is_told_at_once() {
    let place = whole();
    for name in [
        "ca/chain.pem",
        "ca/issuing.key.pem",
        "ca/log.pub.pem",
        "jwks.json",
    ] {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    place.write("roots.pem", "x");
    let ended = place.run(&["config", "check"]).exits(3);
    let told = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("FAIL 3  "));
    assert_eq!(told.count(), 5, "{ended}");
    let ended = place.run(&["--json", "config", "check"]).exits(3);
    assert_eq!(ended.stdout, "");
    let lines = ended.stderr.lines();
    let told = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    let errors: Vec<Value> = told.filter(|told| told["warning"].is_null()).collect();
    assert!(
        errors.iter().all(|e| e["code"] == "CONFIGURATION"),
        "{errors:?}"
    );
    assert_eq!(errors.len(), 5);
}

#[test]
fn a_key_whose_passphrase_is_not_at_hand_is_left_closed_and_said_so() {
    let place = whole();
    let without = place
        .read("shortleaf.toml")
        .replace("passphrase_file", "# passphrase_file");
    place.write("shortleaf.toml", &without);
    let elsewhere = ["config", "check", "--no-passphrase"];
    place.run(&elsewhere).exits(0).says("is encrypted");
    // As it stands, `serve` would stop.
    let ended = place.run(&["config", "check"]).exits(3);
    ended.says("try: set ca.passphrase_file, or SHORTLEAF_CA_PASSPHRASE");
    place
        .call(&["config", "check"])
        .env("SHORTLEAF_CA_PASSPHRASE", PASSPHRASE)
        .run()
        .exits(0);
    // What can be seen without it is looked at all the same.
    place.write("ca/chain.pem", &place.read("ca/root.pem").repeat(2));
    place
        .run(&elsewhere)
        .exits(3)
        .says("do not make an issuing CA");
    let wrong = place
        .call(&["config", "check"])
        .env("SHORTLEAF_CA_PASSPHRASE", "wrong")
        .run();
    wrong
        .exits(3)
        .says("the passphrase does not open the key file");
}

#[test]
fn a_secret_that_every_user_can_read_is_a_warning() {
    let place = whole();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.path("ca/issuing.key.pem"), open).unwrap();
    let ended = place.run(&["config", "check"]).exits(0);
    assert!(ended.stderr.contains("issuing.key.pem"), "{ended}");
}

#[test]
fn a_state_directory_that_takes_no_files_is_a_problem() {
    let place = whole();
    place.write("file", "");
    let check = |dir: &str| place.run(&["config", "check", "--set", &format!("state.dir={dir}")]);
    // Nothing can be made there, and not even by root.
    for dir in ["/proc/state", "/proc", "file", "file/state"] {
        check(dir)
            .exits(3)
            .says(&format!("FAIL 3  cannot use the state directory {dir:?}: "))
            .says("try: state.dir wants a folder");
    }
    for dir in ["tmp/new/state", "tmp"] {
        check(dir).exits(0);
    }
    assert_eq!(place.left_behind().len(), 0, "it was tried without a trace");
}

#[test]
fn without_files_the_values_alone_are_judged() {
    let place = Place::new();
    place.write("shortleaf.toml", LEAST);
    place.run(&["config", "check"]).exits(3);
    place.run(&["config", "check", "--no-files"]).exits(0);
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
fn what_is_not_set_and_what_a_table_leaves_to_its_defaults_is_shown_too() {
    let place = Place::new();
    place.write("shortleaf.toml", LEAST);
    let shown = place
        .run(&["config", "show", "--effective"])
        .exits(0)
        .stdout;
    for row in [
        "state.retention = (not set)   # default",
        "ca.passphrase = (not set)   # default",
        "ct.log[0].name = \"log\"   # file shortleaf.toml",
        "ct.log[0].host = (not set)   # default",
        "issuer[0].url = \"https://issuer.example\"   # file shortleaf.toml",
        "issuer[0].max_token_age = \"10m\"   # default",
        "issuer[0].max_token_lifetime = \"24h\"   # default",
        "issuer[0].certificates_per_token = 1   # default",
        "issuer[0].jwks_hosts = []   # default",
        "issuer[0].insecure_loopback_http = false   # default",
    ] {
        assert!(shown.lines().any(|line| line == row), "{row}\n{shown}");
    }
    // Without --effective the file's seven lines.
    let set = place.run(&["config", "show"]).exits(0).stdout;
    assert_eq!(set.lines().count(), 7, "{set}");
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
        place.run(&["config", "check", "--no-files"]).exits(0);
    }
}

#[test]
fn an_error_begins_with_the_place_of_the_value() {
    let place = Place::new();
    place.write(
        "x.toml",
        &format!("[server]\ndrain = \"soon\"\n{LEAST}").replace("email", "e-mail"),
    );
    let check = |more: &[&str]| {
        let words = ["config", "check", "--no-files", "--config", "x.toml"];
        place.call(&[&words[..], more].concat())
    };
    let good = ["--set", "server.drain=1s"];
    for (call, told) in [
        (check(&[]), "x.toml, line 2: `server.drain` is \"soon\""),
        (
            check(&["--set", "server.drain=late"]),
            "--set server.drain: `server.drain` is \"late\"",
        ),
        (
            check(&[]).env("SHORTLEAF_SERVER_DRAIN", "late"),
            "SHORTLEAF_SERVER_DRAIN: `server.drain` is \"late\"",
        ),
        (
            check(&good),
            "x.toml, line 10: `issuer[0].type` is \"e-mail\"",
        ),
    ] {
        call.run().exits(3).says(&format!("FAIL 3  {told}"));
    }
    place.write("x.toml", LEAST);
    check(&[]).run().exits(0);
}

#[test]
fn without_a_file_it_says_first_that_there_is_none() {
    let place = Place::new();
    place
        .run(&["config", "check"])
        .exits(3)
        .says("FAIL 3  no configuration file: looked for shortleaf.toml, ")
        .says("/etc/shortleaf/config.toml; without one `ct.log` is missing")
        .says("--config FILE");
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
