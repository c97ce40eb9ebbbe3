//! An in-memory log.
