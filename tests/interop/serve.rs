//! `shortleaf serve` over a CA made by openssl, trusting the test's two issuers.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::fulcio::Ca;
use crate::parts::{self, Running};

/// Where it submits.
pub(crate) enum Log<'a> {
    /// A log in its own memory.
    Memory,
    /// An outside log: submission prefix and public key.
    Outside(&'a str, &'a Path),
}

/// A running server.
pub(crate) struct Serve {
    _running: Running,
    url: String,
}

impl Serve {
    /// Starts it in `folder`; `email` vouches for addresses, `github` for workflows.
    pub(crate) fn start(ca: &Ca, folder: &Path, issuers: [&str; 2], log: &Log<'_>) -> Self {
        Self::start_over("http", "", ca, folder, &two(issuers), log)
    }

    /// Believing whom an identity configuration of Fulcio's names, and nobody else.
    pub(crate) fn start_on(ca: &Ca, folder: &Path, config: &Path) -> Self {
        let identity = format!("[identity]\nfulcio_config = {config:?}\n");
        Self::start_over("http", "", ca, folder, &identity, &Log::Memory)
    }

    /// The same over TLS, from a chain and its key.
    pub(crate) fn start_tls(
        [chain, key]: [&Path; 2],
        ca: &Ca,
        folder: &Path,
        issuers: [&str; 2],
    ) -> Self {
        let pair = format!("tls_chain = {chain:?}\ntls_key = {key:?}\n");
        Self::start_over("https", &pair, ca, folder, &two(issuers), &Log::Memory)
    }

    fn start_over(
        scheme: &str,
        server: &str,
        ca: &Ca,
        folder: &Path,
        issuers: &str,
        log: &Log<'_>,
    ) -> Self {
        let port = parts::free_port();
        let url = format!("{scheme}://127.0.0.1:{port}");
        let log = match log {
            Log::Memory => "insecure_memory_log = true\n\
                            [[ct.log]]\nkind = \"memory\"\nname = \"memory\"\n"
                .to_owned(),
            Log::Outside(url, key) => format!(
                "[[ct.log]]\nkind = \"rfc6962\"\nname = \"outside\"\nurl = {url:?}\nkey = {key:?}\n"
            ),
        };
        let config = folder.join("shortleaf.toml");
        fs::write(
            &config,
            format!(
                "[server]\nlisten = \"127.0.0.1:{port}\"\nops_listen = \"127.0.0.1:{}\"\n\
                 public_url = {url:?}\n{server}\
                 [state]\ndir = {:?}\n\
                 [ca]\nchain = {:?}\nkey = {:?}\n\
                 [ct]\n{log}{issuers}",
                parts::free_port(),
                folder.join("state"),
                ca.chain(),
                ca.key(),
            ),
        )
        .expect("the scratch folder is writable");
        let mut running = Running::start(
            "shortleaf serve",
            Command::new(env!("CARGO_BIN_EXE_shortleaf"))
                .arg("serve")
                .arg("--config")
                .arg(&config),
        );
        running.wait_for_line("READY ", parts::PATIENCE);
        Self {
            _running: running,
            url,
        }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// An issuer of addresses and one of workflows.
fn two([email, github]: [&str; 2]) -> String {
    let issuer = |url: &str, kind: &str| {
        format!(
            "[[issuer]]\nurl = {url:?}\ntype = {kind:?}\naudiences = [\"sigstore\"]\n\
             accept_shared_audience = true\ninsecure_loopback_http = true\n"
        )
    };
    issuer(email, "email") + &issuer(github, "github-workflow")
}
