//! Which provider an issuer is of, by its URL or by the word somebody gave it.

use super::Preset;
use crate::identity::IssuerType;
use crate::token::{IssuerPattern, IssuerUrl};

/// Presets whose issuers nobody else's look like; a GitLab or a cluster may stand anywhere.
const RECOGNISED: [Preset; 8] = [
    Preset::Github,
    Preset::GithubDataResidency,
    Preset::GithubEnterpriseServer,
    Preset::Circleci,
    Preset::Buddy,
    Preset::Bitbucket,
    Preset::AzureDevops,
    Preset::Aws,
];

/// What stands for the `*` of a family: a name, and the id that some issuers have instead.
const MEMBERS: [&str; 2] = ["x", "00000000-0000-0000-0000-000000000000"];

impl Preset {
    /// The preset that an issuer's URL alone gives away, or a family's pattern by what it describes.
    pub fn recognised(issuer: &str) -> Option<Self> {
        if !issuer.contains('*') {
            return Self::of_url(issuer);
        }
        let mut members = MEMBERS.iter().map(|member| issuer.replace('*', member));
        members.find_map(|member| Self::of_url(&member))
    }

    fn of_url(issuer: &str) -> Option<Self> {
        if issuer == "https://gitlab.com" {
            return Some(Self::Gitlab);
        }
        let mut all = Self::ALL.into_iter();
        let own = all.find(|preset| preset.issuer() == Some(issuer));
        let is_of = |preset: &Self| preset.issuer_name(issuer).is_ok();
        own.or_else(|| RECOGNISED.into_iter().find(is_of))
            .or_else(|| {
                Self::ALL
                    .into_iter()
                    .find(|preset| preset.has_family_of(issuer))
            })
    }

    /// Whether one of its families has this issuer.
    fn has_family_of(self, issuer: &str) -> bool {
        let Ok(issuer) = IssuerUrl::new(issuer) else {
            return false;
        };
        let mut families = self.families().iter();
        families.any(|family| IssuerPattern::new(family).is_ok_and(|f| f.matches(&issuer)))
    }

    /// The preset of the provider whose tokens a type of Fulcio's is about, if it is about one's.
    pub fn of_kind(kind: IssuerType) -> Option<Self> {
        match kind {
            IssuerType::GithubWorkflow => Some(Self::Github),
            IssuerType::GitlabPipeline => Some(Self::Gitlab),
            IssuerType::BuildkiteJob => Some(Self::Buildkite),
            IssuerType::CodefreshWorkflow => Some(Self::Codefresh),
            IssuerType::ChainguardIdentity => Some(Self::Chainguard),
            IssuerType::Kubernetes => Some(Self::Kubernetes),
            IssuerType::Email
            | IssuerType::Uri
            | IssuerType::Username
            | IssuerType::Spiffe
            | IssuerType::CiProvider => None,
        }
    }

    /// The preset of a provider by its key in Fulcio's file: `gitlab-pipeline` is GitLab's.
    pub fn of_provider(key: &str) -> Option<Self> {
        let begins = |preset: &Self| {
            let rest = key.strip_prefix(preset.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        // "github-enterprise-server" is not "github".
        let named = Self::ALL.into_iter().filter(begins);
        named.max_by_key(|preset| preset.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_or_a_family_gives_its_provider_away() {
        for (issuer, preset) in [
            (
                "https://token.actions.githubusercontent.com",
                Preset::Github,
            ),
            (
                "https://token.actions.githubusercontent.com/acme",
                Preset::Github,
            ),
            (
                "https://token.actions.githubusercontent.com/*",
                Preset::Github,
            ),
            (
                "https://token.actions.*.ghe.com",
                Preset::GithubDataResidency,
            ),
            ("https://gitlab.com", Preset::Gitlab),
            ("https://oidc.circleci.com/org/*", Preset::Circleci),
            (
                "https://oidc.eks.us-east-1.amazonaws.com/id/*",
                Preset::Kubernetes,
            ),
            ("https://agent.buildkite.com", Preset::Buildkite),
        ] {
            assert_eq!(Preset::recognised(issuer), Some(preset), "{issuer}");
        }
        for issuer in [
            "https://token.actions.githubusercontent.com/",
            "https://token.actions.githubusercontent.com/*/*",
            "https://gitlab.example.com",
            "https://*.example.com/x",
        ] {
            assert_eq!(Preset::recognised(issuer), None, "{issuer}");
        }
    }

    #[test]
    fn a_key_of_fulcios_file_names_its_provider() {
        for (key, preset) in [
            ("github-workflow", Some(Preset::Github)),
            ("gitlab-pipeline", Some(Preset::Gitlab)),
            ("circleci-job", Some(Preset::Circleci)),
            ("buildkite", Some(Preset::Buildkite)),
            (
                "github-enterprise-server-job",
                Some(Preset::GithubEnterpriseServer),
            ),
            ("gitlabs", None),
            ("acme-gitlab", None),
        ] {
            assert_eq!(Preset::of_provider(key), preset, "{key}");
        }
    }
}
