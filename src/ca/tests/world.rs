//! A small world: deterministic CA keys (RFC 6979, by the pure Rust crates), CA certificates
//! written field by field, a principal, a subject key, a log.

use std::sync::Arc;

use async_trait::async_trait;
use p256::ecdsa::signature::Signer as _;

use crate::ca::{
    Authority, InstanceId, Leaf, LeafProfile, Plan, Precert, Serial, SignError, Signed, Signer, Tbs,
};
use crate::ct::{LogId, LogKey, PreEntry, Sct, SctError, VerifiedSct, signed_entry, verify_sct};
use crate::der::{self, tag};
use crate::entropy::Entropy;
use crate::identity::{Extension, Principal, San};
use crate::possession::{AlgorithmList, PossessedKey, SubjectKey, by_signature};
use crate::time::{UnixMillis, UnixSeconds};
use crate::x509::{Certificate, SignatureAlgorithm, oid, subject_public_key};

/// 2026-11-21T12:00:00Z.
pub(super) const NOON: UnixSeconds = UnixSeconds(1_795_262_400);
pub(super) const ISSUER: &str = "https://token.actions.githubusercontent.com";
pub(super) const WORKFLOW: &str =
    "https://github.com/octo/app/.github/workflows/release.yml@refs/heads/main";

/// Counts up: every draw differs, every run is the same.
pub(super) struct Counter(std::sync::atomic::AtomicU8);

impl Counter {
    pub(super) fn new(start: u8) -> Self {
        Self(start.into())
    }
}

impl Entropy for Counter {
    fn fill(&self, out: &mut [u8]) {
        for octet in out {
            *octet = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

/// A key of the pure Rust crates; its signatures are the same on every run.
pub(super) enum Key {
    P256(p256::ecdsa::SigningKey, Vec<u8>),
    P384(p384::ecdsa::SigningKey, Vec<u8>),
}

impl Key {
    pub(super) fn p256(seed: u8) -> Self {
        let key = p256::ecdsa::SigningKey::from_slice(&[seed; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let spki = SignatureAlgorithm::EcdsaP256Sha256.spki(point.as_bytes());
        Self::P256(key, spki)
    }
    pub(super) fn p384(seed: u8) -> Self {
        let key = p384::ecdsa::SigningKey::from_slice(&[seed; 48]).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let spki = SignatureAlgorithm::EcdsaP384Sha384.spki(point.as_bytes());
        Self::P384(key, spki)
    }
    pub(super) fn of(algorithm: SignatureAlgorithm, seed: u8) -> Self {
        match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => Self::p256(seed),
            SignatureAlgorithm::EcdsaP384Sha384 => Self::p384(seed),
        }
    }
    pub(super) fn signature(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key, _) => {
                let signature: p256::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
            Self::P384(key, _) => {
                let signature: p384::ecdsa::DerSignature = key.sign(message);
                signature.as_bytes().to_vec()
            }
        }
    }
    pub(super) fn ski(&self) -> Vec<u8> {
        use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
        let bits = subject_public_key(self.spki()).unwrap();
        digest(&SHA1_FOR_LEGACY_USE_ONLY, bits).as_ref().to_vec()
    }
}

#[async_trait]
impl Signer for Key {
    fn algorithm(&self) -> SignatureAlgorithm {
        match self {
            Self::P256(..) => SignatureAlgorithm::EcdsaP256Sha256,
            Self::P384(..) => SignatureAlgorithm::EcdsaP384Sha384,
        }
    }
    fn spki(&self) -> &[u8] {
        match self {
            Self::P256(_, spki) | Self::P384(_, spki) => spki,
        }
    }
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.signature(message))
    }
}

/// A relative distinguished name of one attribute.
pub(super) fn rdn(attribute: &[u8], string_tag: u8, text: &[u8]) -> Vec<u8> {
    let pair = der::sequence(&[
        &der::tlv(tag::OID, &[attribute]),
        &der::tlv(string_tag, &[text]),
    ]);
    der::tlv(tag::SET, &[&pair])
}

/// CN=`text`.
pub(super) fn common_name(text: &str) -> Vec<u8> {
    der::sequence(&[&rdn(&[0x55, 4, 3], tag::UTF8_STRING, text.as_bytes())])
}

pub(super) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    der::sequence(&[&der::tlv(tag::OID, &[oid]), flag, &der::octet_string(value)])
}

/// A CA certificate before its signature, open to every change a check is there to see.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) not_before: &'static str,
    pub(super) not_after: &'static str,
    pub(super) spki: Vec<u8>,
    pub(super) extensions: Vec<Vec<u8>>,
}

/// BasicConstraints with cA and a path length.
pub(super) fn ca_constraints(path_length: u8) -> Vec<u8> {
    let value = der::sequence(&[&[1, 1, 0xff], &[2, 1, path_length]]);
    extension(oid::BASIC_CONSTRAINTS, true, &value)
}
/// keyCertSign and cRLSign.
pub(super) fn ca_usage() -> Vec<u8> {
    extension(oid::KEY_USAGE, true, &[3, 2, 1, 6])
}
pub(super) fn key_id(ski: &[u8]) -> Vec<u8> {
    let value = der::octet_string(ski);
    extension(oid::SUBJECT_KEY_IDENTIFIER, false, &value)
}
pub(super) fn authority_key_id(ski: &[u8]) -> Vec<u8> {
    let value = der::sequence(&[&der::tlv(tag::context(0), &[ski])]);
    extension(oid::AUTHORITY_KEY_IDENTIFIER, false, &value)
}
pub(super) fn code_signing() -> Vec<u8> {
    let value = der::sequence(&[&der::tlv(tag::OID, &[oid::CODE_SIGNING])]);
    extension(oid::EXTENDED_KEY_USAGE, false, &value)
}

impl Draft {
    pub(super) fn root(key: &Key) -> Self {
        Self {
            subject: common_name("Test root"),
            issuer: common_name("Test root"),
            not_before: "260101000000Z",
            not_after: "351231235959Z",
            spki: key.spki().to_vec(),
            extensions: vec![ca_constraints(1), ca_usage(), key_id(&key.ski())],
        }
    }
    pub(super) fn issuing(key: &Key, root: &Key) -> Self {
        Self {
            subject: common_name("Test issuing CA"),
            issuer: common_name("Test root"),
            not_before: "260101000000Z",
            not_after: "301231235959Z",
            spki: key.spki().to_vec(),
            extensions: vec![
                ca_constraints(0),
                ca_usage(),
                code_signing(),
                key_id(&key.ski()),
                authority_key_id(&root.ski()),
            ],
        }
    }
    pub(super) fn without(mut self, oid: &[u8]) -> Self {
        let marker = der::tlv(tag::OID, &[oid]);
        self.extensions
            .retain(|extension| extension[2..2 + marker.len()] != marker);
        self
    }
    pub(super) fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }
    pub(super) fn sign(&self, key: &Key) -> Certificate {
        let algorithm = key.algorithm().identifier();
        let time = |text: &str| {
            let tag = match text.len() {
                13 => tag::UTC_TIME,
                _ => tag::GENERALIZED_TIME,
            };
            der::tlv(tag, &[text.as_bytes()])
        };
        let list = der::sequence(&[&self.extensions.concat()]);
        let tbs = der::sequence(&[
            &[0xa0, 3, 2, 1, 2],
            &der::unsigned(&[0x11; 19]),
            algorithm,
            &self.issuer,
            &der::sequence(&[&time(self.not_before), &time(self.not_after)]),
            &self.subject,
            &self.spki,
            &der::tlv(tag::context_constructed(3), &[&list]),
        ]);
        let signature = der::bit_string(&key.signature(&tbs));
        Certificate::from_der(der::sequence(&[&tbs, algorithm, &signature])).unwrap()
    }
}

pub(super) fn email_principal() -> Principal {
    let extensions = [(1, ISSUER), (8, ISSUER), (24, "248289761001")];
    Principal::for_test(
        San::Email("jane@example.com".into()),
        ISSUER,
        list(&extensions),
    )
}

pub(super) fn workflow_principal() -> Principal {
    let extensions = [
        (1, ISSUER),
        (2, "push"),
        (3, "9f0ecf7d2a0e3a5b8f3ad1a7c2f4e6b8d0c1e2f3"),
        (4, "Release"),
        (5, "octo/app"),
        (6, "refs/heads/main"),
        (8, ISSUER),
        (9, WORKFLOW),
        (12, "https://github.com/octo/app"),
        (23, "Wärme ✓"),
        (24, "repo:octo/app:ref:refs/heads/main"),
    ];
    Principal::for_test(San::Uri(WORKFLOW.into()), ISSUER, list(&extensions))
}

fn list(extensions: &[(u8, &str)]) -> Vec<Extension> {
    let value = |(arc, value): &(u8, &str)| Extension {
        arc: *arc,
        value: (*value).into(),
    };
    extensions.iter().map(value).collect()
}

/// A P-256 key that was really proven.
pub(super) fn subject_key(seed: u8) -> PossessedKey {
    let key = Key::p256(seed);
    let parsed = SubjectKey::from_bytes(key.spki()).unwrap();
    by_signature(
        parsed,
        "challenge",
        &key.signature(b"challenge"),
        &AlgorithmList::all().into(),
    )
    .unwrap()
}

pub(super) struct World {
    pub(super) authority: Arc<Authority>,
    pub(super) signer: Key,
    pub(super) profile: Arc<LeafProfile>,
    log: Key,
}

impl World {
    pub(super) fn new(algorithm: SignatureAlgorithm) -> Self {
        let (signer, root) = (Key::of(algorithm, 0x21), Key::p384(0x42));
        let chain = vec![
            Draft::issuing(&signer, &root).sign(&root),
            Draft::root(&root).sign(&root),
        ];
        Self::of(chain, signer)
    }
    pub(super) fn of(chain: Vec<Certificate>, signer: Key) -> Self {
        let authority = Authority::new(chain, signer.spki(), NOON).unwrap();
        let profile = LeafProfile::new("leaf", 600, 0, None).unwrap();
        Self {
            authority: Arc::new(authority.with_profile(&profile)),
            signer,
            profile: Arc::new(profile),
            log: Key::p256(0x63),
        }
    }
    pub(super) fn with_profile(
        mut self,
        lifetime_s: u32,
        backdate_s: u32,
        url: Option<&str>,
    ) -> Self {
        let profile = LeafProfile::new("leaf", lifetime_s, backdate_s, url).unwrap();
        let authority = Arc::unwrap_or_clone(self.authority);
        self.authority = Arc::new(authority.with_profile(&profile));
        self.profile = Arc::new(profile);
        self
    }
    pub(super) fn plan_for(
        &self,
        principal: Principal,
        key: PossessedKey,
        now: UnixSeconds,
    ) -> Result<Plan, crate::ca::Error> {
        let serial = Serial::draw(InstanceId::FIRST, &Counter::new(0x80));
        Plan::new(
            self.authority.clone(),
            self.profile.clone(),
            serial,
            principal,
            key,
            now,
        )
    }
    pub(super) fn plan(&self) -> Plan {
        self.plan_for(workflow_principal(), subject_key(7), NOON)
            .unwrap()
    }
    pub(super) fn sign<P>(&self, tbs: Tbs<P>) -> Signed<P> {
        block_on(tbs.sign(&self.signer)).unwrap()
    }
    pub(super) fn precertificate(&self) -> Signed<Precert> {
        self.sign(self.plan().precertificate().unwrap())
    }
    /// What a log answers for the entry.
    pub(super) fn sct(&self, entry: &PreEntry) -> VerifiedSct {
        self.extended_sct(entry, Vec::new()).unwrap()
    }
    /// What a log answers that has something to add.
    fn extended_sct(&self, entry: &PreEntry, extensions: Vec<u8>) -> Result<VerifiedSct, SctError> {
        let key = LogKey::from_spki_der(self.log.spki()).unwrap();
        let mut sct = Sct {
            log_id: LogId(key.id().0),
            timestamp: UnixMillis::from(NOON),
            extensions,
            signature: Vec::new(),
        };
        let message = signed_entry(&sct, entry.issuer_key_hash(), entry.tbs());
        let signature = self.log.signature(&message);
        sct.signature = [
            &[4, 3],
            &u16::try_from(signature.len()).unwrap().to_be_bytes()[..],
            &signature,
        ]
        .concat();
        verify_sct(sct, &key, entry, UnixMillis::from(NOON))
    }
    /// The longest answer that is believed. Its signature's length depends on what it signs, so it
    /// is searched for.
    pub(super) fn longest_sct(&self, entry: &PreEntry) -> VerifiedSct {
        let mut lengths = (0..=1024).rev();
        let longest = lengths.find_map(|octets| self.extended_sct(entry, vec![0; octets]).ok());
        longest.unwrap()
    }
    pub(super) fn seal(&self, precert: Signed<Precert>) -> Signed<Leaf> {
        let sct = self.sct(precert.entry());
        self.sign(precert.seal(vec![sct]).unwrap())
    }
}

/// Nothing here waits, so one look is enough and no runtime is needed.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    use std::task::{Context, Poll, Waker};
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a test signer waits for something"),
    }
}
