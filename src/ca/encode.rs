//! From plan to bytes. rcgen encodes and never signs: a capturing key takes the exact
//! to-be-signed bytes away from it.
//!
//! Every extension goes in as a custom one, because rcgen writes its typed ones in an order that
//! is not the profile's. Issuer name and subject key are put in afterwards as the bytes they came
//! as: rcgen encodes names anew and loses repeated attributes on the way (rcgen#81, rcgen#300).
//! The encoding without poison and SCT list is made once; precertificate and final are that and
//! one extension more, so they cannot drift apart.

use std::sync::Mutex;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, Issuer, SerialNumber};
use time::OffsetDateTime;

use super::Plan;
use crate::der::{self, Reader, tag};
use crate::identity::San;
use crate::possession::KeyKind;
use crate::time::UnixSeconds;
use crate::x509::{SignatureAlgorithm, key_identifier, oid, subject_public_key};

/// BIT STRING with bit 0, digitalSignature, alone.
const DIGITAL_SIGNATURE: &[u8] = &[tag::BIT_STRING, 2, 7, 0x80];
/// The value of the poison: NULL.
const NULL: &[u8] = &[tag::NULL, 0];
/// Up to here the Fulcio extensions hold raw text; above, DER UTF8String.
const LAST_RAW_ARC: u8 = 6;

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
    /// What rcgen wrote, or the subject's key, does not read as DER.
    #[error("could not read the encoding back")]
    Der(#[from] der::Error),
    /// A moment outside the calendar.
    #[error("{at} cannot be written in a certificate")]
    Time {
        /// The moment.
        at: UnixSeconds,
    },
}

/// The TBSCertificate without poison and SCT list: what a log hashes (RFC 6962 §3.2).
pub(super) fn body(plan: &Plan) -> Result<Vec<u8>, EncodeError> {
    let mut params = CertificateParams::default();
    params.serial_number = Some(SerialNumber::from_slice(plan.serial().octets()));
    params.not_before = date(plan.not_before())?;
    params.not_after = date(plan.not_after())?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = extensions(plan)?;
    let nobody = {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new(); // replaced below
        params
    };
    let spki = plan.key().spki_der();
    let subject = Subject {
        point: subject_public_key(spki)?,
        algorithm: subject_algorithm(plan.key().kind()),
    };
    let capture = Capture::new(plan.authority().algorithm());
    params.signed_by(&subject, &Issuer::from_params(&nobody, &capture))?;
    let tbs = capture.into_tbs().ok_or(EncodeError::NothingToSign)?;
    Ok(with_exact(
        &tbs,
        plan.authority().issuing().subject(),
        spki,
    )?)
}

/// The precertificate's last extension: critical poison (RFC 6962 §3.1).
pub(super) fn poison() -> Vec<u8> {
    der::sequence(&[
        &der::tlv(tag::OID, &[oid::POISON]),
        &[tag::BOOLEAN, 1, 0xff],
        &der::octet_string(NULL),
    ])
}

/// The final's last extension: an OCTET STRING in the OCTET STRING (RFC 6962 §3.3).
pub(super) fn sct_list(list: &[u8]) -> Vec<u8> {
    der::sequence(&[
        &der::tlv(tag::OID, &[oid::SCT_LIST]),
        &der::octet_string(&der::octet_string(list)),
    ])
}

/// The TBSCertificate with one extension more, at the end.
pub(super) fn append(tbs: &[u8], extension: &[u8]) -> Result<Vec<u8>, der::Error> {
    let fields = Fields::of(tbs)?;
    let list = der::sequence(&[fields.extensions, extension]);
    Ok(der::sequence(&[
        fields.head,
        fields.issuer,
        fields.validity_and_subject,
        fields.spki,
        &der::tlv(tag::context_constructed(3), &[&list]),
    ]))
}

/// A Certificate around a TBSCertificate; outer and inner algorithm are the same.
pub(super) fn certificate(tbs: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
    der::sequence(&[tbs, &algorithm.identifier(), &der::bit_string(signature)])
}

/// The same, unsigned: a zero-length BIT STRING, about which nothing signed can lie.
pub(super) fn unsigned(tbs: &[u8], algorithm: SignatureAlgorithm) -> Vec<u8> {
    certificate(tbs, algorithm, &[])
}

/// The extensions of the profile, in its order, without poison and SCT list.
fn extensions(plan: &Plan) -> Result<Vec<CustomExtension>, EncodeError> {
    let ski = key_identifier(plan.key().spki_der())?;
    let code_signing = der::tlv(tag::OID, &[oid::CODE_SIGNING]);
    let aki = der::tlv(tag::context(0), &[plan.authority().ski()]);
    let mut out = vec![
        critical(oid::KEY_USAGE, DIGITAL_SIGNATURE.to_vec()),
        plain(oid::EXTENDED_KEY_USAGE, der::sequence(&[&code_signing])),
        plain(oid::SUBJECT_KEY_IDENTIFIER, der::octet_string(&ski)),
        plain(oid::AUTHORITY_KEY_IDENTIFIER, der::sequence(&[&aki])),
        // Critical because the subject is empty (RFC 5280 §4.2.1.6).
        critical(oid::SUBJECT_ALT_NAME, san(plan.principal().san())),
    ];
    for extension in plan.principal().extensions() {
        let text = extension.value.as_bytes();
        let value = match extension.arc {
            ..=LAST_RAW_ARC => text.to_vec(),
            _ => der::tlv(tag::UTF8_STRING, &[text]),
        };
        out.push(plain(&oid::fulcio(extension.arc), value));
    }
    if let Some(url) = plan.profile().crl_url() {
        out.push(plain(oid::CRL_DISTRIBUTION_POINTS, distribution_point(url)));
    }
    Ok(out)
}

fn san(san: &San) -> Vec<u8> {
    let name = match san {
        San::Email(address) => der::tlv(tag::context(1), &[address.as_bytes()]),
        San::Uri(uri) => der::tlv(tag::context(6), &[uri.as_bytes()]),
    };
    der::sequence(&[&name])
}

/// One DistributionPoint { [0] distributionPoint { [0] fullName { [6] URI } } }.
pub(crate) fn distribution_point(url: &str) -> Vec<u8> {
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

/// A TBSCertificate in the pieces that are put together anew.
struct Fields<'a> {
    /// version, serialNumber, signature
    head: &'a [u8],
    issuer: &'a [u8],
    validity_and_subject: &'a [u8],
    spki: &'a [u8],
    /// The content of the Extensions SEQUENCE.
    extensions: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(tbs: &'a [u8]) -> Result<Self, der::Error> {
        let content = der::single(tbs, tag::SEQUENCE)?.content;
        let mut fields = Reader::new(content);
        fields.expect(tag::context_constructed(0))?;
        fields.expect(tag::INTEGER)?;
        fields.expect(tag::SEQUENCE)?;
        let head = &content[..content.len() - fields.rest().len()];
        let issuer = fields.expect(tag::SEQUENCE)?.whole;
        let tail = fields.rest();
        fields.expect(tag::SEQUENCE)?;
        fields.expect(tag::SEQUENCE)?;
        let validity_and_subject = &tail[..tail.len() - fields.rest().len()];
        let spki = fields.expect(tag::SEQUENCE)?.whole;
        let outer = fields.expect(tag::context_constructed(3))?.content;
        fields.end()?;
        Ok(Self {
            head,
            issuer,
            validity_and_subject,
            spki,
            extensions: der::single(outer, tag::SEQUENCE)?.content,
        })
    }
}

/// The same TBSCertificate with the issuer's name and the subject's key as the bytes given.
fn with_exact(tbs: &[u8], issuer: &[u8], spki: &[u8]) -> Result<Vec<u8>, der::Error> {
    let fields = Fields::of(tbs)?;
    let list = der::sequence(&[fields.extensions]);
    Ok(der::sequence(&[
        fields.head,
        issuer,
        fields.validity_and_subject,
        spki,
        &der::tlv(tag::context_constructed(3), &[&list]),
    ]))
}

/// The subject's key as rcgen wants it.
struct Subject<'a> {
    point: &'a [u8],
    algorithm: &'static rcgen::SignatureAlgorithm,
}

impl rcgen::PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.point
    }
    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

fn subject_algorithm(kind: KeyKind) -> &'static rcgen::SignatureAlgorithm {
    match kind {
        KeyKind::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        KeyKind::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        KeyKind::EcdsaP521 => &rcgen::PKCS_ECDSA_P521_SHA512,
        KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
        KeyKind::Ed25519 => &rcgen::PKCS_ED25519,
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
