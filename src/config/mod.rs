//! Settings: read from flags, environment, file and defaults, in that order, and turned once into
//! [`Settings`], whose types cannot hold a bad value.
//!
//! `config/shortleaf.toml` documents every key; [`schema`] is the table both are checked against.

mod duration;
mod effective;
mod file;
mod issuers;
mod judge;
mod load;
mod place;
mod providers;
mod rates;
mod raw;
pub mod schema;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;

pub use effective::{Effective, Source};
pub use issuers::SHARED_AUDIENCE;
pub use load::{Inputs, Loaded, load, load_to_look};
pub use place::{place, place_of};
pub use settings::{
    CaSettings, CtLogSettings, CtSettings, IdentitySettings, IssuerSettings, LogFormat,
    ServerSettings, Settings, StoreKind, TlsSettings,
};

/// Why the configuration cannot be used. Each says which key, which value, and what to try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path:?}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than a configuration can be.
    #[error("{path:?} is larger than {limit} bytes")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The file is not TOML.
    #[error("{path:?} is not valid TOML at line {line}, column {column}: {message}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// The parser's words, without a word of the file.
        message: String,
    },
    /// A key nobody reads.
    #[error("unknown key `{key}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownKey {
        /// The dotted path.
        key: String,
        /// Where it stands.
        line: Option<usize>,
        /// The closest key there is.
        nearest: Option<String>,
    },
    /// An environment variable with our prefix that names no setting.
    #[error("unknown environment variable {name}{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The closest variable there is.
        nearest: Option<String>,
    },
    /// A value of the wrong type.
    #[error("`{key}` is wrong: {message}")]
    WrongType {
        /// The dotted path.
        key: String,
        /// What was expected.
        message: String,
    },
    /// A value of the right type that cannot work.
    #[error("`{key}` is {value:?}: {why}")]
    BadValue {
        /// The dotted path.
        key: String,
        /// The value.
        value: String,
        /// The rule it breaks, and what to write instead.
        why: &'static str,
    },
    /// A value that the room it is for cannot use.
    #[error("`{key}` is {value:?}")]
    Unusable {
        /// The dotted path.
        key: String,
        /// The value.
        value: String,
        /// Why not.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A setting that has no default is absent.
    #[error("`{key}` is missing: {why}")]
    Missing {
        /// The dotted path.
        key: String,
        /// What it is for.
        why: &'static str,
    },
    /// An insecure choice without the switch that admits it.
    #[error("`{key}` = {value:?} needs `{switch} = true`: {why}")]
    NeedsSwitch {
        /// The dotted path.
        key: String,
        /// The value.
        value: String,
        /// The switch.
        switch: &'static str,
        /// What it costs.
        why: &'static str,
    },
}

impl Error {
    /// The dotted path of the setting it is about, if it is about one.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. }
            | Self::WrongType { key, .. }
            | Self::BadValue { key, .. }
            | Self::Unusable { key, .. }
            | Self::Missing { key, .. }
            | Self::NeedsSwitch { key, .. } => Some(key),
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Syntax { .. }
            | Self::UnknownVariable { .. } => None,
        }
    }
}
