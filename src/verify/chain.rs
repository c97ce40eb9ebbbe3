//! The path from a leaf to a trusted root, found by webpki; what webpki leaves to its caller is
//! checked here: the root's own validity, keyCertSign, and when a CA is trusted at all.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs::{ECDSA_P256_SHA256, ECDSA_P384_SHA384, ECDSA_P521_SHA512};
use webpki::{EndEntityCert, KeyUsage};

use super::inspect::{Inspection, Value, inspect};
use super::{Error, TrustMaterial, TrustedAuthority};
use crate::time::UnixSeconds;
use crate::x509::oid;

/// One hash per curve; no RSA, no SHA-1.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] =
    &[ECDSA_P256_SHA256, ECDSA_P384_SHA384, ECDSA_P521_SHA512];

/// A verified path: the CAs above the leaf, the direct issuer first.
#[derive(Debug)]
pub(super) struct Path {
    issuer_spki: Vec<u8>,
    subjects: Vec<String>,
}

impl Path {
    /// The SubjectPublicKeyInfo of the direct issuer.
    pub(super) fn issuer_spki(&self) -> &[u8] {
        &self.issuer_spki
    }
    pub(super) fn subjects(&self) -> &[String] {
        &self.subjects
    }
}

/// Tries each trusted CA in use at `at`; the answer is the first path, or the most telling error.
pub(super) fn verify(
    leaf: &Inspection,
    leaf_der: &[u8],
    supplied: &[Vec<u8>],
    trust: &TrustMaterial,
    at: UnixSeconds,
) -> Result<Path, Error> {
    let (in_use, retired): (Vec<_>, Vec<_>) = trust
        .authorities
        .iter()
        .partition(|authority| authority.valid.contains(at));
    // A CA that is out of its window must not come back in by way of the caller's own list.
    let helpful: Vec<&[u8]> = supplied
        .iter()
        .map(Vec::as_slice)
        .filter(|der| !retired.iter().any(|authority| is_issuing(authority, der)))
        .collect();
    let mut failure = Error::NoAuthorityAt {
        known: trust.authorities.len(),
        at,
    };
    for authority in in_use {
        match path_to(authority, leaf, leaf_der, &helpful, at) {
            Ok(path) => return Ok(path),
            Err(error) if tells_more(&error, &failure) => failure = error,
            Err(_) => {}
        }
    }
    // An expired leaf is the common case and deserves its own words; webpki looks at the dates of
    // a certificate only once it has found the path to it.
    let expired = matches!(
        failure,
        Error::Untrusted {
            source: webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. },
            ..
        }
    );
    if expired && !(leaf.not_before..=leaf.not_after).contains(&at) {
        let (not_before, not_after) = (leaf.not_before, leaf.not_after);
        return Err(Error::OutsideValidity {
            not_before,
            not_after,
            at,
        });
    }
    Err(failure)
}

fn is_issuing(authority: &TrustedAuthority, der: &[u8]) -> bool {
    let same_key = |known: &Vec<u8>| match (inspect(known), inspect(der)) {
        (Ok(known), Ok(der)) => known.spki == der.spki,
        _ => false,
    };
    authority.chain.first().is_some_and(same_key)
}

/// Not finding an issuer under one root says nothing when another root's path was found wanting.
fn tells_more(new: &Error, old: &Error) -> bool {
    let unknown = |error: &Error| {
        matches!(
            error,
            Error::Untrusted {
                source: webpki::Error::UnknownIssuer,
                ..
            }
        )
    };
    matches!(old, Error::NoAuthorityAt { .. }) || (unknown(old) && !unknown(new))
}

fn path_to(
    authority: &TrustedAuthority,
    leaf: &Inspection,
    leaf_der: &[u8],
    supplied: &[&[u8]],
    at: UnixSeconds,
) -> Result<Path, Error> {
    let untrusted = |source| Error::Untrusted {
        issuer: leaf.issuer.clone(),
        source,
    };
    let Some((root_der, below)) = authority.chain.split_last() else {
        return Err(untrusted(webpki::Error::UnknownIssuer));
    };
    let root = certificate_signer(root_der)?;
    // webpki takes a trust anchor for a bare name and key, and would accept an expired one.
    if !(root.not_before..=root.not_after).contains(&at) {
        return Err(Error::RootOutsideValidity {
            root: root.subject,
            not_before: root.not_before,
            not_after: root.not_after,
            at,
        });
    }
    let root_der = CertificateDer::from(root_der.as_slice());
    let anchors = [webpki::anchor_from_trusted_cert(&root_der).map_err(untrusted)?];
    let below = below.iter().map(Vec::as_slice);
    let intermediates: Vec<_> = below
        .chain(supplied.iter().copied())
        .map(CertificateDer::from)
        .collect();
    let leaf_der = CertificateDer::from(leaf_der);
    let end_entity = EndEntityCert::try_from(&leaf_der).map_err(untrusted)?;
    let seconds = Duration::from_secs(u64::try_from(at.0).unwrap_or(0));
    let path = end_entity
        .verify_for_usage(
            ALGORITHMS,
            &anchors,
            &intermediates,
            UnixTime::since_unix_epoch(seconds),
            // Demanded of every CA below the root too: only some verifiers look at nesting.
            KeyUsage::required(oid::CODE_SIGNING),
            None,
            None,
        )
        .map_err(untrusted)?;
    let mut cas = Vec::new();
    for certificate in path.intermediate_certificates() {
        cas.push(certificate_signer(&certificate.der())?);
    }
    cas.push(root);
    Ok(Path {
        subjects: cas.iter().map(|ca| ca.subject.clone()).collect(),
        issuer_spki: cas.swap_remove(0).spki,
    })
}

/// Reads a CA certificate, which must say that it may sign certificates.
fn certificate_signer(der: &[u8]) -> Result<Inspection, Error> {
    let ca = inspect(der)?;
    let signs = ca
        .extensions
        .iter()
        .any(|e| matches!(&e.value, Value::KeyUsage(usages) if usages.contains(&"keyCertSign")));
    if signs {
        return Ok(ca);
    }
    let subject = ca.subject;
    Err(Error::NotACertificateSigner { subject })
}
