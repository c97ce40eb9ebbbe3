//! `trust export`: the files clients need, from the configuration, without a running server.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

use super::config::{ConfigArgs, unusable};
use super::exit::Exit;
use super::files;
use super::output::{Failure, Output};
use crate::config::{CtLogSettings, CtSettings};
use crate::instance;

#[derive(Subcommand, Debug)]
pub(super) enum TrustCommand {
    /// Write one of the trust files
    Export {
        #[command(flatten)]
        config: ConfigArgs,
        /// Which file
        #[arg(long, value_enum, default_value = "trusted-root")]
        format: Format,
        /// Write here instead of to standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    /// What verifiers need
    TrustedRoot,
    /// What signers need
    SigningConfig,
    /// Both in one, as sigstore-python reads them
    ClientTrust,
    /// The CA chain alone
    Pem,
}

pub(super) fn run(command: &TrustCommand, out: &Output) -> Result<(), Failure> {
    let TrustCommand::Export {
        config,
        format,
        out: file,
    } = command;
    let settings = config.load()?.settings;
    if let (Format::TrustedRoot | Format::ClientTrust, Some(log)) =
        (format, memory_log(&settings.ct))
    {
        // A key made here would be no log's; verifiers would refuse everything.
        return Err(Failure::new(
            Exit::Configuration,
            format!("log {log:?} is kept in memory: its key is known only to the running server"),
        )
        .hint(
            "fetch /trust/trusted_root.json or /trust/client_trust_config.json from the server",
        ));
    }
    let published = instance::parts::published(&settings).map_err(|e| unusable(&e))?;
    let text = match format {
        Format::TrustedRoot => published.trust.trusted_root,
        Format::SigningConfig => published.trust.signing_config,
        Format::ClientTrust => published.trust.client_trust_config,
        Format::Pem => published.chain_pem,
    };
    let Some(path) = file else {
        return out.raw(text.as_bytes());
    };
    files::write(path, text.as_bytes())?;
    out.say(&format!("trust      {}", path.display()));
    Ok(())
}

/// The first log that forgets its key.
fn memory_log(ct: &CtSettings) -> Option<&str> {
    let CtSettings::Required { logs, .. } = ct else {
        return None;
    };
    logs.iter().find_map(|log| match log {
        CtLogSettings::Memory { name } => Some(name.as_str()),
        CtLogSettings::Rfc6962 { .. } => None,
    })
}
