//! Other terms are taken while requests come: each request sees the ones it began with.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use shortleaf::ca::Authority;
use shortleaf::fault::Reason;
use shortleaf::hex;
use shortleaf::identity::{ClaimPath, Mapping};
use shortleaf::issuance::{Issued, Proof, Service, Terms};
use shortleaf::keys::DevelopmentCa;
use shortleaf::rules::RuleSet;
use shortleaf::system::SystemEntropy;
use shortleaf::x509::SignatureAlgorithm;

use crate::issuer::{email_claims, merge};
use crate::samples::NOW;
use crate::subject::Subject;
use crate::world::{ISSUER, Mood, World, key, now, request};

/// The world's terms with another CA.
fn with_another_ca(world: &World) -> Terms {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let made = DevelopmentCa::new(algorithm, NOW, &SystemEntropy).unwrap();
    Terms {
        authority: Arc::new(made.authority.with_profile(&world.parts.profile)),
        signer: Arc::new(made.signer),
        ..world.parts.terms.clone()
    }
}

fn rules(more: &str) -> Option<Arc<RuleSet>> {
    let text = format!(
        "[[allow]]\nname = \"all\"\nissuer = \"{ISSUER}\"\n\
         claims = {{ email_verified = true }}\n{more}\n"
    );
    Some(Arc::new(RuleSet::parse(&text).unwrap()))
}

async fn ask(service: &Service, token: &str, key: &Subject) -> Issued {
    let asked = request(token, key, "r-1");
    service.issue(asked, now()).await.unwrap()
}

fn is_of(issued: &Issued, authority: &Authority) -> bool {
    issued.chain == *authority.chain_der()
}

/// What the audit log says of each change.
fn changes(world: &World) -> Vec<Value> {
    let lines = world.audit.lines();
    let changes = lines.iter().filter(|line| line.kind == "terms");
    let fields = changes.map(|line| {
        let fields = line.fields.iter();
        fields
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect()
    });
    fields.collect()
}

#[tokio::test]
async fn a_request_under_way_goes_on_with_the_ca_it_began_with() {
    let world = World::new();
    let (service, old, new) = (world.service(), &world.parts.terms, with_another_ca(&world));
    world.log.set(Mood::Slow);
    let (token, key) = (world.token(), key());
    let key = Arc::new(key);
    let ask_beside = || {
        let (service, token, key) = (service.clone(), token.clone(), Arc::clone(&key));
        tokio::spawn(async move { ask(&service, &token, &key).await })
    };
    let under_way = ask_beside();
    while world.log.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    service.take(new.clone(), now()).unwrap();
    // Whoever asks for the same now is not served by what began before.
    let after = ask_beside();
    while world.log.asked.load(Ordering::SeqCst) == 1 {
        tokio::task::yield_now().await;
    }
    world.log.set(Mood::Well);
    let (before, after) = (under_way.await.unwrap(), after.await.unwrap());
    assert!(is_of(&before, &old.authority) && is_of(&after, &new.authority));
    assert!(!before.repeated && !after.repeated);
}

#[tokio::test]
async fn what_changes_is_in_the_audit_log_as_it_is_and_as_it_was() {
    let world = World::new();
    let (service, old, new) = (world.service(), &world.parts.terms, with_another_ca(&world));
    service.take(old.clone(), now()).unwrap();
    assert!(changes(&world).is_empty(), "nothing differs");
    service.take(new.clone(), now()).unwrap();
    let ruled = Terms {
        rules: rules(""),
        issuers_digest: Some([7; 32]),
        ..new.clone()
    };
    service.take(ruled.clone(), now()).unwrap();
    let again = Terms {
        rules: rules("max_lifetime = \"1m\""),
        ..ruled.clone()
    };
    service.take(again.clone(), now()).unwrap();
    let ca = |terms: &Terms| hex::encode(&terms.authority.id().0);
    let hash = |terms: &Terms| hex::encode(terms.rules.as_ref().unwrap().hash());
    let expected = [
        json!({ "ca": ca(&new), "ca_before": ca(old) }),
        json!({ "issuers": hex::encode(&[7; 32]), "rules": hash(&ruled) }),
        json!({ "rules": hash(&again), "rules_before": hash(&ruled) }),
    ];
    assert_eq!(changes(&world), expected);
}

#[tokio::test]
async fn terms_whose_line_cannot_be_written_are_not_taken() {
    let world = World::new();
    let (service, new) = (world.service(), with_another_ca(&world));
    *world.audit.room_for.lock().unwrap() = Some(0);
    assert!(service.take(new.clone(), now()).is_err());
    *world.audit.room_for.lock().unwrap() = None;
    let issued = ask(&service, &world.token(), &key()).await;
    assert!(is_of(&issued, &world.parts.terms.authority));
    service.take(new.clone(), now()).unwrap();
    let issued = ask(&service, &world.token(), &key()).await;
    assert!(is_of(&issued, &new.authority));
}

/// A certificate that was made of other terms is not what a repetition gets.
#[tokio::test]
async fn a_repetition_gets_what_it_would_get_now() {
    let world = World::new();
    let mut claims = email_claims();
    merge(
        &mut claims,
        json!({ "federated": { "issuer": "https://people.example" } }),
    );
    let (token, key, old) = (world.issuer.token(claims, NOW.0), key(), &world.parts.terms);
    let service = world.service();
    let first = ask(&service, &token, &key).await;
    let repeated = async |terms: Terms| {
        service.take(terms, now()).unwrap();
        ask(&service, &token, &key).await
    };
    let same = repeated(old.clone()).await;
    assert_eq!((same.repeated, same.serial), (true, first.serial));
    // Another issuer in the certificate.
    let mut elsewhere = old.clone();
    elsewhere.issuers[0].mapping = Mapping::Email {
        skip_verification: false,
        issuer: Some(ClaimPath::parse("$.federated.issuer").unwrap()),
    };
    assert!(!repeated(elsewhere.clone()).await.repeated);
    assert!(repeated(elsewhere).await.repeated);
    // A shorter life than the certificate has.
    let short = Terms {
        rules: rules("max_lifetime = \"1m\""),
        ..old.clone()
    };
    assert!(!repeated(short.clone()).await.repeated);
    let third = repeated(short).await;
    assert_eq!((third.repeated, third.not_after), (true, NOW.plus(59)));
    // And what lives no longer than it may now is good.
    let long = Terms {
        rules: rules("max_lifetime = \"5m\""),
        ..old.clone()
    };
    assert!(repeated(long).await.repeated);
}

#[tokio::test]
async fn the_keys_of_every_ca_there_was_are_certified_for_nobody() {
    let world = World::new();
    let (service, new) = (world.service(), with_another_ca(&world));
    let refused = async |ca: &Terms| {
        let key = key();
        let mut asked = request(&world.token(), &key, "r-1");
        if let Proof::Signature { public_key, .. } = &mut asked.proof {
            *public_key = ca.authority.issuing().spki().to_vec();
        }
        let refused = service.issue(asked, now()).await.unwrap_err();
        refused.reason()
    };
    let (ours, not_proven) = (Reason::PublicKeyInsecure, Reason::ProofInvalid);
    let old = &world.parts.terms;
    assert_eq!(
        (refused(old).await, refused(&new).await),
        (ours, not_proven)
    );
    service.take(new.clone(), now()).unwrap();
    assert_eq!((refused(old).await, refused(&new).await), (ours, ours));
}
