//! What the public listener of `serve` needs of its machine: a certificate that others renew, and
//! a key that has no other office.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::ca::init;
use crate::issuer::{Issuer, email_claims, wall_clock};
use crate::parts::{self, Running};
use crate::program::{Beside, Ended, PATIENCE, Place, SHORTLEAF};
use crate::serve::{ISSUER, MEMORY_LOG, configure};

/// A server over TLS with a log in memory, but for its pair.
fn place() -> Place {
    let place = Place::new();
    init(&place, &[]);
    configure(
        &place,
        &format!("[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"),
    );
    let with_tls = place.read("shortleaf.toml").replace(
        "[server]\n",
        "[server]\ntls_chain = \"tls.pem\"\ntls_key = \"tls.key\"\n",
    );
    place.write("shortleaf.toml", &with_tls);
    place
}

/// A certificate for 127.0.0.1 that is its own root, and its key, both in PEM.
fn tls_pair() -> (String, String) {
    tls_pair_until((4096, 1, 1))
}

/// The same, ending when this day begins.
fn tls_pair_until((year, month, day): (i32, u8, u8)) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// The status of an answer over TLS, believed for these certificates alone.
fn over_tls(url: &str, chain: &str) -> Option<u16> {
    let roots = reqwest::Certificate::from_pem_bundle(chain.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only(roots).build();
    let answer = client.unwrap().get(format!("{url}/healthz")).send();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    Some(runtime.block_on(answer).ok()?.status().as_u16())
}

#[test]
fn it_serves_over_tls_and_takes_a_new_certificate_while_it_does() {
    let place = place();
    let ((chain, key), (new_chain, new_key)) = (tls_pair(), tls_pair());
    place.write("tls.pem", &chain);
    for (key, told) in [
        ("x", "the key file holds no unencrypted private key in PEM"),
        (&*new_key, "chain and key cannot be used together"),
    ] {
        place.write("tls.key", key);
        place.run(&["config", "check"]).exits(3).says(told);
        place.run(&["serve"]).exits(3).says(told);
    }
    place.write("tls.key", &key);
    place
        .run(&["config", "check"])
        .exits(0)
        .says("\"tls.key\": every user of this machine");

    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    assert!(serve.operators().starts_with("http://"));
    assert_eq!(over_tls(&url, &chain), Some(200));
    let plain = url.replace("https://", "http://");
    for (url, exit, hint) in [
        (
            &url,
            22,
            "root of the server's TLS certificate: SSL_CERT_FILE=",
        ),
        (
            &plain,
            5,
            "--server begins with https://; again with --key k.pem",
        ),
    ] {
        let words = [
            "cert",
            "--server",
            url,
            "--token",
            "-",
            "--new-key",
            "k.pem",
        ];
        let asked = place.call(&words).stdin("e30.e30.AAAA").run();
        asked.exits(exit).says(hint);
    }
    assert_eq!(over_tls(&url, &new_chain), None);

    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        // Over connections of their own, believing both certificates: each is answered.
        for _ in 0..2 {
            scope.spawn(|| {
                let both = chain.clone() + &new_chain;
                let start = Instant::now();
                // A test that fails beside them does not come to say that it is done.
                while !done.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
                    assert_eq!(over_tls(&url, &both), Some(200));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Until the key fits as well, the old pair stays.
        place.write("tls.pem", &new_chain);
        serve.told("what changed cannot be used; what was there stays in use\",\"what\":\"tls\"");
        assert_eq!(over_tls(&url, &chain), Some(200));
        place.write("tls.key", &new_key);
        serve.told("took over what changed\",\"what\":\"tls\",\"changed\":\"tls.key, tls.pem\"");
        assert_eq!(over_tls(&url, &new_chain), Some(200));
        assert_eq!(over_tls(&url, &chain), None);
        done.store(true, Ordering::Relaxed);
    });
    assert!(answered.load(Ordering::Relaxed) > 0);
    let (_, told) = serve.stop("TERM");
    let open = "get at this secret\",\"path\":\"tls.key\"";
    assert_eq!(told.matches(open).count(), 2, "the first, the next: {told}");
}

#[test]
fn an_issuer_that_is_not_believed_is_told_apart_from_one_that_is_away() {
    let place = place();
    let (chain, key) = tls_pair();
    place.write("tls.pem", &chain);
    place.write("tls.key", &key);
    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    let issuer = format!(
        "[[ct.log]]\nkind = \"rfc6962\"\nname = \"log\"\nurl = \"https://log.example\"\nkey = \"log.pub.pem\"\n\
         [[issuer]]\nurl = {url:?}\ntype = \"email\"\naudiences = [\"a\"]\nallow_private_network = true\n"
    );
    place.write("strange.toml", &issuer);
    place.write("known.toml", &format!("{issuer}ca_file = \"tls.pem\"\n"));
    let test = |file: &str| place.run(&["issuer", "test", &url, "--config", file]);
    test("strange.toml").exits(22).says("ca_file of its");
    // Now it is believed, and what it answers is no issuer's.
    test("known.toml").exits(5).says("404");
    serve.stop("TERM");
    test("known.toml").exits(5);
}

/// `cert` for a key in a file, believing the listener for this certificate alone.
fn buy(place: &Place, issuer: &Issuer, url: &str, root: &str, key: &str) -> Ended {
    let mut claims = email_claims();
    claims["aud"] = json!("https://ca.example");
    let token = issuer.token(claims, wall_clock());
    let words = [
        "--json", "cert", "--server", url, "--token", "-", "--key", key,
    ];
    let call = place.call(&words).env("SSL_CERT_FILE", root);
    call.stdin(&token).run()
}

#[test]
fn the_listeners_own_keys_are_not_certified_neither_the_first_nor_the_next() {
    let place = place();
    let ((chain, key), (new_chain, new_key)) = (tls_pair(), tls_pair());
    place.write("tls.pem", &chain);
    place.write("tls.key", &key);
    for (name, text) in [
        ("root.pem", &chain),
        ("new-root.pem", &new_chain),
        ("key", &key),
        ("new-key", &new_key),
    ] {
        place.write(name, text);
    }
    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    let issuer = Issuer::new("https://issuer.example");
    let buy = |root: &str, key: &str| buy(&place, &issuer, &url, root, key);
    let refused = |root: &str, key: &str| {
        let error = buy(root, key).error();
        assert_eq!(error["code"], "PUBLIC_KEY_INSECURE", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            message.contains("is one of this instance's own"),
            "{message}"
        );
    };
    refused("root.pem", "key");
    // A key that is nobody's yet.
    buy("root.pem", "new-key").exits(0);

    place.write("tls.pem", &new_chain);
    place.write("tls.key", &new_key);
    serve.told("took over what changed");
    refused("new-root.pem", "new-key");
    refused("new-root.pem", "key");
    place.write("another", &tls_pair().1);
    buy("new-root.pem", "another").exits(0);
    serve.stop("TERM");
}

#[test]
fn an_expired_certificate_is_named_and_served_until_another_is_there() {
    let place = place();
    let (chain, key) = tls_pair_until((2026, 1, 1));
    place.write("tls.pem", &chain);
    place.write("tls.key", &key);
    let named = "the TLS certificate expired at 2026-01-01T00:00:00Z";
    let checked = place.run(&["config", "check"]).exits(0);
    checked.says(&format!("\"tls.pem\": {named}"));

    let mut serve = place.start(&["serve"]);
    let url = serve.ready();
    serve.told(named);
    let operators = serve.operators();
    let get = |path: &str| parts::http("GET", &format!("{operators}{path}"), None).unwrap();
    let (status, ready) = get("/readyz");
    assert_eq!(status, 200, "{ready}");
    assert!(ready.contains(&format!("[!]{named}\n")), "{ready}");
    let ends = |at: u64| {
        let line = format!("shortleaf_tls_certificate_not_after_seconds {at}");
        assert!(get("/metrics").1.lines().any(|l| l == line), "no {line}");
    };
    ends(1_767_225_600);

    let (chain, key) = tls_pair_until((2100, 1, 1));
    place.write("tls.pem", &chain);
    place.write("tls.key", &key);
    serve.told("took over what changed");
    ends(4_102_444_800);
    assert!(!get("/readyz").1.contains("TLS"));
    assert_eq!(over_tls(&url, &chain), Some(200));
    serve.stop("TERM");
}

/// A plain server with these limits of file descriptors, beside the test.
fn start_with(place: &Place, limits: &str) -> Beside {
    configure(
        place,
        &format!("[ct]\ninsecure_memory_log = true\n{MEMORY_LOG}{ISSUER}"),
    );
    let script = format!("{limits}; exec \"$0\" serve");
    let mut command = place.command("sh");
    command.args(["-euc", &script, SHORTLEAF]);
    Beside(Running::start("shortleaf serve", &mut command))
}

#[test]
fn it_takes_all_the_file_descriptors_it_may_have() {
    let place = Place::new();
    init(&place, &[]);
    let mut serve = start_with(&place, "ulimit -Sn 128; ulimit -Hn 4096");
    let url = serve.ready();
    let at: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    // More than it was started with, all of them open at once and answered.
    let connections: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(at).unwrap()).collect();
    for mut connection in connections.iter() {
        let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
        connection.write_all(request.as_bytes()).unwrap();
        let mut start = [0; 12];
        connection.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }
    let metrics = parts::http("GET", &format!("{}/metrics", serve.operators()), None);
    let (_, metrics) = metrics.unwrap();
    assert!(
        metrics.contains("shortleaf_connections_open 200\n"),
        "{metrics}"
    );
    drop(connections);
    let (_, stderr) = serve.stop("TERM");
    assert!(!stderr.contains("file descriptors"), "{stderr}");
}

#[test]
fn it_says_when_there_are_too_few_file_descriptors() {
    let place = Place::new();
    init(&place, &[]);
    let mut serve = start_with(&place, "ulimit -Sn 128; ulimit -Hn 512");
    serve.ready();
    serve.told("this process may have 512 file descriptors; 3072 connections, waiting ones included, want 3328");
    serve.stop("TERM");
}
