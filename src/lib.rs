//! shortleaf: a keyless-signing certificate authority.
//!
//! A workload presents an OIDC token and proves that it holds a key; shortleaf answers with a
//! ten-minute certificate that binds the key to the workload's identity, logged before it leaves.
//! The rooms below follow a request's path; `docs/architecture.md` is the map.

// F0 vocabulary
pub mod b64;
pub mod der;
pub mod entropy;
pub mod fault;
pub mod fixed_key;
pub mod hash;
pub mod hex;
pub mod json;
pub mod merkle;
pub mod spelling;
pub mod time;
pub mod x509;

// F1 decisions: no I/O, no clock, no randomness, no runtime
pub mod audit;
pub mod ca;
pub mod ct;
pub mod identity;
pub mod lint;
pub mod possession;
pub mod rates;
pub mod rules;
pub mod token;
pub mod trust;
pub mod verify;

// F2 services
pub mod issuance;
pub mod trace;

// F3 adapters (with `token::discovery`, `ct::memory`, `ct::rfc6962`, `rates::memory`)
pub mod client;
pub mod keys;
pub mod store;
pub mod system;

// F4 doors
pub mod cli;
pub mod config;
pub mod dev;
pub mod instance;
pub mod server;
pub mod telemetry;
