//! Fulcio 1.8.8, the program everyone else runs, as the oracle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::parts::{self, Running};

/// Fulcio reads only encrypted keys.
const PASSPHRASE: &str = "oracle";

/// An issuing CA below a root, made by openssl: neither product made its own judge's keys.
pub(crate) struct Ca {
    folder: PathBuf,
}

impl Ca {
    /// Makes root and issuing CA on `curve` (`P-384`, `P-256`) in `folder`.
    pub(crate) fn make(folder: &Path, curve: &str) -> Self {
        let config = folder.join("ca.cnf");
        fs::write(&config, CA_CONFIG).expect("the scratch folder is writable");
        let path = |name: &str| folder.join(name).display().to_string();
        let openssl = |arguments: &[&str]| {
            parts::run(
                "openssl",
                Command::new("openssl")
                    .args(arguments)
                    .arg("-config")
                    .arg(&config),
                parts::PATIENCE,
            );
        };
        let parameters = format!("ec_paramgen_curve:{curve}");
        // As wide as the curve; openssl would take SHA-256 for every one.
        let hash = curve.replace("P-", "-sha");
        #[rustfmt::skip]
        openssl(&[
            "req", "-x509", "-new", &hash, "-newkey", "ec", "-pkeyopt", &parameters, "-nodes", "-days", "30",
            "-subj", "/O=oracle.example/CN=root", "-extensions", "root",
            "-keyout", &path("root.key.pem"), "-out", &path("root.pem"),
        ]);
        #[rustfmt::skip]
        openssl(&[
            "req", "-x509", "-new", &hash, "-newkey", "ec", "-pkeyopt", &parameters, "-nodes", "-days", "29",
            "-subj", "/O=oracle.example/CN=issuing", "-extensions", "issuing",
            "-CA", &path("root.pem"), "-CAkey", &path("root.key.pem"),
            "-keyout", &path("issuing.key.pem"), "-out", &path("issuing.pem"),
        ]);
        let chain = fs::read_to_string(folder.join("issuing.pem")).expect("openssl wrote it")
            + &fs::read_to_string(folder.join("root.pem")).expect("openssl wrote it");
        fs::write(folder.join("chain.pem"), chain).expect("the scratch folder is writable");
        #[rustfmt::skip]
        parts::run(
            "openssl",
            Command::new("openssl").args([
                "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", &format!("pass:{PASSPHRASE}"),
                "-in", &path("issuing.key.pem"), "-out", &path("issuing.enc.key.pem"),
            ]),
            parts::PATIENCE,
        );
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Issuing certificate, then root; PEM.
    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.join("chain.pem")
    }

    /// The issuing key, PKCS#8 PEM, not encrypted.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join("issuing.key.pem")
    }
}

const CA_CONFIG: &str = "
[req]
distinguished_name = dn
string_mask = utf8only
[dn]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
extendedKeyUsage = codeSigning
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

/// What this release ships as its public identity configuration.
fn shipped() -> String {
    let path = parts::find("share/fulcio-identity.yaml").expect("comes with Fulcio");
    fs::read_to_string(path).expect("it is text")
}

/// The names it defines for its CI providers, as a YAML list.
fn defined(shipped: &str) -> &str {
    shipped
        .split_once("\noidc-issuers:\n")
        .and_then(|(head, _)| head.split_once("\ndefine:\n"))
        .map(|(_, names)| names)
        .expect("the public configuration defines its types")
}

/// Its CI providers.
#[allow(
    dead_code,
    reason = "for the comparison of every type, not for the benchmark"
)]
pub(crate) fn providers() -> Vec<String> {
    let shipped = shipped();
    let quoted = defined(&shipped)
        .lines()
        .filter_map(|line| line.split('"').nth(1));
    quoted.map(str::to_owned).collect()
}

/// The shipped configuration with the templates of its CI providers as they are, and these issuers
/// (YAML, entries of `oidc-issuers`) in place of its own.
pub(crate) fn configuration(issuers: &str) -> String {
    let shipped = shipped();
    let (_, templates) = shipped
        .split_once("\nci-issuer-metadata:\n")
        .expect("the public configuration has provider templates");
    let names = defined(&shipped);
    format!("define:\n{names}\noidc-issuers:\n{issuers}ci-issuer-metadata:\n{templates}")
}

/// How often a Fulcio is started that finds a port taken.
const STARTS: usize = 5;

/// A running Fulcio.
pub(crate) struct Fulcio {
    running: Running,
    url: String,
}

impl Fulcio {
    /// Starts `program` over `ca`, with a log (its URL and public key) or without, trusting `email` for addresses and
    /// `github` for workflows.
    ///
    /// The workflow issuer is a `ci-provider` with the templates of this very release's public
    /// configuration: the coded type `github-workflow` is deprecated and knows no environment.
    pub(crate) fn start(
        program: &Path,
        ca: &Ca,
        folder: &Path,
        [email, github]: [&str; 2],
        log: Option<(&str, &Path)>,
    ) -> Self {
        let config = folder.join("fulcio.yaml");
        let issuers = format!(
            "  {email}:\n    issuer-url: {email}\n    client-id: sigstore\n    type: email\n  \
             {github}:\n    issuer-url: {github}\n    client-id: sigstore\n    \
             type: ci-provider\n    ci-provider: github-workflow\n"
        );
        fs::write(&config, configuration(&issuers)).expect("the scratch folder is writable");
        Self::start_on(program, ca, folder, &config, log)
    }

    /// The same on an identity configuration of the caller's.
    pub(crate) fn start_on(
        program: &Path,
        ca: &Ca,
        folder: &Path,
        config: &Path,
        log: Option<(&str, &Path)>,
    ) -> Self {
        // Its metrics are at every address of the machine, and somebody may have the port at one.
        let started = (1..=STARTS).find_map(|start| {
            let (mut running, url) = Self::launch(program, ca, folder, config, log);
            let health = format!("{url}/healthz");
            let ready = running.wait_for(&health, Duration::from_secs(30), |running| {
                let again = start < STARTS && running.stderr().contains("address already in use");
                let answers = || matches!(parts::http("GET", &health, None), Some((200, _)));
                if again {
                    Some(false)
                } else {
                    answers().then_some(true)
                }
            });
            ready.then_some(Self { running, url })
        });
        started.expect("the last start panics where it does not succeed")
    }

    fn launch(
        program: &Path,
        ca: &Ca,
        folder: &Path,
        config: &Path,
        log: Option<(&str, &Path)>,
    ) -> (Running, String) {
        let port = parts::free_port();
        let socket = folder.join("fulcio.sock");
        // One that ended early leaves it.
        let _ = fs::remove_file(&socket);
        let (log_url, log_key) = log.unwrap_or(("", Path::new("")));
        #[rustfmt::skip]
        let running = Running::start(
            "fulcio",
            Command::new(program)
                .args(["serve", "--log_type", "prod", "--ca", "fileca"])
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--grpc-host", "127.0.0.1", "--grpc-port", &parts::free_port().to_string()])
                .args(["--metrics-port", &parts::free_port().to_string()])
                // Abstract and fixed by default: two Fulcios on one machine would meet.
                .arg("--legacy-unix-domain-socket").arg(socket)
                .arg("--config-path").arg(config)
                .arg("--fileca-cert").arg(ca.chain())
                .arg("--fileca-key").arg(folder.join("issuing.enc.key.pem"))
                .args(["--fileca-key-passwd", PASSPHRASE])
                .args(["--ct-log-url", log_url])
                .arg("--ct-log-public-key-path").arg(log_key),
        );
        (running, format!("http://127.0.0.1:{port}"))
    }

    /// Its process.
    #[allow(dead_code, reason = "for the benchmark, which includes this file")]
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Where its REST API is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}
