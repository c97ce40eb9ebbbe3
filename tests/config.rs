//! Every file under `config/` can be used as it stands.

use shortleaf::config::{Inputs, load, schema};
use shortleaf::instance::whom;
use shortleaf::rules::RuleSet;

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
    let text = include_str!("../config/shortleaf.toml");
    assert!(text.contains("\nurl = \"https://log.example/2026\"\n"));
    assert!(!text.contains("\nkey = \"./ca/log.pub.pem\"\n"));
}

const ISSUER: &str = "[[issuer]]\nurl = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n";
const LOG: &str = "[[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example/2026\"\nkey = \"log.pub.pem\"\n";

fn judge(text: &str) -> Result<shortleaf::config::Settings, shortleaf::config::Error> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("shortleaf.toml");
    std::fs::write(&path, text).expect("written");
    load(&Inputs {
        file: Some(path),
        ..Inputs::default()
    })
    .map(|loaded| loaded.settings)
}

#[test]
fn a_word_that_is_no_preset_is_told_the_nearest_and_all_there_are() {
    let issuer = "[[issuer]]\npreset = \"githb\"\naudiences = [\"a\"]\n";
    let error = judge(&format!("{LOG}{issuer}")).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    let wanted = "it is none of github, github-data-residency, ";
    assert!(cause.starts_with(wanted), "{cause}");
    assert!(
        cause.ends_with(", email; did you mean \"github\"?"),
        "{cause}"
    );
}

/// The key an error is about, whatever kind of error it is.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "what is not about a key fails the test"
)]
fn key_of(error: &shortleaf::config::Error) -> String {
    use shortleaf::config::Error;
    match error {
        Error::UnknownKey { key, .. }
        | Error::WrongType { key, .. }
        | Error::BadValue { key, .. }
        | Error::Unusable { key, .. }
        | Error::Missing { key, .. }
        | Error::NeedsSwitch { key, .. } => key.clone(),
        _ => panic!("not about a key: {error}"),
    }
}

#[test]
fn each_refused_value_has_a_twin_that_is_accepted() {
    let full = |top: &str| format!("{top}\n{ISSUER}{LOG}");
    let issuer = |lines: &str| format!("{LOG}[[issuer]]\n{lines}\n");
    let base = "url = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n";
    // (key the error names, refused, accepted)
    let tls = |more: &str| {
        format!(
            "[server]\npublic_url = \"https://ca.example\"\ntls_chain = \"chain.pem\"\n\
             tls_key = \"key.pem\"\n{more}"
        )
    };
    let table: Vec<(&str, String, String)> = vec![
        (
            "server.listen",
            full("[server]\nlisten = \"0.0.0.0:80\""),
            full("[server]\nlisten = \"0.0.0.0:80\"\ninsecure_plain_http = true"),
        ),
        (
            "server.listen",
            full("[server]\nlisten = \"localhost\""),
            full("[server]\nlisten = \"[::1]:80\""),
        ),
        (
            "server.listen",
            full("[server]\nlisten = \"0.0.0.0:80\""),
            full(&tls("listen = \"0.0.0.0:80\"")),
        ),
        (
            "server.tls_chain",
            full("[server]\ntls_key = \"key.pem\""),
            full(&tls("")),
        ),
        (
            "server.tls_key",
            full("[server]\ntls_chain = \"chain.pem\""),
            full(&tls("")),
        ),
        (
            "server.insecure_plain_http",
            full(&tls("insecure_plain_http = true")),
            full(&tls("insecure_plain_http = false")),
        ),
        (
            "server.public_url",
            full(&tls("").replace("https:", "http:")),
            full(&tls("")),
        ),
        (
            "server.trusted_hops",
            full("[server]\ntrusted_hops = [\"10.0.0.0\", \"10.0.0.1/8\"]"),
            full("[server]\ntrusted_hops = [\"10.0.0.0\", \"10.0.0.0/8\", \"fd00::/64\"]"),
        ),
        (
            "server.trusted_hops",
            full("[server]\ntrusted_hops = [\"0.0.0.0/0\"]"),
            full("[server]\ntrusted_hops = [\"128.0.0.0/1\"]"),
        ),
        (
            "server.trusted_hops",
            full("[server]\ntrusted_hops = [\"proxy.example\"]"),
            full("[server]\ntrusted_hops = [\"::1\"]"),
        ),
        (
            "server.trusted_hops",
            full("[server]\nproxy_protocol = true"),
            full("[server]\nproxy_protocol = true\ntrusted_hops = [\"127.0.0.1\"]"),
        ),
        (
            "server.ops_listen",
            full("[server]\nops_listen = \"10.0.0.1:80\""),
            full("[server]\nops_listen = \"127.0.0.2:80\""),
        ),
        (
            "server.public_url",
            full("[server]\npublic_url = \"https://ca.example/prefix\""),
            full("[server]\npublic_url = \"https://ca.example/\""),
        ),
        (
            "server.connections_per_address",
            full("[server]\nconnections_per_address = 0"),
            full("[server]\nconnections_per_address = 1"),
        ),
        (
            "server.drain",
            full("[server]\ndrain = \"soon\""),
            full("[server]\ndrain = \"5s\""),
        ),
        (
            "server.insecure_plain_http",
            full("[server]\ninsecure_plain_http = \"yes\""),
            full("[server]\ninsecure_plain_http = true"),
        ),
        (
            "crypto.fixed_key_tables",
            full("[crypto]\nfixed_key_tables = \"off\""),
            full("[crypto]\nfixed_key_tables = false"),
        ),
        (
            "state.store",
            full("[state]\nstore = \"memory\""),
            full("[state]\nstore = \"memory\"\ninsecure_memory_store = true"),
        ),
        (
            "state.store",
            full("[state]\nstore = \"mysql\""),
            full("[state]\nstore = \"redb\""),
        ),
        (
            "state.retention",
            full("[state]\nretention = \"47h\""),
            full("[state]\nretention = \"2d\""),
        ),
        (
            "ca.lifetime",
            full("[ca]\nlifetime = \"30s\""),
            full("[ca]\nlifetime = \"1m\""),
        ),
        (
            "ca.lifetime",
            full("[ca]\nlifetime = \"25h\""),
            full("[ca]\nlifetime = \"24h\""),
        ),
        (
            "ca.backdate",
            full("[ca]\nbackdate = \"31s\""),
            full("[ca]\nbackdate = \"30s\""),
        ),
        (
            "ca.crl_url",
            full("[ca]\ncrl_url = \"https://ca.example/crl\""),
            full("[ca]\ncrl_url = \"http://ca.example/crl\""),
        ),
        (
            "ca.profile",
            full("[ca]\nprofile = \"a b\""),
            full("[ca]\nprofile = \"a-b\""),
        ),
        (
            "ca.algorithms",
            full("[ca]\nalgorithms = [\"rsa-sign-pss-2048-sha256\"]"),
            full("[ca]\nalgorithms = [\"rsa-sign-pkcs1-2048-sha256\"]"),
        ),
        (
            "ca.algorithms",
            full("[ca]\nalgorithms = []"),
            full("[ca]\nalgorithms = [\"ed25519\"]"),
        ),
        (
            "ca.encoder",
            full("[ca]\nencoder = \"openssl\""),
            full("[ca]\nencoder = \"rcgen\""),
        ),
        (
            "issuer[0].url",
            full("").replace("https://issuer", "HTTPS://issuer"),
            full(""),
        ),
        (
            "ct.mode",
            full("[ct]\nmode = \"off\""),
            format!("[ct]\nmode = \"off\"\n{ISSUER}"),
        ),
        (
            "ct.mode",
            full("[ct]\nmode = \"\""),
            full("[ct]\nmode = \"required\""),
        ),
        ("ct.log", ISSUER.to_owned(), full("")),
        (
            "ct.deadline",
            full("[ct]\ndeadline = \"61s\""),
            full("[ct]\ndeadline = \"60s\""),
        ),
        (
            "ct.log[0].kind",
            format!("{ISSUER}[[ct.log]]\nkind = \"memory\"\nname = \"m\"\n"),
            format!(
                "[ct]\ninsecure_memory_log = true\n{ISSUER}[[ct.log]]\nkind = \"memory\"\nname = \"m\"\n"
            ),
        ),
        (
            "ct.log[0].key",
            full("").replace("key = \"log.pub.pem\"\n", ""),
            full(""),
        ),
        (
            "ct.log[1].name",
            format!("{ISSUER}{LOG}{LOG}"),
            format!("{ISSUER}{LOG}{}", LOG.replace("\"log\"", "\"log2\"")),
        ),
        ("issuer", LOG.to_owned(), full("")),
        (
            "issuer[1].url",
            format!("{LOG}{ISSUER}{ISSUER}"),
            format!(
                "{LOG}{ISSUER}{}",
                ISSUER.replace("issuer.example", "issuer2.example")
            ),
        ),
        (
            "issuer[0].url",
            issuer(&base.replace("https://issuer", "http://issuer")),
            issuer(base),
        ),
        (
            "issuer[0].url",
            issuer(&base.replace("https://issuer.example", "http://127.0.0.1:9")),
            issuer(&format!(
                "{}insecure_loopback_http = true",
                base.replace("https://issuer.example", "http://127.0.0.1:9")
            )),
        ),
        (
            "issuer[0].url",
            issuer(&base.replace("issuer.example", "user@issuer.example")),
            issuer(base),
        ),
        (
            "issuer[0].type",
            issuer(&base.replace("email", "e-mail")),
            issuer(base),
        ),
        (
            "issuer[0].audiences",
            issuer(&base.replace("https://ca.example", "sigstore")),
            issuer(&format!(
                "{}accept_shared_audience = true",
                base.replace("https://ca.example", "sigstore")
            )),
        ),
        (
            "issuer[0].audiences",
            issuer(&base.replace("\"https://ca.example\"", "")),
            issuer(base),
        ),
        (
            "issuer[0].max_token_age",
            issuer(&format!("{base}max_token_age = \"25h\"")),
            issuer(&format!("{base}max_token_age = \"24h\"")),
        ),
        (
            "issuer[0].certificates_per_token",
            issuer(&format!("{base}certificates_per_token = 0")),
            issuer(&format!("{base}certificates_per_token = 16")),
        ),
        (
            "issuer[0].skip_email_verification",
            issuer(&format!(
                "{}skip_email_verification = true",
                base.replace("email", "github-workflow")
            )),
            issuer(&format!("{base}skip_email_verification = true")),
        ),
        (
            "issuer[0].url",
            issuer(&base.replace("\"https://issuer.example\"", "1")),
            issuer(base),
        ),
        (
            "issuer[1].audiences",
            format!(
                "{ISSUER}{}",
                issuer("url = \"https://two.example\"\ntype = \"email\"\naudiences = \"x\"")
            ),
            format!(
                "{ISSUER}{}",
                issuer("url = \"https://two.example\"\ntype = \"email\"\naudiences = [\"x\"]")
            ),
        ),
        (
            "issuer[0].audiences",
            issuer(&base.replace("[\"https://ca.example\"]", "[1]")),
            issuer(base),
        ),
        (
            "issuer[0].preset",
            issuer(&base.replace("type = \"email\"\n", "")),
            issuer(base),
        ),
        (
            "issuer[0].certificates_per_token",
            issuer(&format!("{base}certificates_per_token = \"1\"")),
            issuer(&format!("{base}certificates_per_token = 1")),
        ),
        (
            "issuer[0].certificates_per_token",
            issuer(&format!("{base}certificates_per_token = -1")),
            issuer(&format!("{base}certificates_per_token = 1024")),
        ),
        (
            "issuer[0].certificates_per_token",
            issuer(&format!("{base}certificates_per_token = 4294967297")),
            issuer(&format!("{base}certificates_per_token = 2")),
        ),
        (
            "issuer[0].skip_email_verification",
            issuer(&format!("{base}skip_email_verification = \"no\"")),
            issuer(&format!("{base}skip_email_verification = false")),
        ),
        (
            "issuer[1]",
            format!(
                "issuer = [{{ {0} }}, 7]\n{LOG}",
                base.trim_end().replace('\n', ", ")
            ),
            format!(
                "issuer = [{{ {0} }}]\n{LOG}",
                base.trim_end().replace('\n', ", ")
            ),
        ),
        (
            "ct.log[0].key",
            full("").replace("\"log.pub.pem\"", "[\"log.pub.pem\"]"),
            full(""),
        ),
        (
            "ct.log[0].name",
            full("").replace("name = \"log\"\n", ""),
            full(""),
        ),
        (
            "server.ops_listen",
            full("[server]\nlisten = \"127.0.0.1:9\"\nops_listen = \"127.0.0.1:9\""),
            full("[server]\nlisten = \"127.0.0.1:9\"\nops_listen = \"127.0.0.2:9\""),
        ),
        (
            "server.ops_listen",
            full(&tls("listen = \"0.0.0.0:9\"\nops_listen = \"127.0.0.1:9\"")),
            full(&tls("listen = \"0.0.0.0:9\"\nops_listen = \"127.0.0.1:8\"")),
        ),
        (
            "server.ops_listen",
            full("[server]\nlisten = \"127.0.0.1:9\"\nops_listen = \"127.0.0.1:9\""),
            full("[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\""),
        ),
        (
            "log.level",
            full("[log]\nlevel = \"verbose\""),
            full("[log]\nlevel = \"Debug\""),
        ),
        (
            "log.level",
            full("[log]\nlevel = \"info,hyper=loud\""),
            full("[log]\nlevel = \"info,hyper=warn,shortleaf[request]=trace\""),
        ),
        (
            "log.level",
            full("[log]\nlevel = \"\""),
            full("[log]\nlevel = \"off\""),
        ),
        (
            "rate_limits.per_address",
            full("[rate_limits]\nper_address = \"0/s\""),
            full("[rate_limits]\nper_address = \"1/s\""),
        ),
        (
            "rate_limits.per_issuer",
            full("[rate_limits]\nper_issuer = \"100 per second\""),
            full("[rate_limits]\nper_issuer = \"off\""),
        ),
        (
            "rate_limits.per_identity",
            full("[rate_limits]\nper_identity = 20"),
            full("[rate_limits]\nper_identity = \"20/m\""),
        ),
        (
            "rate_limits.per_identity_burst",
            full("[rate_limits]\nper_identity_burst = 0"),
            full("[rate_limits]\nper_identity_burst = 1"),
        ),
        (
            "rate_limits.per_address_burst",
            full("[rate_limits]\nper_address = \"1/h\"\nper_address_burst = 25"),
            full("[rate_limits]\nper_address = \"1/h\"\nper_address_burst = 24"),
        ),
        (
            "rate_limits.ipv6_prefix",
            full("[rate_limits]\nipv6_prefix = 31"),
            full("[rate_limits]\nipv6_prefix = 32"),
        ),
        (
            "identity.fulcio_max_token_age",
            full("[identity]\nfulcio_max_token_age = \"25h\""),
            full("[identity]\nfulcio_max_token_age = \"24h\""),
        ),
        (
            "identity.fulcio_certificates_per_token",
            full("[identity]\nfulcio_certificates_per_token = 0"),
            full("[identity]\nfulcio_certificates_per_token = 1"),
        ),
        (
            "issuer[0].discovery_url",
            issuer(&format!("{base}discovery_url = \"http://a.example/x\"")),
            issuer(&format!("{base}discovery_url = \"https://a.example/x\"")),
        ),
        (
            "issuer[0].discovery_url",
            issuer(&format!("{base}discovery_url = \"http://127.0.0.1/x\"")),
            issuer(&format!(
                "{base}insecure_loopback_http = true\ndiscovery_url = \"http://127.0.0.1/x\""
            )),
        ),
        (
            "issuer[0].discovery_url",
            issuer(&format!("{base}discovery_url = \"https://a.example\"")),
            issuer(&format!(
                "{base}discovery_url = \"https://a.example/.well-known/openid-configuration\""
            )),
        ),
        (
            "issuer[0].discovery_url",
            issuer(&format!(
                "{base}jwks_file = \"j\"\ndiscovery_url = \"https://a.example/x\""
            )),
            issuer(&format!("{base}jwks_file = \"j\"")),
        ),
        (
            "issuer[0].url",
            issuer(&base.replace("issuer.example", "*.issuer.example/**")),
            issuer(&base.replace("issuer.example", "*.issuer.example/*")),
        ),
        (
            "issuer[0].preset",
            issuer(
                "audiences = [\"a\"]\npreset = \"githb\"\nurl = \"https://token.actions.githubusercontent.com\"",
            ),
            issuer("audiences = [\"a\"]\npreset = \"github\""),
        ),
        (
            "issuer[0].preset",
            issuer("audiences = [\"a\"]\npreset = \"buildkite\"\nurl = \"https://a.example\""),
            issuer("audiences = [\"a\"]\npreset = \"gitlab\"\nurl = \"https://gitlab.com\""),
        ),
        (
            "issuer[0].type",
            issuer("audiences = [\"a\"]\npreset = \"github\"\ntype = \"email\""),
            issuer("audiences = [\"a\"]\ntype = \"email\"\nurl = \"https://a.example\""),
        ),
        (
            "issuer[0].url",
            issuer("audiences = [\"a\"]\npreset = \"gitlab\""),
            issuer("audiences = [\"a\"]\npreset = \"buildkite\""),
        ),
        (
            "issuer[0].issuer_claim",
            issuer(
                "audiences = [\"a\"]\npreset = \"gitlab\"\nurl = \"https://gitlab.com\"\nissuer_claim = \"$.a\"",
            ),
            issuer("audiences = [\"a\"]\npreset = \"gitlab\"\nurl = \"https://gitlab.com\""),
        ),
        (
            "issuer[0].spiffe_trust_domain",
            issuer("audiences = [\"a\"]\npreset = \"spiffe\"\nurl = \"https://a.example\""),
            issuer(
                "audiences = [\"a\"]\npreset = \"spiffe\"\nurl = \"https://a.example\"\nspiffe_trust_domain = \"a\"",
            ),
        ),
        (
            "issuer[0].type",
            issuer(
                "audiences = [\"a\"]\ntype = \"spiffe\"\nurl = \"https://*.a.example\"\nspiffe_trust_domain = \"a\"",
            ),
            issuer(
                "audiences = [\"a\"]\ntype = \"spiffe\"\nurl = \"https://b.a.example\"\nspiffe_trust_domain = \"a\"",
            ),
        ),
        (
            "issuer[0].subject_domain",
            issuer("audiences = [\"a\"]\ntype = \"uri\"\nurl = \"https://a.example.com\""),
            issuer(
                "audiences = [\"a\"]\ntype = \"uri\"\nurl = \"https://a.example.com\"\nsubject_domain = \"https://example.com\"",
            ),
        ),
        (
            "issuer[0].subject_domain",
            issuer(
                "audiences = [\"a\"]\ntype = \"username\"\nurl = \"https://a.example.com\"\nsubject_domain = \"example.org\"",
            ),
            issuer(
                "audiences = [\"a\"]\ntype = \"username\"\nurl = \"https://a.example.com\"\nsubject_domain = \"example.com\"",
            ),
        ),
        (
            "issuer[0].spiffe_trust_domain",
            issuer(
                "audiences = [\"a\"]\ntype = \"spiffe\"\nurl = \"https://a.example.com\"\nspiffe_trust_domain = \"A\"",
            ),
            issuer(
                "audiences = [\"a\"]\ntype = \"spiffe\"\nurl = \"https://a.example.com\"\nspiffe_trust_domain = \"a\"",
            ),
        ),
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
        (
            "issuer[0].url",
            issuer("audiences = [\"a\"]\ntype = \"kubernetes\"\nurl = \"https://*.com\""),
            issuer("audiences = [\"a\"]\ntype = \"kubernetes\"\nurl = \"https://*.a.example.com\""),
        ),
        (
            "issuer[0].url",
            issuer("audiences = [\"a\"]\ntype = \"kubernetes\"\nurl = \"https://*.com\""),
            issuer("audiences = [\"a\"]\ntype = \"kubernetes\"\nurl = \"https://x-*.a.com\""),
        ),
        (
            "issuer[0].allow_private_network",
            issuer(
                "audiences = [\"a\"]\ntype = \"kubernetes\"\nurl = \"https://*.a.com\"\nallow_private_network = true",
            ),
            issuer(
                "audiences = [\"a\"]\ntype = \"kubernetes\"\nurl = \"https://x.a.com\"\nallow_private_network = true",
            ),
        ),
        (
            "log.format",
            full("[log]\nformat = \"xml\""),
            full("[log]\nformat = \"text\""),
        ),
    ];
    for (key, refused, accepted) in table {
        match judge(&refused) {
            Ok(_) => panic!("accepted, though {key} is wrong:\n{refused}"),
            Err(error) => assert_eq!(key_of(&error), key, "{error}\n{refused}"),
        }
        if let Err(error) = judge(&accepted) {
            panic!("refused, though nothing is wrong: {error}\n{accepted}");
        }
    }
}

/// An issuer and a provider of the operator's own.
const PROVIDER: &str = "[[issuer]]\nurl = \"https://ci.example.com\"\ntype = \"ci-provider\"\n\
    audiences = [\"a\"]\nci_provider = \"mine\"\n\
    [[ci_provider]]\nname = \"mine\"\nsan = \"https://ci.example.com/{{ .repo }}\"\n\
    required_claims = [\"commit\"]\ndefault_values = { event = \"push\" }\n\
    build_trigger = \"event\"\nsource_repository_digest = \"commit\"\n";

fn of_provider(text: &str) -> String {
    format!("{LOG}{text}")
}

#[test]
fn the_provider_that_the_documented_file_shows_can_be_used() {
    let text = include_str!("../config/shortleaf.toml");
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

#[test]
fn insecure_choices_warn_in_words() {
    let settings = judge(&format!(
        "[server]\nlisten = \"0.0.0.0:80\"\ninsecure_plain_http = true\n[ct]\nmode = \"off\"\n{}",
        ISSUER.replace("audiences", "accept_shared_audience = true\naudiences")
    ))
    .expect("admitted");
    // Three switches, and where the trust files would send everybody.
    assert_eq!(settings.warnings.len(), 5, "{:?}", settings.warnings);
}

#[test]
fn a_family_that_could_be_anybodys_is_warned_of() {
    let warnings = |url: &str| {
        let issuer =
            format!("[[issuer]]\nurl = {url:?}\ntype = \"kubernetes\"\naudiences = [\"a\"]\n");
        let rules = "[identity]\nrules = \"rules.toml\"\n";
        judge(&format!("{rules}{issuer}{LOG}")).unwrap().warnings
    };
    assert_eq!(
        warnings("https://*.co.uk/id/*"),
        [
            "issuer https://*.co.uk/id/* believes whoever has a name under co.uk: if others can get \
             one, as under co.uk or github.io, write out more of the host"
        ]
    );
    for url in [
        "https://*.clusters.example.co.uk/id/*",
        "https://clusters.example.com/*",
        // Two labels, and known to be Amazon's.
        "https://oidc.eks.*.amazonaws.com/id/*",
    ] {
        assert!(warnings(url).is_empty(), "{url}");
    }
}

#[test]
fn a_public_url_of_loopback_is_warned_of_where_others_connect() {
    let warnings = |listen: &str, url: &str| {
        let tls = "tls_chain = \"c\"\ntls_key = \"k\"";
        let server = format!("[server]\nlisten = {listen:?}\npublic_url = {url:?}\n{tls}\n");
        let mut warnings = judge(&format!("{server}{ISSUER}{LOG}")).unwrap().warnings;
        warnings.retain(|warning| warning.starts_with("server.public_url"));
        warnings
    };
    let [warning] = &warnings("0.0.0.0:443", "https://127.0.0.1")[..] else {
        panic!("not one warning");
    };
    assert_eq!(
        warning,
        "server.public_url = \"https://127.0.0.1\" leads each client to itself, and server.listen = \
         0.0.0.0:443 is for others: the trust files name the wrong place"
    );
    assert!(warnings("0.0.0.0:443", "https://ca.example").is_empty());
    assert!(warnings("127.0.0.1:443", "https://localhost").is_empty());
}

#[test]
fn one_address_has_a_share_of_the_connections_unless_all_have_the_same() {
    let share = |server: &str| {
        let text = format!("[server]\n{server}\n{ISSUER}{LOG}");
        judge(&text).unwrap().server.connections_per_address
    };
    let open = "listen = \"0.0.0.0:80\"\ninsecure_plain_http = true\n";
    assert_eq!(share(open), Some(256));
    assert_eq!(share("listen = \"[::1]:80\""), None);
    assert_eq!(share("connections_per_address = 7"), Some(7));
}
