//! A bounded crowd: when every seat is taken and another one comes, those who have been of no use
//! for longest are told to leave. So whoever only sits there takes nobody's place but for a moment.
//!
//! And whoever is of use all the time takes no more than a share: of one address only so many stay.
//!
//! Some seats may be kept for networks that have none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::origin::Origin;
use super::queues::Waits;

/// Nobody is told to leave who has not been idle for this long.
const GRACE: Duration = Duration::from_secs(1);
/// How often a full crowd is looked over while somebody waits.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The part of the seats that is made free at once: looking everybody over for each would cost more.
const PART_TO_FREE: usize = 64;
/// The part of those who wait that gets a seat at once, where there are many: were it all of them, as
/// many would leave, come back and have to be received in the same moment.
const PART_TO_SERVE: usize = 8;
/// The part of the seats that a network has in peace, however many others there are.
const NOT_A_FEW: usize = 16;

/// Seats, and who sits there.
pub(super) struct Crowd {
    start: Instant,
    size: usize,
    /// How many of one origin stay.
    share: usize,
    /// For everybody, and for networks that have none.
    seats: Arc<Semaphore>,
    kept: Arc<Semaphore>,
    /// How many wait for one.
    waiting: AtomicUsize,
    members: Mutex<Members>,
    next: AtomicU64,
    /// When room was last made, in milliseconds since the start.
    made_room: AtomicU64,
}

#[derive(Default)]
struct Members {
    all: HashMap<u64, Arc<Member>>,
    /// Those whose origin counts, by it.
    of: HashMap<Origin, Vec<Arc<Member>>>,
}

impl Members {
    fn has_seat(&self, network: Origin) -> bool {
        self.of.keys().any(|origin| origin.network() == network)
    }

    /// Of the network that has the most seats the idle ones and since when, if it has more than each
    /// would have were the seats dealt out to all that are here and a newcomer, and not just a few.
    /// Otherwise whoever asks something trivial every now and then keeps everybody else out.
    fn crowding(&self, size: usize) -> Vec<(u64, &Arc<Member>)> {
        let mut networks: HashMap<Origin, Vec<&Arc<Member>>> = HashMap::new();
        for (origin, own) in &self.of {
            let staying = own.iter().filter(|member| !member.is_leaving());
            networks
                .entry(origin.network())
                .or_default()
                .extend(staying);
        }
        let enough = (size / (networks.len() + 1)).max(size / NOT_A_FEW);
        let most = networks.into_values().max_by_key(Vec::len);
        most.filter(|own| own.len() > enough)
            .into_iter()
            .flatten()
            .filter(|member| member.is_idle())
            .map(|member| (member.idle_since.load(Ordering::Relaxed), member))
            .collect()
    }
}

struct Member {
    /// Milliseconds since the crowd's start: the arrival, or the end of the last use.
    idle_since: AtomicU64,
    /// How many uses go on.
    uses: AtomicUsize,
    told: AtomicBool,
    leave: Notify,
}

impl Member {
    /// Whether it is of no use now and was not told to leave yet.
    fn is_idle(&self) -> bool {
        self.uses.load(Ordering::Acquire) == 0 && !self.is_leaving()
    }

    fn is_leaving(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    fn tell(&self) {
        self.told.store(true, Ordering::Relaxed);
        self.leave.notify_one();
    }
}

/// A place in the crowd, until dropped.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    number: u64,
    member: Arc<Member>,
    origin: OnceLock<Origin>,
    _permit: OwnedSemaphorePermit,
}

impl Crowd {
    /// Of `size` seats, and no more than `share` for one address if there is one; `kept` of the seats
    /// are for networks that have none.
    pub(super) fn new(size: usize, kept: usize, share: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            size,
            share: share.unwrap_or(usize::MAX),
            seats: Arc::new(Semaphore::new(size - kept)),
            kept: Arc::new(Semaphore::new(kept)),
            waiting: AtomicUsize::new(0),
            members: Mutex::default(),
            next: AtomicU64::new(0),
            made_room: AtomicU64::new(0),
        })
    }

    /// A seat, as soon as there is one: who waits for longest sits down first.
    pub(super) async fn seat(self: &Arc<Self>) -> Seat {
        match self.seats.clone().try_acquire_owned() {
            Ok(permit) => self.sit(permit),
            Err(_) => self.sit(self.freed().await),
        }
    }

    /// A seat, if there is one now that whoever comes from this address may have. None may be anybody,
    /// who has no claim to what is kept.
    pub(super) fn seat_now(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Seat> {
        let network = address.map(|address| Origin::of(address).network());
        let has_none = |network| !self.members().has_seat(network);
        let permit = match self.seats.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) if network.is_some_and(has_none) => self.kept.clone().try_acquire_owned().ok(),
            Err(_) => None,
        };
        permit.map(|permit| self.sit(permit))
    }

    fn sit(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Seat {
        let member = Arc::new(Member {
            idle_since: AtomicU64::new(self.now()),
            uses: AtomicUsize::new(0),
            told: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.members().all.insert(number, member.clone());
        Seat {
            crowd: self.clone(),
            number,
            member,
            origin: OnceLock::new(),
            _permit: permit,
        }
    }

    async fn freed(&self) -> OwnedSemaphorePermit {
        let _waits = Waits::among(&self.waiting, usize::MAX);
        // One place in the queue for the whole wait: who asked anew each time would stand behind a
        // crowd each time.
        let mut freed = pin!(self.seats.clone().acquire_owned());
        loop {
            self.make_room_now_and_then();
            if let Ok(permit) = timeout(LOOK_AGAIN, freed.as_mut()).await {
                return permit.expect("nobody closes it");
            }
        }
    }

    /// However many wait, one of them looks everybody over for all.
    fn make_room_now_and_then(&self) {
        let now = self.now();
        let looks = |last: u64| (last == 0 || now >= last + millis(LOOK_AGAIN)).then_some(now);
        let turn = self
            .made_room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, looks);
        if turn.is_ok() {
            self.make_room();
        }
    }

    /// Tells some of those who have been idle for longest to leave. Where nobody has been for long and
    /// addresses have shares: some of the network that has the most seats, if those are too many.
    pub(super) fn make_room(&self) {
        let Some(latest) = self.now().checked_sub(millis(GRACE)) else {
            return;
        };
        let members = self.members();
        let mut idle: Vec<_> = members
            .all
            .values()
            .filter(|member| member.is_idle())
            .map(|member| (member.idle_since.load(Ordering::Relaxed), member))
            .filter(|(since, _)| *since <= latest)
            .collect();
        if idle.is_empty() && self.share < self.size {
            idle = members.crowding(self.size);
        }
        idle.sort_unstable_by_key(|(since, _)| *since);
        let wait = self.waiting.load(Ordering::Relaxed);
        let wanted = (wait / PART_TO_SERVE).max(self.size / PART_TO_FREE + 1);
        for (_, member) in idle.into_iter().take(wanted) {
            member.tell();
        }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Says whose seat it is, once. If that address has its share of seats, one of its own is told
    /// to leave; whether there is such a one or the share is not yet used up.
    ///
    /// Who leaves takes a moment: for that long an address has more than its share.
    pub(super) fn belongs_to(&self, address: IpAddr) -> bool {
        let origin = Origin::of(address);
        let mut members = self.crowd.members();
        let own = members.of.entry(origin).or_default();
        let staying = own.iter().filter(|member| !member.is_leaving());
        if staying.count() >= self.crowd.share {
            let latest = self.crowd.now().checked_sub(millis(GRACE));
            let since = |member: &&Arc<Member>| member.idle_since.load(Ordering::Relaxed);
            let idle = own.iter().filter(|member| member.is_idle());
            let idle = idle.min_by_key(since);
            match idle.filter(|member| latest.is_some_and(|latest| since(member) <= latest)) {
                Some(member) => member.tell(),
                None => return false,
            }
        }
        if self.origin.set(origin).is_ok() {
            own.push(self.member.clone());
        }
        true
    }

    /// Returns when it has to be made free.
    pub(super) async fn told_to_leave(&self) {
        self.member.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        members.all.remove(&self.number);
        let Some(origin) = self.origin.get() else {
            return;
        };
        if let Some(own) = members.of.get_mut(origin) {
            own.retain(|member| !Arc::ptr_eq(member, &self.member));
            if own.is_empty() {
                members.of.remove(origin);
            }
        }
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
        let crowd = Crowd::new(3, 0, None);
        let used = Arc::new(crowd.seat().await);
        let using = used.in_use();
        let first = crowd.seat().await;
        advance(Duration::from_millis(10)).await;
        let second = Arc::new(crowd.seat().await);
        crowd.make_room();
        assert!(!is_told(&first).await, "nobody has been idle for long");
        advance(GRACE).await;
        crowd.make_room();
        assert!(is_told(&first).await);
        assert!(!is_told(&second).await && !is_told(&used).await);
        // The first is told already: the next one is the second, but not if it was just of use.
        drop(second.in_use());
        crowd.make_room();
        assert!(!is_told(&second).await);
        advance(GRACE).await;
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
        let crowd = Crowd::new(1, 0, None);
        let idle = crowd.seat().await;
        let leaves = async {
            idle.told_to_leave().await;
            drop(idle);
        };
        let start = Instant::now();
        let (_seat, ()) = tokio::join!(crowd.seat(), leaves);
        assert!(start.elapsed() >= GRACE && start.elapsed() < GRACE * 2);
        let members = crowd.members.lock().unwrap();
        assert_eq!(members.all.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_with_its_share_gives_up_its_own_idle_seat_or_gets_no_more() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for (own, other) in [
            ("192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8:0:1::1"),
        ] {
            let (own, other) = (address(own), address(other));
            let crowd = Crowd::new(8, 0, Some(2));
            let seats = [crowd.seat().await, crowd.seat().await].map(Arc::new);
            assert!(seats.iter().all(|seat| seat.belongs_to(own)));
            let using = seats[0].in_use();
            let newcomer = Arc::new(crowd.seat().await);
            assert!(!newcomer.belongs_to(own), "nobody has been idle for long");
            assert!(crowd.seat().await.belongs_to(other), "another address");
            advance(GRACE).await;
            drop(newcomer.in_use());
            assert!(newcomer.belongs_to(own));
            assert!(is_told(&seats[1]).await && !is_told(&seats[0]).await);
            // Who leaves no longer counts; who came stays, having only just come.
            assert!(!crowd.seat().await.belongs_to(own));
            drop((using, seats, newcomer));
            assert!(crowd.members().of.is_empty());
        }
        let crowd = Crowd::new(8, 0, Some(1));
        let (first, second) = (crowd.seat().await, crowd.seat().await);
        assert!(first.belongs_to(address("2001:db8::1")));
        assert!(!second.belongs_to(address("2001:db8::2")), "the same /64");
        let (first, second) = (crowd.seat().await, crowd.seat().await);
        assert!(first.belongs_to(address("192.0.2.1")));
        assert!(!second.belongs_to(address("::ffff:192.0.2.1")), "the same");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_longest_sits_down_first() {
        let crowd = Crowd::new(1, 0, None);
        let only = Arc::new(crowd.seat().await);
        let using = only.in_use();
        let order = Mutex::new(Vec::new());
        let waits = async |name: &'static str, from: u64| {
            tokio::time::sleep(Duration::from_millis(from)).await;
            let _seat = crowd.seat().await;
            order.lock().unwrap().push(name);
        };
        let leaves = async {
            tokio::time::sleep(LOOK_AGAIN + Duration::from_millis(20)).await;
            drop((using, only));
        };
        tokio::join!(waits("first", 0), waits("second", 50), leaves);
        assert_eq!(*order.lock().unwrap(), ["first", "second"]);
    }

    /// Each address keeps to its share, and asks too often to be idle for long.
    #[tokio::test(start_paused = true)]
    async fn a_few_networks_that_are_always_busy_keep_nobody_out() {
        for (networks, shared) in [
            (["192.0.2.1", "192.0.2.2", "192.0.2.3"], true),
            (["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], true),
            (["192.0.2.1", "192.0.2.2", "192.0.2.3"], false),
        ] {
            let crowd = Crowd::new(33, 0, shared.then_some(11));
            let mut seats = Vec::new();
            for at in 0..32 {
                let seat = Arc::new(crowd.seat().await);
                assert!(seat.belongs_to(networks[at % 3].parse().unwrap()));
                seats.push(seat);
            }
            let lonely = Arc::new(crowd.seat().await);
            assert!(lonely.belongs_to("198.51.100.7".parse().unwrap()));
            // All of them have asked for something just now; one is asking.
            advance(GRACE * 2).await;
            seats
                .iter()
                .chain([&lonely])
                .for_each(|seat| drop(seat.in_use()));
            let using = seats[0].in_use();
            crowd.make_room();
            let mut told = 0;
            for seat in &seats {
                told += usize::from(is_told(seat).await);
            }
            assert_eq!(told > 0, shared, "{networks:?}");
            assert!(!is_told(&seats[0]).await && !is_told(&lonely).await);
            drop(using);
        }
    }

    /// A seat of this address's, if it gets one now.
    fn seated(crowd: &Arc<Crowd>, address: &str) -> Option<Seat> {
        let address = address.parse().unwrap();
        let seat = crowd.seat_now(Some(address));
        seat.filter(|seat| seat.belongs_to(address))
    }

    #[test]
    fn the_kept_seats_are_for_networks_that_have_none() {
        let crowd = Crowd::new(32, 2, None);
        let mut seats = Vec::new();
        while let Some(seat) = seated(&crowd, "2001:db8::1") {
            seats.push(seat);
        }
        assert_eq!(seats.len(), 30);
        assert!(seated(&crowd, "2001:db8:0:1::1").is_none(), "the same /48");
        assert!(crowd.seat_now(None).is_none());
        seats.extend(seated(&crowd, "2001:db8:1::1"));
        seats.extend(seated(&crowd, "192.0.2.1"));
        assert_eq!(seats.len(), 32);
        assert!(seated(&crowd, "192.0.2.2").is_none(), "all are taken");
        seats.pop();
        assert!(seated(&crowd, "2001:db8:1::1").is_none(), "it has one");
        assert!(seated(&crowd, "192.0.2.2").is_some());
    }
}
