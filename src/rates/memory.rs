//! Keys in this process's memory: [`Counter`] for one instance. A restart forgets what was owed.
//!
//! A table for each dimension, so that a crowd of addresses displaces no issuer and no identity.
//! Keys that owe nothing any more go a few at a time, whenever a new one comes: no call walks through
//! a table but to double it. Where a table is full of keys that all owe something, a new key takes
//! the place of the one that owes least among a few. Neither refusing new keys nor leaving them
//! uncounted would do: the first lets a crowd lock out everybody else, the second lets it hide whoever
//! comes after it. This way the newcomer is counted, the one displaced is owed a little time, and who
//! floods, owing most, stays.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Charge, Counter, Dimension, Key, Moment, Over, Receipt, Receipts};

/// Keys of one dimension, at about 110 octets each.
pub const KEYS_MAX: usize = 100_000;
/// How many keys are looked at when one is added; more than one, so that tables shrink.
const LOOKED_AT: usize = 4;
/// Among how many the one to be displaced is chosen.
const CANDIDATES: usize = 8;

type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// Counts for one process.
pub struct MemoryCounter {
    clock: Clock,
    /// Held for as long as three look-ups take, never over an await.
    tables: Mutex<[Table; Dimension::ALL.len()]>,
}

impl MemoryCounter {
    /// Nobody owes anything. `clock` is the time since any moment, by a clock that nobody sets.
    pub fn new(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self::holding(KEYS_MAX, clock)
    }

    fn holding(room: usize, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self {
            clock: Box::new(clock),
            tables: Mutex::new(std::array::from_fn(|_| Table::new(room))),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut [Table], Moment) -> T) -> T {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: of two calls the later one has the later moment.
        let now = Moment::after((self.clock)());
        act(&mut *tables, now)
    }
}

fn take(tables: &mut [Table], charges: &[Charge], now: Moment) -> Result<Receipts, Over> {
    let mut receipts = Receipts::default();
    let mut over: Option<Over> = None;
    for charge in charges {
        let dimension = charge.key.dimension();
        let tat = tables[dimension as usize].owed_until(&charge.key);
        match charge.limit.take(tat, now) {
            Ok(paid) => receipts.add(Receipt {
                charge: *charge,
                paid,
            }),
            Err(wait) if over.is_none_or(|over| over.wait < wait) => {
                over = Some(Over {
                    dimension,
                    limit: charge.limit,
                    wait,
                });
            }
            Err(_) => {}
        }
    }
    if let Some(over) = over {
        return Err(over);
    }
    for Receipt { charge, paid } in receipts.iter() {
        tables[charge.key.dimension() as usize].set(&charge.key, *paid, now);
    }
    Ok(receipts)
}

#[async_trait]
impl Counter for MemoryCounter {
    async fn take(&self, charges: &[Charge]) -> Result<Receipts, Over> {
        self.with(|tables, now| take(tables, charges, now))
    }

    async fn give_back(&self, receipts: Receipts) {
        self.with(|tables, now| {
            for Receipt { charge, paid } in receipts {
                let table = &mut tables[charge.key.dimension() as usize];
                table.change(&charge.key, |tat| charge.limit.give_back(tat, paid, now));
            }
        });
    }
}

/// Keys of one dimension.
struct Table {
    room: usize,
    /// Where each key stands in `slots`. Its hasher is seeded at random (`RandomState`).
    places: HashMap<[u8; 32], usize>,
    slots: Vec<Slot>,
    /// Where to look next.
    hand: usize,
}

struct Slot {
    name: [u8; 32],
    tat: Moment,
}

impl Table {
    fn new(room: usize) -> Self {
        Self {
            room,
            places: HashMap::new(),
            slots: Vec::new(),
            hand: 0,
        }
    }

    fn owed_until(&self, key: &Key) -> Moment {
        let place = self.places.get(key.name());
        place.map_or_else(Moment::default, |place| self.slots[*place].tat)
    }

    fn change(&mut self, key: &Key, to: impl FnOnce(Moment) -> Moment) {
        if let Some(place) = self.places.get(key.name()) {
            let slot = &mut self.slots[*place];
            slot.tat = to(slot.tat);
        }
    }

    fn set(&mut self, key: &Key, tat: Moment, now: Moment) {
        if let Some(place) = self.places.get(key.name()) {
            self.slots[*place].tat = tat;
            return;
        }
        self.drop_a_few(now);
        if self.slots.len() >= self.room {
            self.displace();
        }
        let name = *key.name();
        self.places.insert(name, self.slots.len());
        self.slots.push(Slot { name, tat });
    }

    /// Looks at a few keys and lets those go that owe nothing.
    fn drop_a_few(&mut self, now: Moment) {
        for _ in 0..LOOKED_AT {
            let Some(place) = self.next() else { return };
            if self.slots[place].tat <= now {
                // Another stands in its place now and is looked at next.
                self.remove(place);
            } else {
                self.hand = place + 1;
            }
        }
    }

    /// Lets the one go that owes least of the next few.
    fn displace(&mut self) {
        let candidates = (0..CANDIDATES).filter_map(|_| {
            let place = self.next()?;
            self.hand = place + 1;
            Some((self.slots[place].tat, place))
        });
        if let Some((_, place)) = candidates.min() {
            self.remove(place);
        }
    }

    fn next(&self) -> Option<usize> {
        let place = if self.hand < self.slots.len() {
            self.hand
        } else {
            0
        };
        (!self.slots.is_empty()).then_some(place)
    }

    fn remove(&mut self, place: usize) {
        let gone = self.slots.swap_remove(place);
        self.places.remove(&gone.name);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.name, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::rates::Limit;

    const SECOND: Duration = Duration::from_secs(1);

    /// A counter with room for this many keys, and the clock it reads, in milliseconds.
    fn counter(room: usize) -> (MemoryCounter, Arc<AtomicU64>) {
        let clock = Arc::new(AtomicU64::new(0));
        let read = clock.clone();
        let now = move || Duration::from_millis(read.load(Ordering::SeqCst));
        (MemoryCounter::holding(room, now), clock)
    }

    fn charge(n: u32, limit: Limit) -> Charge {
        let key = Key::address(&n.to_be_bytes());
        Charge { key, limit }
    }

    fn held(counter: &MemoryCounter) -> usize {
        counter.with(|tables, _| {
            for table in &*tables {
                assert_eq!(table.places.len(), table.slots.len());
                for (place, slot) in table.slots.iter().enumerate() {
                    assert_eq!(table.places.get(&slot.name), Some(&place));
                }
            }
            tables.iter().map(|table| table.slots.len()).sum()
        })
    }

    async fn is_admitted(counter: &MemoryCounter, charge: Charge) -> bool {
        counter.take(&[charge]).await.is_ok()
    }

    #[tokio::test]
    async fn keys_that_owe_nothing_make_room_without_a_walk_through_the_table() {
        let (counter, clock) = counter(1000);
        let limit = Limit::new(1, SECOND, 1).unwrap();
        // A hundred newcomers a second, each of whom owes for one.
        for n in 0..10_000 {
            assert!(is_admitted(&counter, charge(n, limit)).await);
            clock.fetch_add(10, Ordering::SeqCst);
        }
        assert!(held(&counter) <= 200, "{}", held(&counter));
    }

    #[tokio::test]
    async fn a_crowd_fills_the_table_and_no_more_and_every_newcomer_is_counted() {
        let (counter, _clock) = counter(100);
        let limit = Limit::new(1, SECOND, 2).unwrap();
        for n in 0..10_000 {
            let newcomer = charge(n, limit);
            assert!(is_admitted(&counter, newcomer).await);
            assert!(is_admitted(&counter, newcomer).await);
            assert!(!is_admitted(&counter, newcomer).await);
        }
        assert_eq!(held(&counter), 100);
    }

    #[tokio::test]
    async fn who_floods_is_still_known_after_a_crowd_of_others() {
        let (counter, _clock) = counter(100);
        let limit = Limit::new(1, SECOND, 50).unwrap();
        let flooder = charge(u32::MAX, limit);
        while is_admitted(&counter, flooder).await {}
        for n in 0..10_000 {
            assert!(is_admitted(&counter, charge(n, limit)).await);
        }
        assert!(!is_admitted(&counter, flooder).await);
    }

    #[tokio::test]
    async fn a_crowd_of_addresses_displaces_no_identity() {
        let (counter, _clock) = counter(100);
        let limit = Limit::new(1, SECOND, 1).unwrap();
        let key = Key::identity("https://issuer.example", "somebody");
        let identity = Charge { key, limit };
        assert!(is_admitted(&counter, identity).await);
        for n in 0..1000 {
            assert!(is_admitted(&counter, charge(n, limit)).await);
        }
        assert!(!is_admitted(&counter, identity).await);
    }

    #[tokio::test]
    async fn giving_back_to_a_key_that_is_gone_does_nothing() {
        let (counter, clock) = counter(1);
        let limit = Limit::new(1, SECOND, 1).unwrap();
        let receipts = counter.take(&[charge(1, limit)]).await.unwrap();
        assert!(is_admitted(&counter, charge(2, limit)).await);
        counter.give_back(receipts).await;
        assert_eq!(held(&counter), 1);
        assert!(!is_admitted(&counter, charge(2, limit)).await);
        clock.fetch_add(1000, Ordering::SeqCst);
        assert!(is_admitted(&counter, charge(2, limit)).await);
    }
}
