//! Providers that are slow, wrong, large, moved or gone, played by a small server on loopback.

mod bounds;
mod churn;
mod cluster;
pub(super) mod dns;
mod families;
mod files;
mod hostile;
mod others;
mod provider;
mod reach;
mod told;

use serde_json::{Value as Json, json};

use self::provider::{Answer, Provider, http, ok};
use super::*;
use crate::token::testing::SigningKey;
use crate::trace;

const METADATA: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

/// Short times, in the proportions of the real ones.
const PACE: Pace = Pace {
    budget: Duration::from_secs(3),
    pause: Duration::from_millis(600),
    pause_without_keys: Duration::from_millis(100),
    failures_to_open: 3,
    waiters: 128,
    refresh_after: Duration::from_secs(60),
    keys_live: Duration::from_secs(90),
};

fn with_pace(issuers: Vec<IssuerKeysConfig>, pace: Pace) -> Result<HttpKeys, ConfigError> {
    HttpKeys::with_pace(issuers, Arc::new(SystemResolver), pace)
}

/// Whether this process runs the test `name` of this module and no other. If not, one that does
/// is started, with this environment, and has to succeed: for what a process has one of, such as
/// its environment and its log.
fn is_alone(name: &str, environment: &[(&str, &str)]) -> bool {
    const ALONE: &str = "SHORTLEAF_TEST_IS_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([&format!("token::discovery::tests::{name}"), "--exact"]);
    child.env(ALONE, "1").envs(environment.iter().copied());
    let ended = child.output().unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(
        ended.status.success() && told.contains("1 passed"),
        "{ended:?}"
    );
    false
}

fn jwk(kid: &str) -> Json {
    SigningKey::for_algorithm(Algorithm::Es256).jwk(kid)
}

fn failure(answer: Result<Arc<VerificationKey>, KeyError>) -> String {
    match answer {
        Err(KeyError::Unavailable { source, .. }) => source.to_string(),
        other => panic!("expected the provider's failure, got {other:?}"),
    }
}

fn is_unknown(answer: &Result<Arc<VerificationKey>, KeyError>) -> bool {
    matches!(answer, Err(KeyError::Unknown { .. }))
}

#[tokio::test]
async fn one_fetch_serves_everyone_who_asks() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = Arc::new(provider.keys(PACE));
    let requests = (0..20).map(|_| {
        let (keys, issuer) = (Arc::clone(&keys), provider.issuer());
        tokio::spawn(async move {
            keys.key(&issuer, Some("k1"), Algorithm::Es256)
                .await
                .is_ok()
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert!(request.await.unwrap());
    }
    assert_eq!((provider.asked(METADATA), provider.asked(KEYS)), (1, 1));
    assert!(keys.ages()[0].1.is_some());
}

/// The request is not believed yet when the fetch is made: its trace goes out, its words do not.
#[tokio::test]
async fn a_fetch_belongs_to_the_trace_of_the_request_that_caused_it() {
    let parent = &b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"[..];
    let place = trace::Context::of([parent], [&b"a=planted"[..]], &[7; trace::SEED_BYTES]);
    for (place, traced) in [(Some(place), 2), (None, 0)] {
        let provider = Provider::start(json!([jwk("k1")])).await;
        let (keys, issuer) = (provider.keys(PACE), provider.issuer());
        let key = keys.key(&issuer, Some("k1"), Algorithm::Es256);
        assert!(trace::within(place, key).await.is_ok());
        let headers = provider.headers().join("\n").to_ascii_lowercase();
        let sent = headers.matches("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-");
        assert_eq!(sent.count(), traced, "{headers}");
        assert!(!headers.contains("00f067aa0ba902b7"), "{headers}");
        assert!(!headers.contains("planted"), "{headers}");
    }
}

#[tokio::test]
async fn configuring_and_starting_ask_nobody() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(PACE);
    assert_eq!(keys.ages(), [(provider.url.clone(), None)]);
    assert_eq!(provider.asked(METADATA), 0);
    keys.prefetch();
    while keys.ages()[0].1.is_none() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(provider.asked(METADATA), 1);
}

#[tokio::test]
async fn an_algorithm_the_provider_does_not_announce_is_refused() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    provider.answer_metadata("id_token_signing_alg_values_supported", json!(["RS256"]));
    let keys = provider.keys(PACE);
    let answer = keys
        .key(&provider.issuer(), Some("k1"), Algorithm::Es256)
        .await;
    assert!(
        matches!(answer, Err(KeyError::AlgorithmRefused { .. })),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    for (path, status) in [
        (METADATA, "302 Found"),
        (KEYS, "307 Temporary Redirect"),
        (KEYS, "301 Moved"),
    ] {
        let provider = Provider::start(json!([jwk("k1")])).await;
        provider.answer("/elsewhere", ok(&json!({ "keys": [jwk("k1")] })));
        provider.answer(path, http(status, "Location: /elsewhere\r\n", ""));
        let text = provider.failure().await;
        let code = &status[..3];
        assert!(
            text.starts_with(&format!("{}{path} answered {code}", provider.url)),
            "{text}"
        );
        assert_eq!(provider.asked("/elsewhere"), 0);
    }
    let keys = provider.keys(PACE);
    assert!(
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_answer_that_is_not_200_gives_no_keys() {
    for status in ["201 Created", "204 No Content", "404 Not Found", "500 Oops"] {
        let provider = Provider::start(json!([jwk("k1")])).await;
        provider.answer(KEYS, http(status, "", ""));
        let text = provider.failure().await;
        assert!(
            text.contains(&format!("/keys answered {}", &status[..3])),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let padded = |bytes: usize| {
        let keys = json!({ "keys": [jwk("k1")] }).to_string();
        let padding = bytes - keys.len();
        keys + &" ".repeat(padding)
    };
    let limit = crate::token::jwks::MAX_JWKS_BYTES;
    let json = "Content-Type: application/json\r\n";
    let provider = Provider::start(json!([])).await;
    provider.answer(KEYS, http("200 OK", json, &padded(limit)));
    let keys = provider.keys(PACE);
    assert!(
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );

    let expected = format!(
        "{}/keys answered with more than {limit} bytes",
        provider.url
    );
    provider.answer(KEYS, http("200 OK", json, &padded(limit + 1)));
    assert_eq!(provider.failure().await, expected);

    // Without a length, as long as anyone reads.
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, " ".repeat(64 << 10));
    let endless = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{json}\r\n{}",
        chunk.repeat(64)
    );
    let answer = Answer {
        bytes: endless.into_bytes(),
        ..http("", "", "")
    };
    provider.answer(KEYS, answer);
    assert_eq!(provider.failure().await, expected);
}

#[tokio::test]
async fn both_documents_share_one_budget() {
    let tardy = |answer: Answer, first: u64, second: u64| Answer {
        first: Duration::from_millis(first),
        second: Duration::from_millis(second),
        ..answer
    };
    let keys = json!({ "keys": [jwk("k1")] });
    for (metadata, body, in_time) in [
        ((0, 0), (0, 0), true),
        ((1500, 0), (0, 0), false),
        ((0, 0), (0, 1500), false),
        ((600, 0), (600, 0), false),
    ] {
        let provider = Provider::start(json!([])).await;
        provider.answer(
            METADATA,
            tardy(ok(&provider.metadata()), metadata.0, metadata.1),
        );
        provider.answer(KEYS, tardy(ok(&keys), body.0, body.1));
        let second = Duration::from_secs(1);
        let source = provider.keys(Pace {
            budget: second,
            ..PACE
        });
        let answer = source
            .key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await;
        if in_time {
            assert!(answer.is_ok(), "{answer:?}");
        } else {
            assert_eq!(failure(answer), "provider did not answer within 1s");
        }
    }
}

#[tokio::test]
async fn a_document_for_another_issuer_is_refused() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let other = format!("{}/", provider.url);
    provider.answer_metadata("issuer", other.clone());
    let expected = format!(
        "provider metadata is for issuer {other:?}, expected {}",
        provider.url
    );
    assert_eq!(provider.failure().await, expected);
    assert_eq!(provider.asked(KEYS), 0);
}

#[tokio::test]
async fn a_key_set_on_another_host_is_asked_only_where_configured() {
    let provider = Provider::start(json!([])).await;
    let elsewhere = Provider::start(json!([jwk("k1")])).await;
    let uri = format!("{}{KEYS}", elsewhere.url);
    provider.answer_metadata("jwks_uri", uri.clone());
    let expected =
        format!("jwks_uri {uri:?} is not an https URL on the issuer's host or a configured one");
    assert_eq!(provider.failure().await, expected);
    assert_eq!(elsewhere.asked(KEYS), 0);

    let host = elsewhere.url.strip_prefix("http://").unwrap().to_owned();
    let config = IssuerKeysConfig {
        jwks_hosts: vec![host],
        ..provider.config()
    };
    let keys = with_pace(vec![config], PACE).unwrap();
    assert!(
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_body_is_plain_json_by_its_headers() {
    let keys = json!({ "keys": [jwk("k1")] }).to_string();
    for (headers, refused) in [
        ("", None),
        ("Content-Type: application/jwk-set+json\r\n", None),
        ("Content-Type: APPLICATION/JSON; charset=utf-8\r\n", None),
        ("Content-Type: application/octet-stream\r\n", None),
        ("Content-Encoding: identity\r\n", None),
        (
            "Content-Encoding: gzip\r\n",
            Some("content-encoding \"gzip\""),
        ),
        (
            "Content-Type: text/html\r\n",
            Some("content-type \"text/html\""),
        ),
    ] {
        let provider = Provider::start(json!([])).await;
        provider.answer(KEYS, http("200 OK", headers, &keys));
        let source = provider.keys(PACE);
        let answer = source
            .key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await;
        match refused {
            None => assert!(answer.is_ok(), "{headers}: {answer:?}"),
            Some(header) => {
                let expected = format!("{}/keys answered with {header}", provider.url);
                assert_eq!(failure(answer), expected);
            }
        }
    }
}

#[tokio::test]
async fn a_set_too_large_or_without_a_usable_key_is_a_failure() {
    let provider = Provider::start(json!(vec![jwk("k1"); 65])).await;
    assert_eq!(
        provider.failure().await,
        "key set has 65 keys, at most 64 are accepted"
    );
    provider.answer(
        KEYS,
        ok(&json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": "AA" }] })),
    );
    assert_eq!(
        provider.failure().await,
        "key set has no usable key, 1 were skipped"
    );
    provider.answer(KEYS, ok(&json!({ "keys": [jwk("k1")], "KEYS": 1 })));
    let keys = provider.keys(PACE);
    assert!(
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn made_up_key_ids_cost_one_fetch_per_pause_and_nobody_else_anything() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(Pace {
        pause: Duration::from_secs(30),
        ..PACE
    });
    for n in 0..200 {
        let made_up = format!("made-up-{n}");
        let answer = keys
            .key(&provider.issuer(), Some(&made_up), Algorithm::Es256)
            .await;
        assert!(is_unknown(&answer), "{answer:?}");
        assert!(
            keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
                .await
                .is_ok()
        );
    }
    assert_eq!(provider.asked(KEYS), 1);
}

#[tokio::test]
async fn a_new_key_is_found_after_the_pause_and_an_old_one_goes() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(PACE);
    let ask = async |kid: &str| {
        keys.key(&provider.issuer(), Some(kid), Algorithm::Es256)
            .await
    };
    assert!(ask("k1").await.is_ok());
    provider.answer(KEYS, ok(&json!({ "keys": [jwk("k2")] })));
    assert!(is_unknown(&ask("k2").await));
    tokio::time::sleep(PACE.pause).await;
    assert!(ask("k2").await.is_ok());
    assert!(is_unknown(&ask("k1").await));
    assert_eq!(provider.asked(KEYS), 2);
}

#[tokio::test]
async fn a_failed_fetch_keeps_good_keys_and_blames_the_provider() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(PACE);
    let ask = async |kid: &str| {
        keys.key(&provider.issuer(), Some(kid), Algorithm::Es256)
            .await
    };
    assert!(ask("k1").await.is_ok());
    provider.answer(KEYS, http("500 Oops", "", ""));
    tokio::time::sleep(PACE.pause).await;
    let text = failure(ask("k2").await);
    assert!(text.contains("answered 500"), "{text}");
    assert!(ask("k1").await.is_ok());
}

#[tokio::test]
async fn keys_die_with_age_and_come_back_with_the_provider() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(Pace {
        keys_live: Duration::from_millis(900),
        ..PACE
    });
    let ask = async || {
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
    };
    assert!(ask().await.is_ok());
    provider.answer(METADATA, http("503 Down", "", ""));
    assert!(ask().await.is_ok());
    tokio::time::sleep(Duration::from_millis(910)).await;
    assert!(failure(ask().await).contains("answered 503"));
    assert_eq!(keys.ages()[0].1, None);
    provider.answer(METADATA, ok(&provider.metadata()));
    tokio::time::sleep(PACE.pause_without_keys).await;
    assert!(ask().await.is_ok());
}

#[tokio::test]
async fn keys_in_use_are_read_again_before_they_die() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let keys = provider.keys(Pace {
        refresh_after: Duration::ZERO,
        pause: Duration::ZERO,
        ..PACE
    });
    let ask = async || {
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
    };
    ask().await.unwrap().prepare();
    // The third is asked for when the second is in use.
    while provider.asked(KEYS) < 3 {
        assert!(ask().await.unwrap().is_prepared(), "the same key");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_counted_for_whoever_watches() {
    let mut published = jwk("k2");
    published["d"] = json!("AA");
    let provider = Provider::start(json!([jwk("k1"), published])).await;
    let keys = provider.keys(PACE);
    let issuer = provider.issuer();
    assert_eq!(keys.skipped(), [(issuer.to_string(), Vec::new())]);
    let asked = keys.key(&issuer, Some("k1"), Algorithm::Es256).await;
    assert!(asked.is_ok());
    assert_eq!(keys.skipped(), [(issuer.to_string(), vec![Unfit::Secret])]);
}

#[tokio::test]
async fn a_provider_that_is_down_is_its_own_issuers_trouble() {
    let up = Provider::start(json!([jwk("k1")])).await;
    let down = Provider::start(json!([])).await;
    down.server.abort();
    tokio::task::yield_now().await;
    let keys = with_pace(vec![up.config(), down.config()], PACE).unwrap();
    let text = failure(keys.key(&down.issuer(), Some("k1"), Algorithm::Es256).await);
    assert_eq!(text, format!("could not talk to {}{METADATA}", down.url));
    assert!(
        keys.key(&up.issuer(), Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn keys_are_available_while_one_provider_of_many_is() {
    let (one, two) = (
        Provider::start(json!([jwk("k1")])).await,
        Provider::start(json!([jwk("k1")])).await,
    );
    let keys = with_pace(vec![one.config(), two.config()], PACE).unwrap();
    assert!(keys.available(), "nobody was asked yet");
    for provider in [&one, &two] {
        assert!(keys.available());
        provider.answer(METADATA, http("503 Down", "", ""));
        let answer = keys
            .key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await;
        assert!(failure(answer).contains("answered 503"));
    }
    assert!(!keys.available());

    // Asking is enough to notice that one is back: no token has to be refused for it.
    two.answer(METADATA, ok(&two.metadata()));
    while !keys.available() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(
        keys.ages().iter().filter(|(_, age)| age.is_some()).count(),
        1
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_stop_the_fetch() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let tardy = Answer {
        first: Duration::from_millis(100),
        ..ok(&provider.metadata())
    };
    provider.answer(METADATA, tardy);
    let keys = provider.keys(PACE);
    let issuer = provider.issuer();
    let request = keys.key(&issuer, Some("k1"), Algorithm::Es256);
    let hung_up = tokio::time::timeout(Duration::from_millis(20), request).await;
    assert!(hung_up.is_err());
    assert!(
        keys.key(&issuer, Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );
    assert_eq!(provider.asked(METADATA), 1);
}

#[tokio::test]
async fn key_sets_are_never_shared_between_issuers() {
    let one = Provider::start(json!([jwk("one"), jwk("both")])).await;
    let two = Provider::start(json!([jwk("two"), jwk("both")])).await;
    let keys = with_pace(vec![one.config(), two.config()], PACE).unwrap();
    let ask = async |provider: &Provider, kid: &str| {
        keys.key(&provider.issuer(), Some(kid), Algorithm::Es256)
            .await
    };
    assert!(ask(&one, "one").await.is_ok());
    assert!(is_unknown(&ask(&two, "one").await));
    let (a, b) = (
        ask(&one, "both").await.unwrap(),
        ask(&two, "both").await.unwrap(),
    );
    assert!(!Arc::ptr_eq(&a, &b));
}

#[tokio::test]
async fn fixed_keys_know_their_issuers_only() {
    let issuer = IssuerUrl::new("https://issuer.example").unwrap();
    let set = KeySet::parse(json!({ "keys": [jwk("k1")] }).to_string().as_bytes()).unwrap();
    let keys = FixedKeys::new([(issuer.clone(), set)]);
    assert!(
        keys.key(&issuer, Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    );
    let other = IssuerUrl::new("https://other.example").unwrap();
    assert!(is_unknown(
        &keys.key(&other, Some("k1"), Algorithm::Es256).await
    ));
}

#[test]
fn an_issuer_is_https_unless_it_is_here_and_allowed() {
    let config = |url: &str, allowed| IssuerKeysConfig {
        allow_insecure_http_loopback: allowed,
        ..IssuerKeysConfig::discovery(IssuerUrl::new(url).unwrap())
    };
    for (url, allowed) in [
        ("http://127.0.0.1:1", false),
        ("http://issuer.example", true),
        ("http://10.0.0.1", true),
    ] {
        let error = HttpKeys::new(vec![config(url, allowed)]).err();
        assert!(matches!(error, Some(ConfigError::NotHttps { .. })), "{url}");
    }
    for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"] {
        assert!(HttpKeys::new(vec![config(url, true)]).is_ok(), "{url}");
    }
    let twice = vec![
        config("http://[::1]:1", true),
        config("http://[::1]:1", true),
    ];
    assert!(matches!(
        HttpKeys::new(twice).err(),
        Some(ConfigError::Twice { .. })
    ));
}
