//! `[[ci_provider]]`.

use super::{LOG, judge, twins};

/// An issuer and a provider of the operator's own.
const PROVIDER: &str = "[[issuer]]\nurl = \"https://ci.example.com\"\ntype = \"ci-provider\"\n\
    audiences = [\"a\"]\nci_provider = \"mine\"\n\
    [[ci_provider]]\nname = \"mine\"\nsan = \"https://ci.example.com/{{ .repo }}\"\n\
    required_claims = [\"commit\"]\ndefault_values = { event = \"push\" }\n\
    build_trigger = \"event\"\nsource_repository_digest = \"commit\"\n";

fn of_provider(text: &str) -> String {
    format!("[identity]\nrules = \"rules.toml\"\n{LOG}{text}")
}

#[test]
fn each_refused_value_has_a_twin_that_is_accepted() {
    twins([
        (
            "issuer[0].ci_provider",
            of_provider(&PROVIDER.replace("ci_provider = \"mine\"\n", "")),
            of_provider(PROVIDER),
        ),
        (
            "issuer[0].ci_provider",
            of_provider(&PROVIDER.replace("ci_provider = \"mine\"", "ci_provider = \"mien\"")),
            of_provider(PROVIDER),
        ),
        (
            "issuer[0].ci_provider",
            of_provider(&PROVIDER.replace("ci-provider", "buildkite-job")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[0].name",
            of_provider(&PROVIDER.replace("name = \"mine\"", "name = \"\"")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[1].name",
            of_provider(&format!(
                "{PROVIDER}[[ci_provider]]\nname = \"mine\"\nsan = \"x\"\n"
            )),
            of_provider(&format!(
                "{PROVIDER}[[ci_provider]]\nname = \"other\"\nsan = \"x\"\n"
            )),
        ),
        (
            "ci_provider[0].san",
            of_provider(&PROVIDER.replace("{{ .repo }}", "{{ .repo")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[0].san",
            of_provider(&PROVIDER.replace("san = \"https://ci.example.com/{{ .repo }}\"\n", "")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[0].san",
            of_provider(&PROVIDER.replace("\"https://ci.example.com/{{ .repo }}\"", "\" \"")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[0].build_trigger",
            of_provider(&PROVIDER.replace("\"event\"", "\"{{ range .event }}\"")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[0].required_claims",
            of_provider(&PROVIDER.replace("[\"commit\"]", "\"commit\"")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider[0].default_values",
            of_provider(&PROVIDER.replace("event = \"push\" }", "event = 1 }")),
            of_provider(PROVIDER),
        ),
        (
            "ci_provider.build_triger",
            of_provider(&PROVIDER.replace("build_trigger", "build_triger")),
            of_provider(PROVIDER),
        ),
    ]);
}

#[test]
fn the_provider_that_the_documented_file_shows_can_be_used() {
    let text = include_str!("../../config/shortleaf.toml");
    let (_, shown) = text.split_once("# [[ci_provider]]\n").unwrap();
    let (shown, _) = shown.split_once("\n\n").unwrap();
    let lines = shown.lines().filter(|line| line.contains(" = "));
    let lines: Vec<_> = lines.filter_map(|line| line.strip_prefix("# ")).collect();
    assert!(lines.len() > 20, "{lines:?}");
    let (issuer, _) = PROVIDER.split_once("[[ci_provider]]").unwrap();
    let issuer = issuer.replace("\"mine\"", "\"acme-ci\"");
    let settings = judge(&of_provider(&format!(
        "{issuer}[[ci_provider]]\n{}\n",
        lines.join("\n")
    )));
    assert_eq!(settings.unwrap().warnings, [""; 0]);
}

#[test]
fn a_provider_that_no_issuer_names_is_warned_of() {
    let warnings = |text: &str| judge(&of_provider(text)).unwrap().warnings;
    let second = format!("{PROVIDER}[[ci_provider]]\nname = \"other\"\nsan = \"x\"\n");
    assert_eq!(
        warnings(&second),
        ["ci_provider \"other\" is no issuer's: nothing uses it"]
    );
    assert!(warnings(PROVIDER).is_empty());
}
