//! The signed tree head (RFC 6962 §3.5).

use super::{LogId, LogKey, SctError};
use crate::merkle;
use crate::time::UnixMillis;

/// A tree head as a log states it; unproven until it is a [`VerifiedHead`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// When it was signed.
    pub timestamp: UnixMillis,
    /// The root hash.
    pub root: merkle::Hash,
    /// The DigitallySigned structure over [`signed_octets`](Self::signed_octets).
    pub signature: Vec<u8>,
}

impl TreeHead {
    /// The octets a log signs.
    pub fn signed_octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(50);
        out.push(0); // version = v1
        out.push(1); // signature_type = tree_hash
        out.extend(self.timestamp.0.to_be_bytes()); // timestamp
        out.extend(self.size.to_be_bytes()); // tree_size
        out.extend(self.root); // sha256_root_hash
        out
    }
}

/// A tree head whose signature was checked. Made only by [`verify_head`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedHead {
    head: TreeHead,
    log: LogId,
}

impl VerifiedHead {
    /// The head.
    pub fn head(&self) -> &TreeHead {
        &self.head
    }

    /// The log that signed it.
    pub fn log(&self) -> LogId {
        self.log
    }
}

/// Checks that `head` is signed by the log.
pub fn verify_head(head: TreeHead, key: &LogKey) -> Result<VerifiedHead, SctError> {
    key.verify(&head.signed_octets(), &head.signature)?;
    Ok(VerifiedHead {
        head,
        log: key.id(),
    })
}
