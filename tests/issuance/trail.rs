//! What the audit log says of decisions: whom each is about, as far as that was proven by then.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shortleaf::fault::Reason;
use shortleaf::hex;
use shortleaf::issuance::{Proof, Request};
use shortleaf::rates::memory::MemoryCounter;
use shortleaf::rates::{Limit, Limits, Rates};
use shortleaf::time::UnixMillis;

use crate::issuer::{email_claims, merge};
use crate::samples::NOW;
use crate::subject::Subject;
use crate::world::{ISSUER, Line, World, key, now, request};

const JANE: &str = "email:jane@example.com";

/// The members of a line, without those every line has.
fn said(line: &Line) -> Value {
    let fields = line.fields.iter();
    fields
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect()
}

fn last(world: &World) -> (&'static str, Value) {
    let line = world.audit.lines().pop().unwrap();
    (line.kind, said(&line))
}

/// A request of the person with this address, who signs it with this key.
fn of(world: &World, email: &str, key: &Subject) -> Request {
    let mut claims = email_claims();
    merge(&mut claims, json!({ "email": email, "sub": email }));
    Request {
        token: world.issuer.token(claims, NOW.0),
        proof: Proof::Signature {
            public_key: key.spki_der().to_vec(),
            signature: key.prove(email),
        },
        request_id: "r".to_owned(),
    }
}

#[tokio::test]
async fn the_line_of_an_issued_certificate_says_who_has_it() {
    let world = World::new();
    let (token, key) = (world.token(), key());
    let asked = request(&token, &key, "r-1");
    let issued = world.service().issue(asked, now()).await.unwrap();
    let expected = json!({
        "serial": issued.serial.to_string(),
        "ca": hex::encode(&world.parts.terms.authority.id().0),
        "issuer": ISSUER,
        "subject": "248289761001",
        "san": JANE,
        "key": hex::encode(&issued.spki_hash),
        "not_after": issued.not_after.to_string(),
        "repeated": "false",
    });
    assert_eq!(last(&world), ("issued", expected));
}

#[tokio::test]
async fn a_stored_answer_says_the_same_of_whom() {
    let world = World::new();
    let (token, key, service) = (world.token(), key(), world.service());
    for id in ["r-1", "r-2"] {
        let asked = request(&token, &key, id);
        service.issue(asked, now()).await.unwrap();
    }
    let lines = world.audit.lines();
    let decisions = lines.iter().filter(|line| line.kind == "issued").map(said);
    let [first, again] = <[Value; 2]>::try_from(decisions.collect::<Vec<_>>()).unwrap();
    let mut repeated = first;
    merge(&mut repeated, json!({ "repeated": "true" }));
    assert_eq!(again, repeated);
}

#[tokio::test]
async fn a_refusal_names_only_what_was_proven_by_then() {
    let world = World::new();
    let good = || request(&world.token(), &key(), "r-1");
    let claimed = |over: Value| {
        let mut claims = email_claims();
        merge(&mut claims, over);
        world.issuer.token(claims, NOW.0)
    };
    for (asked, expected) in [
        // His token, and no identity in it.
        (
            Request {
                token: claimed(json!({ "email_verified": false })),
                ..good()
            },
            json!({ "reason": "EMAIL_UNVERIFIED", "issuer": ISSUER, "subject": "248289761001" }),
        ),
        // An identity, and no proof.
        (
            Request {
                proof: Proof::Csr(Vec::new()),
                ..good()
            },
            json!({ "reason": "CSR_MALFORMED", "issuer": ISSUER, "subject": "248289761001", "san": JANE }),
        ),
    ] {
        let refused = world.service().issue(asked, now()).await.unwrap_err();
        assert_eq!(last(&world), ("refused", expected), "{refused}");
    }
}

/// Requests of nobody we know: no token at all, one of an issuer that is nobody, and one of ours
/// that is not for us.
fn strangers(world: &World) -> [Request; 3] {
    let claimed = |over: Value| {
        let mut claims = email_claims();
        merge(&mut claims, over);
        world.issuer.token(claims, NOW.0)
    };
    [
        "x".to_owned(),
        claimed(json!({ "iss": "https://other.example" })),
        claimed(json!({ "aud": "other" })),
    ]
    .map(|token| request(&token, &key(), "r-1"))
}

fn later(seconds: u64) -> UnixMillis {
    UnixMillis(now().0 + seconds * 1000)
}

#[tokio::test]
async fn refusals_of_strangers_are_told_together_by_their_reasons() {
    let world = World::new();
    let service = world.service();
    for (second, asked) in (1..).zip(strangers(&world).into_iter().chain(strangers(&world))) {
        service.issue(asked, later(second)).await.unwrap_err();
    }
    assert_eq!(world.audit.kinds(), [] as [&str; 0]);
    service.sweep(later(60)).await.unwrap();
    let expected = json!({
        "since": later(1).to_string(),
        "TOKEN_AUDIENCE_MISMATCH": "2",
        "TOKEN_ISSUER_UNKNOWN": "2",
        "TOKEN_MALFORMED": "2",
    });
    assert_eq!(last(&world), ("refusals", expected));
    // Once.
    service.sweep(later(120)).await.unwrap();
    assert_eq!(world.audit.kinds(), ["refusals"]);
}

#[tokio::test]
async fn who_asks_too_often_is_counted_and_not_told_each_time() {
    let mut world = World::new();
    let limit = Limit::new(1, Duration::from_secs(3600), 1).unwrap();
    world.parts.rates = Rates {
        limits: Limits {
            per_identity: Some(limit),
            ..Limits::OFF
        },
        counter: Arc::new(MemoryCounter::new(|| Duration::ZERO)),
    };
    let service = world.service();
    for _ in 0..4 {
        let _ = service
            .issue(request(&world.token(), &key(), "r"), now())
            .await;
    }
    assert_eq!(world.audit.kinds().last(), Some(&"issued"));
    service.stopped(later(1)).unwrap();
    let lines = world.audit.lines();
    let [.., counted, stop] = &lines[..] else {
        panic!("{} lines", lines.len())
    };
    assert_eq!((counted.kind, stop.kind), ("refusals", "stop"));
    let expected = json!({ "since": now().to_string(), "RATE_LIMITED": "3" });
    assert_eq!(said(counted), expected);
}

#[tokio::test]
async fn counted_refusals_whose_line_cannot_be_written_are_in_the_next_one() {
    let world = World::new();
    let service = world.service();
    let [asked, ..] = strangers(&world);
    service.issue(asked, now()).await.unwrap_err();
    *world.audit.room_for.lock().unwrap() = Some(0);
    let failed = service.sweep(later(60)).await.unwrap_err();
    assert_eq!(failed.reason(), Reason::StoreUnavailable);
    let [asked, ..] = strangers(&world);
    service.issue(asked, later(61)).await.unwrap_err();
    *world.audit.room_for.lock().unwrap() = None;
    service.sweep(later(120)).await.unwrap();
    let expected = json!({ "since": now().to_string(), "TOKEN_MALFORMED": "2" });
    assert_eq!(last(&world), ("refusals", expected));
}

#[tokio::test]
async fn a_key_seen_under_another_identity_is_flagged() {
    let world = World::new();
    let (service, key) = (world.service(), key());
    let jane = of(&world, "jane@example.com", &key);
    assert!(!service.issue(jane, now()).await.unwrap().key_of_another);
    let joe = of(&world, "joe@example.com", &key);
    assert!(service.issue(joe, now()).await.unwrap().key_of_another);
    assert_eq!(last(&world).1["flag"], "key_of_another_identity");
}

#[tokio::test]
async fn a_key_seen_again_under_its_own_identity_is_not() {
    let world = World::new();
    let (service, key) = (world.service(), key());
    for _ in 0..2 {
        let jane = of(&world, "jane@example.com", &key);
        assert!(!service.issue(jane, now()).await.unwrap().key_of_another);
    }
    assert_eq!(last(&world).1.get("flag"), None);
}
