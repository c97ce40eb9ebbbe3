//! The older types of providers other than GitHub: every extension, and every claim without which
//! there is none.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::fault::Reason;
use crate::identity::*;

#[test]
fn gitlabs_claims_fill_every_extension_byte_for_byte() {
    let claims = json!({
        "iss": "https://gitlab.com", "aud": "sigstore", "exp": 2, "iat": 1,
        "sub": "project_path:my-group/my-project:ref_type:branch:ref:main",
        "project_path": "my-group/my-project", "pipeline_source": "push", "pipeline_id": "574",
        "ci_config_ref_uri": "gitlab.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": "1111111111111111111111111111111111111111",
        "job_id": "302", "ref": "main", "ref_type": "branch", "namespace_path": "my-group",
        "namespace_id": "72", "project_id": "20", "runner_environment": "gitlab-hosted",
        "runner_id": 1, "sha": "2222222222222222222222222222222222222222",
        "project_visibility": "public", "url": "https://evil.example", "environment": "prod",
    });
    let mapping = Mapping::CiProvider(Arc::new(builtin::gitlab()));
    let from = |claims: &Json| principal(&VerifiedToken::for_test(&claims.to_string()), &mapping);
    let config = "https://gitlab.com/my-group/my-project//.gitlab-ci.yml@refs/heads/main";
    let got = from(&claims).unwrap();
    assert_eq!(got.san(), &San::Uri(config.into()));
    let expected = [
        (9, config),
        (10, "1111111111111111111111111111111111111111"),
        (11, "gitlab-hosted"),
        (12, "https://gitlab.com/my-group/my-project"),
        (13, "2222222222222222222222222222222222222222"),
        (14, "refs/heads/main"),
        (15, "20"),
        (16, "https://gitlab.com/my-group"),
        (17, "72"),
        (18, config),
        (19, "1111111111111111111111111111111111111111"),
        (20, "push"),
        (21, "https://gitlab.com/my-group/my-project/-/jobs/302"),
        (22, "public"),
    ];
    let between: Vec<_> = got
        .extensions()
        .iter()
        .map(|e| (e.arc, e.value.as_str()))
        .collect();
    assert_eq!(between[2..16], expected);

    for claim in [
        "project_path",
        "pipeline_source",
        "pipeline_id",
        "ci_config_ref_uri",
        "job_id",
        "ref",
        "ref_type",
        "namespace_path",
        "namespace_id",
        "project_id",
        "sha",
        "runner_environment",
        "runner_id",
    ] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(claim);
        let error = from(&without).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::ClaimMissing, claim)
        );
    }
    let mut tag = claims.clone();
    tag["ref_type"] = json!("tag");
    assert_eq!(value(&from(&tag).unwrap(), 14), Some("refs/tags/main"));
    for (claim, nothing) in [("ref_type", json!("merge")), ("runner_id", json!(0))] {
        let mut wrong = claims.clone();
        wrong[claim] = nothing;
        let error = from(&wrong).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::ClaimInvalid, claim)
        );
    }
    let mut least = claims.clone();
    for optional in ["ci_config_sha", "project_visibility"] {
        least.as_object_mut().unwrap().remove(optional);
    }
    let got = from(&least).unwrap();
    assert_eq!([10, 19, 22].map(|arc| value(&got, arc)), [None; 3]);
}

#[test]
fn buildkite_and_codefresh_are_what_fulcios_types_make_of_them() {
    let from = |provider: Provider, claims: Json| {
        let mut claims = claims;
        for (name, value) in [
            ("iss", json!("https://ci.example")),
            ("aud", json!("sigstore")),
            ("exp", json!(2)),
            ("iat", json!(1)),
            ("sub", json!("s")),
        ] {
            claims[name] = value;
        }
        principal(
            &VerifiedToken::for_test(&claims.to_string()),
            &Mapping::CiProvider(Arc::new(provider)),
        )
    };
    let claims =
        json!({ "organization_slug": "acme", "pipeline_slug": "deploy", "build_number": 5 });
    let got = from(builtin::buildkite(), claims).unwrap();
    assert_eq!(
        got.san(),
        &San::Uri("https://buildkite.com/acme/deploy".into())
    );
    assert_eq!(got.extensions().len(), 3);

    let claims = json!({
        "account_id": "628a", "account_name": "acme", "pipeline_id": "65e5",
        "pipeline_name": "oidc-test/get-token", "workflow_id": "64f4",
        "scm_repo_url": "https://github.com/acme/app", "scm_ref": "main",
        "runner_environment": "hybrid",
    });
    let got = from(builtin::codefresh(), claims.clone()).unwrap();
    let san = "https://g.codefresh.io/acme/oidc-test/get-token:628a/65e5";
    assert_eq!(got.san(), &San::Uri(san.into()));
    for (arc, text) in [
        (9, "https://g.codefresh.io/build/64f4"),
        (11, "hybrid"),
        (12, "https://github.com/acme/app"),
        (14, "main"),
        (18, "https://g.codefresh.io/api/pipelines/65e5"),
        (21, "https://g.codefresh.io/build/64f4"),
    ] {
        assert_eq!(value(&got, arc), Some(text));
    }
    for claim in [
        "account_id",
        "pipeline_id",
        "workflow_id",
        "account_name",
        "pipeline_name",
    ] {
        let mut without = claims.clone();
        without.as_object_mut().unwrap().remove(claim);
        let error = from(builtin::codefresh(), without).unwrap_err();
        assert_eq!(
            (error.reason(), error.claim()),
            (Reason::ClaimMissing, claim)
        );
    }
}

fn value(principal: &Principal, arc: u8) -> Option<&str> {
    let found = principal.extensions().iter().find(|e| e.arc == arc);
    found.map(|extension| extension.value.as_str())
}
