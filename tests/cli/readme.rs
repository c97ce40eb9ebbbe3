//! Every command of the README, run as it is printed.
//!
//! A ```console block is a terminal: its lines run in one shell, in order. `serve` and `dev` stay up
//! while the later blocks run, and print what stands below them, numbers aside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::ca::init;
use crate::demo::masked;
use crate::issuer::merge;
use crate::parts::{self, Running};
use crate::program::{Beside, PASSPHRASE, PATIENCE, Place, SHORTLEAF, no_secret};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A command, and the lines below it.
#[derive(Debug, Default)]
struct Step {
    command: String,
    prints: Vec<String>,
}

impl Step {
    /// It stays up until interrupted.
    fn is_server(&self) -> bool {
        let word = |at| self.command.split(' ').nth(at);
        word(0) == Some("shortleaf")
            && (word(1) == Some("serve") || (word(1) == Some("dev") && word(2) != Some("token")))
    }
}

fn blocks(readme: &str) -> Vec<Vec<Step>> {
    let mut blocks = Vec::new();
    let mut block: Option<Vec<Step>> = None;
    for line in readme.lines() {
        match (&mut block, line) {
            (None, "```console") => block = Some(Vec::new()),
            (None, _) => {}
            (Some(_), "```") => blocks.extend(block.take()),
            (Some(steps), line) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    ..Step::default()
                }),
                (None, Some(step)) => step.prints.push(line.to_owned()),
                (None, None) => panic!("output before a command: {line}"),
            },
        }
    }
    blocks
}

/// The TOML blocks, in order.
fn tomls(readme: &str) -> Vec<String> {
    let blocks = readme.split("```toml\n").skip(1);
    let text = blocks.map(|block| block.split("```").next().unwrap_or_default());
    text.map(str::to_owned).collect()
}

#[test]
fn ten_lines_let_in_one_organisation_and_nobody_else() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let [rules, _] = &tomls(&readme)[..] else {
        panic!("the README has other blocks")
    };
    assert!(rules.lines().count() <= 10, "{rules}");
    let place = Place::new();
    place.write("rules.toml", rules);
    let sample = Path::new(ROOT).join("testdata/identities/github.json");
    let sample = fs::read_to_string(sample).unwrap();
    let explain = |instead: Value| {
        let mut claims: Value = serde_json::from_str(&sample).unwrap();
        claims["repository_owner_id"] = "123456".into();
        merge(&mut claims, instead);
        let words = ["rules", "explain", "--rules", "rules.toml", "--claims", "-"];
        place.call(&words).stdin(&claims.to_string()).run()
    };
    explain(json!({})).exits(0);
    for other in [
        json!({ "repository_owner_id": "123457" }),
        json!({ "repository_owner_id": null, "repository_owner": "acme" }),
        json!({ "event_name": "pull_request_target" }),
        json!({ "runner_environment": "self-hosted" }),
        json!({ "iss": "https://token.actions.githubusercontent.com/acme" }),
    ] {
        explain(other).exits(25);
    }
}

#[test]
fn five_lines_move_a_fulcio_here() {
    let Some(identities) = parts::require_or_skip("share/fulcio-identity.yaml") else {
        return;
    };
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let [_, moved] = &tomls(&readme)[..] else {
        panic!("the README has other blocks")
    };
    assert!(moved.lines().count() <= 5, "{moved}");
    let place = Place::new();
    init(&place, &[]);
    let mut moved = moved.clone();
    for (theirs, here) in [
        (
            "/etc/fulcio-config/config.yaml",
            identities.to_str().unwrap(),
        ),
        ("/etc/fulcio/ca.pem", "ca/chain.pem"),
        ("/etc/fulcio/ca.key", "ca/issuing.key.pem"),
    ] {
        assert!(moved.contains(theirs), "{theirs}");
        moved = moved.replace(theirs, here);
    }
    let log = "[[ct.log]]\nkind = \"rfc6962\"\nname = \"ctfe\"\nurl = \"https://127.0.0.1:1\"\nkey = \"ca/log.pub.pem\"\n";
    place.write("shortleaf.toml", &(moved + log));
    let check = place.call(&["config", "check"]);
    let ended = check.env("SHORTLEAF_CA_PASSPHRASE", PASSPHRASE).run();
    assert!(
        ended.exits(0).stdout.starts_with("ok 25 issuer(s), "),
        "each issuer of the file"
    );
}

/// What runs in the place of a command that builds or tests this very package.
fn translated(command: &str) -> Option<&str> {
    match command {
        "cargo run --release -- demo" => Some("shortleaf demo > /dev/null"),
        // This is it.
        "cargo test" => None,
        // It is built, and on the path.
        "cargo install --path ." => None,
        other => Some(other),
    }
}

#[test]
fn every_command_of_the_readme_works_as_printed() {
    if parts::require_or_skip("openssl").is_none() {
        return;
    }
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let place = Place::new();
    // What a fresh clone has and the commands name.
    for name in ["first-run.toml", "shortleaf.toml"] {
        let text = fs::read_to_string(Path::new(ROOT).join("config").join(name)).unwrap();
        // Tests do not talk to GitHub.
        let text = text.replace(
            "https://token.actions.githubusercontent.com",
            "https://127.0.0.1:1",
        );
        // A preset knows where its tokens come from.
        let text = text.replace("preset = \"github\"", "type = \"github-workflow\"");
        place.write(&format!("config/{name}"), &text);
    }
    place.write("rules.toml", &tomls(&readme)[0]);
    // What the operator of the log that config/shortleaf.toml names would have given out.
    let another = Place::new();
    init(&another, &[]);
    place.write("example-log.pub.pem", &another.read("ca/log.pub.pem"));
    fs::create_dir(place.path("bin")).unwrap();
    symlink(SHORTLEAF, place.path("bin/shortleaf")).unwrap();

    let mut servers = Vec::new();
    let mut seen = Vec::new();
    for block in blocks(&readme) {
        let mut script = String::from("set -eu\n");
        for step in &block {
            seen.push(step.command.clone());
            let Some(command) = translated(&step.command) else {
                continue;
            };
            if step.is_server() {
                run(&place, &script);
                "set -eu\n".clone_into(&mut script);
                servers.push(start(&place, step));
                continue;
            }
            script.push_str(command);
            script.push('\n');
        }
        run(&place, &script);
    }
    for server in servers {
        server.stop("TERM");
    }
    // The two that must work in a fresh clone, and each command a newcomer meets.
    for command in ["cargo run --release -- demo", "cargo test"] {
        assert!(seen.iter().any(|line| line == command), "{command}");
    }
    for word in [
        "dev",
        "dev token",
        "cert",
        "inspect",
        "ca init",
        "config check",
        "rules check",
        "serve",
        "trust export",
        "audit verify",
    ] {
        let start = format!("shortleaf {word} ");
        assert!(seen.iter().any(|line| line.starts_with(&start)), "{word}");
    }
}

/// A shell of this place, where `shortleaf` is the program under test and ports are free ones.
fn shell(place: &Place, script: &str) -> std::process::Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = place.command("bash");
    command
        .args(["-c", script])
        .env("PATH", format!("{}:{path}", place.path("bin").display()))
        .env("SHORTLEAF_SERVER_LISTEN", "127.0.0.1:0")
        .env("SHORTLEAF_SERVER_OPS_LISTEN", "127.0.0.1:0");
    command
}

fn run(place: &Place, script: &str) {
    let ended = parts::run(script, &mut shell(place, script), PATIENCE);
    no_secret(&ended.stdout);
    no_secret(&ended.stderr);
}

fn start(place: &Place, step: &Step) -> Beside {
    let mut server = Beside(Running::start(
        &step.command,
        &mut shell(place, &format!("exec {}", step.command)),
    ));
    let ready = format!("READY {}\n", server.ready());
    assert_eq!(
        masked(&ready),
        masked(&format!("{}\n", step.prints.join("\n"))),
        "{step:?}"
    );
    server
}
