//! Answers that are long, slow, many or dressed up, each beside one that will do.

use serde_json::json;

use super::provider::{Answer, Provider, http, ok};
use super::{KEYS, METADATA, PACE, failure, jwk};
use crate::token::discovery::*;

const JSON: &str = "Content-Type: application/json\r\n";

fn key_set() -> String {
    json!({ "keys": [jwk("k1")] }).to_string()
}

async fn first(provider: &Provider) -> Result<Arc<VerificationKey>, KeyError> {
    let keys = provider.keys(PACE);
    keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
        .await
}

#[tokio::test]
async fn a_body_without_end_is_left_at_its_limit() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    assert!(first(&provider).await.is_ok());
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, " ".repeat(64 << 10));
    let endless = Answer {
        bytes: format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n").into(),
        endless: Some((chunk.into_bytes(), Duration::ZERO)),
        ..http("", "", "")
    };
    for path in [METADATA, KEYS] {
        let provider = Provider::start(json!([jwk("k1")])).await;
        provider.answer(path, endless.clone());
        assert_eq!(
            failure(first(&provider).await),
            format!(
                "{}{path} answered with more than 262144 bytes",
                provider.url
            )
        );
        // What lay in the network's own buffers is the rest.
        assert!(provider.sent() < 16 << 20, "{}", provider.sent());
    }
    // A length is believed to be too long, and nothing is read to see.
    let hundred_megabytes = "Content-Length: 104857600\r\n";
    let claimed = Answer {
        bytes: format!("HTTP/1.1 200 OK\r\n{hundred_megabytes}{JSON}\r\n").into(),
        endless: Some((vec![b' '; 64 << 10], Duration::ZERO)),
        ..http("", "", "")
    };
    provider.answer(KEYS, claimed);
    let told = failure(first(&provider).await);
    assert!(told.ends_with("more than 262144 bytes"), "{told}");
}

#[tokio::test]
async fn a_trickle_is_over_with_the_budget() {
    let drop_by_drop = |every| Answer {
        bytes: format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n").into(),
        endless: Some((b"1\r\n \r\n".to_vec(), Duration::from_millis(every))),
        ..http("", "", "")
    };
    let hangs_after_headers = Answer {
        bytes: format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n{JSON}\r\n").into(),
        endless: Some((Vec::new(), Duration::from_secs(60))),
        ..http("", "", "")
    };
    let header_without_end = Answer {
        bytes: b"HTTP/1.1 200 OK\r\n".to_vec(),
        endless: Some((b"X: y\r\n".to_vec(), Duration::from_millis(20))),
        ..http("", "", "")
    };
    let silent = Answer {
        first: Duration::from_secs(60),
        ..ok(&json!({}))
    };
    for answer in [
        drop_by_drop(20),
        hangs_after_headers,
        header_without_end,
        silent,
    ] {
        let provider = Provider::start(json!([])).await;
        provider.answer(KEYS, answer);
        let budget = Duration::from_millis(400);
        let keys = provider.keys(Pace { budget, ..PACE });
        let asked = std::time::Instant::now();
        let issuer = provider.issuer();
        let answer = keys.key(&issuer, Some("k1"), Algorithm::Es256).await;
        assert_eq!(failure(answer), "provider did not answer within 400ms");
        // Not for as long as the provider would.
        assert!(
            asked.elapsed() < Duration::from_secs(30),
            "{:?}",
            asked.elapsed()
        );
    }
}

#[tokio::test]
async fn headers_without_end_are_no_answer() {
    let flood = "X-Padding: y\r\n".repeat(10_000);
    let large = format!("X-Padding: {}\r\n", "y".repeat(1 << 20));
    for headers in [flood, large] {
        let provider = Provider::start(json!([jwk("k1")])).await;
        provider.answer(KEYS, http("200 OK", &headers, &key_set()));
        let told = failure(first(&provider).await);
        assert_eq!(told, format!("could not talk to {}{KEYS}", provider.url));
    }
}

#[tokio::test]
async fn nothing_is_decompressed() {
    // 1 MiB of zeros as gzip has it, in little more than a kilobyte; here only its first bytes.
    let gzip = "\u{1f}\u{8b}\u{8}\0\0\0\0\0\0\u{3}";
    for (headers, told) in [
        ("Content-Encoding: gzip\r\n", "content-encoding \"gzip\""),
        ("Content-Encoding: br\r\n", "content-encoding \"br\""),
        (
            "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n",
            "content-encoding \"gzip\"",
        ),
        (
            "Content-Encoding: identity, gzip\r\n",
            "content-encoding \"identity, gzip\"",
        ),
        (
            "Content-Type: application/json\r\nContent-Type: text/html\r\n",
            "content-type \"text/html\"",
        ),
        (
            "Content-Type: application/gzip\r\n",
            "content-type \"application/gzip\"",
        ),
    ] {
        let provider = Provider::start(json!([])).await;
        provider.answer(KEYS, http("200 OK", headers, gzip));
        let expected = format!("{}{KEYS} answered with {told}", provider.url);
        assert_eq!(failure(first(&provider).await), expected);
        provider.answer(KEYS, http("200 OK", JSON, &key_set()));
        assert!(first(&provider).await.is_ok());
    }
    let provider = Provider::start(json!([])).await;
    provider.answer(KEYS, http("200 OK", JSON, gzip));
    assert_eq!(
        failure(first(&provider).await),
        "key set is not strict JSON"
    );
}

#[tokio::test]
async fn a_document_is_as_deep_and_as_wide_as_it_may_be() {
    let provider = Provider::start(json!([])).await;
    let deep = format!(
        r#"{{"keys":[],"x":{}1{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let twice = r#"{"keys":[],"keys":[]}"#.to_owned();
    for body in [deep, twice] {
        provider.answer(KEYS, http("200 OK", JSON, &body));
        assert_eq!(
            failure(first(&provider).await),
            "key set is not strict JSON"
        );
    }
    let many = json!({ "keys": vec![json!({}); 10_000] });
    provider.answer(KEYS, ok(&many));
    assert_eq!(
        failure(first(&provider).await),
        "key set has 10000 keys, at most 64 are accepted"
    );
}

#[tokio::test]
async fn what_a_provider_says_about_caching_changes_nothing() {
    let provider = Provider::start(json!([])).await;
    let headers = "Cache-Control: max-age=99999999, immutable\r\nRetry-After: 99999999\r\nExpires: Fri, 31 Dec 9999 23:59:59 GMT\r\nSet-Cookie: a=b\r\n";
    provider.answer(KEYS, http("200 OK", headers, &key_set()));
    let keys = provider.keys(PACE);
    let ask = async |kid: &str| {
        keys.key(&provider.issuer(), Some(kid), Algorithm::Es256)
            .await
    };
    assert!(ask("k1").await.is_ok());
    tokio::time::sleep(PACE.pause).await;
    provider.answer(KEYS, http("503 Down", headers, ""));
    let Err(KeyError::Unavailable { retry_after, .. }) = ask("k2").await else {
        panic!("the provider is down");
    };
    assert!(retry_after.unwrap() <= Duration::from_secs(1));
    assert_eq!(provider.asked(KEYS), 2);
    let headers = provider.headers().join("\n").to_ascii_lowercase();
    assert!(!headers.contains("cookie"), "{headers}");
    assert!(headers.contains("accept-encoding: identity"), "{headers}");
}

#[tokio::test]
async fn a_providers_text_is_told_shortened() {
    let provider = Provider::start(json!([])).await;
    let long = "x".repeat(100_000);
    provider.answer_metadata("issuer", long.clone());
    assert!(failure(first(&provider).await).len() < 512);
    let provider = Provider::start(json!([])).await;
    provider.answer_metadata("jwks_uri", format!("{}/{long}", provider.url));
    assert!(failure(first(&provider).await).len() < 512);
    assert_eq!(provider.asked(KEYS), 0);
}
