//! Issuers nobody listed: found out about, remembered, crowded out, and never let in from outside.
//!
//! The documents come from a [`Cloud`] on the test's own clock: every cluster in it publishes the
//! same keys under its own name, every other issuer is unknown there.

use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::{advance, sleep};
use url::Url;

use super::dns::Names;
use super::provider::Provider;
use super::{METADATA, jwk};
use crate::fault::Reason;
use crate::token::discovery::family::Family;
use crate::token::discovery::fetch::Fetcher;
use crate::token::discovery::http::Documents;
use crate::token::discovery::*;
use crate::token::testing::{NOW, SigningKey, claims, policy};
use crate::token::{Error, IssuerPolicy, RawToken, verify};

const FAMILY: &str = "https://oidc.eks.*.amazonaws.com/id/*";
const PAUSE: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Clusters, and what was asked about which.
struct Cloud {
    key: SigningKey,
    clusters: Mutex<HashSet<String>>,
    asked: Mutex<Vec<String>>,
    /// How long each document takes.
    slow: Duration,
}

impl Cloud {
    fn new(clusters: &[&str]) -> Arc<Self> {
        Self::slow(clusters, Duration::ZERO)
    }

    fn slow(clusters: &[&str], slow: Duration) -> Arc<Self> {
        let clusters = clusters.iter().map(|id| cluster(id).to_string());
        Arc::new(Self {
            key: SigningKey::for_algorithm(Algorithm::Es256),
            clusters: Mutex::new(clusters.collect()),
            asked: Mutex::default(),
            slow,
        })
    }

    fn add(&self, id: &str) {
        self.clusters
            .lock()
            .unwrap()
            .insert(cluster(id).to_string());
    }

    fn remove(&self, id: &str) {
        self.clusters.lock().unwrap().remove(cluster(id).as_str());
    }

    /// How often the metadata was asked for, of all issuers.
    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// The same of one.
    fn asked_about(&self, id: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|iss| *iss == cluster(id).as_str())
            .count()
    }

    /// The family, beside one issuer of it that is configured by itself.
    fn keys(self: &Arc<Self>) -> Arc<HttpKeys> {
        self.keys_of(1)
    }

    /// The same, as one of so many families.
    fn keys_of(self: &Arc<Self>, families: usize) -> Arc<HttpKeys> {
        let documents = || Arc::clone(self) as Arc<dyn Documents>;
        let config = IssuerKeysConfig::discovery(name());
        let family = Family::new(config, documents(), Pace::DEFAULT);
        family.share_with(families);
        let exact = cluster("exact");
        let config = IssuerKeysConfig::discovery(exact.clone());
        let fetcher = Fetcher::reading(exact.clone(), &config, documents()).unwrap();
        let kept = Arc::new(Kept::new(fetcher, Pace::DEFAULT));
        HttpKeys::of([
            (name(), Source::Family(Box::new(family))),
            (exact.into(), Source::Kept(kept)),
        ])
    }

    /// A token of a cluster, signed by the key they all have.
    fn token(&self, id: &str) -> String {
        self.key.token(Algorithm::Es256, HEADER, &claims_of(id))
    }
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k1"}"#;

fn claims_of(id: &str) -> String {
    let mut claims = claims();
    claims["iss"] = json!(cluster(id).as_str());
    claims.to_string()
}

/// One that anybody can write: made up, or of a cluster that exists.
fn forged(id: &str) -> String {
    let key = SigningKey::for_algorithm(Algorithm::Es256);
    key.token(Algorithm::Es256, HEADER, &claims_of(id))
}

fn cluster(id: &str) -> IssuerUrl {
    IssuerUrl::new(&format!("https://oidc.eks.us-west-2.amazonaws.com/id/{id}")).unwrap()
}

fn name() -> IssuerName {
    IssuerName::new(FAMILY).unwrap()
}

async fn send(keys: &HttpKeys, token: &str) -> Result<(), Error> {
    let policy = IssuerPolicy {
        issuer: name(),
        ..policy()
    };
    let raw = RawToken::parse(token).unwrap();
    verify(raw, &policy, keys, NOW).await.map(drop)
}

/// What a token that is refused is told, and when to come back.
async fn refused(keys: &HttpKeys, token: &str) -> (Reason, Option<Duration>) {
    let error = send(keys, token).await.unwrap_err();
    (error.reason(), error.retry_after())
}

const AWAY: Reason = Reason::IdentityProviderUnavailable;

#[async_trait]
impl Documents for Cloud {
    async fn get(&self, url: &Url, _limit: usize) -> Result<Vec<u8>, FetchError> {
        let (issuer, is_metadata) = match url.as_str().strip_suffix(METADATA) {
            Some(issuer) => (issuer, true),
            None => (url.as_str().strip_suffix("/keys").unwrap(), false),
        };
        if is_metadata {
            self.asked.lock().unwrap().push(issuer.to_owned());
        }
        sleep(self.slow).await;
        if !self.clusters.lock().unwrap().contains(issuer) {
            return Err(FetchError::Status {
                url: url.to_string(),
                status: reqwest::StatusCode::NOT_FOUND,
            });
        }
        let body = match is_metadata {
            true => json!({
                "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
            false => json!({ "keys": [self.key.jwk("k1")] }),
        };
        Ok(body.to_string().into_bytes())
    }
}

#[tokio::test(start_paused = true)]
async fn an_issuer_of_the_family_is_found_by_the_first_token_that_passes_the_cheap_checks() {
    let cloud = Cloud::new(&["a"]);
    let keys = cloud.keys();
    let good = cloud.token("a");
    for (claim, value, reason) in [
        ("aud", json!("other"), Reason::TokenAudienceMismatch),
        ("exp", json!(NOW.0 - 60), Reason::TokenExpired),
        ("iat", json!(NOW.0 + 60), Reason::TokenNotYetValid),
        (
            "iss",
            json!(cluster("a").as_str().replace("/id/", "//id/")),
            Reason::TokenIssuerUnknown,
        ),
    ] {
        let mut claims: serde_json::Value = serde_json::from_str(&claims_of("a")).unwrap();
        claims[claim] = value;
        let bad = cloud
            .key
            .token(Algorithm::Es256, HEADER, &claims.to_string());
        assert_eq!(refused(&keys, &bad).await, (reason, None), "{claim}");
    }
    assert_eq!(cloud.asked(), 0);
    assert!(send(&keys, &good).await.is_ok());
    assert!(send(&keys, &good).await.is_ok());
    assert_eq!(cloud.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_discovery_serves_everyone_who_asks() {
    let cloud = Cloud::slow(&["a"], Duration::from_secs(1));
    let keys = cloud.keys();
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let (keys, token) = (Arc::clone(&keys), cloud.token("a"));
            tokio::spawn(async move { send(&keys, &token).await.is_ok() })
        })
        .collect();
    for request in requests {
        assert!(request.await.unwrap());
    }
    assert_eq!(cloud.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_issuers_of_a_family_share_no_keys() {
    let cloud = Cloud::new(&["a", "b"]);
    let keys = cloud.keys();
    let key = async |id: &str| keys.key(&cluster(id), Some("k1"), Algorithm::Es256).await;
    let (a, b) = (key("a").await.unwrap(), key("b").await.unwrap());
    assert!(!Arc::ptr_eq(&a, &b));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_none_is_asked_about_once_in_a_pause() {
    let cloud = Cloud::new(&[]);
    let keys = cloud.keys();
    for waited in 0..30 {
        let left = PAUSE - Duration::from_secs(waited);
        assert_eq!(refused(&keys, &forged("x")).await, (AWAY, Some(left)));
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(cloud.asked(), 1);
    cloud.add("x");
    assert!(send(&keys, &cloud.token("x")).await.is_ok());
    assert_eq!(cloud.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn so_many_discoveries_are_made_in_a_minute_and_the_next_is_told_when() {
    let cloud = Cloud::new(&[]);
    let keys = cloud.keys();
    for id in 0..DISCOVERIES_PER_MINUTE {
        assert_eq!(
            refused(&keys, &forged(&format!("x{id}"))).await,
            (AWAY, Some(PAUSE))
        );
        advance(Duration::from_millis(500)).await;
    }
    let wait = Duration::from_secs(30);
    let error = send(&keys, &forged("y")).await.unwrap_err();
    assert_eq!((error.reason(), error.retry_after()), (AWAY, Some(wait)));
    let Error::Key(KeyError::Unavailable { source, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(
        source.to_string(),
        format!("too many new issuers of {FAMILY} at once")
    );
    assert_eq!(cloud.asked(), DISCOVERIES_PER_MINUTE);
    cloud.add("y");
    advance(wait).await;
    assert!(send(&keys, &cloud.token("y")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn so_many_discoveries_are_under_way_at_one_time() {
    let cloud = Cloud::slow(&["y"], Duration::from_secs(2));
    let keys = cloud.keys();
    for id in 0..DISCOVERIES_AT_ONCE {
        let (keys, token) = (Arc::clone(&keys), forged(&format!("x{id}")));
        tokio::spawn(async move { send(&keys, &token).await });
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        refused(&keys, &cloud.token("y")).await,
        (AWAY, Some(FETCH_BUDGET))
    );
    assert_eq!(cloud.asked(), DISCOVERIES_AT_ONCE);
    sleep(Duration::from_secs(2)).await;
    assert!(send(&keys, &cloud.token("y")).await.is_ok());
}

/// Whoever hangs up does not make room for the next discovery.
#[tokio::test(start_paused = true)]
async fn a_discovery_counts_until_it_ends_whoever_waits() {
    let cloud = Cloud::slow(&[], Duration::from_secs(4));
    let keys = cloud.keys();
    for id in 0..40 {
        let token = forged(&format!("x{id}"));
        let asked = tokio::time::timeout(Duration::from_millis(10), send(&keys, &token));
        let _ = asked.await;
    }
    assert_eq!(cloud.asked(), DISCOVERIES_AT_ONCE);
}

/// The flood: made-up clusters, forged tokens of real ones, and the good ones all the while.
#[tokio::test(start_paused = true)]
async fn a_flood_of_made_up_issuers_costs_known_ones_nothing() {
    let cloud = Cloud::new(&["exact", "a", "b"]);
    let keys = cloud.keys();
    for id in ["exact", "a", "b"] {
        assert!(send(&keys, &cloud.token(id)).await.is_ok());
    }
    let (mut made_up, minutes) = (0, 30);
    for second in 0..minutes * 60 {
        for _ in 0..20 {
            made_up += 1;
            assert!(send(&keys, &forged(&format!("x{made_up}"))).await.is_err());
        }
        assert!(send(&keys, &forged("a")).await.is_err());
        for id in ["exact", "a", "b"] {
            let sent = send(&keys, &cloud.token(id)).await;
            assert!(sent.is_ok(), "{id} after {second} s: {sent:?}");
        }
        advance(Duration::from_secs(1)).await;
    }
    // "a" was read again at the usual pace for its forged tokens, the others as they grew old.
    let known: usize = ["exact", "a", "b"]
        .iter()
        .map(|id| cloud.asked_about(id))
        .sum();
    assert!(cloud.asked_about("a") <= minutes * 2 + 1);
    let for_made_up = cloud.asked() - known;
    assert!(
        for_made_up <= (minutes + 1) * DISCOVERIES_PER_MINUTE,
        "{for_made_up}"
    );
    let Some(Source::Family(family)) = keys.source(&cluster("a")) else {
        panic!("a family");
    };
    assert!(family.known() <= DISCOVERIES_PER_MINUTE + 2);
}

/// With as many proven issuers as there may be, a new one that proves itself takes the place of the
/// idlest; one that does not takes nobody's.
#[tokio::test(start_paused = true)]
async fn a_proven_issuer_gives_way_to_a_proven_one_only() {
    let families = MAX_PROVEN_IN_ALL / 3;
    let cloud = Cloud::new(&["a", "b", "c", "d"]);
    let keys = cloud.keys_of(families);
    for id in ["a", "b", "c"] {
        assert!(send(&keys, &cloud.token(id)).await.is_ok());
        advance(Duration::from_secs(1)).await;
    }
    assert!(send(&keys, &cloud.token("a")).await.is_ok());
    assert!(send(&keys, &forged("d")).await.is_err());
    assert!(send(&keys, &forged("x")).await.is_err());
    let asked = |ids: &[&str]| ids.iter().map(|id| cloud.asked_about(id)).sum::<usize>();
    for id in ["a", "b", "c"] {
        assert!(send(&keys, &cloud.token(id)).await.is_ok());
    }
    assert_eq!(asked(&["a", "b", "c"]), 3, "none was found out about anew");
    advance(Duration::from_secs(1)).await;
    for id in ["a", "c", "d"] {
        assert!(send(&keys, &cloud.token(id)).await.is_ok());
    }
    assert_eq!(asked(&["a", "c"]), 2);
    assert!(send(&keys, &cloud.token("b")).await.is_ok());
    assert_eq!(asked(&["b"]), 2, "it was the idlest");
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_uses_is_not_read_again_and_needs_no_leave_to_come_back() {
    let cloud = Cloud::new(&["a"]);
    let keys = cloud.keys();
    assert!(send(&keys, &cloud.token("a")).await.is_ok());
    for _ in 0..(HOUR.as_secs() / 60) {
        keys.prefetch();
        advance(Duration::from_secs(60)).await;
        sleep(Duration::from_millis(1)).await;
    }
    let asked = cloud.asked_about("a");
    assert!((4..=7).contains(&asked), "{asked}");
    for _ in 0..60 {
        keys.prefetch();
        advance(Duration::from_secs(600)).await;
    }
    assert_eq!(cloud.asked_about("a"), asked);
    // A flood uses up every discovery there is.
    for id in 0..=DISCOVERIES_PER_MINUTE {
        assert!(send(&keys, &forged(&format!("x{id}"))).await.is_err());
    }
    assert!(send(&keys, &cloud.token("a")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn one_that_was_not_used_for_a_week_is_forgotten() {
    let cloud = Cloud::new(&["a"]);
    let keys = cloud.keys();
    assert!(send(&keys, &cloud.token("a")).await.is_ok());
    let Some(Source::Family(family)) = keys.source(&cluster("a")) else {
        panic!("a family");
    };
    advance(HOUR * 24 * 7 - Duration::from_secs(1)).await;
    keys.prefetch();
    assert_eq!(family.known(), 1);
    advance(Duration::from_secs(1)).await;
    keys.prefetch();
    assert_eq!(family.known(), 0);
}

#[tokio::test(start_paused = true)]
async fn operators_see_a_family_as_one_and_nothing_of_made_up_issuers() {
    let cloud = Cloud::new(&["a", "b"]);
    let keys = cloud.keys();
    let age = || {
        let ages = keys.ages();
        ages.into_iter().find(|(of, _)| of == FAMILY).unwrap().1
    };
    assert!(send(&keys, &forged("x")).await.is_err());
    assert_eq!((age(), keys.ages().len()), (Some(Duration::ZERO), 2));
    assert!(keys.available());
    assert!(send(&keys, &cloud.token("a")).await.is_ok());
    advance(Duration::from_secs(60)).await;
    assert!(send(&keys, &cloud.token("b")).await.is_ok());
    advance(Duration::from_secs(60)).await;
    assert_eq!(age(), Some(Duration::from_secs(60)));
    // One that was taken down is its users' trouble; with all of them it is the operator's.
    cloud.remove("a");
    cloud.remove("b");
    advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(age(), None);
}

#[tokio::test]
async fn an_issuer_at_a_private_address_is_unknown_and_nobody_is_connected_to() {
    let provider = Provider::start_tls("a.clusters.example", json!([jwk("k1")])).await;
    let issuer = provider.issuer();
    let port = provider.url.rsplit(':').next().unwrap();
    let config = IssuerKeysConfig {
        ca_file: provider.config().ca_file,
        ..IssuerKeysConfig::discovery(
            IssuerName::new(&format!("https://*.clusters.example:{port}")).unwrap(),
        )
    };
    for addresses in [
        &["127.0.0.1"][..],
        &["::1"],
        &["10.0.0.1"],
        &["169.254.169.254"],
        &["8.8.8.8", "127.0.0.1"],
        &["::ffff:127.0.0.1"],
        &["64:ff9b::7f00:1"],
    ] {
        let names = Arc::new(Names::new(&[addresses]));
        let keys = HttpKeys::with_resolver(vec![config.clone()], names.clone()).unwrap();
        for _ in 0..2 {
            let answer = keys.key(&issuer, Some("k1"), Algorithm::Es256);
            let error = Error::from(answer.await.unwrap_err());
            assert_eq!(error.reason(), Reason::TokenIssuerUnknown, "{addresses:?}");
            assert!(!error.to_string().contains(addresses[0]), "{error}");
        }
        assert_eq!(names.asked(), 1, "and it was asked for once");
    }
    assert_eq!(provider.connections(), 0);

    // The same issuer, configured by itself and let in, can be had: it was the address.
    let names = Arc::new(Names::new(&[&["127.0.0.1"]]));
    let keys = HttpKeys::with_resolver(vec![provider.config()], names).unwrap();
    let answer = keys.key(&issuer, Some("k1"), Algorithm::Es256);
    assert!(answer.await.is_ok());
}

#[test]
fn what_only_one_issuer_can_have_is_refused_of_a_family() {
    let plain = || IssuerKeysConfig::discovery(name());
    let some = || Some(PathBuf::from("/nonexistent"));
    for (config, setting) in [
        (
            IssuerKeysConfig {
                allow_private_network: true,
                ..plain()
            },
            "allow_private_network",
        ),
        (
            IssuerKeysConfig {
                allow_insecure_http_loopback: true,
                ..plain()
            },
            "allow_insecure_http_loopback",
        ),
        (
            IssuerKeysConfig {
                discovery_url: Url::parse("https://a.example/").ok(),
                ..plain()
            },
            "discovery_url",
        ),
        (
            IssuerKeysConfig {
                bearer_token_file: some(),
                ..plain()
            },
            "bearer_token_file",
        ),
        (
            IssuerKeysConfig {
                source: KeysFrom::JwksFile(some().unwrap()),
                ..plain()
            },
            "jwks_file",
        ),
    ] {
        let error = HttpKeys::new(vec![config]).err().map(|e| e.to_string());
        let expected = format!("{FAMILY} is a family of issuers, which cannot have {setting}");
        assert_eq!(error, Some(expected));
    }
    let hosts = |host: &str| IssuerKeysConfig {
        jwks_hosts: vec![host.to_owned()],
        ..plain()
    };
    assert!(HttpKeys::new(vec![hosts("keys.example")]).is_ok());
    let bad = HttpKeys::new(vec![hosts("a/b")]).err();
    assert!(matches!(bad, Some(ConfigError::JwksHost { .. })));
    let twice = HttpKeys::new(vec![plain(), plain()]).err();
    assert!(matches!(twice, Some(ConfigError::Twice { .. })));
}
