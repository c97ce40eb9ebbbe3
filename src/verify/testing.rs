//! A CA, a log and leaves for this room's tests: encoded by rcgen, apart from `ca`, and open to
//! every change a step is there to see.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber,
};
use time::OffsetDateTime;

use super::{IdentityPolicy, TrustMaterial, TrustedAuthority, TrustedLog, Window};
use crate::ct::{self, LogKey, Sct};
use crate::der::{self, tag};
use crate::hash::sha256;
use crate::identity::San;
use crate::time::{UnixMillis, UnixSeconds};
use crate::x509::oid;

pub(super) const NOON: UnixSeconds = UnixSeconds(1_795_262_400);
pub(super) const ISSUER: &str = "https://token.actions.githubusercontent.com";
pub(super) const WORKFLOW: &str =
    "https://github.com/octo/app/.github/workflows/release.yml@refs/heads/main";
const DAY: i64 = 86_400;

pub(super) struct World {
    pub(super) root: Vec<u8>,
    pub(super) issuing: Vec<u8>,
    pub(super) log: Log,
    issuer: Issuer<'static, KeyPair>,
    leaf_key: KeyPair,
}

/// What a CA certificate looks like.
pub(super) struct Ca {
    pub(super) not_after: UnixSeconds,
    pub(super) usages: Vec<KeyUsagePurpose>,
    pub(super) purposes: Vec<ExtendedKeyUsagePurpose>,
}

impl Ca {
    pub(super) fn good() -> Self {
        Self {
            not_after: NOON.plus(DAY),
            usages: vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            purposes: vec![ExtendedKeyUsagePurpose::CodeSigning],
        }
    }

    fn params(self, name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = calendar(NOON.plus(-DAY));
        params.not_after = calendar(self.not_after);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = self.usages;
        params.extended_key_usages = self.purposes;
        params
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Ca::good(), Ca::good())
    }

    pub(super) fn with(root: Ca, issuing: Ca) -> Self {
        let root = Ca {
            purposes: vec![],
            ..root
        }
        .params("Test Root");
        let issuing = issuing.params("Test Issuing CA");
        let (root_key, issuing_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root_der = root.self_signed(&root_key).unwrap().der().to_vec();
        let root_issuer = Issuer::new(root, root_key);
        let issuing_der = issuing.signed_by(&issuing_key, &root_issuer).unwrap();
        Self {
            root: root_der,
            issuing: issuing_der.der().to_vec(),
            log: Log::new(),
            issuer: Issuer::new(issuing, issuing_key),
            leaf_key: KeyPair::generate().unwrap(),
        }
    }

    pub(super) fn trust(&self) -> TrustMaterial {
        let valid = Window {
            start: NOON.plus(-DAY),
            end: None,
        };
        TrustMaterial {
            authorities: vec![TrustedAuthority {
                chain: vec![self.issuing.clone(), self.root.clone()],
                valid,
            }],
            logs: vec![TrustedLog {
                key: self.log.key(),
                valid,
            }],
        }
    }

    /// The leaf, logged.
    pub(super) fn issue(&self, leaf: Leaf) -> Vec<u8> {
        let sct = self.sct(&leaf);
        self.issue_with(leaf, &[sct])
    }

    /// The leaf with these SCTs, whatever they are.
    pub(super) fn issue_with(&self, mut leaf: Leaf, scts: &[Sct]) -> Vec<u8> {
        let scts: Vec<_> = scts.iter().collect();
        let list = der::tlv(tag::OCTET_STRING, &[&ct::sct_list(&scts)]);
        leaf.extensions.push((oid::SCT_LIST.to_vec(), false, list));
        self.issue_unlogged(leaf)
    }

    pub(super) fn issue_unlogged(&self, leaf: Leaf) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.not_before = calendar(NOON);
        params.not_after = calendar(NOON.plus(599));
        params.custom_extensions = leaf.extensions.into_iter().map(custom).collect();
        let certificate = params.signed_by(&self.leaf_key, &self.issuer).unwrap();
        certificate.der().to_vec()
    }

    /// An SCT over the leaf as it stands.
    pub(super) fn sct(&self, leaf: &Leaf) -> Sct {
        self.sct_dated(leaf, NOON)
    }

    pub(super) fn sct_dated(&self, leaf: &Leaf, dated: UnixSeconds) -> Sct {
        let unlogged = self.issue_unlogged(leaf.clone());
        let (_, read) = x509_parser::parse_x509_certificate(&unlogged).unwrap();
        let spki = self.issuer.key().subject_public_key_info();
        self.log.sct(&spki, read.tbs_certificate.as_ref(), dated)
    }
}

/// A P-256 log that signs whatever it is given.
pub(super) struct Log(EcdsaKeyPair);

impl Log {
    pub(super) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(super) fn key(&self) -> LogKey {
        use aws_lc_rs::encoding::AsDer;
        let spki = self.0.public_key().as_der().unwrap();
        LogKey::from_spki_der(spki.as_ref()).unwrap()
    }

    pub(super) fn sct(&self, issuer_spki: &[u8], tbs: &[u8], dated: UnixSeconds) -> Sct {
        let issuer_key_hash = sha256(&[issuer_spki]);
        let mut sct = Sct {
            log_id: self.key().id(),
            timestamp: UnixMillis::from(dated),
            extensions: vec![],
            signature: vec![],
        };
        let message = ct::signed_entry(&sct, &issuer_key_hash, tbs);
        let signature = self.0.sign(&SystemRandom::new(), &message).unwrap();
        let signature = signature.as_ref();
        sct.signature = vec![4 /* sha256 */, 3 /* ecdsa */];
        sct.signature.extend((signature.len() as u16).to_be_bytes());
        sct.signature.extend(signature);
        sct
    }
}

/// A leaf in parts: identifier, criticality and value of each extension.
#[derive(Clone)]
pub(super) struct Leaf {
    pub(super) serial: u64,
    pub(super) extensions: Vec<(Vec<u8>, bool, Vec<u8>)>,
}

impl Leaf {
    /// For a GitHub workflow.
    pub(super) fn good() -> Self {
        let mut leaf = Self {
            serial: 0x0102_0304_0506_0708,
            extensions: vec![],
        };
        leaf.set(oid::KEY_USAGE, true, vec![3, 2, 7, 0x80]);
        leaf.set(oid::EXTENDED_KEY_USAGE, false, purposes(&[3]));
        leaf.set(oid::SUBJECT_ALT_NAME, true, names(&[(6, WORKFLOW)]));
        leaf.set(&fulcio(1), false, ISSUER.into());
        leaf.set(&fulcio(8), false, utf8(ISSUER));
        leaf
    }

    pub(super) fn set(&mut self, oid: &[u8], critical: bool, value: Vec<u8>) {
        self.remove(oid);
        self.extensions.push((oid.to_vec(), critical, value));
    }

    pub(super) fn remove(&mut self, oid: &[u8]) {
        self.extensions.retain(|(name, ..)| name != oid);
    }
}

pub(super) fn policy() -> IdentityPolicy {
    IdentityPolicy::new(ISSUER, San::Uri(WORKFLOW.into())).unwrap()
}

pub(super) fn fulcio(arc: u8) -> Vec<u8> {
    oid::fulcio(arc)
}

pub(super) fn utf8(text: &str) -> Vec<u8> {
    der::tlv(tag::UTF8_STRING, &[text.as_bytes()])
}

/// id-kp `purposes`.
pub(super) fn purposes(purposes: &[u8]) -> Vec<u8> {
    let each = purposes.iter().map(|p| {
        let (_, base) = oid::CODE_SIGNING.split_last().unwrap();
        der::tlv(tag::OID, &[base, &[*p]])
    });
    der::tlv(tag::SEQUENCE, &[&each.collect::<Vec<_>>().concat()])
}

/// GeneralNames of text types.
pub(super) fn names(names: &[(u8, &str)]) -> Vec<u8> {
    let each = names
        .iter()
        .map(|(n, text)| der::tlv(tag::context(*n), &[text.as_bytes()]));
    der::tlv(tag::SEQUENCE, &[&each.collect::<Vec<_>>().concat()])
}

fn custom((name, critical, value): (Vec<u8>, bool, Vec<u8>)) -> CustomExtension {
    let arcs = oid::arcs(&name).unwrap();
    let mut extension = CustomExtension::from_oid_content(&arcs, value);
    extension.set_criticality(critical);
    extension
}

fn calendar(at: UnixSeconds) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0).unwrap()
}
