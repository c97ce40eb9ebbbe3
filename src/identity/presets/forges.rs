//! Forges with CI of their own, on one's own address: GitLab, Forgejo; and Jenkins.

use super::claims;
use super::facts::{Audience, DAY, Facts, HOUR, Limits, MINUTE, Reading, SEVERAL};
use super::site::{Place, Site};
use crate::identity::{Definition, IdClaims, builtin};

/// gitlab.com and every other instance: the issuer is the instance's address, and so are the URLs.
pub(super) const GITLAB: Facts = Facts {
    word: "gitlab",
    title: "GitLab",
    claims: claims::GITLAB,
    issuer: None,
    shape: "the address of the instance, such as https://gitlab.com, without a slash at its end",
    families: &[],
    place: |site| Place::at(&site.before(&[])?),
    reading: Reading::Table(builtin::GITLAB),
    audience: Audience::Free,
    limits: Limits {
        // The job's timeout is the token's life, and nobody asks for a second one.
        max_token_age_s: DAY,
        max_token_lifetime_s: DAY,
        certificates_per_token: SEVERAL,
        why: "a job is handed one token when it starts and has it until its timeout",
    },
    ids: IdClaims {
        any_of: &["project_id", "namespace_id"],
        ref_kind: Some("ref_type"),
        event: Some("pipeline_source"),
        runner: Some("runner_environment"),
        ..IdClaims::NONE
    },
    unverified: &["ci_config_ref_uri of an instance with a port or a path: taken to have both"],
};

/// Forgejo Actions. Its claims are GitHub's but for the runner, the visibility and everything
/// about reusable workflows; the ids came later (forgejo#12355), and without them a token says
/// only names, which is too little.
pub(super) const FORGEJO: Facts = Facts {
    word: "forgejo",
    title: "Forgejo",
    claims: claims::FORGEJO,
    issuer: None,
    shape: "https://HOST/api/actions",
    families: &[],
    place: |site| Place::at(&site.before(&["api", "actions"])?),
    reading: Reading::Table(Definition {
        required: &[
            "workflow_ref",
            "repository",
            "sha",
            "ref",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
            "event_name",
            "run_number",
        ],
        extensions: &[
            (9, "{instance}/{{ .workflow_ref }}"),
            (12, "{instance}/{{ .repository }}"),
            (13, "sha"),
            (14, "ref"),
            (15, "repository_id"),
            (16, "{instance}/{{ .repository_owner }}"),
            (17, "repository_owner_id"),
            (18, "{instance}/{{ .workflow_ref }}"),
            (20, "event_name"),
            (
                21,
                "{instance}/{{ .repository }}/actions/runs/{{ .run_number }}",
            ),
        ],
        san: "{instance}/{{ .workflow_ref }}",
        ..Definition::EMPTY
    }),
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: 10 * MINUTE,
        // ID_TOKEN_EXPIRATION_TIME, if the instance leaves it as it is.
        max_token_lifetime_s: HOUR,
        certificates_per_token: 1,
        why: "a job asks for a token whenever it needs one, as on GitHub",
    },
    ids: IdClaims {
        any_of: &["repository_id", "repository_owner_id"],
        ref_kind: Some("ref_type"),
        event: Some("event_name"),
        ..IdClaims::NONE
    },
    unverified: &[
        "workflow_ref: taken to be OWNER/REPOSITORY/PATH@REF as on GitHub",
        "the page of a run: taken to be numbered by run_number",
        "whether ids are strings or numbers: both are taken",
    ],
};

/// Jenkins with the oidc-provider plugin, as it is without changed claim templates: `sub` is the
/// address of the job, and has to be one of this controller, or of the folder that has its own
/// issuer.
pub(super) const JENKINS: Facts = Facts {
    word: "jenkins",
    title: "Jenkins",
    claims: claims::ANY,
    issuer: None,
    shape: "https://HOST/oidc, or https://HOST/oidc/job/FOLDER for the credentials of a folder",
    families: &[],
    place: jenkins,
    reading: Reading::Table(Definition {
        defaults: &[("build_number", ""), ("git_url", "")],
        required: &["sub"],
        begins: &[("sub", "{instance}{account}/job/")],
        extensions: &[
            (9, "sub"),
            (12, "git_url"),
            (18, "sub"),
            (
                21,
                "{{ if .build_number }}{{ .sub }}{{ .build_number }}/{{ end }}",
            ),
        ],
        san: "{{ .sub }}",
        ..Definition::EMPTY
    }),
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: HOUR,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "a credential binding writes one token of an hour into the build's environment",
    },
    ids: IdClaims {
        names: &["sub"],
        ..IdClaims::NONE
    },
    unverified: &[
        "JOB_URL of folders with unusual characters: taken to be escaped as the issuer is",
    ],
};

/// Of the root the account is nothing, of a folder its path: `/job/FOLDER/job/INNER`.
fn jenkins(site: &Site<'_>) -> Option<Place> {
    let at = site.path.iter().position(|segment| *segment == "oidc")?;
    let (context, folder) = (&site.path[..at], &site.path[at + 1..]);
    let pairs = folder.chunks(2);
    let is_folder = |pair: &[&str]| matches!(pair, ["job", name] if !name.is_empty());
    if !pairs.clone().all(is_folder) {
        return None;
    }
    let instance = [&[site.origin], context].concat().join("/");
    let folder: String = folder.iter().map(|segment| format!("/{segment}")).collect();
    Place::of(&instance, &folder)
}
