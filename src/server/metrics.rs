//! What Prometheus is told. No identity is ever a label, and no issuer that is not configured:
//! both are for the caller to choose, and each would be a series.
//!
//! The recorder is this value's own, not the process's, so that several instances fit into one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::StatusCode;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::KeyState;
use crate::fault::Reason;
use crate::issuance::Stage;
use crate::rates::Dimension;
use crate::time::UnixSeconds;

const ISSUED: &str = "shortleaf_certs_issued_total";
const REPEATED: &str = "shortleaf_certs_repeated_total";
const REFUSED: &str = "shortleaf_certs_refused_total";
const RATE_LIMITED: &str = "shortleaf_rate_limited_total";
const SUBMISSIONS: &str = "shortleaf_ct_submissions_total";
const REQUEST_SECONDS: &str = "shortleaf_request_seconds";
const STAGE_SECONDS: &str = "shortleaf_stage_seconds";
const IN_FLIGHT: &str = "shortleaf_requests_in_flight";
const BODIES_WAITING: &str = "shortleaf_bodies_waiting";
const BODIES_CUT: &str = "shortleaf_bodies_cut_total";
const BUILD_INFO: &str = "shortleaf_build_info";
const RELOADS: &str = "shortleaf_reloads_total";
const RELOAD_REFUSED: &str = "shortleaf_reload_refused";
const WOULD_REFUSE: &str = "shortleaf_rules_shadow_refused_total";
const CA_NOT_AFTER: &str = "shortleaf_ca_not_after_seconds";
const TLS_NOT_AFTER: &str = "shortleaf_tls_certificate_not_after_seconds";
const LOG_LINES_LOST: &str = "shortleaf_log_lines_lost_total";
const JWKS_SKIPPED: &str = "shortleaf_jwks_keys_skipped";
const JWKS_AGE: &str = "shortleaf_jwks_age_seconds";

/// Upper bounds in seconds: a certificate takes milliseconds, sigstore-js gives up after five seconds.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The same of a stage, of which the quickest take tens of microseconds.
const STAGE_BUCKETS: [f64; 12] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0,
];

/// The exporter keeps every observation until it is asked to sum them up.
const OBSERVATIONS_PER_UPKEEP: u64 = 1024;

/// Counters, and the text they are read as.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    in_flight: Gauge,
    /// In the order of [`Stage::ALL`]: found once, because a certificate has six of them.
    stages: [Histogram; 4],
    now: Arc<AtomicUsize>,
    observations: AtomicU64,
    /// Everybody who has been configured so far.
    issuers: RwLock<HashSet<String>>,
}

impl Metrics {
    /// The `door` of a request for a path that does not exist.
    pub(super) const NO_DOOR: &str = "unknown";

    /// Counts from zero. `issuers` are the ones that may appear as a label.
    pub fn new(issuers: impl IntoIterator<Item = String>, ca_not_after: UnixSeconds) -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &BUCKETS)
            .and_then(|builder| {
                let stages = Matcher::Full(STAGE_SECONDS.to_owned());
                builder.set_buckets_for_metric(stages, &STAGE_BUCKETS)
            })
            .expect("the lists of buckets are not empty")
            .build_recorder();
        let (in_flight, stages) = metrics::with_local_recorder(&recorder, || {
            describe();
            gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
            let stage = |stage: Stage| histogram!(STAGE_SECONDS, "stage" => stage.as_str());
            (gauge!(IN_FLIGHT), Stage::ALL.map(stage))
        });
        in_flight.set(0);
        let metrics = Self {
            handle: recorder.handle(),
            recorder,
            in_flight,
            stages,
            now: Arc::default(),
            observations: AtomicU64::new(0),
            issuers: RwLock::default(),
        };
        metrics.configured(issuers);
        metrics.ca_not_after(ca_not_after);
        metrics
    }

    /// These may appear as a label, too.
    pub fn configured(&self, issuers: impl IntoIterator<Item = String>) {
        let mut known = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(issuers);
    }

    /// When the issuing CA's certificate ends.
    pub fn ca_not_after(&self, end: UnixSeconds) {
        // 2^53 seconds are exact, and no certificate lives that long.
        self.record(|| gauge!(CA_NOT_AFTER).set(end.0 as f64));
    }

    /// A certificate left: a new one, or one that its caller had asked for before;
    /// `issuer` as it is configured.
    pub fn issued(&self, issuer: Option<&str>, repeated: bool) {
        let issuer = self.label(issuer);
        let name = if repeated { REPEATED } else { ISSUED };
        self.record(|| counter!(name, "issuer" => issuer).increment(1));
    }

    /// The rules refuse whom their shadow mode let have one.
    pub fn would_refuse(&self, issuer: Option<&str>) {
        let issuer = self.label(issuer);
        self.record(|| counter!(WOULD_REFUSE, "issuer" => issuer).increment(1));
    }

    /// Files changed that are looked at again and again: whether what they say is in use now.
    /// `what` is one of a few words.
    pub fn reloaded(&self, what: &'static str, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.record(|| counter!(RELOADS, "what" => what, "result" => result).increment(1));
        self.reload_refused(what, !taken);
    }

    /// Whether these files say something else now than what is in use, and cannot be used.
    pub fn reload_refused(&self, what: &'static str, refused: bool) {
        self.record(|| gauge!(RELOAD_REFUSED, "what" => what).set(u8::from(refused)));
    }

    /// A request for one was refused; `issuer` if the token got so far as to be held against one.
    pub fn refused(&self, issuer: Option<&str>, reason: Reason) {
        let issuer = self.label(issuer);
        self.record(|| {
            counter!(REFUSED, "issuer" => issuer, "reason" => reason.as_str()).increment(1);
        });
    }

    /// One of these was over a limit: `address`, `issuer` or `identity`.
    pub(super) fn rate_limited(&self, limit: Option<&str>) {
        let of = |dimension: &Dimension| limit == Some(dimension.as_str());
        if let Some(dimension) = Dimension::ALL.into_iter().find(of) {
            self.record(|| counter!(RATE_LIMITED, "limit" => dimension.as_str()).increment(1));
        }
    }

    /// A log answered a submission. `log` is a configured name, `outcome` one of a fixed list.
    pub fn submitted(&self, log: &str, outcome: &'static str) {
        let log = log.to_owned();
        self.record(|| counter!(SUBMISSIONS, "log" => log, "outcome" => outcome).increment(1));
    }

    /// A door answered.
    pub(super) fn answered(&self, door: &str, status: StatusCode, took: Duration) {
        let door = door.to_owned();
        let status = status.as_str().to_owned();
        self.record(|| {
            histogram!(REQUEST_SECONDS, "door" => door, "status" => status).record(took);
        });
        self.observed();
    }

    /// A stage of an issuance ended.
    pub fn stage(&self, stage: Stage, took: Duration) {
        let at = Stage::ALL.iter().position(|known| *known == stage);
        if let Some(histogram) = at.and_then(|at| self.stages.get(at)) {
            histogram.record(took);
        }
        self.observed();
    }

    /// Every so often the observations are summed up.
    fn observed(&self) {
        let seen = self.observations.fetch_add(1, Ordering::Relaxed);
        if seen % OBSERVATIONS_PER_UPKEEP == OBSERVATIONS_PER_UPKEEP - 1 {
            self.handle.run_upkeep();
        }
    }

    /// Counts a request as in flight until the guard goes, however that comes about.
    pub(super) fn in_flight(&self) -> InFlight {
        self.in_flight.increment(1);
        let number = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        InFlight {
            gauge: self.in_flight.clone(),
            now: self.now.clone(),
            number,
        }
    }

    /// When the listener's certificate ends; without TLS there is no such series.
    pub fn tls_not_after(&self, end: UnixSeconds) {
        self.record(|| gauge!(TLS_NOT_AFTER).set(end.0 as f64));
    }

    /// Where bodies are counted that do not come with their headers.
    pub(super) fn bodies(&self) -> Bodies {
        self.record(|| Bodies {
            waiting: gauge!(BODIES_WAITING),
            cut: Cut::ALL.map(|why| counter!(BODIES_CUT, "reason" => why.word())),
        })
    }

    /// Everything that is counted, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// The same with how old each configured issuer's keys are. Keys that are not there are
    /// infinitely old, so that an alarm on old ones rings for them too. And how many of each cannot
    /// be used, 0 as well: what is repaired has to show.
    ///
    /// Those are of this moment: an issuer that is no longer configured has none.
    pub(super) fn render_with(&self, states: Vec<KeyState>) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_keys();
            for KeyState {
                issuer,
                age,
                skipped,
            } in states
            {
                let seconds = age.map_or(f64::INFINITY, |age| age.as_secs_f64());
                gauge!(JWKS_AGE, "issuer" => issuer.clone()).set(seconds);
                for (reason, keys) in skipped {
                    let issuer = issuer.clone();
                    gauge!(JWKS_SKIPPED, "issuer" => issuer, "reason" => reason).set(keys as f64);
                }
            }
        });
        self.render() + &recorder.handle().render()
    }

    /// How many lines of the log were lost in all.
    pub(super) fn log_lines_lost(&self, lines: u64) {
        self.record(|| counter!(LOG_LINES_LOST).absolute(lines));
    }

    fn label(&self, issuer: Option<&str>) -> String {
        let known = self.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let configured = issuer.filter(|issuer| known.contains(*issuer));
        configured.unwrap_or("unknown").to_owned()
    }

    pub(super) fn record<T>(&self, observation: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, observation)
    }
}

/// One request in flight.
pub(super) struct InFlight {
    gauge: Gauge,
    now: Arc<AtomicUsize>,
    number: usize,
}

impl InFlight {
    /// How many there were when it came, itself counted.
    pub(super) fn number(&self) -> usize {
        self.number
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.decrement(1);
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bodies on their way.
pub(super) struct Bodies {
    waiting: Gauge,
    cut: [Counter; 3],
}

/// Why a body was not waited for any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It took longer than a body may.
    Timeout,
    /// Others came, and it had been the slowest.
    MadeRoom,
    /// All places were taken by bodies that had only just begun.
    NoPlace,
}

impl Cut {
    const ALL: [Self; 3] = [Self::Timeout, Self::MadeRoom, Self::NoPlace];

    fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::MadeRoom => "made_room",
            Self::NoPlace => "no_place",
        }
    }
}

impl Bodies {
    /// One more is on its way, until the guard goes.
    pub(super) fn waits(&self) -> Waits {
        self.waiting.increment(1);
        Waits(self.waiting.clone())
    }

    pub(super) fn cut(&self, why: Cut) {
        self.cut[why as usize].increment(1);
    }
}

/// A body on its way.
pub(super) struct Waits(Gauge);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

fn describe() {
    describe_counter!(ISSUED, "Certificates made and answered, by issuer");
    describe_counter!(
        WOULD_REFUSE,
        "Certificates that the rules in shadow mode would have refused, by issuer"
    );
    describe_counter!(
        RELOADS,
        "Changes of files that are looked at while it runs, by what they are about and whether they could be used"
    );
    describe_gauge!(
        RELOAD_REFUSED,
        "1 while such files cannot be used and what was there before stays in use"
    );
    describe_counter!(
        REPEATED,
        "Answers with a certificate that had been made before, by issuer"
    );
    describe_counter!(
        REFUSED,
        "Requests for a certificate refused, by issuer and reason"
    );
    describe_counter!(
        RATE_LIMITED,
        "Requests over a rate limit, by what was limited: address, issuer or identity"
    );
    describe_counter!(
        SUBMISSIONS,
        "Precertificates submitted, by log and by what came of it"
    );
    describe_histogram!(
        REQUEST_SECONDS,
        "From a request's headers to its answer's, by door and status"
    );
    describe_histogram!(
        STAGE_SECONDS,
        "Stages of an issuance: token, sign (twice), log, store (twice)"
    );
    describe_gauge!(IN_FLIGHT, "Requests being answered now");
    describe_gauge!(
        BODIES_WAITING,
        "Bodies that did not come with their headers and are still coming"
    );
    describe_counter!(BODIES_CUT, "Bodies not waited for any longer, by reason");
    describe_gauge!(BUILD_INFO, "Always 1; the version is a label");
    describe_gauge!(
        CA_NOT_AFTER,
        "When the issuing CA certificate expires, in seconds since 1970"
    );
    describe_gauge!(
        TLS_NOT_AFTER,
        "When the public listener's certificate expires, in seconds since 1970"
    );
    describe_counter!(
        LOG_LINES_LOST,
        "Lines of the log that nobody took in time; of the process, not of the instance"
    );
}

fn describe_keys() {
    describe_gauge!(
        JWKS_SKIPPED,
        "Keys of an issuer's set that cannot be used, by issuer and reason"
    );
    describe_gauge!(
        JWKS_AGE,
        "Since an issuer's keys were last read; infinite without usable keys, 0 for keys from a file"
    );
}
