//! Where an issuer is: spelt otherwise, or at an address it may not have.

use serde_json::json;
use shortleaf::fault::Reason;

use super::provider::{Witness, settings as entry};
use super::{Kit, minted};
use crate::issuer::Issuer;
use crate::report::{Case, Report};

/// J10.
pub(super) fn issuers(kit: &Kit) -> Vec<Case> {
    let good = kit.site.issuer().url();
    let (_, rest) = good.split_once("://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap();
    let (_, port) = authority.split_once(':').unwrap();
    [
        format!("{good}/"),
        format!("{good}//"),
        good[..good.len() - 1].to_owned(),
        format!("{good}x"),
        format!("{good}/.well-known/openid-configuration"),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{good}?"),
        format!("{good}#"),
        format!("{good}?x=1"),
        format!("{good}#x"),
        format!("{good};x"),
        format!("HTTP://{rest}"),
        format!("https://{rest}"),
        format!("//{rest}"),
        rest.to_owned(),
        format!("http://{authority}/{}", path.to_uppercase()),
        format!("http://{authority}//{path}"),
        format!("http://{authority}/./{path}"),
        format!("http://{authority}/x/../{path}"),
        format!("http://{authority}/%65mail"),
        format!("http://{authority}\\{path}"),
        format!("http://localhost:{port}/{path}"),
        format!("http://2130706433:{port}/{path}"),
        format!("http://127.1:{port}/{path}"),
        format!("http://[::ffff:127.0.0.1]:{port}/{path}"),
        format!("http://127.0.0.1:0{port}/{path}"),
        format!("http://127.0.0.1./{path}"),
        format!("http://user@{rest}"),
        format!("http://{authority}@evil.example/{path}"),
        format!("http://evil.example/?{good}"),
        format!("http://evil.example/#{good}"),
        format!("http://{}/{path}", authority.replace("127", "\u{ff11}27")),
        format!("http://xn--{authority}/{path}"),
        format!("http://{authority}.evil.example/{path}"),
        "https://issuer.example".to_owned(),
        "*".to_owned(),
        "null".to_owned(),
        "x".repeat(5_000),
    ]
    .into_iter()
    .map(|iss| kit.claim("iss", json!(iss), Reason::TokenIssuerUnknown))
    .collect()
}

/// The issuers of J17, none of which says `allow_private_network`. The first four lead to the witness.
pub(super) fn out_of_reach(witness: &Witness) -> Vec<String> {
    let port = witness.port;
    vec![
        format!("https://127.0.0.1:{port}"),
        format!("https://localhost:{port}"),
        format!("https://[::1]:{port}"),
        format!("https://[::ffff:127.0.0.1]:{port}"),
        format!("https://2130706433:{port}"),
        format!("https://0x7f.1:{port}"),
        format!("https://0177.0.0.1:{port}"),
        format!("https://0.0.0.0:{port}"),
        format!("https://[::]:{port}"),
        format!("https://127.255.255.254:{port}"),
        "https://169.254.169.254".to_owned(),
        "https://10.0.0.1".to_owned(),
        "https://172.16.0.1".to_owned(),
        "https://192.168.0.1".to_owned(),
        "https://100.64.0.1".to_owned(),
        "https://198.18.0.1".to_owned(),
        "https://224.0.0.1".to_owned(),
        "https://255.255.255.255".to_owned(),
        format!("https://[64:ff9b::7f00:1]:{port}"),
        format!("https://[2002:7f00:1::]:{port}"),
        "https://[fd00::1]".to_owned(),
        "https://[fe80::1]".to_owned(),
        "https://[ff02::1]".to_owned(),
        "https://[2001:db8::1]".to_owned(),
    ]
}

/// Their entries of the configuration.
pub(super) fn settings(witness: &Witness) -> String {
    let entries = out_of_reach(witness).into_iter();
    entries.map(|url| entry(&url, "email", "")).collect()
}

/// J17. The twin is at home at `https://localhost`, and may be.
pub(super) fn addresses(kit: &Kit) -> Vec<Case> {
    let case = |url: String| {
        kit.refused(
            url.clone(),
            minted(&Issuer::new(&url), json!({})),
            Reason::IdentityProviderUnavailable,
            minted(&kit.neighbour.issuer, json!({})),
        )
    };
    out_of_reach(&kit.forbidden).into_iter().map(case).collect()
}

pub(super) fn nobody_was_reached(kit: &Kit, report: &mut Report) {
    let came = kit.forbidden.came();
    report.check(
        "a private address",
        came == 0,
        format!("{came} connections"),
    );
}
