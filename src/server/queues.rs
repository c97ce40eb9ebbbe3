//! How many wait for the same thing, and how many of one network: without a bound one network stands
//! in front of everybody else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::origin::Origin;

/// Who waits, by network.
#[derive(Clone)]
pub(super) struct Queues {
    most: usize,
    waiting: Arc<Mutex<HashMap<Origin, usize>>>,
}

impl Queues {
    /// Where no more than so many of one network may wait.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            waiting: Arc::default(),
        }
    }

    /// One more of this client's network, unless there are enough of it. Of none, who may be anybody,
    /// there is no count.
    pub(super) fn join(&self, client: Option<IpAddr>) -> Option<Queued> {
        let network = client.map(|client| Origin::of(client).network());
        if let Some(network) = network {
            let mut all = self.all();
            let waiting = all.entry(network).or_default();
            if *waiting >= self.most {
                return None;
            }
            *waiting += 1;
        }
        Some(Queued {
            queues: self.clone(),
            network,
        })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Origin, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
