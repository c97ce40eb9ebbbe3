//! What every signer must keep, run by each signer's own tests.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use p256::ecdsa::signature::Verifier;

use crate::ca::Signer;
use crate::x509::{SignatureAlgorithm, subject_public_key};

/// Runs the suite: the public key is the algorithm's, and a signature over any message verifies
/// by it, by two libraries, and over no other message.
pub(crate) fn check(signer: &dyn Signer) {
    let (algorithm, spki) = (signer.algorithm(), signer.spki().to_vec());
    assert_eq!(SignatureAlgorithm::of_key(&spki), Some(algorithm));
    for message in [&b""[..], b"a", &[0x5a; 5000]] {
        let signature = block_on(signer.sign(message)).expect("a live signer signs");
        assert_eq!(algorithm.verify(&spki, message, &signature), Ok(()));
        assert!(second_opinion(algorithm, &spki, message, &signature));
        let other = [message, b"."].concat();
        assert!(algorithm.verify(&spki, &other, &signature).is_err());
        assert!(!second_opinion(algorithm, &spki, &other, &signature));
    }
    assert_eq!(signer.spki(), spki, "the key never changes");
}

/// The pure Rust implementations verify what aws-lc-rs signed.
pub(crate) fn second_opinion(
    algorithm: SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let point = subject_public_key(spki).expect("a key");
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => {
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).expect("a point");
            let signature = p256::ecdsa::DerSignature::try_from(signature);
            signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
        }
        SignatureAlgorithm::EcdsaP384Sha384 => {
            let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).expect("a point");
            let signature = p384::ecdsa::DerSignature::try_from(signature);
            signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
        }
    }
}

/// Software signers never wait, so one look is enough and no runtime is needed.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a software signer waits for something"),
    }
}
