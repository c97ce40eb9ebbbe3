//! What is known of each token until it may be forgotten: the keys it has certified, and which
//! final each of them got.
//!
//! One row per token: until when its uses count, then for each key its hash, notAfter and serial of
//! its latest final. Keys are random octets, so a transaction keeps the rows it changes and writes
//! them at its end, in order. When something of them may go stands in rows of its own, many tokens
//! in each: what has to be looked at, not what has to go.

use std::collections::{BTreeMap, HashMap};

use ::redb::{Error, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::layout::ReadError;
use super::op::{Done, TokenAndKey};
use crate::ca::Serial;
use crate::issuance::store::{StoreError, TokenUse};

/// Token id to its row.
const TOKENS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("tokens");
/// (second in which something ends, number) to token ids, one after another.
const DUE: TableDefinition<'_, (i64, u64), &[u8]> = TableDefinition::new("due");

/// Most token ids in a row of `due`.
const MAX_IN_ROW: usize = 1000;

/// One operation looks at so many tokens and ends with the second it is in: whoever waits for the
/// writer waits for that too.
const ENOUGH_EXPIRED: usize = 4096;

/// Stands for a time that has been, or never will be.
const GONE: i64 = i64::MIN;

const HEADER: usize = 8;
const ENTRY: usize = 32 + 8 + 19;

/// A token's row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Token(Vec<u8>);

impl Token {
    fn new() -> Self {
        Self(GONE.to_be_bytes().to_vec())
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let entries = bytes.len().checked_sub(HEADER);
        let whole = entries.filter(|all| all.is_multiple_of(ENTRY));
        let damaged = StoreError::Corrupt { what: "token" };
        whole.map(|_| Self(bytes.to_vec())).ok_or(damaged)
    }

    fn uses_until(&self) -> i64 {
        number(&self.0)
    }

    fn set_uses_until(&mut self, at: i64) {
        self.0[..HEADER].copy_from_slice(&at.to_be_bytes());
    }

    fn entries(&self) -> std::slice::ChunksExact<'_, u8> {
        self.0[HEADER..].chunks_exact(ENTRY)
    }

    /// The entry of this key, if it has one.
    fn entry_mut(&mut self, spki_hash: &[u8; 32]) -> Option<&mut [u8]> {
        let mut entries = self.0[HEADER..].chunks_exact_mut(ENTRY);
        entries.find(|entry| entry.starts_with(spki_hash))
    }

    fn push(&mut self, spki_hash: &[u8; 32]) {
        self.0.extend_from_slice(spki_hash);
        self.0.extend_from_slice(&GONE.to_be_bytes());
        self.0.extend_from_slice(&[0; 19]);
    }

    /// Strikes out what ended before `now`; how much that was.
    fn expire(&mut self, now: i64) -> usize {
        let ended = |at: i64| at != GONE && at < now;
        let mut gone = 0;
        if ended(self.uses_until()) {
            self.set_uses_until(GONE);
            gone += 1;
        }
        for entry in self.0[HEADER..].chunks_exact_mut(ENTRY) {
            if ended(number(&entry[32..])) {
                entry[32..40].copy_from_slice(&GONE.to_be_bytes());
                gone += 1;
            }
        }
        gone
    }

    /// Whether nothing is left that says anything.
    fn is_over(&self) -> bool {
        let mut finals = self.entries().map(|entry| number(&entry[32..]));
        self.uses_until() == GONE && finals.all(|not_after| not_after == GONE)
    }
}

fn number(octets: &[u8]) -> i64 {
    octets
        .first_chunk()
        .map_or(GONE, |octets| i64::from_be_bytes(*octets))
}

/// Both tables, open for writing, and what the transaction has yet to write to them.
pub(super) struct Tokens<'t> {
    fresh: HashMap<[u8; 32], Token>,
    /// Token ids by the second in which something of them ends.
    fresh_due: BTreeMap<i64, Vec<u8>>,
    tokens: Table<'t, &'static [u8; 32], &'static [u8]>,
    due: Table<'t, (i64, u64), &'static [u8]>,
}

impl<'t> Tokens<'t> {
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, Error> {
        Ok(Self {
            fresh: HashMap::new(),
            fresh_due: BTreeMap::new(),
            tokens: txn.open_table(TOKENS)?,
            due: txn.open_table(DUE)?,
        })
    }

    /// Counts the key against the token; false if no use is left for it.
    pub(super) fn spend(
        &mut self,
        token_id: &[u8; 32],
        spki_hash: &[u8; 32],
        token_use: &TokenUse,
    ) -> Result<bool, ReadError> {
        let mut token = self.get(token_id)?.unwrap_or_else(Token::new);
        if token.entry_mut(spki_hash).is_some() {
            return Ok(true);
        }
        if token.entries().len() >= token_use.limit as usize {
            return Ok(false);
        }
        if token.uses_until() == GONE {
            // A token's expiry is part of it, so its first use knows the only one.
            token.set_uses_until(token_use.expires_at.0);
            self.note(token_use.expires_at.0, token_id);
        }
        token.push(spki_hash);
        self.fresh.insert(*token_id, token);
        Ok(true)
    }

    /// Notes the final of the token and key.
    pub(super) fn finish(
        &mut self,
        token_and_key: &TokenAndKey,
        not_after: i64,
        serial: &Serial,
    ) -> Result<(), ReadError> {
        let (token_id, spki_hash) = split(token_and_key);
        let mut token = self.get(token_id)?.unwrap_or_else(Token::new);
        if token.entry_mut(spki_hash).is_none() {
            token.push(spki_hash);
        }
        if let Some(entry) = token.entry_mut(spki_hash) {
            entry[32..40].copy_from_slice(&not_after.to_be_bytes());
            entry[40..].copy_from_slice(serial.octets());
        }
        self.fresh.insert(*token_id, token);
        self.note(not_after, token_id);
        Ok(())
    }

    fn get(&self, token_id: &[u8; 32]) -> Result<Option<Token>, ReadError> {
        // Whoever asks puts it back, changed, or leaves the table as it is.
        if let Some(token) = self.fresh.get(token_id) {
            return Ok(Some(token.clone()));
        }
        let token = self.tokens.get(token_id)?;
        let token = token.map(|token| Token::from_bytes(token.value()));
        Ok(token.transpose()?)
    }

    fn note(&mut self, when: i64, token_id: &[u8; 32]) {
        let tokens = self.fresh_due.entry(when).or_default();
        tokens.extend_from_slice(token_id);
    }

    /// Strikes out what ended before `now`, whole seconds of it until it was enough for one call.
    /// Which seconds does not depend on where transactions ended, which a start does not know.
    pub(super) fn expire(&mut self, now: i64, next: &mut u64) -> Result<Done, ReadError> {
        self.write(next)?;
        let (mut token_ids, mut rows) = (Vec::new(), Vec::new());
        let mut more = false;
        for row in self.due.range(..(now, 0))? {
            let (key, value) = row?;
            let key = key.value();
            let second = rows.last().map(|(second, _)| *second);
            if token_ids.len() >= 32 * ENOUGH_EXPIRED && second != Some(key.0) {
                more = true;
                break;
            }
            rows.push(key);
            token_ids.extend_from_slice(value.value());
        }
        for row in rows {
            self.due.remove(row)?;
        }
        let mut gone = 0;
        for token_id in token_ids.as_chunks().0 {
            let Some(mut token) = self.get(token_id)? else {
                continue;
            };
            gone += token.expire(now);
            match token.is_over() {
                true => self.tokens.remove(token_id)?,
                false => self.tokens.insert(token_id, token.0.as_slice())?,
            };
        }
        Ok(Done::Expired { gone, more })
    }

    /// Writes what was changed. `next` is a number no row of `due` has yet.
    pub(super) fn write(&mut self, next: &mut u64) -> Result<(), Error> {
        let mut fresh: Vec<_> = self.fresh.drain().collect();
        fresh.sort_unstable_by_key(|(token_id, _)| *token_id);
        for (token_id, token) in fresh {
            self.tokens.insert(&token_id, token.0.as_slice())?;
        }
        for (when, token_ids) in std::mem::take(&mut self.fresh_due) {
            for row in token_ids.chunks(32 * MAX_IN_ROW) {
                self.due.insert((when, *next), row)?;
                *next += 1;
            }
        }
        Ok(())
    }
}

fn split(token_and_key: &TokenAndKey) -> (&[u8; 32], &[u8; 32]) {
    let (halves, _) = token_and_key.as_chunks();
    (&halves[0], &halves[1])
}

/// The latest final of the token and key, unless it is over at `now`.
pub(super) fn find(
    txn: &ReadTransaction,
    token_and_key: &TokenAndKey,
    now: i64,
) -> Result<Option<Serial>, ReadError> {
    let (token_id, spki_hash) = split(token_and_key);
    let tokens = txn.open_table(TOKENS)?;
    let Some(row) = tokens.get(token_id)? else {
        return Ok(None);
    };
    let token = Token::from_bytes(row.value())?;
    let mut entries = token.entries();
    let entry = entries.find(|entry| entry.starts_with(spki_hash));
    let valid = entry.filter(|entry| number(&entry[32..]) >= now);
    Ok(valid.and_then(|entry| Serial::from_octets(&entry[40..])))
}

#[cfg(test)]
mod tests {
    use ::redb::Database;
    use ::redb::backends::InMemoryBackend;

    use super::*;
    use crate::time::UnixSeconds;

    fn database() -> Database {
        let backend = InMemoryBackend::new();
        Database::builder().create_with_backend(backend).unwrap()
    }

    fn token_id(n: u64) -> [u8; 32] {
        let mut octets = [0; 32];
        octets[..8].copy_from_slice(&n.to_be_bytes());
        octets
    }

    /// A first use of each of these tokens, up to this second.
    fn spend(tokens: &mut Tokens<'_>, numbers: std::ops::Range<u64>, until: i64) {
        let token_use = TokenUse {
            limit: 1,
            expires_at: UnixSeconds(until),
        };
        for n in numbers {
            assert!(tokens.spend(&token_id(n), &[1; 32], &token_use).unwrap());
        }
    }

    #[test]
    fn a_call_ends_with_the_second_that_was_enough_wherever_transactions_ended() {
        for ends in [vec![], vec![0], vec![0, 1, 2]] {
            let database = database();
            let txn = database.begin_write().unwrap();
            let mut tokens = Tokens::open(&txn).unwrap();
            let mut next = 1;
            for second in 0..4 {
                let from = second as u64 * 3000;
                spend(&mut tokens, from..from + 3000, second);
                if ends.contains(&second) {
                    tokens.write(&mut next).unwrap();
                }
            }
            let calls: [_; 3] = std::array::from_fn(|_| tokens.expire(3, &mut next).unwrap());
            let gone = |gone, more| Done::Expired { gone, more };
            assert_eq!(calls, [gone(6000, true), gone(3000, false), gone(0, false)]);
        }
    }

    #[test]
    fn a_token_is_forgotten_when_all_of_it_is_over() {
        let database = database();
        let txn = database.begin_write().unwrap();
        let mut tokens = Tokens::open(&txn).unwrap();
        let mut next = 1;
        let serial = Serial::from_octets(&[1; 19]).unwrap();
        spend(&mut tokens, 0..1, 10);
        let token_and_key = [token_id(0), [1; 32]].concat().try_into().unwrap();
        tokens.finish(&token_and_key, 20, &serial).unwrap();
        let mut expire = |now, gone| {
            let done = tokens.expire(now, &mut next).unwrap();
            assert_eq!(done, Done::Expired { gone, more: false });
            tokens.get(&token_id(0)).unwrap().is_some()
        };
        assert!(expire(10, 0));
        assert!(expire(11, 1));
        assert!(expire(20, 0));
        assert!(!expire(21, 1));
    }

    #[test]
    fn a_row_with_half_an_entry_is_damage() {
        let mut token = Token::new();
        let new = token.0.len();
        token.push(&[7; 32]);
        for length in 0..token.0.len() {
            let read = Token::from_bytes(&token.0[..length]);
            assert_eq!(read.is_ok(), length == new, "cut at {length}");
        }
        assert_eq!(Token::from_bytes(&token.0).unwrap(), token);
    }
}
