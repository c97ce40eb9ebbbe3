//! The one thread that writes: it takes all that waits, makes one batch of it durable in the
//! journal, and answers. The tables follow: one transaction takes in many batches, and ends when
//! it has grown enough, when a reader wants to see it, or when nothing is left to do.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redb::{Database, Durability};
use tokio::sync::oneshot;

use super::batch::Lines;
use super::journal::Journal;
use super::op::{Done, Op, TokenAndKey};
use super::tables::Tables;
use super::{Audit, OpenError, Storage};
use crate::issuance::store::StoreError;
use crate::store::Carried;

/// Most operations in one batch. What waits beyond it is in the next one.
const MAX_BATCH: usize = 1024;

/// Most octets of the audit log that a batch carries. Where there are more, because of refusals
/// that brought nothing to store, the log is synced itself.
const MAX_CARRIED: u64 = 1 << 20;

/// How long a submission may wait for a batch that something else asks for.
const SUBMISSIONS_WAIT: Duration = Duration::from_millis(250);

/// After so long without an operation the tables are made durable and the journal emptied.
const IDLE: Duration = Duration::from_secs(1);

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To make this durable.
    Write(Waiting),
    /// To let readers see all that was answered before this.
    Publish(oneshot::Sender<()>),
}

/// An operation and who waits for it; nobody waits for a submission.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) op: Op,
    pub(super) reply: Option<oneshot::Sender<Result<Done, StoreError>>>,
}

/// What the writer and the readers share.
pub(super) struct Shared {
    /// Absent between a failed batch and the reopening.
    database: Mutex<Option<Arc<Database>>>,
    unpublished: Mutex<Unpublished>,
    pub(super) commits: AtomicU64,
    pub(super) sync_failed: Arc<AtomicBool>,
}

/// What was answered and no reader sees yet.
#[derive(Default)]
struct Unpublished {
    any: bool,
    /// Who got a final.
    finals: HashSet<TokenAndKey>,
}

impl Shared {
    pub(super) fn new(database: Database, sync_failed: Arc<AtomicBool>) -> Self {
        Self {
            database: Mutex::new(Some(Arc::new(database))),
            unpublished: Mutex::default(),
            commits: AtomicU64::new(0),
            sync_failed,
        }
    }

    pub(super) fn database(&self) -> Option<Arc<Database>> {
        let guard = self.database.lock();
        guard.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a reader has to ask the writer first: to publish something, or to open the files
    /// again after a failure.
    pub(super) fn is_behind(&self) -> bool {
        self.unpublished().any || self.database().is_none()
    }

    /// The same for the final of this token and key.
    pub(super) fn is_behind_for(&self, token_and_key: &TokenAndKey) -> bool {
        self.unpublished().finals.contains(token_and_key) || self.database().is_none()
    }

    fn unpublished(&self) -> MutexGuard<'_, Unpublished> {
        self.unpublished
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        let mut guard = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        *guard = database;
    }
}

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Receiver<Asked>,
    pub(super) audit: Option<Arc<dyn Carried>>,
    /// Up to here the audit log is durable, in its file or in the journal.
    pub(super) audited: u64,
    /// What the batch at hand carries of it; kept for its room.
    pub(super) lines: Lines,
    pub(super) storage: Storage,
    /// Absent between a failed batch and the reopening.
    pub(super) journal: Option<Journal>,
    /// Taken from the queue and not yet written.
    pub(super) batch: Vec<Waiting>,
    /// They wait to see what was answered.
    pub(super) readers: Vec<oneshot::Sender<()>>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// What is in the batch, and what the readers wait for.
    Work,
    /// Nothing, for a while.
    Rest,
    /// The last of it: nobody is left to ask.
    Close,
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
        loop {
            let next = self.next();
            let ended = match next {
                Next::Work => self.transaction(next),
                // No transaction is open, and the journal may hold what a failed one had.
                Next::Rest | Next::Close if !self.batch.is_empty() || self.has_records() => {
                    self.transaction(next)
                }
                Next::Rest | Next::Close => Ok(next),
            };
            let ended = ended.unwrap_or_else(|failure| {
                self.failed(&failure);
                next
            });
            if ended == Next::Close {
                return;
            }
        }
    }

    /// Waits for something to do, and takes all there is of it.
    fn next(&mut self) -> Next {
        loop {
            // Submissions alone are no reason for a batch of their own: the final that follows
            // within a millisecond would have to wait for it.
            let more = if !self.batch.is_empty() {
                self.queue.recv_timeout(SUBMISSIONS_WAIT)
            } else if self.has_records() {
                self.queue.recv_timeout(IDLE)
            } else {
                self.queue.recv().map_err(RecvTimeoutError::from)
            };
            match more {
                Ok(asked) => self.take(asked),
                Err(RecvTimeoutError::Timeout) if self.batch.is_empty() => return Next::Rest,
                Err(RecvTimeoutError::Timeout) => return Next::Work,
                Err(RecvTimeoutError::Disconnected) => return Next::Close,
            }
            self.gather();
            if self.batch.len() >= MAX_BATCH
                || !self.readers.is_empty()
                || self.batch.iter().any(|waiting| waiting.op.wants_commit())
            {
                return Next::Work;
            }
        }
    }

    fn take(&mut self, asked: Asked) {
        match asked {
            Asked::Write(waiting) => self.batch.push(waiting),
            Asked::Publish(reader) => self.readers.push(reader),
        }
    }

    /// Takes what waits, and once more what the others on this core had ready, as long as that
    /// brings more: each batch costs the same, however small. On an idle machine the first look is
    /// the last. No timer: nobody waits for somebody who may not come.
    fn gather(&mut self) {
        loop {
            std::thread::yield_now();
            let had = self.batch.len();
            while self.batch.len() < MAX_BATCH
                && let Ok(asked) = self.queue.try_recv()
            {
                self.take(asked);
            }
            if self.batch.len() == had || self.batch.len() >= MAX_BATCH {
                return;
            }
        }
    }

    fn has_records(&self) -> bool {
        self.journal.as_ref().is_some_and(|it| !it.is_cut_back())
    }

    /// One transaction of the tables: batch after batch, beginning with the one at hand, until
    /// there is a reason to end it. What ended it.
    fn transaction(&mut self, mut next: Next) -> Result<Next, Failure> {
        let database = self.opened()?;
        let before = |error: ::redb::Error| Failure::Before(unavailable(error));
        let mut txn = database.begin_write().map_err(|e| before(e.into()))?;
        let durable = {
            let mut tables = Tables::open(&txn).map_err(before)?;
            loop {
                match self.write(&mut tables) {
                    Err(failure @ Failure::Aside(_)) => self.tell_all(&failure),
                    written => written?,
                }
                if next != Next::Work || !self.readers.is_empty() || self.is_due() {
                    break;
                }
                next = self.next();
            }
            let durable = next != Next::Work || self.is_due();
            if durable {
                self.sync_audit()?;
            }
            // The batches up to this one are in the tables, in the same transaction as they.
            let applied = self.journal()?.next() - 1;
            let audited = durable.then_some(self.audited);
            tables.finish(applied, audited).map_err(before)?;
            durable
        };
        // The journal makes each batch durable; only before it is written over must tables and
        // audit log be.
        let durability = match durable {
            true => Durability::Immediate,
            false => Durability::None,
        };
        let ended = txn.set_durability(durability).map_err(::redb::Error::from);
        let ended = ended.and_then(|()| Ok(txn.commit()?));
        // Whoever waited was answered, and the journal has it all.
        ended.map_err(before)?;
        drop(database);
        self.published();
        if durable {
            let journal = self.journal()?;
            journal.rewind();
            if next != Next::Work {
                journal.clear().map_err(|_| Failure::During)?;
            }
        }
        Ok(next)
    }

    /// One batch of everything in hand, then the answers.
    fn write(&mut self, tables: &mut Tables<'_>) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let aside = |error| Failure::Aside(unavailable(error));
        self.take_lines().map_err(aside)?;
        let audited = self.lines.at + self.lines.octets.len() as u64;
        // They are closed and opened together.
        let journal = self.journal.as_mut();
        let journal = journal.ok_or_else(|| closed("without a journal"))?;
        for waiting in &mut self.batch {
            tables.shorten(&mut waiting.op);
        }
        let ops = self.batch.iter().map(|waiting| &waiting.op);
        journal.frame(&self.lines, ops).map_err(aside)?;
        let mut results = Vec::with_capacity(self.batch.len());
        for waiting in &self.batch {
            let result = tables.apply(&waiting.op);
            results.push(result.map_err(|error| Failure::Before(unavailable(error)))?);
        }
        journal.append().map_err(|_| Failure::During)?;
        self.audited = audited;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        let mut unpublished = self.shared.unpublished();
        unpublished.any = true;
        for result in &results {
            if let Ok(Done::Finished(token_and_key)) = result {
                unpublished.finals.insert(*token_and_key);
            }
        }
        drop(unpublished);
        // Durable from here on: only now may anyone act upon it.
        answer(self.batch.drain(..).zip(results));
        Ok(())
    }

    /// What has come to the audit log since the last batch. Every line that an operation depends
    /// on was written before it was queued, and must not be less durable than it is.
    fn take_lines(&mut self) -> std::io::Result<()> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let Lines { at, octets } = &mut self.lines;
        let written = audit.written()?;
        let new = written.saturating_sub(self.audited);
        if new <= MAX_CARRIED {
            *at = self.audited;
            // Those of the batch before are written over: nothing has to be cleared for that.
            octets.resize(usize::try_from(new).map_err(std::io::Error::other)?, 0);
            return audit.read(*at, octets);
        }
        octets.clear();
        audit.sync()?;
        *at = written;
        Ok(())
    }

    /// Makes the audit log durable in its own file.
    fn sync_audit(&mut self) -> Result<(), Failure> {
        let Some(audit) = &self.audit else {
            return Ok(());
        };
        let unavailable = |error| Failure::Before(unavailable(error));
        let written = audit.written().map_err(unavailable)?;
        audit.sync().map_err(unavailable)?;
        self.audited = written;
        Ok(())
    }

    fn is_due(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_due)
    }

    fn journal(&mut self) -> Result<&mut Journal, Failure> {
        let journal = self.journal.as_mut();
        journal.ok_or_else(|| closed("without a journal"))
    }

    /// Readers see all that was answered.
    fn published(&mut self) {
        let mut unpublished = self.shared.unpublished();
        unpublished.any = false;
        unpublished.finals.clear();
        drop(unpublished);
        for reader in self.readers.drain(..) {
            let _ = reader.send(()); // he may have gone
        }
    }

    /// The transaction is gone with all that was not committed: the journal has it. redb refuses
    /// writes after a failed one until it is opened again, which also settles what a batch of
    /// unknown outcome came to: the journal has it or not.
    fn failed(&mut self, failure: &Failure) {
        self.tell_all(failure);
        self.shared.set_database(None);
        self.journal = None;
        // Nothing is read before the reopening, and everything is seen after it.
        self.published();
    }

    /// Tells everyone who waits. Nobody waits for a submission, so it stays for the next batch:
    /// writing it twice is harmless, and a final must not become durable without it.
    fn tell_all(&mut self, failure: &Failure) {
        let error = match failure {
            Failure::Aside(error) | Failure::Before(error) => error,
            Failure::During => &StoreError::OutcomeUnknown,
        };
        let told = self
            .batch
            .extract_if(.., |waiting| waiting.op.wants_commit());
        answer(told.map(|waiting| (waiting, Err(error.clone()))));
    }

    /// The database, both files being opened again if the last batch failed.
    fn opened(&mut self) -> Result<Arc<Database>, Failure> {
        if let Some(database) = self.shared.database() {
            return Ok(database);
        }
        if self.shared.sync_failed.load(Ordering::Acquire) {
            return Err(closed("closed since the disk failed to sync"));
        }
        // In this process nothing of the audit log was lost; what a failed batch should have carried
        // becomes durable here.
        self.sync_audit()?;
        let unavailable = |error| Failure::Before(unavailable(error));
        // Fails while a reader still holds the old one; the next batch tries again.
        let database = self.storage.database();
        let database = database.map_err(|error| unavailable(OpenError::from(error)))?;
        let journal = self.storage.recover(&database, Audit::Synced(self.audited));
        self.journal = Some(journal.map_err(unavailable)?);
        let database = Arc::new(database);
        self.shared.set_database(Some(Arc::clone(&database)));
        Ok(database)
    }
}

fn closed(why: &'static str) -> Failure {
    Failure::Before(unavailable(std::io::Error::other(why)))
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
