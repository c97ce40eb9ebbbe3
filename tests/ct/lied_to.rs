//! The client against every lie of the table: it ends with the word the table has for it, and what
//! it sent was the same each time.

use std::sync::Arc;
use std::time::Duration;

use shortleaf::ct::rfc6962::{Rfc6962Config, Rfc6962Log};
use shortleaf::ct::{CertificateLog as _, OUTCOMES, PreEntry};
use shortleaf::time::UnixSeconds;
use tokio::task::JoinSet;

use crate::contract::{BUDGET, NOW};
use crate::lies::{Asked, LIES, LIES_BY_RSA, Liar, Lie};
use crate::scripted::{Request, Server};

fn entry() -> PreEntry {
    let chain = vec![b"spki".to_vec()];
    let one = b"one".to_vec();
    PreEntry::new(one.clone(), chain, b"spki", one, UnixSeconds(0))
}

async fn told(liar: Arc<Liar>, lie: &'static Lie) -> (&'static str, Vec<Request>) {
    let key = liar.key();
    let server = Server::answering(move |before, _| {
        let entry = &entry();
        let now = NOW;
        (lie.tell)(&liar, &Asked { entry, now, before })
    });
    let server = server.await;
    let log = Rfc6962Log::new(Rfc6962Config {
        name: "liar".into(),
        url: server.url(),
        key,
        host: None,
        ca_pem: None,
    });
    let budget = match lie.outcome {
        "timeout" => Duration::from_millis(500),
        _ => BUDGET,
    };
    let outcome = log.unwrap().submit(&entry(), NOW, budget).await;
    let word = outcome.map_or_else(|error| error.word(), |_| "accepted");
    (word, server.requests())
}

#[tokio::test]
async fn each_lie_is_told_apart_and_changes_nothing_of_what_is_sent() {
    let liars = [
        (Arc::new(Liar::new(false)), LIES),
        (Arc::new(Liar::new(true)), LIES_BY_RSA),
    ];
    let mut all = JoinSet::new();
    for (liar, lies) in liars {
        for lie in lies {
            let liar = liar.clone();
            all.spawn(async move { (lie, told(liar, lie).await) });
        }
    }
    while let Some(done) = all.join_next().await {
        let (lie, (word, requests)) = done.unwrap();
        assert_eq!(word, lie.outcome, "{} {}", lie.row, lie.what);
        assert!(OUTCOMES.contains(&word));
        for request in &requests {
            assert_eq!(request.line, "POST /ct/v1/add-pre-chain", "{}", lie.what);
            assert_eq!(request.body, requests[0].body, "{}", lie.what);
        }
        if word == "rejected" {
            assert_eq!(requests.len(), 1, "{}", lie.what);
        }
    }
}
