//! The one thread that writes: it takes all that waits, makes one batch of it durable in the
//! journal and visible in the tables, and answers; now and then it makes the tables durable too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redb::{Database, Durability};
use tokio::sync::oneshot;

use super::journal::Journal;
use super::op::{Done, Op};
use super::tables::Tables;
use super::{OpenError, Storage};
use crate::issuance::store::StoreError;
use crate::store::BeforeCommit;

/// Most operations in one batch. What waits beyond it is in the next one.
const MAX_BATCH: usize = 1024;

/// How long a submission may wait for a commit that something else asks for.
const SUBMISSIONS_WAIT: Duration = Duration::from_millis(250);

/// After so long without an operation the tables are made durable and the journal emptied.
const IDLE: Duration = Duration::from_secs(1);

/// An operation and who waits for it; nobody waits for a submission.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) op: Op,
    pub(super) reply: Option<oneshot::Sender<Result<Done, StoreError>>>,
}

/// What the writer and the readers share.
pub(super) struct Shared {
    /// Absent between a failed batch and the reopening.
    pub(super) database: Mutex<Option<Arc<Database>>>,
    pub(super) commits: AtomicU64,
    pub(super) sync_failed: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn database(&self) -> Option<Arc<Database>> {
        let guard = self.database.lock();
        guard.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        let mut guard = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        *guard = database;
    }
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Receiver<Waiting>,
    pub(super) before_commit: Option<Arc<dyn BeforeCommit>>,
    pub(super) storage: Storage,
    /// Absent between a failed batch and the reopening.
    pub(super) journal: Option<Journal>,
}

/// How far a failed batch got.
enum Failure {
    /// Nothing was written, and the file is not at fault.
    Aside(StoreError),
    /// Nothing was written.
    Before(StoreError),
    /// Perhaps all of it is written, perhaps none.
    During,
}

impl Writer {
    /// Runs until every sender is gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            // Submissions alone are no reason for a batch of their own: the final that follows
            // within a millisecond would have to wait for it.
            let more = if !batch.is_empty() {
                self.queue.recv_timeout(SUBMISSIONS_WAIT)
            } else if self.journal.as_ref().is_some_and(|it| !it.is_empty()) {
                self.queue.recv_timeout(IDLE)
            } else {
                self.queue.recv().map_err(RecvTimeoutError::from)
            };
            match more {
                Ok(waiting) => batch.push(waiting),
                Err(RecvTimeoutError::Timeout) if batch.is_empty() => {
                    self.checkpoint();
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.commit(&mut batch);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.commit(&mut batch);
                    self.checkpoint();
                    return;
                }
            }
            self.gather(&mut batch);
            if batch.len() >= MAX_BATCH || batch.iter().any(|waiting| waiting.op.wants_commit()) {
                self.commit(&mut batch);
            }
        }
    }

    /// Takes what waits, and once more what the others on this core had ready, as long as that
    /// brings more: each batch costs the same, however small. On an idle machine the first look is
    /// the last. No timer: nobody waits for somebody who may not come.
    fn gather(&self, batch: &mut Vec<Waiting>) {
        loop {
            std::thread::yield_now();
            let had = batch.len();
            while batch.len() < MAX_BATCH
                && let Ok(waiting) = self.queue.try_recv()
            {
                batch.push(waiting);
            }
            if batch.len() == had || batch.len() >= MAX_BATCH {
                return;
            }
        }
    }

    /// One batch of everything in `batch`, then the answers.
    fn commit(&mut self, batch: &mut Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let results = self.write(batch);
        if matches!(results, Err(Failure::Before(_) | Failure::During)) {
            self.close();
        }
        match results {
            Ok(results) => {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                // Durable from here on: only now may anyone act upon it.
                answer(batch.drain(..).zip(results));
            }
            Err(Failure::Aside(error) | Failure::Before(error)) => tell_all(batch, &error),
            Err(Failure::During) => tell_all(batch, &StoreError::OutcomeUnknown),
        }
        if self.journal.as_ref().is_some_and(Journal::is_due) {
            self.checkpoint();
        }
    }

    fn write(&mut self, batch: &[Waiting]) -> Result<Vec<Result<Done, StoreError>>, Failure> {
        let before = |error: ::redb::Error| Failure::Before(unavailable(error));
        let database = self.opened()?;
        let journal = self.journal.as_mut();
        // They are closed and opened together.
        let journal = journal.ok_or_else(|| closed("without a journal"))?;
        let mut txn = database.begin_write().map_err(|e| before(e.into()))?;
        // The journal makes it durable; until the next checkpoint the tables need not be.
        txn.set_durability(Durability::None)
            .map_err(|e| before(e.into()))?;
        let mut results = Vec::with_capacity(batch.len());
        {
            let mut tables = Tables::open(&txn).map_err(before)?;
            for waiting in batch {
                results.push(tables.apply(&waiting.op).map_err(before)?);
            }
            tables.applied(journal.next()).map_err(before)?;
        }
        let aside = |error| Failure::Aside(unavailable(error));
        let record = journal
            .frame(batch.iter().map(|waiting| &waiting.op))
            .map_err(aside)?;
        // Every audit line these operations depend on was written before they were queued; it
        // must not be less durable than they are.
        if let Some(audit) = &self.before_commit {
            audit.before_commit().map_err(aside)?;
        }
        journal.append(&record).map_err(|_| Failure::During)?;
        // Readers see it only now that it is durable.
        txn.commit().map_err(|_| Failure::During)?;
        Ok(results)
    }

    /// Makes the tables durable, then empties the journal. Where that fails nothing is lost: what
    /// the journal holds is applied again when both are opened for the next batch.
    fn checkpoint(&mut self) {
        let database = self.shared.database();
        let Some((database, journal)) = database.zip(self.journal.as_mut()) else {
            return;
        };
        if journal.is_empty() {
            return;
        }
        let made = make_durable(&database).is_ok() && journal.clear().is_ok();
        drop(database);
        if !made {
            self.close();
        }
    }

    /// redb refuses writes after a failed one until it is opened again, which also settles what a
    /// batch of unknown outcome came to: the journal has it or not.
    fn close(&mut self) {
        self.shared.set_database(None);
        self.journal = None;
    }

    /// The database, both files being opened again if the last batch failed.
    fn opened(&mut self) -> Result<Arc<Database>, Failure> {
        if let Some(database) = self.shared.database() {
            return Ok(database);
        }
        if self.shared.sync_failed.load(Ordering::Acquire) {
            return Err(closed("closed since the disk failed to sync"));
        }
        // Fails while a reader still holds the old one; the next batch tries again.
        let unavailable = |error| Failure::Before(unavailable(error));
        let database = self.storage.database();
        let database = database.map_err(|error| unavailable(OpenError::from(error)))?;
        self.journal = Some(self.storage.recover(&database).map_err(unavailable)?);
        let database = Arc::new(database);
        self.shared.set_database(Some(Arc::clone(&database)));
        Ok(database)
    }
}

/// A durable commit takes along all that were not durable before it.
fn make_durable(database: &Database) -> Result<(), ::redb::Error> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    Ok(txn.commit()?)
}

fn closed(why: &'static str) -> Failure {
    Failure::Before(unavailable(std::io::Error::other(why)))
}

/// Tells everyone who waits. Nobody waits for a submission, so it stays for the next commit: writing
/// it twice is harmless, and a final must not become durable without it.
fn tell_all(batch: &mut Vec<Waiting>, error: &StoreError) {
    let told = batch.extract_if(.., |waiting| waiting.op.wants_commit());
    answer(told.map(|waiting| (waiting, Err(error.clone()))));
}

fn answer(results: impl Iterator<Item = (Waiting, Result<Done, StoreError>)>) {
    for (waiting, result) in results {
        if let Some(reply) = waiting.reply {
            // The caller may have gone; what was written stays written.
            let _ = reply.send(result);
        }
    }
}

pub(super) fn unavailable(source: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable {
        source: Arc::new(source),
    }
}
