//! server/mod
