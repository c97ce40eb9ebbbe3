//! The lint rules against certificates made for them, and pkilint's opinion of the same files.

mod fixture;
mod judge;
#[path = "../world/parts.rs"]
mod parts;
mod rules;
#[path = "../world/secrets.rs"]
mod secrets;
