//! Where issuance is remembered: [`redb`] in the state directory, [`memory`] for demonstrations
//! and tests, and the audit log's file. What each must keep is written at the port,
//! `issuance::store::IssuanceStore`; why it holds is in `docs/storage.md`.

pub mod audit_file;
pub mod memory;
pub mod redb;

mod delta;
mod fields;
mod record;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use self::audit_file::{AuditFile, LockedAudit};
use self::redb::{Recovered, RedbStore};
use crate::entropy::Entropy;
use crate::time::UnixMillis;

/// Why a store and its audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The audit log.
    #[error("could not open the audit log")]
    Audit(#[from] audit_file::OpenError),
    /// The store.
    #[error("could not open the store")]
    Store(#[from] redb::OpenError),
}

/// Opens or creates a store and its audit log. What a loss of power took from the log comes out of
/// the store's journal, so the store's comes before a look at the log's end.
pub fn open(
    store: &Path,
    audit: &Path,
    entropy: &dyn Entropy,
    now: UnixMillis,
) -> Result<(RedbStore, Arc<AuditFile>), OpenError> {
    let audit = LockedAudit::open(audit)?;
    let store = Recovered::open(store, entropy, Some(&audit))?;
    let audit = Arc::new(audit.resume(now)?);
    Ok((store.start(Some(audit.clone()))?, audit))
}

/// Makes the name of a new file durable: after power loss it is found again only if its directory
/// knows it.
fn sync_directory_of(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// The file that must not be less durable than the store: the audit log. The store's journal
/// carries along what was written to it, so that one sync makes both durable.
pub trait Carried: Send + Sync {
    /// How many octets were written so far. Fails where it is not known what was.
    fn written(&self) -> io::Result<u64>;
    /// Reads as many of them as `octets` has room for, from `from` on.
    fn read(&self, from: u64, octets: &mut [u8]) -> io::Result<()>;
    /// Makes all of them durable in the file itself.
    fn sync(&self) -> io::Result<()>;
}

/// Where the octets that a journal carried are put back after a loss of power.
pub trait Restore {
    /// Makes durable what stands there, and says up to where that is. For a store that is new: the
    /// log may be older, and then it is nobody's to cut.
    fn settle(&self) -> io::Result<u64>;
    /// Everything before `end` was made durable in the file itself; what follows may be lost, in
    /// part or in whole, unless it is restored.
    fn durable_to(&self, end: u64);
    /// Makes these octets stand at `at`, durably.
    fn restore(&self, at: u64, octets: &[u8]) -> io::Result<()>;
}
