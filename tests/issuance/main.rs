//! Issuance as a whole: what the store keeps, what survives the loss of power, and what is true
//! after the process died at any point of the pipeline.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod away;
mod disk;
mod families;
#[path = "../world/issuer.rs"]
mod issuer;
mod kill;
mod log_server;
mod samples;
#[path = "../world/secrets.rs"]
mod secrets;
mod service;
mod store_audit;
mod store_contract;
mod store_faults;
mod store_journal;
mod store_schema2;
#[path = "../world/subject.rs"]
mod subject;
mod terms;
mod trail;
mod world;
