//! The identity configuration that Fulcio ships, unmodified.

use std::collections::BTreeMap;
use std::fs;

use shortleaf::identity::Mapping;
use shortleaf::identity::fulcio::FulcioConfig;
use shortleaf::token::IssuerName;

use crate::parts;

#[test]
fn the_file_that_fulcio_ships_loads_unmodified() {
    let Some(path) = parts::require_or_skip("share/fulcio-identity.yaml") else {
        return;
    };
    let text = fs::read_to_string(path).unwrap();
    let config = FulcioConfig::parse(&text).unwrap();
    let families = |issuer: &&_| matches!(issuer, IssuerName::Family(_));
    let names: Vec<_> = config.issuers.iter().map(|i| &i.name).collect();
    let families = names.iter().filter(|name| families(*name)).count();
    assert_eq!((names.len() - families, families), (16, 9));
    let mut kinds = BTreeMap::new();
    for issuer in &config.issuers {
        assert_eq!(issuer.audience, "sigstore");
        *kinds.entry(issuer.kind.as_str()).or_insert(0) += 1;
    }
    let expected = [
        ("chainguard-identity", 2),
        ("ci-provider", 10),
        ("email", 6),
        ("kubernetes", 7),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    let dex = config
        .issuers
        .iter()
        .find(|i| i.name.as_str() == "https://oauth2.sigstore.dev/auth");
    let Some(Mapping::Email {
        issuer: Some(path), ..
    }) = dex.map(|dex| &dex.mapping)
    else {
        panic!("an email issuer that signs for others")
    };
    assert_eq!(path.as_str(), "$.federated_claims.connector_id");
}
