//! What many rules and many issuers add to an issuance: `cargo bench --bench rules`.
//!
//! Finding the issuer and deciding, with one issuer and one rule, and with ten thousand and a
//! thousand of which ten have a condition, for a token that only the last rule allows and for one
//! that none does. **The figure is what is added, as a share of the signatures alone of an issuance
//! under a P-384 key**, measured in the same run: a whole issuance costs more than they do.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Duration;

use shortleaf::json::{self, Object};
use shortleaf::rules::{Decision, RuleSet};
use shortleaf::token::{IssuerName, IssuerTable, IssuerUrl};

#[allow(dead_code, reason = "only the thread's own clock is used here")]
#[path = "issuance/cpu.rs"]
mod cpu;
#[allow(dead_code, reason = "one CA key and one kind of token")]
#[path = "issuance/primitives.rs"]
mod primitives;

use primitives::{CaKey, Sampling, TokenAlgorithm, microseconds};

const GITHUB: &str = "https://token.actions.githubusercontent.com";
const RULES: usize = 1000;
const ISSUERS: usize = 10_000;
/// Every how many rules one has a condition.
const WITH_CONDITION: usize = 100;
const SAMPLING: Sampling = Sampling {
    warm: Duration::from_millis(200),
    sample: Duration::from_millis(200),
    samples: 9,
};

fn main() {
    let ceiling = primitives::measure(SAMPLING).ceiling(TokenAlgorithm::Rs256, CaKey::P384);
    println!("signatures of an issuance, P-384 key: {ceiling:.1} us");
    let (few, many) = (rules(1), rules(RULES));
    let (one, all) = (issuers(1), issuers(ISSUERS));
    for (what, repository) in [
        ("the last rule allows", RULES),
        ("no rule allows", RULES + 1),
    ] {
        // With one rule, the token that it allows and the one that it does not.
        let of_one = claims(if repository == RULES { 1 } else { 2 });
        let of_many = claims(repository);
        let alone = cost(&one, &few, &of_one);
        let among = cost(&all, &many, &of_many);
        println!(
            "{what}: one rule and one issuer {alone:.2} us, {RULES} and {ISSUERS} {among:.2} us, added {:.1} %",
            100.0 * (among - alone) / ceiling
        );
    }
}

fn cost(issuers: &IssuerTable<usize>, rules: &RuleSet, claims: &Object) -> f64 {
    microseconds(SAMPLING, || {
        let found = issuers.named_by(black_box(GITHUB)).expect("it is there");
        let issuer = IssuerUrl::new(GITHUB).expect("an issuer");
        black_box(found.value);
        black_box::<Decision>(rules.decide(&issuer, black_box(claims)));
    })
}

fn issuers(number: usize) -> IssuerTable<usize> {
    let others = (1..number).map(|n| format!("https://ci-{n}.example.com"));
    let all = others.chain([GITHUB.to_owned()]).enumerate();
    all.map(|(n, issuer)| (IssuerName::new(&issuer).expect("an issuer"), n))
        .collect()
}

/// Rules as an organisation with many repositories would write them.
fn rules(number: usize) -> RuleSet {
    let mut text =
        "[[deny]]\nname = \"no pull requests\"\nclaims = { event_name = \"pull_request\" }\n"
            .to_owned();
    for n in 1..=number {
        text += &format!("[[allow]]\nname = \"repository {n}\"\nissuer = \"{GITHUB}\"\n");
        if n % WITH_CONDITION == 0 {
            text += "when = \"claims.run_attempt == '1' || has(claims.environment)\"\n";
        }
        text += &format!(
            "claims = {{ repository_id = \"{n}\", repository_owner_id = \"65\", \
             ref = {{ glob = \"refs/heads/**\" }}, event_name = [\"push\", \"workflow_dispatch\"] }}\n"
        );
    }
    RuleSet::parse(&text).expect("rules")
}

fn claims(repository: usize) -> Object {
    let text = format!(
        r#"{{"repository_id":"{repository}","repository_owner_id":"65","ref":"refs/heads/main",
            "event_name":"push","run_attempt":"1","runner_environment":"github-hosted",
            "repository":"octo-org/octo-repo","workflow":"Release","actor":"octocat"}}"#
    );
    let claims = json::parse(text.as_bytes()).expect("claims");
    claims.as_object().expect("an object").clone()
}
