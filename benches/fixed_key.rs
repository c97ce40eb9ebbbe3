//! A prepared key against aws-lc-rs, in one run on one core: `cargo bench --bench fixed_key`.
//!
//! Both hash the message and read the signature from DER. The rows below walk through other data
//! before each verification, as a server does between two of them: the tables then come from
//! slower caches.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey,
};
use shortleaf::fixed_key::{PreparedKey, Signature};
use shortleaf::hash::sha256;

const SIGNATURES: usize = 512;
const ROUNDS: usize = 9;
/// Between two verifications, in KiB.
const OTHER_DATA: [usize; 3] = [0, 1024, 4096];

fn main() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
    let point = pair.public_key().as_ref();
    let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).expect("its own key");
    let point = point.try_into().expect("65 octets");
    for which in ["with the generator's", "alone"] {
        let start = Instant::now();
        black_box(PreparedKey::of(point).expect("a point"));
        println!(
            "prepared {which} in {:.1} ms",
            1e3 * start.elapsed().as_secs_f64()
        );
    }
    let prepared = PreparedKey::of(point).expect("a point");
    let random = SystemRandom::new();
    let signed: Vec<([u8; 32], Vec<u8>)> = (0..SIGNATURES)
        .map(|n| {
            let message = sha256(&[&n.to_be_bytes()]);
            let signature = pair.sign(&random, &message).expect("P-256 signs");
            (message, signature.as_ref().to_vec())
        })
        .collect();

    for kib in OTHER_DATA {
        let mut other_data = vec![1u8; kib * 1024];
        let by_table = median(&signed, &mut other_data, |message, signature| {
            assert!(prepared.holds(&sha256(&[message]), Signature::from_der(signature)));
        });
        let by_aws_lc = median(&signed, &mut other_data, |message, signature| {
            parsed.verify_sig(message, signature).expect("good");
        });
        println!(
            "{kib:5} KiB of other data: prepared {by_table:5.1} us, aws-lc-rs {by_aws_lc:5.1} us, ratio {:.2}",
            by_aws_lc / by_table
        );
    }
}

/// Microseconds of one verification: the median of the rounds' means.
fn median(
    signed: &[([u8; 32], Vec<u8>)],
    other_data: &mut [u8],
    verify: impl Fn(&[u8], &[u8]),
) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let mut spent = 0.0;
            for (message, signature) in signed {
                for octet in other_data.iter_mut().step_by(64) {
                    *octet = octet.wrapping_add(1);
                }
                let start = Instant::now();
                verify(message, signature);
                spent += start.elapsed().as_secs_f64();
            }
            1e6 * spent / signed.len() as f64
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
