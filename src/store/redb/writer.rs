//! The one thread that writes: it takes all that waits, makes one commit of it, and answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redb::{Database, Durability};
use tokio::sync::oneshot;

use super::tables::{Done, Op, Tables};
use crate::issuance::store::StoreError;
use crate::store::BeforeCommit;

/// Most operations in one commit. What waits beyond it is in the next one.
const MAX_BATCH: usize = 1024;

/// How long a submission may wait for a commit that something else asks for.
const SUBMISSIONS_WAIT: Duration = Duration::from_millis(250);

/// An operation and who waits for it; nobody waits for a submission.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) op: Op,
    pub(super) reply: Option<oneshot::Sender<Result<Done, StoreError>>>,
}

type OpenFn = dyn Fn() -> Result<Database, ::redb::Error> + Send + Sync;

/// What the writer and the readers share.
pub(super) struct Shared {
    /// Absent between a failed commit and the reopening.
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
    pub(super) open: Box<OpenFn>,
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
    pub(super) fn run(self) {
        let mut batch = Vec::new();
        loop {
            // Submissions alone are no reason for a commit of their own: the final that follows
            // within a millisecond would have to wait for it.
            let more = match batch.is_empty() {
                true => self.queue.recv().map_err(RecvTimeoutError::from),
                false => self.queue.recv_timeout(SUBMISSIONS_WAIT),
            };
            match more {
                Ok(waiting) => batch.push(waiting),
                Err(RecvTimeoutError::Timeout) => {
                    self.commit(&mut batch);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.commit(&mut batch);
                    return;
                }
            }
            while batch.len() < MAX_BATCH
                && let Ok(waiting) = self.queue.try_recv()
            {
                batch.push(waiting);
            }
            if batch.len() >= MAX_BATCH || batch.iter().any(|waiting| waiting.op.wants_commit()) {
                self.commit(&mut batch);
            }
        }
    }

    /// One commit of everything in `batch`, then the answers.
    fn commit(&self, batch: &mut Vec<Waiting>) {
        if batch.is_empty() {
            return;
        }
        let results = self.write(batch);
        if matches!(results, Err(Failure::Before(_) | Failure::During)) {
            // redb refuses writes after a failed one until it is opened again, which also settles
            // what a commit of unknown outcome came to.
            self.shared.set_database(None);
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
    }

    fn write(&self, batch: &[Waiting]) -> Result<Vec<Result<Done, StoreError>>, Failure> {
        let before = |error: ::redb::Error| Failure::Before(unavailable(error));
        let database = self.opened()?;
        let mut txn = database.begin_write().map_err(|e| before(e.into()))?;
        txn.set_durability(Durability::Immediate)
            .map_err(|e| before(e.into()))?;
        let mut results = Vec::with_capacity(batch.len());
        {
            let mut tables = Tables::open(&txn).map_err(before)?;
            for waiting in batch {
                results.push(tables.apply(&waiting.op).map_err(before)?);
            }
        }
        // Every audit line these operations depend on was written before they were queued; it
        // must not be less durable than they are.
        if let Some(audit) = &self.before_commit {
            audit
                .before_commit()
                .map_err(|error| Failure::Aside(unavailable(error)))?;
        }
        txn.commit().map_err(|_| Failure::During)?;
        Ok(results)
    }

    /// The database, opened again if the last commit failed.
    fn opened(&self) -> Result<Arc<Database>, Failure> {
        if let Some(database) = self.shared.database() {
            return Ok(database);
        }
        if self.shared.sync_failed.load(Ordering::Acquire) {
            let closed = std::io::Error::other("closed since the disk failed to sync");
            return Err(Failure::Before(unavailable(closed)));
        }
        // Fails while a reader still holds the old one; the next batch tries again.
        let database = (self.open)().map_err(|error| Failure::Before(unavailable(error)))?;
        let database = Arc::new(database);
        self.shared.set_database(Some(Arc::clone(&database)));
        Ok(database)
    }
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
