//! Whether everything the settings name is there and fits: each file is opened and read as `serve`
//! would read it. Nobody is contacted and nothing is made, and all problems are found, not the
//! first.

use std::path::Path;
use std::slice;

use super::error::Error;
use super::files::{
    is_open_to_everybody, open_secrets, owners_alone, passphrase, read, read_optional, read_text,
    writable,
};
use super::parts::{keys, log_client, log_key, weak_keys};
use super::shown::trust_files;
use super::{PublishedLog, TlsFiles, whom};
use crate::ca::{Authority, Signer};
use crate::config::{CaSettings, CtLogSettings, CtSettings, IssuerSettings, Settings, TlsSettings};
use crate::ct::rfc6962::Rfc6962Config;
use crate::keys::file::{self as keyfile, FileSigner, KeyFileError, OpenError};
use crate::time::UnixSeconds;
use crate::x509::Certificate;

/// Whether the CA key's passphrase is where `serve` will have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passphrase {
    /// An encrypted key without one is a problem.
    #[default]
    Here,
    /// Whoever looks over a configuration need not be let in on its secrets: an encrypted key
    /// without one stays closed, with a warning.
    Elsewhere,
}

/// What was found; a configuration without problems starts.
#[derive(Debug, Default)]
pub struct Found {
    /// What `serve` would stop at.
    pub problems: Vec<Error>,
    /// What it would start with, and should not.
    pub warnings: Vec<String>,
    /// How many issuers would be believed, those of Fulcio's file among them.
    pub issuers: usize,
    passphrase: Passphrase,
}

/// Reads every file the settings name.
pub fn examine(settings: &Settings, passphrase: Passphrase, now: UnixSeconds) -> Found {
    let mut found = Found {
        passphrase,
        ..Found::default()
    };
    let chain = found.authority(&settings.ca, now);
    if let Some(tls) = &settings.server.tls {
        found.tls(tls, now);
    }
    found.note(weak_keys(settings.ca.weak_keys.as_deref()));
    let issuers = match found.note(whom::believed(settings)) {
        Some(believed) => {
            found.warnings.extend(believed.warnings);
            believed.issuers
        }
        // Told; the others' files are looked at all the same.
        None => settings.issuers.clone(),
    };
    found.issuers = issuers.len();
    let logs = found.logs(&settings.ct);
    if let (Some(chain), Some(logs)) = (chain, logs) {
        let ders = chain.iter().map(|c| c.der().to_vec()).collect();
        let files = trust_files(&settings.server.public_url, ders, now, &logs);
        found.note(files.map_err(Error::from));
    }
    for issuer in &issuers {
        found.issuer(issuer);
    }
    found.note(owners_alone(&settings.state_dir).and_then(|()| writable(&settings.state_dir)));
    found
}

impl Found {
    /// The value, or a problem more.
    fn note<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    fn open_secret(&mut self, path: &Path) {
        let warning = format!("{path:?}: every user of this machine can get at this secret");
        self.warnings.push(warning);
    }

    fn tls(&mut self, tls: &TlsSettings, now: UnixSeconds) {
        if is_open_to_everybody(&tls.key) {
            self.open_secret(&tls.key);
        }
        let files = [&tls.chain, &tls.key];
        let there = files.map(|path| self.note(read(path)));
        if there.iter().any(Option::is_none) {
            return; // told, each of them
        }
        let opened = self.note(TlsFiles::open(tls.clone()));
        let notice = opened.and_then(|files| files.notice(now));
        self.warnings.extend(notice);
    }

    /// Chain and key, each by itself and then together.
    fn authority(&mut self, ca: &CaSettings, now: UnixSeconds) -> Option<Vec<Certificate>> {
        let wrong = |source: OpenError| Error::Authority {
            chain: ca.chain.clone(),
            key: ca.key.clone(),
            source,
        };
        open_secrets(ca).for_each(|path| self.open_secret(path));
        let chain = read_text(&ca.chain).and_then(|text| keyfile::chain(&text).map_err(wrong));
        let chain = self.note(chain);
        let spki = self.key(ca, &wrong);
        let chain = chain?;
        // Without the key the chain can still be held against everything but the key.
        let spki = spki.or_else(|| Some(chain.first()?.spki().to_vec()));
        let authority = Authority::new(chain.clone(), &spki.unwrap_or_default(), now);
        self.note(authority.map_err(|error| wrong(error.into())));
        Some(chain)
    }

    /// The CA key's public half, if the key opens.
    fn key(&mut self, ca: &CaSettings, wrong: &dyn Fn(OpenError) -> Error) -> Option<Vec<u8>> {
        let passphrase = self.note(passphrase(ca, read_text));
        let text = zeroize::Zeroizing::new(self.note(read_text(&ca.key))?);
        match FileSigner::from_pem(&text, passphrase?.as_ref()) {
            Ok(signer) => Some(signer.spki().to_vec()),
            Err(KeyFileError::PassphraseMissing) if self.passphrase == Passphrase::Elsewhere => {
                let warning = format!(
                    "{:?} is encrypted and no passphrase is configured here: it was not opened",
                    ca.key
                );
                self.warnings.push(warning);
                None
            }
            Err(error) => {
                self.problems.push(wrong(error.into()));
                None
            }
        }
    }

    /// The logs as the trust files list them, if all of them can be used.
    fn logs(&mut self, ct: &CtSettings) -> Option<Vec<PublishedLog>> {
        let CtSettings::Required { logs, .. } = ct else {
            return Some(Vec::new());
        };
        let before = self.problems.len();
        let published = logs.iter().filter_map(|log| self.log(log)).collect();
        (self.problems.len() == before).then_some(published)
    }

    fn log(&mut self, log: &CtLogSettings) -> Option<PublishedLog> {
        let CtLogSettings::Rfc6962 {
            name,
            url,
            key,
            host,
            ca_file,
        } = log
        else {
            return None; // its key is made when it starts
        };
        let key = self.note(log_key(name, key));
        let ca_pem = self.note(read_optional(ca_file.as_deref()))?;
        let key = key?;
        let published = PublishedLog {
            base_url: Some(url.clone()),
            spki: key.spki().to_vec(),
            valid_from: UnixSeconds(0),
        };
        let client = log_client(Rfc6962Config {
            name: name.clone(),
            url: url.clone(),
            key,
            host: host.clone(),
            ca_pem,
        });
        self.note(client).map(|_| published)
    }

    fn issuer(&mut self, issuer: &IssuerSettings) {
        let files = [
            &issuer.jwks_file,
            &issuer.ca_file,
            &issuer.bearer_token_file,
        ];
        let read = files.map(|path| self.note(read_optional(path.as_deref())));
        if read.iter().all(Option::is_some) {
            self.note(keys(slice::from_ref(issuer)));
        }
    }
}
