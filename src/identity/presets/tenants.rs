//! Services whose issuer is one account's and whose names are its numbers: Bitbucket Pipelines and
//! Azure DevOps, neither of which Fulcio has.
//!
//! The names here are chosen, not found: made of ids, so that a renamed project stays itself and a
//! name taken over by somebody else does not become it.

use super::claims;
use super::facts::{Audience, Facts, HOUR, Limits, MINUTE, Reading, SEVERAL};
use super::site::{ACCOUNT, Place, Site, is_slug, is_uuid};
use crate::identity::{Definition, IdClaims};

/// The repository is the signer: its pipelines are one file of it. `sub` names the step and
/// changes every time. The braces are part of Bitbucket's ids, and escaped in the SAN.
pub(super) const BITBUCKET: Facts = Facts {
    word: "bitbucket",
    title: "Bitbucket",
    claims: claims::BITBUCKET,
    issuer: None,
    shape: "https://api.bitbucket.org/2.0/workspaces/WORKSPACE/pipelines-config/identity/oidc",
    families: &[],
    place: bitbucket,
    reading: Reading::Table(Definition {
        // A run of a tag has no branch, one that deploys nothing no environment.
        defaults: &[("branchName", ""), ("deploymentEnvironmentUuid", "")],
        required: &[
            "workspaceUuid",
            "repositoryUuid",
            "pipelineUuid",
            "stepUuid",
        ],
        extensions: &[
            (9, BITBUCKET_REPOSITORY),
            (12, BITBUCKET_REPOSITORY),
            (
                14,
                "{{ if .branchName }}refs/heads/{{ .branchName }}{{ end }}",
            ),
            (15, "repositoryUuid"),
            (16, "{instance}/{{ .workspaceUuid }}"),
            (17, "workspaceUuid"),
            (
                21,
                "{instance}/{{ .workspaceUuid }}/{{ .repositoryUuid }}/pipelines/results/{{ .pipelineUuid }}/steps/{{ .stepUuid }}",
            ),
            (23, "deploymentEnvironmentUuid"),
        ],
        san: BITBUCKET_REPOSITORY,
        ..Definition::EMPTY
    }),
    audience: Audience::Usual("ari:cloud:bitbucket::workspace/{account}"),
    limits: Limits {
        // A step's max-time is 120 minutes unless it says otherwise.
        max_token_age_s: 2 * HOUR,
        max_token_lifetime_s: 2 * HOUR,
        certificates_per_token: SEVERAL,
        why: "a step finds one token in its environment when it starts",
    },
    ids: IdClaims {
        any_of: &["repositoryUuid"],
        ..IdClaims::NONE
    },
    unverified: &[
        "lifetime of its tokens: taken to be a step's usual longest time",
        "the page of a step, with ids in place of names and numbers",
    ],
};

const BITBUCKET_REPOSITORY: &str = "{instance}/{{ .workspaceUuid }}/{{ .repositoryUuid }}";

/// By its id a workspace is an account that the usual audience can be made of, by its name not.
fn bitbucket(site: &Site<'_>) -> Option<Place> {
    let workspace = match &site.path[..] {
        [
            "2.0",
            "workspaces",
            workspace,
            "pipelines-config",
            "identity",
            "oidc",
        ] if site.is("api.bitbucket.org") => *workspace,
        _ => return None,
    };
    match (is_uuid(workspace), is_slug(workspace)) {
        (true, _) => Place::of("https://bitbucket.org", workspace),
        (false, true) => Place::at("https://bitbucket.org"),
        (false, false) => None,
    }
}

/// The pipeline is the signer, by the ids of organization and project and its own number.
/// Tokens of a service connection (`sc://…`) carry none of these and are refused.
pub(super) const AZURE_DEVOPS: Facts = Facts {
    word: "azure-devops",
    title: "Azure DevOps",
    claims: claims::AZURE_DEVOPS,
    issuer: None,
    shape: "https://vstoken.dev.azure.com/ORGANIZATION-UUID",
    families: &[],
    place: |site| match (site.is("vstoken.dev.azure.com"), &site.path[..]) {
        (true, [id]) if is_uuid(id) => Place::of("https://dev.azure.com", id),
        _ => None,
    },
    reading: Reading::Table(Definition {
        required: &[
            "org_id", "prj_id", "def_id", "rpo_id", "rpo_uri", "rpo_ver", "rpo_ref", "run_id",
        ],
        one_of: &[("org_id", &[ACCOUNT])],
        extensions: &[
            (9, AZURE_PIPELINE),
            (12, "rpo_uri"),
            (13, "rpo_ver"),
            (14, "rpo_ref"),
            (15, "rpo_id"),
            (17, "org_id"),
            (18, AZURE_PIPELINE),
            (
                21,
                "{instance}/{{ .org_id }}/{{ .prj_id }}/_build/results?buildId={{ .run_id }}",
            ),
        ],
        san: AZURE_PIPELINE,
        ..Definition::EMPTY
    }),
    // Every Entra tenant that federates takes this audience too.
    audience: Audience::Fixed("api://AzureADTokenExchange"),
    limits: Limits {
        max_token_age_s: 10 * MINUTE,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "tokens live five to ten minutes, are asked for by hand and then shared by a job's steps",
    },
    ids: IdClaims {
        // `rpo_id` of a repository outside Azure is its name.
        any_of: &["def_id", "prj_id"],
        ..IdClaims::NONE
    },
    unverified: &["the page of a run, with ids in place of names"],
};

const AZURE_PIPELINE: &str = "{instance}/{{ .org_id }}/{{ .prj_id }}/_apis/pipelines/{{ .def_id }}";
