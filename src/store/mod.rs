//! Where issuance is remembered:  the audit log's file. What each must keep is written at the port,
//! `issuance::store::IssuanceStore`; why it holds is in `docs/storage.md`.

pub mod audit_file;

/// Something that has to be durable before the store's next commit is: the audit log.
pub trait BeforeCommit: Send + Sync {
    /// Makes everything written so far durable. An error fails the commit before it began.
    fn before_commit(&self) -> std::io::Result<()>;
}
