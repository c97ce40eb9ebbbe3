//! The self-check of every start: both encoders over the same leaves, octet by octet.
//!
//! The leaves are chosen for where an encoder can go wrong: every kind of key, every extension,
//! every length at which a header grows, both forms of a date, no identity and the largest one.

use super::{Body, Content, EncodeError, Encoder, Last, reference};
use crate::ca::{Authority, LeafProfile, Serial};
use crate::der::{self, Backwards, tag};
use crate::identity::{Extension, San};
use crate::time::UnixSeconds;
use crate::x509::oid;

/// Why the template encoder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfCheckError {
    /// The two write different certificates.
    #[error(
        "{sample}: the template encoder writes {template} octets, rcgen {rcgen}, and octet {at} is the first that differs"
    )]
    Differ {
        /// Which leaf.
        sample: String,
        /// How many octets the template writes.
        template: usize,
        /// How many rcgen writes.
        rcgen: usize,
        /// Where they part.
        at: usize,
    },
    /// One of the two fails.
    #[error("{sample}: could not be encoded")]
    Encode {
        /// Which leaf.
        sample: String,
        /// Why not.
        #[source]
        source: EncodeError,
    },
}

/// Proves that the template encoder of `authority` writes what rcgen does, for leaves of
/// `profile`. Nothing to prove where rcgen itself was chosen.
pub fn check_encoder(authority: &Authority, profile: &LeafProfile) -> Result<(), SelfCheckError> {
    match authority.encoder() {
        Encoder::Rcgen => Ok(()),
        Encoder::Template => samples(authority, profile)
            .iter()
            .try_for_each(|sample| sample.check(authority)),
    }
}

/// One leaf, for the check only: nobody is named by it and nothing will sign it.
struct Sample {
    name: String,
    serial: Serial,
    validity: (UnixSeconds, UnixSeconds),
    spki: Vec<u8>,
    san: San,
    identity: Vec<Extension>,
    crl_url: Option<String>,
}

/// The longest text in an extension, and the longest SCT list, in octets: 1 kB with its headers.
const LONGEST: usize = 1020;
/// Where a length needs one octet more, with the headers that are between text and extension.
const LENGTHS: [std::ops::RangeInclusive<usize>; 3] = [1..=1, 100..=128, 236..=256];
/// Serials of ours at both ends: 01 and 00…, 7f and ff….
const SERIALS: [(u8, u8); 2] = [(1, 0), (0x7f, 0xff)];
/// 2049-12-31T23:55:00Z: the last minutes that are written as UTCTime.
const END_OF_UTC_TIME: UnixSeconds = UnixSeconds(2_524_607_700);

fn samples(authority: &Authority, profile: &LeafProfile) -> Vec<Sample> {
    let validity = (authority.not_before(), authority.not_after());
    let usual = || Sample {
        name: "a usual leaf".to_owned(),
        serial: serial(SERIALS[0]),
        validity,
        spki: key(&ec_identifier(oid::P256), 65),
        san: San::Uri("https://example.com/workflow".to_owned()),
        identity: every_arc(20),
        crl_url: profile.crl_url().map(str::to_owned),
    };
    let mut out = Vec::new();
    for (kind, spki) in every_kind() {
        for san in [
            usual().san,
            San::Email("jane@example.com".to_owned()),
            San::OtherName("jäne!example.com".to_owned()),
        ] {
            let name = format!("{kind} key, {san:?}");
            let spki = spki.clone();
            out.push(Sample {
                name,
                spki,
                san,
                ..usual()
            });
        }
    }
    for length in LENGTHS.into_iter().flatten() {
        out.push(Sample {
            name: format!("texts of {length} octets"),
            san: San::Uri("x".repeat(length)),
            identity: [1, 8].map(|arc| extension(arc, length)).into(),
            ..usual()
        });
        out.push(Sample {
            name: format!("a user name of {length} octets"),
            san: San::OtherName("x".repeat(length)),
            ..usual()
        });
    }
    for validity in [
        (validity.0, validity.0),
        (END_OF_UTC_TIME, END_OF_UTC_TIME.plus(599)),
        (END_OF_UTC_TIME.plus(300), END_OF_UTC_TIME.plus(899)),
    ] {
        let name = format!("valid from {} to {}", validity.0, validity.1);
        out.push(Sample {
            name,
            validity,
            ..usual()
        });
    }
    out.push(Sample {
        name: "the shortest leaf".to_owned(),
        san: San::Email("a".to_owned()),
        identity: Vec::new(),
        crl_url: None,
        ..usual()
    });
    out.push(Sample {
        name: "the longest leaf".to_owned(),
        serial: serial(SERIALS[1]),
        spki: rsa_key(4096),
        san: San::Uri("x".repeat(LONGEST)),
        identity: every_arc(LONGEST),
        crl_url: Some(format!("http://{}", "x".repeat(500))),
        ..usual()
    });
    out
}

impl Sample {
    fn check(&self, authority: &Authority) -> Result<(), SelfCheckError> {
        let content = Content {
            serial: self.serial,
            not_before: self.validity.0,
            not_after: self.validity.1,
            spki: &self.spki,
            san: &self.san,
            identity: &self.identity,
            crl_url: self.crl_url.as_deref(),
        };
        let failed = |source| SelfCheckError::Encode {
            sample: self.name.clone(),
            source,
        };
        let body = authority.template().body(&content).map_err(failed)?;
        // As long as a usual list, and as the longest there may be.
        for last in [
            Last::Nothing,
            Last::Poison,
            Last::SctList(&[7; 121]),
            Last::SctList(&[7; LONGEST]),
        ] {
            let rcgen = reference::tbs(authority, &content, last).map_err(failed)?;
            self.compare(&body, last, &rcgen)?;
        }
        Ok(())
    }

    fn compare(&self, body: &Body, last: Last<'_>, rcgen: &[u8]) -> Result<(), SelfCheckError> {
        let mut out = Backwards::with_room(rcgen.len());
        body.put(last, &mut out);
        let template = out.written();
        let whole = matches!(last, Last::Nothing).then_some(&**body.tbs());
        if template == rcgen && whole.is_none_or(|body| body == rcgen) {
            return Ok(());
        }
        let same = template.iter().zip(rcgen).take_while(|(a, b)| a == b);
        Err(SelfCheckError::Differ {
            sample: self.name.clone(),
            template: template.len(),
            rcgen: rcgen.len(),
            at: same.count(),
        })
    }
}

fn serial((first, others): (u8, u8)) -> Serial {
    let mut octets = [others; 19];
    octets[0] = first;
    Serial::from_octets(&octets).expect("01 and 7f name an instance")
}

fn extension(arc: u8, length: usize) -> Extension {
    Extension {
        arc,
        value: "x".repeat(length),
    }
}

/// Every identity extension there is, the text of each in two alphabets.
fn every_arc(length: usize) -> Vec<Extension> {
    let arcs = (1..=6).chain(8..=24);
    let text = |arc| "ü".repeat(length % 7) + &extension(arc, length - 2 * (length % 7)).value;
    arcs.map(|arc| Extension {
        arc,
        value: text(arc),
    })
    .collect()
}

/// A key of each kind that is certified, by name. No one holds them: they only look so.
fn every_kind() -> Vec<(&'static str, Vec<u8>)> {
    let ed25519 = der::sequence(&[&der::tlv(tag::OID, &[oid::ED25519])]);
    vec![
        ("P-256", key(&ec_identifier(oid::P256), 65)),
        ("P-384", key(&ec_identifier(oid::P384), 97)),
        ("P-521", key(&ec_identifier(oid::P521), 133)),
        ("RSA 2048", rsa_key(2048)),
        ("RSA 3072", rsa_key(3072)),
        ("RSA 4096", rsa_key(4096)),
        ("Ed25519", key(&ed25519, 32)),
    ]
}

fn ec_identifier(curve: &[u8]) -> Vec<u8> {
    let oids = [oid::EC_PUBLIC_KEY, curve].map(|oid| der::tlv(tag::OID, &[oid]));
    der::sequence(&[&oids[0], &oids[1]])
}

fn rsa_key(bits: usize) -> Vec<u8> {
    let identifier = der::sequence(&[&der::tlv(tag::OID, &[oid::RSA_ENCRYPTION]), &[tag::NULL, 0]]);
    let modulus = der::unsigned(&vec![0xab; bits / 8]);
    let numbers = der::sequence(&[&modulus, &der::unsigned(&[1, 0, 1])]);
    der::sequence(&[&identifier, &der::bit_string(&numbers)])
}

fn key(identifier: &[u8], octets: usize) -> Vec<u8> {
    der::sequence(&[identifier, &der::bit_string(&vec![4; octets])])
}
