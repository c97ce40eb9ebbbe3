//! How many requests for a certificate are worked on at once, and what becomes of the others: a few
//! wait for a moment, the rest are told to come again before anything is read or parsed for them.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::crowd::Crowd;
use super::metrics::{Bodies, Cut};
use super::queues::{Queues, Waits};
use super::{Problem, RequestLimits};
use crate::fault::Reason;

/// The part of a queue that one network may fill. Those over it are sent away: who is, has its request
/// given back to its rate limit, so without a bound one client could have its whole burst wait all the
/// time, in front of everybody else.
const PART_TO_WAIT: usize = 4;

/// The way in.
pub(super) struct Admission {
    limits: RequestLimits,
    bodies: Bodies,
    /// Whose bodies are still coming: who has kept us waiting for longest leaves when others come.
    readers: Arc<Crowd>,
    /// Who waits to become one of them.
    bodies_queue: Queues,
    workers: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Who waits to be worked on.
    queue: Queues,
}

/// The right to be worked on, until dropped.
pub(super) struct Admitted(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Admission {
    pub(super) fn new(limits: RequestLimits, bodies: Bodies) -> Self {
        Self {
            limits,
            bodies,
            readers: Crowd::new(limits.reading, 0, None),
            bodies_queue: queues(limits.reading),
            workers: Arc::new(Semaphore::new(limits.in_flight)),
            waiting: AtomicUsize::new(0),
            queue: queues(limits.queue),
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
        let queued = self.bodies_queue.join(client);
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
    pub(super) async fn admit(&self, client: Option<IpAddr>) -> Result<Admitted, Problem> {
        if let Ok(permit) = self.workers.clone().try_acquire_owned() {
            return Ok(Admitted(permit));
        }
        let _queued = self.queue.join(client).ok_or_else(busy)?;
        let _waits = Waits::among(&self.waiting, self.limits.queue).ok_or_else(busy)?;
        let permit = timeout(self.limits.queue_wait, self.workers.clone().acquire_owned());
        match permit.await {
            Ok(Ok(permit)) => Ok(Admitted(permit)),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

/// Of those who wait for so many places.
fn queues(places: usize) -> Queues {
    Queues::new((places / PART_TO_WAIT).max(1))
}

pub(super) fn busy() -> Problem {
    Problem::new(Reason::Overloaded)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;
    use crate::server::Metrics;
    use crate::time::UnixSeconds;

    const NETWORK: &str = "2001:db8::";
    const SAME: &str = "2001:db8:0:1::1";
    const OTHER: &str = "2001:db8:1::1";

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn admission(limits: RequestLimits) -> Arc<Admission> {
        let metrics = Metrics::new([], UnixSeconds(0));
        Arc::new(Admission::new(limits, metrics.bodies()))
    }

    /// How what is still under way in a moment ended, if it did.
    async fn now<T>(work: &mut (impl Future<Output = Result<T, Problem>> + Unpin)) -> Option<bool> {
        let ended = timeout(Duration::from_millis(1), work).await;
        ended.ok().map(|ended| ended.is_ok())
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_whose_bodies_take_every_place_waits_for_others_with_a_part_of_them_only() {
        let admission = admission(RequestLimits {
            reading: 8,
            queue_wait: Duration::from_secs(5),
            ..Default::default()
        });
        let slow = |text| {
            let (admission, client) = (admission.clone(), address(text));
            Box::pin(async move { admission.read(client, pending::<()>()).await })
        };
        let mut all = Vec::new();
        // Eight have a place and two wait for one; the next would.
        for number in 0..10 {
            let mut body = slow([NETWORK, SAME][number % 2]);
            assert_eq!(now(&mut body).await, None, "{number}");
            all.push(body);
        }
        assert_eq!(now(&mut slow(SAME)).await, Some(false));
        assert_eq!(now(&mut slow(OTHER)).await, None);
        // A place in the queue is free again when who waited has gone.
        all.pop();
        assert_eq!(now(&mut slow(NETWORK)).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_fills_no_more_than_its_part_of_the_queue() {
        let admission = admission(RequestLimits {
            in_flight: 1,
            queue: 8,
            queue_wait: Duration::from_secs(5),
            ..Default::default()
        });
        let wants = |text| {
            let (admission, client) = (admission.clone(), address(text));
            Box::pin(async move { admission.admit(client).await })
        };
        let works = wants(NETWORK).await.ok();
        assert!(works.is_some());
        let mut waiting = [wants(NETWORK), wants(SAME)];
        for one in &mut waiting {
            assert_eq!(now(one).await, None);
        }
        assert_eq!(now(&mut wants(SAME)).await, Some(false));
        let mut other = wants(OTHER);
        assert_eq!(now(&mut other).await, None);
        // Nobody waits longer for it.
        drop((works, waiting));
        assert_eq!(now(&mut other).await, Some(true));
    }
}
