//! `identity render`, `issuer list` and `issuer test`.

use serde_json::{Value, json};

use crate::issuer::Issuer;
use crate::program::Place;

const BUILDKITE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/testdata/identities/buildkite.json"
);

const CONFIGURATION: &str = "[[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example/2026\"\nkey = \"log.pub.pem\"\n\
     [[issuer]]\npreset = \"buildkite\"\naudiences = [\"https://ca.example\"]\n\
     [[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\njwks_file = \"jwks.json\"\n";

#[test]
fn a_preset_shows_its_name_its_extensions_and_their_templates() {
    let place = Place::new();
    let words = [
        "identity",
        "render",
        "--preset",
        "buildkite",
        "--claims",
        BUILDKITE,
    ];
    let shown = place.run(&words).exits(0).stdout;
    let from = " ".repeat(45);
    for lines in [
        format!(
            "san  uri                                     https://buildkite.com/example-org/example-pipeline\n\
             {from}from https://buildkite.com/{{{{ .organization_slug }}}}/{{{{ .pipeline_slug }}}}\n"
        ),
        format!(
            ".1   Issuer                                  https://agent.buildkite.com\n{from}from iss\n"
        ),
        format!(
            ".11  Runner Environment                      buildkite-hosted\n{from}from runner_environment\n"
        ),
    ] {
        assert!(shown.contains(&lines), "{lines}\n{shown}");
    }
    let facts = place
        .run(&[&["--json"][..], &words].concat())
        .exits(0)
        .json();
    assert_eq!(facts["san"]["type"], "uri");
    assert_eq!(facts["challenge"]["claim"], "sub");
    let extensions = facts["extensions"].as_array().unwrap();
    let last = extensions.last().unwrap();
    assert_eq!(last["oid"], "1.3.6.1.4.1.57264.1.24");
    assert_eq!(last["name"], "Token Subject");
    assert_eq!(last["from"], "sub");
}

#[test]
fn a_configured_issuer_is_read_as_it_is_configured() {
    let place = Place::new();
    place.write("shortleaf.toml", CONFIGURATION);
    let render = |claims: &str| place.run(&["--json", "identity", "render", "--claims", claims]);
    let facts = render(BUILDKITE).exits(0).json();
    assert_eq!(
        facts["san"]["value"],
        "https://buildkite.com/example-org/example-pipeline"
    );
    let mut claims = json!({ "iss": "https://issuer.example", "sub": "7", "email": "a@issuer.example", "email_verified": true });
    let facts = render(&claims.to_string()).exits(0).json();
    assert_eq!(
        facts["san"],
        json!({ "type": "email", "value": "a@issuer.example", "from": "email" })
    );
    claims["email_verified"] = json!(false);
    let error = render(&claims.to_string()).exits(4).error();
    assert_eq!(error["code"], "EMAIL_UNVERIFIED");
    claims["iss"] = json!("https://other.example");
    let error = render(&claims.to_string()).exits(3).error();
    assert_eq!(
        error["message"],
        "issuer https://other.example is not configured"
    );
}

/// The example of the documentation, with its claims beside it.
#[test]
fn a_provider_of_ones_own_is_rendered_by_its_templates_and_judged_by_its_lines() {
    let place = Place::new();
    let docs = include_str!("../../docs/identities.md");
    let (_, own) = docs.split_once("\n## A provider of your own\n").unwrap();
    let lines = own.lines().filter_map(|line| line.strip_prefix("    "));
    let own: String = lines.map(|line| format!("{line}\n")).collect();
    let configuration = format!("{}{own}", CONFIGURATION.split_once("[[issuer]]").unwrap().0);
    place.write("shortleaf.toml", &configuration);
    let claims = |changed: &[(&str, Value)]| {
        let mut claims = json!({ "iss": "https://ci.acme.example", "sub": "s",
            "repository": "acme/app", "pipeline": "release", "ref": "main", "repository_id": 7 });
        for (name, value) in changed {
            claims[name] = value.clone();
        }
        claims.to_string()
    };
    let render = |claims: &str| place.run(&["--json", "identity", "render", "--claims", claims]);
    let facts = render(&claims(&[])).exits(0).json();
    assert_eq!(
        facts["san"]["value"],
        "https://ci.acme.example/acme/app/release@main"
    );
    let of = |name: &str| {
        let mut all = facts["extensions"].as_array().unwrap().iter();
        let found = all.find(|one| one["name"] == name).unwrap();
        (found["value"].clone(), found["from"].clone())
    };
    let id = (json!("7"), json!("repository_id"));
    assert_eq!(of("Source Repository Identifier"), id);
    assert_eq!(of("Build Trigger"), (json!("manual"), json!("trigger")));
    for (changed, code) in [
        (("repository_id", json!("")), "CLAIM_MISSING"),
        (("pipeline", json!(null)), "CLAIM_MISSING"),
        (("ref", json!(["main"])), "CLAIM_INVALID"),
    ] {
        let error = render(&claims(&[changed])).exits(4).error();
        assert_eq!(error["code"], code);
    }

    let check = |from: &str, to: &str| {
        assert!(configuration.contains(from), "{from}");
        let changed = configuration.replacen(from, to, 1);
        place.write("shortleaf.toml", &changed);
        let line = changed.lines().position(|line| line.contains(to)).unwrap() + 1;
        let told = place.run(&["config", "check"]).exits(3).stderr;
        assert!(told.contains(&format!("line {line}")), "{line}: {told}");
        told
    };
    for (from, to, said) in [
        (
            "source_repository_identifier",
            "source_repository_identifer",
            "did you mean `ci_provider.source_repository_identifier`?",
        ),
        (
            "{{ .pipeline }}",
            "{{ .pipeline",
            "template for the subject alternative name cannot be used: template action",
        ),
        (
            "\"trigger\"",
            "\"{{ range .trigger }}\"",
            "template for extension .20 cannot be used",
        ),
        (
            "ci_provider = \"acme-ci\"",
            "ci_provider = \"acme\"",
            "there is no CI provider \"acme\"; did you mean \"acme-ci\"?",
        ),
    ] {
        let told = check(from, to);
        assert!(told.contains(said), "{said}\n{told}");
    }
}

#[test]
fn a_token_is_rendered_as_its_claims_are() {
    let place = Place::new();
    place.write("shortleaf.toml", CONFIGURATION);
    let claims = json!({ "iss": "https://issuer.example", "sub": "7", "email": "a@issuer.example", "email_verified": true });
    let token = Issuer::new("https://issuer.example").token(claims, 0);
    let render = place.call(&["--json", "identity", "render", "-"]);
    let facts = render.stdin(&token).run().exits(0).json();
    assert_eq!(facts["san"]["value"], "a@issuer.example");
    let ended = place.call(&["identity", "render", "-"]).stdin("x.y").run();
    ended.exits(4).says("try: --claims");
}

#[test]
fn the_issuers_of_fulcios_file_alone_are_listed_with_their_templates() {
    let place = Place::new();
    place.write(
        "shortleaf.toml",
        "[identity]\nfulcio_config = \"fulcio.yaml\"\n",
    );
    place.write(
        "fulcio.yaml",
        "oidc-issuers:\n  https://ci.example: {client-id: x, type: ci-provider, ci-provider: own}\n\
         ci-issuer-metadata:\n  own: {subject-alternative-name-template: '{{ .a }}'}\n",
    );
    let shown = place.run(&["issuer", "list"]).exits(0).stdout;
    let row = "  type        ci-provider\n  templates   own\n";
    assert!(shown.contains(row), "{shown}");
    let issuers = place.run(&["--json", "issuer", "list"]).exits(0).json();
    assert_eq!(issuers["issuers"][0]["ci_provider"], "own");
}

#[test]
fn the_issuer_may_be_named_and_may_not_contradict_the_claims() {
    let place = Place::new();
    let render = |claims: &str, issuer: &str| {
        let words = [
            "identity", "render", "--type", "email", "--claims", claims, "--issuer", issuer,
        ];
        place.run(&words)
    };
    let claims = r#"{"sub":"7","email":"a@issuer.example","email_verified":true}"#;
    let shown = render(claims, "https://issuer.example").exits(0).stdout;
    assert!(shown.contains("https://issuer.example\n"), "{shown}");
    let with_iss = claims.replace("{\"sub", "{\"iss\":\"https://issuer.example\",\"sub");
    render(&with_iss, "https://issuer.example").exits(0);
    render(&with_iss, "https://other.example")
        .exits(2)
        .says("and the claims' iss");
}

#[test]
fn a_word_that_is_none_is_wrong_usage() {
    let place = Place::new();
    let render = |flag: &str, word: &str| {
        place.run(&["identity", "render", flag, word, "--claims", BUILDKITE])
    };
    render("--preset", "buildkit")
        .exits(2)
        .says("try: buildkite");
    render("--preset", "buildkite").exits(0);
    render("--type", "spiffe")
        .exits(2)
        .says("type spiffe needs spiffe_trust_domain");
    render("--type", "spiff")
        .exits(2)
        .says("there is no type \"spiff\"");
    render("--type", "buildkite-job").exits(0);
}

#[test]
fn the_issuers_are_listed_with_their_terms() {
    let place = Place::new();
    place.write("shortleaf.toml", CONFIGURATION);
    let shown = place.run(&["issuer", "list"]).exits(0).stdout;
    let second = "https://issuer.example\n  type        email\n  audiences   https://ca.example\n  \
                  limits      age 600 s, lifetime 86400 s, 1 certificate(s) per token\n  \
                  keys        file jwks.json\n";
    assert!(
        shown.starts_with("https://agent.buildkite.com\n  preset      buildkite\n"),
        "{shown}"
    );
    assert!(shown.ends_with(second), "{shown}");
    let issuers = place.run(&["--json", "issuer", "list"]).exits(0).json();
    assert_eq!(issuers["issuers"][0]["preset"], "buildkite");
    assert_eq!(issuers["issuers"][0]["keys"], "discovery");
    assert_eq!(issuers["issuers"][1]["type"], "email");
}

#[test]
fn how_keys_are_come_by_is_listed_where_it_is_out_of_the_ordinary() {
    let place = Place::new();
    let cluster = "discovery_url = \"https://kubernetes.default.svc/.well-known/openid-configuration\"\n\
                   jwks_hosts = [\"keys.example:8443\"]\nca_file = \"ca.pem\"\n\
                   bearer_token_file = \"token\"\nallow_private_network = true\n";
    let network = CONFIGURATION.replace("jwks_file = \"jwks.json\"\n", cluster);
    let rows = "  keys        discovery\n  \
                metadata    https://kubernetes.default.svc/.well-known/openid-configuration\n  \
                key hosts   keys.example:8443\n  roots       file ca.pem\n  \
                shows       bearer token of token\n  \
                network     addresses that are not public, too\n";
    for (configuration, listed) in [(network.as_str(), true), (CONFIGURATION, false)] {
        place.write("shortleaf.toml", configuration);
        let shown = place.run(&["issuer", "list"]).exits(0).stdout;
        assert_eq!(shown.ends_with(rows), listed, "{shown}");
    }
    place.write("shortleaf.toml", &network);
    let issuers = place.run(&["--json", "issuer", "list"]).exits(0).json();
    let issuer = &issuers["issuers"][1];
    assert_eq!(issuer["jwks_hosts"], json!(["keys.example:8443"]));
    assert_eq!(issuer["ca_file"], "ca.pem");
}

#[test]
fn the_keys_of_an_issuer_are_looked_at_once() {
    let place = Place::new();
    let away = "[[issuer]]\nurl = \"http://127.0.0.1:1\"\ntype = \"email\"\naudiences = [\"a\"]\n\
                insecure_loopback_http = true\n";
    place.write("shortleaf.toml", &(CONFIGURATION.to_owned() + away));
    let mut keys: Value =
        serde_json::from_str(&Issuer::new("https://issuer.example").jwks()).unwrap();
    let all = keys["keys"].as_array_mut().unwrap();
    all.push(json!({ "kty": "oct", "kid": "shared", "k": "AAAA" }));
    place.write("jwks.json", &keys.to_string());

    let test = |url: &str| place.run(&["issuer", "test", url]);
    let shown = test("https://issuer.example").exits(0).stdout;
    assert!(shown.starts_with("ok https://issuer.example\n"), "{shown}");
    for line in [
        "  audiences   https://ca.example",
        "  keys        file jwks.json",
        "  key         ES256  ES256",
        "  skipped     shared  secret",
    ] {
        assert!(shown.lines().any(|other| other == line), "{line}\n{shown}");
    }
    let facts = place
        .run(&["--json", "issuer", "test", "https://issuer.example"])
        .exits(0)
        .json();
    assert_eq!(facts["skipped"][0]["kid"], "shared");
    assert_eq!(facts["configured_as"], "https://issuer.example");
    assert_eq!(facts["settings"]["keys"], "file jwks.json");

    assert!(
        test("http://127.0.0.1:1")
            .exits(5)
            .stderr
            .contains("could not talk to")
    );
    assert!(
        test("https://elsewhere.example")
            .exits(3)
            .stderr
            .contains("is not configured")
    );
    test("elsewhere").exits(2);
}
