//! The store in one file of the state directory: redb, one process, group commit.
//!
//! `Ok` from a write means that a commit with `Durability::Immediate` has returned. Many waiting
//! requests share one commit; nobody waits for a timer. Before each commit the audit log is made
//! durable. A commit that failed is reported as `OutcomeUnknown` to everyone in it; the file is
//! then opened again, unless the disk failed to sync, which only a restart may forget.
//!
//! It does not compress, encrypt or replicate, and has no journal of its own in front of redb:
//! `docs/storage.md` says why.

mod backend;
mod tables;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ::redb::backends::FileBackend;
use ::redb::{
    Builder, Database, Error, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend,
};
use async_trait::async_trait;
use tokio::sync::oneshot;

use self::backend::Watched;
use self::tables::{Done, META, Op, ReadError, Tables};
use self::writer::{Shared, Waiting, Writer, unavailable};
use super::{BeforeCommit, sync_directory_of};
use crate::ca::Serial;
use crate::entropy::Entropy;
use crate::issuance::store::{
    Begun, Final, Intent, IssuanceStore, Record, Selector, StoreError, Submission, TokenUse,
};
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// The layout of the tables. A file with a higher number was written by a newer shortleaf.
const SCHEMA: u64 = 1;

/// Operations that may wait for the writer; beyond it the answer is `Unavailable`.
const QUEUE: usize = 8192;

/// Memory for pages. The working set is the right edge of the trees and the tokens of the last
/// minutes.
const CACHE_BYTES: usize = 32 << 20;

/// An open store. Dropping it waits for what is queued.
pub struct RedbStore {
    shared: Arc<Shared>,
    queue: Option<SyncSender<Waiting>>,
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
    /// The writer's thread could not be started.
    #[error("could not start the store's writer")]
    Thread(#[source] std::io::Error),
}

impl<E: Into<Error>> From<E> for OpenError {
    fn from(error: E) -> Self {
        Self::File(Box::new(error.into()))
    }
}

/// Makes the storage below the store, again after each failed commit.
pub type Backends = Box<dyn Fn() -> std::io::Result<Box<dyn StorageBackend>> + Send + Sync>;

impl RedbStore {
    /// Opens or creates the file (mode 0600) for this process alone. `entropy` names a new store;
    /// `before_commit` is the audit log that has to be durable no later than each commit.
    pub fn open(
        path: &Path,
        entropy: &dyn Entropy,
        before_commit: Option<Arc<dyn BeforeCommit>>,
    ) -> Result<Self, OpenError> {
        let file = path.to_owned();
        let backends: Backends = Box::new(move || {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .mode(0o600)
                .open(&file)?;
            let backend = FileBackend::new(file).map_err(std::io::Error::other)?;
            Ok(Box::new(backend))
        });
        let store = Self::with_backends(backends, entropy, before_commit)?;
        sync_directory_of(path)?;
        Ok(store)
    }

    /// The same over any storage: tests cut its power.
    pub fn with_backends(
        backends: Backends,
        entropy: &dyn Entropy,
        before_commit: Option<Arc<dyn BeforeCommit>>,
    ) -> Result<Self, OpenError> {
        let sync_failed = Arc::new(AtomicBool::new(false));
        let watch = Arc::clone(&sync_failed);
        let open = Box::new(move || -> Result<Database, Error> {
            let backend = Watched {
                inner: backends()?,
                sync_failed: Arc::clone(&watch),
            };
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES);
            Ok(builder.create_with_backend(backend)?)
        });
        let database = open()?;
        let uuid = prepare(&database, entropy)?;

        let shared = Arc::new(Shared {
            database: Mutex::new(Some(Arc::new(database))),
            commits: AtomicU64::new(0),
            sync_failed,
        });
        let (queue, receiver) = sync_channel(QUEUE);
        let writer = Writer {
            shared: Arc::clone(&shared),
            queue: receiver,
            before_commit,
            open,
        };
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            shared,
            queue: Some(queue),
            writer: Some(writer),
            uuid,
        })
    }

    /// Opens a file that no process is writing to, to look and change nothing. A file that a
    /// crash left behind has to be opened by [`RedbStore::open`] once before.
    pub fn inspect(path: &Path) -> Result<Inspection, OpenError> {
        let database = ReadOnlyDatabase::open(path)?;
        known_schema(&database.begin_read()?.open_table(META)?)?;
        Ok(Inspection(database))
    }

    /// Tells this store from every other, for as long as its file lives.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Commits since the start.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    fn enqueue(&self, waiting: Waiting) -> Result<(), StoreError> {
        let sent = match &self.queue {
            Some(queue) => queue.try_send(waiting),
            None => Err(TrySendError::Disconnected(waiting)),
        };
        sent.map_err(|error| match error {
            TrySendError::Full(_) => unavailable(Stopped::QueueFull),
            TrySendError::Disconnected(_) => unavailable(Stopped::NoWriter),
        })
    }

    async fn write(&self, op: Op) -> Result<Done, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Waiting {
            op,
            reply: Some(reply),
        })?;
        // The writer drops a reply only by dying, and nobody saw how far it got.
        answer.await.unwrap_or(Err(StoreError::OutcomeUnknown))
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
    #[error("the file is being opened again after a failed commit")]
    Reopening,
}

/// Checks or writes what names the file; its uuid.
fn prepare(database: &Database, entropy: &dyn Entropy) -> Result<[u8; 16], OpenError> {
    let txn = database.begin_write()?;
    let mut uuid = [0; 16];
    {
        let mut meta = txn.open_table(META)?;
        known_schema(&meta)?;
        match meta
            .get("uuid")?
            .and_then(|known| known.value().try_into().ok())
        {
            Some(known) => uuid = known,
            None => entropy.fill(&mut uuid),
        }
        meta.insert("uuid", uuid.as_slice())?;
        meta.insert("schema", SCHEMA.to_be_bytes().as_slice())?;
    }
    // Every table exists from the start, so that reading need not ask.
    Tables::open(&txn)?;
    txn.commit()?;
    Ok(uuid)
}

fn known_schema(meta: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<(), OpenError> {
    let found = meta.get("schema")?;
    let found = found.and_then(|found| <[u8; 8]>::try_from(found.value()).ok());
    match found.map_or(SCHEMA, u64::from_be_bytes) {
        found if found > SCHEMA => Err(OpenError::Newer {
            found,
            known: SCHEMA,
        }),
        _ => Ok(()),
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
            tables::find_issued(txn, selector, from, to, limit)
        })
    }

    /// As [`IssuanceStore::orphans`].
    pub fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError> {
        read_from(&self.0, |txn| tables::orphans(txn, before, limit))
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
        // One look into a small tree that is in memory: cheaper than a change of threads.
        self.read(|txn| tables::find_retry(txn, token, spki_hash, now))
    }

    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError> {
        let op = Op::intent(&intent, token_use);
        self.write(op).await.map(Begun::from)
    }

    async fn put_submission(&self, submission: Submission) -> Result<(), StoreError> {
        self.enqueue(Waiting {
            op: Op::submission(&submission),
            reply: None,
        })
    }

    async fn put_final(&self, leaf: Final) -> Result<(), StoreError> {
        self.write(Op::leaf(&leaf)).await.map(drop)
    }

    async fn find_issued(
        &self,
        selector: &Selector,
        from: UnixSeconds,
        to: UnixSeconds,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        // A window may be long: not on a thread that serves requests.
        let database = self.shared.database();
        let database = database.ok_or_else(|| unavailable(Stopped::Reopening))?;
        let selector = selector.clone();
        tokio::task::spawn_blocking(move || {
            read_from(&*database, |txn| {
                tables::find_issued(txn, &selector, from, to, limit)
            })
        })
        .await
        .map_err(unavailable)?
    }

    async fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError> {
        self.read(|txn| tables::orphans(txn, before, limit))
    }

    async fn abandon(&self, serials: &[Serial], at: UnixSeconds) -> Result<(), StoreError> {
        let serials = serials.to_vec();
        self.write(Op::Abandon { serials, at: at.0 })
            .await
            .map(drop)
    }

    async fn expire(&self, now: UnixSeconds) -> Result<usize, StoreError> {
        match self.write(Op::Expire { now: now.0 }).await? {
            Done::Expired(gone) => Ok(gone),
            Done::Written | Done::Exhausted => Ok(0),
        }
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.write(Op::Probe).await.map(drop)
    }
}
