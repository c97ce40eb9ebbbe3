//! Every reason as it leaves: status, code, ErrorInfo, Retry-After.

use std::time::Duration;

use shortleaf::fault::{Fault, Reason};
use shortleaf::server::Problem;
use shortleaf::server::problem::answer;

use crate::house::{House, ISSUER};

const BEARER: &str = "authorization: Bearer a.b.c\r\n";

#[tokio::test]
async fn every_reason_leaves_with_its_status_code_and_error_info_by_both_doors() {
    let house = House::open().await;
    for reason in Reason::ALL {
        let row = answer(*reason);
        for path in ["/api/v2/signingCert", "/api/v1/signingCert"] {
            let problem = Problem::new(*reason)
                .detail("what was wrong")
                .with("issuer", ISSUER)
                .with("claim", "sub");
            house.script.answer(Err(problem));
            let answer = house.post(path, BEARER, "{}").await;
            assert_eq!(answer.status, row.code.status().as_u16());
            assert_eq!(answer.header("content-type"), Some("application/json"));
            let (code, prefix, word) = (row.code.number(), row.prefix, reason.as_str());
            assert_eq!(
                answer.body,
                format!(
                    r#"{{"code":{code},"message":"{prefix}: what was wrong","details":[{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{word}","domain":"shortleaf","metadata":{{"claim":"sub","issuer":"{ISSUER}"}}}}]}}"#
                )
            );
            let default = row.retry_after.map(|after| after.as_secs().to_string());
            assert_eq!(answer.header("retry-after"), default.as_deref(), "{word}");
        }
    }
}

#[tokio::test]
async fn a_failure_that_knows_when_to_come_back_says_so() {
    let house = House::open().await;
    let problem = Problem::new(Reason::RateLimited).retry_after(Some(Duration::from_millis(2_100)));
    house.script.answer(Err(problem));
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("3"))
    );
}

#[tokio::test]
async fn what_cannot_pass_later_never_says_retry() {
    let house = House::open().await;
    let problem = Problem::new(Reason::TokenExpired).retry_after(Some(Duration::from_secs(5)));
    house.script.answer(Err(problem));
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!((answer.status, answer.header("retry-after")), (400, None));
}

#[tokio::test]
async fn the_cause_stays_in_the_house() {
    let house = House::open().await;
    for reason in Reason::ALL {
        let cause = std::io::Error::other("password=hunter2 at 10.0.0.7");
        house
            .script
            .answer(Err(Problem::new(*reason).caused_by(cause)));
        let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
        assert!(!answer.body.contains("hunter2"), "{reason:?}");
        if reason.fault() == Fault::Dependency {
            assert_eq!(answer.status, 503, "{reason:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_with_code_5() {
    let house = House::open().await;
    for path in [
        "/",
        "/api/v2/signingcert",
        "/api/v2/signingCert/",
        "/metrics",
        "/prefix//api/v2/trustBundle",
    ] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(
            answer.body,
            r#"{"code":5,"message":"Not Found","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ROUTE_UNKNOWN","domain":"shortleaf","metadata":{}}]}"#
        );
    }
}

#[tokio::test]
async fn a_wrong_method_is_501_with_code_12() {
    let house = House::open().await;
    for (method, path) in [
        ("GET", "/api/v2/signingCert"),
        ("PUT", "/api/v1/signingCert"),
        ("POST", "/api/v2/trustBundle"),
        ("DELETE", "/healthz"),
        // Not a preflight: it asks for no method.
        ("OPTIONS", "/api/v2/signingCert"),
    ] {
        let answer = house.ask(method, path, "").await;
        assert_eq!(answer.status, 501, "{method} {path}");
        assert_eq!(
            answer.body,
            r#"{"code":12,"message":"Method Not Allowed","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"METHOD_UNKNOWN","domain":"shortleaf","metadata":{}}]}"#
        );
    }
}

#[tokio::test]
async fn a_panic_behind_the_door_is_500_and_the_next_request_is_answered() {
    let house = House::open().await;
    *house.script.panics.lock().unwrap() = true;
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!((answer.status, answer.reason().as_str()), (500, "INTERNAL"));
    assert_eq!(
        answer.message(),
        "Error marshaling code signing certificate"
    );
    *house.script.panics.lock().unwrap() = false;
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(answer.status, 200);
}
