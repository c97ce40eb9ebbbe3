//! Records with every field set, and a repeatable source of numbers.

use std::sync::Mutex;

use shortleaf::ca::{IssuingCaId, ProfileHash, Serial};
use shortleaf::entropy::Entropy;
use shortleaf::issuance::store::{Final, Intent, Submission, TokenUse};
use shortleaf::time::UnixSeconds;
use shortleaf::token::TokenId;

pub(crate) const NOW: UnixSeconds = UnixSeconds(1_795_262_400);

/// The `n`th serial.
pub(crate) fn serial(n: u64) -> Serial {
    let mut octets = [1; 19];
    octets[11..].copy_from_slice(&n.to_be_bytes());
    Serial::from_octets(&octets).unwrap()
}

pub(crate) fn hash(n: u64) -> [u8; 32] {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&n.to_be_bytes());
    octets
}

pub(crate) fn token(n: u64) -> TokenId {
    TokenId::from_octets(hash(n))
}

/// The intent under the `n`th serial, for token `token_n` and key `key_n`.
pub(crate) fn intent(n: u64, token_n: u64, key_n: u64) -> Intent {
    Intent {
        serial: serial(n),
        unsigned: [0x30; 700].into(),
        token_hash: hash(token_n + 1_000_000),
        token_id: token(token_n),
        spki_hash: hash(key_n),
        issuing_ca: IssuingCaId(hash(1)),
        profile: ProfileHash(hash(2)),
        request_id: format!("request-{n}"),
        kid: Some("kid-1".into()),
        issuer: "https://issuer.example".into(),
        subject: format!("subject-{token_n}"),
        san: format!("uri:https://san.example/{key_n}"),
        rule: Some("a rule".into()),
        rules: Some(hash(3)),
        extensions: [
            (8, "https://issuer.example".into()),
            (9, format!("uri-{n}")),
        ]
        .into(),
        at: NOW,
        not_after: NOW.plus(599),
    }
}

pub(crate) fn uses(limit: u32) -> TokenUse {
    TokenUse {
        limit,
        expires_at: NOW.plus(300),
    }
}

pub(crate) fn submission(n: u64) -> Submission {
    Submission {
        serial: serial(n),
        precert_der: [0x31; 800].into(),
        scts: vec![vec![0x32; 119]],
    }
}

pub(crate) fn leaf(n: u64) -> Final {
    Final {
        serial: serial(n),
        leaf_der: [0x33; 900].into(),
        at: NOW.plus(1),
    }
}

/// SplitMix64: the same numbers on every run.
pub(crate) struct Chance(Mutex<u64>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.next() % end
    }
}

impl Entropy for Chance {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let octets = self.next().to_be_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
    }
}
