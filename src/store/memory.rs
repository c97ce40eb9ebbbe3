//! A store that forgets with the process: for demonstrations, benchmarks and tests.
//!
//! It keeps the port's contract except durability.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::ca::Serial;
use crate::issuance::store::{
    Begun, Final, Intent, IssuanceStore, Record, Selector, StoreError, Submission, TokenUse,
};
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// An empty store.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    records: HashMap<Serial, Record>,
    by_time: BTreeSet<(UnixSeconds, Serial)>,
    /// No final yet, not given up.
    open: BTreeSet<(UnixSeconds, Serial)>,
    uses: HashMap<[u8; 32], Uses>,
    retry: BTreeMap<([u8; 32], [u8; 32]), Serial>,
}

#[derive(Debug)]
struct Uses {
    keys: Vec<[u8; 32]>,
    expires_at: UnixSeconds,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is made after its last check, so a panic cannot leave half of one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl IssuanceStore for MemoryStore {
    async fn find_retry(
        &self,
        token: &TokenId,
        spki_hash: &[u8; 32],
        now: UnixSeconds,
    ) -> Result<Option<Record>, StoreError> {
        let state = self.state();
        Ok(state
            .retry
            .get(&(*token.octets(), *spki_hash))
            .and_then(|serial| state.records.get(serial))
            .filter(|record| now <= record.intent.not_after)
            .cloned())
    }

    async fn put_intent(&self, intent: Intent, token_use: TokenUse) -> Result<Begun, StoreError> {
        let mut state = self.state();
        let serial = intent.serial;
        if let Some(known) = state.records.get(&serial) {
            return if known.intent == intent {
                Ok(Begun::Recorded)
            } else {
                Err(StoreError::Conflict { serial })
            };
        }
        let uses = state.uses.entry(*intent.token_id.octets()).or_insert(Uses {
            keys: Vec::new(),
            expires_at: token_use.expires_at,
        });
        if !uses.keys.contains(&intent.spki_hash) {
            if uses.keys.len() >= token_use.limit as usize {
                return Ok(Begun::Exhausted);
            }
            uses.keys.push(intent.spki_hash);
        }
        uses.expires_at = uses.expires_at.max(token_use.expires_at);
        state.by_time.insert((intent.at, serial));
        state.open.insert((intent.at, serial));
        state.records.insert(
            serial,
            Record {
                intent,
                submission: None,
                leaf: None,
                abandoned: None,
            },
        );
        Ok(Begun::Recorded)
    }

    async fn put_submission(&self, submission: Submission) -> Result<(), StoreError> {
        let serial = submission.serial;
        let mut state = self.state();
        if let Some(record) = state.records.get_mut(&serial) {
            record.submission = Some(submission);
        }
        Ok(())
    }

    async fn put_final(&self, leaf: Final) -> Result<(), StoreError> {
        let serial = leaf.serial;
        let mut state = self.state();
        let record = state
            .records
            .get_mut(&serial)
            .filter(|record| record.abandoned.is_none())
            .ok_or(StoreError::Conflict { serial })?;
        match &record.leaf {
            Some(known) if *known == leaf => return Ok(()),
            Some(_) => return Err(StoreError::Conflict { serial }),
            None => record.leaf = Some(leaf),
        }
        let intent = &record.intent;
        let (at, key) = (intent.at, (*intent.token_id.octets(), intent.spki_hash));
        state.open.remove(&(at, serial));
        state.retry.insert(key, serial);
        Ok(())
    }

    async fn find_issued(
        &self,
        selector: &Selector,
        from: UnixSeconds,
        to: UnixSeconds,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        Ok(state
            .by_time
            .iter()
            .filter(|(at, _)| from <= *at && *at < to)
            .filter_map(|(_, serial)| state.records.get(serial))
            .filter(|record| selector.matches(&record.intent))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn orphans(&self, before: UnixSeconds, limit: usize) -> Result<Vec<Record>, StoreError> {
        let state = self.state();
        Ok(state
            .open
            .iter()
            .take_while(|(at, _)| *at < before)
            .filter_map(|(_, serial)| state.records.get(serial))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn abandon(&self, serials: &[Serial], at: UnixSeconds) -> Result<(), StoreError> {
        let mut state = self.state();
        let state = &mut *state;
        for serial in serials {
            if let Some(record) = state.records.get_mut(serial)
                && state.open.remove(&(record.intent.at, *serial))
            {
                record.abandoned = Some(at);
            }
        }
        Ok(())
    }

    async fn forget(&self, before: UnixSeconds, limit: usize) -> Result<usize, StoreError> {
        let mut state = self.state();
        let state = &mut *state;
        let due = state.by_time.iter().take_while(|(at, _)| *at < before);
        let due = due.filter(|entry| !state.open.contains(entry));
        let due: Vec<_> = due.take(limit).copied().collect();
        for entry in &due {
            state.by_time.remove(entry);
            state.records.remove(&entry.1);
        }
        state
            .retry
            .retain(|_, serial| state.records.contains_key(serial));
        Ok(due.len())
    }

    async fn expire(&self, now: UnixSeconds) -> Result<usize, StoreError> {
        let mut state = self.state();
        let state = &mut *state;
        let before = state.uses.len() + state.retry.len();
        state.uses.retain(|_, uses| now <= uses.expires_at);
        state.retry.retain(|_, serial| {
            let record = state.records.get(serial);
            record.is_some_and(|record| now <= record.intent.not_after)
        });
        Ok(before - state.uses.len() - state.retry.len())
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
