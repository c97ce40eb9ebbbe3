//! The reference encoder. rcgen encodes and never signs: a capturing key takes the exact
//! to-be-signed bytes away from it.
//!
//! Every extension goes in as a custom one, because rcgen writes its typed ones in an order that
//! is not the profile's. Issuer name and subject key are put in afterwards as the bytes they came
//! as: rcgen encodes names anew and loses repeated attributes on the way (rcgen#81, rcgen#300).

use std::sync::Mutex;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, Issuer, SerialNumber};
use time::OffsetDateTime;

use super::{Content, DIGITAL_SIGNATURE, EncodeError, LAST_RAW_ARC, Last, NULL};
use crate::ca::Authority;
use crate::der::{self, Reader, tag};
use crate::identity::San;
use crate::time::UnixSeconds;
use crate::x509::{SignatureAlgorithm, key_identifier, oid, subject_public_key};

/// The TBSCertificate with `last` at the end of its extensions.
pub(super) fn tbs(
    authority: &Authority,
    content: &Content<'_>,
    last: Last<'_>,
) -> Result<Vec<u8>, EncodeError> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(content.serial.octets()));
    params.not_before = date(content.not_before)?;
    params.not_after = date(content.not_after)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = extensions(authority, content, last)?;
    let nobody = {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new(); // replaced below
        params
    };
    let subject = Subject(subject_public_key(content.spki)?);
    let capture = Capture::new(authority.algorithm());
    params.signed_by(&subject, &Issuer::from_params(&nobody, &capture))?;
    let tbs = capture.into_tbs().ok_or(EncodeError::NothingToSign)?;
    let issuer = authority.issuing().subject();
    Ok(with_exact(&tbs, issuer, content.spki)?)
}

/// The extensions of the profile, in its order.
fn extensions(
    authority: &Authority,
    content: &Content<'_>,
    last: Last<'_>,
) -> Result<Vec<CustomExtension>, EncodeError> {
    let ski = key_identifier(content.spki)?;
    let code_signing = der::tlv(tag::OID, &[oid::CODE_SIGNING]);
    let aki = der::tlv(tag::context(0), &[authority.ski()]);
    let mut out = vec![
        critical(oid::KEY_USAGE, DIGITAL_SIGNATURE.to_vec()),
        plain(oid::EXTENDED_KEY_USAGE, der::sequence(&[&code_signing])),
        plain(oid::SUBJECT_KEY_IDENTIFIER, der::octet_string(&ski)),
        plain(oid::AUTHORITY_KEY_IDENTIFIER, der::sequence(&[&aki])),
        // Critical because the subject is empty (RFC 5280 §4.2.1.6).
        critical(oid::SUBJECT_ALT_NAME, san(content.san)),
    ];
    for extension in content.identity {
        let text = extension.value.as_bytes();
        let value = match extension.arc {
            ..=LAST_RAW_ARC => text.to_vec(),
            _ => der::tlv(tag::UTF8_STRING, &[text]),
        };
        out.push(plain(&oid::fulcio(extension.arc), value));
    }
    if let Some(url) = content.crl_url {
        out.push(plain(oid::CRL_DISTRIBUTION_POINTS, distribution_point(url)));
    }
    match last {
        Last::Nothing => {}
        Last::Poison => out.push(critical(oid::POISON, NULL.to_vec())),
        Last::SctList(list) => out.push(plain(oid::SCT_LIST, der::octet_string(list))),
    }
    Ok(out)
}

fn san(san: &San) -> Vec<u8> {
    let name = match san {
        San::Email(address) => der::tlv(tag::context(1), &[address.as_bytes()]),
        San::Uri(uri) => der::tlv(tag::context(6), &[uri.as_bytes()]),
        San::OtherName(name) => {
            let text = der::tlv(tag::UTF8_STRING, &[name.as_bytes()]);
            let value = der::tlv(tag::context_constructed(0), &[&text]);
            let kind = der::tlv(tag::OID, &[oid::USERNAME]);
            der::tlv(tag::context_constructed(0), &[&kind, &value])
        }
    };
    der::sequence(&[&name])
}

/// One DistributionPoint { [0] distributionPoint { [0] fullName { [6] URI } } }.
fn distribution_point(url: &str) -> Vec<u8> {
    let name = der::tlv(tag::context(6), &[url.as_bytes()]);
    let full_name = der::tlv(tag::context_constructed(0), &[&name]);
    let point = der::tlv(tag::context_constructed(0), &[&full_name]);
    der::sequence(&[&der::sequence(&[&point])])
}

fn plain(oid: &[u8], value: Vec<u8>) -> CustomExtension {
    // Every identifier of ours has arcs; none at all would not get past the linter.
    CustomExtension::from_oid_content(&oid::arcs(oid).unwrap_or_default(), value)
}

fn critical(oid: &[u8], value: Vec<u8>) -> CustomExtension {
    let mut extension = plain(oid, value);
    extension.set_criticality(true);
    extension
}

fn date(at: UnixSeconds) -> Result<OffsetDateTime, EncodeError> {
    OffsetDateTime::from_unix_timestamp(at.0).map_err(|_| EncodeError::Time { at })
}

/// The same TBSCertificate with the issuer's name and the subject's key as the bytes given.
fn with_exact(tbs: &[u8], issuer: &[u8], spki: &[u8]) -> Result<Vec<u8>, der::Error> {
    let content = der::single(tbs, tag::SEQUENCE)?.content;
    let mut fields = Reader::new(content);
    fields.expect(tag::context_constructed(0))?;
    fields.expect(tag::INTEGER)?;
    fields.expect(tag::SEQUENCE)?;
    let head = &content[..content.len() - fields.rest().len()];
    fields.expect(tag::SEQUENCE)?; // issuer
    let tail = fields.rest();
    fields.expect(tag::SEQUENCE)?;
    fields.expect(tag::SEQUENCE)?;
    let validity_and_subject = &tail[..tail.len() - fields.rest().len()];
    fields.expect(tag::SEQUENCE)?; // subjectPublicKeyInfo
    let extensions = fields.expect(tag::context_constructed(3))?.whole;
    fields.end()?;
    Ok(der::sequence(&[
        head,
        issuer,
        validity_and_subject,
        spki,
        extensions,
    ]))
}

/// The subject's key as rcgen wants it.
struct Subject<'a>(&'a [u8]);

impl rcgen::PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256 // whatever it is, the key is replaced by its own bytes
    }
}

/// A key that keeps what it is asked to sign, and signs nothing.
struct Capture {
    algorithm: SignatureAlgorithm,
    tbs: Mutex<Option<Vec<u8>>>,
}

impl Capture {
    fn new(algorithm: SignatureAlgorithm) -> Self {
        Self {
            algorithm,
            tbs: Mutex::new(None),
        }
    }

    fn into_tbs(self) -> Option<Vec<u8>> {
        self.tbs.into_inner().ok().flatten()
    }
}

impl rcgen::PublicKeyData for Capture {
    fn der_bytes(&self) -> &[u8] {
        &[] // asked for only where rcgen makes key identifiers, and ours are made here
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            SignatureAlgorithm::EcdsaP384Sha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

impl rcgen::SigningKey for Capture {
    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        if let Ok(mut kept) = self.tbs.lock() {
            *kept = Some(tbs.to_vec());
        }
        Ok(Vec::new())
    }
}
