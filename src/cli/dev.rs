//! `dev`: a development instance until interrupted; `dev token`: a token from a running one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::config::unusable;
use super::exit::Exit;
use super::files;
use super::output::{Failure, Hue, Output};
use super::signal::Stop;
use crate::client;
use crate::config::{IdentitySettings, IssuerSettings};
use crate::dev::{self, Options};
use crate::identity::IssuerType;
use crate::identity::fulcio::{self, FulcioConfig};
use crate::instance::whom::BeliefError;
use crate::instance::{self, parts};
use crate::telemetry::{self, Told};
use crate::token::IssuerUrl;

/// Largest claims file read, in bytes.
const MAX_CLAIMS_BYTES: u64 = 64 * 1024;
/// What `--claims` takes.
const CLAIMS_WANTED: &str = "a JSON object, or a file that holds one: --claims '{\"sub\":\"repo:acme/app\"}' --over-defaults";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DevArgs {
    #[command(subcommand)]
    command: Option<DevCommand>,
    /// Where clients connect; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Believe this outside issuer too, audience `sigstore`, plain http on loopback allowed;
    /// repeatable
    #[arg(long = "issuer", value_name = "TYPE=URL", value_parser = issuer)]
    issuers: Vec<(IssuerType, String)>,
    /// Believe the issuers of Fulcio's identity configuration too, plain http on loopback allowed
    #[arg(long, value_name = "FILE")]
    fulcio_config: Option<PathBuf>,
    /// Where records live [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write env.sh and the trust files here
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// One certificate a token, as `serve` has it by default
    #[arg(long)]
    strict: bool,
}

#[derive(Subcommand, Debug)]
enum DevCommand {
    /// Mint a token at a running development issuer
    Token {
        /// The issuer
        #[arg(long, value_name = "URL", env = "OIDC_ISSUER")]
        issuer_url: Option<String>,
        /// Claims, as JSON or a file of JSON, instead of the defaults; null removes a claim
        #[arg(long, value_name = "JSON|FILE")]
        claims: Option<String>,
        /// Keep the default claims and lay --claims over them
        #[arg(long, requires = "claims")]
        over_defaults: bool,
        /// Audience
        #[arg(long)]
        audience: Option<String>,
    },
}

fn issuer(text: &str) -> Result<(IssuerType, String), String> {
    let (kind, url) = text
        .split_once('=')
        .ok_or("write TYPE=URL, such as email=http://127.0.0.1:9000")?;
    let kind = IssuerType::from_word(kind).ok_or_else(|| {
        let words = IssuerType::ALL.map(IssuerType::as_str).join(", ");
        format!("the type is one of {words}")
    })?;
    Ok((kind, url.to_owned()))
}

/// The issuers of the command line.
fn outside(issuers: &[(IssuerType, String)]) -> Result<Vec<IssuerSettings>, Failure> {
    let each = issuers.iter().map(|(kind, url)| {
        let name = IssuerUrl::new(url).map_err(|error| {
            Failure::from_error(Exit::Usage, &error)
                .hint("write the issuer exactly as its tokens' `iss` says it, https://…")
        })?;
        dev::outside(*kind, name).map_err(|error| {
            Failure::from_error(Exit::Usage, &error)
                .hint("what needs more than a URL can stand in a file for --fulcio-config")
        })
    });
    each.collect()
}

/// The issuers of Fulcio's file, as they stand there.
fn of_fulcio(path: &Path, out: &Output) -> Result<Vec<IssuerSettings>, Failure> {
    let text = files::read_text(path, fulcio::MAX_FILE_BYTES as u64)?;
    let config = FulcioConfig::parse(&text).map_err(|source| {
        let path = path.to_owned();
        unusable(&BeliefError::Fulcio { path, source }.into())
    })?;
    let (issuers, _) = IssuerSettings::of_fulcio(&config, &IdentitySettings::default());
    out.say(&format!(
        "fulcio     {} issuers of {}",
        issuers.len(),
        path.display()
    ));
    Ok(issuers)
}

pub(super) async fn run(args: DevArgs, out: &Output) -> Result<(), Failure> {
    if let Some(command) = &args.command {
        return token(command, out).await;
    }
    let stop = Stop::listen()?;
    let strict = args.strict;
    let mut issuers = outside(&args.issuers)?;
    if let Some(path) = &args.fulcio_config {
        issuers.extend(of_fulcio(path, out)?);
    }
    let dev = dev::start(Options {
        listen: args.listen,
        issuers,
        state: args.state,
        strict,
        ..Options::default()
    })
    .await
    .map_err(failed)?;
    match &args.out {
        Some(folder) => {
            dev.write_out(folder).map_err(failed)?;
            out.say(&format!("files      . {}", folder.join("env.sh").display()));
        }
        None => out.say("files      none; --out DIR writes env.sh and the trust files"),
    }
    let told = *out;
    // What is in place already is somebody's log, and says the same.
    let _ = telemetry::listen(move |decision| say(&told, decision));
    let issuer = dev.issuer().url(dev::issuer::Persona::Github);
    out.say(&format!(
        "issuer     {issuer}  (GitHub's claims; {issuer}/email for an address)"
    ));
    out.say(&format!("operators  {}", dev.instance().ops_url()));
    out.say(&format!("records    {}", dev.state().display()));
    if strict {
        out.say(&format!(
            "tokens     audience {:?}, one certificate each",
            dev.instance().url()
        ));
    } else {
        out.say(&format!("tokens     audience {:?} (shared with every Sigstore service), {} certificates each; --strict for one", dev::SHARED_AUDIENCE, dev::LENIENT_CERTIFICATES_PER_TOKEN));
    }
    let told = out.ready(
        dev.instance().url(),
        json!({
            "operators": dev.instance().ops_url(),
            "issuer": issuer,
            "records": dev.state(),
            "files": args.out,
            "strict": strict,
        }),
    );
    if let Err(lost) = told {
        out.warn(&lost.message);
    }
    stop.wait().await;
    dev.stop().await;
    Ok(())
}

/// One line for each certificate and each refusal.
fn say(out: &Output, told: &Told) {
    let text = |member: &Option<String>| member.clone().unwrap_or_default();
    let (identity, serial) = (text(&told.identity), text(&told.serial));
    let (hue, line, facts) = if told.reason.is_none() {
        let again = if told.repeated { "  again" } else { "" };
        let until = text(&told.not_after);
        (
            Hue::Good,
            format!("{identity}  serial {serial}  until {until}{again}"),
            json!({ "identity": told.identity, "serial": told.serial, "not_after": told.not_after, "repeated": told.repeated }),
        )
    } else {
        let parts = [text(&told.reason), identity, text(&told.cause)];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        (
            Hue::Bad,
            parts.join("  "),
            json!({ "reason": told.reason, "identity": told.identity, "cause": told.cause }),
        )
    };
    out.event(&told.word, hue, &line, facts);
}

/// A folder, an address or an issuer that cannot be used is wrong usage, as in every other command.
fn failed(error: dev::Error) -> Failure {
    use dev::Error;
    let (exit, hint) = match &error {
        Error::NotLoopback { .. } => (
            Exit::Usage,
            Some("--listen 127.0.0.1:0; `shortleaf serve` is for other machines"),
        ),
        Error::State { .. } | Error::Out { .. } => (
            Exit::Usage,
            Some("--state DIR and --out DIR want folders this user can write"),
        ),
        Error::Start(instance::Error::Listen { .. }) => (
            Exit::Usage,
            Some("--listen 127.0.0.1:0 takes a port that is free"),
        ),
        Error::Store(store) => (Exit::Usage, parts::records_hint(store)),
        Error::Parts(parts) => (Exit::Usage, parts.hint()),
        Error::Start(
            instance::Error::Trust(_) | instance::Error::Encoder(_) | instance::Error::Audit(_),
        )
        | Error::Listen(_)
        | Error::Issuer(_)
        | Error::Own(_)
        | Error::Mapping(_)
        | Error::Ca(_)
        | Error::Log(_)
        | Error::Profile(_) => (Exit::Unexpected, None),
    };
    let failure = Failure::from_error(exit, &error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

async fn token(command: &DevCommand, out: &Output) -> Result<(), Failure> {
    let DevCommand::Token {
        issuer_url,
        claims,
        over_defaults,
        audience,
    } = command;
    let issuer_url = issuer_url.as_deref().ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            "whose token? --issuer-url and OIDC_ISSUER are not set",
        )
        .hint("`shortleaf dev --out DIR` writes DIR/env.sh, which sets OIDC_ISSUER: . DIR/env.sh")
    })?;
    let body = match claims {
        None => Vec::new(),
        Some(text) if text.trim_start().starts_with('{') => text.clone().into_bytes(),
        Some(path) => {
            files::read(path.as_ref(), MAX_CLAIMS_BYTES).map_err(|lost| lost.hint(CLAIMS_WANTED))?
        }
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if *over_defaults {
        query.append_pair("base", "defaults");
    }
    if let Some(audience) = audience {
        query.append_pair("audience", audience);
    }
    let url = format!(
        "{}/token?{}",
        issuer_url.trim_end_matches('/'),
        query.finish()
    );
    let token = client::development_token(&url, body).await.map_err(|e| {
        if matches!(e, client::Error::Refused { .. }) {
            return Failure::from_error(Exit::Usage, &e).hint(CLAIMS_WANTED);
        }
        Failure::from_error(Exit::Network, &e)
            .hint("is `shortleaf dev` running, and its env.sh read?")
    })?;
    if out.json {
        out.json(json!({ "token": token }))?;
    } else {
        out.result(&token)?;
    }
    Ok(())
}
