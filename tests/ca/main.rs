//! CAs and certificates as OpenSSL sees them.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod init;
mod outside;
mod serials;
mod signatures;
mod tool;
