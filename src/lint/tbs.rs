//! Rules c00–c07 and c20: everything but the extensions.

use super::reading::Reading;
use super::{Expected, oid};
use crate::hex;
use crate::time::UnixSeconds;
use crate::x509::SignatureAlgorithm;

/// The empty SEQUENCE.
const EMPTY_NAME: &[u8] = &[0x30, 0];

pub(super) fn every_byte(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    if read.accounts_for_every_byte() {
        return Ok(());
    }
    Err("the certificate, read and written again, is not the same bytes".into())
}

pub(super) fn version(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    // v3 is written 2 (RFC 5280 §4.1.2.1).
    match read.certificate.tbs_certificate.version.0 {
        2 => Ok(()),
        other => Err(format!("version is {other}, not 2 (v3)")),
    }
}

pub(super) fn serial(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    let serial = read.certificate.tbs_certificate.raw_serial();
    if !(9..=19).contains(&serial.len()) {
        return Err(format!("serial has {} octets, not 9 to 19", serial.len()));
    }
    match serial {
        [0x80..=0xff, ..] => Err(format!("serial is negative: {}", hex::encode(serial))),
        // A zero in front is only right before a set top bit; all zero is not positive.
        [0, next, ..] if *next < 0x80 => Err(format!(
            "serial has needless zeros: {}",
            hex::encode(serial)
        )),
        // The intent was written under the planned one; another could not be found to be revoked.
        _ => same_bytes("serial", serial, expected.serial),
    }
}

pub(super) fn algorithm(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    let want = match expected.algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => oid::ECDSA_SHA256,
        SignatureAlgorithm::EcdsaP384Sha384 => oid::ECDSA_SHA384,
    };
    let inner = &read.certificate.tbs_certificate.signature;
    let outer = &read.certificate.signature_algorithm;
    for (place, got) in [("inner", inner), ("outer", outer)] {
        if got.algorithm.as_bytes() != want {
            return Err(format!(
                "{place} signature algorithm is {}, the CA key's is {:?}",
                got.algorithm, expected.algorithm
            ));
        }
        // RFC 5758 §3.2: absent, not NULL.
        if got.parameters.is_some() {
            return Err(format!("{place} signature algorithm has parameters"));
        }
    }
    Ok(())
}

pub(super) fn issuer(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    // Bytes, not meaning: every client compares them so.
    let got = read.certificate.tbs_certificate.issuer.as_raw();
    same_bytes("issuer", got, expected.issuer_name)
}

pub(super) fn validity(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    let validity = &read.certificate.tbs_certificate.validity;
    let not_before = UnixSeconds(validity.not_before.timestamp());
    let not_after = UnixSeconds(validity.not_after.timestamp());
    if (not_before, not_after) != (expected.not_before, expected.not_after) {
        return Err(format!(
            "valid {not_before} to {not_after}, planned {} to {}",
            expected.not_before, expected.not_after
        ));
    }
    // Both ends count, so one second more than the difference.
    let lifetime = not_after.since(not_before).saturating_add(1);
    if !(1..=i64::from(expected.lifetime_s)).contains(&lifetime) {
        return Err(format!(
            "lives {lifetime} s, the profile allows {} s",
            expected.lifetime_s
        ));
    }
    if not_before < expected.issuer_not_before || not_after > expected.issuer_not_after {
        return Err(format!(
            "valid {not_before} to {not_after}, the issuer {} to {}",
            expected.issuer_not_before, expected.issuer_not_after
        ));
    }
    Ok(())
}

pub(super) fn subject(read: &Reading<'_>, _: &Expected<'_>) -> Result<(), String> {
    let got = read.certificate.tbs_certificate.subject.as_raw();
    same_bytes("subject", got, EMPTY_NAME)
}

pub(super) fn subject_key(read: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    let got = read.certificate.tbs_certificate.subject_pki.raw;
    same_bytes("subject key", got, expected.spki)?;
    if KEY_SHAPES.iter().any(|shape| shape.fits(got)) {
        return Ok(());
    }
    let head = &got[..got.len().min(32)];
    Err(format!(
        "subject key is not the canonical form of an allowed kind: {} octets, {}…",
        got.len(),
        hex::encode(head)
    ))
}

pub(super) fn profile(_: &Reading<'_>, expected: &Expected<'_>) -> Result<(), String> {
    if expected.profile_known && !expected.profile_name.is_empty() {
        return Ok(());
    }
    Err(format!("profile {:?} is not known", expected.profile_name))
}

/// A key kind has one canonical SubjectPublicKeyInfo: fixed octets around the key itself.
struct KeyShape {
    head: &'static [u8],
    key_len: usize,
    /// Public exponent 65537 for RSA, nothing for others.
    tail: &'static [u8],
}

impl KeyShape {
    fn fits(&self, spki: &[u8]) -> bool {
        let Some(key) = spki
            .strip_prefix(self.head)
            .and_then(|rest| rest.strip_suffix(self.tail))
        else {
            return false;
        };
        let odd_and_full = self.tail.is_empty()
            || (key.first().is_some_and(|top| *top >= 0x80)
                && key.last().is_some_and(|low| low % 2 == 1));
        key.len() == self.key_len && odd_and_full
    }
}

/// INTEGER 65537, the end of every RSA key we certify.
const E_65537: &[u8] = &[0x02, 0x03, 1, 0, 1];

#[rustfmt::skip]
const KEY_SHAPES: &[KeyShape] = &[
    // id-ecPublicKey with a named curve, uncompressed point (RFC 5480 §2).
    KeyShape { // P-256
        head: &[0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
            0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04],
        key_len: 64, tail: &[],
    },
    KeyShape { // P-384
        head: &[0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
            0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00, 0x04],
        key_len: 96, tail: &[],
    },
    KeyShape { // P-521
        head: &[0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
            0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00, 0x04],
        key_len: 132, tail: &[],
    },
    // rsaEncryption with NULL parameters (RFC 3279 §2.3.1); the modulus exactly as long as its name.
    KeyShape { // RSA 2048
        head: &[0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
            0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a,
            0x02, 0x82, 0x01, 0x01, 0x00],
        key_len: 256, tail: E_65537,
    },
    KeyShape { // RSA 3072
        head: &[0x30, 0x82, 0x01, 0xa2, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
            0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x8f, 0x00, 0x30, 0x82, 0x01, 0x8a,
            0x02, 0x82, 0x01, 0x81, 0x00],
        key_len: 384, tail: E_65537,
    },
    KeyShape { // RSA 4096
        head: &[0x30, 0x82, 0x02, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
            0x01, 0x01, 0x01, 0x05, 0x00, 0x03, 0x82, 0x02, 0x0f, 0x00, 0x30, 0x82, 0x02, 0x0a,
            0x02, 0x82, 0x02, 0x01, 0x00],
        key_len: 512, tail: E_65537,
    },
    // RFC 8410 §4: no parameters.
    KeyShape { // Ed25519
        head: &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
        key_len: 32, tail: &[],
    },
];

/// `got` against `want`, both shown when they differ.
pub(super) fn same_bytes(name: &str, got: &[u8], want: &[u8]) -> Result<(), String> {
    if got == want {
        return Ok(());
    }
    Err(format!(
        "{name} is {}, not {}",
        hex::encode(got),
        hex::encode(want)
    ))
}
