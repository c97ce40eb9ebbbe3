//! Judging whose tokens buy certificates: `[identity]`, each `[[issuer]]`, and what a file of
//! Fulcio's adds to them.

use std::collections::HashSet;

use super::judge::{bad, span, unusable};
use super::settings::{IdentitySettings, IssuerSettings};
use super::{Error, raw};
use crate::identity::fulcio::{FulcioConfig, FulcioIssuer};
use crate::identity::presets::{Limits, Preset, PresetError, UnknownPreset};
use crate::identity::{IssuerType, Mapping, MappingError, Parameters, Providers, Setting};
use crate::token::{IssuerName, IssuerPattern, IssuerUrl, is_loopback};

/// The audience every Sigstore client asks for.
pub const SHARED_AUDIENCE: &str = "sigstore";
/// Most keys one token may have certified.
const MAX_CERTIFICATES_PER_TOKEN: u32 = 1024;
/// Longest `exp` − `iat` of a token of an issuer from Fulcio's file, in seconds.
const FULCIO_LIFETIME_S: i64 = 86_400;

pub(super) fn judge_identity(raw: raw::Identity) -> Result<IdentitySettings, Error> {
    let key = |name: &str| format!("identity.{name}");
    Ok(IdentitySettings {
        rules: raw.rules,
        fulcio_config: raw.fulcio_config,
        fulcio_max_token_age_s: seconds(key("fulcio_max_token_age"), raw.fulcio_max_token_age)?,
        fulcio_certificates_per_token: uses(
            key("fulcio_certificates_per_token"),
            raw.fulcio_certificates_per_token,
        )?,
    })
}

pub(super) fn judge(
    raw: Vec<raw::Issuer>,
    providers: &Providers,
    identity: &IdentitySettings,
    warnings: &mut Vec<String>,
) -> Result<Vec<IssuerSettings>, Error> {
    if raw.is_empty() && identity.fulcio_config.is_none() {
        return Err(Error::Missing {
            key: "issuer".to_owned(),
            why: "without an issuer nobody can get a certificate; add an [[issuer]]",
        });
    }
    for name in providers.keys() {
        if raw
            .iter()
            .all(|issuer| issuer.ci_provider.as_ref() != Some(name))
        {
            warnings.push(format!(
                "ci_provider {name:?} is no issuer's: nothing uses it"
            ));
        }
    }
    let mut issuers = Vec::new();
    let mut names = HashSet::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let entry = Judge {
            index,
            raw,
            providers,
        };
        let issuer = entry.judge(warnings)?;
        if !names.insert(issuer.name.as_str().to_owned()) {
            return Err(bad(
                format!("issuer[{index}].url"),
                issuer.name.as_str(),
                "another [[issuer]] has this url",
            ));
        }
        issuers.push(issuer);
    }
    Ok(issuers)
}

/// One `[[issuer]]`.
struct Judge<'a> {
    index: usize,
    raw: raw::Issuer,
    providers: &'a Providers,
}

/// By which of two words an issuer says what its claims mean.
#[derive(Clone, Copy)]
enum Reading {
    Preset(Preset),
    Type(IssuerType),
}

/// Limits of an issuer that has a type and names none.
const USUAL: Limits = Limits {
    max_token_age_s: 600,
    max_token_lifetime_s: 86_400,
    certificates_per_token: 1,
    why: "",
};

impl Judge<'_> {
    fn key(&self, name: &str) -> String {
        format!("issuer[{}].{name}", self.index)
    }

    fn judge(self, warnings: &mut Vec<String>) -> Result<IssuerSettings, Error> {
        let reading = self.reading()?;
        let url = self.url(reading)?;
        let name = self.name(&url)?;
        let (kind, mapping, limits, preset) = match reading {
            Reading::Preset(preset) => {
                let mapping = self.preset(preset, &url)?;
                (preset.kind(), mapping, preset.limits(), Some(preset))
            }
            Reading::Type(kind) => (kind, self.mapping(kind, &name)?, USUAL, None),
        };
        let audiences = self.audiences(preset, &url, warnings)?;
        warnings.extend(open_family(&name, kind));
        let raw = &self.raw;
        let time = |name: &str, set: &Option<String>, otherwise: i64| match set {
            Some(text) => seconds(self.key(name), text.clone()),
            None => Ok(otherwise),
        };
        Ok(IssuerSettings {
            place: None,
            preset,
            kind,
            mapping,
            audiences,
            max_token_age_s: time("max_token_age", &raw.max_token_age, limits.max_token_age_s)?,
            max_token_lifetime_s: time(
                "max_token_lifetime",
                &raw.max_token_lifetime,
                limits.max_token_lifetime_s,
            )?,
            certificates_per_token: match raw.certificates_per_token {
                Some(number) => uses(self.key("certificates_per_token"), number)?,
                None => limits.certificates_per_token,
            },
            jwks_file: raw.jwks_file.clone(),
            ca_file: raw.ca_file.clone(),
            ca_pem: None,
            discovery_url: self.discovery_url()?,
            bearer_token_file: raw.bearer_token_file.clone(),
            jwks_hosts: raw.jwks_hosts.clone(),
            subject_domain: raw.subject_domain.clone(),
            spiffe_trust_domain: raw.spiffe_trust_domain.clone(),
            ci_provider: raw.ci_provider.clone(),
            skip_email_verification: raw.skip_email_verification,
            allow_private_network: raw.allow_private_network,
            insecure_loopback_http: raw.insecure_loopback_http,
            name,
        })
    }

    /// A whole URL: where the metadata are is not to be guessed from a host.
    fn discovery_url(&self) -> Result<Option<url::Url>, Error> {
        let raw = &self.raw;
        let Some(text) = raw.discovery_url.as_deref() else {
            return Ok(None);
        };
        let url = url::Url::parse(text).map_err(|e| self.unusable("discovery_url", text, e))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Ok(Some(url)); // refused where it is used, without its text
        }
        let here = url.scheme() == "http" && is_loopback(&url) && raw.insecure_loopback_http;
        let why = match (&raw.jwks_file, url.scheme()) {
            (Some(_), _) => "jwks_file has the keys already: leave one of them out",
            (None, scheme) if scheme != "https" && !here => {
                "keys are fetched over https; plain http is for loopback, with insecure_loopback_http = true"
            }
            (None, _) if matches!(url.path(), "" | "/") => {
                "write the whole URL, such as https://HOST/.well-known/openid-configuration"
            }
            (None, _) => return Ok(Some(url)),
        };
        Err(bad(self.key("discovery_url"), text, why))
    }

    fn reading(&self) -> Result<Reading, Error> {
        match (&self.raw.preset, &self.raw.kind) {
            (Some(word), None) => Preset::from_word(word).map(Reading::Preset).ok_or_else(|| {
                let nearest = Preset::nearest(word);
                self.unusable("preset", word, UnknownPreset { nearest })
            }),
            (None, Some(_)) => self.kind().map(Reading::Type),
            (Some(_), Some(kind)) => {
                let why = "a preset says already what its claims mean: leave one of them out";
                Err(bad(self.key("type"), kind.clone(), why))
            }
            (None, None) => Err(Error::Missing {
                key: self.key("preset"),
                why: "what its claims mean: a preset such as \"github\", or a type such as \"email\"",
            }),
        }
    }

    /// `url`, or the one issuer a preset is for.
    fn url(&self, reading: Reading) -> Result<String, Error> {
        let implied = match reading {
            Reading::Preset(preset) => preset.issuer(),
            Reading::Type(_) => None,
        };
        let url = self.raw.url.clone().or(implied.map(str::to_owned));
        url.ok_or_else(|| Error::Missing {
            key: self.key("url"),
            why: "the `iss` of its tokens, byte for byte",
        })
    }

    fn preset(&self, preset: Preset, url: &str) -> Result<Mapping, Error> {
        let mapping = preset.mapping(url, &self.given());
        mapping.map_err(|error| match error {
            PresetError::Mapping { source, .. } => self.meaningless(preset.kind(), source),
            PresetError::Unused { setting, .. } => {
                self.unusable(setting.as_str(), &self.value(setting), error)
            }
            PresetError::OtherIssuer { .. }
            | PresetError::OtherFamily { .. }
            | PresetError::Issuer { .. }
            | PresetError::Family { .. }
            | PresetError::Table { .. } => self.unusable("preset", preset.as_str(), error),
        })
    }

    /// What is set beside the name and the word for what its claims mean.
    fn given(&self) -> Parameters<'_> {
        let raw = &self.raw;
        Parameters {
            subject_domain: raw.subject_domain.as_deref(),
            spiffe_trust_domain: raw.spiffe_trust_domain.as_deref(),
            issuer_claim: raw.issuer_claim.as_deref(),
            skip_email_verification: raw.skip_email_verification,
            ci_provider: raw.ci_provider.as_deref(),
            providers: Some(self.providers),
        }
    }

    /// What stands at a setting.
    fn value(&self, setting: Setting) -> String {
        let given = self.given();
        let text = match setting {
            Setting::SubjectDomain => given.subject_domain,
            Setting::SpiffeTrustDomain => given.spiffe_trust_domain,
            Setting::IssuerClaim => given.issuer_claim,
            Setting::SkipEmailVerification => given.skip_email_verification.then_some("true"),
            Setting::CiProvider => given.ci_provider,
        };
        text.unwrap_or_default().to_owned()
    }

    /// The error of a mapping, at its key.
    fn meaningless(&self, kind: IssuerType, error: MappingError) -> Error {
        if let MappingError::Missing { setting, why, .. } = error {
            let key = self.key(setting.as_str());
            return Error::Missing { key, why };
        }
        match error.setting() {
            Some(setting) => self.unusable(setting.as_str(), &self.value(setting), error),
            None => self.unusable("type", kind.as_str(), error),
        }
    }

    /// What discovery will be able to use: an identifier as tokens spell it, and keys fetched over
    /// https or on this very machine. With a `*` in it, a family of issuers.
    fn name(&self, url: &str) -> Result<IssuerName, Error> {
        let (key, raw, text) = (self.key("url"), &self.raw, url);
        if text.contains('*') {
            let family = IssuerPattern::new(text);
            let family = family.map_err(|source| self.unusable("url", text, source))?;
            for (name, set) in [
                ("allow_private_network", raw.allow_private_network),
                ("insecure_loopback_http", raw.insecure_loopback_http),
                ("jwks_file", raw.jwks_file.is_some()),
                ("discovery_url", raw.discovery_url.is_some()),
                ("bearer_token_file", raw.bearer_token_file.is_some()),
            ] {
                if set {
                    let why = "a family of issuers has its keys fetched from public addresses only; write out the issuer";
                    return Err(bad(self.key(name), "set", why));
                }
            }
            return Ok(IssuerName::Family(family));
        }
        let one = IssuerUrl::new(text).ok();
        let plain = one.and_then(|one| Some((one, url::Url::parse(text).ok()?)));
        let Some((one, url)) = plain else {
            return Err(bad(
                key,
                text,
                "write the issuer exactly as its tokens' `iss` says it: https, without user, query or fragment",
            ));
        };
        let here = url.scheme() == "http" && is_loopback(&url) && raw.insecure_loopback_http;
        if url.scheme() == "https" || here {
            return Ok(IssuerName::One(one));
        }
        Err(bad(
            key,
            text,
            "an issuer is https; plain http is for loopback, with insecure_loopback_http = true",
        ))
    }

    fn kind(&self) -> Result<IssuerType, Error> {
        let word = self.raw.kind.as_deref().unwrap_or_default();
        IssuerType::from_word(word).ok_or_else(|| {
            bad(
                self.key("type"),
                word,
                "write email, uri, username, spiffe, kubernetes, github-workflow, gitlab-pipeline, buildkite-job, codefresh-workflow, chainguard-identity or ci-provider",
            )
        })
    }

    fn mapping(&self, kind: IssuerType, name: &IssuerName) -> Result<Mapping, Error> {
        let mapping = Mapping::new(kind, name, &self.given());
        mapping.map_err(|error| self.meaningless(kind, error))
    }

    fn audiences(
        &self,
        preset: Option<Preset>,
        url: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<String>, Error> {
        let (key, raw) = (self.key("audiences"), &self.raw);
        let own = match preset {
            Some(preset) => preset
                .default_audience(url)
                .map_err(|source| self.unusable("preset", preset.as_str(), source))?,
            None => None,
        };
        let own: Vec<String> = own.into_iter().collect();
        let mut audiences = raw.audiences.clone().unwrap_or(own);
        let names_none = audiences.is_empty() && !raw.accept_shared_audience;
        if names_none || audiences.iter().any(String::is_empty) {
            return Err(Error::Missing {
                key,
                why: "the `aud` a token must carry; an empty one would accept tokens meant for others",
            });
        }
        let names_shared = audiences.iter().any(|a| a == SHARED_AUDIENCE);
        if names_shared && !raw.accept_shared_audience {
            return Err(Error::NeedsSwitch {
                key,
                value: SHARED_AUDIENCE.to_owned(),
                switch: "accept_shared_audience",
                why: "every Sigstore service asks for this audience, so a token handed to another one works here too",
            });
        }
        if raw.accept_shared_audience {
            warnings.push(shared(&format!("issuer {url} accepts")));
            if !names_shared {
                audiences.push(SHARED_AUDIENCE.to_owned());
            }
        }
        Ok(audiences)
    }

    fn unusable(
        &self,
        name: &str,
        value: &str,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        unusable(self.key(name), value, source)
    }
}

fn shared(who_accepts: &str) -> String {
    format!(
        "{who_accepts} the shared audience {SHARED_AUDIENCE:?}: a token handed to another Sigstore service works here too"
    )
}

/// A family whose issuers speak for more than themselves: for any address, or because it is anybody's
/// if names under its domain are given away. Those that a preset knows have one owner.
fn open_family(name: &IssuerName, kind: IssuerType) -> Option<String> {
    let IssuerName::Family(family) = name else {
        return None;
    };
    if kind == IssuerType::Email {
        return Some(format!(
            "every issuer of {family} may vouch for any email address: name each that may"
        ));
    }
    let domain = family.any_name_under()?;
    let is_known = |preset: &Preset| preset.issuer_name(family.as_str()).is_ok();
    let known = Preset::ALL.iter().any(is_known);
    (!known).then(|| {
        format!(
            "issuer {family} believes whoever has a name under {domain}: if others can get one, as under co.uk or github.io, write out more of the host"
        )
    })
}

fn seconds(key: String, text: String) -> Result<i64, Error> {
    match span(key.clone(), text.clone())?.as_secs() {
        span @ 1..=86_400 => Ok(i64::try_from(span).unwrap_or(i64::MAX)),
        _ => Err(bad(key, text, "between 1s and 24h")),
    }
}

fn uses(key: String, number: i64) -> Result<u32, Error> {
    let uses = u32::try_from(number).ok();
    let uses = uses.filter(|uses| (1..=MAX_CERTIFICATES_PER_TOKEN).contains(uses));
    uses.ok_or_else(|| bad(key, number.to_string(), "between 1 and 1024"))
}

impl IssuerSettings {
    /// The issuers of Fulcio's identity configuration, with the limits it does not know; and what
    /// an operator should know about them.
    pub fn of_fulcio(
        config: &FulcioConfig,
        identity: &IdentitySettings,
    ) -> (Vec<Self>, Vec<String>) {
        let sharing = config.issuers.iter();
        let sharing = sharing.filter(|issuer| issuer.audience == SHARED_AUDIENCE);
        // One line about all of them: in Fulcio's own file they are the rule.
        let sharing = match sharing.count() {
            0 => None,
            some => Some(shared(&format!(
                "{some} issuer(s) of identity.fulcio_config accept"
            ))),
        };
        let open = config
            .issuers
            .iter()
            .filter_map(|i| open_family(&i.name, i.kind));
        let each = config.issuers.iter();
        let all: Vec<_> = each
            .map(|issuer| Self::from_fulcio(issuer, identity))
            .collect();
        let plain = all.iter().filter(|issuer| issuer.insecure_loopback_http);
        let plain = plain.map(|issuer| {
            format!(
                "{} of identity.fulcio_config is plain http: whoever can listen on that port of this machine signs its tokens",
                issuer.name
            )
        });
        let warnings = sharing.into_iter().chain(plain).chain(open).collect();
        (all, warnings)
    }

    fn from_fulcio(issuer: &FulcioIssuer, identity: &IdentitySettings) -> Self {
        // Fulcio takes plain http on loopback, for tests; so does this, and nowhere else.
        let loopback = url::Url::parse(issuer.name.as_str())
            .is_ok_and(|url| url.scheme() == "http" && is_loopback(&url));
        Self {
            name: issuer.name.clone(),
            place: identity
                .fulcio_config
                .clone()
                .map(|path| (path, issuer.line)),
            preset: None,
            kind: issuer.kind,
            mapping: issuer.mapping.clone(),
            audiences: vec![issuer.audience.clone()],
            max_token_age_s: identity.fulcio_max_token_age_s,
            max_token_lifetime_s: FULCIO_LIFETIME_S,
            certificates_per_token: identity.fulcio_certificates_per_token,
            jwks_file: None,
            ca_file: None,
            ca_pem: issuer.ca_cert.clone(),
            discovery_url: None,
            bearer_token_file: None,
            jwks_hosts: Vec::new(),
            subject_domain: issuer.subject_domain.clone(),
            spiffe_trust_domain: issuer.spiffe_trust_domain.clone(),
            ci_provider: issuer.ci_provider.clone(),
            skip_email_verification: issuer.skip_email_verification,
            allow_private_network: false,
            insecure_loopback_http: loopback,
        }
    }
}
