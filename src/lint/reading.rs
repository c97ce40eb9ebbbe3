//! What x509-parser makes of the bytes, and the same written down again.
//!
//! x509-parser accepts what follows a complete structure and forgives some lengths; writing the
//! reading down again and comparing is how rule c00 refuses both without a parser of our own.

use std::ops::Range;

use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::extensions::X509Extension;
use x509_parser::nom::Parser;
use x509_parser::time::ASN1Time;
use x509_parser::x509::AlgorithmIdentifier;

use super::oid::Name;

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
    /// Of the extensions, in their order.
    names: Vec<Name>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(der: &'a [u8]) -> Result<Self, String> {
        if der.len() > MAX_CERTIFICATE {
            return Err(format!("{} octets, at most {MAX_CERTIFICATE}", der.len()));
        }
        // Extension values are compared as bytes or read one by one, so they are not parsed here.
        let mut parser = X509CertificateParser::new().with_deep_parse_extensions(false);
        match parser.parse(der) {
            Ok(([], certificate)) => Ok(Self {
                der,
                names: names(&certificate),
                certificate,
            }),
            Ok((rest, _)) => Err(format!("{} octets after the certificate", rest.len())),
            Err(error) => Err(format!("not a certificate: {error}")),
        }
    }

    /// Where the TBSCertificate lies in what was read.
    pub(super) fn tbs(&self) -> Range<usize> {
        let tbs: &[u8] = self.certificate.tbs_certificate.as_ref();
        // The parser cuts its slices from the input, so its place is the distance of the two.
        let start = tbs.as_ptr().addr() - self.der.as_ptr().addr();
        start..start + tbs.len()
    }

    /// The first extension of this name; that there is no second is rule c13's concern.
    pub(super) fn extension(&self, name: Name) -> Option<&X509Extension<'a>> {
        self.named().find_map(|(n, e)| (n == name).then_some(e))
    }

    pub(super) fn count(&self, name: Name) -> usize {
        self.names.iter().filter(|n| **n == name).count()
    }

    /// The identity extensions, each with the last arc of its identifier.
    pub(super) fn identity(&self) -> impl Iterator<Item = (u8, &X509Extension<'a>)> {
        self.named().filter_map(|(n, e)| Some((n.fulcio_arc()?, e)))
    }

    /// The extension .`arc` of Fulcio's.
    pub(super) fn fulcio(&self, arc: u8) -> Option<&X509Extension<'a>> {
        let mut all = self.identity();
        all.find_map(|(other, e)| (other == arc).then_some(e))
    }

    /// Every extension, with its name.
    pub(super) fn named(&self) -> impl Iterator<Item = (Name, &X509Extension<'a>)> {
        let extensions = self.certificate.tbs_certificate.extensions();
        self.names.iter().copied().zip(extensions)
    }

    /// Whether the reading, written as DER, is the bytes that were read.
    pub(super) fn accounts_for_every_byte(&self) -> bool {
        let mut same = Compare::new(self.der);
        same.nest(SEQUENCE, |same| {
            let signature = &self.certificate.signature_value.data;
            same.nest(BIT_STRING, |same| {
                same.octets(signature);
                same.octets(&[0 /* unused bits */]);
            });
            algorithm(same, &self.certificate.signature_algorithm);
            same.nest(SEQUENCE, |same| self.compare_tbs(same));
        });
        same.is_whole()
    }

    /// From the last field to the first.
    fn compare_tbs(&self, same: &mut Compare<'_>) {
        let tbs = &self.certificate.tbs_certificate;
        // No unique identifiers: where there are some, the comparison fails, as it should.
        same.nest(0xa3, |same| {
            same.nest(SEQUENCE, |same| {
                tbs.extensions()
                    .iter()
                    .rev()
                    .for_each(|e| extension(same, e));
            });
        });
        same.octets(tbs.subject_pki.raw);
        same.octets(tbs.subject.as_raw());
        same.nest(SEQUENCE, |same| {
            time(same, tbs.validity.not_after);
            time(same, tbs.validity.not_before);
        });
        same.octets(tbs.issuer.as_raw());
        algorithm(same, &tbs.signature);
        same.value(INTEGER, tbs.raw_serial());
        let version = u8::try_from(tbs.version.0).unwrap_or(u8::MAX);
        same.octets(&[0xa0, 3, INTEGER, 1, version]);
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<Name> {
    let extensions = certificate.tbs_certificate.extensions().iter();
    extensions.map(|e| Name::of(e.oid.as_bytes())).collect()
}

fn algorithm(same: &mut Compare<'_>, identifier: &AlgorithmIdentifier<'_>) {
    same.nest(SEQUENCE, |same| {
        if let Some(any) = &identifier.parameters {
            // A tag beyond 30 needs more than one octet; no parameters of ours have one.
            let tag = u8::try_from(any.tag().0).unwrap_or(u8::MAX);
            same.value(tag, any.data);
        }
        same.value(OID, identifier.algorithm.as_bytes());
    });
}

/// UTCTime through 2049, GeneralizedTime from then on, whole seconds and Z (RFC 5280 §4.1.2.5).
fn time(same: &mut Compare<'_>, at: ASN1Time) {
    let at = at.to_datetime();
    let year = u16::try_from(at.year()).unwrap_or(u16::MAX);
    let (month, day) = (u8::from(at.month()).into(), at.day().into());
    let (hour, minute, second) = (at.hour().into(), at.minute().into(), at.second().into());
    let numbers = [year / 100, year % 100, month, day, hour, minute, second];
    let mut text = *b"YYYYMMDDhhmmssZ";
    for (two, number) in text.chunks_exact_mut(2).zip(numbers) {
        // A remainder of ten is one digit.
        two.copy_from_slice(&[b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8]);
    }
    match year {
        1950..=2049 => same.value(UTC_TIME, &text[2..]),
        _ => same.value(GENERALIZED_TIME, &text),
    }
}

fn extension(same: &mut Compare<'_>, read: &X509Extension<'_>) {
    same.nest(SEQUENCE, |same| {
        same.value(OCTET_STRING, read.value);
        // critical is DEFAULT FALSE: written only when true, and true is FF (X.690 §11.1, §11.5).
        if read.critical {
            same.octets(&[1, 1, 0xff]);
        }
        same.value(OID, read.oid.as_bytes());
    });
}

/// Compares bytes with what they should be, from the last octet to the first, so that a header is
/// due when the length of its content is known. Nothing is kept: what differs once stays different.
struct Compare<'a> {
    /// What has not been compared yet.
    rest: &'a [u8],
    same: bool,
}

impl<'a> Compare<'a> {
    fn new(der: &'a [u8]) -> Self {
        Self {
            rest: der,
            same: true,
        }
    }

    fn octets(&mut self, want: &[u8]) {
        match self.rest.strip_suffix(want) {
            Some(rest) => self.rest = rest,
            None => self.same = false,
        }
    }

    /// `content` under `tag`.
    fn value(&mut self, tag: u8, content: &[u8]) {
        self.nest(tag, |same| same.octets(content));
    }

    /// What `content` compares, under `tag`.
    fn nest(&mut self, tag: u8, content: impl FnOnce(&mut Self)) {
        let end = self.rest.len();
        content(self);
        self.header(tag, end - self.rest.len());
    }

    fn header(&mut self, tag: u8, length: usize) {
        match (self.rest, u8::try_from(length)) {
            // Most are short, and two octets are not worth a call.
            ([rest @ .., t, l], Ok(short @ 0..=0x7f)) if (*t, *l) == (tag, short) => {
                self.rest = rest;
            }
            _ => {
                let (header, octets) = header(tag, length);
                self.octets(&header[..octets]);
            }
        }
    }

    fn is_whole(&self) -> bool {
        self.same && self.rest.is_empty()
    }
}

/// One value around the other, the innermost holding `content`: what most extensions should say.
#[derive(Clone, Copy)]
pub(super) struct Nested<'a> {
    /// From the outermost to the innermost.
    pub(super) tags: &'a [u8],
    pub(super) content: &'a [u8],
}

impl Nested<'_> {
    /// Whether `der` is this and nothing else, each length in its shortest form.
    pub(super) fn is(&self, der: &[u8]) -> bool {
        let mut same = Compare::new(der);
        same.octets(self.content);
        for tag in self.tags.iter().rev() {
            same.header(*tag, der.len() - same.rest.len());
        }
        same.is_whole()
    }

    /// As octets, for a finding.
    pub(super) fn to_vec(self) -> Vec<u8> {
        let around = |content: Vec<u8>, tag: &u8| {
            let (header, octets) = header(*tag, content.len());
            [&header[..octets], &content].concat()
        };
        self.tags.iter().rev().fold(self.content.to_vec(), around)
    }
}

/// The content of the one value under `tag` that is all of `value`, its length in the shortest form.
pub(super) fn content(tag: u8, value: &[u8]) -> Option<&[u8]> {
    // Of the lengths a header may have, no more than one gives back the header that stands there.
    (2..=4).find_map(|octets| {
        let (start, content) = value.split_at_checked(octets)?;
        let (header, octets) = header(tag, content.len());
        (*start == header[..octets]).then_some(content)
    })
}

/// Tag and length, the latter in its shortest form (X.690 §10.1), and how many octets they take.
fn header(tag: u8, length: usize) -> ([u8; 10], usize) {
    let mut out = [tag, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out[1] = short;
        return (out, 2);
    }
    let octets = length.to_be_bytes();
    let leading = octets.iter().take_while(|octet| **octet == 0).count();
    let long = &octets[leading..];
    // At most eight octets of length, so 0x80 + 8.
    out[1] = 0x80 | long.len() as u8;
    out[2..2 + long.len()].copy_from_slice(long);
    (out, 2 + long.len())
}
