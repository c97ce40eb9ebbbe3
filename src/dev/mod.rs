//! `dev`: a whole development instance in one process on 127.0.0.1; `demo` runs on the same parts.
pub mod issuer;
