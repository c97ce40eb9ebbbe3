//! `cert`: one certificate for a given or ambient token.

mod failure;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rcgen::KeyPair;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::exit::Exit;
use super::files;
use super::inspect;
use super::output::{Failure, Output};
use crate::client::shape::{self, NotAToken};
use crate::client::{self, ambient};
use crate::hex;
use crate::verify;
use crate::x509::pem;

/// Largest token, key or request file read, in bytes.
const MAX_INPUT_BYTES: u64 = 64 * 1024;

#[derive(Args, Debug)]
pub(super) struct CertArgs {
    /// The CA, such as https://ca.example
    #[arg(long, value_name = "URL", env = "SHORTLEAF_SERVER", value_parser = server)]
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
    // Before the token is spent.
    if let Some(path) = &args.out {
        files::refuse_unwritable(path)?;
    }
    let (csr, mut key) = request(args)?;
    if let Some(host) = in_the_clear(&args.server) {
        out.warn(&format!(
            "plain http: the token travels to {host} in the clear"
        ));
    }
    let token = token(args, out).await?;
    let waiting = |why: &client::Error, wait: Duration| {
        if let client::Error::Refused { status, reason, .. } = why {
            let wait = wait.as_secs();
            out.say(&format!(
                "wait       {wait} s, then again: the server said {status} {reason}"
            ));
        }
    };
    let chain = client::certificate(&args.server, token.expose_secret(), &csr, &waiting);
    let chain = match chain.await {
        Ok(chain) => chain,
        Err(error) => {
            let kept = key.filter(|_| failure::may_have_issued(&error));
            return Err(match kept {
                Some(key) => failure::with_key(&error, &key.keep()),
                None => failure::of(&error),
            });
        }
    };
    if let Some(key) = key.take() {
        out.say(&format!("key        {} (owner only)", key.keep().display()));
    }
    let leaf = read(&chain).map_err(|what| {
        Failure::new(
            Exit::Unexpected,
            format!("the answer from {} holds {what}", args.server),
        )
        .hint("is it a Fulcio server?")
    })?;
    let identity = inspect::identity(&leaf);
    let serial = hex::encode(&leaf.serial);
    out.say(&format!("identity   {identity}"));
    out.say(&format!("serial     {serial}  valid to {}", leaf.not_after));
    let pem = chain.concat();
    if let Some(path) = &args.out {
        files::write(path, pem.as_bytes()).map_err(|lost| again(lost, args))?;
        out.say(&format!("cert       {}", path.display()));
    }
    let told = if out.json {
        out.json(json!({
            "chain": chain,
            "serial": serial,
            "identity": identity,
            "not_after": leaf.not_after.to_string(),
            "key_file": args.new_key,
            "chain_file": args.out,
        }))
    } else if args.out.is_none() {
        out.raw(pem.as_bytes())
    } else {
        Ok(())
    };
    told.map_err(|lost| again(lost, args))
}

/// The certificate exists, and is not lost with its text.
fn again(lost: Failure, args: &CertArgs) -> Failure {
    let how = match (&args.csr, args.key.as_ref().or(args.new_key.as_ref())) {
        (None, Some(key)) => format!("--key {}", key.display()),
        _ => "the same --csr".to_owned(),
    };
    lost.hint(format!(
        "the same token and key get the same certificate: again with {how}"
    ))
}

fn server(text: &str) -> Result<String, String> {
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err("write https://HOST".to_owned()),
    }
}

/// The host, if what is sent there can be read on the way.
fn in_the_clear(server: &str) -> Option<String> {
    let url = url::Url::parse(server).ok()?;
    let loopback = match url.host()? {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    };
    (url.scheme() == "http" && !loopback).then(|| url.host_str().unwrap_or_default().to_owned())
}

/// A key file made for this certificate. Without one it is taken back, so that the same command
/// can be given again.
struct NewKey {
    path: PathBuf,
    kept: bool,
}

impl NewKey {
    fn keep(mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for NewKey {
    fn drop(&mut self) {
        if !self.kept {
            // It was written a moment ago and nobody has a certificate for it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The leaf of a chain, decoded.
fn read(chain: &[String]) -> Result<verify::Inspection, &'static str> {
    let leaf = chain.first().ok_or("no certificate")?;
    let blocks = pem::decode(leaf).map_err(|_| "no PEM")?;
    let block = blocks.first().ok_or("no PEM block")?;
    verify::inspect(&block.der).map_err(|_| "no certificate")
}

/// The CSR to send, and the key file made for it, if one was made: before the token is spent, so
/// that a folder that cannot be written does not cost it. A request signs itself, so the proof
/// does not depend on what the issuer's challenge claim is.
fn request(args: &CertArgs) -> Result<(String, Option<NewKey>), Failure> {
    if let Some(path) = &args.csr {
        return Ok((files::read_text(path, MAX_INPUT_BYTES)?, None));
    }
    let unusable = |e: rcgen::Error| Failure::new(Exit::Usage, format!("cannot use the key: {e}"));
    let (pair, fresh) = match (&args.key, &args.new_key) {
        (Some(path), _) => (existing_key(path)?, None),
        (None, Some(path)) => {
            files::refuse_existing(path)?;
            let pair = KeyPair::generate().map_err(unusable)?;
            let pem = Zeroizing::new(pair.serialize_pem());
            files::write_new_secret(path, pem.as_bytes())?;
            let (path, kept) = (path.clone(), false);
            (pair, Some(NewKey { path, kept }))
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

/// The private key in a file, or what stands there instead and how to make a usable one of it.
fn existing_key(path: &Path) -> Result<KeyPair, Failure> {
    let wrong = |what: &str, hint: &str| {
        let name = path.display();
        Failure::new(Exit::Usage, format!("cannot use the key in {name}: {what}"))
            .hint(hint.replace("KEY", &name.to_string()))
    };
    let text = Zeroizing::new(files::read_text(path, MAX_INPUT_BYTES)?);
    if let Ok(pair) = KeyPair::from_pem(&text) {
        return Ok(pair);
    }
    let labels: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("-----BEGIN ")?
                .strip_suffix("-----")
        })
        .collect();
    let begins = |label: &str| labels.contains(&label);
    let plain = "openssl pkey -in KEY -out plain.pem, then --key plain.pem";
    // Traditional keys say in a header that they are encrypted (RFC 1421 §4.6.1.3).
    Err(
        if begins("ENCRYPTED PRIVATE KEY") || text.contains("DEK-Info:") {
            wrong("it is encrypted", plain)
        } else if begins("EC PARAMETERS") {
            wrong("another block stands before the key", plain)
        } else if labels.iter().any(|label| label.ends_with("PRIVATE KEY")) {
            wrong(
                "it is damaged, or of a kind that cannot be used",
                "openssl pkey -in KEY -noout -text shows what it is; --new-key makes a P-256 key",
            )
        } else if begins("PUBLIC KEY") {
            wrong(
                "it is a public key; the private one has to sign the request",
                "sign a request where the private key is, and give that with --csr",
            )
        } else {
            wrong(
                "it holds no private key (PEM)",
                "--new-key key.pem makes one",
            )
        },
    )
}

/// The token, which has the shape of one: nothing else may leave.
async fn token(args: &CertArgs, out: &Output) -> Result<SecretString, Failure> {
    if let Some(path) = &args.token {
        let text = files::read_text_or_stdin(path, MAX_INPUT_BYTES)?;
        let name = match path == Path::new("-") {
            true => "standard input".into(),
            false => path.display().to_string(),
        };
        return shaped(SecretString::from(text.trim().to_owned()), &name);
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
            ambient::Error::Github { source: Some(_), .. } => failure.hint("run the job again; a runner of your own has to reach the service directly: no proxy is used"),
            ambient::Error::Github { .. } => failure.hint("run the job again; githubstatus.com tells whether Actions is well"),
            ambient::Error::File { .. } => failure.hint("--token FILE names another"),
            ambient::Error::Client(_) => failure,
        }
    })?;
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        out.mask(found.token.expose_secret());
    }
    out.say(&format!("token      from {}", found.source));
    shaped(found.token, found.source)
}

/// The token again, or what is wrong with what `source` holds.
fn shaped(token: SecretString, source: &str) -> Result<SecretString, Failure> {
    let Err(error) = shape::of_a_token(token.expose_secret()) else {
        return Ok(token);
    };
    // What the server would have said.
    let code = match error {
        NotAToken::Empty => "TOKEN_MISSING",
        NotAToken::Pem
        | NotAToken::TooLong { .. }
        | NotAToken::NotThreeParts { .. }
        | NotAToken::NotBase64Url { .. } => "TOKEN_MALFORMED",
    };
    let failure = Failure::new(Exit::Credentials, format!("{source} {error}"))
        .hint("a token is one line, three parts with dots between them; nothing was sent");
    Err(failure::in_the_servers_words(failure, code))
}
