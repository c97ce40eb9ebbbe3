//! `inspect`: a certificate that someone can read.

use crate::cert::WORKFLOW;
use crate::dev::Dev;

#[test]
fn inspect_names_every_extension() {
    let dev = Dev::start(&[]);
    dev.certify();
    let shown = dev.place.run(&["inspect", "cert.pem"]).exits(0).stdout;
    let leaf = shown.split("\n\n").next().unwrap();
    for part in [
        "subject                                     (empty)",
        &format!("URI:{WORKFLOW}"),
        "digitalSignature",
        "codeSigning",
        "Source Repository URI",
        "https://github.com/acme/app",
        "P-256",
    ] {
        assert!(leaf.contains(part), "{part}\n{leaf}");
    }
    assert!(
        leaf.contains("log ") && leaf.contains(" at 20"),
        "its SCT\n{leaf}"
    );

    let piped = dev.place.call(&["inspect", "-"]);
    let piped = piped.stdin(&dev.place.read("cert.pem")).run().exits(0);
    assert_eq!(piped.stdout, shown);
    let empty = dev.place.call(&["inspect", "-"]).run();
    empty.exits(13);

    let json = dev
        .place
        .run(&["--json", "inspect", "cert.pem"])
        .exits(0)
        .json();
    let certificates = json["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 3);
    let extensions = certificates[0]["extensions"].as_array().unwrap();
    let nameless: Vec<_> = extensions.iter().filter(|e| e["name"].is_null()).collect();
    assert!(nameless.is_empty(), "{nameless:?}");
    let fulcio = extensions.iter().filter(|e| {
        e["oid"]
            .as_str()
            .unwrap()
            .starts_with("1.3.6.1.4.1.57264.1.")
    });
    assert!(fulcio.clone().count() >= 22, "{extensions:?}");
    // For programs: the claim and nothing beside it.
    for extension in fulcio {
        let value = extension["value"][0].as_str().unwrap();
        assert!(!value.starts_with('.') && !value.is_empty(), "{value}");
    }
}
