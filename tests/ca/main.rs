//! CAs and certificates as OpenSSL sees them.

#![allow(clippy::unwrap_used)]

mod init;
mod outside;
mod serials;
mod tool;
