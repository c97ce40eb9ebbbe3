//! Judging: each value against its rule, each insecure choice against its switch.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::settings::{
    CaSettings, CtLogSettings, CtSettings, LogFormat, ServerSettings, Settings, StoreKind,
    TlsSettings,
};
use super::{Error, duration, issuers, providers, rates, raw};
use crate::ca::{Encoder, LeafProfile, ProfileError};
use crate::possession::AlgorithmList;

/// What `ca.algorithms` should be.
const ALGORITHMS_WANTED: &str = "write one or more of the names that config/shortleaf.toml lists";

impl Settings {
    /// Judges every value; the first that cannot work is the error.
    pub(super) fn judge(raw: raw::Raw) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        // The widest door first: what else is warned of matters less.
        if raw.identity.rules.is_none() {
            warnings.push(
                "no identity.rules: everybody that an issuer vouches for gets a certificate"
                    .to_owned(),
            );
        }
        let server = judge_server(raw.server, &mut warnings)?;
        let store = judge_store(&raw.state, &mut warnings)?;
        let retention = judge_retention(raw.state.retention)?;
        let ca = judge_ca(raw.ca)?;
        let ct = judge_ct(raw.ct, &mut warnings)?;
        let identity = issuers::judge_identity(raw.identity)?;
        let providers = providers::judge(raw.ci_provider)?;
        let issuers = issuers::judge(raw.issuer, &providers, &identity, &mut warnings)?;
        let rate_limits = rates::judge(raw.rate_limits)?;
        let log_format = match raw.log.format.as_str() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            _ => {
                return Err(bad(
                    "log.format",
                    raw.log.format,
                    "write \"text\" or \"json\"",
                ));
            }
        };
        Ok(Self {
            server,
            state_dir: raw.state.dir,
            store,
            retention,
            ca,
            ct,
            fixed_key_tables: raw.crypto.fixed_key_tables,
            identity,
            issuers,
            rate_limits,
            log_format,
            log_level: judge_level(raw.log.level)?,
            warnings,
        })
    }
}

/// A value that the room it is for cannot use.
pub(super) fn unusable(
    key: String,
    value: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Unusable {
        key,
        value: value.to_owned(),
        source: Arc::new(source),
    }
}

pub(super) fn bad(key: impl Into<String>, value: impl Into<String>, why: &'static str) -> Error {
    Error::BadValue {
        key: key.into(),
        value: value.into(),
        why,
    }
}

pub(super) fn span(key: impl Into<String>, text: String) -> Result<Duration, Error> {
    match duration::parse(&text) {
        Some(duration) => Ok(duration),
        None => Err(bad(
            key,
            text,
            "write a whole number and a unit: \"250ms\", \"30s\", \"10m\", \"24h\"",
        )),
    }
}

fn judge_server(raw: raw::Server, warnings: &mut Vec<String>) -> Result<ServerSettings, Error> {
    let address = |key: &str, text: &str| {
        text.parse::<SocketAddr>().map_err(|_| {
            bad(
                key,
                text,
                "write an IP address and a port, such as \"127.0.0.1:8080\"",
            )
        })
    };
    let listen = address("server.listen", &raw.listen)?;
    let tls = judge_tls(raw.tls_chain, raw.tls_key)?;
    if tls.is_some() && raw.insecure_plain_http {
        return Err(bad(
            "server.insecure_plain_http",
            "true",
            "server.tls_chain is set, so nothing plain is served; remove one of the two",
        ));
    }
    if !listen.ip().is_loopback() && tls.is_none() {
        if !raw.insecure_plain_http {
            return Err(Error::NeedsSwitch {
                key: "server.listen".to_owned(),
                value: raw.listen,
                switch: "server.insecure_plain_http",
                why: "tokens would travel in the clear; set server.tls_chain and server.tls_key, or listen on loopback behind a TLS proxy",
            });
        }
        warnings.push(format!("server.listen = {listen} serves plain HTTP beyond this machine: tokens travel in the clear"));
    }
    let ops_listen = address("server.ops_listen", &raw.ops_listen)?;
    if !ops_listen.ip().is_loopback() {
        return Err(bad(
            "server.ops_listen",
            raw.ops_listen,
            "health and metrics are for this machine; use a loopback address",
        ));
    }
    let everywhere = listen.ip().is_unspecified();
    if ops_listen.port() != 0
        && ops_listen.port() == listen.port()
        && (everywhere || ops_listen.ip() == listen.ip())
    {
        return Err(bad(
            "server.ops_listen",
            raw.ops_listen,
            "server.listen takes this port; each listener needs one of its own",
        ));
    }
    let url = url::Url::parse(&raw.public_url).ok().filter(|u| {
        matches!(u.scheme(), "http" | "https")
            && u.host().is_some()
            && u.query().is_none()
            && u.fragment().is_none()
            && u.username().is_empty()
            && u.path() == "/"
    });
    if url.is_none() {
        return Err(bad(
            "server.public_url",
            raw.public_url,
            "write https://HOST, without path, query or user: the API sits at the root of the host",
        ));
    }
    if tls.is_some() && url.as_ref().is_some_and(|url| url.scheme() == "http") {
        return Err(bad(
            "server.public_url",
            raw.public_url,
            "server.tls_chain is set, so clients need https://",
        ));
    }
    if !listen.ip().is_loopback() && url.as_ref().is_some_and(crate::token::is_loopback) {
        warnings.push(format!(
            "server.public_url = {:?} leads each client to itself, and server.listen = {listen} is for others: the trust files name the wrong place",
            raw.public_url
        ));
    }
    let trusted_hops: Result<Vec<_>, _> = raw.trusted_hops.into_iter().map(judge_hop).collect();
    let trusted_hops = trusted_hops?;
    if raw.proxy_protocol && trusted_hops.is_empty() {
        return Err(Error::Missing {
            key: "server.trusted_hops".to_owned(),
            why: "server.proxy_protocol is set; name the networks of the proxies that speak it",
        });
    }
    let connections_per_address = judge_share(raw.connections_per_address, listen)?;
    let drain = span("server.drain", raw.drain)?;
    Ok(ServerSettings {
        listen,
        tls,
        trusted_hops,
        proxy_protocol: raw.proxy_protocol,
        connections_per_address,
        ops_listen,
        public_url: raw.public_url.trim_end_matches('/').to_owned(),
        drain,
    })
}

/// An eighth of the connections: eight such addresses have to come together to hold them all.
const CONNECTIONS_PER_ADDRESS: usize = 256;

/// On loopback everybody has one address, and is most likely a proxy.
fn judge_share(wanted: Option<i64>, listen: SocketAddr) -> Result<Option<usize>, Error> {
    let Some(wanted) = wanted else {
        return Ok(Some(CONNECTIONS_PER_ADDRESS).filter(|_| !listen.ip().is_loopback()));
    };
    match usize::try_from(wanted) {
        Ok(share) if share > 0 => Ok(Some(share)),
        _ => Err(bad(
            "server.connections_per_address",
            wanted.to_string(),
            "write a whole number of at least 1",
        )),
    }
}

/// A level, or a filter. A word alone that is no level would be taken for a target, all of whose
/// events are wanted and nobody else's: `inof` would be an empty log.
fn judge_level(text: String) -> Result<String, Error> {
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let fits = |part: &str| is_level(part) || part.contains('=');
    if text.split(',').all(fits) && text.parse::<EnvFilter>().is_ok() {
        return Ok(text);
    }
    Err(bad(
        "log.level",
        text,
        "write error, warn, info, debug or trace, or a filter such as \"info,hyper=warn\"",
    ))
}

/// Below this a record could go while its certificate, or a token that got one, is still good.
const MIN_RETENTION: Duration = Duration::from_secs(2 * 86_400);

fn judge_retention(text: Option<String>) -> Result<Option<Duration>, Error> {
    const KEY: &str = "state.retention";
    let Some(text) = text else { return Ok(None) };
    match span(KEY, text.clone())? {
        kept if kept >= MIN_RETENTION => Ok(Some(kept)),
        _ => Err(bad(
            KEY,
            text,
            "keep records for at least \"2d\": a leaf and the token it was issued for may each live a day",
        )),
    }
}

/// A network: `10.0.0.0/8`, or an address alone.
fn judge_hop(text: String) -> Result<(IpAddr, u8), Error> {
    let parsed = || {
        let (address, bits) = text.split_once('/').unzip();
        let address: IpAddr = address.unwrap_or(&text).parse().ok()?;
        let (whole, number) = match address {
            IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => (128, address.to_bits()),
        };
        let bits: u8 = bits.map_or(Ok(whole), str::parse).ok()?;
        let beyond = number.checked_shl(u32::from(bits)).unwrap_or(0);
        ((1..=whole).contains(&bits) && beyond == 0).then_some((address, bits))
    };
    parsed().ok_or_else(|| {
        bad(
            "server.trusted_hops",
            text.clone(),
            "write the network's first address and a prefix of at least 1, such as \"10.0.0.0/8\"",
        )
    })
}

fn judge_tls(chain: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsSettings>, Error> {
    let missing = |key: &str, why| Error::Missing {
        key: key.to_owned(),
        why,
    };
    match (chain, key) {
        (Some(chain), Some(key)) => Ok(Some(TlsSettings { chain, key })),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(missing(
            "server.tls_chain",
            "server.tls_key is set; the certificate it belongs to is missing",
        )),
        (Some(_), None) => Err(missing(
            "server.tls_key",
            "server.tls_chain is set; the key of its first certificate is missing",
        )),
    }
}

fn judge_store(raw: &raw::State, warnings: &mut Vec<String>) -> Result<StoreKind, Error> {
    match raw.store.as_str() {
        "redb" => Ok(StoreKind::Redb),
        "memory" if raw.insecure_memory_store => {
            warnings.push(
                "state.store = \"memory\": no record of what was issued survives this process"
                    .to_owned(),
            );
            Ok(StoreKind::Memory)
        }
        "memory" => Err(Error::NeedsSwitch {
            key: "state.store".to_owned(),
            value: raw.store.clone(),
            switch: "state.insecure_memory_store",
            why: "no record of what was issued would survive the process",
        }),
        _ => Err(bad("state.store", raw.store.clone(), "write \"redb\"")),
    }
}

fn judge_ca(raw: raw::Ca) -> Result<CaSettings, Error> {
    let seconds = |span: Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    let lifetime = span("ca.lifetime", raw.lifetime.clone())?;
    let backdate = span("ca.backdate", raw.backdate.clone())?;
    let profile = LeafProfile::new(
        &raw.profile,
        seconds(lifetime),
        seconds(backdate),
        raw.crl_url.as_deref(),
    );
    let profile = profile.map_err(|error| match error {
        ProfileError::Name { got } => {
            bad("ca.profile", got, "1 to 64 letters, digits, '-', '_' or '.'")
        }
        ProfileError::Lifetime { .. } => {
            bad("ca.lifetime", raw.lifetime, "a leaf lives between 1m and 24h")
        }
        ProfileError::Backdate { .. } => bad("ca.backdate", raw.backdate, "at most 30s"),
        ProfileError::CrlUrl { got } => bad(
            "ca.crl_url",
            got,
            "write the full http URL of the list; https would need a certificate to check a certificate",
        ),
    })?;
    let algorithms = AlgorithmList::from_names(&raw.algorithms)
        .map_err(|unknown| bad("ca.algorithms", unknown.name, ALGORITHMS_WANTED))?;
    if raw.algorithms.is_empty() {
        return Err(bad("ca.algorithms", "[]", ALGORITHMS_WANTED));
    }
    let encoder = Encoder::from_name(&raw.encoder)
        .ok_or_else(|| bad("ca.encoder", raw.encoder, "write \"template\" or \"rcgen\""))?;
    Ok(CaSettings {
        chain: raw.chain,
        key: raw.key,
        passphrase_file: raw.passphrase_file,
        passphrase: raw.passphrase.map(SecretString::from),
        profile,
        algorithms,
        encoder,
        weak_keys: raw.weak_keys,
    })
}

fn judge_ct(raw: raw::Ct, warnings: &mut Vec<String>) -> Result<CtSettings, Error> {
    match raw.mode.as_str() {
        "off" if raw.log.is_empty() => {
            warnings.push("ct.mode = \"off\": certificates carry no SCT; sigstore-python and sigstore-java refuse them, every verifier must switch its SCT check off".to_owned());
            return Ok(CtSettings::Off);
        }
        "off" => {
            return Err(bad(
                "ct.mode",
                raw.mode,
                "a log is configured as well; remove [[ct.log]] or write \"required\"",
            ));
        }
        "required" => {}
        _ => return Err(bad("ct.mode", raw.mode, "write \"required\" or \"off\"")),
    }
    if raw.log.is_empty() {
        return Err(Error::Missing {
            key: "ct.log".to_owned(),
            why: "no certificate leaves without a log's SCT; add a [[ct.log]], or write ct.mode = \"off\" and live with clients that refuse",
        });
    }
    let deadline = span("ct.deadline", raw.deadline.clone())?;
    if deadline.is_zero() || deadline > Duration::from_secs(60) {
        return Err(bad(
            "ct.deadline",
            raw.deadline,
            "between 1ms and 60s; sigstore-js gives up on us after 5s",
        ));
    }
    let mut logs: Vec<CtLogSettings> = Vec::new();
    for (index, log) in raw.log.into_iter().enumerate() {
        let log = judge_log(index, log, raw.insecure_memory_log, warnings)?;
        if logs.iter().any(|other| other.name() == log.name()) {
            return Err(bad(
                format!("ct.log[{index}].name"),
                log.name(),
                "another log has this name",
            ));
        }
        logs.push(log);
    }
    Ok(CtSettings::Required { deadline, logs })
}

fn judge_log(
    index: usize,
    raw: raw::CtLog,
    insecure_memory_log: bool,
    warnings: &mut Vec<String>,
) -> Result<CtLogSettings, Error> {
    let key = |name: &str| format!("ct.log[{index}].{name}");
    if raw.name.is_empty()
        || raw.name.len() > 64
        || !raw
            .name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        return Err(bad(
            key("name"),
            raw.name,
            "1 to 64 letters, digits, '-', '_' or '.'",
        ));
    }
    match raw.kind.as_str() {
        "memory" if insecure_memory_log => {
            warnings.push(format!("ct.log {:?} is kept in memory: what it promised is forgotten when this process ends", raw.name));
            Ok(CtLogSettings::Memory { name: raw.name })
        }
        "memory" => Err(Error::NeedsSwitch {
            key: key("kind"),
            value: raw.kind,
            switch: "ct.insecure_memory_log",
            why: "what it promised would be forgotten when the process ends; it is for benchmarks and tests",
        }),
        "rfc6962" => {
            let url = raw.url.ok_or_else(|| Error::Missing {
                key: key("url"),
                why: "the log's submission prefix, the part before /ct/v1/",
            })?;
            let fits = url::Url::parse(&url).is_ok_and(|u| {
                matches!(u.scheme(), "http" | "https") && u.host().is_some() && u.query().is_none()
            });
            if !fits {
                return Err(bad(
                    key("url"),
                    url,
                    "write the log's submission prefix, such as https://log.example/2026",
                ));
            }
            let log_key = raw.key.ok_or_else(|| Error::Missing {
                key: key("key"),
                why: "the log's public key; without it no SCT can be verified",
            })?;
            Ok(CtLogSettings::Rfc6962 {
                name: raw.name,
                url,
                key: log_key,
                host: raw.host,
                ca_file: raw.ca_file,
            })
        }
        _ => Err(bad(key("kind"), raw.kind, "write \"rfc6962\"")),
    }
}
