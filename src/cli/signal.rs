//! SIGINT and SIGTERM: asked for before there is anything to clean up, waited for afterwards.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::Exit;
use super::output::Failure;

/// From its making on, neither signal ends the process by itself.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Takes both signals over. A server that nobody could stop does not start.
    pub(super) fn listen() -> Result<Self, Failure> {
        let failed = |e: std::io::Error| {
            Failure::new(Exit::Unexpected, format!("cannot watch for signals: {e}"))
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }

    /// Returns on the first of the two, also if it came before.
    pub(super) async fn wait(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
