//! Help, completion, and command lines that are wrong.

use std::fs;

use shortleaf::cli::exit::Exit;

use crate::parts;
use crate::program::Place;

/// The rows of the tables in docs/cli.md whose header begins like this.
fn documented(header: &str) -> Vec<Vec<String>> {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    let docs = fs::read_to_string(docs).unwrap();
    let rows: Vec<Vec<String>> = docs
        .lines()
        .skip_while(|line| !line.starts_with(header))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
        .collect();
    assert!(!rows.is_empty(), "no table {header:?} in docs/cli.md");
    rows
}

#[test]
fn the_exit_codes_of_the_documentation_are_those_the_program_prints() {
    let printed = Place::new().run(&["help", "exit-codes"]).exits(0).stdout;
    let rows = documented("| exit | word |");
    let expected: String = rows
        .iter()
        .map(|row| format!("{:<3}  {:<17}  {}\n", row[0], row[1], row[2]))
        .collect();
    assert_eq!(printed, expected);
    let words: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
    let known: Vec<&str> = Exit::ALL.iter().map(|exit| exit.word()).collect();
    assert_eq!(words, known);
}

#[test]
fn every_command_is_in_the_documentation() {
    let help = Place::new().run(&["--help"]).exits(0).stdout;
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap());
    let documented: Vec<String> = documented("| command | does |")
        .iter()
        .flat_map(|row| row[0].split([' ', ',']).map(str::to_owned))
        .collect();
    let mut seen = 0;
    for command in commands {
        assert!(documented.iter().any(|word| word == command), "{command}");
        seen += 1;
    }
    assert!(seen > 8, "{help}");
}

#[test]
fn every_variable_is_listed_and_no_secret_is_shown() {
    let place = Place::new();
    let shown = place
        .call(&["help", "environment"])
        .env("SHORTLEAF_CA_PASSPHRASE", crate::program::PASSPHRASE)
        .env("SHORTLEAF_SERVER_LISTEN", "127.0.0.1:1")
        .run()
        .exits(0)
        .stdout;
    for setting in shortleaf::config::schema::SETTINGS {
        let variable = shortleaf::config::schema::variable(setting.key);
        assert!(shown.contains(&variable), "{variable}");
    }
    // However wide the first column is.
    let words: Vec<&str> = shown.split_ascii_whitespace().collect();
    let shown = words.join(" ");
    for row in [
        "SHORTLEAF_CA_PASSPHRASE setting ca.passphrase = (hidden)",
        "SHORTLEAF_SERVER_LISTEN setting server.listen = \"127.0.0.1:1\"",
        "SIGSTORE_ID_TOKEN ",
        "ACTIONS_ID_TOKEN_REQUEST_URL ",
    ] {
        assert!(shown.contains(row), "{row}\n{shown}");
    }
}

#[test]
fn every_file_is_listed() {
    let shown = Place::new().run(&["help", "files"]).exits(0).stdout;
    for file in [
        "./shortleaf.toml",
        "$XDG_CONFIG_HOME/shortleaf/config.toml",
        "/etc/shortleaf/config.toml",
        "<state.dir>/issuance.redb",
        "<state.dir>/issuance.journal",
        "<state.dir>/audit.log",
        "/var/run/sigstore/cosign/oidc-token",
    ] {
        assert!(shown.contains(file), "{file}");
    }
}

#[test]
fn the_help_of_a_command_is_what_its_flag_prints() {
    let place = Place::new();
    for command in [&["cert"][..], &["rules", "explain"], &["dev", "token"]] {
        let asked = place.run(&[&["help"][..], command].concat()).exits(0);
        let flag = place.run(&[command, &["--help"]].concat()).exits(0);
        assert_eq!(asked.stdout, flag.stdout);
    }
    place
        .run(&["help", "rules", "exit-codes"])
        .exits(2)
        .says("there is no command and no topic \"exit-codes\"");
}

#[test]
fn the_tables_are_json_too() {
    let rows = Place::new().run(&["--json", "help", "exit-codes"]).json();
    assert_eq!(rows["rows"][0], serde_json::json!(["0", "OK", "ok"]));
}

#[test]
fn there_is_a_completion_script_for_each_shell() {
    let place = Place::new();
    for (shell, part) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef shortleaf"),
        ("fish", "complete -c shortleaf"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = place.run(&["completion", shell]).exits(0).stdout;
        assert!(script.contains(part), "{shell}");
        if shell == "bash" {
            let file = place.write("completion.bash", &script);
            parts::run(
                "bash -n",
                place.command("bash").arg("-n").arg(file),
                crate::program::PATIENCE,
            );
        }
    }
}

#[test]
fn the_version_is_the_packages() {
    let shown = Place::new().run(&["--version"]).exits(0).stdout;
    assert_eq!(shown, format!("shortleaf {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_exits_2_and_names_what_is_wrong() {
    let place = Place::new();
    for (words, named) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["dev", "--strikt"], "--strict"),
        (&["serv"], "serve"),
        (&[], "Usage:"),
        (&["cert", "--token", "x"], "--server"),
        (&["cert", "--server", "ca.example"], "https://HOST"),
        (&["cert", "--server", "ftp://ca.example"], "https://HOST"),
        (&["cert", "--server", "https://ca.example"], "--new-key"),
        (&["dev", "--listen", "0.0.0.0:0"], "loopback"),
        (&["dev", "--issuer", "gitlab=https://x"], "github-workflow"),
        (
            &["dev", "--issuer", "uri=https://x.example"],
            "subject_domain",
        ),
        (&["completion", "tcsh"], "tcsh"),
        (&["help", "exitcodes"], "exit-codes"),
    ] {
        place.run(words).exits(2).says(named);
        let words: Vec<&str> = ["--json"].iter().chain(words).copied().collect();
        let error = place.run(&words).exits(2).error();
        assert_eq!(
            (&error["code"], &error["exit"]),
            (&"USAGE".into(), &2.into())
        );
        assert!(error["hint"].is_string(), "{error}");
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()));
    }
}

#[test]
fn colour_is_for_those_who_ask_for_it() {
    let place = Place::new();
    let failing = ["inspect", "nothing-here"];
    let plain = place.run(&failing).exits(2).stderr;
    assert!(plain.starts_with("FAIL 2  "), "{plain}");
    let forced = place.call(&failing).env("CLICOLOR_FORCE", "1").run();
    assert!(forced.stderr.starts_with("\x1b[31mFAIL\x1b[0m"), "{forced}");
}

#[test]
fn a_broken_chain_and_a_disk_that_gives_nothing_are_told_apart() {
    let place = Place::new();
    place.write("text", "no audit line\n");
    let code = |words: &[&str], exit| place.run(words).exits(exit).error()["code"].clone();
    assert_eq!(
        code(&["--json", "audit", "verify", "text"], 1),
        "AUDIT_BROKEN"
    );
    // A folder opens, and cannot be read.
    assert_eq!(code(&["--json", "audit", "verify", "tmp"], 2), "USAGE");
    place.write("empty", "");
    place.run(&["audit", "verify", "empty"]).exits(0);
}

#[test]
fn every_refusal_ends_with_what_to_try() {
    let place = Place::new();
    place.write("text", "no certificate\n");
    place.write("empty", "\n");
    fs::write(place.path("octets"), [0xff]).unwrap();
    for (words, exit) in [
        (&["inspect", "nothing-here"][..], 2),
        (&["inspect", "text"], 13),
        (&["audit", "verify", "nothing-here"], 2),
        (&["audit", "verify", "text"], 1),
        (&["audit", "verify", "tmp"], 2),
        (&["config", "check"], 3),
        (&["config", "check", "--config", "nothing-here"], 3),
        (&["config", "check", "--set", "server.listen"], 2),
        (&["ca", "init", "--out", "ca", "--name", "Example"], 2),
        (
            &[
                "ca",
                "init",
                "--out",
                "ca",
                "--name",
                "",
                "--insecure-unencrypted",
            ],
            2,
        ),
        (
            &[
                "ca",
                "init",
                "--out",
                "ca",
                "--name",
                "E",
                "--passphrase-file",
                "empty",
            ],
            2,
        ),
        (&["serve"], 3),
        (&["trust", "export"], 3),
        (&["dev", "token"], 2),
        (&["dev", "token", "--issuer-url", "http://127.0.0.1:1"], 5),
        (
            &[
                "dev",
                "token",
                "--issuer-url",
                "http://127.0.0.1:1",
                "--claims",
                "nothing-here",
            ],
            2,
        ),
        (&["dev", "--state", "text/state"], 2),
        (&["dev", "--fulcio-config", "text"], 3),
        (&["dev", "--fulcio-config", "octets"], 2),
        (&["rules", "check", "octets"], 2),
        (
            &[
                "identity",
                "render",
                "--preset",
                "github",
                "--claims",
                r#"{"iss":"https://token.actions.githubusercontent.com","sub":"x"}"#,
            ],
            4,
        ),
        (&["dev", "--out", "text/out"], 2),
        (&["dev", "--issuer", "email=https://user@x.example"], 2),
    ] {
        let ended = place.run(words).exits(exit);
        let last = ended.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("try: "), "{words:?}\n{ended}");
        assert!(!place.path("ca").exists(), "{words:?}");
    }
}
