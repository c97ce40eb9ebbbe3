//! The contract of whoever counts requests, one test per clause, run by every adapter.
//!
//! A new adapter adds a `Harness` and one line to `adapters!`.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

#[path = "world/adapters.rs"]
#[macro_use]
mod adapters;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shortleaf::rates::memory::MemoryCounter;
use shortleaf::rates::{Charge, Counter, Dimension, Key, Limit, Over, Receipts};

/// What a case needs of an adapter.
trait Harness {
    /// The steps its clock goes in.
    const STEP: Duration;
    fn counter(&self) -> Arc<dyn Counter>;
    /// Lets time go by, on the adapter's clock.
    async fn pass(&self, span: Duration);
}

struct Memory {
    counter: Arc<MemoryCounter>,
    clock: Arc<AtomicU64>,
}

impl Memory {
    fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(1_000_000_000));
        let read = clock.clone();
        let now = move || Duration::from_nanos(read.load(Ordering::SeqCst));
        let counter = Arc::new(MemoryCounter::new(now));
        Self { counter, clock }
    }
}

impl Harness for Memory {
    const STEP: Duration = Duration::from_nanos(1);
    fn counter(&self) -> Arc<dyn Counter> {
        self.counter.clone()
    }
    async fn pass(&self, span: Duration) {
        let span = u64::try_from(span.as_nanos()).unwrap();
        self.clock.fetch_add(span, Ordering::SeqCst);
    }
}

adapters!(memory: super::Memory => {
    a_burst_is_admitted_and_the_next_one_waits_an_interval,
    after_the_wait_the_same_call_is_admitted_and_before_it_is_not,
    what_is_owed_wears_off,
    no_key_is_another_key,
    a_refusal_takes_from_none_of_its_keys,
    a_refusal_names_the_key_that_waits_longest,
    a_key_is_judged_by_the_limit_of_the_call,
    what_is_given_back_can_be_taken_again,
    what_has_worn_off_is_not_given_back,
    nothing_may_be_asked_and_nothing_given_back,
    a_hundred_callers_at_once_get_a_burst_between_them,
});

const SECOND: Duration = Duration::from_secs(1);
const ISSUER: &str = "https://issuer.example";

/// So many at once, and one more each second.
fn bursts_of(burst: u32) -> Limit {
    Limit::new(1, SECOND, burst).unwrap()
}

fn issuer(burst: u32) -> Charge {
    Charge {
        key: Key::issuer(ISSUER),
        limit: bursts_of(burst),
    }
}

fn identity(subject: &str, burst: u32) -> Charge {
    Charge {
        key: Key::identity(ISSUER, subject),
        limit: bursts_of(burst),
    }
}

async fn admitted(harness: &impl Harness, charges: &[Charge]) -> usize {
    let mut count = 0;
    while count < 100 && harness.counter().take(charges).await.is_ok() {
        count += 1;
    }
    count
}

async fn over(harness: &impl Harness, charges: &[Charge]) -> Over {
    harness.counter().take(charges).await.unwrap_err()
}

async fn a_burst_is_admitted_and_the_next_one_waits_an_interval(harness: &impl Harness) {
    let charge = identity("a", 3);
    assert_eq!(admitted(harness, &[charge]).await, 3);
    let refused = Over {
        dimension: Dimension::Identity,
        limit: charge.limit,
        wait: SECOND,
    };
    assert_eq!(over(harness, &[charge]).await, refused);
}

async fn after_the_wait_the_same_call_is_admitted_and_before_it_is_not<H: Harness>(harness: &H) {
    let charges = [issuer(2), identity("a", 5)];
    assert_eq!(admitted(harness, &charges).await, 2);
    let wait = over(harness, &charges).await.wait;
    harness.pass(wait - H::STEP).await;
    assert_eq!(over(harness, &charges).await.wait, H::STEP);
    harness.pass(H::STEP).await;
    assert_eq!(admitted(harness, &charges).await, 1);
}

async fn what_is_owed_wears_off(harness: &impl Harness) {
    let charge = identity("a", 3);
    assert_eq!(admitted(harness, &[charge]).await, 3);
    harness.pass(2 * SECOND).await;
    assert_eq!(admitted(harness, &[charge]).await, 2);
    harness.pass(3600 * SECOND).await;
    assert_eq!(admitted(harness, &[charge]).await, 3);
}

async fn no_key_is_another_key(harness: &impl Harness) {
    // The same octets in another dimension, or divided otherwise between issuer and subject.
    let keys = [
        Key::address(b"https://a.example"),
        Key::issuer("https://a.example"),
        Key::identity("https://a.example", ""),
        Key::identity("https://a.exampl", "e"),
        Key::identity("https://a.example", "b"),
        Key::identity("https://a.exampleb", ""),
        Key::address(&[10, 0, 0, 1]),
        Key::address(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1]),
    ];
    for key in keys {
        let limit = bursts_of(2);
        let charge = Charge { key, limit };
        assert_eq!(admitted(harness, &[charge]).await, 2, "{key:?}");
    }
}

async fn a_refusal_takes_from_none_of_its_keys(harness: &impl Harness) {
    let (scarce, plenty) = (issuer(1), identity("a", 5));
    assert_eq!(admitted(harness, &[scarce]).await, 1);
    for charges in [[scarce, plenty], [plenty, scarce]] {
        for _ in 0..10 {
            let refused = over(harness, &charges).await;
            assert_eq!(refused.dimension, Dimension::Issuer);
        }
    }
    assert_eq!(admitted(harness, &[plenty]).await, 5);
}

async fn a_refusal_names_the_key_that_waits_longest(harness: &impl Harness) {
    let slow = Limit::new(1, 60 * SECOND, 1).unwrap();
    let slow = Charge {
        key: Key::identity(ISSUER, "a"),
        limit: slow,
    };
    let quick = issuer(1);
    assert_eq!(admitted(harness, &[quick, slow]).await, 1);
    for charges in [[quick, slow], [slow, quick]] {
        let refused = over(harness, &charges).await;
        let longest = (Dimension::Identity, 60 * SECOND);
        assert_eq!((refused.dimension, refused.wait), longest);
    }
}

async fn a_key_is_judged_by_the_limit_of_the_call(harness: &impl Harness) {
    assert_eq!(admitted(harness, &[identity("a", 2)]).await, 2);
    assert_eq!(admitted(harness, &[identity("a", 5)]).await, 3);
}

async fn what_is_given_back_can_be_taken_again(harness: &impl Harness) {
    let charges = [issuer(3), identity("a", 3)];
    let counter = harness.counter();
    let first = counter.take(&charges).await.unwrap();
    assert_eq!(admitted(harness, &charges).await, 2);
    counter.give_back(first).await;
    assert_eq!(admitted(harness, &charges).await, 1);
    assert_eq!(admitted(harness, &[issuer(3)]).await, 0);
    assert_eq!(admitted(harness, &[identity("a", 3)]).await, 0);
}

async fn what_has_worn_off_is_not_given_back(harness: &impl Harness) {
    let charge = identity("a", 3);
    let counter = harness.counter();
    let first = counter.take(&[charge]).await.unwrap();
    harness.pass(SECOND).await;
    assert_eq!(admitted(harness, &[charge]).await, 3);
    counter.give_back(first).await;
    assert_eq!(admitted(harness, &[charge]).await, 0);
}

async fn nothing_may_be_asked_and_nothing_given_back(harness: &impl Harness) {
    let counter = harness.counter();
    assert!(counter.take(&[]).await.unwrap().is_empty());
    counter.give_back(Receipts::default()).await;
}

async fn a_hundred_callers_at_once_get_a_burst_between_them(harness: &impl Harness) {
    let limit = Limit::new(1, 3600 * SECOND, 20).unwrap();
    let keys = [Key::issuer(ISSUER), Key::identity(ISSUER, "a")];
    let charges = keys.map(|key| Charge { key, limit });
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let counter = harness.counter();
        callers.spawn(async move { counter.take(&charges).await.is_ok() });
    }
    let admitted = callers.join_all().await;
    assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 20);
}
