//! Object identifiers, as the content octets of their DER form, and their names.

/// id-ce-subjectKeyIdentifier.
pub const SUBJECT_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x0e];
/// id-ce-keyUsage.
pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
/// id-ce-subjectAltName.
pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// id-ce-basicConstraints.
pub const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// id-ce-nameConstraints.
pub const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
/// id-ce-cRLDistributionPoints.
pub const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1d, 0x1f];
/// id-ce-certificatePolicies.
pub const CERTIFICATE_POLICIES: &[u8] = &[0x55, 0x1d, 0x20];
/// id-ce-authorityKeyIdentifier.
pub const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];
/// id-ce-extKeyUsage.
pub const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// anyExtendedKeyUsage.
pub const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
/// id-ce-noRevAvail (RFC 9608).
pub const NO_REV_AVAIL: &[u8] = &[0x55, 0x1d, 0x38];
/// id-pe-authorityInfoAccess.
pub const AUTHORITY_INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
/// id-kp-codeSigning.
pub const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];
/// The list of SCTs in a final certificate (RFC 6962 §3.3).
pub const SCT_LIST: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
/// The poison in a precertificate (RFC 6962 §3.1).
pub const POISON: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3];
/// 1.3.6.1.4.1.57264.1, under which Fulcio's extensions stand; one more arc names one.
pub const FULCIO: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1];
/// Type of the otherName that holds a user name, 1.3.6.1.4.1.57264.1.7.
pub const USERNAME: &[u8] = &[0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, 7];
/// id-ecPublicKey.
pub const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
/// prime256v1, NIST P-256.
pub const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
/// secp384r1, NIST P-384.
pub const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
/// secp521r1, NIST P-521.
pub const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
/// rsaEncryption.
pub const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
/// id-Ed25519.
pub const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// ecdsa-with-SHA256.
pub const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
/// ecdsa-with-SHA384.
pub const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
/// id-PBES2.
pub const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];

/// The names RFC 5280 and its relatives use.
const NAMES: &[(&[u8], &str)] = &[
    (SUBJECT_KEY_IDENTIFIER, "subjectKeyIdentifier"),
    (KEY_USAGE, "keyUsage"),
    (SUBJECT_ALT_NAME, "subjectAltName"),
    (BASIC_CONSTRAINTS, "basicConstraints"),
    (NAME_CONSTRAINTS, "nameConstraints"),
    (CRL_DISTRIBUTION_POINTS, "cRLDistributionPoints"),
    (CERTIFICATE_POLICIES, "certificatePolicies"),
    (AUTHORITY_KEY_IDENTIFIER, "authorityKeyIdentifier"),
    (EXTENDED_KEY_USAGE, "extKeyUsage"),
    (ANY_EXTENDED_KEY_USAGE, "anyExtendedKeyUsage"),
    (NO_REV_AVAIL, "noRevAvail"),
    (AUTHORITY_INFO_ACCESS, "authorityInfoAccess"),
    (CODE_SIGNING, "codeSigning"),
    (SCT_LIST, "signedCertificateTimestampList"),
    (POISON, "precertificatePoison"),
    (EC_PUBLIC_KEY, "ecPublicKey"),
    (P256, "prime256v1"),
    (P384, "secp384r1"),
    (P521, "secp521r1"),
    (RSA_ENCRYPTION, "rsaEncryption"),
    (ED25519, "Ed25519"),
    (ECDSA_SHA256, "ecdsa-with-SHA256"),
    (ECDSA_SHA384, "ecdsa-with-SHA384"),
    (PBES2, "PBES2"),
];

/// The standard's name, for the identifiers of this file; Fulcio's are `identity`'s to name.
pub fn name(oid: &[u8]) -> Option<&'static str> {
    NAMES
        .iter()
        .find(|(octets, _)| *octets == oid)
        .map(|(_, name)| *name)
}

/// The extension 1.3.6.1.4.1.57264.1.`arc`.
pub fn fulcio(arc: u8) -> Vec<u8> {
    match arc {
        ..0x80 => [FULCIO, &[arc]].concat(),
        _ => [FULCIO, &[0x81, arc & 0x7f]].concat(), // seven bits an octet (X.690 §8.19.2)
    }
}

/// The last arc, if this is an extension directly under [`FULCIO`].
pub fn fulcio_arc(oid: &[u8]) -> Option<u8> {
    match oid.strip_prefix(FULCIO)? {
        [arc] if *arc < 0x80 => Some(*arc),
        _ => None,
    }
}

/// The arcs, or `None` if the octets are no identifier or an arc is beyond 64 bits.
pub fn arcs(oid: &[u8]) -> Option<Vec<u64>> {
    let mut arcs = Vec::with_capacity(oid.len() + 1);
    let mut arc: Option<u64> = None;
    for octet in oid {
        // X.690 §8.19.2: no arc starts with padding.
        if arc.is_none() && *octet == 0x80 {
            return None;
        }
        let high = arc.unwrap_or(0).checked_mul(0x80)?;
        let value = high | u64::from(octet & 0x7f);
        if octet & 0x80 != 0 {
            arc = Some(value);
            continue;
        }
        arc = None;
        if arcs.is_empty() {
            // X.690 §8.19.4: the first octets hold the first two arcs, 40 × first + second.
            let first = (value / 40).min(2);
            arcs.push(first);
            arcs.push(value - first * 40);
        } else {
            arcs.push(value);
        }
    }
    (arc.is_none() && !arcs.is_empty()).then_some(arcs)
}

/// `1.3.6.1.4.1.57264.1.8`, or `None` if the octets are no identifier.
pub fn dotted(oid: &[u8]) -> Option<String> {
    let arcs: Vec<String> = arcs(oid)?.iter().map(u64::to_string).collect();
    Some(arcs.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_print_with_dots() {
        for (oid, text) in [
            (KEY_USAGE, "2.5.29.15"),
            (SCT_LIST, "1.3.6.1.4.1.11129.2.4.2"),
            (POISON, "1.3.6.1.4.1.11129.2.4.3"),
            (FULCIO, "1.3.6.1.4.1.57264.1"),
            (P384, "1.3.132.0.34"),
            (ED25519, "1.3.101.112"),
            (ECDSA_SHA384, "1.2.840.10045.4.3.3"),
            (CODE_SIGNING, "1.3.6.1.5.5.7.3.3"),
            (RSA_ENCRYPTION, "1.2.840.113549.1.1.1"),
            (PBES2, "1.2.840.113549.1.5.13"),
            (&[0x88, 0x37], "2.999"),
        ] {
            assert_eq!(dotted(oid).as_deref(), Some(text));
        }
    }

    #[test]
    fn octets_that_are_no_identifier_do_not_print() {
        for bad in [
            &[][..],
            &[0x2b, 0x83],
            &[0x2b, 0x80, 1],
            &[
                0x2b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
            ],
        ] {
            assert_eq!(dotted(bad), None, "{bad:02x?}");
        }
    }

    #[test]
    fn fulcio_extensions_are_known_by_their_last_arc() {
        assert_eq!(fulcio_arc(&fulcio(24)), Some(24));
        assert_eq!(fulcio_arc(&fulcio(200)), None);
        let dotted = dotted(&fulcio(200));
        assert_eq!(dotted.as_deref(), Some("1.3.6.1.4.1.57264.1.200"));
        assert_eq!(fulcio_arc(SCT_LIST), None);
        assert_eq!(fulcio_arc(&[FULCIO, &[1, 1]].concat()), None);
    }

    #[test]
    fn every_name_stands_for_one_identifier() {
        for (oid, text) in NAMES {
            assert_eq!(name(oid), Some(*text));
            assert!(dotted(oid).is_some());
        }
    }
}
