//! A log over RFC 6962 HTTP: `add-pre-chain` to submit, `get-sth` to probe.
//!
//! The same bytes go out on every try. Everything ends within the caller's budget, waiting
//! included, however the log behaves. Decisions follow the class of the answer, never its text:
//! 4xx is final, except 408, 425 and 429; everything else may pass, an answer that does not
//! verify included. No redirect is followed, no proxy used, nothing decompressed.
//!
//! Not here: other logs to turn to, circuit breakers. A log that hangs costs the whole budget.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    CertificateLog, Failure, LogId, LogKey, MAX_ANSWER_BYTES, PreEntry, SctError, SubmitError,
    VerifiedSct, answer, head_answer, verify_head, verify_sct,
};
use crate::time::UnixMillis;
use crate::trace;

/// Tries per submission.
pub const ATTEMPTS_MAX: u32 = 3;
/// The wait before the second try; it doubles from there.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// The longest wait the log did not ask for.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// The longest wait a log may ask for; more is taken as this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Idle connections go before the usual load balancer's minute is over, so that we do not write
/// into one that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a log needs to be one. A log without a key does not exist.
#[derive(Clone, Debug)]
pub struct Rfc6962Config {
    /// A fixed word for logs and metrics.
    pub name: String,
    /// The submission prefix: what stands before `/ct/v1/`.
    pub url: String,
    /// The log's public key.
    pub key: LogKey,
    /// Sent as `Host` in place of the URL's own.
    pub host: Option<String>,
    /// The only CAs (PEM) the log's TLS certificate may come from; the system's if absent.
    pub ca_pem: Option<Vec<u8>>,
}

/// Why a log's configuration is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not an absolute http or https URL, or one with credentials, a query or a fragment.
    #[error("log {name} needs an http or https URL without credentials, query and fragment")]
    Url {
        /// The log's name. The URL is not shown: it may hold a password.
        name: String,
    },
    /// Not a value a header can have.
    #[error("log {name} has Host {host:?}, which no header can carry")]
    Host {
        /// The log's name.
        name: String,
        /// The value.
        host: String,
    },
    /// The CA file is not one.
    #[error("log {name} has a CA file without a readable certificate")]
    CaPem {
        /// The log's name.
        name: String,
    },
    /// TLS cannot be set up.
    #[error("log {name} has no working HTTP client")]
    Client {
        /// The log's name.
        name: String,
        /// What the client says.
        #[source]
        source: reqwest::Error,
    },
}

/// A log that speaks RFC 6962.
pub struct Rfc6962Log {
    name: String,
    key: LogKey,
    client: Client,
    add_pre_chain: Url,
    get_sth: Url,
}

/// One try that gave nothing.
enum Miss {
    /// Final.
    Rejected(StatusCode),
    /// May pass.
    Failed(Failure, Option<Duration>),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure, None)
    }
}

impl From<SctError> for Miss {
    fn from(error: SctError) -> Self {
        Failure::from(error).into()
    }
}

impl Rfc6962Log {
    /// A log and its connection pool. Connects to nothing yet.
    pub fn new(config: Rfc6962Config) -> Result<Self, ConfigError> {
        let Rfc6962Config {
            name,
            url,
            key,
            host,
            ca_pem,
        } = config;
        let endpoint = |call| endpoint(&url, call).ok_or(ConfigError::Url { name: name.clone() });
        let (add_pre_chain, get_sth) = (endpoint("add-pre-chain")?, endpoint("get-sth")?);
        let mut builder = Client::builder()
            .user_agent(concat!("shortleaf/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never()) // the tries are counted here
            .no_proxy()
            .pool_idle_timeout(POOL_IDLE);
        if let Some(host) = host {
            let value = HeaderValue::from_str(&host).map_err(|_| ConfigError::Host {
                name: name.clone(),
                host,
            })?;
            builder = builder.default_headers(HeaderMap::from_iter([(HOST, value)]));
        }
        if let Some(pem) = ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(ConfigError::CaPem { name });
            }
            builder = builder.tls_certs_only(certificates);
        }
        match builder.build() {
            Ok(client) => Ok(Self {
                name,
                key,
                client,
                add_pre_chain,
                get_sth,
            }),
            Err(source) => Err(ConfigError::Client { name, source }),
        }
    }

    /// The tries of one submission, in a loop that only `sleep_until` and the network pause.
    async fn submit_until(
        &self,
        entry: &PreEntry,
        now: UnixMillis,
        started: Instant,
        deadline: Instant,
    ) -> Result<VerifiedSct, Miss> {
        let body = add_chain_body(entry);
        // The request's one clock reading, moved along by the monotonic clock.
        let now = || now.plus(i64::try_from(started.elapsed().as_millis()).unwrap_or(0));
        let mut attempt = 1;
        loop {
            let mut request = self
                .client
                .post(self.add_pre_chain.clone())
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
            if let Some(out) = trace::current().map(|here| here.outgoing()) {
                request = request.header("traceparent", out.parent);
                request = match out.state {
                    Some(state) => request.header("tracestate", state),
                    None => request,
                };
            }
            let outcome = within(started, deadline, self.attempt(request, entry, now)).await;
            let Err(Miss::Failed(failure, retry_after)) = outcome else {
                return outcome;
            };
            let again = Instant::now() + retry_after.unwrap_or_else(|| backoff(attempt, entry));
            if attempt == ATTEMPTS_MAX || again >= deadline {
                return Err(Miss::Failed(failure, retry_after));
            }
            sleep_until(again).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        request: RequestBuilder,
        entry: &PreEntry,
        now: impl Fn() -> UnixMillis,
    ) -> Result<VerifiedSct, Miss> {
        let body = ok_body(request, &now).await?;
        Ok(verify_sct(answer(&body)?, &self.key, entry, now())?)
    }

    async fn head(&self) -> Result<(), Miss> {
        // No clock here to read a date in Retry-After by; `probe` drops the wait.
        let body = ok_body(self.client.get(self.get_sth.clone()), || UnixMillis(0)).await?;
        verify_head(head_answer(&body)?, &self.key)?;
        Ok(())
    }

    fn submit_error(&self, miss: Miss) -> SubmitError {
        let log = self.name.clone();
        match miss {
            Miss::Rejected(status) => SubmitError::Rejected {
                log,
                status: status.as_u16(),
            },
            Miss::Failed(failure, retry_after) => SubmitError::Retryable {
                log,
                retry_after,
                source: Box::new(failure),
            },
        }
    }
}

#[async_trait]
impl CertificateLog for Rfc6962Log {
    fn id(&self) -> LogId {
        self.key.id()
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn submit(
        &self,
        entry: &PreEntry,
        now: UnixMillis,
        budget: Duration,
    ) -> Result<VerifiedSct, SubmitError> {
        let started = Instant::now();
        self.submit_until(entry, now, started, started + budget)
            .await
            .map_err(|miss| self.submit_error(miss))
    }

    async fn probe(&self, budget: Duration) -> Result<(), SubmitError> {
        let started = Instant::now();
        let outcome = within(started, started + budget, self.head()).await;
        outcome.map_err(|miss| match miss {
            Miss::Failed(failure, _) => self.submit_error(failure.into()),
            Miss::Rejected(_) => self.submit_error(miss),
        })
    }
}

impl fmt::Debug for Rfc6962Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rfc6962Log({:?} {})", self.name, self.key.id())
    }
}

fn endpoint(prefix: &str, call: &str) -> Option<Url> {
    let url = Url::parse(prefix).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain || !anonymous {
        return None;
    }
    Url::parse(&format!("{}/ct/v1/{call}", prefix.trim_end_matches('/'))).ok()
}

/// `{"chain":[precertificate, issuing CA, …, root]}` (RFC 6962 §4.2), in base64.
fn add_chain_body(entry: &PreEntry) -> Vec<u8> {
    let mut chain = vec![STANDARD.encode(entry.precert_der())];
    chain.extend(entry.chain().iter().map(|der| STANDARD.encode(der)));
    // Base64 holds no character that JSON escapes.
    format!("{{\"chain\":[\"{}\"]}}", chain.join("\",\"")).into_bytes()
}

/// Runs one exchange up to the deadline; the time there was is told from the start.
async fn within<T>(
    started: Instant,
    deadline: Instant,
    exchange: impl Future<Output = Result<T, Miss>>,
) -> Result<T, Miss> {
    let budget = deadline - started;
    match timeout_at(deadline, exchange).await {
        Ok(done) => done,
        Err(_) => Err(Failure::Timeout { budget }.into()),
    }
}

/// Sends the request and reads the body of a 200, at most [`MAX_ANSWER_BYTES`] of it.
async fn ok_body(request: RequestBuilder, now: impl Fn() -> UnixMillis) -> Result<Vec<u8>, Miss> {
    let mut response = request.send().await.map_err(transport)?;
    classify(&response, now)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            let max = MAX_ANSWER_BYTES;
            return Err(SctError::AnswerTooLarge { max }.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn classify(response: &Response, now: impl Fn() -> UnixMillis) -> Result<(), Miss> {
    let code = response.status();
    let status = code.as_u16();
    let failure = match status {
        200 => return Ok(()),
        300..=399 => Failure::Redirect { status },
        408 | 425 | 429 => Failure::Throttled { status },
        400..=499 => return Err(Miss::Rejected(code)),
        _ => Failure::Status { status },
    };
    let asked = response.headers().get(RETRY_AFTER);
    let wait = asked.and_then(|value| retry_after(value.to_str().ok()?, now()));
    Err(Miss::Failed(failure, wait))
}

/// Retry-After as seconds or as an HTTP date (RFC 9110 §10.2.3), capped; the two obsolete forms
/// of a date are not read.
fn retry_after(value: &str, now: UnixMillis) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        let at = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Duration::from_millis(at.saturating_sub(now.0))
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Half of the doubled wait, and up to another half by an octet of the entry's own hash, so that
/// callers that failed together do not come back together.
fn backoff(attempt: u32, entry: &PreEntry) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << (attempt - 1).min(16));
    let half = full.min(BACKOFF_MAX) / 2;
    half + half * u32::from(entry.dedupe_key()[0]) / 255
}

fn transport(error: reqwest::Error) -> Miss {
    let connect = error.is_connect();
    // The URL stands in the configuration; an error need not repeat it.
    let source = Box::new(error.without_url());
    let failure = if connect {
        Failure::Unreachable(source)
    } else {
        Failure::Broken(source)
    };
    failure.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::memory::MemoryLog;
    use crate::time::UnixSeconds;

    fn entry() -> PreEntry {
        let chain = vec![vec![2], vec![3]];
        PreEntry::new(vec![1], chain, b"spki", b"tbs".to_vec(), UnixSeconds(0))
    }

    fn with_url(url: &str) -> Result<Rfc6962Log, ConfigError> {
        Rfc6962Log::new(Rfc6962Config {
            name: "peer".into(),
            url: url.into(),
            key: MemoryLog::generate("peer").unwrap().key().clone(),
            host: None,
            ca_pem: None,
        })
    }

    #[test]
    fn the_body_is_the_chain_with_the_precertificate_first() {
        assert_eq!(
            add_chain_body(&entry()),
            br#"{"chain":["AQ==","Ag==","Aw=="]}"#
        );
    }

    #[test]
    fn the_calls_stand_under_the_prefix_with_or_without_a_slash() {
        for prefix in ["http://log.test/2026", "http://log.test/2026/"] {
            let log = with_url(prefix).unwrap();
            let url = log.add_pre_chain.as_str();
            assert_eq!(url, "http://log.test/2026/ct/v1/add-pre-chain");
        }
    }

    #[test]
    fn a_url_that_is_not_a_plain_http_one_is_refused() {
        for url in [
            "",
            "log.test/2026",
            "ftp://log.test/",
            "http://u:p@log.test/",
            "http://log.test/?a=b",
            "http://log.test/#a",
        ] {
            let error = with_url(url).unwrap_err();
            assert!(matches!(error, ConfigError::Url { .. }), "{url}");
        }
    }

    #[test]
    fn a_ca_file_without_a_certificate_is_refused() {
        let mut config = Rfc6962Config {
            name: "peer".into(),
            url: "https://log.test/".into(),
            key: MemoryLog::generate("peer").unwrap().key().clone(),
            host: Some("log.internal".into()),
            ca_pem: None,
        };
        assert!(Rfc6962Log::new(config.clone()).is_ok());
        config.ca_pem = Some(b"nothing here".to_vec());
        let error = Rfc6962Log::new(config.clone()).unwrap_err();
        assert!(matches!(error, ConfigError::CaPem { .. }));
        config.ca_pem = None;
        config.host = Some("two\nlines".into());
        let error = Rfc6962Log::new(config).unwrap_err();
        assert!(matches!(error, ConfigError::Host { .. }));
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_capped() {
        // 1994-11-06T08:49:37Z
        let now = UnixMillis(784_111_777_000);
        let secs = |s| Some(Duration::from_secs(s));
        assert_eq!(retry_after("7", now), secs(7));
        assert_eq!(retry_after(" 0 ", now), secs(0));
        assert_eq!(retry_after("99999999999999999999999", now), secs(300));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:40 GMT", now), secs(3));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:30 GMT", now), secs(0));
        assert_eq!(retry_after("Mon, 07 Nov 1994 08:49:37 GMT", now), secs(300));
        for junk in ["", "soon", "-1", "+5", "1.5", "1 2"] {
            assert_eq!(retry_after(junk, now), None, "{junk}");
        }
    }

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let entry = entry();
        let (first, second) = (backoff(1, &entry), backoff(2, &entry));
        assert!(first >= BACKOFF_FIRST / 2 && first <= BACKOFF_FIRST);
        assert!(second >= BACKOFF_FIRST && second <= BACKOFF_FIRST * 2);
        assert!(backoff(40, &entry) <= BACKOFF_MAX);
    }
}
