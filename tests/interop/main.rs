//! Other people's programs against shortleaf: the clients its users run, and Fulcio as the oracle.
//!
//! `.ci/parts` installs them; without one, its tests say so and are skipped.
#![allow(
    clippy::unwrap_used,
    reason = "a helper of tests stops where it is surprised"
)]

mod answer;
mod clients;
mod ctfe;
mod differences;
mod fulcio;
mod identities;
#[path = "../world/issuer.rs"]
mod issuer;
mod judges;
mod oracle;
mod outside_log;
#[path = "../world/parts.rs"]
mod parts;
#[path = "../world/secrets.rs"]
mod secrets;
mod serve;
#[path = "../world/subject.rs"]
mod subject;
mod tls;
mod types;
