//! `cert`: one certificate for a given or ambient token.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use rcgen::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::exit::Exit;
use super::files;
use super::output::{Failure, Output};
use crate::client::{self, ambient};

/// Largest token, key or request file read, in bytes.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

#[derive(Args, Debug)]
pub(super) struct CertArgs {
    /// The CA, such as https://ca.example
    #[arg(long, value_name = "URL", env = "SHORTLEAF_SERVER")]
    server: String,
    /// File with the OIDC token, `-` for standard input [default: SIGSTORE_ID_TOKEN, GitHub
    /// Actions, cosign's token file]
    #[arg(long, value_name = "FILE|-")]
    token: Option<PathBuf>,
    /// Audience to ask the platform for [default: the server's URL]
    #[arg(long)]
    audience: Option<String>,
    /// Certify the key of this PKCS#10 request (PEM)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "new_key"])]
    csr: Option<PathBuf>,
    /// Certify this private key (PKCS#8 PEM); it signs the proof and does not leave
    #[arg(long, value_name = "FILE", conflicts_with = "new_key")]
    key: Option<PathBuf>,
    /// Make a P-256 key and write it here, readable by its owner only
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
    /// Write the certificate chain here instead of to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: &CertArgs, out: &Output) -> Result<(), Failure> {
    let (csr, fresh) = request(args)?;
    let token = token(args, out).await?;
    let chain = client::certificate(&args.server, token.expose_secret(), &csr)
        .await
        .map_err(|e| failure(&e))?;
    // The key first: a certificate without its key is of no use, the other way round harms nobody.
    if let (Some(path), Some(pem)) = (&args.new_key, fresh) {
        files::write_new_secret(path, pem.as_bytes())?;
        out.say(&format!("key        {} (owner only)", path.display()));
    }
    let pem = chain.concat();
    if let Some(path) = &args.out {
        files::write(path, pem.as_bytes())?;
        out.say(&format!("cert       {}", path.display()));
    }
    if out.json {
        out.json(json!({ "chain": chain, "key_file": args.new_key, "chain_file": args.out }));
    } else if args.out.is_none() {
        out.raw(pem.as_bytes());
    }
    Ok(())
}

/// The CSR to send, and the PEM of the key made for it, if one was made. A request signs itself,
/// so the proof does not depend on what the issuer's challenge claim is.
fn request(args: &CertArgs) -> Result<(String, Option<Zeroizing<String>>), Failure> {
    if let Some(path) = &args.csr {
        return Ok((files::read_text(path, MAX_INPUT_BYTES)?, None));
    }
    let unusable = |e: rcgen::Error| Failure::new(Exit::Usage, format!("cannot use the key: {e}"));
    let (pair, fresh) = match (&args.key, &args.new_key) {
        (Some(path), _) => {
            let pem = Zeroizing::new(files::read_text(path, MAX_INPUT_BYTES)?);
            (
                KeyPair::from_pem(&pem)
                    .map_err(|e| unusable(e).hint("openssl pkcs8 -topk8 -nocrypt -in KEY"))?,
                None,
            )
        }
        (None, Some(path)) => {
            files::refuse_existing(path)?;
            let pair = KeyPair::generate().map_err(unusable)?;
            let pem = Zeroizing::new(pair.serialize_pem());
            (pair, Some(pem))
        }
        (None, None) => {
            return Err(Failure::new(Exit::Usage, "which key shall be certified?")
                .hint("--new-key key.pem, or --key FILE, or --csr FILE"));
        }
    };
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params
        .serialize_request(&pair)
        .and_then(|csr| csr.pem())
        .map_err(unusable)?;
    Ok((csr, fresh))
}

async fn token(args: &CertArgs, out: &Output) -> Result<SecretString, Failure> {
    if let Some(path) = &args.token {
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin()
                .lock()
                .take(MAX_INPUT_BYTES)
                .read_to_string(&mut text)
                .map_err(|e| Failure::from_error(Exit::Usage, &e))?;
            text
        } else {
            files::read_text(path, MAX_INPUT_BYTES)?
        };
        return Ok(SecretString::from(text.trim().to_owned()));
    }
    let audience = args
        .audience
        .as_deref()
        .unwrap_or(&args.server)
        .trim_end_matches('/');
    let found = ambient::find(audience, &|name| std::env::var(name).ok()).await.map_err(|e| {
        let failure = Failure::from_error(Exit::Credentials, &e);
        match e {
            ambient::Error::GithubPermission => failure.hint("add `permissions: id-token: write` to this job; on pull requests from forks GitHub does not grant it"),
            ambient::Error::None => failure.hint("--token FILE, or set SIGSTORE_ID_TOKEN"),
            ambient::Error::Github { .. } | ambient::Error::File { .. } | ambient::Error::Client(_) => failure,
        }
    })?;
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        out.mask(found.token.expose_secret());
    }
    out.say(&format!("token      from {}", found.source));
    Ok(found.token)
}

/// The server's reason decides the exit code.
fn failure(error: &client::Error) -> Failure {
    let client::Error::Refused {
        reason,
        retry_after_s,
        status,
        ..
    } = error
    else {
        let exit = match error {
            client::Error::Unreachable { .. } => Exit::Network,
            client::Error::Setup(_)
            | client::Error::BadAnswer { .. }
            | client::Error::TooLarge { .. }
            | client::Error::Refused { .. } => Exit::Unexpected,
        };
        return Failure::from_error(exit, error);
    };
    let exit = match reason.as_str() {
        "RULE_REFUSED" | "ISSUANCE_BLOCKED" => Exit::Refused,
        "CT_LOG_UNAVAILABLE" | "CT_LOG_REJECTED" => Exit::LogProof,
        "EMAIL_UNVERIFIED" => Exit::Credentials,
        r if r.starts_with("TOKEN_") || r.starts_with("CLAIM_") => Exit::Credentials,
        _ if matches!(status, 429 | 503) => Exit::Network,
        _ if *status == 400 => Exit::Usage,
        _ => Exit::Unexpected,
    };
    let mut failure = Failure::from_error(exit, error);
    failure.code = reason.clone();
    match (exit, retry_after_s) {
        (_, Some(seconds)) => failure.hint(format!("again in {seconds} s")),
        (Exit::Credentials, None) => {
            failure.hint("get a fresh token; `docs/errors.md` explains each reason")
        }
        _ => failure.hint("docs/errors.md explains each reason"),
    }
}
