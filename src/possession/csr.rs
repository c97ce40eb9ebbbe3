//! PKCS#10 certification requests (RFC 2986), of which only key and signature are used.
//!
//! The reader finds the three parts and the exact bytes that were signed, and lets nothing follow
//! them. Subject and attributes must have the structure the RFC gives them, with any value whatever
//! in it; what they say is not looked at. Nothing recurses, so depth costs nothing.

use super::key::{KeyError, SubjectKey};
use super::spki::{self, SpkiError};
use crate::der::{self, Reader, tag};
use crate::x509::pem;

/// The largest request text that is looked at.
pub const MAX_CSR_BYTES: usize = 32 * 1024;

/// Why bytes are not a certificate signing request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// Nothing was sent.
    #[error("no certificate signing request")]
    Missing,
    /// More than [`MAX_CSR_BYTES`].
    #[error("the request is {bytes} bytes long, at most {MAX_CSR_BYTES} are read")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// Not PEM.
    #[error("the request is not valid PEM")]
    Pem,
    /// One request at a time.
    #[error("the request is {blocks} PEM blocks, not one")]
    Blocks {
        /// How many blocks there are.
        blocks: usize,
    },
    /// A PEM block of something else.
    #[error("the PEM block is not labelled \"CERTIFICATE REQUEST\" or \"NEW CERTIFICATE REQUEST\"")]
    Label,
    /// Not one canonical structure.
    #[error("the request is not canonical DER: {0}")]
    NotCanonical(#[from] SpkiError),
    /// Version 0 is the only one there is.
    #[error("the request's version is not 0")]
    Version,
    /// Subject or attributes are not what RFC 2986 says.
    #[error("subject or attributes of the request are malformed")]
    Noise,
    /// The key inside.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<der::Error> for CsrError {
    fn from(error: der::Error) -> Self {
        Self::NotCanonical(error.into())
    }
}

/// The DER inside a PEM request.
pub(super) fn from_pem(text: &[u8]) -> Result<Vec<u8>, CsrError> {
    match text.len() {
        0 => return Err(CsrError::Missing),
        bytes if bytes > MAX_CSR_BYTES => return Err(CsrError::TooLarge { bytes }),
        _ => {}
    }
    let text = str::from_utf8(text).map_err(|_| CsrError::Pem)?;
    let blocks = pem::decode(text).map_err(|_| CsrError::Pem)?;
    let [block] = <[pem::Block; 1]>::try_from(blocks).map_err(|blocks| CsrError::Blocks {
        blocks: blocks.len(),
    })?;
    match block.label.as_str() {
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Ok(block.der),
        _ => Err(CsrError::Label),
    }
}

/// CertificationRequest, cut into the pieces that matter.
pub(super) struct Request<'a> {
    /// CertificationRequestInfo with its header: what the signature covers.
    pub(super) info: &'a [u8],
    /// Content octets of the signature's AlgorithmIdentifier.
    pub(super) signature_algorithm: &'a [u8],
    /// Content octets of the object identifier in it.
    signature_oid: &'a [u8],
    /// The octets of the signature.
    pub(super) signature: &'a [u8],
    /// SubjectPublicKeyInfo with its header.
    spki: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads exactly one request from all of `der`.
    pub(super) fn from_der(der: &'a [u8]) -> Result<Self, CsrError> {
        let mut fields = Reader::new(der::single(der, tag::SEQUENCE)?.content);
        let info = fields.expect(tag::SEQUENCE)?;
        let signature_algorithm = fields.expect(tag::SEQUENCE)?.content;
        let (signature_oid, _) = spki::algorithm(signature_algorithm)?;
        let signature = spki::whole_octets(fields.expect(tag::BIT_STRING)?.content)?;
        fields.end()?;

        let mut fields = Reader::new(info.content);
        if fields.expect(tag::INTEGER)?.content != [0] {
            return Err(CsrError::Version);
        }
        let subject = fields.expect(tag::SEQUENCE)?.content;
        let spki = fields.expect(tag::SEQUENCE)?.whole;
        let wishes = fields.expect(tag::context_constructed(0))?.content; // perhaps none
        fields.end()?;
        name(subject)
            .and_then(|()| attributes(wishes))
            .map_err(|_| CsrError::Noise)?;
        Ok(Self {
            info: info.whole,
            signature_algorithm,
            signature_oid,
            signature,
            spki,
        })
    }

    /// The key to certify.
    pub(super) fn key(&self) -> Result<SubjectKey, CsrError> {
        Ok(SubjectKey::from_spki_der(self.spki.to_vec())?)
    }

    /// The signature's algorithm for people: an object identifier in dots.
    pub(super) fn signature_algorithm_name(&self) -> String {
        spki::shown(self.signature_oid)
    }
}

/// Name (RFC 5280 §4.1.2.4): each part a SET of at least one type and value.
fn name(content: &[u8]) -> Result<(), der::Error> {
    let mut parts = Reader::new(content);
    while !parts.is_empty() {
        let mut pairs = Reader::new(parts.expect(tag::SET)?.content);
        pair(&mut pairs)?;
        while !pairs.is_empty() {
            pair(&mut pairs)?;
        }
    }
    Ok(())
}

/// Attributes (RFC 2986 §4.1): each a type and a SET of values.
fn attributes(content: &[u8]) -> Result<(), der::Error> {
    let mut pairs = Reader::new(content);
    while !pairs.is_empty() {
        der::single(pair(&mut pairs)?, tag::SET)?;
    }
    Ok(())
}

/// The value, whole, of a SEQUENCE of type and value.
fn pair<'a>(from: &mut Reader<'a>) -> Result<&'a [u8], der::Error> {
    let mut fields = Reader::new(from.expect(tag::SEQUENCE)?.content);
    fields.expect(tag::OID)?;
    let value = fields.any()?.whole;
    fields.end()?;
    Ok(value)
}
