//! CI services at one address for everybody: Buildkite, CircleCI, Codefresh, Buddy.

use super::claims;
use super::facts::{Audience, Facts, HOUR, Limits, MINUTE, Reading, SEVERAL};
use super::site::{ACCOUNT, Place, Site, is_uuid};
use crate::identity::{Definition, IdClaims, builtin};

/// The pipeline is the signer, by its slugs: `organization_id` and `pipeline_id` are in a token
/// only if the job asked for them.
pub(super) const BUILDKITE: Facts = Facts {
    word: "buildkite",
    title: "Buildkite",
    claims: claims::BUILDKITE,
    issuer: Some("https://agent.buildkite.com"),
    shape: "https://agent.buildkite.com",
    families: &[],
    place: |site| site.only("agent.buildkite.com", "https://buildkite.com"),
    reading: Reading::Table(builtin::BUILDKITE),
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: 10 * MINUTE,
        // Five minutes, unless the job asks for more.
        max_token_lifetime_s: HOUR,
        certificates_per_token: 1,
        why: "the agent gives a token whenever it is asked, and cosign asks for each signature",
    },
    ids: IdClaims {
        names: &["organization_slug", "pipeline_slug"],
        event: Some("build_source"),
        runner: Some("runner_environment"),
        ..IdClaims::NONE
    },
    unverified: &[],
};

/// The pipeline definition is the signer. Unlike with Fulcio's file an ordinary run has no runner
/// environment instead of two quotation marks, and the address of a run one slash after its host.
pub(super) const CIRCLECI: Facts = Facts {
    word: "circleci",
    title: "CircleCI",
    claims: claims::CIRCLECI,
    issuer: None,
    shape: "https://oidc.circleci.com/org/ORGANIZATION-UUID",
    families: &["https://oidc.circleci.com/org/*"],
    place: |site| match (site.is("oidc.circleci.com"), &site.path[..]) {
        (true, ["org", id]) if is_uuid(id) => Place::of("https://circleci.com/api/v2", id),
        _ => None,
    },
    reading: Reading::Table(Definition {
        required: &[
            "oidc.circleci.com/project-id",
            "oidc.circleci.com/pipeline-definition-id",
            "oidc.circleci.com/pipeline-id",
            "oidc.circleci.com/workflow-id",
            "oidc.circleci.com/job-id",
        ],
        one_of: &[("oidc.circleci.com/org-id", &[ACCOUNT])],
        extensions: &[
            (9, CIRCLECI_SIGNER),
            (
                11,
                r#"{{ if eq (index . "oidc.circleci.com/ssh-rerun") "true" }}ssh-rerun{{ end }}"#,
            ),
            (12, r#"{{ index . "oidc.circleci.com/vcs-origin" }}"#),
            (14, r#"{{ index . "oidc.circleci.com/vcs-ref" }}"#),
            (
                18,
                r#"{instance}/pipeline/{{ index . "oidc.circleci.com/pipeline-id" }}/config"#,
            ),
            (
                21,
                r#"https://app.circleci.com/workflow/{{ index . "oidc.circleci.com/workflow-id" }}/job/{{ index . "oidc.circleci.com/job-id" }}"#,
            ),
        ],
        san: CIRCLECI_SIGNER,
        ..Definition::EMPTY
    }),
    audience: Audience::Usual(ACCOUNT),
    limits: Limits {
        // The longest a job may run.
        max_token_age_s: 5 * HOUR,
        max_token_lifetime_s: 5 * HOUR,
        certificates_per_token: SEVERAL,
        why: "a job finds one token in its environment when it starts",
    },
    ids: IdClaims {
        any_of: &[
            "oidc.circleci.com/project-id",
            "oidc.circleci.com/pipeline-definition-id",
        ],
        runner: Some("oidc.circleci.com/ssh-rerun"),
        ..IdClaims::NONE
    },
    unverified: &["lifetime of its tokens: taken to be at most that of a job, five hours"],
};

const CIRCLECI_SIGNER: &str = r#"{instance}/projects/{{ index . "oidc.circleci.com/project-id" }}/pipeline-definitions/{{ index . "oidc.circleci.com/pipeline-definition-id" }}"#;

/// A token's own `platform_url` is not looked at: this issuer is one platform's.
pub(super) const CODEFRESH: Facts = Facts {
    word: "codefresh",
    title: "Codefresh",
    claims: claims::CODEFRESH,
    issuer: Some("https://oidc.codefresh.io"),
    shape: "https://oidc.codefresh.io",
    families: &[],
    place: |site| site.only("oidc.codefresh.io", "https://g.codefresh.io"),
    reading: Reading::Table(builtin::CODEFRESH),
    audience: Audience::Usual("https://g.codefresh.io"),
    limits: Limits {
        max_token_age_s: 10 * MINUTE,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "a step of its own asks for the token, the ones after it share it",
    },
    ids: IdClaims {
        any_of: &["pipeline_id", "account_id"],
        runner: Some("runner_environment"),
        ..IdClaims::NONE
    },
    unverified: &["lifetime of its tokens: five minutes in the one that was seen"],
};

/// Three regions, each with an issuer of its own. `pipeline_id` is never given twice in a region;
/// which region it was, only the issuer says, for all use one address.
pub(super) const BUDDY: Facts = Facts {
    word: "buddy",
    title: "Buddy",
    claims: claims::BUDDY,
    issuer: None,
    shape: "https://oidc.buddyusercontent.com, https://eu-oidc.buddyusercontent.com or https://asia-oidc.buddyusercontent.com",
    families: &[],
    place: buddy,
    reading: Reading::Table(Definition {
        defaults: &[("revision", ""), ("ref", "")],
        required: &[
            "workspace_domain",
            "project_name",
            "pipeline_id",
            "execution_id",
            "triggered_on",
            "runner_environment",
        ],
        extensions: &[
            (9, BUDDY_PIPELINE),
            (11, "runner_environment"),
            (12, "{instance}/{{ .workspace_domain }}/{{ .project_name }}"),
            (13, "revision"),
            (14, "ref"),
            (16, "{instance}/{{ .workspace_domain }}"),
            (20, "triggered_on"),
            (
                21,
                "{instance}/{{ .workspace_domain }}/{{ .project_name }}/pipelines/pipeline/{{ .pipeline_id }}/execution/{{ .execution_id }}",
            ),
        ],
        san: BUDDY_PIPELINE,
        ..Definition::EMPTY
    }),
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: HOUR,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "an action asks for a token of an hour, the ones after it share it",
    },
    ids: IdClaims {
        any_of: &["pipeline_id"],
        event: Some("triggered_on"),
        runner: Some("runner_environment"),
        ..IdClaims::NONE
    },
    unverified: &[
        "values of triggered_on and runner_environment",
        "addresses in the EU and Asia: taken to be app.buddy.works, as in Fulcio's file",
    ],
};

const BUDDY_PIPELINE: &str =
    "{instance}/{{ .workspace_domain }}/{{ .project_name }}/pipelines/pipeline/{{ .pipeline_id }}";

fn buddy(site: &Site<'_>) -> Option<Place> {
    let regions = [
        "oidc.buddyusercontent.com",
        "eu-oidc.buddyusercontent.com",
        "asia-oidc.buddyusercontent.com",
    ];
    let mut each = regions.into_iter();
    each.find_map(|region| site.only(region, "https://app.buddy.works"))
}
