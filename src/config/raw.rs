//! The configuration as it is spelled, before any value is judged.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) server: Server,
    pub(super) state: State,
    pub(super) ca: Ca,
    pub(super) ct: Ct,
    pub(super) crypto: Crypto,
    pub(super) identity: Identity,
    #[serde(default)]
    pub(super) issuer: Vec<Issuer>,
    #[serde(default)]
    pub(super) ci_provider: Vec<CiProvider>,
    pub(super) rate_limits: RateLimits,
    pub(super) log: Log,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) listen: String,
    pub(super) ops_listen: String,
    pub(super) public_url: String,
    pub(super) tls_chain: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) insecure_plain_http: bool,
    pub(super) trusted_hops: Vec<String>,
    pub(super) proxy_protocol: bool,
    pub(super) connections_per_address: Option<i64>,
    pub(super) drain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) dir: PathBuf,
    pub(super) store: String,
    pub(super) insecure_memory_store: bool,
    pub(super) retention: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ca {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
    pub(super) passphrase_file: Option<PathBuf>,
    pub(super) passphrase: Option<String>,
    pub(super) profile: String,
    pub(super) lifetime: String,
    pub(super) backdate: String,
    pub(super) crl_url: Option<String>,
    pub(super) algorithms: Vec<String>,
    pub(super) encoder: String,
    pub(super) weak_keys: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ct {
    pub(super) mode: String,
    pub(super) deadline: String,
    pub(super) insecure_memory_log: bool,
    #[serde(default)]
    pub(super) log: Vec<CtLog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CtLog {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) key: Option<PathBuf>,
    pub(super) host: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Crypto {
    pub(super) fixed_key_tables: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) rules: Option<PathBuf>,
    pub(super) fulcio_config: Option<PathBuf>,
    pub(super) fulcio_max_token_age: String,
    pub(super) fulcio_certificates_per_token: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Issuer {
    pub(super) url: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) preset: Option<String>,
    pub(super) audiences: Option<Vec<String>>,
    pub(super) accept_shared_audience: bool,
    pub(super) max_token_age: Option<String>,
    pub(super) max_token_lifetime: Option<String>,
    pub(super) certificates_per_token: Option<i64>,
    pub(super) jwks_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) jwks_hosts: Vec<String>,
    pub(super) discovery_url: Option<String>,
    pub(super) bearer_token_file: Option<PathBuf>,
    pub(super) issuer_claim: Option<String>,
    pub(super) subject_domain: Option<String>,
    pub(super) spiffe_trust_domain: Option<String>,
    pub(super) ci_provider: Option<String>,
    pub(super) skip_email_verification: bool,
    pub(super) allow_private_network: bool,
    pub(super) insecure_loopback_http: bool,
}

#[derive(Deserialize)]
pub(super) struct CiProvider {
    pub(super) name: String,
    pub(super) san: String,
    pub(super) required_claims: Vec<String>,
    pub(super) default_values: BTreeMap<String, String>,
    /// By the keys of the schema, which has refused all others.
    #[serde(flatten)]
    pub(super) extensions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateLimits {
    pub(super) per_address: String,
    pub(super) per_address_burst: i64,
    pub(super) ipv6_prefix: i64,
    pub(super) per_issuer: String,
    pub(super) per_issuer_burst: i64,
    pub(super) per_identity: String,
    pub(super) per_identity_burst: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: String,
    pub(super) level: String,
}
