//! Whose an address is, for all that is counted by it.

use std::net::IpAddr;

/// Whom an address belongs to, as far as it says: one of version 4, a /64 of version 6, of which
/// every host has many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    V4(u32),
    V6(u64),
}

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }

    /// A /48 of version 6, which one site may well have (RFC 6177 §2), and one address of version 4.
    pub(super) fn network(self) -> Self {
        match self {
            Self::V4(_) => self,
            Self::V6(subnet) => Self::V6(subnet >> 16),
        }
    }
}
