//! What is read, and what is refused with its line.

use super::*;
use crate::identity::{Problem, principal};
use crate::token::VerifiedToken;

const FILE: &str = r#"
define:
  - &github-type "github-workflow"
oidc-issuers:
  https://accounts.google.com:
    issuer-url: https://accounts.google.com
    client-id: sigstore
    type: email
    contact: someone@example.com
    description: "Google"
  https://dex.example.com/auth:
    client-id: sigstore
    type: email
    issuer-claim: $.federated_claims.connector_id
    skip-email-verification: true
  https://users.example.com:
    client-id: no
    type: uri
    subject-domain: https://example.com
  https://names.example.com:
    client-id: 1.10
    type: username
    subject-domain: example.com
  https://spire.example.com:
    client-id: sigstore
    type: spiffe
    spiffe-trust-domain: example.com
  https://ci.example.com:
    client-id: sigstore
    type: ci-provider
    ci-provider: *github-type
    challenge-claim: sub
meta-issuers:
  # a comment
  https://oidc.eks.*.amazonaws.com/id/*:
    client-id: sigstore
    type: kubernetes
ci-issuer-metadata:
  *github-type:
    default-template-values:
      url: "https://github.com"
    extension-templates:
      build-signer-uri: "{{ .url }}/{{ .job_workflow_ref }}"
    subject-alternative-name-template: "{{ .url }}/{{ .job_workflow_ref }}"
"#;

fn parse(text: &str) -> FulcioConfig {
    FulcioConfig::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    let error = FulcioConfig::parse(text).map(|_| ()).unwrap_err();
    let source = std::error::Error::source(&error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn a_file_is_read_as_it_is() {
    let config = parse(FILE);
    let got = config.issuers.iter();
    let got: Vec<_> = got
        .map(|i| (i.name.as_str(), i.kind.as_str(), i.audience.as_str()))
        .collect();
    assert_eq!(
        got,
        [
            ("https://accounts.google.com", "email", "sigstore"),
            ("https://dex.example.com/auth", "email", "sigstore"),
            // Neither a boolean nor a number: what is meant for a text stays as it is written.
            ("https://users.example.com", "uri", "no"),
            ("https://names.example.com", "username", "1.10"),
            ("https://spire.example.com", "spiffe", "sigstore"),
            ("https://ci.example.com", "ci-provider", "sigstore"),
            (
                "https://oidc.eks.*.amazonaws.com/id/*",
                "kubernetes",
                "sigstore"
            ),
        ]
    );
    assert!(matches!(config.issuers[6].name, IssuerName::Family(_)));
    assert!(config.issuers[1].skip_email_verification);
    let claims = r#"{"iss":"https://ci.example.com","aud":"sigstore","sub":"s","exp":2,"iat":1,
        "job_workflow_ref":"o/r/w.yml@refs/heads/main"}"#;
    let got = principal(&VerifiedToken::for_test(claims), &config.issuers[5].mapping).unwrap();
    assert_eq!(
        got.san().name(),
        "https://github.com/o/r/w.yml@refs/heads/main"
    );
}

#[test]
fn json_is_the_same_under_its_own_names() {
    let config = parse(
        r#"{"OIDCIssuers":{"https://ci.example.com":{"IssuerURL":"https://ci.example.com",
            "ClientID":"sigstore","Type":"ci-provider","CIProvider":"mine"}},
        "MetaIssuers":{"https://*.example.com/x":{"ClientID":"sigstore","Type":"kubernetes"}},
        "CIIssuerMetadata":{"mine":{"DefaultTemplateValues":{"a":"b"},
            "ExtensionTemplates":{"GithubWorkflowSHA":"sha","BuildSignerURI":"x"},
            "SubjectAlternativeNameTemplate":"{{ .sub }}"}}}"#,
    );
    assert_eq!(config.issuers.len(), 2);
    assert_eq!(
        refused(r#"{"oidc-issuers":{}}"#),
        "line 1: there is no key \"oidc-issuers\" here; did you mean \"OIDCIssuers\"?"
    );
    assert_eq!(
        refused("OIDCIssuers: {}"),
        "line 1: there is no key \"OIDCIssuers\" here; did you mean \"oidc-issuers\"?"
    );
}

#[test]
fn what_fulcio_would_pass_over_is_an_error_with_its_line() {
    for (from, to, error) in [
        (
            "client-id: no",
            "clientid: no",
            "line 17: there is no key \"clientid\" here; did you mean \"client-id\"?",
        ),
        (
            "oidc-issuers:",
            "oidc-issuer:",
            "line 4: there is no key \"oidc-issuer\" here; did you mean \"oidc-issuers\"?",
        ),
        (
            "build-signer-uri:",
            "build-signer-url:",
            "line 43: there is no key \"build-signer-url\" here; did you mean \"build-signer-uri\"?",
        ),
        (
            "    extension-templates:",
            "    extensions:",
            "line 42: there is no key \"extensions\" here; did you mean \"extension-templates\"?",
        ),
        (
            "client-id: 1.10",
            "client-id: \"\"",
            "line 20: \"https://names.example.com\" has no client-id: the `aud` its tokens must carry",
        ),
        (
            "    client-id: no\n",
            "",
            "line 16: \"https://users.example.com\" has no client-id: the `aud` its tokens must carry",
        ),
        (
            "issuer-url: https://accounts.google.com",
            "issuer-url: https://accounts.example.com",
            "line 6: issuer-url of \"https://accounts.google.com\" is \"https://accounts.example.com\"; write the same as the key, or nothing",
        ),
        (
            "type: uri",
            "type: url",
            "line 18: type of \"https://users.example.com\" is \"url\"; write one of email, uri, username, spiffe, kubernetes, github-workflow, gitlab-pipeline, buildkite-job, codefresh-workflow, chainguard-identity, ci-provider; did you mean \"uri\"?",
        ),
        (
            "    type: uri\n",
            "",
            "line 16: \"https://users.example.com\" has no type: what its claims mean",
        ),
        (
            "challenge-claim: sub",
            "challenge-claim: email",
            "line 32: challenge-claim of \"https://ci.example.com\" is \"email\"; tokens of type ci-provider sign \"sub\"",
        ),
        (
            "ci-provider: *github-type",
            "ci-provider: github-workflo",
            "line 31: ci-provider of \"https://ci.example.com\" is \"github-workflo\"; write a key of ci-issuer-metadata; did you mean \"github-workflow\"?",
        ),
        (
            "    ci-provider: *github-type\n",
            "",
            "line 28: \"https://ci.example.com\" has no ci-provider: whose templates its certificates are made with",
        ),
        (
            "subject-domain: https://example.com",
            "subject-domain: https://example.org",
            "line 19: subject-domain of \"https://users.example.com\" cannot be used: subject domain \"example.org\" is neither the host of issuer \"https://users.example.com\" nor ends in its last two labels",
        ),
        (
            "    subject-domain: example.com\n",
            "",
            "line 20: \"https://names.example.com\" has no subject-domain: the domain of its names, such as example.com",
        ),
        (
            "spiffe-trust-domain: example.com",
            "spiffe-trust-domain: Example.com",
            "line 27: spiffe-trust-domain of \"https://spire.example.com\" cannot be used: \"Example.com\" is no SPIFFE trust domain: 1 to 255 of a-z, 0-9, \".\", \"-\" and \"_\"",
        ),
        (
            "$.federated_claims.connector_id",
            "$.a[0]",
            "line 14: issuer-claim of \"https://dex.example.com/auth\" cannot be used: \"$.a[0]\" is no path of claims: `$`, then up to 8 times `.` and a name of letters, digits, \"_\" and \"-\"",
        ),
        (
            "type: kubernetes",
            "type: spiffe",
            "line 37: type of \"https://oidc.eks.*.amazonaws.com/id/*\" is \"spiffe\"; a trust domain has one issuer, not a family",
        ),
        (
            "oidc.eks.*.amazonaws.com",
            "*.com",
            "line 35: this family of issuers cannot be used: \"https://*.com/id/*\" has a \"*\" in the last two labels of its host, which anyone can register",
        ),
        (
            "https://accounts.google.com:\n    issuer-url: https://accounts.google.com",
            "accounts.google.com:\n    issuer-url: accounts.google.com",
            "line 5: this issuer cannot be used: issuer \"accounts.google.com\" is not an http(s) URL with a host",
        ),
        (
            "\"{{ .url }}/{{ .job_workflow_ref }}\"\n    subject",
            "\"{{ range .url }}\"\n    subject",
            "line 43: CI provider \"github-workflow\" cannot be used: template for extension .9 cannot be used",
        ),
        (
            "template: \"{{ .url }}/{{ .job_workflow_ref }}\"",
            "template: \"{{ .url\"",
            "line 44: CI provider \"github-workflow\" cannot be used: template for the subject alternative name cannot be used",
        ),
        (
            "template: \"{{ .url }}/{{ .job_workflow_ref }}\"",
            "template: \"\"",
            "line 39: CI provider \"github-workflow\" cannot be used: provider has no template for the subject alternative name",
        ),
        (
            "skip-email-verification: true",
            "subject-domain: example.com",
            "line 15: subject-domain of \"https://dex.example.com/auth\" is \"example.com\"; it is for type uri and username, not email",
        ),
        (
            "subject-domain: https://example.com",
            "skip-email-verification: true",
            "line 19: skip-email-verification of \"https://users.example.com\" is \"true\"; it is for type email, not uri",
        ),
    ] {
        assert!(FILE.contains(from), "{from}");
        assert_eq!(
            refused(&FILE.replacen(from, to, 1)),
            error,
            "{from} -> {to}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_says_where() {
    assert_eq!(
        refused(""),
        "no issuer in this file: nobody could get a certificate"
    );
    assert_eq!(
        refused("oidc-issuers:\n"),
        "no issuer in this file: nobody could get a certificate"
    );
    for text in [
        "a: [",
        "oidc-issuers: 7",
        "oidc-issuers: {a: 7}",
        "{\"OIDCIssuers\": [1]}",
    ] {
        assert!(
            refused(text).starts_with("line "),
            "{text}: {}",
            refused(text)
        );
    }
    let twice = FILE.replace("https://names.example.com", "https://users.example.com");
    assert!(
        refused(&twice).starts_with("line 20: "),
        "{}",
        refused(&twice)
    );
    let long = " ".repeat(MAX_FILE_BYTES + 1);
    assert_eq!(
        refused(&long),
        format!(
            "identity configuration of {} bytes is longer than {MAX_FILE_BYTES}",
            long.len()
        )
    );
    // Aliases of aliases would be a billion laughs.
    let mut bomb = "define:\n - &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (from, to) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        bomb += &format!(" - &{to} [{}]\n", vec![format!("*{from}"); 9].join(","));
    }
    let began = std::time::Instant::now();
    let error = refused(&bomb);
    assert!(
        error.starts_with("line 7: budget breached: Nodes"),
        "{error}"
    );
    assert!(began.elapsed().as_secs() < 10);
}

#[test]
fn the_kind_of_an_issuer_decides_what_its_tokens_mean() {
    let config = parse(FILE);
    let claims = r#"{"iss":"https://users.example.com","aud":"no","sub":"https://elsewhere.example/1","exp":2,"iat":1}"#;
    let error =
        principal(&VerifiedToken::for_test(claims), &config.issuers[2].mapping).unwrap_err();
    assert!(matches!(
        error,
        crate::identity::Error::ClaimInvalid {
            problem: Problem::OtherDomain,
            ..
        }
    ));
}

#[test]
fn broken_json_is_judged_as_json() {
    let text =
        "{\"OIDCIssuers\": {\n  \"https://a.example\": {\"Type\": \"email\" \"ClientID\": \"x\"}}}";
    let error = FulcioConfig::parse(text).unwrap_err();
    let Error::Syntax { line: 2, problem } = error else {
        panic!("{error:?}");
    };
    assert!(
        problem.starts_with("not JSON: expected `,` or `}`"),
        "{problem}"
    );
    let mended = text.replace("\"email\" ", "\"email\", ");
    assert!(
        FulcioConfig::parse(&mended).is_ok(),
        "{:?}",
        FulcioConfig::parse(&mended)
    );
}
