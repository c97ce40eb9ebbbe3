//! The object identifiers the rules know, as DER content octets.
//!
//! Written out a second time on purpose: a slip in the encoder's table must not be repeated here
//! by sharing it.

/// id-ce-keyUsage, 2.5.29.15.
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// id-ce-extKeyUsage, 2.5.29.37.
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// id-ce-subjectKeyIdentifier, 2.5.29.14.
pub(super) const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
/// id-ce-authorityKeyIdentifier, 2.5.29.35.
pub(super) const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
/// id-ce-subjectAltName, 2.5.29.17.
pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// id-ce-basicConstraints, 2.5.29.19.
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// id-ce-cRLDistributionPoints, 2.5.29.31.
pub(super) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
/// id-ce-noRevAvail, 2.5.29.56 (RFC 9608).
pub(super) const NO_REV_AVAIL: &[u8] = &[0x55, 0x1d, 0x38];
/// id-pe-authorityInfoAccess, 1.3.6.1.5.5.7.1.1.
pub(super) const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
/// id-ad-ocsp, 1.3.6.1.5.5.7.48.1.
pub(super) const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
/// id-kp-codeSigning, 1.3.6.1.5.5.7.3.3.
pub(super) const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
/// SignedCertificateTimestampList, 1.3.6.1.4.1.11129.2.4.2 (RFC 6962 §3.3).
pub(super) const SCT_LIST: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
/// Precertificate poison, 1.3.6.1.4.1.11129.2.4.3 (RFC 6962 §3.1).
pub(super) const POISON: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3];
/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
pub(super) const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// ecdsa-with-SHA384, 1.2.840.10045.4.3.3.
pub(super) const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];

/// Fulcio's arc, 1.3.6.1.4.1.57264.1; one more octet names the extension.
const FULCIO: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1];

/// The last arc of a Fulcio extension's identifier.
pub(super) fn fulcio_arc(oid: &[u8]) -> Option<u8> {
    match oid.strip_prefix(FULCIO)? {
        [arc] if *arc < 0x80 => Some(*arc),
        _ => None,
    }
}
