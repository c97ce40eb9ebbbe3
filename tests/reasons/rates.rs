//! Too much, too fast: who is told to come back later, when, and who is not.

use std::time::Duration;

use serde_json::json;
use shortleaf::issuance::Parts;
use shortleaf::rates::{Limit, Limits};
use shortleaf::server::{Front, Hops};

use crate::ask::{Ask, Door, Proof};
use crate::faults::{Call, Fault};
use crate::house::{Answer, House, exchange};
use crate::world::issuer::Identity;
use crate::world::subject::{Kind, Subject};

/// So many at once, and one more every ten seconds.
fn bursts_of(burst: u32) -> Option<Limit> {
    Limit::new(1, Duration::from_secs(10), burst).ok()
}

fn per_address(burst: u32) -> impl FnOnce(&mut Parts) {
    move |parts| parts.rates.limits.per_address = bursts_of(burst)
}

fn per_issuer(burst: u32) -> impl FnOnce(&mut Parts) {
    move |parts| parts.rates.limits.per_issuer = bursts_of(burst)
}

fn per_identity(burst: u32) -> impl FnOnce(&mut Parts) {
    move |parts| parts.rates.limits.per_identity = bursts_of(burst)
}

/// A house that believes whoever connects from 127.0.0.0/8 about whom they speak for.
async fn behind_a_proxy(change: impl FnOnce(&mut Parts)) -> House {
    let front = Front {
        hops: Hops::new([([127, 0, 0, 0].into(), 8)], false),
        ..Front::default()
    };
    House::behind(front, change).await
}

/// The same request, as a proxy passes it on for this client.
async fn forwarded(house: &House, client: &str, ask: &Ask) -> Answer {
    let header = format!("x-forwarded-for: {client}\r\nhost:");
    exchange(house.at, &ask.http(Door::V2).replacen("host:", &header, 1)).await
}

/// What a refusal says of the limit, and of the time to come back.
fn told(answer: &Answer) -> (u16, String, String, Option<String>) {
    let body = answer.json();
    let limit = body["details"][0]["metadata"]["limit"].as_str();
    (
        answer.status,
        body["code"].to_string(),
        limit.unwrap_or_default().to_owned(),
        answer.header("retry-after").map(str::to_owned),
    )
}

fn too_often(limit: &str, seconds: &str) -> (u16, String, String, Option<String>) {
    let seconds = Some(seconds.to_owned());
    (429, "8".to_owned(), limit.to_owned(), seconds)
}

#[tokio::test]
async fn over_each_limit_the_answer_says_when_to_come_back_and_then_there_is_a_certificate() {
    type Change = fn(&mut Limits);
    let dimensions: [(&str, Change); 3] = [
        ("address", |limits| limits.per_address = bursts_of(2)),
        ("issuer", |limits| limits.per_issuer = bursts_of(2)),
        ("identity", |limits| limits.per_identity = bursts_of(2)),
    ];
    for (limit, change) in dimensions {
        for door in Door::BOTH {
            let house = House::with(|parts| change(&mut parts.rates.limits)).await;
            for _ in 0..2 {
                let answer = house.ask(door, &house.good()).await;
                assert_eq!(answer.status, door.good_status(), "{limit}: {answer:?}");
            }
            let ask = house.good();
            assert_eq!(told(&house.ask(door, &ask).await), too_often(limit, "10"));
            house.world.advance(9);
            assert_eq!(told(&house.ask(door, &ask).await), too_often(limit, "1"));
            house.world.advance(1);
            let answer = house.ask(door, &ask).await;
            assert_eq!(answer.status, door.good_status(), "{limit}: {answer:?}");
            let counted = format!("shortleaf_rate_limited_total{{limit=\"{limit}\"}} 2");
            assert!(house.metrics.render().contains(&counted));
            house.check().await;
        }
    }
}

#[tokio::test]
async fn who_floods_is_told_to_slow_down_and_others_are_served() {
    let house = behind_a_proxy(per_address(3)).await;
    let (flooder, other) = ("198.51.100.7", "198.51.100.8");
    for n in 0..30 {
        let answer = forwarded(&house, flooder, &house.good()).await;
        assert_eq!(answer.status, if n < 3 { 200 } else { 429 }, "{answer:?}");
    }
    let event = house.told().pop().unwrap();
    let (reason, client) = (&event["reason"], &event["client"]);
    assert_eq!((reason, client), (&json!("RATE_LIMITED"), &json!(flooder)));
    for _ in 0..3 {
        let answer = forwarded(&house, other, &house.good()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // The proxy itself is a client too.
    let answer = house.ask(Door::V2, &house.good()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // What the client wrote before it was forwarded makes it nobody else.
    let disguised = format!("203.0.113.1, {flooder}");
    let answer = forwarded(&house, &disguised, &house.good()).await;
    assert_eq!(told(&answer), too_often("address", "10"));
    house.check().await;
}

#[tokio::test]
async fn a_name_that_no_trusted_hop_gives_makes_no_new_client() {
    let house = House::with(per_address(3)).await;
    for n in 0..6 {
        let claimed = format!("198.51.100.{n}");
        let answer = forwarded(&house, &claimed, &house.good()).await;
        assert_eq!(answer.status, if n < 3 { 200 } else { 429 }, "{answer:?}");
    }
}

#[tokio::test]
async fn over_the_limit_of_an_address_nothing_is_looked_at() {
    let house = House::with(per_address(1)).await;
    let garbage = Ask {
        token: Some("a.b".to_owned()),
        ..house.good()
    };
    let first = house.ask(Door::V2, &garbage).await;
    assert_eq!(first.reason(), "TOKEN_MALFORMED");
    let second = house.ask(Door::V2, &garbage).await;
    assert_eq!(told(&second), too_often("address", "10"));
    let counted = |reason: &str| {
        let series = format!("reason=\"{reason}\"}} 1");
        assert!(house.metrics.render().contains(&series), "{series}");
    };
    counted("TOKEN_MALFORMED");
    counted("RATE_LIMITED");
}

#[tokio::test]
async fn a_forged_token_takes_nothing_from_the_identity_it_names() {
    let house = House::with(per_identity(1)).await;
    let (good, other) = (house.good(), house.good());
    let signed = |ask: &Ask| ask.token.clone().unwrap();
    let (input, signature) = (signed(&good), signed(&other));
    let (input, _) = input.rsplit_once('.').unwrap();
    let (_, signature) = signature.rsplit_once('.').unwrap();
    let forged = Ask {
        token: Some(format!("{input}.{signature}")),
        ..good.clone()
    };
    for _ in 0..5 {
        let answer = house.ask(Door::V2, &forged).await;
        assert_eq!(answer.reason(), "TOKEN_SIGNATURE_INVALID");
    }
    assert_eq!(house.ask(Door::V2, &good).await.status, 200);
    // Its twin, which is genuine, takes: the next one is over the limit.
    let answer = house.ask(Door::V2, &other).await;
    assert_eq!(told(&answer), too_often("identity", "10"));
}

#[tokio::test]
async fn one_identity_over_its_limit_leaves_others_of_its_issuer_alone() {
    let house = House::with(per_identity(1)).await;
    let of = |sub: &str| {
        let ask = house.with_claims(Identity::Github, json!({ "sub": sub }));
        (ask.clone(), ask.proven_by(Proof::of(&house.subject, sub)))
    };
    for (sub, status) in [("repo:a", 200), ("repo:a", 429), ("repo:b", 200)] {
        let (_, ask) = of(sub);
        assert_eq!(house.ask(Door::V2, &ask).await.status, status, "{sub}");
    }
}

#[tokio::test]
async fn a_refusal_for_the_issuer_takes_nothing_from_the_identity() {
    let house = House::with(|parts| {
        per_issuer(1)(parts);
        per_identity(2)(parts);
    })
    .await;
    assert_eq!(house.ask(Door::V2, &house.good()).await.status, 200);
    for _ in 0..3 {
        let answer = house.ask(Door::V2, &house.good()).await;
        assert_eq!(told(&answer), too_often("issuer", "10"));
    }
    // Had the refused ones counted, the identity would be the one that has to wait.
    house.world.advance(10);
    assert_eq!(house.ask(Door::V2, &house.good()).await.status, 200);
}

#[tokio::test]
async fn a_request_that_fails_for_our_reasons_does_not_count() {
    // Not while an issuer's keys are away: nobody has verified its tokens, forged ones among them.
    let faults = [
        Fault::StoreAway(Call::FindRetry),
        Fault::StoreAway(Call::PutIntent),
        Fault::SignerAwayAfter(0),
        Fault::SignerTalksNonsense,
        Fault::LogAway,
        Fault::LogRefuses,
        Fault::StoreDamaged,
        Fault::AuditAway("leaf_signed"),
        Fault::Panic,
    ];
    for fault in faults {
        let house = House::with(|parts| {
            per_address(1)(parts);
            per_issuer(1)(parts);
            per_identity(1)(parts);
        })
        .await;
        let ask = house.good();
        house.faults.set(fault);
        for _ in 0..3 {
            let answer = house.ask(Door::V2, &ask).await;
            assert!([500, 503].contains(&answer.status), "{fault:?}: {answer:?}");
        }
        house.faults.mend();
        let answer = house.ask(Door::V2, &ask).await;
        assert_eq!(answer.status, 200, "{fault:?}: {answer:?}");
        let answer = house.ask(Door::V2, &house.good()).await;
        assert_eq!(told(&answer), too_often("address", "10"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_request_that_fails_for_its_callers_reasons_counts() {
    let house = House::with(|parts| {
        per_address(2)(parts);
        per_identity(1)(parts);
    })
    .await;
    let elsewhere = Proof::of(&house.subject, "another challenge");
    let answer = house
        .ask(Door::V2, &house.good().proven_by(elsewhere))
        .await;
    assert_eq!(answer.reason(), "PROOF_INVALID");
    let answer = house.ask(Door::V2, &house.good()).await;
    assert_eq!(told(&answer), too_often("identity", "10"));
    let answer = house.ask(Door::V2, &house.good()).await;
    assert_eq!(told(&answer), too_often("address", "10"));
}

#[tokio::test]
async fn asking_again_for_the_same_certificate_is_not_counted_for_its_identity() {
    let house = House::with(per_identity(2)).await;
    let ask = house.good();
    for _ in 0..5 {
        let answer = house.ask(Door::V2, &ask).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(house.world.logged(), 1);
    assert_eq!(house.ask(Door::V2, &house.good()).await.status, 200);
    // The same token with another key is another request.
    let other = Proof::of(
        &Subject::generate(Kind::P256),
        &Identity::Github.challenge(),
    );
    let answer = house.ask(Door::V2, &ask.proven_by(other)).await;
    assert_eq!(told(&answer), too_often("identity", "10"));
}
