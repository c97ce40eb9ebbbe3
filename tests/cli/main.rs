//! The program as its users meet it: command lines in, exit codes, words and files out.
//!
//! Everything it writes passes [`program::no_secret`]. Nothing reaches past 127.0.0.1, and no port
//! is fixed.
#![allow(clippy::unwrap_used)]

mod ca;
mod cert;
mod collector;
mod config;
mod demo;
mod dev;
mod docs;
mod github;
mod identity;
mod inspect;
#[path = "../world/issuer.rs"]
mod issuer;
mod leaks;
mod listener;
#[path = "../world/log.rs"]
mod log;
#[path = "../world/parts.rs"]
mod parts;
mod program;
mod readme;
mod results;
mod roots;
mod rules;
#[path = "../world/secrets.rs"]
mod secrets;
mod serve;
#[path = "../world/subject.rs"]
mod subject;
mod usage;
