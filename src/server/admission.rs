//! How many requests for a certificate are worked on at once, and what becomes of the others: a few
//! wait for a moment, the rest are told to come again before anything is read or parsed for them.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::crowd::{Crowd, Origin};
use super::metrics::{Bodies, Cut};
use super::queues::{Queues, Waits};
use super::{Problem, RequestLimits};
use crate::fault::Reason;

/// The part of all the places for bodies that may wait for one at once from one network. Those over
/// it are sent away: their wait is given back to their rate limit, so without a bound one client could
/// have its whole burst wait all the time, in front of everybody else.
const PART_TO_WAIT: usize = 4;

/// The way in.
pub(super) struct Admission {
    limits: RequestLimits,
    bodies: Bodies,
    /// Whose bodies are still coming: who has kept us waiting for longest leaves when others come.
    readers: Arc<Crowd>,
    /// How many wait to become one of them, by network.
    queues: Queues,
    workers: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The right to be worked on, until dropped.
pub(super) struct Admitted(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Admission {
    pub(super) fn new(limits: RequestLimits, bodies: Bodies) -> Self {
        Self {
            limits,
            bodies,
            readers: Crowd::new(limits.reading, 0, None),
            queues: Queues::default(),
            workers: Arc::new(Semaphore::new(limits.in_flight)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Whether there is room at all; asked before the body is read.
    pub(super) fn is_open(&self) -> Result<(), Problem> {
        let is_full = self.workers.available_permits() == 0
            && self.waiting.load(Ordering::Relaxed) >= self.limits.queue;
        match is_full {
            true => Err(busy()),
            false => Ok(()),
        }
    }

    /// Waits for what a client sends. The outer error is ours, the inner one the reader's.
    pub(super) async fn read<T>(
        &self,
        client: Option<IpAddr>,
        body: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let mut body = pin!(body);
        // Most bodies come with their headers: they keep nobody waiting.
        let at_once = std::future::poll_fn(|cx| Poll::Ready(body.as_mut().poll(cx)));
        if let Poll::Ready(read) = at_once.await {
            return Ok(read);
        }
        let _waits = self.bodies.waits();
        let cut = |why| {
            self.bodies.cut(why);
            busy()
        };
        let network = client.map(|client| Origin::of(client).network());
        let most = (self.limits.reading / PART_TO_WAIT).max(1);
        let queued = self.queues.join(network, most);
        let queued = queued.ok_or_else(|| cut(Cut::NoPlace))?;
        let seat = timeout(self.limits.queue_wait, self.readers.seat());
        let seat = seat.await.map_err(|_| cut(Cut::NoPlace))?;
        drop(queued);
        tokio::select! {
            read = body => Ok(read),
            () = seat.told_to_leave() => Err(cut(Cut::MadeRoom)),
        }
    }

    /// A body did not come in time.
    pub(super) fn late(&self) {
        self.bodies.cut(Cut::Timeout);
    }

    /// The right to be worked on, at once or after a short wait.
    pub(super) async fn admit(&self) -> Result<Admitted, Problem> {
        if let Ok(permit) = self.workers.clone().try_acquire_owned() {
            return Ok(Admitted(permit));
        }
        let _waits = Waits::among(&self.waiting, self.limits.queue).ok_or_else(busy)?;
        let permit = timeout(self.limits.queue_wait, self.workers.clone().acquire_owned());
        match permit.await {
            Ok(Ok(permit)) => Ok(Admitted(permit)),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

pub(super) fn busy() -> Problem {
    Problem::new(Reason::Overloaded)
}
