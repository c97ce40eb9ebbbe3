//! Other issuers are configured while it runs.

use serde_json::json;

use super::provider::{Provider, http};
use super::*;

async fn key(keys: &HttpKeys, provider: &Provider) -> Result<Arc<VerificationKey>, KeyError> {
    let issuer = provider.issuer();
    keys.key(&issuer, Some("k1"), Algorithm::Es256).await
}

#[tokio::test]
async fn who_stays_is_not_asked_again_and_who_goes_is_forgotten() {
    let stays = Provider::start(json!([jwk("k1")])).await;
    let goes = Provider::start(json!([jwk("k1")])).await;
    let before = with_pace(vec![stays.config(), goes.config()], PACE).unwrap();
    let first = key(&before, &stays).await.unwrap();
    assert!(key(&before, &goes).await.is_ok());

    let after = before.succeeded(vec![stays.config()]).unwrap();
    // Whoever began before goes on with what he had.
    assert!(key(&before, &goes).await.is_ok());
    drop(before);
    assert!(Arc::ptr_eq(&key(&after, &stays).await.unwrap(), &first));
    assert!(is_unknown(&key(&after, &goes).await));
    assert_eq!(after.ages().len(), 1);
    assert_eq!((stays.asked(KEYS), goes.asked(KEYS)), (1, 1));

    // And who comes back is new.
    let again = after.succeeded(vec![goes.config(), stays.config()]);
    let again = again.unwrap();
    assert!(key(&again, &goes).await.is_ok());
    assert_eq!((stays.asked(KEYS), goes.asked(KEYS)), (1, 2));
}

#[tokio::test]
async fn a_pause_goes_on_for_who_stays() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    provider.answer(KEYS, http("500 Internal Server Error", "", ""));
    let an_hour = Duration::from_secs(3600);
    let pace = Pace {
        pause: an_hour,
        pause_without_keys: an_hour,
        ..PACE
    };
    let before = with_pace(vec![provider.config()], pace).unwrap();
    let told = failure(key(&before, &provider).await);
    let after = before.succeeded(vec![provider.config()]).unwrap();
    assert_eq!(failure(key(&after, &provider).await), told);
    assert_eq!(provider.asked(KEYS), 1);
}

#[tokio::test]
async fn who_is_configured_otherwise_is_asked_anew() {
    let provider = Provider::start(json!([jwk("k1")])).await;
    let before = with_pace(vec![provider.config()], PACE).unwrap();
    assert!(key(&before, &provider).await.is_ok());
    let mut otherwise = provider.config();
    otherwise.jwks_hosts.push("keys.example".to_owned());
    let after = before.succeeded(vec![otherwise]).unwrap();
    assert!(key(&after, &provider).await.is_ok());
    assert_eq!(provider.asked(KEYS), 2);
}
