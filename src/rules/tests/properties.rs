//! What holds of any rules and any token of a small world.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A rule of a small world, as text.
fn rule() -> impl Strategy<Value = String> {
    let claim = prop_oneof![Just("a"), Just("b"), Just("/n/c")];
    let want = prop_oneof![
        "[xy/]{0,2}".prop_map(|text| format!("{text:?}")),
        Just("[\"x\", \"y\"]".to_owned()),
        Just("{ glob = \"x*\" }".to_owned()),
        Just("[{ glob = \"**/x\" }, \"y\"]".to_owned()),
    ];
    let claims = proptest::collection::btree_map(claim, want, 1..3).prop_map(|claims| {
        let lines = claims
            .iter()
            .map(|(name, want)| format!("{name:?} = {want}"));
        format!("claims = {{ {} }}\n", lines.collect::<Vec<_>>().join(", "))
    });
    let when = prop_oneof![
        3 => Just(String::new()),
        1 => Just("when = \"has(claims.a) && claims.a != 'x'\"\n".to_owned()),
        1 => Just("when = \"claims.b == 'y'\"\n".to_owned()),
    ];
    let issuer = prop_oneof![
        4 => Just("https://gitlab.com"),
        1 => Just("https://*.gitlab.com/*"),
        1 => Just("https://elsewhere.example"),
    ];
    (issuer, claims, when)
        .prop_map(|(issuer, claims, when)| format!("issuer = {issuer:?}\n{when}{claims}"))
}

fn token() -> impl Strategy<Value = Json> {
    let value = prop_oneof![
        "[xy/]{0,3}".prop_map(Json::from),
        Just(json!(["x", "z"])),
        Just(json!(true)),
        Just(json!(null)),
    ];
    (value.clone(), value.clone(), value)
        .prop_map(|(a, b, c)| json!({ "a": a, "b": b, "n": { "c": c } }))
}

fn file(allow: &[String], deny: &[String]) -> RuleSet {
    let tables = |kind: &str, rules: &[String]| -> String {
        let each = rules.iter().enumerate();
        each.map(|(at, rule)| format!("[[{kind}]]\nname = \"{kind} {at}\"\n{rule}"))
            .collect()
    };
    rules(&(tables("deny", deny) + &tables("allow", allow)))
}

fn allows(rules: &RuleSet, claims: &Json) -> bool {
    matches!(decide(rules, GITLAB, claims), Decision::Allowed { .. })
}

/// The same decision without the index.
fn slowly(rules: &RuleSet, claims: &Json) -> Option<String> {
    let claims = json::parse(claims.to_string().as_bytes()).unwrap();
    let explained = rules.explain(&issuer(GITLAB), claims.as_object().unwrap());
    let undecided = |rule: &RuleTrace| {
        let mut lines = rule.lines.iter();
        lines.all(|line| {
            line.holds
                || matches!(
                    &line.line,
                    Differs::When {
                        problem: Some(_),
                        ..
                    }
                )
        })
    };
    let mut stops = explained
        .rules
        .iter()
        .filter(|rule| rule.effect == Effect::Deny);
    if stops.any(undecided) {
        return None;
    }
    let mut allowing = explained
        .rules
        .into_iter()
        .filter(|rule| rule.effect == Effect::Allow);
    allowing.find(RuleTrace::holds).map(|rule| rule.name)
}

/// The closest rule and its first difference, by asking every rule.
fn closest_slowly(rules: &RuleSet, claims: &Json) -> Option<(String, Differs)> {
    let claims = json::parse(claims.to_string().as_bytes()).unwrap();
    let explained = rules.explain(&issuer(GITLAB), claims.as_object().unwrap());
    let holding = |rule: &RuleTrace| {
        let lines = rule.lines.iter().filter(|line| line.holds);
        lines.filter(|line| line.line.name() != "when").count()
    };
    let mut rules = explained.rules;
    rules.retain(|rule| rule.effect == Effect::Allow);
    // Of equals `max_by_key` takes the last.
    let closest = rules.iter().rev().max_by_key(|rule| holding(rule))?;
    Some((closest.name.clone(), closest.first_difference()?.clone()))
}

proptest! {
    #[test]
    fn the_closest_rule_is_the_one_that_asking_each_finds(
        allow in proptest::collection::vec(rule(), 0..8),
        claims in token(),
    ) {
        let rules = file(&allow, &[]);
        match decide(&rules, GITLAB, &claims) {
            Decision::Allowed { .. } => {}
            Decision::Refused(Refusal::NoneHolds { rule, differs }) => {
                prop_assert_eq!(Some((rule, differs)), closest_slowly(&rules, &claims));
            }
            Decision::Refused(_) => prop_assert_eq!(None, closest_slowly(&rules, &claims)),
        }
    }

    #[test]
    fn a_further_refusing_rule_never_allows_more(
        allow in proptest::collection::vec(rule(), 0..5),
        deny in proptest::collection::vec(rule(), 1..4),
        claims in token(),
    ) {
        let (more, less) = (file(&allow, &deny), file(&allow, &deny[1..]));
        prop_assert!(!allows(&more, &claims) || allows(&less, &claims));
    }

    #[test]
    fn the_order_of_rules_changes_no_answer(
        allow in proptest::collection::vec(rule(), 0..6),
        deny in proptest::collection::vec(rule(), 0..3),
        claims in token(),
    ) {
        let (mut turned, mut denied) = (allow.clone(), deny.clone());
        turned.reverse();
        denied.reverse();
        let (one, other) = (file(&allow, &deny), file(&turned, &denied));
        prop_assert_eq!(allows(&one, &claims), allows(&other, &claims));
        // Where only one rule holds, it is also the same rule that decides.
        let value = json::parse(claims.to_string().as_bytes()).unwrap();
        let traces = one.explain(&issuer(GITLAB), value.as_object().unwrap()).rules;
        if traces.iter().filter(|rule| rule.holds()).count() == 1
            && let (Decision::Allowed { rule: a, .. }, Decision::Allowed { rule: b, .. }) =
                (decide(&one, GITLAB, &claims), decide(&other, GITLAB, &claims))
        {
            let place = |name: &str| name.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
            prop_assert_eq!(place(&a), allow.len() - 1 - place(&b));
        }
    }

    #[test]
    fn the_index_leaves_out_no_rule_that_holds(
        allow in proptest::collection::vec(rule(), 0..8),
        deny in proptest::collection::vec(rule(), 0..3),
        claims in token(),
    ) {
        let rules = file(&allow, &deny);
        let quick = match decide(&rules, GITLAB, &claims) {
            Decision::Allowed { rule, .. } => Some(rule),
            Decision::Refused(_) => None,
        };
        prop_assert_eq!(quick, slowly(&rules, &claims));
    }
}
