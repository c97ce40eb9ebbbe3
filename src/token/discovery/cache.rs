//! One issuer's keys between fetches: who may trigger one, and how long its result counts.
//!
//! Readers take a snapshot and never wait for a fetch unless they need a key that is not there.
//! Fetches run in tasks of their own: a caller that hangs up neither stops one nor starts the
//! next one early.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::fetch::{FetchError, Fetched, Fetcher};
use super::key_error;
use crate::token::jwks::{KeySet, NotFound};
use crate::token::{Algorithm, IssuerUrl, KeyError, VerificationKey};

/// The times that govern fetching.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// All of one fetch, metadata and key set.
    pub(super) budget: Duration,
    /// Between the starts of two fetches while there are keys: what a flood of made-up key ids
    /// costs the provider. A new key is usable after this and one budget.
    pub(super) pause: Duration,
    /// The same while there are no keys, so that a provider's return is noticed soon.
    pub(super) pause_without_keys: Duration,
    /// Age at which keys in use are read again in the background.
    pub(super) refresh_after: Duration,
    /// Age at which keys die, provider or no provider: how long a withdrawn key can live.
    pub(super) keys_live: Duration,
}

impl Pace {
    pub(super) const DEFAULT: Self = Self {
        budget: super::FETCH_BUDGET,
        pause: Duration::from_secs(30),
        pause_without_keys: Duration::from_secs(5),
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
}

/// What the last fetches left.
#[derive(Clone, Default)]
struct State {
    known: Option<Arc<Known>>,
    last: Option<Attempt>,
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

impl Kept {
    pub(super) fn new(fetcher: Fetcher, pace: Pace) -> Self {
        Self {
            fetcher,
            pace,
            state: RwLock::default(),
            flight: Arc::default(),
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
        if let Err(NotFound::NoSuchKey) = found {
            self.refresh().await;
            found = self.find(kid, algorithm);
        } else if self.age().is_some_and(|age| age > self.pace.refresh_after) {
            self.refresh_in_background();
        }
        // After a failed fetch nobody knows whether the key exists: that is the provider's
        // trouble, not the caller's.
        match (
            found,
            self.snapshot()
                .last
                .as_ref()
                .and_then(|a| a.failure.clone()),
        ) {
            (Ok(key), _) => Ok(key),
            (Err(NotFound::NoSuchKey), Some(source)) => Err(KeyError::Unavailable {
                issuer: issuer.clone(),
                source,
            }),
            (Err(not_found), _) => Err(key_error(not_found, issuer, kid, algorithm)),
        }
    }

    /// How long ago the keys were read, if they still count.
    pub(super) fn age(&self) -> Option<Duration> {
        self.living(&self.snapshot()).map(|k| k.read_at.elapsed())
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

    /// Starts a fetch unless one is under way or was just made.
    pub(super) fn refresh_in_background(self: &Arc<Self>) {
        if let Ok(flight) = Arc::clone(&self.flight).try_lock_owned()
            && self.may_fetch()
        {
            self.spawn_fetch(flight);
        }
    }

    /// Waits for the fetch under way, or makes one unless one was just made.
    async fn refresh(self: &Arc<Self>) {
        let flight = Arc::clone(&self.flight).lock_owned().await;
        if self.may_fetch() {
            // The outcome is in the state; a panic leaves the state as it was.
            let _ = self.spawn_fetch(flight).await;
        }
    }

    fn spawn_fetch(
        self: &Arc<Self>,
        flight: tokio::sync::OwnedMutexGuard<()>,
    ) -> tokio::task::JoinHandle<()> {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            this.fetch().await;
            drop(flight);
        })
    }

    async fn fetch(&self) {
        let started_at = Instant::now();
        let outcome = self.fetcher.fetch(self.pace.budget).await;
        let issuer = self.fetcher.issuer();
        let mut state = State::clone(&self.snapshot());
        let failure = match outcome {
            Ok(fetched) => {
                report_skipped(issuer, &fetched.keys);
                state.known = Some(Arc::new(Known {
                    fetched,
                    read_at: started_at, // what the answer says is at most this old
                }));
                None
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%issuer, %error, cause, "could not fetch issuer keys");
                Some(Arc::new(error))
            }
        };
        state.last = Some(Attempt {
            started_at,
            failure,
        });
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    fn may_fetch(&self) -> bool {
        let state = self.snapshot();
        let pause = match self.living(&state) {
            Some(_) => self.pace.pause,
            None => self.pace.pause_without_keys,
        };
        let last = state.last.as_ref();
        last.is_none_or(|attempt| attempt.started_at.elapsed() >= pause)
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

/// Keys left out of a set are an operator's business: someone's tokens will fail for it.
pub(super) fn report_skipped(issuer: &IssuerUrl, keys: &KeySet) {
    for (kid, unfit) in keys.skipped() {
        tracing::warn!(%issuer, ?kid, %unfit, "skipped an issuer key");
    }
}
