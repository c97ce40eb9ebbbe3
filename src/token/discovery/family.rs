//! The issuers of a family, each from the first token that names it.
//!
//! Nobody lists them: anybody who can write an `iss` makes one up, and anybody who rents a cluster
//! makes a real one. So an issuer is new, and on probation, until a token of it verifies; then it
//! is proven.
//!
//! - Finding out about a new one costs one of [`DISCOVERIES_PER_MINUTE`] of its family, and at most
//!   [`DISCOVERIES_AT_ONCE`] are under way: that is all a flood of made-up issuers can make us ask.
//!   Beyond it the answer is [`KeyError::Unavailable`], with the time of the next.
//! - What was found, keys or none, counts for one pause; then a new one goes, if no token proved
//!   it. So there are never more on probation than were found out about in a minute.
//! - A proven one asks for nobody's leave and gives way only to another proven one, and only when
//!   there are too many: the one whose last good token is longest ago. No unsigned token counts.
//! - One that had no good token for an hour is not read again in the background, and after a week
//!   it is forgotten.
//!
//! Each issuer has its own keys, pauses and breaker, as one that is configured by itself has; what
//! bounds them all together is the number of discoveries. They share the family's settings, but
//! for those that would let it into a private network or give it a secret: [`refused_setting`].

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::cache::{Kept, Pace};
use super::fetch::{FETCH_BUDGET, FetchError, Fetcher};
use super::http::Documents;
use super::{ConfigError, IssuerKeysConfig, KeysFrom};
use crate::token::jwks::Unfit;
use crate::token::{Algorithm, IssuerUrl, KeyError, VerificationKey};
use crate::trace;

/// Most new issuers of one family that are found out about within a minute.
pub const DISCOVERIES_PER_MINUTE: usize = 60;
/// Most of them at one time.
pub const DISCOVERIES_AT_ONCE: usize = 8;
/// Most proven issuers of one family whose keys are kept.
pub const MAX_PROVEN: usize = 1024;
/// Most of all families together: each has an even share.
pub const MAX_PROVEN_IN_ALL: usize = 4096;

const MINUTE: Duration = Duration::from_secs(60);
/// After the last good token; then its keys are read again when somebody asks for them.
const AWAKE: Duration = Duration::from_secs(60 * 60);
/// After the last good token; then it is as good as new.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A family's issuers.
pub(super) struct Family {
    config: IssuerKeysConfig,
    documents: Arc<dyn Documents>,
    pace: Pace,
    /// How many of its issuers may be proven; depends on how many families there are.
    proven_max: AtomicUsize,
    /// Held for as long as it takes to find an issuer in it.
    members: Mutex<Members>,
    /// One permit for each discovery that may be under way.
    discoveries: Arc<Semaphore>,
}

#[derive(Default)]
struct Members {
    known: HashMap<IssuerUrl, Member>,
    /// When each discovery of the last minute began, oldest first.
    begun: VecDeque<Instant>,
}

struct Member {
    kept: Arc<Kept>,
    /// Since when, or when its last token verified.
    at: Instant,
    is_proven: bool,
}

/// The setting that a family cannot have, if this one has it: its issuers are whoever says so, so
/// none of them is let into a private network, over plain http, or told a secret; and no two of
/// them have one key set.
pub(super) fn refused_setting(config: &IssuerKeysConfig) -> Option<&'static str> {
    let settings = [
        (config.allow_private_network, "allow_private_network"),
        (
            config.allow_insecure_http_loopback,
            "allow_insecure_http_loopback",
        ),
        (config.discovery_url.is_some(), "discovery_url"),
        (config.bearer_token_file.is_some(), "bearer_token_file"),
        (matches!(config.source, KeysFrom::JwksFile(_)), "jwks_file"),
    ];
    let refused = settings.into_iter().find(|(is_set, _)| *is_set);
    refused.map(|(_, setting)| setting)
}

impl Family {
    /// Alone until told of others ([`Self::share_with`]), reading `documents`.
    pub(super) fn new(config: IssuerKeysConfig, documents: Arc<dyn Documents>, pace: Pace) -> Self {
        Self {
            config,
            documents,
            pace: Pace {
                // A made-up issuer costs its provider one fetch and no second one.
                pause_without_keys: pace.pause,
                ..pace
            },
            proven_max: AtomicUsize::new(MAX_PROVEN),
            members: Mutex::default(),
            discoveries: Arc::new(Semaphore::new(DISCOVERIES_AT_ONCE)),
        }
    }

    /// One of `families` from here on, of which each has an even share.
    pub(super) fn share_with(&self, families: usize) {
        let share = (MAX_PROVEN_IN_ALL / families.max(1)).clamp(1, MAX_PROVEN);
        self.proven_max.store(share, Ordering::Relaxed);
    }

    /// The key of one of them, finding out about it first if it is new.
    pub(super) async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        let kept = self.member(issuer)?;
        let found = kept.key(issuer, kid, algorithm).await;
        found.map_err(|error| {
            if let KeyError::Unavailable { issuer, source, .. } = &error
                && is_address(&**source)
            {
                let (issuer, source) = (issuer.clone(), Arc::clone(source));
                return KeyError::OutOfReach { issuer, source };
            }
            error
        })
    }

    /// A token of this one verified.
    pub(super) fn did_verify(&self, issuer: &IssuerUrl) {
        let now = Instant::now();
        let mut members = self.members();
        let Some(member) = members.known.get_mut(issuer) else {
            // Forgotten while the token was looked at; the next one finds out again.
            return;
        };
        member.at = now;
        if !member.is_proven {
            member.is_proven = true;
            members.make_room(self.proven_max.load(Ordering::Relaxed));
        }
    }

    /// A token of this one did not verify.
    pub(super) fn did_not_verify(&self, issuer: &IssuerUrl) {
        let kept = self.members().known.get(issuer).map(|m| m.kept.clone());
        if let Some(kept) = kept {
            kept.refresh_in_background();
        }
    }

    /// Reads again what is in use and grows old, and forgets who is not.
    pub(super) fn prefetch(&self) {
        self.members().forget(Instant::now(), self.pace.pause);
        for kept in self.awake() {
            kept.refresh_if_due();
        }
    }

    /// See [`Documents::reread`].
    pub(super) fn reread(&self) {
        self.documents.reread(&self.config.issuer);
    }

    /// Whether one of those in use can be had, or none is in use: made-up ones say nothing.
    pub(super) fn available(&self) -> bool {
        let awake = self.awake();
        // All of them: asking is what makes those that failed try again.
        let available = awake.iter().filter(|kept| kept.available()).count();
        awake.is_empty() || available > 0
    }

    /// The age of the youngest keys in use: `None` where those in use all have none. Zero where none
    /// is in use.
    pub(super) fn age(&self) -> Option<Duration> {
        let awake = self.awake();
        match awake.is_empty() {
            true => Some(Duration::ZERO),
            false => awake.iter().filter_map(|kept| kept.age()).min(),
        }
    }

    /// What the sets in use left out, all together.
    pub(super) fn skipped(&self) -> Vec<Unfit> {
        let awake = self.awake();
        awake.iter().flat_map(|kept| kept.skipped()).collect()
    }

    /// How many are kept, proven or not.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        self.members().known.len()
    }

    /// Proven ones with a good token not long ago.
    fn awake(&self) -> Vec<Arc<Kept>> {
        let members = self.members();
        let awake = |member: &&Member| member.is_proven && member.at.elapsed() < AWAKE;
        let awake = members.known.values().filter(awake);
        awake.map(|member| member.kept.clone()).collect()
    }

    fn member(&self, issuer: &IssuerUrl) -> Result<Arc<Kept>, KeyError> {
        let (kept, permit) = {
            let now = Instant::now();
            let mut members = self.members();
            let known = members.known.get(issuer);
            if let Some(member) = known.filter(|m| !m.is_over(now, self.pace.pause)) {
                return Ok(member.kept.clone());
            }
            let too_many = |wait| KeyError::Unavailable {
                issuer: issuer.clone(),
                retry_after: Some(wait),
                source: Arc::new(FetchError::TooManyNew {
                    family: self.config.issuer.clone(),
                }),
            };
            // Before anything that takes longer with more members: a flood ends here.
            members.wait_for_turn(now).map_err(too_many)?;
            let permit = Arc::clone(&self.discoveries).try_acquire_owned();
            let permit = permit.map_err(|_| too_many(FETCH_BUDGET))?;
            let kept = self.keep(issuer).map_err(|error| KeyError::Unavailable {
                issuer: issuer.clone(),
                retry_after: None,
                source: Arc::new(error),
            })?;
            members.forget(now, self.pace.pause);
            members.begun.push_back(now);
            let member = Member {
                kept: kept.clone(),
                at: now,
                is_proven: false,
            };
            members.known.insert(issuer.clone(), member);
            (kept, permit)
        };
        discover(kept.clone(), permit);
        Ok(kept)
    }

    fn keep(&self, issuer: &IssuerUrl) -> Result<Arc<Kept>, ConfigError> {
        let documents = Arc::clone(&self.documents);
        let fetcher = Fetcher::reading(issuer.clone(), &self.config, documents)?;
        Ok(Arc::new(Kept::new(fetcher, self.pace)))
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one fetch of a discovery, which goes on without whoever asked and counts until it ends.
fn discover(kept: Arc<Kept>, permit: OwnedSemaphorePermit) {
    tokio::spawn(trace::inherit(async move {
        kept.read().await;
        drop(permit);
    }));
}

fn is_address(source: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(source.downcast_ref(), Some(FetchError::Address(_)))
}

impl Member {
    /// Whether it is to be found out about again.
    fn is_over(&self, now: Instant, probation: Duration) -> bool {
        let counts = match self.is_proven {
            true => REMEMBERED,
            false => probation,
        };
        now.saturating_duration_since(self.at) >= counts
    }
}

impl Members {
    /// Fails with the time until another discovery may begin.
    fn wait_for_turn(&mut self, now: Instant) -> Result<(), Duration> {
        let age = |begun: &Instant| now.saturating_duration_since(*begun);
        while self.begun.front().is_some_and(|b| age(b) >= MINUTE) {
            self.begun.pop_front();
        }
        match self.begun.front() {
            Some(oldest) if self.begun.len() >= DISCOVERIES_PER_MINUTE => {
                Err(MINUTE.saturating_sub(age(oldest)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn forget(&mut self, now: Instant, probation: Duration) {
        self.known.retain(|_, m| !m.is_over(now, probation));
    }

    /// Lets the proven one go whose last good token is longest ago, if there are too many.
    fn make_room(&mut self, proven_max: usize) {
        let proven = || self.known.iter().filter(|(_, member)| member.is_proven);
        if proven().count() <= proven_max {
            return;
        }
        let idlest = proven().min_by_key(|(_, member)| member.at);
        if let Some(issuer) = idlest.map(|(issuer, _)| issuer.clone()) {
            self.known.remove(&issuer);
        }
    }
}
