//! `[identity]` and `[[issuer]]`.

use super::{ISSUER, LOG, full, judge, twins};

#[test]
fn each_refused_value_has_a_twin_that_is_accepted() {
    let issuer = |lines: &str| format!("{LOG}[[issuer]]\n{lines}\n");
    let base = "url = \"https://issuer.example\"\ntype = \"email\"\naudiences = [\"https://ca.example\"]\n";
    // (key the error names, refused, accepted)
    twins([
        (
            "issuer[0].url",
            full("").replace("https://issuer", "HTTPS://issuer"),
            full(""),
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
    ]);
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

#[test]
fn a_family_that_could_be_anybodys_is_warned_of() {
    let of_type = |kind: &str, url: &str| {
        let issuer = format!("[[issuer]]\nurl = {url:?}\ntype = {kind:?}\naudiences = [\"a\"]\n");
        let rules = "[identity]\nrules = \"rules.toml\"\n";
        judge(&format!("{rules}{issuer}{LOG}")).unwrap().warnings
    };
    let warnings = |url: &str| of_type("kubernetes", url);
    assert_eq!(
        of_type("email", "https://login.example.com/*"),
        [
            "every issuer of https://login.example.com/* may vouch for any email address: name each that may"
        ]
    );
    assert!(of_type("email", "https://login.example.com/1").is_empty());
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
