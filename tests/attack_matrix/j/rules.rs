//! Who is admitted of all whom an issuer vouches for: claim rules over an issuer of workflows, and
//! the trust domain of an issuer of SPIFFE IDs. They have a server of their own, since rules are about
//! everybody who asks it.

use serde_json::{Value, json};
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;

use super::provider::{self, Provider};
use super::{HEADER, claims};
use crate::ask::{Ask, Proof};
use crate::issuer::{Alg, github_claims, merge};
use crate::keys::{TestKey, pem};
use crate::report::{Case, Verdict};
use crate::site::Site;

/// What makes the inputs of a row.
type Cases = fn(&Ruled) -> Vec<Case>;

/// Rows whose inputs are asked one after another.
pub(super) const ROWS: &[(&str, Cases)] = &[("J12", patterns), ("J27", runs), ("J28", spiffe_ids)];

/// A workload of the trust domain.
const WORKLOAD: &str = "spiffe://example.org/ns/prod/sa/signer";

/// A site that admits one repository's release jobs, and the workloads of example.org.
pub(super) struct Ruled {
    pub(super) site: Site,
    jobs: Provider,
    workloads: Provider,
    key: TestKey,
}

impl Ruled {
    pub(super) async fn start() -> Self {
        let mut jobs = Provider::start("jobs").await;
        jobs.kind = "github-workflow";
        let workloads = Provider::start("workloads").await;
        let domain = "insecure_loopback_http = true\nspiffe_trust_domain = \"example.org\"";
        let more = jobs.settings() + &provider::settings(workloads.issuer.url(), "spiffe", domain);
        let rules = format!(
            r#"
[[deny]]
name = "no pull requests"
claims = {{ event_name = ["pull_request", "pull_request_target"] }}
[[allow]]
name = "release jobs"
issuer = "{jobs}"
[allow.claims]
repository_id = "701234567"
repository_owner_id = "9919"
job_workflow_ref = {{ glob = "octo-org/shared/.github/workflows/build.yml@refs/tags/v*" }}
ref = {{ glob = "refs/heads/release/*" }}
ref_type = "branch"
ref_protected = "true"
runner_environment = "github-hosted"
environment = ["production", "staging"]
[[allow]]
name = "workloads"
issuer = "{workloads}"
claims = {{ aud = "sigstore" }}
"#,
            jobs = jobs.issuer.url(),
            workloads = workloads.issuer.url(),
        );
        Self {
            site: Site::start_ruled(&rules, &more).await,
            jobs,
            workloads,
            key: TestKey::generate(KeyKind::EcdsaP256),
        }
    }

    /// A request with a token of this issuer, of whoever its `sub` says.
    fn ask(&self, provider: &Provider, over: Value) -> Ask {
        let mut all = claims(
            provider.issuer.url(),
            json!({ "email": null, "email_verified": null }),
        );
        merge(&mut all, over);
        let challenge = all["sub"].as_str().unwrap();
        Ask {
            proof: Proof::Key {
                content: pem("PUBLIC KEY", &self.key.spki()).into_bytes(),
                signature: self.key.sign(challenge.as_bytes()),
            },
            san: challenge.to_owned(),
            token: provider.issuer.sign(Alg::Rs256, HEADER, &all.to_string()),
        }
    }

    /// A release job's, but for these claims.
    fn job(&self, over: Value) -> Ask {
        let mut job = github_claims();
        merge(
            &mut job,
            json!({ "ref": "refs/heads/release/2026", "environment": "production" }),
        );
        merge(&mut job, over);
        self.ask(&self.jobs, job)
    }

    /// A job that no rule admits; its twin is the release job's.
    fn barred(&self, what: impl Into<String>, over: Value) -> Case {
        Case {
            what: what.into(),
            ask: self.job(over),
            verdict: Verdict::Refused {
                reason: Reason::RuleRefused,
                twin: self.job(json!({})),
            },
        }
    }
}

/// J12: what a token says is compared, whole, as text.
fn patterns(ruled: &Ruled) -> Vec<Case> {
    let workflow = "octo-org/shared/.github/workflows/build.yml@refs/tags/v1";
    let mut cases = Vec::new();
    for (claim, values) in [
        (
            "repository_id",
            &[
                "*",
                "**",
                "?????????",
                "70123456*",
                "[0-9]+",
                "^701234567$",
                ".*",
                "701234567 ",
                " 701234567",
                "0701234567",
                "+701234567",
                "701234567.0",
                "7012345671",
                "70123456\u{ff17}",
                "701234567|1",
                "{{ .repository_id }}",
                "\"701234567\"",
            ][..],
        ),
        (
            "ref",
            &[
                "refs/heads/release",
                "refs/heads/release/a/b",
                "refs/heads/release/../main",
                "refs/heads/main/refs/heads/release/1",
                "xrefs/heads/release/1",
                "REFS/HEADS/RELEASE/1",
                "refs/heads/release\\1",
                "refs/heads/release%2f1",
                "refs/heads/rele\u{430}se/1",
                "refs/heads/**",
                "**",
                "{refs/heads/release/1,x}",
            ],
        ),
        (
            "job_workflow_ref",
            &[
                "octo-org/shared/.github/workflows/build.yml@refs/heads/v1",
                "octo-org/shared/.github/workflows/build.yml@refs/tags/v1/x",
                "octo-org/shared/.github/workflows/build-yml@refs/tags/v1",
                "octo-org/*/.github/workflows/build.yml@refs/tags/v1",
                "mallory/octo-org/shared/.github/workflows/build.yml@refs/tags/v1",
                "**/build.yml@refs/tags/v1",
            ],
        ),
        (
            "environment",
            &[
                "production,staging",
                "production staging",
                "Production",
                "prod*",
            ],
        ),
        ("ref_protected", &["*", "true false", "TRUE", "1", "yes"]),
    ] {
        for value in values {
            cases.push(ruled.barred(format!("{claim} {value}"), json!({ claim: value })));
        }
    }
    for value in [json!(1), json!(0), json!(false)] {
        cases.push(ruled.barred(
            format!("ref_protected {value}"),
            json!({ "ref_protected": value }),
        ));
    }
    for (what, over) in [
        (
            "a star in the place of a star",
            json!({ "ref": "refs/heads/release/*" }),
        ),
        ("the tag", json!({ "job_workflow_ref": workflow })),
        ("the boolean", json!({ "ref_protected": true })),
        ("the number", json!({ "repository_id": 701_234_567 })),
    ] {
        // Text that a rule describes is admitted, whatever it looks like.
        let twin = ruled.job(over);
        let ask = ruled.job(json!({ "repository_id": "7" }));
        cases.push(Case {
            what: what.to_owned(),
            ask,
            verdict: Verdict::Refused {
                reason: Reason::RuleRefused,
                twin,
            },
        });
    }
    cases
}

/// J27: the right words in a token of somebody else's run.
fn runs(ruled: &Ruled) -> Vec<Case> {
    let cases = [
        (
            "a repository of the same name, made after the first was deleted",
            json!({ "repository_id": "801234567" }),
        ),
        (
            "an owner of the same name",
            json!({ "repository_owner_id": "801" }),
        ),
        (
            "a fork's pull request that runs in the base",
            json!({ "event_name": "pull_request_target", "head_ref": "patch-1", "base_ref": "release/2026" }),
        ),
        (
            "a pull request's merge",
            json!({ "event_name": "pull_request", "ref": "refs/pull/7/merge" }),
        ),
        (
            "a tag that is named like the branch",
            json!({ "ref": "refs/tags/release/2026", "ref_type": "tag" }),
        ),
        (
            "a tag whose ref reads as a branch",
            json!({ "ref_type": "tag" }),
        ),
        (
            "a branch that anybody may push to",
            json!({ "ref_protected": "false" }),
        ),
        ("no word on protection", json!({ "ref_protected": null })),
        (
            "the repository's own workflow in the place of the shared one",
            json!({ "job_workflow_ref": "octo-org/octo-app/.github/workflows/release.yml@refs/heads/release/2026" }),
        ),
        (
            "the shared workflow named as the caller only",
            json!({
                "job_workflow_ref": "mallory/shared/.github/workflows/build.yml@refs/tags/v1",
                "workflow_ref": "octo-org/shared/.github/workflows/build.yml@refs/tags/v1",
            }),
        ),
        (
            "somebody's own machine",
            json!({ "runner_environment": "self-hosted" }),
        ),
        ("another environment", json!({ "environment": "test" })),
        ("no environment", json!({ "environment": null })),
        (
            "a subject that claims to be the release",
            json!({
                "sub": "repo:octo-org/octo-app:environment:production",
                "repository_id": "7",
                "repository_owner_id": "7",
            }),
        ),
    ];
    cases
        .into_iter()
        .map(|(what, over)| ruled.barred(what, over))
        .collect()
}

/// J28: names beside the trust domain, and names that have two spellings.
fn spiffe_ids(ruled: &Ruled) -> Vec<Case> {
    let workload = |sub: &str| ruled.ask(&ruled.workloads, json!({ "sub": sub }));
    let long = format!("spiffe://example.org/{}", "x".repeat(2048));
    [
        "spiffe://example.com/ns/prod/sa/signer",
        "spiffe://evil-example.org/ns/prod/sa/signer",
        "spiffe://prod.example.org/ns/prod/sa/signer",
        "spiffe://example.org.evil.example/ns/prod/sa/signer",
        "spiffe://example.org@evil.example/ns/prod/sa/signer",
        "spiffe://evil.example@example.org/ns/prod/sa/signer",
        "spiffe://example.org:443/ns/prod/sa/signer",
        "spiffe://example.org./ns/prod/sa/signer",
        "spiffe://Example.org/ns/prod/sa/signer",
        "spiffe://ex\u{430}mple.org/ns/prod/sa/signer",
        "spiffe://*.org/ns/prod/sa/signer",
        "SPIFFE://example.org/ns/prod/sa/signer",
        "spiffe:/example.org/ns/prod/sa/signer",
        "spiffe:example.org/ns/prod/sa/signer",
        "spiffe:///ns/prod/sa/signer",
        "https://example.org/ns/prod/sa/signer",
        "spiffe://example.org/",
        "spiffe://example.org//sa/signer",
        "spiffe://example.org/ns/prod/sa/signer/",
        "spiffe://example.org/ns/./prod",
        "spiffe://example.org/ns/../prod",
        "spiffe://example.org/ns/%70rod",
        "spiffe://example.org/ns/prod?sa=signer",
        "spiffe://example.org/ns/prod#sa",
        "spiffe://example.org\\ns\\prod",
        "spiffe://example.org/ns/pr\u{f6}d",
        "spiffe://example.org/ns/prod sa",
        " spiffe://example.org/ns/prod",
        "spiffe://example.org/ns/prod\n",
        "spiffe://example.org,spiffe://example.org/ns/prod",
        "signer@example.org",
        &long,
    ]
    .into_iter()
    .map(|sub| Case {
        what: sub.chars().take(60).collect(),
        ask: workload(sub),
        verdict: Verdict::Refused {
            reason: Reason::ClaimInvalid,
            twin: workload(WORKLOAD),
        },
    })
    .collect()
}
