//! A new CA: its certificates, its key files, and both in OpenSSL's hands.

use secrecy::SecretString;
use shortleaf::ca::Signer;
use shortleaf::keys::file::{FileSigner, KeyFileError, open, private_key};
use shortleaf::keys::init::{Files, InitError, Request, build};
use shortleaf::system::SystemEntropy;
use shortleaf::time::UnixSeconds;
use shortleaf::x509::{Certificate, SignatureAlgorithm, oid};

use crate::tool::Tool;

/// 2026-11-21T12:00:00Z.
const NOON: UnixSeconds = UnixSeconds(1_795_262_400);
const CRL: &str = "http://ca.example.com/crl/ca.crl";

fn request(algorithm: SignatureAlgorithm) -> Request<'static> {
    Request {
        organization: "Example, Inc.",
        algorithm,
        crl_url: Some(CRL),
        now: NOON,
    }
}

fn passphrase() -> SecretString {
    SecretString::from("correct horse")
}

fn files(algorithm: SignatureAlgorithm) -> Files {
    let new = build(&request(algorithm), &SystemEntropy).unwrap();
    new.to_files(Some(&passphrase()), &SystemEntropy).unwrap()
}

#[test]
fn the_files_of_a_new_ca_open_as_an_issuing_ca() {
    for algorithm in SignatureAlgorithm::ALL {
        let files = files(*algorithm);
        let (authority, signer) =
            open(&files.chain, &files.issuing_key, Some(&passphrase()), NOON).unwrap();
        assert_eq!(authority.algorithm(), *algorithm);
        assert_eq!(authority.chain().len(), 2);
        assert_eq!(signer.spki(), authority.issuing().spki());
        let root_key = private_key(&files.root_key, Some(&passphrase())).unwrap();
        assert_eq!(root_key.spki(), authority.chain()[1].spki());
        let log = private_key(&files.log_key, Some(&passphrase())).unwrap();
        assert_eq!(log.algorithm(), SignatureAlgorithm::EcdsaP256Sha256);
    }
}

#[test]
fn the_root_lives_ten_years_and_the_issuing_ca_five() {
    let new = build(
        &request(SignatureAlgorithm::EcdsaP384Sha384),
        &SystemEntropy,
    )
    .unwrap();
    let [issuing, root] =
        [new.issuing_der, new.root_der].map(|der| Certificate::from_der(der).unwrap());
    let days = |ca: &Certificate| ca.not_after().plus(1).since(ca.not_before()) / 86_400;
    assert_eq!((root.not_before(), days(&root)), (NOON, 3652));
    assert_eq!((issuing.not_before(), days(&issuing)), (NOON, 1826));
    assert!(issuing.serial().len() == 19 && issuing.serial() != root.serial());
}

#[test]
fn the_distribution_point_stands_in_the_issuing_ca_only_if_asked_for() {
    let made = |crl_url| {
        let mut request = request(SignatureAlgorithm::EcdsaP384Sha384);
        request.crl_url = crl_url;
        let new = build(&request, &SystemEntropy).unwrap();
        [new.issuing_der, new.root_der].map(|der| {
            let certificate = Certificate::from_der(der).unwrap();
            let point = certificate.extension(oid::CRL_DISTRIBUTION_POINTS);
            point.map(|value| String::from_utf8_lossy(value).into_owned())
        })
    };
    let [issuing, root] = made(Some(CRL));
    assert!(issuing.unwrap().ends_with(CRL));
    assert_eq!(root, None);
    assert_eq!(made(None), [None, None]);
}

#[test]
fn no_two_cas_ever_made_have_one_name() {
    let subjects = || {
        let new = build(
            &request(SignatureAlgorithm::EcdsaP256Sha256),
            &SystemEntropy,
        )
        .unwrap();
        [new.issuing_der, new.root_der]
            .map(|der| Certificate::from_der(der).unwrap().subject().to_vec())
    };
    let mut all: Vec<_> = [subjects(), subjects()].concat();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn names_and_urls_that_cannot_stand_in_a_certificate_are_refused() {
    let made = |organization, crl_url| {
        let mut request = request(SignatureAlgorithm::EcdsaP384Sha384);
        (request.organization, request.crl_url) = (organization, crl_url);
        build(&request, &SystemEntropy).err()
    };
    assert!(made("Größe", None).is_none());
    let long = "x".repeat(65);
    for organization in ["", "a\nb", &long] {
        assert!(matches!(
            made(organization, None),
            Some(InitError::Organization { .. })
        ));
    }
    for url in ["https://ca.example.com/ca.crl", "http://", "ca.crl"] {
        assert!(matches!(
            made("x", Some(url)),
            Some(InitError::CrlUrl { .. })
        ));
    }
}

#[test]
fn openssl_verifies_a_new_ca_strictly_and_opens_its_key() {
    let Some(openssl) = Tool::find("openssl") else {
        return;
    };
    for algorithm in SignatureAlgorithm::ALL {
        let files = files(*algorithm);
        openssl.file("chain.pem", &files.chain);
        openssl.file("root.pem", &files.root);
        openssl.file("key.pem", files.issuing_key.as_bytes());
        openssl.file("log.pub", &files.log_public_key);
        let at = NOON.0;
        let verified = openssl.run(&format!(
            "verify -x509_strict -purpose any -attime {at} -CAfile root.pem chain.pem"
        ));
        assert_eq!(verified.unwrap(), "chain.pem: OK\n");
        let text = openssl.run("x509 -in chain.pem -noout -text").unwrap();
        for line in [
            "CA:TRUE, pathlen:0",
            "Certificate Sign, CRL Sign",
            "Code Signing",
            CRL,
            "O = \"Example, Inc.\"",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
        openssl.file("passphrase", "correct horse\n");
        let from_key = openssl.run("pkey -in key.pem -passin file:passphrase -pubout");
        let from_certificate = openssl.run("x509 -in chain.pem -noout -pubkey");
        assert_eq!(from_key.unwrap(), from_certificate.unwrap());
        assert!(openssl.run("pkey -pubin -in log.pub -noout").is_ok());
    }
}

#[test]
fn key_files_of_openssl_open_and_its_old_kinds_are_refused() {
    let Some(openssl) = Tool::find("openssl") else {
        return;
    };
    openssl.file("passphrase", "correct horse\n");
    for curve in ["P-256", "P-384"] {
        openssl
            .run(&format!(
                "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out plain.pem"
            ))
            .unwrap();
        let plain = FileSigner::from_pem(&openssl.read("plain.pem"), None).unwrap();
        for scheme in ["-v2 aes-256-cbc", "-v2 aes-128-cbc", "-scrypt"] {
            openssl
                .run(&format!(
                    "pkcs8 -topk8 {scheme} -in plain.pem -out key.pem -passout file:passphrase"
                ))
                .unwrap();
            let opened = FileSigner::from_pem(&openssl.read("key.pem"), Some(&passphrase()));
            assert_eq!(opened.unwrap().spki(), plain.spki(), "{scheme}");
        }
        for scheme in ["-v1 PBE-SHA1-3DES", "-v2 des3"] {
            openssl
                .run(&format!(
                    "pkcs8 -topk8 {scheme} -in plain.pem -out old.pem -passout file:passphrase"
                ))
                .unwrap();
            let old = FileSigner::from_pem(&openssl.read("old.pem"), Some(&passphrase()));
            assert!(
                matches!(old, Err(KeyFileError::Encryption { .. })),
                "{scheme}"
            );
        }
        openssl.run("ec -in plain.pem -out sec1.pem").unwrap();
        let sec1 = FileSigner::from_pem(&openssl.read("sec1.pem"), None);
        assert!(matches!(sec1, Err(KeyFileError::Label { .. })));
    }
    openssl
        .run("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out other.pem")
        .unwrap();
    let other = FileSigner::from_pem(&openssl.read("other.pem"), None);
    assert!(matches!(other, Err(KeyFileError::Key(_))));
}

#[test]
fn pkilint_has_nothing_to_say_about_a_new_ca() {
    for algorithm in SignatureAlgorithm::ALL {
        let Some(pkilint) = Tool::find("lint_pkix_cert") else {
            return;
        };
        let files = files(*algorithm);
        let issuing = files.chain.strip_suffix(&files.root).unwrap();
        pkilint.file("issuing.pem", issuing);
        pkilint.file("root.pem", &files.root);
        for file in ["issuing.pem", "root.pem"] {
            let findings = pkilint.run(&format!("lint -s NOTICE {file}"));
            assert_eq!(findings.as_deref().map(str::trim), Ok(""), "{file}");
        }
    }
}
