//! Fulcio's identity configuration, read as it is: issuers, families of issuers, CI providers.
//!
//! Where Fulcio is silent this is not. An unknown key, a provider that is not there, an audience
//! that is empty, a challenge claim that is advertised and never verified: each is an error with
//! its line when the file is read, not a surprise when a token arrives.

mod document;

use std::sync::Arc;

use serde_saphyr::Spanned;

use super::{
    Definition, IssuerType, Mapping, MappingError, Parameters, Provider, ProviderError, Providers,
    Setting,
};
use crate::spelling::{self, did_you_mean};
use crate::token::{IssuerName, IssuerNameError, IssuerUrl, IssuerUrlError, PatternError};

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
    /// The line of its key, counted from 1.
    pub line: u64,
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
    /// The key of its templates, for `ci-provider`, as the file has it.
    pub ci_provider: Option<String>,
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
    /// A setting that says nothing an issuer of this type could use.
    #[error("line {line}: {setting} of {issuer:?} cannot be used")]
    Unusable {
        /// Where.
        line: u64,
        /// Which, by its YAML name.
        setting: &'static str,
        /// Whose.
        issuer: String,
        /// Why.
        source: Box<MappingError>,
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

fn providers(read: &Pairs<document::Metadata>) -> Result<Providers, Error> {
    let mut out = Providers::new();
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
    // Without a `*` it matches itself only: Fulcio takes it, and it means one issuer.
    IssuerName::new(&key.value).map_err(|error| match error {
        IssuerNameError::One(source) => Error::Issuer { line, source },
        IssuerNameError::Family(source) => Error::Family { line, source },
    })
}

fn judged(
    key: &Spanned<String>,
    read: &document::Issuer,
    name: IssuerName,
    providers: &Providers,
) -> Result<FulcioIssuer, Error> {
    let judge = Judge { key, read };
    let kind = judge.kind()?;
    let audience = judge.needed(
        &read.client_id,
        "client-id",
        "the `aud` its tokens must carry",
    )?;
    let audience = audience.value.clone();
    judge.challenge(kind)?;
    let given = judge.given(providers);
    let mapping = Mapping::new(kind, &name, &given);
    let mapping = mapping.map_err(|error| judge.unusable(error))?;
    let text = |setting: &Option<Spanned<String>>| setting.as_ref().map(|s| s.value.clone());
    Ok(FulcioIssuer {
        line: line(key),
        audience,
        kind,
        mapping,
        subject_domain: text(&read.subject_domain),
        spiffe_trust_domain: text(&read.spiffe_trust_domain),
        ci_provider: text(&read.ci_provider),
        skip_email_verification: given.skip_email_verification,
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
    fn kind(&self) -> Result<IssuerType, Error> {
        let written = self.needed(&self.read.kind, "type", "what its claims mean")?;
        IssuerType::from_word(&written.value).ok_or_else(|| {
            let words = IssuerType::ALL.map(IssuerType::as_str);
            let nearest = spelling::nearest(&written.value, words.into_iter());
            let want = format!("write one of {}{}", words.join(", "), did_you_mean(nearest));
            self.wrong(written, "type", want)
        })
    }

    /// What is set beside them; an empty text is nothing, as in Fulcio.
    fn given<'a>(&'a self, providers: &'a Providers) -> Parameters<'a> {
        let read = self.read;
        let text = |set: &'a Option<Spanned<String>>| {
            let text = set.as_ref().map(|set| set.value.as_str());
            text.filter(|text| !text.is_empty())
        };
        let skip = &read.skip_email_verification;
        Parameters {
            subject_domain: text(&read.subject_domain),
            spiffe_trust_domain: text(&read.spiffe_trust_domain),
            issuer_claim: text(&read.issuer_claim),
            skip_email_verification: skip.as_ref().is_some_and(|skip| skip.value),
            ci_provider: text(&read.ci_provider),
            providers: Some(providers),
        }
    }

    /// The same in the words and with the line of the file.
    fn unusable(&self, error: MappingError) -> Error {
        let issuer = self.key.value.clone();
        let (setting, got, line) = match error.setting() {
            Some(setting) => self.written(setting),
            None => at("type", &self.read.kind),
        };
        let line = line.unwrap_or_else(|| self.key.referenced.line());
        let want = match error {
            MappingError::Missing { why, .. } => {
                return Error::Missing {
                    line: self.key.referenced.line(),
                    issuer,
                    setting,
                    why,
                };
            }
            MappingError::Domain(_)
            | MappingError::TrustDomain(_)
            | MappingError::IssuerClaim(_) => {
                return Error::Unusable {
                    line,
                    setting,
                    issuer,
                    source: Box::new(error),
                };
            }
            MappingError::Idle { kind, setting } => format!("it is {}", setting.not_for(kind)),
            MappingError::Family => error.to_string(),
            MappingError::NoProvider { nearest, .. } => {
                let nearest = did_you_mean(nearest.as_deref());
                format!("write a key of ci-issuer-metadata{nearest}")
            }
        };
        Error::Setting {
            line,
            issuer,
            setting,
            got,
            want,
        }
    }

    /// A setting by its YAML name, with what stands there and where.
    fn written(&self, setting: Setting) -> (&'static str, String, Option<u64>) {
        let read = self.read;
        match setting {
            Setting::SubjectDomain => at("subject-domain", &read.subject_domain),
            Setting::SpiffeTrustDomain => at("spiffe-trust-domain", &read.spiffe_trust_domain),
            Setting::IssuerClaim => at("issuer-claim", &read.issuer_claim),
            Setting::SkipEmailVerification => {
                at("skip-email-verification", &read.skip_email_verification)
            }
            Setting::CiProvider => at("ci-provider", &read.ci_provider),
        }
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
}

fn at<T: ToString>(
    name: &'static str,
    set: &Option<Spanned<T>>,
) -> (&'static str, String, Option<u64>) {
    let value = set.as_ref().map(|set| set.value.to_string());
    let line = set.as_ref().map(|set| set.referenced.line());
    (name, value.unwrap_or_default(), line)
}

fn line(of: &Spanned<String>) -> u64 {
    of.referenced.line()
}

#[cfg(test)]
mod tests;
