//! The tables of the file, what each operation changes in them, and how they are read.
//!
//! Everything big is keyed by (time, serial), so that new records land beside each other at the
//! right edge of their tree and a time window is one range. Only `serials` and the two
//! token tables are keyed by random octets; their rows are small.

use std::collections::HashMap;

use ::redb::{
    Error, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use super::op::{Done, Op, TokenAndKey};
use crate::ca::Serial;
use crate::issuance::store::{Intent, Record, Selector, StoreError, TokenUse};
use crate::store::record;
use crate::time::UnixSeconds;

/// (intent's time, serial)
type Key = (i64, &'static [u8; 19]);
type KeyOf<'a> = (i64, &'a [u8; 19]);

pub(super) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// In `meta`: the sequence number of the journal's last batch that the tables hold.
pub(super) const APPLIED: &str = "applied";
/// In `meta`: the same number as of the last checkpoint, and how long the audit log was then. What
/// the journal carried of the log up to there is durable in the log's own file. Behind `applied`
/// where a transaction was published and became durable without a checkpoint.
pub(super) const CARRIED: &str = "carried";
const INTENTS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("intents");
const SUBMISSIONS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("submissions");
const FINALS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("finals");
/// Intents that may still get a final, with what the retry index will need of them.
const OPEN: TableDefinition<'_, Key, &[u8; 72]> = TableDefinition::new("open");
/// Intents given up, and when.
const ABANDONED: TableDefinition<'_, Key, i64> = TableDefinition::new("abandoned");
/// Serial to the intent's time.
const SERIALS: TableDefinition<'_, &[u8; 19], i64> = TableDefinition::new("serials");
/// Token id to the SPKI hashes it has certified, one after another.
const USES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("token_uses");
/// Token id and SPKI hash to the latest final: (notAfter, key of the record).
const RETRY: TableDefinition<'_, &[u8; 64], (i64, i64, &[u8; 19])> = TableDefinition::new("retry");
/// (when it may go, token id or token id and SPKI hash)
const EXPIRIES: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("expiries");

/// An intent of this transaction, and what it puts into `open` if the transaction ends before
/// its final comes: most finals come within milliseconds.
struct Fresh {
    at: i64,
    open: Option<[u8; 72]>,
}

/// Every table, open for writing.
pub(super) struct Tables<'t> {
    fresh: HashMap<Serial, Fresh>,
    meta: Table<'t, &'static str, &'static [u8]>,
    intents: Table<'t, Key, &'static [u8]>,
    submissions: Table<'t, Key, &'static [u8]>,
    finals: Table<'t, Key, &'static [u8]>,
    open: Table<'t, Key, &'static [u8; 72]>,
    abandoned: Table<'t, Key, i64>,
    serials: Table<'t, &'static [u8; 19], i64>,
    uses: Table<'t, &'static [u8; 32], &'static [u8]>,
    retry: Table<'t, &'static [u8; 64], (i64, i64, &'static [u8; 19])>,
    expiries: Table<'t, (i64, &'static [u8]), ()>,
}

impl<'t> Tables<'t> {
    /// Opens all of them, creating those that do not exist.
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            fresh: HashMap::new(),
            meta: txn.open_table(META)?,
            intents: txn.open_table(INTENTS)?,
            submissions: txn.open_table(SUBMISSIONS)?,
            finals: txn.open_table(FINALS)?,
            open: txn.open_table(OPEN)?,
            abandoned: txn.open_table(ABANDONED)?,
            serials: txn.open_table(SERIALS)?,
            uses: txn.open_table(USES)?,
            retry: txn.open_table(RETRY)?,
            expiries: txn.open_table(EXPIRIES)?,
        })
    }

    /// Does one operation. The inner error concerns this operation only, which then changed
    /// nothing; the outer one the whole transaction.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Result<Done, StoreError>, Error> {
        match op {
            Op::Intent {
                key: (at, serial),
                encoded,
                token_id,
                spki_hash,
                not_after,
                token_use,
            } => {
                let key = (*at, serial.octets());
                if let Some(known_at) = self.at(serial)? {
                    let known = self.intents.get((known_at, serial.octets()))?;
                    return Ok(match known {
                        Some(known) if known.value() == encoded.as_slice() => Ok(Done::Written),
                        Some(_) | None => Err(StoreError::Conflict { serial: *serial }),
                    });
                }
                if !self.spend(token_id, spki_hash, token_use)? {
                    return Ok(Ok(Done::Exhausted));
                }
                let mut open = [0; 72];
                open[..32].copy_from_slice(token_id);
                open[32..64].copy_from_slice(spki_hash);
                open[64..].copy_from_slice(&not_after.to_be_bytes());
                self.intents.insert(key, encoded.as_slice())?;
                self.serials.insert(serial.octets(), at)?;
                let open = Some(open);
                self.fresh.insert(*serial, Fresh { at: *at, open });
                Ok(Ok(Done::Written))
            }
            Op::Submission { serial, encoded } => {
                if let Some(at) = self.at(serial)? {
                    let key = (at, serial.octets());
                    self.submissions.insert(key, encoded.as_slice())?;
                }
                Ok(Ok(Done::Written))
            }
            Op::Final { serial, encoded } => self.put_final(serial, encoded),
            Op::Abandon { serials, at } => {
                for serial in serials {
                    if let Some(since) = self.at(serial)?
                        && self.close(since, serial)?.is_some()
                    {
                        self.abandoned.insert((since, serial.octets()), at)?;
                    }
                }
                Ok(Ok(Done::Written))
            }
            Op::Expire { now } => self.expire(*now).map(|gone| Ok(Done::Expired(gone))),
            Op::Forget { before, limit } => self.forget(*before, *limit).map(Ok),
            Op::Probe => {
                self.meta.insert("probe", &[0u8][..])?;
                Ok(Ok(Done::Written))
            }
        }
    }

    /// The last of the transaction: what is still open, and that the journal's batches up to
    /// this one are in it.
    ///
    /// `audited`, for a checkpoint: up to where the audit log is durable.
    pub(super) fn finish(mut self, sequence: u64, audited: Option<u64>) -> Result<(), Error> {
        for (serial, fresh) in &self.fresh {
            if let Some(open) = &fresh.open {
                self.open.insert((fresh.at, serial.octets()), open)?;
            }
        }
        let sequence = sequence.to_be_bytes();
        self.meta.insert(APPLIED, sequence.as_slice())?;
        if let Some(audited) = audited {
            let carried = [sequence, audited.to_be_bytes()].concat();
            self.meta.insert(CARRIED, carried.as_slice())?;
        }
        Ok(())
    }

    fn at(&self, serial: &Serial) -> Result<Option<i64>, Error> {
        if let Some(fresh) = self.fresh.get(serial) {
            return Ok(Some(fresh.at));
        }
        Ok(self.serials.get(serial.octets())?.map(|at| at.value()))
    }

    /// Takes the intent off those that may still get a final; what was noted of it, if it was one.
    fn close(&mut self, at: i64, serial: &Serial) -> Result<Option<[u8; 72]>, Error> {
        if let Some(fresh) = self.fresh.get_mut(serial) {
            return Ok(fresh.open.take());
        }
        let open = self.open.remove((at, serial.octets()))?;
        Ok(open.map(|open| *open.value()))
    }

    /// Counts the key against the token; false if no use is left for it.
    fn spend(
        &mut self,
        token_id: &[u8; 32],
        spki_hash: &[u8; 32],
        token_use: &TokenUse,
    ) -> Result<bool, Error> {
        let mut keys = match self.uses.get(token_id)? {
            Some(keys) => keys.value().to_vec(),
            None => Vec::new(),
        };
        if keys.chunks_exact(32).any(|key| key == spki_hash) {
            return Ok(true);
        }
        if keys.len() / 32 >= token_use.limit as usize {
            return Ok(false);
        }
        if keys.is_empty() {
            // A token's expiry is part of it, so its first use knows the only one.
            let expiry = (token_use.expires_at.0, token_id.as_slice());
            self.expiries.insert(expiry, ())?;
        }
        keys.extend_from_slice(spki_hash);
        self.uses.insert(token_id, keys.as_slice())?;
        Ok(true)
    }

    fn put_final(
        &mut self,
        serial: &Serial,
        encoded: &[u8],
    ) -> Result<Result<Done, StoreError>, Error> {
        let conflict = Ok(Err(StoreError::Conflict { serial: *serial }));
        let Some(at) = self.at(serial)? else {
            return conflict;
        };
        let key: KeyOf<'_> = (at, serial.octets());
        let Some(open) = self.close(at, serial)? else {
            let known = self.finals.get(key)?;
            return match known.is_some_and(|known| known.value() == encoded) {
                true => Ok(Ok(Done::Written)),
                false => conflict,
            };
        };
        self.finals.insert(key, encoded)?;
        let mut token_and_key = [0; 64];
        token_and_key.copy_from_slice(&open[..64]);
        let mut not_after = [0; 8];
        not_after.copy_from_slice(&open[64..]);
        let not_after = i64::from_be_bytes(not_after);
        self.retry
            .insert(&token_and_key, (not_after, at, serial.octets()))?;
        self.expiries
            .insert((not_after, token_and_key.as_slice()), ())?;
        Ok(Ok(Done::Finished(token_and_key)))
    }

    fn forget(&mut self, before: i64, limit: u32) -> Result<Done, Error> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut due: Vec<(i64, [u8; 19])> = Vec::new();
        for row in self.intents.range(..(before, &[0; 19]))? {
            if due.len() >= limit {
                break;
            }
            let (key, _) = row?;
            let (at, serial) = key.value();
            let fresh = Serial::from_octets(serial).and_then(|serial| self.fresh.get(&serial));
            let open = match fresh {
                Some(fresh) => fresh.open.is_some(),
                None => self.open.get((at, serial))?.is_some(),
            };
            if !open {
                due.push((at, *serial));
            }
        }
        for (at, serial) in &due {
            let key = (*at, serial);
            self.intents.remove(key)?;
            self.submissions.remove(key)?;
            self.finals.remove(key)?;
            self.abandoned.remove(key)?;
            self.serials.remove(serial)?;
            if let Some(serial) = Serial::from_octets(serial) {
                self.fresh.remove(&serial);
            }
        }
        Ok(Done::Forgotten(due.len()))
    }

    fn expire(&mut self, now: i64) -> Result<usize, Error> {
        let mut gone = 0;
        let due: Vec<Vec<u8>> = self
            .expiries
            .extract_from_if(..(now, &[][..]), |_, ()| true)?
            .map(|entry| entry.map(|(key, _)| key.value().1.to_vec()))
            .collect::<Result<_, _>>()?;
        for key in due {
            if let Ok(token_id) = <&[u8; 32]>::try_from(key.as_slice()) {
                gone += usize::from(self.uses.remove(token_id)?.is_some());
            } else if let Ok(token_and_key) = <&[u8; 64]>::try_from(key.as_slice()) {
                // A later final for the same token and key has its own, later entry.
                let latest = self.retry.get(token_and_key)?.map(|row| row.value().0);
                if latest.is_some_and(|not_after| not_after < now) {
                    self.retry.remove(token_and_key)?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }
}

/// Every table of records, open for reading.
pub(super) struct Records {
    intents: ReadOnlyTable<Key, &'static [u8]>,
    submissions: ReadOnlyTable<Key, &'static [u8]>,
    finals: ReadOnlyTable<Key, &'static [u8]>,
    abandoned: ReadOnlyTable<Key, i64>,
}

impl Records {
    fn open(txn: &ReadTransaction) -> Result<Self, Error> {
        Ok(Self {
            intents: txn.open_table(INTENTS)?,
            submissions: txn.open_table(SUBMISSIONS)?,
            finals: txn.open_table(FINALS)?,
            abandoned: txn.open_table(ABANDONED)?,
        })
    }

    fn get(&self, key: KeyOf<'_>) -> Result<Option<Record>, ReadError> {
        let intent = self.intents.get(key)?;
        intent
            .map(|intent| self.complete(key, record::decode_intent(intent.value())?))
            .transpose()
    }

    fn complete(&self, key: KeyOf<'_>, intent: Intent) -> Result<Record, ReadError> {
        let submission = self.submissions.get(key)?;
        let leaf = self.finals.get(key)?;
        Ok(Record {
            intent,
            submission: submission
                .map(|row| record::decode_submission(row.value()))
                .transpose()?,
            leaf: leaf
                .map(|row| record::decode_final(row.value()))
                .transpose()?,
            abandoned: self.abandoned.get(key)?.map(|row| UnixSeconds(row.value())),
        })
    }
}

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

pub(super) fn find_retry(
    txn: &ReadTransaction,
    token_and_key: &TokenAndKey,
    now: UnixSeconds,
) -> Result<Option<Record>, ReadError> {
    let retry = txn.open_table(RETRY)?;
    let Some(row) = retry.get(token_and_key)? else {
        return Ok(None);
    };
    let (not_after, at, serial) = row.value();
    if not_after < now.0 {
        return Ok(None);
    }
    Records::open(txn)?.get((at, serial))
}

pub(super) fn find_issued(
    txn: &ReadTransaction,
    selector: &Selector,
    from: UnixSeconds,
    to: UnixSeconds,
    limit: usize,
) -> Result<Vec<Record>, ReadError> {
    let records = Records::open(txn)?;
    let mut found = Vec::new();
    if let Some(serial) = &selector.serial {
        let at = txn.open_table(SERIALS)?.get(serial.octets())?;
        if let Some(at) = at
            .map(|at| at.value())
            .filter(|at| (from.0..to.0).contains(at))
        {
            let record = records.get((at, serial.octets()))?;
            found.extend(record.filter(|record| selector.matches(&record.intent)));
        }
        found.truncate(limit);
        return Ok(found);
    }
    for row in records
        .intents
        .range((from.0, &[0; 19])..(to.0, &[0; 19]))?
    {
        if found.len() >= limit {
            break;
        }
        let (key, intent) = row?;
        let intent = record::decode_intent(intent.value())?;
        if selector.matches(&intent) {
            found.push(records.complete(key.value(), intent)?);
        }
    }
    Ok(found)
}

pub(super) fn orphans(
    txn: &ReadTransaction,
    before: UnixSeconds,
    limit: usize,
) -> Result<Vec<Record>, ReadError> {
    let records = Records::open(txn)?;
    let mut found = Vec::new();
    for row in txn
        .open_table(OPEN)?
        .range(..(before.0, &[0; 19]))?
        .take(limit)
    {
        found.extend(records.get(row?.0.value())?);
    }
    Ok(found)
}
