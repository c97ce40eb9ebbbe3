//! When an SCT is believed. The checks in order, each with its own error; the first one that
//! fails ends it.

use super::sct::{Sct, signed_entry};
use super::{LogKey, PreEntry, SctError};
use crate::time::UnixMillis;

/// How far back a log may date an SCT it has just given: the life of a certificate.
pub const SCT_AGE_MAX_MS: u64 = 10 * 60 * 1000;
/// How far a log's clock may be ahead of ours.
pub const SCT_AHEAD_MAX_MS: u64 = 60 * 1000;
/// The longest SCT that has a place in a certificate, in octets. An extension's value may have
/// 1024 (rule c13); around the SCT stand the OCTET STRING's tag and length (4), the list's length
/// (2) and its own (2). Signed by P-256, this leaves its extensions near 900.
pub const MAX_SCT_BYTES: usize = 1024 - 4 - 2 - 2;

/// An SCT proven to be for one precertificate and from a log we know. Made only by [`verify_sct`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSct {
    sct: Sct,
    entry: [u8; 32],
}

impl VerifiedSct {
    /// The SCT.
    pub fn sct(&self) -> &Sct {
        &self.sct
    }

    /// The [`PreEntry::dedupe_key`] of the entry it was checked against.
    pub fn entry_key(&self) -> &[u8; 32] {
        &self.entry
    }
}

/// Checks an SCT just received for `entry`: its log, its length, its date, its signature over
/// octets rebuilt from our own entry, never from the answer.
pub fn verify_sct(
    sct: Sct,
    key: &LogKey,
    entry: &PreEntry,
    now: UnixMillis,
) -> Result<VerifiedSct, SctError> {
    same_log(&sct, key)?;
    embeddable(&sct)?;
    fresh(sct.timestamp, now)?;
    signature(&sct, key, entry.issuer_key_hash(), entry.tbs())?;
    Ok(VerifiedSct {
        sct,
        entry: *entry.dedupe_key(),
    })
}

/// Checks an SCT found in a finished certificate, for verifiers: log and signature. How old it
/// may be is not asked here, for a certificate is verified long after it was logged.
/// `tbs` is the TBSCertificate without the SCT list.
pub fn verify_embedded(
    sct: &Sct,
    key: &LogKey,
    issuer_key_hash: &[u8; 32],
    tbs: &[u8],
) -> Result<(), SctError> {
    same_log(sct, key)?;
    signature(sct, key, issuer_key_hash, tbs)
}

fn same_log(sct: &Sct, key: &LogKey) -> Result<(), SctError> {
    if sct.log_id == key.id() {
        Ok(())
    } else {
        Err(SctError::WrongLog {
            got: sct.log_id,
            want: key.id(),
        })
    }
}

/// Said here, while another log can still be asked: the linter would say it of the final.
fn embeddable(sct: &Sct) -> Result<(), SctError> {
    match sct.encoded_len() {
        0..=MAX_SCT_BYTES => Ok(()),
        got => Err(SctError::TooLong {
            got,
            max: MAX_SCT_BYTES,
        }),
    }
}

fn fresh(timestamp: UnixMillis, now: UnixMillis) -> Result<(), SctError> {
    if timestamp.0 > now.0.saturating_add(SCT_AHEAD_MAX_MS) {
        return Err(SctError::FromTheFuture { timestamp, now });
    }
    if timestamp.0 < now.0.saturating_sub(SCT_AGE_MAX_MS) {
        return Err(SctError::TooOld { timestamp, now });
    }
    Ok(())
}

fn signature(
    sct: &Sct,
    key: &LogKey,
    issuer_key_hash: &[u8; 32],
    tbs: &[u8],
) -> Result<(), SctError> {
    key.verify(&signed_entry(sct, issuer_key_hash, tbs), &sct.signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::CertificateLog;
    use crate::ct::memory::MemoryLog;
    use crate::time::UnixSeconds;
    use std::time::Duration;

    const NOW: UnixMillis = UnixMillis(1_795_262_400_000);

    fn entry(tbs: &[u8]) -> PreEntry {
        PreEntry::new(vec![0x30], vec![], b"spki", tbs.to_vec(), UnixSeconds(0))
    }

    /// A log, an entry, and the SCT the log gave for it.
    async fn logged() -> (MemoryLog, PreEntry, Sct) {
        let (log, entry) = (MemoryLog::generate("log").unwrap(), entry(b"tbs"));
        let budget = Duration::from_secs(1);
        let proven = log.submit(&entry, NOW, budget).await.unwrap();
        let sct = proven.sct().clone();
        (log, entry, sct)
    }

    #[tokio::test]
    async fn a_good_sct_is_believed_for_its_entry() {
        let (log, entry, sct) = logged().await;
        let proven = verify_sct(sct.clone(), log.key(), &entry, NOW).unwrap();
        assert_eq!(proven.sct(), &sct);
        assert_eq!(proven.entry_key(), entry.dedupe_key());
    }

    #[tokio::test]
    async fn an_sct_for_another_precertificate_is_refused() {
        let (log, _, sct) = logged().await;
        assert_eq!(
            verify_sct(sct, log.key(), &entry(b"tbt"), NOW),
            Err(SctError::SignatureInvalid { log: log.id() })
        );
    }

    #[tokio::test]
    async fn an_sct_for_the_same_tbs_under_another_issuer_key_is_refused() {
        let (log, _, sct) = logged().await;
        let other = PreEntry::new(vec![], vec![], b"spkj", b"tbs".to_vec(), UnixSeconds(0));
        assert_eq!(
            verify_sct(sct, log.key(), &other, NOW),
            Err(SctError::SignatureInvalid { log: log.id() })
        );
    }

    #[tokio::test]
    async fn an_sct_of_another_log_is_refused() {
        let (log, entry, sct) = logged().await;
        let other = MemoryLog::generate("other").unwrap();
        assert_eq!(
            verify_sct(sct, other.key(), &entry, NOW),
            Err(SctError::WrongLog {
                got: log.id(),
                want: other.id()
            })
        );
    }

    #[tokio::test]
    async fn any_signed_part_changed_breaks_the_signature() {
        let (log, entry, sct) = logged().await;
        let invalid = Err(SctError::SignatureInvalid { log: log.id() });
        let later = Sct {
            timestamp: sct.timestamp.plus(1),
            ..sct.clone()
        };
        assert_eq!(verify_sct(later, log.key(), &entry, NOW), invalid);
        let extended = Sct {
            extensions: vec![0],
            ..sct.clone()
        };
        assert_eq!(verify_sct(extended, log.key(), &entry, NOW), invalid);
        let mut flipped = sct;
        *flipped.signature.last_mut().unwrap() ^= 1;
        assert_eq!(verify_sct(flipped, log.key(), &entry, NOW), invalid);
    }

    #[tokio::test]
    async fn an_sct_too_long_for_a_certificate_is_refused_as_that() {
        let (log, entry, sct) = logged().await;
        let of_length = |octets: usize| Sct {
            extensions: vec![0; octets - sct.encode().len()],
            ..sct.clone()
        };
        let refused = |octets| verify_sct(of_length(octets), log.key(), &entry, NOW).unwrap_err();
        assert_eq!(
            refused(1017),
            SctError::TooLong {
                got: 1017,
                max: 1016
            }
        );
        // Short enough, and only then are the extensions found not to be signed.
        assert_eq!(refused(1016), SctError::SignatureInvalid { log: log.id() });
        let hash = entry.issuer_key_hash();
        let elsewhere = verify_embedded(&of_length(1017), log.key(), hash, b"tbs");
        assert_eq!(elsewhere, Err(SctError::SignatureInvalid { log: log.id() }));
    }

    #[tokio::test]
    async fn the_signature_structure_must_end_where_it_says() {
        let (log, entry, sct) = logged().await;
        let mut longer = sct.clone();
        longer.signature.push(0);
        assert_eq!(
            verify_sct(longer, log.key(), &entry, NOW),
            Err(SctError::Trailing { extra: 1 })
        );
        let mut shorter = sct;
        shorter.signature.pop();
        assert_eq!(
            verify_sct(shorter, log.key(), &entry, NOW),
            Err(SctError::Truncated)
        );
    }

    #[tokio::test]
    async fn the_window_is_ten_minutes_back_and_one_ahead_to_the_millisecond() {
        let (log, entry, sct) = logged().await;
        let at = |offset: i64| verify_sct(sct.clone(), log.key(), &entry, NOW.plus(offset));
        assert!(at(600_000).is_ok());
        assert_eq!(
            at(600_001),
            Err(SctError::TooOld {
                timestamp: NOW,
                now: NOW.plus(600_001)
            })
        );
        assert!(at(-60_000).is_ok());
        assert_eq!(
            at(-60_001),
            Err(SctError::FromTheFuture {
                timestamp: NOW,
                now: NOW.plus(-60_001)
            })
        );
    }

    #[tokio::test]
    async fn an_embedded_sct_is_believed_at_any_age_but_not_for_another_certificate() {
        let (log, entry, sct) = logged().await;
        let hash = entry.issuer_key_hash();
        assert_eq!(verify_embedded(&sct, log.key(), hash, b"tbs"), Ok(()));
        assert_eq!(
            verify_embedded(&sct, log.key(), hash, b"tbt"),
            Err(SctError::SignatureInvalid { log: log.id() })
        );
    }
}
