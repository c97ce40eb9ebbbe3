//! Whether a certificate could be issued now, asked of each part for real.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{CtMode, Inner};
use crate::time::UnixMillis;

/// How long an answer is kept, so that whoever asks cannot keep the CA's key busy.
const KEPT: Duration = Duration::from_secs(5);

/// For each part; a part that takes longer is not fit.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the key signs to show that it can: no TBSCertificate begins like this.
const PROBE: &[u8] = b"shortleaf: can this key sign?";

type Report = Vec<(&'static str, Result<(), String>)>;

/// The last report and when it was made.
#[derive(Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Report)>>);

impl Inner {
    pub(super) async fn readiness(&self, now: UnixMillis) -> Report {
        let kept = self.readiness.0.lock();
        if let Some((at, report)) = &*kept.unwrap_or_else(PoisonError::into_inner)
            && at.elapsed() < KEPT
        {
            return report.clone();
        }
        let (key, log, store) = tokio::join!(self.key(), self.log(), self.store());
        let report = vec![
            ("key", key),
            ("log", log),
            ("store", store),
            // Keys are fetched when a token needs them; one provider that is down takes no other
            // issuer with it, so it does not take the instance either.
            ("issuers", self.some_issuer()),
            ("chain", self.chain(now)),
            ("clock", self.clock.check(now).map_err(|e| e.to_string())),
        ];
        let mut kept = self
            .readiness
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *kept = Some((Instant::now(), report.clone()));
        report
    }

    async fn key(&self) -> Result<(), String> {
        match timeout(PATIENCE, self.parts.signer.sign(PROBE)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no signature within {PATIENCE:?}")),
        }
    }

    /// One log that answers is enough for the next certificate.
    async fn log(&self) -> Result<(), String> {
        let CtMode::Required { logs, .. } = &self.parts.ct else {
            return Ok(());
        };
        let mut why = Vec::new();
        for log in logs {
            match timeout(PATIENCE, log.probe(PATIENCE)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => why.push(error.to_string()),
                Err(_) => why.push(format!("log {} is silent for {PATIENCE:?}", log.name())),
            }
        }
        Err(why.join("; "))
    }

    /// A commit, and with it a sync of the audit log.
    async fn store(&self) -> Result<(), String> {
        match timeout(PATIENCE, self.parts.store.health()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no commit within {PATIENCE:?}")),
        }
    }

    fn some_issuer(&self) -> Result<(), String> {
        match self.issuers.is_empty() {
            true => Err("no issuer is configured".to_owned()),
            false => Ok(()),
        }
    }

    fn chain(&self, now: UnixMillis) -> Result<(), String> {
        let now = now.seconds();
        for certificate in self.parts.authority.chain() {
            let (first, last) = (certificate.not_before(), certificate.not_after());
            if now < first || last < now {
                return Err(format!(
                    "a certificate of the CA chain is valid from {first} to {last}"
                ));
            }
        }
        Ok(())
    }
}
