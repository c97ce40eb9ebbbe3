//! Issuance as a whole: what the store keeps, what survives the loss of power, and what is true
//! after the process died at any point of the pipeline.

#![allow(clippy::unwrap_used)]

mod disk;
mod samples;
mod store_contract;
mod store_faults;
