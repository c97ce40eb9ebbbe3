//! K: keys, signing requests, proofs of possession.
//!
//! Every input is a whole request with a good token, sent to a running server. A refused one must
//! reach nobody else, write nothing down, and have a twin that differs in one thing and is served.

mod encodings;
mod moduli;
mod points;
mod proofs;
mod requests;

use aws_lc_rs::digest::{SHA256, digest};
use shortleaf::fault::Reason;
use shortleaf::possession::KeyKind;

use crate::ask::{Ask, Proof};
use crate::keys::{TestKey, pem};
use crate::material::SigningRequest;
use crate::report::{Case, Report, Verdict, judge};
use crate::site::{PERSON, Site};

const CSR: &str = "CERTIFICATE REQUEST";

/// What makes the inputs of a row.
type Cases = fn(&Kit) -> Vec<Case>;

const ROWS: &[(&str, Cases)] = &[
    ("K1", points::points),
    ("K2", points::explicit_curves),
    ("K3", points::other_kinds),
    ("K4", moduli::rsa_numbers),
    ("K5", moduli::weak_keys),
    ("K6", encodings::encodings),
    ("K7", requests::signing_requests),
    ("K8", proofs::proofs),
    ("K9", proofs::own_keys),
    ("K10", proofs::reused_proofs),
];

/// Runs these rows.
pub(crate) fn run(rows: &[String]) -> Vec<Report> {
    let is_wanted = |row: &str| rows.iter().any(|wanted| wanted == row);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let kit = Kit::new().await;
        let mut reports = Vec::new();
        for (row, cases) in ROWS.iter().filter(|(row, _)| is_wanted(row)) {
            reports.push(judge(&kit.site, row, cases(&kit)).await);
        }
        reports
    })
}

/// A site, and one good key of each kind.
struct Kit {
    site: Site,
    keys: Vec<TestKey>,
    /// On the site's list of weak keys.
    weak: Vec<TestKey>,
}

impl Kit {
    async fn new() -> Self {
        let weak: Vec<_> = [KeyKind::EcdsaP256, KeyKind::Rsa2048, KeyKind::Ed25519]
            .map(TestKey::generate)
            .into();
        let hash = |key: &TestKey| digest(&SHA256, &key.spki()).as_ref().try_into().unwrap();
        let hashes: Vec<[u8; 32]> = weak.iter().map(hash).collect();
        Self {
            site: Site::start(&hashes).await,
            keys: TestKey::one_of_each().collect(),
            weak,
        }
    }

    fn key(&self, kind: KeyKind) -> &TestKey {
        self.keys.iter().find(|key| key.kind() == kind).unwrap()
    }

    fn p256(&self) -> &TestKey {
        self.key(KeyKind::EcdsaP256)
    }

    /// These bytes as a public key, with `key`'s proof; the twin is `key` itself.
    fn bytes(
        &self,
        what: impl Into<String>,
        content: Vec<u8>,
        key: &TestKey,
        reason: Reason,
    ) -> Case {
        let signature = key.sign(PERSON.as_bytes());
        Case {
            what: what.into(),
            ask: self.site.with(Proof::Key { content, signature }),
            verdict: self.refused(reason, self.site.by_key(key)),
        }
    }

    /// The same in PEM.
    fn spki(&self, what: impl Into<String>, der: &[u8], key: &TestKey, reason: Reason) -> Case {
        self.bytes(what, pem("PUBLIC KEY", der).into_bytes(), key, reason)
    }

    fn malformed(&self, what: impl Into<String>, der: &[u8], key: &TestKey) -> Case {
        self.spki(what, der, key, Reason::PublicKeyMalformed)
    }

    fn insecure(&self, what: impl Into<String>, der: &[u8], key: &TestKey) -> Case {
        self.spki(what, der, key, Reason::PublicKeyInsecure)
    }

    /// This request; the twin is a plain request of `key`.
    fn csr(&self, what: impl Into<String>, csr: Vec<u8>, key: &TestKey, reason: Reason) -> Case {
        let twin = pem(CSR, &SigningRequest::of(key).signed_by(key)).into_bytes();
        Case {
            what: what.into(),
            ask: self.site.with(Proof::Csr(csr)),
            verdict: self.refused(reason, self.site.with(Proof::Csr(twin))),
        }
    }

    fn csr_der(&self, what: impl Into<String>, der: &[u8], key: &TestKey, reason: Reason) -> Case {
        self.csr(what, pem(CSR, der).into_bytes(), key, reason)
    }

    /// This proof for `key`; the twin has a good one.
    fn proof(&self, what: impl Into<String>, key: &TestKey, signature: Vec<u8>) -> Case {
        let content = pem("PUBLIC KEY", &key.spki()).into_bytes();
        Case {
            what: what.into(),
            ask: self.site.with(Proof::Key { content, signature }),
            verdict: self.refused(Reason::ProofInvalid, self.site.by_key(key)),
        }
    }

    fn refused(&self, reason: Reason, twin: Ask) -> Verdict {
        Verdict::Refused { reason, twin }
    }

    fn issued(&self, what: impl Into<String>, proof: Proof) -> Case {
        Case {
            what: what.into(),
            ask: self.site.with(proof),
            verdict: Verdict::Issued,
        }
    }

    fn issued_key(&self, what: &str, content: String, key: &TestKey) -> Case {
        let signature = key.sign(PERSON.as_bytes());
        let content = content.into_bytes();
        self.issued(what, Proof::Key { content, signature })
    }

    fn issued_csr(&self, what: &str, csr: Vec<u8>) -> Case {
        self.issued(what, Proof::Csr(csr))
    }
}
