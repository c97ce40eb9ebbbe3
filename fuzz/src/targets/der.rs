//! DER: what we read has the same tags and lengths to the der crate, and a certificate that we
//! take apart has the same parts to x509-cert.

use shortleaf::der::Reader;
use shortleaf::x509::Certificate;
use x509_cert::der::{Decode as _, Encode as _, ErrorKind, Header, Reader as _, SliceReader};
use x509_cert::name::Name;
use x509_cert::time::Time;

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
/// x509-cert can make sense of all that, it finds the same parts.
fn certificate(input: &[u8]) {
    let Ok(ours) = Certificate::from_der(input.to_vec()) else {
        return;
    };
    let Ok(theirs) = x509_cert::Certificate::from_der(input) else {
        return;
    };
    let tbs = theirs.tbs_certificate();
    let spki = tbs.subject_public_key_info().to_der().expect("written");
    assert_eq!(ours.spki(), spki);
    assert_eq!(ours.serial(), tbs.serial_number().as_bytes());
    assert_eq!(ours.signature(), theirs.signature().raw_bytes());
    // The parts of a name may come back in another order.
    let len = |name: &Name| name.to_der().expect("written").len();
    assert_eq!(ours.issuer().len(), len(tbs.issuer()));
    assert_eq!(ours.subject().len(), len(tbs.subject()));
    let seconds = |time: Time| time.to_unix_duration().as_secs();
    let validity = tbs.validity();
    assert_eq!(
        ours.not_before().0,
        seconds(validity.not_before).cast_signed()
    );
    assert_eq!(
        ours.not_after().0,
        seconds(validity.not_after).cast_signed()
    );
    assert_eq!(
        ours.extensions().len(),
        tbs.extensions().map_or(0, Vec::len)
    );
}
