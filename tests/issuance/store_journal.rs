//! The journal before redb: what each crash leaves of the two files, and what a start makes of it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shortleaf::issuance::store::{IssuanceStore, Record, Selector};
use shortleaf::store::redb::{JournalError, OpenError, Recovered, RedbStore};

use crate::disk::{Disk, Mood};
use crate::samples::{Chance, NOW, intent, leaf, serial, submission, uses};

/// A journal without records.
const EMPTY: usize = 24;

fn store_on(disk: &Disk) -> Result<RedbStore, OpenError> {
    let store = Recovered::with_backends(disk.tables(), disk.journal(), &Chance::new(1), None)?;
    store.start(None)
}

async fn records(store: &RedbStore) -> Vec<Record> {
    store
        .find_issued(&Selector::default(), NOW, NOW.plus(1), 5000)
        .await
        .unwrap()
}

/// A whole record under each of these numbers.
async fn fill(store: &RedbStore, numbers: impl Iterator<Item = u64>) {
    for n in numbers {
        store.put_intent(intent(n, n, n), uses(1)).await.unwrap();
        store.put_submission(submission(n)).await.unwrap();
        store.put_final(leaf(n)).await.unwrap();
    }
}

/// Whether records 0, 1 … are there, all of them whole and nothing else.
async fn assert_whole(store: &RedbStore, count: usize, what: &str) {
    let found = records(store).await;
    let whole = |record: &Record| record.submission.is_some() && record.leaf.is_some();
    assert_eq!(found.len(), count, "{what}");
    assert!(found.iter().all(whole), "{what}");
    assert_eq!(store.orphans(NOW.plus(1), 10).await.unwrap(), [], "{what}");
}

/// Tables and journal: after three records, and after the checkpoint that followed.
async fn before_and_after_a_checkpoint() -> [[Vec<u8>; 2]; 2] {
    let disk = Disk::default();
    let store = store_on(&disk).unwrap();
    fill(&store, 0..3).await;
    let before = disk.durable();
    drop(store);
    let after = disk.durable();
    assert!(before[1].len() > EMPTY);
    assert_eq!(after[1].len(), EMPTY);
    [before, after]
}

#[tokio::test]
async fn what_only_the_journal_has_is_there_after_a_start() {
    let [[tables, journal], _] = before_and_after_a_checkpoint().await;
    let disk = Disk::holding(&tables, &journal);
    assert_whole(&store_on(&disk).unwrap(), 3, "replayed").await;
    assert_eq!(disk.durable()[1].len(), EMPTY);
    assert_whole(&store_on(&disk).unwrap(), 3, "opened again").await;
    // Twin: without the journal they are not.
    let disk = Disk::holding(&tables, &[]);
    assert_eq!(records(&store_on(&disk).unwrap()).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_what_is_not_yet_durable() {
    let disk = Disk::default();
    let store = Arc::new(store_on(&disk).unwrap());
    disk.hold_syncs(true);
    let writer = Arc::clone(&store);
    let put = tokio::spawn(async move { writer.put_intent(intent(1, 1, 1), uses(1)).await });
    while disk.journal_length() == EMPTY {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let meanwhile = records(&store).await;
    disk.hold_syncs(false);
    put.await.unwrap().unwrap();
    assert_eq!(meanwhile, []);
    assert_eq!(records(&store).await.len(), 1);
}

#[tokio::test]
async fn a_crash_between_checkpoint_and_cut_applies_nothing_twice() {
    let [[_, journal], [tables, _]] = before_and_after_a_checkpoint().await;
    let disk = Disk::holding(&tables, &journal);
    let store = store_on(&disk).unwrap();
    assert_whole(&store, 3, "skipped").await;
    // The numbers go on: what follows is not taken for something applied.
    fill(&store, 3..4).await;
    let [tables, journal] = disk.durable();
    let again = store_on(&Disk::holding(&tables, &journal)).unwrap();
    assert_whole(&again, 4, "after it").await;
}

#[tokio::test]
async fn a_last_batch_torn_at_any_octet_is_cut_off_and_the_rest_kept() {
    let disk = Disk::default();
    let store = store_on(&disk).unwrap();
    store.put_intent(intent(1, 1, 1), uses(1)).await.unwrap();
    let [_, before] = disk.durable();
    store.abandon(&[serial(1)], NOW.plus(9)).await.unwrap();
    let [tables, journal] = disk.durable();
    for length in before.len()..=journal.len() {
        let store = store_on(&Disk::holding(&tables, &journal[..length])).unwrap();
        let found = records(&store).await;
        let abandoned = (length == journal.len()).then_some(NOW.plus(9));
        assert_eq!(found.len(), 1, "cut at {length}");
        assert_eq!(found[0].abandoned, abandoned, "cut at {length}");
        store.health().await.unwrap();
    }
}

#[tokio::test]
async fn damage_before_the_last_batch_stops_the_start() {
    let [[tables, mut journal], _] = before_and_after_a_checkpoint().await;
    journal[EMPTY + 100] ^= 1;
    let refused = store_on(&Disk::holding(&tables, &journal)).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Journal(JournalError::Damaged { at: 24 })
        ),
        "{refused:?}"
    );
}

const MOODS: [[Mood; 2]; 6] = [
    [Mood::All, Mood::All],
    [Mood::All, Mood::Nothing],
    [Mood::Nothing, Mood::All],
    [Mood::Nothing, Mood::Nothing],
    [Mood::Torn, Mood::Torn],
    [Mood::Torn, Mood::Nothing],
];

#[tokio::test]
async fn no_power_cut_in_a_checkpoint_loses_or_doubles_anything() {
    let chance = Chance::new(7);
    for moods in MOODS {
        for operations in 1.. {
            let disk = Disk::default();
            let store = store_on(&disk).unwrap();
            fill(&store, 0..3).await;
            disk.cut_power_after(operations);
            drop(store); // the checkpoint, and redb's own closing
            let dark = disk.is_dark();
            disk.restore_power_with(moods, &chance);
            let what = format!("{moods:?}, after {operations}");
            let store = store_on(&disk).unwrap_or_else(|e| panic!("{what}: {e:?}"));
            assert_whole(&store, 3, &what).await;
            fill(&store, 3..4).await;
            assert_whole(&store, 4, &what).await;
            if !dark {
                break;
            }
        }
    }
}

#[tokio::test]
async fn no_power_cut_in_a_replay_loses_or_doubles_anything() {
    let chance = Chance::new(8);
    let [before, after] = before_and_after_a_checkpoint().await;
    for (tables, journal) in [(&before[0], &before[1]), (&after[0], &before[1])] {
        for moods in MOODS {
            for operations in 1.. {
                let disk = Disk::holding(tables, journal);
                disk.cut_power_after(operations);
                drop(store_on(&disk));
                let dark = disk.is_dark();
                disk.restore_power_with(moods, &chance);
                let what = format!("{moods:?}, after {operations}");
                let store = store_on(&disk).unwrap_or_else(|e| panic!("{what}: {e:?}"));
                assert_whole(&store, 3, &what).await;
                if !dark {
                    break;
                }
            }
        }
    }
}

/// A thousand intents from `from` on, all at once.
async fn put_a_thousand(store: &Arc<RedbStore>, from: u64) {
    let writers: Vec<_> = (from..from + 1000)
        .map(|n| {
            let store = Arc::clone(store);
            tokio::spawn(async move { store.put_intent(intent(n, n, n), uses(1)).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_is_written_over_while_writing_goes_on() {
    let disk = Disk::default();
    let store = Arc::new(store_on(&disk).unwrap());
    let mut lengths = Vec::new();
    for round in 0..9 {
        put_a_thousand(&store, round * 1000).await;
        lengths.push(disk.journal_length());
    }
    // A checkpoint comes with the fifth round.
    assert!(lengths[8] <= lengths[4] + lengths[0], "{lengths:?}");
    let [tables, journal] = disk.durable();
    let again = store_on(&Disk::holding(&tables, &journal)).unwrap();
    let all = Selector::default();
    let found = again.find_issued(&all, NOW, NOW.plus(1), 10_000).await;
    assert_eq!(found.unwrap().len(), 9000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_store_empties_its_journal() {
    let disk = Disk::default();
    let store = store_on(&disk).unwrap();
    fill(&store, 0..1).await;
    assert!(disk.durable()[1].len() > EMPTY);
    let emptied = async {
        while disk.durable()[1].len() > EMPTY {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), emptied)
        .await
        .unwrap();
    let [tables, _] = disk.durable();
    let again = store_on(&Disk::holding(&tables, &[])).unwrap();
    assert_whole(&again, 1, "from the tables alone").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_loses_nothing() {
    let disk = Disk::default();
    let store = store_on(&disk).unwrap();
    fill(&store, 0..2).await;
    disk.refuse_writes(true);
    let unavailable = async {
        while store.orphans(NOW, 1).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), unavailable)
        .await
        .unwrap();
    disk.refuse_writes(false);
    // Whoever asks first opens the files again, also who only reads.
    let again = async {
        while store.orphans(NOW, 1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .unwrap();
    fill(&store, 2..3).await;
    assert_whole(&store, 3, "opened again").await;
}

/// The files of a closed store after each of three lives with one record each, and the journal as
/// it was in the last of them.
async fn three_lives(path: &Path) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut closed = Vec::new();
    let mut journal = Vec::new();
    for n in 0..3 {
        let store = RedbStore::open(path, &Chance::new(1)).unwrap();
        fill(&store, n..n + 1).await;
        journal = std::fs::read(path.with_extension("journal")).unwrap();
        drop(store);
        closed.push(std::fs::read(path).unwrap());
    }
    (closed, journal)
}

#[tokio::test]
async fn an_inspection_does_not_pass_over_what_only_the_journal_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    let (closed, journal) = three_lives(&path).await;
    std::fs::write(&path, &closed[1]).unwrap();
    std::fs::write(path.with_extension("journal"), &journal).unwrap();
    let refused = RedbStore::inspect(&path).err().unwrap();
    assert!(
        matches!(refused, OpenError::Journal(JournalError::NotApplied)),
        "{refused:?}"
    );
    drop(RedbStore::open(&path, &Chance::new(1)).unwrap());
    let inspection = RedbStore::inspect(&path).unwrap();
    let all = inspection.find_issued(&Selector::default(), NOW, NOW.plus(1), 10);
    assert_eq!(all.unwrap().len(), 3);
}

#[tokio::test]
async fn an_older_copy_of_the_tables_beside_a_later_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    let (closed, journal) = three_lives(&path).await;
    std::fs::write(&path, &closed[0]).unwrap();
    std::fs::write(path.with_extension("journal"), &journal).unwrap();
    let refused = RedbStore::open(&path, &Chance::new(1)).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Journal(JournalError::Gap {
                applied: 2,
                first: 5
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn the_journal_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    let _store = RedbStore::open(&path, &Chance::new(1)).unwrap();
    let journal = std::fs::metadata(path.with_extension("journal")).unwrap();
    assert_eq!(journal.permissions().mode() & 0o777, 0o600);
}
