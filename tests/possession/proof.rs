//! Proof by signature over the challenge.

use crate::world::{TestKey, side_by_side};
use shortleaf::fault::Reason;
use shortleaf::possession::{self, AlgorithmList, Error, KeyKind, KeyPolicy, SubjectKey};

const CHALLENGE: &str = "repo:acme/app:ref:refs/heads/main";

fn prove(key: &TestKey, challenge: &str, proof: &[u8]) -> Result<Vec<u8>, Error> {
    let subject = SubjectKey::from_bytes(&key.spki())?;
    possession::by_signature(subject, challenge, proof, &AlgorithmList::all().into())
        .map(|possessed| possessed.spki_der().to_vec())
}

fn invalid(key: &TestKey) -> Option<Error> {
    Some(Error::ProofInvalid {
        key: key.kind(),
        scheme: key.kind().scheme(),
    })
}

#[test]
fn a_key_of_each_kind_proves_itself_and_no_other() {
    for key in TestKey::one_of_each() {
        let proof = key.sign(CHALLENGE.as_bytes());
        assert_eq!(prove(&key, CHALLENGE, &proof), Ok(key.spki()));

        let another = TestKey::generate(key.kind());
        assert_eq!(prove(&another, CHALLENGE, &proof).err(), invalid(&key));
        let other_challenge = prove(&key, "repo:acme/app:ref:refs/heads/main ", &proof);
        assert_eq!(other_challenge.err(), invalid(&key));
        assert_eq!(prove(&key, CHALLENGE, b"").err(), invalid(&key));
        let trailing = [&proof[..], &[0]].concat();
        assert_eq!(prove(&key, CHALLENGE, &trailing).err(), invalid(&key));
    }
}

#[test]
fn an_ecdsa_proof_may_be_two_integers_side_by_side() {
    for (kind, width) in [
        (KeyKind::EcdsaP256, 32),
        (KeyKind::EcdsaP384, 48),
        (KeyKind::EcdsaP521, 66),
    ] {
        let key = TestKey::generate(kind);
        let fixed = side_by_side(&key.sign(CHALLENGE.as_bytes()), width);
        assert_eq!(fixed.len(), 2 * width);
        assert_eq!(prove(&key, CHALLENGE, &fixed), Ok(key.spki()));
        // Of the full width, though both integers might fit into less.
        let wider = [&[0], &fixed[..width], &[0], &fixed[width..]].concat();
        assert_eq!(prove(&key, CHALLENGE, &wider).err(), invalid(&key));
    }
}

#[test]
fn zeros_are_no_signature() {
    // CVE-2022-21449, in both encodings.
    let key = TestKey::generate(KeyKind::EcdsaP256);
    for proof in [&b"\x30\x06\x02\x01\x00\x02\x01\x00"[..], &[0; 64]] {
        assert_eq!(prove(&key, CHALLENGE, proof).err(), invalid(&key));
    }
}

#[test]
fn a_high_s_is_as_good_as_a_low_one() {
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let fixed = side_by_side(&key.sign(CHALLENGE.as_bytes()), 32);
    let signature = ::p256::ecdsa::Signature::from_slice(&fixed).unwrap();
    let (r, s) = signature.split_scalars();
    let mirrored = ::p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
    for proof in [signature, mirrored] {
        assert_eq!(prove(&key, CHALLENGE, &proof.to_bytes()), Ok(key.spki()));
        let der = proof.to_der();
        assert_eq!(prove(&key, CHALLENGE, der.as_bytes()), Ok(key.spki()));
    }
}

#[test]
fn a_pair_off_the_list_is_refused_after_its_proof_was_checked() {
    let key = TestKey::generate(KeyKind::Ed25519);
    let proof = key.sign(CHALLENGE.as_bytes());
    let list = AlgorithmList::from_names(["ecdsa-sha2-256-nistp256"]).unwrap();
    let list = KeyPolicy::from(list);
    let subject = || SubjectKey::from_bytes(&key.spki()).unwrap();
    let error = possession::by_signature(subject(), CHALLENGE, &proof, &list).unwrap_err();
    assert_eq!(error.reason(), Reason::AlgorithmNotPermitted);
    assert_eq!(error.to_string(), "Ed25519 key, Ed25519 signature");
    let error = possession::by_signature(subject(), "other", &proof, &list).unwrap_err();
    assert_eq!(error.reason(), Reason::ProofInvalid);
}

#[test]
fn a_refusal_says_what_was_wrong_with_which_key() {
    let key = TestKey::generate(KeyKind::EcdsaP384);
    let error = prove(&key, CHALLENGE, b"\x30").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the proof is not the P-384 key's ECDSA-SHA384 signature of the challenge"
    );
    let malformed = Error::from(SubjectKey::from_bytes(b"").unwrap_err());
    assert_eq!(malformed.to_string(), "no public key");
}

#[test]
fn a_key_is_known_by_the_hash_of_its_der() {
    use sha2::Digest as _;
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let subject = SubjectKey::from_bytes(&key.spki()).unwrap();
    let proof = key.sign(CHALLENGE.as_bytes());
    let possessed =
        possession::by_signature(subject, CHALLENGE, &proof, &AlgorithmList::all().into()).unwrap();
    assert_eq!(
        possessed.spki_hash()[..],
        sha2::Sha256::digest(key.spki())[..]
    );
}
