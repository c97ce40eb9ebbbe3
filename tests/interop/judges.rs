//! Second opinions on what we issue: pkilint and openssl, over every key, identity and CA curve.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::answer::ask;
use crate::fulcio::Ca;
use crate::issuer::{Identity, Served, wall_clock};
use crate::parts;
use crate::serve::{Log, Serve};
use crate::subject::{Kind, Subject};

const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// The files of one CA's certificates.
struct Issued {
    issuing: PathBuf,
    root: PathBuf,
    leaves: Vec<PathBuf>,
}

/// `count` certificates below a CA on `curve`, every key with every identity in turn.
fn issue(folder: &Path, curve: &str, count: usize) -> Issued {
    let served = Served::start(&Identity::PATHS);
    let ca = Ca::make(folder, curve);
    let serve = Serve::start(&ca, folder, served.urls(), &Log::Memory);
    let subjects = Kind::ALL.map(Subject::generate);
    let pairs = subjects
        .iter()
        .flat_map(|subject| Identity::ALL.map(|identity| (subject, identity)));
    let mut issued = Issued {
        issuing: folder.join("issuing.der"),
        root: folder.join("root.pem"),
        leaves: Vec::new(),
    };
    for (number, (subject, identity)) in pairs.cycle().take(count).enumerate() {
        let token = served
            .issuer(identity.issuer())
            .token(identity.claims(), wall_clock());
        let answer = ask(serve.url(), &token, subject, &identity.challenge());
        let file = folder.join(format!("{number}-{:?}-{identity:?}.der", subject.kind()));
        fs::write(&file, answer.leaf()).expect("the scratch folder is writable");
        fs::write(&issued.issuing, &answer.chain[1]).expect("the scratch folder is writable");
        issued.leaves.push(file);
    }
    issued
}

fn pkilint(python: &Path, issuer: &Path, leaves: &[PathBuf]) -> parts::Finished {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python/lint.py");
    parts::Running::start(
        "pkilint",
        Command::new(python).arg(script).arg(issuer).args(leaves),
    )
    .finish(PATIENCE)
}

#[test]
fn pkilint_finds_nothing_and_openssl_accepts_every_chain() {
    let Some(python) = parts::require_or_skip("venv/bin/python") else {
        return;
    };
    // Half of them below each curve.
    let count = parts::rounds("pkilint", 60, 1000) / 2;
    for curve in ["P-384", "P-256"] {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let issued = issue(folder.path(), curve, count);

        let linted = pkilint(&python, &issued.issuing, &issued.leaves);
        assert_eq!(
            linted.stdout,
            format!("linted {count}\n"),
            "{}",
            linted.stderr
        );

        let verified = parts::run(
            "openssl verify",
            Command::new("openssl")
                .args(["verify", "-x509_strict", "-purpose", "any", "-CAfile"])
                .arg(&issued.root)
                .arg("-untrusted")
                .arg(&issued.issuing)
                .args(&issued.leaves),
            PATIENCE,
        );
        assert_eq!(verified.stdout.matches(": OK\n").count(), count);
    }
}

/// The judge must be able to say no.
#[test]
fn pkilint_objects_to_a_leaf_of_another_ca() {
    let Some(python) = parts::require_or_skip("venv/bin/python") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let der = |name: &str| {
        let folder = folder.path().join(name);
        fs::create_dir(&folder).expect("the scratch folder is writable");
        let _ca = Ca::make(&folder, "P-256");
        let pem = fs::read_to_string(folder.join("issuing.pem")).expect("just made");
        let file = folder.join("issuing.der");
        fs::write(&file, crate::answer::certificate(&pem)).expect("the scratch folder is writable");
        file
    };
    let (one, another) = (der("one"), der("another"));
    let linted = pkilint(&python, &one, &[another]);
    assert_eq!(linted.status.code(), Some(1), "{}", linted.stderr);
    assert!(linted.stdout.contains("ERROR"), "{}", linted.stdout);
}
