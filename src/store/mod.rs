//! Where issuance is remembered: [`redb`] in the state directory, [`memory`] for demonstrations
//! and tests, and the audit log's file. What each must keep is written at the port,
//! `issuance::store::IssuanceStore`; why it holds is in `docs/storage.md`.

pub mod audit_file;
pub mod memory;
pub mod redb;

mod record;

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the name of a new file durable: after power loss it is found again only if its directory
/// knows it.
fn sync_directory_of(file: &Path) -> io::Result<()> {
    let parent = file.parent().filter(|path| !path.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

/// Something that has to be durable before the store's next commit is: the audit log.
pub trait BeforeCommit: Send + Sync {
    /// Makes everything written so far durable. An error fails the commit before it began.
    fn before_commit(&self) -> io::Result<()>;
}
