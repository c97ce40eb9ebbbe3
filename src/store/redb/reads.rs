//! How the tables are read.

use std::collections::BTreeMap;
use std::ops::Range;

use ::redb::{ReadTransaction, ReadableTable};

use super::block::{self, SPAN_S};
use super::layout::{BLOCKS, BlockKey, PENDING, PLACES, ReadError};
use super::op::TokenAndKey;
use super::tokens;
use crate::ca::Serial;
use crate::issuance::store::{Record, Selector, StoreError};
use crate::store::record::View;
use crate::time::UnixSeconds;

pub(super) fn find_retry(
    txn: &ReadTransaction,
    token_and_key: &TokenAndKey,
    now: UnixSeconds,
) -> Result<Option<Record>, ReadError> {
    match tokens::find(txn, token_and_key, now.0)? {
        Some(serial) => by_serial(txn, &serial, |row| Ok(Some(row.record()?))),
        None => Ok(None),
    }
}

/// What `look` makes of the record, if there is one.
fn by_serial<T>(
    txn: &ReadTransaction,
    serial: &Serial,
    look: impl FnOnce(View<'_>) -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, ReadError> {
    let misplaced = StoreError::Corrupt { what: "place" };
    let place = txn.open_table(PLACES)?.get(serial.octets())?;
    match place.map(|place| place.value()) {
        None => Ok(None),
        Some((at, 0)) => {
            let row = txn.open_table(PENDING)?.get((at, serial.octets()))?;
            let row = row.as_ref().and_then(|row| View::new(row.value()));
            Ok(look(row.ok_or(misplaced)?)?)
        }
        Some(key) => {
            let block = txn.open_table(BLOCKS)?.get(key)?;
            let block = block.ok_or(misplaced.clone())?;
            let row = block::find(block.value(), serial)?;
            Ok(look(row.ok_or(misplaced)?)?)
        }
    }
}

pub(super) fn find_issued(
    txn: &ReadTransaction,
    selector: &Selector,
    from: UnixSeconds,
    to: UnixSeconds,
    limit: usize,
) -> Result<Vec<Record>, ReadError> {
    let window = from.0..to.0;
    if limit == 0 || window.is_empty() {
        return Ok(Vec::new());
    }
    let selected = |row: View<'_>| {
        let (intent, parts) = row.intent()?;
        match selector.matches(&intent) {
            true => parts.record(intent).map(Some),
            false => Ok(None),
        }
    };
    if let Some(serial) = &selector.serial {
        let found = by_serial(txn, serial, |row| match window.contains(&row.at()) {
            true => selected(row),
            false => Ok(None),
        })?;
        return Ok(found.into_iter().collect());
    }
    let mut open = BTreeMap::new();
    let pending = txn.open_table(PENDING)?;
    for row in pending.range((window.start, &[0; 19])..(window.end, &[0; 19]))? {
        if open.len() >= limit {
            break;
        }
        let (_, row) = row?;
        let row = View::new(row.value()).ok_or(StoreError::Corrupt { what: "intent" })?;
        if let Some(record) = selected(row)? {
            open.insert((row.at(), row.serial()), record);
        }
    }
    let blocks = txn.open_table(BLOCKS)?;
    in_order(&blocks, window, open, limit, |_, row| selected(row))
}

/// What `pick` makes of the closed records of a window and what is in `waiting` already, oldest
/// first, at most `limit`.
///
/// Blocks of different transactions may overlap in time, so what was picked waits until no later
/// block can hold anything older.
pub(super) fn in_order<T>(
    blocks: &impl ReadableTable<BlockKey, &'static [u8]>,
    window: Range<i64>,
    mut waiting: BTreeMap<(i64, Serial), T>,
    limit: usize,
    mut pick: impl FnMut(BlockKey, View<'_>) -> Result<Option<T>, StoreError>,
) -> Result<Vec<T>, ReadError> {
    let mut found = Vec::new();
    let start = window.start.saturating_sub(SPAN_S);
    for block in blocks.range((start, 0)..(window.end, 0))? {
        let (key, block) = block?;
        let key = key.value();
        while let Some(oldest) = waiting.first_entry()
            && oldest.key().0 < key.0
        {
            found.push(oldest.remove());
            if found.len() >= limit {
                return Ok(found);
            }
        }
        for row in block::rows(block.value()) {
            let row = row?;
            if window.contains(&row.at())
                && let Some(picked) = pick(key, row)?
            {
                waiting.insert((row.at(), row.serial()), picked);
            }
        }
    }
    found.extend(waiting.into_values());
    found.truncate(limit);
    Ok(found)
}

pub(super) fn orphans(
    txn: &ReadTransaction,
    before: UnixSeconds,
    limit: usize,
) -> Result<Vec<Record>, ReadError> {
    let mut found = Vec::new();
    let pending = txn.open_table(PENDING)?;
    for row in pending.range(..(before.0, &[0; 19]))?.take(limit) {
        let (_, row) = row?;
        let row = View::new(row.value()).ok_or(StoreError::Corrupt { what: "intent" })?;
        found.push(row.record()?);
    }
    Ok(found)
}
