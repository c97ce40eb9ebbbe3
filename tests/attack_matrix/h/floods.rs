//! H15: one client asks and asks, under names of its own and under others'.

use std::time::Instant;

use crate::ask::{self, Answer, Ask, Door, Proof};
use crate::h::Kit;
use crate::keys;
use crate::report::Report;
use crate::site::{OTHER, Site};

/// At once, and then one more each second.
const BURST: usize = 20;
const REQUESTS: usize = 100;

const PROXY: &str = "trusted_hops = [\"127.0.0.1\"]";

fn limits(what: &str) -> String {
    format!("[rate_limits]\n{what} = \"60/m\"\n{what}_burst = {BURST}\n")
}

/// Over a connection of its own, as a proxy passes it on for this client.
async fn forwarded(site: &Site, client: &str, ask: &Ask) -> Answer {
    let header = format!("x-forwarded-for: {client}\r\nhost:");
    let request = ask.http(Door::V2).replacen("host:", &header, 1);
    ask::send(site.at, request.as_bytes()).await
}

/// Asks again and again, each time as this client; how many were served.
async fn flood(
    report: &mut Report,
    site: &Site,
    what: &str,
    client: impl Fn(usize) -> String,
    ask: impl Fn() -> Ask,
) {
    let (started, mut served) = (Instant::now(), 0);
    for number in 0..REQUESTS {
        let answer = forwarded(site, &client(number), &ask()).await;
        report.saw(&answer);
        if answer.is_issued() {
            served += 1;
            continue;
        }
        let (status, wait) = answer.status();
        let slow_down = status == 429 && answer.word() == "RATE_LIMITED";
        report.check(what, slow_down && wait.is_some_and(|s| s > 0), &answer);
    }
    let most = BURST + usize::try_from(started.elapsed().as_secs()).unwrap() + 1;
    let told = format!("{served} were served, at most {most} might be");
    report.check(what, (1..=most).contains(&served), told);
}

pub(super) async fn one_client(kit: &Kit, report: &mut Report) {
    let site = Site::start_behind(PROXY, &[], &limits("per_address")).await;
    let good = || site.by_key(&kit.key);
    let others = async || {
        let mut beside = Report::new("H15");
        for number in 0..BURST {
            let answer = forwarded(&site, "203.0.113.9", &good()).await;
            let what = format!("request {number} of another client");
            beside.check(&what, answer.is_issued(), &answer);
        }
        beside
    };
    let attack = async {
        let one = |_| "198.51.100.7".to_owned();
        flood(report, &site, "one address", one, good).await;
    };
    let ((), beside) = tokio::join!(attack, others());
    report.join(beside);
    let one = |n| format!("192.0.2.{n}, 198.51.100.77");
    flood(report, &site, "before what the proxy says", one, good).await;
    let one = |n| format!("2001:db8::{n:x}");
    flood(report, &site, "one network", one, good).await;
    let answer = forwarded(&site, "2001:db8:0:1::1", &good()).await;
    report.check("the next network", answer.is_issued(), &answer);

    // Nobody is believed here: whoever claims to speak for many is one.
    let site = Site::start_beside(&[], &limits("per_address")).await;
    let good = || site.by_key(&kit.key);
    let many = |n| format!("192.0.2.{n}");
    flood(report, &site, "names nobody asked for", many, good).await;

    // One identity from everywhere; before that, somebody who only writes its name.
    let site = Site::start_behind(PROXY, &[], &limits("per_identity")).await;
    let good = || site.by_key(&kit.key);
    for number in 0..REQUESTS {
        let mut forged = good();
        let signature = forged.token.rfind('.').unwrap();
        forged
            .token
            .replace_range(signature + 1..signature + 5, "AAAA");
        let answer = forwarded(&site, &many(number), &forged).await;
        report.saw(&answer);
        let word = answer.word();
        report.check("forged", word == "TOKEN_SIGNATURE_INVALID", &answer);
    }
    let answer = forwarded(&site, "203.0.113.9", &good()).await;
    report.check("whom it named", answer.is_issued(), &answer);
    flood(report, &site, "one identity", many, good).await;
    let other = Ask {
        token: site.token(OTHER),
        proof: Proof::Key {
            content: keys::pem("PUBLIC KEY", &kit.key.spki()).into_bytes(),
            signature: kit.key.sign(OTHER.as_bytes()),
        },
        san: OTHER.to_owned(),
    };
    let answer = forwarded(&site, &many(1), &other).await;
    report.check("another identity", answer.is_issued(), &answer);
    let counted = site
        .metrics()
        .await
        .contains("shortleaf_rate_limited_total{limit=\"identity\"}");
    report.check("metrics", counted, "not counted");
}
