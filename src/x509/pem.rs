//! PEM (RFC 7468) in and out; what real clients send is wider than the RFC, see [`decode`].

/// One armoured block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The words between `BEGIN` and the dashes.
    pub label: String,
    /// The decoded bytes.
    pub der: Vec<u8>,
}
