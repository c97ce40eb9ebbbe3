//! Whose tokens buy certificates, and who of theirs may: the issuers of the settings and of
//! Fulcio's file, and the claim rules, read and held against each other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::Error;
use super::watch::Reading;
use crate::config::{IssuerSettings, Settings};
use crate::identity::IssuerType;
use crate::identity::fulcio::{self, FulcioConfig};
use crate::identity::presets::Preset;
use crate::rules::{self, Finding, Issuers, Known, RuleSet, Severity};
use crate::token::{IssuerName, IssuerTable};

/// Whom an instance believes.
#[derive(Clone, Debug)]
pub struct Believed {
    /// Issuers, those of `[[issuer]]` first.
    pub issuers: Vec<IssuerSettings>,
    /// Who may have a certificate; none = everybody they vouch for.
    pub rules: Option<Arc<RuleSet>>,
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
    read(settings, &mut Reading::default())
}

/// The same, noting what was read.
pub(super) fn read(settings: &Settings, reading: &mut Reading) -> Result<Believed, Error> {
    let mut issuers = settings.issuers.clone();
    let mut warnings = Vec::new();
    if let Some(path) = &settings.identity.fulcio_config {
        let config = FulcioConfig::parse(&reading.read_text(path)?).map_err(|source| {
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
            let text = reading.read_text(path)?;
            Some(Arc::new(rules_of(path, &text, &issuers, &mut warnings)?))
        }
    };
    Ok(Believed {
        issuers,
        rules,
        warnings,
    })
}

/// These rules, if they can be used beside these issuers.
fn rules_of(
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

/// What is worth a look in these rules, beside these issuers.
pub fn findings(rules: &RuleSet, issuers: &[IssuerSettings]) -> Vec<Finding> {
    let table = table(issuers);
    rules.findings(&|about| {
        let configured: Vec<&IssuerSettings> = match about {
            // An entry of its own wins over a family's.
            Issuers::One(issuer) => table.get(issuer).into_iter().copied().collect(),
            Issuers::Family(family) => {
                let of_both = |one: &&IssuerSettings| match &one.name {
                    IssuerName::One(issuer) => family.matches(issuer),
                    IssuerName::Family(other) => family.overlaps(other),
                };
                issuers.iter().filter(of_both).collect()
            }
            Issuers::All => issuers.iter().collect(),
        };
        let written = written(about);
        if configured.is_empty() {
            let nearest = other_spelling(written).filter(|other| table.named_by(other).is_some());
            return Known::NotConfigured { nearest };
        }
        let providers = configured.into_iter();
        known(providers.map(|issuer| provider(issuer, written)))
    })
}

/// The same without a configuration: which issuers there are is not known, so none is missing.
pub fn findings_alone(rules: &RuleSet) -> Vec<Finding> {
    rules.findings(&|about| match about {
        // Whose tokens the others are about is all there is to go by.
        Issuers::All => {
            let named = rules.issuers().filter(|other| **other != Issuers::All);
            known(named.map(|other| Preset::recognised(written(other))))
        }
        Issuers::One(_) | Issuers::Family(_) => {
            let (written, preset) = (written(about), Preset::recognised(written(about)));
            let other = other_spelling(written);
            match other.filter(|other| preset.is_none() && Preset::recognised(other).is_some()) {
                Some(nearest) => Known::Nobodys { nearest },
                None => known(std::iter::once(preset)),
            }
        }
    })
}

/// The settings for tokens with this `iss`, found as for a request.
pub fn of<'a>(iss: &str, issuers: &'a [IssuerSettings]) -> Option<&'a IssuerSettings> {
    table(issuers).named_by(iss).map(|found| *found.value)
}

fn table(issuers: &[IssuerSettings]) -> IssuerTable<&IssuerSettings> {
    let all = issuers.iter().map(|one| (one.name.clone(), one));
    all.collect()
}

fn written(about: &Issuers) -> &str {
    match about {
        Issuers::One(issuer) => issuer.as_str(),
        Issuers::Family(family) => family.as_str(),
        Issuers::All => "",
    }
}

/// With the slash at its end that it lacks, or without the one it has.
fn other_spelling(issuer: &str) -> Option<String> {
    (!issuer.is_empty()).then(|| match issuer.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{issuer}/"),
    })
}

fn known(each: impl Iterator<Item = Option<Preset>>) -> Known {
    let mut providers = Vec::new();
    let mut others = false;
    for preset in each {
        match preset {
            Some(preset) if providers.contains(&preset) => {}
            Some(preset) => providers.push(preset),
            None => others = true,
        }
    }
    Known::Of { providers, others }
}

/// Whose tokens this issuer's are, if that is known; `wanted` is how a rule names it.
fn provider(issuer: &IssuerSettings, wanted: &str) -> Option<Preset> {
    let named = || Preset::recognised(issuer.name.as_str()).or_else(|| Preset::recognised(wanted));
    // Fulcio's file names its providers as it likes.
    let keyed = || Preset::of_provider(issuer.ci_provider.as_deref()?);
    let of_kind = match issuer.kind == IssuerType::CiProvider {
        true => named().or_else(keyed),
        false => Preset::of_kind(issuer.kind),
    };
    issuer.preset.or(of_kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IdentitySettings;
    use crate::dev;
    use crate::token::IssuerUrl;

    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    const EKS: &str = "https://oidc.eks.*.amazonaws.com/id/*";

    fn issuer(kind: IssuerType, name: &str) -> IssuerSettings {
        let some = IssuerUrl::new("https://ci.example.com").unwrap();
        let mut issuer = dev::outside(kind, some).unwrap();
        issuer.name = IssuerName::new(name).unwrap();
        issuer
    }

    fn of_preset(preset: Preset, name: &str) -> IssuerSettings {
        let preset = Some(preset);
        IssuerSettings {
            preset,
            ..issuer(IssuerType::Email, name)
        }
    }

    /// The issuers of a file of Fulcio's with these keys of their templates.
    fn of_fulcio(name: &str, key: &str) -> IssuerSettings {
        let table = if name.contains('*') {
            "meta-issuers"
        } else {
            "oidc-issuers"
        };
        let text = format!(
            "{table}:\n  {name}: {{type: ci-provider, client-id: x, ci-provider: {key}}}\n\
             ci-issuer-metadata:\n  {key}: {{subject-alternative-name-template: '{{{{ .a }}}}'}}\n"
        );
        let config = FulcioConfig::parse(&text).unwrap();
        IssuerSettings::of_fulcio(&config, &IdentitySettings::default())
            .0
            .remove(0)
    }

    /// The words about a rule that names this issuer and a name.
    fn told(issuer: &str, issuers: &[IssuerSettings]) -> String {
        let rule = format!("[[allow]]\nname='a'\nissuer='{issuer}'\nclaims={{repository='a/b'}}");
        let rules = RuleSet::parse(&rule).unwrap();
        let found = findings(&rules, issuers);
        let words = found
            .iter()
            .map(|f| format!("{:?} {}\n", f.severity, f.text));
        words.collect()
    }

    #[test]
    fn an_issuer_that_is_configured_by_itself_has_its_own_ids_whatever_the_order() {
        let exact = issuer(IssuerType::GithubWorkflow, "https://ci.example.com");
        let family = issuer(IssuerType::Kubernetes, "https://*.example.com");
        for issuers in [
            vec![exact.clone(), family.clone()],
            vec![family.clone(), exact],
        ] {
            let told = told("https://ci.example.com", &issuers);
            assert!(
                told.contains("Error names can change hands: add repository_id"),
                "{told}"
            );
        }
        let told = told("https://ci.example.com", &[family]);
        assert!(!told.contains("Error"), "{told}");
    }

    #[test]
    fn a_rule_about_a_family_is_held_against_the_ids_of_each_issuer_it_is_about() {
        let acme = of_preset(Preset::Github, &format!("{GITHUB}/acme"));
        let circle = "https://oidc.circleci.com/org/00000000-0000-0000-0000-000000000001";
        let cluster = of_preset(Preset::Kubernetes, EKS);
        for (rule, issuers, wanted) in [
            (
                format!("{GITHUB}/*"),
                vec![acme.clone()],
                "Error names can change hands: add repository_id",
            ),
            (
                format!("{GITHUB}/*"),
                vec![cluster.clone(), acme.clone()],
                "Error names can change hands: add repository_id",
            ),
            (
                "https://oidc.circleci.com/org/*".to_owned(),
                vec![of_preset(Preset::Circleci, circle)],
                "Error names can change hands: add oidc.circleci.com/project-id",
            ),
            (
                "https://oidc.eks.us-east-1.amazonaws.com/id/*".to_owned(),
                vec![cluster.clone()],
                "Error whoever has an issuer of this family chooses /kubernetes.io/namespace",
            ),
            (
                "https://*.example.com".to_owned(),
                vec![
                    issuer(IssuerType::Kubernetes, "https://ci.example.com"),
                    issuer(IssuerType::GitlabPipeline, "https://*.example.com"),
                ],
                "Error names can change hands: add project_id",
            ),
        ] {
            let told = told(&rule, &issuers);
            assert!(told.contains(wanted), "{rule}: {told}");
            assert!(!told.contains("is not configured"), "{rule}: {told}");
        }
        let other = told(&format!("{GITHUB}/*"), &[of_preset(Preset::Github, GITHUB)]);
        assert_eq!(
            other,
            format!("Warning issuer \"{GITHUB}/*\" is not configured: this rule never holds\n")
        );
        let slash = told(&format!("{GITHUB}/acme/"), &[acme]);
        assert!(
            slash.ends_with(&format!("never holds; did you mean \"{GITHUB}/acme\"?\n")),
            "{slash}"
        );
    }

    #[test]
    fn the_issuers_of_fulcios_file_have_the_ids_of_their_providers() {
        let circle = "https://oidc.circleci.com/org";
        for (rule, name, key, id) in [
            (
                GITHUB.to_owned(),
                GITHUB.to_owned(),
                "mine",
                "repository_id",
            ),
            (
                format!("{GITHUB}/acme"),
                format!("{GITHUB}/*"),
                "mine",
                "repository_id",
            ),
            (
                format!("{GITHUB}/*"),
                format!("{GITHUB}/*"),
                "mine",
                "repository_id",
            ),
            (
                "https://gitlab.archlinux.org".to_owned(),
                "https://gitlab.archlinux.org".to_owned(),
                "gitlab-pipeline",
                "project_id",
            ),
            (
                format!("{circle}/00000000-0000-0000-0000-000000000001"),
                format!("{circle}/*"),
                "circleci-job",
                "oidc.circleci.com/project-id",
            ),
        ] {
            let told = told(&rule, &[of_fulcio(&name, key)]);
            let wanted = format!("Error names can change hands: add {id}");
            assert!(told.contains(&wanted), "{rule}: {told}");
        }
        let own = "https://ci.example.com";
        assert_eq!(told(own, &[of_fulcio(own, "own-templates")]), "");
    }

    #[test]
    fn without_a_configuration_an_issuer_gives_itself_away() {
        let told = |issuer: &str| {
            let rule =
                format!("[[allow]]\nname='a'\nissuer='{issuer}'\nclaims={{repository='a/b'}}");
            let found = findings_alone(&RuleSet::parse(&rule).unwrap());
            found.into_iter().map(|f| (f.severity, f.text)).next()
        };
        let (severity, text) = told(&format!("{GITHUB}/*")).unwrap();
        assert_eq!(severity, Severity::Error);
        assert!(text.starts_with("names can change hands"), "{text}");
        let (_, text) = told(&format!("{GITHUB}/")).unwrap();
        assert_eq!(
            text,
            format!(
                "no token is of issuer \"{GITHUB}/\": this rule never holds; did you mean \"{GITHUB}\"?"
            )
        );
        assert_eq!(told("https://ci.example.com"), None);
    }

    #[test]
    fn of_two_families_the_more_precise_has_an_issuer_whatever_the_order() {
        let some = IssuerUrl::new("https://a.example").unwrap();
        let of_name = |name: &str| {
            let mut family = dev::outside(IssuerType::Kubernetes, some.clone()).unwrap();
            family.name = IssuerName::new(name).unwrap();
            family
        };
        let vague = of_name("https://oidc.eks.*.amazonaws.com/id/*");
        let precise = of_name("https://oidc.eks.us-west-2.amazonaws.com/id/*");
        for issuers in [[vague.clone(), precise.clone()], [precise.clone(), vague]] {
            let found = of("https://oidc.eks.us-west-2.amazonaws.com/id/A", &issuers);
            assert_eq!(found.unwrap().name, precise.name);
        }
        assert!(of("https://b.example", &[precise]).is_none());
    }
}
