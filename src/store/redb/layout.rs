//! Which tables there are for records, what their keys are, and how reading them fails.

use ::redb::{Error, TableDefinition};

use crate::issuance::store::StoreError;

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// In `meta`: the sequence number of the journal's last batch that the tables hold.
pub(super) const APPLIED: &str = "applied";
/// In `meta`: the same number as of the last checkpoint, and how long the audit log was then. What
/// the journal carried of the log up to there is durable in the log's own file. Behind `applied`
/// where a transaction was published and became durable without a checkpoint.
pub(super) const CARRIED: &str = "carried";
/// In `meta`: what the next row that is known by a number has for one.
pub(super) const NEXT: &str = "next";

/// (time of its first record, number) to closed records.
pub(super) type Blocks = TableDefinition<'static, BlockKey, &'static [u8]>;
pub(super) const BLOCKS: Blocks = TableDefinition::new("blocks");
pub(super) type BlockKey = (i64, u64);
/// (intent's time, serial) to the record of an intent that may still get a final.
pub(super) const PENDING: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("pending");
pub(super) type Key = (i64, &'static [u8; 19]);
/// Serial to where its record is: a block's key, or its own time and zero if it is pending.
pub(super) const PLACES: TableDefinition<'_, &[u8; 19], BlockKey> = TableDefinition::new("places");

/// Why a read failed: the file, or one record in it.
#[derive(Debug)]
pub(super) enum ReadError {
    File(Box<Error>),
    Record(StoreError),
}

impl<E: Into<Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self::File(Box::new(error.into()))
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Record(error)
    }
}
