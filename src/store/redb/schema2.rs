//! Files of schema 2, which wrote a record as three rows of whole certificates: how they become
//! ours, and how the journal beside them is read.
//!
//! Everything happens in the one transaction that also changes the schema's number, so a crash leaves
//! either file. Nothing here is written any more.

use ::redb::{Error, ReadableTable, TableDefinition, TableHandle, WriteTransaction};

use super::op::Op;
use super::reads::ReadError;
use super::tables::Tables;
use crate::ca::{IssuingCaId, ProfileHash, Serial};
use crate::issuance::store::{Final, Intent, StoreError, Submission, TokenUse};
use crate::store::fields::Reader;
use crate::store::record::Row;
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// Of a record's part and of a batch.
const RECORD_VERSION: u8 = 1;

/// (intent's time, serial)
type Key = (i64, &'static [u8; 19]);

const INTENTS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("intents");
const SUBMISSIONS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("submissions");
const FINALS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("finals");
const OPEN: TableDefinition<'_, Key, &[u8; 72]> = TableDefinition::new("open");
const ABANDONED: TableDefinition<'_, Key, i64> = TableDefinition::new("abandoned");
const SERIALS: TableDefinition<'_, &[u8; 19], i64> = TableDefinition::new("serials");
const USES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("token_uses");
/// Token id and SPKI hash to (notAfter, key of the record).
type Retry = (i64, i64, &'static [u8; 19]);
const RETRY: TableDefinition<'_, &[u8; 64], Retry> = TableDefinition::new("retry");
const EXPIRIES: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("expiries");

/// So many records are held in memory at a time.
const AT_ONCE: usize = 4096;

/// Moves everything into our tables, and deletes the others.
pub(super) fn migrate(txn: &WriteTransaction) -> Result<(), ReadError> {
    let mut tables = Tables::open(txn)?;
    move_records(txn, &mut tables)?;
    move_tokens(txn, &mut tables)?;
    tables.write()?;
    let all = [
        INTENTS.name(),
        SUBMISSIONS.name(),
        FINALS.name(),
        OPEN.name(),
        ABANDONED.name(),
        SERIALS.name(),
        USES.name(),
        RETRY.name(),
        EXPIRIES.name(),
    ];
    let handles = txn.list_tables().map_err(Error::from)?;
    for old in handles.filter(|table| all.contains(&table.name())) {
        txn.delete_table(old).map_err(Error::from)?;
    }
    Ok(())
}

fn move_records(txn: &WriteTransaction, tables: &mut Tables<'_>) -> Result<(), ReadError> {
    let intents = txn.open_table(INTENTS)?;
    let submissions = txn.open_table(SUBMISSIONS)?;
    let finals = txn.open_table(FINALS)?;
    let open = txn.open_table(OPEN)?;
    let abandoned = txn.open_table(ABANDONED)?;
    for row in intents.iter()? {
        let (key, intent) = row?;
        let key = key.value();
        let mut row = Row::new(&intent_of(intent.value())?);
        if let Some(submission) = submissions.get(key)? {
            row.add_submission(&submission_of(submission.value())?);
        }
        if let Some(leaf) = finals.get(key)? {
            row.add_final(&final_of(leaf.value())?);
        }
        if let Some(at) = abandoned.get(key)? {
            row.add_abandoned(UnixSeconds(at.value()));
        }
        tables.insert(row, open.get(key)?.is_some());
        if tables.unwritten() >= AT_ONCE {
            tables.write()?;
        }
    }
    Ok(())
}

/// What says when something may go knows all tokens there are.
fn move_tokens(txn: &WriteTransaction, tables: &mut Tables<'_>) -> Result<(), ReadError> {
    let uses = txn.open_table(USES)?;
    let retry = txn.open_table(RETRY)?;
    let expiries = txn.open_table(EXPIRIES)?;
    for (count, row) in expiries.iter()?.enumerate() {
        let (key, ()) = {
            let (key, value) = row?;
            (key, value.value())
        };
        let (when, whose) = key.value();
        if let Ok(token_id) = <&[u8; 32]>::try_from(whose)
            && let Some(keys) = uses.get(token_id)?
        {
            let token_use = TokenUse {
                limit: u32::MAX,
                expires_at: UnixSeconds(when),
            };
            for key in keys.value().as_chunks().0 {
                tables.tokens.spend(token_id, key, &token_use)?;
            }
        } else if let Ok(token_and_key) = <&[u8; 64]>::try_from(whose)
            && let Some(latest) = retry.get(token_and_key)?
        {
            let (not_after, _, serial) = latest.value();
            // Others name a final that was not the last.
            if let Some(serial) = Serial::from_octets(serial).filter(|_| not_after == when) {
                tables.tokens.finish(token_and_key, not_after, &serial)?;
            }
        }
        if count % AT_ONCE == 0 {
            tables.write()?;
        }
    }
    Ok(())
}

/// An operation as it stood in the journal of schema 2.
pub(super) fn decode_op(from: &mut Reader<'_>) -> Option<Op> {
    const INTENT: u8 = 1;
    const SUBMISSION: u8 = 2;
    const FINAL: u8 = 3;
    let mut ahead = *from;
    match ahead.fixed()? {
        [INTENT] => {
            *from = ahead;
            from.take(8 + 19)?; // time and serial, which the intent has too
            let intent = intent_of(from.bytes()?).ok()?;
            from.take(32 + 32 + 8)?; // token id, SPKI hash, notAfter: the same
            Some(Op::Intent {
                row: Row::new(&intent),
                token_use: TokenUse {
                    limit: u32::from_be_bytes(from.fixed()?),
                    expires_at: from.seconds()?,
                },
            })
        }
        [SUBMISSION] => {
            *from = ahead;
            from.serial()?;
            Some(Op::Submission(submission_of(from.bytes()?).ok()?))
        }
        [FINAL] => {
            *from = ahead;
            from.serial()?;
            Some(Op::Final(final_of(from.bytes()?).ok()?))
        }
        // The others stand as they stood.
        [_] => Op::decode(from),
    }
}

fn intent_of(bytes: &[u8]) -> Result<Intent, StoreError> {
    read(bytes, "intent", |from| {
        Some(Intent {
            serial: from.serial()?,
            token_hash: from.fixed()?,
            token_id: TokenId::from_octets(from.fixed()?),
            spki_hash: from.fixed()?,
            issuing_ca: IssuingCaId(from.fixed()?),
            profile: ProfileHash(from.fixed()?),
            at: from.seconds()?,
            not_after: from.seconds()?,
            unsigned: from.bytes()?.into(),
            request_id: from.text()?,
            kid: match from.fixed()? {
                [0] => None,
                [1] => Some(from.text()?),
                [_] => return None,
            },
            issuer: from.text()?,
            subject: from.text()?,
            san: from.text()?,
            rule: None,
            rules: None,
            extensions: (0..from.count()?)
                .map(|_| from.fixed().map(|[arc]| arc).zip(from.text()))
                .collect::<Option<_>>()?,
        })
    })
}

fn submission_of(bytes: &[u8]) -> Result<Submission, StoreError> {
    read(bytes, "submission", |from| {
        Some(Submission {
            serial: from.serial()?,
            precert_der: from.bytes()?.into(),
            scts: (0..from.count()?)
                .map(|_| from.bytes().map(<[u8]>::to_vec))
                .collect::<Option<_>>()?,
        })
    })
}

fn final_of(bytes: &[u8]) -> Result<Final, StoreError> {
    read(bytes, "final", |from| {
        Some(Final {
            serial: from.serial()?,
            at: from.seconds()?,
            leaf_der: from.bytes()?.into(),
        })
    })
}

/// Reads all of `bytes`, or calls the record damaged.
fn read<T>(
    bytes: &[u8],
    what: &'static str,
    fields: impl FnOnce(&mut Reader<'_>) -> Option<T>,
) -> Result<T, StoreError> {
    let mut from = Reader::new(bytes);
    from.fixed()
        .filter(|version| *version == [RECORD_VERSION])
        .and_then(|_| fields(&mut from))
        .filter(|_| from.is_empty())
        .ok_or_else(|| StoreError::Corrupt { what })
}
