//! What holds however a provider behaves, on a clock that the test owns: hours pass in seconds.
//!
//! The provider is a [`Stage`]: a key set and a mood, changed while requests run. Beside it the
//! test keeps its own book of what was published when, and holds every answer against it.

use std::sync::Mutex;

use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep};

use super::{KEYS, METADATA};
use crate::token::discovery::fetch::Fetcher;
use crate::token::discovery::http::Documents;
use crate::token::discovery::*;
use crate::token::testing::{ISSUER, NOW, SigningKey, claims, policy};
use crate::token::{Error, RawToken, verify};
use async_trait::async_trait;
use url::Url;

/// From publication to use .
pub(super) const NEW_KEY: Duration = Duration::from_secs(35);
/// From withdrawal to refusal.
pub(super) const OLD_KEY: Duration = Duration::from_secs(15 * 60);
/// Between two fetches.
const PAUSE: Duration = Duration::from_secs(30);

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How the provider answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mood {
    /// After so long.
    Up(Duration),
    /// With an error.
    Down,
    /// Never.
    Hanging,
    /// With a document that speaks for somebody else.
    WrongIssuer,
    /// With bytes that are no key set.
    Garbled,
}

/// A provider without a network.
pub(super) struct Stage(Mutex<Scene>);

struct Scene {
    mood: Mood,
    set: Json,
    fetches: Vec<Instant>,
}

impl Stage {
    pub(super) fn new(set: Json) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Scene {
            mood: Mood::Up(Duration::ZERO),
            set,
            fetches: Vec::new(),
        })))
    }

    pub(super) fn publish(&self, set: Json) {
        self.0.lock().unwrap().set = set;
    }

    pub(super) fn mood(&self, mood: Mood) {
        self.0.lock().unwrap().mood = mood;
    }

    pub(super) fn fetches(&self) -> Vec<Instant> {
        self.0.lock().unwrap().fetches.clone()
    }

    pub(super) fn keys(self: &Arc<Self>) -> Arc<HttpKeys> {
        self.keys_at(Pace::DEFAULT)
    }

    pub(super) fn keys_at(self: &Arc<Self>, pace: Pace) -> Arc<HttpKeys> {
        let issuer = IssuerUrl::new(ISSUER).unwrap();
        let config = IssuerKeysConfig::discovery(issuer.clone());
        let documents = Arc::clone(self) as Arc<dyn Documents>;
        let fetcher = Fetcher::reading(issuer.clone(), &config, documents).unwrap();
        let kept = Source::Kept(Arc::new(Kept::new(fetcher, pace)));
        HttpKeys::of([(issuer.into(), kept)])
    }
}

#[async_trait]
impl Documents for Stage {
    async fn get(&self, url: &Url, _limit: usize) -> Result<Vec<u8>, FetchError> {
        let mood = {
            let mut scene = self.0.lock().unwrap();
            if url.path() == METADATA {
                scene.fetches.push(Instant::now());
            }
            scene.mood.clone()
        };
        match (&mood, url.path()) {
            (Mood::Up(after), _) => sleep(*after).await,
            (Mood::Hanging, _) => sleep(secs(3600)).await,
            (Mood::Down, _) => {
                return Err(FetchError::Status {
                    url: url.to_string(),
                    status: reqwest::StatusCode::BAD_GATEWAY,
                });
            }
            (Mood::Garbled, KEYS) => return Ok(b"<html>".to_vec()),
            (Mood::Garbled | Mood::WrongIssuer, _) => {}
        }
        let issuer = match mood {
            Mood::WrongIssuer => "https://evil.example",
            Mood::Up(_) | Mood::Down | Mood::Hanging | Mood::Garbled => ISSUER,
        };
        Ok(match url.path() {
            KEYS => json!({ "keys": self.0.lock().unwrap().set }),
            _ => json!({
                "issuer": issuer, "jwks_uri": format!("{ISSUER}{KEYS}"),
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
        }
        .to_string()
        .into_bytes())
    }
}

/// A key with a token that it signed.
pub(super) struct Signed {
    key: SigningKey,
    kid: String,
    token: String,
}

impl Signed {
    pub(super) fn new(kid: &str) -> Arc<Self> {
        let key = SigningKey::for_algorithm(Algorithm::Es256);
        let header = json!({ "alg": "ES256", "kid": kid }).to_string();
        let token = key.token(Algorithm::Es256, &header, &claims().to_string());
        let kid = kid.to_owned();
        Arc::new(Self { key, kid, token })
    }

    pub(super) fn jwk(&self) -> Json {
        self.key.jwk(&self.kid)
    }
}

pub(super) async fn present(keys: &HttpKeys, signed: &Signed) -> Result<(), Error> {
    let raw = RawToken::parse(&signed.token).unwrap();
    verify(raw, &policy(), keys, NOW).await.map(drop)
}

fn away(answer: Result<(), Error>) -> Duration {
    match answer {
        Err(Error::Key(KeyError::Unavailable { retry_after, .. })) => {
            retry_after.expect("says when to come back")
        }
        other => panic!("expected the provider's failure, got {other:?}"),
    }
}

pub(super) fn unknown(answer: &Result<(), Error>) -> bool {
    matches!(answer, Err(Error::Key(KeyError::Unknown { .. })))
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_usable_in_35_seconds_though_made_up_ones_take_every_turn() {
    let (old, new) = (Signed::new("old"), Signed::new("new"));
    let stage = Stage::new(json!([old.jwk()]));
    let keys = stage.keys();
    stage.mood(Mood::Up(secs(2)));
    assert!(present(&keys, &old).await.is_ok());
    let flood = tokio::spawn({
        let keys = Arc::clone(&keys);
        async move {
            for n in 0.. {
                let made_up = Signed::new(&format!("made-up-{n}"));
                let keys = Arc::clone(&keys);
                tokio::spawn(async move {
                    let answer = present(&keys, &made_up).await;
                    assert!(unknown(&answer), "{answer:?}");
                });
                sleep(Duration::from_millis(100)).await;
            }
        }
    });
    sleep(secs(33)).await; // the flood has had its turn at 30 s
    stage.publish(json!([old.jwk(), new.jwk()]));
    let published = Instant::now();
    while present(&keys, &new).await.is_err() {
        let asked = Instant::now();
        assert!(present(&keys, &old).await.is_ok());
        assert_eq!(
            asked.elapsed(),
            Duration::ZERO,
            "nobody waits for a key that is there"
        );
        sleep(Duration::from_millis(100)).await;
    }
    assert!(published.elapsed() <= NEW_KEY, "{:?}", published.elapsed());
    flood.abort();
    let fetches = stage.fetches();
    assert!(
        fetches.windows(2).all(|two| two[1] - two[0] >= PAUSE),
        "{fetches:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_dies_in_15_minutes_while_the_provider_is_down() {
    for mood in [Mood::Down, Mood::Hanging, Mood::Garbled, Mood::WrongIssuer] {
        let key = Signed::new("k1");
        let stage = Stage::new(json!([key.jwk()]));
        let keys = stage.keys();
        assert!(present(&keys, &key).await.is_ok());
        let read = Instant::now();
        stage.mood(mood.clone());
        while read.elapsed() < OLD_KEY {
            assert!(
                present(&keys, &key).await.is_ok(),
                "{mood:?} at {:?}",
                read.elapsed()
            );
            sleep(secs(1)).await;
        }
        let wait = away(present(&keys, &key).await);
        assert!(wait <= PAUSE, "{wait:?}");
        assert_eq!(keys.ages()[0].1, None);
        // And comes back with the provider.
        stage.mood(Mood::Up(Duration::ZERO));
        let back = Instant::now();
        while present(&keys, &key).await.is_err() {
            sleep(secs(1)).await;
        }
        assert!(back.elapsed() <= NEW_KEY, "{mood:?}: {:?}", back.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_key_dies_in_15_minutes_while_it_is_used_and_the_provider_is_up() {
    let (old, other) = (Signed::new("old"), Signed::new("other"));
    let stage = Stage::new(json!([old.jwk(), other.jwk()]));
    let keys = stage.keys();
    assert!(present(&keys, &old).await.is_ok());
    stage.publish(json!([other.jwk()]));
    let withdrawn = Instant::now();
    while present(&keys, &old).await.is_ok() {
        assert!(withdrawn.elapsed() < OLD_KEY);
        sleep(secs(1)).await;
    }
    assert!(unknown(&present(&keys, &old).await));
    assert!(present(&keys, &other).await.is_ok());
}

/// A provider may reuse a name, and one without names has no other way to rotate.
#[tokio::test(start_paused = true)]
async fn a_key_in_another_ones_place_is_usable_in_35_seconds() {
    let (old, new) = (Signed::new("k1"), Signed::new("k1"));
    let stage = Stage::new(json!([old.jwk()]));
    let keys = stage.keys();
    assert!(present(&keys, &old).await.is_ok());
    stage.publish(json!([new.jwk()]));
    let published = Instant::now();
    while let Err(error) = present(&keys, &new).await {
        assert!(matches!(error, Error::SignatureInvalid { .. }), "{error}");
        sleep(secs(1)).await;
    }
    assert!(published.elapsed() <= NEW_KEY, "{:?}", published.elapsed());
    assert!(present(&keys, &old).await.is_err());
    assert_eq!(stage.fetches().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_waited_for_three_times_and_then_by_nobody() {
    let key = Signed::new("k1");
    let stage = Stage::new(json!([key.jwk()]));
    stage.mood(Mood::Hanging);
    let keys = stage.keys();
    for _ in 0..3 {
        let asked = Instant::now();
        away(present(&keys, &key).await);
        assert_eq!(asked.elapsed(), FETCH_BUDGET);
    }
    for _ in 0..600 {
        let asked = Instant::now();
        let wait = away(present(&keys, &key).await);
        assert_eq!(asked.elapsed(), Duration::ZERO);
        assert!(wait >= secs(1) && wait <= PAUSE, "{wait:?}");
        sleep(secs(1)).await;
    }
    let probes = &stage.fetches()[2..];
    assert!(probes.windows(2).all(|two| two[1] - two[0] >= PAUSE));
    assert!(probes.len() >= 600 / 31, "the breaker probes on");

    stage.mood(Mood::Up(secs(1)));
    let back = Instant::now();
    while present(&keys, &key).await.is_err() {
        sleep(secs(1)).await;
    }
    assert!(back.elapsed() <= NEW_KEY, "{:?}", back.elapsed());
    // Closed again: one failure more, and callers wait as at first.
    let unknown = Signed::new("k2");
    sleep(PAUSE).await;
    stage.mood(Mood::Hanging);
    let asked = Instant::now();
    away(present(&keys, &unknown).await);
    assert_eq!(asked.elapsed(), FETCH_BUDGET);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_for_one_fetch() {
    let key = Signed::new("k1");
    let stage = Stage::new(json!([key.jwk()]));
    stage.mood(Mood::Up(secs(1)));
    let keys = stage.keys();
    let seats = Pace::DEFAULT.waiters;
    let crowd = (0..seats + 10).map(|_| {
        let (keys, key) = (Arc::clone(&keys), Arc::clone(&key));
        tokio::spawn(async move {
            let asked = Instant::now();
            (present(&keys, &key).await, asked.elapsed())
        })
    });
    let mut sent_away = 0;
    for request in crowd.collect::<Vec<_>>() {
        match request.await.unwrap() {
            (Ok(()), waited) => assert_eq!(waited, secs(2)),
            (refused, waited) => {
                sent_away += 1;
                assert_eq!(waited, Duration::ZERO);
                assert_eq!(away(refused), secs(1));
            }
        }
    }
    assert_eq!(sent_away, 10);
    assert_eq!(stage.fetches().len(), 1);
}

/// Made-up key ids hold at most so many seats, and none once the breaker is open.
#[tokio::test(start_paused = true)]
async fn a_flood_at_a_provider_that_hangs_keeps_no_good_token_waiting() {
    let key = Signed::new("k1");
    let stage = Stage::new(json!([key.jwk()]));
    let keys = stage.keys();
    assert!(present(&keys, &key).await.is_ok());
    stage.mood(Mood::Hanging);
    sleep(PAUSE).await;
    let waiting = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let made_up = Signed::new("made-up");
    let mut most = [0, 0];
    for second in 0..200 {
        for _ in 0..100 {
            let (keys, made_up, waiting) = (keys.clone(), made_up.clone(), waiting.clone());
            waiting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::spawn(async move {
                away(present(&keys, &made_up).await);
                waiting.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            });
        }
        sleep(secs(1)).await;
        let asked = Instant::now();
        assert!(present(&keys, &key).await.is_ok());
        assert_eq!(asked.elapsed(), Duration::ZERO);
        let now = waiting.load(std::sync::atomic::Ordering::SeqCst);
        let phase = usize::from(second > 100);
        most[phase] = most[phase].max(now);
    }
    // Three fetches, thirty seconds apart, and then nobody waits for the next.
    assert_eq!(most, [Pace::DEFAULT.waiters, 0]);
}

#[tokio::test(start_paused = true)]
async fn somebody_looks_after_keys_that_nobody_asks_for() {
    let stage = Stage::new(json!([Signed::new("k1").jwk()]));
    let keys = stage.keys();
    keys.attend();
    for _ in 0..6 {
        sleep(secs(600)).await;
        let age = keys.ages()[0].1.expect("keys are there");
        assert!(age <= secs(600) + ATTEND_EVERY, "{age:?}");
    }
    assert_eq!(stage.fetches().len(), 6);
    // A provider away is asked at the breaker's pace, and noticed when it is back.
    stage.mood(Mood::Down);
    sleep(secs(3600)).await;
    assert_eq!(keys.ages()[0].1, None);
    stage.mood(Mood::Up(Duration::ZERO));
    sleep(NEW_KEY).await;
    assert!(keys.ages()[0].1.is_some());
    drop(keys);
    let so_far = stage.fetches().len();
    sleep(secs(3600)).await;
    assert_eq!(
        stage.fetches().len(),
        so_far,
        "nobody is left to look after them for"
    );
}

/// The stages of a key's life that the book keeps: from when to when it was in a set that could
/// be used, and whether that set could be had.
struct Entry {
    signed: Arc<Signed>,
    published: Vec<(Instant, Option<Instant>)>,
    within_reach: Vec<(Instant, Option<Instant>)>,
}

impl Entry {
    fn note(spans: &mut Vec<(Instant, Option<Instant>)>, holds: bool) {
        let now = Instant::now();
        match (spans.last_mut(), holds) {
            (Some((_, None)), true) | (None, false) | (Some((_, Some(_))), false) => {}
            (Some((_, end @ None)), false) => *end = Some(now),
            (Some((_, Some(_))) | None, true) => spans.push((now, None)),
        }
    }

    fn was_published_since(&self, then: Option<Instant>) -> bool {
        let since = |end: &Option<Instant>| match (end, then) {
            (Some(end), Some(then)) => *end >= then,
            (None, _) | (_, None) => true,
        };
        self.published.iter().any(|(_, end)| since(end))
    }

    fn within_reach_for(&self) -> Option<Duration> {
        match self.within_reach.last() {
            Some((from, None)) => Some(from.elapsed()),
            Some((_, Some(_))) | None => None,
        }
    }
}

/// Chance with a seed, so that a failure can be looked at again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

/// What the provider makes of the keys of the moment: the set, and which of them are good in it.
fn next_set(dice: &mut Dice, all: &[Arc<Signed>]) -> (Json, Vec<bool>) {
    let mut set = Vec::new();
    let mut fit = Vec::new();
    for (at, signed) in all.iter().enumerate() {
        let mut jwk = signed.jwk();
        match dice.roll(12) {
            0..=4 => continue,
            5 => jwk["d"] = json!("AQ"),
            6 => jwk["use"] = json!("enc"),
            7 => jwk["alg"] = json!("HS256"),
            8 => {
                set.push(jwk.clone());
                fit.extend([at, at]);
            }
            _ => fit.push(at),
        }
        set.push(jwk);
    }
    // Two fit keys of one name are none; an unfit one does not take its namesake along.
    let namesakes = |at: usize| {
        fit.iter()
            .filter(|other| all[**other].kid == all[at].kid)
            .count()
    };
    let good = (0..all.len()).map(|at| fit.contains(&at) && namesakes(at) == 1);
    match dice.roll(8) {
        0 => (json!([]), vec![false; all.len()]),
        1 => (json!(vec![all[0].jwk(); 65]), vec![false; all.len()]),
        2 => {
            let good = good.collect();
            set.push(json!({ "kty": "oct", "kid": "shared", "k": "AAAA" }));
            (json!(set), good)
        }
        _ => (json!(set), good.collect()),
    }
}

/// Rotated, emptied, duplicated, poisoned, and the provider down, hanging or babbling between,
/// while every token is presented every second.
#[tokio::test(start_paused = true)]
async fn whatever_a_provider_does_no_good_token_waits_long_and_no_bad_one_passes() {
    for seed in 1..=2 {
        let mut dice = Dice(seed);
        let names = ["a", "b", "c", "a", "d"];
        let all: Vec<_> = names.iter().map(|name| Signed::new(name)).collect();
        let stage = Stage::new(json!([all[0].jwk(), all[1].jwk()]));
        let keys = stage.keys();
        let blank = |signed: &Arc<Signed>| Entry {
            signed: Arc::clone(signed),
            published: Vec::new(),
            within_reach: Vec::new(),
        };
        let book: Vec<_> = all.iter().map(blank).collect();
        let book = Arc::new(Mutex::new(book));
        let never = Signed::new("never");
        let mut accepted = 0;
        let mut asking = Vec::new();
        for _ in 0..24 {
            let (set, good) = next_set(&mut dice, &all);
            let mood = match dice.roll(9) {
                0 => Mood::Down,
                1 => Mood::Hanging,
                2 => Mood::Garbled,
                3 => Mood::WrongIssuer,
                slow => Mood::Up(Duration::from_millis(slow as u64 * 150)),
            };
            let up = matches!(mood, Mood::Up(_));
            for (entry, good) in book.lock().unwrap().iter_mut().zip(&good) {
                Entry::note(&mut entry.published, *good);
                Entry::note(&mut entry.within_reach, *good && up);
            }
            stage.publish(set);
            stage.mood(mood);
            let lasts = [7, 40, 40, 90, 90, 200, 1000][dice.roll(7)];
            for _ in 0..lasts {
                for at in 0..all.len() {
                    let (keys, book) = (Arc::clone(&keys), Arc::clone(&book));
                    asking.push(tokio::spawn(async move {
                        let signed = Arc::clone(&book.lock().unwrap()[at].signed);
                        let reach = book.lock().unwrap()[at].within_reach_for();
                        let answer = present(&keys, &signed).await;
                        let kid = &signed.kid;
                        let book = book.lock().unwrap();
                        if answer.is_ok() {
                            let then = Instant::now().checked_sub(OLD_KEY);
                            assert!(
                                book[at].was_published_since(then),
                                "{kid} passed, seed {seed}"
                            );
                        } else if let Some(reach) = reach {
                            assert!(
                                reach <= NEW_KEY,
                                "{kid} after {reach:?}, seed {seed}: {answer:?}"
                            );
                        }
                        u32::from(answer.is_ok())
                    }));
                }
                assert!(present(&keys, &never).await.is_err());
                sleep(secs(1)).await;
            }
        }
        for one in asking {
            accepted += one.await.unwrap();
        }
        assert!(accepted > 500, "seed {seed} proves little: {accepted}");
        let fetches = stage.fetches();
        let short = fetches
            .windows(2)
            .filter(|two| two[1] - two[0] < PAUSE)
            .count();
        let gap = fetches.windows(2).map(|two| two[1] - two[0]).min();
        assert!(gap >= Some(secs(5)), "{gap:?}");
        assert!(
            short * 10 <= fetches.len(),
            "{short} of {} fetches came early",
            fetches.len()
        );
    }
}
