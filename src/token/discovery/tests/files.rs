//! Key sets and certificate authorities from files, and files that change.

use std::fs;

use serde_json::{Value as Json, json};
use tempfile::NamedTempFile;

use super::provider::Provider;
use super::{PACE, failure, is_unknown, jwk, with_pace};
use crate::token::discovery::*;

fn issuer() -> IssuerUrl {
    IssuerUrl::new("https://issuer.example").unwrap()
}

fn file(keys: &Json) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({ "keys": keys }).to_string()).unwrap();
    file
}

fn config(file: &NamedTempFile) -> IssuerKeysConfig {
    IssuerKeysConfig {
        source: KeysFrom::JwksFile(file.path().to_owned()),
        ..IssuerKeysConfig::discovery(issuer())
    }
}

async fn ask(keys: &HttpKeys, kid: &str) -> Result<Arc<VerificationKey>, KeyError> {
    keys.key(&issuer(), Some(kid), Algorithm::Es256).await
}

#[tokio::test]
async fn a_static_key_set_needs_no_network() {
    let good = file(&json!([jwk("k1")]));
    let keys = HttpKeys::new(vec![config(&good)]).unwrap();
    assert!(ask(&keys, "k1").await.is_ok());
    assert!(is_unknown(&ask(&keys, "k2").await));
    assert_eq!(keys.ages(), [(issuer().to_string(), Some(Duration::ZERO))]);

    let error = HttpKeys::new(vec![config(&file(&json!([])))]).err();
    assert!(matches!(error, Some(ConfigError::StaticJwksEmpty { .. })));
    let error = HttpKeys::new(vec![config(&file(&json!({})))]).err();
    assert!(matches!(
        error,
        Some(ConfigError::StaticJwks {
            source: JwksError::NoKeys,
            ..
        })
    ));
    let absent = config(&good);
    drop(good);
    let error = HttpKeys::new(vec![absent]).err();
    assert!(matches!(error, Some(ConfigError::Unreadable { .. })));
}

#[tokio::test]
async fn a_static_key_set_is_taken_over_when_it_changes_and_kept_when_the_new_one_is_broken() {
    let file = file(&json!([jwk("k1")]));
    let keys = HttpKeys::new(vec![config(&file)]).unwrap();
    for broken in [
        "",
        "{\"keys\":[",
        "{\"keys\":[]}",
        r#"{"keys":[{"kty":"oct","k":"AA"}]}"#,
    ] {
        fs::write(file.path(), broken).unwrap();
        keys.reread();
        assert!(ask(&keys, "k1").await.is_ok(), "{broken:?}");
    }
    let (stays, next) = (jwk("k2"), jwk("k3"));
    fs::write(file.path(), json!({ "keys": [stays] }).to_string()).unwrap();
    keys.reread();
    ask(&keys, "k2").await.unwrap().prepare();
    fs::write(file.path(), json!({ "keys": [stays, next] }).to_string()).unwrap();
    keys.reread();
    assert!(ask(&keys, "k2").await.unwrap().is_prepared());
    assert!(ask(&keys, "k2").await.is_ok());
    assert!(is_unknown(&ask(&keys, "k1").await));
    let path = file.path().to_owned();
    drop(file);
    assert!(!path.exists());
    keys.reread();
    assert!(ask(&keys, "k2").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_without_being_asked_to() {
    let file = file(&json!([jwk("k1")]));
    let keys = Arc::new(HttpKeys::new(vec![config(&file)]).unwrap());
    keys.attend();
    tokio::time::sleep(ATTEND_EVERY * 2).await;
    fs::write(file.path(), json!({ "keys": [jwk("k2")] }).to_string()).unwrap();
    tokio::time::sleep(ATTEND_EVERY * 2).await;
    assert!(ask(&keys, "k2").await.is_ok());
}

#[tokio::test]
async fn certificate_authorities_may_stand_in_the_configuration_itself() {
    let provider = Provider::start_tls("127.0.0.1", json!([jwk("k1")])).await;
    let pem = fs::read_to_string(provider.config().ca_file.unwrap()).unwrap();
    let fetched = async |ca_pem: Option<String>| {
        let config = IssuerKeysConfig {
            ca_file: None,
            ca_pem,
            ..provider.config()
        };
        let keys = with_pace(vec![config], PACE).unwrap();
        keys.key(&provider.issuer(), Some("k1"), Algorithm::Es256)
            .await
            .is_ok()
    };
    assert!(fetched(Some(pem)).await);
    assert!(!fetched(None).await);
}

#[tokio::test]
async fn certificate_authorities_are_taken_over_when_they_change() {
    let provider = Provider::start_tls("127.0.0.1", json!([jwk("k1")])).await;
    let stranger = Provider::start_tls("127.0.0.1", json!([])).await;
    let pem = |of: &Provider| fs::read(of.config().ca_file.unwrap()).unwrap();
    let trusted = NamedTempFile::new().unwrap();
    fs::write(trusted.path(), pem(&stranger)).unwrap();
    let config = IssuerKeysConfig {
        ca_file: Some(trusted.path().to_owned()),
        ..provider.config()
    };
    let keys = with_pace(vec![config], PACE).unwrap();
    let ask = async || {
        let issuer = provider.issuer();
        let answer = keys.key(&issuer, Some("k1"), Algorithm::Es256).await;
        tokio::time::sleep(PACE.pause_without_keys).await;
        answer
    };
    let refused = format!(
        "could not talk to {}/.well-known/openid-configuration",
        provider.url
    );
    assert_eq!(failure(ask().await), refused);
    // Broken or gone: as before.
    fs::write(trusted.path(), "not a certificate").unwrap();
    keys.reread();
    assert_eq!(failure(ask().await), refused);
    fs::write(trusted.path(), pem(&provider)).unwrap();
    keys.reread();
    let answer = ask().await;
    assert!(answer.is_ok(), "{answer:?}");
}

#[test]
fn a_file_of_authorities_has_one_from_the_start() {
    let config = |ca_file| IssuerKeysConfig {
        ca_file: Some(ca_file),
        ..IssuerKeysConfig::discovery(issuer())
    };
    let junk = NamedTempFile::new().unwrap();
    fs::write(junk.path(), "not a certificate").unwrap();
    let error = HttpKeys::new(vec![config(junk.path().to_owned())]).err();
    assert!(matches!(error, Some(ConfigError::CaPem { .. })));
    let error = HttpKeys::new(vec![config("/nonexistent/ca.pem".into())]).err();
    assert!(matches!(error, Some(ConfigError::Unreadable { .. })));
}
