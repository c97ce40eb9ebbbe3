//! What the signatures inside one issuance cost by themselves, on the server's core.
//!
//! aws-lc-rs in the same build as the server. Messages are short: hashing a token or a
//! certificate is counted as ours, not as the ceiling's.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, KeyPair as _, ParsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::cpu;

/// How long one primitive is warmed, and how it is sampled.
#[derive(Clone, Copy)]
pub(crate) struct Sampling {
    pub(crate) warm: Duration,
    pub(crate) sample: Duration,
    pub(crate) samples: usize,
}

/// The CA key of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CaKey {
    P384,
    P256,
}

/// The algorithm of a row's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenAlgorithm {
    Rs256,
    Es256,
}

/// Microseconds of CPU for each operation: the median of the samples.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Primitives {
    pub(crate) verify_rs256: f64,
    pub(crate) verify_p256: f64,
    pub(crate) verify_p256_raw_key: f64,
    pub(crate) sign_p384: f64,
    pub(crate) sign_p256: f64,
}

impl Primitives {
    /// The crypto ceiling of one issuance in microseconds: the token's signature, the proof of
    /// possession under a key never seen before, precertificate and certificate, the SCT.
    /// Fixed: an optimisation that gets below a term shows as a ratio above 1, not as a new ceiling.
    pub(crate) fn ceiling(&self, token: TokenAlgorithm, ca: CaKey) -> f64 {
        let token = match token {
            TokenAlgorithm::Rs256 => self.verify_rs256,
            TokenAlgorithm::Es256 => self.verify_p256,
        };
        let sign = match ca {
            CaKey::P384 => self.sign_p384,
            CaKey::P256 => self.sign_p256,
        };
        token + self.verify_p256_raw_key + 2.0 * sign + self.verify_p256
    }

    /// The largest relative difference between two measurements of the same thing.
    pub(crate) fn drift(&self, other: &Self) -> f64 {
        let pairs = [
            (self.verify_rs256, other.verify_rs256),
            (self.verify_p256, other.verify_p256),
            (self.verify_p256_raw_key, other.verify_p256_raw_key),
            (self.sign_p384, other.sign_p384),
            (self.sign_p256, other.sign_p256),
        ];
        pairs
            .iter()
            .map(|(a, b)| (a - b).abs() / a.min(*b))
            .fold(0.0, f64::max)
    }

    /// Term by term, the mean of two measurements.
    pub(crate) fn between(&self, other: &Self) -> Self {
        let mean = |a: f64, b: f64| (a + b) / 2.0;
        Self {
            verify_rs256: mean(self.verify_rs256, other.verify_rs256),
            verify_p256: mean(self.verify_p256, other.verify_p256),
            verify_p256_raw_key: mean(self.verify_p256_raw_key, other.verify_p256_raw_key),
            sign_p384: mean(self.sign_p384, other.sign_p384),
            sign_p256: mean(self.sign_p256, other.sign_p256),
        }
    }
}

/// Measures every term.
pub(crate) fn measure(sampling: Sampling) -> Primitives {
    let message = [0x5a; 32];
    let random = SystemRandom::new();

    let rsa = rsa::KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let mut rsa_signature = vec![0; rsa.public_modulus_len()];
    rsa.sign(&lc::RSA_PKCS1_SHA256, &random, &message, &mut rsa_signature)
        .expect("RSA signs");
    let rsa_key = ParsedPublicKey::new(&lc::RSA_PKCS1_2048_8192_SHA256, rsa.public_key())
        .expect("its own key");

    let p256 = EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let p384 = EcdsaKeyPair::generate(&lc::ECDSA_P384_SHA384_ASN1_SIGNING).expect("a key");
    let signature = p256.sign(&random, &message).expect("P-256 signs");
    let point = p256.public_key().as_ref();
    let p256_key = ParsedPublicKey::new(&lc::ECDSA_P256_SHA256_ASN1, point).expect("its own key");

    Primitives {
        verify_rs256: microseconds(sampling, || {
            rsa_key.verify_sig(&message, &rsa_signature).expect("good");
        }),
        verify_p256: microseconds(sampling, || {
            p256_key
                .verify_sig(&message, signature.as_ref())
                .expect("good");
        }),
        verify_p256_raw_key: microseconds(sampling, || {
            lc::UnparsedPublicKey::new(&lc::ECDSA_P256_SHA256_ASN1, black_box(point))
                .verify(&message, signature.as_ref())
                .expect("good");
        }),
        sign_p384: microseconds(sampling, || {
            black_box(p384.sign(&random, &message).expect("P-384 signs"));
        }),
        sign_p256: microseconds(sampling, || {
            black_box(p256.sign(&random, &message).expect("P-256 signs"));
        }),
    }
}

/// Median CPU microseconds of one call.
pub(crate) fn microseconds(sampling: Sampling, mut call: impl FnMut()) -> f64 {
    run_for(sampling.warm, &mut call);
    let mut samples: Vec<f64> = (0..sampling.samples)
        .map(|_| {
            let before = cpu::this_thread();
            let calls = run_for(sampling.sample, &mut call);
            (cpu::this_thread() - before) as f64 / calls as f64 / 1000.0
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn run_for(time: Duration, call: &mut impl FnMut()) -> u64 {
    let start = Instant::now();
    let mut calls = 0;
    while start.elapsed() < time {
        // Ten at a time: reading the clock is not what is measured.
        (0..10).for_each(|_| call());
        calls += 10;
    }
    calls
}
