//! Store and audit log together: the journal carries the log's end until the log itself is synced.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shortleaf::audit::{self, AuditLog as _, Event, Value};
use shortleaf::issuance::store::{IssuanceStore as _, Selector};
use shortleaf::store::audit_file::{self, AuditFile};
use shortleaf::store::redb::{JournalError, OpenError, RedbStore};
use shortleaf::store::{self, OpenError as Together};
use shortleaf::time::UnixMillis;
use tempfile::TempDir;

use crate::samples::{Chance, NOW, intent, uses};

const FILES: [&str; 3] = ["issuance.redb", "issuance.journal", "audit.log"];

struct State(TempDir);

impl State {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, file: usize) -> PathBuf {
        self.0.path().join(FILES[file])
    }

    fn open(&self) -> Result<(RedbStore, Arc<AuditFile>), Together> {
        let now = UnixMillis(1_795_262_400_000);
        store::open(&self.path(0), &self.path(2), &Chance::new(1), now)
    }

    /// The same files elsewhere, as they are at this moment.
    fn copy(&self) -> Self {
        let copy = Self::new();
        for file in 0..FILES.len() {
            fs::copy(self.path(file), copy.path(file)).unwrap();
        }
        copy
    }

    fn audit_length(&self) -> u64 {
        fs::metadata(self.path(2)).unwrap().len()
    }

    /// What a loss of power can do to what was never synced: it ends there, or there are zeros.
    fn lose_audit_from(&self, at: u64, zeros: u64) {
        let file = fs::File::options().write(true).open(self.path(2)).unwrap();
        file.set_len(at).unwrap();
        file.set_len(at + zeros).unwrap();
    }
}

fn append(log: &AuditFile, line: u64) {
    log.append(&Event {
        kind: "issued",
        at: UnixMillis(0),
        request_id: "r-1",
        fields: &[("serial", Value::Text(&line.to_string()))],
    })
    .unwrap();
}

fn lines(path: &Path) -> u64 {
    audit::verify(fs::read(path).unwrap().as_slice())
        .unwrap()
        .lines
}

/// A store in use, with ten lines and ten records.
async fn in_use() -> (State, RedbStore, Arc<AuditFile>) {
    let state = State::new();
    let (store, log) = state.open().unwrap();
    for n in 0..10 {
        append(&log, n);
        store.put_intent(intent(n, n, n), uses(1)).await.unwrap();
    }
    (state, store, log)
}

/// The files of one as a crash leaves them: no checkpoint yet.
async fn crashed() -> State {
    let (state, _store, _log) = in_use().await;
    state.copy()
}

#[tokio::test]
async fn what_a_loss_of_power_took_from_the_audit_log_is_put_back() {
    let state = crashed().await;
    for at in (0..state.audit_length()).step_by(101) {
        for zeros in [0, 500] {
            let after = state.copy();
            after.lose_audit_from(at, zeros);
            let (store, log) = after.open().unwrap();
            // What stands behind the last carried line is a torn line: cut off, and told.
            let torn = u64::from(at + zeros > state.audit_length());
            let found = lines(&after.path(2));
            assert_eq!(found, 10 + torn, "from {at}, {zeros} zeros");
            append(&log, 10);
            assert_eq!(lines(&after.path(2)), 11 + torn);
            let all = Selector::default();
            let found = store.find_issued(&all, NOW, NOW.plus(1), 100).await;
            assert_eq!(found.unwrap().len(), 10);
        }
    }
}

#[tokio::test]
async fn lines_of_a_published_transaction_are_put_back_too() {
    // A reader had the writer commit, and closing made that commit durable without a checkpoint.
    let (state, store, log) = in_use().await;
    let all = Selector::default();
    let found = store.find_issued(&all, NOW, NOW.plus(1), 100).await;
    assert_eq!(found.unwrap().len(), 10);
    let journal = fs::read(state.path(1)).unwrap();
    let short = fs::read(state.path(2)).unwrap();
    drop((store, log));
    // The tables as they are then, with what else the power left.
    for at in (0..short.len()).step_by(101) {
        let after = state.copy();
        forget_checkpoint(&after);
        fs::write(after.path(1), &journal).unwrap();
        fs::write(after.path(2), &short[..at]).unwrap();
        after.open().unwrap();
        assert_eq!(lines(&after.path(2)), 10, "from {at}");
    }
}

/// Takes back, in the tables, that the audit log was synced.
fn forget_checkpoint(state: &State) {
    const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("meta");
    let database = redb::Database::open(state.path(0)).unwrap();
    let change = database.begin_write().unwrap();
    {
        let mut meta = change.open_table(META).unwrap();
        meta.insert("carried", &[0u8; 16][..]).unwrap();
    }
    change.commit().unwrap();
}

#[tokio::test]
async fn holes_behind_the_durable_end_are_cut_off_and_before_it_refused() {
    let (state, store, log) = in_use().await;
    drop((store, log)); // a checkpoint: all of it is durable
    let durable = state.audit_length();
    let hole = |at: u64| {
        let after = state.copy();
        let (store, log) = after.open().unwrap();
        // Refusals: lines that nothing stored depends on.
        (20..30).for_each(|n| append(&log, n));
        let holed = after.copy();
        drop((store, log));
        let file = fs::File::options().write(true).open(holed.path(2));
        file.unwrap().write_all_at(&[0; 64], at).unwrap();
        holed
    };
    let behind = hole(durable + 200);
    behind.open().unwrap();
    assert_eq!(lines(&behind.path(2)), 11, "ten and what was cut");
    let refused = hole(durable - 200).open().err().unwrap();
    assert!(
        matches!(
            refused,
            Together::Audit(audit_file::OpenError::Damaged { .. })
        ),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_new_store_cuts_nothing_off_a_damaged_log_that_was_there_before() {
    let (state, store, log) = in_use().await;
    drop((store, log));
    let alone = || {
        let after = State::new();
        fs::copy(state.path(2), after.path(2)).unwrap();
        after
    };
    let damaged = alone();
    let mut octets = fs::read(damaged.path(2)).unwrap();
    let at = octets.len() - 100;
    octets[at] ^= 1;
    fs::write(damaged.path(2), &octets).unwrap();
    // The second start has a store that the first one made.
    for start in 1..=2 {
        let refused = damaged.open().err().unwrap();
        assert!(
            matches!(
                refused,
                Together::Audit(audit_file::OpenError::Damaged { .. })
            ),
            "start {start}: {refused:?}"
        );
        assert_eq!(fs::read(damaged.path(2)).unwrap(), octets, "start {start}");
    }
    // The twin: a whole log is gone on with.
    let whole = alone();
    let (_store, log) = whole.open().unwrap();
    append(&log, 10);
    assert_eq!(lines(&whole.path(2)), 11);
}

#[tokio::test]
async fn without_the_journal_the_lines_stay_lost() {
    // The twin: what puts them back is the journal.
    let after = crashed().await;
    after.lose_audit_from(0, 0);
    fs::remove_file(after.path(1)).unwrap();
    after.open().unwrap();
    assert_eq!(lines(&after.path(2)), 0);
}

#[tokio::test]
async fn after_a_clean_end_the_log_may_be_moved_away() {
    let (state, store, log) = in_use().await;
    drop((store, log));
    fs::remove_file(state.path(2)).unwrap();
    state.open().unwrap();
    assert_eq!(lines(&state.path(2)), 0);
}

#[tokio::test]
async fn a_log_moved_away_after_a_crash_is_asked_back() {
    let (state, store, log) = in_use().await;
    drop((store, log));
    let (store, log) = state.open().unwrap();
    append(&log, 10);
    store.put_intent(intent(99, 99, 99), uses(1)).await.unwrap();
    let after = state.copy();
    let moved = fs::read(after.path(2)).unwrap();
    fs::remove_file(after.path(2)).unwrap();
    let refused = after.open().err().unwrap();
    let Together::Store(OpenError::Journal(JournalError::Restore(why))) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.to_string().contains("put the log back"), "{why}");
    fs::write(after.path(2), moved).unwrap();
    after.open().unwrap();
    assert_eq!(lines(&after.path(2)), 11);
}

#[tokio::test]
async fn a_journal_that_carries_lines_is_not_opened_without_the_log() {
    let after = crashed().await;
    let refused = RedbStore::open(&after.path(0), &Chance::new(1));
    assert!(matches!(
        refused.err().unwrap(),
        OpenError::Journal(JournalError::CarriesLines)
    ));
    after.open().unwrap();
}

#[tokio::test]
async fn a_flood_of_lines_with_nothing_to_store_is_not_carried() {
    let (state, store, log) = in_use().await;
    let before = fs::metadata(state.path(1)).unwrap().len();
    for n in 0..5000 {
        append(&log, n);
    }
    assert!(state.audit_length() > 1 << 20);
    store.put_intent(intent(99, 99, 99), uses(1)).await.unwrap();
    let journal = fs::metadata(state.path(1)).unwrap().len();
    assert!(journal - before < 8192, "{journal} after {before}");
    let after = state.copy();
    after.open().unwrap();
    assert_eq!(lines(&after.path(2)), 5010);
}
