//! Keys that verify often, prepared to do it faster, on threads beside the work.
//!
//! Log keys are known at the start and prepared then; an issuer's key has to earn it. Nobody waits:
//! until a key is prepared, and if it never is, the libraries verify.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{Builder, JoinHandle};

use async_trait::async_trait;

use crate::ct::LogKey;
use crate::token::{Algorithm, IssuerUrl, KeyError, KeySource, VerificationKey};

/// Most log keys prepared, and most issuers' keys at one time: each further table pushes the
/// others out of the processor's caches.
const KEYS_MAX: usize = 8;

/// Prepares the first keys, which are those of the logs that are asked first.
pub(super) fn log_keys(keys: Vec<LogKey>) -> io::Result<JoinHandle<()>> {
    on_a_thread(move || keys.iter().take(KEYS_MAX).for_each(LogKey::prepare))
}

fn on_a_thread(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name("prepare-keys".to_owned()).spawn(work)
}

/// Issuers' keys, prepared once they have verified often enough to be worth it.
///
/// A place is held for as long as the key is in use anywhere. A key that is still there when its
/// issuer's key set is read anew stays the one it was, and keeps its place.
pub(super) struct PreparingKeys<K> {
    keys: Arc<K>,
    places: Arc<Mutex<Vec<Weak<VerificationKey>>>>,
    /// Starts the work beside the request.
    start: fn(Work) -> io::Result<()>,
}

type Work = Box<dyn FnOnce() + Send>;

impl<K: KeySource> PreparingKeys<K> {
    pub(super) fn new(keys: Arc<K>) -> Self {
        Self {
            keys,
            places: Arc::default(),
            start: |work| on_a_thread(work).map(drop),
        }
    }

    /// The same for other issuers' keys: all together have as many places.
    pub(super) fn over(&self, keys: Arc<K>) -> Self {
        Self {
            keys,
            places: Arc::clone(&self.places),
            start: self.start,
        }
    }

    /// A place for this key, unless it has one or there is none.
    fn take_place(&self, key: &Arc<VerificationKey>) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|place| place.strong_count() > 0);
        let new = Arc::downgrade(key);
        let free = places.len() < KEYS_MAX && !places.iter().any(|place| place.ptr_eq(&new));
        if free {
            places.push(new);
        }
        free
    }

    /// The key was not prepared after all: another may have its place, and it may earn one again.
    fn give_back(&self, key: &Arc<VerificationKey>) {
        key.postpone();
        let place = Arc::downgrade(key);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|other| !other.ptr_eq(&place));
    }
}

#[async_trait]
impl<K: KeySource> KeySource for PreparingKeys<K> {
    async fn key(
        &self,
        issuer: &IssuerUrl,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<VerificationKey>, KeyError> {
        let key = self.keys.key(issuer, kid, algorithm).await?;
        if key.is_worth_preparing() && self.take_place(&key) {
            let to_prepare = key.clone();
            if let Err(error) = (self.start)(Box::new(move || to_prepare.prepare())) {
                self.give_back(&key);
                tracing::warn!(%error, %issuer, "a key is not prepared; tokens take longer to verify");
            }
        }
        Ok(key)
    }

    fn available(&self) -> bool {
        self.keys.available()
    }

    fn did_not_verify(&self, issuer: &IssuerUrl) {
        self.keys.did_not_verify(issuer);
    }

    fn did_verify(&self, issuer: &IssuerUrl) {
        self.keys.did_verify(issuer);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::ct::memory::MemoryLog;
    use crate::token::testing::{CountingKeys, ISSUER, NOW, SigningKey, claims, policy};
    use crate::token::{RawToken, WORTH_PREPARING, verify};

    #[test]
    fn the_first_eight_log_keys_are_prepared_and_their_clones_with_them() {
        let keys: Vec<LogKey> = (0..9)
            .map(|_| MemoryLog::generate("log").unwrap().key().clone())
            .collect();
        assert!(!keys.iter().any(LogKey::is_prepared));
        log_keys(keys.clone()).unwrap().join().unwrap();
        let prepared: Vec<bool> = keys.iter().map(LogKey::is_prepared).collect();
        assert_eq!(prepared, [[true; 8].as_slice(), &[false]].concat());
    }

    /// An issuer with one ES256 key, and that key.
    async fn issuer() -> (SigningKey, CountingKeys, Arc<VerificationKey>) {
        let signing = SigningKey::for_algorithm(Algorithm::Es256);
        let keys = CountingKeys::new(vec![(ISSUER, json!([signing.jwk("k1")]))]);
        let key = find(&keys).await;
        (signing, keys, key)
    }

    async fn find(keys: &impl KeySource) -> Arc<VerificationKey> {
        let issuer = IssuerUrl::new(ISSUER).unwrap();
        keys.key(&issuer, None, Algorithm::Es256).await.unwrap()
    }

    #[tokio::test]
    async fn an_issuers_key_is_prepared_after_a_hundred_tokens() {
        let (signing, keys, key) = issuer().await;
        let keys = PreparingKeys::new(Arc::new(keys));
        let token = signing.token(
            Algorithm::Es256,
            r#"{"alg":"ES256","kid":"k1"}"#,
            &claims().to_string(),
        );
        let policy = policy();
        let pass = || verify(RawToken::parse(&token).unwrap(), &policy, &keys, NOW);
        for _ in 0..WORTH_PREPARING {
            assert!(pass().await.is_ok());
        }
        assert!(!key.is_prepared());
        assert!(pass().await.is_ok());
        let deadline = Instant::now() + Duration::from_secs(60);
        while !key.is_prepared() && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        assert!(find(&keys).await.is_prepared());
        assert!(pass().await.is_ok());
    }

    #[tokio::test]
    async fn a_key_that_could_not_be_prepared_gives_its_place_back_and_earns_it_again() {
        let (signing, keys, key) = issuer().await;
        let mut keys = PreparingKeys::new(Arc::new(keys));
        keys.start = |_| Err(io::Error::other("no thread to be had"));
        let token = signing.token(
            Algorithm::Es256,
            r#"{"alg":"ES256","kid":"k1"}"#,
            &claims().to_string(),
        );
        let policy = policy();
        for _ in 0..=WORTH_PREPARING {
            let raw = RawToken::parse(&token).unwrap();
            assert!(verify(raw, &policy, &keys, NOW).await.is_ok());
        }
        assert!(keys.places.lock().unwrap().is_empty());
        assert!(!key.is_worth_preparing() && !key.is_prepared());
        keys.start = |work| {
            work();
            Ok(())
        };
        for _ in 0..=WORTH_PREPARING {
            let raw = RawToken::parse(&token).unwrap();
            assert!(verify(raw, &policy, &keys, NOW).await.is_ok());
        }
        assert!(key.is_prepared());
        assert_eq!(keys.places.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_doubt_about_an_issuers_keys_reaches_whoever_can_look_again() {
        let keys = Arc::new(issuer().await.1);
        PreparingKeys::new(keys.clone()).did_not_verify(&IssuerUrl::new(ISSUER).unwrap());
        assert_eq!(keys.doubted.load(std::sync::atomic::Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn eight_keys_have_a_place_until_nobody_uses_them() {
        let places = PreparingKeys::new(Arc::new(CountingKeys::new(Vec::new())));
        let mut keys = Vec::new();
        for _ in 0..9 {
            keys.push(issuer().await.2);
        }
        let took: Vec<bool> = keys.iter().map(|key| places.take_place(key)).collect();
        assert_eq!(took, [[true; 8].as_slice(), &[false]].concat());
        keys.swap_remove(0);
        // The ninth, which now stands first, and nobody a second time.
        let took: Vec<bool> = keys.iter().map(|key| places.take_place(key)).collect();
        assert_eq!(took, [[true].as_slice(), &[false; 7]].concat());
    }
}
