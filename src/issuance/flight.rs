//! One issuance for all who ask for the same at the same time, which goes on without them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Error, Issued};
use crate::token::TokenId;
use crate::trace;

/// Token, SHA-256 of the key, and the number of the terms that both were judged on: who comes after
/// others were taken over is not served by these.
type Key = (TokenId, [u8; 32], u64);
type Outcome = Option<Result<Issued, Error>>;

/// The issuances under way.
#[derive(Clone, Default)]
pub(super) struct Flights {
    by_key: Arc<Mutex<HashMap<Key, watch::Receiver<Outcome>>>>,
    tasks: TaskTracker,
}

/// A certificate, and whose work it came of.
pub(super) enum Landed {
    /// This caller's.
    Own(Issued),
    /// Another's, who asked for the same a moment before.
    Shared(Issued),
}

impl Flights {
    /// Waits for the issuance under `key`, having begun it if nobody else has. It runs in a task
    /// of its own: dropping what is returned here does not stop it.
    pub(super) async fn join<F>(
        &self,
        key: Key,
        work: impl FnOnce() -> F + Send,
    ) -> Result<Landed, Error>
    where
        F: Future<Output = Result<Issued, Error>> + Send + 'static,
    {
        let (mut outcome, led) = self.enter(key, work);
        let landed = outcome.wait_for(Option::is_some).await;
        // The sender goes away without a word only if the task panicked.
        let landed = landed.map_err(|_| Error::Died)?.clone();
        let issued = landed.ok_or(Error::Died)??;
        Ok(match led {
            true => Landed::Own(issued),
            false => Landed::Shared(issued),
        })
    }

    /// Waits until none is under way.
    pub(super) async fn landed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn enter<F>(
        &self,
        key: Key,
        work: impl FnOnce() -> F + Send,
    ) -> (watch::Receiver<Outcome>, bool)
    where
        F: Future<Output = Result<Issued, Error>> + Send + 'static,
    {
        let mut flights = self.lock();
        if let Some(outcome) = flights.get(&key) {
            return (outcome.clone(), false);
        }
        let (sender, outcome) = watch::channel(None);
        flights.insert(key, outcome.clone());
        drop(flights);
        let leave = Leave(self.clone(), key);
        let work = work();
        self.tasks.spawn(trace::inherit(async move {
            let result = work.await;
            // First out of the map, then the result: who comes between finds the stored final.
            drop(leave);
            let _ = sender.send(Some(result));
        }));
        (outcome, true)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Outcome>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the issuance off the list, also where it panics.
struct Leave(Flights, Key);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
