//! What is told of rules that are well written.

use super::*;
use crate::identity::presets::Preset;

#[test]
fn rules_are_looked_over() {
    let of = |about: &Issuers| match about {
        Issuers::One(issuer) if issuer.as_str() == GITHUB => Known::Of {
            providers: vec![Preset::Github],
            others: false,
        },
        Issuers::One(issuer) if issuer.as_str() == GITLAB => Known::Of {
            providers: Vec::new(),
            others: true,
        },
        Issuers::One(_) | Issuers::Family(_) | Issuers::All => {
            Known::NotConfigured { nearest: None }
        }
    };
    let findings = |claims: &str| -> Vec<_> {
        let text = format!("[[allow]]\nname='a'\nissuer='{GITHUB}'\n{claims}");
        let found = rules(&text).findings(&of);
        found.into_iter().map(|f| (f.severity, f.text)).collect()
    };
    let quiet = "claims={repository_id='1',ref='r',ref_type='branch',event_name='push',runner_environment='github-hosted'}";
    assert_eq!(findings(quiet), []);
    let names =
        "claims={repository='acme/app',event_name='push',runner_environment='github-hosted'}";
    let wanted =
        "names can change hands: add repository_id or repository_owner_id, or names_only = true";
    assert_eq!(findings(names), [(Severity::Error, wanted.to_owned())]);
    let pattern = names.replace("repository='acme/app'", "repository_id={glob='1*'}");
    assert_eq!(findings(&pattern), [(Severity::Error, wanted.to_owned())]);
    let only = format!("names_only=true\n{names}");
    assert_eq!(findings(&only)[0].0, Severity::Warning);
    let open: Vec<_> = findings("claims={repository_id='1',sub='s',ref='r',workflow_ref='w'}");
    assert!(
        open.iter()
            .all(|(severity, _)| *severity == Severity::Warning)
    );
    assert_eq!(open.len(), 5, "{open:?}");

    let other = |issuer: &str| {
        let text = format!("[[allow]]\nname='a'\nissuer='{issuer}'\nclaims={{a='b'}}");
        rules(&text).findings(&of)
    };
    assert_eq!(other(GITLAB), []);
    let found = other("https://elsewhere.example");
    assert_eq!(
        found[0].text,
        "issuer \"https://elsewhere.example\" is not configured: this rule never holds"
    );
}

#[test]
fn a_line_that_holds_for_nobody_is_told_in_both_kinds_of_rules() {
    let of = |about: &Issuers| {
        let preset = match about {
            Issuers::One(issuer) if issuer.as_str() == GITHUB => Preset::Github,
            Issuers::One(issuer) if issuer.as_str() == GITLAB => Preset::Gitlab,
            Issuers::One(_) => Preset::Circleci,
            Issuers::Family(_) => Preset::Kubernetes,
            Issuers::All => Preset::Github,
        };
        let (providers, others) = (vec![preset], *about == Issuers::All);
        Known::Of { providers, others }
    };
    let found = |rule: &str| -> Vec<_> {
        let found = rules(rule).findings(&of).into_iter();
        found.map(|f| (f.severity, f.text)).collect()
    };
    let circle = "issuer='https://oidc.circleci.com/org/x'";
    let cluster = "issuer='https://*.example.com'";
    for (rest, wanted) in [
        (
            "claims={event='pull_request'}",
            "GitHub tokens have no claim \"event\"; did you mean \"event_name\"?",
        ),
        (
            "claims={runer_environment='self-hosted'}",
            "GitHub tokens have no claim \"runer_environment\"; did you mean \"runner_environment\"?",
        ),
        (
            "when='claims.event == \"pull_request\"'",
            "GitHub tokens have no claim \"event\"; did you mean \"event_name\"?",
        ),
        (
            "claims={ref='refs/heads/*'}",
            "\"*\" is plain text here: write ref = { glob = \"refs/heads/*\" }",
        ),
        (
            "claims={sub='repo:acme/*'}",
            "\"*\" in \"sub\" is plain text, and \"sub\" takes no pattern: write its claims",
        ),
        (
            &format!("{circle}\nclaims={{ssh_rerun='true'}}"),
            "CircleCI tokens have no claim \"ssh_rerun\"; did you mean \"oidc.circleci.com/ssh-rerun\"?",
        ),
        (
            &format!("{circle}\nclaims={{org-id='1'}}"),
            "CircleCI tokens have no claim \"org-id\"; did you mean \"oidc.circleci.com/org-id\"?",
        ),
        (
            &format!("{cluster}\nclaims={{'kubernetes.io/namespace'='x'}}"),
            "\"kubernetes.io/namespace\" is inside another claim: begin with \"/\", \"/kubernetes.io/namespace\"",
        ),
        (
            &format!("{cluster}\nclaims={{'/kubernetes.io/pods/name'='x'}}"),
            "Kubernetes tokens have no claim \"/kubernetes.io/pods/name\"; did you mean \"/kubernetes.io/pod/name\"?",
        ),
    ] {
        let wanted = (Severity::Warning, wanted.to_owned());
        let deny = found(&format!("[[deny]]\nname='d'\n{rest}"));
        assert_eq!(deny, std::slice::from_ref(&wanted), "{rest}");
        let issuer = if rest.contains("issuer=") {
            String::new()
        } else {
            format!("issuer='{GITHUB}'\n")
        };
        let allow = found(&format!("[[allow]]\nname='a'\n{issuer}{rest}"));
        assert!(allow.contains(&wanted), "{rest}: {allow:?}");
    }
    for quiet in [
        "claims={event_name='pull_request'}",
        "claims={ref={glob='refs/heads/*'}}",
        "claims={'/event_name'='pull_request'}",
        "when='claims[\"event_name\"] == \"x\" || has(claims.jti)'",
        // Some issuer is of nobody known.
        "claims={department='x'}",
        &format!("{circle}\nclaims={{'oidc.circleci.com/ssh-rerun'='true'}}"),
        &format!("{cluster}\nclaims={{'/kubernetes.io/namespace'='x'}}"),
    ] {
        assert_eq!(
            found(&format!("[[deny]]\nname='d'\n{quiet}")),
            [],
            "{quiet}"
        );
    }
    // Nobody else there is, so it is said even of a claim that looks like none.
    let alone = found(&format!(
        "[[deny]]\nname='d'\nissuer='{GITHUB}'\nclaims={{department='x'}}"
    ));
    assert_eq!(alone[0].1, "GitHub tokens have no claim \"department\"");
}

#[test]
fn a_claim_that_a_condition_names_is_not_asked_for_again() {
    let of = |_: &Issuers| Known::Of {
        providers: vec![Preset::Github],
        others: false,
    };
    let rule = format!(
        "[[allow]]\nname='a'\nissuer='{GITHUB}'\nclaims={{repository_id='1',runner_environment='github-hosted'}}"
    );
    let texts = |text: &str| -> Vec<String> {
        let found = rules(text).findings(&of).into_iter();
        found.map(|f| f.text).collect()
    };
    assert_eq!(
        texts(&rule),
        ["pull requests may start such a job: add event_name"]
    );
    let when = format!("{rule}\nwhen='claims.event_name in [\"push\", \"schedule\"]'");
    assert_eq!(texts(&when), [""; 0]);
}

/// Whoever has a cluster there signs what it likes.
#[test]
fn names_in_a_family_that_anybody_may_be_of_are_refused() {
    let of = |_: &Issuers| Known::Of {
        providers: vec![Preset::Kubernetes],
        others: false,
    };
    let worst = |issuer: &str, more: &str| {
        let account = "'/kubernetes.io/namespace'='prod','/kubernetes.io/serviceaccount/name'='ci'";
        let rule = format!("[[allow]]\nname='a'\nissuer='{issuer}'\n{more}claims={{{account}}}\n");
        let found = rules(&rule).findings(&of).into_iter();
        found.max_by_key(|found| found.severity).unwrap()
    };
    let family = "https://oidc.eks.*.amazonaws.com/id/*";
    let found = worst(family, "");
    assert_eq!(found.severity, Severity::Error);
    assert!(
        found
            .text
            .starts_with("whoever has an issuer of this family chooses /kubernetes.io/"),
        "{}",
        found.text
    );
    let one = worst("https://oidc.eks.us-east-1.amazonaws.com/id/1", "");
    assert_eq!(one.severity, Severity::Warning);
    assert_eq!(
        worst(family, "names_only=true\n").severity,
        Severity::Warning
    );
}
