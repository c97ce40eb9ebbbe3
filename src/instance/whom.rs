//! Whose tokens buy certificates, and who of theirs may: the issuers of the settings and of
//! Fulcio's file, and the claim rules, read and held against each other.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::files::read_text;
use super::rule_file::RuleFile;
use crate::config::{IssuerSettings, Settings};
use crate::identity::fulcio::{self, FulcioConfig};
use crate::identity::presets::Preset;
use crate::identity::{IdClaims, IssuerType};
use crate::rules::{self, Finding, Known, RuleSet, Severity};
use crate::token::IssuerTable;

/// Whom an instance believes.
#[derive(Clone, Debug)]
pub struct Believed {
    /// Issuers, those of `[[issuer]]` first.
    pub issuers: Vec<IssuerSettings>,
    /// Who may have a certificate; none = everybody they vouch for.
    pub rules: Option<RuleFile>,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

/// Why rules, or Fulcio's file, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeliefError {
    /// Fulcio's file.
    #[error("identity configuration {path:?} cannot be used")]
    Fulcio {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: fulcio::Error,
    },
    /// An issuer in both.
    #[error("issuer {issuer} is both in {path:?} and an [[issuer]]: take it out of one of them")]
    Twice {
        /// Which file.
        path: PathBuf,
        /// The issuer.
        issuer: String,
    },
    /// The rule file.
    #[error("rule file {path:?} cannot be used")]
    Rules {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: rules::Error,
    },
    /// A rule that lets in whoever gets hold of a name.
    #[error("rule file {path:?}, line {line}: rule {rule:?}: {text}")]
    Finding {
        /// Which file.
        path: PathBuf,
        /// Where the rule begins.
        line: usize,
        /// Its name.
        rule: String,
        /// What is wrong, and what to do.
        text: String,
    },
}

/// Reads what the settings name.
pub fn believed(settings: &Settings) -> Result<Believed, Error> {
    let mut issuers = settings.issuers.clone();
    let mut warnings = Vec::new();
    if let Some(path) = &settings.identity.fulcio_config {
        let config = FulcioConfig::parse(&read_text(path)?).map_err(|source| {
            let path = path.clone();
            BeliefError::Fulcio { path, source }
        })?;
        let (theirs, told) = IssuerSettings::of_fulcio(&config, &settings.identity);
        warnings.extend(told);
        let own = &settings.issuers;
        if let Some(twice) = theirs
            .iter()
            .find(|one| own.iter().any(|o| o.name == one.name))
        {
            let (path, issuer) = (path.clone(), twice.name.as_str().to_owned());
            return Err(BeliefError::Twice { path, issuer }.into());
        }
        issuers.extend(theirs);
    }
    let rules = match &settings.identity.rules {
        None => None,
        Some(path) => {
            let (path, issuers) = (path.clone(), issuers.clone());
            Some(RuleFile::open(path, issuers, &mut warnings)?)
        }
    };
    Ok(Believed {
        issuers,
        rules,
        warnings,
    })
}

/// These rules, if they can be used beside these issuers.
pub(super) fn rules_of(
    path: &Path,
    text: &str,
    issuers: &[IssuerSettings],
    warnings: &mut Vec<String>,
) -> Result<RuleSet, Error> {
    let rules = RuleSet::parse(text).map_err(|source| {
        let path = path.to_owned();
        BeliefError::Rules { path, source }
    })?;
    for finding in findings(&rules, issuers) {
        let (path, line, rule, text) = (path.to_owned(), finding.line, finding.rule, finding.text);
        match finding.severity {
            Severity::Error => {
                return Err(BeliefError::Finding {
                    path,
                    line,
                    rule,
                    text,
                }
                .into());
            }
            Severity::Warning => {
                warnings.push(format!(
                    "{}, line {line}: rule {rule:?}: {text}",
                    path.display()
                ));
            }
        }
    }
    if rules.is_empty() {
        warnings.push(format!(
            "{} has no rules: everybody is refused",
            path.display()
        ));
    }
    if rules.mode() == rules::Mode::Shadow {
        warnings.push(format!(
            "{} is in shadow mode: whom it refuses gets a certificate all the same",
            path.display()
        ));
    }
    Ok(rules)
}

/// An error and its causes in one line.
pub(super) fn chain_of(error: &Error) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        words = format!("{words}: {error}");
        next = error.source();
    }
    words
}

/// What is worth a look in these rules, beside these issuers.
pub fn findings(rules: &RuleSet, issuers: &[IssuerSettings]) -> Vec<Finding> {
    let all = issuers.iter().map(|one| (one.name.clone(), one));
    let table: IssuerTable<&IssuerSettings> = all.collect();
    rules.findings(&|issuer| {
        // A rule may be about a family; else it is about whose tokens these would be.
        let mut families = issuers.iter();
        let own = families.find(|one| one.name.as_str() == issuer);
        let configured = own.or_else(|| table.named_by(issuer).map(|found| *found.value));
        match configured {
            None => Known::NotConfigured,
            Some(configured) => ids(configured).map_or(Known::WithoutIds, Known::Ids),
        }
    })
}

/// The claims by which this issuer's provider identifies things for good, if it is known.
fn ids(issuer: &IssuerSettings) -> Option<IdClaims> {
    let of_kind = match issuer.kind {
        IssuerType::GithubWorkflow => Some(Preset::Github),
        IssuerType::GitlabPipeline => Some(Preset::Gitlab),
        IssuerType::BuildkiteJob => Some(Preset::Buildkite),
        IssuerType::CodefreshWorkflow => Some(Preset::Codefresh),
        // Fulcio's file names its providers as it likes: known are those with an issuer of their own.
        IssuerType::CiProvider => {
            let mut all = Preset::ALL.into_iter();
            all.find(|preset| preset.issuer() == Some(issuer.name.as_str()))
        }
        IssuerType::Email
        | IssuerType::Uri
        | IssuerType::Username
        | IssuerType::Spiffe
        | IssuerType::Kubernetes
        | IssuerType::ChainguardIdentity => None,
    };
    issuer.preset.or(of_kind).map(Preset::ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev;
    use crate::token::{IssuerName, IssuerUrl};

    #[test]
    fn an_issuer_that_is_configured_by_itself_has_its_own_ids_whatever_the_order() {
        let of = |kind, name: &str| {
            let some = IssuerUrl::new("https://ci.example.com").unwrap();
            let mut issuer = dev::outside(kind, some).unwrap();
            issuer.name = IssuerName::new(name).unwrap();
            issuer
        };
        let exact = of(IssuerType::GithubWorkflow, "https://ci.example.com");
        let family = of(IssuerType::Kubernetes, "https://*.example.com");
        let rules =
            "[[allow]]\nname='a'\nissuer='https://ci.example.com'\nclaims={repository='a/b'}";
        let rules = RuleSet::parse(rules).unwrap();
        for issuers in [
            vec![exact.clone(), family.clone()],
            vec![family.clone(), exact],
        ] {
            let found = findings(&rules, &issuers);
            assert!(
                found.iter().any(|f| f.severity == Severity::Error),
                "{found:?}"
            );
        }
        assert_eq!(findings(&rules, &[family]), []);
    }
}
