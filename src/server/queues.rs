//! How many wait for the same thing, and how many of one network: without a bound one network stands
//! in front of everybody else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::crowd::Origin;

/// Who waits, by network.
#[derive(Clone, Default)]
pub(super) struct Queues(Arc<Mutex<HashMap<Origin, usize>>>);

impl Queues {
    /// One more of `network`, unless `most` of it wait already. Of none, who may be anybody, there is
    /// no count.
    pub(super) fn join(&self, network: Option<Origin>, most: usize) -> Option<Queued> {
        if let Some(network) = network {
            let mut all = self.all();
            let waiting = all.entry(network).or_default();
            if *waiting >= most {
                return None;
            }
            *waiting += 1;
        }
        Some(Queued {
            queues: self.clone(),
            network,
        })
    }

    /// Whether anybody of it waits.
    pub(super) fn has(&self, network: Origin) -> bool {
        self.all().contains_key(&network)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Origin, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of its network's who wait, however that ends.
pub(super) struct Queued {
    queues: Queues,
    network: Option<Origin>,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        if let Entry::Occupied(mut waiting) = self.queues.all().entry(network) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }
}

/// One of those who wait, however that ends.
pub(super) struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    /// One more, unless there would be more than `limit`.
    pub(super) fn among(waiting: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let waits = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < limit).then_some(waits)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
