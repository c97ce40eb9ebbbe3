//! The object identifiers the rules know, as DER content octets.
//!
//! Written out a second time on purpose: a slip in the encoder's table must not be repeated here
//! by sharing it.

/// id-ce-keyUsage, 2.5.29.15.
pub(super) const KEY_USAGE: Name = Name::of(&[0x55, 0x1d, 0x0f]);
/// id-ce-extKeyUsage, 2.5.29.37.
pub(super) const EXTENDED_KEY_USAGE: Name = Name::of(&[0x55, 0x1d, 0x25]);
/// id-ce-subjectKeyIdentifier, 2.5.29.14.
pub(super) const SUBJECT_KEY_IDENTIFIER: Name = Name::of(&[0x55, 0x1d, 0x0e]);
/// id-ce-authorityKeyIdentifier, 2.5.29.35.
pub(super) const AUTHORITY_KEY_IDENTIFIER: Name = Name::of(&[0x55, 0x1d, 0x23]);
/// id-ce-subjectAltName, 2.5.29.17.
pub(super) const SUBJECT_ALT_NAME: Name = Name::of(&[0x55, 0x1d, 0x11]);
/// id-ce-basicConstraints, 2.5.29.19.
pub(super) const BASIC_CONSTRAINTS: Name = Name::of(&[0x55, 0x1d, 0x13]);
/// id-ce-cRLDistributionPoints, 2.5.29.31.
pub(super) const CRL_DISTRIBUTION_POINTS: Name = Name::of(&[0x55, 0x1d, 0x1f]);
/// id-ce-noRevAvail, 2.5.29.56 (RFC 9608).
pub(super) const NO_REV_AVAIL: Name = Name::of(&[0x55, 0x1d, 0x38]);
/// id-pe-authorityInfoAccess, 1.3.6.1.5.5.7.1.1.
pub(super) const AUTHORITY_INFO_ACCESS: Name = Name::of(&[0x2b, 6, 1, 5, 5, 7, 1, 1]);
/// id-ad-ocsp, 1.3.6.1.5.5.7.48.1.
pub(super) const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
/// id-kp-codeSigning, 1.3.6.1.5.5.7.3.3.
pub(super) const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
/// SignedCertificateTimestampList, 1.3.6.1.4.1.11129.2.4.2 (RFC 6962 §3.3).
pub(super) const SCT_LIST: Name = Name::of(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2]);
/// Precertificate poison, 1.3.6.1.4.1.11129.2.4.3 (RFC 6962 §3.1).
pub(super) const POISON: Name = Name::of(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3]);
/// ecdsa-with-SHA256, 1.2.840.10045.4.3.2.
pub(super) const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// ecdsa-with-SHA384, 1.2.840.10045.4.3.3.
pub(super) const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
/// Fulcio's otherName for user names, 1.3.6.1.4.1.57264.1.7.
pub(super) const USERNAME: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 7];

/// Fulcio's arc, 1.3.6.1.4.1.57264.1; one more octet names the extension.
const FULCIO: u128 = Name::of(&[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 0]).0 >> 8;

/// The name of an extension: its identifier's octets and their count as one number, because every
/// rule looks for one among all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u128);

impl Name {
    pub(super) const fn of(octets: &[u8]) -> Self {
        // What does not fit has more octets than any name here, and is like none of them.
        if octets.len() > 15 {
            return Self(u128::MAX);
        }
        let mut name = octets.len() as u128;
        let mut at = 0;
        while at < octets.len() {
            name = name << 8 | octets[at] as u128;
            at += 1;
        }
        Self(name)
    }

    /// The last arc of a Fulcio extension's identifier.
    pub(super) fn fulcio_arc(self) -> Option<u8> {
        let arc = (self.0 & 0xff) as u8;
        (self.0 >> 8 == FULCIO && arc < 0x80).then_some(arc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_in_octets_and_in_their_count() {
        let names: [&[u8]; 6] = [&[], &[0], &[0, 0], &[1], &[1, 0], &[0x55, 0x1d, 0x0f]];
        for (n, one) in names.iter().enumerate() {
            for (m, other) in names.iter().enumerate() {
                assert_eq!(Name::of(one) == Name::of(other), n == m);
            }
        }
        assert_eq!(Name::of(&[0x55, 0x1d, 0x0f]), KEY_USAGE);
        // 15 octets are the most that fit; one more is a name like no other.
        assert_ne!(Name::of(&[0xff; 15]), Name::of(&[0xff; 16]));
        assert_eq!(Name::of(&[1; 16]), Name::of(&[2; 17]));
    }

    #[test]
    fn fulcio_extensions_are_known_by_their_last_arc() {
        const BASE: [u8; 9] = [0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1];
        let arc = |rest: &[u8]| Name::of(&[&BASE, rest].concat()).fulcio_arc();
        assert_eq!(arc(&[24]), Some(24));
        assert_eq!(arc(&[0x81, 0x48]), None);
        assert_eq!(arc(&[0x80]), None);
        assert_eq!(arc(&[]), None);
        assert_eq!(SCT_LIST.fulcio_arc(), None);
    }
}
