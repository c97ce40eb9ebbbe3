//! The claim rules as their operator sees them: what a refused caller may know, what shadow mode
//! lets pass and tells of it, and what an allowing rule leaves in record, trail, log and certificate.

use std::sync::Arc;

use serde_json::json;
use shortleaf::ca::Serial;
use shortleaf::hex;
use shortleaf::issuance::Parts;
use shortleaf::rules::RuleSet;
use x509_parser::prelude::*;

use crate::ask::{Ask, Door};
use crate::house::{Answer, House};
use crate::table::RULES;
use crate::world::issuer::Identity;

const GITHUB: &str = "https://issuer.example/github";
const ALLOWING: &str = "jobs of octo-app";

fn behind(first: &str) -> String {
    format!("{first}\n{RULES}")
}

/// What lines and records name them by.
fn hash(first: &str) -> String {
    hex::encode(&RuleSet::hash_of(&behind(first)))
}

/// [`RULES`] behind this first line.
fn rules(first: &str) -> impl FnOnce(&mut Parts) {
    let rules = RuleSet::parse(&behind(first)).unwrap();
    move |parts| parts.terms.rules = Some(Arc::new(rules))
}

/// Refused by the list that no rule allows, unless nobody is.
fn unprotected(house: &House) -> Ask {
    house.with_claims(Identity::Github, json!({ "ref_protected": "false" }))
}

/// Serial and seconds of validity.
fn facts(answer: &Answer) -> (Serial, i64) {
    let leaf = answer.leaf();
    let (_, pem) = parse_x509_pem(leaf.as_bytes()).unwrap();
    let leaf = pem.parse_x509().unwrap();
    let validity = leaf.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    (Serial::from_octets(leaf.raw_serial()).unwrap(), seconds + 1)
}

#[tokio::test]
async fn a_caller_who_may_not_know_learns_neither_the_rule_nor_the_claim() {
    for door in Door::BOTH {
        let house = House::with(rules("explain_to_caller = false")).await;
        for (over, told) in [
            (
                json!({ "ref_protected": "false" }),
                "no rule allows this identity; closest is \"jobs of octo-app\": ref_protected wanted \"true\", token has \"false\"",
            ),
            (
                json!({ "event_name": "pull_request" }),
                "rule \"no pull requests\" refuses this identity",
            ),
        ] {
            let answer = house
                .ask(door, &house.with_claims(Identity::Github, over))
                .await;
            assert_eq!(answer.status, 403, "{answer:?}");
            assert_eq!(
                answer.json(),
                json!({
                    "code": 7,
                    "message": "The rules of this instance do not admit this identity: no rule allows this identity",
                    "details": [{
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "RULE_REFUSED",
                        "domain": "shortleaf",
                        "metadata": { "issuer": GITHUB },
                    }],
                })
            );
            // The operator does.
            let event = house.told().pop().unwrap();
            assert_eq!(event["cause"], json!(told));
            let line = house.world.trail_of("refused").pop().unwrap();
            let rule = told.split('"').nth(1);
            assert_eq!(line["rule"].as_str(), rule);
            assert_eq!(line["rules"], hash("explain_to_caller = false"));
        }
        let twin = house.ask(door, &house.good()).await;
        assert_eq!(twin.status, door.good_status(), "{twin:?}");
        house.check().await;
    }
}

#[tokio::test]
async fn shadow_mode_lets_pass_counts_and_tells_whom_the_rules_would_refuse() {
    let counted = format!("shortleaf_rules_shadow_refused_total{{issuer=\"{GITHUB}\"}}");
    let house = House::with(rules("mode = \"shadow\"")).await;
    let answer = house.ask(Door::V2, &house.good()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!house.metrics.render().contains(&counted), "nobody so far");

    for (number, door) in Door::BOTH.into_iter().enumerate() {
        let answer = house.ask(door, &unprotected(&house)).await;
        assert_eq!(answer.status, door.good_status(), "{answer:?}");
        let counted = format!("{counted} {}", number + 1);
        assert!(house.metrics.render().contains(&counted), "{counted}");
        let event = house.told().pop().unwrap();
        assert_eq!(
            [&event["message"], &event["would_refuse"], &event["rule"]],
            [&json!("issued"), &json!(true), &json!(ALLOWING)]
        );
    }
    let lines = house.world.trail_of("issued");
    let flags: Vec<_> = lines.iter().map(|line| line.get("would_refuse")).collect();
    let would = json!("true");
    assert_eq!(flags, [None, Some(&would), Some(&would)]);
    let good = house.told().remove(0);
    assert_eq!(good.get("would_refuse"), None, "{good}");
    house.check().await;

    // Its twin: the same request where rules are enforced.
    let house = House::with(rules("mode = \"enforce\"")).await;
    let answer = house.ask(Door::V2, &unprotected(&house)).await;
    assert_eq!((answer.status, &*answer.reason()), (403, "RULE_REFUSED"));
    assert!(!house.metrics.render().contains(&counted));
    assert_eq!(house.world.trail_of("issued"), [] as [serde_json::Value; 0]);
    house.check().await;
}

#[tokio::test]
async fn the_rule_that_allows_shortens_the_certificate_and_stands_in_record_trail_and_log() {
    for door in Door::BOTH {
        let house = House::with(rules("")).await;
        let answer = house.ask(door, &house.good()).await;
        let (serial, seconds) = facts(&answer);
        assert_eq!(seconds, 300);
        let record = house.world.record(serial).await.unwrap();
        assert_eq!(record.intent.rule.as_deref(), Some(ALLOWING));
        assert_eq!(record.intent.rules, Some(RuleSet::hash_of(&behind(""))));
        let lines = house.world.trail_of("issued");
        assert_eq!(lines[0]["rule"], ALLOWING);
        assert_eq!(lines[0]["rules"], hash(""));
        assert_eq!(house.told()[0]["rule"], ALLOWING);

        // A rule that says nothing of lives leaves the usual one.
        let person = house.with_claims(Identity::Email, json!({}));
        let answer = house.ask(door, &person).await;
        let (serial, seconds) = facts(&answer);
        assert_eq!(seconds, 600);
        let record = house.world.record(serial).await.unwrap();
        assert_eq!(record.intent.rule.as_deref(), Some("people of example.com"));
        house.check().await;
    }

    // Its twin, where there are no rules.
    let house = House::open().await;
    let (serial, seconds) = facts(&house.ask(Door::V2, &house.good()).await);
    let record = house.world.record(serial).await.unwrap();
    assert_eq!((seconds, record.intent.rule), (600, None));
    assert_eq!(record.intent.rules, None);
    let line = house.world.trail_of("issued").remove(0);
    assert_eq!((line.get("rule"), line.get("rules")), (None, None));
    assert_eq!(house.told()[0].get("rule"), None);
    house.check().await;
}

#[tokio::test]
async fn rules_without_a_rule_about_an_issuer_allow_nobody_of_it() {
    let others = RULES.replace(GITHUB, "https://issuer.example/other");
    let others = RuleSet::parse(&others).unwrap();
    let house = House::with(|parts| parts.terms.rules = Some(Arc::new(others))).await;
    let answer = house.ask(Door::V2, &house.good()).await;
    let body = answer.json();
    assert_eq!(
        body["message"],
        "The rules of this instance do not admit this identity: no rule allows anybody of https://issuer.example/github"
    );
    assert_eq!(body["details"][0]["metadata"], json!({ "issuer": GITHUB }));
    house.check().await;

    let house = House::with(rules("")).await;
    let twin = house.ask(Door::V2, &house.good()).await;
    assert_eq!(twin.status, 200, "{twin:?}");
}
