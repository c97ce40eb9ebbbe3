//! The file as it is written: JSON with PascalCase keys, else YAML with kebab-case keys.
//!
//! The same shapes under two sets of names, because a key of the other set is a mistake: Fulcio
//! would drop it without a word, and with it an issuer's domain or its templates.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::Error;
use crate::spelling;

/// A file of either form.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) issuers: Pairs<Issuer>,
    pub(super) families: Pairs<Issuer>,
    pub(super) providers: Pairs<Metadata>,
}

/// An issuer, or a family of them.
#[derive(Debug)]
pub(super) struct Issuer {
    pub(super) url: Option<Spanned<String>>,
    pub(super) client_id: Option<Spanned<String>>,
    pub(super) kind: Option<Spanned<String>>,
    pub(super) ci_provider: Option<Spanned<String>>,
    pub(super) issuer_claim: Option<Spanned<String>>,
    pub(super) subject_domain: Option<Spanned<String>>,
    pub(super) spiffe_trust_domain: Option<Spanned<String>>,
    pub(super) challenge_claim: Option<Spanned<String>>,
    pub(super) ca_cert: Option<Spanned<String>>,
    pub(super) skip_email_verification: Option<Spanned<bool>>,
}

/// A CI provider.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) defaults: Pairs<String>,
    /// Template by last arc.
    pub(super) extensions: Vec<(u8, Spanned<String>)>,
    pub(super) san: Option<Spanned<String>>,
}

/// A mapping in the order of the file, keys with their places.
#[derive(Debug)]
pub(super) struct Pairs<V>(pub(super) Vec<(Spanned<String>, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for InOrder<V> {
            type Value = Pairs<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut out = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    out.push(pair);
                }
                Ok(Pairs(out))
            }
        }
        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

/// The shapes under one set of names.
macro_rules! form {
    (
        $form:ident, $issuers:literal, $families:literal, $providers:literal,
        issuer: [$url:literal, $client:literal, $kind:literal, $ci:literal, $claim:literal,
            $domain:literal, $spiffe:literal, $challenge:literal, $ca:literal, $skip:literal],
        text: [$($text:ident = $word:literal),*],
        metadata: [$defaults:literal, $extensions:literal, $san:literal],
        templates: [$($field:ident = $name:literal, $arc:literal;)*]
    ) => {
        mod $form {
            use super::*;

            #[derive(Default, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            struct Root {
                /// Where the public file keeps its anchors.
                #[serde(rename = "define")]
                _define: IgnoredAny,
                #[serde(rename = $issuers)]
                issuers: Option<Pairs<Issuer>>,
                #[serde(rename = $families)]
                families: Option<Pairs<Issuer>>,
                #[serde(rename = $providers)]
                providers: Option<Pairs<Metadata>>,
            }

            #[derive(Default, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            struct Issuer {
                #[serde(rename = $url)]
                url: Option<Spanned<String>>,
                #[serde(rename = $client)]
                client_id: Option<Spanned<String>>,
                #[serde(rename = $kind)]
                kind: Option<Spanned<String>>,
                #[serde(rename = $ci)]
                ci_provider: Option<Spanned<String>>,
                #[serde(rename = $claim)]
                issuer_claim: Option<Spanned<String>>,
                #[serde(rename = $domain)]
                subject_domain: Option<Spanned<String>>,
                #[serde(rename = $spiffe)]
                spiffe_trust_domain: Option<Spanned<String>>,
                #[serde(rename = $challenge)]
                challenge_claim: Option<Spanned<String>>,
                #[serde(rename = $ca)]
                ca_cert: Option<Spanned<String>>,
                #[serde(rename = $skip)]
                skip_email_verification: Option<Spanned<bool>>,
                // Documentation; nothing depends on it.
                $(#[serde(rename = $word)] $text: Option<String>,)*
            }

            #[derive(Default, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            struct Metadata {
                #[serde(rename = $defaults)]
                defaults: Option<Pairs<String>>,
                #[serde(rename = $extensions)]
                extensions: Option<Templates>,
                #[serde(rename = $san)]
                san: Option<Spanned<String>>,
            }

            #[derive(Default, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            struct Templates {
                $(#[serde(rename = $name)] $field: Option<Spanned<String>>,)*
            }

            impl From<Issuer> for super::Issuer {
                fn from(read: Issuer) -> Self {
                    $(let _ = read.$text;)*
                    Self {
                        url: read.url,
                        client_id: read.client_id,
                        kind: read.kind,
                        ci_provider: read.ci_provider,
                        issuer_claim: read.issuer_claim,
                        subject_domain: read.subject_domain,
                        spiffe_trust_domain: read.spiffe_trust_domain,
                        challenge_claim: read.challenge_claim,
                        ca_cert: read.ca_cert,
                        skip_email_verification: read.skip_email_verification,
                    }
                }
            }

            impl From<Metadata> for super::Metadata {
                fn from(read: Metadata) -> Self {
                    let templates = read.extensions.unwrap_or_default();
                    let extensions = [$(($arc, templates.$field),)*];
                    let extensions = extensions.into_iter();
                    Self {
                        defaults: read.defaults.unwrap_or_default(),
                        extensions: extensions.filter_map(|(arc, t)| Some((arc, t?))).collect(),
                        san: read.san,
                    }
                }
            }

            pub(super) fn read(text: &str) -> Result<Document, serde_saphyr::Error> {
                let options = serde_saphyr::options! { with_snippet: false };
                let root: Root = serde_saphyr::from_str_with_options(text, options)?;
                Ok(Document {
                    issuers: shared(root.issuers),
                    families: shared(root.families),
                    providers: shared(root.providers),
                })
            }
        }
    };
}

/// What one form reads as both mean it; a key with nothing behind it has none.
fn shared<V, T: From<V>>(read: Option<Pairs<V>>) -> Pairs<T> {
    let pairs = read.unwrap_or_default().0.into_iter();
    Pairs(pairs.map(|(key, value)| (key, value.into())).collect())
}

form! {
    yaml, "oidc-issuers", "meta-issuers", "ci-issuer-metadata",
    issuer: ["issuer-url", "client-id", "type", "ci-provider", "issuer-claim", "subject-domain",
        "spiffe-trust-domain", "challenge-claim", "ca-cert", "skip-email-verification"],
    text: [description = "description", contact = "contact"],
    metadata: ["default-template-values", "extension-templates",
        "subject-alternative-name-template"],
    templates: [
        trigger = "github-workflow-trigger", 2;
        sha = "github-workflow-sha", 3;
        name = "github-workflow-name", 4;
        repository = "github-workflow-repository", 5;
        workflow_ref = "github-workflow-ref", 6;
        build_signer_uri = "build-signer-uri", 9;
        build_signer_digest = "build-signer-digest", 10;
        runner_environment = "runner-environment", 11;
        source_repository_uri = "source-repository-uri", 12;
        source_repository_digest = "source-repository-digest", 13;
        source_repository_ref = "source-repository-ref", 14;
        source_repository_identifier = "source-repository-identifier", 15;
        source_repository_owner_uri = "source-repository-owner-uri", 16;
        source_repository_owner_identifier = "source-repository-owner-identifier", 17;
        build_config_uri = "build-config-uri", 18;
        build_config_digest = "build-config-digest", 19;
        build_trigger = "build-trigger", 20;
        run_invocation_uri = "run-invocation-uri", 21;
        source_repository_visibility = "source-repository-visibility-at-signing", 22;
        deployment_environment = "deployment-environment", 23;
    ]
}

form! {
    json, "OIDCIssuers", "MetaIssuers", "CIIssuerMetadata",
    issuer: ["IssuerURL", "ClientID", "Type", "CIProvider", "IssuerClaim", "SubjectDomain",
        "SPIFFETrustDomain", "ChallengeClaim", "CACert", "SkipEmailVerification"],
    text: [description = "Description", contact = "Contact"],
    metadata: ["DefaultTemplateValues", "ExtensionTemplates", "SubjectAlternativeNameTemplate"],
    templates: [
        trigger = "GithubWorkflowTrigger", 2;
        sha = "GithubWorkflowSHA", 3;
        name = "GithubWorkflowName", 4;
        repository = "GithubWorkflowRepository", 5;
        workflow_ref = "GithubWorkflowRef", 6;
        build_signer_uri = "BuildSignerURI", 9;
        build_signer_digest = "BuildSignerDigest", 10;
        runner_environment = "RunnerEnvironment", 11;
        source_repository_uri = "SourceRepositoryURI", 12;
        source_repository_digest = "SourceRepositoryDigest", 13;
        source_repository_ref = "SourceRepositoryRef", 14;
        source_repository_identifier = "SourceRepositoryIdentifier", 15;
        source_repository_owner_uri = "SourceRepositoryOwnerURI", 16;
        source_repository_owner_identifier = "SourceRepositoryOwnerIdentifier", 17;
        build_config_uri = "BuildConfigURI", 18;
        build_config_digest = "BuildConfigDigest", 19;
        build_trigger = "BuildTrigger", 20;
        run_invocation_uri = "RunInvocationURI", 21;
        source_repository_visibility = "SourceRepositoryVisibilityAtSigning", 22;
        deployment_environment = "DeploymentEnvironment", 23;
    ]
}

/// Reads a file in whichever form it is: what parses as JSON is JSON, as in Fulcio.
pub(super) fn read(text: &str) -> Result<Document, Error> {
    let Err(no_json) = serde_json::from_str::<IgnoredAny>(text) else {
        return json::read(text).map_err(|error| told(&error));
    };
    let read = yaml::read(&spaced_aliases(text));
    read.map_err(|error| {
        let told = told(&error);
        // Neither; what begins like JSON was meant to be JSON.
        let is_json = text.trim_start().starts_with('{');
        if is_json && matches!(told, Error::Syntax { .. }) {
            let (line, problem) = (no_json.line() as u64, format!("not JSON: {no_json}"));
            return Error::Syntax { line, problem };
        }
        told
    })
}

/// The error in our words where it is about a key, else as the parser puts it.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "the crate has many, and all others are syntax to a reader"
)]
fn told(error: &serde_saphyr::Error) -> Error {
    let line = error.location().map_or(1, |location| location.line());
    match error {
        serde_saphyr::Error::SerdeUnknownField {
            field, expected, ..
        } => Error::UnknownKey {
            line,
            nearest: spelling::nearest(field, expected.iter().copied()),
            key: field.clone(),
        },
        other => Error::Syntax {
            line,
            problem: other
                .to_string()
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        },
    }
}

/// `*name:` as `*name :` where a line begins with it. The public file uses aliases as keys and
/// writes them without the blank; the parser takes the colon for a part of the name.
fn spaced_aliases(text: &str) -> Cow<'_, str> {
    if !text.contains('*') {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive('\n').map(|line| {
        let start = line.len() - line.trim_start_matches(' ').len();
        let Some(alias) = line[start..].strip_prefix('*') else {
            return Cow::Borrowed(line);
        };
        let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let name = alias.bytes().take_while(|b| in_name(*b)).count();
        let ends = matches!(
            alias.as_bytes().get(name + 1),
            None | Some(b' ' | b'\n' | b'\r')
        );
        if name == 0 || alias.as_bytes().get(name) != Some(&b':') || !ends {
            return Cow::Borrowed(line);
        }
        let colon = start + 1 + name;
        Cow::Owned(format!("{} {}", &line[..colon], &line[colon..]))
    });
    Cow::Owned(lines.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_that_is_a_key_gets_its_blank_and_nothing_else_does() {
        let text =
            "  *github-type:\n*a: 1\n  *b : 2\n  url: https://*.x:\n  # *c:\n  *d:e\n  *:\n*f:";
        let spaced =
            "  *github-type :\n*a : 1\n  *b : 2\n  url: https://*.x:\n  # *c:\n  *d:e\n  *:\n*f :";
        assert_eq!(spaced_aliases(text), spaced);
    }
}
