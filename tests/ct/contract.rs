//! What every [`CertificateLog`] promises, asked of each adapter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use shortleaf::ct::{CertificateLog, LogKey, verify_sct};
use shortleaf::time::{Clock, UnixMillis};

use crate::ca::Ca;
use crate::log::{self, Log};

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_262_400_000);
/// More than any answer of these tests takes, on whichever machine.
pub(crate) const BUDGET: Duration = Duration::from_secs(20);

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> UnixMillis {
        NOW
    }
}

/// Runs the whole contract against one log.
async fn keeps_the_contract(log: &dyn CertificateLog, key: &LogKey) {
    // The log is who its key says, under a name fit for a metric label.
    assert_eq!(log.id(), key.id());
    assert!(log.name().bytes().all(|b| b.is_ascii_alphanumeric()));

    // An SCT is for the entry submitted, and for no other.
    let ca = Ca::make();
    let (one, two) = (ca.precertificate(1), ca.precertificate(2));
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
    let (a, b) = (ca.precertificate(3), ca.precertificate(4));
    let (a, b) = tokio::join!(log.submit(&a, NOW, BUDGET), log.submit(&b, NOW, BUDGET));
    assert_ne!(a.unwrap().entry_key(), b.unwrap().entry_key());

    // A budget already spent ends it at once, whatever the outcome.
    let started = Instant::now();
    let _ = log.submit(&one, NOW, Duration::ZERO).await;
    assert!(started.elapsed() < BUDGET / 2);

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
    let served = Log::start(Arc::new(Still));
    let log = over_http(&served);
    keeps_the_contract(&log, served.inner().key()).await;
    assert_eq!(served.inner().size(), 4);
}

#[tokio::test]
async fn a_log_that_is_down_and_comes_back_is_used_again() {
    let served = Log::start(Arc::new(Still));
    let (log, entry) = (over_http(&served), Ca::make().precertificate(1));
    served.set_down(true);
    let error = log.submit(&entry, NOW, BUDGET).await.unwrap_err();
    assert_eq!(error.word(), "status");
    assert_eq!(log.probe(BUDGET).await.unwrap_err().word(), "status");
    served.set_down(false);
    log.submit(&entry, NOW, BUDGET).await.unwrap();
    log.probe(BUDGET).await.unwrap();
}

#[test]
fn the_test_log_reads_the_same_entry_out_of_a_chain_and_none_out_of_a_final() {
    let ca = Ca::make();
    let entry = ca.precertificate(1);
    let chain = |leaf: &[u8]| [&[leaf.to_vec()], entry.chain()].concat();
    let read = log::entry(chain(entry.precert_der())).unwrap();
    assert_eq!(read.dedupe_key(), entry.dedupe_key());
    // A certificate without poison belongs to add-chain.
    assert!(log::entry(chain(&entry.chain()[0])).is_none());
}

fn over_http(served: &Log) -> Rfc6962Log {
    Rfc6962Log::new(Rfc6962Config {
        name: "http".into(),
        url: served.url(),
        key: served.inner().key().clone(),
        host: None,
        ca_pem: None,
    })
    .unwrap()
}
