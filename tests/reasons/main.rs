//! Every reason for not getting a certificate, met over HTTP as a caller meets it: the real doors,
//! the real issuance behind them, and a world whose parts can be made to fail.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod ask;
mod away;
mod faults;
mod house;
mod rates;
mod retries;
mod rules;
mod table;
mod tls;
#[path = "../world/mod.rs"]
mod world;

#[path = "../world/log.rs"]
mod log;
#[path = "../world/secrets.rs"]
mod secrets;
