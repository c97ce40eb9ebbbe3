//! SHA-256 (FIPS 180-4), the one hash that names things here: keys, tokens, entries, lines, leaves
//! of a tree. The SHA-1 of key identifiers is a name of X.509's and stands in [`crate::x509`].

use aws_lc_rs::digest::{Context, SHA256, digest};

/// SHA-256 of `parts` one after another. Nothing is put between them: whoever hashes more than one
/// part of free length puts the lengths in.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let digest = match parts {
        // What lies in one piece needs no memory in between.
        [whole] => digest(&SHA256, whole),
        parts => match joined(parts, &mut [0; SHORT]) {
            Some(whole) => digest(&SHA256, whole),
            None => {
                let mut context = Context::new(&SHA256);
                parts.iter().for_each(|part| context.update(part));
                context.finish()
            }
        },
    };
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// So many octets in parts are put together before they are hashed: names and pairs of hashes are
/// shorter, and hashing part after part costs two allocations.
const SHORT: usize = 256;

/// All parts in `room`, if they fit.
fn joined<'r>(parts: &[&[u8]], room: &'r mut [u8; SHORT]) -> Option<&'r [u8]> {
    let mut length = 0;
    for part in parts {
        let place = room[length..].get_mut(..part.len())?;
        place.copy_from_slice(part);
        length += part.len();
    }
    Some(&room[..length])
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

    #[test]
    fn parts_that_are_short_together_and_parts_that_are_not_hash_alike() {
        let octets = [0x5a; 2 * SHORT];
        for length in [SHORT - 1, SHORT, SHORT + 1, 2 * SHORT] {
            let whole = &octets[..length];
            let (first, rest) = whole.split_at(7);
            assert_eq!(sha256(&[first, rest]), sha256(&[whole]), "{length}");
        }
    }
}
