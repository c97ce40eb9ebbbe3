//! Why settings do not become an instance, and what to try.

use std::path::{Path, PathBuf};

use super::whom::BeliefError;
use crate::audit;
use crate::ca::SelfCheckError;
use crate::config;
use crate::ct::KeyError;
use crate::fault;
use crate::keys::file as keyfile;
use crate::possession::WeakKeysError;
use crate::server::TlsError;
use crate::store::{self, audit_file, redb};
use crate::token::discovery;
use crate::trust;

/// Why settings do not become an instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whom to believe.
    #[error(transparent)]
    Belief(#[from] BeliefError),
    /// A file cannot be read.
    #[error("cannot read {path:?}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What is read while the instance runs has to be a file.
    #[error("{path:?} is not a file, and can be read at the start alone")]
    Stream {
        /// Which one.
        path: PathBuf,
    },
    /// A file is larger than it can be.
    #[error("{path:?} is larger than {limit} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The list of weak keys is not one.
    #[error("{path:?} is not a list of weak keys")]
    WeakKeys {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: WeakKeysError,
    },
    /// Chain and key do not make an issuing CA.
    #[error("{chain:?} and {key:?} do not make an issuing CA")]
    Authority {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: keyfile::OpenError,
    },
    /// Chain and key do not make a TLS server.
    #[error("{chain:?} and {key:?} do not make a TLS server")]
    Tls {
        /// The chain's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: TlsError,
    },
    /// The state directory cannot be made, or looked at.
    #[error("cannot use the state directory {path:?}")]
    StateDirectory {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Others may put files there, or take ours away.
    #[error(
        "the state directory {path:?} has mode {mode:04o}: others than its owner can write to it"
    )]
    StateDirectoryOpen {
        /// Which one.
        path: PathBuf,
        /// Its permissions; neither 0020 nor 0002 may be among them.
        mode: u32,
    },
    /// The store does not open.
    #[error("cannot open the store {path:?}")]
    Store {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: redb::OpenError,
    },
    /// The audit log does not open.
    #[error("cannot open the audit log {path:?}")]
    Audit {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: audit_file::OpenError,
    },
    /// A log's key is no key.
    #[error("log {log}: no usable public key in {path:?}")]
    LogKey {
        /// Its name.
        log: String,
        /// The key's file.
        path: PathBuf,
    },
    /// A log in memory could not be made.
    #[error("log {log} could not make its key")]
    MemoryLog {
        /// Its name.
        log: String,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// A log cannot be used.
    #[error("log {log} cannot be used")]
    Log {
        /// Its name.
        log: String,
        /// Why not.
        #[source]
        source: crate::ct::rfc6962::ConfigError,
    },
    /// Issuers' keys cannot be looked for.
    #[error("the issuers' keys cannot be set up")]
    Keys(#[source] discovery::ConfigError),
    /// The same of an issuer from Fulcio's file.
    #[error("identity configuration {path:?}, line {line}: this issuer's keys cannot be set up")]
    FulcioKeys {
        /// Which file.
        path: PathBuf,
        /// Where the issuer begins.
        line: u64,
        /// Why not.
        #[source]
        source: Box<discovery::ConfigError>,
    },
    /// The trust files cannot be written.
    #[error("the trust files cannot be written")]
    Trust(#[from] trust::Error),
    /// The configuration, read anew, cannot be used.
    #[error(transparent)]
    Configuration(#[from] config::Error),
    /// The encoder of certificates failed its check with another CA.
    #[error("the template encoder does not write what rcgen does")]
    Encoder(#[from] SelfCheckError),
    /// The audit log does not take the line about a change.
    #[error("could not write the change into the audit log")]
    Trail(#[from] audit::Error),
}

impl Error {
    /// The file that a setting names and this is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        if let Self::Unreadable { path, .. }
        | Self::TooLarge { path, .. }
        | Self::WeakKeys { path, .. }
        | Self::LogKey { path, .. } = self
        {
            return Some(path);
        }
        self.of_keys()?.path()
    }

    /// The issuer of an `[[issuer]]` that this is about, if it is about one.
    pub fn issuer(&self) -> Option<&str> {
        Some(self.of_keys()?.issuer().as_str())
    }

    fn of_keys(&self) -> Option<&discovery::ConfigError> {
        if let Self::Keys(source) = self {
            return Some(source);
        }
        None
    }

    /// What to try, in one line, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Authority {
                source: keyfile::OpenError::Key(keyfile::KeyFileError::PassphraseMissing),
                ..
            } => Some("set ca.passphrase_file, or SHORTLEAF_CA_PASSPHRASE in the environment"),
            Self::Authority { source, .. } => Some(source.hint()),
            Self::Unreadable { .. } => Some(
                "`shortleaf config show --effective` shows every path and who set it; `shortleaf ca init` makes the files of [ca]",
            ),
            Self::LogKey { .. } => {
                Some("the log's operator publishes its key; a PEM PUBLIC KEY is wanted")
            }
            Self::StateDirectoryOpen { .. } => {
                Some("chmod 700 DIR; on a mounted volume, name a folder in it, which is made so")
            }
            Self::WeakKeys { .. } => Some(
                "one SHA-256 hash of a SubjectPublicKeyInfo per line; config/shortleaf.toml shows how to make one",
            ),
            Self::Tls { .. } => Some(
                "server.tls_chain begins with the server's own certificate, server.tls_key is that one's key",
            ),
            Self::Audit { source, .. } => audit_hint(source),
            Self::Belief(BeliefError::Fulcio { .. }) => Some(
                "fulcio_config is read as Fulcio reads it, and what Fulcio would pass over is an error: docs/identities.md",
            ),
            Self::Belief(BeliefError::Rules { .. } | BeliefError::Finding { .. }) => Some(
                "`shortleaf rules check FILE` looks a rule file over; docs/rules.md says what one can say",
            ),
            Self::Keys(source) => keys_hint(source),
            Self::FulcioKeys { source, .. } => keys_hint(source),
            Self::StateDirectory { .. } => {
                Some("state.dir wants a folder this user can write, or can make")
            }
            Self::Belief(BeliefError::Twice { .. })
            | Self::TooLarge { .. }
            | Self::Stream { .. }
            | Self::Store { .. }
            | Self::MemoryLog { .. }
            | Self::Log { .. }
            | Self::Trust(_)
            | Self::Configuration(_)
            | Self::Encoder(_)
            | Self::Trail(_) => None,
        }
    }

    /// With its causes, in one line.
    pub(super) fn with_causes(&self) -> String {
        fault::chain(self)
    }
}

fn keys_hint(error: &discovery::ConfigError) -> Option<&'static str> {
    match error {
        discovery::ConfigError::NotHttps { .. } => Some(
            "an issuer's keys are fetched over https; plain http is for this very machine: give it TLS, or take the issuer out",
        ),
        discovery::ConfigError::CaPem { .. } => {
            Some("ca_file, and ca-cert in Fulcio's file, want PEM certificates")
        }
        discovery::ConfigError::Unreadable { .. } | discovery::ConfigError::BearerToken { .. } => {
            Some("is the path right, and may this user read it? docs/issuer-keys.md")
        }
        discovery::ConfigError::Twice { .. }
        | discovery::ConfigError::StaticJwks { .. }
        | discovery::ConfigError::StaticJwksEmpty { .. }
        | discovery::ConfigError::NotForFamilies { .. }
        | discovery::ConfigError::DiscoveryUrl { .. }
        | discovery::ConfigError::JwksHost { .. }
        | discovery::ConfigError::Client { .. } => {
            Some("docs/issuer-keys.md says from where keys are fetched, and from where never")
        }
    }
}

/// What to try where records do not open.
pub fn records_hint(error: &store::OpenError) -> Option<&'static str> {
    match error {
        store::OpenError::Audit(source) => audit_hint(source),
        store::OpenError::Store(_) => None,
    }
}

fn audit_hint(error: &audit_file::OpenError) -> Option<&'static str> {
    match error {
        audit_file::OpenError::InUse { .. } => Some(
            "a `serve` or `dev` that runs has this state directory: stop it (`fuser -v FILE` names it), or take another",
        ),
        audit_file::OpenError::Damaged { .. } => Some(
            "keep the file as it is; `shortleaf audit verify FILE` names the line, a copy kept elsewhere has what stood there",
        ),
        audit_file::OpenError::Io { .. } | audit_file::OpenError::Record(_) => None,
    }
}
