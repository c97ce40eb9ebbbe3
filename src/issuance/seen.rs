//! Which identity a key was certified for a moment ago.
//!
//! A key that two identities prove to hold is a key that somebody passed on, or one of a broken
//! generator; the certificate is good all the same, and the audit log says so (`flag`).
//!
//! This is a memory, not a record: it is this process's alone, a restart empties it, and it never
//! refuses anybody. A key is remembered for [`WINDOW`] at least, which is the life of a usual
//! certificate, unless [`KEYS_MAX`] other keys come within it; for three times that at most.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::hash::sha256;
use crate::time::UnixMillis;

/// How long a key is remembered, at least.
pub const WINDOW: Duration = Duration::from_secs(600);
/// How many keys are remembered in one window; there are two windows, of some 2 MiB each if full.
pub const KEYS_MAX: usize = 32_768;

/// Half a SHA-256: finding two keys, or two identities, that agree in it takes 2^64 tries, and
/// wins a wrong word in a log.
type Half = [u8; 16];

/// The memory.
#[derive(Default)]
pub(super) struct Seen(Mutex<Windows>);

#[derive(Default)]
struct Windows {
    begun_ms: u64,
    current: HashMap<Half, Half>,
    previous: HashMap<Half, Half>,
}

impl Seen {
    /// Remembers that the key was certified for this identity; whether it was for another one
    /// before.
    pub(super) fn under_another(
        &self,
        spki_hash: &[u8; 32],
        issuer: &str,
        san: &str,
        now: UnixMillis,
    ) -> bool {
        // No URL holds an octet of zero, so no two pairs run together into the same octets.
        let identity = half(&sha256(&[issuer.as_bytes(), &[0], san.as_bytes()]));
        let key = half(spki_hash);
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.turn(now);
        let old = windows.previous.get(&key).copied();
        let last = windows.current.insert(key, identity).or(old);
        last.is_some_and(|last| last != identity)
    }
}

impl Windows {
    fn turn(&mut self, now: UnixMillis) {
        let age = u128::from(now.0.abs_diff(self.begun_ms));
        if age >= WINDOW.as_millis() || self.current.len() >= KEYS_MAX {
            self.previous = std::mem::take(&mut self.current);
            if age >= 2 * WINDOW.as_millis() {
                self.previous.clear();
            }
            self.begun_ms = now.0;
        }
    }
}

fn half(hash: &[u8; 32]) -> Half {
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://issuer.example";
    const START: UnixMillis = UnixMillis(1_795_262_400_000);

    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(START.0 + seconds * 1000)
    }

    #[test]
    fn a_key_of_another_identity_is_noticed_and_the_same_identity_is_not() {
        let seen = Seen::default();
        let say = |key: u8, issuer, san| seen.under_another(&[key; 32], issuer, san, START);
        assert!(!say(1, ISSUER, "email:jane@example.com"));
        assert!(!say(1, ISSUER, "email:jane@example.com"));
        assert!(say(1, ISSUER, "email:joe@example.com"));
        // The same name of another issuer is another identity; another key is nobody's yet.
        assert!(say(1, "https://other.example", "email:joe@example.com"));
        assert!(!say(2, ISSUER, "email:joe@example.com"));
    }

    #[test]
    fn a_key_is_remembered_for_the_window_and_not_for_ever() {
        let seen = Seen::default();
        let say = |san, seconds| seen.under_another(&[1; 32], ISSUER, san, at(seconds));
        assert!(!say("email:jane@example.com", 0));
        assert!(say("email:joe@example.com", 599));
        assert!(say("email:jane@example.com", 599 + 600));
        assert!(!say("email:joe@example.com", 599 + 600 + 1200));
    }

    #[test]
    fn a_flood_of_keys_takes_no_more_than_two_windows_of_room() {
        let seen = Seen::default();
        for number in 0..u64::try_from(3 * KEYS_MAX).unwrap() {
            let key = sha256(&[&number.to_be_bytes()]);
            seen.under_another(&key, ISSUER, "email:jane@example.com", START);
        }
        let windows = seen.0.lock().unwrap();
        assert!(windows.current.len() <= KEYS_MAX && windows.previous.len() <= KEYS_MAX);
    }
}
