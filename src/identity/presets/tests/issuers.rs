//! Which issuers and settings a preset takes, and what it says to the others.

use super::{OF_A_CONNECTOR, OF_A_DOMAIN, PLAIN};
use crate::identity::presets::{Preset, PresetError};
use crate::identity::{MappingError, Parameters, Setting};
use crate::token::{IssuerName, IssuerPattern};

#[test]
fn a_preset_is_for_its_own_issuers_only() {
    let org = "https://oidc.circleci.com/org/11111111-1111-4111-8111-111111111111";
    let azure = "https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6";
    let bitbucket = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc";
    let github = "https://token.actions.githubusercontent.com";
    let residency = "https://token.actions.acme.ghe.com";
    for (preset, taken, suffixes) in [
        (
            Preset::Github,
            github,
            &["/", "/a/b", "/a.b", ":443", ".evil.example", "/*x"][..],
        ),
        (
            Preset::GithubDataResidency,
            residency,
            &["/", "/other", "/acme/", ".evil.example", ":444"],
        ),
        (
            Preset::GithubEnterpriseServer,
            "https://github.example.com/_services/token",
            &["/", "/x", "s"],
        ),
        (
            Preset::Gitlab,
            "https://gitlab.example.com/forge",
            &["/", "//x", "/../x", "/{{.x}}"],
        ),
        (
            Preset::Forgejo,
            "https://forge.example.com/api/actions",
            &["/", "/x", "s"],
        ),
        (
            Preset::Jenkins,
            "https://ci.example.com/oidc",
            &["/", "/job", "/job/", "/x/y", "s"],
        ),
        (
            Preset::Buildkite,
            "https://agent.buildkite.com",
            &["/", "/x", ".evil.example"],
        ),
        (Preset::Circleci, org, &["/", "0", "/project"]),
        (
            Preset::Codefresh,
            "https://oidc.codefresh.io",
            &["/", "/x", ":8443"],
        ),
        (
            Preset::Buddy,
            "https://eu-oidc.buddyusercontent.com",
            &["/", "/x", ".evil.example"],
        ),
        (Preset::Bitbucket, bitbucket, &["/", "/x", "s"]),
        (Preset::AzureDevops, azure, &["/", "0", "/x"]),
        (
            Preset::Aws,
            "https://abc-1.tokens.sts.global.api.aws",
            &["/", "/x", ".evil.example"],
        ),
        (
            Preset::Google,
            "https://accounts.google.com",
            &["/", "/x", ".evil.example"],
        ),
        (
            Preset::Kubernetes,
            "https://k8s.example/x",
            &["//", "/{{.x}}", "/%20/../y"],
        ),
        (Preset::Spiffe, "https://spire.example", &["//", "/{x}"]),
        (
            Preset::Chainguard,
            "https://issuer.enforce.dev",
            &["/", "/x"],
        ),
        (Preset::Email, "https://dex.example/auth", &["//", "/{x}"]),
    ] {
        let name = preset
            .issuer_name(taken)
            .map(|name| name.as_str().to_owned());
        assert_eq!(name, Ok(taken.to_owned()));
        for suffix in suffixes {
            let got = format!("{taken}{suffix}");
            let error = preset.mapping(&got, &PLAIN).err();
            let other = if got.contains('*') {
                PresetError::OtherFamily {
                    preset: preset.as_str(),
                    got,
                    families: &[],
                }
            } else {
                PresetError::OtherIssuer {
                    preset: preset.as_str(),
                    got,
                    want: preset.issuer_shape(),
                }
            };
            assert_eq!(error, Some(other));
        }
        let plain = taken.replace("https://", "http://");
        assert!(preset.issuer_name(&plain).is_err(), "{plain}");
    }
    for (preset, more) in [
        (
            Preset::Github,
            "https://token.actions.githubusercontent.com/octocat-inc",
        ),
        (
            Preset::GithubDataResidency,
            "https://token.actions.acme.ghe.com/acme",
        ),
        (Preset::Gitlab, "https://gitlab.com"),
        (Preset::Gitlab, "http://127.0.0.1:8080"),
        (
            Preset::Jenkins,
            "https://ci.example.com/jenkins/oidc/job/a/job/b",
        ),
        (Preset::Buddy, "https://oidc.buddyusercontent.com"),
        (Preset::Buddy, "https://asia-oidc.buddyusercontent.com"),
        (Preset::Kubernetes, "https://oidc.prod-aks.azure.com/t/c/"),
        (Preset::Kubernetes, "https://oidc.prod-aks.azure.com/t/c"),
    ] {
        assert!(preset.issuer_name(more).is_ok(), "{more}");
    }
    let error = Preset::GithubEnterpriseServer.issuer_name("https://github.example.com");
    assert_eq!(
        error.unwrap_err().to_string(),
        "preset \"github-enterprise-server\" cannot be used for issuer \"https://github.example.com\": it is for https://HOST/_services/token"
    );
}

#[test]
fn a_family_is_a_known_one_or_narrower() {
    for (preset, family) in [
        (Preset::Kubernetes, "https://oidc.eks.*.amazonaws.com/id/*"),
        (
            Preset::Kubernetes,
            "https://oidc.eks.eu-west-1.amazonaws.com/id/*",
        ),
        (
            Preset::Kubernetes,
            "https://container.googleapis.com/v1/projects/acme/locations/*/clusters/*",
        ),
        (Preset::Kubernetes, "https://*.oic.prod-aks.azure.com/*/*"),
        (Preset::Kubernetes, "https://*.oic.prod-aks.azure.com/*/*/"),
        (Preset::Circleci, "https://oidc.circleci.com/org/*"),
    ] {
        let name = preset.issuer_name(family).unwrap();
        assert!(matches!(&name, IssuerName::Family(f) if f.as_str() == family));
        assert!(preset.mapping(family, &PLAIN).is_ok(), "{family}");
    }
    for (preset, family) in [
        (
            Preset::Github,
            "https://token.actions.githubusercontent.com/*",
        ),
        (Preset::Gitlab, "https://*.gitlab.example.com"),
        (Preset::Kubernetes, "https://*.example.com/id/*"),
        (Preset::Kubernetes, "https://oidc.eks.*.amazonaws.com/*/*"),
        (Preset::Circleci, "https://oidc.circleci.com/*/*"),
        (Preset::Aws, "https://*.tokens.sts.global.api.aws"),
    ] {
        let error = preset.issuer_name(family).map(|_| ());
        let (got, families) = (family.to_owned(), preset.families());
        let preset = preset.as_str();
        assert_eq!(
            error,
            Err(PresetError::OtherFamily {
                preset,
                got,
                families
            })
        );
    }
    let error = Preset::Github.issuer_name("https://token.actions.githubusercontent.com/*");
    assert_eq!(
        error.unwrap_err().to_string(),
        "preset \"github\" cannot be used for the family \"https://token.actions.githubusercontent.com/*\": name each issuer"
    );
    for family in Preset::ALL.into_iter().flat_map(Preset::families) {
        assert!(IssuerPattern::new(family).is_ok(), "{family}");
    }
}

#[test]
fn a_setting_is_used_or_refused() {
    let spiffe = |given| {
        Preset::Spiffe
            .mapping("https://spire.example", &given)
            .err()
    };
    let told = |error: Option<PresetError>| error.map(|error| told(&error));
    assert_eq!(
        told(spiffe(PLAIN)).as_deref(),
        Some(
            "preset \"spiffe\" cannot be used with these settings: type spiffe needs spiffe_trust_domain: the trust domain of its subjects, such as example.org"
        )
    );
    assert_eq!(spiffe(OF_A_DOMAIN), None);
    assert_eq!(
        told(spiffe(OF_A_CONNECTOR)).as_deref(),
        Some(
            "preset \"spiffe\" cannot be used with these settings: issuer_claim is for type email, not spiffe"
        )
    );

    let unverified = Parameters {
        skip_email_verification: true,
        ..PLAIN
    };
    let email = |given| Preset::Email.mapping("https://dex.example", &given).err();
    assert_eq!((email(unverified), email(OF_A_CONNECTOR)), (None, None));
    let bad = Parameters {
        issuer_claim: Some("connector"),
        ..PLAIN
    };
    assert!(matches!(
        email(bad),
        Some(PresetError::Mapping {
            source: MappingError::IssuerClaim(_),
            ..
        })
    ));

    for (given, setting) in [
        (OF_A_DOMAIN, Setting::SpiffeTrustDomain),
        (OF_A_CONNECTOR, Setting::IssuerClaim),
        (unverified, Setting::SkipEmailVerification),
    ] {
        let error = Preset::Gitlab.mapping("https://gitlab.com", &given).err();
        let preset = "gitlab";
        assert_eq!(error, Some(PresetError::Unused { preset, setting }));
    }
}

fn told(error: &PresetError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn every_preset_is_found_by_its_word_and_by_no_other() {
    for preset in Preset::ALL {
        assert_eq!(Preset::from_word(preset.as_str()), Some(preset));
        if let Some(issuer) = preset.issuer() {
            assert!(preset.mapping(issuer, &PLAIN).is_ok(), "{issuer}");
        }
    }
    for word in ["", "GitHub", "github ", "github_enterprise_server"] {
        assert_eq!(Preset::from_word(word), None);
    }
    assert_eq!(Preset::nearest("bitbuket"), Some("bitbucket"));
    assert_eq!(
        Preset::nearest("github-enterprise"),
        Some("github-enterprise-server")
    );
    assert_eq!(Preset::nearest("something else altogether"), None);
}

#[test]
fn an_audience_is_known_where_the_provider_or_the_issuer_says_it() {
    let org = "11111111-1111-4111-8111-111111111111";
    let bitbucket = |workspace: &str| {
        format!(
            "https://api.bitbucket.org/2.0/workspaces/{workspace}/pipelines-config/identity/oidc"
        )
    };
    let azure = format!("https://vstoken.dev.azure.com/{org}");
    let of_org = format!("ari:cloud:bitbucket::workspace/{org}");
    for (preset, issuer, expected) in [
        (
            Preset::Circleci,
            format!("https://oidc.circleci.com/org/{org}"),
            Some(org),
        ),
        (
            Preset::Circleci,
            "https://oidc.circleci.com/org/*".to_owned(),
            None,
        ),
        (Preset::Bitbucket, bitbucket(org), Some(&*of_org)),
        (Preset::Bitbucket, bitbucket("acme"), None),
        (
            Preset::AzureDevops,
            azure,
            Some("api://AzureADTokenExchange"),
        ),
        (
            Preset::Codefresh,
            "https://oidc.codefresh.io".to_owned(),
            Some("https://g.codefresh.io"),
        ),
        (Preset::Gitlab, "https://gitlab.com".to_owned(), None),
    ] {
        let got = preset.default_audience(&issuer).unwrap();
        assert_eq!(got.as_deref(), expected, "{issuer}");
    }
}
