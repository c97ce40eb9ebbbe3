//! Providers we know: an issuer's entry of one word instead of templates, claims and limits.
//!
//! A preset is `Facts`: which issuers it is for, how their claims become an identity, how long
//! and how often a token is taken, what rules should ask for, and what of all this nobody has said
//! in public. Its tables go through the same constructor as everyone's. What comes from the
//! issuer's URL is written into the templates before they are parsed, so a claim that happens to
//! be called `url` decides nothing.
//!
//! Where Fulcio's public file has quirks (fulcio PR#2450), these tables do not; with Fulcio's file
//! Fulcio's values are kept, see [`super::fulcio`].

mod claims;
mod error;
mod facts;
mod forges;
mod github;
mod hosted;
mod recognised;
mod site;
mod tenants;
mod workloads;

use std::sync::Arc;

use super::{Definition, IdClaims, IssuerType, Mapping, Parameters, Provider};
use crate::spelling;
use crate::token::{IssuerName, IssuerNameError, IssuerPattern, IssuerUrl};

pub use claims::REGISTERED;
pub use error::{PresetError, UnknownPreset};
pub use facts::{Audience, Limits};

use facts::{Facts, Reading};
use site::{ACCOUNT, Place, Site};

/// A provider we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preset {
    /// GitHub Actions at github.com, also by an enterprise's own issuer.
    Github,
    /// GitHub Actions at SUBDOMAIN.ghe.com.
    GithubDataResidency,
    /// GitHub Actions on one's own server.
    GithubEnterpriseServer,
    /// GitLab CI, at gitlab.com and anywhere else.
    Gitlab,
    /// Forgejo Actions.
    Forgejo,
    /// Jenkins with the oidc-provider plugin.
    Jenkins,
    /// Buildkite.
    Buildkite,
    /// CircleCI.
    Circleci,
    /// Codefresh.
    Codefresh,
    /// Buddy.
    Buddy,
    /// Bitbucket Pipelines.
    Bitbucket,
    /// Azure DevOps pipelines.
    AzureDevops,
    /// AWS outbound identity federation.
    Aws,
    /// Google accounts, of people and services.
    Google,
    /// Service accounts of a cluster.
    Kubernetes,
    /// SPIFFE workloads.
    Spiffe,
    /// Chainguard's own identities.
    Chainguard,
    /// Any provider that vouches for addresses.
    Email,
}

impl Preset {
    /// Every preset: forges, CI services, workloads, people.
    pub const ALL: [Self; 18] = [
        Self::Github,
        Self::GithubDataResidency,
        Self::GithubEnterpriseServer,
        Self::Gitlab,
        Self::Forgejo,
        Self::Jenkins,
        Self::Buildkite,
        Self::Circleci,
        Self::Codefresh,
        Self::Buddy,
        Self::Bitbucket,
        Self::AzureDevops,
        Self::Aws,
        Self::Google,
        Self::Kubernetes,
        Self::Spiffe,
        Self::Chainguard,
        Self::Email,
    ];

    fn facts(self) -> &'static Facts {
        match self {
            Self::Github => &github::DOTCOM_OR_ENTERPRISE,
            Self::GithubDataResidency => &github::DATA_RESIDENCY,
            Self::GithubEnterpriseServer => &github::ENTERPRISE_SERVER,
            Self::Gitlab => &forges::GITLAB,
            Self::Forgejo => &forges::FORGEJO,
            Self::Jenkins => &forges::JENKINS,
            Self::Buildkite => &hosted::BUILDKITE,
            Self::Circleci => &hosted::CIRCLECI,
            Self::Codefresh => &hosted::CODEFRESH,
            Self::Buddy => &hosted::BUDDY,
            Self::Bitbucket => &tenants::BITBUCKET,
            Self::AzureDevops => &tenants::AZURE_DEVOPS,
            Self::Aws => &workloads::AWS,
            Self::Google => &workloads::GOOGLE,
            Self::Kubernetes => &workloads::KUBERNETES,
            Self::Spiffe => &workloads::SPIFFE,
            Self::Chainguard => &workloads::CHAINGUARD,
            Self::Email => &workloads::EMAIL,
        }
    }

    /// The word in configuration.
    pub fn as_str(self) -> &'static str {
        self.facts().word
    }

    /// Whose its tokens are, in words.
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// The claims its tokens are documented to have beside the [`REGISTERED`] ones, those inside of
    /// another as JSON Pointers; none where whoever runs it chooses.
    pub fn claims(self) -> &'static [&'static str] {
        self.facts().claims
    }

    /// The preset of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == word)
    }

    /// The word somebody meant who wrote another.
    pub fn nearest(word: &str) -> Option<&'static str> {
        spelling::nearest(word, Self::ALL.into_iter().map(Self::as_str))
    }

    /// The issuer, where there is only one and an entry need not say it.
    pub fn issuer(self) -> Option<&'static str> {
        self.facts().issuer
    }

    /// The issuers it is for, in words.
    pub fn issuer_shape(self) -> &'static str {
        self.facts().shape
    }

    /// The families of issuers it is for, as patterns.
    pub fn families(self) -> &'static [&'static str] {
        self.facts().families
    }

    /// What its tokens have as `aud`.
    pub fn audience(self) -> Audience {
        self.facts().audience
    }

    /// The `aud` of its tokens where nobody asked for another: for an entry that names none. Nothing
    /// where the caller always asks, or where the issuer's URL does not say whose it is.
    pub fn default_audience(self, issuer: &str) -> Result<Option<String>, PresetError> {
        let (_, place) = self.place(issuer)?;
        Ok(match self.facts().audience {
            Audience::Free => None,
            Audience::Fixed(audience) => Some(audience.to_owned()),
            Audience::Usual(audience) => {
                let known = place.account.is_some() || !audience.contains(ACCOUNT);
                known.then(|| place.fill(audience))
            }
        })
    }

    /// How long and how often one of its tokens is taken, unless configuration says otherwise.
    pub fn limits(self) -> Limits {
        self.facts().limits
    }

    /// The kind of issuer it is, as `GET /api/v2/configuration` tells it.
    pub fn kind(self) -> IssuerType {
        match &self.facts().reading {
            Reading::Email => IssuerType::Email,
            Reading::Spiffe => IssuerType::Spiffe,
            Reading::Kubernetes => IssuerType::Kubernetes,
            Reading::Chainguard => IssuerType::ChainguardIdentity,
            Reading::Table(_) => IssuerType::CiProvider,
        }
    }

    /// The claims that rules should ask for.
    pub fn ids(self) -> IdClaims {
        self.facts().ids
    }

    /// What no public source says of this provider, and was taken to be so.
    pub fn unverified(self) -> &'static [&'static str] {
        self.facts().unverified
    }

    /// The claims without which a token of its names nobody.
    pub fn required_claims(self) -> &'static [&'static str] {
        match &self.facts().reading {
            Reading::Email => &["email", "email_verified"],
            Reading::Spiffe | Reading::Chainguard => &["sub"],
            Reading::Kubernetes => &["kubernetes.io"],
            Reading::Table(table) => table.required,
        }
    }

    /// `issuer` as one of this preset's, or one of its families.
    pub fn issuer_name(self, issuer: &str) -> Result<IssuerName, PresetError> {
        self.place(issuer).map(|(name, _)| name)
    }

    /// What the claims of `issuer` mean.
    pub fn mapping(self, issuer: &str, given: &Parameters<'_>) -> Result<Mapping, PresetError> {
        let preset = self.as_str();
        let (name, place) = self.place(issuer)?;
        let kind = self.kind();
        let Reading::Table(table) = &self.facts().reading else {
            let mapping = Mapping::new(kind, &name, given);
            return mapping.map_err(|source| PresetError::Mapping { preset, source });
        };
        // The table is everything; a setting that would do nothing was meant to do something.
        if let Some(setting) = given.idle(|_| false) {
            return Err(PresetError::Unused { preset, setting });
        }
        let provider = provider(table, &place);
        let provider = provider.map_err(|source| PresetError::Table { preset, source })?;
        Ok(Mapping::CiProvider(Arc::new(provider)))
    }

    fn place(self, issuer: &str) -> Result<(IssuerName, Place), PresetError> {
        let (preset, facts) = (self.as_str(), self.facts());
        let got = || issuer.to_owned();
        let name = IssuerName::new(issuer).map_err(|error| match error {
            IssuerNameError::One(source) => PresetError::Issuer { preset, source },
            IssuerNameError::Family(source) => PresetError::Family { preset, source },
        })?;
        if let IssuerName::Family(_) = &name {
            let place = family_place(facts, issuer).ok_or_else(|| PresetError::OtherFamily {
                preset,
                got: got(),
                families: facts.families,
            })?;
            return Ok((name, place));
        }
        let place = Site::read(issuer).and_then(|site| (facts.place)(&site));
        let place = place.ok_or_else(|| PresetError::OtherIssuer {
            preset,
            got: got(),
            want: facts.shape,
        })?;
        Ok((name, place))
    }
}

/// The place of a family that is one of the preset's or narrower; no single account is behind it.
fn family_place(facts: &Facts, pattern: &str) -> Option<Place> {
    // A narrower pattern is one whose members the known family takes.
    let member = pattern.replace('*', "00000000-0000-0000-0000-000000000000");
    let issuer = IssuerUrl::new(&member).ok()?;
    let mut known = facts.families.iter();
    known.find(|family| IssuerPattern::new(family).is_ok_and(|f| f.matches(&issuer)))?;
    let place = Site::read(&member).and_then(|site| (facts.place)(&site))?;
    Some(Place {
        account: None,
        ..place
    })
}

fn provider(table: &Definition<'_>, place: &Place) -> Result<Provider, super::ProviderError> {
    // In a family nothing can be held against the account.
    let known = |words: &[&str]| place.account.is_some() || !words.contains(&ACCOUNT);
    let one_of = table.one_of.iter().copied();
    let one_of: Vec<_> = one_of.filter(|(_, words)| known(words)).collect();
    let table = Definition {
        one_of: &one_of,
        ..*table
    };
    Provider::filled(table, &|text| place.fill(text))
}

#[cfg(test)]
mod tests;
