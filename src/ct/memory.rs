//! A log in memory: a real tree, a real key, nothing durable. For `demo`, `dev` and tests.
//!
//! It keeps what RFC 6962 asks of a log for as long as the process lives: an entry is in the tree
//! before its SCT is signed, the same entry always gets the same timestamp and index, every head
//! covers every SCT given before it. It does not check the chain, for it is called by the CA that
//! built it, and it stores hashes, not certificates: whoever needs those has the issuance record.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::key::digitally_signed_ecdsa;
use super::wire::OCTETS24_MAX;
use super::{
    CertificateLog, Failure, KeyError, LogId, LogKey, PreEntry, Sct, SubmitError, TreeHead,
    VerifiedHead, VerifiedSct, sct_leaf_hash, signed_entry, verify_head, verify_sct,
};
use crate::merkle::{Hash, Tree};
use crate::time::UnixMillis;

/// What an HTTP log answers to an entry that does not fit.
const CONTENT_TOO_LARGE: u16 = 413;

/// A log that forgets everything when the process ends.
pub struct MemoryLog {
    name: String,
    pair: EcdsaKeyPair,
    key: LogKey,
    state: Mutex<State>,
}

struct State {
    tree: Tree,
    /// When each entry came, by [`PreEntry::dedupe_key`].
    entries: HashMap<[u8; 32], UnixMillis>,
    /// The newest timestamp in the tree.
    newest: UnixMillis,
    /// The timestamp of the last head.
    last_head: UnixMillis,
}

impl MemoryLog {
    /// An empty log with a fresh P-256 key.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        Self::with_pair(name, pair.map_err(|_| KeyError::PrivateKey)?)
    }

    /// An empty log with the given P-256 key (unencrypted PKCS#8 DER). The key must never have
    /// signed for another tree: two trees under one key are a split view.
    pub fn new(name: &str, pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
        Self::with_pair(name, pair.map_err(|_| KeyError::PrivateKey)?)
    }

    fn with_pair(name: &str, pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let spki: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| KeyError::PrivateKey)?;
        Ok(Self {
            name: name.to_owned(),
            key: LogKey::from_spki_der(spki.as_ref())?,
            pair,
            state: Mutex::new(State {
                tree: Tree::new(),
                entries: HashMap::new(),
                newest: UnixMillis(0),
                last_head: UnixMillis(0),
            }),
        })
    }

    /// The public key.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// The public key's SubjectPublicKeyInfo in DER, as trust files carry it.
    pub fn spki(&self) -> &[u8] {
        self.key.spki()
    }

    /// How many entries there are.
    pub fn size(&self) -> u64 {
        self.state().tree.size()
    }

    /// Signs the tree as it is now. Each head is dated after the one before and not before the
    /// newest entry (RFC 6962 §3.5).
    pub fn head(&self, now: UnixMillis) -> Result<VerifiedHead, Failure> {
        let mut head = {
            let mut state = self.state();
            state.last_head = now.max(state.newest).max(state.last_head.plus(1));
            TreeHead {
                size: state.tree.size(),
                timestamp: state.last_head,
                root: state.tree.root(),
                signature: Vec::new(),
            }
        };
        head.signature = self.sign(&head.signed_octets())?;
        Ok(verify_head(head, &self.key)?)
    }

    /// Index and audit path of the leaf with this hash in the tree of `size` entries.
    pub fn inclusion_proof(&self, leaf: &Hash, size: u64) -> Option<(u64, Vec<Hash>)> {
        let state = self.state();
        let index = state.tree.index_of(leaf)?;
        Some((index, state.tree.inclusion_proof(index, size)?))
    }

    /// The proof that the tree of `new` entries begins with the tree of `old`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        self.state().tree.consistency_proof(old, new)
    }

    fn log(&self, entry: &PreEntry, now: UnixMillis) -> Result<VerifiedSct, Failure> {
        let mut sct = self.place(entry, now);
        let octets = signed_entry(&sct, entry.issuer_key_hash(), entry.tbs());
        sct.signature = self.sign(&octets)?;
        Ok(verify_sct(sct, &self.key, entry, now)?)
    }

    /// Puts the entry into the tree unless it is there, and answers with the SCT to be signed.
    fn place(&self, entry: &PreEntry, now: UnixMillis) -> Sct {
        let mut state = self.state();
        let known = state.entries.get(entry.dedupe_key()).copied();
        let sct = Sct {
            log_id: self.key.id(),
            // Entries may share a millisecond: strictly increasing ones would run ahead of the
            // clock, and out of the window of `verify_sct`, at a thousand a second.
            timestamp: known.unwrap_or(now.max(state.newest)),
            extensions: Vec::new(),
            signature: Vec::new(),
        };
        if known.is_none() {
            let leaf = sct_leaf_hash(&sct, entry.issuer_key_hash(), entry.tbs());
            state.tree.append(leaf);
            state.entries.insert(*entry.dedupe_key(), sct.timestamp);
            state.newest = sct.timestamp;
        }
        sct
    }

    fn sign(&self, octets: &[u8]) -> Result<Vec<u8>, Failure> {
        let signature = self.pair.sign(&SystemRandom::new(), octets);
        let signature = signature.map_err(|_| Failure::Signing)?;
        Ok(digitally_signed_ecdsa(signature.as_ref()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing under this lock can panic")
    }

    fn retryable(&self, failure: Failure) -> SubmitError {
        SubmitError::Retryable {
            log: self.name.clone(),
            retry_after: None,
            source: Box::new(failure),
        }
    }
}

#[async_trait]
impl CertificateLog for MemoryLog {
    fn id(&self) -> LogId {
        self.key.id()
    }

    fn name(&self) -> &str {
        &self.name
    }

    async fn submit(
        &self,
        entry: &PreEntry,
        now: UnixMillis,
        _budget: Duration,
    ) -> Result<VerifiedSct, SubmitError> {
        if entry.tbs().len() > OCTETS24_MAX {
            return Err(SubmitError::Rejected {
                log: self.name.clone(),
                status: CONTENT_TOO_LARGE,
            });
        }
        self.log(entry, now).map_err(|e| self.retryable(e))
    }

    /// A head is signed, checked and thrown away: only the key can fail.
    async fn probe(&self, _budget: Duration) -> Result<(), SubmitError> {
        let head = self.head(UnixMillis(0)).map_err(|e| self.retryable(e))?;
        drop(head);
        Ok(())
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryLog({:?} {})", self.name, self.key.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::SctError;
    use crate::merkle::{verify_consistency, verify_inclusion};
    use crate::time::UnixSeconds;

    const NOW: UnixMillis = UnixMillis(1_795_262_400_000);
    const BUDGET: Duration = Duration::from_secs(1);

    fn log() -> MemoryLog {
        MemoryLog::generate("memory").unwrap()
    }

    fn entry(tbs: &[u8]) -> PreEntry {
        PreEntry::new(vec![0x30], vec![], b"spki", tbs.to_vec(), UnixSeconds(0))
    }

    async fn submit(log: &MemoryLog, tbs: &[u8], now: UnixMillis) -> Sct {
        let sct = log.submit(&entry(tbs), now, BUDGET).await.unwrap();
        sct.sct().clone()
    }

    fn leaf(sct: &Sct, tbs: &[u8]) -> Hash {
        sct_leaf_hash(sct, entry(tbs).issuer_key_hash(), tbs)
    }

    #[tokio::test]
    async fn an_sct_is_bound_to_its_entry_and_log() {
        let log = log();
        let proven = log.submit(&entry(b"one"), NOW, BUDGET).await.unwrap();
        assert_eq!(proven.entry_key(), entry(b"one").dedupe_key());
        assert_eq!(proven.sct().log_id, log.id());
        assert_eq!(proven.sct().timestamp, NOW);
    }

    #[tokio::test]
    async fn every_entry_is_in_the_head_that_follows_it() {
        let log = log();
        for i in 0u32..20 {
            let tbs = i.to_be_bytes();
            let sct = submit(&log, &tbs, NOW.plus(i64::from(i))).await;
            let head = log.head(NOW).unwrap();
            let head = head.head();
            let leaf = leaf(&sct, &tbs);
            let (index, path) = log.inclusion_proof(&leaf, head.size).unwrap();
            assert_eq!(index, u64::from(i));
            verify_inclusion(&leaf, index, head.size, &path, &head.root).unwrap();
            assert!(head.timestamp >= sct.timestamp);
        }
    }

    #[tokio::test]
    async fn the_same_entry_keeps_its_timestamp_and_place() {
        let log = log();
        let first = submit(&log, b"one", NOW).await;
        submit(&log, b"two", NOW.plus(5)).await;
        let again = submit(&log, b"one", NOW.plus(9)).await;
        assert_eq!(again.timestamp, first.timestamp);
        assert_eq!(log.size(), 2);
    }

    #[tokio::test]
    async fn an_entry_first_logged_too_long_ago_gets_no_new_sct() {
        let log = log();
        submit(&log, b"one", NOW).await;
        let now = NOW.plus(600_001);
        let error = log.submit(&entry(b"one"), now, BUDGET).await.unwrap_err();
        assert_eq!(error.word(), "stale");
        assert!(matches!(
            error.failure(),
            Some(Failure::Answer(SctError::TooOld { timestamp, now: at }))
                if *timestamp == NOW && *at == now
        ));
    }

    #[tokio::test]
    async fn timestamps_never_go_back() {
        let log = log();
        let first = submit(&log, b"one", NOW).await;
        let second = submit(&log, b"two", NOW.plus(-40)).await;
        assert_eq!(second.timestamp, first.timestamp);
    }

    #[tokio::test]
    async fn heads_are_dated_one_after_the_other_and_agree() {
        let log = log();
        let empty = log.head(NOW).unwrap();
        assert_eq!(empty.head().root, crate::merkle::empty_root());
        submit(&log, b"one", NOW).await;
        let one = log.head(NOW).unwrap();
        submit(&log, b"two", NOW).await;
        let two = log.head(NOW).unwrap();
        assert!(empty.head().timestamp < one.head().timestamp);
        assert!(one.head().timestamp < two.head().timestamp);
        let proof = log.consistency_proof(1, 2).unwrap();
        verify_consistency(1, &one.head().root, 2, &two.head().root, &proof).unwrap();
    }

    #[tokio::test]
    async fn many_tasks_with_one_entry_make_one_leaf() {
        let log = std::sync::Arc::new(log());
        let tasks: Vec<_> = (0..16)
            .map(|i| {
                let log = log.clone();
                tokio::spawn(async move { submit(&log, b"same", NOW.plus(i)).await.timestamp })
            })
            .collect();
        let mut timestamps = std::collections::HashSet::new();
        for task in tasks {
            timestamps.insert(task.await.unwrap());
        }
        assert_eq!((timestamps.len(), log.size()), (1, 1));
    }

    #[test]
    fn a_log_keeps_its_id_with_its_key() {
        let pkcs8 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .unwrap()
            .to_pkcs8v1()
            .unwrap();
        let one = MemoryLog::new("one", pkcs8.as_ref()).unwrap();
        let two = MemoryLog::new("two", pkcs8.as_ref()).unwrap();
        assert_eq!(one.id(), two.id());
        assert_eq!(
            MemoryLog::new("three", b"no key").err(),
            Some(KeyError::PrivateKey)
        );
    }

    #[tokio::test]
    async fn a_probe_changes_no_entry() {
        let log = log();
        log.probe(BUDGET).await.unwrap();
        assert_eq!(log.size(), 0);
    }
}
