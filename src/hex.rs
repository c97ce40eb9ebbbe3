//! Octets for people and for lines of text: base 16 in lower case (RFC 4648 §8), no separators.

/// Two digits an octet.
pub fn encode(octets: &[u8]) -> String {
    const_hex::encode(octets)
}

/// The same, to the end of `text`.
pub fn append(text: &mut Vec<u8>, octets: &[u8]) {
    let start = text.len();
    text.resize(start + 2 * octets.len(), 0);
    let room = &mut text[start..];
    const_hex::encode_to_slice(octets, room).expect("there is room for two digits an octet");
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
