//! From settings to parts: reads key, chain, log keys and key sets, opens store and audit log.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

pub use super::error::{Error, records_hint};
use super::files::{make_private, read_at_most, read_optional, read_text};
use super::prepare;
use super::shown::trust_files;
use super::watch::LOOK_EVERY;
use super::{Blueprint, PublishedLog, TermsFiles, TlsFiles};
use crate::ca::InstanceId;
use crate::config::{CtLogSettings, CtSettings, IssuerSettings, Loaded, Settings, StoreKind};
use crate::ct::memory::MemoryLog;
use crate::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use crate::ct::{CertificateLog, LogKey};
use crate::issuance::store::IssuanceStore;
use crate::issuance::{self, CtMode, TrustedIssuer};
use crate::keys::file as keyfile;
use crate::possession::{MAX_WEAK_KEYS_BYTES, WeakKeys};
use crate::rates::Rates;
use crate::rates::memory::MemoryCounter;
use crate::server::{Hops, KeyState, KeyStates, ProxyHeader, TrustFiles};
use crate::store;
use crate::store::audit_file::AuditFile;
use crate::store::memory::MemoryStore;
use crate::system::{SystemClock, SystemEntropy};
use crate::time::{Clock, UnixMillis, UnixSeconds};
use crate::token::IssuerPolicy;
use crate::token::discovery::{self, HttpKeys, IssuerKeysConfig, KeysFrom};
use crate::token::jwks::Unfit;
use crate::x509::pem;

/// Clock difference tolerated in tokens, in seconds.
const LEEWAY_S: i64 = 30;

/// Store and audit log in the state directory.
fn open_records(
    dir: &Path,
    kind: StoreKind,
    now: UnixMillis,
) -> Result<(Arc<dyn IssuanceStore>, Arc<AuditFile>), Error> {
    let audit_path = dir.join("audit.log");
    let audit_error = |source| Error::Audit {
        path: dir.join("audit.log"),
        source,
    };
    match kind {
        StoreKind::Redb => {
            let path = dir.join("issuance.redb");
            let opened = store::open(&path, &audit_path, &SystemEntropy, now);
            let (store, audit) = opened.map_err(|error| match error {
                store::OpenError::Audit(source) => audit_error(source),
                store::OpenError::Store(source) => Error::Store { path, source },
            })?;
            Ok((Arc::new(store), audit))
        }
        StoreKind::Memory => {
            let audit = AuditFile::open(&audit_path, now).map_err(audit_error)?;
            Ok((Arc::new(MemoryStore::new()), Arc::new(audit)))
        }
    }
}

/// Reads and opens everything the configuration names. Needs a tokio runtime: issuers' keys are
/// fetched in the background from here on.
pub fn blueprint(loaded: Loaded) -> Result<Blueprint, Error> {
    let clock = SystemClock;
    let now = clock.now();
    let started = Instant::now();
    let (terms, read) = TermsFiles::open(&loaded, now.seconds())?;
    read.warn();
    let configuration = loaded.effective.digest();
    let settings = loaded.settings;
    let weak_keys = weak_keys(settings.ca.weak_keys.as_deref())?;
    let tls = settings.server.tls.map(TlsFiles::open).transpose()?;
    if let Some(tls) = &tls {
        tls.say_if_open();
    }
    let Logs {
        mode: ct,
        published: logs,
        keys: log_keys,
    } = open_logs(&settings.ct, read.terms.authority.issuing().not_before())?;
    make_private(&settings.state_dir)?;
    let (store, audit) = open_records(&settings.state_dir, settings.store, now)?;
    if settings.fixed_key_tables
        && let Err(error) = prepare::log_keys(log_keys)
    {
        tracing::warn!(%error, "log keys are not prepared; SCTs take longer to verify");
    }
    Ok(Blueprint {
        key_states: terms.key_states(),
        public_url: Some(settings.server.public_url),
        tls,
        hops: Hops::new(
            settings.server.trusted_hops,
            match settings.server.proxy_protocol {
                true => ProxyHeader::Required,
                false => ProxyHeader::Absent,
            },
        ),
        connections_per_address: settings.server.connections_per_address,
        drain: settings.server.drain,
        issuance: issuance::Parts {
            terms: read.terms,
            profile: Arc::new(settings.ca.profile),
            ct,
            store,
            audit,
            entropy: Arc::new(SystemEntropy),
            instance: InstanceId::FIRST,
            permitted: settings.ca.algorithms,
            weak_keys,
            rates: Rates {
                limits: settings.rate_limits,
                counter: Arc::new(MemoryCounter::new(move || started.elapsed())),
            },
            retention: settings.retention,
            monotonic: Some(Arc::new(move || started.elapsed())),
            probe: probe(),
        },
        terms: Some(terms),
        look_every: LOOK_EVERY,
        issuers: read.issuers,
        logs,
        clock: Arc::new(clock),
        entropy: Arc::new(SystemEntropy),
        configuration: Some(configuration),
    })
}

/// What tests hang into the pipeline of a debug build: `SHORTLEAF_TEST_KILL_AT=<point>[:nth]` ends
/// the process there. Release builds do not read it.
fn probe() -> issuance::Probe {
    #[cfg(debug_assertions)]
    if let Some(probe) = std::env::var("SHORTLEAF_TEST_KILL_AT")
        .ok()
        .and_then(|spec| issuance::kill_at(&spec, || std::process::abort()))
    {
        return probe;
    }
    issuance::no_probe()
}

/// What verifiers and signers are told, from the settings alone.
pub struct Published {
    /// The trust files.
    pub trust: TrustFiles,
    /// The CA chain.
    pub chain_pem: String,
}

/// Reads only public files: a chain and log keys, no private key.
pub fn published(settings: &Settings) -> Result<Published, Error> {
    let wrong = |source| Error::Authority {
        chain: settings.ca.chain.clone(),
        key: settings.ca.key.clone(),
        source,
    };
    let chain = keyfile::chain(&read_text(&settings.ca.chain)?).map_err(wrong)?;
    let valid_from = chain.first().map_or(UnixSeconds(0), |c| c.not_before());
    let logs = open_logs(&settings.ct, valid_from)?.published;
    let ders: Vec<Vec<u8>> = chain.iter().map(|c| c.der().to_vec()).collect();
    Ok(Published {
        chain_pem: ders
            .iter()
            .map(|der| pem::encode("CERTIFICATE", der))
            .collect(),
        trust: trust_files(&settings.server.public_url, ders, valid_from, &logs)?,
    })
}

/// Read in full or not at all: a start without the list would certify what it refuses.
pub fn weak_keys(path: Option<&Path>) -> Result<WeakKeys, Error> {
    let Some(path) = path else {
        return Ok(WeakKeys::default());
    };
    let text = read_at_most(path, MAX_WEAK_KEYS_BYTES)?;
    WeakKeys::parse(&text).map_err(|source| Error::WeakKeys {
        path: path.to_owned(),
        source,
    })
}

/// The logs, as the pipeline asks them and as verifiers are told of them.
struct Logs {
    mode: CtMode,
    published: Vec<PublishedLog>,
    keys: Vec<LogKey>,
}

fn open_logs(ct: &CtSettings, valid_from: UnixSeconds) -> Result<Logs, Error> {
    let CtSettings::Required { deadline, logs } = ct else {
        return Ok(Logs {
            mode: CtMode::Off,
            published: Vec::new(),
            keys: Vec::new(),
        });
    };
    let mut opened: Vec<Arc<dyn CertificateLog>> = Vec::new();
    let mut published = Vec::new();
    let mut keys = Vec::new();
    for log in logs {
        match log {
            CtLogSettings::Memory { name } => {
                let log = MemoryLog::generate(name).map_err(|source| Error::MemoryLog {
                    log: name.clone(),
                    source,
                })?;
                published.push(PublishedLog {
                    base_url: None,
                    spki: log.spki().to_vec(),
                    valid_from,
                });
                keys.push(log.key().clone());
                opened.push(Arc::new(log));
            }
            CtLogSettings::Rfc6962 {
                name,
                url,
                key,
                host,
                ca_file,
            } => {
                let (key, ca_pem) = (log_key(name, key)?, read_optional(ca_file.as_deref())?);
                published.push(PublishedLog {
                    base_url: Some(url.clone()),
                    spki: key.spki().to_vec(),
                    valid_from,
                });
                keys.push(key.clone());
                opened.push(Arc::new(log_client(Rfc6962Config {
                    name: name.clone(),
                    url: url.clone(),
                    key,
                    host: host.clone(),
                    ca_pem,
                })?));
            }
        }
    }
    Ok(Logs {
        mode: CtMode::Required {
            logs: opened,
            deadline: *deadline,
        },
        published,
        keys,
    })
}

/// A log's client; it connects to nothing yet.
pub(super) fn log_client(config: Rfc6962Config) -> Result<Rfc6962Log, Error> {
    let log = config.name.clone();
    Rfc6962Log::new(config).map_err(|source| Error::Log { log, source })
}

pub(super) fn log_key(log: &str, path: &Path) -> Result<LogKey, Error> {
    let wrong = || Error::LogKey {
        log: log.to_owned(),
        path: path.to_owned(),
    };
    let blocks = pem::decode(&read_text(path)?).map_err(|_| wrong())?;
    let [block] = blocks.as_slice() else {
        return Err(wrong());
    };
    LogKey::from_spki_der(&block.der)
        .ok()
        .filter(|_| block.label == "PUBLIC KEY")
        .ok_or_else(wrong)
}

/// Issuers as the pipeline trusts them.
pub fn trusted(issuers: &[IssuerSettings]) -> Vec<TrustedIssuer> {
    let trusted = issuers.iter().map(|issuer| TrustedIssuer {
        policy: policy_of(issuer),
        mapping: issuer.mapping.clone(),
    });
    trusted.collect()
}

/// What is demanded of one issuer's tokens.
pub fn policy_of(issuer: &IssuerSettings) -> IssuerPolicy {
    IssuerPolicy {
        issuer: issuer.name.clone(),
        audiences: issuer.audiences.clone(),
        max_token_age_s: issuer.max_token_age_s,
        max_token_lifetime_s: issuer.max_token_lifetime_s,
        leeway_s: LEEWAY_S,
        certificates_per_token: issuer.certificates_per_token,
    }
}

/// Where the issuers' keys come from.
pub fn keys(issuers: &[IssuerSettings]) -> Result<HttpKeys, Error> {
    let configs = issuers.iter().map(keys_of).collect();
    HttpKeys::new(configs).map_err(|source| keys_error(issuers, source))
}

/// Of an issuer from Fulcio's file, with its place there.
pub(super) fn keys_error(issuers: &[IssuerSettings], source: discovery::ConfigError) -> Error {
    let mut all = issuers.iter();
    let of = all.find(|issuer| issuer.name == *source.issuer());
    match of.and_then(|issuer| issuer.place.clone()) {
        Some((path, line)) => {
            let source = Box::new(source);
            Error::FulcioKeys { path, line, source }
        }
        None => Error::Keys(source),
    }
}

/// Where one issuer's keys come from.
pub fn keys_of(issuer: &IssuerSettings) -> IssuerKeysConfig {
    IssuerKeysConfig {
        issuer: issuer.name.clone(),
        source: match &issuer.jwks_file {
            Some(path) => KeysFrom::JwksFile(path.clone()),
            None => KeysFrom::Discovery,
        },
        allow_private_network: issuer.allow_private_network,
        allow_insecure_http_loopback: issuer.insecure_loopback_http,
        jwks_hosts: issuer.jwks_hosts.clone(),
        ca_file: issuer.ca_file.clone(),
        ca_pem: issuer.ca_pem.clone(),
        discovery_url: issuer.discovery_url.clone(),
        bearer_token_file: issuer.bearer_token_file.clone(),
    }
}

/// These keys, as the operators' doors ask for them.
pub fn key_states(keys: &Arc<HttpKeys>) -> KeyStates {
    let keys = Arc::clone(keys);
    Arc::new(move || states(&keys))
}

pub(super) fn states(keys: &HttpKeys) -> Vec<KeyState> {
    let count = |skipped: &[Unfit], unfit| skipped.iter().filter(|one| **one == unfit).count();
    // Both are sorted by issuer.
    let states = keys.ages().into_iter().zip(keys.skipped());
    let states = states.map(|((issuer, age), (_, skipped))| KeyState {
        issuer,
        age,
        skipped: Unfit::ALL
            .map(|unfit| (unfit.word(), count(&skipped, unfit)))
            .into(),
    });
    states.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::possession::WeakKeysError;

    #[test]
    fn a_list_of_weak_keys_is_read_whole_or_not_at_all() {
        assert!(weak_keys(None).unwrap().is_empty());
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let hash = "0a".repeat(32);
        std::fs::write(path, format!("# leaked\n{hash}\n")).unwrap();
        assert_eq!(weak_keys(Some(path)).unwrap().len(), 1);

        std::fs::write(path, format!("# leaked\n{hash}\n{hash}\n")).unwrap();
        let Err(Error::WeakKeys { path: got, source }) = weak_keys(Some(path)) else {
            panic!("a list with a slip was read");
        };
        assert_eq!(got, path);
        assert_eq!(source, WeakKeysError::Repeated { line: 3 });
        let absent = weak_keys(Some(Path::new("/nonexistent")));
        assert!(matches!(absent, Err(Error::Unreadable { .. })));
    }
}
