//! PEM: blocks that we read, the pem crate reads the same way, and so do we what we write of them.

use shortleaf::x509::pem;

pub(crate) fn run(input: &[u8]) {
    let Some(blocks) = str::from_utf8(input)
        .ok()
        .and_then(|text| pem::decode(text).ok())
    else {
        return;
    };
    let theirs = ::pem::parse_many(input).expect("the pem crate reads it");
    let theirs: Vec<_> = theirs
        .iter()
        .map(|block| (block.tag(), block.contents()))
        .collect();
    let ours: Vec<_> = blocks
        .iter()
        .map(|block| (&*block.label, &*block.der))
        .collect();
    assert_eq!(ours, theirs);

    let written: String = ours
        .iter()
        .map(|(label, der)| pem::encode(label, der))
        .collect();
    // Wrapped lines may take it over the limit that it kept in one.
    if written.len() <= pem::MAX_TEXT {
        assert_eq!(pem::decode(&written), Ok(blocks));
    }
}
