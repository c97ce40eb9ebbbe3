//! `issuer list` and `issuer test`: whose tokens buy certificates, on which terms, and whether their
//! keys can be had.

use clap::Subcommand;
use serde_json::{Value, json};
use url::Url;

use super::config::{ConfigArgs, unusable};
use super::exit::Exit;
use super::inspect::printable;
use super::output::{Failure, Output};
use super::runtime;
use crate::client::is_untrusted;
use crate::config::IssuerSettings;
use crate::identity::presets::Preset;
use crate::instance::{parts, whom};
use crate::token::discovery::{LookError, look};
use crate::token::{Algorithm, IssuerUrl};

#[derive(Subcommand, Debug)]
pub(super) enum IssuerCommand {
    /// Print every configured issuer: how its claims are read, audiences, limits, keys
    List {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Fetch the keys of a configured issuer once, as a request would, and print them and its settings
    Test {
        /// The issuer, as its tokens' `iss` says it
        url: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

/// What to try where an issuer is not believed to be who it says.
pub(super) const ROOT_OF_ISSUER: &str =
    "where this machine does not know the root of its TLS certificate: ca_file of its [[issuer]]";

pub(super) fn run(command: &IssuerCommand, out: &Output) -> Result<(), Failure> {
    match command {
        IssuerCommand::List { config } => list(config, out),
        IssuerCommand::Test { url, config } => test(url, config, out),
    }
}

fn test(url: &str, config: &ConfigArgs, out: &Output) -> Result<(), Failure> {
    let issuer = IssuerUrl::new(url).map_err(|error| {
        Failure::from_error(Exit::Usage, &error)
            .hint("write the issuer exactly as its tokens' `iss` says it, https://…")
    })?;
    let issuers = all(config)?;
    let found = whom::of(issuer.as_str(), &issuers).ok_or_else(|| {
        let text = format!("issuer {issuer} is not configured");
        Failure::new(Exit::Configuration, text).hint("shortleaf issuer list")
    })?;
    let looked = runtime()?.block_on(look(&parts::keys_of(found), &issuer));
    let looked = looked.map_err(|error| match error {
        LookError::Config(error) => Failure::from_error(Exit::Configuration, &error),
        error @ LookError::Fetch(_) if is_untrusted(&error) => {
            Failure::from_error(Exit::Untrusted, &error).hint(ROOT_OF_ISSUER)
        }
        error @ LookError::Fetch(_) => Failure::from_error(Exit::Network, &error)
            .hint("docs/issuer-keys.md says from where keys are fetched, and from where never"),
    })?;
    let words = |all: &[Algorithm]| all.iter().map(|a| a.as_str()).collect::<Vec<_>>();
    let name = |kid: &Option<String>| kid.clone().unwrap_or_else(|| "(no kid)".to_owned());
    if out.json {
        let keys = looked.keys.iter();
        let keys: Vec<_> = keys
            .map(|(kid, fits)| json!({ "kid": kid, "algorithms": words(fits) }))
            .collect();
        let skipped = looked.skipped.iter();
        let skipped: Vec<_> = skipped
            .map(|(kid, why)| json!({ "kid": kid, "reason": why.word() }))
            .collect();
        return out.json(json!({
            "issuer": issuer.as_str(), "configured_as": found.name.as_str(),
            "algorithms": words(&looked.algorithms), "keys": keys, "skipped": skipped,
            "settings": facts(found),
        }));
    }
    out.result(&format!("{} {issuer}", out.ok()))?;
    terms(found, out)?;
    let row = |name: &str, value: &str| row(name, value, out);
    row("algorithms", &words(&looked.algorithms).join(", "))?;
    for (kid, fits) in &looked.keys {
        row(
            "key",
            &format!("{}  {}", printable(&name(kid)), words(fits).join(", ")),
        )?;
    }
    for (kid, why) in &looked.skipped {
        row(
            "skipped",
            &format!("{}  {}", printable(&name(kid)), why.word()),
        )?;
    }
    Ok(())
}

fn list(config: &ConfigArgs, out: &Output) -> Result<(), Failure> {
    let issuers = all(config)?;
    if out.json {
        let rows: Vec<Value> = issuers.iter().map(facts).collect();
        return out.json(json!({ "issuers": rows }));
    }
    for issuer in &issuers {
        out.result(issuer.name.as_str())?;
        terms(issuer, out)?;
    }
    Ok(())
}

/// Every issuer of the configuration and of the file of Fulcio's that it names; its rules are not read.
pub(super) fn all(config: &ConfigArgs) -> Result<Vec<IssuerSettings>, Failure> {
    let mut settings = config.load_to_look()?.settings;
    settings.identity.rules = None;
    let believed = whom::believed(&settings).map_err(|e| unusable(&e))?;
    Ok(believed.issuers)
}

fn row(name: &str, value: &str, out: &Output) -> Result<(), Failure> {
    out.result(&format!("  {name:<10}  {value}"))
}

/// On which terms its tokens buy certificates, and how its keys are come by.
fn terms(issuer: &IssuerSettings, out: &Output) -> Result<(), Failure> {
    let row = |name: &str, value: &str| row(name, value, out);
    match issuer.preset {
        Some(preset) => row("preset", preset.as_str())?,
        None => row("type", issuer.kind.as_str())?,
    }
    if let Some(key) = &issuer.ci_provider {
        row("templates", key)?;
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
    if let Some(url) = &issuer.discovery_url {
        row("metadata", url.as_str())?;
    }
    if !issuer.jwks_hosts.is_empty() {
        row("key hosts", &issuer.jwks_hosts.join(", "))?;
    }
    if let Some(path) = &issuer.ca_file {
        row("roots", &format!("file {}", path.display()))?;
    }
    if issuer.ca_pem.is_some() {
        row("roots", "in Fulcio's file")?;
    }
    if let Some(path) = &issuer.bearer_token_file {
        row("shows", &format!("bearer token of {}", path.display()))?;
    }
    if issuer.allow_private_network {
        row("network", "addresses that are not public, too")?;
    }
    if issuer.insecure_loopback_http {
        row("network", "plain http on loopback")?;
    }
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
        "ci_provider": issuer.ci_provider,
        "audiences": issuer.audiences,
        "max_token_age_s": issuer.max_token_age_s,
        "max_token_lifetime_s": issuer.max_token_lifetime_s,
        "certificates_per_token": issuer.certificates_per_token,
        "keys": keys(issuer),
        "discovery_url": issuer.discovery_url.as_ref().map(Url::as_str),
        "jwks_hosts": issuer.jwks_hosts,
        "ca_file": issuer.ca_file,
        "bearer_token_file": issuer.bearer_token_file,
        "allow_private_network": issuer.allow_private_network,
        "insecure_loopback_http": issuer.insecure_loopback_http,
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
