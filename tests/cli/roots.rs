//! `SSL_CERT_FILE` and `SSL_CERT_DIR`: roots that cannot be believed are told, not passed over.

use std::fs;

use crate::program::{Call, Place};

/// A place with a token, a configuration without a fault, and what is no root.
fn place() -> Place {
    let place = Place::new();
    crate::ca::init(&place, &[]);
    crate::serve::configure(
        &place,
        &format!(
            "[ct]\ninsecure_memory_log = true\n{}{}",
            crate::serve::MEMORY_LOG,
            crate::serve::ISSUER
        ),
    );
    place.write("token", "e30.e30.AAAA");
    place.write("text", "no certificate");
    place.write("empty/README", "no certificate");
    place
}

const CERT: [&str; 7] = [
    "cert",
    "--server",
    "https://127.0.0.1:1",
    "--token",
    "token",
    "--new-key",
    "key.pem",
];

#[test]
fn roots_that_cannot_be_believed_are_named_with_their_variable() {
    let place = place();
    for (name, value, problem) in [
        ("SSL_CERT_FILE", "absent", "No such file or directory"),
        ("SSL_CERT_FILE", "", "No such file or directory"),
        ("SSL_CERT_FILE", "tmp", "Is a directory"),
        ("SSL_CERT_FILE", "text", "it holds no certificate (PEM)"),
        ("SSL_CERT_DIR", "absent", "No such file or directory"),
        ("SSL_CERT_DIR", "empty", "it holds no certificate (PEM)"),
        ("SSL_CERT_DIR", "absent:empty", "No such file or directory"),
    ] {
        let told = format!("FAIL 3  {name} is {value:?}: {problem}");
        let ended = |call: Call| call.env(name, value).run().exits(3).says(&told);
        ended(place.call(&CERT)).says(&format!("try: unset {name}"));
        ended(place.call(&["config", "check"]));
        ended(place.call(&["serve"]));
        assert!(!place.path("key.pem").exists());
    }
    // Who talks to nobody believes nobody.
    for words in [
        &["config", "check", "--no-files"][..],
        &["issuer", "list"],
        &["inspect", "ca/chain.pem"],
    ] {
        place
            .call(words)
            .env("SSL_CERT_FILE", "text")
            .run()
            .exits(0);
    }
}

#[test]
fn roots_that_can_be_believed_are_not_in_the_way() {
    let place = place();
    fs::create_dir(place.path("roots")).unwrap();
    fs::copy(place.path("ca/root.pem"), place.path("roots/any-name")).unwrap();
    fs::copy(place.path("text"), place.path("roots/README")).unwrap();
    for (name, value) in [
        ("SSL_CERT_FILE", "ca/root.pem"),
        ("SSL_CERT_DIR", "roots"),
        ("SSL_CERT_DIR", "absent:roots"),
    ] {
        // Nobody listens there.
        place.call(&CERT).env(name, value).run().exits(5);
        let check = place.call(&["config", "check"]);
        check.env(name, value).run().exits(0);
    }
}
