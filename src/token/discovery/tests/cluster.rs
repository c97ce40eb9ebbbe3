//! The cluster that this program runs in: its issuer has one name for everybody, and another place
//! and a credential for pods.

use std::io::Write as _;

use serde_json::json;
use tempfile::NamedTempFile;
use url::Url;

use super::dns::Names;
use super::provider::{Provider, http, ok};
use super::{KEYS, METADATA, PACE, failure, jwk};
use crate::token::discovery::*;

const ISSUER: &str = "https://oidc.cluster.example/id/1";

fn issuer() -> IssuerUrl {
    IssuerUrl::new(ISSUER).unwrap()
}

/// An API server that vouches for the cluster's issuer.
async fn api_server() -> Provider {
    let server = Provider::start_tls("kubernetes.default.svc", json!([jwk("k1")])).await;
    server.answer_metadata("issuer", ISSUER);
    server
}

/// How a pod reaches it, with a file that has this token.
fn config(server: &Provider, token: &NamedTempFile) -> IssuerKeysConfig {
    IssuerKeysConfig {
        issuer: issuer().into(),
        discovery_url: Url::parse(&format!("{}{METADATA}", server.url)).ok(),
        bearer_token_file: Some(token.path().to_owned()),
        ..server.config()
    }
}

fn token(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn keys(config: IssuerKeysConfig) -> HttpKeys {
    let names = Arc::new(Names::new(&[&["127.0.0.1"]]));
    HttpKeys::with_pace(vec![config], names, PACE).unwrap()
}

async fn ask(keys: &HttpKeys, kid: &str) -> Result<Arc<VerificationKey>, KeyError> {
    keys.key(&issuer(), Some(kid), Algorithm::Es256).await
}

/// What the requests said of who sends them.
fn credentials(provider: &Provider) -> Vec<Option<String>> {
    let line = |request: &String| {
        let mut lines = request.lines();
        let line = lines.find_map(|line| line.strip_prefix("authorization: "));
        line.map(str::to_owned)
    };
    provider.headers().iter().map(line).collect()
}

#[tokio::test]
async fn metadata_is_read_where_the_operator_says_with_the_token_of_the_file() {
    let (server, token) = (api_server().await, token("first\n"));
    let keys = keys(config(&server, &token));
    assert!(ask(&keys, "k1").await.is_ok());
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    assert_eq!(credentials(&server), [bearer("first"), bearer("first")]);

    // The kubelet replaces it while we run.
    std::fs::write(token.path(), "second").unwrap();
    keys.reread();
    tokio::time::sleep(PACE.pause).await;
    assert!(ask(&keys, "k2").await.is_err());
    assert_eq!(
        credentials(&server)[2..],
        [bearer("second"), bearer("second")]
    );
}

#[tokio::test]
async fn the_document_speaks_for_the_issuer_wherever_it_was_read() {
    let (server, token) = (api_server().await, token("t"));
    server.answer_metadata("issuer", server.url.clone());
    let keys = keys(config(&server, &token));
    let expected = format!(
        "provider metadata is for issuer {:?}, expected {ISSUER}",
        server.url
    );
    assert_eq!(failure(ask(&keys, "k1").await), expected);
    server.answer_metadata("issuer", ISSUER);
    tokio::time::sleep(PACE.pause_without_keys).await;
    assert!(ask(&keys, "k1").await.is_ok());
}

/// Keys may be on another host; what is shown to the cluster is not shown there.
#[tokio::test]
async fn a_token_is_shown_to_no_other_host() {
    let (server, token) = (api_server().await, token("t"));
    let elsewhere = Provider::start(json!([])).await;
    let host = "127.0.0.1";
    let other = Provider::start_tls(host, json!([jwk("k1")])).await;
    let mut metadata = server.metadata();
    metadata["issuer"] = json!(ISSUER);
    metadata["jwks_uri"] = json!(format!("{}{KEYS}", other.url));
    server.answer(METADATA, ok(&metadata));
    // Both authorities, in one file.
    let authorities =
        [&server, &other].map(|p| std::fs::read(p.config().ca_file.unwrap()).unwrap());
    let both = NamedTempFile::new().unwrap();
    std::fs::write(both.path(), authorities.concat()).unwrap();
    let place = other.url.strip_prefix("https://").unwrap().to_owned();
    let config = IssuerKeysConfig {
        jwks_hosts: vec![place],
        ca_file: Some(both.path().to_owned()),
        ..config(&server, &token)
    };
    let keys = keys(config);
    let answer = ask(&keys, "k1").await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(credentials(&server), [Some("Bearer t".to_owned())]);
    assert_eq!(credentials(&other), [None]);

    // Nor is it carried along to where an answer points.
    let location = format!("Location: {}{METADATA}\r\n", elsewhere.url);
    server.answer(METADATA, http("307 Temporary Redirect", &location, ""));
    tokio::time::sleep(PACE.pause).await;
    assert!(failure(ask(&keys, "k2").await).contains("answered 307"));
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn one_issuers_token_is_not_its_neighbours() {
    let (server, token) = (api_server().await, token("t"));
    let neighbour = Provider::start_tls("kubernetes.default.svc", json!([jwk("k1")])).await;
    let names = Arc::new(Names::new(&[&["127.0.0.1"]]));
    let issuers = vec![config(&server, &token), neighbour.config()];
    let keys = HttpKeys::with_pace(issuers, names, PACE).unwrap();
    assert!(ask(&keys, "k1").await.is_ok());
    let answer = keys
        .key(&neighbour.issuer(), Some("k1"), Algorithm::Es256)
        .await;
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(credentials(&neighbour), [None, None]);
}

#[tokio::test]
async fn a_start_without_the_token_or_with_more_than_a_place_is_refused() {
    let (server, good) = (api_server().await, token("t"));
    let refused = |config| HttpKeys::new(vec![config]).err();
    let empty = token("");
    let error = refused(config(&server, &empty));
    assert!(matches!(error, Some(ConfigError::BearerToken { .. })));
    let absent = IssuerKeysConfig {
        bearer_token_file: Some("/nonexistent".into()),
        ..config(&server, &good)
    };
    let error = refused(absent);
    assert!(matches!(error, Some(ConfigError::Unreadable { .. })));
    let at = |url: &str| IssuerKeysConfig {
        discovery_url: Url::parse(url).ok(),
        ..config(&server, &good)
    };
    for url in [
        "https://u:pw@a.example/",
        "https://a.example/?q",
        "https://a.example/#f",
    ] {
        let error = refused(at(url)).unwrap();
        assert!(matches!(error, ConfigError::DiscoveryUrl { .. }), "{url}");
        assert!(!format!("{error} {error:?}").contains("pw"));
    }
    let error = refused(at("http://a.example/"));
    assert!(matches!(error, Some(ConfigError::NotHttps { .. })));
    assert!(refused(at("https://a.example/x")).is_none());
}
