//! Which keys `cert` has certified, and what becomes of one that it made.

use super::NO_TOKEN;
use crate::dev::Dev;
use crate::github::TokenService;
use crate::parts;
use crate::program::{PATIENCE, Place};

#[test]
fn a_key_or_a_request_of_ones_own_is_certified() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    let Some(openssl) = parts::require_or_skip("openssl") else {
        return;
    };
    let run = |words: &[&str]| {
        parts::run("openssl", dev.place.command(&openssl).args(words), PATIENCE).stdout
    };
    // Each key with the digest that goes with it.
    for (name, digest, options) in [
        (
            "p256",
            "-sha256",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        ),
        (
            "p384",
            "-sha384",
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        ),
        (
            "rsa",
            "-sha256",
            &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        ),
        ("ed25519", "-sha512", &["-algorithm", "ed25519"]),
    ] {
        let (key, csr) = (format!("{name}.pem"), format!("{name}.csr"));
        let words: Vec<&str> = ["genpkey", "-out", &key]
            .iter()
            .chain(options)
            .copied()
            .collect();
        run(&words);
        run(&[
            "req",
            "-new",
            digest,
            "-key",
            &key,
            "-subj",
            "/CN=ignored",
            "-out",
            &csr,
        ]);
        let public = run(&["pkey", "-in", &key, "-pubout"]);
        for source in [["--key", &*key], ["--csr", &*csr]] {
            dev.cert(&["--token", &token, source[0], source[1], "--out", "cert.pem"])
                .run()
                .exits(0);
            assert_eq!(
                run(&["x509", "-in", "cert.pem", "-noout", "-pubkey"]),
                public,
                "{source:?}"
            );
        }
    }
}

#[test]
fn nothing_is_overwritten_and_no_key_is_left_without_a_certificate() {
    let dev = Dev::start(&[]);
    let token = dev.token(&[]);
    dev.place.write("key.pem", "mine");
    dev.cert(&["--token", &token, "--new-key", "key.pem"])
        .run()
        .exits(2)
        .says("not overwritten");
    assert_eq!(dev.place.read("key.pem"), "mine");

    let past = r#"{"iat":1767225600,"nbf":1767225600,"exp":1767225900}"#;
    let expired = dev.token(&["--claims", past, "--over-defaults"]);
    let error = dev
        .cert(&["--json", "--token", &expired, "--new-key", "new.pem"])
        .run()
        .exits(4)
        .error();
    assert_eq!(error["code"], "TOKEN_EXPIRED");
    assert_eq!(error["doc"], "docs/errors.md");
    assert!(
        error["hint"].as_str().unwrap().contains("fresh token"),
        "{error}"
    );
    assert!(!dev.place.path("new.pem").exists());
    // The same command, a good token.
    dev.cert(&["--token", &token, "--new-key", "new.pem"])
        .run()
        .exits(0);
}

#[test]
fn a_key_whose_certificate_may_be_on_the_way_is_kept() {
    let place = Place::new();
    // Fails after it may have issued, as a server behind a proxy does.
    let broken = TokenService::start(vec![(503, "{}".to_owned())]);
    let server = broken.base();
    let words = [
        "cert",
        "--server",
        &server,
        "--token",
        "-",
        "--new-key",
        "key.pem",
    ];
    place
        .call(&words)
        .stdin(NO_TOKEN)
        .run()
        .exits(5)
        .says("again with --key key.pem");
    assert!(place.path("key.pem").is_file());
    assert!(broken.asked().len() > 1, "tried again by itself");
}

#[test]
fn a_key_that_cannot_be_used_is_told_what_it_is() {
    let place = Place::new();
    let Some(openssl) = parts::require_or_skip("openssl") else {
        return;
    };
    let run = |words: &[&str]| {
        parts::run("openssl", place.command(&openssl).args(words), PATIENCE).stdout
    };
    let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    run(&[&["genpkey", "-out", "good.pem"][..], &curve].concat());
    let pass = "pass:correct-horse-battery";
    run(&[
        "pkcs8",
        "-topk8",
        "-in",
        "good.pem",
        "-passout",
        pass,
        "-out",
        "closed.pem",
    ]);
    run(&[
        "ec",
        "-in",
        "good.pem",
        "-aes128",
        "-passout",
        pass,
        "-out",
        "old-closed.pem",
    ]);
    run(&[
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-out",
        "two.pem",
    ]);
    run(&["pkey", "-in", "good.pem", "-pubout", "-out", "public.pem"]);
    let good = place.read("good.pem");
    place.write("damaged.pem", &good.replacen("MIGH", "MIGX", 1));
    place.write("text.pem", "garbage");
    let cert = |key: &str| {
        let server = ["cert", "--server", "http://127.0.0.1:1", "--token", "-"];
        place
            .call(&[&server[..], &["--key", key]].concat())
            .stdin(NO_TOKEN)
            .run()
    };
    for (key, told, advised) in [
        (
            "closed.pem",
            "it is encrypted",
            "openssl pkey -in closed.pem",
        ),
        (
            "old-closed.pem",
            "it is encrypted",
            "openssl pkey -in old-closed.pem",
        ),
        (
            "two.pem",
            "another block stands before the key",
            "openssl pkey -in two.pem",
        ),
        ("public.pem", "it is a public key", "--csr"),
        (
            "damaged.pem",
            "it is damaged",
            "openssl pkey -in damaged.pem",
        ),
        ("text.pem", "it holds no private key", "--new-key"),
    ] {
        let told = format!("FAIL 2  cannot use the key in {key}: {told}");
        cert(key)
            .exits(2)
            .says(&told)
            .says(&format!("try: {advised}").replace("try: --csr", "--csr"));
    }
    // Nobody listens there.
    cert("good.pem").exits(5);
}
