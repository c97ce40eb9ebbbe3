//! The journal before the tables: what was acknowledged and is not yet durable in them.
//!
//! A file is a header (magic and version, uuid of the store) and records, one for each batch:
//!
//! ```text
//! u32 length of the payload ‖ checksum ‖ u64 sequence number ‖ payload
//! ```
//!
//! with XXH3-64 of uuid ‖ sequence number ‖ payload as the checksum. Numbers
//! go up by one. One write and one fdatasync make a batch durable. When the tables are durable up
//! to the last record, writing begins again behind the header, over records that nobody needs:
//! blocks that a file has already are made durable without its metadata. Their numbers tell old
//! records from new ones. When there is nothing to do the file is cut back to its header.
//!
//! Each record is durable before the next is written, so a crash can tear only the last one; it
//! was never acknowledged and is cut off. Damage with a later record after it is no crash, and
//! stops the start. The checksum finds torn writes, not an attacker with a hand on the disk.

use std::io;

use ::redb::StorageBackend as _;
use xxhash_rust::xxh3::Xxh3Default;

use super::backend::Watched;
use super::batch::{self, Batch, Lines};
use super::op::Op;

/// Magic and version.
const MAGIC: &[u8; 8] = b"slfjrnl\x02";
const HEADER: usize = MAGIC.len() + 16;

const CHECKSUM: usize = 8;
const RECORD_HEADER: usize = 4 + CHECKSUM + 8;

/// Longest payload. A batch has at most 1,024 operations, and what one request brings is limited
/// to 64 KiB at the door.
const MAX_PAYLOAD_BYTES: usize = 256 << 20;

/// The room of a longer record is given back.
const MAX_ROOM_KEPT: usize = 1 << 20;

/// A checkpoint is due after so many operations or octets: it bounds what a start has to replay.
const CHECKPOINT_OPERATIONS: usize = 4096;
const CHECKPOINT_BYTES: u64 = 16 << 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// It could not be opened, read, written or cut.
    #[error("could not read or write it")]
    Io(#[from] io::Error),
    /// It holds records of a store with another uuid.
    #[error("it belongs to another store")]
    Foreign,
    /// Damaged, beyond the last record that a crash may tear.
    #[error("it is damaged at octet {at}")]
    Damaged {
        /// Where the header or the damaged record begins.
        at: u64,
    },
    /// Batches are missing between the store and the journal: one of the two is an older copy.
    #[error("the store holds batches up to {applied}, the journal begins with {first}")]
    Gap {
        /// The last one in the store.
        applied: u64,
        /// The first one in the journal.
        first: u64,
    },
    /// It holds the end of an audit log, and was opened without one.
    #[error("it holds the end of an audit log: open the two together")]
    CarriesLines,
    /// The audit log could not be brought to where the journal has it.
    #[error("could not restore the end of the audit log")]
    Restore(#[source] io::Error),
    /// Read-only: it holds batches that only an opening applies.
    #[error("it holds acknowledged batches that are not in the store: open the store once")]
    NotApplied,
}

/// A journal with all it holds applied, ready for the next batch.
#[derive(Debug)]
pub(super) struct Journal {
    file: Watched,
    uuid: [u8; 16],
    /// Where the next record goes.
    end: u64,
    /// Of the file: up to here there may be records that nobody needs.
    length: u64,
    next: u64,
    /// Since the last checkpoint.
    operations: usize,
    /// The next record and how many operations it has; kept for its room.
    framed: (Vec<u8>, usize),
}

impl Journal {
    /// Opens the journal of the store `uuid`, whose tables hold the batches up to `applied`; with
    /// it the batches after `carried`, which is no higher, in order and with their numbers. They must
    /// be made durable in tables and audit log, and the journal be [cleared](Self::clear), before
    /// anything is appended.
    pub(super) fn open(
        file: Watched,
        uuid: [u8; 16],
        applied: u64,
        carried: u64,
    ) -> Result<(Self, Vec<(u64, Batch)>), JournalError> {
        let length = file.len()?;
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read(0, &mut bytes)?;
        let mut end = length;
        let found = if bytes.len() <= HEADER {
            // Without records there is nothing to lose: new, torn while it was new, or empty.
            let header = [&MAGIC[..], &uuid].concat();
            if bytes != header {
                file.set_len(0)?;
                file.write(0, &header)?;
                file.sync_data()?;
            }
            end = HEADER as u64;
            Found {
                last: applied,
                batches: Vec::new(),
            }
        } else {
            Found::read(&bytes, &uuid, applied, carried)?
        };
        let journal = Self {
            file,
            uuid,
            end,
            length: end,
            next: found.last.max(applied) + 1,
            operations: 0,
            framed: (Vec::new(), 0),
        };
        Ok((journal, found.batches))
    }

    /// The sequence number of the next batch.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Makes the batch the next record. Fails only where it is too long.
    pub(super) fn frame<'a>(
        &mut self,
        lines: &Lines,
        ops: impl ExactSizeIterator<Item = &'a Op> + Clone,
    ) -> io::Result<()> {
        let operations = ops.len();
        let mut bytes = std::mem::take(&mut self.framed.0);
        if bytes.capacity() > MAX_ROOM_KEPT {
            bytes = Vec::new();
        }
        bytes.clear();
        bytes.resize(RECORD_HEADER, 0);
        let mut bytes = batch::encode(bytes, lines, ops);
        let (header, payload) = bytes.split_at_mut(RECORD_HEADER);
        let length = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= MAX_PAYLOAD_BYTES)
            .ok_or_else(|| io::Error::other("the batch is too long for the journal"))?;
        let sum = checksum(&self.uuid, self.next, payload);
        let (front, number) = header.split_at_mut(4 + CHECKSUM);
        front[..4].copy_from_slice(&length.to_be_bytes());
        front[4..].copy_from_slice(&sum);
        number.copy_from_slice(&self.next.to_be_bytes());
        self.framed = (bytes, operations);
        Ok(())
    }

    /// Makes the framed record durable. After an error it may be or not; the journal has to be opened
    /// again, which settles it.
    pub(super) fn append(&mut self) -> io::Result<()> {
        let (bytes, operations) = &self.framed;
        self.file.write(self.end, bytes)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        self.length = self.length.max(self.end);
        self.next += 1;
        self.operations += operations;
        Ok(())
    }

    /// Whether it holds nothing that may not be durable in the tables.
    pub(super) fn is_empty(&self) -> bool {
        self.end == HEADER as u64
    }

    /// Whether it is its header and nothing else, not even records that nobody needs.
    pub(super) fn is_cut_back(&self) -> bool {
        self.is_empty() && self.length == self.end
    }

    /// Whether it has grown enough for a checkpoint.
    pub(super) fn is_due(&self) -> bool {
        self.operations >= CHECKPOINT_OPERATIONS || self.end >= CHECKPOINT_BYTES
    }

    /// The next record goes behind the header again. All that was written before must be durable
    /// in the tables.
    pub(super) fn rewind(&mut self) {
        self.end = HEADER as u64;
        self.operations = 0;
    }

    /// Rewinds, and cuts the file back to its header, durably.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.rewind();
        if self.length > self.end {
            self.file.set_len(self.end)?;
            self.file.sync_data()?;
            self.length = self.end;
        }
        Ok(())
    }
}

/// Whether the journal in `bytes` holds nothing that the tables, durable up to `applied`, do not.
pub(super) fn is_applied(bytes: &[u8], uuid: &[u8; 16], applied: u64) -> Result<(), JournalError> {
    if bytes.len() <= HEADER
        || Found::read(bytes, uuid, applied, applied)?
            .batches
            .is_empty()
    {
        return Ok(());
    }
    Err(JournalError::NotApplied)
}

/// What stands in a file that has more than a header.
struct Found {
    /// The last whole record's number, applied or not; `applied` if there is none.
    last: u64,
    /// Those not yet carried over, with their numbers.
    batches: Vec<(u64, Batch)>,
}

impl Found {
    fn read(
        bytes: &[u8],
        uuid: &[u8; 16],
        applied: u64,
        carried: u64,
    ) -> Result<Self, JournalError> {
        let (header, records) = bytes.split_at(HEADER);
        let whose = header.strip_prefix(MAGIC.as_slice());
        if whose.ok_or(JournalError::Damaged { at: 0 })? != uuid {
            return Err(JournalError::Foreign);
        }
        let mut last = None;
        let mut batches = Vec::new();
        let mut rest = records;
        while !rest.is_empty() {
            let damaged = JournalError::Damaged {
                at: (bytes.len() - rest.len()) as u64,
            };
            let Some(record) = Whole::at_start(rest, uuid) else {
                // Torn, or the rest of an older one, unless something was written after it.
                let before = last.unwrap_or(applied);
                let mut behind = (1..rest.len()).map(|at| &rest[at..]);
                if behind.any(|from| Whole::after(before, from, uuid)) {
                    return Err(damaged);
                }
                break;
            };
            match last {
                // What was there before the last rewinding.
                Some(last) if record.sequence <= last => break,
                Some(last) if record.sequence > last + 1 => return Err(damaged),
                Some(_) | None => {}
            }
            if last.is_none() && record.sequence > applied + 1 {
                return Err(JournalError::Gap {
                    applied,
                    first: record.sequence,
                });
            }
            if record.sequence > carried {
                let batch = batch::decode(record.payload).ok_or(damaged)?;
                batches.push((record.sequence, batch));
            }
            last = Some(record.sequence);
            rest = &rest[RECORD_HEADER + record.payload.len()..];
        }
        Ok(Self {
            last: last.unwrap_or(applied),
            batches,
        })
    }
}

/// A record whose checksum fits.
struct Whole<'a> {
    sequence: u64,
    payload: &'a [u8],
}

impl<'a> Whole<'a> {
    fn at_start(bytes: &'a [u8], uuid: &[u8; 16]) -> Option<Self> {
        let (length, bytes) = bytes.split_first_chunk()?;
        let (sum, bytes) = bytes.split_first_chunk::<CHECKSUM>()?;
        let (sequence, bytes) = bytes.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let payload = bytes.get(..length)?;
        let sequence = u64::from_be_bytes(*sequence);
        (checksum(uuid, sequence, payload) == *sum).then_some(Self { sequence, payload })
    }

    /// Whether `bytes` begin with a whole record later than `sequence`. Looks at the number first:
    /// this is asked at every octet.
    fn after(sequence: u64, bytes: &'a [u8], uuid: &[u8; 16]) -> bool {
        /// More batches than a journal ever holds.
        const AHEAD: u64 = 1 << 32;
        let number = bytes.get(4 + CHECKSUM..).and_then(<[u8]>::first_chunk);
        number
            .map(|number| u64::from_be_bytes(*number))
            .is_some_and(|number| number > sequence && number - sequence < AHEAD)
            && Self::at_start(bytes, uuid).is_some()
    }
}

fn checksum(uuid: &[u8; 16], sequence: u64, payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = Xxh3Default::new();
    hash.update(uuid);
    hash.update(&sequence.to_be_bytes());
    hash.update(payload);
    hash.digest().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ::redb::StorageBackend;

    use super::*;

    const UUID: [u8; 16] = [7; 16];

    /// A file in memory: like one on disk it grows when written at its end.
    #[derive(Debug)]
    struct Memory(Mutex<Vec<u8>>);

    impl StorageBackend for Memory {
        fn len(&self) -> io::Result<u64> {
            Ok(self.0.lock().unwrap().len() as u64)
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            let offset = usize::try_from(offset).unwrap();
            out.copy_from_slice(&self.0.lock().unwrap()[offset..offset + out.len()]);
            Ok(())
        }
        fn set_len(&self, len: u64) -> io::Result<()> {
            let len = usize::try_from(len).unwrap();
            self.0.lock().unwrap().resize(len, 0);
            Ok(())
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let mut bytes = self.0.lock().unwrap();
            let offset = usize::try_from(offset).unwrap();
            assert!(offset <= bytes.len(), "no hole");
            let end = bytes.len().max(offset + data.len());
            bytes.resize(end, 0);
            bytes[offset..offset + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    fn file(bytes: &[u8]) -> Watched {
        Watched {
            inner: Box::new(Memory(Mutex::new(bytes.to_vec()))),
            sync_failed: Arc::default(),
        }
    }

    fn bytes_of(journal: &Journal) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(journal.file.len().unwrap()).unwrap()];
        journal.file.read(0, &mut bytes).unwrap();
        bytes
    }

    /// Which batches come back, each known by the time in its only operation.
    fn replayed(bytes: &[u8], applied: u64) -> Result<Vec<i64>, JournalError> {
        let (_, batches) = Journal::open(file(bytes), UUID, applied, applied)?;
        let times = batches.iter().map(|(_, batch)| match batch.ops[..] {
            [Op::Expire { now }] => now,
            _ => panic!("{batch:?}"),
        });
        Ok(times.collect())
    }

    fn append(journal: &mut Journal, now: i64) {
        journal
            .frame(&Lines::default(), [Op::Expire { now }].iter())
            .unwrap();
        journal.append().unwrap();
    }

    /// Batches 11, 12 … under the numbers after `applied`.
    fn journal_of(applied: u64, batches: i64) -> Journal {
        let (mut journal, none) = Journal::open(file(&[]), UUID, applied, applied).unwrap();
        assert!(none.is_empty() && journal.is_empty());
        (11..11 + batches).for_each(|now| append(&mut journal, now));
        journal
    }

    #[test]
    fn batches_come_back_in_order_without_those_applied() {
        let bytes = bytes_of(&journal_of(0, 3));
        assert_eq!(replayed(&bytes, 0).unwrap(), [11, 12, 13]);
        assert_eq!(replayed(&bytes, 2).unwrap(), [13]);
        assert!(replayed(&bytes, 3).unwrap().is_empty());
    }

    #[test]
    fn the_numbers_go_on_after_the_last_applied_or_found() {
        let bytes = bytes_of(&journal_of(5, 3));
        for (applied, next) in [(5, 9), (8, 9), (20, 21)] {
            let (journal, _) = Journal::open(file(&bytes), UUID, applied, applied).unwrap();
            assert_eq!((journal.next(), journal.is_empty()), (next, false));
        }
        let mut journal = journal_of(5, 3);
        journal.clear().unwrap();
        append(&mut journal, 14);
        assert_eq!(replayed(&bytes_of(&journal), 8).unwrap(), [14]);
    }

    #[test]
    fn a_last_record_torn_at_any_octet_is_cut_off() {
        let whole = bytes_of(&journal_of(0, 3));
        let last = bytes_of(&journal_of(0, 2)).len();
        for at in last..whole.len() {
            assert_eq!(replayed(&whole[..at], 0).unwrap(), [11, 12], "cut at {at}");
            let mut flipped = whole.clone();
            flipped[at] ^= 0x40;
            assert_eq!(replayed(&flipped, 0).unwrap(), [11, 12], "flipped at {at}");
            let mut front_lost = whole.clone();
            front_lost[last..=at].fill(0);
            if front_lost != whole {
                assert_eq!(replayed(&front_lost, 0).unwrap(), [11, 12], "to {at}");
            }
        }
    }

    #[test]
    fn damage_before_the_last_record_is_refused_at_every_octet() {
        let whole = bytes_of(&journal_of(0, 3));
        let [second, last] = [1, 2].map(|count| bytes_of(&journal_of(0, count)).len());
        for octet in HEADER..last {
            let mut bytes = whole.clone();
            bytes[octet] ^= 0x01;
            let begins = if octet < second { HEADER } else { second } as u64;
            let refused = replayed(&bytes, 0).unwrap_err();
            assert!(
                matches!(refused, JournalError::Damaged { at } if at == begins),
                "{octet}: {refused:?}"
            );
        }
    }

    /// Batches 11, 12, 13 and, over the first of them and a part of the second, one of `operations`.
    fn written_over(operations: usize) -> (Vec<u8>, Vec<u8>) {
        let mut journal = journal_of(0, 3);
        let before = bytes_of(&journal);
        journal.rewind();
        assert!(journal.is_empty());
        let batch: Vec<Op> = (0..operations).map(|_| Op::Expire { now: 14 }).collect();
        journal.frame(&Lines::default(), batch.iter()).unwrap();
        journal.append().unwrap();
        (before, bytes_of(&journal))
    }

    #[test]
    fn what_was_written_before_a_rewinding_is_not_read_behind_what_came_after() {
        for operations in 1..=3 {
            let (before, after) = written_over(operations);
            let (journal, batches) = Journal::open(file(&after), UUID, 3, 3).unwrap();
            assert_eq!((batches.len(), journal.next()), (1, 5), "{operations}");
            assert_eq!(batches[0].1.ops.len(), operations);
            assert_eq!(before.len(), after.len());
        }
    }

    #[test]
    fn a_first_record_torn_over_older_ones_is_cut_off() {
        let (before, after) = written_over(2);
        for torn in HEADER..after.len() {
            let bytes = [&after[..torn], &before[torn..]].concat();
            let whole = bytes == after;
            let (_, batches) = Journal::open(file(&bytes), UUID, 3, 3).unwrap();
            assert_eq!(batches.len(), usize::from(whole), "torn at {torn}");
        }
    }

    #[test]
    fn a_journal_that_begins_too_late_is_refused() {
        let bytes = bytes_of(&journal_of(5, 1));
        assert_eq!(replayed(&bytes, 5).unwrap(), [11]);
        let refused = replayed(&bytes, 4).unwrap_err();
        assert!(
            matches!(
                refused,
                JournalError::Gap {
                    applied: 4,
                    first: 6
                }
            ),
            "{refused}"
        );
    }

    #[test]
    fn another_stores_records_are_refused_and_its_empty_journal_taken_over() {
        let open = |bytes: &[u8]| Journal::open(file(bytes), [8; 16], 0, 0);
        let refused = open(&bytes_of(&journal_of(0, 1))).unwrap_err();
        assert!(matches!(refused, JournalError::Foreign), "{refused}");
        let (taken, _) = open(&bytes_of(&journal_of(0, 0))).unwrap();
        assert_eq!(bytes_of(&taken)[MAGIC.len()..], [8; 16]);
    }

    #[test]
    fn a_header_torn_while_it_was_new_is_written_again_and_a_damaged_one_refused() {
        let empty = bytes_of(&journal_of(0, 0));
        for at in 0..empty.len() {
            let (journal, _) = Journal::open(file(&empty[..at]), UUID, 0, 0).unwrap();
            assert_eq!(bytes_of(&journal), empty);
        }
        let mut damaged = bytes_of(&journal_of(0, 1));
        damaged[0] ^= 1;
        let refused = replayed(&damaged, 0).unwrap_err();
        assert!(
            matches!(refused, JournalError::Damaged { at: 0 }),
            "{refused}"
        );
    }

    #[test]
    fn a_checkpoint_is_due_after_so_many_operations() {
        let mut journal = journal_of(0, CHECKPOINT_OPERATIONS as i64 - 1);
        assert!(!journal.is_due());
        append(&mut journal, 1);
        assert!(journal.is_due());
        journal.clear().unwrap();
        assert!(!journal.is_due() && journal.is_empty());
    }
}
