//! Whether a certificate could be issued now, asked of each part for real.

use std::time::Duration;

use tokio::time::timeout;

use super::terms::InForce;
use super::{CtMode, Inner};
use crate::time::UnixMillis;

/// For each part; a part that takes longer is not fit.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the key signs to show that it can: no TBSCertificate begins like this.
const PROBE: &[u8] = b"shortleaf: can this key sign?";

impl Inner {
    pub(super) async fn readiness(
        &self,
        now: UnixMillis,
    ) -> Vec<(&'static str, Result<(), String>)> {
        let terms = self.terms.get();
        let (key, log, store) = tokio::join!(key(&terms), self.log(), self.store());
        let mut parts = vec![("key", key)];
        parts.extend(log.map(|log| ("log", log)));
        parts.extend([
            ("store", store),
            ("issuers", issuers(&terms)),
            ("chain", chain(&terms, now)),
            ("clock", self.clock.check(now).map_err(|e| e.to_string())),
        ]);
        parts
    }

    /// One log that answers is enough for the next certificate. None if none is asked: nothing can
    /// be said of what there is not.
    async fn log(&self) -> Option<Result<(), String>> {
        let CtMode::Required { logs, .. } = &self.parts.ct else {
            return None;
        };
        let mut why = Vec::new();
        for log in logs {
            match timeout(PATIENCE, log.probe(PATIENCE)).await {
                Ok(Ok(())) => return Some(Ok(())),
                Ok(Err(error)) => why.push(error.to_string()),
                Err(_) => why.push(format!("log {} is silent for {PATIENCE:?}", log.name())),
            }
        }
        Some(Err(why.join("; ")))
    }

    /// A commit, and with it a sync of the audit log.
    async fn store(&self) -> Result<(), String> {
        match timeout(PATIENCE, self.parts.store.health()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no commit within {PATIENCE:?}")),
        }
    }
}

async fn key(terms: &InForce) -> Result<(), String> {
    match timeout(PATIENCE, terms.signer.sign(PROBE)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no signature within {PATIENCE:?}")),
    }
}

/// A provider that is down takes no other issuer with it, so it does not take the instance
/// either; with all of them down nobody can be served.
fn issuers(terms: &InForce) -> Result<(), String> {
    match terms.keys.available() {
        true => Ok(()),
        false => Err("no issuer's keys can be had".to_owned()),
    }
}

fn chain(terms: &InForce, now: UnixMillis) -> Result<(), String> {
    let now = now.seconds();
    for certificate in terms.authority.chain() {
        if !certificate.is_valid_at(now) {
            return Err(format!(
                "a certificate of the CA chain is valid from {} to {}",
                certificate.not_before(),
                certificate.not_after()
            ));
        }
    }
    Ok(())
}
