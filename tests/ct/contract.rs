//! What every [`CertificateLog`] promises, asked of each adapter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use shortleaf::ct::{CertificateLog, LogKey, verify_sct};
use shortleaf::time::UnixMillis;

use crate::front::{self, entry};

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_262_400_000);
pub(crate) const BUDGET: Duration = Duration::from_secs(4);

/// Runs the whole contract against one log.
async fn keeps_the_contract(log: &dyn CertificateLog, key: &LogKey) {
    // The log is who its key says, under a name fit for a metric label.
    assert_eq!(log.id(), key.id());
    assert!(log.name().bytes().all(|b| b.is_ascii_alphanumeric()));

    // An SCT is for the entry submitted, and for no other.
    let (one, two) = (entry("one"), entry("two"));
    let first = log.submit(&one, NOW, BUDGET).await.unwrap();
    assert_eq!(first.entry_key(), one.dedupe_key());
    verify_sct(first.sct().clone(), key, &one, NOW).unwrap();
    verify_sct(first.sct().clone(), key, &two, NOW).unwrap_err();
    let second = log.submit(&two, NOW, BUDGET).await.unwrap();
    assert_eq!(second.entry_key(), two.dedupe_key());

    // Submitting again is harmless, and promises the same leaf.
    let again = log.submit(&one, NOW, BUDGET).await.unwrap();
    assert_eq!(again.sct().timestamp, first.sct().timestamp);
    assert_eq!(again.sct().extensions, first.sct().extensions);

    // Submissions do not wait for each other's answers.
    let (a, b) = (entry("a"), entry("b"));
    let (a, b) = tokio::join!(log.submit(&a, NOW, BUDGET), log.submit(&b, NOW, BUDGET));
    assert_ne!(a.unwrap().entry_key(), b.unwrap().entry_key());

    // A budget already spent ends it at once, whatever the outcome.
    let started = Instant::now();
    let _ = log.submit(&one, NOW, Duration::ZERO).await;
    assert!(started.elapsed() < Duration::from_secs(1));

    log.probe(BUDGET).await.unwrap();
}

#[tokio::test]
async fn the_log_in_memory_keeps_the_contract() {
    let log = MemoryLog::generate("memory").unwrap();
    keeps_the_contract(&log, log.key()).await;
    assert_eq!(log.size(), 4);
}

#[tokio::test]
async fn a_log_over_http_keeps_the_contract() {
    let inner = Arc::new(MemoryLog::generate("inner").unwrap());
    let log = Rfc6962Log::new(Rfc6962Config {
        name: "http".into(),
        url: front::serve(inner.clone()).await,
        key: inner.key().clone(),
        host: None,
        ca_pem: None,
    })
    .unwrap();
    keeps_the_contract(&log, inner.key()).await;
    assert_eq!(inner.size(), 4);
}
