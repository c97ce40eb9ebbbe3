//! The audit log's lines: JSON, hash-chained, one before and one after every signature, one for
//! every decision. Pure: the file is `store::audit_file`.

/// One thing worth remembering.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened: a fixed word (`precert_signing`, `precert_signed`, `issued`, `refused`, …).
    pub kind: &'static str,
    /// When, by the request's clock.
    pub at: crate::time::UnixMillis,
    /// The request's id.
    pub request_id: String,
    /// Further members, in this order. Never a token, key or proof.
    pub fields: Vec<(&'static str, String)>,
}

/// Where events go.
///
/// Contract: when `append` returns `Ok`, the line is with the operating system (it survives the
/// death of this process) and is made durable no later than the next successful store commit.
/// Lines keep the order of the calls. After an error nothing may be signed.
pub trait AuditLog: Send + Sync {
    /// Appends one line.
    fn append(&self, event: &Event) -> Result<(), Error>;
}

/// Why a line could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The write failed.
    #[error("could not write the audit log")]
    Write(#[source] std::io::Error),
}
