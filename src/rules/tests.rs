//! The rules as a whole: what they decide, and that they cannot decide otherwise.

mod lint;
mod properties;

use serde_json::{Value as Json, json};

use super::*;
use crate::json;

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const GITLAB: &str = "https://gitlab.com";

const RULES: &str = r#"
mode = "enforce"

[[deny]]
name = "no pull requests"
issuer = "https://token.actions.githubusercontent.com"
claims = { event_name = ["pull_request", "pull_request_target"] }

[[deny]]
name = "nobody called mallory"
claims = { actor = "mallory" }

[[allow]]
name = "acme release jobs"
issuer = "https://token.actions.githubusercontent.com"
max_lifetime = "5m"
[allow.claims]
repository_id = 456789
repository_owner_id = "123456"
event_name = ["push", "workflow_dispatch"]
ref = { glob = "refs/heads/release/*" }
runner_environment = "github-hosted"

[[allow]]
name = "acme anything at night"
issuer = "https://token.actions.githubusercontent.com"
claims = { repository_owner_id = "123456" }
when = "claims.run_attempt == '1' && has(claims.environment)"

[[allow]]
name = "clusters"
issuer = "https://oidc.eks.*.amazonaws.com/id/*"
claims = { "/kubernetes.io/namespace" = ["prod", { glob = "build-*" }] }

[[allow]]
name = "signed in with a second factor"
issuer = "https://accounts.example.com"
claims = { amr = "mfa", email_verified = true }
"#;

fn rules(text: &str) -> RuleSet {
    RuleSet::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn issuer(url: &str) -> IssuerUrl {
    IssuerUrl::new(url).unwrap()
}

fn decide(rules: &RuleSet, url: &str, claims: &Json) -> Decision {
    let claims = json::parse(claims.to_string().as_bytes()).unwrap();
    let claims = claims.as_object().unwrap();
    let decision = rules.decide(&issuer(url), claims);
    // The explanation is the same decision, and its rules bear it out.
    let explained = rules.explain(&issuer(url), claims);
    assert_eq!(explained.decision, decision);
    let first = explained.rules.iter().find(|rule| rule.holds());
    match &decision {
        Decision::Allowed { rule, .. } => {
            assert_eq!(
                first.map(|r| (&r.name, r.effect)),
                Some((rule, Effect::Allow))
            );
        }
        Decision::Refused(Refusal::Denied { rule }) => {
            assert_eq!(
                first.map(|r| (&r.name, r.effect)),
                Some((rule, Effect::Deny))
            );
        }
        Decision::Refused(Refusal::NoRule { .. } | Refusal::NoneHolds { .. }) => {
            assert_eq!(first, None);
        }
        Decision::Refused(Refusal::Undecided { .. }) => {}
    }
    decision
}

/// One word for a decision: `+rule`, `-rule`, `?closest claim` or `none`.
fn word(decision: Decision) -> String {
    match decision {
        Decision::Allowed { rule, .. } => format!("+{rule}"),
        Decision::Refused(Refusal::Denied { rule }) => format!("-{rule}"),
        Decision::Refused(Refusal::Undecided { rule, .. }) => format!("!{rule}"),
        Decision::Refused(Refusal::NoneHolds { rule, differs }) => {
            format!("?{rule}: {}", differs.name())
        }
        Decision::Refused(Refusal::NoRule { .. }) => "none".to_owned(),
    }
}

fn release() -> Json {
    json!({
        "repository_id": "456789", "repository_owner_id": "123456", "event_name": "push",
        "ref": "refs/heads/release/1.2", "runner_environment": "github-hosted", "actor": "jane",
        "run_attempt": "2",
    })
}

fn with(changes: &[(&str, Json)]) -> Json {
    let mut claims = release();
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    claims
}

#[test]
fn the_first_rule_that_holds_decides_and_refusing_ones_come_first() {
    let rules = rules(RULES);
    let release_jobs = "+acme release jobs";
    let night = "+acme anything at night";
    for (changes, expected) in [
        (vec![], release_jobs),
        (
            vec![("event_name", json!("workflow_dispatch"))],
            release_jobs,
        ),
        (vec![("repository_id", json!(456_789))], release_jobs),
        (vec![("ref", json!("refs/heads/release/"))], release_jobs),
        (
            vec![("event_name", json!("pull_request"))],
            "-no pull requests",
        ),
        (
            vec![("event_name", json!("pull_request_target"))],
            "-no pull requests",
        ),
        (
            vec![("event_name", json!(["push", "pull_request"]))],
            "-no pull requests",
        ),
        (vec![("actor", json!("mallory"))], "-nobody called mallory"),
        (vec![("actor", json!("Mallory"))], release_jobs),
        (
            vec![("ref", json!("refs/heads/main"))],
            "?acme release jobs: ref",
        ),
        (
            vec![("ref", json!("refs/heads/release/1/2"))],
            "?acme release jobs: ref",
        ),
        (vec![("ref", json!("refs/heads/release/*"))], release_jobs),
        (vec![("ref", json!(null))], "?acme release jobs: ref"),
        (
            vec![("event_name", json!("schedule"))],
            "?acme release jobs: event_name",
        ),
        (
            vec![("event_name", json!("Push"))],
            "?acme release jobs: event_name",
        ),
        (
            vec![("repository_id", json!("4567890"))],
            "?acme release jobs: repository_id",
        ),
        (
            vec![("repository_id", json!(456_789.5))],
            "?acme release jobs: repository_id",
        ),
        (vec![("repository_id", json!(["456789"]))], release_jobs),
        (
            vec![("repository_id", json!([]))],
            "?acme release jobs: repository_id",
        ),
        (
            vec![("repository_id", json!({ "a": "456789" }))],
            "?acme release jobs: repository_id",
        ),
        (
            vec![("runner_environment", json!("self-hosted"))],
            "?acme release jobs: runner_environment",
        ),
        (
            vec![("runner_environment", json!(true))],
            "?acme release jobs: runner_environment",
        ),
        (
            vec![
                ("ref", json!("x")),
                ("run_attempt", json!("1")),
                ("environment", json!("prod")),
            ],
            night,
        ),
        (
            vec![("ref", json!("x")), ("run_attempt", json!("1"))],
            "?acme release jobs: ref",
        ),
        (
            vec![
                ("ref", json!("x")),
                ("run_attempt", json!(1)),
                ("environment", json!("prod")),
            ],
            "?acme release jobs: ref",
        ),
        (
            vec![("repository_owner_id", json!("1"))],
            "?acme release jobs: repository_owner_id",
        ),
    ] {
        let claims = with(&changes);
        assert_eq!(word(decide(&rules, GITHUB, &claims)), expected, "{claims}");
    }
    for (url, claims, expected) in [
        (GITLAB, release(), "none"),
        (
            GITLAB,
            with(&[("actor", json!("mallory"))]),
            "-nobody called mallory",
        ),
        (
            "https://token.actions.githubusercontent.com/",
            release(),
            "none",
        ),
        (
            "https://oidc.eks.eu-1.amazonaws.com/id/A",
            json!({ "kubernetes.io": { "namespace": "prod" } }),
            "+clusters",
        ),
        (
            "https://oidc.eks.eu-1.amazonaws.com/id/A",
            json!({ "kubernetes.io": { "namespace": "build-7" } }),
            "+clusters",
        ),
        (
            "https://oidc.eks.eu-1.amazonaws.com/id/A",
            json!({ "kubernetes.io": { "namespace": "dev" } }),
            "?clusters: /kubernetes.io/namespace",
        ),
        (
            "https://oidc.eks.eu-1.amazonaws.com/id/A",
            json!({ "/kubernetes.io/namespace": "prod" }),
            "?clusters: /kubernetes.io/namespace",
        ),
        (
            "https://oidc.eks.eu-1.amazonaws.com/id/A/B",
            json!({ "kubernetes.io": { "namespace": "prod" } }),
            "none",
        ),
        (
            "https://accounts.example.com",
            json!({ "amr": ["pwd", "mfa"], "email_verified": true }),
            "+signed in with a second factor",
        ),
        (
            "https://accounts.example.com",
            json!({ "amr": ["pwd"], "email_verified": true }),
            "?signed in with a second factor: amr",
        ),
        (
            "https://accounts.example.com",
            json!({ "amr": "mfa", "email_verified": false }),
            "?signed in with a second factor: email_verified",
        ),
    ] {
        assert_eq!(
            word(decide(&rules, url, &claims)),
            expected,
            "{url} {claims}"
        );
    }
}

/// What [`RULES`] mean, said once more without any of their machinery.
fn in_plain_words(
    event: &str,
    branch: &str,
    id: &str,
    runner: &str,
    again: bool,
    who: &str,
) -> String {
    if event == "pull_request" {
        return "-no pull requests".to_owned();
    }
    if who == "mallory" {
        return "-nobody called mallory".to_owned();
    }
    // The lines of the first rule, in the order of its file: the owner's always holds here.
    let lines = [
        ("repository_id", id == "456789"),
        ("event_name", event == "push"),
        (
            "ref",
            branch.starts_with("refs/heads/release/") && branch.matches('/').count() == 3,
        ),
        ("runner_environment", runner == "github-hosted"),
    ];
    let first = lines.iter().find(|(_, holds)| !holds);
    match first {
        None => "+acme release jobs".to_owned(),
        Some(_) if !again => "+acme anything at night".to_owned(),
        // The other rule has one line of two: as close as the first with one line of five.
        Some((claim, _)) => format!("?acme release jobs: {claim}"),
    }
}

#[test]
fn every_combination_of_claims_is_decided_as_the_rules_say() {
    let rules = rules(RULES);
    let mut cases = 0;
    for event in ["push", "schedule", "pull_request"] {
        for branch in [
            "refs/heads/release/1",
            "refs/heads/release/1/2",
            "refs/tags/release/1",
        ] {
            for id in ["456789", "45678", "*"] {
                for runner in ["github-hosted", "self-hosted"] {
                    for again in [false, true] {
                        for who in ["jane", "mallory"] {
                            let claims = json!({
                                "repository_id": id, "repository_owner_id": "123456",
                                "event_name": event, "ref": branch, "runner_environment": runner,
                                "actor": who, "environment": "prod",
                                "run_attempt": if again { "2" } else { "1" },
                            });
                            let expected = in_plain_words(event, branch, id, runner, again, who);
                            let got = word(decide(&rules, GITHUB, &claims));
                            assert_eq!(got, expected, "{claims}");
                            cases += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 216);
}

#[test]
fn a_rule_may_shorten_the_life_of_what_it_allows() {
    let rules = rules(RULES);
    let Decision::Allowed { max_lifetime, .. } = decide(&rules, GITHUB, &release()) else {
        panic!("refused")
    };
    assert_eq!(max_lifetime, Some(Duration::from_secs(300)));
}

#[test]
fn a_refusal_says_what_came_closest() {
    let rules = rules(RULES);
    let text = |changes: &[(&str, Json)]| match decide(&rules, GITHUB, &with(changes)) {
        Decision::Refused(refusal) => refusal.to_string(),
        Decision::Allowed { rule, .. } => panic!("allowed by {rule}"),
    };
    assert_eq!(
        text(&[("ref", json!("refs/heads/dev"))]),
        "no rule allows this identity; closest is \"acme release jobs\": ref wanted refs/heads/release/*, token has \"refs/heads/dev\""
    );
    assert_eq!(
        text(&[("event_name", json!(null))]),
        "no rule allows this identity; closest is \"acme release jobs\": event_name wanted \"push\" or \"workflow_dispatch\", token has none"
    );
    let long = text(&[("ref", json!("x".repeat(5000)))]);
    assert!(long.ends_with('…') && long.len() < 400, "{long}");
}

#[test]
fn a_value_that_identifies_a_token_is_not_repeated() {
    let rules = rules("[[allow]]\nname='a'\nissuer='https://gitlab.com'\nclaims={jti='x'}");
    let Decision::Refused(refusal) = decide(&rules, GITLAB, &json!({ "jti": "secret" })) else {
        panic!("allowed")
    };
    assert_eq!(
        refusal.to_string(),
        "no rule allows this identity; closest is \"a\": jti wanted \"x\", token has a value that is not shown"
    );
}

#[test]
fn a_refusing_rule_that_cannot_be_evaluated_refuses() {
    let text = "[[deny]]\nname='d'\nwhen=\"claims.environment == 'dev'\"\n\
        [[allow]]\nname='a'\nissuer='https://gitlab.com'\nclaims={project_id='1'}";
    let rules = rules(text);
    let of = |claims: Json| word(decide(&rules, GITLAB, &claims));
    assert_eq!(of(json!({ "project_id": "1" })), "!d");
    assert_eq!(of(json!({ "project_id": "1", "environment": "dev" })), "-d");
    assert_eq!(
        of(json!({ "project_id": "1", "environment": "prod" })),
        "+a"
    );
}

#[test]
fn without_a_rule_nobody_is_allowed() {
    let rules = rules("");
    assert!(rules.is_empty());
    assert_eq!(word(decide(&rules, GITHUB, &release())), "none");
}

#[test]
fn a_file_is_read_strictly() {
    let allow = "[[allow]]\nname = \"a\"\nissuer = \"https://gitlab.com\"\n";
    for (text, error) in [
        (
            "mod = 1",
            "line 1: there is no key \"mod\" here; did you mean \"mode\"?",
        ),
        (
            "mode = \"off\"",
            "line 1: mode is \"off\"; write \"enforce\" or \"shadow\"",
        ),
        (
            "\n[[alow]]",
            "line 2: there is no key \"alow\" here; did you mean \"allow\"?",
        ),
        (
            "[allow]\nname = \"a\"",
            "line 1: allow is [allow]; write each rule as a table of its own: [[allow]] or [[deny]]",
        ),
        (
            "[[allow]]\nissuer = \"https://a.b\"",
            "line 1: this rule has no \"name\": decisions, records and refusals name their rule",
        ),
        (
            "[[allow]]\nname = \"a\"",
            "line 1: this rule has no \"issuer\": the `iss` of the tokens it is about, byte for byte",
        ),
        (
            "[[allow]]\nname = \" \"",
            "line 2: name is \" \"; write 1 to 100 characters",
        ),
        (
            allow,
            "line 1: this rule has no \"claims\": a rule without any is about everybody of its issuer",
        ),
        (
            &format!("{allow}claims = {{}}"),
            "line 1: this rule has no \"claims\": a rule without any is about everybody of its issuer",
        ),
        (
            &format!("{allow}claims = {{ ref = [] }}"),
            "line 4: ref is []; write 1 to 1000 values",
        ),
        (
            &format!("{allow}claims = {{ ref = 1.5 }}"),
            "line 4: ref is 1.5; write a text, true, false or an integer, { glob = \"…\" }, or a list of these",
        ),
        (
            &format!("{allow}claims = {{ ref = [[\"a\"]] }}"),
            "line 4: ref is [\"a\"]; write a text, true, false or an integer, { glob = \"…\" }, or a list of these",
        ),
        (
            &format!("{allow}claims = {{ ref = {{ globb = \"a\" }} }}"),
            "line 4: there is no key \"globb\" here; did you mean \"glob\"?",
        ),
        (
            &format!("{allow}claims = {{ ref = {{ glob = \"a\" }} }}"),
            "line 4: claim \"ref\" cannot be matched",
        ),
        (
            &format!("{allow}claims = {{ sub = {{ glob = \"repo:acme/*\" }} }}"),
            "line 4: \"sub\" is a text that its issuer composes; write its claims, or the exact value",
        ),
        (
            &format!("{allow}claims = {{ \"/a~\" = \"x\" }}"),
            "line 4: claims cannot be read",
        ),
        (
            "[[deny]]\nname = \"x\"\nissuer = \"https://a.example\"\n[deny.claims]\nactor = \"x\"\nwhen = \"true\"\n",
            "line 6: \"when\" is among the claims here: write it above them, or \"/when\" for a claim of that name",
        ),
        (
            &format!("{allow}when = \"claims.\""),
            "line 4: when cannot be used",
        ),
        (
            &format!("{allow}claims = {{ ref = \"a\" }}\nmax_lifetime = \"1h\""),
            "line 5: max_lifetime is \"1h\"; write a time between \"30s\" and \"10m\"",
        ),
        (
            &format!("{allow}claims = {{ ref = \"a\" }}\nmax_lifetime = \"29s\""),
            "line 5: max_lifetime is \"29s\"; write a time between \"30s\" and \"10m\"",
        ),
        (
            &format!("{allow}claims = {{ ref = \"a\" }}\n{allow}claims = {{ ref = \"a\" }}"),
            "line 5: rule \"a\" is on line 1 already",
        ),
        (
            "[[deny]]\nname = \"d\"\nnames_only = true",
            "line 3: there is no key \"names_only\" here",
        ),
        (
            "[[allow]]\nname = \"a\"\nissuer = \"gitlab.com\"",
            "line 3: issuer cannot be used",
        ),
        (
            "[[allow]]\nname = \"a\"\nissuer = \"https://*.com/\"",
            "line 3: issuer cannot be used",
        ),
    ] {
        let got = RuleSet::parse(text).map(|_| ()).unwrap_err();
        assert_eq!(got.to_string(), error, "{text}");
    }
    for text in ["[[", "a = ", "mode = \"enforce\"\nmode = \"shadow\""] {
        let error = RuleSet::parse(text).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Syntax { .. }), "{text}: {error}");
    }
}

#[test]
fn a_file_is_bounded() {
    let many = |rules: usize| -> String {
        let rule = |at| format!("[[deny]]\nname = \"{at}\"\nclaims = {{ ref = \"a\" }}\n");
        (0..rules).map(rule).collect()
    };
    assert_eq!(rules(&many(MAX_RULES)).len(), MAX_RULES);
    let error = RuleSet::parse(&many(MAX_RULES + 1)).unwrap_err();
    assert_eq!(
        error,
        Error::TooMany {
            rules: MAX_RULES + 1
        }
    );
    let text = " ".repeat(MAX_FILE_BYTES);
    assert!(rules(&text).is_empty());
    let bytes = MAX_FILE_BYTES + 1;
    let error = RuleSet::parse(&(text + " ")).unwrap_err();
    assert_eq!(error, Error::TooLong { bytes });
}

#[test]
fn a_claim_of_many_values_is_bounded_in_the_file_and_in_the_answer() {
    let with_values = |values: usize| {
        let values: Vec<String> = (0..values).map(|at| format!("\"v{at}\"")).collect();
        let issuer = "name = \"a\"\nissuer = \"https://gitlab.com\"";
        format!(
            "[[allow]]\n{issuer}\nclaims = {{ ref = [{}] }}",
            values.join(",")
        )
    };
    let error = RuleSet::parse(&with_values(MAX_VALUES + 1)).unwrap_err();
    assert!(matches!(error, Error::Value { line: 4, .. }), "{error}");
    let most = rules(&with_values(MAX_VALUES));
    let Decision::Refused(refusal) = decide(&most, GITLAB, &json!({})) else {
        panic!("nothing holds")
    };
    assert!(refusal.to_string().len() < 300, "{refusal}");
}

#[test]
fn a_key_of_the_file_in_a_rule_is_sent_above_the_first() {
    let rule = format!("[[allow]]\nname='a'\nissuer='{GITHUB}'\nclaims={{repository_id='1'}}\n");
    let error = RuleSet::parse(&format!("{rule}mode='shadow'\n")).unwrap_err();
    let (line, key) = (5, "mode");
    assert_eq!(error, Error::Misplaced { line, key });
    assert!(RuleSet::parse(&format!("mode='shadow'\n{rule}")).is_ok());
}
