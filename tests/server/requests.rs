//! What clients send, in every spelling the contract tolerates, each beside a twin it does not.

use crate::house::{Asked, House};

const V2: &str = "/api/v2/signingCert";
const V1: &str = "/api/v1/signingCert";
const BEARER: &str = "authorization: Bearer header.to.ken\r\n";

fn key(token: &str, public_key: &[u8], signature: &[u8]) -> Asked {
    Asked::Key {
        token: token.into(),
        public_key: public_key.into(),
        signature: signature.into(),
    }
}

fn csr(token: &str, csr: &[u8]) -> Asked {
    Asked::Csr {
        token: token.into(),
        csr: csr.into(),
    }
}

/// Asks, and says what reached the service.
async fn taken(path: &str, headers: &str, body: &str) -> Asked {
    let house = House::open().await;
    let answer = house.post(path, headers, body).await;
    assert!([200, 201].contains(&answer.status), "{body}: {answer:?}");
    let mut asked = house.asked();
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

/// Asks, and says why nothing reached the service.
async fn refused(path: &str, headers: &str, body: &str) -> (u16, String, String) {
    let house = House::open().await;
    let answer = house.post(path, headers, body).await;
    assert_eq!(house.asked(), [], "{body}");
    (answer.status, answer.reason(), answer.message())
}

async fn malformed(path: &str, body: &str) -> String {
    let (status, reason, message) = refused(path, BEARER, body).await;
    assert_eq!(
        (status, reason.as_str()),
        (400, "REQUEST_MALFORMED"),
        "{body}"
    );
    let prefix = "The request could not be parsed: ";
    message
        .strip_prefix(prefix)
        .expect("Fulcio-like prefix")
        .to_owned()
}

#[tokio::test]
async fn v2_takes_key_and_proof() {
    let body = r#"{"credentials":{"oidcIdentityToken":"body.to.ken"},"publicKeyRequest":{"publicKey":{"algorithm":"ECDSA","content":"PEM\n"},"proofOfPossession":"AQID"}}"#;
    assert_eq!(
        taken(V2, "", body).await,
        key("body.to.ken", b"PEM\n", &[1, 2, 3])
    );
}

#[tokio::test]
async fn v2_takes_snake_case() {
    let body = r#"{"credentials":{"oidc_identity_token":"body.to.ken"},"public_key_request":{"public_key":{"content":"PEM"},"proof_of_possession":"AQID"}}"#;
    assert_eq!(
        taken(V2, "", body).await,
        key("body.to.ken", b"PEM", &[1, 2, 3])
    );
    let body = r#"{"certificate_signing_request":"AQID"}"#;
    assert_eq!(
        taken(V2, BEARER, body).await,
        csr("header.to.ken", &[1, 2, 3])
    );
}

#[tokio::test]
async fn v2_takes_a_csr() {
    let body = r#"{"certificateSigningRequest":"AQID"}"#;
    assert_eq!(
        taken(V2, BEARER, body).await,
        csr("header.to.ken", &[1, 2, 3])
    );
}

#[tokio::test]
async fn v2_prefers_the_token_in_the_body() {
    let body = r#"{"credentials":{"oidcIdentityToken":"body.to.ken"}}"#;
    assert_eq!(taken(V2, BEARER, body).await, key("body.to.ken", b"", b""));
}

#[tokio::test]
async fn v2_takes_the_header_when_the_body_has_no_token() {
    for body in [
        "",
        "{}",
        r#"{"credentials":null}"#,
        r#"{"credentials":{}}"#,
        r#"{"credentials":{"oidcIdentityToken":null}}"#,
        r#"{"credentials":{"oidcIdentityToken":""}}"#,
    ] {
        assert_eq!(
            taken(V2, BEARER, body).await,
            key("header.to.ken", b"", b""),
            "{body}"
        );
    }
}

#[tokio::test]
async fn the_header_may_carry_the_token_bare_or_under_a_scheme_in_any_case() {
    for value in [
        "header.to.ken",
        "Bearer header.to.ken",
        "bearer header.to.ken",
    ] {
        for path in [V2, V1] {
            let headers = format!("authorization: {value}\r\n");
            assert_eq!(
                taken(path, &headers, "{}").await,
                key("header.to.ken", b"", b"")
            );
        }
    }
}

#[tokio::test]
async fn without_a_token_the_service_is_not_asked() {
    let cases = [
        (V2, "", "{}"),
        (V2, "", ""),
        (V2, "authorization: Bearer \r\n", "{}"),
        (V2, "authorization: \r\n", "{}"),
        (V1, "", "{}"),
        // v1 has no token in its body.
        (
            V1,
            "",
            r#"{"credentials":{"oidcIdentityToken":"body.to.ken"}}"#,
        ),
    ];
    for (path, headers, body) in cases {
        let (status, reason, message) = refused(path, headers, body).await;
        assert_eq!(
            (status, reason.as_str()),
            (400, "TOKEN_MISSING"),
            "{headers}{body}"
        );
        assert_eq!(
            message,
            "There was an error processing the identity token: the request carries no token"
        );
    }
}

#[tokio::test]
async fn two_authorization_headers_are_one_too_many() {
    let headers = "authorization: Bearer a.b.c\r\nauthorization: Bearer d.e.f\r\n";
    let (status, reason, _) = refused(V2, headers, "{}").await;
    assert_eq!((status, reason.as_str()), (400, "TOKEN_MALFORMED"));
}

#[tokio::test]
async fn an_authorization_header_beyond_ascii_is_no_token() {
    let (status, reason, _) = refused(V1, "authorization: Bearer caf\u{e9}\r\n", "{}").await;
    assert_eq!((status, reason.as_str()), (400, "TOKEN_MALFORMED"));
}

#[tokio::test]
async fn an_algorithm_of_any_spelling_is_ignored() {
    for hint in [
        r#""ECDSA""#,
        r#""ecdsa""#,
        r#""""#,
        r#""RSA""#,
        r#""ED25519""#,
        r#""no such thing""#,
        "2",
        "null",
    ] {
        let body = format!(
            r#"{{"publicKeyRequest":{{"publicKey":{{"algorithm":{hint},"content":"PEM"}}}}}}"#
        );
        assert_eq!(
            taken(V2, BEARER, &body).await,
            key("header.to.ken", b"PEM", b"")
        );
        let body = format!(r#"{{"publicKey":{{"algorithm":{hint},"content":"UEVN"}}}}"#);
        assert_eq!(
            taken(V1, BEARER, &body).await,
            key("header.to.ken", b"PEM", b"")
        );
    }
}

#[tokio::test]
async fn unknown_fields_are_ignored_wherever_they_stand() {
    let body = r#"{"new":[1],"publicKeyRequest":{"new":{"a":null},"publicKey":{"new":1e9,"content":"PEM"}},"credentials":{"new":true}}"#;
    assert_eq!(
        taken(V2, BEARER, body).await,
        key("header.to.ken", b"PEM", b"")
    );
}

#[tokio::test]
async fn null_is_absent_also_in_a_oneof() {
    let body = r#"{"publicKeyRequest":null,"certificateSigningRequest":"AQID"}"#;
    assert_eq!(
        taken(V2, BEARER, body).await,
        csr("header.to.ken", &[1, 2, 3])
    );
    let body = r#"{"publicKeyRequest":{"publicKey":null,"proofOfPossession":null},"certificateSigningRequest":null}"#;
    assert_eq!(
        taken(V2, BEARER, body).await,
        key("header.to.ken", b"", b"")
    );
}

#[tokio::test]
async fn both_members_of_the_oneof_are_refused() {
    let body = r#"{"publicKeyRequest":{},"certificateSigningRequest":"AQID"}"#;
    assert_eq!(
        malformed(V2, body).await,
        "only one of publicKeyRequest and certificateSigningRequest may be given"
    );
}

#[tokio::test]
async fn bytes_come_in_either_alphabet_padded_or_not() {
    // fb ff fe ff uses both characters in which the alphabets differ.
    for text in ["+//+/w==", "+//+/w", "-__-_w==", "-__-_w"] {
        let body = format!(r#"{{"publicKeyRequest":{{"proofOfPossession":"{text}"}}}}"#);
        let proof = [0xfb, 0xff, 0xfe, 0xff];
        assert_eq!(
            taken(V2, BEARER, &body).await,
            key("header.to.ken", b"", &proof),
            "{text}"
        );
        let body = format!(r#"{{"signedEmailAddress":"{text}"}}"#);
        assert_eq!(
            taken(V1, BEARER, &body).await,
            key("header.to.ken", b"", &proof),
            "{text}"
        );
    }
}

#[tokio::test]
async fn other_base64_is_refused() {
    // A mixture, a stray character, a length no octets have, a space.
    for text in ["+__+/w==", "AQI!", "AQIDB", "AQ ID"] {
        let body = format!(r#"{{"publicKeyRequest":{{"proofOfPossession":"{text}"}}}}"#);
        assert_eq!(
            malformed(V2, &body).await,
            "proofOfPossession is not base64",
            "{text}"
        );
        let body = format!(r#"{{"publicKey":{{"content":"{text}"}}}}"#);
        assert_eq!(
            malformed(V1, &body).await,
            "content is not base64",
            "{text}"
        );
    }
}

#[tokio::test]
async fn v1_takes_key_and_proof() {
    let body =
        r#"{"publicKey":{"content":"UEVN","algorithm":"ecdsa"},"signedEmailAddress":"AQID"}"#;
    assert_eq!(
        taken(V1, BEARER, body).await,
        key("header.to.ken", b"PEM", &[1, 2, 3])
    );
    let body = r#"{"public_key":{"content":"UEVN"},"signed_email_address":"AQID"}"#;
    assert_eq!(
        taken(V1, BEARER, body).await,
        key("header.to.ken", b"PEM", &[1, 2, 3])
    );
}

#[tokio::test]
async fn in_v1_a_csr_wins_over_a_key() {
    let body = r#"{"publicKey":{"content":"UEVN"},"signedEmailAddress":"AQID","certificateSigningRequest":"BAUG"}"#;
    assert_eq!(
        taken(V1, BEARER, body).await,
        csr("header.to.ken", &[4, 5, 6])
    );
}

#[tokio::test]
async fn in_v1_an_empty_csr_is_none() {
    let body = r#"{"publicKey":{"content":"UEVN"},"certificateSigningRequest":""}"#;
    assert_eq!(
        taken(V1, BEARER, body).await,
        key("header.to.ken", b"PEM", b"")
    );
}

#[tokio::test]
async fn a_field_given_twice_is_refused() {
    let twice = r#"{"credentials":{"oidcIdentityToken":"a.b.c","oidcIdentityToken":"d.e.f"}}"#;
    assert!(
        malformed(V2, twice)
            .await
            .contains(r#""oidcIdentityToken" appears twice"#)
    );
    let two_names = r#"{"publicKeyRequest":{},"public_key_request":{}}"#;
    assert_eq!(
        malformed(V2, two_names).await,
        "publicKeyRequest and public_key_request are the same field"
    );
    let unknown = r#"{"new":1,"new":2}"#;
    assert!(
        malformed(V1, unknown)
            .await
            .contains(r#""new" appears twice"#)
    );
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_refused() {
    for (body, detail) in [
        (r#"{"credentials":"a.b.c"}"#, "credentials is not an object"),
        (
            r#"{"credentials":{"oidcIdentityToken":1}}"#,
            "oidcIdentityToken is not a string",
        ),
        (
            r#"{"publicKeyRequest":[]}"#,
            "publicKeyRequest is not an object",
        ),
        (
            r#"{"publicKeyRequest":{"publicKey":{"content":["PEM"]}}}"#,
            "content is not a string",
        ),
        (
            r#"{"certificateSigningRequest":{}}"#,
            "certificateSigningRequest is not a string",
        ),
    ] {
        assert_eq!(malformed(V2, body).await, detail);
    }
}

#[tokio::test]
async fn a_body_that_is_not_one_json_object_is_refused() {
    for body in ["[]", r#""a.b.c""#, "null", "1"] {
        assert_eq!(
            malformed(V2, body).await,
            "the body is not a JSON object",
            "{body}"
        );
    }
    for body in [" ", "{", "{}{}", "{'a':1}", "{\"a\":1,}", "token=a.b.c"] {
        malformed(V1, body).await;
    }
}
