//! Possession: every form of key and request the contract takes, and the twin that it does not.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod proof;
mod public_key;
mod refused;
mod signing_request;
mod world;
mod wycheproof;
