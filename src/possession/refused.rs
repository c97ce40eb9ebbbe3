//! What an instance certifies: pairs of key and hash, less the keys it never certifies.
//!
//! Two lists of single keys, both by SHA-256 of the SubjectPublicKeyInfo. The operator's: keys
//! known to others, such as those of Debian's broken generator or the ones that firmware ships
//! with. And the instance's own: a leaf for the key of a CA, a log or the TLS listener would let a
//! signature made in that office pass for a workload's.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use super::{AlgorithmList, Insecure, KeyKind, PossessedKey, Scheme, SubjectKey};

/// The longest list read, in octets.
pub const MAX_WEAK_KEYS_BYTES: u64 = 64 * 1024 * 1024;
/// The most keys on it: Debian's broken generator alone made some hundred thousand.
pub const MAX_WEAK_KEYS: usize = 500_000;

/// Judges keys that have passed the rules for all keys, and the pairs they form with a hash.
#[derive(Clone, Debug)]
pub struct KeyPolicy {
    permitted: AlgorithmList,
    weak: WeakKeys,
    /// SHA-256 of each SubjectPublicKeyInfo. Clones of the policy share them.
    ours: Arc<RwLock<HashSet<[u8; 32]>>>,
}

impl KeyPolicy {
    /// Certifies what is `permitted`, except for `weak` keys and for the keys whose
    /// SubjectPublicKeyInfo has one of these SHA-256 hashes.
    pub fn new(
        permitted: AlgorithmList,
        weak: WeakKeys,
        ours: impl IntoIterator<Item = [u8; 32]>,
    ) -> Self {
        Self {
            permitted,
            weak,
            ours: Arc::new(RwLock::new(ours.into_iter().collect())),
        }
    }

    /// From here on this key is the instance's own too, for as long as the instance lives: what was
    /// once signed with it may still be around.
    pub fn add_ours(&self, hash: [u8; 32]) {
        let mut ours = self.ours.write().unwrap_or_else(PoisonError::into_inner);
        ours.insert(hash);
    }

    fn is_ours(&self, hash: &[u8; 32]) -> bool {
        let ours = self.ours.read().unwrap_or_else(PoisonError::into_inner);
        ours.contains(hash)
    }

    /// Refuses the keys on the lists.
    pub(super) fn admit(&self, key: &SubjectKey) -> Result<(), super::KeyError> {
        let hash = PossessedKey::hash_of(key.spki_der());
        if self.is_ours(&hash) {
            return Err(Insecure::Ours)?;
        }
        if self.weak.contains(&hash) {
            return Err(Insecure::KnownWeak)?;
        }
        Ok(())
    }

    /// Whether a signature of this scheme by this kind of key is on the list.
    pub(super) fn permits(&self, kind: KeyKind, scheme: Scheme) -> bool {
        self.permitted.permits(kind, scheme)
    }
}

/// No single key refused.
impl From<AlgorithmList> for KeyPolicy {
    fn from(permitted: AlgorithmList) -> Self {
        Self::new(permitted, WeakKeys::default(), [])
    }
}

/// Known weak keys, by SHA-256 of their SubjectPublicKeyInfo. By default there are none.
#[derive(Clone, Default)]
pub struct WeakKeys {
    hashes: Arc<HashSet<[u8; 32]>>,
}

/// Their number only: there may be half a million.
impl std::fmt::Debug for WeakKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WeakKeys({} keys)", self.hashes.len())
    }
}

/// Why text is not a list of weak keys. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeakKeysError {
    /// More octets than [`MAX_WEAK_KEYS_BYTES`].
    #[error("the list has {bytes} bytes, at most {MAX_WEAK_KEYS_BYTES} are read")]
    TooLarge {
        /// How many it has.
        bytes: usize,
    },
    /// More keys than [`MAX_WEAK_KEYS`].
    #[error("the list has more than {MAX_WEAK_KEYS} keys, the first too many in line {line}")]
    TooMany {
        /// Where the first one too many stands.
        line: usize,
    },
    /// Neither a hash, nor a comment, nor empty.
    #[error("line {line} is not a SHA-256 hash of 64 lower-case hexadecimal digits")]
    NotAHash {
        /// Which line.
        line: usize,
    },
    /// A list made by hand with a slip in it, or two lists run together.
    #[error("line {line} repeats the hash of an earlier line")]
    Repeated {
        /// The later line.
        line: usize,
    },
}

impl WeakKeys {
    /// Reads one hash per line: 64 lower-case hexadecimal digits. Empty lines and lines that begin
    /// with `#` are skipped; anything else stops the reading, because a list that is half
    /// understood protects half as well as its owner thinks.
    pub fn parse(text: &[u8]) -> Result<Self, WeakKeysError> {
        if text.len() as u64 > MAX_WEAK_KEYS_BYTES {
            return Err(WeakKeysError::TooLarge { bytes: text.len() });
        }
        let mut hashes = HashSet::new();
        for (content, line) in text.split(|octet| *octet == b'\n').zip(1..) {
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            if matches!(content.first(), None | Some(b'#')) {
                continue;
            }
            let hash = hash(content).ok_or(WeakKeysError::NotAHash { line })?;
            if hashes.len() == MAX_WEAK_KEYS {
                return Err(WeakKeysError::TooMany { line });
            }
            if !hashes.insert(hash) {
                return Err(WeakKeysError::Repeated { line });
            }
        }
        Ok(Self {
            hashes: Arc::new(hashes),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    fn contains(&self, hash: &[u8; 32]) -> bool {
        self.hashes.contains(hash)
    }
}

/// The 32 octets that 64 lower-case digits spell.
fn hash(digits: &[u8]) -> Option<[u8; 32]> {
    let digits = <&[u8; 64]>::try_from(digits).ok()?;
    let mut hash = [0; 32];
    for (octet, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(hash)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00000000000000000000000000000000000000000000000000000000000000ff";
    const TWO: &str = "a0000000000000000000000000000000000000000000000000000000000000ff";

    fn parsed(text: &str) -> Result<usize, WeakKeysError> {
        WeakKeys::parse(text.as_bytes()).map(|keys| keys.len())
    }

    #[test]
    fn a_list_is_hashes_comments_and_empty_lines() {
        let text = format!("# made by hand\n\n{ONE}\r\n#{ONE}\n{TWO}");
        let keys = WeakKeys::parse(text.as_bytes()).unwrap();
        assert_eq!(keys.len(), 2);
        let mut hash = [0; 32];
        hash[31] = 0xff;
        assert!(keys.contains(&hash));
        hash[31] = 0xfe;
        assert!(!keys.contains(&hash));
        assert_eq!(parsed(""), Ok(0));
    }

    #[test]
    fn a_line_that_is_anything_else_is_named() {
        for odd in [
            &ONE[1..],
            &format!("{ONE}0"),
            &TWO.to_uppercase(),
            &format!(" {ONE}"),
            &format!("{ONE} # why"),
            &format!("sha256:{ONE}"),
            &ONE.replace('f', "g"),
            "\u{e9}",
        ] {
            let error = parsed(&format!("{TWO}\n{odd}\n"));
            assert_eq!(error, Err(WeakKeysError::NotAHash { line: 2 }), "{odd:?}");
        }
        assert_eq!(parsed(&format!("{TWO}\n{ONE}\n")), Ok(2));
    }

    #[test]
    fn a_hash_stands_on_the_list_once() {
        let error = parsed(&format!("{ONE}\n{TWO}\n\n{ONE}\n"));
        assert_eq!(error, Err(WeakKeysError::Repeated { line: 4 }));
    }

    #[test]
    fn a_list_has_an_end() {
        let lines = |count: usize| {
            (0..count)
                .map(|n| format!("{n:064x}\n"))
                .collect::<String>()
        };
        assert_eq!(parsed(&lines(MAX_WEAK_KEYS)), Ok(MAX_WEAK_KEYS));
        assert_eq!(
            parsed(&lines(MAX_WEAK_KEYS + 1)),
            Err(WeakKeysError::TooMany {
                line: MAX_WEAK_KEYS + 1
            })
        );
        let bytes = usize::try_from(MAX_WEAK_KEYS_BYTES).unwrap();
        assert_eq!(WeakKeys::parse(&vec![b'\n'; bytes]).unwrap().len(), 0);
        assert_eq!(
            WeakKeys::parse(&vec![b'\n'; bytes + 1]).unwrap_err(),
            WeakKeysError::TooLarge { bytes: bytes + 1 }
        );
    }
}
