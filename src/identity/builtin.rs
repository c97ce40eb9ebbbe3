//! The providers behind Fulcio's four older issuer types, each as the table it is.
//!
//! Their URLs are written into the templates: as a default, a claim named `url` would win over it.

use super::{Definition, Provider};

/// GitHub Actions (`github-workflow`).
pub fn github() -> Provider {
    let here = |text: &str| text.replace("{instance}", "https://github.com");
    Provider::filled(GITHUB, &here).expect("a constant, and sound")
}

/// GitLab CI as gitlab.com (`gitlab-pipeline`), whatever instance the token is of: as in Fulcio.
pub fn gitlab() -> Provider {
    sound(GITLAB)
}

/// Buildkite (`buildkite-job`): the pipeline's name and no extension.
pub fn buildkite() -> Provider {
    sound(BUILDKITE)
}

/// Codefresh (`codefresh-workflow`).
pub fn codefresh() -> Provider {
    sound(CODEFRESH)
}

fn sound(table: Definition<'static>) -> Provider {
    // A test makes each of them; there is no other input.
    Provider::new(table).expect("a constant, and sound")
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
    one_of: &[],
    not: &[],
    begins: &[],
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
};

/// `ci_config_sha` and `project_visibility` are not always known. This type does not say
/// `environment`; the template of the public configuration does.
const GITLAB: Definition<'static> = Definition {
    defaults: &[("ci_config_sha", ""), ("project_visibility", "")],
    required: &[
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
    ],
    one_of: &[("ref_type", &["branch", "tag"])],
    not: &[("runner_id", "0")],
    begins: &[],
    extensions: &[
        (9, "https://{{ .ci_config_ref_uri }}"),
        (10, "ci_config_sha"),
        (11, "runner_environment"),
        (12, "https://gitlab.com/{{ .project_path }}"),
        (13, "sha"),
        (
            14,
            "refs/{{ if eq .ref_type \"branch\" }}heads{{ else }}tags{{ end }}/{{ .ref }}",
        ),
        (15, "project_id"),
        (16, "https://gitlab.com/{{ .namespace_path }}"),
        (17, "namespace_id"),
        (18, "https://{{ .ci_config_ref_uri }}"),
        (19, "ci_config_sha"),
        (20, "pipeline_source"),
        (
            21,
            "https://gitlab.com/{{ .project_path }}/-/jobs/{{ .job_id }}",
        ),
        (22, "project_visibility"),
    ],
    san: "https://{{ .ci_config_ref_uri }}",
};

const BUILDKITE: Definition<'static> = Definition {
    defaults: &[],
    required: &["organization_slug", "pipeline_slug"],
    one_of: &[],
    not: &[],
    begins: &[],
    extensions: &[],
    san: "https://buildkite.com/{{ .organization_slug }}/{{ .pipeline_slug }}",
};

/// The ids are the identity; account and pipeline names are there to be read.
const CODEFRESH: Definition<'static> = Definition {
    defaults: &[
        ("platform_url", "https://g.codefresh.io"),
        ("scm_repo_url", ""),
        ("scm_ref", ""),
        ("runner_environment", ""),
    ],
    required: &["account_id", "pipeline_id", "workflow_id"],
    one_of: &[],
    not: &[],
    begins: &[],
    extensions: &[
        (9, "{{ .platform_url }}/build/{{ .workflow_id }}"),
        (11, "runner_environment"),
        (12, "scm_repo_url"),
        (14, "scm_ref"),
        (18, "{{ .platform_url }}/api/pipelines/{{ .pipeline_id }}"),
        (21, "{{ .platform_url }}/build/{{ .workflow_id }}"),
    ],
    san: "{{ .platform_url }}/{{ .account_name }}/{{ .pipeline_name }}:{{ .account_id }}/{{ .pipeline_id }}",
};

#[cfg(test)]
mod tests;
