//! Keys that will verify often, prepared to do it faster, on a thread beside the work.
//!
//! Nobody waits for it: until it has come to a key, and if it never does, aws-lc-rs verifies.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::ct::LogKey;

/// Most log keys prepared. Each further table pushes the others out of the processor's caches.
const LOG_KEYS_MAX: usize = 8;

/// Prepares the first keys, which are those of the logs that are asked first.
pub(super) fn log_keys(keys: Vec<LogKey>) -> io::Result<JoinHandle<()>> {
    Builder::new()
        .name("prepare-keys".to_owned())
        .spawn(move || keys.iter().take(LOG_KEYS_MAX).for_each(LogKey::prepare))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ct::memory::MemoryLog;

    #[test]
    fn the_first_eight_log_keys_are_prepared_and_their_clones_with_them() {
        let keys: Vec<LogKey> = (0..9)
            .map(|_| MemoryLog::generate("log").unwrap().key().clone())
            .collect();
        assert!(!keys.iter().any(LogKey::is_prepared));
        log_keys(keys.clone()).unwrap().join().unwrap();
        let prepared: Vec<bool> = keys.iter().map(LogKey::is_prepared).collect();
        assert_eq!(prepared, [[true; 8].as_slice(), &[false]].concat());
    }
}
