//! SCTs and lists of them: what is read is written in the same octets and is the same to
//! x509-parser, and no made-up SCT is ever believed.

use std::sync::OnceLock;

use shortleaf::ct::{
    LogKey, PreEntry, Sct, decode_sct_list, sct_list, verify_embedded, verify_sct,
};
use shortleaf::der;
use shortleaf::time::UnixSeconds;
use x509_parser::extensions::parse_ct_signed_certificate_timestamp_list;

/// Its private half does not exist any more.
const KEY: &[u8] = include_bytes!("../../corpus/spki/p256.der");

pub(crate) fn run(input: &[u8]) {
    if let Ok(sct) = Sct::decode(input) {
        assert_eq!(sct.encode(), input);
        never_believed(sct);
    }
    if let Ok(scts) = decode_sct_list(input) {
        let all: Vec<&Sct> = scts.iter().collect();
        assert_eq!(sct_list(&all), input);
        second_opinion(input, &scts);
    }
}

fn second_opinion(list: &[u8], ours: &[Sct]) {
    let wrapped = der::octet_string(list);
    let (rest, theirs) =
        parse_ct_signed_certificate_timestamp_list(&wrapped).expect("x509-parser reads it");
    assert!(rest.is_empty(), "x509-parser leaves something");
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(theirs.version.0, 0);
        assert_eq!(&ours.log_id.0, theirs.id.key_id);
        assert_eq!(ours.timestamp.0, theirs.timestamp);
        assert_eq!(ours.extensions, theirs.extensions.0);
        let signature = &theirs.signature;
        assert_eq!(
            ours.signature[..2],
            [signature.hash_alg_id, signature.sign_alg_id]
        );
        assert_eq!(&ours.signature[4..], signature.data);
    }
}

fn never_believed(mut sct: Sct) {
    static LOG: OnceLock<LogKey> = OnceLock::new();
    let key = LOG.get_or_init(|| LogKey::from_spki_der(KEY).expect("a P-256 key"));
    sct.log_id = key.id();
    let entry = PreEntry::new(
        Vec::new(),
        Vec::new(),
        b"spki",
        b"tbs".to_vec(),
        UnixSeconds(0),
    );
    let hash = entry.issuer_key_hash();
    assert!(verify_embedded(&sct, key, hash, entry.tbs()).is_err());
    let now = sct.timestamp;
    assert!(verify_sct(sct, key, &entry, now).is_err());
}
