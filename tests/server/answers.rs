//! Each door's answer, to the byte.

use crate::house::{Asked, House, NOW, certificate, json_pem, pem};
use shortleaf::issuance::Issued;

const BEARER: &str = "authorization: Bearer a.b.c\r\n";

#[tokio::test]
async fn v2_answers_200_with_leaf_issuer_and_root_under_one_key() {
    let house = House::open().await;
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let (leaf, ca, root) = (json_pem(1), json_pem(2), json_pem(3));
    assert_eq!(
        answer.body,
        format!(
            r#"{{"signedCertificateEmbeddedSct":{{"chain":{{"certificates":["{leaf}","{ca}","{root}"]}}}}}}"#
        )
    );
}

#[tokio::test]
async fn v2_with_logging_off_answers_in_the_detached_form_with_an_empty_timestamp() {
    let house = House::open().await;
    house.script.answer(Ok(Issued {
        sct_embedded: false,
        ..certificate()
    }));
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(answer.status, 200);
    let (leaf, ca, root) = (json_pem(1), json_pem(2), json_pem(3));
    assert_eq!(
        answer.body,
        format!(
            r#"{{"signedCertificateDetachedSct":{{"chain":{{"certificates":["{leaf}","{ca}","{root}"]}},"signedCertificateTimestamp":""}}}}"#
        )
    );
}

#[tokio::test]
async fn v1_answers_201_with_blank_lines_between_and_none_at_the_end() {
    let house = House::open().await;
    let answer = house.post("/api/v1/signingCert", BEARER, "{}").await;
    assert_eq!(answer.status, 201);
    assert_eq!(
        answer.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    let expected = format!("{}\n{}\n{}", pem(1), pem(2), pem(3));
    assert_eq!(answer.body, expected.trim_end());
    assert_eq!(answer.header("sct"), None);
}

#[tokio::test]
async fn v1_with_logging_off_has_no_sct_header_either() {
    let house = House::open().await;
    house.script.answer(Ok(Issued {
        sct_embedded: false,
        ..certificate()
    }));
    let answer = house.post("/api/v1/signingCert", BEARER, "{}").await;
    assert_eq!((answer.status, answer.header("sct")), (201, None));
}

#[tokio::test]
async fn the_trust_bundle_lists_every_chain_the_active_one_first() {
    let house = House::open().await;
    let answer = house.get("/api/v2/trustBundle").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let (ca, root, retired) = (json_pem(2), json_pem(3), json_pem(4));
    assert_eq!(
        answer.body,
        format!(
            r#"{{"chains":[{{"certificates":["{ca}","{root}"]}},{{"certificates":["{retired}"]}}]}}"#
        )
    );
}

#[tokio::test]
async fn the_root_cert_door_has_the_same_chains_one_after_another() {
    let house = House::open().await;
    let answer = house.get("/api/v1/rootCert").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    let expected = format!("{}\n{}\n{}", pem(2), pem(3), pem(4));
    assert_eq!(answer.body, expected.trim_end());
}

#[tokio::test]
async fn the_configuration_is_sorted_fixed_issuers_first_and_writes_empty_scalars() {
    let house = House::open().await;
    let answer = house.get("/api/v2/configuration").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let rest = |issuer_type: &str| {
        format!(
            r#""audience":"sigstore","challengeClaim":"sub","spiffeTrustDomain":"","issuerType":"{issuer_type}","subjectDomain":"","skipEmailVerification":false"#
        )
    };
    let (uri, ci) = (rest("uri"), rest("ci-provider"));
    assert_eq!(
        answer.body,
        format!(
            r#"{{"issuers":[{{"issuerUrl":"https://a.example",{uri}}},{{"issuerUrl":"https://b.example",{ci}}},{{"wildcardIssuerUrl":"https://*.example",{ci}}}]}}"#
        )
    );
}

#[tokio::test]
async fn the_trust_files_are_served_as_they_were_handed_in() {
    let house = House::open().await;
    for (path, body) in [
        ("/trust/trusted_root.json", r#"{"file":"trusted root"}"#),
        ("/trust/signing_config.json", r#"{"file":"signing config"}"#),
        (
            "/trust/client_trust_config.json",
            r#"{"file":"client trust config"}"#,
        ),
    ] {
        let answer = house.get(path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn healthz_says_what_fulcio_says() {
    let house = House::open().await;
    let answer = house.get("/healthz").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"status":"SERVING"}"#)
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn head_is_answered_where_get_is_without_a_body() {
    let house = House::open().await;
    let answer = house.ask("HEAD", "/api/v2/trustBundle", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn a_base_url_with_a_trailing_slash_reaches_every_door() {
    let house = House::open().await;
    for path in ["//api/v2/trustBundle", "//api/v1/rootCert?x=1", "//healthz"] {
        assert_eq!(house.get(path).await.status, 200, "{path}");
    }
    let answer = house.post("//api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn accept_and_content_type_are_never_negotiated() {
    let house = House::open().await;
    let odd = "accept: application/pem-certificate-chain\r\ncontent-type: text/plain\r\n";
    let headers = format!("{BEARER}{odd}");
    let answer = house.post("/api/v2/signingCert", &headers, "{}").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn http_2_without_tls_gets_the_same_answer() {
    let house = House::open().await;
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("http://{}//api/v2/signingCert", house.at);
    let answer = client.post(url).bearer_auth("a.b.c").send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.status(), 200);
    assert_eq!(
        house.asked(),
        [Asked::Key {
            token: "a.b.c".into(),
            public_key: vec![],
            signature: vec![]
        }]
    );
}

#[tokio::test]
async fn the_service_gets_the_one_clock_reading_of_the_door() {
    let house = House::open().await;
    house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(*house.script.times.lock().unwrap(), [NOW]);
}

#[tokio::test]
async fn a_fit_request_id_is_taken_over() {
    let house = House::open().await;
    let longest = "x".repeat(128);
    for id in ["job-17/step:3", &longest] {
        let headers = format!("{BEARER}x-request-id: {id}\r\n");
        let answer = house.post("/api/v2/signingCert", &headers, "{}").await;
        assert_eq!(answer.header("x-request-id"), Some(id));
        assert_eq!(house.script.request_ids.lock().unwrap().pop().unwrap(), id);
    }
}

#[tokio::test]
async fn any_other_request_id_is_replaced() {
    let house = House::open().await;
    let too_long = "x".repeat(129);
    let fresh = "ab".repeat(16);
    for id in ["", "two words", "caf\u{e9}", "tab\there", &too_long] {
        let headers = format!("{BEARER}x-request-id: {id}\r\n");
        let answer = house.post("/api/v2/signingCert", &headers, "{}").await;
        assert_eq!(answer.header("x-request-id"), Some(&*fresh), "{id:?}");
        let seen = house.script.request_ids.lock().unwrap().pop();
        assert_eq!(seen.as_deref(), Some(&*fresh), "{id:?}");
    }
}

#[tokio::test]
async fn an_answer_carries_these_headers_and_no_others() {
    let house = House::open().await;
    let answer = house.post("/api/v2/signingCert", BEARER, "{}").await;
    assert_eq!(
        answer.header_names(),
        [
            "access-control-allow-origin",
            "connection",
            "content-length",
            "content-type",
            "date",
            "x-request-id"
        ]
    );
}

#[tokio::test]
async fn a_preflight_is_204_and_names_methods_and_headers() {
    let house = House::open().await;
    let asks = "origin: https://page.example\r\naccess-control-request-method: POST\r\n\
                access-control-request-headers: content-type\r\n";
    for path in ["/api/v2/signingCert", "/api/v1/signingCert", "/healthz"] {
        let answer = house.ask("OPTIONS", path, asks).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(
            answer.header("access-control-allow-methods"),
            Some("GET, POST, HEAD")
        );
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some("accept, content-type, x-requested-with")
        );
    }
}

#[tokio::test]
async fn any_origin_may_read_answers_and_refusals() {
    let house = House::open().await;
    for path in ["/api/v2/trustBundle", "/no/such/path"] {
        let answer = house.get(path).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    }
}
