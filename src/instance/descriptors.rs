//! File descriptors: each connection is one, and what a process starts with is often too few.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::server::ConnectionLimits;

/// What everything else may need: records, files that are looked at, issuers, logs, operators.
const BESIDE_CONNECTIONS: u64 = 256;

/// Why there may be too few. The server starts all the same: those over it wait.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TooFew {
    /// The hard limit, which only the one who starts us can raise.
    #[error(
        "this process may have {hard} file descriptors; {connections} connections, waiting ones included, want {wanted}: raise its hard limit (ulimit -Hn, LimitNOFILE=)"
    )]
    Hard {
        /// What we may have.
        hard: u64,
        /// How many connections are admitted, served or waiting.
        connections: usize,
        /// What those and the rest may need.
        wanted: u64,
    },
    /// The soft limit stays where it is.
    #[error("could not raise the limit of file descriptors from {soft}")]
    Soft {
        /// What we may have without.
        soft: u64,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes as many as the system lets us have; they should do for all the connections we admit.
pub fn take_all() -> Result<(), TooFew> {
    let limits = getrlimit(Resource::Nofile);
    // None is no limit.
    if let Some(soft) = limits.current {
        let raised = Rlimit {
            current: limits.maximum,
            ..limits
        };
        let raised = setrlimit(Resource::Nofile, raised);
        raised.map_err(|error| TooFew::Soft {
            soft,
            source: error.into(),
        })?;
    }
    suffices(limits.maximum, ConnectionLimits::default().open())
}

fn suffices(hard: Option<u64>, connections: usize) -> Result<(), TooFew> {
    let wanted = connections as u64 + BESIDE_CONNECTIONS;
    match hard {
        Some(hard) if hard < wanted => Err(TooFew::Hard {
            hard,
            connections,
            wanted,
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_should_be_one_for_each_connection_and_some_for_the_rest() {
        assert!(suffices(None, 3072).is_ok());
        assert!(suffices(Some(3328), 3072).is_ok());
        let told = suffices(Some(3327), 3072).map_err(|error| error.to_string());
        assert_eq!(
            told.unwrap_err(),
            "this process may have 3327 file descriptors; 3072 connections, waiting ones included, \
             want 3328: raise its hard limit (ulimit -Hn, LimitNOFILE=)"
        );
    }
}
