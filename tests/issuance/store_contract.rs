//! The store's contract, one test per clause, run by every adapter.
//!
//! A new adapter adds a `Harness` and one line to `adapters!`.

use std::sync::Arc;

use shortleaf::ca::{IssuingCaId, ProfileHash};
use shortleaf::issuance::store::{
    Begun, Final, Intent, IssuanceStore, Record, Selector, StoreError,
};
use shortleaf::store::memory::MemoryStore;
use shortleaf::store::redb::RedbStore;
use shortleaf::time::UnixSeconds;

use crate::samples::{Chance, NOW, hash, intent, leaf, serial, submission, token, uses};

type Store = Arc<dyn IssuanceStore>;

/// What a case needs of an adapter.
trait Harness {
    fn store(&self) -> Store;
    /// Ends the store and begins a new one over what it left.
    fn reopen(&mut self);
}

struct Redb {
    store: Option<Arc<RedbStore>>,
    dir: tempfile::TempDir,
}

impl Redb {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut harness = Self { store: None, dir };
        harness.reopen();
        harness
    }
}

impl Harness for Redb {
    fn store(&self) -> Store {
        self.store.clone().unwrap()
    }
    fn reopen(&mut self) {
        self.store = None;
        let path = self.dir.path().join("issuance.redb");
        let store = RedbStore::open(&path, &Chance::new(1)).unwrap();
        self.store = Some(Arc::new(store));
    }
}

/// Durable as long as the process: reopening it is no change.
struct Memory(Arc<MemoryStore>);

impl Memory {
    fn new() -> Self {
        Self(Arc::default())
    }
}

impl Harness for Memory {
    fn store(&self) -> Store {
        self.0.clone()
    }
    fn reopen(&mut self) {}
}

adapters!(redb: super::Redb, memory: super::Memory => {
    what_was_acknowledged_is_there_after_reopening,
    an_exhausted_token_leaves_nothing_behind,
    the_same_key_never_counts_twice,
    the_same_intent_twice_is_recorded_once,
    another_intent_under_a_known_serial_conflicts,
    a_serial_conflict_spends_no_use,
    the_same_final_twice_is_fine_another_one_conflicts,
    a_final_without_an_intent_conflicts,
    a_submission_is_durable_with_the_next_commit,
    a_retry_finds_the_latest_final_while_it_is_valid,
    a_retry_finds_nothing_before_the_final_is_stored,
    uses_and_retry_entries_expire_and_records_stay,
    a_use_is_remembered_through_its_last_second,
    intents_without_a_final_are_orphans_oldest_first,
    an_abandoned_intent_takes_no_final,
    a_finished_record_cannot_be_abandoned,
    old_records_are_forgotten_oldest_first_and_open_ones_kept,
    records_come_oldest_first_whenever_they_were_written,
    every_field_of_the_selector_selects,
    a_window_begins_inclusive_and_ends_exclusive,
    a_thousand_writers_get_a_thousand_records,
    one_token_with_a_hundred_writers_has_its_limit_of_keys,
    the_probe_answers,
});

async fn record(store: &Store, n: u64) -> Option<Record> {
    let selector = Selector {
        serial: Some(serial(n)),
        ..Selector::default()
    };
    let (from, to) = (UnixSeconds(i64::MIN), UnixSeconds(i64::MAX));
    let found = store.find_issued(&selector, from, to, 10).await.unwrap();
    assert!(found.len() <= 1, "{found:?}");
    found.into_iter().next()
}

async fn what_was_acknowledged_is_there_after_reopening(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_submission(submission(1)).await.unwrap();
    store.put_final(leaf(1)).await.unwrap();
    store.put_intent(intent(2, 2, 2), uses(1)).await.unwrap();
    drop(store);
    harness.reopen();

    let store = harness.store();
    let whole = Record {
        intent: intent(1, 1, 1),
        submission: Some(submission(1)),
        leaf: Some(leaf(1)),
        abandoned: None,
    };
    assert_eq!(record(&store, 1).await, Some(whole));
    assert_eq!(record(&store, 2).await.unwrap().intent, intent(2, 2, 2));
    let second_key = store.put_intent(intent(3, 2, 3), uses(1)).await.unwrap();
    assert_eq!(second_key, Begun::Exhausted);
}

async fn an_exhausted_token_leaves_nothing_behind(harness: &mut impl Harness) {
    let store = harness.store();
    let first = store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    let second = store.put_intent(intent(2, 1, 2), uses(1)).await.unwrap();
    assert_eq!((first, second), (Begun::Recorded, Begun::Exhausted));
    assert_eq!(record(&store, 2).await, None);
    // The twin: with room for another key it is recorded.
    let roomy = store.put_intent(intent(2, 1, 2), uses(2)).await.unwrap();
    assert_eq!(roomy, Begun::Recorded);
}

async fn the_same_key_never_counts_twice(harness: &mut impl Harness) {
    let store = harness.store();
    for n in 1..=5 {
        let begun = store.put_intent(intent(n, 1, 1), uses(1)).await.unwrap();
        assert_eq!(begun, Begun::Recorded, "attempt {n}");
    }
    assert!(record(&store, 5).await.is_some());
}

async fn the_same_intent_twice_is_recorded_once(harness: &mut impl Harness) {
    let store = harness.store();
    for _ in 0..2 {
        let begun = store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
        assert_eq!(begun, Begun::Recorded);
    }
    let all = store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 1);
}

async fn another_intent_under_a_known_serial_conflicts(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    let refused = store.put_intent(intent(1, 2, 2), uses(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { serial: known }) if known == serial(1)),
        "{refused:?}"
    );
    assert_eq!(record(&store, 1).await.unwrap().intent, intent(1, 1, 1));
}

async fn a_serial_conflict_spends_no_use(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    let refused = store.put_intent(intent(1, 2, 2), uses(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "{refused:?}"
    );
    let begun = store.put_intent(intent(2, 2, 3), uses(1)).await.unwrap();
    assert_eq!(begun, Begun::Recorded);
}

async fn the_same_final_twice_is_fine_another_one_conflicts(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_final(leaf(1)).await.unwrap();
    store.put_final(leaf(1)).await.unwrap();
    let another = Final {
        leaf_der: [0x77; 900].into(),
        ..leaf(1)
    };
    let refused = store.put_final(another).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "{refused:?}"
    );
    assert_eq!(record(&store, 1).await.unwrap().leaf, Some(leaf(1)));
}

async fn a_final_without_an_intent_conflicts(harness: &mut impl Harness) {
    let refused = harness.store().put_final(leaf(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "{refused:?}"
    );
}

async fn a_submission_is_durable_with_the_next_commit(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_submission(submission(1)).await.unwrap();
    store.health().await.unwrap();
    drop(store);
    harness.reopen();
    let kept = record(&harness.store(), 1).await.unwrap();
    assert_eq!(kept.submission, Some(submission(1)));
}

async fn a_retry_finds_the_latest_final_while_it_is_valid(harness: &mut impl Harness) {
    let store = harness.store();
    let later = Intent {
        not_after: NOW.plus(700),
        ..intent(2, 1, 1)
    };
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_final(leaf(1)).await.unwrap();
    store.put_intent(later, uses(1)).await.unwrap();
    store.put_final(leaf(2)).await.unwrap();

    let (token_1, hash_1) = (token(1), hash(1));
    let find = |at| store.find_retry(&token_1, &hash_1, at);
    let found = find(NOW.plus(700)).await.unwrap();
    assert_eq!(found.and_then(|record| record.leaf), Some(leaf(2)));
    assert_eq!(find(NOW.plus(701)).await.unwrap(), None);
    assert_eq!(
        store.find_retry(&token(1), &hash(2), NOW).await.unwrap(),
        None
    );
    assert_eq!(
        store.find_retry(&token(2), &hash(1), NOW).await.unwrap(),
        None
    );
}

async fn a_retry_finds_nothing_before_the_final_is_stored(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    assert_eq!(
        store.find_retry(&token(1), &hash(1), NOW).await.unwrap(),
        None
    );
}

async fn uses_and_retry_entries_expire_and_records_stay(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_final(leaf(1)).await.unwrap();
    // The use ends at +300, the certificate at +599.
    assert_eq!(store.expire(NOW.plus(300)).await.unwrap(), 0);
    assert_eq!(store.expire(NOW.plus(301)).await.unwrap(), 1);
    assert_eq!(store.expire(NOW.plus(599)).await.unwrap(), 0);
    assert_eq!(store.expire(NOW.plus(600)).await.unwrap(), 1);
    assert_eq!(store.expire(NOW.plus(10_000)).await.unwrap(), 0);
    assert_eq!(record(&store, 1).await.unwrap().leaf, Some(leaf(1)));
}

async fn a_use_is_remembered_through_its_last_second(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.expire(NOW.plus(300)).await.unwrap();
    let begun = store.put_intent(intent(2, 1, 2), uses(1)).await.unwrap();
    assert_eq!(begun, Begun::Exhausted);
}

async fn intents_without_a_final_are_orphans_oldest_first(harness: &mut impl Harness) {
    let store = harness.store();
    for (n, age) in [(1, 100), (2, 300), (3, 200), (4, 50)] {
        let intent = Intent {
            at: NOW.plus(-age),
            ..intent(n, n, n)
        };
        store.put_intent(intent, uses(1)).await.unwrap();
    }
    store.put_final(leaf(1)).await.unwrap();
    let serials = |records: Vec<Record>| -> Vec<_> {
        records
            .into_iter()
            .map(|record| record.intent.serial)
            .collect()
    };
    let orphans = store.orphans(NOW.plus(-50), 10).await.unwrap();
    assert_eq!(serials(orphans), [serial(2), serial(3)]);
    let first = store.orphans(NOW, 1).await.unwrap();
    assert_eq!(serials(first), [serial(2)]);
}

async fn an_abandoned_intent_takes_no_final(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store
        .abandon(&[serial(1), serial(9)], NOW.plus(60))
        .await
        .unwrap();
    store.abandon(&[serial(1)], NOW.plus(90)).await.unwrap();
    assert_eq!(store.orphans(NOW.plus(60), 10).await.unwrap(), []);
    let refused = store.put_final(leaf(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "{refused:?}"
    );
    let kept = record(&store, 1).await.unwrap();
    assert_eq!((kept.leaf, kept.abandoned), (None, Some(NOW.plus(60))));
}

async fn a_finished_record_cannot_be_abandoned(harness: &mut impl Harness) {
    let store = harness.store();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_final(leaf(1)).await.unwrap();
    store.abandon(&[serial(1)], NOW).await.unwrap();
    assert_eq!(record(&store, 1).await.unwrap().abandoned, None);
}

async fn old_records_are_forgotten_oldest_first_and_open_ones_kept(harness: &mut impl Harness) {
    let store = harness.store();
    // 0, 2, 3 finished, 1 open, 4 given up; each a second after the one before.
    for n in 0..5 {
        let late = Intent {
            at: NOW.plus(n as i64),
            ..intent(n, n, n)
        };
        store.put_intent(late, uses(1)).await.unwrap();
        store.put_submission(submission(n)).await.unwrap();
    }
    for n in [0, 2, 3] {
        store.put_final(leaf(n)).await.unwrap();
    }
    store.abandon(&[serial(4)], NOW.plus(9)).await.unwrap();
    let left = async |before, limit| {
        let gone = store.forget(NOW.plus(before), limit).await.unwrap();
        let mut left = Vec::new();
        for n in 0..5 {
            if record(&store, n).await.is_some() {
                left.push(n);
            }
        }
        (gone, left)
    };
    assert_eq!(left(0, 9).await, (0, vec![0, 1, 2, 3, 4]));
    assert_eq!(left(4, 1).await, (1, vec![1, 2, 3, 4]));
    assert_eq!(left(4, 9).await, (2, vec![1, 4]));
    assert_eq!(left(5, 9).await, (1, vec![1]));
    // What is open can still be finished; what is gone left nothing that finds it.
    store.put_final(leaf(1)).await.unwrap();
    let (token, key) = (intent(0, 0, 0).token_id, intent(0, 0, 0).spki_hash);
    assert_eq!(store.find_retry(&token, &key, NOW).await.unwrap(), None);
    assert_eq!(left(5, 9).await, (1, vec![]));
}

async fn records_come_oldest_first_whenever_they_were_written(harness: &mut impl Harness) {
    let store = harness.store();
    let find = async |from, to, limit| -> Vec<i64> {
        let (from, to, all) = (NOW.plus(from), NOW.plus(to), Selector::default());
        let found = store.find_issued(&all, from, to, limit).await.unwrap();
        found
            .iter()
            .map(|found| found.intent.at.0 - NOW.0)
            .collect()
    };
    // Times in no order, some with a final only later; every look is a reason to write.
    for n in 0..40 {
        let at = NOW.plus(n as i64 * 7 % 40);
        let intent = Intent {
            at,
            ..intent(n, n, n)
        };
        store.put_intent(intent, uses(1)).await.unwrap();
        if n % 3 > 0 {
            store.put_final(leaf(n)).await.unwrap();
        }
        if n % 5 == 0 {
            assert_eq!(find(0, 40, 99).await.len() as u64, n + 1);
            if n >= 6 {
                store.put_final(leaf(n / 3 * 3 - 6)).await.unwrap();
            }
        }
    }
    let all: Vec<i64> = (0..40).collect();
    assert_eq!(find(0, 40, 99).await, all);
    assert_eq!(find(9, 31, 99).await, all[9..31]);
    assert_eq!(find(9, 31, 5).await, all[9..14]);
    assert_eq!(find(9, 9, 5).await, all[..0]);
    for n in 0..40 {
        // Some of them are finished already.
        store.put_final(leaf(n)).await.unwrap();
    }
    assert_eq!(find(0, 40, 99).await, all);
    assert_eq!(store.forget(NOW.plus(9), 5).await.unwrap(), 5);
    assert_eq!(find(0, 40, 99).await, all[5..]);
    assert_eq!(store.forget(NOW.plus(9), 9).await.unwrap(), 4);
    assert_eq!(find(0, 40, 99).await, all[9..]);
}

async fn every_field_of_the_selector_selects(harness: &mut impl Harness) {
    let store = harness.store();
    let wanted = Intent {
        spki_hash: hash(77),
        issuer: "https://other.example".into(),
        subject: "somebody".into(),
        san: "email:somebody@example.com".into(),
        kid: Some("kid-77".into()),
        issuing_ca: IssuingCaId(hash(77)),
        profile: ProfileHash(hash(77)),
        extensions: [(8, "https://other.example".into()), (12, "x".into())].into(),
        ..intent(2, 2, 2)
    };
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    store.put_intent(wanted.clone(), uses(1)).await.unwrap();
    store.put_intent(intent(3, 3, 3), uses(1)).await.unwrap();
    let any = Selector::default;
    let selectors = [
        Selector {
            serial: Some(wanted.serial),
            ..any()
        },
        Selector {
            spki_hash: Some(wanted.spki_hash),
            ..any()
        },
        Selector {
            issuer: Some(wanted.issuer.clone()),
            ..any()
        },
        Selector {
            subject: Some(wanted.subject.clone()),
            ..any()
        },
        Selector {
            san: Some(wanted.san.clone()),
            ..any()
        },
        Selector {
            kid: wanted.kid.clone(),
            ..any()
        },
        Selector {
            issuing_ca: Some(wanted.issuing_ca),
            ..any()
        },
        Selector {
            extensions: vec![(12, "x".into())],
            ..any()
        },
        Selector {
            extensions: wanted.extensions.to_vec(),
            ..any()
        },
    ];
    for selector in selectors {
        let found = store
            .find_issued(&selector, NOW, NOW.plus(1), 10)
            .await
            .unwrap();
        let serials: Vec<_> = found.iter().map(|record| record.intent.serial).collect();
        assert_eq!(serials, [wanted.serial], "{selector:?}");
    }
    let two_that_disagree = Selector {
        serial: Some(serial(1)),
        spki_hash: Some(hash(77)),
        ..any()
    };
    let found = store
        .find_issued(&two_that_disagree, NOW, NOW.plus(1), 10)
        .await;
    assert_eq!(found.unwrap(), []);
    let all = store
        .find_issued(&any(), NOW, NOW.plus(1), 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 3);
}

async fn a_window_begins_inclusive_and_ends_exclusive(harness: &mut impl Harness) {
    let store = harness.store();
    for n in 0..10 {
        let intent = Intent {
            at: NOW.plus(i64::try_from(n).unwrap()),
            ..intent(n, n, n)
        };
        store.put_intent(intent, uses(1)).await.unwrap();
    }
    for selector in [
        Selector::default(),
        Selector {
            serial: Some(serial(3)),
            ..Selector::default()
        },
    ] {
        let window =
            |from, to, limit| store.find_issued(&selector, NOW.plus(from), NOW.plus(to), limit);
        let one = selector.serial.is_some();
        assert_eq!(
            window(3, 6, 10).await.unwrap().len(),
            if one { 1 } else { 3 }
        );
        assert_eq!(
            window(4, 6, 10).await.unwrap().len(),
            if one { 0 } else { 2 }
        );
        assert_eq!(
            window(1, 3, 10).await.unwrap().len(),
            if one { 0 } else { 2 }
        );
        assert_eq!(window(0, 9, 1).await.unwrap().len(), 1);
        assert_eq!(window(6, 3, 10).await.unwrap(), []);
    }
}

async fn a_thousand_writers_get_a_thousand_records(harness: &mut impl Harness) {
    let store = harness.store();
    let writers: Vec<_> = (0..1000)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                store.put_intent(intent(n, n, n), uses(1)).await.unwrap();
                store.put_submission(submission(n)).await.unwrap();
                store.put_final(leaf(n)).await.unwrap();
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let all = store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 2000)
        .await
        .unwrap();
    assert_eq!(all.len(), 1000);
    assert!(
        all.iter()
            .all(|record| record.submission.is_some() && record.leaf.is_some())
    );
    assert_eq!(store.orphans(NOW.plus(1000), 10).await.unwrap(), []);
}

async fn one_token_with_a_hundred_writers_has_its_limit_of_keys(harness: &mut impl Harness) {
    let store = harness.store();
    let writers: Vec<_> = (0..100)
        .map(|n| {
            let store = Arc::clone(&store);
            // 100 serials, 20 keys, one token good for 7 of them.
            tokio::spawn(async move { store.put_intent(intent(n, 1, n % 20), uses(7)).await })
        })
        .collect();
    let mut recorded = 0;
    for writer in writers {
        recorded += usize::from(writer.await.unwrap().unwrap() == Begun::Recorded);
    }
    assert_eq!(recorded, 7 * 5);
}

async fn the_probe_answers(harness: &mut impl Harness) {
    harness.store().health().await.unwrap();
}
