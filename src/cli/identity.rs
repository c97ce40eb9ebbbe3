//! `identity render`: what a certificate would say for some claims, and what made each value.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::config::ConfigArgs;
use super::exit::Exit;
use super::output::{Failure, Output};
use super::{claims, files, issuer};
use crate::identity::presets::Preset;
use crate::identity::{
    self, Extension, IssuerType, Mapping, Parameters, Preview, San, extension_name,
};
use crate::instance::whom;
use crate::json::{Object, Value as Claim};
use crate::token::{IssuerName, IssuerUrl, MAX_TOKEN_BYTES, RawToken};

#[derive(Subcommand, Debug)]
pub(super) enum IdentityCommand {
    /// Print the name, the challenge and every extension that claims come to
    Render(RenderArgs),
}

#[derive(Args, Debug)]
pub(super) struct RenderArgs {
    /// A file with a token, or - for standard input; nobody has to vouch for its claims
    #[arg(required_unless_present = "claims")]
    token: Option<PathBuf>,
    /// Claims instead of a token: a JSON file, - or the JSON itself
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    claims: Option<String>,
    /// The issuer [default: the claims' own iss]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Read the claims as this preset does, whatever is configured
    #[arg(long, value_name = "WORD", conflicts_with_all = ["kind", "config", "set"])]
    preset: Option<String>,
    /// Read the claims as this type does, whatever is configured
    #[arg(long = "type", id = "kind", value_name = "WORD", conflicts_with_all = ["config", "set"])]
    kind: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(command: &IdentityCommand, out: &Output) -> Result<(), Failure> {
    let IdentityCommand::Render(args) = command;
    let given = args.claims()?;
    let issuer = args.issuer(&given)?;
    let subject = given.get("sub").and_then(Claim::as_str);
    let subject = subject.filter(|text| !text.is_empty()).ok_or_else(|| {
        let text = "these claims have no text \"sub\", which every token has";
        Failure::new(Exit::Credentials, text).hint("add \"sub\" as the issuer writes it")
    })?;
    let mapping = args.mapping(&issuer)?;
    let preview =
        identity::preview(&issuer, subject, &given, &mapping).map_err(|e| nameless(&e))?;
    match out.json {
        true => out.json(facts(&preview, &mapping)),
        false => print(&preview, &mapping, out),
    }
}

/// Claims that name nobody.
pub(super) fn nameless(error: &identity::Error) -> Failure {
    Failure {
        code: error.reason().as_str().to_owned(),
        doc: "docs/identities.md",
        ..Failure::from_error(Exit::Credentials, error)
            .hint("docs/identities.md says what each preset and type asks for")
    }
}

impl RenderArgs {
    fn claims(&self) -> Result<Object, Failure> {
        match (&self.claims, &self.token) {
            (Some(word), _) => claims::read(word),
            (None, Some(path)) => {
                let text = files::read_text_or_stdin(path, MAX_TOKEN_BYTES as u64 + 2)?;
                let raw = RawToken::parse(text.trim_end());
                let raw = raw.map_err(|e| {
                    Failure::from_error(Exit::Credentials, &e)
                        .hint("--claims FILE takes claims without a token")
                })?;
                Ok(raw.unproven_claims().clone())
            }
            // clap asks for one of them.
            (None, None) => Err(Failure::new(Exit::Usage, "neither TOKEN nor --claims")
                .hint("--claims FILE takes claims without a token")),
        }
    }

    fn issuer(&self, given: &Object) -> Result<IssuerUrl, Failure> {
        let Some(named) = &self.issuer else {
            return claims::issuer(given, "--claims");
        };
        match given.get("iss").and_then(Claim::as_str) {
            Some(iss) if iss != named => Err(Failure::new(
                Exit::Usage,
                format!("--issuer is {named:?}, and the claims' iss {iss:?}"),
            )
            .hint("leave one of them out")),
            _ => claims::issuer_url(named),
        }
    }

    fn mapping(&self, issuer: &IssuerUrl) -> Result<Mapping, Failure> {
        if let Some(word) = &self.preset {
            let preset = Preset::from_word(word).ok_or_else(|| {
                let failure = Failure::new(Exit::Usage, format!("there is no preset {word:?}"));
                let nearest = Preset::nearest(word).unwrap_or("docs/identities.md has them");
                failure.hint(nearest)
            })?;
            let mapping = preset.mapping(issuer.as_str(), &Parameters::default());
            return mapping.map_err(|e| {
                Failure::from_error(Exit::Usage, &e)
                    .hint("docs/identities.md says which issuers a preset is for")
            });
        }
        if let Some(word) = &self.kind {
            let kind = IssuerType::from_word(word).ok_or_else(|| {
                let words = IssuerType::ALL.map(IssuerType::as_str).join(", ");
                Failure::new(Exit::Usage, format!("there is no type {word:?}"))
                    .hint(format!("write one of {words}"))
            })?;
            let name = IssuerName::One(issuer.clone());
            let mapping = Mapping::new(kind, &name, &Parameters::default());
            return mapping.map_err(|error| {
                Failure::from_error(Exit::Usage, &error)
                    .hint("a type that needs more than its name has to stand in a configuration")
            });
        }
        let issuers = issuer::all(&self.config)?;
        let found = whom::of(issuer.as_str(), &issuers).ok_or_else(|| {
            Failure::new(
                Exit::Configuration,
                format!("issuer {issuer} is not configured"),
            )
            .hint("shortleaf issuer list, or --preset")
        })?;
        Ok(found.mapping.clone())
    }
}

/// What made the name: a template, or claims.
fn made_san(mapping: &Mapping) -> &str {
    match mapping {
        Mapping::CiProvider(provider) => provider.san_template(),
        Mapping::Email { .. } => "email",
        Mapping::Uri(_) | Mapping::Username(_) | Mapping::Spiffe(_) => "sub",
        Mapping::Kubernetes => "kubernetes.io",
        Mapping::ChainguardIdentity => "iss, sub",
    }
}

/// What made an extension.
fn made<'a>(extension: &Extension, mapping: &'a Mapping) -> &'a str {
    match (extension.arc, mapping) {
        (24, _) => "sub",
        (
            1 | 8,
            Mapping::Email {
                issuer: Some(path), ..
            },
        ) => path.as_str(),
        (1 | 8, _) => "iss",
        (arc, Mapping::CiProvider(provider)) => provider.template(arc).unwrap_or_default(),
        // Only templates make others.
        _ => "",
    }
}

pub(super) fn kind(san: &San) -> &'static str {
    match san {
        San::Email(_) => "email",
        San::Uri(_) => "uri",
        San::OtherName(_) => "other-name",
    }
}

fn print(preview: &Preview, mapping: &Mapping, out: &Output) -> Result<(), Failure> {
    let row = |arc: &str, name: &str, value: &str, from: &str| {
        out.result(&format!("{arc:<4} {name:<38}  {value}"))?;
        out.result(&format!("{:45}from {from}", ""))
    };
    let san = preview.san();
    row("san", kind(san), san.name(), made_san(mapping))?;
    let claim = preview.challenge_claim();
    row(
        "",
        "challenge, which the key signs",
        preview.challenge(),
        claim,
    )?;
    for extension in preview.extensions() {
        let arc = format!(".{}", extension.arc);
        let name = extension_name(extension.arc).unwrap_or_default();
        row(&arc, name, &extension.value, made(extension, mapping))?;
    }
    Ok(())
}

fn facts(preview: &Preview, mapping: &Mapping) -> Value {
    let san = preview.san();
    let row = |extension: &Extension| {
        let oid = format!("1.3.6.1.4.1.57264.1.{}", extension.arc);
        json!({ "oid": oid, "name": extension_name(extension.arc), "value": extension.value, "from": made(extension, mapping) })
    };
    let extensions: Vec<Value> = preview.extensions().iter().map(row).collect();
    json!({
        "san": { "type": kind(san), "value": san.name(), "from": made_san(mapping) },
        "challenge": { "value": preview.challenge(), "claim": preview.challenge_claim() },
        "extensions": extensions,
    })
}
