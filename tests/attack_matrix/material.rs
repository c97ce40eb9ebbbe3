//! Keys, points, moduli and signing requests that no tool makes, built from numbers.

use num_bigint::BigUint;
use shortleaf::possession::KeyKind;

use crate::keys::{TestKey, spki, tlv};

/// AlgorithmIdentifier content: id-ecPublicKey, without its parameters.
pub(crate) const EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
/// rsaEncryption with NULL.
pub(crate) const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// id-Ed25519.
pub(crate) const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";
/// 65537.
pub(crate) const F4: &[u8] = &[1, 0, 1];

/// y² = x³ - 3x + b modulo p, with n points.
pub(crate) struct Curve {
    pub(crate) kind: KeyKind,
    pub(crate) p: BigUint,
    pub(crate) b: BigUint,
    pub(crate) n: BigUint,
    /// Octets of a coordinate.
    pub(crate) width: usize,
    /// Its name, as parameters of id-ecPublicKey.
    pub(crate) name: &'static [u8],
}

/// The three curves of FIPS 186-4 §D.1.2 that are certified.
pub(crate) fn curves() -> [Curve; 3] {
    let number = |hex: &str| BigUint::parse_bytes(hex.as_bytes(), 16).unwrap();
    [
        Curve {
            kind: KeyKind::EcdsaP256,
            p: number("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff"),
            b: number("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
            n: number("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
            width: 32,
            name: b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        },
        Curve {
            kind: KeyKind::EcdsaP384,
            p: number(
                "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe\
                 ffffffff0000000000000000ffffffff",
            ),
            b: number(
                "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a\
                 c656398d8a2ed19d2a85c8edd3ec2aef",
            ),
            n: number(
                "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
                 581a0db248b0a77aecec196accc52973",
            ),
            width: 48,
            name: b"\x06\x05\x2b\x81\x04\x00\x22",
        },
        Curve {
            kind: KeyKind::EcdsaP521,
            p: (BigUint::from(1u8) << 521u32) - 1u8,
            b: number(
                "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109\
                 e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
            ),
            n: number(
                "1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
                 ffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
            ),
            width: 66,
            name: b"\x06\x05\x2b\x81\x04\x00\x23",
        },
    ]
}

impl Curve {
    /// x³ - 3x + b.
    fn right_side(&self, x: &BigUint) -> BigUint {
        (x * x * x + &self.b + (&self.p - x) * 3u8) % &self.p
    }

    /// A root modulo p, which is 3 modulo 4 for all three.
    fn root(&self, square: &BigUint) -> Option<BigUint> {
        let exponent = (&self.p + 1u8) >> 2u8;
        let root = square.modpow(&exponent, &self.p);
        (&root * &root % &self.p == *square).then_some(root)
    }

    /// A point in uncompressed form, its coordinates as they are.
    pub(crate) fn point(&self, x: &BigUint, y: &BigUint) -> Vec<u8> {
        [vec![4], self.octets(x), self.octets(y)].concat()
    }

    /// The coordinates of a point in uncompressed form.
    pub(crate) fn coordinates(&self, point: &[u8]) -> [BigUint; 2] {
        let (x, y) = point[1..].split_at(self.width);
        [x, y].map(BigUint::from_bytes_be)
    }

    /// A number in as many octets as a coordinate.
    pub(crate) fn octets(&self, number: &BigUint) -> Vec<u8> {
        let digits = number.to_bytes_be();
        [vec![0; self.width - digits.len()], digits].concat()
    }

    /// The point with x = 0: a real one, whose x can also be spelled p.
    pub(crate) fn at_zero(&self) -> BigUint {
        let y = self.root(&self.b);
        y.expect("b is a square on each of the three")
    }

    /// A point of the quadratic twist, -y² = x³ - 3x + b.
    pub(crate) fn on_the_twist(&self) -> [BigUint; 2] {
        let mut x = BigUint::from(1u8);
        loop {
            if let Some(y) = self.root(&(&self.p - self.right_side(&x))) {
                return [x, y];
            }
            x += 1u8;
        }
    }

    /// A point of another curve of the same form: any x and y are on one.
    pub(crate) fn beside(&self) -> [BigUint; 2] {
        [BigUint::from(3u8), BigUint::from(5u8)]
    }

    /// The key with this point.
    pub(crate) fn key(&self, point: &[u8]) -> Vec<u8> {
        spki(&[EC, self.name].concat(), point)
    }

    /// Explicit parameters with this generator (SEC 1 §C.2).
    pub(crate) fn explicit(&self, generator: &[u8]) -> Vec<u8> {
        let field = [
            b"\x06\x07\x2a\x86\x48\xce\x3d\x01\x01".to_vec(),
            integer(&self.p),
        ]
        .concat();
        let a = tlv(0x04, &self.octets(&(&self.p - 3u8)));
        let coefficients = [a, tlv(0x04, &self.octets(&self.b))].concat();
        let fields = [
            integer(&BigUint::from(1u8)),
            tlv(0x30, &field),
            tlv(0x30, &coefficients),
            tlv(0x04, generator),
            integer(&self.n),
            integer(&BigUint::from(1u8)),
        ];
        tlv(0x30, &fields.concat())
    }
}

/// INTEGER, positive and shortest.
pub(crate) fn integer(number: &BigUint) -> Vec<u8> {
    let mut digits = number.to_bytes_be();
    if digits[0] & 0x80 != 0 {
        digits.insert(0, 0);
    }
    tlv(0x02, &digits)
}

/// An ECDSA signature in DER.
pub(crate) fn ecdsa_der(r: &BigUint, s: &BigUint) -> Vec<u8> {
    tlv(0x30, &[integer(r), integer(s)].concat())
}

/// RSAPublicKey.
pub(crate) fn rsa_numbers(modulus: &BigUint, exponent: &BigUint) -> Vec<u8> {
    tlv(0x30, &[integer(modulus), integer(exponent)].concat())
}

/// An RSA key with this modulus and the usual exponent.
pub(crate) fn rsa(modulus: &BigUint) -> Vec<u8> {
    let exponent = BigUint::from_bytes_be(F4);
    spki(RSA, &rsa_numbers(modulus, &exponent))
}

/// An RSA key's modulus.
pub(crate) fn modulus(key: &TestKey) -> BigUint {
    BigUint::from_bytes_be(&key.modulus())
}

/// An Ed25519 key.
pub(crate) fn ed25519(point: &[u8]) -> Vec<u8> {
    spki(ED25519, point)
}

/// A number of this many bits, its two highest and its lowest set, the same on every run.
pub(crate) fn drawn(seed: u32, bits: u64) -> BigUint {
    use aws_lc_rs::digest::{SHA256, digest};
    let block = |n: u64| {
        digest(
            &SHA256,
            &[&seed.to_be_bytes()[..], &n.to_be_bytes()].concat(),
        )
    };
    let octets: Vec<u8> = (0..bits.div_ceil(256))
        .flat_map(|n| block(n).as_ref().to_vec())
        .collect();
    let mut number = BigUint::from_bytes_be(&octets) >> (octets.len() as u64 * 8 - bits);
    for bit in [bits - 1, bits - 2, 0] {
        number.set_bit(bit, true);
    }
    number
}

/// Whether nothing below 752 divides it: prime enough for a rule that does not look further.
fn is_rough(n: &BigUint) -> bool {
    (3..752u32).step_by(2).all(|d| n % d != BigUint::ZERO)
}

/// The next number without small factors.
pub(crate) fn rough(mut n: BigUint) -> BigUint {
    while !is_rough(&n) {
        n += 2u8;
    }
    n
}

/// A modulus as the generator of CVE-2017-15361 made them: each factor is k·M + (65537^a mod M),
/// M the product of the first `primes` primes.
pub(crate) fn roca_modulus(seed: u32, bits: u64, primes: usize) -> BigUint {
    let is_prime = |n: &u32| {
        (2..*n)
            .take_while(|d| d * d <= *n)
            .all(|d| !n.is_multiple_of(d))
    };
    let m = (2u32..)
        .filter(is_prime)
        .take(primes)
        .fold(BigUint::from(1u8), |m, p| m * p);
    let factor = |seed| {
        let power = BigUint::from(65537u32).modpow(&drawn(seed + 1, 64), &m);
        let start = drawn(seed, bits / 2) / &m;
        let mut candidates = (0u32..).map(|k| (&start + k) * &m + &power);
        candidates.find(is_rough).unwrap()
    };
    factor(seed) * factor(seed + 2)
}

/// A modulus whose factors are found in this round of Fermat's method.
pub(crate) fn close_modulus(bits: u64, round: u32) -> BigUint {
    // (a + b)(a - b) with a even and b odd, b² a little below 2·a·round.
    let mut seed = 40;
    loop {
        let a: BigUint = drawn(seed, bits / 2) >> 1u8 << 1u8;
        let mut b = (&a * (2 * round - 1)).sqrt();
        b.set_bit(0, true);
        let n = &a * &a - &b * &b;
        if is_rough(&n) && n.bits() == bits {
            return n;
        }
        seed += 1;
    }
}

/// A signing request (RFC 2986) written field by field, so that each can be wrong.
pub(crate) struct SigningRequest {
    pub(crate) version: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    /// The whole `[0]`.
    pub(crate) attributes: Vec<u8>,
    /// Content of the signature's AlgorithmIdentifier.
    pub(crate) algorithm: Vec<u8>,
}

impl SigningRequest {
    pub(crate) fn of(key: &TestKey) -> Self {
        let algorithm: &[u8] = match key.kind() {
            KeyKind::EcdsaP256 => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
            KeyKind::EcdsaP384 => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
            KeyKind::EcdsaP521 => b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
            KeyKind::Rsa2048 | KeyKind::Rsa3072 | KeyKind::Rsa4096 => {
                b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
            }
            KeyKind::Ed25519 => ED25519,
        };
        Self {
            version: tlv(0x02, &[0]),
            subject: tlv(0x30, &[]),
            spki: key.spki(),
            attributes: tlv(0xa0, &[]),
            algorithm: algorithm.to_vec(),
        }
    }

    /// Asks for these extensions, each (extnID content, critical, extnValue content).
    pub(crate) fn asking(mut self, extensions: &[(&[u8], bool, &[u8])]) -> Self {
        self.attributes = tlv(0xa0, &extension_request(extensions));
        self
    }

    fn info(&self) -> Vec<u8> {
        let fields = [&self.version, &self.subject, &self.spki, &self.attributes];
        tlv(0x30, &fields.map(Vec::as_slice).concat())
    }

    pub(crate) fn signed_by(&self, key: &TestKey) -> Vec<u8> {
        let info = self.info();
        let signature = key.sign(&info);
        let bits = [&[0], &signature[..]].concat();
        let fields = [info, tlv(0x30, &self.algorithm), tlv(0x03, &bits)];
        tlv(0x30, &fields.concat())
    }
}

/// The attribute extensionRequest (RFC 2985 §5.4.2).
pub(crate) fn extension_request(extensions: &[(&[u8], bool, &[u8])]) -> Vec<u8> {
    let extension = |(id, critical, value): &(&[u8], bool, &[u8])| {
        let critical: &[u8] = if *critical { b"\x01\x01\xff" } else { b"" };
        tlv(
            0x30,
            &[&tlv(0x06, id), critical, &tlv(0x04, value)].concat(),
        )
    };
    let extensions: Vec<u8> = extensions.iter().flat_map(extension).collect();
    let id = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e";
    let values = tlv(0x31, &tlv(0x30, &extensions));
    tlv(0x30, &[&id[..], &values].concat())
}

/// SEQUENCE inside SEQUENCE, this many times.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    let mut der = Vec::new();
    for _ in 0..depth {
        der = tlv(0x30, &der);
    }
    der
}
