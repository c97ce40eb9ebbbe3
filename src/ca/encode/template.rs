//! The template encoder: one pass from the last octet to the first.
//!
//! Everything that is the same in each leaf of a CA was encoded beforehand; what differs is
//! written in between, and the lengths around it follow from what has been written.

use super::{Body, CRITICAL, Content, DIGITAL_SIGNATURE, EncodeError, LAST_RAW_ARC, put_value};
use crate::der::{self, Backwards, tag};
use crate::identity::{Extension, San};
use crate::time::UnixSeconds;
use crate::x509::{SignatureAlgorithm, key_identifier, oid, put_time};

/// Room for a usual leaf; a longer one makes more.
const ROOM: usize = 4096;

/// What every leaf of one CA has in common, in the order of the certificate.
#[derive(Clone, Debug)]
pub(in crate::ca) struct Template {
    /// version, and the header of serialNumber.
    start: Vec<u8>,
    /// signature and issuer.
    issuer: Vec<u8>,
    /// The empty subject.
    subject: Vec<u8>,
    /// keyUsage, extKeyUsage, and subjectKeyIdentifier up to its last 20 octets.
    usages: Vec<u8>,
    /// authorityKeyIdentifier.
    authority: Vec<u8>,
    /// subjectAltName up to its value.
    name: Vec<u8>,
    /// The identifier of a Fulcio extension up to its last arc.
    identity: Vec<u8>,
    /// cRLDistributionPoints up to its value.
    crl: Vec<u8>,
}

impl Template {
    /// For a CA of this subject, subject key identifier and algorithm.
    pub(in crate::ca) fn new(subject: &[u8], ski: &[u8], algorithm: SignatureAlgorithm) -> Self {
        let oid = |oid: &[u8]| der::tlv(tag::OID, &[oid]);
        let usage = der::octet_string(DIGITAL_SIGNATURE);
        let purposes = der::octet_string(&der::sequence(&[&oid(oid::CODE_SIGNING)]));
        let identifier = [
            &oid(oid::SUBJECT_KEY_IDENTIFIER)[..],
            // OCTET STRING in OCTET STRING, the inner one of 20 octets, which follow.
            &[tag::OCTET_STRING, 22, tag::OCTET_STRING, 20],
        ]
        .concat();
        let authority = der::octet_string(&der::sequence(&[&der::tlv(tag::context(0), &[ski])]));
        let extension = |parts: &[&[u8]]| der::sequence(parts);
        Self {
            // v3 is 2; a serial of ours has 19 octets and no sign (see `Serial`).
            start: vec![
                tag::context_constructed(0),
                3,
                tag::INTEGER,
                1,
                2,
                tag::INTEGER,
                19,
            ],
            issuer: [algorithm.identifier(), subject].concat(),
            subject: der::sequence(&[]),
            usages: [
                extension(&[&oid(oid::KEY_USAGE), CRITICAL, &usage]),
                extension(&[&oid(oid::EXTENDED_KEY_USAGE), &purposes]),
                vec![tag::SEQUENCE, 20 + identifier.len() as u8],
                identifier,
            ]
            .concat(),
            authority: extension(&[&oid(oid::AUTHORITY_KEY_IDENTIFIER), &authority]),
            // Critical because the subject is empty (RFC 5280 §4.2.1.6).
            name: [&oid(oid::SUBJECT_ALT_NAME)[..], CRITICAL].concat(),
            // One octet more, the arc, is counted in.
            identity: [&[tag::OID, oid::FULCIO.len() as u8 + 1], oid::FULCIO].concat(),
            crl: oid(oid::CRL_DISTRIBUTION_POINTS),
        }
    }

    /// The TBSCertificate without poison and SCT list.
    pub(in crate::ca) fn body(&self, content: &Content<'_>) -> Result<Body, EncodeError> {
        let mut out = Backwards::with_room(ROOM);
        if let Some(url) = content.crl_url {
            self.put_distribution_point(&mut out, url);
        }
        for extension in content.identity.iter().rev() {
            self.put_identity(&mut out, extension);
        }
        self.put_name(&mut out, content.san);
        out.put(&self.authority);
        out.put(&key_identifier(content.spki)?);
        out.put(&self.usages);
        out.header(tag::SEQUENCE, 0);
        out.header(tag::context_constructed(3), 0);
        out.put(content.spki);
        out.put(&self.subject);
        let mark = out.len();
        put_moment(&mut out, content.not_after)?;
        put_moment(&mut out, content.not_before)?;
        out.header(tag::SEQUENCE, mark);
        out.put(&self.issuer);
        out.put(content.serial.octets());
        out.put(&self.start);
        out.header(tag::SEQUENCE, 0);
        Ok(Body::of(out.written().into())?)
    }

    fn put_name(&self, out: &mut Backwards, san: &San) {
        let mark = out.len();
        match san {
            San::Email(address) => put_value(out, tag::context(1), address.as_bytes()),
            San::Uri(uri) => put_value(out, tag::context(6), uri.as_bytes()),
            San::OtherName(name) => {
                out.put(name.as_bytes());
                out.header(tag::UTF8_STRING, mark);
                out.header(tag::context_constructed(0), mark);
                put_value(out, tag::OID, oid::USERNAME);
                out.header(tag::context_constructed(0), mark);
            }
        }
        out.header(tag::SEQUENCE, mark);
        out.header(tag::OCTET_STRING, mark);
        out.put(&self.name);
        out.header(tag::SEQUENCE, mark);
    }

    fn put_identity(&self, out: &mut Backwards, extension: &Extension) {
        let mark = out.len();
        out.put(extension.value.as_bytes());
        if extension.arc > LAST_RAW_ARC {
            out.header(tag::UTF8_STRING, mark);
        }
        out.header(tag::OCTET_STRING, mark);
        // An arc of one octet: there is none above 24, and the lint takes no other.
        out.put(&[extension.arc]);
        out.put(&self.identity);
        out.header(tag::SEQUENCE, mark);
    }

    /// One DistributionPoint { [0] distributionPoint { [0] fullName { [6] URI } } }.
    fn put_distribution_point(&self, out: &mut Backwards, url: &str) {
        let mark = out.len();
        put_value(out, tag::context(6), url.as_bytes());
        out.header(tag::context_constructed(0), mark);
        out.header(tag::context_constructed(0), mark);
        out.header(tag::SEQUENCE, mark);
        out.header(tag::SEQUENCE, mark);
        out.header(tag::OCTET_STRING, mark);
        out.put(&self.crl);
        out.header(tag::SEQUENCE, mark);
    }
}

fn put_moment(out: &mut Backwards, at: UnixSeconds) -> Result<(), EncodeError> {
    put_time(out, at).ok_or(EncodeError::Time { at })
}

#[cfg(test)]
impl Template {
    /// Every octet, to be changed.
    pub(in crate::ca) fn octets(&mut self) -> impl Iterator<Item = &mut u8> {
        let parts = [
            &mut self.start,
            &mut self.issuer,
            &mut self.subject,
            &mut self.usages,
            &mut self.authority,
            &mut self.name,
            &mut self.identity,
            &mut self.crl,
        ];
        parts.into_iter().flatten()
    }
}
