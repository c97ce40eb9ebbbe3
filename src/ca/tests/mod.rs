//! The CA room's tests: chains written octet by octet, keys that sign the same way every time.

mod chain;
mod encoders;
mod golden;
mod issue;
mod pairs;
mod rcgen_facts;
mod world;
