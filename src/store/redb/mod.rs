//! The store in one file of the state directory: redb, one process, group commit.
//!
//! `Ok` from a write means that the batch it was in is durable in the `journal`, one fdatasync
//! for all who waited, together with what has come to the audit log; nobody waits for a timer. The
//! tables take in many batches in one transaction, which ends when a reader wants to see it or at a
//! checkpoint, and only then durably; what a crash takes from them comes back from the journal. A
//! batch of which nobody knows how far it got is reported as `OutcomeUnknown` to everyone in it;
//! both files are then opened again, unless the disk failed to sync, which only a restart may forget.
//!
//! It does not compress, encrypt or replicate.

mod backend;
mod batch;
mod block;
mod journal;
mod layout;
mod op;
mod reads;
mod schema2;
mod tables;
mod tokens;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, Database, Durability, Error, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    ReadableTable, StorageBackend,
};
use async_trait::async_trait;
use tokio::sync::oneshot;

use self::backend::Watched;
use self::batch::{Batch, Lines};
use self::journal::Journal;
pub use self::journal::JournalError;
use self::layout::{APPLIED, CARRIED, META, ReadError};
use self::op::{Done, Op, TokenAndKey};
use self::tables::Tables;
use self::writer::{Asked, Shared, Waiting, Writer, unavailable};
use super::record::Row;
use super::{Carried, Restore, sync_directory_of};
use crate::ca::Serial;
use crate::entropy::Entropy;
use crate::issuance::store::{
    Begun, Final, Intent, IssuanceStore, Record, Selector, StoreError, Submission, TokenUse,
};
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// The layout of the tables. A file with a higher number was written by a newer shortleaf; one with
/// a lower number becomes one of this when it is opened. From 2 on there is a journal; from 3 on a
/// record is one row.
const SCHEMA: u64 = 3;

/// Operations that may wait for the writer; beyond it the answer is `Unavailable`.
const QUEUE: usize = 8192;

/// Memory for pages. The working set is the right edge of the trees and the tokens of the last
/// minutes.
const CACHE_BYTES: usize = 32 << 20;

/// An open store. Dropping it waits for what is queued.
pub struct RedbStore {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Asked>>,
    writer: Option<JoinHandle<()>>,
    uuid: [u8; 16],
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file could not be opened, locked, repaired or read.
    #[error("could not open the store")]
    File(#[source] Box<Error>),
    /// Written by a newer version.
    #[error("the store has schema {found}, this version knows up to {known}")]
    Newer {
        /// In the file.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// Written by an older version, and only looked at: nothing is changed.
    #[error("the store has schema {found}, and becomes one of {known} when it is opened once")]
    Older {
        /// In the file.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// A record of an older version could not be read, so the file was left as it is.
    #[error("could not bring the store's records to schema {SCHEMA}")]
    Record(#[source] StoreError),
    /// The journal could not be used.
    #[error("could not use the store's journal")]
    Journal(#[source] JournalError),
    /// The writer's thread could not be started.
    #[error("could not start the store's writer")]
    Thread(#[source] std::io::Error),
}

impl<E: Into<Error>> From<E> for OpenError {
    fn from(error: E) -> Self {
        Self::File(Box::new(error.into()))
    }
}

impl From<JournalError> for OpenError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// Makes the storage below one of the store's files, again after each failed batch. The journal's
/// grows, as files do, when it is written at its end.
pub type Backends = Box<dyn Fn() -> std::io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// Where the journal of the store at `path` is: beside it.
fn journal_of(path: &Path) -> PathBuf {
    path.with_extension("journal")
}

/// The file, for its owner only.
fn file_backends(path: PathBuf) -> Backends {
    Box::new(move || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        let backend = FileBackend::new(file).map_err(std::io::Error::other)?;
        Ok(Box::new(backend))
    })
}

/// A store with all that its journal held, which nobody writes to yet.
pub struct Recovered {
    database: Database,
    journal: Journal,
    storage: Storage,
    uuid: [u8; 16],
}

impl Recovered {
    /// Opens or creates the file and its journal beside it (`issuance.journal` for
    /// `issuance.redb`; mode 0600) for this process alone. `entropy` names a new store. What the
    /// journal carried of the audit log is put back into `audit`.
    pub fn open(
        path: &Path,
        entropy: &dyn Entropy,
        audit: Option<&dyn Restore>,
    ) -> Result<Self, OpenError> {
        let tables = file_backends(path.to_owned());
        let journal = file_backends(journal_of(path));
        let recovered = Self::with_backends(tables, journal, entropy, audit)?;
        sync_directory_of(path)?;
        Ok(recovered)
    }

    /// The same over any storage: tests cut its power.
    pub fn with_backends(
        tables: Backends,
        journal: Backends,
        entropy: &dyn Entropy,
        audit: Option<&dyn Restore>,
    ) -> Result<Self, OpenError> {
        let storage = Storage {
            tables,
            journal,
            sync_failed: Arc::default(),
        };
        let database = storage.database()?;
        let uuid = prepare(&database, entropy, audit)?;
        let journal = storage.recover(&database, Audit::AtStart(audit))?;
        Ok(Self {
            database,
            journal,
            storage,
            uuid,
        })
    }

    /// Begins to write. From here on each batch carries along what comes to the `audit` log.
    pub fn start(self, audit: Option<Arc<dyn Carried>>) -> Result<RedbStore, OpenError> {
        if let Some(audit) = &audit {
            audit.sync().map_err(Error::from)?;
        }
        let audited = audit.as_ref().map_or(Ok(0), |audit| audit.written());
        let sync_failed = Arc::clone(&self.storage.sync_failed);
        let shared = Arc::new(Shared::new(self.database, sync_failed));
        let (queue, receiver) = sync_channel(QUEUE);
        let writer = Writer {
            shared: Arc::clone(&shared),
            queue: receiver,
            audit,
            audited: audited.map_err(Error::from)?,
            lines: Lines::default(),
            storage: self.storage,
            journal: Some(self.journal),
            batch: Vec::new(),
            readers: Vec::new(),
        };
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(RedbStore {
            shared,
            queue: Some(queue),
            writer: Some(writer),
            uuid: self.uuid,
        })
    }
}

impl RedbStore {
    /// A store without an audit log: [`Recovered::open`] and [`Recovered::start`].
    pub fn open(path: &Path, entropy: &dyn Entropy) -> Result<Self, OpenError> {
        Recovered::open(path, entropy, None)?.start(None)
    }

    /// Opens a file that no process is writing to, to look and change nothing. Files that a
    /// crash left behind have to be opened by [`Recovered::open`] once before.
    pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
        let database = ReadOnlyDatabase::open(path)?;
        let meta = database.begin_read()?.open_table(META)?;
        let found = schema(&meta)?;
        if found < SCHEMA {
            return Err(OpenError::Older {
                found,
                known: SCHEMA,
            });
        }
        if let Some(uuid) = meta_octets(&meta, "uuid")? {
            let journal = match std::fs::read(journal_of(path)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
                read => read.map_err(JournalError::Io)?,
            };
            journal::is_applied(&journal, &uuid, applied(&meta)?)?;
        }
        Ok(Inspection(database))
    }

    /// Tells this store from every other, for as long as its file lives.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Batches made durable since the start.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    fn enqueue(&self, asked: Asked) -> Result<(), StoreError> {
        let sent = match &self.queue {
            Some(queue) => queue.try_send(asked),
            None => Err(TrySendError::Disconnected(asked)),
        };
        sent.map_err(|error| match error {
            TrySendError::Full(_) => unavailable(Stopped::QueueFull),
            TrySendError::Disconnected(_) => unavailable(Stopped::NoWriter),
        })
    }

    async fn write(&self, op: Op) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        let reply = Some(reply);
        self.enqueue(Asked::Write(Waiting { op, reply }))?;
        // The writer drops a reply only by dying, and nobody saw how far it got.
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
    }

    /// Waits until readers see all that was answered up to now.
    async fn publish(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Asked::Publish(reply))?;
        answer.await.map_err(|_| unavailable(Stopped::NoWriter))
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let database = self.shared.database();
        let database = database.ok_or_else(|| unavailable(Stopped::Reopening))?;
        read_from(&*database, read)
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        self.queue = None; // ends the writer once the queue is empty
        if let Some(writer) = self.writer.take() {
            let _ = writer.join(); // a panic there has already failed its callers
        }
    }
}

/// Why the writer took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Stopped {
    #[error("{QUEUE} operations are waiting already")]
    QueueFull,
    #[error("the writer has ended")]
    NoWriter,
    #[error("the file is being opened again after a failed batch")]
    Reopening,
}

/// How both files are opened, the first time and after a failure.
struct Storage {
    tables: Backends,
    journal: Backends,
    sync_failed: Arc<AtomicBool>,
}

impl Storage {
    fn watched(&self, backends: &Backends) -> std::io::Result<Watched> {
        Ok(Watched {
            inner: backends()?,
            sync_failed: Arc::clone(&self.sync_failed),
        })
    }

    /// The tables as of their last durable commit.
    fn database(&self) -> Result<Database, Error> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        Ok(builder.create_with_backend(self.watched(&self.tables)?)?)
    }

    /// Brings audit log and tables up to the journal's end, durably, the tables in one
    /// transaction: a crash in it leaves all to be done again.
    fn recover(&self, database: &Database, audit: Audit<'_>) -> Result<Journal, OpenError> {
        let (uuid, applied, carried) = {
            let meta = database.begin_read()?.open_table(META)?;
            let uuid = meta_octets(&meta, "uuid")?.unwrap_or_default();
            (uuid, applied(&meta)?, meta_octets::<16>(&meta, CARRIED)?)
        };
        let carried = carried.map(u128::from_be_bytes).map(|both| {
            ((both >> 64) as u64, both as u64) // its two halves
        });
        let file = self.watched(&self.journal).map_err(JournalError::Io)?;
        let since = carried.map_or(applied, |(batch, _)| batch);
        let (mut journal, batches) = Journal::open(file, uuid, applied, since)?;
        let mut audited = carried.map_or(0, |(_, end)| end);
        match audit {
            Audit::Synced(to) => audited = to,
            Audit::AtStart(audit) => {
                // A store that kept no account of the log cannot say what a loss of power took.
                if let (Some(audit), Some((_, durable))) = (audit, carried) {
                    audit.durable_to(durable);
                }
                for (_, Batch { lines, .. }) in &batches {
                    if !lines.octets.is_empty() {
                        let audit = audit.ok_or(JournalError::CarriesLines)?;
                        let restored = audit.restore(lines.at, &lines.octets);
                        restored.map_err(JournalError::Restore)?;
                    }
                    audited = lines.at + lines.octets.len() as u64;
                }
            }
        }
        if !journal.is_empty() {
            let mut txn = database.begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            {
                let mut tables = Tables::open(&txn)?;
                let new = batches.iter().filter(|(number, _)| *number > applied);
                for op in new.flat_map(|(_, batch)| &batch.ops) {
                    // What was refused then is refused again, for the same reason.
                    let _ = tables.apply(op)?;
                }
                tables.finish(journal.next() - 1, Some(audited))?;
            }
            txn.commit()?;
            journal.clear().map_err(JournalError::Io)?;
        }
        Ok(journal)
    }
}

/// What is known of the audit log when the files are opened.
enum Audit<'a> {
    /// Nothing but what the store kept: what may be lost is put back there.
    AtStart(Option<&'a dyn Restore>),
    /// All of it, so far, is durable in its file.
    Synced(u64),
}

/// Checks or writes what names the file; its uuid. Brings the tables to our schema. A new file takes
/// the audit log as it finds it: all of that was there before.
fn prepare(
    database: &Database,
    entropy: &dyn Entropy,
    audit: Option<&dyn Restore>,
) -> Result<[u8; 16], OpenError> {
    let txn = database.begin_write()?;
    let mut uuid = [0; 16];
    let older = {
        let mut meta = txn.open_table(META)?;
        let older = schema(&meta)? < SCHEMA;
        match meta_octets(&meta, "uuid")? {
            Some(known) => uuid = known,
            None => {
                entropy.fill(&mut uuid);
                if let Some(audit) = audit {
                    let end = audit.settle().map_err(Error::from)?;
                    let carried = u128::from(end).to_be_bytes(); // no batch, and up to here
                    meta.insert(CARRIED, carried.as_slice())?;
                }
            }
        }
        meta.insert("uuid", uuid.as_slice())?;
        meta.insert("schema", SCHEMA.to_be_bytes().as_slice())?;
        older
    };
    if older {
        schema2::migrate(&txn).map_err(|error| match error {
            ReadError::File(error) => OpenError::File(error),
            ReadError::Record(error) => OpenError::Record(error),
        })?;
    }
    // Every table exists from the start, so that reading need not ask.
    drop(Tables::open(&txn)?);
    txn.commit()?;
    Ok(uuid)
}

fn meta_octets<const N: usize>(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> Result<Option<[u8; N]>, Error> {
    let found = meta.get(name)?;
    Ok(found.and_then(|found| found.value().try_into().ok()))
}

/// The last batch of the journal that the tables hold.
fn applied(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u64, Error> {
    Ok(meta_octets(meta, APPLIED)?.map_or(0, u64::from_be_bytes))
}

/// The file's schema: ours if it is new, and never a higher one.
fn schema(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<u64, OpenError> {
    let found = meta_octets(meta, "schema")?;
    match found.map_or(SCHEMA, u64::from_be_bytes) {
        found if found > SCHEMA => Err(OpenError::Newer {
            found,
            known: SCHEMA,
        }),
        found => Ok(found),
    }
}

fn read_from<T>(
    database: &impl ReadableDatabase,
    read: impl FnOnce(&ReadTransaction) -> Result<T, ReadError>,
) -> Result<T, StoreError> {
    let txn = database
        .begin_read()
        .map_err(|e| unavailable(Error::from(e)))?;
    read(&txn).map_err(|error| match error {
        ReadError::Record(error) => error,
        ReadError::File(source) => StoreError::Unavailable {
            source: Arc::new(*source),
        },
    })
}

/// A store opened to look and change nothing.
pub struct Inspection(ReadOnlyDatabase);

impl Inspection {
    /// As [`IssuanceStore::find_issued`].
    pub fn find_issued(
        &self,
        selector: &Selector,
        from: UnixSeconds,
        to: UnixSeconds,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        read_from(&self.0, |txn| {
            reads::find_issued(txn, selector, from, to, limit)
        })
    }

    /// As [`IssuanceStore::orphans`].
    pub fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError> {
        read_from(&self.0, |txn| reads::orphans(txn, before, limit))
    }
}

#[async_trait]
impl IssuanceStore for RedbStore {
    async fn find_retry(
        &self,
        token: &TokenId,
        spki_hash: &[u8; 32],
        now: UnixSeconds,
    ) -> Result<Option<Record>, StoreError> {
        let mut token_and_key: TokenAndKey = [0; 64];
        token_and_key[..32].copy_from_slice(token.octets());
        token_and_key[32..].copy_from_slice(spki_hash);
        if self.shared.is_behind_for(&token_and_key) {
            self.publish().await?;
        }
        // One look into a small tree that is in memory: cheaper than a change of threads.
        self.read(|txn| reads::find_retry(txn, &token_and_key, now))
    }

    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError> {
        let row = Row::new(&intent);
        let op = Op::Intent { row, token_use };
        self.write(op).await.map(Begun::from)
    }

    async fn put_submission(&self, submission: Submission) -> Result<(), StoreError> {
        let op = Op::Submission(submission);
        self.enqueue(Asked::Write(Waiting { op, reply: None }))
    }

    async fn put_final(&self, leaf: Final) -> Result<(), StoreError> {
        self.write(Op::Final(leaf)).await.map(drop)
    }

    async fn find_issued(
        &self,
        selector: &Selector,
        from: UnixSeconds,
        to: UnixSeconds,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        if self.shared.is_behind() {
            self.publish().await?;
        }
        // A window may be long: not on a thread that serves requests.
        let database = self.shared.database();
        let database = database.ok_or_else(|| unavailable(Stopped::Reopening))?;
        let selector = selector.clone();
        tokio::task::spawn_blocking(move || {
            read_from(&*database, |txn| {
                reads::find_issued(txn, &selector, from, to, limit)
            })
        })
        .await
        .map_err(unavailable)?
    }

    async fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError> {
        if self.shared.is_behind() {
            self.publish().await?;
        }
        self.read(|txn| reads::orphans(txn, before, limit))
    }

    async fn abandon(&self, serials: &[Serial], at: UnixSeconds) -> Result<(), StoreError> {
        let serials = serials.to_vec();
        self.write(Op::Abandon { serials, at: at.0 })
            .await
            .map(drop)
    }

    async fn expire(&self, now: UnixSeconds) -> Result<usize, StoreError> {
        let mut all = 0;
        loop {
            match self.write(Op::Expire { now: now.0 }).await? {
                Done::Expired { gone, more: true } => all += gone,
                Done::Expired { gone, more: false } => return Ok(all + gone),
                Done::Written | Done::Finished(_) | Done::Exhausted | Done::Forgotten(_) => {
                    return Ok(all);
                }
            }
        }
    }

    async fn forget(&self, before: UnixSeconds, limit: usize) -> Result<usize, StoreError> {
        let (before, limit) = (before.0, u32::try_from(limit).unwrap_or(u32::MAX));
        match self.write(Op::Forget { before, limit }).await? {
            Done::Forgotten(gone) => Ok(gone),
            Done::Written | Done::Finished(_) | Done::Exhausted | Done::Expired { .. } => Ok(0),
        }
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.write(Op::Probe).await.map(drop)
    }
}
