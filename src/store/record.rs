//! How records are written: fields in a fixed order behind a version octet, lengths before
//! everything of variable length, integers big-endian. Compact and flat, because two of these
//! are written for every certificate.

use crate::ca::{IssuingCaId, ProfileHash, Serial};
use crate::issuance::store::{Final, Intent, StoreError, Submission};
use crate::time::UnixSeconds;
use crate::token::TokenId;

/// The layout below. A later one gets another octet and its own reader; this one stays.
const VERSION: u8 = 1;

pub(super) fn encode_intent(intent: &Intent) -> Vec<u8> {
    let mut out = Writer::new(VERSION, 320 + intent.unsigned.len());
    out.fixed(intent.serial.octets());
    out.fixed(&intent.token_hash);
    out.fixed(intent.token_id.octets());
    out.fixed(&intent.spki_hash);
    out.fixed(&intent.issuing_ca.0);
    out.fixed(&intent.profile.0);
    out.seconds(intent.at);
    out.seconds(intent.not_after);
    out.bytes(&intent.unsigned);
    out.text(&intent.request_id);
    match &intent.kid {
        None => out.0.push(0),
        Some(kid) => {
            out.0.push(1);
            out.text(kid);
        }
    }
    out.text(&intent.issuer);
    out.text(&intent.subject);
    out.text(&intent.san);
    out.count(intent.extensions.len());
    for (arc, value) in intent.extensions.iter() {
        out.0.push(*arc);
        out.text(value);
    }
    out.0
}

pub(super) fn decode_intent(bytes: &[u8]) -> Result<Intent, StoreError> {
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
            extensions: (0..from.count()?)
                .map(|_| from.fixed().map(|[arc]| arc).zip(from.text()))
                .collect::<Option<_>>()?,
        })
    })
}

pub(super) fn encode_submission(submission: &Submission) -> Vec<u8> {
    let mut out = Writer::new(VERSION, 200 + submission.precert_der.len());
    out.fixed(submission.serial.octets());
    out.bytes(&submission.precert_der);
    out.count(submission.scts.len());
    for sct in &submission.scts {
        out.bytes(sct);
    }
    out.0
}

pub(super) fn decode_submission(bytes: &[u8]) -> Result<Submission, StoreError> {
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

pub(super) fn encode_final(leaf: &Final) -> Vec<u8> {
    let mut out = Writer::new(VERSION, 40 + leaf.leaf_der.len());
    out.fixed(leaf.serial.octets());
    out.seconds(leaf.at);
    out.bytes(&leaf.leaf_der);
    out.0
}

pub(super) fn decode_final(bytes: &[u8]) -> Result<Final, StoreError> {
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
    let mut from = Reader(bytes);
    from.fixed()
        .filter(|version| *version == [VERSION])
        .and_then(|_| fields(&mut from))
        .filter(|_| from.0.is_empty())
        .ok_or_else(|| StoreError::Corrupt { what })
}

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(version: u8, capacity: usize) -> Self {
        Self::after(Vec::with_capacity(capacity), version)
    }
    /// Goes on behind what is there.
    pub(super) fn after(mut out: Vec<u8>, version: u8) -> Self {
        out.push(version);
        Self(out)
    }
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
    pub(super) fn fixed(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }
    pub(super) fn seconds(&mut self, at: UnixSeconds) {
        self.fixed(&at.0.to_be_bytes());
    }
    pub(super) fn count(&mut self, count: usize) {
        // Nothing we record comes near 4 GiB: requests are limited to 64 KiB at the door.
        self.fixed(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.fixed(bytes);
    }
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }
}

pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
    pub(super) fn serial(&mut self) -> Option<Serial> {
        Serial::from_octets(&self.fixed::<19>()?)
    }
    pub(super) fn seconds(&mut self) -> Option<UnixSeconds> {
        self.fixed().map(i64::from_be_bytes).map(UnixSeconds)
    }
    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.fixed()?)).ok()
    }
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        self.take(count)
    }
    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serial() -> Serial {
        Serial::from_octets(&[7; 19]).unwrap()
    }

    fn intent() -> Intent {
        Intent {
            serial: serial(),
            unsigned: [0x30, 0x82, 1, 2].into(),
            token_hash: [1; 32],
            token_id: TokenId::from_octets([2; 32]),
            spki_hash: [3; 32],
            issuing_ca: IssuingCaId([4; 32]),
            profile: ProfileHash([5; 32]),
            request_id: "r-1".into(),
            kid: Some("key".into()),
            issuer: "https://issuer.example".into(),
            subject: "repo:a/b".into(),
            san: "uri:https://a.example/ü".into(),
            extensions: [(8, "https://issuer.example".into()), (24, String::new())].into(),
            at: UnixSeconds(1_795_262_400),
            not_after: UnixSeconds(1_795_262_999),
        }
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        assert_eq!(decode_intent(&encode_intent(&intent())).unwrap(), intent());
        let bare = Intent {
            kid: None,
            extensions: [].into(),
            ..intent()
        };
        assert_eq!(decode_intent(&encode_intent(&bare)).unwrap(), bare);
        let submission = Submission {
            serial: serial(),
            precert_der: [1; 900].into(),
            scts: vec![vec![2; 119], vec![]],
        };
        assert_eq!(
            decode_submission(&encode_submission(&submission)).unwrap(),
            submission
        );
        let leaf = Final {
            serial: serial(),
            leaf_der: [9; 1000].into(),
            at: UnixSeconds(-1),
        };
        assert_eq!(decode_final(&encode_final(&leaf)).unwrap(), leaf);
    }

    #[test]
    fn every_cut_and_every_extra_octet_is_damage() {
        let whole = encode_intent(&intent());
        for length in 0..whole.len() {
            assert!(decode_intent(&whole[..length]).is_err(), "cut at {length}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(decode_intent(&longer).is_err());
    }

    #[test]
    fn another_version_is_not_read_as_this_one() {
        let mut bytes = encode_intent(&intent());
        bytes[0] = VERSION + 1;
        assert!(matches!(
            decode_intent(&bytes),
            Err(StoreError::Corrupt { what }) if what == "intent"
        ));
    }
}
