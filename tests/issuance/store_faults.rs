//! redb alone: group commit, failing disks, and the loss of power.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;
use std::time::{Duration, Instant};

use shortleaf::issuance::store::{Begun, IssuanceStore, Selector, StoreError};
use shortleaf::store::Carried;
use shortleaf::store::redb::{OpenError, Recovered, RedbStore};

use crate::disk::Disk;
use crate::samples::{Chance, NOW, intent, leaf, serial, submission, uses};

/// Lets a number of commits pass and holds up the others; can refuse them too.
#[derive(Default)]
struct Gate {
    passes: Mutex<usize>,
    moved: Condvar,
    arrived: AtomicUsize,
    refuse: AtomicBool,
}

impl Gate {
    fn let_pass(&self, commits: usize) {
        *self.passes.lock().unwrap() = commits;
        self.moved.notify_all();
    }

    fn open(&self) {
        self.let_pass(usize::MAX);
    }

    /// Until so many commits have come to the gate in all.
    async fn wait_for(&self, commits: usize) {
        while self.arrived.load(Ordering::SeqCst) < commits {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Carried for Gate {
    fn written(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn read(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        let passes = self.passes.lock().unwrap();
        *self
            .moved
            .wait_while(passes, |passes| *passes == 0)
            .unwrap() -= 1;
        if self.refuse.load(Ordering::SeqCst) {
            return Err(io::Error::other("the audit log cannot be read"));
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn store_on(disk: &Disk, gate: Option<Arc<Gate>>) -> Result<RedbStore, OpenError> {
    let store = Recovered::with_backends(disk.tables(), disk.journal(), &Chance::new(1), None)?;
    store.start(gate.map(|gate| gate as Arc<dyn Carried>))
}

type Answer = Result<Begun, StoreError>;
type Asking = Pin<Box<dyn Future<Output = Answer>>>;

/// Asks as far as the first wait: from then on it stands in the queue.
async fn queued(store: &Arc<RedbStore>, n: u64) -> Asking {
    let store = Arc::clone(store);
    let mut asking: Asking =
        Box::pin(async move { store.put_intent(intent(n, n, n), uses(1)).await });
    let first = poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx))).await;
    assert!(first.is_pending(), "{n} was answered before the gate");
    asking
}

/// Puts one intent before the closed gate and the rest behind it; what each was told.
async fn first_and_rest(store: &Arc<RedbStore>, gate: &Gate, count: u64) -> (Answer, Vec<Answer>) {
    gate.let_pass(0);
    let first = queued(store, 0).await;
    gate.wait_for(1).await;
    let mut rest = Vec::new();
    for n in 1..=count {
        rest.push(queued(store, n).await);
    }
    gate.open();
    let first = first.await;
    let mut answers = Vec::new();
    for waiter in rest {
        answers.push(waiter.await);
    }
    (first, answers)
}

fn opened_gate() -> Arc<Gate> {
    let gate = Arc::new(Gate::default());
    gate.open();
    gate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_write_is_one_commit() {
    let store = store_on(&Disk::default(), None).unwrap();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    assert_eq!(store.commits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_that_waited_share_one_commit() {
    let gate = opened_gate();
    let store = Arc::new(store_on(&Disk::default(), Some(Arc::clone(&gate))).unwrap());
    let (first, rest) = first_and_rest(&store, &gate, 1000).await;
    assert_eq!(first.unwrap(), Begun::Recorded);
    assert!(
        rest.into_iter()
            .all(|answer| answer.unwrap() == Begun::Recorded)
    );
    assert_eq!(store.commits(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submissions_alone_wait_for_company() {
    loop {
        let store = store_on(&Disk::default(), None).unwrap();
        store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
        let start = Instant::now();
        store.put_submission(submission(1)).await.unwrap();
        store.put_final(leaf(1)).await.unwrap();
        // After 250 ms it goes alone. Whom the machine kept for so long tells nothing.
        if start.elapsed() < Duration::from_millis(200) {
            return assert_eq!(store.commits(), 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_in_a_batch_concerns_nobody_else() {
    let gate = opened_gate();
    let store = Arc::new(store_on(&Disk::default(), Some(Arc::clone(&gate))).unwrap());
    store.put_intent(intent(3, 9, 9), uses(1)).await.unwrap();
    gate.arrived.store(0, Ordering::SeqCst);
    let (_, rest) = first_and_rest(&store, &gate, 5).await;
    for (n, answer) in (1..).zip(rest) {
        match n {
            3 => assert!(
                matches!(answer, Err(StoreError::Conflict { .. })),
                "{answer:?}"
            ),
            _ => assert_eq!(answer.unwrap(), Begun::Recorded, "{n}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_is_unknown_to_all_in_it_and_to_none_else() {
    let disk = Disk::default();
    let gate = opened_gate();
    let store = Arc::new(store_on(&disk, Some(Arc::clone(&gate))).unwrap());
    store
        .put_intent(intent(100, 100, 100), uses(1))
        .await
        .unwrap();
    gate.arrived.store(0, Ordering::SeqCst);

    disk.refuse_writes(true);
    let (first, rest) = first_and_rest(&store, &gate, 0).await;
    assert!(
        matches!(first, Err(StoreError::OutcomeUnknown)),
        "{first:?}"
    );
    assert!(rest.is_empty());
    disk.refuse_writes(false);

    // Behind it, the file is opened again and everything is as it was.
    assert_eq!(
        store.put_intent(intent(0, 0, 0), uses(1)).await.unwrap(),
        Begun::Recorded
    );
    let all = store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_waiters_of_a_failed_commit_are_told_and_none_is_recorded_in_part() {
    let disk = Disk::default();
    let gate = opened_gate();
    let store = Arc::new(store_on(&disk, Some(Arc::clone(&gate))).unwrap());
    gate.let_pass(0);
    let hold = Arc::clone(&store);
    let before_them = tokio::spawn(async move { hold.health().await });
    gate.wait_for(1).await;
    let mut waiters = Vec::new();
    for n in 0..20 {
        waiters.push(queued(&store, n).await);
    }
    gate.let_pass(1);
    before_them.await.unwrap().unwrap();
    gate.wait_for(2).await; // all twenty, in one commit
    disk.refuse_writes(true);
    gate.open();
    for waiter in waiters {
        let told = waiter.await;
        assert!(matches!(told, Err(StoreError::OutcomeUnknown)), "{told:?}");
    }
    disk.refuse_writes(false);
    store.health().await.unwrap();
    let all = store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 100)
        .await
        .unwrap();
    assert_eq!(all, []);
    for n in 0..20 {
        let begun = store.put_intent(intent(n, n, n), uses(1)).await.unwrap();
        assert_eq!(begun, Begun::Recorded);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_durable_audit_log_nothing_is_written() {
    let gate = opened_gate();
    let store = Arc::new(store_on(&Disk::default(), Some(Arc::clone(&gate))).unwrap());
    gate.refuse.store(true, Ordering::SeqCst);
    let refused = store.put_intent(intent(1, 1, 1), uses(1)).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    gate.refuse.store(false, Ordering::SeqCst);
    store.health().await.unwrap();
    let all = store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 10)
        .await
        .unwrap();
    assert_eq!(all, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_outlives_the_failed_commit_it_was_in() {
    let disk = Disk::default();
    let gate = opened_gate();
    let store = store_on(&disk, Some(Arc::clone(&gate))).unwrap();
    for (n, on_disk) in [(1, false), (2, true)] {
        store.put_intent(intent(n, n, n), uses(1)).await.unwrap();
        gate.refuse.store(!on_disk, Ordering::SeqCst);
        disk.refuse_writes(on_disk);
        store.put_submission(submission(n)).await.unwrap();
        store.put_final(leaf(n)).await.unwrap_err();
        gate.refuse.store(false, Ordering::SeqCst);
        disk.refuse_writes(false);
        store.put_final(leaf(n)).await.unwrap();
    }
    let all = store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 10)
        .await
        .unwrap();
    assert!(
        all.iter()
            .all(|record| record.submission.is_some() && record.leaf.is_some())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_failed_to_sync_is_not_trusted_again() {
    let disk = Disk::default();
    let store = store_on(&disk, None).unwrap();
    disk.refuse_syncs(true);
    let unknown = store.put_intent(intent(1, 1, 1), uses(1)).await;
    assert!(
        matches!(unknown, Err(StoreError::OutcomeUnknown)),
        "{unknown:?}"
    );
    disk.refuse_syncs(false);
    let closed = store.put_intent(intent(2, 2, 2), uses(1)).await;
    assert!(
        matches!(closed, Err(StoreError::Unavailable { .. })),
        "{closed:?}"
    );
}

#[test]
fn two_processes_cannot_open_one_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    let _first = RedbStore::open(&path, &Chance::new(1)).unwrap();
    assert!(matches!(
        RedbStore::open(&path, &Chance::new(1)),
        Err(OpenError::File(_))
    ));
}

#[test]
fn a_store_keeps_its_name_and_another_has_another() {
    let dir = tempfile::tempdir().unwrap();
    let chance = Chance::new(1);
    let open = |name| {
        RedbStore::open(&dir.path().join(name), &chance)
            .unwrap()
            .uuid()
    };
    let first = open("a.redb");
    assert_eq!(open("a.redb"), first);
    assert_ne!(open("b.redb"), first);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    drop(RedbStore::open(&path, &Chance::new(1)).unwrap());
    let database = redb::Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
    let newer = 99u64.to_be_bytes();
    txn.open_table(meta)
        .unwrap()
        .insert("schema", newer.as_slice())
        .unwrap();
    txn.commit().unwrap();
    drop(database);
    let refused = RedbStore::open(&path, &Chance::new(1)).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Newer {
                found: 99,
                known: 3
            }
        ),
        "{refused}"
    );
    let refused = RedbStore::inspect(&path).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Newer {
                found: 99,
                known: 3
            }
        ),
        "{refused}"
    );
}

#[tokio::test]
async fn a_closed_store_can_be_inspected() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    let store = RedbStore::open(&path, &Chance::new(1)).unwrap();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    drop(store);
    let inspection = RedbStore::inspect(&path).unwrap();
    let all = inspection
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 10)
        .unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(inspection.orphans(NOW.plus(1), 10).unwrap(), all);
}

/// What was acknowledged before a power cut.
#[derive(Default)]
struct Acknowledged {
    intents: Vec<u64>,
    finals: Vec<u64>,
}

/// Several writers until the power goes.
async fn write_until_dark(store: Arc<RedbStore>, from: u64) -> Acknowledged {
    let writers: Vec<_> = (0..4)
        .map(|lane| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut said = Acknowledged::default();
                for n in (from + lane..).step_by(4) {
                    if store.put_intent(intent(n, n, n), uses(1)).await.is_err() {
                        break;
                    }
                    said.intents.push(n);
                    if store.put_submission(submission(n)).await.is_err()
                        || store.put_final(leaf(n)).await.is_err()
                    {
                        break;
                    }
                    said.finals.push(n);
                }
                said
            })
        })
        .collect();
    let mut all = Acknowledged::default();
    for writer in writers {
        let said = writer.await.unwrap();
        all.intents.extend(said.intents);
        all.finals.extend(said.finals);
    }
    all
}

/// `SHORTLEAF_POWER_CUTS` sets how many; 1,000 is the long form.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_by_a_power_cut() {
    let cuts = std::env::var("SHORTLEAF_POWER_CUTS").map_or(50, |count| count.parse().unwrap());
    let chance = Chance::new(20_261_121);
    let disk = Disk::default();
    let mut kept = Acknowledged::default();
    let mut next = 0;
    for cut in 0..cuts {
        let store = store_on(&disk, None).unwrap_or_else(|e| panic!("cut {cut}: {e:?}"));
        // Now and then long enough for a checkpoint while writing goes on.
        let window = if cut % 10 == 0 { 900 } else { 100 };
        disk.cut_power_after(1 + chance.below(window));
        let said = write_until_dark(Arc::new(store), next).await;
        next += 1_000_000;
        kept.intents.extend(said.intents);
        kept.finals.extend(said.finals);
        disk.restore_power(&chance);
    }

    let store = store_on(&disk, None).unwrap();
    for n in &kept.intents {
        let selector = Selector {
            serial: Some(serial(*n)),
            ..Selector::default()
        };
        let found = store
            .find_issued(&selector, NOW, NOW.plus(1), 1)
            .await
            .unwrap();
        let record = found
            .first()
            .unwrap_or_else(|| panic!("intent {n} is lost"));
        assert_eq!(record.intent, intent(*n, *n, *n));
        assert!(
            record.leaf.is_some() || !kept.finals.contains(n),
            "final {n} is lost"
        );
        assert!(
            record.submission.is_some() || !kept.finals.contains(n),
            "submission {n} is lost"
        );
    }
    // The uses are as durable as the intents they were counted with.
    let spent = kept.intents.iter().step_by(17);
    for n in spent {
        let begun = store
            .put_intent(intent(n + 500_000, *n, 1 << 40), uses(1))
            .await
            .unwrap();
        assert_eq!(begun, Begun::Exhausted, "token {n}");
    }
    assert!(
        kept.finals.len() > cuts / 2,
        "too little was acknowledged to show anything"
    );
}
