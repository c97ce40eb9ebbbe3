//! Public keys: whatever is accepted is one key in one encoding, and others read the same in it.

use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use shortleaf::possession::{
    self, AlgorithmList, Error, KeyError, KeyKind, KeyPolicy, MAX_KEY_BYTES, SubjectKey,
};
use shortleaf::x509::pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

pub(crate) fn run(input: &[u8]) {
    super::pem::run(input);
    let bare = read(input);
    if !input.trim_ascii_start().starts_with(b"-") && !input.is_empty() {
        // Armour changes nothing, but for the size.
        let armoured = pem::encode("PUBLIC KEY", input);
        if armoured.len() <= MAX_KEY_BYTES {
            assert_eq!(read(armoured.as_bytes()), bare, "in PEM");
        }
        let _ = read(pem::encode("RSA PUBLIC KEY", input).as_bytes());
    }
}

/// Reads a key; one that is accepted is held against second opinions.
fn read(content: &[u8]) -> Result<Vec<u8>, KeyError> {
    let key = SubjectKey::from_bytes(content)?;
    let der = key.spki_der().to_vec();
    let again = SubjectKey::from_bytes(&der).expect("what is accepted is accepted again");
    assert_eq!(again.spki_der(), der);

    let (rest, theirs) = SubjectPublicKeyInfo::from_der(&der).expect("x509-parser reads it");
    assert!(rest.is_empty(), "x509-parser leaves something");
    let theirs = theirs.parsed().expect("x509-parser knows it");
    match (key.kind(), theirs) {
        (KeyKind::EcdsaP256, PublicKey::EC(_)) => {
            let theirs = p256::PublicKey::from_public_key_der(&der).expect("p256 reads it");
            let written = theirs.to_public_key_der().expect("p256 writes it");
            assert_eq!(written.as_bytes(), der);
        }
        (KeyKind::EcdsaP384, PublicKey::EC(_)) => {
            let theirs = p384::PublicKey::from_public_key_der(&der).expect("p384 reads it");
            let written = theirs.to_public_key_der().expect("p384 writes it");
            assert_eq!(written.as_bytes(), der);
        }
        (KeyKind::EcdsaP521, PublicKey::EC(_)) | (KeyKind::Ed25519, PublicKey::Unknown(_)) => {}
        (KeyKind::Rsa2048, PublicKey::RSA(rsa)) => assert_eq!(rsa.key_size(), 2048),
        (KeyKind::Rsa3072, PublicKey::RSA(rsa)) => assert_eq!(rsa.key_size(), 3072),
        (KeyKind::Rsa4096, PublicKey::RSA(rsa)) => assert_eq!(rsa.key_size(), 4096),
        (kind, theirs) => panic!("{kind} is {theirs:?} to x509-parser"),
    }

    // Its own end is as good a proof as any made-up one.
    let (kind, scheme) = (key.kind(), key.kind().scheme());
    let proof = &content[content.len() / 2..];
    let policy = KeyPolicy::from(AlgorithmList::all());
    assert_eq!(
        possession::by_signature(key, "challenge", proof, &policy).map(|_| "forged"),
        Err(Error::ProofInvalid { key: kind, scheme })
    );
    Ok(der)
}
