//! The operator's port: alive, ready, counted.

use std::collections::BTreeSet;
use std::time::Duration;

use shortleaf::fault::Reason;
use shortleaf::issuance::Issued;
use shortleaf::server::{ConnectionLimits, KeyState, Problem};

use crate::house::{Answer, FAMILY, House, ISSUER, certificate, exchange};
use crate::tls::{self, Pair};

const BEARER: &str = "authorization: Bearer a.b.c\r\n";

async fn get(house: &House, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    exchange(house.ops, &request).await
}

async fn metrics(house: &House) -> String {
    get(house, "/metrics").await.body
}

#[track_caller]
fn has_line(text: &str, line: &str) {
    assert!(
        text.lines().any(|l| l == line),
        "no line {line} in:\n{text}"
    );
}

/// What operators build alarms on is written down: each name in the code has a row, each row a name.
#[test]
fn the_page_of_metrics_has_a_row_for_each_and_for_no_other() {
    let code = [
        include_str!("../../src/server/metrics.rs"),
        include_str!("../../src/server/edge.rs"),
    ];
    let quoted = code.iter().flat_map(|text| text.split('"'));
    let names: BTreeSet<&str> = quoted.filter(|text| is_a_metric(text)).collect();
    let page = include_str!("../../docs/metrics.md").lines();
    let rows = page.filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), names);
    assert!(names.len() > 10, "{names:?}");
}

fn is_a_metric(text: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet == b'_';
    text.starts_with("shortleaf_") && text.bytes().all(is_plain)
}

#[tokio::test]
async fn livez_answers_without_asking_anyone() {
    let house = House::open().await;
    house
        .script
        .fitness
        .lock()
        .unwrap()
        .push(("log", Err("away".into())));
    let answer = get(&house, "/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    assert_eq!(*house.script.probes.lock().unwrap(), 0);
}

#[tokio::test]
async fn readyz_is_200_when_every_part_is_fit() {
    let house = House::open().await;
    *house.script.fitness.lock().unwrap() = vec![("key", Ok(())), ("log", Ok(()))];
    let answer = get(&house, "/readyz").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"));
    let answer = get(&house, "/readyz?verbose").await;
    assert_eq!(answer.body, "[+]key ok\n[+]log ok\nready\n");
}

#[tokio::test]
async fn readyz_is_503_and_names_the_part_that_is_not() {
    let house = House::open().await;
    *house.script.fitness.lock().unwrap() =
        vec![("key", Ok(())), ("log", Err("no answer in 2 s".into()))];
    let answer = get(&house, "/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, "[-]log failed: no answer in 2 s\nnot ready\n");
    let answer = get(&house, "/readyz?verbose").await;
    assert_eq!(
        answer.body,
        "[+]key ok\n[-]log failed: no answer in 2 s\nnot ready\n"
    );
}

#[tokio::test]
async fn an_issuer_without_keys_is_named_and_leaves_the_instance_ready() {
    let house = House::open().await;
    let state = |issuer: &str, age| KeyState {
        issuer: issuer.to_owned(),
        age,
        skipped: vec![("secret", usize::from(age.is_none())), ("mismatch", 0)],
    };
    let states = |away| {
        let known = Some(Duration::from_millis(1_500));
        vec![state(ISSUER, known), state("https://away.example", away)]
    };
    house
        .script
        .fitness
        .lock()
        .unwrap()
        .push(("issuers", Ok(())));
    *house.script.key_states.lock().unwrap() = states(None);
    let answer = get(&house, "/readyz").await;
    let named = "[!]issuer https://away.example: no usable keys\nready\n";
    assert_eq!((answer.status, answer.body.as_str()), (200, named));
    let away = r#"shortleaf_jwks_age_seconds{issuer="https://away.example"}"#;
    let text = metrics(&house).await;
    let known = format!(r#"shortleaf_jwks_age_seconds{{issuer="{ISSUER}"}} 1.5"#);
    has_line(&text, &known);
    has_line(&text, &format!("{away} inf"));
    let skipped = |issuer: &str, reason: &str| {
        format!("shortleaf_jwks_keys_skipped{{issuer={issuer:?},reason={reason:?}}}")
    };
    let secret = skipped("https://away.example", "secret");
    has_line(&text, &format!("{secret} 1"));
    has_line(&text, &format!("{} 0", skipped(ISSUER, "secret")));
    has_line(&text, &format!("{} 0", skipped(ISSUER, "mismatch")));
    let verbose = get(&house, "/readyz?verbose").await.body;
    assert!(
        verbose.starts_with("[+]issuers: 1 of 2 with usable keys\n"),
        "{verbose}"
    );

    *house.script.key_states.lock().unwrap() = states(Some(Duration::ZERO));
    assert_eq!(get(&house, "/readyz").await.body, "ready\n");
    let text = metrics(&house).await;
    has_line(&text, &format!("{away} 0"));
    has_line(&text, &format!("{secret} 0"));
    let verbose = get(&house, "/readyz?verbose").await.body;
    assert_eq!(verbose, "[+]issuers: 2 of 2 with usable keys\nready\n");
}

#[tokio::test]
async fn a_tls_certificate_near_its_end_is_named_and_leaves_the_instance_ready() {
    for (end, said) in [
        (
            (2026, 11, 20),
            "[!]the TLS certificate expired at 2026-11-20T00:00:00Z\n",
        ),
        (
            (2026, 11, 25),
            "[!]the TLS certificate expires at 2026-11-25T00:00:00Z\n",
        ),
        ((2027, 1, 1), ""),
    ] {
        let tls = Pair::until(end).tls();
        let house = tls::house(&tls, ConnectionLimits::default()).await;
        let answer = get(&house, "/readyz").await;
        let expected = format!("{said}ready\n");
        assert_eq!((answer.status, answer.body), (200, expected));
    }
}

#[tokio::test]
async fn readiness_is_asked_again_only_when_the_answer_is_old() {
    for (readiness_age, probes) in [(Duration::MAX, 1), (Duration::ZERO, 5)] {
        let house = House::probed(readiness_age).await;
        for _ in 0..5 {
            get(&house, "/readyz").await;
        }
        assert_eq!(*house.script.probes.lock().unwrap(), probes);
    }
}

#[tokio::test]
async fn the_operators_doors_are_not_on_the_public_port_nor_the_other_way_round() {
    let house = House::open().await;
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(house.get(path).await.status, 404, "{path}");
    }
    let answer = get(&house, "/api/v2/trustBundle").await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (404, "ROUTE_UNKNOWN")
    );
    assert_eq!(
        get(&house, "/livez")
            .await
            .header("access-control-allow-origin"),
        None
    );
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let house = House::open().await;
    let answer = get(&house, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let version = env!("CARGO_PKG_VERSION");
    has_line(
        &answer.body,
        &format!(r#"shortleaf_build_info{{version="{version}"}} 1"#),
    );
    has_line(&answer.body, "shortleaf_ca_not_after_seconds 1900000000");
    has_line(&answer.body, "shortleaf_requests_in_flight 0");
}

#[tokio::test]
async fn each_decision_is_counted_once_under_its_issuer() {
    let house = House::open().await;
    house.script.answer(Err(
        Problem::new(Reason::TokenExpired).with("issuer", ISSUER)
    ));
    for _ in 0..3 {
        house.post("/api/v2/signingCert", BEARER, "{}").await;
    }
    house.post("/api/v1/signingCert", "", "{}").await;
    house.script.answer(Ok(Issued {
        repeated: true,
        ..certificate()
    }));
    house.post("/api/v2/signingCert", BEARER, "{}").await;
    let text = metrics(&house).await;
    has_line(
        &text,
        &format!(r#"shortleaf_certs_issued_total{{issuer="{ISSUER}"}} 2"#),
    );
    // What had been made before is not made again.
    has_line(
        &text,
        &format!(r#"shortleaf_certs_repeated_total{{issuer="{ISSUER}"}} 1"#),
    );
    has_line(
        &text,
        &format!(r#"shortleaf_certs_refused_total{{issuer="{ISSUER}",reason="TOKEN_EXPIRED"}} 1"#),
    );
    has_line(
        &text,
        r#"shortleaf_certs_refused_total{issuer="unknown",reason="TOKEN_MISSING"} 1"#,
    );
}

/// Anybody can found another cluster; that makes no further series.
#[tokio::test]
async fn issuers_of_a_family_are_counted_under_its_pattern() {
    let house = House::open().await;
    for cluster in ["https://a.clusters.example", "https://b.clusters.example"] {
        house.script.answer(Ok(Issued {
            issuer: cluster.into(),
            ..certificate()
        }));
        house.script.answer(Err(
            Problem::new(Reason::TokenExpired).with("issuer", cluster)
        ));
        for _ in 0..2 {
            house.post("/api/v2/signingCert", BEARER, "{}").await;
        }
    }
    let text = metrics(&house).await;
    for line in [
        format!(r#"shortleaf_certs_issued_total{{issuer="{FAMILY}"}} 2"#),
        format!(r#"shortleaf_certs_refused_total{{issuer="{FAMILY}",reason="TOKEN_EXPIRED"}} 2"#),
    ] {
        has_line(&text, &line);
    }
    assert!(!text.contains("a.clusters") && !text.contains("b.clusters"));
}

#[tokio::test]
async fn an_issuer_that_is_not_configured_is_no_label() {
    let house = House::open().await;
    let elsewhere = "https://attacker.example";
    house.script.answer(Err(
        Problem::new(Reason::TokenIssuerUnknown).with("issuer", elsewhere)
    ));
    house.post("/api/v2/signingCert", BEARER, "{}").await;
    let text = metrics(&house).await;
    assert!(!text.contains(elsewhere));
    has_line(
        &text,
        r#"shortleaf_certs_refused_total{issuer="unknown",reason="TOKEN_ISSUER_UNKNOWN"} 1"#,
    );
}

#[tokio::test]
async fn latency_is_counted_per_door_and_an_unknown_path_is_no_label() {
    let house = House::open().await;
    house.post("/api/v2/signingCert", BEARER, "{}").await;
    house.get("/no/such/path").await;
    let text = metrics(&house).await;
    has_line(
        &text,
        r#"shortleaf_request_seconds_count{door="/api/v2/signingCert",status="200"} 1"#,
    );
    has_line(
        &text,
        r#"shortleaf_request_seconds_count{door="unknown",status="404"} 1"#,
    );
    assert!(text.contains(r#"status="200",le="0.001"}"#), "{text}");
    assert!(!text.contains("/no/such/path"));
}

#[tokio::test]
async fn two_instances_in_one_process_count_apart() {
    let (busy, quiet) = (House::open().await, House::open().await);
    busy.post("/api/v2/signingCert", BEARER, "{}").await;
    assert!(
        metrics(&busy)
            .await
            .contains("shortleaf_certs_issued_total{")
    );
    assert!(
        !metrics(&quiet)
            .await
            .contains("shortleaf_certs_issued_total{")
    );
}

#[tokio::test]
async fn a_request_in_flight_is_shown_until_it_is_answered() {
    let house = House::open().await;
    let gate = house.script.hold();
    let watch = async {
        house.until_asked(1).await;
        has_line(&metrics(&house).await, "shortleaf_requests_in_flight 1");
        gate.add_permits(1);
    };
    tokio::join!(house.post("/api/v2/signingCert", BEARER, "{}"), watch);
    has_line(&metrics(&house).await, "shortleaf_requests_in_flight 0");
}
