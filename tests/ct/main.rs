//! Certificate logs: the contract every one keeps, an RFC 6962 log that misbehaves in every way
//! we know, and Google's ctfe.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ca;
mod client;
mod contract;
mod ctfe;
mod lied_to;
mod lies;
#[path = "../world/log.rs"]
mod log;
#[path = "../world/parts.rs"]
mod parts;
#[path = "../interop/ctfe.rs"]
mod peer;
mod scripted;
#[path = "../world/secrets.rs"]
mod secrets;
mod signatures;
