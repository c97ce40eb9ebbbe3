//! The operator's port, on loopback: `/livez`, `/readyz` (`?verbose`) and `/metrics`.
//!
//! Alive and able to issue are two questions: `/livez` answers while the process does and never
//! asks a dependency, so that a log outage does not get instances killed.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use tokio::time::Instant;

use super::doors::{unknown_method, unknown_route};
use super::{Fitness, Issuance, Metrics, Tls};
use crate::telemetry;
use crate::time::Clock;

/// One configured issuer's keys, as operators see them.
#[derive(Clone, Debug)]
pub struct KeyState {
    /// Its URL.
    pub issuer: String,
    /// How long ago they were read; `None` where none could be used now.
    pub age: Option<Duration>,
    /// How many keys of its set cannot be used, for each reason there is.
    pub skipped: Vec<(&'static str, usize)>,
}

/// Asks for the keys of all configured issuers.
pub type KeyStates = Arc<dyn Fn() -> Vec<KeyState> + Send + Sync>;

/// The part of readiness that stands for several.
const ISSUERS: &str = "issuers";

/// The operator's doors.
pub struct Ops {
    /// Asked whether it could issue.
    pub issuance: Arc<dyn Issuance>,
    /// The time it is asked with.
    pub clock: Arc<dyn Clock>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Whose certificate's end is told.
    pub tls: Option<Arc<Tls>>,
    /// Asked by every probe: it costs next to nothing.
    pub key_states: KeyStates,
    /// How long an answer about readiness stands: asking costs a signature and a commit.
    pub readiness_age: Duration,
}

struct Probed {
    ops: Ops,
    last: Mutex<Option<(Instant, Arc<[Fitness]>)>>,
}

/// The routes of the operator's port.
pub fn ops_router(ops: Ops) -> Router {
    let last = Mutex::new(None);
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(Arc::new(Probed { ops, last }))
}

async fn readyz(
    State(probed): State<Arc<Probed>>,
    RawQuery(query): RawQuery,
) -> (StatusCode, String) {
    let parts = probed.readiness().await;
    let verbose = query.is_some_and(|query| query.split('&').any(is_verbose));
    let ready = parts.iter().all(|(_, fit)| fit.is_ok());
    let mut text = String::new();
    let keys = (probed.ops.key_states)();
    for (part, fit) in parts.iter() {
        // Writing to a String does not fail.
        let _ = match fit {
            // Fit as long as not all are known to be away, which is less than "ok".
            Ok(()) if verbose && *part == ISSUERS && !keys.is_empty() => {
                let usable = keys.iter().filter(|keys| keys.age.is_some()).count();
                writeln!(
                    text,
                    "[+]{part}: {usable} of {} with usable keys",
                    keys.len()
                )
            }
            Ok(()) if verbose => writeln!(text, "[+]{part} ok"),
            Ok(()) => Ok(()),
            Err(why) => writeln!(text, "[-]{part} failed: {why}"),
        };
    }
    // One provider's trouble is its users' only: the instance stays ready, and says whose.
    for keyless in keys.iter().filter(|keys| keys.age.is_none()) {
        let _ = writeln!(text, "[!]issuer {}: no usable keys", keyless.issuer);
    }
    // Clients judge it, and a new one may be on its way: no reason to send them elsewhere.
    let now = probed.ops.clock.now().seconds();
    if let Some(notice) = probed.ops.tls.as_ref().and_then(|tls| tls.notice(now)) {
        let _ = writeln!(text, "[!]{notice}");
    }
    if ready {
        text.push_str("ready\n");
        (StatusCode::OK, text)
    } else {
        text.push_str("not ready\n");
        (StatusCode::SERVICE_UNAVAILABLE, text)
    }
}

fn is_verbose(parameter: &str) -> bool {
    matches!(
        parameter,
        "verbose" | "verbose=" | "verbose=1" | "verbose=true"
    )
}

async fn metrics(State(probed): State<Arc<Probed>>) -> ([(HeaderName, &'static str); 1], String) {
    let content_type = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let keys = (probed.ops.key_states)();
    probed.ops.metrics.log_lines_lost(telemetry::lines_lost());
    (content_type, probed.ops.metrics.render_with(keys))
}

impl Probed {
    /// The last answer while it is young; else a new one. Two probes at once may both ask.
    async fn readiness(&self) -> Arc<[Fitness]> {
        if let Some(parts) = self.young() {
            return parts;
        }
        let now = self.ops.clock.now();
        let parts: Arc<[Fitness]> = self.ops.issuance.readiness(now).await.into();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((Instant::now(), parts.clone()));
        parts
    }

    fn young(&self) -> Option<Arc<[Fitness]>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, parts) = last.as_ref()?;
        (at.elapsed() < self.ops.readiness_age).then(|| parts.clone())
    }
}
