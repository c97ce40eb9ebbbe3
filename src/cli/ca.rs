//! `ca init`: root, issuing CA and log key, in a new folder.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::SecretString;
use serde_json::json;

use super::exit::Exit;
use super::files;
use super::output::{Failure, Output};
use crate::keys::init;
use crate::system::{SystemClock, SystemEntropy};
use crate::time::Clock;
use crate::x509::SignatureAlgorithm;

/// Largest passphrase file read, in bytes.
const MAX_PASSPHRASE_BYTES: u64 = 4096;

#[derive(Subcommand, Debug)]
pub(super) enum CaCommand {
    /// Make a root, an issuing CA and a log key; nothing is overwritten
    Init(InitArgs),
}

#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// Folder for the files; made if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Organization in both names
    #[arg(long, value_name = "TEXT")]
    name: String,
    /// Key of the issuing CA; p256 signs several times faster
    #[arg(long, value_enum, default_value = "p384")]
    issuing: IssuingKey,
    /// Full http URL of the root's revocation list; it cannot be added later
    #[arg(long, value_name = "URL")]
    crl_url: Option<String>,
    /// File whose first line encrypts the private keys
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Write private keys in the clear
    #[arg(long, conflicts_with = "passphrase_file")]
    insecure_unencrypted: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IssuingKey {
    P384,
    P256,
}

pub(super) fn run(command: &CaCommand, out: &Output) -> Result<(), Failure> {
    let CaCommand::Init(args) = command;
    let passphrase = args
        .passphrase_file
        .as_ref()
        .map(|path| passphrase(path))
        .transpose()?;
    if passphrase.is_none() {
        if !args.insecure_unencrypted {
            return Err(Failure::new(
                Exit::Usage,
                "private keys are encrypted, and there is no passphrase",
            )
            .hint("--passphrase-file FILE, or --insecure-unencrypted"));
        }
        out.warn("private keys are written in the clear");
    }
    let request = init::Request {
        organization: &args.name,
        algorithm: match args.issuing {
            IssuingKey::P384 => SignatureAlgorithm::EcdsaP384Sha384,
            IssuingKey::P256 => SignatureAlgorithm::EcdsaP256Sha256,
        },
        crl_url: args.crl_url.as_deref(),
        now: SystemClock.now().seconds(),
    };
    let failed = |e: init::InitError| {
        let failure = Failure::from_error(Exit::Usage, &e);
        match e {
            init::InitError::Organization { .. } => failure.hint("--name \"Example GmbH\""),
            init::InitError::CrlUrl { .. } => {
                failure.hint("--crl-url http://ca.example/crl/root.crl")
            }
            init::InitError::Time { .. } | init::InitError::Key(_) | init::InitError::Rcgen(_) => {
                failure
            }
        }
    };
    let texts = init::build(&request, &SystemEntropy)
        .and_then(|ca| ca.to_files(passphrase.as_ref(), &SystemEntropy))
        .map_err(failed)?;

    let public: [(&str, &str); 3] = [
        ("chain.pem", &texts.chain),
        ("root.pem", &texts.root),
        ("log.pub.pem", &texts.log_public_key),
    ];
    let secret: [(&str, &str); 3] = [
        ("root.key.pem", &texts.root_key),
        ("issuing.key.pem", &texts.issuing_key),
        ("log.key.pem", &texts.log_key),
    ];
    let names: Vec<&str> = public
        .iter()
        .chain(&secret)
        .map(|(name, _)| *name)
        .collect();
    // All are looked at before the first is written: half a CA helps nobody.
    for name in &names {
        files::refuse_existing(&args.out.join(name))?;
    }
    files::private_folder(&args.out)?;
    for (name, text) in secret {
        files::write_new_secret(&args.out.join(name), text.as_bytes())?;
    }
    for (name, text) in public {
        files::write_new(&args.out.join(name), text.as_bytes())?;
    }
    if out.json {
        out.json(json!({ "folder": args.out, "files": names }))?;
    } else {
        for name in names {
            out.result(&args.out.join(name).display().to_string())?;
        }
        out.say("keep root.key.pem offline: it is needed only to sign the next issuing CA and the root's revocation list");
    }
    Ok(())
}

/// The first line of a file, without its end.
pub(super) fn passphrase(path: &std::path::Path) -> Result<SecretString, Failure> {
    let text = files::read_text(path, MAX_PASSPHRASE_BYTES)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(Failure::new(
            Exit::Usage,
            format!("the first line of {} is empty", path.display()),
        )
        .hint("write the passphrase into its first line"));
    }
    Ok(SecretString::from(line.to_owned()))
}
