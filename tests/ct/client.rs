//! The RFC 6962 client against a log that misbehaves. Each fault ends without an SCT when it
//! lasts, and is got over when the next answer is good.

use std::time::{Duration, Instant};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use shortleaf::ct::memory::MemoryLog;
use shortleaf::ct::rfc6962::{ATTEMPTS_MAX, Rfc6962Config, Rfc6962Log};
use shortleaf::ct::{
    ANSWER_LEN_MAX, CertificateLog, LogId, LogKey, PreEntry, SCT_LEN_MAX, Sct, SubmitError,
    VerifiedSct, signed_entry,
};
use shortleaf::time::{UnixMillis, UnixSeconds};
use shortleaf::trace::{self, Context, SEED_BYTES};

use crate::contract::{BUDGET, NOW};
use crate::log::sth;
use crate::scripted::{Reply, Request, Server, ok};

/// A stand-in entry: the client never looks inside. Different names make different entries.
fn entry(name: &str) -> PreEntry {
    let tbs = name.as_bytes().to_vec();
    PreEntry::new(
        tbs.clone(),
        vec![b"spki".to_vec()],
        b"spki",
        tbs,
        UnixSeconds(0),
    )
}

/// A log's key, able to sign an SCT for any entry and any date.
struct Peer(Vec<u8>);

impl Peer {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Self(pair.to_pkcs8v1().unwrap().as_ref().to_vec())
    }

    /// An empty log under this key.
    fn log(&self) -> MemoryLog {
        MemoryLog::new("peer", &self.0).unwrap()
    }

    fn key(&self) -> LogKey {
        self.log().key().clone()
    }

    async fn sct(&self, name: &str, at: UnixMillis) -> Sct {
        let proven = self.log().submit(&entry(name), at, BUDGET).await.unwrap();
        proven.sct().clone()
    }

    /// The good answer for the entry `one`.
    async fn good(&self) -> Reply {
        ok(self.sct("one", NOW).await.add_chain_json())
    }
}

fn client(server: &Server, key: LogKey) -> Rfc6962Log {
    Rfc6962Log::new(Rfc6962Config {
        name: "peer".into(),
        url: server.url(),
        key,
        host: None,
        ca_pem: None,
    })
    .unwrap()
}

/// Submits the entry `one` to a log that answers by the script.
async fn submit(
    script: Vec<Reply>,
    key: LogKey,
    budget: Duration,
) -> (Result<VerifiedSct, SubmitError>, Vec<Request>) {
    let server = Server::start(script).await;
    let outcome = client(&server, key)
        .submit(&entry("one"), NOW, budget)
        .await;
    (outcome, server.requests())
}

#[tokio::test]
async fn each_try_is_a_part_of_its_own_in_the_requests_trace() {
    let peer = Peer::new();
    let busy = Reply::Answer(503, "", String::new());
    let script = || vec![busy.clone(), busy.clone(), busy.clone()];
    let parent = &b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"[..];
    let place = Context::of([parent], [&b"vendor=opaque"[..]], &[7; SEED_BYTES]);
    let (_, requests) = trace::within(Some(place), submit(script(), peer.key(), BUDGET)).await;
    let mut spans: Vec<&str> = Vec::new();
    for request in &requests {
        let parent = request.header("traceparent").unwrap();
        let ids: Vec<&str> = parent.split('-').collect();
        let [version, trace, span, flags] = ids.as_slice() else {
            panic!("{parent}")
        };
        assert_eq!(
            [*version, *trace, *flags],
            ["00", "4bf92f3577b34da6a3ce929d0e0e4736", "01"]
        );
        assert!(*span != "00f067aa0ba902b7" && !spans.contains(span));
        spans.push(span);
        assert_eq!(request.header("tracestate"), Some("vendor=opaque"));
    }
    assert_eq!(spans.len(), ATTEMPTS_MAX as usize);

    // Work that no request asked for belongs to no trace.
    let (_, requests) = submit(script(), peer.key(), BUDGET).await;
    assert_eq!(requests[0].header("traceparent"), None);
}

fn all_the_same(requests: &[Request]) {
    for request in requests {
        assert_eq!(request.line, "POST /ct/v1/add-pre-chain");
        assert_eq!(request.body, br#"{"chain":["b25l","c3BraQ=="]}"#);
    }
}

/// `bad` thrice: no SCT, and `word` says why. `bad` once: the next answer is taken.
async fn refused_and_got_over(peer: &Peer, bad: Reply, word: &str) {
    let tries = ATTEMPTS_MAX as usize;
    let (outcome, requests) = submit(vec![bad.clone(); tries + 1], peer.key(), BUDGET).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.word(), word, "{bad:?}: {error:?}");
    assert!(matches!(error, SubmitError::Retryable { .. }));
    assert_eq!(requests.len(), tries);
    all_the_same(&requests);

    let script = vec![bad, peer.good().await];
    let (outcome, requests) = submit(script, peer.key(), BUDGET).await;
    assert_eq!(outcome.unwrap().entry_key(), entry("one").dedupe_key());
    assert_eq!(requests.len(), 2);
    all_the_same(&requests);
}

#[tokio::test]
async fn a_good_answer_is_taken_at_once() {
    let peer = Peer::new();
    let (outcome, requests) = submit(vec![peer.good().await], peer.key(), BUDGET).await;
    assert_eq!(outcome.unwrap().entry_key(), entry("one").dedupe_key());
    assert_eq!(requests.len(), 1);
    all_the_same(&requests);
}

#[tokio::test]
async fn a_bit_flipped_in_the_signature_is_not_believed() {
    let peer = Peer::new();
    let mut sct = peer.sct("one", NOW).await;
    *sct.signature.last_mut().unwrap() ^= 1;
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "signature").await;
}

#[tokio::test]
async fn an_sct_for_another_precertificate_is_not_believed() {
    let peer = Peer::new();
    let sct = peer.sct("two", NOW).await;
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "signature").await;
}

#[tokio::test]
async fn an_sct_by_another_log_is_not_believed() {
    let (peer, other) = (Peer::new(), Peer::new());
    let sct = other.sct("one", NOW).await;
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "wrong_log").await;
    let claimed = Sct {
        log_id: peer.key().id(),
        ..sct
    };
    refused_and_got_over(&peer, ok(claimed.add_chain_json()), "signature").await;
}

#[tokio::test]
async fn a_log_id_that_is_no_hash_is_not_believed() {
    let peer = Peer::new();
    let good = peer.sct("one", NOW).await.add_chain_json();
    let json: serde_json::Value = serde_json::from_str(&good).unwrap();
    let short = good.replace(json["id"].as_str().unwrap(), "AQEB");
    refused_and_got_over(&peer, ok(short), "answer_malformed").await;
}

#[tokio::test]
async fn an_sct_dated_outside_the_window_is_not_believed() {
    let peer = Peer::new();
    // The client's clock moves on during the tries; each date stays outside for seconds.
    for (offset, word) in [(90_000, "future"), (-601_000, "stale")] {
        let sct = peer.sct("one", NOW.plus(offset)).await;
        refused_and_got_over(&peer, ok(sct.add_chain_json()), word).await;
    }
    for offset in [50_000, -590_000] {
        let sct = ok(peer.sct("one", NOW.plus(offset)).await.add_chain_json());
        let (outcome, _) = submit(vec![sct], peer.key(), BUDGET).await;
        assert_eq!(outcome.unwrap().sct().timestamp, NOW.plus(offset));
    }
}

#[tokio::test]
async fn an_sct_of_another_version_is_not_believed() {
    let peer = Peer::new();
    let good = peer.sct("one", NOW).await.add_chain_json();
    let v2 = good.replace("\"sct_version\":0", "\"sct_version\":1");
    refused_and_got_over(&peer, ok(v2), "version").await;
}

#[tokio::test]
async fn a_signature_labelled_with_the_other_algorithm_is_not_believed() {
    let peer = Peer::new();
    let mut sct = peer.sct("one", NOW).await;
    sct.signature[1] = 1; // rsa
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "algorithm").await;
}

#[tokio::test]
async fn an_rsa_log_signs_with_rsa_and_with_nothing_else() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let key = LogKey::from_spki_der(spki.as_ref()).unwrap();
    let mut sct = Sct {
        log_id: key.id(),
        ..Peer::new().sct("one", NOW).await
    };
    let by_ecdsa = ok(sct.add_chain_json());

    let one = entry("one");
    let octets = signed_entry(&sct, one.issuer_key_hash(), one.tbs());
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        &octets,
        &mut signature,
    )
    .unwrap();
    sct.signature = [&[4, 1, 1, 0], &signature[..]].concat();
    let by_rsa = ok(sct.add_chain_json());

    let (outcome, _) = submit(vec![by_ecdsa.clone(); 3], key.clone(), BUDGET).await;
    assert_eq!(outcome.unwrap_err().word(), "algorithm");
    let (outcome, _) = submit(vec![by_ecdsa, by_rsa], key, BUDGET).await;
    outcome.unwrap();
}

#[tokio::test]
async fn a_signature_structure_followed_by_an_octet_is_not_believed() {
    let peer = Peer::new();
    let mut sct = peer.sct("one", NOW).await;
    sct.signature.push(0);
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "trailing").await;
    sct.signature.truncate(sct.signature.len() - 2);
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "truncated").await;
}

#[tokio::test]
async fn extensions_the_log_did_not_sign_are_not_believed() {
    let peer = Peer::new();
    let sct = Sct {
        extensions: vec![0, 0, 5, 0, 0, 0, 0, 1],
        ..peer.sct("one", NOW).await
    };
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "signature").await;
}

#[tokio::test]
async fn an_sct_that_no_certificate_has_room_for_is_not_taken() {
    let peer = Peer::new();
    let sct = peer.sct("one", NOW).await;
    let padding = SCT_LEN_MAX + 1 - sct.encode().len();
    let sct = Sct {
        extensions: vec![0; padding],
        ..sct
    };
    refused_and_got_over(&peer, ok(sct.add_chain_json()), "too_long").await;
}

#[tokio::test]
async fn html_and_cut_json_are_not_answers() {
    let peer = Peer::new();
    let html = Reply::Answer(
        200,
        "Content-Type: text/html\r\n",
        "<html>busy</html>".into(),
    );
    refused_and_got_over(&peer, html, "answer_not_json").await;
    let good = peer.sct("one", NOW).await.add_chain_json();
    let cut = good[..good.len() - 1].to_owned();
    refused_and_got_over(&peer, ok(cut), "answer_cut_short").await;
    refused_and_got_over(&peer, ok(""), "answer_cut_short").await;
}

#[tokio::test]
async fn an_answer_is_read_up_to_its_limit_and_no_further() {
    let peer = Peer::new();
    let good = peer.sct("one", NOW).await.add_chain_json();
    let padded = |len: usize| ok(format!("{good}{}", " ".repeat(len - good.len())));
    refused_and_got_over(&peer, padded(ANSWER_LEN_MAX + 1), "answer_too_large").await;
    let (outcome, _) = submit(vec![padded(ANSWER_LEN_MAX)], peer.key(), BUDGET).await;
    outcome.unwrap();
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let peer = Peer::new();
    let good = peer.sct("one", NOW).await.add_chain_json();
    refused_and_got_over(&peer, Reply::Half(good), "broken").await;
    refused_and_got_over(&peer, Reply::Raw("this is not HTTP\r\n\r\n"), "broken").await;
}

#[tokio::test]
async fn statuses_that_may_pass_are_tried_again() {
    let peer = Peer::new();
    for (status, word) in [
        (408, "throttled"),
        (425, "throttled"),
        (429, "throttled"),
        (500, "status"),
        (502, "status"),
        (503, "status"),
        (504, "status"),
        (204, "status"),
    ] {
        let reply = Reply::Answer(status, "", String::new());
        refused_and_got_over(&peer, reply, word).await;
    }
}

#[tokio::test]
async fn statuses_that_are_final_are_not_tried_again() {
    let peer = Peer::new();
    for status in [400, 401, 403, 404, 409, 410, 413, 422, 451] {
        let script = vec![
            Reply::Answer(status, "Retry-After: 0\r\n", "no".into()),
            peer.good().await,
        ];
        let (outcome, requests) = submit(script, peer.key(), BUDGET).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.word(), "rejected");
        assert!(
            matches!(&error, SubmitError::Rejected { log, status: s } if log == "peer" && *s == status)
        );
        assert_eq!(requests.len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_an_error_and_never_followed() {
    let peer = Peer::new();
    for status in [301, 302, 307, 308] {
        let location = "Location: /elsewhere\r\n";
        let reply = Reply::Answer(status, location, String::new());
        refused_and_got_over(&peer, reply, "redirect").await;
    }
}

#[tokio::test]
async fn a_log_that_hangs_costs_the_budget_and_no_more() {
    let peer = Peer::new();
    for bad in [Reply::Hang, Reply::Trickle] {
        let budget = Duration::from_millis(500);
        let started = Instant::now();
        let (outcome, requests) = submit(vec![bad; 3], peer.key(), budget).await;
        let elapsed = started.elapsed();
        assert_eq!(outcome.unwrap_err().word(), "timeout");
        // None where the machine stood still meanwhile.
        assert!(requests.len() <= 1);
        assert!(elapsed >= budget && elapsed < BUDGET, "{elapsed:?}");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_in_seconds_and_as_a_date() {
    let peer = Peer::new();
    // NOW is 2026-11-21T12:00:00Z; the date is two seconds on, less what the test has taken.
    for (asked, least) in [
        ("1", Duration::from_secs(1)),
        (
            "Sat, 21 Nov 2026 12:00:02 GMT",
            Duration::from_millis(1_500),
        ),
    ] {
        let reply = Reply::Throttle(format!("Retry-After: {asked}\r\n"));
        let started = Instant::now();
        let script = vec![reply, peer.good().await];
        let (outcome, requests) = submit(script, peer.key(), BUDGET).await;
        outcome.unwrap();
        let elapsed = started.elapsed();
        assert!(elapsed >= least && elapsed < BUDGET, "{asked}: {elapsed:?}");
        all_the_same(&requests);
    }
}

#[tokio::test]
async fn a_wait_beyond_the_budget_is_reported_instead_of_waited() {
    let peer = Peer::new();
    let reply = Reply::Throttle("Retry-After: 300\r\n".into());
    let started = Instant::now();
    let (outcome, requests) = submit(vec![reply, peer.good().await], peer.key(), BUDGET).await;
    assert!(started.elapsed() < BUDGET / 2);
    assert_eq!(requests.len(), 1);
    let error = outcome.unwrap_err();
    assert_eq!(error.word(), "throttled");
    let wait = Some(Duration::from_secs(300));
    assert!(matches!(error, SubmitError::Retryable { retry_after, .. } if retry_after == wait));
}

#[tokio::test]
async fn a_budget_smaller_than_the_wait_between_tries_allows_one() {
    let peer = Peer::new();
    let bad = Reply::Answer(500, "", String::new());
    let budget = Duration::from_millis(20);
    let (outcome, requests) = submit(vec![bad; 3], peer.key(), budget).await;
    // On a slow machine the first answer itself may come too late.
    assert!(matches!(outcome.unwrap_err().word(), "status" | "timeout"));
    assert!(requests.len() <= 1);
}

#[tokio::test]
async fn a_log_that_is_not_there_is_unreachable() {
    let peer = Peer::new();
    let server = Server::start(vec![]).await;
    let url = format!("http://127.0.0.1:{}", crate::parts::free_port());
    let log = Rfc6962Log::new(Rfc6962Config {
        name: "gone".into(),
        url,
        key: peer.key(),
        host: None,
        ca_pem: None,
    })
    .unwrap();
    let error = log.submit(&entry("one"), NOW, BUDGET).await.unwrap_err();
    assert_eq!(error.word(), "unreachable");
    assert_eq!(error.to_string(), "log gone gave no usable SCT");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn connections_are_used_again_and_the_host_can_be_set() {
    let peer = Peer::new();
    let server = Server::start(vec![peer.good().await, peer.good().await]).await;
    let log = Rfc6962Log::new(Rfc6962Config {
        name: "peer".into(),
        url: server.url(),
        key: peer.key(),
        host: Some("log.internal".into()),
        ca_pem: None,
    })
    .unwrap();
    for _ in 0..2 {
        log.submit(&entry("one"), NOW, BUDGET).await.unwrap();
    }
    let seen = server.requests();
    assert_eq!((seen[0].connection, seen[1].connection), (0, 0));
    assert_eq!(seen[0].host, "log.internal");
}

#[tokio::test]
async fn a_probe_believes_a_head_only_by_its_signature() {
    let (peer, other) = (Peer::new(), Peer::new());
    let good = sth(&peer.log(), NOW);
    let mut grown = good.clone();
    grown["tree_size"] = 1.into();
    for (body, word) in [
        (good.to_string(), None),
        (grown.to_string(), Some("signature")),
        (sth(&other.log(), NOW).to_string(), Some("signature")),
        ("{}".to_owned(), Some("answer_malformed")),
    ] {
        let server = Server::start(vec![ok(body)]).await;
        let outcome = client(&server, peer.key()).probe(BUDGET).await;
        assert_eq!(outcome.err().map(|e| e.word()), word);
        assert_eq!(server.requests()[0].line, "GET /ct/v1/get-sth");
    }
}

#[tokio::test]
async fn a_probe_ends_within_its_budget_and_knows_a_final_status() {
    let peer = Peer::new();
    let server = Server::start(vec![Reply::Hang]).await;
    let budget = Duration::from_millis(100);
    let error = client(&server, peer.key()).probe(budget).await.unwrap_err();
    assert_eq!(error.word(), "timeout");
    let server = Server::start(vec![Reply::Answer(404, "", String::new())]).await;
    let error = client(&server, peer.key()).probe(BUDGET).await.unwrap_err();
    assert!(matches!(error, SubmitError::Rejected { status: 404, .. }));
}

#[test]
fn a_log_id_prints_as_hex() {
    assert_eq!(LogId([0xab; 32]).to_string(), "ab".repeat(32));
}
