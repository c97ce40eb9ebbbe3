//! What a verified token says: addresses, claims that become extensions, and how often it says it.

use serde_json::{Value, json};
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;
use x509_parser::prelude::*;

use super::mint::Key;
use super::provider::Provider;
use super::{HEADER, Kit, claims};
use crate::ask::Door;
use crate::issuer::{Alg, github_claims, merge};
use crate::keys::TestKey;
use crate::report::{Case, Report, Verdict};
use crate::site::PERSON;

/// The issuer of J26.
pub(super) async fn providers() -> Vec<Provider> {
    let mut github = Provider::start("github").await;
    github.kind = "github-workflow";
    vec![github]
}

/// J25.
pub(super) fn addresses(kit: &Kit) -> Vec<Case> {
    let mut cases = vec![
        kit.without("email_verified", Reason::EmailUnverified),
        kit.without("email", Reason::ClaimMissing),
        kit.without("sub", Reason::TokenMalformed),
        kit.claim("email", json!(""), Reason::ClaimMissing),
        kit.claim("email", json!(null), Reason::ClaimMissing),
    ];
    for value in [
        json!(false),
        json!("true"),
        json!("True"),
        json!(1),
        json!(null),
        json!([true]),
    ] {
        cases.push(kit.claim("email_verified", value, Reason::EmailUnverified));
    }
    let long = format!("{}@example.com", "a".repeat(250));
    for value in [
        json!("jane@example.com,joe@example.com"),
        json!("jane@example.com joe@example.com"),
        json!("jane@example.com@example.org"),
        json!("Jane <jane@example.com>"),
        json!("\"jane\"@example.com"),
        json!("\"jane joe\"@example.com"),
        json!("jane(joe)@example.com"),
        json!("jane@[127.0.0.1]"),
        json!("jane@b\u{fc}cher.example"),
        json!("j\u{430}ne@example.com"),
        json!("jane@exаmple.com"),
        json!("jane\0@example.com"),
        json!("jane@example.com\n"),
        json!("jane@example.com\r\nBcc: joe@example.com"),
        json!("\u{202e}jane@example.com"),
        json!("jane\u{200f}@example.com"),
        json!(" jane@example.com"),
        json!(".jane@example.com"),
        json!("jane..joe@example.com"),
        json!("jane@example..com"),
        json!("jane@-example.com"),
        json!("jane"),
        json!("@example.com"),
        json!("jane@"),
        json!(long),
        json!(["jane@example.com"]),
        json!({ "address": "jane@example.com" }),
        json!(7),
        json!(true),
    ] {
        cases.push(kit.claim("email", value, Reason::ClaimInvalid));
    }
    for value in [
        "a\0b",
        "a\nb",
        "a\u{7f}b",
        "a\u{202e}b",
        "a\u{2066}b",
        "\u{feff}a",
        "a\u{85}b",
    ] {
        cases.push(kit.claim("sub", json!(value), Reason::ClaimInvalid));
    }
    for value in [json!(""), json!(null), json!(7), json!(["a"])] {
        cases.push(kit.claim("sub", value, Reason::TokenMalformed));
    }
    let tagged = "jane+tag@example.com";
    cases.push(Case {
        what: "a tag is part of an address".to_owned(),
        ask: kit.ask_over(kit.good(json!({ "email": tagged })), &kit.key, tagged),
        verdict: Verdict::Issued,
    });
    cases
}

/// A job's token with these claims over the usual ones.
fn job(kit: &Kit, over: Value) -> String {
    let issuer = &kit.provider("github").issuer;
    let mut all = claims(
        issuer.url(),
        json!({ "email": null, "email_verified": null }),
    );
    merge(&mut all, github_claims());
    all.as_object_mut()
        .unwrap()
        .extend(over.as_object().unwrap().clone());
    issuer.sign(Alg::Rs256, HEADER, &all.to_string())
}

/// J26.
pub(super) fn claims_in_extensions(kit: &Kit) -> Vec<Case> {
    let challenge = github_claims()["sub"].as_str().unwrap().to_owned();
    let ask = |token| kit.ask_over(token, &kit.key, &challenge);
    let case = |what: String, over: Value, reason| Case {
        what,
        ask: ask(job(kit, over)),
        verdict: Verdict::Refused {
            reason,
            twin: ask(job(kit, json!({}))),
        },
    };
    let mut cases = Vec::new();
    for claim in [
        "job_workflow_ref",
        "sha",
        "event_name",
        "repository",
        "workflow",
        "ref",
        "job_workflow_sha",
        "runner_environment",
        "repository_id",
        "repository_owner",
        "repository_owner_id",
        "repository_visibility",
        "workflow_ref",
        "workflow_sha",
        "run_id",
        "run_attempt",
    ] {
        cases.push(case(
            format!("{claim} null"),
            json!({ claim: null }),
            Reason::ClaimMissing,
        ));
        cases.push(case(
            format!("{claim} empty"),
            json!({ claim: "" }),
            Reason::ClaimMissing,
        ));
    }
    for (what, value) in [
        ("1001 bytes", json!("x".repeat(1001))),
        ("an array", json!(["release"])),
        ("an object", json!({ "name": "release" })),
        ("NUL", json!("rel\0ease")),
        ("a line break", json!("rel\nease")),
        ("another direction", json!("rel\u{202e}ease")),
    ] {
        cases.push(case(
            format!("workflow with {what}"),
            json!({ "workflow": value }),
            Reason::ClaimInvalid,
        ));
    }
    for (what, value) in [
        (
            "a broken escape",
            "octo-org/app/.github/workflows/%zz.yml@refs/heads/main",
        ),
        ("1001 bytes", &*format!("o/r/{}", "x".repeat(1001))),
    ] {
        cases.push(case(
            format!("job_workflow_ref with {what}"),
            json!({ "job_workflow_ref": value }),
            Reason::ClaimInvalid,
        ));
    }
    cases
}

/// J26: what looks like a template, markup or an escape is text.
pub(super) async fn exact_bytes(kit: &Kit) -> Report {
    let mut report = Report::new("J26");
    let challenge = github_claims()["sub"].as_str().unwrap().to_owned();
    for text in [
        "{{ .sha }}",
        "{{if .x}}a{{else}}b{{end}}",
        "<b>&amp;\"'</b>",
        "%2e%2e/$(id)`id`${x}",
        "\\u0041\\n",
        "größe 日本",
        " a ",
        &"x".repeat(1000),
    ] {
        let token = job(kit, json!({ "workflow": text }));
        let answer = kit
            .site
            .ask(Door::V2, &kit.ask_over(token, &kit.key, &challenge))
            .await;
        report.saw(&answer);
        let name = answer.leaf().and_then(|leaf| workflow_name(&leaf));
        let same = name.as_deref() == Some(text.as_bytes());
        report.check(
            &format!("workflow {text:?}"),
            same,
            format!("{answer} {name:?}"),
        );
    }
    report
}

/// The extension GitHub Workflow Name: raw bytes.
fn workflow_name(leaf: &str) -> Option<Vec<u8>> {
    let (_, pem) = parse_x509_pem(leaf.as_bytes()).ok()?;
    let leaf = pem.parse_x509().ok()?;
    let is_it = |e: &&X509Extension<'_>| e.oid.to_id_string() == "1.3.6.1.4.1.57264.1.4";
    leaf.extensions()
        .iter()
        .find(is_it)
        .map(|e| e.value.to_vec())
}

/// J24: a token for a second key, after the first.
pub(super) async fn replays(kit: &Kit) -> Report {
    let mut report = Report::new("J24");
    let url = kit.site.issuer().url().to_owned();
    let with_id = claims(&url, json!({ "jti": "seen" }));
    let mut later = with_id.clone();
    later["nonce"] = json!("other");
    let without_id = || claims(&url, json!({ "jti": null }));
    let sign = |claims: &Value| {
        kit.site
            .issuer()
            .sign(Alg::Rs256, HEADER, &claims.to_string())
    };
    let plain = sign(&without_id());

    let one = kit.provider("one").issuer.url();
    let es256 = claims(one, json!({ "jti": null }));
    let key: &Key = super::keys::ones();
    let (signed, again) = (key.token(&es256), key.token(&es256));
    assert_ne!(signed, again, "ECDSA signs with chance");
    for (what, first, second) in [
        ("the same bytes", kit.good(json!({})), None),
        (
            "another token of the same jti",
            sign(&with_id),
            Some(sign(&later)),
        ),
        ("the same bytes without jti", plain, None),
        ("signed twice, without jti", signed, Some(again)),
    ] {
        let second = second.unwrap_or_else(|| first.clone());
        let (mine, stolen) = (
            TestKey::generate(KeyKind::EcdsaP256),
            TestKey::generate(KeyKind::EcdsaP256),
        );
        let answer = kit
            .site
            .ask(Door::V2, &kit.ask_over(first, &mine, PERSON))
            .await;
        report.check(what, answer.is_issued(), format!("at first: {answer}"));
        for door in [Door::V2, Door::V1] {
            let begun = kit.site.begun();
            let answer = kit
                .site
                .ask(door, &kit.ask_over(second.clone(), &stolen, PERSON))
                .await;
            report.saw(&answer);
            let right = answer.word() == Reason::TokenReplayed.as_str();
            report.check(what, right, &answer);
            report.check(what, kit.site.begun() == begun, "something was begun");
        }
        // With the first key it is the same request again.
        let same = kit
            .site
            .ask(Door::V2, &kit.ask_over(second, &mine, PERSON))
            .await;
        let leaf = same.leaf();
        report.check(
            what,
            leaf.is_some() && leaf == answer.leaf(),
            format!("its twin: {same}"),
        );
    }
    report
}
