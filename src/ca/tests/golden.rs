//! Whole certificates, byte for byte: fixed keys, fixed serial, fixed time, and signatures that
//! are the same on every run (RFC 6979). `testdata/ca/README.md` says how the files came to be;
//! `tests/ca` holds the same files against OpenSSL.

use super::world::{NOON, World, email_principal, subject_key, workflow_principal};
use crate::identity::Principal;
use crate::x509::{SignatureAlgorithm, pem};

/// Leaf, precertificate, issuing CA, root.
fn text(algorithm: SignatureAlgorithm, principal: Principal, crl_url: Option<&str>) -> String {
    let world = World::new(algorithm).with_profile(600, 0, crl_url);
    let plan = world.plan_for(principal, subject_key(7), NOON).unwrap();
    let precert = world.sign(plan.precertificate().unwrap());
    let precert_der = precert.der().to_vec();
    let leaf = world.seal(precert);
    let mut text = pem::encode("CERTIFICATE", leaf.der());
    text += &pem::encode("CERTIFICATE", &precert_der);
    for ca in world.authority.chain() {
        text += &pem::encode("CERTIFICATE", ca.der());
    }
    text
}

#[test]
fn a_workflows_certificates_are_the_bytes_on_file() {
    let algorithm = SignatureAlgorithm::EcdsaP384Sha384;
    let url = Some("http://crl.example.com/crl/leaf.crl");
    assert_eq!(
        text(algorithm, workflow_principal(), url),
        include_str!("../../../testdata/ca/workflow-p384.pem")
    );
}

#[test]
fn a_persons_certificates_are_the_bytes_on_file() {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    assert_eq!(
        text(algorithm, email_principal(), None),
        include_str!("../../../testdata/ca/email-p256.pem")
    );
}
