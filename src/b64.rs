//! Base 64 (RFC 4648 §4 and §5) for what every request brings and takes: tokens and certificates.
//!
//! The same texts are taken and refused as by the library's everyday engines; where the processor
//! can, thirty-two letters at a time.

use std::sync::LazyLock;

#[cfg(not(target_arch = "x86_64"))]
use base64::engine::general_purpose::GeneralPurpose as Quickest;
use base64::engine::general_purpose::{GeneralPurposeConfig, NO_PAD, PAD};
#[cfg(target_arch = "x86_64")]
use base64::engine::simd::Simd as Quickest;

/// With `+`, `/` and padding.
pub static STANDARD: LazyLock<Quickest> = LazyLock::new(|| standard(PAD));

/// With `-` and `_`, and without padding.
pub static URL_SAFE_NO_PAD: LazyLock<Quickest> = LazyLock::new(|| url_safe(NO_PAD));

#[cfg(target_arch = "x86_64")]
fn standard(config: GeneralPurposeConfig) -> Quickest {
    Quickest::standard(config)
}

#[cfg(target_arch = "x86_64")]
fn url_safe(config: GeneralPurposeConfig) -> Quickest {
    Quickest::url_safe(config)
}

#[cfg(not(target_arch = "x86_64"))]
fn standard(config: GeneralPurposeConfig) -> Quickest {
    Quickest::new(&base64::alphabet::STANDARD, config)
}

#[cfg(not(target_arch = "x86_64"))]
fn url_safe(config: GeneralPurposeConfig) -> Quickest {
    Quickest::new(&base64::alphabet::URL_SAFE, config)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    use super::*;

    /// Base 64 of either alphabet, some of it spoilt.
    fn texts() -> impl Strategy<Value = Vec<u8>> {
        let spoilt = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
        let letters = prop::collection::vec(any::<u8>(), 0..300);
        (letters, any::<bool>(), any::<bool>(), spoilt).prop_map(|(octets, url, pad, spoilt)| {
            let engine = match (url, pad) {
                (true, true) => &general_purpose::URL_SAFE,
                (true, false) => &general_purpose::URL_SAFE_NO_PAD,
                (false, true) => &general_purpose::STANDARD,
                (false, false) => &general_purpose::STANDARD_NO_PAD,
            };
            let mut text = engine.encode(octets).into_bytes();
            if let Some((at, octet)) = spoilt.filter(|_| !text.is_empty()) {
                let at = at.index(text.len());
                text[at] = octet;
            }
            text
        })
    }

    proptest! {
        #[test]
        fn whatever_the_everyday_engines_make_of_a_text_is_made_of_it_here(text in texts()) {
            prop_assert_eq!(STANDARD.decode(&text), general_purpose::STANDARD.decode(&text));
            let plain = general_purpose::URL_SAFE_NO_PAD.decode(&text);
            prop_assert_eq!(URL_SAFE_NO_PAD.decode(&text), plain);
        }

        #[test]
        fn octets_become_the_same_text(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            let plain = general_purpose::STANDARD.encode(&octets);
            prop_assert_eq!(STANDARD.encode(&octets), plain);
            let plain = general_purpose::URL_SAFE_NO_PAD.encode(&octets);
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(&octets), plain);
        }
    }
}
