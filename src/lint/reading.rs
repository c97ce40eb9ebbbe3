//! What x509-parser makes of the bytes, and the same written down again.
//!
//! x509-parser accepts what follows a complete structure and forgives some lengths; writing the
//! reading down again and comparing is how rule c00 refuses both without a parser of our own.

use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::extensions::X509Extension;
use x509_parser::nom::Parser;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

use super::oid;

/// The largest certificate read, in octets; ours are near 2 kB.
const MAX_CERTIFICATE: usize = 16 * 1024;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// A certificate as x509-parser reads it.
pub(super) struct Reading<'a> {
    der: &'a [u8],
    pub(super) certificate: X509Certificate<'a>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(der: &'a [u8]) -> Result<Self, String> {
        if der.len() > MAX_CERTIFICATE {
            return Err(format!("{} octets, at most {MAX_CERTIFICATE}", der.len()));
        }
        // Extension values are compared as bytes or read one by one, so they are not parsed here.
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        match parser.parse(der) {
            Ok(([], certificate)) => Ok(Self { der, certificate }),
            Ok((rest, _)) => Err(format!("{} octets after the certificate", rest.len())),
            Err(error) => Err(format!("not a certificate: {error}")),
        }
    }

    pub(super) fn tbs_der(&self) -> &[u8] {
        self.certificate.tbs_certificate.as_ref()
    }

    /// The first extension of this name; that there is no second is rule c13's concern.
    pub(super) fn extension(&self, oid: &[u8]) -> Option<&X509Extension<'a>> {
        self.extensions().iter().find(|e| e.oid.as_bytes() == oid)
    }

    pub(super) fn count(&self, oid: &[u8]) -> usize {
        let named = self.extensions().iter();
        named.filter(|e| e.oid.as_bytes() == oid).count()
    }

    /// The identity extensions, each with the last arc of its identifier.
    pub(super) fn identity(&self) -> impl Iterator<Item = (u8, &X509Extension<'a>)> {
        let all = self.extensions().iter();
        all.filter_map(|e| Some((oid::fulcio_arc(e.oid.as_bytes())?, e)))
    }

    /// The extension .`arc` of Fulcio's.
    pub(super) fn fulcio(&self, arc: u8) -> Option<&X509Extension<'a>> {
        let mut all = self.identity();
        all.find_map(|(other, e)| (other == arc).then_some(e))
    }

    pub(super) fn extensions(&self) -> &[X509Extension<'a>] {
        self.certificate.tbs_certificate.extensions()
    }

    /// Whether the reading, written as DER, is the bytes that were read.
    pub(super) fn accounts_for_every_byte(&self) -> bool {
        let mut out = Vec::with_capacity(self.der.len() + 8);
        nest(&mut out, SEQUENCE, |out| {
            nest(out, SEQUENCE, |out| self.rewrite_tbs(out));
            algorithm(out, &self.certificate.signature_algorithm);
            let signature = &self.certificate.signature_value.data;
            put(out, BIT_STRING, &[&[0], signature]);
        });
        out == self.der
    }

    fn rewrite_tbs(&self, out: &mut Vec<u8>) {
        let tbs = &self.certificate.tbs_certificate;
        let version = u8::try_from(tbs.version.0).unwrap_or(u8::MAX);
        out.extend([0xa0, 3, INTEGER, 1, version]);
        put(out, INTEGER, &[tbs.raw_serial()]);
        algorithm(out, &tbs.signature);
        out.extend_from_slice(tbs.issuer.as_raw());
        nest(out, SEQUENCE, |out| {
            time(out, tbs.validity.not_before);
            time(out, tbs.validity.not_after);
        });
        out.extend_from_slice(tbs.subject.as_raw());
        out.extend_from_slice(tbs.subject_pki.raw);
        // No unique identifiers: where there are some, the comparison fails, as it should.
        nest(out, 0xa3, |out| {
            nest(out, SEQUENCE, |out| {
                tbs.extensions().iter().for_each(|e| extension(out, e));
            });
        });
    }
}

fn algorithm(out: &mut Vec<u8>, identifier: &AlgorithmIdentifier<'_>) {
    nest(out, SEQUENCE, |out| {
        put(out, OID, &[identifier.algorithm.as_bytes()]);
        if let Some(any) = &identifier.parameters {
            // A tag beyond 30 needs more than one octet; no parameters of ours have one.
            let tag = u8::try_from(any.tag().0).unwrap_or(u8::MAX);
            put(out, tag, &[any.data]);
        }
    });
}

/// UTCTime through 2049, GeneralizedTime from then on, whole seconds and Z (RFC 5280 §4.1.2.5).
fn time(out: &mut Vec<u8>, at: ASN1Time) {
    let at = at.to_datetime();
    let rest = format!(
        "{:02}{:02}{:02}{:02}{:02}Z",
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    );
    let (tag, year) = match at.year() {
        year @ 1950..=2049 => (UTC_TIME, format!("{:02}", year % 100)),
        year => (GENERALIZED_TIME, format!("{year:04}")),
    };
    put(out, tag, &[year.as_bytes(), rest.as_bytes()]);
}

fn extension(out: &mut Vec<u8>, read: &X509Extension<'_>) {
    nest(out, SEQUENCE, |out| {
        put(out, OID, &[read.oid.as_bytes()]);
        // critical is DEFAULT FALSE: written only when true, and true is FF (X.690 §11.1, §11.5).
        if read.critical {
            out.extend([1, 1, 0xff]);
        }
        put(out, OCTET_STRING, &[read.value]);
    });
}

/// One DER element: `parts` one after another under `tag`.
pub(super) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, tag, parts);
    out
}

fn put(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    header(out, tag, parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Writes what `content` writes, under `tag`.
fn nest(out: &mut Vec<u8>, tag: u8, content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    content(out);
    let end = out.len();
    header(out, tag, end - start);
    // The header was written behind its content; now it goes in front.
    let header_len = out.len() - end;
    out[start..].rotate_right(header_len);
}

/// Tag and length, the latter in its shortest form (X.690 §10.1).
fn header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    let octets = length.to_be_bytes();
    let leading = octets.iter().take_while(|octet| **octet == 0).count();
    match &octets[leading..] {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // At most eight octets of length, so 0x80 + 8.
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
}
