//! What pkilint says of the certificates our own rules are tested with.
//!
//! Real certificates are put before pkilint and openssl in `tests/interop/judges.rs`. Here the
//! question is the other way round: is a file we call good really good, and which of our rules
//! does nobody else have?

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::fixture::*;
use crate::parts;
use crate::rules::{PAIRS, with};

const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// pkilint verifies the signature too. The fixtures have none, and with a v2 certificate it
/// does not even get that far.
const UNSIGNED: [&str; 2] = [
    "ERROR pkix.signature_verification_failed",
    "FATAL base.unhandled_exception",
];

/// The rules of ours that pkilint has too, and its words for them. Every other rule demands more
/// than RFC 5280 does, or is about extensions pkilint does not know.
const AGREES: &[(&str, &str)] = &[
    ("c01", "pkix.certificate_version_is_not_v3"),
    ("c03", "pkix.certificate_signature_algorithm_mismatch"),
    ("c04", "pkix.issuer_and_subject_dn_not_binary_equal"),
    ("c06", "pkix.san_extension_is_critical_non_empty_subject"),
    ("c09", "pkix.ee_certificate_keycertsign_keyusage_set"),
    ("c12", "pkix.issuer_and_subject_key_identifier_not_equal"),
    ("c16", "pkix.ct_precert_poison_extension_not_critical"),
];

/// Findings at NOTICE and above over `leaves` below the fixtures' CA: file name, severity, code.
fn pkilint(python: &Path, leaves: &[(String, Vec<u8>)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let write = |name: &str, der: &[u8]| {
        let file = folder.path().join(name);
        fs::write(&file, der).expect("the scratch folder is writable");
        file
    };
    let issuer = write("issuer", &Fixture::ca().der());
    let files = leaves.iter().map(|(name, der)| write(name, der));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/python/lint.py");
    let mut command = Command::new(python);
    command.arg(script).arg(&issuer).args(files);
    let judged = parts::Running::start("pkilint", &mut command).finish(PATIENCE);
    // Status 1 is "there were findings"; that it looked at every file is the last line.
    let mut lines: Vec<_> = judged.stdout.lines().map(str::to_owned).collect();
    let last = lines.pop();
    let all = format!("linted {}", leaves.len());
    assert_eq!(last, Some(all), "{}", judged.stderr);
    lines.dedup();
    lines.retain(|line| !UNSIGNED.iter().any(|code| line.contains(code)));
    lines
}

#[test]
fn pkilint_has_nothing_against_the_profile() {
    let Some(python) = parts::require_or_skip("venv/bin/python") else {
        return;
    };
    let mut leaves = Vec::new();
    for (rule, keeps, _) in PAIRS {
        leaves.push((format!("{rule}.pass"), keeps().der()));
    }
    for (n, spki) in every_kind().into_iter().enumerate() {
        let mut leaf = with(Fixture::leaf(), |f| f.key(spki));
        leaves.push((format!("uri-{n}"), leaf.der()));
        leaf.email("dev@example.com");
        leaves.push((format!("email-{n}"), leaf.der()));
    }
    assert_eq!(pkilint(&python, &leaves), Vec::<String>::new());
}

#[test]
fn pkilint_sees_what_it_can_of_what_our_rules_refuse() {
    let Some(python) = parts::require_or_skip("venv/bin/python") else {
        return;
    };
    let leaves: Vec<_> = PAIRS
        .iter()
        // pkilint's decoder stops at c00.fail: an explicit default is no DER.
        .filter(|(rule, ..)| *rule != "c00")
        .map(|(rule, keeps, breaks)| (rule.to_string(), with(keeps(), *breaks).der()))
        .collect();
    let findings = pkilint(&python, &leaves);
    let seen: Vec<_> = findings
        .iter()
        .filter_map(|line| {
            let (rule, rest) = line.split_once(": ")?;
            let (_severity, code) = rest.split_once(' ')?;
            Some((rule, code.split(':').next()?))
        })
        .collect();
    assert_eq!(seen, AGREES);
}
