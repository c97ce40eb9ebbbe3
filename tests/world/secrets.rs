//! What nobody but its owner may read, and the search for it in everything that is written.
//!
//! Whoever makes a secret plants it: the test issuers plant every token they sign, the subjects
//! every proof they make. Whoever holds something that a program of ours wrote searches it:
//! standard output and error when a process ends, state directories when their place goes, logs,
//! audit trails and answers in between. A secret is planted before it is sent and a process is
//! searched after it has ended, so each search knows all that could have got there, in whatever
//! order tests run. What is made out of sight, such as a private key that the program itself made,
//! is known by its shape.
//!
//! Each test binary declares this as `crate::secrets`, beside the files that plant and search:
//! `#[path = "../world/secrets.rs"] mod secrets;`.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// How much of a needle's end is its name in the index.
const END: usize = 8;
/// What is shorter is nobody's secret, and stands somewhere by chance.
const SHORTEST: usize = 16;

/// How private keys begin in DER, before anything that differs between two of them: PKCS#8
/// (RFC 5958) for each kind of key this suite makes.
const KEY_BEGINNINGS: [(&str, &[u8]); 5] = [
    (
        "a PKCS#8 key on P-256",
        b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a",
    ),
    (
        "a PKCS#8 key on P-384",
        b"\x30\x81\xb6\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b",
    ),
    (
        "a PKCS#8 key on P-521",
        b"\x30\x81\xee\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b",
    ),
    (
        "a PKCS#8 RSA key",
        b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x04\x82",
    ),
    (
        "a PKCS#8 Ed25519 key",
        b"\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
    ),
];

/// Everything planted in this process.
#[derive(Default)]
struct Planted {
    by_end: HashMap<[u8; END], Vec<Needle>>,
    /// One bit for each hash of such an end, so that most places are passed by at once.
    filter: Vec<u64>,
}

struct Needle {
    what: &'static str,
    octets: Vec<u8>,
}

static PLANTED: LazyLock<Mutex<Planted>> = LazyLock::new(|| {
    let mut planted = Planted {
        filter: vec![0; 1 << 10],
        ..Planted::default()
    };
    planted.add("a private key in PEM", b"PRIVATE KEY-----".to_vec());
    for (what, der) in KEY_BEGINNINGS {
        planted.add_written(what, der);
    }
    Mutex::new(planted)
});

fn planted() -> MutexGuard<'static, Planted> {
    PLANTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plants octets, to be found raw, in hex, and in base64 wherever they stand in what was encoded.
pub(crate) fn plant(what: &'static str, octets: &[u8]) {
    if octets.len() >= SHORTEST {
        planted().add_written(what, octets);
    }
}

/// Plants a text, to be found as it is and in the same disguises.
pub(crate) fn plant_text(what: &'static str, text: &str) {
    plant(what, text.as_bytes());
}

/// Plants a token: its payload and its signature, each in itself enough of it. The header says
/// nothing that a log may not say.
pub(crate) fn plant_token(token: &str) {
    let whats = ["a token's payload", "a token's signature"];
    for (what, part) in whats.into_iter().zip(token.split('.').skip(1)) {
        match URL_SAFE_NO_PAD.decode(part) {
            // In base64 it is the part itself.
            Ok(octets) => plant(what, &octets),
            Err(_) => plant_text(what, part),
        }
    }
}

/// Says what of all that was planted stands in `octets`, if anything does.
pub(crate) fn found_in(octets: &[u8]) -> Option<&'static str> {
    if has_token(octets) {
        return Some("something of the shape of a token");
    }
    planted().find(octets)
}

/// Demands that nothing does. `place` is what the failure calls it.
#[track_caller]
pub(crate) fn none_in(place: &str, octets: impl AsRef<[u8]>) {
    let octets = octets.as_ref();
    if let Some(what) = found_in(octets) {
        let text = String::from_utf8_lossy(octets);
        let text: String = text.chars().take(4000).collect();
        panic!("{what} stands in {place}: {text}");
    }
}

/// Demands the same of each file below `folder`; a folder that is not there has none.
#[track_caller]
pub(crate) fn none_below(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => none_below(&path),
            Ok(kind) if kind.is_file() => {
                if let Ok(octets) = fs::read(&path) {
                    none_in(&path.display().to_string(), octets);
                }
            }
            _ => {}
        }
    }
}

impl Planted {
    fn add(&mut self, what: &'static str, octets: Vec<u8>) {
        assert!(octets.len() >= END, "{what} would never be found");
        let end = end_of(&octets);
        let needles = self.by_end.entry(end).or_default();
        if needles.iter().any(|needle| needle.octets == octets) {
            return;
        }
        needles.push(Needle { what, octets });
        let (word, bit) = place_of(end);
        self.filter[word] |= bit;
    }

    fn add_written(&mut self, what: &'static str, octets: &[u8]) {
        self.add(what, octets.to_vec());
        let digits: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        self.add(what, digits.to_uppercase().into_bytes());
        self.add(what, digits.into_bytes());
        // Three octets make four characters: where the secret begins among the three decides how
        // it looks. What it shares a character with is left out, at either end.
        for before in 0..3 {
            let padded = [&[0; 3][..before], octets].concat();
            let whole = padded.len() / 3 * 3;
            for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                let text = engine.encode(&padded[..whole]);
                self.add(what, text.into_bytes().split_off([0, 2, 3][before]));
            }
        }
    }

    fn find(&self, octets: &[u8]) -> Option<&'static str> {
        for (start, window) in octets.windows(END).enumerate() {
            let end = end_of(window);
            let (word, bit) = place_of(end);
            if self.filter[word] & bit == 0 {
                continue;
            }
            let read = &octets[..start + END];
            let needles = self.by_end.get(&end).into_iter().flatten();
            for needle in needles {
                if read.ends_with(&needle.octets) {
                    return Some(needle.what);
                }
            }
        }
        None
    }
}

fn end_of(octets: &[u8]) -> [u8; END] {
    let mut end = [0; END];
    end.copy_from_slice(&octets[octets.len() - END..]);
    end
}

fn place_of(end: [u8; END]) -> (usize, u64) {
    let hash = u64::from_le_bytes(end).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// `eyJ….eyJ…`: two dotted parts that begin with `{"`, as every token does.
fn has_token(octets: &[u8]) -> bool {
    let is_url_safe = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_".contains(octet);
    let mut parts = octets.split(|octet| *octet == b'.').peekable();
    while let (Some(part), Some(next)) = (parts.next(), parts.peek()) {
        let run = part.iter().rev().take_while(|octet| is_url_safe(octet));
        let run = &part[part.len() - run.count()..];
        if run.len() >= END && run.starts_with(b"eyJ") && next.starts_with(b"eyJ") {
            return true;
        }
    }
    false
}
