//! Certificates written octet by octet: a good one, open to every change a rule is there to see.
//!
//! Nothing here uses the product's encoder, and nothing is random. No signature is made: lint
//! reads the to-be-signed part, and these certificates carry a zero-length signature as the real
//! ones do when they are linted.

use aws_lc_rs::digest;
use shortleaf::lint::{Expected, Findings, Kind, Linted, SanKind, certificate};
use shortleaf::time::UnixSeconds;
use shortleaf::x509::SignatureAlgorithm;

pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";
pub(crate) const WORKFLOW: &str =
    "https://github.com/octo/app/.github/workflows/release.yml@refs/heads/main";
/// 2026-11-21T12:00:00Z.
pub(crate) const NOON: UnixSeconds = UnixSeconds(1_795_262_400);

pub(crate) const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
pub(crate) const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
pub(crate) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(crate) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
pub(crate) const SKI: &[u8] = &[0x55, 0x1d, 0x0e];
pub(crate) const AKI: &[u8] = &[0x55, 0x1d, 0x23];
pub(crate) const SAN: &[u8] = &[0x55, 0x1d, 0x11];
pub(crate) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(crate) const CRLDP: &[u8] = &[0x55, 0x1d, 0x1f];
pub(crate) const NO_REV_AVAIL: &[u8] = &[0x55, 0x1d, 0x38];
pub(crate) const INFO_ACCESS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];
pub(crate) const SCT_LIST: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2];
pub(crate) const POISON: &[u8] = &[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3];

/// 1.3.6.1.4.1.57264.1.`arc`.
pub(crate) const fn fulcio(arc: u8) -> [u8; 10] {
    [0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, arc]
}

#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) oid: Vec<u8>,
    /// What stands between identifier and value: nothing, or a BOOLEAN.
    pub(crate) critical: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Extension {
    pub(crate) fn new(oid: &[u8], value: impl Into<Vec<u8>>) -> Self {
        let (oid, value) = (oid.to_vec(), value.into());
        let critical = Vec::new();
        Self {
            oid,
            critical,
            value,
        }
    }

    pub(crate) fn critical(oid: &[u8], value: impl Into<Vec<u8>>) -> Self {
        let critical = vec![1, 1, 0xff];
        Self {
            critical,
            ..Self::new(oid, value)
        }
    }

    pub(crate) fn text(arc: u8, text: &str) -> Self {
        match arc {
            ..=7 => Self::new(&fulcio(arc), text),
            _ => Self::new(&fulcio(arc), tlv(0x0c, text.as_bytes())),
        }
    }
}

/// A certificate in parts, and the plan it is held against.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) version: u8,
    pub(crate) serial: Vec<u8>,
    pub(crate) inner: Vec<u8>,
    pub(crate) outer: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: UnixSeconds,
    pub(crate) not_after: UnixSeconds,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
    /// Stands behind the certificate.
    pub(crate) trailing: Vec<u8>,
    pub(crate) plan: Plan,
}

#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    pub(crate) issuer_name: Vec<u8>,
    pub(crate) issuer_not_before: UnixSeconds,
    pub(crate) issuer_not_after: UnixSeconds,
    pub(crate) not_before: UnixSeconds,
    pub(crate) not_after: UnixSeconds,
    pub(crate) serial: Vec<u8>,
    pub(crate) san: SanKind,
    pub(crate) name: String,
    pub(crate) identity: Vec<(u8, String)>,
    pub(crate) spki: Vec<u8>,
    pub(crate) crl_url: Option<&'static str>,
    pub(crate) profile_known: bool,
}

const ISSUER_SKI: [u8; 20] = [0xa5; 20];

impl Fixture {
    /// A final certificate for a GitHub workflow with a P-256 key; every rule is content.
    pub(crate) fn leaf() -> Self {
        let issuer_name = name(0x0c);
        let spki = p256();
        let ends = NOON.plus(599);
        let mut leaf = Self {
            version: 2,
            serial: (1..=19).collect(),
            inner: algorithm(ECDSA_SHA384),
            outer: algorithm(ECDSA_SHA384),
            issuer: issuer_name.clone(),
            not_before: NOON,
            not_after: ends,
            subject: tlv(0x30, &[]),
            spki: Vec::new(),
            extensions: vec![
                Extension::critical(KEY_USAGE, [3, 2, 7, 0x80]),
                Extension::new(EXTENDED_KEY_USAGE, purposes(&[3])),
                Extension::new(SKI, []),
                Extension::new(AKI, tlv(0x30, &tlv(0x80, &ISSUER_SKI))),
                Extension::critical(SAN, tlv(0x30, &tlv(0x86, WORKFLOW.as_bytes()))),
                Extension::new(SCT_LIST, sct_list(&[sct(3)])),
            ],
            trailing: Vec::new(),
            plan: Plan {
                kind: Kind::Leaf,
                issuer_name,
                issuer_not_before: NOON.plus(-86_400),
                issuer_not_after: NOON.plus(86_399),
                not_before: NOON,
                not_after: ends,
                serial: (1..=19).collect(),
                san: SanKind::Uri,
                name: WORKFLOW.into(),
                identity: Vec::new(),
                spki: Vec::new(),
                crl_url: None,
                profile_known: true,
            },
        };
        leaf.key(spki);
        for (arc, text) in [
            (1, ISSUER),
            (2, "push"),
            (8, ISSUER),
            (9, WORKFLOW),
            (11, "github-hosted"),
            (24, "repo:octo/app:ref:refs/heads/main"),
        ] {
            leaf.says(arc, text);
        }
        leaf
    }

    pub(crate) fn precert() -> Self {
        let mut precert = Self::leaf();
        precert.plan.kind = Kind::Precert;
        precert.extensions.pop();
        let poison = Extension::critical(POISON, [5, 0]);
        precert.extensions.push(poison);
        precert
    }

    /// The CA of the others, as far as a linter of pairs looks. It is not for [`Self::lint`].
    pub(crate) fn ca() -> Self {
        let mut ca = Self::leaf();
        ca.subject = ca.issuer.clone();
        ca.not_before = ca.plan.issuer_not_before;
        ca.not_after = ca.plan.issuer_not_after;
        ca.extensions = vec![
            Extension::critical(BASIC_CONSTRAINTS, tlv(0x30, &[1, 1, 0xff])),
            Extension::critical(KEY_USAGE, [3, 2, 1, 6]), // keyCertSign, cRLSign
            Extension::new(SKI, tlv(4, &ISSUER_SKI)),
            Extension::new(AKI, tlv(0x30, &tlv(0x80, &ISSUER_SKI))),
        ];
        ca
    }

    /// Puts another subject key into certificate, identifier and plan.
    pub(crate) fn key(&mut self, spki: Vec<u8>) {
        let bits = key_bits(&spki);
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bits);
        self.at(SKI).value = tlv(4, hash.as_ref());
        self.plan.spki.clone_from(&spki);
        self.spki = spki;
    }

    /// Numbers the certificate, as planned.
    pub(crate) fn numbered(&mut self, serial: impl Into<Vec<u8>>) {
        self.serial = serial.into();
        self.plan.serial.clone_from(&self.serial);
    }

    /// Puts an identity extension into certificate and plan, in the place of its number.
    pub(crate) fn says(&mut self, arc: u8, text: &str) {
        let name = fulcio(arc);
        self.extensions.retain(|e| e.oid != name);
        self.plan.identity.retain(|(planned, _)| *planned != arc);
        self.plan.identity.push((arc, text.to_owned()));
        let first = |e: &Extension| e.oid.starts_with(&name[..9]) && e.oid[9] < arc;
        let first = self.extensions.iter().rposition(first);
        let before = first.unwrap_or_else(|| self.position(SAN)) + 1;
        self.extensions.insert(before, Extension::text(arc, text));
    }

    pub(crate) fn email(&mut self, address: &str) {
        self.plan.san = SanKind::Email;
        self.plan.name = address.to_owned();
        self.at(SAN).value = tlv(0x30, &tlv(0x81, address.as_bytes()));
    }

    pub(crate) fn ends(&mut self, at: UnixSeconds) {
        self.not_after = at;
        self.plan.not_after = at;
    }

    fn position(&self, oid: &[u8]) -> usize {
        let mut all = self.extensions.iter();
        all.position(|e| e.oid == oid).expect("the fixture has it")
    }

    pub(crate) fn at(&mut self, oid: &[u8]) -> &mut Extension {
        let position = self.position(oid);
        &mut self.extensions[position]
    }

    pub(crate) fn remove(&mut self, oid: &[u8]) {
        let position = self.position(oid);
        self.extensions.remove(position);
    }

    pub(crate) fn insert_before(&mut self, oid: &[u8], extension: Extension) {
        let position = self.position(oid);
        self.extensions.insert(position, extension);
    }

    pub(crate) fn insert_after(&mut self, oid: &[u8], extension: Extension) {
        let position = self.position(oid);
        self.extensions.insert(position + 1, extension);
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self.extensions.iter().flat_map(encode).collect();
        let times = [time(self.not_before), time(self.not_after)].concat();
        let tbs = tlv(
            0x30,
            &[
                tlv(0xa0, &[2, 1, self.version]),
                tlv(2, &self.serial),
                self.inner.clone(),
                self.issuer.clone(),
                tlv(0x30, &times),
                self.subject.clone(),
                self.spki.clone(),
                tlv(0xa3, &tlv(0x30, &extensions)),
            ]
            .concat(),
        );
        let signature = vec![3, 1, 0]; // zero-length BIT STRING
        let certificate = tlv(0x30, &[tbs, self.outer.clone(), signature].concat());
        [certificate, self.trailing.clone()].concat()
    }

    pub(crate) fn lint(&self) -> Result<Linted, Findings> {
        self.lint_bytes(&self.der())
    }

    pub(crate) fn lint_bytes(&self, der: &[u8]) -> Result<Linted, Findings> {
        let plan = &self.plan;
        let identity = plan.identity.iter();
        let identity = identity.map(|(arc, text)| (*arc, text.as_str()));
        let expected = Expected {
            kind: plan.kind,
            serial: &plan.serial,
            algorithm: SignatureAlgorithm::EcdsaP384Sha384,
            issuer_name: &plan.issuer_name,
            issuer_ski: &ISSUER_SKI,
            issuer_not_before: plan.issuer_not_before,
            issuer_not_after: plan.issuer_not_after,
            not_before: plan.not_before,
            not_after: plan.not_after,
            lifetime_s: 600,
            san: plan.san,
            name: &plan.name,
            spki: &plan.spki,
            crl_url: plan.crl_url,
            profile_name: "leaf",
            profile_known: plan.profile_known,
            issuer_claim: ISSUER,
            identity: identity.collect(),
        };
        certificate(der, &expected)
    }
}

fn encode(extension: &Extension) -> Vec<u8> {
    let parts = [
        tlv(6, &extension.oid),
        extension.critical.clone(),
        tlv(4, &extension.value),
    ];
    tlv(0x30, &parts.concat())
}

/// DER: tag, shortest length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("fixtures are small");
    let [high, low] = length.to_be_bytes();
    let mut out = match length {
        0..=0x7f => vec![tag, low],
        0x80..=0xff => vec![tag, 0x81, low],
        0x100.. => vec![tag, 0x82, high, low],
    };
    out.extend_from_slice(content);
    out
}

pub(crate) fn algorithm(oid: &[u8]) -> Vec<u8> {
    tlv(0x30, &tlv(6, oid))
}

/// `CN=Fixture CA`, the value under the given string tag.
pub(crate) fn name(string: u8) -> Vec<u8> {
    let attribute = [tlv(6, &[0x55, 4, 3]), tlv(string, b"Fixture CA")].concat();
    tlv(0x30, &tlv(0x31, &tlv(0x30, &attribute)))
}

/// ExtKeyUsageSyntax of id-kp `purposes`.
pub(crate) fn purposes(purposes: &[u8]) -> Vec<u8> {
    let each = purposes
        .iter()
        .map(|p| tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, *p]));
    tlv(0x30, &each.collect::<Vec<_>>().concat())
}

pub(crate) fn crldp(url: &str) -> Vec<u8> {
    let full_name = tlv(0xa0, &tlv(0x86, url.as_bytes()));
    tlv(0x30, &tlv(0x30, &tlv(0xa0, &full_name)))
}

/// An SCT that no log signed; `algorithm` 3 is ECDSA, 1 RSA, 2 DSA.
pub(crate) fn sct(algorithm: u8) -> Vec<u8> {
    let mut out = vec![0];
    out.extend([0x10; 32]);
    out.extend((NOON.0 as u64 * 1000).to_be_bytes());
    out.extend([0, 0]); // no extensions
    out.extend([4, algorithm, 0, 8]);
    out.extend([0x30, 6, 2, 1, 1, 2, 1, 1]);
    out
}

pub(crate) fn sct_list(scts: &[Vec<u8>]) -> Vec<u8> {
    let prefixed = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let all: Vec<u8> = scts.iter().flat_map(|sct| prefixed(sct)).collect();
    tlv(4, &prefixed(&all))
}

/// SubjectPublicKeyInfo with these key bits.
fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = tlv(3, &[&[0], key].concat());
    tlv(0x30, &[tlv(0x30, algorithm), bits].concat())
}

const P256_ALGORITHM: &[u8] = &[
    6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
];

/// The base point of P-256 (SEC 2 §2.4.2), a valid key that belongs to everyone.
const P256_X: &str = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
const P256_Y: &str = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

pub(crate) fn p256() -> Vec<u8> {
    spki(
        P256_ALGORITHM,
        &[vec![4], unhex(P256_X), unhex(P256_Y)].concat(),
    )
}

/// The same point with y left out; its lowest bit is 1.
pub(crate) fn p256_compressed() -> Vec<u8> {
    spki(P256_ALGORITHM, &[vec![3], unhex(P256_X)].concat())
}

/// An RSA key of `octets` whose modulus ends in `low`. Not a product of two primes anyone knows.
pub(crate) fn rsa(octets: usize, low: u8, exponent: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xc3; octets];
    modulus[octets - 1] = low;
    let key = [tlv(2, &[vec![0], modulus].concat()), tlv(2, exponent)].concat();
    let algorithm = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    spki(&algorithm, &tlv(0x30, &key))
}

pub(crate) fn ed25519() -> Vec<u8> {
    spki(&[6, 3, 0x2b, 0x65, 0x70], &[0x58; 32])
}

/// Every kind of key a leaf may have. The points of the larger curves are not on them.
pub(crate) fn every_kind() -> [Vec<u8>; 7] {
    [
        p256(),
        ec(P384, 48),
        ec(P521, 66),
        rsa(256, 1, &[1, 0, 1]),
        rsa(384, 1, &[1, 0, 1]),
        rsa(512, 1, &[1, 0, 1]),
        ed25519(),
    ]
}

const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 4, 0, 0x23];

fn ec(curve: &[u8], coordinate: usize) -> Vec<u8> {
    let key_type = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    let key = [vec![4], vec![0x11; 2 * coordinate]].concat();
    spki(&[&key_type[..], &tlv(6, curve)].concat(), &key)
}

/// The content of the BIT STRING at the end of a SubjectPublicKeyInfo.
fn key_bits(spki: &[u8]) -> &[u8] {
    use x509_parser::prelude::FromDer;
    let (_, read) = x509_parser::x509::SubjectPublicKeyInfo::from_der(spki).expect("a fixture");
    let length = read.subject_public_key.data.len();
    &spki[spki.len() - length..]
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("a constant"))
        .collect()
}

fn time(at: UnixSeconds) -> Vec<u8> {
    let utc = jiff::Timestamp::from_second(at.0).expect("a fixture");
    tlv(0x17, utc.strftime("%y%m%d%H%M%SZ").to_string().as_bytes())
}
