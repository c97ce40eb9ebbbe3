//! Public keys as they arrive.

use crate::world::{TestKey, one_line_pem, pem, spki, tlv};
use shortleaf::der;
use shortleaf::fault::Reason;
use shortleaf::possession::{Insecure, KeyError, KeyKind, MAX_KEY_BYTES, SpkiError, SubjectKey};

const EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

fn refusal(content: &[u8]) -> KeyError {
    SubjectKey::from_bytes(content).unwrap_err()
}

fn p256(parameters: &[u8], point: &[u8]) -> Vec<u8> {
    spki(&[EC, parameters].concat(), point)
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = [tlv(0x02, modulus), tlv(0x02, exponent)].concat();
    spki(RSA, &tlv(0x30, &numbers))
}

/// A positive integer of this many bits, odd.
fn modulus(bits: usize) -> Vec<u8> {
    let mut number = vec![0xff; bits.div_ceil(8)];
    number[0] >>= number.len() * 8 - bits;
    if number[0] & 0x80 != 0 {
        number.insert(0, 0);
    }
    number
}

#[test]
fn a_key_of_each_kind_is_taken_in_each_form() {
    for key in TestKey::one_of_each() {
        let der = key.spki();
        let wrapped = pem("PUBLIC KEY", &der);
        let mut forms = vec![
            ("DER", der.clone()),
            ("PEM", wrapped.clone().into_bytes()),
            ("PEM with CRLF", wrapped.replace('\n', "\r\n").into_bytes()),
            (
                "PEM on one line",
                one_line_pem("PUBLIC KEY", &der).into_bytes(),
            ),
            (
                "PEM without last newline",
                wrapped.trim_end().as_bytes().to_vec(),
            ),
        ];
        if let TestKey::Rsa(..) = key {
            let pkcs1 = key.bits();
            let wrapped = pem("RSA PUBLIC KEY", &pkcs1);
            forms.push(("PKCS#1 with CRLF", wrapped.replace('\n', "\r\n").into()));
            forms.push(("PKCS#1", wrapped.into()));
            forms.push((
                "PKCS#1 on one line",
                one_line_pem("RSA PUBLIC KEY", &pkcs1).into(),
            ));
        }
        for (form, content) in forms {
            let read = SubjectKey::from_bytes(&content).expect(form);
            assert_eq!(read.kind(), key.kind(), "{form}");
            assert_eq!(read.spki_der(), der, "{form}");
        }
    }
}

#[test]
fn what_is_certified_is_what_openssl_would_write() {
    // The same keys through RustCrypto's decoders: a second opinion on canonical DER.
    use ::p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
    let key = TestKey::generate(KeyKind::EcdsaP256);
    let read = SubjectKey::from_bytes(&key.spki()).unwrap();
    let theirs = ::p256::PublicKey::from_public_key_der(read.spki_der()).unwrap();
    assert_eq!(
        theirs.to_public_key_der().unwrap().as_bytes(),
        read.spki_der()
    );
    let key = TestKey::generate(KeyKind::EcdsaP384);
    let read = SubjectKey::from_bytes(&key.spki()).unwrap();
    let theirs = ::p384::PublicKey::from_public_key_der(read.spki_der()).unwrap();
    assert_eq!(
        theirs.to_public_key_der().unwrap().as_bytes(),
        read.spki_der()
    );
}

#[test]
fn nothing_is_not_a_key() {
    assert_eq!(refusal(b""), KeyError::Missing);
}

#[test]
fn a_key_over_the_limit_is_not_read() {
    let key = pem("PUBLIC KEY", &TestKey::generate(KeyKind::EcdsaP256).spki());
    let padded = |bytes: usize| format!("{key:\n<bytes$}").into_bytes();
    assert!(SubjectKey::from_bytes(&padded(MAX_KEY_BYTES)).is_ok());
    assert_eq!(
        refusal(&padded(MAX_KEY_BYTES + 1)),
        KeyError::TooLarge {
            bytes: MAX_KEY_BYTES + 1
        }
    );
}

#[test]
fn two_pem_blocks_are_one_too_many() {
    let key = pem("PUBLIC KEY", &TestKey::generate(KeyKind::EcdsaP256).spki());
    assert_eq!(
        refusal(format!("{key}{key}").as_bytes()),
        KeyError::Blocks { blocks: 2 }
    );
}

#[test]
fn a_pem_block_of_another_label_is_refused_by_name() {
    let der = TestKey::generate(KeyKind::EcdsaP256).spki();
    for label in ["EC PUBLIC KEY", "PRIVATE KEY", "CERTIFICATE", "public key"] {
        assert_eq!(
            refusal(pem(label, &der).as_bytes()),
            KeyError::Label {
                label: label.to_owned()
            }
        );
    }
}

#[test]
fn pem_that_is_damaged_is_refused() {
    let der = TestKey::generate(KeyKind::EcdsaP256).spki();
    let good = pem("PUBLIC KEY", &der);
    for (bad, rule) in [
        (good.replace("-----END", "----END"), "end line"),
        (
            good.replace("END PUBLIC", "END RSA PUBLIC"),
            "labels differ",
        ),
        (good.replacen('M', "?", 1), "alphabet"),
        (
            good.replace("-----END PUBLIC KEY-----\n", ""),
            "no end line",
        ),
        (format!("{good}trailing words"), "text after the block"),
    ] {
        assert_eq!(refusal(bad.as_bytes()), KeyError::Pem, "{rule}");
    }
    assert_eq!(
        refusal(b"-----BEGIN PUBLIC KEY-----\n\xff\n"),
        KeyError::Pem
    );
}

#[test]
fn bytes_after_the_key_are_refused() {
    let mut der = TestKey::generate(KeyKind::EcdsaP256).spki();
    der.push(0);
    assert_eq!(
        refusal(&der),
        KeyError::NotCanonical(SpkiError::Der(der::Error::Trailing { octets: 1 }))
    );
    assert_eq!(
        refusal(pem("PUBLIC KEY", &der).as_bytes()),
        KeyError::NotCanonical(SpkiError::Der(der::Error::Trailing { octets: 1 }))
    );
}

#[test]
fn ber_is_not_der() {
    let der = TestKey::generate(KeyKind::EcdsaP256).spki();
    let long_form = [&[0x30, 0x81, der[1]], &der[2..]].concat();
    assert_eq!(
        refusal(&long_form),
        KeyError::NotCanonical(SpkiError::Der(der::Error::Length))
    );
}

#[test]
fn a_point_has_one_form() {
    let point = TestKey::generate(KeyKind::EcdsaP256).bits();
    assert!(SubjectKey::from_bytes(&p256(P256, &point)).is_ok());
    let x = &point[1..33];
    for (form, point) in [
        ("compressed", [&[0x02 | point[64] & 1], x].concat()),
        ("hybrid", [&[0x06 | point[64] & 1], &point[1..]].concat()),
        ("at infinity", vec![0]),
        ("raw", point[1..].to_vec()),
        ("too long", [&point[..], &[0]].concat()),
        ("empty", vec![]),
    ] {
        assert_eq!(
            refusal(&p256(P256, &point)),
            KeyError::PointForm {
                kind: KeyKind::EcdsaP256
            },
            "{form}"
        );
    }
}

#[test]
fn a_point_lies_on_its_curve() {
    for key in TestKey::one_of_each().take(3) {
        let mut der = key.spki();
        *der.last_mut().unwrap() ^= 1;
        let kind = key.kind();
        assert_eq!(refusal(&der), KeyError::PointNotOnCurve { kind });
        // All coordinates at their largest, beyond the field.
        let start = der.len() - (key.bits().len() - 1);
        der[start..].fill(0xff);
        assert_eq!(refusal(&der), KeyError::PointNotOnCurve { kind });
        der[start..].fill(0);
        assert_eq!(refusal(&der), KeyError::PointNotOnCurve { kind });
    }
}

#[test]
fn a_curve_goes_by_its_name() {
    let point = TestKey::generate(KeyKind::EcdsaP256).bits();
    let explicit = tlv(0x30, b"\x02\x01\x01");
    assert_eq!(refusal(&p256(&explicit, &point)), KeyError::ExplicitCurve);
    for parameters in [&b""[..], b"\x05\x00"] {
        assert_eq!(
            refusal(&p256(parameters, &point)),
            KeyError::Parameters { algorithm: "ECDSA" }
        );
    }
}

#[test]
fn other_curves_are_against_the_policy() {
    for (parameters, oid) in [
        (&b"\x06\x05\x2b\x81\x04\x00\x0a"[..], "1.3.132.0.10"), // secp256k1
        (b"\x06\x05\x2b\x81\x04\x00\x21", "1.3.132.0.33"),      // P-224
        (
            b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01",
            "1.2.840.10045.3.1.1",
        ), // P-192
        (
            b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07",
            "1.3.36.3.3.2.8.1.1.7", // brainpoolP256r1
        ),
    ] {
        let error = refusal(&p256(parameters, &[4; 65]));
        assert_eq!(error.reason(), Reason::PublicKeyInsecure);
        assert_eq!(
            error,
            KeyError::Insecure(Insecure::Curve {
                oid: oid.to_owned()
            })
        );
    }
}

#[test]
fn other_algorithms_are_against_the_policy() {
    for (identifier, oid) in [
        (&b"\x06\x03\x2b\x65\x6e"[..], "1.3.101.110"), // X25519
        (b"\x06\x03\x2b\x65\x71", "1.3.101.113"),      // Ed448
        (
            b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01\x30\x00",
            "1.2.840.10040.4.1",
        ), // DSA
        (
            b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a",
            "1.2.840.113549.1.1.10", // RSASSA-PSS
        ),
    ] {
        assert_eq!(
            refusal(&spki(identifier, &[4; 32])),
            KeyError::Insecure(Insecure::Algorithm {
                oid: oid.to_owned()
            })
        );
    }
}

#[test]
fn an_rsa_key_has_one_of_three_sizes() {
    for bits in [1024, 2047, 2049, 2056, 3071, 4097, 8192, 16_384, 65_536] {
        assert_eq!(
            refusal(&rsa(&modulus(bits), &[1, 0, 1])),
            KeyError::Insecure(Insecure::RsaSize { bits })
        );
    }
    let honest = TestKey::generate(KeyKind::Rsa2048).modulus();
    assert!(SubjectKey::from_bytes(&rsa(&honest, &[1, 0, 1])).is_ok());
}

#[test]
fn a_million_bit_modulus_is_not_even_measured() {
    let der = rsa(&modulus(1_000_000)[..60_000], &[1, 0, 1]);
    let bytes = der.len();
    assert_eq!(refusal(&der), KeyError::TooLarge { bytes });
}

#[test]
fn an_rsa_key_has_exponent_f4_and_an_odd_modulus() {
    for exponent in [&[1][..], &[3], &[0x40], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(
            refusal(&rsa(&modulus(2048), exponent)),
            KeyError::Insecure(Insecure::RsaExponent)
        );
    }
    let mut even = modulus(2048);
    *even.last_mut().unwrap() = 0xfe;
    assert_eq!(
        refusal(&rsa(&even, &[1, 0, 1])),
        KeyError::Insecure(Insecure::RsaEvenModulus)
    );
}

#[test]
fn an_rsa_number_is_positive_and_shortest() {
    let negative = modulus(2048)[1..].to_vec();
    let padded = [&[0], &modulus(2048)[..]].concat();
    for bad in [negative, padded, vec![], vec![0]] {
        assert_eq!(
            refusal(&rsa(&bad, &[1, 0, 1])),
            KeyError::NotCanonical(SpkiError::Integer)
        );
    }
}

#[test]
fn rsa_parameters_are_null() {
    let numbers = TestKey::generate(KeyKind::Rsa2048).bits();
    assert!(SubjectKey::from_bytes(&spki(RSA, &numbers)).is_ok());
    for parameters in [&b""[..], b"\x30\x00"] {
        assert_eq!(
            refusal(&spki(&[&RSA[..11], parameters].concat(), &numbers)),
            KeyError::Parameters { algorithm: "RSA" }
        );
    }
    // NULL has no content, in one octet of length.
    for parameters in [&b"\x05\x01\x00"[..], b"\x05\x00\x00"] {
        let error = refusal(&spki(&[&RSA[..11], parameters].concat(), &numbers));
        assert_eq!(error.reason(), Reason::PublicKeyMalformed, "{error:?}");
    }
}

#[test]
fn an_ed25519_key_is_canonical_and_of_large_order() {
    let identifier = b"\x06\x03\x2b\x65\x70";
    let point = TestKey::generate(KeyKind::Ed25519).bits();
    assert!(SubjectKey::from_bytes(&spki(identifier, &point)).is_ok());
    assert_eq!(
        refusal(&spki(b"\x06\x03\x2b\x65\x70\x05\x00", &point)),
        KeyError::Parameters {
            algorithm: "Ed25519"
        }
    );
    for bits in [&point[1..], &[0xff; 32], &[0xee; 33]] {
        assert_eq!(refusal(&spki(identifier, bits)), KeyError::Ed25519Encoding);
    }
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(
        refusal(&spki(identifier, &identity)),
        KeyError::Insecure(Insecure::Ed25519SmallOrder)
    );
}

#[test]
fn whatever_is_accepted_comes_back_unchanged() {
    use x509_parser::prelude::FromDer as _;
    // Every truncation and every flipped bit of a valid key: refused, or certified as it is.
    for key in [KeyKind::EcdsaP256, KeyKind::Rsa2048, KeyKind::Ed25519].map(TestKey::generate) {
        let der = key.spki();
        for end in 0..der.len() {
            assert!(SubjectKey::from_bytes(&der[..end]).is_err());
        }
        let mut accepted = 0;
        for bit in 0..der.len() * 8 {
            let mut flipped = der.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(read) = SubjectKey::from_bytes(&flipped) {
                accepted += 1;
                assert_eq!(read.spki_der(), flipped);
                let (rest, theirs) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&flipped)
                    .expect("a second parser takes what we take");
                assert!(rest.is_empty());
                assert!(theirs.parsed().is_ok());
            }
        }
        // A flipped coordinate leaves the curve; other numbers are as good as these.
        assert_eq!(accepted == 0, key.kind() == KeyKind::EcdsaP256);
    }
}

#[test]
fn an_ed25519_point_lies_on_its_curve_and_in_the_large_subgroup() {
    let key = |y: u8, sign: u8| {
        let mut point = [0; 32];
        (point[0], point[31]) = (y, sign);
        SubjectKey::from_bytes(&spki(b"\x06\x03\x2b\x65\x70", &point)).map(|key| key.kind())
    };
    // RFC 8032 §5.1.3: (y² - 1) / (dy² + 1) is a square for y = 3 to 6 and not for 2, 7 and 8.
    for y in [2, 7, 8] {
        let kind = KeyKind::Ed25519;
        assert_eq!(key(y, 0), Err(KeyError::PointNotOnCurve { kind }), "{y}");
    }
    for (y, sign) in [(3, 0), (4, 0x80), (5, 0), (6, 0)] {
        let mixed = KeyError::Insecure(Insecure::Ed25519MixedOrder);
        assert_eq!(key(y, sign), Err(mixed), "{y}");
    }
    // The base point, y = 4/5.
    let mut base = [0x66; 32];
    base[0] = 0x58;
    let base = spki(b"\x06\x03\x2b\x65\x70", &base);
    assert!(SubjectKey::from_bytes(&base).is_ok());
}
