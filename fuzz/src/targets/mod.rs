//! What is fuzzed: for each parser a function that panics if a promise is broken.
//!
//! The engine (`fuzz/src/main.rs`) calls them with inputs it makes up, and `tests/corpus.rs`, a
//! plain test of the main package, with the inputs that are kept. A new target is a file here, a
//! line in [`TARGETS`], and a folder under `fuzz/corpus/`.

mod answer;
mod config;
mod csr;
mod der;
mod fixed_key;
mod json;
mod jwks;
mod pem;
mod request;
mod sct;
mod spki;
mod token;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A parser under test.
pub(crate) struct Target {
    /// Its word on the command line, and its corpus' folder.
    pub(crate) name: &'static str,
    /// Panics if the input breaks a promise.
    pub(crate) run: fn(&[u8]),
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "answer",
        run: answer::run,
    },
    Target {
        name: "config",
        run: config::run,
    },
    Target {
        name: "csr",
        run: csr::run,
    },
    Target {
        name: "der",
        run: der::run,
    },
    Target {
        name: "fixed_key",
        run: fixed_key::run,
    },
    Target {
        name: "json",
        run: json::run,
    },
    Target {
        name: "jwks",
        run: jwks::run,
    },
    Target {
        name: "pem",
        run: pem::run,
    },
    Target {
        name: "request",
        run: request::run,
    },
    Target {
        name: "sct",
        run: sct::run,
    },
    Target {
        name: "spki",
        run: spki::run,
    },
    Target {
        name: "token",
        run: token::run,
    },
];

/// No input may take longer.
const LONGEST: Duration = Duration::from_millis(50);
/// How often an input that took longer is tried again: the first time of anything is slow.
const TRIES: usize = 3;

/// Runs the target, within its time.
pub(crate) fn judge(target: &Target, input: &[u8]) {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let started = thread_time();
        (target.run)(input);
        shortest = shortest.min(thread_time() - started);
        if shortest <= LONGEST {
            return;
        }
    }
    panic!("{} octets took {shortest:?}", input.len());
}

/// What this thread has computed so far: two cores and many tests say nothing about an input.
pub(crate) fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}
