//! The clients people have, unmodified, each getting a certificate from `shortleaf dev`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use x509_parser::prelude::*;

use crate::answer::{certificate, dissect};
use crate::parts::{self, Running};

/// Of the SCT list (RFC 6962 §3.3).
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";

/// A development instance, up and ready.
struct Dev {
    _running: Running,
    url: String,
    out: tempfile::TempDir,
}

impl Dev {
    /// `shortleaf dev` on a free port.
    fn start() -> Self {
        let out = tempfile::tempdir().expect("a scratch folder");
        let mut running = Running::start(
            "shortleaf dev",
            Command::new(env!("CARGO_BIN_EXE_shortleaf"))
                .args(["dev", "--listen", "127.0.0.1:0", "--out"])
                .arg(out.path()),
        );
        let url = running.wait_for_line("READY ", parts::PATIENCE);
        Self {
            _running: running,
            url,
            out,
        }
    }

    /// A variable of `env.sh`, as a shell reads it.
    fn variable(&self, name: &str) -> String {
        let script = format!(". \"$1\"; printf %s \"${name}\"");
        let finished = parts::run(
            "sh",
            Command::new("sh")
                .args(["-euc", &script, "sh"])
                .arg(self.out.path().join("env.sh")),
            parts::PATIENCE,
        );
        finished.stdout
    }

    /// A token in a file, from `dev token`, with the claims the persona has by default.
    fn token(&self, persona: &str) -> PathBuf {
        let issuer = self.variable("OIDC_ISSUER") + persona;
        let finished = parts::run(
            "shortleaf dev token",
            Command::new(env!("CARGO_BIN_EXE_shortleaf")).args([
                "dev",
                "token",
                "--issuer-url",
                &issuer,
            ]),
            parts::PATIENCE,
        );
        let file = self
            .out
            .path()
            .join(format!("token{}", persona.replace('/', "-")));
        fs::write(&file, finished.stdout.trim()).expect("the scratch folder is writable");
        file
    }

    /// Runs a client with URL, token file and trusted root; its standard output is the leaf.
    fn leaf(&self, name: &str, command: &mut Command, token: &Path) -> Vec<u8> {
        let trusted_root = self.out.path().join("trusted_root.json");
        let command = command.arg(&self.url).arg(token).arg(trusted_root);
        let finished = parts::run(name, command, parts::PATIENCE);
        certificate(&finished.stdout)
    }
}

/// What every client's certificate must say: one name, and an SCT at the end.
fn assert_names(leaf: &[u8], san: &GeneralName<'_>) {
    let (_, parsed) = X509Certificate::from_der(leaf).expect("a certificate");
    let names = parsed
        .subject_alternative_name()
        .expect("a readable SAN")
        .expect("a SAN");
    assert!(names.critical, "an empty subject needs a critical SAN");
    assert_eq!(names.value.general_names, std::slice::from_ref(san));
    let last = dissect(leaf);
    let extensions: Vec<&str> = last
        .iter()
        .map(|(part, _)| part.as_str())
        .filter(|part| part.contains('.'))
        .collect();
    assert_eq!(extensions.last(), Some(&SCT_LIST));
}

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const PERSON: &str = "dev@shortleaf.example";

#[test]
fn sigstore_python_gets_a_certificate_and_accepts_its_sct() {
    let Some(python) = parts::require_or_skip("venv/bin/python") else {
        return;
    };
    let dev = Dev::start();
    let token = dev.token("");
    let leaf = dev.leaf(
        "sigstore-python",
        Command::new(&python).arg(script("python/get_certificate.py")),
        &token,
    );
    assert_names(&leaf, &GeneralName::URI(WORKFLOW));
}

#[test]
fn sigstore_js_gets_a_certificate_and_accepts_its_chain_and_sct() {
    let Some(packages) = parts::require_or_skip("node/node_modules/@sigstore/sign") else {
        return;
    };
    let dev = Dev::start();
    for (persona, san) in [
        ("", GeneralName::URI(WORKFLOW)),
        ("/email", GeneralName::RFC822Name(PERSON)),
    ] {
        let token = dev.token(persona);
        let leaf = dev.leaf(
            "@sigstore/sign",
            Command::new("node")
                .env("NODE_PATH", packages.join("../.."))
                .arg(script("node/get-certificate.cjs")),
            &token,
        );
        assert_names(&leaf, &san);
    }
}

#[test]
fn the_crate_sigstore_fulcio_gets_a_certificate() {
    let Some(client) = parts::require_or_skip("shortleaf-rust-client") else {
        return;
    };
    let dev = Dev::start();
    for (persona, san) in [
        ("", GeneralName::URI(WORKFLOW)),
        ("/email", GeneralName::RFC822Name(PERSON)),
    ] {
        let token = dev.token(persona);
        let leaf = dev.leaf("sigstore-fulcio", &mut Command::new(&client), &token);
        assert_names(&leaf, &san);
    }
}

pub(crate) fn script(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/interop")
        .join(path)
}
