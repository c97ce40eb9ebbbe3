//! From claims to principal, as a whole.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::fault::Reason;

const GITHUB: &str = "https://token.actions.githubusercontent.com";

fn github_claims() -> Json {
    json!({
        "iss": GITHUB, "aud": "sigstore", "exp": 1_795_262_700, "iat": 1_795_262_390, "nbf": 1_795_262_390,
        "jti": "7f0c", "sub": "repo:octo-org/octo-repo:environment:prod",
        "actor": "octocat", "actor_id": "12", "base_ref": "", "head_ref": "",
        "check_run_id": "45", "enterprise": "avocado-corp", "enterprise_id": "2",
        "environment": "prod", "event_name": "push",
        "job_workflow_ref": "octo-org/shared/.github/workflows/sign.yml@refs/tags/v2",
        "job_workflow_sha": "1111111111111111111111111111111111111111",
        "ref": "refs/heads/main", "ref_protected": "false", "ref_type": "branch",
        "repository": "octo-org/octo-repo", "repository_id": "74",
        "repository_owner": "octo-org", "repository_owner_id": "65", "repository_visibility": "public",
        "run_attempt": "1", "run_id": "16055869479", "run_number": "33",
        "runner_environment": "github-hosted",
        "sha": "2222222222222222222222222222222222222222",
        "workflow": "Release",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
        "workflow_sha": "3333333333333333333333333333333333333333",
    })
}

fn github(claims: &Json) -> Result<Principal, Error> {
    let token = VerifiedToken::for_test(&claims.to_string());
    principal(&token, &Mapping::CiProvider(Arc::new(builtin::github())))
}

fn with(claim: &str, value: Json) -> Json {
    let mut claims = github_claims();
    claims[claim] = value;
    claims
}

fn without(claim: &str) -> Json {
    let mut claims = github_claims();
    claims.as_object_mut().unwrap().remove(claim);
    claims
}

fn value(principal: &Principal, arc: u8) -> Option<&str> {
    let found = principal.extensions().iter().find(|e| e.arc == arc);
    found.map(|extension| extension.value.as_str())
}

#[test]
fn githubs_claims_fill_every_extension_byte_for_byte() {
    let principal = github(&github_claims()).unwrap();
    let signer = "https://github.com/octo-org/shared/.github/workflows/sign.yml@refs/tags/v2";
    let subject = "repo:octo-org/octo-repo:environment:prod";
    assert_eq!(principal.san(), &San::Uri(signer.into()));
    assert_eq!(principal.challenge(), subject);
    assert_eq!(principal.subject(), subject);
    assert_eq!(principal.issuer(), GITHUB);
    let expected = [
        (1, GITHUB),
        (2, "push"),
        (3, "2222222222222222222222222222222222222222"),
        (4, "Release"),
        (5, "octo-org/octo-repo"),
        (6, "refs/heads/main"),
        (8, GITHUB),
        (9, signer),
        (10, "1111111111111111111111111111111111111111"),
        (11, "github-hosted"),
        (12, "https://github.com/octo-org/octo-repo"),
        (13, "2222222222222222222222222222222222222222"),
        (14, "refs/heads/main"),
        (15, "74"),
        (16, "https://github.com/octo-org"),
        (17, "65"),
        (
            18,
            "https://github.com/octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
        ),
        (19, "3333333333333333333333333333333333333333"),
        (20, "push"),
        (
            21,
            "https://github.com/octo-org/octo-repo/actions/runs/16055869479/attempts/1",
        ),
        (22, "public"),
        (23, "prod"),
        (24, subject),
    ];
    let got: Vec<_> = principal
        .extensions()
        .iter()
        .map(|e| (e.arc, e.value.as_str()))
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn a_job_without_environment_has_no_environment_extension() {
    for claims in [
        without("environment"),
        with("environment", json!(null)),
        with("environment", json!("")),
    ] {
        let principal = github(&claims).unwrap();
        assert_eq!(value(&principal, 23), None);
        assert_eq!(principal.extensions().len(), 22);
    }
}

#[test]
fn each_claim_github_always_sends_is_missed_by_name() {
    for (claim, extension) in [
        ("job_workflow_ref", "Build Signer URI"),
        ("sha", "GitHub Workflow SHA"),
        ("event_name", "GitHub Workflow Trigger"),
        ("repository", "GitHub Workflow Repository"),
        ("workflow", "GitHub Workflow Name"),
        ("ref", "GitHub Workflow Ref"),
        ("job_workflow_sha", "Build Signer Digest"),
        ("runner_environment", "Runner Environment"),
        ("repository_id", "Source Repository Identifier"),
        ("repository_owner", "Source Repository Owner URI"),
        ("repository_owner_id", "Source Repository Owner Identifier"),
        (
            "repository_visibility",
            "Source Repository Visibility At Signing",
        ),
        ("workflow_ref", "Build Config URI"),
        ("workflow_sha", "Build Config Digest"),
        ("run_id", "Run Invocation URI"),
        ("run_attempt", "Run Invocation URI"),
    ] {
        for claims in [
            without(claim),
            with(claim, json!(null)),
            with(claim, json!("")),
        ] {
            let error = github(&claims).unwrap_err();
            assert_eq!(error.reason(), Reason::ClaimMissing);
            assert_eq!((error.claim(), error.extension()), (claim, extension));
            assert_eq!(error.issuer().as_str(), GITHUB);
            let text = format!("token of {GITHUB} has no claim {claim:?}, needed for {extension}");
            assert_eq!(error.to_string(), text);
        }
        for wrong in [json!(["x"]), json!({ "x": "y" })] {
            let error = github(&with(claim, wrong)).unwrap_err();
            assert_eq!(error.reason(), Reason::ClaimInvalid);
            assert_eq!((error.claim(), error.extension()), (claim, extension));
        }
    }
}

#[test]
fn numbers_in_claims_stay_exact() {
    let principal = github(&with("repository_id", json!(9_007_199_254_740_993_i64))).unwrap();
    assert_eq!(value(&principal, 15), Some("9007199254740993"));
}

#[test]
fn a_claim_over_the_limit_is_refused_and_the_longest_within_is_not() {
    let fits = with("workflow", json!("w".repeat(MAX_CLAIM_BYTES)));
    assert_eq!(
        value(&github(&fits).unwrap(), 4).map(str::len),
        Some(MAX_CLAIM_BYTES)
    );
    let error = github(&with("workflow", json!("w".repeat(MAX_CLAIM_BYTES + 1)))).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "claim \"workflow\" of {GITHUB}, needed for GitHub Workflow Name, takes 1001 bytes, at most 1000 are accepted"
        )
    );
    let error = github(&with("sub", json!("s".repeat(MAX_CLAIM_BYTES + 1)))).unwrap_err();
    assert_eq!(
        (error.reason(), error.claim(), error.extension()),
        (Reason::ClaimInvalid, "sub", "Token Subject")
    );
    let three_together = with("run_id", json!("7".repeat(MAX_CLAIM_BYTES)));
    let error = github(&three_together).unwrap_err();
    assert_eq!(
        (error.claim(), error.extension()),
        ("run_attempt", "Run Invocation URI")
    );
}

#[test]
fn a_claim_hides_no_character() {
    for character in ['\0', '\n', '\u{7f}', '\u{202e}'] {
        let error = github(&with("workflow", json!(format!("a{character}b")))).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::ClaimInvalid, "workflow")
        );
    }
}

#[test]
fn the_san_is_a_printed_url_and_the_extensions_keep_the_raw_text() {
    let reference = "octo-org/r/.github/workflows/w.yml@refs/heads/größe";
    let mut claims = with("job_workflow_ref", json!(reference));
    claims["workflow_ref"] = json!(reference);
    let principal = github(&claims).unwrap();
    let printed =
        "https://github.com/octo-org/r/.github/workflows/w.yml@refs/heads/gr%C3%B6%C3%9Fe";
    assert_eq!(principal.san(), &San::Uri(printed.into()));
    let raw = format!("https://github.com/{reference}");
    assert_eq!(
        (value(&principal, 9), value(&principal, 18)),
        (Some(&*raw), Some(&*raw))
    );
}

#[test]
fn a_san_that_is_no_url_is_refused() {
    for (claim, value, problem) in [
        (
            "job_workflow_ref",
            "o/r@refs/heads/100%",
            "makes a URL with a broken percent-encoding",
        ),
        (
            "job_workflow_ref",
            "o/r@refs/heads/a?ö",
            "makes a URL that is not printable ASCII",
        ),
    ] {
        let error = github(&with(claim, json!(value))).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "claim \"job_workflow_ref\" of {GITHUB}, needed for Subject Alternative Name, {problem}"
            )
        );
        assert_eq!(error.reason(), Reason::ClaimInvalid);
    }
}

#[test]
fn a_claim_named_url_moves_nobodys_identity() {
    let moved = github(&with("url", json!("https://evil.example"))).unwrap();
    assert_eq!(moved.san(), github(&github_claims()).unwrap().san());
}

fn email_claims() -> Json {
    json!({
        "iss": "https://accounts.example", "aud": "sigstore", "exp": 1_795_262_700, "iat": 1_795_262_390,
        "sub": "1234567890", "email": "alice+ci@example.com", "email_verified": true,
    })
}

fn email(change: impl FnOnce(&mut Json), skip_verification: bool) -> Result<Principal, Error> {
    let mut claims = email_claims();
    change(&mut claims);
    let token = VerifiedToken::for_test(&claims.to_string());
    principal(
        &token,
        &Mapping::Email {
            skip_verification,
            issuer: None,
        },
    )
}

#[test]
fn an_email_issuer_names_an_address_and_is_challenged_with_it() {
    let principal = email(|_| (), false).unwrap();
    assert_eq!(principal.san(), &San::Email("alice+ci@example.com".into()));
    assert_eq!(principal.challenge(), "alice+ci@example.com");
    assert_eq!(principal.subject(), "1234567890");
    let got: Vec<_> = principal
        .extensions()
        .iter()
        .map(|e| (e.arc, e.value.as_str()))
        .collect();
    let issuer = "https://accounts.example";
    assert_eq!(got, [(1, issuer), (8, issuer), (24, "1234567890")]);
}

#[test]
fn an_address_is_verified_by_true_and_nothing_else() {
    for value in [
        json!(false),
        json!("true"),
        json!("True"),
        json!(1),
        json!(null),
        json!([true]),
    ] {
        let error = email(|claims| claims["email_verified"] = value.clone(), false).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::EmailUnverified, "email_verified")
        );
        assert!(email(|claims| claims["email_verified"] = value, true).is_ok());
    }
    let absent = |claims: &mut Json| {
        claims.as_object_mut().unwrap().remove("email_verified");
    };
    assert_eq!(
        email(absent, false).unwrap_err().reason(),
        Reason::EmailUnverified
    );
    assert!(email(absent, true).is_ok());
}

#[test]
fn an_address_is_there_and_is_one() {
    for value in [json!(null), json!("")] {
        let error = email(|claims| claims["email"] = value, true).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::ClaimMissing, "email")
        );
    }
    for value in [
        json!("a@b@c.example"),
        json!("a@b.example,c@d.example"),
        json!("\"a\"@b.example"),
        json!("а@b.example"),
        json!("a@b.example\0"),
        json!("a@b.example\n"),
        json!("a\u{202e}@b.example"),
        json!(7),
        json!(["a@b.example"]),
    ] {
        let error = email(|claims| claims["email"] = value, true).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::ClaimInvalid, "email")
        );
        assert_eq!(error.extension(), "Subject Alternative Name");
    }
}

#[test]
fn a_provider_is_data() {
    let provider = Provider::new(Definition {
        defaults: &[("url", "https://buildkite.com")],
        required: &[],
        extensions: &[(20, "build_source"), (11, ""), (10, r#"{{ index . "x" }}"#)],
        one_of: &[],
        not: &[],
        begins: &[],
        san: "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}",
    })
    .unwrap();
    let claims = json!({
        "iss": "https://agent.buildkite.com", "aud": "sigstore", "exp": 2, "iat": 1, "sub": "s",
        "organization_slug": "acme", "pipeline_slug": "app", "build_source": "ui",
    });
    let token = VerifiedToken::for_test(&claims.to_string());
    let principal = principal(&token, &Mapping::CiProvider(Arc::new(provider))).unwrap();
    assert_eq!(
        principal.san(),
        &San::Uri("https://buildkite.com/acme/app".into())
    );
    let arcs: Vec<_> = principal.extensions().iter().map(|e| e.arc).collect();
    assert_eq!(arcs, [1, 8, 20, 24]);
}

#[test]
fn a_definition_is_checked_when_it_is_loaded() {
    let san = "{{ .url }}";
    let good = Definition {
        san,
        ..Definition::default()
    };
    assert!(Provider::new(good).is_ok());
    for blank in ["", "  "] {
        let error = Provider::new(Definition { san: blank, ..good }).unwrap_err();
        assert_eq!(error, ProviderError::NoSan);
    }
    for arc in [0, 1, 7, 8, 24, 25] {
        let error = Provider::new(Definition {
            extensions: &[(arc, "x")],
            ..good
        })
        .unwrap_err();
        assert_eq!(error, ProviderError::NotTemplated { arc });
    }
    let error = Provider::new(Definition {
        extensions: &[(9, "x"), (9, "y")],
        ..good
    })
    .unwrap_err();
    assert_eq!(error, ProviderError::Twice { arc: 9 });
    let error = Provider::new(Definition {
        extensions: &[(9, "{{ range .x }}")],
        ..good
    })
    .unwrap_err();
    assert!(matches!(error, ProviderError::Extension { arc: 9, .. }));
    let error = Provider::new(Definition {
        san: "{{ .x | printf }}",
        ..good
    })
    .unwrap_err();
    assert!(matches!(error, ProviderError::San(_)));
}

#[test]
fn every_extension_but_the_seventh_has_a_name() {
    let named: Vec<u8> = (0..=255)
        .filter(|arc| extension_name(*arc).is_some())
        .collect();
    let expected: Vec<u8> = (1..=6).chain(8..=24).collect();
    assert_eq!(named, expected);
}

proptest! {
    /// Values come out as they went in, whatever they would mean to a template, a pattern or HTML.
    #[test]
    fn values_are_inserted_and_never_read(text in r#"(\{\{ ?\.sha ?\}\}|\{\{end\}\}|[*?\[\]<>&"'\\%$ a-zé日/@:#.-]){1,40}"#) {
        let provider = Provider::new(Definition {
            extensions: &[(9, "{{ .x }}"), (10, "x"), (12, "<{{ .x }}|{{ .x }}>")],
            san: r#"{{ "https://ci.example/" }}"#,
            ..Definition::default()
        }).unwrap();
        let claims = json!({
            "iss": "https://ci.example", "aud": "sigstore", "exp": 2, "iat": 1, "sub": "s",
            "sha": "SHOULD NOT APPEAR", "x": text,
        });
        let token = VerifiedToken::for_test(&claims.to_string());
        let principal = principal(&token, &Mapping::CiProvider(Arc::new(provider))).unwrap();
        prop_assert_eq!(value(&principal, 9), Some(text.as_str()));
        prop_assert_eq!(value(&principal, 10), Some(text.as_str()));
        let twice = format!("<{text}|{text}>");
        prop_assert_eq!(value(&principal, 12), Some(twice.as_str()));
    }
}
