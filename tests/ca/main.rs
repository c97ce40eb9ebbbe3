//! CAs and certificates as OpenSSL sees them.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod init;
mod outside;
#[path = "../world/secrets.rs"]
mod secrets;
mod serials;
mod signatures;
mod tool;
