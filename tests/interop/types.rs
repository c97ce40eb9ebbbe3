//! Every issuer type and every CI template of the identity configuration that Fulcio ships, with
//! Fulcio and shortleaf reading the same file.
//!
//! The file is the shipped one with its templates untouched and issuers on loopback in place of its
//! own. Both are given the same token and key; what they make of it must be the same bytes, which
//! `testdata/identities/fulcio.txt` holds fast. Then each claim is taken away in turn: what is told
//! of it is in `testdata/identities/fulcio-missing.txt`.
//!
//! To rewrite both after a deliberate change:
//!
//!     SHORTLEAF_REGENERATE=1 cargo test --test interop types

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use shortleaf::identity::IssuerType;
use shortleaf::identity::fulcio::FulcioConfig;

use crate::answer::{ask, dissect, try_ask};
use crate::differences::{FURTHER, STRICTER};
use crate::fulcio::{Ca, Fulcio, configuration, providers};
use crate::issuer::{Served, merge, wall_clock};
use crate::oracle::compare_parts;
use crate::parts::{self, Running};
use crate::serve::Serve;
use crate::subject::{Kind, Subject};

/// An issuer, and somebody it vouches for.
struct Case {
    /// Also the path of its issuer.
    name: &'static str,
    /// Its entry in the file, beside address and audience.
    entry: &'static [&'static str],
    /// Whose stored claims.
    claims: &'static str,
    /// Laid over them, JSON.
    over: &'static str,
}

const fn case(
    name: &'static str,
    entry: &'static [&'static str],
    claims: &'static str,
    over: &'static str,
) -> Case {
    Case {
        name,
        entry,
        claims,
        over,
    }
}

const ADDRESS: &str = "type: email";
const CHAINGUARD: &str = "type: chainguard-identity";
const CI: &str = "type: ci-provider";

#[rustfmt::skip] // an identity to a line
const CASES: &[Case] = &[
    case("email", &[ADDRESS], "email", "{}"),
    case("email-of-a-connector", &[ADDRESS, "issuer-claim: $.federated_claims.connector_id"], "email", "{}"),
    case("email-unverified", &[ADDRESS, "skip-email-verification: true"], "email", r#"{"email_verified":false}"#),
    // The one name that a host on loopback has is its own.
    case("uri", &["type: uri", "subject-domain: http://127.0.0.1"], "google", r#"{"sub":"http://127.0.0.1/people/7?a=b"}"#),
    case("username", &["type: username", "subject-domain: 127.0.0.1"], "google", r#"{"sub":"jane.doe"}"#),
    case("spiffe", &["type: spiffe", "spiffe-trust-domain: example.org"], "spiffe", "{}"),
    case("kubernetes", &["type: kubernetes"], "kubernetes", "{}"),
    case("github-workflow", &["type: github-workflow"], "github", r#"{"environment":null}"#),
    case("github-workflow-environment", &["type: github-workflow"], "github", r#"{"environment":"production"}"#),
    case("gitlab-pipeline", &["type: gitlab-pipeline"], "gitlab", "{}"),
    case("gitlab-pipeline-tag", &["type: gitlab-pipeline"], "gitlab", r#"{"ref_type":"tag","ref":"v1.0"}"#),
    case("buildkite-job", &["type: buildkite-job"], "buildkite", "{}"),
    case("codefresh-workflow", &["type: codefresh-workflow"], "codefresh", "{}"),
    case("chainguard-identity", &[CHAINGUARD], "chainguard", "{}"),
    case("chainguard-identity-email", &[CHAINGUARD], "chainguard", r#"{"email":"jane@example.com","email_verified":true}"#),
    case("ci-github", &[CI, "ci-provider: github-workflow"], "github", r#"{"environment":null}"#),
    case("ci-github-environment", &[CI, "ci-provider: github-workflow"], "github", r#"{"environment":"production"}"#),
    case("ci-gitlab", &[CI, "ci-provider: gitlab-pipeline"], "gitlab", "{}"),
    case("ci-gitlab-tag", &[CI, "ci-provider: gitlab-pipeline"], "gitlab", r#"{"ref_type":"tag","ref":"v1.0"}"#),
    case("ci-buildkite", &[CI, "ci-provider: buildkite-job"], "buildkite", "{}"),
    case("ci-codefresh", &[CI, "ci-provider: codefresh-workflow"], "codefresh", "{}"),
    case("ci-codefresh-elsewhere", &[CI, "ci-provider: codefresh-workflow"], "codefresh", r#"{"platform_url":"https://cf.example.com","scm_repo_url":null}"#),
    case("ci-circleci", &[CI, "ci-provider: circleci-job"], "circleci", "{}"),
    case("ci-circleci-ssh", &[CI, "ci-provider: circleci-job"], "circleci", r#"{"oidc.circleci.com/ssh-rerun":true}"#),
];

/// Without these there is no token at all, or the test writes them.
const OF_EVERY_TOKEN: [&str; 7] = ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"];

impl Case {
    fn claims(&self) -> Value {
        let text = fs::read_to_string(stored(&format!("{}.json", self.claims))).unwrap();
        let mut claims: Value = serde_json::from_str(&text).unwrap();
        // The issuer's, and of now.
        let ours =
            ["iss", "aud", "iat", "nbf", "exp", "jti"].map(|name| (name.into(), json!(null)));
        merge(&mut claims, Value::Object(ours.into_iter().collect()));
        merge(&mut claims, serde_json::from_str(self.over).unwrap());
        claims
    }

    /// What a client of Fulcio's would sign.
    fn challenge(&self, claims: &Value) -> String {
        let of_people = self.entry[0] == ADDRESS || self.entry[0] == CHAINGUARD;
        let email = claims["email"].as_str().filter(|_| of_people);
        email.or(claims["sub"].as_str()).unwrap().to_owned()
    }
}

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/identities")
        .join(name)
}

/// Holds what was seen against the stored file of that name.
fn hold(name: &str, seen: &str) {
    if std::env::var_os("SHORTLEAF_REGENERATE").is_some() {
        fs::write(stored(name), seen).unwrap();
    }
    assert_eq!(seen, fs::read_to_string(stored(name)).unwrap_or_default());
}

/// The issuers of all cases, and the file that names them.
fn issuers(folder: &Path) -> (Served, PathBuf) {
    let paths: Vec<_> = CASES.iter().map(|case| format!("/{}", case.name)).collect();
    let served = Served::start(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let mut entries = String::new();
    for (index, case) in CASES.iter().enumerate() {
        let url = served.issuer(index).url();
        let entry = case.entry.join("\n    ");
        writeln!(
            entries,
            "  {url}:\n    issuer-url: {url}\n    client-id: sigstore\n    {entry}"
        )
        .unwrap();
    }
    let config = folder.join("identity.yaml");
    fs::write(&config, configuration(&entries)).unwrap();
    (served, config)
}

/// Both CAs over one CA and one file.
struct Two {
    served: Served,
    oracle: Fulcio,
    ours: Serve,
    subject: Subject,
    _folder: tempfile::TempDir,
}

impl Two {
    fn start() -> Option<Self> {
        let program = parts::require_or_skip("fulcio")?;
        let folder = tempfile::tempdir().unwrap();
        let (served, config) = issuers(folder.path());
        let ca = Ca::make(folder.path(), "P-256");
        Some(Self {
            oracle: Fulcio::start_on(&program, &ca, folder.path(), &config, None),
            ours: Serve::start_on(&ca, folder.path(), &config),
            served,
            subject: Subject::generate(Kind::P256),
            _folder: folder,
        })
    }

    /// The leaf, or the refusal, of ours and of Fulcio for the same token.
    fn ask(&self, index: usize, claims: &Value) -> [Result<Vec<u8>, Value>; 2] {
        let challenge = CASES[index].challenge(claims);
        let token = self
            .served
            .issuer(index)
            .token(claims.clone(), wall_clock());
        [self.ours.url(), self.oracle.url()].map(|url| {
            let answer = try_ask(url, &token, &self.subject, &challenge);
            answer
                .map(|answer| answer.leaf().to_vec())
                .map_err(|(_, body)| body)
        })
    }
}

/// The SAN and Fulcio's extensions of a leaf in hexadecimal digits, with zeros for the issuer's
/// port.
fn printed(name: &str, leaf: &[u8]) -> String {
    const HOST: &[u8] = b"127.0.0.1:";
    let mut out = format!("{name}\n");
    for (oid, mut value) in dissect(leaf) {
        if oid != "2.5.29.17" && !oid.starts_with("1.3.6.1.4.1.57264.1.") {
            continue;
        }
        if let Some(at) = value.windows(HOST.len()).position(|window| window == HOST) {
            let port = &mut value[at + HOST.len()..][..5];
            assert!(port.iter().all(u8::is_ascii_digit), "a port of five digits");
            port.fill(b'0');
        }
        let critical = if value[0] == 1 { " critical" } else { "" };
        write!(out, "{oid}{critical} ").unwrap();
        for octet in &value[1..] {
            write!(out, "{octet:02x}").unwrap();
        }
        out.push('\n');
    }
    out
}

#[test]
fn every_issuer_type_and_every_ci_template_makes_the_same_certificate_as_fulcio() {
    let Some(two) = Two::start() else { return };
    let mut seen = String::new();
    for (index, case) in CASES.iter().enumerate() {
        let [ours, theirs] = two.ask(index, &case.claims());
        let got = |who: &str, leaf: Result<Vec<u8>, Value>| {
            leaf.unwrap_or_else(|body| panic!("{}: {who}: {body}", case.name))
        };
        let (ours, theirs) = (got("shortleaf", ours), got("Fulcio", theirs));
        let mut beside = dissect(&ours);
        for row in FURTHER.iter().filter(|row| row.identity == case.name) {
            let has = |leaf: &[u8]| dissect(leaf).iter().any(|(part, _)| part == row.part);
            assert!(has(&ours) && !has(&theirs), "{}: {}", case.name, row.why);
            beside.retain(|(part, _)| part != row.part);
        }
        compare_parts(case.name, beside, dissect(&theirs));
        seen += &printed(case.name, &ours);
    }
    hold("fulcio.txt", &seen);
}

#[test]
fn each_claim_without_which_there_is_no_certificate_is_named_with_its_extension_and_issuer() {
    let Some(two) = Two::start() else { return };
    let mut told = String::new();
    let mut stricter = BTreeSet::new();
    for (index, case) in CASES.iter().enumerate() {
        let all = case.claims();
        let claims = all.as_object().unwrap().keys();
        for claim in claims.filter(|claim| !OF_EVERY_TOKEN.contains(&claim.as_str())) {
            let what = format!("{} without {claim}", case.name);
            let mut without = all.clone();
            without.as_object_mut().unwrap().remove(claim);
            let [ours, theirs] = two.ask(index, &without);
            let refusal = match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => {
                    let further = |part: &str| {
                        let mut rows = FURTHER.iter();
                        rows.any(|row| row.identity == case.name && row.part == part)
                    };
                    let mut ours = dissect(&ours);
                    ours.retain(|(part, _)| !further(part));
                    compare_parts(&what, ours, dissect(&theirs));
                    continue;
                }
                (Ok(_), Err(theirs)) => panic!("{what}: only Fulcio refuses: {theirs}"),
                (Err(refusal), Err(_)) => refusal,
                (Err(refusal), Ok(_)) => {
                    let known = STRICTER
                        .iter()
                        .find(|row| row.claim == claim && row.identities.contains(&case.name));
                    let known = known.unwrap_or_else(|| panic!("{what}: only ours: {refusal}"));
                    stricter.insert((case.name, known.claim));
                    refusal
                }
            };
            let info = &refusal["details"][0];
            let metadata = &info["metadata"];
            assert_eq!(metadata["issuer"], two.served.issuer(index).url(), "{what}");
            let [reason, named, extension] =
                [&info["reason"], &metadata["claim"], &metadata["extension"]]
                    .map(|text| text.as_str().unwrap_or_else(|| panic!("{what}: {refusal}")));
            // A path leads through the claim it is in.
            assert!(named.contains(claim.as_str()), "{what}: {refusal}");
            writeln!(told, "{}: {reason} {named:?}, {extension}", case.name).unwrap();
        }
    }
    for row in STRICTER {
        for name in row.identities {
            let why = row.why;
            let met = stricter.contains(&(*name, row.claim));
            assert!(
                met,
                "{name} without {} is refused by both ({why})",
                row.claim
            );
        }
    }
    hold("fulcio-missing.txt", &told);
}

/// A development instance's certificates come of another CA; what they say is the same.
#[test]
fn a_development_instance_takes_the_same_file() {
    if parts::require_or_skip("share/fulcio-identity.yaml").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (served, config) = issuers(folder.path());
    let mut dev = Running::start(
        "shortleaf dev",
        Command::new(env!("CARGO_BIN_EXE_shortleaf"))
            .args(["dev", "--fulcio-config"])
            .arg(&config),
    );
    let url = dev.wait_for_line("READY ", parts::PATIENCE);
    let subject = Subject::generate(Kind::P256);
    let mut seen = String::new();
    for (index, case) in CASES.iter().enumerate() {
        let claims = case.claims();
        let token = served.issuer(index).token(claims.clone(), wall_clock());
        let answer = ask(&url, &token, &subject, &case.challenge(&claims));
        seen += &printed(case.name, answer.leaf());
    }
    assert_eq!(seen, fs::read_to_string(stored("fulcio.txt")).unwrap());
}

#[test]
fn every_issuer_type_and_every_ci_provider_has_an_identity() {
    if parts::require_or_skip("share/fulcio-identity.yaml").is_none() {
        return;
    }
    let entries: BTreeSet<_> = CASES.iter().flat_map(|case| case.entry).copied().collect();
    for kind in IssuerType::ALL {
        let entry = format!("type: {}", kind.as_str());
        assert!(entries.contains(entry.as_str()), "{entry}");
    }
    let providers = providers();
    assert_eq!(providers.len(), 5);
    for provider in providers {
        let entry = format!("ci-provider: {provider}");
        assert!(entries.contains(entry.as_str()), "{entry}");
    }
    // Nothing of the derived file is left out when it is read.
    let one = "  http://127.0.0.1:9/ci:\n    client-id: sigstore\n    type: ci-provider\n    ci-provider: circleci-job\n";
    assert_eq!(
        FulcioConfig::parse(&configuration(one))
            .unwrap()
            .issuers
            .len(),
        1
    );
}
