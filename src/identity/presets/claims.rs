//! The claims that tokens of each provider have, beside those of every token, as its documentation
//! or public code says (`testdata/identities`). Providers add claims: one that is not here may be new.

/// The registered claims (RFC 7519 §4.1), which every provider's tokens may have.
pub const REGISTERED: &[&str] = &["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];

/// Whoever runs it chooses.
pub(super) const ANY: &[&str] = &[];

/// An environment, an enterprise and a check run only where there is one.
pub(super) const GITHUB: &[&str] = &[
    "actor",
    "actor_id",
    "base_ref",
    "check_run_id",
    "enterprise",
    "enterprise_id",
    "environment",
    "event_name",
    "head_ref",
    "job_workflow_ref",
    "job_workflow_sha",
    "ref",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "run_attempt",
    "run_id",
    "run_number",
    "runner_environment",
    "sha",
    "workflow",
    "workflow_ref",
    "workflow_sha",
];

pub(super) const GITLAB: &[&str] = &[
    "ci_config_ref_uri",
    "ci_config_sha",
    "deployment_tier",
    "environment",
    "environment_action",
    "environment_protected",
    "groups_direct",
    "job_id",
    "namespace_id",
    "namespace_path",
    "pipeline_id",
    "pipeline_source",
    "project_id",
    "project_path",
    "project_visibility",
    "ref",
    "ref_path",
    "ref_protected",
    "ref_type",
    "runner_environment",
    "runner_id",
    "sha",
    "user_access_level",
    "user_email",
    "user_id",
    "user_identities",
    "user_login",
];

pub(super) const FORGEJO: &[&str] = &[
    "actor",
    "actor_id",
    "base_ref",
    "event_name",
    "head_ref",
    "ref",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "run_attempt",
    "run_id",
    "run_number",
    "sha",
    "workflow",
    "workflow_ref",
];

pub(super) const BUILDKITE: &[&str] = &[
    "agent_id",
    "build_branch",
    "build_commit",
    "build_number",
    "build_source",
    "build_tag",
    "job_id",
    "organization_slug",
    "pipeline_slug",
    "runner_environment",
    "step_key",
];

/// Their names have a host and a slash in them, and are no paths.
pub(super) const CIRCLECI: &[&str] = &[
    "oidc.circleci.com/context-ids",
    "oidc.circleci.com/job-id",
    "oidc.circleci.com/org-id",
    "oidc.circleci.com/pipeline-definition-id",
    "oidc.circleci.com/pipeline-id",
    "oidc.circleci.com/project-id",
    "oidc.circleci.com/ssh-rerun",
    "oidc.circleci.com/vcs-origin",
    "oidc.circleci.com/vcs-ref",
    "oidc.circleci.com/workflow-id",
];

pub(super) const CODEFRESH: &[&str] = &[
    "account_id",
    "account_name",
    "initiator",
    "pipeline_id",
    "pipeline_name",
    "platform_url",
    "runner_environment",
    "scm_ref",
    "scm_repo_url",
    "scm_user_name",
    "workflow_id",
];

pub(super) const BUDDY: &[&str] = &[
    "action_id",
    "action_name",
    "execution_id",
    "pipeline_id",
    "pipeline_name",
    "project_display_name",
    "project_name",
    "ref",
    "revision",
    "runner_environment",
    "triggered_on",
    "workspace_display_name",
    "workspace_domain",
];

pub(super) const BITBUCKET: &[&str] = &[
    "branchName",
    "deploymentEnvironmentUuid",
    "pipelineUuid",
    "repositoryUuid",
    "stepUuid",
    "workspaceUuid",
];

pub(super) const AZURE_DEVOPS: &[&str] = &[
    "def_id", "org_id", "prj_id", "rpo_id", "rpo_ref", "rpo_uri", "rpo_ver", "run_id",
];

/// What is inside depends on who asks.
pub(super) const AWS: &[&str] = &["https://sts.amazonaws.com/"];

/// Those of a person too.
pub(super) const GOOGLE: &[&str] = &[
    "at_hash",
    "azp",
    "email",
    "email_verified",
    "family_name",
    "given_name",
    "google",
    "hd",
    "locale",
    "name",
    "nonce",
    "picture",
    "profile",
];

/// With what is inside.
pub(super) const KUBERNETES: &[&str] = &[
    "kubernetes.io",
    "/kubernetes.io/namespace",
    "/kubernetes.io/node/name",
    "/kubernetes.io/node/uid",
    "/kubernetes.io/pod/name",
    "/kubernetes.io/pod/uid",
    "/kubernetes.io/secret/name",
    "/kubernetes.io/secret/uid",
    "/kubernetes.io/serviceaccount/name",
    "/kubernetes.io/serviceaccount/uid",
    "/kubernetes.io/warnafter",
];

pub(super) const CHAINGUARD: &[&str] = &["act", "email", "email_verified", "internal"];
