//! What an issuer publishes: key sets, and the document that names them.

use serde_json::Value as Theirs;
use shortleaf::json;
use shortleaf::token::jwks::{KeySet, MAX_KEYS};
use shortleaf::token::metadata::ProviderMetadata;
use shortleaf::token::{Algorithm, IssuerUrl};

use super::json::second_opinion;

const ISSUER: &str = "https://issuer.example";

pub(crate) fn run(input: &[u8]) {
    key_set(input);
    let issuer = IssuerUrl::new(ISSUER).expect("an issuer");
    if let Ok(metadata) = ProviderMetadata::parse(input, &issuer) {
        second_opinion(input, &json::parse(input).expect("strict JSON"));
        assert!(!metadata.algorithms.is_empty());
        if let Ok(theirs) = serde_json::from_slice::<Theirs>(input) {
            assert_eq!(theirs["issuer"], ISSUER);
            assert_eq!(theirs["jwks_uri"], *metadata.jwks_uri);
        }
    }
}

fn key_set(input: &[u8]) {
    let ours = KeySet::parse(input);
    let alone = KeySet::parse_standalone(input);
    assert_eq!(ours.is_ok(), alone.is_ok());
    let (Ok(ours), Ok(alone)) = (ours, alone) else {
        return;
    };
    assert!(ours.len() <= MAX_KEYS && ours.len() == alone.len());
    second_opinion(input, &json::parse(input).expect("strict JSON"));
    let Ok(theirs) = serde_json::from_slice::<Theirs>(input) else {
        return;
    };
    let keys = theirs["keys"].as_array().expect("an array of keys");
    assert!(keys.len() >= ours.len());
    for key in keys {
        let Some(kid) = key["kid"].as_str() else {
            continue;
        };
        let usable = |algorithm| ours.find(Some(kid), algorithm).is_ok();
        let usable: Vec<_> = Algorithm::ALL.iter().filter(|a| usable(**a)).collect();
        if usable.is_empty() {
            continue;
        }
        // Whatever is found by this name is the public half of a key of the set, of that type.
        let named = keys.iter().filter(|other| other["kid"] == kid);
        let public = named.filter(|key| key.get("d").is_none() && key.get("k").is_none());
        let public: Vec<_> = public.collect();
        for algorithm in usable {
            let kind = match &algorithm.as_str()[..2] {
                "RS" | "PS" => "RSA",
                "ES" => "EC",
                _ => "OKP",
            };
            let is_there = public.iter().any(|key| key["kty"] == kind);
            assert!(is_there, "{kid} verifies {algorithm}");
        }
    }
}
