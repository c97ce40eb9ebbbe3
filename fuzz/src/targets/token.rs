//! Tokens: as they come, and made of a header and claims, so that what is inside is reached too.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Theirs;
use shortleaf::json;
use shortleaf::token::{MAX_TOKEN_BYTES, RawToken};

use super::json::second_opinion;

pub(crate) fn run(input: &[u8]) {
    if let Ok(text) = str::from_utf8(input) {
        read(text);
    }
    // Header, line feed, claims.
    if let Some(at) = input.iter().position(|octet| *octet == b'\n') {
        let part = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let (header, claims) = (part(&input[..at]), part(&input[at + 1..]));
        read(&format!("{header}.{claims}.AAAA"));
    }
}

fn read(text: &str) {
    let Ok(token) = RawToken::parse(text) else {
        return;
    };
    assert!(text.len() <= MAX_TOKEN_BYTES);
    let parts: Vec<Vec<u8>> = text
        .split('.')
        .map(|part| {
            URL_SAFE_NO_PAD
                .decode(part)
                .expect("three parts in base64url")
        })
        .collect();
    let [header, claims, signature] = &parts[..] else {
        panic!("{} parts", parts.len());
    };
    assert!(!signature.is_empty(), "unsigned");
    for part in [header, claims] {
        second_opinion(part, &json::parse(part).expect("strict JSON"));
    }

    // A number that serde_json has no room for ends its reading, not ours.
    let (Ok(header), Ok(claims)) = (
        serde_json::from_slice::<Theirs>(header),
        serde_json::from_slice::<Theirs>(claims),
    ) else {
        return;
    };
    assert_eq!(claims["iss"], token.claimed_issuer());
    assert!(claims["exp"].is_i64() && claims["iat"].is_i64());
    assert!(claims["sub"].as_str().is_some_and(|sub| !sub.is_empty()));
    let one_of = claims["aud"].as_array().map(Vec::len);
    assert!(claims["aud"].is_string() || one_of == Some(1));
    let algorithm = header["alg"].as_str().expect("an algorithm");
    assert!(!algorithm.starts_with("HS") && !algorithm.eq_ignore_ascii_case("none"));
    for brought in ["jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc"] {
        assert!(header.get(brought).is_none(), "{brought}");
    }
}
