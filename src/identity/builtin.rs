//! The tables of the four providers that Fulcio has a type for, and the providers behind those
//! types. The presets read the same tables.
//!
//! What is the issuer's is written into the templates: as a default, a claim named `url` would win
//! over it. Codefresh's older type is the exception, because it is Fulcio's.

use super::{Definition, Provider};

/// GitHub Actions (`github-workflow`).
pub fn github() -> Provider {
    at("https://github.com", GITHUB)
}

/// GitLab CI as gitlab.com (`gitlab-pipeline`), whatever instance the token is of: as in Fulcio. It
/// asks for a pipeline and a runner, and is older than .23.
pub fn gitlab() -> Provider {
    let mut extensions = GITLAB.extensions.to_vec();
    extensions.retain(|(arc, _)| *arc <= 22);
    let table = Definition {
        required: &[GITLAB.required, &["pipeline_id", "runner_id"]].concat(),
        not: &[("runner_id", "0")],
        begins: &[],
        extensions: &extensions,
        ..GITLAB
    };
    at("https://gitlab.com", table)
}

/// Buildkite (`buildkite-job`): the pipeline's name and no extension.
pub fn buildkite() -> Provider {
    let table = Definition {
        required: &["organization_slug", "pipeline_slug"],
        san: BUILDKITE.san,
        ..Definition::EMPTY
    };
    at("https://buildkite.com", table)
}

/// Codefresh (`codefresh-workflow`), wherever a token says it is.
pub fn codefresh() -> Provider {
    let platform = ("platform_url", "https://g.codefresh.io");
    let table = Definition {
        defaults: &[CODEFRESH.defaults, &[platform]].concat(),
        required: &["account_id", "pipeline_id", "workflow_id"],
        ..CODEFRESH
    };
    at("{{ .platform_url }}", table)
}

fn at(instance: &str, table: Definition<'_>) -> Provider {
    let here = |text: &str| text.replace("{instance}", instance);
    // A test makes each of them; there is no other input.
    Provider::filled(table, &here).expect("a constant, and sound")
}

/// `environment` is there only when the job names one; everything else always is. `{instance}`
/// stands for the address of the GitHub that it is.
pub(super) const GITHUB: Definition<'static> = Definition {
    defaults: &[("environment", "")],
    required: &[
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
    ],
    extensions: &[
        (2, "event_name"),
        (3, "sha"),
        (4, "workflow"),
        (5, "repository"),
        (6, "ref"),
        (9, "{instance}/{{ .job_workflow_ref }}"),
        (10, "job_workflow_sha"),
        (11, "runner_environment"),
        (12, "{instance}/{{ .repository }}"),
        (13, "sha"),
        (14, "ref"),
        (15, "repository_id"),
        (16, "{instance}/{{ .repository_owner }}"),
        (17, "repository_owner_id"),
        (18, "{instance}/{{ .workflow_ref }}"),
        (19, "workflow_sha"),
        (20, "event_name"),
        (
            21,
            "{instance}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}",
        ),
        (22, "repository_visibility"),
        (23, "environment"),
    ],
    san: "{instance}/{{ .job_workflow_ref }}",
    ..Definition::EMPTY
};

/// `ci_config_ref_uri` becomes the name of the signer. It begins with the instance's host, and one
/// that does not would be a name on somebody else's GitLab.
pub(super) const GITLAB: Definition<'static> = Definition {
    defaults: &[
        ("ci_config_sha", ""),
        ("project_visibility", ""),
        ("environment", ""),
    ],
    // What Fulcio asks for beside these, pipeline_id and runner_id, stands nowhere.
    required: &[
        "ci_config_ref_uri",
        "project_path",
        "project_id",
        "namespace_path",
        "namespace_id",
        "sha",
        "ref",
        "ref_type",
        "pipeline_source",
        "job_id",
        "runner_environment",
    ],
    one_of: &[("ref_type", &["branch", "tag"])],
    begins: &[("ci_config_ref_uri", "{host}/")],
    extensions: &[
        (9, "https://{{ .ci_config_ref_uri }}"),
        (10, "ci_config_sha"),
        (11, "runner_environment"),
        (12, "{instance}/{{ .project_path }}"),
        (13, "sha"),
        (
            14,
            r#"refs/{{ if eq .ref_type "branch" }}heads{{ else }}tags{{ end }}/{{ .ref }}"#,
        ),
        (15, "project_id"),
        (16, "{instance}/{{ .namespace_path }}"),
        (17, "namespace_id"),
        (18, "https://{{ .ci_config_ref_uri }}"),
        (19, "ci_config_sha"),
        (20, "pipeline_source"),
        (21, "{instance}/{{ .project_path }}/-/jobs/{{ .job_id }}"),
        (22, "project_visibility"),
        (23, "environment"),
    ],
    san: "https://{{ .ci_config_ref_uri }}",
    ..Definition::EMPTY
};

pub(super) const BUILDKITE: Definition<'static> = Definition {
    defaults: &[("build_tag", "")],
    required: &[
        "organization_slug",
        "pipeline_slug",
        "build_number",
        "build_branch",
        "build_commit",
        "build_source",
        "job_id",
        "runner_environment",
    ],
    extensions: &[
        (11, "runner_environment"),
        (13, "build_commit"),
        // As Buildkite composes it into `sub`.
        (
            14,
            "refs/{{ if .build_tag }}tags/{{ .build_tag }}{{ else }}heads/{{ .build_branch }}{{ end }}",
        ),
        (20, "build_source"),
        (
            21,
            "{instance}/{{ .organization_slug }}/{{ .pipeline_slug }}/builds/{{ .build_number }}#{{ .job_id }}",
        ),
    ],
    san: "{instance}/{{ .organization_slug }}/{{ .pipeline_slug }}",
    ..Definition::EMPTY
};

/// The names are there to be read, the ids beside them are the identity.
pub(super) const CODEFRESH: Definition<'static> = Definition {
    defaults: &[
        ("scm_repo_url", ""),
        ("scm_ref", ""),
        ("runner_environment", ""),
    ],
    required: &[
        "account_id",
        "account_name",
        "pipeline_id",
        "pipeline_name",
        "workflow_id",
    ],
    extensions: &[
        (9, "{instance}/build/{{ .workflow_id }}"),
        (11, "runner_environment"),
        (12, "scm_repo_url"),
        (14, "scm_ref"),
        (18, "{instance}/api/pipelines/{{ .pipeline_id }}"),
        (21, "{instance}/build/{{ .workflow_id }}"),
    ],
    san: "{instance}/{{ .account_name }}/{{ .pipeline_name }}:{{ .account_id }}/{{ .pipeline_id }}",
    ..Definition::EMPTY
};

#[cfg(test)]
mod tests;
