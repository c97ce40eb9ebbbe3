//! What a verifier takes from a trusted root: keys, certificates, and when each is believed.

use crate::ct::LogKey;
use crate::time::UnixSeconds;

/// Whom to trust, and when: what a trusted root file says.
#[derive(Clone, Debug, Default)]
pub struct TrustMaterial {
    /// Issuing CAs.
    pub authorities: Vec<TrustedAuthority>,
    /// Certificate logs.
    pub logs: Vec<TrustedLog>,
}

/// One issuing CA: its certificate first, the self-signed root last.
#[derive(Clone, Debug)]
pub struct TrustedAuthority {
    /// DER certificates.
    pub chain: Vec<Vec<u8>>,
    /// When its certificates are believed.
    pub valid: Window,
}

/// One certificate log.
#[derive(Clone, Debug)]
pub struct TrustedLog {
    /// The key of its SCTs.
    pub key: LogKey,
    /// When its SCTs are believed.
    pub valid: Window,
}

/// A span of time, both ends counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First second.
    pub start: UnixSeconds,
    /// Last second, if it has ended.
    pub end: Option<UnixSeconds>,
}

impl Window {
    /// Whether `at` lies inside.
    pub fn contains(&self, at: UnixSeconds) -> bool {
        self.start <= at && self.end.is_none_or(|end| at <= end)
    }
}
