//! The tables of the file, and what each operation changes in them.
//!
//! A transaction keeps the records it changes in memory and writes each once, at its end: intent,
//! submission and final of nearly every certificate come within milliseconds. Closed records go into
//! blocks in the order of their times, so that they land beside each other at the right edge of their
//! tree; only the small rows of `places` and `tokens` are keyed by random octets.

use std::collections::{BTreeMap, HashMap};

use ::redb::{Error, ReadableTable, Table, WriteTransaction};

use super::block::{self, Block};
use super::layout::{
    APPLIED, BLOCKS, BlockKey, CARRIED, Key, META, NEXT, PENDING, PLACES, ReadError,
};
use super::op::{Done, Op};
use super::reads;
use super::tokens::Tokens;
use crate::ca::Serial;
use crate::issuance::store::StoreError;
use crate::store::record::{Part, Row, View};
use crate::time::UnixSeconds;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Among what the transaction has changed.
    Fresh,
    /// `pending`, with this time.
    Pending(i64),
    Block(BlockKey),
}

impl Place {
    fn read(stored: BlockKey) -> Self {
        match stored {
            (at, 0) => Self::Pending(at),
            block => Self::Block(block),
        }
    }
}

/// A record that the transaction has yet to write.
pub(super) struct Fresh {
    pub(super) row: Row,
    pub(super) state: State,
}

/// How a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It may still get a final.
    Open,
    /// Finished, or given up.
    Closed,
}

/// Every table, open for writing.
pub(super) struct Tables<'t> {
    fresh: HashMap<Serial, Fresh>,
    pub(super) tokens: Tokens<'t>,
    next: u64,
    meta: Table<'t, &'static str, &'static [u8]>,
    blocks: Table<'t, BlockKey, &'static [u8]>,
    pending: Table<'t, Key, &'static [u8]>,
    places: Table<'t, &'static [u8; 19], BlockKey>,
}

impl<'t> Tables<'t> {
    /// Opens all of them, creating those that do not exist.
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, Error> {
        let meta = txn.open_table(META)?;
        let next = meta.get(NEXT)?.map(|next| next.value().try_into());
        let next = next.and_then(Result::ok).map_or(1, u64::from_be_bytes);
        Ok(Self {
            fresh: HashMap::new(),
            tokens: Tokens::open(txn)?,
            next,
            meta,
            blocks: txn.open_table(BLOCKS)?,
            pending: txn.open_table(PENDING)?,
            places: txn.open_table(PLACES)?,
        })
    }

    /// The operation as what differs from its intent, where that is at hand. It was in an earlier
    /// batch then, so a start knows it too when it comes to this one.
    pub(super) fn shorten(&self, op: &mut Op) {
        let part = if let Op::Submission(submission) = op {
            let known = self.fresh.get(&submission.serial);
            known.map(|fresh| {
                (
                    submission.serial,
                    Part::submission(fresh.row.view(), submission),
                )
            })
        } else if let Op::Final(leaf) = op {
            let known = self.fresh.get(&leaf.serial);
            known.map(|fresh| (leaf.serial, Part::leaf(fresh.row.view(), leaf)))
        } else {
            None
        };
        if let Some((serial, part)) = part {
            *op = Op::Part { serial, part };
        }
    }

    /// Does one operation. The inner error concerns this operation only, which then changed
    /// nothing; the outer one the whole transaction.
    pub(super) fn apply(&mut self, op: &Op) -> Result<Result<Done, StoreError>, Error> {
        match self.do_one(op) {
            Ok(done) => Ok(Ok(done)),
            Err(ReadError::Record(error)) => Ok(Err(error)),
            Err(ReadError::File(error)) => Err(*error),
        }
    }

    fn do_one(&mut self, op: &Op) -> Result<Done, ReadError> {
        match op {
            Op::Intent { row, token_use } => {
                let intent = row.view();
                let serial = intent.serial();
                if let Some(place) = self.place(&serial)? {
                    let same = self.look(place, &serial, |known| Ok(known.has_intent_of(row)))?;
                    return match same {
                        true => Ok(Done::Written),
                        false => Err(StoreError::Conflict { serial }.into()),
                    };
                }
                let (token_id, spki_hash) = (intent.token_id(), intent.spki_hash());
                if !self.tokens.spend(&token_id, &spki_hash, token_use)? {
                    return Ok(Done::Exhausted);
                }
                self.insert(intent.to_row(), State::Open);
                Ok(Done::Written)
            }
            Op::Submission(submission) => {
                if let Some(place) = self.place(&submission.serial)? {
                    let fresh = self.take(place, &submission.serial)?;
                    fresh.row.add_submission(submission);
                }
                Ok(Done::Written)
            }
            Op::Final(leaf) => self.put_final(&leaf.serial, |row| Part::leaf(row, leaf)),
            Op::Part { serial, part } if part.is_final() => {
                self.put_final(serial, |_| part.clone())
            }
            Op::Part { serial, part } => {
                if let Some(place) = self.place(serial)? {
                    self.take(place, serial)?.row.add(part);
                }
                Ok(Done::Written)
            }
            Op::Abandon { serials, at } => {
                for serial in serials {
                    if let Some(place) = self.place(serial)?
                        && self.is_open(place, serial)
                    {
                        let fresh = self.take(place, serial)?;
                        fresh.row.add_abandoned(UnixSeconds(*at));
                        fresh.state = State::Closed;
                    }
                }
                Ok(Done::Written)
            }
            Op::Expire { now } => Ok(self.tokens.expire(*now, &mut self.next)?),
            Op::Forget { before, limit } => self.forget(*before, *limit),
            Op::Probe => {
                self.meta.insert("probe", &[0u8][..])?;
                Ok(Done::Written)
            }
        }
    }

    /// The last of the transaction: what is still in memory, and that the journal's batches up to
    /// this one are in it.
    ///
    /// `audited`, for a checkpoint: up to where the audit log is durable.
    pub(super) fn finish(mut self, sequence: u64, audited: Option<u64>) -> Result<(), Error> {
        self.write()?;
        let sequence = sequence.to_be_bytes();
        self.meta.insert(APPLIED, sequence.as_slice())?;
        if let Some(audited) = audited {
            let carried = [sequence, audited.to_be_bytes()].concat();
            self.meta.insert(CARRIED, carried.as_slice())?;
        }
        Ok(())
    }

    /// Writes what is in memory.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        self.write_records()?;
        self.tokens.write(&mut self.next)?;
        self.meta.insert(NEXT, self.next.to_be_bytes().as_slice())?;
        Ok(())
    }

    /// Puts a record among those to be written.
    pub(super) fn insert(&mut self, row: Row, state: State) {
        let serial = row.view().serial();
        self.fresh.insert(serial, Fresh { row, state });
    }

    /// How many records are in memory.
    pub(super) fn unwritten(&self) -> usize {
        self.fresh.len()
    }

    fn write_records(&mut self) -> Result<(), Error> {
        let mut fresh: Vec<Fresh> = self.fresh.drain().map(|(_, fresh)| fresh).collect();
        fresh.sort_unstable_by_key(|fresh| order(fresh.row.view()));
        let mut places = Vec::with_capacity(fresh.len());
        let mut block = Block::default();
        for Fresh { row, state } in &fresh {
            let row = row.view();
            let (at, serial) = order(row);
            if *state == State::Open {
                self.pending.insert((at, serial.octets()), row.octets())?;
                places.push((serial, (at, 0)));
                continue;
            }
            if !block.has_room_for(row) {
                self.write_block(&mut block, &mut places)?;
            }
            block.push(row);
        }
        self.write_block(&mut block, &mut places)?;
        places.sort_unstable();
        for (serial, place) in places {
            self.places.insert(serial.octets(), place)?;
        }
        Ok(())
    }

    fn write_block(
        &mut self,
        block: &mut Block,
        places: &mut Vec<(Serial, BlockKey)>,
    ) -> Result<(), Error> {
        if block.serials().is_empty() {
            return Ok(());
        }
        let key = (block.first_at(), self.next);
        self.next += 1;
        self.blocks.insert(key, block.octets())?;
        places.extend(block.serials().iter().map(|serial| (*serial, key)));
        block.clear();
        Ok(())
    }

    fn place(&self, serial: &Serial) -> Result<Option<Place>, Error> {
        if self.fresh.contains_key(serial) {
            return Ok(Some(Place::Fresh));
        }
        let place = self.places.get(serial.octets())?;
        Ok(place.map(|place| Place::read(place.value())))
    }

    fn is_open(&self, place: Place, serial: &Serial) -> bool {
        match place {
            Place::Fresh => {
                let fresh = self.fresh.get(serial);
                fresh.is_some_and(|fresh| fresh.state == State::Open)
            }
            Place::Pending(_) => true,
            Place::Block(_) => false,
        }
    }

    /// Looks at a record where it is.
    fn look<T>(
        &self,
        place: Place,
        serial: &Serial,
        look: impl FnOnce(View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, ReadError> {
        match place {
            Place::Fresh => {
                let fresh = self.fresh.get(serial).ok_or(MISPLACED)?;
                Ok(look(fresh.row.view())?)
            }
            Place::Pending(at) => {
                let row = self.pending.get((at, serial.octets()))?.ok_or(MISPLACED)?;
                Ok(look(View::new(row.value()).ok_or(MISPLACED)?)?)
            }
            Place::Block(key) => {
                let block = self.blocks.get(key)?.ok_or(MISPLACED)?;
                let row = block::find(block.value(), serial)?.ok_or(MISPLACED)?;
                Ok(look(row)?)
            }
        }
    }

    /// Brings a record among those that the transaction changes.
    fn take(&mut self, place: Place, serial: &Serial) -> Result<&mut Fresh, ReadError> {
        match place {
            Place::Fresh => {}
            Place::Pending(at) => {
                let row = self.look(place, serial, |row| Ok(row.to_row()))?;
                self.pending.remove((at, serial.octets()))?;
                self.insert(row, State::Open);
            }
            Place::Block(key) => {
                let row = self.look(place, serial, |row| Ok(row.to_row()))?;
                self.take_from(key, |row| row.serial() == *serial)?;
                self.insert(row, State::Closed);
            }
        }
        Ok(self.fresh.get_mut(serial).ok_or(MISPLACED)?)
    }

    /// Takes records out of a block.
    fn take_from(
        &mut self,
        key: BlockKey,
        gone: impl Fn(View<'_>) -> bool,
    ) -> Result<Vec<Row>, ReadError> {
        let (rows, left) = {
            let block = self.blocks.get(key)?.ok_or(MISPLACED)?;
            block::without(block.value(), gone)?
        };
        match left {
            Some(left) => drop(self.blocks.insert(key, left.as_slice())?),
            None => drop(self.blocks.remove(key)?),
        }
        Ok(rows)
    }

    fn put_final(
        &mut self,
        serial: &Serial,
        part: impl Fn(View<'_>) -> Part,
    ) -> Result<Done, ReadError> {
        let conflict = StoreError::Conflict { serial: *serial };
        let Some(place) = self.place(serial)? else {
            return Err(conflict.into());
        };
        if !self.is_open(place, serial) {
            let same = self.look(place, serial, |row| {
                let known = row.record()?.leaf;
                Ok(known.is_some() && known == part(row).final_in(row))
            })?;
            return match same {
                true => Ok(Done::Written),
                false => Err(conflict.into()),
            };
        }
        let fresh = self.take(place, serial)?;
        let part = part(fresh.row.view());
        fresh.row.add(&part);
        fresh.state = State::Closed;
        let intent = fresh.row.view();
        let (token_and_key, not_after) = (intent.token_and_key(), intent.not_after());
        self.tokens.finish(&token_and_key, not_after, serial)?;
        Ok(Done::Finished(token_and_key))
    }

    fn forget(&mut self, before: i64, limit: u32) -> Result<Done, ReadError> {
        self.write_records()?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut due: BTreeMap<BlockKey, Vec<Serial>> = BTreeMap::new();
        let oldest = reads::in_order(
            &self.blocks,
            i64::MIN..before,
            BTreeMap::new(),
            limit,
            |key, row| Ok(Some((key, row.serial()))),
        )?;
        let count = oldest.len();
        for (key, serial) in oldest {
            due.entry(key).or_default().push(serial);
        }
        for (key, serials) in due {
            self.take_from(key, |row| serials.contains(&row.serial()))?;
            for serial in &serials {
                self.places.remove(serial.octets())?;
            }
        }
        Ok(Done::Forgotten(count))
    }
}

/// What the record's place says is not so.
const MISPLACED: StoreError = StoreError::Corrupt { what: "place" };

/// Oldest first.
fn order(row: View<'_>) -> (i64, Serial) {
    (row.at(), row.serial())
}
