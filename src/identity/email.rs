//! What counts as an email address in a certificate: one mailbox in dot-string form
//! (RFC 5321 §4.1.2), printable ASCII throughout.
//!
//! Quoted local parts, comments, address literals and internationalised addresses exist and are
//! refused: each has more than one spelling, and a policy compares spellings.

/// Longest address (RFC 5321 §4.5.3.1.3, without the angle brackets), in bytes.
pub const MAX_ADDRESS_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;
const MAX_LABEL_BYTES: usize = 63;

/// Whether `text` is one plain address and nothing else.
pub(super) fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    text.len() <= MAX_ADDRESS_BYTES
        && local.len() <= MAX_LOCAL_BYTES
        && local.split('.').all(is_atom)
        && domain.split('.').all(is_label)
}

/// RFC 5322 §3.2.3.
fn is_atom(text: &str) -> bool {
    let in_atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    !text.is_empty() && text.bytes().all(in_atom)
}

/// RFC 5321 §4.1.2, sub-domain.
fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_taken() {
        let local = "l".repeat(64);
        for text in [
            "alice@example.com",
            "a.b+tag@mail.example.co.uk",
            "o'neil@example.com",
            "x@localhost",
            "123@xn--bcher-kva.example",
            &format!("{local}@example.com"),
        ] {
            assert!(is_address(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_plain_address_is_refused() {
        let local = "l".repeat(65);
        let label = "d".repeat(64);
        for text in [
            "",
            "@",
            "alice",
            "@example.com",
            "alice@",
            "a@b@c",
            "a@b.example,c@d.example",
            "a@b.example c@d.example",
            " alice@example.com",
            "alice@example.com ",
            "alice@example.com\n",
            "Alice <alice@example.com>",
            "\"a b\"@example.com",
            "a(c)@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a@.example.com",
            "a@example.com.",
            "a@example..com",
            "a@-example.com",
            "a@example-.com",
            "a@[127.0.0.1]",
            "a@exa_mple.com",
            "a@bücher.example",
            "аlice@example.com",
            "alice\0@example.com",
            "alice\u{202e}@example.com",
            "a b@example.com",
            &format!("{local}@example.com"),
            &format!("a@{label}.com"),
            &format!("a@{}com", "d.".repeat(130)),
        ] {
            assert!(!is_address(text), "{text:?}");
        }
    }
}
