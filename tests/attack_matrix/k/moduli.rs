//! K4 and K5: RSA keys that are too small, too large, or whose primes can be found.

use num_bigint::BigUint;
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;

use super::Kit;
use crate::keys::{pem, spki, tlv};
use crate::material::{self, SigningRequest, rsa};
use crate::report::Case;

pub(super) fn rsa_numbers(kit: &Kit) -> Vec<Case> {
    let key = kit.key(KeyKind::Rsa2048);
    let mut cases = Vec::new();
    for bits in [
        512, 1024, 2047, 2049, 2056, 3071, 4095, 4097, 8192, 16_384, 90_000,
    ] {
        let modulus = material::drawn(1, bits);
        cases.push(kit.insecure(format!("{bits} bits"), &rsa(&modulus), key));
    }
    // A million bits are over the limit of a key, and with it over that of a request in base64.
    let wide = material::rsa_numbers(&material::drawn(1, 500_000), &BigUint::from(65537u32));
    cases.push(kit.bytes(
        "500,000 bits",
        pem("RSA PUBLIC KEY", &wide).into_bytes(),
        key,
        Reason::RequestTooLarge,
    ));

    let honest = material::modulus(key);
    let f4 = BigUint::from(65537u32);
    for (what, exponent) in [
        ("e = 1", BigUint::from(1u8)),
        ("e = 3", BigUint::from(3u8)),
        ("e = 17", BigUint::from(17u8)),
        ("e = 2^16", BigUint::from(65536u32)),
        ("e = 65539", BigUint::from(65539u32)),
        ("e = 2^32 + 1", (BigUint::from(1u8) << 32u8) + 1u8),
        ("e = n - 2", &honest - 2u8),
        ("e of 32,000 bits", material::drawn(2, 32_000)),
    ] {
        let der = spki(material::RSA, &material::rsa_numbers(&honest, &exponent));
        cases.push(kit.insecure(what, &der, key));
    }
    for (what, modulus) in [
        ("even n", &honest - 1u8),
        ("n = 2^2047", BigUint::from(1u8) << 2047u32),
        ("n = 1", BigUint::from(1u8)),
    ] {
        cases.push(kit.insecure(what, &rsa(&modulus), key));
    }
    for (what, numbers) in [
        ("n = 0", [tlv(0x02, &[0]), material::integer(&f4)]),
        ("e = 0", [material::integer(&honest), tlv(0x02, &[0])]),
    ] {
        let der = spki(material::RSA, &tlv(0x30, &numbers.concat()));
        cases.push(kit.malformed(what, &der, key));
    }
    cases
}

pub(super) fn weak_keys(kit: &Kit) -> Vec<Case> {
    let sizes = [
        (KeyKind::Rsa2048, 2048, 126),
        (KeyKind::Rsa3072, 3072, 126),
        (KeyKind::Rsa4096, 4096, 225),
    ];
    let mut cases = Vec::new();
    for (kind, bits, primes) in sizes {
        let key = kit.key(kind);
        let cofactor = |prime: u32| {
            let start: BigUint = (BigUint::from(3u8) << (bits - 2)) / prime;
            material::rough(start | BigUint::from(1u8)) * prime
        };
        for (what, modulus) in [
            ("ROCA", material::roca_modulus(50, bits, primes)),
            ("divisible by 3", cofactor(3)),
            ("divisible by 751", cofactor(751)),
            (
                "close primes, first round",
                material::close_modulus(bits, 1),
            ),
            (
                "close primes, round 110",
                material::close_modulus(bits, 110),
            ),
            ("a square", {
                let prime = material::rough(material::drawn(60, bits / 2));
                &prime * &prime
            }),
        ] {
            cases.push(kit.insecure(format!("{kind}: {what}"), &rsa(&modulus), key));
        }
        let mut request = SigningRequest::of(key);
        request.spki = rsa(&material::roca_modulus(70, bits, primes));
        let request = request.signed_by(key);
        let reason = Reason::PublicKeyInsecure;
        cases.push(kit.csr_der(format!("{kind}: ROCA in a CSR"), &request, key, reason));
    }
    for weak in &kit.weak {
        let twin = kit.key(weak.kind());
        let reason = Reason::PublicKeyInsecure;
        let listed = Case {
            what: format!("{}: on the list", weak.kind()),
            ask: kit.site.by_key(weak),
            verdict: kit.refused(reason, kit.site.by_key(twin)),
        };
        cases.push(listed);
        let request = SigningRequest::of(weak).signed_by(weak);
        let what = format!("{}: on the list, in a CSR", weak.kind());
        cases.push(kit.csr_der(what, &request, twin, reason));
    }
    cases
}
