//! The Merkle tree of RFC 6962 §2.
