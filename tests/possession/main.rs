//! Possession: every form of key and request the contract takes, and the twin that it does not.

mod proof;
mod public_key;
mod signing_request;
mod world;
mod wycheproof;
