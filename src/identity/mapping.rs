//! How an issuer's claims become an identity, made of what its entry says.
//!
//! Our configuration, Fulcio's and the presets all come here, so that a setting means the same
//! wherever it stands: each is used, or refused by its name. None is dropped, none is made up.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{
    ClaimPath, ClaimPathError, DomainError, IssuerType, NameDomain, Provider, TrustDomain,
    TrustDomainError, UriDomain, builtin,
};
use crate::spelling;
use crate::token::IssuerName;

/// How an issuer's claims become an identity.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// The issuer vouches for the address in `email`.
    Email {
        /// Take the address even where `email_verified` does not say `true`: for issuers that
        /// never send it.
        skip_verification: bool,
        /// Where the token says for whom it was issued, if extensions .1 and .8 are to say that.
        issuer: Option<ClaimPath>,
    },
    /// `sub` is a URI of this domain.
    Uri(UriDomain),
    /// `sub` is a name in this domain.
    Username(NameDomain),
    /// `sub` is a SPIFFE ID of this trust domain.
    Spiffe(TrustDomain),
    /// A service account of a cluster.
    Kubernetes,
    /// Issuer and `sub` together.
    ChainguardIdentity,
    /// The issuer is a CI provider.
    CiProvider(Arc<Provider>),
}

/// The CI providers that an entry may name.
pub type Providers = BTreeMap<String, Arc<Provider>>;

/// What an issuer's entry says beside its name and its type.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    /// For `uri` and `username`, which need it.
    pub subject_domain: Option<&'a str>,
    /// For `spiffe`, which needs it.
    pub spiffe_trust_domain: Option<&'a str>,
    /// For `email`: where the token says for whom it was issued, as a path of claims.
    pub issuer_claim: Option<&'a str>,
    /// For `email`: take addresses that the issuer does not say it verified.
    pub skip_email_verification: bool,
    /// For `ci-provider`, which needs it: which of `providers`.
    pub ci_provider: Option<&'a str>,
    /// The providers there are beside those that have a type of their own.
    pub providers: Option<&'a Providers>,
}

/// A setting of an issuer's entry, by what our configuration calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// The domain its subjects are of.
    SubjectDomain,
    /// The trust domain its subjects are of.
    SpiffeTrustDomain,
    /// Where its tokens say for whom they were issued.
    IssuerClaim,
    /// Whether unverified addresses count.
    SkipEmailVerification,
    /// Which provider's templates.
    CiProvider,
}

impl Setting {
    /// The key in our configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SubjectDomain => "subject_domain",
            Self::SpiffeTrustDomain => "spiffe_trust_domain",
            Self::IssuerClaim => "issuer_claim",
            Self::SkipEmailVerification => "skip_email_verification",
            Self::CiProvider => "ci_provider",
        }
    }

    /// The types that read it.
    pub fn types(self) -> &'static [IssuerType] {
        match self {
            Self::SubjectDomain => &[IssuerType::Uri, IssuerType::Username],
            Self::SpiffeTrustDomain => &[IssuerType::Spiffe],
            Self::IssuerClaim | Self::SkipEmailVerification => &[IssuerType::Email],
            Self::CiProvider => &[IssuerType::CiProvider],
        }
    }

    /// Whose it is, for somebody who gave it to another type.
    pub(super) fn not_for(self, kind: IssuerType) -> String {
        let words: Vec<_> = self.types().iter().map(|kind| kind.as_str()).collect();
        format!("for type {}, not {}", words.join(" and "), kind.as_str())
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an entry says nothing that could be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// A setting without which this type says nothing.
    #[error("type {} needs {setting}: {why}", kind.as_str())]
    Missing {
        /// The type.
        kind: IssuerType,
        /// The setting.
        setting: Setting,
        /// What it is for.
        why: &'static str,
    },
    /// A setting that would have no effect was meant to have one.
    #[error("{setting} is {}", setting.not_for(*kind))]
    Idle {
        /// The type.
        kind: IssuerType,
        /// The setting.
        setting: Setting,
    },
    /// Many issuers for one trust domain.
    #[error("a trust domain has one issuer, not a family")]
    Family,
    /// A subject domain that is not the issuer's to speak for.
    #[error(transparent)]
    Domain(DomainError),
    /// A trust domain that is none.
    #[error(transparent)]
    TrustDomain(TrustDomainError),
    /// A path into the claims that is none.
    #[error(transparent)]
    IssuerClaim(ClaimPathError),
    /// A provider that is not there.
    #[error("there is no CI provider {got:?}{}", spelling::did_you_mean(nearest.as_deref()))]
    NoProvider {
        /// The name.
        got: String,
        /// One that exists and looks like it.
        nearest: Option<String>,
    },
}

impl MappingError {
    /// The setting it is about; none where it is the type that does not fit the issuer.
    pub fn setting(&self) -> Option<Setting> {
        match self {
            Self::Missing { setting, .. } | Self::Idle { setting, .. } => Some(*setting),
            Self::Family => None,
            Self::Domain(_) => Some(Setting::SubjectDomain),
            Self::TrustDomain(_) => Some(Setting::SpiffeTrustDomain),
            Self::IssuerClaim(_) => Some(Setting::IssuerClaim),
            Self::NoProvider { .. } => Some(Setting::CiProvider),
        }
    }
}

impl Parameters<'_> {
    /// A setting that is there and that nobody reads.
    pub(super) fn idle(&self, is_read: impl Fn(Setting) -> bool) -> Option<Setting> {
        let set = [
            (Setting::SubjectDomain, self.subject_domain.is_some()),
            (
                Setting::SpiffeTrustDomain,
                self.spiffe_trust_domain.is_some(),
            ),
            (Setting::IssuerClaim, self.issuer_claim.is_some()),
            (Setting::SkipEmailVerification, self.skip_email_verification),
            (Setting::CiProvider, self.ci_provider.is_some()),
        ];
        let mut set = set.into_iter().filter_map(|(s, set)| set.then_some(s));
        set.find(|setting| !is_read(*setting))
    }
}

impl Mapping {
    /// What the claims of `issuer` mean, which is of this type.
    pub fn new(
        kind: IssuerType,
        issuer: &IssuerName,
        given: &Parameters<'_>,
    ) -> Result<Self, MappingError> {
        if let Some(setting) = given.idle(|setting| setting.types().contains(&kind)) {
            return Err(MappingError::Idle { kind, setting });
        }
        let missing = |setting, why| MappingError::Missing { kind, setting, why };
        let domain = |why| {
            let given = given.subject_domain;
            given.ok_or_else(|| missing(Setting::SubjectDomain, why))
        };
        let provider = |provider| Ok(Self::CiProvider(Arc::new(provider)));
        match kind {
            IssuerType::Email => {
                let path = given.issuer_claim.map(ClaimPath::parse).transpose();
                Ok(Self::Email {
                    skip_verification: given.skip_email_verification,
                    issuer: path.map_err(MappingError::IssuerClaim)?,
                })
            }
            IssuerType::Uri => {
                let domain =
                    domain("scheme and host of its subjects, such as https://example.com")?;
                let domain = UriDomain::new(domain, issuer.as_str());
                domain.map(Self::Uri).map_err(MappingError::Domain)
            }
            IssuerType::Username => {
                let domain = domain("the domain of its names, such as example.com")?;
                let domain = NameDomain::new(domain, issuer.as_str());
                domain.map(Self::Username).map_err(MappingError::Domain)
            }
            IssuerType::Spiffe => {
                if matches!(issuer, IssuerName::Family(_)) {
                    return Err(MappingError::Family);
                }
                let why = "the trust domain of its subjects, such as example.org";
                let domain = given.spiffe_trust_domain;
                let domain = domain.ok_or_else(|| missing(Setting::SpiffeTrustDomain, why))?;
                let domain = TrustDomain::parse(domain);
                domain.map(Self::Spiffe).map_err(MappingError::TrustDomain)
            }
            IssuerType::Kubernetes => Ok(Self::Kubernetes),
            IssuerType::ChainguardIdentity => Ok(Self::ChainguardIdentity),
            IssuerType::GithubWorkflow => provider(builtin::github()),
            IssuerType::GitlabPipeline => provider(builtin::gitlab()),
            IssuerType::BuildkiteJob => provider(builtin::buildkite()),
            IssuerType::CodefreshWorkflow => provider(builtin::codefresh()),
            IssuerType::CiProvider => {
                let why = "whose templates its certificates are made with";
                let name = given.ci_provider;
                let name = name.ok_or_else(|| missing(Setting::CiProvider, why))?;
                let found = given.providers.and_then(|all| all.get(name));
                let found = found.ok_or_else(|| no_provider(name, given.providers))?;
                Ok(Self::CiProvider(Arc::clone(found)))
            }
        }
    }
}

fn no_provider(name: &str, providers: Option<&Providers>) -> MappingError {
    let names = providers.into_iter().flat_map(BTreeMap::keys);
    let nearest = spelling::nearest(name, names.map(String::as_str));
    MappingError::NoProvider {
        got: name.to_owned(),
        nearest: nearest.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{IssuerPattern, IssuerUrl};

    fn one() -> IssuerName {
        IssuerName::One(IssuerUrl::new("https://accounts.example.com").unwrap())
    }

    fn told(kind: IssuerType, issuer: &IssuerName, given: &Parameters<'_>) -> String {
        match Mapping::new(kind, issuer, given) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    /// What each type needs, and nothing more.
    fn enough<'a>(kind: IssuerType, providers: &'a Providers) -> Parameters<'a> {
        let none = Parameters {
            providers: Some(providers),
            ..Parameters::default()
        };
        let (uri, name) = (Some("https://example.com"), Some("example.com"));
        match kind {
            IssuerType::Uri => Parameters {
                subject_domain: uri,
                ..none
            },
            IssuerType::Username => Parameters {
                subject_domain: name,
                ..none
            },
            IssuerType::Spiffe => Parameters {
                spiffe_trust_domain: name,
                ..none
            },
            IssuerType::CiProvider => Parameters {
                ci_provider: Some("mine"),
                ..none
            },
            IssuerType::Email
            | IssuerType::Kubernetes
            | IssuerType::GithubWorkflow
            | IssuerType::GitlabPipeline
            | IssuerType::BuildkiteJob
            | IssuerType::CodefreshWorkflow
            | IssuerType::ChainguardIdentity => none,
        }
    }

    fn providers() -> Providers {
        Providers::from([("mine".to_owned(), Arc::new(builtin::buildkite()))])
    }

    #[test]
    fn a_type_that_has_what_it_needs_means_something_and_without_it_nothing() {
        let providers = providers();
        for kind in IssuerType::ALL {
            assert_eq!(
                told(kind, &one(), &enough(kind, &providers)),
                "",
                "{kind:?}"
            );
        }
        for (kind, error) in [
            (
                IssuerType::Uri,
                "type uri needs subject_domain: scheme and host of its subjects, such as https://example.com",
            ),
            (
                IssuerType::Username,
                "type username needs subject_domain: the domain of its names, such as example.com",
            ),
            (
                IssuerType::Spiffe,
                "type spiffe needs spiffe_trust_domain: the trust domain of its subjects, such as example.org",
            ),
            (
                IssuerType::CiProvider,
                "type ci-provider needs ci_provider: whose templates its certificates are made with",
            ),
        ] {
            assert_eq!(told(kind, &one(), &Parameters::default()), error);
        }
    }

    #[test]
    fn every_setting_is_read_by_its_types_and_refused_by_all_others() {
        let providers = providers();
        for kind in IssuerType::ALL {
            let enough = enough(kind, &providers);
            let with = [
                Parameters {
                    subject_domain: Some("example.com"),
                    ..enough
                },
                Parameters {
                    spiffe_trust_domain: Some("example.com"),
                    ..enough
                },
                Parameters {
                    issuer_claim: Some("$.a"),
                    ..enough
                },
                Parameters {
                    skip_email_verification: true,
                    ..enough
                },
                Parameters {
                    ci_provider: Some("mine"),
                    ..enough
                },
            ];
            let settings = [
                Setting::SubjectDomain,
                Setting::SpiffeTrustDomain,
                Setting::IssuerClaim,
                Setting::SkipEmailVerification,
                Setting::CiProvider,
            ];
            for (given, setting) in with.into_iter().zip(settings) {
                let error = Mapping::new(kind, &one(), &given).err();
                let idle = Some(MappingError::Idle { kind, setting });
                assert_eq!(
                    error == idle,
                    !setting.types().contains(&kind),
                    "{setting} {kind:?}"
                );
            }
        }
        let given = Parameters {
            subject_domain: Some("example.com"),
            ..Parameters::default()
        };
        assert_eq!(
            told(IssuerType::Email, &one(), &given),
            "subject_domain is for type uri and username, not email"
        );
    }

    #[test]
    fn a_trust_domain_has_one_issuer() {
        let providers = providers();
        let family = IssuerPattern::new("https://*.example.com").unwrap();
        let given = enough(IssuerType::Spiffe, &providers);
        assert_eq!(
            told(IssuerType::Spiffe, &IssuerName::Family(family), &given),
            "a trust domain has one issuer, not a family"
        );
        assert_eq!(told(IssuerType::Spiffe, &one(), &given), "");
    }

    #[test]
    fn a_provider_that_is_not_there_finds_the_one_that_was_meant() {
        let providers = providers();
        let given = Parameters {
            ci_provider: Some("mien"),
            ..enough(IssuerType::CiProvider, &providers)
        };
        assert_eq!(
            told(IssuerType::CiProvider, &one(), &given),
            "there is no CI provider \"mien\"; did you mean \"mine\"?"
        );
    }
}
