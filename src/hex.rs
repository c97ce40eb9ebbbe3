//! Octets for people and for lines of text: base 16 in lower case (RFC 4648 §8), no separators.

/// Two digits an octet.
pub fn encode(octets: &[u8]) -> String {
    let mut text = Vec::new();
    append(&mut text, octets);
    String::from_utf8(text).unwrap_or_default() // sixteen ASCII digits
}

/// The same, to the end of `text`.
pub fn append(text: &mut Vec<u8>, octets: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Whole certificates pass here: pairs of octets at once, not characters.
    let start = text.len();
    text.resize(start + 2 * octets.len(), 0);
    for (pair, octet) in text[start..].chunks_exact_mut(2).zip(octets) {
        pair[0] = DIGITS[usize::from(octet >> 4)];
        pair[1] = DIGITS[usize::from(octet & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_octet_is_two_lower_case_digits() {
        assert_eq!(encode(&[0x00, 0x0a, 0xa0, 0xff]), "000aa0ff");
        assert_eq!(encode(&[]), "");
    }
}
