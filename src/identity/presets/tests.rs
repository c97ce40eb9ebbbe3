//! Each preset with the claims its provider documents (`testdata/identities`): every name and
//! extension, every claim it cannot be without, every issuer it is not for.

mod issuers;

use std::fs;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::*;
use crate::fault::Reason;
use crate::identity::{Error, Principal, principal};
use crate::token::VerifiedToken;

/// Stored claims, the preset they are of, and what else its entry says.
const CASES: [(&str, Preset, Parameters<'static>); 25] = [
    ("github", Preset::Github, PLAIN),
    ("github-enterprise", Preset::Github, PLAIN),
    ("github-data-residency", Preset::GithubDataResidency, PLAIN),
    (
        "github-enterprise-server",
        Preset::GithubEnterpriseServer,
        PLAIN,
    ),
    ("gitlab", Preset::Gitlab, PLAIN),
    ("gitlab-self-managed", Preset::Gitlab, PLAIN),
    ("forgejo", Preset::Forgejo, PLAIN),
    ("jenkins", Preset::Jenkins, PLAIN),
    ("jenkins-folder", Preset::Jenkins, PLAIN),
    ("buildkite", Preset::Buildkite, PLAIN),
    ("circleci", Preset::Circleci, PLAIN),
    ("codefresh", Preset::Codefresh, PLAIN),
    ("buddy", Preset::Buddy, PLAIN),
    ("bitbucket", Preset::Bitbucket, PLAIN),
    ("azure-devops", Preset::AzureDevops, PLAIN),
    ("aws", Preset::Aws, PLAIN),
    ("google", Preset::Google, PLAIN),
    ("kubernetes", Preset::Kubernetes, PLAIN),
    ("kubernetes-eks", Preset::Kubernetes, PLAIN),
    ("kubernetes-gke", Preset::Kubernetes, PLAIN),
    ("kubernetes-aks", Preset::Kubernetes, PLAIN),
    ("spiffe", Preset::Spiffe, OF_A_DOMAIN),
    ("chainguard", Preset::Chainguard, PLAIN),
    ("email", Preset::Email, PLAIN),
    ("email", Preset::Email, OF_A_CONNECTOR),
];

const PLAIN: Parameters<'static> = Parameters {
    subject_domain: None,
    spiffe_trust_domain: None,
    issuer_claim: None,
    skip_email_verification: false,
    ci_provider: None,
    providers: None,
};
const OF_A_DOMAIN: Parameters<'static> = Parameters {
    spiffe_trust_domain: Some("example.org"),
    ..PLAIN
};
const OF_A_CONNECTOR: Parameters<'static> = Parameters {
    issuer_claim: Some("$.federated_claims.connector_id"),
    ..PLAIN
};

fn stored(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/identities");
    folder.join(name)
}

fn claims(name: &str) -> Json {
    let text = fs::read_to_string(stored(&format!("{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn named(preset: Preset, given: &Parameters<'_>, claims: &Json) -> Result<Principal, Error> {
    let mapping = preset.mapping(claims["iss"].as_str().unwrap(), given);
    let token = VerifiedToken::for_test(&claims.to_string());
    principal(&token, &mapping.unwrap())
}

/// A principal as lines to read.
fn printed(principal: &Principal) -> String {
    let mut out = format!(
        "san {:?}\nchallenge {}\n",
        principal.san(),
        principal.challenge()
    );
    for extension in principal.extensions() {
        out += &format!(".{} {}\n", extension.arc, extension.value);
    }
    out
}

#[test]
fn documented_claims_make_the_stored_names_and_extensions() {
    for (name, preset, given) in CASES {
        let got = printed(&named(preset, &given, &claims(name)).unwrap());
        let variant = if given.issuer_claim.is_some() {
            "-connector"
        } else {
            ""
        };
        let file = stored(&format!("{name}{variant}.txt"));
        if std::env::var_os("SHORTLEAF_REGENERATE").is_some() {
            fs::write(&file, &got).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn every_documented_claim_is_in_its_presets_list_and_every_claim_asked_for_too() {
    for (name, preset, _) in CASES {
        let (listed, stored) = (preset.claims(), claims(name));
        for claim in stored.as_object().unwrap().keys() {
            let known = listed.contains(&claim.as_str()) || REGISTERED.contains(&claim.as_str());
            assert!(known || listed.is_empty(), "{name}: {claim}");
        }
        for pointer in listed.iter().filter(|claim| claim.starts_with('/')) {
            let (parent, _) = pointer[1..].split_once('/').unwrap();
            assert!(listed.contains(&parent), "{pointer}");
        }
        let ids = preset.ids();
        let named = [ids.any_of, ids.names, preset.required_claims()].concat();
        let others = [ids.event, ids.runner, ids.ref_kind];
        for claim in named.into_iter().chain(others.into_iter().flatten()) {
            let known = listed.contains(&claim) || REGISTERED.contains(&claim);
            assert!(known || listed.is_empty(), "{name}: {claim}");
        }
    }
}

/// Without these there is no token at all.
const OF_EVERY_TOKEN: [&str; 5] = ["iss", "aud", "sub", "iat", "exp"];

/// What a token without each of its claims is told, as lines to read.
#[test]
fn each_required_claim_is_named_when_it_is_missing_and_no_other_is_needed() {
    let mut got = String::new();
    for (name, preset, given) in CASES {
        let all = claims(name);
        for claim in all.as_object().unwrap().keys() {
            let mut without = all.clone();
            without.as_object_mut().unwrap().remove(claim);
            if OF_EVERY_TOKEN.contains(&claim.as_str()) {
                continue;
            }
            let required = preset.required_claims().contains(&claim.as_str());
            match named(preset, &given, &without) {
                Ok(_) => assert!(!required, "{name}: {claim}"),
                // The part of the issuer's entry that looks there is not the preset's.
                Err(error) if error.claim().starts_with('$') => {}
                Err(error) => {
                    assert!(required, "{name}: {error}");
                    assert_eq!(error.issuer().as_str(), all["iss"], "{name}");
                    got += &format!("{name}: {error}\n");
                }
            }
        }
    }
    let file = stored("missing.txt");
    if std::env::var_os("SHORTLEAF_REGENERATE").is_some() {
        fs::write(&file, &got).unwrap();
    }
    assert_eq!(got, fs::read_to_string(&file).unwrap_or_default());
}

#[test]
fn an_empty_required_claim_is_a_missing_one() {
    let mut empty = claims("bitbucket");
    empty["repositoryUuid"] = "".into();
    let error = named(Preset::Bitbucket, &PLAIN, &empty).unwrap_err();
    let told = (error.reason(), error.claim(), error.extension());
    let expected = (Reason::ClaimMissing, "repositoryUuid", "Build Signer URI");
    assert_eq!(told, expected);
}

#[test]
fn numbers_and_booleans_arrive_exactly() {
    let with = |name: &str, preset: Preset, claim: &str, value: &str| {
        let text = claims(name).to_string();
        let (_, old) = text.split_once(&format!("\"{claim}\":")).unwrap();
        let old = &old[..old.find([',', '}']).unwrap()];
        let text = text.replace(
            &format!("\"{claim}\":{old}"),
            &format!("\"{claim}\":{value}"),
        );
        let issuer = claims(name)["iss"].as_str().unwrap().to_owned();
        let mapping = preset.mapping(&issuer, &PLAIN).unwrap();
        printed(&principal(&VerifiedToken::for_test(&text), &mapping).unwrap())
    };
    for number in ["9007199254740993", "18446744073709551617", "0", "-1"] {
        let line = format!(".15 {number}\n");
        assert!(with("github", Preset::Github, "repository_id", number).contains(&line));
        assert!(with("forgejo", Preset::Forgejo, "repository_id", number).contains(&line));
        let line = format!(".21 https://jenkins.acme.example/job/my-job/{number}/\n");
        assert!(with("jenkins", Preset::Jenkins, "build_number", number).contains(&line));
        let line = format!("/_apis/pipelines/{number}\")\n");
        assert!(with("azure-devops", Preset::AzureDevops, "def_id", number).contains(&line));
    }
    let rerun = |value| {
        let claim = "oidc.circleci.com/ssh-rerun";
        with("circleci", Preset::Circleci, claim, value).contains(".11 ssh-rerun\n")
    };
    assert!(rerun("true"));
    assert!(!rerun("false"));
}

#[test]
fn a_claim_named_like_an_address_moves_nobodys_identity() {
    let names = [
        "url",
        "api_url",
        "base_url",
        "platform_url",
        "instance",
        "host",
        "account",
        "{instance}",
    ];
    for (name, preset, given) in CASES {
        let plain = claims(name);
        let mut moved = plain.clone();
        for name in names {
            moved[name] = "https://evil.example".into();
        }
        let of = |claims| printed(&named(preset, &given, claims).unwrap());
        assert_eq!(of(&moved), of(&plain), "{name}");
    }
}

#[test]
fn the_quirks_of_fulcios_file_are_not_ours() {
    let circleci = printed(&named(Preset::Circleci, &PLAIN, &claims("circleci")).unwrap());
    assert!(!circleci.contains(".11 ") && !circleci.contains("//workflow"));
    let gitlab = claims("gitlab-self-managed");
    let gitlab = printed(&named(Preset::Gitlab, &PLAIN, &gitlab).unwrap());
    assert!(!gitlab.contains("gitlab.com"));
}

#[test]
fn what_a_token_says_of_its_instance_or_account_is_the_issuers() {
    let other = "0ca3ddd9-f0b0-4635-a98c-000000000000";
    for (name, preset, claim, value) in [
        (
            "circleci",
            Preset::Circleci,
            "oidc.circleci.com/org-id",
            other,
        ),
        ("azure-devops", Preset::AzureDevops, "org_id", other),
        (
            "gitlab",
            Preset::Gitlab,
            "ci_config_ref_uri",
            "gitlab.com.evil.example/g/p//.gitlab-ci.yml@refs/heads/main",
        ),
        (
            "gitlab-self-managed",
            Preset::Gitlab,
            "ci_config_ref_uri",
            "gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main",
        ),
        (
            "jenkins",
            Preset::Jenkins,
            "sub",
            "https://jenkins.acme.example.evil/job/x/",
        ),
        ("jenkins", Preset::Jenkins, "sub", "jenkins:main:7"),
        (
            "jenkins-folder",
            Preset::Jenkins,
            "sub",
            "https://ci.acme.example/jenkins/job/another-team/job/app/",
        ),
        ("aws", Preset::Aws, "sub", "somebody"),
        ("gitlab", Preset::Gitlab, "ref_type", "merge_request"),
    ] {
        let mut claims = claims(name);
        claims[claim] = value.into();
        let error = named(preset, &PLAIN, &claims).unwrap_err();
        let told = (error.reason(), error.claim());
        assert_eq!(told, (Reason::ClaimInvalid, claim), "{name}");
    }
    let mut claims = claims("gitlab");
    claims["ci_config_ref_uri"] = "gitlab.example/g/p".into();
    assert_eq!(
        named(Preset::Gitlab, &PLAIN, &claims)
            .unwrap_err()
            .to_string(),
        "claim \"ci_config_ref_uri\" of https://gitlab.com, needed for Build Signer URI, is not an address of the issuer's own"
    );
}

/// With one issuer for all of CircleCI, no organization is another's.
#[test]
fn in_a_family_the_account_is_not_held_against_the_token() {
    let mapping = Preset::Circleci.mapping("https://oidc.circleci.com/org/*", &PLAIN);
    let token = VerifiedToken::for_test(&claims("circleci").to_string());
    let alone = named(Preset::Circleci, &PLAIN, &claims("circleci")).unwrap();
    let family = principal(&token, &mapping.unwrap()).unwrap();
    assert_eq!(printed(&family), printed(&alone));
}

/// Configuration takes 1 s to 24 h and 1 to 1024.
#[test]
fn limits_are_such_as_configuration_takes() {
    for preset in Preset::ALL {
        let limits = preset.limits();
        let age = limits.max_token_age_s;
        assert!(0 < age && age <= limits.max_token_lifetime_s, "{preset:?}");
        assert!(limits.max_token_lifetime_s <= 86_400, "{preset:?}");
        assert!(
            (1..=1024).contains(&limits.certificates_per_token),
            "{preset:?}"
        );
    }
}

#[test]
fn the_claims_that_rules_should_ask_for_exist() {
    for (name, preset, _) in CASES {
        let (ids, all) = (preset.ids(), claims(name));
        let singles = [ids.ref_kind, ids.event, ids.runner].into_iter().flatten();
        for claim in ids.any_of.iter().chain(ids.names).copied().chain(singles) {
            let there = match claim.starts_with('/') {
                true => all.pointer(claim).is_some(),
                false => all.get(claim).is_some(),
            };
            assert!(there, "{name}: {claim}");
        }
        assert!(ids.any_of.is_empty() != ids.names.is_empty(), "{name}");
    }
}

#[test]
fn every_preset_is_described_with_what_is_not_verified() {
    let docs = include_str!("../../../docs/identities.md");
    let sources = include_str!("../../../testdata/identities/README.md");
    for preset in Preset::ALL {
        assert!(
            docs.contains(&format!("| `{}` |", preset.as_str())),
            "{preset:?}"
        );
        for doubt in preset.unverified() {
            assert!(docs.contains(doubt), "{doubt}");
        }
        assert!(docs.contains(preset.limits().why), "{preset:?}");
        assert!(CASES.iter().any(|(_, of, _)| *of == preset), "{preset:?}");
    }
    for (name, ..) in CASES {
        assert!(sources.contains(&format!("`{name}.json`")), "{name}");
    }
}
