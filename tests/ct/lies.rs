//! Every way we know in which a log can answer a submission falsely, and some true answers that
//! look odd. The log's own keys are behind it: where only a signature could tell, it is there.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};
use shortleaf::ct::{
    LogId, LogKey, MAX_ANSWER_BYTES, MAX_SCT_BYTES, PreEntry, SCT_AGE_MAX_MS, SCT_AHEAD_MAX_MS,
    Sct, signed_entry,
};
use shortleaf::time::{UnixMillis, UnixSeconds};

use crate::scripted::{Reply, ok};

/// HashAlgorithm and SignatureAlgorithm (RFC 5246 §7.4.1.4.1).
const SHA256: u8 = 4;
const RSA: u8 = 1;
const ECDSA: u8 = 3;

/// One answer to a submission. What is asked of it: the entry, when, and the how-manieth time.
pub(crate) struct Lie {
    /// Its row in the catalogue of attacks.
    pub(crate) row: &'static str,
    pub(crate) what: &'static str,
    /// The word it must be told by, one of `ct::OUTCOMES`.
    pub(crate) outcome: &'static str,
    pub(crate) tell: fn(&Liar, &Asked<'_>) -> Reply,
}

/// A submission as the liar sees it.
pub(crate) struct Asked<'a> {
    pub(crate) entry: &'a PreEntry,
    pub(crate) now: UnixMillis,
    /// How often it was asked before.
    pub(crate) before: usize,
}

/// A log with a key of each kind, and a stranger's key.
pub(crate) struct Liar {
    ecdsa: EcdsaKeyPair,
    stranger: EcdsaKeyPair,
    rsa: RsaKeyPair,
    /// Whether the RSA key is the one it is known by.
    by_rsa: bool,
}

impl Liar {
    pub(crate) fn new(by_rsa: bool) -> Self {
        let ecdsa = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self {
            ecdsa: ecdsa(),
            stranger: ecdsa(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            by_rsa,
        }
    }

    /// SubjectPublicKeyInfo of the key it is known by.
    pub(crate) fn spki(&self) -> Vec<u8> {
        match self.by_rsa {
            true => self.rsa.public_key().as_der().unwrap().as_ref().to_vec(),
            false => self.ecdsa.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    pub(crate) fn key(&self) -> LogKey {
        LogKey::from_spki_der(&self.spki()).unwrap()
    }

    /// What an honest log would answer.
    pub(crate) fn truth(&self, asked: &Asked<'_>) -> Reply {
        ok(self.sct(asked, |_| ()).add_chain_json())
    }

    /// An SCT that is right but for `change`, which comes before the signature.
    fn sct(&self, asked: &Asked<'_>, change: impl FnOnce(&mut Sct)) -> Sct {
        let mut sct = Sct {
            log_id: self.key().id(),
            timestamp: asked.now,
            extensions: Vec::new(),
            signature: Vec::new(),
        };
        change(&mut sct);
        let octets = signed_entry(&sct, asked.entry.issuer_key_hash(), asked.entry.tbs());
        self.signed(sct, &octets)
    }

    /// The SCT with this log's signature over any octets.
    fn signed(&self, mut sct: Sct, octets: &[u8]) -> Sct {
        sct.signature = match self.by_rsa {
            true => digitally_signed(SHA256, RSA, &self.rsa(octets)),
            false => digitally_signed(SHA256, ECDSA, &ecdsa(&self.ecdsa, octets)),
        };
        sct
    }

    fn rsa(&self, octets: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .rsa
            .sign(&RSA_PKCS1_SHA256, &random, octets, &mut signature);
        signed.unwrap();
        signature
    }

    /// A right SCT, changed after it was signed.
    fn spoilt(&self, asked: &Asked<'_>, spoil: impl FnOnce(&mut Sct)) -> Reply {
        let mut sct = self.sct(asked, |_| ());
        spoil(&mut sct);
        ok(sct.add_chain_json())
    }

    /// A right SCT with this signature structure.
    fn labelled(&self, asked: &Asked<'_>, hash: u8, algorithm: u8, by_rsa: bool) -> Reply {
        self.spoilt(asked, |sct| {
            let octets = signed_entry(sct, asked.entry.issuer_key_hash(), asked.entry.tbs());
            let signature = match by_rsa {
                true => self.rsa(&octets),
                false => ecdsa(&self.ecdsa, &octets),
            };
            sct.signature = digitally_signed(hash, algorithm, &signature);
        })
    }

    /// An SCT, rightly signed, of another date.
    fn dated(&self, asked: &Asked<'_>, at: UnixMillis) -> Reply {
        ok(self.sct(asked, |sct| sct.timestamp = at).add_chain_json())
    }

    fn extended(&self, asked: &Asked<'_>, extensions: Vec<u8>) -> Reply {
        ok(self
            .sct(asked, |sct| sct.extensions = extensions)
            .add_chain_json())
    }

    /// The right answer with one member replaced.
    fn member(&self, asked: &Asked<'_>, name: &str, value: Value) -> Reply {
        let right = self.sct(asked, |_| ()).add_chain_json();
        let mut json: Value = serde_json::from_str(&right).unwrap();
        json[name] = value;
        ok(json.to_string())
    }

    fn text(&self, asked: &Asked<'_>, change: impl FnOnce(String) -> String) -> Reply {
        ok(change(self.sct(asked, |_| ()).add_chain_json()))
    }
}

fn ecdsa(pair: &EcdsaKeyPair, octets: &[u8]) -> Vec<u8> {
    let signature = pair.sign(&SystemRandom::new(), octets).unwrap();
    signature.as_ref().to_vec()
}

/// DigitallySigned (RFC 5246 §4.7).
fn digitally_signed(hash: u8, algorithm: u8, signature: &[u8]) -> Vec<u8> {
    let length = u16::try_from(signature.len()).unwrap().to_be_bytes();
    [&[hash, algorithm], &length[..], signature].concat()
}

fn status(status: u16, headers: &'static str) -> Reply {
    Reply::Answer(status, headers, "no".into())
}

fn another_entry(entry: &PreEntry, spki: &[u8], tbs: &[u8]) -> PreEntry {
    PreEntry::new(
        entry.precert_der().clone(),
        Vec::new(),
        spki,
        tbs,
        UnixSeconds(0),
    )
}

const fn lie(
    row: &'static str,
    what: &'static str,
    outcome: &'static str,
    tell: fn(&Liar, &Asked<'_>) -> Reply,
) -> Lie {
    Lie {
        row,
        what,
        outcome,
        tell,
    }
}

/// Told by a log that is known by its P-256 key.
#[rustfmt::skip]
pub(crate) const LIES: &[Lie] = &[
    lie("C1", "a bit flipped", "signature", |l, a| l.spoilt(a, |sct| *sct.signature.last_mut().unwrap() ^= 1)),
    lie("C1", "an octet missing", "truncated", |l, a| l.spoilt(a, |sct| { sct.signature.pop(); })),
    lie("C1", "an octet over", "trailing", |l, a| l.spoilt(a, |sct| sct.signature.push(0))),
    lie("C1", "no signature", "truncated", |l, a| l.spoilt(a, |sct| sct.signature.clear())),
    lie("C1", "a signature of no octets", "signature", |l, a| l.spoilt(a, |sct| sct.signature = digitally_signed(SHA256, ECDSA, &[]))),
    lie("C1", "r = s = 0", "signature", |l, a| l.spoilt(a, |sct| sct.signature = digitally_signed(SHA256, ECDSA, b"\x30\x06\x02\x01\x00\x02\x01\x00"))),

    lie("C2", "another precertificate", "signature", |l, a| {
        let other = another_entry(a.entry, b"spki", b"another");
        ok(l.sct(&Asked { entry: &other, ..*a }, |_| ()).add_chain_json())
    }),
    lie("C2", "another issuer's key", "signature", |l, a| {
        let other = another_entry(a.entry, b"another", a.entry.tbs());
        ok(l.sct(&Asked { entry: &other, ..*a }, |_| ()).add_chain_json())
    }),
    lie("C2", "the final certificate", "signature", |l, a| {
        let sct = l.sct(a, |_| ());
        let mut octets = signed_entry(&sct, a.entry.issuer_key_hash(), a.entry.tbs());
        octets[11] = 0; // entry_type = x509_entry
        ok(l.signed(sct, &octets).add_chain_json())
    }),

    lie("C3", "half a minute too far ahead", "future", |l, a| l.dated(a, a.now.plus((SCT_AHEAD_MAX_MS + 30_000) as i64))),
    lie("C3", "the end of time", "future", |l, a| l.dated(a, UnixMillis(u64::MAX))),
    lie("C3", "a second too old", "stale", |l, a| l.dated(a, a.now.plus(-(SCT_AGE_MAX_MS as i64) - 1_000))),
    lie("C3", "the beginning of time", "stale", |l, a| l.dated(a, UnixMillis(0))),
    lie("C3", "in seconds", "stale", |l, a| l.dated(a, UnixMillis(a.now.0 / 1_000))),
    lie("C3", "as far ahead as may be", "accepted", |l, a| l.dated(a, a.now.plus(SCT_AHEAD_MAX_MS as i64 - 10_000))),
    lie("C3", "as old as may be", "accepted", |l, a| l.dated(a, a.now.plus(-(SCT_AGE_MAX_MS as i64) + 30_000))),
    lie("C3", "dated otherwise than signed", "signature", |l, a| l.spoilt(a, |sct| sct.timestamp = sct.timestamp.plus(1))),

    lie("C4", "a stranger's id and signature", "wrong_log", |l, a| {
        let spki = l.stranger.public_key().as_der().unwrap();
        l.spoilt(a, |sct| {
            sct.log_id = LogKey::from_spki_der(spki.as_ref()).unwrap().id();
            let octets = signed_entry(sct, a.entry.issuer_key_hash(), a.entry.tbs());
            sct.signature = digitally_signed(SHA256, ECDSA, &ecdsa(&l.stranger, &octets));
        })
    }),
    lie("C4", "its own id, a stranger's signature", "signature", |l, a| l.spoilt(a, |sct| {
        let octets = signed_entry(sct, a.entry.issuer_key_hash(), a.entry.tbs());
        sct.signature = digitally_signed(SHA256, ECDSA, &ecdsa(&l.stranger, &octets));
    })),
    lie("C4", "an id that is no key's", "wrong_log", |l, a| ok(l.sct(a, |sct| sct.log_id = LogId([0; 32])).add_chain_json())),
    lie("C4", "an id with one bit other", "wrong_log", |l, a| ok(l.sct(a, |sct| sct.log_id.0[31] ^= 1).add_chain_json())),
    lie("C4", "an id of three octets", "answer_malformed", |l, a| l.member(a, "id", json!("AQEB"))),

    lie("C5", "extensions that are not signed", "signature", |l, a| l.spoilt(a, |sct| sct.extensions = vec![0, 0, 5, 0, 0, 0, 0, 1])),
    lie("C5", "extensions longer than a certificate has room for", "too_long", |l, a| l.extended(a, vec![0; MAX_SCT_BYTES])),
    lie("C5", "extensions longer than their structure", "answer_too_large", |l, a| l.spoilt(a, |sct| sct.extensions = vec![0; 0x1_0000])),
    lie("C5", "extensions that are not base64", "answer_malformed", |l, a| l.member(a, "extensions", json!("?"))),
    lie("C5", "extensions that are a list", "answer_malformed", |l, a| l.member(a, "extensions", json!([]))),
    lie("C5", "a leaf index nobody asked for, signed", "accepted", |l, a| l.extended(a, vec![0, 0, 5, 0, 0, 0, 0, 1])),

    lie("C6", "by RSA", "algorithm", |l, a| l.labelled(a, SHA256, RSA, true)),
    lie("C6", "by RSA, labelled ECDSA", "signature", |l, a| l.labelled(a, SHA256, ECDSA, true)),
    lie("C6", "by ECDSA, labelled RSA", "algorithm", |l, a| l.labelled(a, SHA256, RSA, false)),
    lie("C6", "labelled anonymous", "algorithm", |l, a| l.labelled(a, SHA256, 0, false)),
    lie("C6", "labelled SHA-1", "hash", |l, a| l.labelled(a, 2, ECDSA, false)),
    lie("C6", "labelled SHA-384", "hash", |l, a| l.labelled(a, 5, ECDSA, false)),

    lie("C7", "HTML with 200", "answer_not_json", |_, _| Reply::Answer(200, "Content-Type: text/html\r\n", "<html>busy</html>".into())),
    lie("C7", "an answer and another", "answer_not_json", |l, a| l.text(a, |text| text.repeat(2))),
    lie("C7", "nested beyond reason", "answer_malformed", |l, a| l.text(a, |text| text.replacen('{', &format!("{{\"x\":{},", "[".repeat(9_000)), 1))),
    lie("C7", "JSON beyond 64 KiB", "answer_too_large", |l, a| l.text(a, |text| text + &" ".repeat(MAX_ANSWER_BYTES))),
    lie("C7", "a body without end", "answer_too_large", |_, _| Reply::Flood),
    lie("C7", "JSON cut short", "answer_cut_short", |l, a| l.text(a, |mut text| { text.pop(); text })),
    lie("C7", "nothing with 200", "answer_cut_short", |_, _| ok("")),
    lie("C7", "a list", "answer_malformed", |_, _| ok("[]")),
    lie("C7", "a member twice", "answer_malformed", |l, a| l.text(a, |text| text.replacen('{', "{\"timestamp\":1,", 1))),
    lie("C7", "a member of its own twice", "answer_malformed", |l, a| l.text(a, |text| text.replacen('{', "{\"x\":1,\"x\":1,", 1))),
    lie("C7", "a timestamp in a string", "answer_malformed", |l, a| l.member(a, "timestamp", json!("1"))),
    lie("C7", "version 2", "version", |l, a| l.member(a, "sct_version", json!(1))),
    lie("C7", "a redirect", "redirect", |_, _| status(307, "Location: /elsewhere\r\n")),
    lie("C7", "a redirect for good", "redirect", |_, _| status(308, "Location: http://127.0.0.1:1/\r\n")),
    lie("C7", "no content", "status", |_, _| Reply::Answer(204, "", String::new())),
    lie("C7", "a member of its own", "accepted", |l, a| l.member(a, "log_index", json!(7))),

    lie("C8", "503 for a day", "status", |_, _| status(503, "Retry-After: 86400\r\n")),
    lie("C8", "503 until the year 9999", "status", |_, _| status(503, "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n")),
    lie("C8", "503 until the year 9000", "status", |_, _| status(503, "Retry-After: Wed, 01 Jan 9000 00:00:00 GMT\r\n")),
    lie("C8", "429 for half a minute", "throttled", |_, _| status(429, "Retry-After: 30\r\n")),
    lie("C8", "429 for more seconds than there are", "throttled", |_, _| status(429, "Retry-After: 99999999999999999999999\r\n")),
    lie("C8", "429 until yesterday", "throttled", |_, _| status(429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n")),
    lie("C8", "429 for minus one second", "throttled", |_, _| status(429, "Retry-After: -1\r\n")),
    lie("C8", "429 without a time", "throttled", |_, _| status(429, "")),
    lie("C8", "408", "throttled", |_, _| status(408, "")),
    lie("C8", "425", "throttled", |_, _| status(425, "")),
    lie("C8", "500", "status", |_, _| status(500, "")),
    lie("C8", "502", "status", |_, _| status(502, "")),
    lie("C8", "504", "status", |_, _| status(504, "")),
    lie("C8", "429 twice, and then the truth", "accepted", |l, a| match a.before {
        0 | 1 => status(429, "Retry-After: 0\r\n"),
        _ => l.truth(a),
    }),

    lie("C9", "nothing", "timeout", |_, _| Reply::Hang),
    lie("C9", "a body octet by octet", "timeout", |_, _| Reply::Trickle),
    lie("C9", "a head octet by octet", "timeout", |_, _| Reply::SlowHead),
    lie("C9", "half an answer, and good-bye", "broken", |l, a| Reply::Half(l.sct(a, |_| ()).add_chain_json())),
    lie("C9", "what is not HTTP", "broken", |_, _| Reply::Raw("this is not HTTP\r\n\r\n")),

    lie("C10", "a failure, and then the SCT it had given", "accepted", |l, a| match a.before {
        0 => status(500, ""),
        _ => l.dated(a, a.now.plus(-5_000)),
    }),
    lie("C10", "a failure, and then an SCT it had given for another", "signature", |l, a| match a.before {
        0 => status(500, ""),
        _ => {
            let other = another_entry(a.entry, b"spki", b"another");
            ok(l.sct(&Asked { entry: &other, ..*a }, |_| ()).add_chain_json())
        }
    }),

    lie("C16", "400", "rejected", |_, _| status(400, "")),
    lie("C16", "401", "rejected", |_, _| status(401, "")),
    lie("C16", "404 with a time", "rejected", |_, _| status(404, "Retry-After: 1\r\n")),
    lie("C16", "410", "rejected", |_, _| status(410, "")),
    lie("C16", "413", "rejected", |_, _| status(413, "")),
];

/// Told by a log that is known by its RSA key.
#[rustfmt::skip]
pub(crate) const LIES_BY_RSA: &[Lie] = &[
    lie("C6", "by ECDSA, under an RSA key", "algorithm", |l, a| l.labelled(a, SHA256, ECDSA, false)),
    lie("C6", "by ECDSA, labelled RSA, under an RSA key", "signature", |l, a| l.labelled(a, SHA256, RSA, false)),
    lie("C6", "by RSA, labelled ECDSA, under an RSA key", "algorithm", |l, a| l.labelled(a, SHA256, ECDSA, true)),
    lie("C1", "a bit flipped, under an RSA key", "signature", |l, a| l.spoilt(a, |sct| *sct.signature.last_mut().unwrap() ^= 1)),
];
