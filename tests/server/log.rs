//! What the log says of each decision, and what it never says.

use std::io;
use std::sync::{Arc, Mutex};

use shortleaf::fault::Reason;
use shortleaf::server::Problem;
use shortleaf::telemetry::{Format, subscriber};
use tracing::subscriber::DefaultGuard;

use crate::house::{House, ISSUER};

const V2: &str = "/api/v2/signingCert";
const BODY: &str = r#"{"credentials":{"oidcIdentityToken":"the.secret.token"},"publicKeyRequest":{"publicKey":{"content":"the public key"},"proofOfPossession":"dGhlIHByb29m"}}"#;

#[derive(Clone, Default)]
pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    /// Takes down everything this thread logs. Tests run their server on their own thread.
    pub(crate) fn open(format: Format, filter: &str) -> (Self, DefaultGuard) {
        let page = Self::default();
        let writer = page.clone();
        let subscriber = subscriber(format, filter, move || writer.clone()).unwrap();
        (page, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The one line, without its time.
    fn event(&self) -> serde_json::Value {
        let mut event: serde_json::Value = serde_json::from_str(&self.text()).unwrap();
        event.as_object_mut().unwrap().remove("timestamp").unwrap();
        event
    }
}

#[tokio::test]
async fn an_issued_certificate_is_one_event() {
    let (page, _guard) = Page::open(Format::Json, "info");
    let house = House::open().await;
    house.post(V2, "x-request-id: job-17\r\n", BODY).await;
    assert_eq!(
        page.event(),
        serde_json::json!({
            "level": "INFO",
            "target": "shortleaf::telemetry",
            "message": "issued",
            "request_id": "job-17",
            "trace_id": "ab".repeat(16),
            "span_id": "ab".repeat(8),
            "client": "127.0.0.1",
            "issuer": ISSUER,
            "identity": "email:jane@example.com",
            "serial": "01".repeat(19),
            "not_after": "2026-11-21T12:10:00Z",
            "repeated": false,
        })
    );
}

#[tokio::test]
async fn a_refusal_of_the_callers_making_is_told_with_what_the_caller_was_told() {
    let (page, _guard) = Page::open(Format::Json, "info");
    let house = House::open().await;
    let problem = Problem::new(Reason::ClaimInvalid)
        .detail("claim sub is \"x\"")
        .with("issuer", ISSUER)
        .caused_by(io::Error::other("inner"));
    house.script.answer(Err(problem));
    house.post(V2, "x-request-id: job-17\r\n", BODY).await;
    assert_eq!(
        page.event(),
        serde_json::json!({
            "level": "WARN",
            "target": "shortleaf::telemetry",
            "message": "refused",
            "request_id": "job-17",
            "trace_id": "ab".repeat(16),
            "span_id": "ab".repeat(8),
            "client": "127.0.0.1",
            "issuer": ISSUER,
            "reason": "CLAIM_INVALID",
            "cause": "claim sub is \"x\"",
        })
    );
}

#[tokio::test]
async fn a_refusal_that_is_not_the_callers_fault_is_told_with_its_causes() {
    let (page, _guard) = Page::open(Format::Json, "info");
    let house = House::open().await;
    let problem = Problem::new(Reason::CtLogUnavailable).caused_by(io::Error::other("refused"));
    house.script.answer(Err(problem));
    house.post(V2, "x-request-id: job-17\r\n", BODY).await;
    assert_eq!(
        page.event(),
        serde_json::json!({
            "level": "ERROR",
            "target": "shortleaf::telemetry",
            "message": "refused",
            "request_id": "job-17",
            "trace_id": "ab".repeat(16),
            "span_id": "ab".repeat(8),
            "client": "127.0.0.1",
            "reason": "CT_LOG_UNAVAILABLE",
            "cause": "refused",
        })
    );
}

#[tokio::test]
async fn a_request_refused_at_the_door_is_an_event_too() {
    let (page, _guard) = Page::open(Format::Json, "info");
    let house = House::open().await;
    house.post(V2, "x-request-id: job-17\r\n", "{").await;
    assert_eq!(page.event()["reason"], "REQUEST_MALFORMED");
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_callers_trace_is_in_the_event_of_a_certificate_and_of_a_refusal() {
    for body in [BODY, "{"] {
        let (page, _guard) = Page::open(Format::Json, "info");
        let house = House::open().await;
        let headers = format!("traceparent: {PARENT}\r\ntracestate: a=planted-state\r\n");
        house.post(V2, &headers, body).await;
        let event = page.event();
        assert_eq!(event["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        // The request is a part of its own in it; the caller's words about it are the caller's.
        assert_eq!(event["span_id"], "ab".repeat(8));
        assert_eq!(event["request_id"], "ab".repeat(16));
        assert!(!page.text().contains("planted-state"));
    }
}

#[tokio::test]
async fn a_trace_that_is_not_whole_or_not_the_only_one_is_left_for_a_new_one() {
    let cut = &PARENT[..54];
    for headers in [
        format!("traceparent: {cut}\r\n"),
        format!("traceparent: {}\r\n", PARENT.to_uppercase()),
        format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\n"),
        "tracestate: a=1\r\n".to_owned(),
    ] {
        let (page, _guard) = Page::open(Format::Json, "info");
        let house = House::open().await;
        let answer = house.post(V2, &headers, BODY).await;
        assert_eq!(answer.status, 200, "{headers}");
        let event = page.event();
        assert_eq!(event["trace_id"], "ab".repeat(16), "{headers}");
        // One number for both, where the caller named neither.
        assert_eq!(event["request_id"], event["trace_id"], "{headers}");
    }
}

#[tokio::test]
async fn no_level_of_detail_shows_token_key_or_proof() {
    for format in [Format::Json, Format::Text] {
        let (page, _guard) = Page::open(format, "trace");
        let house = House::open().await;
        house.post(V2, "", BODY).await;
        house
            .post(V2, "authorization: Bearer the.secret.token\r\n", "{")
            .await;
        *house.script.panics.lock().unwrap() = true;
        house.post(V2, "", BODY).await;
        let text = page.text();
        assert!(
            text.contains("issued") && text.contains("INTERNAL"),
            "{text}"
        );
        for secret in [
            "the.secret.token",
            "the public key",
            "dGhlIHByb29m",
            "the proof",
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[test]
fn a_filter_that_does_not_parse_is_named() {
    let error = subscriber(Format::Text, "shortleaf=loud", io::sink).err();
    assert_eq!(
        error.map(|e| e.to_string()).as_deref(),
        Some("log filter \"shortleaf=loud\" does not parse")
    );
}
