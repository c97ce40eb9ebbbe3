//! Logs and issuers that are really not there, over real sockets; and no log at all.

use std::sync::Arc;

use serde_json::json;
use shortleaf::issuance::CtMode;
use shortleaf::token::IssuerUrl;
use shortleaf::token::discovery::{HttpKeys, IssuerKeysConfig};

use crate::ask::{Ask, Door, Proof};
use crate::house::House;
use crate::retries::{PATIENT, house_with_log};
use crate::world::issuer::{Identity, Issuer, Served};
use crate::world::parts::free_port;

#[tokio::test]
async fn a_log_that_is_down_holds_certificates_back_until_it_is_up() {
    let (house, log) = house_with_log(PATIENT).await;
    let ask = house.good();
    log.set_down(true);
    for door in Door::BOTH {
        let answer = house.ask(door, &ask).await;
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (503, "CT_LOG_UNAVAILABLE")
        );
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    let cause = house.told()[0]["cause"].clone();
    let cause = cause.as_str().unwrap();
    assert!(cause.contains("log answers with status 503"), "{cause}");

    log.set_down(false);
    assert_eq!(house.ask(Door::V2, &ask).await.status, 200);
    assert_eq!(log.inner().size(), 1);
    house.check().await;
}

#[tokio::test]
async fn an_issuer_that_is_down_stops_nobody_elses_tokens() {
    let up = Served::start(&["/email"]);
    let down = Issuer::new(&format!("http://127.0.0.1:{}/github", free_port()));
    let urls = [up.issuer(0), &down].map(|issuer| IssuerUrl::new(issuer.url()).unwrap());
    let keys = urls.clone().map(|url| IssuerKeysConfig {
        allow_insecure_http_loopback: true,
        ..IssuerKeysConfig::discovery(url)
    });
    let house = House::with(|parts| {
        for (trusted, url) in parts.terms.issuers.iter_mut().zip(urls) {
            trusted.policy.issuer = url.into();
        }
        parts.terms.keys = Arc::new(HttpKeys::new(keys.into()).unwrap());
    })
    .await;
    let now = house.world.now().seconds().0;
    let ask = |issuer: &Issuer, identity: Identity| {
        let token = issuer.token(identity.claims(), now);
        Ask::new(token, Proof::of(&house.subject, &identity.challenge()))
    };

    for door in Door::BOTH {
        let answer = house.ask(door, &ask(&down, Identity::Github)).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("5")); // when it is asked again
        let url = down.url();
        assert_eq!(
            answer.json(),
            json!({
                "code": 14,
                "message": format!("The identity provider is unavailable: could not fetch the signing keys of {url}"),
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "IDENTITY_PROVIDER_UNAVAILABLE",
                    "domain": "shortleaf",
                    "metadata": { "issuer": url },
                }],
            })
        );
        let answer = house.ask(door, &ask(up.issuer(0), Identity::Email)).await;
        assert_eq!(answer.status, door.good_status(), "{answer:?}");
    }
    let refused = house.told().remove(0);
    let cause = refused["cause"].as_str().unwrap();
    assert!(
        cause.matches(": ").count() >= 2,
        "a chain of causes: {cause}"
    );
    house.check().await;
}

#[tokio::test]
async fn with_logging_off_v2_answers_in_the_detached_form_and_v1_without_an_sct() {
    let house = House::with(|parts| parts.ct = CtMode::Off).await;
    let answer = house.ask(Door::V2, &house.good()).await;
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let certificate = body["signedCertificateDetachedSct"].as_object().unwrap();
    let mut names: Vec<&str> = certificate.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["chain", "signedCertificateTimestamp"]);
    assert_eq!(certificate["signedCertificateTimestamp"], "");

    let answer = house.ask(Door::V1, &house.good()).await;
    assert_eq!((answer.status, answer.header("sct")), (201, None));
    house.check().await;
}

#[tokio::test]
async fn with_logging_on_v2_answers_in_the_embedded_form_and_v1_without_an_sct() {
    let house = House::open().await;
    let body = house.ask(Door::V2, &house.good()).await.json();
    assert_eq!(body.as_object().unwrap().len(), 1);
    let certificate = body["signedCertificateEmbeddedSct"].as_object().unwrap();
    assert_eq!(certificate.keys().collect::<Vec<_>>(), ["chain"]);

    let answer = house.ask(Door::V1, &house.good()).await;
    assert_eq!((answer.status, answer.header("sct")), (201, None));
    house.check().await;
}
