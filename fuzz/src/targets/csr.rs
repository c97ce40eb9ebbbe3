//! Signing requests: whatever is accepted has a key and a signature where others see them.

use shortleaf::der::{self, Reader, tag};
use shortleaf::possession::{self, AlgorithmList, Error, KeyPolicy, MAX_CSR_BYTES, SubjectKey};
use shortleaf::x509::pem;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

const LABEL: &str = "CERTIFICATE REQUEST";

pub(crate) fn run(input: &[u8]) {
    let _ = read(input);
    let armoured = pem::encode(LABEL, input);
    let ours = read(armoured.as_bytes());
    // The signature is looked at last, so these had the right structure.
    let is_request = matches!(
        ours,
        Ok(_)
            | Err(Error::CsrSignatureInvalid { .. }
                | Error::NotPermitted { .. }
                | Error::Unrecognized { .. })
    );
    if is_request && armoured.len() <= MAX_CSR_BYTES {
        second_opinion(input);
    }
}

fn read(csr: &[u8]) -> Result<(), Error> {
    let key = possession::by_csr(csr, &KeyPolicy::from(AlgorithmList::all()))?;
    let again = SubjectKey::from_bytes(key.spki_der()).expect("its key is one by itself");
    assert_eq!(again.spki_der(), key.spki_der());
    assert_eq!(again.kind(), key.kind());
    Ok(())
}

/// x509-parser finds the same key. Subject and attributes, whose values are nobody's business
/// here, are taken out for it.
fn second_opinion(request: &[u8]) {
    let parts = parts(request).expect("DER, since we accepted it");
    let info = der::sequence(&[
        &[tag::INTEGER, 1, 0],
        &der::sequence(&[]),
        parts.spki,
        &der::tlv(tag::context_constructed(0), &[]),
    ]);
    let plain = der::sequence(&[&info, parts.after_info]);
    let (rest, theirs) = X509CertificationRequest::from_der(&plain).expect("x509-parser reads it");
    assert!(rest.is_empty(), "x509-parser leaves something");
    let theirs = theirs.certification_request_info.subject_pki;
    let ours = SubjectKey::from_bytes(parts.spki).expect("the key was accepted");
    assert_eq!(theirs.raw, ours.spki_der());
}

struct Parts<'a> {
    spki: &'a [u8],
    /// Algorithm and signature.
    after_info: &'a [u8],
}

fn parts(request: &[u8]) -> Result<Parts<'_>, der::Error> {
    let mut outer = Reader::new(der::single(request, tag::SEQUENCE)?.content);
    let mut info = Reader::new(outer.expect(tag::SEQUENCE)?.content);
    info.expect(tag::INTEGER)?;
    info.expect(tag::SEQUENCE)?;
    Ok(Parts {
        spki: info.expect(tag::SEQUENCE)?.whole,
        after_info: outer.rest(),
    })
}
