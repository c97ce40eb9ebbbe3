//! Octets for people and for lines of text: base 16 in lower case (RFC 4648 §8), no separators.

/// Two digits an octet.
pub fn encode(octets: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Whole certificates pass here four times an issuance: octets at once, not characters.
    let mut text = vec![0; 2 * octets.len()];
    for (pair, octet) in text.chunks_exact_mut(2).zip(octets) {
        pair[0] = DIGITS[usize::from(octet >> 4)];
        pair[1] = DIGITS[usize::from(octet & 15)];
    }
    String::from_utf8(text).unwrap_or_default() // sixteen ASCII digits
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
