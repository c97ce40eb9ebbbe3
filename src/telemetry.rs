//! Our own log: structured events on standard error, one per decision.
//!
//! Never in it: a token, a key, a proof. A refusal of the caller's making is told as the caller was
//! told; of ours, or of something we rely on, with the whole chain of causes. The record that must
//! not be lost is the audit log, not this one.

mod queue;

pub use queue::lines_lost;

use std::fmt;
use std::io;
use std::net::IpAddr;

use tracing::field::{DisplayValue, Field, Visit, display};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use self::queue::{FLUSH_WITHIN, Queue};
use crate::fault::{Fault, Reason};
use crate::issuance::{Issued, Submitted};
use crate::trace::{self, SpanId, TraceId};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The filter does not parse.
    #[error("log filter {filter:?} does not parse")]
    Filter {
        /// The filter as set.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// Someone else's log is in place.
    #[error("another log is installed in this process")]
    Installed(#[source] TryInitError),
    /// Nobody can write it.
    #[error("could not start the thread that writes the log")]
    Thread(#[source] io::Error),
}

/// The process's log. Dropped, it waits a moment for what is not written yet.
#[must_use = "what is logged after it is dropped is lost"]
pub struct Log(Queue);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.close(FLUSH_WITHIN);
    }
}

/// Installs the process's log on standard error, which keeps nobody waiting who logs. `filter` is
/// tracing's language: `info`, `shortleaf=debug,warn`.
pub fn init(format: Format, filter: &str) -> Result<Log, Error> {
    let tell = |lines| tracing::warn!(lines, "the log lost lines: nobody took them in time");
    let queue = Queue::start(io::stderr(), tell).map_err(Error::Thread)?;
    let subscriber = subscriber(format, filter, queue.clone())?;
    subscriber.try_init().map_err(Error::Installed)?;
    Ok(Log(queue))
}

type AnySubscriber = Box<dyn Subscriber + Send + Sync>;

/// The log as a value, for any writer.
pub fn subscriber<W>(format: Format, filter: &str, writer: W) -> Result<AnySubscriber, Error>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let parsed = EnvFilter::builder().parse(filter);
    let parsed = parsed.map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_writer(writer);
    Ok(match format {
        Format::Text => Box::new(builder.with_ansi(false).finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// A decision, as whoever listens in this process hears of it: the event, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// `issued` or `refused`.
    pub word: String,
    /// The name in the certificate, if it came so far.
    pub identity: Option<String>,
    /// Of an issued one.
    pub serial: Option<String>,
    /// Of an issued one.
    pub not_after: Option<String>,
    /// Whether it had been issued before.
    pub repeated: bool,
    /// Of a refused one.
    pub reason: Option<String>,
    /// Of a refused one.
    pub cause: Option<String>,
}

/// Has `heard` called for each decision, in place of a log.
pub fn listen(heard: impl Fn(&Told) + Send + Sync + 'static) -> Result<(), Error> {
    let decisions = Targets::new().with_target(module_path!(), Level::INFO);
    let listener = Listener(heard).with_filter(decisions);
    let subscriber = tracing_subscriber::registry().with(listener);
    subscriber.try_init().map_err(Error::Installed)
}

struct Listener<F>(F);

impl<S: Subscriber, F: Fn(&Told) + 'static> Layer<S> for Listener<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut told = Told::default();
        event.record(&mut told);
        if ["issued", "refused"].contains(&told.word.as_str()) {
            (self.0)(&told);
        }
    }
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let member = match field.name() {
            "message" => {
                value.clone_into(&mut self.word);
                return;
            }
            "identity" => &mut self.identity,
            "serial" => &mut self.serial,
            "not_after" => &mut self.not_after,
            "reason" => &mut self.reason,
            "cause" => &mut self.cause,
            _ => return,
        };
        *member = Some(value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.repeated |= value && field.name() == "repeated";
    }
}

/// Which trace the work that is told of belongs to.
fn trace_id() -> Option<DisplayValue<TraceId>> {
    trace::current().map(|here| display(here.trace_id()))
}

/// Which part of it the request is.
fn span_id() -> Option<DisplayValue<SpanId>> {
    trace::current().map(|here| display(here.span_id()))
}

/// A certificate left.
pub fn issued(request_id: &str, client: Option<IpAddr>, issued: &Issued) {
    tracing::info!(
        request_id,
        trace_id = trace_id(),
        span_id = span_id(),
        client = client.map(display),
        issuer = &*issued.issuer,
        identity = &*issued.san,
        serial = %issued.serial,
        not_after = %issued.not_after,
        repeated = issued.repeated,
        key_of_another = issued.key_of_another.then_some(true),
        rule = issued.rule.as_deref(),
        would_refuse = issued.would_refuse.then_some(true),
        "issued"
    );
}

/// A log answered a submission. One that took the entry is told only at `debug`: the certificate
/// itself is an event.
pub fn submitted(submitted: &Submitted<'_>) {
    let Submitted {
        request_id,
        log,
        outcome,
        error,
    } = *submitted;
    match error {
        None => {
            tracing::debug!(request_id, trace_id = trace_id(), log, outcome, "submitted");
        }
        Some(error) => {
            let chain = std::iter::successors(Some(error), |error| error.source());
            let chain: Vec<String> = chain.map(ToString::to_string).collect();
            let cause = chain.join(": ");
            tracing::warn!(
                request_id,
                trace_id = trace_id(),
                log,
                outcome,
                cause,
                "log gave no SCT"
            );
        }
    }
}

/// Why a request for a certificate was refused, and whom it would have been for.
pub struct Refusal<'a> {
    /// The stable word.
    pub reason: Reason,
    /// The configured issuer in question, if the token got that far.
    pub issuer: Option<&'a str>,
    /// The name the certificate would have carried, if the token was good.
    pub identity: Option<&'a str>,
    /// The chain behind it, outermost first.
    pub causes: &'a [String],
    /// How many of its kind were not told since the last one.
    pub left_out: u64,
}

/// A request for a certificate was refused.
pub fn refused(request_id: &str, client: Option<IpAddr>, refusal: &Refusal<'_>) {
    let Refusal {
        reason,
        issuer,
        identity,
        causes,
        left_out,
    } = *refusal;
    let left_out = Some(left_out).filter(|number| *number > 0);
    let (client, fault) = (client.map(display), reason.fault());
    let cause = Some(causes.join(": ")).filter(|cause| !cause.is_empty());
    let (reason, cause) = (reason.as_str(), cause.as_deref());
    match fault {
        Fault::Caller | Fault::Credentials | Fault::Policy | Fault::Throttle => {
            tracing::warn!(
                request_id,
                trace_id = trace_id(),
                span_id = span_id(),
                client,
                issuer,
                identity,
                reason,
                cause,
                left_out,
                "refused"
            );
        }
        Fault::Dependency | Fault::Ours => {
            tracing::error!(
                request_id,
                trace_id = trace_id(),
                span_id = span_id(),
                client,
                issuer,
                identity,
                reason,
                cause,
                left_out,
                "refused"
            );
        }
    }
}
