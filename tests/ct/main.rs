//! Certificate logs: the contract every one keeps, an RFC 6962 log that misbehaves in every way
//! we know, and Google's ctfe.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod contract;
mod ctfe;
mod front;
#[path = "../world/parts.rs"]
mod parts;
#[path = "../interop/ctfe.rs"]
mod peer;
mod scripted;
