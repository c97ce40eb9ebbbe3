//! `ca init`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::parts;
use crate::program::{PASSPHRASE, PATIENCE, Place};

const PUBLIC: [&str; 3] = ["chain.pem", "root.pem", "log.pub.pem"];
const SECRET: [&str; 3] = ["root.key.pem", "issuing.key.pem", "log.key.pem"];

/// A new CA in the folder `ca`; its passphrase is the first line of the file `passphrase`.
pub(crate) fn init(place: &Place, more: &[&str]) {
    place.write("passphrase", &format!("{PASSPHRASE}\nnot this line\n"));
    let words = [
        "ca",
        "init",
        "--out",
        "ca",
        "--name",
        "Example",
        "--passphrase-file",
        "passphrase",
    ];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    place.run(&words).exits(0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// What openssl says; `None`, loudly, where it is not installed.
fn openssl(place: &Place, words: &[&str]) -> Option<String> {
    let openssl = parts::require_or_skip("openssl")?;
    let ended = parts::run("openssl", place.command(openssl).args(words), PATIENCE);
    Some(ended.stdout)
}

#[test]
fn keys_are_for_their_owner_alone() {
    let place = Place::new();
    init(&place, &[]);
    assert_eq!(mode(&place.path("ca")), 0o700);
    for name in SECRET {
        assert_eq!(mode(&place.path("ca").join(name)), 0o600, "{name}");
        let text = place.read(&format!("ca/{name}"));
        assert!(
            text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
            "{name}"
        );
    }
    for name in PUBLIC {
        assert_eq!(mode(&place.path("ca").join(name)) & 0o600, 0o600, "{name}");
    }
}

#[test]
fn a_folder_with_any_of_the_files_is_left_as_it_is() {
    let place = Place::new();
    init(&place, &[]);
    for name in PUBLIC.iter().chain(&SECRET) {
        let other = Place::new();
        other.write("passphrase", PASSPHRASE);
        other.write(&format!("ca/{name}"), "mine");
        let words = [
            "--json",
            "ca",
            "init",
            "--out",
            "ca",
            "--name",
            "Example",
            "--passphrase-file",
            "passphrase",
        ];
        let error = other.run(&words).exits(2).error();
        assert!(error["message"].as_str().unwrap().contains(name), "{error}");
        assert_eq!(other.read(&format!("ca/{name}")), "mine");
        assert_eq!(fs::read_dir(other.path("ca")).unwrap().count(), 1, "{name}");
    }
}

#[test]
fn openssl_opens_the_keys_with_the_passphrase_and_not_without() {
    let place = Place::new();
    init(&place, &[]);
    let pass = format!("pass:{PASSPHRASE}");
    for (name, curve) in [
        ("root.key.pem", "P-384"),
        ("issuing.key.pem", "P-384"),
        ("log.key.pem", "P-256"),
    ] {
        let file = format!("ca/{name}");
        let words = [
            "pkey",
            "-in",
            &file,
            "-passin",
            &pass,
            "-noout",
            "-text_pub",
        ];
        let Some(text) = openssl(&place, &words) else {
            return;
        };
        assert!(text.contains(curve), "{name}: {text}");
        let wrong = place
            .command("openssl")
            .args(["pkey", "-in", &file, "-passin", "pass:wrong", "-noout"])
            .output();
        assert!(!wrong.unwrap().status.success(), "{name}");
    }
    let public = ["pkey", "-in", "ca/log.key.pem", "-passin", &pass, "-pubout"];
    assert_eq!(openssl(&place, &public), Some(place.read("ca/log.pub.pem")));
}

#[test]
fn openssl_accepts_the_chain() {
    for issuing in ["p384", "p256"] {
        let place = Place::new();
        init(&place, &["--issuing", issuing]);
        let words = [
            "verify",
            "-x509_strict",
            "-CAfile",
            "ca/root.pem",
            "ca/chain.pem",
        ];
        let Some(verdict) = openssl(&place, &words) else {
            return;
        };
        assert_eq!(verdict, "ca/chain.pem: OK\n");
        let chain = place.read("ca/chain.pem");
        assert!(chain.ends_with(&place.read("ca/root.pem")), "root last");
        let text = openssl(&place, &["x509", "-in", "ca/chain.pem", "-noout", "-text"]).unwrap();
        let curve = issuing.to_uppercase().replace('P', "P-");
        for part in [&curve, "O = Example", "pathlen:0", "Code Signing"] {
            let squeezed = text.replace("O=", "O = ");
            assert!(squeezed.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("CRL Distribution"), "{text}");
    }
}

#[test]
fn a_crl_url_stands_in_the_issuing_certificate_and_not_in_the_root() {
    let place = Place::new();
    init(&place, &["--crl-url", "http://ca.example/crl/root.crl"]);
    let shown = place
        .run(&["--json", "inspect", "ca/chain.pem"])
        .exits(0)
        .json();
    let points = |depth: usize| {
        let extensions = shown["certificates"][depth]["extensions"]
            .as_array()
            .unwrap();
        extensions
            .iter()
            .find(|e| e["oid"] == "2.5.29.31")
            .map(|e| e["value"].clone())
    };
    assert_eq!(
        points(0),
        Some(serde_json::json!(["http://ca.example/crl/root.crl"]))
    );
    assert_eq!(points(1), None);
    let https = [
        "ca",
        "init",
        "--out",
        "other",
        "--name",
        "E",
        "--passphrase-file",
        "passphrase",
        "--crl-url",
        "https://ca.example/x",
    ];
    place.run(&https).exits(2).says("https://ca.example/x");
    assert!(!place.path("other").exists());
}

#[test]
fn unencrypted_keys_must_be_asked_for_and_are_warned_of() {
    let place = Place::new();
    let words = ["ca", "init", "--out", "ca", "--name", "Example"];
    place
        .run(&words)
        .exits(2)
        .says("--passphrase-file FILE, or --insecure-unencrypted");
    let words: Vec<&str> = words
        .into_iter()
        .chain(["--insecure-unencrypted"])
        .collect();
    place.run(&words).exits(0).says("warning: ");
    assert!(
        place
            .read("ca/issuing.key.pem")
            .starts_with("-----BEGIN PRIVATE KEY-----")
    );
}

#[test]
fn the_files_are_named_as_json() {
    let place = Place::new();
    let made = place
        .run(&[
            "--json",
            "ca",
            "init",
            "--out",
            "ca",
            "--name",
            "Example",
            "--insecure-unencrypted",
        ])
        .exits(0)
        .json();
    let files: Vec<&str> = made["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f.as_str().unwrap())
        .collect();
    assert_eq!(files.len(), 6);
    for file in files {
        assert!(place.path("ca").join(file).is_file(), "{file}");
    }
}
