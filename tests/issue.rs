//! Issuing, in a world of its own: what a certificate is, and the rules that hold around it.

#[path = "world/secrets.rs"]
mod secrets;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use shortleaf::instance::{self, Blueprint, Listeners};
use shortleaf::issuance::{CtMode, ORPHAN_AFTER_S, Service};
use shortleaf::store::memory::MemoryStore;
use world::World;
use world::issuer::Identity;
use world::subject::{Kind, Subject};

#[tokio::test]
async fn every_key_gets_a_certificate_for_every_identity() {
    let world = World::new();
    for kind in Kind::ALL {
        let subject = Subject::generate(kind);
        for identity in Identity::ALL {
            let issued = world.ask(world.request(identity, &subject)).await;
            assert!(issued.is_ok(), "{kind:?}, {identity:?}: {:?}", issued.err());
        }
    }
    assert_eq!(world.logged(), 21);
    world.check().await;
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_certificate() {
    let world = World::new();
    let subject = Subject::generate(Kind::P256);
    let token = world.token(Identity::Github);
    let challenge = Identity::Github.challenge();
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = world.request_with(token.clone(), &subject, &challenge);
        answers.push(world.ask(request).await.expect("a certificate"));
    }
    assert_eq!(answers[0].leaf_der, answers[1].leaf_der);
    assert_eq!((answers[0].repeated, answers[1].repeated), (false, true));
    assert_eq!(world.logged(), 1);
    world.check().await;
}

#[tokio::test]
async fn a_refused_request_leaves_no_signature() {
    let world = World::new();
    let subject = Subject::generate(Kind::P256);
    // The proof is over another name.
    let token = world.token(Identity::Github);
    let request = world.request_with(token, &subject, "repo:octo-org/other:ref:refs/heads/main");
    let error = world.ask(request).await.expect_err("a wrong proof");
    assert_eq!(error.reason().as_str(), "PROOF_INVALID");
    assert_eq!(world.trail(), ["refused"]);
    assert_eq!(world.logged(), 0);
    world.check().await;
}

#[tokio::test]
async fn a_token_is_too_old_after_its_time() {
    let world = World::new();
    let request = world.request(Identity::Email, &Subject::generate(Kind::Ed25519));
    world.advance(400);
    let error = world.ask(request).await.expect_err("an expired token");
    assert_eq!(error.reason().as_str(), "TOKEN_EXPIRED");
    world.check().await;
}

#[tokio::test]
async fn two_worlds_are_the_same_world() {
    let serial = |issued: shortleaf::issuance::Issued| issued.serial;
    let one = serial(World::new().certificate(Identity::Email).await);
    let other = serial(World::new().certificate(Identity::Email).await);
    assert_eq!(one, other);
}

#[tokio::test]
async fn what_never_ended_is_reported_by_the_start_that_follows() {
    let mut parts = None;
    let world = World::with(|usual| parts = Some(usual.clone()));
    let parts = parts.expect("the world's parts");
    let mut unlogged = parts.clone();
    unlogged.ct = CtMode::Required {
        logs: Vec::new(),
        deadline: Duration::from_secs(1),
    };
    let request = world.request(Identity::Email, &Subject::generate(Kind::P256));
    let refused = Service::new(unlogged).issue(request, world.now()).await;
    assert_eq!(
        refused.expect_err("no log").reason().as_str(),
        "CT_LOG_UNAVAILABLE"
    );
    world.advance(ORPHAN_AFTER_S.unsigned_abs() + 1);
    assert!(!world.trail().contains(&"abandoned"));

    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listeners = Listeners::bind(anywhere, anywhere).await;
    let entropy = parts.entropy.clone();
    let blueprint = Blueprint {
        public_url: None,
        tls: None,
        terms: None,
        look_every: instance::LOOK_EVERY,
        hops: Default::default(),
        connections_per_address: None,
        drain: Duration::from_secs(1),
        issuance: parts,
        issuers: Vec::new(),
        key_states: Arc::new(Vec::new),
        logs: Vec::new(),
        clock: world.clock(),
        entropy,
        configuration: None,
    };
    let running = instance::start(blueprint, listeners.expect("two ports")).expect("it starts");
    let reported = async {
        while !world.trail().contains(&"abandoned") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let reported = tokio::time::timeout(Duration::from_secs(60), reported).await;
    reported.expect("a line about what was left");
    running.stop().await;
}

/// The world's own check must be able to fail.
#[tokio::test]
#[should_panic(expected = "signed before its intent was stored")]
async fn a_signature_without_a_record_is_found() {
    let world = World::with(|parts| parts.store = Arc::new(MemoryStore::new()));
    world.certificate(Identity::Email).await;
    world.check().await;
}
