//! From plan to bytes, by one of two encoders that must agree in every octet.
//!
//! [`template`] keeps what all leaves of a CA have in common and writes the rest in between;
//! [`reference`] has rcgen make each leaf anew. The template is what runs, because it costs a
//! fraction; rcgen is what it is held against, by [`check`] at every start and by the tests.
//! Which one encodes makes no other difference: what comes out is linted either way.
//!
//! The encoding without poison and SCT list is made once, as a [`Body`]; precertificate and final
//! are that and one extension more, so they cannot drift apart.

mod check;
mod reference;
mod template;

use std::ops::Range;
use std::sync::Arc;

pub use check::{SelfCheckError, check_encoder};
pub(super) use template::Template;

use super::{Authority, Serial};
use crate::der::{self, Backwards, Reader, tag};
use crate::identity::{Extension, San};
use crate::time::UnixSeconds;
use crate::x509::{SignatureAlgorithm, oid};

/// BIT STRING with bit 0, digitalSignature, alone.
const DIGITAL_SIGNATURE: &[u8] = &[tag::BIT_STRING, 2, 7, 0x80];
/// BOOLEAN TRUE, as the critical flag of an extension.
const CRITICAL: &[u8] = &[tag::BOOLEAN, 1, 0xff];
/// The value of the poison: NULL.
const NULL: &[u8] = &[tag::NULL, 0];
/// A BIT STRING of no bits, about which nothing signed can lie.
const NO_SIGNATURE: &[u8] = &[tag::BIT_STRING, 1, 0];
/// Up to here the Fulcio extensions hold raw text; above, DER UTF8String.
const LAST_RAW_ARC: u8 = 6;
/// Headers of a certificate, its TBSCertificate and its extensions, and an algorithm.
const AROUND: usize = 64;

/// Who turns plans into bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoder {
    /// The fixed parts, encoded once, with the rest written in between.
    #[default]
    Template,
    /// rcgen, for every certificate anew.
    Rcgen,
}

impl Encoder {
    /// The encoder of this name in the configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "template" => Some(Self::Template),
            "rcgen" => Some(Self::Rcgen),
            _ => None,
        }
    }
}

/// What went wrong on the way to the bytes; always our own mistake.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// rcgen refused.
    #[error("rcgen could not encode the certificate")]
    Rcgen(#[from] rcgen::Error),
    /// rcgen did not ask for a signature, so there are no bytes.
    #[error("rcgen did not hand out a TBSCertificate")]
    NothingToSign,
    /// What an encoder wrote, or the subject's key, does not read as DER.
    #[error("could not read the encoding back")]
    Der(#[from] der::Error),
    /// A moment outside the calendar.
    #[error("{at} cannot be written in a certificate")]
    Time {
        /// The moment.
        at: UnixSeconds,
    },
}

/// What one leaf says and another does not. Evidence of nothing: only a `Plan`'s gets any further
/// than a comparison of encoders.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) serial: Serial,
    pub(super) not_before: UnixSeconds,
    pub(super) not_after: UnixSeconds,
    /// SubjectPublicKeyInfo, DER.
    pub(super) spki: &'a [u8],
    pub(super) san: &'a San,
    pub(super) identity: &'a [Extension],
    pub(super) crl_url: Option<&'a str>,
}

/// The TBSCertificate of `content`, by the CA's encoder.
pub(super) fn body(authority: &Authority, content: &Content<'_>) -> Result<Body, EncodeError> {
    match authority.encoder() {
        Encoder::Template => authority.template().body(content),
        Encoder::Rcgen => {
            let tbs = reference::tbs(authority, content, Last::Nothing)?;
            Ok(Body::of(tbs.into())?)
        }
    }
}

/// The extension that tells precertificate and final apart, last of all.
#[derive(Clone, Copy, Debug)]
pub(super) enum Last<'a> {
    /// The precertificate's: critical poison (RFC 6962 §3.1).
    Poison,
    /// The final's: an OCTET STRING in the OCTET STRING, around this list (RFC 6962 §3.3).
    SctList(&'a [u8]),
    /// The final's where no log is asked.
    Nothing,
}

impl Last<'_> {
    pub(super) fn put(self, out: &mut Backwards) {
        let mark = out.len();
        match self {
            Self::Nothing => return,
            Self::Poison => {
                out.put(NULL);
                out.header(tag::OCTET_STRING, mark);
                out.put(CRITICAL);
                put_value(out, tag::OID, oid::POISON);
            }
            Self::SctList(list) => {
                out.put(list);
                out.header(tag::OCTET_STRING, mark);
                out.header(tag::OCTET_STRING, mark);
                put_value(out, tag::OID, oid::SCT_LIST);
            }
        }
        out.header(tag::SEQUENCE, mark);
    }
}

/// Tag, length and value.
fn put_value(out: &mut Backwards, tag: u8, value: &[u8]) {
    let mark = out.len();
    out.put(value);
    out.header(tag, mark);
}

/// A TBSCertificate without poison and SCT list: what a log hashes (RFC 6962 §3.2), and what
/// precertificate and final grow from.
#[derive(Clone, Debug)]
pub(super) struct Body {
    tbs: Arc<[u8]>,
    /// version to subjectPublicKeyInfo.
    fields: Range<usize>,
    /// The content of the Extensions SEQUENCE; it ends where everything ends.
    extensions: Range<usize>,
}

impl Body {
    fn of(tbs: Arc<[u8]>) -> Result<Self, der::Error> {
        let content = der::single(&tbs, tag::SEQUENCE)?.content;
        let mut rest = Reader::new(content);
        rest.expect(tag::context_constructed(0))?; // version
        rest.expect(tag::INTEGER)?; // serialNumber
        for _signature_issuer_validity_subject_key in 0..5 {
            rest.expect(tag::SEQUENCE)?;
        }
        let before_extensions = tbs.len() - rest.rest().len();
        let outer = rest.expect(tag::context_constructed(3))?;
        rest.end()?;
        let list = der::single(outer.content, tag::SEQUENCE)?.content;
        Ok(Self {
            fields: tbs.len() - content.len()..before_extensions,
            extensions: tbs.len() - list.len()..tbs.len(),
            tbs,
        })
    }

    /// All of it.
    pub(super) fn tbs(&self) -> &Arc<[u8]> {
        &self.tbs
    }

    /// The certificate around it and `last`, unsigned.
    pub(super) fn unsigned(&self, last: Last<'_>, algorithm: SignatureAlgorithm) -> Vec<u8> {
        let list = match last {
            Last::SctList(list) => list.len(),
            Last::Poison | Last::Nothing => 0,
        };
        let mut out = Backwards::with_room(self.tbs.len() + list + 2 * AROUND);
        out.put(NO_SIGNATURE);
        out.put(algorithm.identifier());
        self.put(last, &mut out);
        out.header(tag::SEQUENCE, 0);
        out.into_written()
    }

    /// The TBSCertificate with `last` in its place.
    fn put(&self, last: Last<'_>, out: &mut Backwards) {
        let mark = out.len();
        last.put(out);
        out.put(&self.tbs[self.extensions.clone()]);
        out.header(tag::SEQUENCE, mark);
        out.header(tag::context_constructed(3), mark);
        out.put(&self.tbs[self.fields.clone()]);
        out.header(tag::SEQUENCE, mark);
    }
}

/// A Certificate around a TBSCertificate; outer and inner algorithm are the same.
pub(super) fn signed(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Arc<[u8]> {
    let mut out = Backwards::with_room(tbs.len() + signature.len() + AROUND);
    out.put(signature);
    out.put(&[0 /* unused bits */]);
    out.header(tag::BIT_STRING, 0);
    out.put(algorithm.identifier());
    out.put(tbs);
    out.header(tag::SEQUENCE, 0);
    out.written().into()
}
