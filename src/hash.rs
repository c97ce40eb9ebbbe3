//! SHA-256 (FIPS 180-4), the one hash that names things here: keys, tokens, entries, lines, leaves
//! of a tree. The SHA-1 of key identifiers is a name of X.509's and stands in [`crate::x509`].

use aws_lc_rs::digest::{Context, SHA256, digest};

/// SHA-256 of `parts` one after another. Nothing is put between them: whoever hashes more than one
/// part of free length puts the lengths in.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = match parts {
        // What lies in one piece needs no memory in between.
        [whole] => digest(&SHA256, whole),
        parts => {
            let mut context = Context::new(&SHA256);
            parts.iter().for_each(|part| context.update(part));
            context.finish()
        }
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex;

    #[test]
    fn parts_hash_as_their_concatenation() {
        // FIPS 180-4's own example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        for parts in [&[&b"abc"[..]][..], &[b"a", b"bc"], &[b"", b"ab", b"c"]] {
            assert_eq!(hex::encode(&sha256(parts)), abc, "{parts:?}");
        }
        assert_ne!(hex::encode(&sha256(&[b"abd"])), abc);
    }
}
