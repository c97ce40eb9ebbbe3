//! A bounded crowd: when every seat is taken and another one comes, those who have been of no use
//! for longest are told to leave. So whoever only sits there takes nobody's place but for a moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Nobody is told to leave who has not been idle for this long.
const GRACE: Duration = Duration::from_secs(1);
/// How often a full crowd is looked over while somebody waits.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The part of the seats that is made free at once: looking everybody over for each would cost more.
const PART_TO_FREE: usize = 64;

/// Seats, and who sits there.
pub(super) struct Crowd {
    start: Instant,
    size: usize,
    seats: Arc<Semaphore>,
    members: Mutex<HashMap<u64, Arc<Member>>>,
    next: AtomicU64,
}

struct Member {
    /// Milliseconds since the crowd's start: the arrival, or the end of the last use.
    idle_since: AtomicU64,
    /// How many uses go on.
    uses: AtomicUsize,
    told: AtomicBool,
    leave: Notify,
}

/// A place in the crowd, until dropped.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    member: Arc<Member>,
    _permit: OwnedSemaphorePermit,
}

impl Crowd {
    pub(super) fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            size,
            seats: Arc::new(Semaphore::new(size)),
            members: Mutex::default(),
            next: AtomicU64::new(0),
        })
    }

    /// A seat, as soon as there is one.
    pub(super) async fn seat(self: &Arc<Self>) -> Seat {
        let permit = loop {
            if let Ok(permit) = self.seats.clone().try_acquire_owned() {
                break permit;
            }
            self.make_room();
            let freed = timeout(LOOK_AGAIN, self.seats.clone().acquire_owned()).await;
            if let Ok(permit) = freed {
                break permit.expect("nobody closes it");
            }
        };
        let member = Arc::new(Member {
            idle_since: AtomicU64::new(self.now()),
            uses: AtomicUsize::new(0),
            told: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.insert(number, member.clone());
        Seat {
            crowd: self.clone(),
            number,
            member,
            _permit: permit,
        }
    }

    /// Tells some of those who have been idle for longest to leave.
    pub(super) fn make_room(&self) {
        let Some(latest) = self.now().checked_sub(millis(GRACE)) else {
            return;
        };
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let mut idle: Vec<_> = members
            .values()
            .filter(|m| m.uses.load(Ordering::Acquire) == 0 && !m.told.load(Ordering::Relaxed))
            .map(|member| (member.idle_since.load(Ordering::Relaxed), member))
            .filter(|(since, _)| *since <= latest)
            .collect();
        idle.sort_unstable_by_key(|(since, _)| *since);
        for (_, member) in idle.into_iter().take(self.size / PART_TO_FREE + 1) {
            member.told.store(true, Ordering::Relaxed);
            member.leave.notify_one();
        }
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Seat {
    /// Of use until dropped: who is, is not told to leave.
    pub(super) fn in_use(self: &Arc<Self>) -> InUse {
        self.member.uses.fetch_add(1, Ordering::AcqRel);
        InUse(self.clone())
    }

    /// Whether it is of use now.
    pub(super) fn is_in_use(&self) -> bool {
        self.member.uses.load(Ordering::Acquire) > 0
    }

    /// Returns when it has to be made free.
    pub(super) async fn told_to_leave(&self) {
        self.member.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut members = (self.crowd.members.lock()).unwrap_or_else(PoisonError::into_inner);
        members.remove(&self.number);
    }
}

/// One use of a seat.
pub(super) struct InUse(Arc<Seat>);

impl Drop for InUse {
    fn drop(&mut self) {
        let member = &self.0.member;
        let now = self.0.crowd.now();
        member.idle_since.store(now, Ordering::Relaxed);
        member.uses.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn is_told(seat: &Seat) -> bool {
        let told = timeout(Duration::from_millis(1), seat.told_to_leave());
        told.await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_idle_for_longest_leaves_and_who_is_of_use_stays() {
        let crowd = Crowd::new(3);
        let used = Arc::new(crowd.seat().await);
        let using = used.in_use();
        let first = crowd.seat().await;
        advance(Duration::from_millis(10)).await;
        let second = crowd.seat().await;
        crowd.make_room();
        assert!(!is_told(&first).await, "nobody has been idle for long");
        advance(GRACE).await;
        crowd.make_room();
        assert!(is_told(&first).await);
        assert!(!is_told(&second).await && !is_told(&used).await);
        // The first is told already: the next one is the second.
        crowd.make_room();
        assert!(is_told(&second).await && !is_told(&used).await);
        drop(using);
        crowd.make_room();
        assert!(!is_told(&used).await, "it has only just become idle");
        advance(GRACE).await;
        crowd.make_room();
        assert!(is_told(&used).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_crowd_makes_room_by_itself() {
        let crowd = Crowd::new(1);
        let idle = crowd.seat().await;
        let leaves = async {
            idle.told_to_leave().await;
            drop(idle);
        };
        let start = Instant::now();
        let (_seat, ()) = tokio::join!(crowd.seat(), leaves);
        assert!(start.elapsed() >= GRACE && start.elapsed() < GRACE * 2);
        let members = crowd.members.lock().unwrap();
        assert_eq!(members.len(), 1);
    }
}
