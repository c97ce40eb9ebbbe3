//! One issuer's keys between fetches: who may cause one, and how long its result counts.
//!
//! Readers take a snapshot and never wait for a fetch unless they need a key that is not there.
//! Fetches run in tasks of their own: a caller that hangs up neither stops one nor starts the
//! next one early.
//!
//! There is no list of unknown key ids for a flood to fill. A set read less than a pause ago
//! answers for all of them at once: what it lacks does not exist, and nobody is asked again. After
//! some failed fetches in a row the issuer's breaker is open: callers are sent away at once,
//! and one fetch per pause, which nobody waits for, finds out when the provider is back.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::Instant;

use super::fetch::{FetchError, Fetched, Fetcher};
use super::{key_error, report_skipped};
use crate::fault;
use crate::token::jwks::{KeySet, NotFound, Unfit};
use crate::token::{Algorithm, IssuerUrl, KeyError, VerificationKey};
use crate::trace;

/// The times and numbers that govern fetching.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// All of one fetch, metadata and key set.
    pub(super) budget: Duration,
    /// Between the starts of two fetches: what a flood of made-up key ids costs the provider.
    /// A new key is usable after this and one budget.
    pub(super) pause: Duration,
    /// The same while there are no keys and the breaker is closed, so that a provider that
    /// starts together with us does not cost its users half a minute.
    pub(super) pause_without_keys: Duration,
    /// Failed fetches in a row that open the breaker.
    pub(super) failures_to_open: u32,
    /// How many requests may wait for one fetch.
    pub(super) waiters: usize,
    /// Age at which keys are read again in the background.
    pub(super) refresh_after: Duration,
    /// Age at which keys die, provider or no provider: how long a withdrawn key can live.
    pub(super) keys_live: Duration,
}

/// What nobody is told to come back sooner than.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

impl Pace {
    pub(super) const DEFAULT: Self = Self {
        budget: super::FETCH_BUDGET,
        pause: Duration::from_secs(30),
        pause_without_keys: Duration::from_secs(5),
        failures_to_open: 3,
        waiters: 128,
        refresh_after: Duration::from_secs(10 * 60),
        keys_live: Duration::from_secs(15 * 60),
    };
}

/// One issuer's keys.
pub(super) struct Kept {
    fetcher: Fetcher,
    pace: Pace,
    /// Replaced whole after each fetch; the lock is held for the swap only.
    state: RwLock<Arc<State>>,
    /// Held by the fetch under way.
    flight: Arc<tokio::sync::Mutex<()>>,
    /// One permit for each request that may wait for it.
    seats: Semaphore,
}

/// What the last fetches left.
#[derive(Clone, Default)]
struct State {
    known: Option<Arc<Known>>,
    last: Option<Attempt>,
    failures_in_a_row: u32,
}

/// A good answer.
struct Known {
    fetched: Fetched,
    read_at: Instant,
}

#[derive(Clone)]
struct Attempt {
    started_at: Instant,
    failure: Option<Arc<FetchError>>,
}

/// Whether a set without the key is proof that there is none.
enum Asked {
    /// It was read just now, or so recently that nobody is asked again.
    Lately,
    /// The breaker is open.
    BreakerOpen,
    /// Too many wait already.
    Crowded,
}

impl Kept {
    pub(super) fn new(fetcher: Fetcher, pace: Pace) -> Self {
        Self {
            fetcher,
            pace,
            state: RwLock::default(),
            flight: Arc::default(),
            seats: Semaphore::new(pace.waiters),
        }
    }

    /// The key, fetching at most once if it is not there.
    pub(super) async fn key(
        self: &Arc<Self>,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        let mut found = self.find(kid, algorithm);
        let mut asked = Asked::Lately;
        match found {
            Err(NotFound::NoSuchKey) => {
                asked = self.refresh().await;
                found = self.find(kid, algorithm);
            }
            // The key may have changed its type and kept its name.
            Err(NotFound::NotForAlgorithm) => self.refresh_in_background(),
            Ok(_) => self.refresh_if_due(),
        }
        match found {
            Ok(key) => Ok(key),
            Err(NotFound::NoSuchKey) => Err(match self.doubt(asked) {
                Some(source) => KeyError::Unavailable {
                    issuer: issuer.clone(),
                    retry_after: Some(self.wait()),
                    source,
                },
                None => key_error(NotFound::NoSuchKey, issuer, kid, algorithm),
            }),
            Err(not_found) => Err(key_error(not_found, issuer, kid, algorithm)),
        }
    }

    /// Why nobody knows whether a key that was not found exists: that is the provider's trouble,
    /// or ours, and not the caller's.
    fn doubt(&self, asked: Asked) -> Option<Arc<FetchError>> {
        let state = self.snapshot();
        let failure = state.last.as_ref().and_then(|last| last.failure.clone());
        match (failure, asked, self.living(&state)) {
            (Some(failure), _, _) => Some(failure),
            (None, Asked::Crowded, _) => Some(Arc::new(FetchError::Crowded)),
            (None, Asked::BreakerOpen, _) | (None, Asked::Lately, None) => {
                Some(Arc::new(FetchError::NotRead))
            }
            (None, Asked::Lately, Some(_)) => None,
        }
    }

    /// How long ago the keys were read, if they still count.
    pub(super) fn age(&self) -> Option<Duration> {
        self.living(&self.snapshot()).map(|k| k.read_at.elapsed())
    }

    /// What the last set that was read left out.
    pub(super) fn skipped(&self) -> Vec<Unfit> {
        let state = self.snapshot();
        let known = state.known.as_deref();
        known.map_or_else(Vec::new, |known| known.fetched.keys.unfit())
    }

    /// Whether keys are there, or nothing is known against their coming. After a failed fetch
    /// another is begun, at the usual pace: nobody may be left to send a token that would.
    pub(super) fn available(self: &Arc<Self>) -> bool {
        let state = self.snapshot();
        let failed = state.last.as_ref().is_some_and(|a| a.failure.is_some());
        if failed && self.living(&state).is_none() {
            self.refresh_in_background();
            return false;
        }
        true
    }

    /// Takes over what changed in this issuer's files. Blocks.
    pub(super) fn reread(&self) {
        self.fetcher.reread();
    }

    /// Starts a fetch if the keys are old enough for one, or not there.
    pub(super) fn refresh_if_due(self: &Arc<Self>) {
        if self.age().is_none_or(|age| age > self.pace.refresh_after) {
            self.refresh_in_background();
        }
    }

    /// Makes the first fetch, or waits for it.
    pub(super) async fn read(self: &Arc<Self>) {
        let flight = Arc::clone(&self.flight).lock_owned().await;
        if self.snapshot().last.is_none() {
            let _ = self.spawn_fetch(flight).await;
        }
    }

    /// Starts a fetch unless one is under way or was just made.
    pub(super) fn refresh_in_background(self: &Arc<Self>) {
        if let Ok(flight) = Arc::clone(&self.flight).try_lock_owned()
            && self.wait_for_turn().is_zero()
        {
            self.spawn_fetch(flight);
        }
    }

    /// Waits for the fetch under way, or makes one unless one was just made.
    async fn refresh(self: &Arc<Self>) -> Asked {
        if self.breaker_is_open(&self.snapshot()) {
            self.refresh_in_background();
            return Asked::BreakerOpen;
        }
        let Ok(_seat) = self.seats.try_acquire() else {
            return Asked::Crowded;
        };
        let flight = Arc::clone(&self.flight).lock_owned().await;
        if self.wait_for_turn().is_zero() {
            // The outcome is in the state; a panic leaves the state as it was.
            let _ = self.spawn_fetch(flight).await;
        }
        Asked::Lately
    }

    fn spawn_fetch(self: &Arc<Self>, flight: OwnedMutexGuard<()>) -> tokio::task::JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(trace::inherit(async move {
            this.fetch().await;
            drop(flight);
        }))
    }

    async fn fetch(&self) {
        let started_at = Instant::now();
        let outcome = self.fetcher.fetch(self.pace.budget).await;
        let mut state = State::clone(&self.snapshot());
        let failure = match outcome {
            Ok(fetched) => {
                self.took(&mut state, fetched, started_at);
                None
            }
            Err(error) => {
                self.missed(&mut state, &error);
                Some(Arc::new(error))
            }
        };
        state.last = Some(Attempt {
            started_at,
            failure,
        });
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    /// `started_at`, because what the answer says may be that old.
    fn took(&self, state: &mut State, mut fetched: Fetched, started_at: Instant) {
        let issuer = self.fetcher.issuer();
        let before = state.known.as_deref().map(|known| &known.fetched.keys);
        // Told when it changes, not every ten minutes for ever.
        if before.map(KeySet::skipped).unwrap_or_default() != fetched.keys.skipped() {
            report_skipped(issuer, &fetched.keys);
        }
        if let Some(before) = before {
            fetched.keys.carry_over(before);
        }
        if self.breaker_is_open(state) {
            tracing::info!(%issuer, "the issuer's keys can be fetched again");
        }
        state.failures_in_a_row = 0;
        state.known = Some(Arc::new(Known {
            fetched,
            read_at: started_at,
        }));
    }

    fn missed(&self, state: &mut State, error: &FetchError) {
        let issuer = self.fetcher.issuer();
        state.failures_in_a_row = state.failures_in_a_row.saturating_add(1);
        let in_a_row = state.failures_in_a_row;
        let keys = match self.living(state) {
            Some(_) => "kept",
            None => "none",
        };
        let cause = fault::chain(error);
        let here = trace::current();
        let trace_id = here.map(|here| tracing::field::display(here.trace_id()));
        tracing::warn!(%issuer, cause, in_a_row, keys, trace_id, "could not fetch issuer keys");
    }

    fn breaker_is_open(&self, state: &State) -> bool {
        state.failures_in_a_row >= self.pace.failures_to_open
    }

    /// Until a fetch may start; zero if it may now.
    fn wait_for_turn(&self) -> Duration {
        let state = self.snapshot();
        let Some(last) = &state.last else {
            return Duration::ZERO;
        };
        let pause = match self.living(&state) {
            None if !self.breaker_is_open(&state) => self.pace.pause_without_keys,
            _ => self.pace.pause,
        };
        pause.saturating_sub(last.started_at.elapsed())
    }

    /// When to come back: after the next fetch, which may be under way.
    fn wait(&self) -> Duration {
        self.wait_for_turn().max(RETRY_AFTER_MIN)
    }

    fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, NotFound> {
        let state = self.snapshot();
        let known = self.living(&state).ok_or(NotFound::NoSuchKey)?;
        let key = known.fetched.keys.find(kid, algorithm)?;
        if known.fetched.algorithms.contains(&algorithm) {
            Ok(key)
        } else {
            Err(NotFound::NotForAlgorithm)
        }
    }

    /// The keys of `state`, unless they are too old to count.
    fn living<'a>(&self, state: &'a State) -> Option<&'a Known> {
        let known = state.known.as_deref()?;
        (known.read_at.elapsed() < self.pace.keys_live).then_some(known)
    }

    fn snapshot(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}
