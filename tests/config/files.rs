//! Every file under `config/` can be used as it stands.

use shortleaf::config::{Inputs, load, schema};
use shortleaf::instance::whom;
use shortleaf::rules::RuleSet;

use super::{ISSUER, LOG, judge};

#[test]
fn every_file_under_config_can_be_used() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(dir).expect("config/ is part of the repository") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.expect("a name in ASCII").to_owned();
        match name.as_str() {
            "rules.toml" => are_rules_without_a_finding(&path),
            _ => is_a_configuration(&path),
        }
        seen.insert(name);
    }
    let shipped = ["first-run.toml", "rules.toml", "shortleaf.toml"];
    assert!(
        shipped.iter().all(|name| seen.contains(*name)),
        "only {seen:?} under config/"
    );
}

fn is_a_configuration(path: &std::path::Path) {
    let inputs = Inputs {
        file: Some(path.to_owned()),
        ..Inputs::default()
    };
    if let Err(error) = load(&inputs) {
        panic!("{}: {error}", path.display());
    }
}

/// The rules that everybody copies: ids, kinds of refs and the like are in them.
fn are_rules_without_a_finding(path: &std::path::Path) {
    let text = std::fs::read_to_string(path).expect("readable");
    are_copied(&text);
}

fn are_copied(text: &str) {
    let rules = RuleSet::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(!rules.is_empty());
    assert_eq!(whom::findings_alone(&rules), []);
}

#[test]
fn the_readme_shows_rules_and_settings_that_can_be_used() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.expect("readable");
    let blocks = readme.split("```toml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let (rules, settings): (Vec<_>, Vec<_>) = blocks.partition(|text| text.contains("[[allow]]"));
    assert!(!rules.is_empty() && !settings.is_empty());
    rules.into_iter().for_each(are_copied);
    for text in settings {
        judge(&format!("{text}\n{ISSUER}{LOG}")).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

#[test]
fn the_documented_file_mentions_every_setting() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/config/shortleaf.toml"
    ))
    .expect("shipped");
    let mut section = String::new();
    let mut mentioned = std::collections::BTreeSet::new();
    for line in text.lines() {
        let header = line.trim_start_matches("# ").strip_prefix('[');
        if let Some(table) = header.filter(|header| header.ends_with(']')) {
            section = table.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ") {
            mentioned.insert(format!("{section}.{key}"));
        }
    }
    for setting in schema::SETTINGS.iter().filter(|s| !s.secret) {
        assert!(
            mentioned.contains(setting.key),
            "{} is not in config/shortleaf.toml",
            setting.key
        );
    }
    for repeated in schema::REPEATED {
        for member in repeated.members {
            let path = format!("{}.{}", repeated.table, member.key);
            assert!(
                mentioned.contains(&path),
                "{path} is not in config/shortleaf.toml"
            );
        }
    }
}

/// `ca init` makes a key for a log of one's own; with an outside log's address no SCT would verify.
#[test]
fn the_documented_log_of_others_does_not_have_a_key_of_ours() {
    let text = include_str!("../../config/shortleaf.toml");
    assert!(text.contains("\nurl = \"https://log.example/2026\"\n"));
    assert!(!text.contains("\nkey = \"./ca/log.pub.pem\"\n"));
}
