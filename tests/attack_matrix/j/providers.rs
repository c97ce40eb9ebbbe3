//! Issuers whose documents lie, lead elsewhere, do not end or do not come. Each is the caller's
//! trouble for as long as it lasts and nobody else's.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shortleaf::fault::Reason;
use tokio::task::JoinHandle;

use super::mint::Key;
use super::provider::{KEYS, METADATA, Provider, Reply, Witness, answer, json as body};
use super::{Kit, minted};
use crate::ask::Door;
use crate::report::{Case, Report};

const ELSEWHERE: &str = "/elsewhere";
const JSON: &str = "Content-Type: application/json\r\n";

/// A way to misbehave: what it is, and how a good provider becomes it.
type Way = (String, Box<dyn Fn(&Provider)>);

fn way(what: impl Into<String>, change: impl Fn(&Provider) + 'static) -> Way {
    (what.into(), Box::new(change))
}

fn endless(status_and_headers: &str, more: &str, pause_ms: u64) -> Reply {
    Reply::Endless(
        format!("HTTP/1.1 {status_and_headers}").into_bytes(),
        more.as_bytes().to_vec(),
        Duration::from_millis(pause_ms),
    )
}

/// J16: whose documents say something else than was asked.
fn lies(forbidden: u16) -> Vec<Way> {
    let mut ways = Vec::new();
    for issuer in ["/", "?", ".evil.example"] {
        ways.push(way(format!("issuer and {issuer}"), move |p| {
            p.metadata_with("issuer", json!(format!("{}{issuer}", p.issuer.url())));
        }));
    }
    for issuer in [
        json!("https://evil.example"),
        json!(null),
        json!(["x"]),
        json!(""),
    ] {
        ways.push(way(format!("issuer {issuer}"), move |p| {
            p.metadata_with("issuer", issuer.clone())
        }));
    }
    let witness = [
        format!("http://127.0.0.1:{forbidden}/keys"),
        format!("http://localhost:{forbidden}/keys"),
        format!("https://127.0.0.1:{forbidden}/keys"),
        format!("http://[::1]:{forbidden}/keys"),
    ];
    let others = [
        "https://evil.example/keys",
        "http://169.254.169.254/latest/meta-data/",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "data:,{}",
        "gopher://127.0.0.1/",
        "/keys",
        "keys",
        "",
    ];
    for uri in witness.into_iter().chain(others.map(str::to_owned)) {
        ways.push(way(format!("jwks_uri {uri:?}"), move |p| {
            p.metadata_with("jwks_uri", json!(uri))
        }));
    }
    for (what, before) in [("a user", "user@"), ("a password", "user:pw@")] {
        ways.push(way(format!("jwks_uri with {what}"), move |p| {
            let url = p.issuer.url().replace("//", &format!("//{before}"));
            p.metadata_with("jwks_uri", json!(format!("{url}{KEYS}")));
        }));
    }
    for uri in [json!(null), json!(7), json!(["http://127.0.0.1/keys"])] {
        ways.push(way(format!("jwks_uri {uri}"), move |p| {
            p.metadata_with("jwks_uri", uri.clone())
        }));
    }
    for names in [
        json!([]),
        json!(["none"]),
        json!(["HS256"]),
        json!("RS256"),
        json!(null),
    ] {
        ways.push(way(format!("algorithms {names}"), move |p| {
            p.metadata_with("id_token_signing_alg_values_supported", names.clone());
        }));
    }
    ways
}

/// J18: who sends us away. What is found there would do.
fn leads(forbidden: u16) -> Vec<Way> {
    let mut ways = Vec::new();
    for path in [METADATA, KEYS] {
        for status in [
            "301 Moved",
            "302 Found",
            "303 See Other",
            "307 Temporary",
            "308 Permanent",
        ] {
            ways.push(way(format!("{path} {status} to the same host"), move |p| {
                let found = if path == KEYS {
                    p.issuer.jwks()
                } else {
                    p.issuer.metadata()
                };
                p.answer(ELSEWHERE, body(found));
                p.answer(
                    path,
                    answer(status, &format!("Location: {ELSEWHERE}\r\n"), ""),
                );
            }));
        }
        for (what, to) in [
            ("another host", format!("http://127.0.0.1:{forbidden}/")),
            ("https", format!("https://127.0.0.1:{forbidden}/")),
            ("itself", path.to_owned()),
            ("a file", "file:///etc/passwd".to_owned()),
        ] {
            ways.push(way(format!("{path} to {what}"), move |p| {
                p.answer(
                    path,
                    answer("302 Found", &format!("Location: {to}\r\n"), ""),
                );
            }));
        }
    }
    ways
}

/// J19: answers that are too much, too slow or something else.
fn answers() -> Vec<Way> {
    let at_keys =
        |what: &str, reply: Reply| way(what, move |p: &Provider| p.answer(KEYS, reply.clone()));
    let with_keys = |what: &str, headers: &'static str| {
        way(what, move |p: &Provider| {
            p.answer(KEYS, answer("200 OK", headers, p.issuer.jwks()))
        })
    };
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, " ".repeat(64 << 10));
    let chunked = format!("200 OK\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n");
    let mut ways = vec![
        at_keys("a body without end", endless(&chunked, &chunk, 0)),
        at_keys(
            "100 MB announced",
            endless(
                &format!("200 OK\r\nContent-Length: 104857600\r\n{JSON}\r\n"),
                &" ".repeat(64 << 10),
                0,
            ),
        ),
        way("metadata without end", move |p| {
            p.answer(METADATA, endless(&chunked, &chunk, 0))
        }),
        way("a byte over the limit", |p| {
            let jwks = p.issuer.jwks();
            let padding = " ".repeat((256 << 10) + 1 - jwks.len());
            p.answer(KEYS, body(jwks + &padding));
        }),
        way("65 keys", |p| {
            let one = Key::new("x").jwk();
            p.answer(KEYS, body(json!({ "keys": vec![one; 65] }).to_string()));
        }),
        at_keys(
            "10,000 keys",
            body(json!({ "keys": vec![json!({}); 10_000] }).to_string()),
        ),
        with_keys("gzip by its header", "Content-Encoding: gzip\r\n"),
        with_keys(
            "brotli by its header",
            "Content-Encoding: br\r\nContent-Type: application/json\r\n",
        ),
        at_keys(
            "gzip without a header",
            answer("200 OK", JSON, b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ),
        with_keys("a web page by its header", "Content-Type: text/html\r\n"),
        with_keys(
            "two types",
            "Content-Type: application/json\r\nContent-Type: text/html\r\n",
        ),
        at_keys("a web page", body("<html></html>")),
        at_keys("nothing", body("")),
        at_keys("no keys", body(r#"{"keys":[]}"#)),
        at_keys("keys that are an object", body(r#"{"keys":{}}"#)),
        at_keys("a member twice", body(r#"{"keys":[],"keys":[]}"#)),
        at_keys(
            "10,000 arrays deep",
            body(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
        ),
        at_keys(
            "1 MB of headers",
            answer("200 OK", &format!("X: {}\r\n", "y".repeat(1 << 20)), "{}"),
        ),
        at_keys(
            "10,000 headers",
            answer("200 OK", &"X: y\r\n".repeat(10_000), "{}"),
        ),
        at_keys("no HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec())),
        at_keys(
            "half an answer",
            Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{".to_vec()),
        ),
    ];
    for status in [
        "201 Created",
        "204 No Content",
        "206 Partial",
        "401 No",
        "404 Gone",
        "429 Slow",
        "500 Oops",
        "503 Down",
    ] {
        ways.push(way(status, move |p| {
            p.answer(
                KEYS,
                answer(status, "Retry-After: 99999999\r\n", p.issuer.jwks()),
            );
        }));
    }
    // By the time these are asked for, their breaker is open: nobody waits for them any more.
    let slow = [
        ("no answer", endless("", "", 60_000)),
        (
            "hang after headers",
            endless(
                &format!("200 OK\r\nContent-Length: 100\r\n{JSON}\r\n"),
                "",
                60_000,
            ),
        ),
        (
            "a byte a second",
            endless(
                &format!("200 OK\r\nContent-Length: 100\r\n{JSON}\r\n"),
                " ",
                1_000,
            ),
        ),
        (
            "a header a second",
            endless("200 OK\r\n", "X: y\r\n", 1_000),
        ),
    ];
    ways.extend(slow.map(|(what, reply)| at_keys(what, reply)));
    ways
}

/// The issuers of J16, J18, J19 and J23, each with its way.
pub(super) async fn providers(forbidden: &Witness) -> Vec<Provider> {
    let port = forbidden.port;
    let rows = [
        ("J16", lies(port)),
        ("J18", leads(port)),
        ("J19", answers()),
    ];
    let mut all = Vec::new();
    for (row, ways) in rows {
        for (what, change) in ways {
            let provider = Provider::start(&format!("{row} {what}")).await;
            change(&provider);
            all.push(provider);
        }
    }
    all.push(Provider::absent("back"));
    all.push(Provider::absent("away"));
    all
}

/// A token that each of these would have signed; the twin's issuer behaves.
fn cases(kit: &Kit, row: &str) -> Vec<Case> {
    let of_row = |provider: &&Provider| provider.name.starts_with(row);
    let case = |provider: &Provider| {
        kit.refused(
            provider.name[row.len() + 1..].to_owned(),
            minted(&provider.issuer, Value::Object(Default::default())),
            Reason::IdentityProviderUnavailable,
            minted(&kit.provider("plain").issuer, json!({})),
        )
    };
    kit.providers.iter().filter(of_row).map(case).collect()
}

pub(super) fn documents(kit: &Kit) -> Vec<Case> {
    cases(kit, "J16")
}

pub(super) fn redirects(kit: &Kit) -> Vec<Case> {
    cases(kit, "J18")
}

pub(super) fn answers_of(kit: &Kit) -> Vec<Case> {
    cases(kit, "J19")
}

pub(super) fn nobody_else_was_asked(kit: &Kit, report: &mut Report) {
    let came = kit.forbidden.came();
    report.check("another place", came == 0, format!("{came} connections"));
    let row = report.row.clone();
    for provider in kit.providers.iter().filter(|p| p.name.starts_with(&row)) {
        let asked = provider.asked(ELSEWHERE);
        report.check(
            &provider.name,
            asked == 0,
            format!("{asked} redirects followed"),
        );
    }
}

/// J23: away at the start; one of the two comes back.
pub(super) async fn away(kit: &Kit, back: Option<JoinHandle<()>>) -> Report {
    let mut report = Report::new("J23");
    for door in [Door::V2, Door::V1] {
        let ask = kit.ask(minted(&kit.provider("away").issuer, json!({})));
        let answer = kit.site.ask(door, &ask).await;
        report.saw(&answer);
        let right = answer.word() == Reason::IdentityProviderUnavailable.as_str();
        report.check("away since the start", right, &answer);
        let good = kit.site.ask(door, &kit.ask(kit.good(json!({})))).await;
        report.check("another issuer", good.is_issued(), &good);
    }
    let since = Instant::now();
    let answer = loop {
        let ask = kit.ask(minted(&kit.provider("back").issuer, json!({})));
        let answer = kit.site.ask(Door::V2, &ask).await;
        if answer.is_issued() || since.elapsed() > Duration::from_secs(90) {
            break answer;
        }
        let right = answer.word() == Reason::IdentityProviderUnavailable.as_str();
        report.check("not back yet", right, &answer);
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    report.saw(&answer);
    report.check("back again", answer.is_issued(), &answer);
    if let Some(back) = back {
        back.abort();
    }
    report
}
