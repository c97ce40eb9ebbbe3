//! A certificate (RFC 5280 §4.1) cut into its fields without changing a byte.
//!
//! What leaves copy from their issuer (its name, its key identifier) and what a log hashes are
//! compared by everyone as bytes, so nothing is decoded and encoded again. Only v3 in strict DER
//! is read. Whether the contents make sense is for `ca`, `lint` and `verify` to say.

use std::ops::Range;

use super::{oid, time};
use crate::der::{self, Element, Reader, tag};
use crate::hex;
use crate::time::UnixSeconds;

/// The largest certificate read, in octets.
pub const MAX_CERTIFICATE: usize = 64 * 1024;
/// The most extensions read.
const MAX_EXTENSIONS: usize = 100;

/// A certificate as read: the bytes, and the parts of them we build on, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    at: Fields,
}

/// Where the fields lie in the DER.
#[derive(Clone, PartialEq, Eq)]
struct Fields {
    tbs: Range<usize>,
    serial: Range<usize>,
    algorithm: Range<usize>,
    issuer: Range<usize>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    subject: Range<usize>,
    spki: Range<usize>,
    extensions: Vec<ExtensionAt>,
    signature: Range<usize>,
}

#[derive(Clone, PartialEq, Eq)]
struct ExtensionAt {
    whole: Range<usize>,
    oid: Range<usize>,
    critical: bool,
    value: Range<usize>,
}

/// One extension, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// extnID, content octets.
    pub oid: &'a [u8],
    /// critical.
    pub critical: bool,
    /// The content octets of extnValue.
    pub value: &'a [u8],
    /// The whole Extension, with its header.
    pub whole: &'a [u8],
}

/// Why bytes are not a certificate we can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Over the limit.
    #[error("the certificate has {got} octets, at most {MAX_CERTIFICATE} are read")]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// Not DER, or not the structure of a certificate.
    #[error("not a DER certificate: {field}")]
    Malformed {
        /// The field that could not be read.
        field: &'static str,
        /// What is wrong with its encoding.
        #[source]
        source: der::Error,
    },
    /// Not version 3.
    #[error("the certificate is not version 3")]
    Version,
    /// The serial number is not written as DER, or has more than 20 octets.
    #[error("the serial number has {octets} octets or needless ones; 1 to 20 are allowed")]
    Serial {
        /// Its content octets.
        octets: usize,
    },
    /// A time that RFC 5280 does not allow.
    #[error("{field} is not a time RFC 5280 allows")]
    Time {
        /// notBefore or notAfter.
        field: &'static str,
    },
    /// notAfter lies before notBefore.
    #[error("the certificate ends at {not_after}, before it begins at {not_before}")]
    Validity {
        /// First second.
        not_before: UnixSeconds,
        /// Last second.
        not_after: UnixSeconds,
    },
    /// The algorithm inside the signature's cover differs from the one outside.
    #[error("inner and outer signature algorithm differ")]
    AlgorithmsDiffer,
    /// An extension whose critical flag is not DER.
    #[error("extension {oid} has a malformed critical flag")]
    Critical {
        /// Dotted identifier.
        oid: String,
    },
    /// An extension appears twice (RFC 5280 §4.2).
    #[error("extension {oid} appears twice")]
    Duplicate {
        /// Dotted identifier.
        oid: String,
    },
    /// More extensions than we read.
    #[error("there are more than {MAX_EXTENSIONS} extensions")]
    TooManyExtensions,
}

fn malformed(field: &'static str) -> impl FnOnce(der::Error) -> CertificateError {
    move |source| CertificateError::Malformed { field, source }
}

impl Certificate {
    /// Reads exactly one certificate from all of `der`.
    pub fn from_der(der: Vec<u8>) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::TooLong { got: der.len() });
        }
        let at = Fields::of(&der)?;
        Ok(Self { der, at })
    }

    /// The whole certificate.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
    /// TBSCertificate, with its header.
    pub fn tbs(&self) -> &[u8] {
        &self.der[self.at.tbs.clone()]
    }
    /// Serial number content octets.
    pub fn serial(&self) -> &[u8] {
        &self.der[self.at.serial.clone()]
    }
    /// AlgorithmIdentifier of the signature, with its header; inner and outer are the same.
    pub fn signature_algorithm(&self) -> &[u8] {
        &self.der[self.at.algorithm.clone()]
    }
    /// Issuer Name, with its header.
    pub fn issuer(&self) -> &[u8] {
        &self.der[self.at.issuer.clone()]
    }
    /// Subject Name, with its header.
    pub fn subject(&self) -> &[u8] {
        &self.der[self.at.subject.clone()]
    }
    /// SubjectPublicKeyInfo, with its header.
    pub fn spki(&self) -> &[u8] {
        &self.der[self.at.spki.clone()]
    }
    /// The signature's octets.
    pub fn signature(&self) -> &[u8] {
        &self.der[self.at.signature.clone()]
    }
    /// First second of validity.
    pub fn not_before(&self) -> UnixSeconds {
        self.at.not_before
    }
    /// Last second of validity, inclusive.
    pub fn not_after(&self) -> UnixSeconds {
        self.at.not_after
    }
    /// Whether `at` lies inside the validity, both ends included.
    pub fn is_valid_at(&self, at: UnixSeconds) -> bool {
        (self.at.not_before..=self.at.not_after).contains(&at)
    }

    /// Every extension, in order.
    pub fn extensions(&self) -> impl ExactSizeIterator<Item = Extension<'_>> {
        self.at.extensions.iter().map(|at| Extension {
            oid: &self.der[at.oid.clone()],
            critical: at.critical,
            value: &self.der[at.value.clone()],
            whole: &self.der[at.whole.clone()],
        })
    }

    /// The content octets of an extension's extnValue, by dotted OID content octets, if present.
    pub fn extension(&self, oid: &[u8]) -> Option<&[u8]> {
        self.extensions()
            .find(|extension| extension.oid == oid)
            .map(|extension| extension.value)
    }

    /// SubjectKeyIdentifier value.
    pub fn ski(&self) -> Option<&[u8]> {
        let value = self.extension(oid::SUBJECT_KEY_IDENTIFIER)?;
        Some(der::single(value, tag::OCTET_STRING).ok()?.content)
    }

    /// The keyIdentifier of AuthorityKeyIdentifier.
    pub fn aki(&self) -> Option<&[u8]> {
        let value = self.extension(oid::AUTHORITY_KEY_IDENTIFIER)?;
        let mut fields = Reader::new(der::single(value, tag::SEQUENCE).ok()?.content);
        Some(fields.expect(tag::context(0)).ok()?.content)
    }
}

/// Bytes in hex would fill a screen; the name of the thing is enough.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Certificate(serial {})", hex::encode(self.serial()))
    }
}

impl Fields {
    fn of(der: &[u8]) -> Result<Self, CertificateError> {
        // Every slice below is cut from `der`, so its place is the distance of the two starts.
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr() - der.as_ptr().addr();
            start..start + part.len()
        };
        let certificate = der::single(der, tag::SEQUENCE).map_err(malformed("certificate"))?;
        let mut certificate = Reader::new(certificate.content);
        let tbs = certificate
            .expect(tag::SEQUENCE)
            .map_err(malformed("tbsCertificate"))?;
        let outer = certificate
            .expect(tag::SEQUENCE)
            .map_err(malformed("signatureAlgorithm"))?;
        let signature = certificate
            .expect(tag::BIT_STRING)
            .map_err(malformed("signatureValue"))?;
        certificate.end().map_err(malformed("certificate"))?;
        let signature = match signature.content {
            [0 /* unused bits */, octets @ ..] => octets,
            _ => return Err(malformed("signatureValue")(der::Error::Length)),
        };

        let mut fields = Reader::new(tbs.content);
        let mut next =
            |field: &'static str, want: u8| fields.expect(want).map_err(malformed(field));
        match next("version", tag::context_constructed(0)) {
            Ok(version) if version.content == [tag::INTEGER, 1, 2 /* v3 */] => {}
            // Version 1 is the default and so not written: another tag stands there.
            _ => return Err(CertificateError::Version),
        }
        let serial = next("serialNumber", tag::INTEGER)?.content;
        check_serial(serial)?;
        let inner = next("signature", tag::SEQUENCE)?;
        if inner.whole != outer.whole {
            return Err(CertificateError::AlgorithmsDiffer);
        }
        let issuer = next("issuer", tag::SEQUENCE)?;
        let (not_before, not_after) = validity(&next("validity", tag::SEQUENCE)?)?;
        let subject = next("subject", tag::SEQUENCE)?;
        let spki = next("subjectPublicKeyInfo", tag::SEQUENCE)?;
        // issuerUniqueID and subjectUniqueID (RFC 5280 §4.1.2.8: not to be made) fail here.
        let extensions = match fields.is_empty() {
            true => Vec::new(),
            false => extensions(&mut fields, place)?,
        };
        fields.end().map_err(malformed("tbsCertificate"))?;

        Ok(Self {
            tbs: place(tbs.whole),
            serial: place(serial),
            algorithm: place(inner.whole),
            issuer: place(issuer.whole),
            not_before,
            not_after,
            subject: place(subject.whole),
            spki: place(spki.whole),
            extensions,
            signature: place(signature),
        })
    }
}

/// X.690 §8.3.2, and RFC 5280 §4.1.2.2: up to 20 octets. Sign and zero are left to the linter.
fn check_serial(serial: &[u8]) -> Result<(), CertificateError> {
    match serial {
        [] | [0, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(()),
        _ if serial.len() > 20 => Err(()),
        _ => Ok(()),
    }
    .map_err(|()| CertificateError::Serial {
        octets: serial.len(),
    })
}

fn validity(element: &Element<'_>) -> Result<(UnixSeconds, UnixSeconds), CertificateError> {
    let mut times = Reader::new(element.content);
    let mut next = |field| {
        let element = times.any().map_err(malformed(field))?;
        time::read(&element).ok_or(CertificateError::Time { field })
    };
    let (not_before, not_after) = (next("notBefore")?, next("notAfter")?);
    times.end().map_err(malformed("validity"))?;
    if not_after < not_before {
        return Err(CertificateError::Validity {
            not_before,
            not_after,
        });
    }
    Ok((not_before, not_after))
}

fn extensions<'a>(
    fields: &mut Reader<'a>,
    place: impl Fn(&'a [u8]) -> Range<usize>,
) -> Result<Vec<ExtensionAt>, CertificateError> {
    let outer = fields
        .expect(tag::context_constructed(3))
        .map_err(malformed("extensions"))?;
    let list = der::single(outer.content, tag::SEQUENCE).map_err(malformed("extensions"))?;
    let mut list = Reader::new(list.content);
    let mut out = Vec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    while !list.is_empty() {
        if out.len() == MAX_EXTENSIONS {
            return Err(CertificateError::TooManyExtensions);
        }
        let extension = list.expect(tag::SEQUENCE).map_err(malformed("extension"))?;
        let mut parts = Reader::new(extension.content);
        let oid = parts.expect(tag::OID).map_err(malformed("extnID"))?.content;
        let dotted = || oid::dotted(oid).unwrap_or_else(|| "that is malformed".into());
        let critical = match parts
            .optional(tag::BOOLEAN)
            .map_err(malformed("critical"))?
        {
            None => false,
            Some(flag) if flag.content == [0xff] => true,
            // FALSE is the default, which DER does not write (X.690 §11.5).
            Some(_) => return Err(CertificateError::Critical { oid: dotted() }),
        };
        let value = parts
            .expect(tag::OCTET_STRING)
            .map_err(malformed("extnValue"))?;
        parts.end().map_err(malformed("extension"))?;
        if seen.contains(&oid) {
            return Err(CertificateError::Duplicate { oid: dotted() });
        }
        seen.push(oid);
        out.push(ExtensionAt {
            whole: place(extension.whole),
            oid: place(oid),
            critical,
            value: place(value.content),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole certificate, each part open to change.
    struct Parts {
        version: Vec<u8>,
        serial: Vec<u8>,
        inner: Vec<u8>,
        outer: Vec<u8>,
        validity: Vec<u8>,
        extensions: Vec<u8>,
        unique_id: Vec<u8>,
        signature: Vec<u8>,
        after: Vec<u8>,
    }

    fn utc(text: &str) -> Vec<u8> {
        der::tlv(tag::UTC_TIME, &[text.as_bytes()])
    }

    fn extension(flag: &[u8]) -> Vec<u8> {
        let oid = der::tlv(tag::OID, &[oid::SUBJECT_KEY_IDENTIFIER]);
        let value = der::octet_string(&der::octet_string(&[7; 20]));
        der::sequence(&[&oid, flag, &value])
    }

    impl Parts {
        fn whole() -> Self {
            let algorithm = der::sequence(&[&der::tlv(tag::OID, &[oid::ECDSA_SHA384])]);
            Self {
                version: vec![0xa0, 3, 2, 1, 2],
                serial: vec![2, 2, 0, 0x80],
                inner: algorithm.clone(),
                outer: algorithm,
                validity: der::sequence(&[&utc("260101000000Z"), &utc("260101000959Z")]),
                extensions: extension(&[]),
                unique_id: Vec::new(),
                signature: der::bit_string(&[1, 2, 3]),
                after: Vec::new(),
            }
        }

        fn read(&self) -> Result<Certificate, CertificateError> {
            let list = der::sequence(&[&self.extensions]);
            let tbs = der::sequence(&[
                &self.version,
                &self.serial,
                &self.inner,
                &[0x30, 2, 0x31, 0], // issuer
                &self.validity,
                &[0x30, 0],       // subject
                &[0x30, 2, 5, 0], // key
                &self.unique_id,
                &der::tlv(tag::context_constructed(3), &[&list]),
            ]);
            let mut der = der::sequence(&[&tbs, &self.outer, &self.signature]);
            der.extend_from_slice(&self.after);
            Certificate::from_der(der)
        }
    }

    fn changed(change: impl FnOnce(&mut Parts)) -> Option<CertificateError> {
        let mut parts = Parts::whole();
        change(&mut parts);
        parts.read().err()
    }

    #[test]
    fn the_fields_are_slices_of_the_input() {
        let parts = Parts::whole();
        let read = parts.read().unwrap();
        assert_eq!(read.serial(), [0, 0x80]);
        assert_eq!(read.signature_algorithm(), parts.inner);
        assert_eq!(read.issuer(), [0x30, 2, 0x31, 0]);
        assert_eq!(read.subject(), [0x30, 0]);
        assert_eq!(read.spki(), [0x30, 2, 5, 0]);
        assert_eq!(read.ski(), Some(&[7; 20][..]));
        assert_eq!(read.aki(), None);
        assert_eq!(read.signature(), [1, 2, 3]);
        assert_eq!(read.not_after().since(read.not_before()), 599);
        assert!(read.is_valid_at(read.not_after()));
        assert!(!read.is_valid_at(read.not_after().plus(1)));
        assert_eq!(read.extensions().len(), 1);
        assert_eq!(format!("{read:?}"), "Certificate(serial 0080)");
    }

    #[test]
    fn one_certificate_and_no_byte_more() {
        let error = changed(|parts| parts.after = vec![0]);
        let source = der::Error::Trailing { octets: 1 };
        let field = "certificate";
        assert_eq!(error, Some(CertificateError::Malformed { field, source }));
        let error = changed(|parts| parts.after = vec![0; MAX_CERTIFICATE]);
        assert!(matches!(error, Some(CertificateError::TooLong { .. })));
    }

    #[test]
    fn only_version_3_without_unique_identifiers_is_read() {
        let error = changed(|parts| parts.version = vec![0xa0, 3, 2, 1, 1]);
        assert_eq!(error, Some(CertificateError::Version));
        let error = changed(|parts| parts.version = Vec::new());
        assert_eq!(error, Some(CertificateError::Version));
        let error = changed(|parts| parts.unique_id = vec![0x81, 2, 0, 1]);
        let source = der::Error::Tag {
            want: 0xa3,
            got: 0x81,
        };
        let field = "extensions";
        assert_eq!(error, Some(CertificateError::Malformed { field, source }));
    }

    #[test]
    fn serials_are_shortest_and_up_to_20_octets() {
        let serial = |content: &[u8]| changed(|parts| parts.serial = der::tlv(2, &[content]));
        let error = |octets| Some(CertificateError::Serial { octets });
        assert_eq!(serial(&[]), error(0));
        assert_eq!(serial(&[0, 1]), error(2));
        assert_eq!(serial(&[0xff, 0x80]), error(2));
        assert_eq!(serial(&[1; 21]), error(21));
        assert_eq!(serial(&[1; 20]), None);
    }

    #[test]
    fn both_algorithms_agree() {
        let error = changed(|parts| {
            parts.outer = der::sequence(&[&der::tlv(tag::OID, &[oid::ECDSA_SHA256])]);
        });
        assert_eq!(error, Some(CertificateError::AlgorithmsDiffer));
    }

    #[test]
    fn the_validity_is_two_times_in_order() {
        let error = changed(|parts| {
            parts.validity = der::sequence(&[&utc("260101000000Z"), &utc("251231235959Z")]);
        });
        assert!(matches!(error, Some(CertificateError::Validity { .. })));
        let error = changed(|parts| {
            parts.validity = der::sequence(&[&utc("2601010000Z"), &utc("260101000000Z")]);
        });
        let field = "notBefore";
        assert_eq!(error, Some(CertificateError::Time { field }));
    }

    #[test]
    fn extensions_stand_once_with_a_flag_in_der() {
        let ski = || oid::dotted(oid::SUBJECT_KEY_IDENTIFIER).unwrap();
        let twice = changed(|parts| parts.extensions = [extension(&[]), extension(&[])].concat());
        assert_eq!(twice, Some(CertificateError::Duplicate { oid: ski() }));
        for flag in [[1, 1, 0], [1, 1, 1]] {
            let error = changed(|parts| parts.extensions = extension(&flag));
            assert_eq!(error, Some(CertificateError::Critical { oid: ski() }));
        }
        assert_eq!(
            changed(|parts| parts.extensions = extension(&[1, 1, 0xff])),
            None
        );
    }

    #[test]
    fn the_signature_is_of_whole_octets() {
        let error = changed(|parts| parts.signature = vec![3, 2, 1, 0]);
        let field = "signatureValue";
        let source = der::Error::Length;
        assert_eq!(error, Some(CertificateError::Malformed { field, source }));
    }
}
