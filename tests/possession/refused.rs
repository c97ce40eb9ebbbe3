//! Keys that an instance refuses one by one: the operator's list, and its own.

use crate::world::{TestKey, pem};
use aws_lc_rs::digest::{SHA256, digest};
use shortleaf::fault::Reason;
use shortleaf::possession::{
    self, AlgorithmList, Error, Insecure, KeyError, KeyKind, KeyPolicy, SubjectKey, WeakKeys,
};

fn hash(key: &TestKey) -> [u8; 32] {
    digest(&SHA256, &key.spki()).as_ref().try_into().unwrap()
}

fn line(key: &TestKey) -> String {
    hash(key)
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

/// What becomes of a key, by itself and inside a signing request.
fn judged(key: &TestKey, policy: &KeyPolicy) -> [Result<KeyKind, Error>; 2] {
    let subject = SubjectKey::from_bytes(&key.spki()).unwrap();
    let proof = key.sign(b"challenge");
    let by_signature = possession::by_signature(subject, "challenge", &proof, policy);
    let csr = rcgen::CertificateParams::default().serialize_request(&key.for_rcgen());
    let csr = pem("CERTIFICATE REQUEST", csr.unwrap().der());
    let by_csr = possession::by_csr(csr.as_bytes(), policy);
    [by_signature, by_csr].map(|proven| proven.map(|key| key.kind()))
}

#[test]
fn a_key_on_the_operators_list_is_refused_and_its_neighbour_is_not() {
    for key in TestKey::one_of_each() {
        let listed = WeakKeys::parse(format!("# leaked\n{}\n", line(&key)).as_bytes()).unwrap();
        let policy = KeyPolicy::new(AlgorithmList::all(), listed, []);
        for judged in judged(&key, &policy) {
            let error = Error::Key(KeyError::Insecure(Insecure::KnownWeak));
            assert_eq!(error.reason(), Reason::PublicKeyInsecure);
            assert_eq!(judged, Err(error));
        }
    }
    let [key, neighbour] = [KeyKind::EcdsaP256; 2].map(TestKey::generate);
    let listed = WeakKeys::parse(line(&key).as_bytes()).unwrap();
    let policy = KeyPolicy::new(AlgorithmList::all(), listed, []);
    assert!(judged(&neighbour, &policy).iter().all(Result::is_ok));
}

#[test]
fn a_key_of_ours_is_refused_before_its_proof_is_looked_at() {
    let [ours, neighbour] = [KeyKind::EcdsaP384; 2].map(TestKey::generate);
    let policy = KeyPolicy::new(AlgorithmList::all(), WeakKeys::default(), [hash(&ours)]);
    let error = Error::Key(KeyError::Insecure(Insecure::Ours));
    assert_eq!(judged(&ours, &policy), [(); 2].map(|()| Err(error.clone())));
    let subject = SubjectKey::from_bytes(&ours.spki()).unwrap();
    assert_eq!(
        possession::by_signature(subject, "challenge", b"", &policy),
        Err(error)
    );
    assert!(judged(&neighbour, &policy).iter().all(Result::is_ok));
}
