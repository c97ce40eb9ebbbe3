//! SIGINT, SIGTERM and SIGHUP: asked for before there is anything to clean up, waited for
//! afterwards.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Exit;
use super::output::Failure;

/// From its making on, none of the signals ends the process by itself.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// What a closing terminal sends; absent where it was ignored before we came.
    hangup: Option<Signal>,
}

impl Stop {
    /// Takes the signals over. A server that nobody could stop does not start.
    pub(super) fn listen() -> Result<Self, Failure> {
        let taken = |kind| {
            signal(kind).map_err(|e| {
                Failure::new(Exit::Unexpected, format!("cannot watch for signals: {e}"))
            })
        };
        // A handler would undo what `nohup` was called for.
        let hangup = (!hangup_is_ignored()).then(|| taken(SignalKind::hangup()));
        Ok(Self {
            interrupt: taken(SignalKind::interrupt())?,
            terminate: taken(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        })
    }

    /// Returns on the first of them, also if it came before.
    pub(super) async fn wait(mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}

/// Whether we were started with SIGHUP ignored. Only Linux tells; elsewhere it is taken over.
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // Signals are counted from 1, and SIGHUP is that one.
    ignored.is_some_and(|mask| mask & 1 != 0)
}
