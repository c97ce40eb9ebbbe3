//! Each refusal beside a token that differs in one thing and parses.

use serde_json::json;

use super::super::testing::{ISSUER, b64, claims};
use super::*;
use crate::fault::Reason;

const HEADER: &str = r#"{"typ":"JWT","alg":"RS256","kid":"k1","x5t":"aGludA"}"#;

fn token(header: &str, claims: &str) -> String {
    format!("{}.{}.c2ln", b64(header), b64(claims))
}

fn refused(text: &str) -> (Reason, String) {
    let error = RawToken::parse(text).unwrap_err();
    (error.reason(), error.to_string())
}

fn malformed(text: &str, message: &str) {
    assert_eq!(refused(text), (Reason::TokenMalformed, message.to_owned()));
}

fn with(claim: &str, value: serde_json::Value) -> String {
    let mut claims = claims();
    claims[claim] = value;
    token(HEADER, &claims.to_string())
}

fn without(claim: &str) -> String {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(claim);
    token(HEADER, &claims.to_string())
}

#[test]
fn a_plain_token_parses_and_says_only_what_it_claims() {
    let raw = RawToken::parse(&token(HEADER, &claims().to_string())).unwrap();
    assert_eq!(raw.claimed_issuer(), ISSUER);
    assert_eq!(raw.algorithm, Algorithm::Rs256);
    assert_eq!(raw.kid.as_deref(), Some("k1"));
    assert_eq!(format!("{raw:?}"), "RawToken { .. }");
}

#[test]
fn a_token_is_measured_before_it_is_split() {
    let padding = |n: usize| json!("x".repeat(n));
    let largest = (0..).map(|n| with("pad", padding(n)));
    let fits = largest
        .take_while(|t| t.len() <= MAX_TOKEN_BYTES)
        .last()
        .unwrap();
    assert!(RawToken::parse(&fits).is_ok());
    for text in [format!("{fits}AA"), ".".repeat(8 << 20)] {
        let message = format!("token of {} bytes is longer than 16384", text.len());
        malformed(&text, &message);
    }
}

#[test]
fn a_token_has_three_parts() {
    let good = token(HEADER, &claims().to_string());
    for (text, dots) in [
        (String::new(), 0),
        ("a.b".into(), 1),
        (format!("{good}.x"), 3),
        (format!("{good}.x.y"), 4),
        (format!(".{good}"), 3),
    ] {
        malformed(&text, &format!("token has {dots} dots instead of 2"));
    }
}

#[test]
fn only_base64url_without_padding_is_read() {
    let good = token(HEADER, &claims().to_string());
    let [header, claims, _] = three_parts(&good).unwrap();
    for (part, text) in [
        ("header", format!("{header}=.{claims}.c2ln")),
        ("header", format!(" {header}.{claims}.c2ln")),
        ("header", format!("\u{feff}{header}.{claims}.c2ln")),
        ("claims", format!("{header}.{claims}+/.c2ln")),
        ("claims", format!("{header}.{claims}\n.c2ln")),
        ("signature", format!("{good}==")),
        ("signature", format!("{good}\n")),
        ("signature", format!("{header}.{claims}.AB")), // bits past the last byte
    ] {
        malformed(
            &text,
            &format!("token {part} is not base64url without padding"),
        );
    }
    assert!(RawToken::parse(&format!("{header}.{claims}.AA")).is_ok());
}

#[test]
fn a_member_named_twice_is_refused_wherever_it_is() {
    let claims = claims().to_string();
    let twice_header = r#"{"alg":"RS256","kid":"a","kid":"b"}"#;
    malformed(
        &token(twice_header, &claims),
        "token header is not strict JSON: member \"kid\" appears twice at byte 25",
    );
    let open = claims.trim_end_matches('}');
    for extra in [
        r#""sub":"other""#,
        r#""x":{"y":[{"z":1,"z":2}]}"#,
        r#""\u0073ub":"other""#,
    ] {
        let (reason, message) = refused(&token(HEADER, &format!("{open},{extra}}}")));
        assert_eq!(reason, Reason::TokenMalformed);
        assert!(message.contains("appears twice"), "{message}");
    }
    let case_variant = format!("{open},\"SUB\":\"other\"}}");
    assert!(RawToken::parse(&token(HEADER, &case_variant)).is_ok());
}

#[test]
fn both_parts_are_objects_of_strict_json() {
    let claims = claims().to_string();
    malformed(&token("[]", &claims), "token header is not a JSON object");
    malformed(&token(HEADER, "\"x\""), "token claims is not a JSON object");
    malformed(
        &token(HEADER, &format!("{claims} x")),
        &format!(
            "token claims is not strict JSON: bytes after the JSON value at byte {}",
            claims.len() + 1
        ),
    );
    malformed(
        &token(HEADER, &format!("\u{feff}{claims}")),
        "token claims is not strict JSON: not valid JSON at byte 0",
    );
    let invalid_utf8 = format!("{}.{}.c2ln", b64(HEADER), b64(b"{\"a\":\"\xff\"}"));
    malformed(
        &invalid_utf8,
        "token claims is not strict JSON: not valid UTF-8 at byte 6",
    );
    let deep = with("deep", json!([[[[[[[[]]]]]]]]));
    malformed(
        &deep,
        "token claims is not strict JSON: nested deeper than 8 levels at byte 32",
    );
}

#[test]
fn an_unsigned_or_shared_key_algorithm_is_refused() {
    let claims = claims().to_string();
    for name in [
        "none", "None", "nOnE", "", "HS256", "HS384", "HS512", "rs256", " RS256", "ES256K",
    ] {
        let header = json!({ "alg": name, "typ": "JWT", "kid": "k1" }).to_string();
        let message = format!("token algorithm {name:?} is not accepted");
        let expected = (Reason::TokenAlgorithmRefused, message);
        assert_eq!(refused(&token(&header, &claims)), expected);
        let unsigned = format!("{}.{}.", b64(&header), b64(&claims));
        assert_eq!(refused(&unsigned), expected);
    }
    let unsigned = format!("{}.{}.", b64(HEADER), b64(&claims));
    let expected = (
        Reason::TokenAlgorithmRefused,
        "token is not signed".to_owned(),
    );
    assert_eq!(refused(&unsigned), expected);
    for header in [
        r#"{"kid":"k"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"Alg":"RS256"}"#,
    ] {
        malformed(
            &token(header, &claims),
            "token header parameter \"alg\" is not the name of an algorithm",
        );
    }
}

#[test]
fn a_header_that_brings_more_than_a_key_id_is_refused() {
    let claims = claims().to_string();
    for parameter in REFUSED_PARAMETERS {
        for value in [
            json!("x"),
            json!(null),
            json!({}),
            json!(["exp"]),
            json!(false),
        ] {
            let header = json!({ "alg": "RS256", "kid": "k1", *parameter: value });
            malformed(
                &token(&header.to_string(), &claims),
                &format!("token header carries {parameter:?}, which is never accepted"),
            );
        }
    }
    let harmless = r#"{"alg":"RS256","kid":"k1","x5t":1,"x5t#S256":"y","nonce":"z"}"#;
    assert!(RawToken::parse(&token(harmless, &claims)).is_ok());
}

#[test]
fn a_type_is_absent_or_jwt() {
    let claims = claims().to_string();
    for value in [
        json!("at+jwt"),
        json!("jwt"),
        json!("application/jwt"),
        json!(""),
        json!(null),
        json!(1),
    ] {
        let header = json!({ "alg": "RS256", "typ": value }).to_string();
        malformed(
            &token(&header, &claims),
            "token header parameter \"typ\" is not \"JWT\"",
        );
    }
    for header in [r#"{"alg":"RS256"}"#, r#"{"alg":"RS256","typ":"JWT"}"#] {
        assert!(RawToken::parse(&token(header, &claims)).is_ok());
    }
}

#[test]
fn a_key_id_is_a_string_of_1_to_256_bytes() {
    let claims = claims().to_string();
    let header = |kid: serde_json::Value| json!({ "alg": "RS256", "kid": kid }).to_string();
    for kid in [
        json!(""),
        json!("k".repeat(257)),
        json!(["k1"]),
        json!(1),
        json!(null),
        json!({}),
    ] {
        malformed(
            &token(&header(kid), &claims),
            "token header parameter \"kid\" is not a string of 1 to 256 bytes",
        );
    }
    for kid in [
        "k".repeat(256),
        "../../dev/null\u{0}".into(),
        "' OR 1=1 --".into(),
    ] {
        let raw = RawToken::parse(&token(&header(json!(kid)), &claims)).unwrap();
        assert_eq!(raw.kid, Some(kid));
    }
}

#[test]
fn issuer_and_subject_are_strings_with_something_in_them() {
    for claim in ["iss", "sub"] {
        malformed(
            &without(claim),
            &format!("token claim {claim:?} is not present"),
        );
        for value in [json!(""), json!(null), json!([ISSUER]), json!({}), json!(7)] {
            malformed(
                &with(claim, value),
                &format!("token claim {claim:?} is not a string that is not empty"),
            );
        }
    }
}

#[test]
fn a_subject_shows_every_character_it_has() {
    for character in [
        '\0', '\n', '\u{7f}', '\u{85}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{feff}',
    ] {
        let text = with("sub", json!(format!("a{character}b")));
        let message = format!("token claim \"sub\" contains the character {character:?}");
        assert_eq!(refused(&text), (Reason::ClaimInvalid, message));
    }
    for subject in ["repo:o/größe", "日本", "a b"] {
        assert!(RawToken::parse(&with("sub", json!(subject))).is_ok());
    }
}

#[test]
fn a_token_has_exactly_one_audience() {
    assert!(RawToken::parse(&with("aud", json!(["sigstore"]))).is_ok());
    for (value, count) in [
        (json!([]), 0),
        (json!(["sigstore", "sigstore"]), 2),
        (json!(vec!["x"; 1000]), 1000),
    ] {
        let message = format!("token audience names {count} parties instead of 1");
        let expected = (Reason::TokenAudienceMismatch, message);
        assert_eq!(refused(&with("aud", value)), expected);
    }
    let message = "token claim \"aud\" is not a string or an array of one string";
    malformed(&without("aud"), message);
    for value in [
        json!(null),
        json!(1),
        json!({ "sigstore": 1 }),
        json!([1]),
        json!([["sigstore"]]),
    ] {
        malformed(&with("aud", value), message);
    }
}

#[test]
fn times_are_integers() {
    for claim in ["exp", "iat"] {
        let message = format!("token claim {claim:?} is not an integer number of seconds");
        malformed(&without(claim), &message);
    }
    for claim in ["exp", "iat", "nbf"] {
        let message = format!("token claim {claim:?} is not an integer number of seconds");
        let values = [
            json!("1795262400"),
            json!(1.5),
            json!(1e308),
            json!(null),
            json!([1]),
            json!(u64::MAX),
        ];
        for value in values {
            malformed(&with(claim, value), &message);
        }
        assert!(RawToken::parse(&with(claim, json!(-1))).is_ok());
    }
    assert!(RawToken::parse(&without("nbf")).is_ok());
}

#[test]
fn a_token_id_is_text_if_it_is_there() {
    for value in [json!(""), json!(1), json!(null)] {
        malformed(
            &with("jti", value),
            "token claim \"jti\" is not a string that is not empty",
        );
    }
    assert!(RawToken::parse(&without("jti")).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,64}|[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,20}") {
        let _ = RawToken::parse(&text);
    }
}
