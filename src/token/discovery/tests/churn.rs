//! A key set that changes under requests: rotated, emptied, duplicated, poisoned.
//!
//! In each of these a crowd presents one key's tokens twice a second, on a clock that the
//! test owns, and forgers present theirs between. `bounds` throws dice over the same; here each
//! change stands alone, with what is exactly due to whom.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::bounds::{Mood, NEW_KEY, OLD_KEY, Signed, Stage, present, secs, unknown};
use crate::token::discovery::*;
use crate::token::{Error, KeyError};

/// Between two requests of a crowd: no divisor of anything else here.
const EVERY: Duration = Duration::from_millis(530);

/// Who presents what, over and over, until dropped.
struct Crowd {
    /// Every request, or the reason that one was answered with what it must not be.
    requests: Vec<JoinHandle<()>>,
    answered: Arc<AtomicUsize>,
}

impl Crowd {
    fn new() -> Self {
        Self {
            requests: Vec::new(),
            answered: Arc::default(),
        }
    }

    /// Presents this token for ever; `judge` looks at each answer, and at how long it took.
    fn presents(
        &mut self,
        keys: &Arc<HttpKeys>,
        signed: &Arc<Signed>,
        judge: fn(Result<(), Error>, Duration),
    ) {
        let (keys, signed) = (Arc::clone(keys), Arc::clone(signed));
        let answered = Arc::clone(&self.answered);
        self.requests.push(tokio::spawn(async move {
            let mut under_way = tokio::task::JoinSet::new();
            loop {
                let (keys, signed) = (keys.clone(), signed.clone());
                let answered = answered.clone();
                under_way.spawn(async move {
                    let asked = Instant::now();
                    judge(present(&keys, &signed).await, asked.elapsed());
                    answered.fetch_add(1, Ordering::Relaxed);
                });
                while let Some(ended) = under_way.try_join_next() {
                    ended.expect("judged well");
                }
                sleep(EVERY).await;
            }
        }));
    }

    /// Its tokens always pass, and at once.
    fn is_served(&mut self, keys: &Arc<HttpKeys>, signed: &Arc<Signed>) {
        self.presents(keys, signed, |answer, took| {
            assert!(answer.is_ok(), "a good token: {answer:?}");
            assert_eq!(took, Duration::ZERO, "a good token waited");
        });
    }

    /// Its tokens never pass.
    fn is_refused(&mut self, keys: &Arc<HttpKeys>, signed: &Arc<Signed>) {
        self.presents(keys, signed, |answer, _| {
            assert!(answer.is_err(), "a bad token passed");
        });
    }

    /// Ends it; nobody was judged wrongly, and somebody was judged.
    async fn leaves(self, at_least: usize) {
        for request in self.requests {
            request.abort();
            match request.await {
                Err(ended) if ended.is_cancelled() => {}
                ended => panic!("a request ended by itself: {ended:?}"),
            }
        }
        let answered = self.answered.load(Ordering::Relaxed);
        assert!(answered >= at_least, "{answered} answers prove little");
    }
}

/// Presents it until it passes; how long that took.
async fn until_accepted(keys: &HttpKeys, signed: &Signed) -> Duration {
    let from = Instant::now();
    while present(keys, signed).await.is_err() {
        assert!(from.elapsed() < secs(3600), "never accepted");
        sleep(EVERY).await;
    }
    from.elapsed()
}

/// Keys that are read: one stays for ever, and forgers are there from the start.
async fn scene(stays: &Arc<Signed>) -> (Arc<Stage>, Arc<HttpKeys>, Crowd) {
    let stage = Stage::new(json!([stays.jwk()]));
    stage.mood(Mood::Up(Duration::from_millis(700)));
    let keys = stage.keys();
    present(&keys, stays).await.expect("the first request");
    keys.attend();
    let mut crowd = Crowd::new();
    crowd.is_served(&keys, stays);
    // Under names that are published, or will be.
    for kid in ["stays", "new-0", "twice", "poison"] {
        crowd.is_refused(&keys, &Signed::new(kid));
    }
    (stage, keys, crowd)
}

#[tokio::test(start_paused = true)]
async fn a_set_that_rotates_under_load_serves_each_key_in_time_and_drops_it_in_time() {
    let stays = Signed::new("stays");
    let (stage, keys, crowd) = scene(&stays).await;
    let mut withdrawn: Option<(Arc<Signed>, Instant)> = None;
    for round in 0..8 {
        let new = Signed::new(&format!("new-{round}"));
        stage.publish(json!([new.jwk(), stays.jwk()]));
        let took = until_accepted(&keys, &new).await;
        assert!(took <= NEW_KEY, "round {round}: {took:?}");
        // Whoever read the new one no longer has the old one.
        if let Some((old, since)) = withdrawn.replace((new, Instant::now())) {
            assert!(unknown(&present(&keys, &old).await), "round {round}");
            assert!(since.elapsed() <= OLD_KEY);
        }
        sleep(secs([3, 31, 300][round % 3])).await;
    }
    crowd.leaves(5_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_withdrawn_under_load_is_dead_in_fifteen_minutes() {
    let (stays, gone) = (Signed::new("stays"), Signed::new("gone"));
    let (stage, keys, crowd) = scene(&stays).await;
    stage.publish(json!([stays.jwk(), gone.jwk()]));
    until_accepted(&keys, &gone).await;
    stage.publish(json!([stays.jwk()]));
    sleep(OLD_KEY).await;
    assert!(unknown(&present(&keys, &gone).await));
    crowd.leaves(5_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_emptied_for_ten_minutes_costs_no_good_token_anything() {
    let stays = Signed::new("stays");
    let (stage, keys, crowd) = scene(&stays).await;
    let new = Signed::new("new-0");
    for empty in [
        json!([]),
        json!([{ "kty": "oct", "kid": "stays", "k": "AAAA" }]),
    ] {
        stage.publish(empty);
        sleep(secs(600)).await;
        // A set without a usable key is no set: nobody knows whether there is a new one.
        let answer = present(&keys, &new).await;
        assert!(
            matches!(&answer, Err(Error::Key(KeyError::Unavailable { .. }))),
            "{answer:?}"
        );
        stage.publish(json!([stays.jwk()]));
        sleep(NEW_KEY).await;
    }
    stage.publish(json!([stays.jwk(), new.jwk()]));
    let took = until_accepted(&keys, &new).await;
    assert!(took <= NEW_KEY, "{took:?}");
    crowd.leaves(5_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_stays_empty_ends_every_key_after_fifteen_minutes_and_not_before() {
    let key = Signed::new("stays");
    let (stage, keys, crowd) = scene(&key).await;
    // As if just read: fetched anew for a key that is not there.
    sleep(secs(31)).await;
    stage.publish(json!([]));
    let read = stage.fetches().last().copied().expect("read before");
    sleep(OLD_KEY.saturating_sub(read.elapsed() + secs(1))).await;
    crowd.leaves(500).await;
    sleep(secs(1)).await;
    let answer = present(&keys, &key).await;
    assert!(
        matches!(&answer, Err(Error::Key(KeyError::Unavailable { .. }))),
        "{answer:?}"
    );
    stage.publish(json!([key.jwk()]));
    let took = until_accepted(&keys, &key).await;
    assert!(took <= NEW_KEY, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn two_keys_of_one_name_are_neither_and_their_neighbours_notice_nothing() {
    let stays = Signed::new("stays");
    let (stage, keys, crowd) = scene(&stays).await;
    let (one, other) = (Signed::new("twice"), Signed::new("twice"));
    stage.publish(json!([one.jwk(), stays.jwk()]));
    assert!(until_accepted(&keys, &one).await <= NEW_KEY);
    stage.publish(json!([one.jwk(), other.jwk(), stays.jwk()]));
    // Until it is read the old set counts; then neither passes.
    let published = Instant::now();
    while present(&keys, &one).await.is_ok() {
        assert!(published.elapsed() <= OLD_KEY);
        sleep(EVERY).await;
    }
    for either in [&one, &other, &one] {
        assert!(unknown(&present(&keys, either).await));
        sleep(secs(40)).await;
    }
    stage.publish(json!([other.jwk(), stays.jwk()]));
    assert!(until_accepted(&keys, &other).await <= NEW_KEY);
    assert!(present(&keys, &one).await.is_err());
    crowd.leaves(500).await;
}

/// What must not verify anything, though its private half is in somebody's hands.
fn poisons(poison: &Signed) -> Vec<Json> {
    let with = |member: &str, value: Json| {
        let mut jwk = poison.jwk();
        jwk[member] = value;
        jwk
    };
    vec![
        with("d", json!("AQ")),
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("HS256")),
        with("alg", json!("none")),
        with("kty", json!("oct")),
        with("crv", json!("secp256k1")),
        with("x", json!("AAAA")),
        json!({ "kty": "oct", "kid": "poison", "k": poison.jwk()["x"] }),
        json!("poison"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_set_verifies_nothing_with_the_poison_and_everything_else_as_before() {
    let stays = Signed::new("stays");
    let (stage, keys, mut crowd) = scene(&stays).await;
    let poison = Signed::new("poison");
    crowd.is_refused(&keys, &poison);
    for (round, bad) in (0..).zip(poisons(&poison)) {
        let new = Signed::new(&format!("new-{round}"));
        stage.publish(json!([bad, new.jwk(), stays.jwk()]));
        let took = until_accepted(&keys, &new).await;
        assert!(took <= NEW_KEY, "beside {bad}: {took:?}");
        assert!(unknown(&present(&keys, &poison).await), "{bad}");
    }
    // And what is no set of keys at all: the last good one counts.
    for mood in [Mood::Garbled, Mood::WrongIssuer, Mood::Hanging, Mood::Down] {
        stage.mood(mood);
        sleep(secs(200)).await;
    }
    stage.mood(Mood::Up(Duration::ZERO));
    sleep(NEW_KEY).await;
    // More keys than a set may have, the poison among them in good form.
    let crowded: Vec<Json> = (0..64)
        .map(|n| Signed::new(&format!("n{n}")).jwk())
        .chain([poison.jwk()])
        .collect();
    stage.publish(json!(crowded));
    sleep(secs(600)).await;
    crowd.leaves(5_000).await;
}

/// The same on all cores and by the real clock, a change every millisecond: whoever reads while a
/// set is replaced sees one set or the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_set_replaced_while_it_is_read_is_one_set_or_the_other() {
    const PACE: Pace = Pace {
        pause: Duration::from_micros(100),
        pause_without_keys: Duration::from_micros(100),
        refresh_after: Duration::ZERO,
        ..Pace::DEFAULT
    };
    let (stays, sometimes, never) = (
        Signed::new("stays"),
        Signed::new("sometimes"),
        Signed::new("sometimes"),
    );
    let stage = Stage::new(json!([stays.jwk()]));
    let keys = stage.keys_at(PACE);
    present(&keys, &stays).await.expect("the first request");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let keys = Arc::clone(&keys);
        let (stays, sometimes, never) = (stays.clone(), sometimes.clone(), never.clone());
        asking.spawn(async move {
            let mut seen = [0, 0];
            for _ in 0..300 {
                let answer = present(&keys, &stays).await;
                assert!(answer.is_ok(), "a good token: {answer:?}");
                seen[usize::from(present(&keys, &sometimes).await.is_ok())] += 1;
                assert!(present(&keys, &never).await.is_err(), "a bad token passed");
            }
            seen
        });
    }
    let sets = [
        json!([stays.jwk(), sometimes.jwk()]),
        json!([]),
        json!([sometimes.jwk(), stays.jwk(), sometimes.jwk()]),
        json!([{ "kty": "oct", "kid": "sometimes", "k": "AAAA" }, stays.jwk()]),
    ];
    let changes = async {
        for set in sets.iter().cycle() {
            stage.publish(set.clone());
            sleep(Duration::from_millis(1)).await;
        }
    };
    let seen = async {
        let mut seen = [0, 0];
        while let Some(one) = asking.join_next().await {
            let [refused, accepted] = one.expect("judged well");
            seen = [seen[0] + refused, seen[1] + accepted];
        }
        seen
    };
    let [refused, accepted] = tokio::select! {
        seen = seen => seen,
        () = changes => unreachable!("it never ends"),
    };
    assert!(refused > 0 && accepted > 0, "{refused} and {accepted}");
}
