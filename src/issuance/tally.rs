//! Refusals that have no line of their own in the audit log, counted until a line tells how many.
//!
//! Anybody can be refused as often as he likes: with what is no token of ours, or by asking too
//! often. A line for each would let strangers fill the disk, and who fills it stops issuance.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fault::Reason;
use crate::time::UnixMillis;

/// The counts since the last line.
#[derive(Default)]
pub(super) struct Tally(Mutex<Option<Counts>>);

/// At least one refusal.
pub(super) struct Counts {
    /// When the first of them was.
    pub(super) since: UnixMillis,
    /// How many for each reason, by its word: no more than there are words.
    pub(super) by_reason: BTreeMap<&'static str, u64>,
}

impl Counts {
    fn since(at: UnixMillis) -> Self {
        Self {
            since: at,
            by_reason: BTreeMap::new(),
        }
    }
}

impl Tally {
    pub(super) fn add(&self, reason: Reason, at: UnixMillis) {
        let mut counts = self.counts();
        let counts = counts.get_or_insert_with(|| Counts::since(at));
        *counts.by_reason.entry(reason.as_str()).or_default() += 1;
    }

    /// What was counted; from here on it begins anew.
    pub(super) fn take(&self) -> Option<Counts> {
        self.counts().take()
    }

    /// Those could not be told of.
    pub(super) fn put_back(&self, untold: Counts) {
        let mut counts = self.counts();
        let counts = counts.get_or_insert_with(|| Counts::since(untold.since));
        counts.since = counts.since.min(untold.since);
        for (reason, number) in untold.by_reason {
            *counts.by_reason.entry(reason).or_default() += number;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Option<Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
