//! A certificate decoded for reading: every extension by name, with its value.
//!
//! Decoding is generous where verifying is strict: an extension whose value makes no sense is
//! shown as bytes. Only what is not a DER certificate at all is an error.

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{
    DistributionPointName, ExtendedKeyUsage, GeneralName, KeyUsage, ParsedExtension, X509Extension,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::Error;
use crate::ct::{self, Sct};
use crate::der::{self, tag};
use crate::hex;
use crate::identity;
use crate::time::UnixSeconds;
use crate::x509::{MAX_CERTIFICATE, oid};

/// A decoded certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Serial number, as its content octets.
    pub serial: Vec<u8>,
    /// The signature algorithm's name, or its dotted identifier.
    pub signature_algorithm: String,
    /// Issuer, in text.
    pub issuer: String,
    /// Subject, in text; empty for our leaves.
    pub subject: String,
    /// First second of validity.
    pub not_before: UnixSeconds,
    /// Last second of validity, inclusive.
    pub not_after: UnixSeconds,
    /// The subject key's kind: `P-256`, `RSA 2048`, `Ed25519`, or a dotted identifier.
    pub key: String,
    /// The SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// The extensions, in order.
    pub extensions: Vec<Extension>,
    pub(super) tbs: Vec<u8>,
}

/// One extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Dotted identifier.
    pub oid: String,
    /// Its name, where we know one.
    pub name: Option<&'static str>,
    /// Whether a reader that does not know it must refuse the certificate.
    pub critical: bool,
    /// What it says.
    pub value: Value,
}

/// What an extension says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// keyUsage, by the names of RFC 5280.
    KeyUsage(Vec<&'static str>),
    /// extKeyUsage, by name or dotted identifier.
    ExtendedKeyUsage(Vec<String>),
    /// subjectKeyIdentifier.
    SubjectKeyIdentifier(Vec<u8>),
    /// authorityKeyIdentifier, its keyIdentifier.
    AuthorityKeyIdentifier(Vec<u8>),
    /// subjectAltName.
    SubjectAltName(Vec<Name>),
    /// basicConstraints.
    BasicConstraints {
        /// Whether this is a CA.
        ca: bool,
        /// How many CAs may follow.
        path_len: Option<u32>,
    },
    /// cRLDistributionPoints, the URLs in it.
    CrlUrls(Vec<String>),
    /// A Fulcio extension.
    Text {
        /// The last arc of its identifier.
        arc: u8,
        /// The value.
        text: String,
    },
    /// The SCT list; nothing of it is verified.
    Scts(Vec<Sct>),
    /// The precertificate poison.
    Poison,
    /// Anything else, and what could not be decoded: the extnValue's content.
    Opaque(Vec<u8>),
}

/// A general name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// otherName of Fulcio's type for user names.
    Username(String),
    /// Another type, described.
    Other(String),
}

impl Inspection {
    /// The first extension with this name.
    pub(super) fn named(&self, name: &'static str) -> Option<&Extension> {
        self.extensions.iter().find(|e| e.name == Some(name))
    }

    /// The text of the Fulcio extension .`arc`.
    pub fn text(&self, wanted: u8) -> Option<&str> {
        self.extensions.iter().find_map(|e| {
            let Value::Text { arc, text } = &e.value else {
                return None;
            };
            (*arc == wanted).then_some(text.as_str())
        })
    }

    /// The SCTs, unverified.
    pub fn scts(&self) -> &[Sct] {
        let found = self.extensions.iter().find_map(|e| {
            let Value::Scts(scts) = &e.value else {
                return None;
            };
            Some(scts.as_slice())
        });
        found.unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Email(name) | Self::Uri(name) | Self::Username(name) | Self::Other(name) => {
                f.write_str(name)
            }
        }
    }
}

/// One line for people; what the certificate's maker chose is quoted where it may be hostile.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, items: Vec<String>| f.write_str(&items.join(", "));
        match self {
            Self::KeyUsage(usages) => f.write_str(&usages.join(", ")),
            Self::ExtendedKeyUsage(purposes) => f.write_str(&purposes.join(", ")),
            Self::SubjectKeyIdentifier(id) | Self::AuthorityKeyIdentifier(id) => {
                f.write_str(&hex::encode(id))
            }
            Self::SubjectAltName(names) => list(
                f,
                names
                    .iter()
                    .map(|n| n.to_string().escape_debug().to_string())
                    .collect(),
            ),
            Self::BasicConstraints { ca, path_len } => match path_len {
                Some(below) => write!(f, "CA {ca}, path length {below}"),
                None => write!(f, "CA {ca}"),
            },
            Self::CrlUrls(urls) => list(
                f,
                urls.iter().map(|u| u.escape_debug().to_string()).collect(),
            ),
            Self::Text { text, .. } => write!(f, "{}", text.escape_debug()),
            Self::Scts(scts) => list(
                f,
                scts.iter()
                    .map(|sct| format!("log {} at {}", sct.log_id, sct.timestamp))
                    .collect(),
            ),
            Self::Poison => f.write_str("precertificate, not to be used"),
            Self::Opaque(bytes) => write!(f, "0x{}", hex::encode(bytes)),
        }
    }
}

/// Decodes exactly one certificate.
pub fn inspect(certificate: &[u8]) -> Result<Inspection, Error> {
    if certificate.len() > MAX_CERTIFICATE {
        let what = "more than 64 KiB";
        return Err(Error::Malformed { what });
    }
    let Ok(([], read)) = X509Certificate::from_der(certificate) else {
        let what = "the bytes are not exactly one DER certificate";
        return Err(Error::Malformed { what });
    };
    let tbs = &read.tbs_certificate;
    Ok(Inspection {
        serial: tbs.raw_serial().to_vec(),
        signature_algorithm: algorithm(read.signature_algorithm.algorithm.as_bytes()),
        issuer: tbs.issuer.to_string(),
        subject: tbs.subject.to_string(),
        not_before: UnixSeconds(tbs.validity.not_before.timestamp()),
        not_after: UnixSeconds(tbs.validity.not_after.timestamp()),
        key: key(&tbs.subject_pki),
        spki: tbs.subject_pki.raw.to_vec(),
        extensions: tbs.extensions().iter().map(extension).collect(),
        tbs: tbs.as_ref().to_vec(),
    })
}

fn algorithm(identifier: &[u8]) -> String {
    oid::name(identifier).map_or_else(|| dotted(identifier), str::to_owned)
}

fn dotted(identifier: &[u8]) -> String {
    oid::dotted(identifier).unwrap_or_else(|| hex::encode(identifier))
}

fn key(spki: &SubjectPublicKeyInfo<'_>) -> String {
    let kind = spki.algorithm.algorithm.as_bytes();
    let curve = spki.algorithm.parameters.as_ref().map(|any| any.data);
    match (kind, curve) {
        (oid::EC_PUBLIC_KEY, Some(oid::P256)) => "P-256".into(),
        (oid::EC_PUBLIC_KEY, Some(oid::P384)) => "P-384".into(),
        (oid::EC_PUBLIC_KEY, Some(oid::P521)) => "P-521".into(),
        (oid::ED25519, _) => "Ed25519".into(),
        (oid::RSA_ENCRYPTION, _) => {
            let Ok(PublicKey::RSA(key)) = spki.parsed() else {
                return "RSA".into();
            };
            format!("RSA {}", key.key_size())
        }
        _ => dotted(kind),
    }
}

fn extension(read: &X509Extension<'_>) -> Extension {
    let identifier = read.oid.as_bytes();
    let arc = oid::fulcio_arc(identifier);
    Extension {
        oid: dotted(identifier),
        name: oid::name(identifier).or_else(|| arc.and_then(identity::extension_name)),
        critical: read.critical,
        value: value(read, arc).unwrap_or_else(|| Value::Opaque(read.value.to_vec())),
    }
}

fn value(read: &X509Extension<'_>, arc: Option<u8>) -> Option<Value> {
    if let Some(arc) = arc {
        let text = match arc {
            ..=7 => read.value,
            _ => der::single(read.value, tag::UTF8_STRING).ok()?.content,
        };
        let text = String::from_utf8(text.to_vec()).ok()?;
        return Some(Value::Text { arc, text });
    }
    match read.oid.as_bytes() {
        oid::SCT_LIST => {
            let list = der::single(read.value, tag::OCTET_STRING).ok()?;
            return ct::decode_sct_list(list.content).ok().map(Value::Scts);
        }
        oid::POISON => return (read.value == [5, 0]).then_some(Value::Poison),
        _ => {}
    }
    // x509-parser reads the rest.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "it knows more extensions than we have words for"
    )]
    match read.parsed_extension() {
        ParsedExtension::KeyUsage(usage) => Some(Value::KeyUsage(usages(usage))),
        ParsedExtension::ExtendedKeyUsage(usage) => Some(Value::ExtendedKeyUsage(purposes(usage))),
        ParsedExtension::SubjectKeyIdentifier(id) => {
            Some(Value::SubjectKeyIdentifier(id.0.to_vec()))
        }
        ParsedExtension::AuthorityKeyIdentifier(id) => {
            let id = id.key_identifier.as_ref()?;
            Some(Value::AuthorityKeyIdentifier(id.0.to_vec()))
        }
        ParsedExtension::SubjectAlternativeName(names) => {
            let names = names.general_names.iter().map(name);
            Some(Value::SubjectAltName(names.collect()))
        }
        ParsedExtension::BasicConstraints(basic) => Some(Value::BasicConstraints {
            ca: basic.ca,
            path_len: basic.path_len_constraint,
        }),
        ParsedExtension::CRLDistributionPoints(points) => {
            let names = points
                .iter()
                .filter_map(|point| match &point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => Some(names),
                    _ => None,
                });
            let urls = names.flatten().filter_map(|name| match name {
                GeneralName::URI(url) => Some((*url).to_owned()),
                _ => None,
            });
            Some(Value::CrlUrls(urls.collect()))
        }
        _ => None,
    }
}

fn name(read: &GeneralName<'_>) -> Name {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "x509-parser's list may grow"
    )]
    match read {
        GeneralName::RFC822Name(address) => Name::Email((*address).to_owned()),
        GeneralName::URI(uri) => Name::Uri((*uri).to_owned()),
        GeneralName::OtherName(kind, value) if kind.as_bytes() == oid::USERNAME => {
            match username(value) {
                Some(name) => Name::Username(name),
                None => Name::Other(read.to_string()),
            }
        }
        other => Name::Other(other.to_string()),
    }
}

/// [0] EXPLICIT UTF8String, and nothing behind it.
fn username(value: &[u8]) -> Option<String> {
    let value = der::single(value, tag::context_constructed(0)).ok()?;
    let text = der::single(value.content, tag::UTF8_STRING).ok()?;
    String::from_utf8(text.content.to_vec()).ok()
}

fn usages(usage: &KeyUsage) -> Vec<&'static str> {
    let all = [
        ("digitalSignature", usage.digital_signature()),
        ("nonRepudiation", usage.non_repudiation()),
        ("keyEncipherment", usage.key_encipherment()),
        ("dataEncipherment", usage.data_encipherment()),
        ("keyAgreement", usage.key_agreement()),
        ("keyCertSign", usage.key_cert_sign()),
        ("cRLSign", usage.crl_sign()),
        ("encipherOnly", usage.encipher_only()),
        ("decipherOnly", usage.decipher_only()),
    ];
    let set = all.into_iter().filter(|(_, set)| *set);
    set.map(|(name, _)| name).collect()
}

fn purposes(usage: &ExtendedKeyUsage<'_>) -> Vec<String> {
    let known = [
        ("anyExtendedKeyUsage", usage.any),
        ("serverAuth", usage.server_auth),
        ("clientAuth", usage.client_auth),
        ("codeSigning", usage.code_signing),
        ("emailProtection", usage.email_protection),
        ("timeStamping", usage.time_stamping),
        ("OCSPSigning", usage.ocsp_signing),
    ];
    let known = known.into_iter().filter(|(_, set)| *set);
    let known = known.map(|(name, _)| name.to_owned());
    let other = usage.other.iter().map(|oid| dotted(oid.as_bytes()));
    known.chain(other).collect()
}
