//! A store that shortleaf wrote before a record was one row: opening it brings it up to date.
//!
//! Its tables and its journal are written here as that version did.

use std::path::Path;

use redb::{Database, TableDefinition};
use shortleaf::issuance::store::{
    Begun, Final, Intent, IssuanceStore as _, Record, Selector, StoreError,
};
use shortleaf::store::redb::{OpenError, RedbStore};
use shortleaf::time::UnixSeconds;
use xxhash_rust::xxh3::xxh3_64;

use crate::samples::{self, Chance, NOW, hash, leaf, serial, submission, token, uses};

type Key = (i64, &'static [u8; 19]);
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const INTENTS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("intents");
const SUBMISSIONS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("submissions");
const FINALS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("finals");
const OPEN: TableDefinition<'_, Key, &[u8; 72]> = TableDefinition::new("open");
const ABANDONED: TableDefinition<'_, Key, i64> = TableDefinition::new("abandoned");
const SERIALS: TableDefinition<'_, &[u8; 19], i64> = TableDefinition::new("serials");
const USES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("token_uses");
type Retry = (i64, i64, &'static [u8; 19]);
const RETRY: TableDefinition<'_, &[u8; 64], Retry> = TableDefinition::new("retry");
const EXPIRIES: TableDefinition<'_, (i64, &[u8]), ()> = TableDefinition::new("expiries");

const UUID: [u8; 16] = [7; 16];

fn bytes(octets: &[u8]) -> Vec<u8> {
    let length = u32::try_from(octets.len()).unwrap();
    [&length.to_be_bytes(), octets].concat()
}

fn encoded_intent(intent: &Intent) -> Vec<u8> {
    let mut out = [
        &[1][..],
        intent.serial.octets(),
        &intent.token_hash,
        intent.token_id.octets(),
        &intent.spki_hash,
        &intent.issuing_ca.0,
        &intent.profile.0,
        &intent.at.0.to_be_bytes(),
        &intent.not_after.0.to_be_bytes(),
        &bytes(&intent.unsigned),
        &bytes(intent.request_id.as_bytes()),
    ]
    .concat();
    match &intent.kid {
        None => out.push(0),
        Some(kid) => out.extend([&[1], bytes(kid.as_bytes()).as_slice()].concat()),
    }
    for text in [&intent.issuer, &intent.subject, &intent.san] {
        out.extend(bytes(text.as_bytes()));
    }
    out.extend(
        u32::try_from(intent.extensions.len())
            .unwrap()
            .to_be_bytes(),
    );
    for (arc, value) in intent.extensions.iter() {
        out.push(*arc);
        out.extend(bytes(value.as_bytes()));
    }
    out
}

fn encoded_submission(n: u64) -> Vec<u8> {
    let submission = submission(n);
    [
        &[1][..],
        submission.serial.octets(),
        &bytes(&submission.precert_der),
        &1_u32.to_be_bytes(),
        &bytes(&submission.scts[0]),
    ]
    .concat()
}

fn encoded_final(leaf: &Final) -> Vec<u8> {
    [
        &[1][..],
        leaf.serial.octets(),
        &leaf.at.0.to_be_bytes(),
        &bytes(&leaf.leaf_der),
    ]
    .concat()
}

/// What was known then.
fn intent(n: u64, token_n: u64, key_n: u64) -> Intent {
    Intent {
        rule: None,
        rules: None,
        ..samples::intent(n, token_n, key_n)
    }
}

fn intent_without_kid(n: u64) -> Intent {
    Intent {
        kid: None,
        ..intent(n, n, n)
    }
}

/// 0 finished, 1 with an SCT, 2 begun, 3 given up, 4 finished for 0's token and key, later.
fn write_tables(path: &Path) {
    let database = Database::create(path).unwrap();
    let txn = database.begin_write().unwrap();
    {
        let mut meta = txn.open_table(META).unwrap();
        meta.insert("schema", 2_u64.to_be_bytes().as_slice())
            .unwrap();
        meta.insert("uuid", UUID.as_slice()).unwrap();
        meta.insert("applied", 5_u64.to_be_bytes().as_slice())
            .unwrap();
        let carried = [5_u64.to_be_bytes(), [0; 8]].concat();
        meta.insert("carried", carried.as_slice()).unwrap();
        let mut intents = txn.open_table(INTENTS).unwrap();
        let mut serials = txn.open_table(SERIALS).unwrap();
        let mut submissions = txn.open_table(SUBMISSIONS).unwrap();
        let mut finals = txn.open_table(FINALS).unwrap();
        let mut open = txn.open_table(OPEN).unwrap();
        let mut used = txn.open_table(USES).unwrap();
        let mut retry = txn.open_table(RETRY).unwrap();
        let mut expiries = txn.open_table(EXPIRIES).unwrap();
        for n in 0..5 {
            let number = serial(n);
            let key = (NOW.0, number.octets());
            serials.insert(number.octets(), NOW.0).unwrap();
            let intent = encoded_intent(&expected(n).intent);
            intents.insert(key, intent.as_slice()).unwrap();
            if expected(n).submission.is_some() {
                submissions
                    .insert(key, encoded_submission(n).as_slice())
                    .unwrap();
            }
            if let Some(leaf) = expected(n).leaf {
                finals.insert(key, encoded_final(&leaf).as_slice()).unwrap();
            }
            if n == 1 || n == 2 {
                open.insert(key, &[0; 72]).unwrap();
            }
            let owner = token(if n == 4 { 0 } else { n });
            let (owner, end) = (owner.octets(), NOW.0 + 300);
            let key_hash = expected(n).intent.spki_hash;
            used.insert(owner, key_hash.as_slice()).unwrap();
            expiries.insert((end, owner.as_slice()), ()).unwrap();
        }
        txn.open_table(ABANDONED)
            .unwrap()
            .insert((NOW.0, serial(3).octets()), NOW.0 + 9)
            .unwrap();
        let owner: [u8; 64] = [*token(0).octets(), hash(0)].concat().try_into().unwrap();
        for (not_after, n) in [(NOW.0 + 599, 0), (NOW.0 + 700, 4)] {
            let number = serial(n);
            let found = (not_after, NOW.0, number.octets());
            retry.insert(&owner, found).unwrap();
            expiries.insert((not_after, owner.as_slice()), ()).unwrap();
        }
    }
    txn.commit().unwrap();
}

/// Its record, as it comes out.
fn expected(n: u64) -> Record {
    let intent = match n {
        0 => intent_without_kid(0),
        4 => Intent {
            not_after: NOW.plus(700),
            ..intent(4, 0, 0)
        },
        n => intent(n, n, n),
    };
    Record {
        intent,
        submission: (n != 2 && n != 3).then(|| submission(n)),
        leaf: (n == 0 || n == 4).then(|| leaf(n)),
        abandoned: (n == 3).then_some(NOW.plus(9)),
    }
}

/// A journal with one batch, the sixth: an intent, what the log said and the final.
fn write_journal(path: &Path, n: u64) {
    let intent = intent(n, n, n);
    let payload = [
        &[2][..],
        &[0; 12], // no lines of the audit log
        &3_u32.to_be_bytes(),
        &[1],
        &intent.at.0.to_be_bytes(),
        intent.serial.octets(),
        &bytes(&encoded_intent(&intent)),
        intent.token_id.octets(),
        &intent.spki_hash,
        &intent.not_after.0.to_be_bytes(),
        &1_u32.to_be_bytes(),
        &NOW.plus(300).0.to_be_bytes(),
        &[2],
        serial(n).octets(),
        &bytes(&encoded_submission(n)),
        &[3],
        serial(n).octets(),
        &bytes(&encoded_final(&leaf(n))),
    ]
    .concat();
    let number = 6_u64.to_be_bytes();
    let sum = xxh3_64(&[&UUID[..], &number, &payload].concat());
    let length = u32::try_from(payload.len()).unwrap();
    let journal = [
        b"slfjrnl\x02",
        &UUID[..],
        &length.to_be_bytes(),
        &sum.to_be_bytes(),
        &number,
        &payload,
    ]
    .concat();
    std::fs::write(path, journal).unwrap();
}

async fn records(store: &RedbStore) -> Vec<Record> {
    let all = Selector::default();
    let found = store.find_issued(&all, NOW, NOW.plus(1), 100).await;
    found.unwrap()
}

#[tokio::test]
async fn every_record_use_and_retry_of_it_is_there_after_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    write_tables(&path);
    let store = RedbStore::open(&path, &Chance::new(1)).unwrap();
    assert_eq!(store.uuid(), UUID);
    assert_eq!(
        records(&store).await,
        (0..5).map(expected).collect::<Vec<_>>()
    );
    let orphans = store.orphans(NOW.plus(1), 10).await.unwrap();
    assert_eq!(orphans, [expected(1), expected(2)]);
    let retry = async |at| store.find_retry(&token(0), &hash(0), at).await.unwrap();
    assert_eq!(retry(NOW.plus(700)).await, Some(expected(4)));
    assert_eq!(retry(NOW.plus(701)).await, None);
    let another_key = store.put_intent(intent(9, 3, 9), uses(1)).await.unwrap();
    assert_eq!(another_key, Begun::Exhausted);
    store.put_final(leaf(1)).await.unwrap();
    let abandoned = store.put_final(leaf(3)).await;
    assert!(
        matches!(abandoned, Err(StoreError::Conflict { .. })),
        "{abandoned:?}"
    );
    // Four uses; the finals of tokens 0 and 1.
    assert_eq!(store.expire(NOW.plus(301)).await.unwrap(), 4);
    assert_eq!(store.expire(NOW.plus(701)).await.unwrap(), 2);
    assert_eq!(store.forget(NOW.plus(1), 100).await.unwrap(), 4);
}

#[tokio::test]
async fn what_only_its_journal_has_is_there_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    write_tables(&path);
    write_journal(&path.with_extension("journal"), 7);
    let store = RedbStore::open(&path, &Chance::new(1)).unwrap();
    let sixth = Record {
        intent: intent(7, 7, 7),
        submission: Some(submission(7)),
        leaf: Some(leaf(7)),
        abandoned: None,
    };
    let all = (0..5).map(expected).chain([sixth.clone()]);
    assert_eq!(records(&store).await, all.collect::<Vec<_>>());
    let retry = store.find_retry(&token(7), &hash(7), NOW).await.unwrap();
    assert_eq!(retry, Some(sixth));
}

#[tokio::test]
async fn it_can_be_inspected_only_after_it_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    write_tables(&path);
    let before = std::fs::read(&path).unwrap();
    let refused = RedbStore::inspect(&path).err().unwrap();
    assert!(
        matches!(refused, OpenError::Older { found: 2, known: 3 }),
        "{refused}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    drop(RedbStore::open(&path, &Chance::new(1)).unwrap());
    let inspection = RedbStore::inspect(&path).unwrap();
    let all = inspection.find_issued(&Selector::default(), NOW, NOW.plus(1), 100);
    assert_eq!(all.unwrap().len(), 5);
}

#[test]
fn a_damaged_record_of_it_leaves_the_file_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("issuance.redb");
    write_tables(&path);
    let change = |octet: &[u8]| {
        let database = Database::open(&path).unwrap();
        let txn = database.begin_write().unwrap();
        let mut finals = txn.open_table(FINALS).unwrap();
        finals.insert((NOW.0, serial(0).octets()), octet).unwrap();
        drop(finals);
        txn.commit().unwrap();
    };
    change(&[1]);
    let refused = RedbStore::open(&path, &Chance::new(1)).err().unwrap();
    assert!(matches!(refused, OpenError::Record(_)), "{refused:?}");
    // Its twin: whole again, all of it is there.
    change(&encoded_final(&leaf(0)));
    drop(RedbStore::open(&path, &Chance::new(1)).unwrap());
    let inspection = RedbStore::inspect(&path).unwrap();
    let window = (UnixSeconds(0), UnixSeconds(i64::MAX));
    let all = inspection.find_issued(&Selector::default(), window.0, window.1, 100);
    assert_eq!(all.unwrap().len(), 5);
}
