//! Closed records, many in one row of a table: a page that holds twelve is full, one that holds a
//! single record of its own is half empty, and each page is a write.
//!
//! A version octet, then each record behind its length. Its key is the time of its first record, and
//! none of the others is earlier or more than [`SPAN_S`] later.

use crate::ca::Serial;
use crate::issuance::store::StoreError;
use crate::store::fields::{Reader, Writer};
use crate::store::record::{Row, View};

/// The layout below.
const VERSION: u8 = 1;

/// Longest block of more than one record: with redb's own octets it fills eight pages.
pub(super) const MAX_BYTES: usize = (32 << 10) - 64;

/// How much later than the first the others may be. A window of time is read from so much earlier on.
pub(super) const SPAN_S: i64 = 60;

/// A block that is being filled, oldest record first.
#[derive(Default)]
pub(super) struct Block {
    octets: Vec<u8>,
    first_at: i64,
    serials: Vec<Serial>,
}

impl Block {
    /// Whether the record may be in it.
    pub(super) fn has_room_for(&self, row: View<'_>) -> bool {
        self.serials.is_empty()
            || self.octets.len() + 4 + row.octets().len() <= MAX_BYTES
                && row
                    .at()
                    .checked_sub(self.first_at)
                    .is_some_and(|s| s <= SPAN_S)
    }

    /// Adds a record that is no older than those in it.
    pub(super) fn push(&mut self, row: View<'_>) {
        let mut out = Writer::new(std::mem::take(&mut self.octets));
        if self.serials.is_empty() {
            out.fixed(&[VERSION]);
            self.first_at = row.at();
        }
        out.bytes(row.octets());
        self.octets = out.into_bytes();
        self.serials.push(row.serial());
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub(super) fn first_at(&self) -> i64 {
        self.first_at
    }

    pub(super) fn serials(&self) -> &[Serial] {
        &self.serials
    }

    /// Keeps its room.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.serials.clear();
    }
}

/// The records of a block, or word that one is damaged.
pub(super) fn rows(block: &[u8]) -> impl Iterator<Item = Result<View<'_>, StoreError>> {
    let mut from = Reader::new(block);
    let known = from.fixed() == Some([VERSION]);
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended || known && from.is_empty() {
            return None;
        }
        let row = Some(()).filter(|()| known);
        let row = row.and_then(|()| from.bytes()).and_then(View::new);
        ended = row.is_none();
        Some(row.ok_or(StoreError::Corrupt { what: "block" }))
    })
}

/// The record under this serial.
pub(super) fn find<'a>(block: &'a [u8], serial: &Serial) -> Result<Option<View<'a>>, StoreError> {
    let mut rows = rows(block);
    let found = rows.find(|row| row.as_ref().map_or(true, |row| row.serial() == *serial));
    found.transpose()
}

/// The block without the records that `gone` names; what is gone from it, and `None` instead of a
/// block without records. The key stays as it is: no record is older than it.
pub(super) fn without(
    block: &[u8],
    gone: impl Fn(View<'_>) -> bool,
) -> Result<(Vec<Row>, Option<Vec<u8>>), StoreError> {
    let mut out = Vec::new();
    let mut left = Block::default();
    for row in rows(block) {
        let row = row?;
        match gone(row) {
            true => out.push(row.to_row()),
            false => left.push(row),
        }
    }
    let left = (!left.serials.is_empty()).then_some(left.octets);
    Ok((out, left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{IssuingCaId, ProfileHash};
    use crate::issuance::store::Intent;
    use crate::time::UnixSeconds;
    use crate::token::TokenId;

    fn row(n: u8, at: i64, length: usize) -> Row {
        Row::new(&Intent {
            serial: Serial::from_octets(&[n; 19]).unwrap(),
            unsigned: vec![n; length].into(),
            token_hash: [0; 32],
            token_id: TokenId::from_octets([0; 32]),
            spki_hash: [0; 32],
            issuing_ca: IssuingCaId([0; 32]),
            profile: ProfileHash([0; 32]),
            request_id: String::new(),
            kid: None,
            issuer: String::new(),
            subject: String::new(),
            san: String::new(),
            rule: None,
            rules: None,
            extensions: [].into(),
            at: UnixSeconds(at),
            not_after: UnixSeconds(at),
        })
    }

    fn block_of(rows: &[Row]) -> Block {
        let mut block = Block::default();
        rows.iter().for_each(|row| block.push(row.view()));
        block
    }

    fn read(octets: &[u8]) -> Result<Vec<Row>, StoreError> {
        rows(octets).map(|row| row.map(View::to_row)).collect()
    }

    #[test]
    fn records_come_back_in_their_order() {
        let all = [row(1, 5, 100), row(2, 6, 0), row(3, 6, 9)];
        let block = block_of(&all);
        assert_eq!(block.first_at(), 5);
        assert_eq!(read(block.octets()).unwrap(), all);
        let found = find(block.octets(), &all[1].view().serial()).unwrap();
        assert_eq!(found.map(View::to_row).as_ref(), Some(&all[1]));
        let strange = Serial::from_octets(&[4; 19]).unwrap();
        assert!(find(block.octets(), &strange).unwrap().is_none());
    }

    #[test]
    fn what_is_taken_out_leaves_the_others_or_nothing() {
        let all = [row(1, 5, 100), row(2, 6, 0)];
        let block = block_of(&all);
        let (gone, left) = without(block.octets(), |row| row.at() == 5).unwrap();
        assert_eq!(gone, all[..1]);
        assert_eq!(read(&left.unwrap()).unwrap(), all[1..]);
        let (gone, left) = without(block.octets(), |_| true).unwrap();
        assert_eq!((gone.len(), left), (2, None));
    }

    #[test]
    fn a_block_is_bounded_in_octets_and_in_time_but_takes_any_record_alone() {
        let empty = Block::default();
        assert!(empty.has_room_for(row(1, 5, MAX_BYTES).view()));
        let block = block_of(&[row(1, 5, 100)]);
        assert!(block.has_room_for(row(2, 5 + SPAN_S, 100).view()));
        assert!(!block.has_room_for(row(2, 6 + SPAN_S, 100).view()));
        assert!(!block.has_room_for(row(2, 5, MAX_BYTES).view()));
        let ancient = block_of(&[row(1, i64::MIN, 0)]);
        assert!(!ancient.has_room_for(row(2, i64::MAX, 0).view()));
    }

    #[test]
    fn damage_is_told_once_and_ends_it() {
        let all = [row(1, 5, 100), row(2, 6, 0)];
        let block = block_of(&all);
        for length in 0..block.octets().len() {
            let read = read(&block.octets()[..length]);
            let whole = length == 1 || length == 5 + all[0].octets().len();
            assert_eq!(read.is_ok(), whole, "cut at {length}");
        }
        let mut strange = block.octets().to_vec();
        strange[0] = VERSION + 1;
        assert_eq!(rows(&strange).count(), 1);
        assert!(read(&strange).is_err());
    }
}
