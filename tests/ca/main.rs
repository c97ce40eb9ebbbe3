//! CAs and certificates as OpenSSL sees them.

#![allow(clippy::unwrap_used)]

mod init;
mod openssl;
mod outside;
mod serials;
