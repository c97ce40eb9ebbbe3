//! DER: what we read has the same tags and lengths to the der crate, and a certificate that we
//! take apart has the same parts to x509-parser.

use shortleaf::der::Reader;
use shortleaf::x509::Certificate;
use x509_cert::der::{Decode as _, ErrorKind, Header, Reader as _, SliceReader};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Nested deeper than any structure we read.
const DEPTH_MAX: usize = 32;
const CONSTRUCTED: u8 = 0x20;

pub(crate) fn run(input: &[u8]) {
    walk(input, 0);
    certificate(input);
}

fn walk(input: &[u8], depth: usize) {
    let mut ours = Reader::new(input);
    while let Ok(element) = ours.any() {
        assert!(same_header(element.whole, element.content.len()));
        if element.tag & CONSTRUCTED != 0 && depth < DEPTH_MAX {
            walk(element.content, depth + 1);
        }
    }
}

fn same_header(whole: &[u8], content: usize) -> bool {
    let mut reader = SliceReader::new(whole).expect("short enough");
    match Header::decode(&mut reader) {
        Ok(theirs) => {
            u32::try_from(content).is_ok_and(|content| u32::from(theirs.length()) == content)
                && u32::from(reader.remaining_len()) as usize == content
        }
        // It knows the tags of its own types only.
        Err(error) => matches!(
            error.kind(),
            ErrorKind::TagUnknown { .. } | ErrorKind::TagNumberInvalid
        ),
    }
}

/// We cut a certificate up and leave what is inside its names, key and algorithms alone; where
/// x509-parser can make sense of all that, it cuts at the same places.
fn certificate(input: &[u8]) {
    let Ok(ours) = Certificate::from_der(input.to_vec()) else {
        return;
    };
    let Ok((rest, theirs)) = X509Certificate::from_der(input) else {
        return;
    };
    assert!(rest.is_empty(), "x509-parser leaves something");
    let tbs = &theirs.tbs_certificate;
    assert_eq!(ours.tbs(), tbs.as_ref());
    assert_eq!(ours.spki(), tbs.subject_pki.raw);
    // It stops without a word at the first part of a name that it cannot read.
    assert!(ours.issuer().starts_with(tbs.issuer.as_raw()));
    assert!(ours.subject().starts_with(tbs.subject.as_raw()));
    assert_eq!(ours.signature(), &*theirs.signature_value.data);
    assert_eq!(ours.not_before().0, tbs.validity.not_before.timestamp());
    assert_eq!(ours.not_after().0, tbs.validity.not_after.timestamp());
    assert_eq!(ours.extensions().len(), tbs.extensions().len());
}
