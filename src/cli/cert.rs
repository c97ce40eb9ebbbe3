//! `cert`: one certificate for a given or ambient token.

use std::error::Error as StdError;
use std::iter;
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
            let failure = failure(&error);
            return Err(match key.filter(|_| may_have_issued(&error)) {
                // The token may be spent on this key: with it, asking again gets the answer.
                Some(key) => {
                    let wait = wait(&error)
                        .map(|s| format!("in {s} s, "))
                        .unwrap_or_default();
                    let tls = match wants_tls(&error) {
                        true => format!("{WANTS_TLS}; "),
                        false => String::new(),
                    };
                    let again = format!("{tls}{wait}again with --key {}", key.path.display());
                    key.keep();
                    failure.hint(again)
                }
                None => failure,
            });
        }
    };
    if let Some(key) = key.take() {
        out.say(&format!("key        {} (owner only)", key.path.display()));
        key.keep();
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
    fn keep(mut self) {
        self.kept = true;
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

/// Whether the server may have made a certificate that did not reach us.
fn may_have_issued(error: &client::Error) -> bool {
    match error {
        client::Error::Setup(_)
        | client::Error::Untrusted { .. }
        | client::Error::NoRequest
        | client::Error::OtherKey { .. } => false,
        client::Error::Unreachable { source, .. } => !source.is_connect(),
        client::Error::Refused { status, .. } => *status >= 500,
        client::Error::BadAnswer { .. } | client::Error::TooLarge { .. } => true,
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
    let mut failure = Failure::new(Exit::Credentials, format!("{source} {error}"))
        .hint("a token is one line, three parts with dots between them; nothing was sent");
    // What the server would have said.
    let code = match error {
        NotAToken::Empty => "TOKEN_MISSING",
        NotAToken::Pem
        | NotAToken::TooLong { .. }
        | NotAToken::NotThreeParts { .. }
        | NotAToken::NotBase64Url { .. } => "TOKEN_MALFORMED",
    };
    failure.code = code.to_owned();
    failure.doc = "docs/errors.md";
    Err(failure)
}

/// The server's reason decides the exit code and what to try.
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
            client::Error::Untrusted { .. } => Exit::Untrusted,
            client::Error::NoRequest => Exit::Usage,
            client::Error::Setup(_)
            | client::Error::OtherKey { .. }
            | client::Error::BadAnswer { .. }
            | client::Error::TooLarge { .. }
            | client::Error::Refused { .. } => Exit::Unexpected,
        };
        let hint = match error {
            client::Error::NoRequest => "--csr wants a CERTIFICATE REQUEST (PEM)",
            client::Error::OtherKey { .. } => "do not use it; tell the server's operator",
            client::Error::Unreachable { .. } if wants_tls(error) => WANTS_TLS,
            client::Error::Untrusted { .. } => OWN_ROOT,
            client::Error::Setup(_) => {
                "a machine without certificate authorities: install them, or SSL_CERT_FILE=roots.pem"
            }
            client::Error::Unreachable { .. }
            | client::Error::BadAnswer { .. }
            | client::Error::TooLarge { .. }
            | client::Error::Refused { .. } => SERVER_RIGHT,
        };
        let mut failure = Failure::from_error(exit, error).hint(hint);
        if matches!(error, client::Error::NoRequest) {
            // What the server would have said, without spending the token on it.
            failure.code = "CSR_MALFORMED".to_owned();
            failure.doc = "docs/errors.md";
        }
        return failure;
    };
    let exit = match reason.as_str() {
        "RULE_REFUSED" | "ISSUANCE_BLOCKED" => Exit::Refused,
        "CT_LOG_REJECTED" => Exit::LogProof,
        "EMAIL_UNVERIFIED" => Exit::Credentials,
        r if r.starts_with("TOKEN_") || r.starts_with("CLAIM_") => Exit::Credentials,
        _ if matches!(status, 429 | 503) => Exit::Network,
        _ if *status == 400 => Exit::Usage,
        _ => Exit::Unexpected,
    };
    let mut failure = Failure::from_error(exit, error);
    failure.code = reason.clone();
    failure.doc = "docs/errors.md";
    match retry_after_s {
        Some(seconds) => failure.hint(format!("again in {seconds} s")),
        None => failure.hint(advice(reason)),
    }
}

const SERVER_RIGHT: &str = "is --server (SHORTLEAF_SERVER) right, and up?";
const WANTS_TLS: &str = "does the server speak TLS? then --server begins with https://";

/// What to try where the server is not believed. Whoever has a root of his own meets this one first.
const OWN_ROOT: &str = "where this machine does not know the root of the server's TLS certificate: SSL_CERT_FILE=root.pem";

/// Whether what came back over plain http was no HTTP: so a TLS server's alert reads.
fn wants_tls(error: &client::Error) -> bool {
    let client::Error::Unreachable { url, source } = error else {
        return false;
    };
    let is_no_http = |cause: &(dyn StdError + 'static)| {
        let cause = cause.downcast_ref::<hyper::Error>();
        cause.is_some_and(hyper::Error::is_parse)
    };
    url.starts_with("http://") && causes(source).any(is_no_http)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    iter::successors(error.source(), |&cause| cause.source())
}

/// How long the server asks us to wait, in seconds.
fn wait(error: &client::Error) -> Option<u64> {
    match error {
        client::Error::Refused { retry_after_s, .. } => *retry_after_s,
        client::Error::Setup(_)
        | client::Error::Unreachable { .. }
        | client::Error::Untrusted { .. }
        | client::Error::NoRequest
        | client::Error::OtherKey { .. }
        | client::Error::BadAnswer { .. }
        | client::Error::TooLarge { .. } => None,
    }
}

/// What the caller can do about a reason.
fn advice(reason: &str) -> &'static str {
    match reason {
        "TOKEN_EXPIRED" | "TOKEN_TOO_OLD" => "get a fresh token right before it is used",
        "TOKEN_REPLAYED" => "get a fresh token, or give the key of the first time with --key",
        "TOKEN_MALFORMED" => "is the token complete, and nothing else in its file?",
        "TOKEN_ISSUER_UNKNOWN" => "GET /api/v2/configuration lists the issuers this server trusts",
        "TOKEN_AUDIENCE_MISMATCH" => {
            "ask for a token with the audience this server wants: --audience"
        }
        "ROUTE_UNKNOWN" => "does --server carry a path? It is https://HOST alone",
        "TOKEN_NOT_YET_VALID" => "compare this machine's clock with the issuer's and the server's",
        "ALGORITHM_NOT_PERMITTED" => "--new-key makes a P-256 key, which every server takes",
        "RULE_REFUSED" => {
            "shortleaf rules explain TOKEN, beside the server's configuration, shows each rule: docs/rules.md"
        }
        _ => "docs/errors.md explains each reason",
    }
}
