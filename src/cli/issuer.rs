//! `issuer list`: whose tokens buy certificates, and on which terms.

use clap::Subcommand;
use serde_json::{Value, json};

use super::config::{ConfigArgs, unusable};
use super::output::{Failure, Output};
use crate::config::IssuerSettings;
use crate::identity::presets::Preset;
use crate::instance::whom;
use crate::token::IssuerName;
use crate::token::IssuerUrl;

#[derive(Subcommand, Debug)]
pub(super) enum IssuerCommand {
    /// Print every configured issuer: how its claims are read, audiences, limits, keys
    List {
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub(super) fn run(command: &IssuerCommand, out: &Output) -> Result<(), Failure> {
    let IssuerCommand::List { config } = command;
    let issuers = all(config)?;
    if out.json {
        let rows: Vec<Value> = issuers.iter().map(facts).collect();
        return out.json(json!({ "issuers": rows }));
    }
    for issuer in &issuers {
        print(issuer, out)?;
    }
    Ok(())
}

/// Every issuer of the configuration and of the file of Fulcio's that it names; its rules are not read.
pub(super) fn all(config: &ConfigArgs) -> Result<Vec<IssuerSettings>, Failure> {
    let mut settings = config.load()?.settings;
    settings.identity.rules = None;
    let believed = whom::believed(&settings).map_err(|e| unusable(&e))?;
    Ok(believed.issuers)
}

/// The settings for this issuer: its own win over a family's.
pub(super) fn of<'a>(
    issuer: &IssuerUrl,
    issuers: &'a [IssuerSettings],
) -> Option<&'a IssuerSettings> {
    let own = |one: &&IssuerSettings| matches!(&one.name, IssuerName::One(name) if name == issuer);
    let family =
        |one: &&IssuerSettings| matches!(&one.name, IssuerName::Family(f) if f.matches(issuer));
    let found = issuers.iter().find(own);
    found.or_else(|| issuers.iter().find(family))
}

fn print(issuer: &IssuerSettings, out: &Output) -> Result<(), Failure> {
    out.result(issuer.name.as_str())?;
    let row = |name: &str, value: &str| out.result(&format!("  {name:<10}  {value}"));
    match issuer.preset {
        Some(preset) => row("preset", preset.as_str())?,
        None => row("type", issuer.kind.as_str())?,
    }
    row("audiences", &issuer.audiences.join(", "))?;
    row(
        "limits",
        &format!(
            "age {} s, lifetime {} s, {} certificate(s) per token",
            issuer.max_token_age_s, issuer.max_token_lifetime_s, issuer.certificates_per_token
        ),
    )?;
    row("keys", &keys(issuer))?;
    for fact in unverified(issuer) {
        row("unverified", fact)?;
    }
    Ok(())
}

fn facts(issuer: &IssuerSettings) -> Value {
    json!({
        "url": issuer.name.as_str(),
        "preset": issuer.preset.map(Preset::as_str),
        "type": issuer.kind.as_str(),
        "audiences": issuer.audiences,
        "max_token_age_s": issuer.max_token_age_s,
        "max_token_lifetime_s": issuer.max_token_lifetime_s,
        "certificates_per_token": issuer.certificates_per_token,
        "keys": keys(issuer),
        "unverified": unverified(issuer),
    })
}

/// Where its keys come from.
fn keys(issuer: &IssuerSettings) -> String {
    match &issuer.jwks_file {
        Some(path) => format!("file {}", path.display()),
        None => "discovery".to_owned(),
    }
}

fn unverified(issuer: &IssuerSettings) -> &'static [&'static str] {
    issuer.preset.map_or(&[], Preset::unverified)
}
