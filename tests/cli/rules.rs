//! `rules check`, `lint`, `explain` and `test`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::program::Place;

const RULES: &str = r#"
[[allow]]
name = "acme releases"
issuer = "https://token.actions.githubusercontent.com"
[allow.claims]
repository_id = "456789"
event_name = ["push", "workflow_dispatch"]
ref = { glob = "refs/heads/release/*" }
ref_type = "branch"
runner_environment = "github-hosted"

[[deny]]
name = "no pull requests"
claims = { event_name = "pull_request" }
"#;

/// What the rule allows, with these members instead.
fn claims(instead: Value) -> Value {
    let mut claims = json!({
        "iss": "https://token.actions.githubusercontent.com",
        "sub": "repo:acme/app:ref:refs/heads/release/1",
        "aud": "https://ca.example",
        "iat": 1_795_262_400, "exp": 1_795_262_700,
        "jti": "not-to-be-shown",
        "repository_id": "456789",
        "event_name": "push",
        "ref": "refs/heads/release/1",
        "ref_type": "branch",
        "runner_environment": "github-hosted",
    });
    let (all, instead) = (
        claims.as_object_mut().unwrap(),
        instead.as_object().unwrap(),
    );
    all.extend(instead.clone());
    claims
}

/// A place with the rules, and a configuration that names them.
fn place() -> Place {
    let place = Place::new();
    place.write("rules.toml", RULES);
    place.write(
        "shortleaf.toml",
        "[identity]\nrules = \"rules.toml\"\n\
         [[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example/2026\"\nkey = \"log.pub.pem\"\n\
         [[issuer]]\npreset = \"github\"\naudiences = [\"https://ca.example\"]\n",
    );
    place
}

#[test]
fn a_rule_file_is_checked_by_its_name_or_as_the_configuration_names_it() {
    let place = place();
    for words in [
        &["rules", "check"][..],
        &["rules", "check", "rules.toml"],
        &["rules", "check", "rules.toml", "-c", "shortleaf.toml"],
        &["rules", "lint"],
    ] {
        let ended = place.run(words).exits(0);
        assert_eq!(ended.stdout, "ok 2 rule(s), 0 warning(s)\n");
        assert_eq!(ended.stderr, "");
    }
    let facts = place.run(&["--json", "rules", "check"]).exits(0).json();
    assert_eq!(facts["rules"], 2);
    assert_eq!(facts["mode"], "enforce");
    assert_eq!(facts["warnings"], 0);
}

#[test]
fn the_shipped_rules_can_be_used() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rules.toml");
    Place::new().run(&["rules", "check", shipped]).exits(0);
}

#[test]
fn what_makes_a_rule_file_unusable_is_told_with_file_and_line() {
    let place = place();
    for (old, new, told) in [
        ("event_name =", "event_name", "FAIL 3  rules.toml:7: "),
        (
            "issuer = \"https",
            "isuer = \"https",
            "FAIL 3  rules.toml:4: there is no key \"isuer\" here; did you mean \"issuer\"?",
        ),
        (
            "repository_id = \"456789\"",
            "repository = \"acme/app\"",
            "FAIL 3  rules.toml:2: rule \"acme releases\": names can change hands: add repository_id or repository_owner_id",
        ),
    ] {
        place.write("rules.toml", &RULES.replace(old, new));
        for verb in ["check", "lint"] {
            place
                .run(&["rules", verb])
                .exits(3)
                .says(told)
                .says("try: ");
            place
                .run(&["rules", verb, "rules.toml"])
                .exits(3)
                .says(told);
        }
        let error = place.run(&["--json", "rules", "check"]).exits(3).error();
        assert_eq!(error["code"], "CONFIGURATION");
        assert_eq!(error["doc"], "docs/rules.md");
    }
}

#[test]
fn lint_prints_what_check_counts() {
    let place = place();
    let open = RULES.replace("runner_environment = \"github-hosted\"\n", "");
    place.write("rules.toml", &open);
    let checked = place.run(&["rules", "check"]).exits(0);
    assert_eq!(checked.stdout, "ok 2 rule(s), 1 warning(s)\n");
    let told = "rules.toml:2: rule \"acme releases\": self-hosted runners may run it: add runner_environment\n";
    let linted = place.run(&["rules", "lint"]).exits(0);
    assert_eq!(linted.stdout, format!("{told}{}", checked.stdout));
    let facts = place.run(&["--json", "rules", "lint"]).exits(0).json();
    assert_eq!(facts["findings"][0]["line"], 2);
}

#[test]
fn an_issuer_can_only_be_missing_where_a_configuration_says_which_there_are() {
    let place = place();
    let other = RULES.replace("githubusercontent.com", "githubusercontent.com/acme");
    place.write("rules.toml", &other);
    let alone = place.run(&["rules", "lint", "rules.toml"]).exits(0);
    assert_eq!(alone.stdout, "ok 2 rule(s), 0 warning(s)\n");
    let beside = place.run(&["rules", "lint"]).exits(0);
    assert!(
        beside
            .stdout
            .contains("is not configured: this rule never holds"),
        "{beside}"
    );
}

#[test]
fn without_rules_in_the_configuration_a_file_has_to_be_named() {
    let place = place();
    let without = place.read("shortleaf.toml").replace("rules =", "# rules =");
    place.write("shortleaf.toml", &without);
    place
        .run(&["rules", "check"])
        .exits(3)
        .says("the configuration has no identity.rules");
    place.run(&["rules", "check", "rules.toml"]).exits(0);
}

#[test]
fn an_explanation_shows_every_line_and_ends_as_the_server_would() {
    let place = place();
    let explain = |instead: Value| {
        let claims = claims(instead).to_string();
        place.run(&[
            "rules",
            "explain",
            "--rules",
            "rules.toml",
            "--claims",
            &claims,
        ])
    };
    let allowed = explain(json!({})).exits(0);
    assert_eq!(
        allowed.stdout,
        "token    claims as given, nobody vouches for them\n\
         deny     \"no pull requests\"  rules.toml:12  no: 0 of 1 lines hold\n           \
         no  event_name wanted \"pull_request\", token has \"push\"\n\
         allow    \"acme releases\"  rules.toml:2  yes: 5 of 5 lines hold\n           \
         ok  repository_id wanted \"456789\", token has \"456789\"\n           \
         ok  event_name wanted \"push\" or \"workflow_dispatch\", token has \"push\"\n           \
         ok  ref wanted refs/heads/release/*, token has \"refs/heads/release/1\"\n           \
         ok  ref_type wanted \"branch\", token has \"branch\"\n           \
         ok  runner_environment wanted \"github-hosted\", token has \"github-hosted\"\n\
         result   ALLOWED 0   by \"acme releases\"\n"
    );
    let refused = explain(json!({ "ref": "refs/heads/dev" })).exits(25);
    let end = "result   REFUSED 25   no rule allows this identity; closest is \"acme releases\": \
               ref wanted refs/heads/release/*, token has \"refs/heads/dev\"\n";
    assert!(refused.stdout.ends_with(end), "{refused}");
    let denied = explain(json!({ "event_name": "pull_request" })).exits(25);
    denied
        .says("FAIL 25  rule \"no pull requests\" refuses this identity")
        .says("try: ");
    let foreign = explain(json!({ "iss": "https://other.example" })).exits(25);
    assert!(
        foreign
            .stdout
            .contains("allow    no rule about this issuer\n"),
        "{foreign}"
    );
}

#[test]
fn an_explanation_is_an_object_beside_its_error() {
    let place = place();
    let claims = claims(json!({ "ref": "refs/heads/dev" })).to_string();
    place.write("claims.json", &claims);
    let words = ["--json", "rules", "explain", "--claims", "claims.json"];
    let ended = place.run(&words).exits(25);
    let facts = ended.json();
    assert_eq!(facts["allowed"], false);
    assert_eq!(facts["rule"], "acme releases");
    assert_eq!(facts["rules"][1]["lines"][2]["name"], "ref");
    assert_eq!(facts["rules"][1]["lines"][2]["holds"], false);
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["code"], "REFUSED");
}

/// A token with a signature that nobody made.
fn token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(&json!({ "alg": "ES256", "typ": "JWT" }));
    format!(
        "{header}.{}.{}",
        part(claims),
        URL_SAFE_NO_PAD.encode([7; 64])
    )
}

/// The same as if it had been issued now.
fn fresh(instead: Value) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_secs();
    let mut claims = claims(json!({ "iat": now, "exp": now + 300 }));
    let all = claims.as_object_mut().unwrap();
    all.extend(instead.as_object().unwrap().clone());
    claims
}

#[test]
fn a_token_is_read_without_its_signature_and_never_printed() {
    let place = place();
    let good = token(&fresh(json!({})));
    let explain = ["rules", "explain", "-"];
    let ended = place
        .call(&explain)
        .stdin(&format!("{good}\n"))
        .run()
        .exits(0);
    let first = "token    signature not checked · audience ok · times ok\n";
    assert!(ended.stdout.starts_with(first), "{ended}");
    for secret in [good.as_str(), "not-to-be-shown"] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    }
    for (bad, told) in [
        (
            token(&fresh(json!({ "aud": "https://other.example" }))),
            "https://other.example",
        ),
        (token(&fresh(json!({ "exp": 1, "iat": 0 }))), "expired"),
        (
            token(&fresh(json!({ "iss": "https://other.example" }))),
            "is not configured",
        ),
        ("x.y".to_owned(), "FAIL 4  "),
    ] {
        let ended = place.call(&explain).stdin(&bad).run().exits(4);
        assert_eq!(ended.stdout, "");
        ended.says(told);
    }
    // Without a configuration nothing is known of audiences.
    place.write(
        "token.jwt",
        &token(&fresh(json!({ "aud": "https://other.example" }))),
    );
    let words = ["rules", "explain", "token.jwt", "--rules", "rules.toml"];
    let ended = place.run(&words).exits(0);
    let first = "token    signature, audience and times not checked\n";
    assert!(ended.stdout.starts_with(first), "{ended}");
}

const CASES: &str = r#"
[[case]]
name = "a release"
claims = "release.json"
expect = "acme releases"

[[case]]
name = "a pull request"
claims = { iss = "https://token.actions.githubusercontent.com", event_name = "pull_request" }
expect_refused = "no pull requests"

[[case]]
name = "a stranger"
claims = { iss = "https://token.actions.githubusercontent.com", event_name = "push" }
expect_refused = true
"#;

#[test]
fn cases_are_decided_and_a_difference_exits_25() {
    let place = place();
    // Files are looked for from the folder of the cases.
    place.write("cases/release.json", &claims(json!({})).to_string());
    place.write("cases/all.toml", CASES);
    let words = ["rules", "test", "rules.toml", "cases/all.toml"];
    let ended = place.run(&words).exits(0);
    assert!(ended.stdout.ends_with("ok    3 case(s)\n"), "{ended}");

    for (old, new, told) in [
        (
            "expect = \"acme releases\"",
            "expect_refused = true",
            "FAIL  \"a release\": wanted refused; it is allowed by \"acme releases\"\n",
        ),
        (
            "expect_refused = \"no pull requests\"",
            "expect_refused = \"another\"",
            "FAIL  \"a pull request\": wanted refused by \"another\"; it is refused: rule \"no pull requests\" refuses this identity\n",
        ),
        (
            "expect_refused = true",
            "expect_refused = \"acme releases\"",
            "FAIL  \"a stranger\": wanted refused by \"acme releases\"; it is refused: no rule allows",
        ),
    ] {
        place.write("cases/all.toml", &CASES.replace(old, new));
        let ended = place
            .run(&words)
            .exits(25)
            .says("FAIL 25  1 of 3 case(s) differ")
            .says("try: ");
        assert!(ended.stdout.contains(told), "{ended}");
    }
    let json = [&["--json"][..], &words].concat();
    let facts = place.run(&json).exits(25).json();
    assert_eq!(facts["ok"], false);
    assert_eq!(facts["cases"][0]["ok"], true);
    assert_eq!(facts["cases"][2]["ok"], false);
}

#[test]
fn a_file_of_cases_that_says_something_else_is_wrong_usage() {
    let place = place();
    place.write("release.json", &claims(json!({})).to_string());
    for (old, new, told) in [
        (
            "expect =",
            "expekt =",
            "cases.toml:5: unknown field `expekt`",
        ),
        (
            "expect_refused = true",
            "expect_refused = false",
            "case \"a stranger\" wants one of",
        ),
        ("release.json", "missing.json", "cannot read missing.json"),
    ] {
        place.write("cases.toml", &CASES.replace(old, new));
        let words = ["rules", "test", "rules.toml", "cases.toml"];
        place.run(&words).exits(2).says(told);
        place.write("cases.toml", CASES);
        place.run(&words).exits(0);
    }
}
