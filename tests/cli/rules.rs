//! `rules check`, `lint`, `explain` and `test`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::issuer::{Issuer, Served, merge, wall_clock};
use crate::program::Place;
use crate::secrets;

const GITHUB: &str = "https://token.actions.githubusercontent.com";

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
        "repository": "acme/app", "repository_owner": "acme", "repository_owner_id": "7",
        "repository_visibility": "private", "workflow": "release", "sha": "5c0a",
        "workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/release/1",
        "workflow_sha": "5c0a", "job_workflow_sha": "5c0a", "run_id": "11", "run_attempt": "1",
        "job_workflow_ref": "acme/app/.github/workflows/release.yml@refs/heads/release/1",
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

#[test]
fn an_explanation_shows_the_name_a_certificate_would_have_or_why_there_is_none() {
    let place = place();
    let explain = |more: &[&str], claims: &Value| {
        let claims = claims.to_string();
        place.run(&[more, &["rules", "explain", "--claims", &claims]].concat())
    };
    let whole = claims(json!({}));
    let ended = explain(&[], &whole).exits(0);
    let san = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/release/1";
    let line = format!("\nidentity uri {san}\n");
    assert!(ended.stdout.contains(&line), "{ended}");
    let mut without = whole;
    without.as_object_mut().unwrap().remove("job_workflow_ref");
    let ended = explain(&[], &without).exits(4).says("job_workflow_ref");
    assert!(ended.stdout.contains("\nidentity none: "), "{ended}");
    assert!(
        ended.stdout.contains("\nresult   NO IDENTITY 4   "),
        "{ended}"
    );
    let ended = explain(&["--json"], &without).exits(4);
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!(error["code"], "CLAIM_MISSING");
    let facts = ended.json();
    assert!(facts["identity"]["error"].is_string(), "{facts}");
    assert_eq!(facts["allowed"], false);
    // Which claims an issuer's certificates need, nobody has said here.
    let claims = without.to_string();
    let words = [
        "rules",
        "explain",
        "--rules",
        "rules.toml",
        "--claims",
        &claims,
    ];
    place.run(&words).exits(0);
}

#[test]
fn nothing_is_explained_or_decided_of_rules_the_server_refuses() {
    let place = place();
    place.write("cases/release.json", &claims(json!({})).to_string());
    place.write("cases/all.toml", CASES);
    let names = RULES.replace("repository_id = \"456789\"", "repository = \"acme/app\"");
    let claims = claims(json!({})).to_string();
    for (rules, exit) in [(names.as_str(), 3), (RULES, 0)] {
        place.write("rules.toml", rules);
        for words in [
            &["rules", "explain", "--claims", &claims][..],
            &[
                "rules",
                "explain",
                "--rules",
                "rules.toml",
                "--claims",
                &claims,
            ],
            &["rules", "test", "rules.toml", "cases/all.toml"],
            &[
                "rules",
                "test",
                "rules.toml",
                "cases/all.toml",
                "-c",
                "shortleaf.toml",
            ],
            &["rules", "test", "cases/all.toml"],
        ] {
            let ended = place.run(words).exits(exit);
            if exit == 3 {
                assert_eq!(ended.stdout, "", "{ended}");
                ended
                    .says("FAIL 3  rules.toml:2: rule \"acme releases\": names can change hands")
                    .says("FAIL 3  the server would not load this file: rules.toml");
            }
        }
    }
}

#[test]
fn rules_are_checked_beside_a_configuration_that_has_issuers_only() {
    let place = place();
    place.write(
        "issuers.toml",
        "[[issuer]]\npreset = \"github\"\naudiences = [\"https://ca.example\"]\n",
    );
    let words = ["rules", "check", "rules.toml", "-c", "issuers.toml"];
    place.run(&words).exits(0);
    let words = ["issuer", "list", "-c", "issuers.toml"];
    place.run(&words).exits(0);
    // Nothing is issued from it.
    place
        .run(&["config", "check", "-c", "issuers.toml"])
        .exits(3)
        .says("ct.log");
}

/// What the rule allows, as if it had been said now, with these members instead.
fn fresh(instead: Value) -> Value {
    let now = wall_clock();
    let mut fresh = claims(json!({ "iat": now, "exp": now + 300 }));
    merge(&mut fresh, instead);
    fresh
}

/// A token with these members, signed by whom the configuration believes.
fn token(instead: Value) -> String {
    Issuer::new(GITHUB).token(fresh(instead), wall_clock())
}

/// The same token with another signature, which nobody made.
fn forged(token: &str) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 256]));
    secrets::plant_token(&forged);
    forged
}

/// A place whose configuration has the issuer's keys.
fn place_with_keys() -> Place {
    let place = place();
    let configuration = place.read("shortleaf.toml") + "jwks_file = \"jwks.json\"\n";
    place.write("shortleaf.toml", &configuration);
    place.write("jwks.json", &Issuer::new(GITHUB).jwks());
    place
}

#[test]
fn a_token_is_verified_as_the_server_does_and_never_printed() {
    let place = place_with_keys();
    let explain = |token: &str| place.call(&["rules", "explain", "-"]).stdin(token).run();
    let good = token(json!({}));
    let ended = explain(&format!("{good}\n")).exits(0);
    let (first, rest) = ended.stdout.split_once('\n').unwrap();
    assert!(
        first.starts_with("token    signature ok · audience ok · age ")
            && first.ends_with(" s of 600 s"),
        "{ended}"
    );
    assert!(rest.ends_with("result   ALLOWED 0   by \"acme releases\"\n"));
    for secret in [good.as_str(), "not-to-be-shown"] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    }
    let refused = explain(&token(json!({ "ref": "refs/heads/dev" }))).exits(25);
    assert!(refused.stdout.contains("signature ok"), "{refused}");
    for (bad, told) in [
        (forged(&good), "does not verify"),
        (
            token(json!({ "aud": "https://other.example" })),
            "https://other.example",
        ),
        (token(json!({ "exp": 1, "iat": 0, "nbf": null })), "expired"),
        (
            token(json!({ "iss": "https://other.example" })),
            "\"https://other.example\" is not configured",
        ),
        ("x.y".to_owned(), "FAIL 4  "),
    ] {
        let ended = explain(&bad).exits(4);
        assert_eq!(ended.stdout, "");
        ended.says(told).says("try: ");
    }
}

#[test]
fn a_forged_token_is_explained_only_where_nobody_asks_for_its_signature() {
    let place = place_with_keys();
    let forged = forged(&token(json!({})));
    let explain = |more: &[&str]| {
        let words = ["--json", "rules", "explain", "-"];
        let call = place.call(&[&words[..], more].concat());
        call.stdin(&forged).run()
    };
    let error = explain(&[]).exits(4).error();
    assert_eq!(error["code"], "TOKEN_SIGNATURE_INVALID");
    for (more, told) in [
        (
            &["--unverified"][..],
            "signature not checked · audience ok · times ok",
        ),
        // Without a configuration nobody's keys are known, and no audience.
        (
            &["--rules", "rules.toml"],
            "signature, audience and times not checked: no configuration",
        ),
    ] {
        let facts = explain(more).exits(0).json();
        assert_eq!(
            (&facts["token"], &facts["verified"]),
            (&told.into(), &false.into())
        );
    }
    let good = token(json!({}));
    let call = place.call(&["--json", "rules", "explain", "-"]);
    assert_eq!(call.stdin(&good).run().exits(0).json()["verified"], true);
}

#[test]
fn keys_are_fetched_for_the_one_token_and_their_absence_is_the_networks_fault() {
    let served = Served::start(&["/ci"]);
    let issuer = served.issuer(0);
    let place = place();
    place.write("rules.toml", &RULES.replace(GITHUB, issuer.url()));
    place.write(
        "shortleaf.toml",
        &place.read("shortleaf.toml").replace(
            "preset = \"github\"",
            &format!(
                "url = {:?}\ntype = \"github-workflow\"\ninsecure_loopback_http = true",
                issuer.url()
            ),
        ),
    );
    let token = issuer.token(fresh(json!({ "iss": issuer.url() })), wall_clock());
    place.write("token.jwt", &token);
    let explain = ["rules", "explain", "token.jwt"];
    let ended = place.run(&explain).exits(0);
    assert!(ended.stdout.starts_with("token    signature ok"), "{ended}");
    assert_eq!(served.connections(), 2, "metadata and keys");
    drop(served);
    let away = place.run(&explain).exits(5);
    away.says("could not fetch the signing keys")
        .says("--unverified");
    let offline = [&explain[..], &["--unverified"]].concat();
    place.run(&offline).exits(0);
}

#[test]
fn a_token_in_the_place_of_its_file_is_not_repeated() {
    let place = place_with_keys();
    let token = token(json!({}));
    // What every run writes is searched for the token.
    place
        .run(&["rules", "explain", &token])
        .exits(2)
        .says("a token stands where the name of a file belongs")
        .says("try: ");
    place.write("token.jwt", &token);
    place.run(&["rules", "explain", "token.jwt"]).exits(0);
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
