//! Where issuance is remembered: [`redb`] in the state directory, [`memory`] for demonstrations
//! and tests, and the audit log's file. What each must keep is written at the port,
//! `issuance::store::IssuanceStore`; why it holds is in `docs/storage.md`.

pub mod audit_file;
pub mod memory;
pub mod redb;

mod record;

/// Something that has to be durable before the store's next commit is: the audit log.
pub trait BeforeCommit: Send + Sync {
    /// Makes everything written so far durable. An error fails the commit before it began.
    fn before_commit(&self) -> std::io::Result<()>;
}
