//! Settings that can be used as they stand: every address parsed, every insecure choice admitted.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::ca::{Encoder, LeafProfile};
use crate::identity::presets::Preset;
use crate::identity::{IssuerType, Mapping};
use crate::possession::AlgorithmList;
use crate::rates::Limits;
use crate::token::IssuerName;

/// The whole configuration.
#[derive(Debug)]
pub struct Settings {
    /// Listeners.
    pub server: ServerSettings,
    /// Where records and the audit log live.
    pub state_dir: PathBuf,
    /// Which store.
    pub store: StoreKind,
    /// How long records are kept; none = for ever.
    pub retention: Option<Duration>,
    /// Key, chain and profile.
    pub ca: CaSettings,
    /// Certificate transparency.
    pub ct: CtSettings,
    /// Whether keys known beforehand are prepared for faster verification.
    pub fixed_key_tables: bool,
    /// Who may have a certificate, and whom we believe beside `issuers`.
    pub identity: IdentitySettings,
    /// Whom we believe.
    pub issuers: Vec<IssuerSettings>,
    /// How often addresses, issuers and identities may ask.
    pub rate_limits: Limits,
    /// The log's shape.
    pub log_format: LogFormat,
    /// The log's filter.
    pub log_level: String,
    /// What an operator should be told at start: insecure choices, in words.
    pub warnings: Vec<String>,
}

/// Listeners.
#[derive(Debug)]
pub struct ServerSettings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// What proves to clients that this is the server they meant; plain HTTP without.
    pub tls: Option<TlsSettings>,
    /// Where operators connect; loopback.
    pub ops_listen: SocketAddr,
    /// The URL clients use, without trailing slash.
    pub public_url: String,
    /// Networks, as address and length of the prefix, that are believed about whom they speak for.
    pub trusted_hops: Vec<(IpAddr, u8)>,
    /// Whether connections from them begin with a PROXY header.
    pub proxy_protocol: bool,
    /// How many connections one address may hold; none = as many as there are.
    pub connections_per_address: Option<usize>,
    /// How long to wait for requests in flight when stopping.
    pub drain: Duration,
}

/// The public listener's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Chain file, the server's own certificate first, PEM.
    pub chain: PathBuf,
    /// Key file, PEM, unencrypted.
    pub key: PathBuf,
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One file in the state directory.
    Redb,
    /// Nothing survives.
    Memory,
}

/// Key, chain and profile.
#[derive(Debug)]
pub struct CaSettings {
    /// Chain file, PEM.
    pub chain: PathBuf,
    /// Key file, PKCS#8 PEM.
    pub key: PathBuf,
    /// File whose first line is the passphrase.
    pub passphrase_file: Option<PathBuf>,
    /// The passphrase itself, from the environment.
    pub passphrase: Option<SecretString>,
    /// What the leaves look like and how long they live.
    pub profile: LeafProfile,
    /// Which keys are certified.
    pub algorithms: AlgorithmList,
    /// Who writes the leaves.
    pub encoder: Encoder,
    /// File of known weak keys, which are refused.
    pub weak_keys: Option<PathBuf>,
}

/// Certificate transparency.
#[derive(Debug)]
pub enum CtSettings {
    /// No certificate without a verified SCT.
    Required {
        /// For the whole log step.
        deadline: Duration,
        /// At least one, in the order they are asked.
        logs: Vec<CtLogSettings>,
    },
    /// Written out by the operator.
    Off,
}

/// One log.
#[derive(Debug)]
pub enum CtLogSettings {
    /// Over HTTP.
    Rfc6962 {
        /// For logs and metrics.
        name: String,
        /// Submission prefix.
        url: String,
        /// Public key file, PEM.
        key: PathBuf,
        /// Host header override.
        host: Option<String>,
        /// Further TLS roots, PEM.
        ca_file: Option<PathBuf>,
    },
    /// In this process, forgotten at its end.
    Memory {
        /// For logs and metrics.
        name: String,
    },
}

/// `[identity]`.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// The rule file; none = everybody an issuer vouches for.
    pub rules: Option<PathBuf>,
    /// Fulcio's identity configuration, whose issuers are trusted beside those of `[[issuer]]`.
    pub fulcio_config: Option<PathBuf>,
    /// Oldest token of these issuers, in seconds since `iat`.
    pub fulcio_max_token_age_s: i64,
    /// Different keys one token of theirs may have certified.
    pub fulcio_certificates_per_token: u32,
}

impl Default for IdentitySettings {
    /// What the schema has.
    fn default() -> Self {
        Self {
            rules: None,
            fulcio_config: None,
            fulcio_max_token_age_s: 3600,
            fulcio_certificates_per_token: 16,
        }
    }
}

/// One issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// `iss`, byte for byte, or the pattern of a family.
    pub name: IssuerName,
    /// File and line of its key in Fulcio's file, if it is from there.
    pub place: Option<(PathBuf, u64)>,
    /// The preset it was configured with, if any.
    pub preset: Option<Preset>,
    /// How its claims are read, in a word.
    pub kind: IssuerType,
    /// What they mean.
    pub mapping: Mapping,
    /// Accepted audiences, the shared one included if accepted.
    pub audiences: Vec<String>,
    /// Oldest token, in seconds since `iat`.
    pub max_token_age_s: i64,
    /// Longest `exp` − `iat`, in seconds.
    pub max_token_lifetime_s: i64,
    /// Different keys one token may have certified.
    pub certificates_per_token: u32,
    /// Static key set.
    pub jwks_file: Option<PathBuf>,
    /// Further TLS roots.
    pub ca_file: Option<PathBuf>,
    /// The same as PEM text, as Fulcio's file has it.
    pub ca_pem: Option<String>,
    /// Where its provider metadata are fetched instead of under `iss`.
    pub discovery_url: Option<Url>,
    /// A token shown to the issuer's own host when its keys are fetched.
    pub bearer_token_file: Option<PathBuf>,
    /// Further hosts for the key set.
    pub jwks_hosts: Vec<String>,
    /// For `uri` and `username`.
    pub subject_domain: Option<String>,
    /// For `spiffe`.
    pub spiffe_trust_domain: Option<String>,
    /// For `ci-provider`: the name of its templates, here or in Fulcio's file.
    pub ci_provider: Option<String>,
    /// Believe unverified addresses.
    pub skip_email_verification: bool,
    /// Https to addresses that are not public.
    pub allow_private_network: bool,
    /// Plain http to loopback.
    pub insecure_loopback_http: bool,
}

/// The log's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl CtLogSettings {
    /// The log's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Rfc6962 { name, .. } | Self::Memory { name } => name,
        }
    }
}
