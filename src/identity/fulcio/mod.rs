//! Fulcio's identity configuration, read as it is: issuers, families of issuers, CI providers.
//!
//! Where Fulcio is silent this is not. An unknown key, a provider that is not there, an audience
//! that is empty, a challenge claim that is advertised and never verified: each is an error with
//! its line when the file is read, not a surprise when a token arrives.

mod document;

use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::Spanned;

use super::{
    ClaimPath, ClaimPathError, Definition, DomainError, IssuerType, Mapping, NameDomain, Provider,
    ProviderError, TrustDomain, TrustDomainError, UriDomain,
};
use crate::spelling;
use crate::token::{IssuerName, IssuerPattern, IssuerUrl, IssuerUrlError, PatternError};

use document::{Document, Pairs};

/// Longest file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Everything a file says.
#[derive(Clone, Debug)]
pub struct FulcioConfig {
    /// Issuers and families, in the order of the file, issuers first.
    pub issuers: Vec<FulcioIssuer>,
}

/// One issuer, or one family of them.
#[derive(Clone, Debug)]
pub struct FulcioIssuer {
    /// Whose tokens.
    pub name: IssuerName,
    /// The `aud` they have to carry.
    pub audience: String,
    /// As the file has it.
    pub kind: IssuerType,
    /// What their claims mean.
    pub mapping: Mapping,
    /// For `uri` and `username`, as the file has it.
    pub subject_domain: Option<String>,
    /// For `spiffe`, as the file has it.
    pub spiffe_trust_domain: Option<String>,
    /// Whether addresses count that the issuer does not vouch for.
    pub skip_email_verification: bool,
    /// PEM, trusted beside the system's roots when its keys are fetched.
    pub ca_cert: Option<String>,
}

/// Why a file cannot be used. `line` counts from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Over [`MAX_FILE_BYTES`].
    #[error("identity configuration of {bytes} bytes is longer than {MAX_FILE_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Neither JSON nor YAML, or of another shape.
    #[error("line {line}: {problem}")]
    Syntax {
        /// Where.
        line: u64,
        /// What the parser says.
        problem: String,
    },
    /// A key that Fulcio would drop without a word.
    #[error("line {line}: there is no key {key:?} here{}", did_you_mean(*nearest))]
    UnknownKey {
        /// Where.
        line: u64,
        /// The key.
        key: String,
        /// One that exists and looks like it.
        nearest: Option<&'static str>,
    },
    /// A setting that cannot be used.
    #[error("line {line}: {setting} of {issuer:?} is {got:?}; {want}")]
    Setting {
        /// Where.
        line: u64,
        /// Whose.
        issuer: String,
        /// Which, by its YAML name.
        setting: &'static str,
        /// What stands there.
        got: String,
        /// What to write.
        want: String,
    },
    /// A setting without which the issuer cannot be used.
    #[error("line {line}: {issuer:?} has no {setting}: {why}")]
    Missing {
        /// Where the issuer begins.
        line: u64,
        /// Whose.
        issuer: String,
        /// Which, by its YAML name.
        setting: &'static str,
        /// What it is for.
        why: &'static str,
    },
    /// An issuer that can be none.
    #[error("line {line}: this issuer cannot be used")]
    Issuer {
        /// Where.
        line: u64,
        /// Why.
        source: IssuerUrlError,
    },
    /// A pattern that is none.
    #[error("line {line}: this family of issuers cannot be used")]
    Family {
        /// Where.
        line: u64,
        /// Why.
        source: PatternError,
    },
    /// A subject domain that is not the issuer's to speak for.
    #[error("line {line}: subject-domain of {issuer:?} cannot be used")]
    Domain {
        /// Where.
        line: u64,
        /// Whose.
        issuer: String,
        /// Why.
        source: DomainError,
    },
    /// A trust domain that is none.
    #[error("line {line}: spiffe-trust-domain of {issuer:?} cannot be used")]
    TrustDomain {
        /// Where.
        line: u64,
        /// Whose.
        issuer: String,
        /// Why.
        source: TrustDomainError,
    },
    /// A path into the claims that is none.
    #[error("line {line}: issuer-claim of {issuer:?} cannot be used")]
    IssuerClaim {
        /// Where.
        line: u64,
        /// Whose.
        issuer: String,
        /// Why.
        source: ClaimPathError,
    },
    /// A provider whose templates cannot be used.
    #[error("line {line}: CI provider {provider:?} cannot be used")]
    Provider {
        /// Where.
        line: u64,
        /// Which.
        provider: String,
        /// Why.
        source: ProviderError,
    },
    /// No issuer at all.
    #[error("no issuer in this file: nobody could get a certificate")]
    Empty,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest
        .map(|n| format!("; did you mean {n:?}?"))
        .unwrap_or_default()
}

impl FulcioConfig {
    /// Reads a file, JSON or YAML.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_FILE_BYTES {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let document = document::read(text)?;
        let providers = providers(&document.providers)?;
        let Document {
            issuers, families, ..
        } = &document;
        let mut out = Vec::new();
        for (key, issuer) in &issuers.0 {
            let name = one(key, issuer)?;
            out.push(judged(key, issuer, IssuerName::One(name), &providers)?);
        }
        for (key, issuer) in &families.0 {
            let name = family(key, issuer)?;
            out.push(judged(key, issuer, name, &providers)?);
        }
        match out.is_empty() {
            true => Err(Error::Empty),
            false => Ok(Self { issuers: out }),
        }
    }
}

type Providers = HashMap<String, Arc<Provider>>;

fn providers(read: &Pairs<document::Metadata>) -> Result<Providers, Error> {
    let mut out = HashMap::new();
    for (name, metadata) in &read.0 {
        let defaults = metadata.defaults.0.iter();
        let defaults: Vec<_> = defaults
            .map(|(n, v)| (n.value.as_str(), v.as_str()))
            .collect();
        let extensions = metadata.extensions.iter();
        let extensions: Vec<_> = extensions
            .map(|(arc, t)| (*arc, t.value.as_str()))
            .collect();
        let provider = Provider::new(Definition {
            defaults: &defaults,
            extensions: &extensions,
            san: metadata.san.as_ref().map_or("", |san| &san.value),
            ..Definition::default()
        });
        let provider = provider.map_err(|source| Error::Provider {
            line: place_of(metadata, &source).unwrap_or_else(|| line(name)),
            provider: name.value.clone(),
            source,
        })?;
        out.insert(name.value.clone(), Arc::new(provider));
    }
    Ok(out)
}

/// The line of the template that is at fault.
fn place_of(metadata: &document::Metadata, error: &ProviderError) -> Option<u64> {
    match error {
        ProviderError::Extension { arc, .. } => {
            let mut all = metadata.extensions.iter();
            all.find(|(other, _)| other == arc).map(|(_, t)| line(t))
        }
        ProviderError::San(_) => metadata.san.as_ref().map(line),
        ProviderError::NoSan | ProviderError::NotTemplated { .. } | ProviderError::Twice { .. } => {
            None
        }
    }
}

/// The expected `iss`: the key, which `issuer-url` may only repeat.
fn one(key: &Spanned<String>, read: &document::Issuer) -> Result<IssuerUrl, Error> {
    if let Some(url) = read.url.as_ref().filter(|url| url.value != key.value) {
        return Err(Error::Setting {
            line: line(url),
            issuer: key.value.clone(),
            setting: "issuer-url",
            got: url.value.clone(),
            want: "write the same as the key, or nothing".to_owned(),
        });
    }
    let line = line(key);
    IssuerUrl::new(&key.value).map_err(|source| Error::Issuer { line, source })
}

fn family(key: &Spanned<String>, read: &document::Issuer) -> Result<IssuerName, Error> {
    if let Some(url) = &read.url {
        return Err(Error::Setting {
            line: line(url),
            issuer: key.value.clone(),
            setting: "issuer-url",
            got: url.value.clone(),
            want: "a family of issuers has its pattern only".to_owned(),
        });
    }
    let line = line(key);
    if !key.value.contains('*') {
        // Matches itself only: Fulcio takes it, and it means one issuer.
        let one = IssuerUrl::new(&key.value);
        let one = one.map_err(|source| Error::Issuer { line, source })?;
        return Ok(IssuerName::One(one));
    }
    let family = IssuerPattern::new(&key.value);
    let family = family.map_err(|source| Error::Family { line, source })?;
    Ok(IssuerName::Family(family))
}

fn judged(
    key: &Spanned<String>,
    read: &document::Issuer,
    name: IssuerName,
    providers: &Providers,
) -> Result<FulcioIssuer, Error> {
    let judge = Judge { key, read };
    let kind = judge.kind(&name)?;
    let audience = judge.needed(
        &read.client_id,
        "client-id",
        "the `aud` its tokens must carry",
    )?;
    let audience = audience.value.clone();
    judge.challenge(kind)?;
    judge.only_for(
        &read.issuer_claim,
        "issuer-claim",
        kind,
        &[IssuerType::Email],
    )?;
    judge.only_for(
        &read.ci_provider,
        "ci-provider",
        kind,
        &[IssuerType::CiProvider],
    )?;
    judge.only_for(
        &read.spiffe_trust_domain,
        "spiffe-trust-domain",
        kind,
        &[IssuerType::Spiffe],
    )?;
    let with_domain = [IssuerType::Uri, IssuerType::Username];
    judge.only_for(&read.subject_domain, "subject-domain", kind, &with_domain)?;
    judge.only_for(
        &read.skip_email_verification,
        "skip-email-verification",
        kind,
        &[IssuerType::Email],
    )?;
    let mapping = judge.mapping(kind, &name, providers)?;
    let text = |setting: &Option<Spanned<String>>| setting.as_ref().map(|s| s.value.clone());
    Ok(FulcioIssuer {
        audience,
        kind,
        mapping,
        subject_domain: text(&read.subject_domain),
        spiffe_trust_domain: text(&read.spiffe_trust_domain),
        skip_email_verification: judge.skips_verification(),
        ca_cert: text(&read.ca_cert).filter(|pem| !pem.is_empty()),
        name,
    })
}

/// One entry, and whose it is.
struct Judge<'a> {
    key: &'a Spanned<String>,
    read: &'a document::Issuer,
}

impl Judge<'_> {
    fn kind(&self, name: &IssuerName) -> Result<IssuerType, Error> {
        let written = self.needed(&self.read.kind, "type", "what its claims mean")?;
        let kind = IssuerType::from_word(&written.value).ok_or_else(|| {
            let words = IssuerType::ALL.map(IssuerType::as_str);
            let nearest = spelling::nearest(&written.value, words.into_iter());
            let want = format!("write one of {}{}", words.join(", "), did_you_mean(nearest));
            self.wrong(written, "type", want)
        })?;
        let is_family = matches!(name, IssuerName::Family(_));
        if kind == IssuerType::Spiffe && is_family {
            // Many issuers for one trust domain.
            let want = "a trust domain has one issuer, not a family".to_owned();
            return Err(self.wrong(written, "type", want));
        }
        Ok(kind)
    }

    fn mapping(
        &self,
        kind: IssuerType,
        name: &IssuerName,
        providers: &Providers,
    ) -> Result<Mapping, Error> {
        let issuer = || self.key.value.clone();
        Ok(match kind {
            IssuerType::Email => Mapping::Email {
                skip_verification: self.skips_verification(),
                issuer: match &self.read.issuer_claim {
                    None => None,
                    Some(path) if path.value.is_empty() => None,
                    Some(path) => {
                        let parsed = ClaimPath::parse(&path.value);
                        Some(parsed.map_err(|source| Error::IssuerClaim {
                            line: line(path),
                            issuer: issuer(),
                            source,
                        })?)
                    }
                },
            },
            IssuerType::Uri => {
                let domain =
                    self.domain("the domain of its subjects, such as https://example.com")?;
                let parsed = UriDomain::new(&domain.value, name.as_str());
                Mapping::Uri(parsed.map_err(|source| self.foreign(domain, source))?)
            }
            IssuerType::Username => {
                let domain = self.domain("the domain of its names, such as example.com")?;
                let parsed = NameDomain::new(&domain.value, name.as_str());
                Mapping::Username(parsed.map_err(|source| self.foreign(domain, source))?)
            }
            IssuerType::Spiffe => {
                let why = "the trust domain of its subjects";
                let domain = &self.read.spiffe_trust_domain;
                let domain = self.needed(domain, "spiffe-trust-domain", why)?;
                let parsed = TrustDomain::parse(&domain.value);
                Mapping::Spiffe(parsed.map_err(|source| Error::TrustDomain {
                    line: line(domain),
                    issuer: issuer(),
                    source,
                })?)
            }
            IssuerType::Kubernetes
            | IssuerType::ChainguardIdentity
            | IssuerType::GithubWorkflow
            | IssuerType::GitlabPipeline
            | IssuerType::BuildkiteJob
            | IssuerType::CodefreshWorkflow => {
                // Each of these has one; nothing else is asked.
                Mapping::plain(kind).unwrap_or(Mapping::Kubernetes)
            }
            IssuerType::CiProvider => {
                let why = "which entry of ci-issuer-metadata has its templates";
                let named = self.needed(&self.read.ci_provider, "ci-provider", why)?;
                let provider = providers.get(&named.value).ok_or_else(|| {
                    let names = providers.keys().map(String::as_str);
                    let nearest = spelling::nearest(&named.value, names);
                    let want = "write a key of ci-issuer-metadata".to_owned();
                    self.wrong(named, "ci-provider", want + &did_you_mean(nearest))
                })?;
                Mapping::CiProvider(Arc::clone(provider))
            }
        })
    }

    /// The claim is told to clients and never changed what is verified: another than the type's
    /// own would have them sign what is refused.
    fn challenge(&self, kind: IssuerType) -> Result<(), Error> {
        let own = kind.challenge_claim();
        match &self.read.challenge_claim {
            Some(other) if !other.value.is_empty() && other.value != own => {
                let want = format!("tokens of type {} sign {own:?}", kind.as_str());
                Err(self.wrong(other, "challenge-claim", want))
            }
            _ => Ok(()),
        }
    }

    /// A setting that another type has, and this one would ignore.
    fn only_for<T: ToString + Default + PartialEq>(
        &self,
        setting: &Option<Spanned<T>>,
        name: &'static str,
        kind: IssuerType,
        kinds: &[IssuerType],
    ) -> Result<(), Error> {
        let set = setting.as_ref().filter(|s| s.value != T::default());
        let Some(set) = set.filter(|_| !kinds.contains(&kind)) else {
            return Ok(());
        };
        let words: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        Err(Error::Setting {
            line: set.referenced.line(),
            issuer: self.key.value.clone(),
            setting: name,
            got: set.value.to_string(),
            want: format!(
                "it is for type {}, not {}",
                words.join(" and "),
                kind.as_str()
            ),
        })
    }

    fn domain(&self, why: &'static str) -> Result<&Spanned<String>, Error> {
        self.needed(&self.read.subject_domain, "subject-domain", why)
    }

    fn skips_verification(&self) -> bool {
        let skip = &self.read.skip_email_verification;
        skip.as_ref().is_some_and(|skip| skip.value)
    }

    fn needed<'s>(
        &self,
        setting: &'s Option<Spanned<String>>,
        name: &'static str,
        why: &'static str,
    ) -> Result<&'s Spanned<String>, Error> {
        let set = setting.as_ref().filter(|set| !set.value.is_empty());
        set.ok_or_else(|| Error::Missing {
            line: line(self.key),
            issuer: self.key.value.clone(),
            setting: name,
            why,
        })
    }

    fn wrong(&self, got: &Spanned<String>, setting: &'static str, want: String) -> Error {
        Error::Setting {
            line: line(got),
            issuer: self.key.value.clone(),
            setting,
            got: got.value.clone(),
            want,
        }
    }

    fn foreign(&self, domain: &Spanned<String>, source: DomainError) -> Error {
        Error::Domain {
            line: line(domain),
            issuer: self.key.value.clone(),
            source,
        }
    }
}

fn line(of: &Spanned<String>) -> u64 {
    of.referenced.line()
}

#[cfg(test)]
mod tests;
