//! What a listener tells its operators of connections that never became a request: how many there
//! are, which came to nothing, which were closed, and why.
//!
//! Everything is counted. In the log, at `debug`, a kind of event gets one line in ten seconds with
//! the number of those left out: a flood of bad handshakes must not become one of lines. No line
//! names an address; what a peer did as a caller is told with its decision.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use axum::response::IntoResponse;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tokio::time::Instant;
use tokio_rustls::rustls::{self, InvalidMessage, PeerIncompatible};

use super::layers::RequestId;
use super::wire::Shape;
use super::{Metrics, Problem};
use crate::entropy::Entropy;
use crate::fault::Reason;

const OPEN: &str = "shortleaf_connections_open";
const UNOPENED: &str = "shortleaf_handshakes_failed_total";
const CLOSED: &str = "shortleaf_connections_closed_total";
const AMBIGUOUS: &str = "shortleaf_requests_ambiguous_total";

/// A kind of event has no more lines in the log than one in this time.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Why a connection never came to its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// TLS 1.1 and what came before.
    NoSharedVersion,
    /// No suite, key exchange or signature in common.
    NoSuite,
    /// It speaks neither HTTP/2 nor HTTP/1.1.
    Alpn,
    /// Whatever it speaks, TLS it is not.
    Plaintext,
    /// It does not like our certificate, or something else about us.
    Alert,
    /// It went away.
    HungUp,
    /// It took longer than a handshake may.
    Timeout,
    /// The PROXY header of a trusted hop is missing or broken.
    ProxyHeader,
    /// Anything else.
    Other,
}

impl Unopened {
    const ALL: [Self; 9] = [
        Self::NoSharedVersion,
        Self::NoSuite,
        Self::Alpn,
        Self::Plaintext,
        Self::Alert,
        Self::HungUp,
        Self::Timeout,
        Self::ProxyHeader,
        Self::Other,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::NoSharedVersion => "no_shared_version",
            Self::NoSuite => "no_suite",
            Self::Alpn => "alpn",
            Self::Plaintext => "plaintext",
            Self::Alert => "alert",
            Self::HungUp => "hung_up",
            Self::Timeout => "timeout",
            Self::ProxyHeader => "proxy_header",
            Self::Other => "other",
        }
    }

    /// Of a handshake that failed with this.
    pub(super) fn of_tls(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        match inner {
            Some(rustls::Error::PeerIncompatible(why)) => Self::of_incompatible(why),
            Some(rustls::Error::NoApplicationProtocol) => Self::Alpn,
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                Self::Plaintext
            }
            Some(rustls::Error::AlertReceived(_)) => Self::Alert,
            Some(_) => Self::Other,
            None => {
                use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
                let gone = [BrokenPipe, ConnectionReset, UnexpectedEof].contains(&error.kind());
                if gone { Self::HungUp } else { Self::Other }
            }
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls may come to know more"
    )]
    fn of_incompatible(why: &PeerIncompatible) -> Self {
        use PeerIncompatible as Peer;
        match why {
            Peer::Tls12NotOffered
            | Peer::Tls12NotOfferedOrEnabled
            | Peer::SupportedVersionsExtensionRequired
            | Peer::ServerDoesNotSupportTls12Or13 => Self::NoSharedVersion,
            Peer::NoCipherSuitesInCommon
            | Peer::NoKxGroupsInCommon
            | Peer::NoSignatureSchemesInCommon
            | Peer::NoEcPointFormatsInCommon
            | Peer::KeyShareExtensionRequired
            | Peer::NamedGroupsExtensionRequired
            | Peer::SignatureAlgorithmsExtensionRequired => Self::NoSuite,
            _ => Self::Other,
        }
    }
}

/// Where a connection is with what its peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A request has begun and its head is not yet whole.
    Head,
    /// Anywhere else.
    Between,
}

/// Why we closed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// Others needed its place.
    MadeRoom,
    /// Its address has as many as it may, all of them of use.
    AddressFull,
    /// A head did not arrive in time.
    HeaderTimeout,
    /// No byte moved.
    Idle,
    /// It was open for as long as a connection may.
    Age,
    /// It did not finish when it was told to.
    Unfinished,
    /// Too many cancelled streams, frames or other misuse of HTTP/2.
    Http2Abuse,
    /// More or longer headers than we read.
    HeadersTooLarge,
    /// No HTTP.
    Malformed,
}

impl Closed {
    const ALL: [Self; 9] = [
        Self::MadeRoom,
        Self::AddressFull,
        Self::HeaderTimeout,
        Self::Idle,
        Self::Age,
        Self::Unfinished,
        Self::Http2Abuse,
        Self::HeadersTooLarge,
        Self::Malformed,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::MadeRoom => "made_room",
            Self::AddressFull => "address_full",
            Self::HeaderTimeout => "header_timeout",
            Self::Idle => "idle",
            Self::Age => "age",
            Self::Unfinished => "unfinished",
            Self::Http2Abuse => "http2_abuse",
            Self::HeadersTooLarge => "headers_too_large",
            Self::Malformed => "malformed",
        }
    }

    /// Of a connection that ended with this, where it was then; none if that was the peer's doing.
    pub(super) fn of_http(error: &(dyn StdError + 'static), at: At) -> Option<Self> {
        if let Some(misused) = error
            .source()
            .and_then(|cause| cause.downcast_ref::<h2::Error>())
        {
            // What we told it, not what it told us.
            return misused.is_library().then_some(Self::Http2Abuse);
        }
        let error = error.downcast_ref::<hyper::Error>()?;
        if error.is_timeout() {
            return Some(match at {
                At::Head => Self::HeaderTimeout,
                At::Between => Self::Idle,
            });
        }
        if error.is_parse_too_large() {
            return Some(Self::HeadersTooLarge);
        }
        error.is_parse().then_some(Self::Malformed)
    }
}

/// Where a listener counts; by default nowhere.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    start: Instant,
    open: Gauge,
    unopened: Vec<Kind>,
    closed: Vec<Kind>,
    ambiguous: Vec<Kind>,
    /// For the ids of requests that no door sees.
    entropy: Option<Arc<dyn Entropy>>,
}

/// One kind of event.
struct Kind {
    counter: Counter,
    /// When the log may have its next line, in milliseconds since the start.
    next_line: AtomicU64,
    left_out: AtomicU64,
}

impl Kind {
    fn new(counter: Counter) -> Self {
        Self {
            counter,
            next_line: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Counts one. If it gets a line: how many did not since the last one.
    fn count(&self, since_start: Duration) -> Option<u64> {
        self.counter.increment(1);
        let now = u64::try_from(since_start.as_millis()).unwrap_or(u64::MAX);
        let next = self.next_line.load(Ordering::Relaxed);
        let then = now.saturating_add(BETWEEN_LINES.as_millis() as u64);
        let (relaxed, line) = (Ordering::Relaxed, &self.next_line);
        if now < next || (line.compare_exchange(next, then, relaxed, relaxed)).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.left_out.swap(0, Ordering::Relaxed))
    }
}

impl Default for Edge {
    fn default() -> Self {
        let kinds = |count| (0..count).map(|_| Kind::new(Counter::noop())).collect();
        Self(Arc::new(Inner {
            start: Instant::now(),
            open: Gauge::noop(),
            unopened: kinds(Unopened::ALL.len()),
            closed: kinds(Closed::ALL.len()),
            ambiguous: kinds(Shape::ALL.len()),
            entropy: None,
        }))
    }
}

impl Edge {
    /// Counts there; requests that are refused before any door get their ids from `entropy`.
    pub fn new(metrics: &Metrics, entropy: Arc<dyn Entropy>) -> Self {
        // Each kind is there from the start, at 0: an alarm can ask for its growth.
        metrics.record(|| {
            describe();
            let kinds = |name: &'static str, label: &'static str, words: Vec<&'static str>| {
                let counters = words.into_iter().map(|word| counter!(name, label => word));
                counters.map(Kind::new).collect()
            };
            let open = gauge!(OPEN);
            open.set(0);
            Self(Arc::new(Inner {
                start: Instant::now(),
                open,
                unopened: kinds(UNOPENED, "reason", Unopened::ALL.map(Unopened::word).into()),
                closed: kinds(CLOSED, "reason", Closed::ALL.map(Closed::word).into()),
                ambiguous: kinds(AMBIGUOUS, "shape", Shape::ALL.map(Shape::word).into()),
                entropy: Some(entropy),
            }))
        })
    }

    /// A connection is open until the guard goes.
    pub(super) fn open(&self) -> Open {
        self.0.open.increment(1);
        Open(self.0.open.clone())
    }

    /// A connection never came to its first request.
    pub(super) fn unopened(&self, why: Unopened, error: &dyn StdError) {
        if let Some(left_out) = self.0.unopened[why as usize].count(self.0.start.elapsed()) {
            tracing::debug!(reason = why.word(), %error, left_out, "no connection");
        }
    }

    /// We closed a connection.
    pub(super) fn closed(&self, why: Closed) {
        if let Some(left_out) = self.0.closed[why as usize].count(self.0.start.elapsed()) {
            tracing::debug!(reason = why.word(), left_out, "connection closed");
        }
    }

    /// The answer to a request that two readers could take differently.
    pub(super) fn refuse(&self, shape: Shape, headers: &HeaderMap) -> Response<Body> {
        let entropy = self.0.entropy.as_deref();
        let id = entropy.map(|entropy| {
            let mut fresh = [0; 16];
            entropy.fill(&mut fresh);
            RequestId::of_caller_or_new(headers, &fresh)
        });
        let request_id = id.as_ref().map(RequestId::as_str);
        if let Some(left_out) = self.0.ambiguous[shape as usize].count(self.0.start.elapsed()) {
            let shape = shape.word();
            tracing::debug!(request_id, shape, left_out, "ambiguous request refused");
        }
        let problem = Problem::new(Reason::RequestMalformed).detail(shape.told());
        let mut response = problem.into_response();
        if let Some(id) = id {
            id.mark(response.headers_mut());
        }
        response
    }
}

/// One open connection.
pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn describe() {
    describe_gauge!(OPEN, "Connections of the public listener");
    describe_counter!(
        UNOPENED,
        "Connections that failed before their first request, by reason"
    );
    describe_counter!(CLOSED, "Connections closed by us, by reason");
    describe_counter!(
        AMBIGUOUS,
        "Requests refused because two readers could take them differently, by shape"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_at_its_own_place() {
        for (at, why) in Unopened::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
        }
        for (at, why) in Closed::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, at);
        }
        for (at, shape) in Shape::ALL.into_iter().enumerate() {
            assert_eq!(shape as usize, at);
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_a_line_now_and_then() {
        let kind = Kind::new(Counter::noop());
        assert_eq!(kind.count(Duration::ZERO), Some(0));
        assert_eq!(kind.count(Duration::from_secs(1)), None);
        assert_eq!(kind.count(Duration::from_millis(9_999)), None);
        assert_eq!(kind.count(Duration::from_secs(10)), Some(2));
        assert_eq!(kind.count(Duration::from_secs(11)), None);
        assert_eq!(kind.count(Duration::from_secs(25)), Some(1));
    }
}
