//! The doors over real HTTP on 127.0.0.1, with a scripted service behind them: what a client
//! sends, what it gets back to the byte, and what a bad peer cannot make us hold.

#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod answers;
mod crowds;
mod edge;
mod hops;
mod house;
mod limits;
mod log;
mod ops;
mod refusals;
mod requests;
mod scan;
mod shares;
mod tls;
