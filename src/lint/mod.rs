//! A second reader of the exact bytes that are about to be signed (BR §4.3.1.2 made this a
//! SHALL for public CAs).
//!
//! Nothing here looks at our encoder or at its structs: x509-parser reads the bytes back, the
//! rules compare what it read with what was planned, and rule c00 writes the reading down again
//! and wants the same bytes, so nothing can hide in a place no rule looks at. All rules run;
//! one finding is enough to stop. The result is a [`Linted`], the only key to the signer.
//!
//! Only certificates are linted. The CRL rules r01–r15 come with revocation lists. Whether a
//! point lies on its curve is not asked again here: a key that made a signature does.

mod extensions;
mod oid;
mod reading;
mod tbs;

use std::fmt;
use std::ops::Range;

use self::reading::Reading;
use crate::time::UnixSeconds;
use crate::x509::SignatureAlgorithm;

/// Which of the certificates of one issuance this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A precertificate: carries the poison (RFC 6962 §3.1).
    Precert,
    /// A final certificate: carries one SCT.
    Leaf,
    /// A final certificate of an instance that runs without a log: neither poison nor SCT.
    LeafWithoutLog,
}

/// The type of the one subject alternative name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// rfc822Name.
    Email,
    /// uniformResourceIdentifier.
    Uri,
    /// otherName of Fulcio's type for user names, a UTF8String.
    OtherName,
}

/// What was planned; the bytes must say the same.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// Precertificate or final.
    pub kind: Kind,
    /// The serial number's octets.
    pub serial: &'a [u8],
    /// The algorithm of the CA key.
    pub algorithm: SignatureAlgorithm,
    /// The CA certificate's subject, raw DER.
    pub issuer_name: &'a [u8],
    /// The CA certificate's subject key identifier.
    pub issuer_ski: &'a [u8],
    /// First second of the CA certificate.
    pub issuer_not_before: UnixSeconds,
    /// Last second of the CA certificate, inclusive.
    pub issuer_not_after: UnixSeconds,
    /// First second planned.
    pub not_before: UnixSeconds,
    /// Last second planned, inclusive.
    pub not_after: UnixSeconds,
    /// The longest life the profile allows, both ends counted.
    pub lifetime_s: u32,
    /// The planned type of name.
    pub san: SanKind,
    /// The planned name.
    pub name: &'a str,
    /// The subject's SubjectPublicKeyInfo, DER.
    pub spki: &'a [u8],
    /// The URL of the list a revocation of this leaf would stand in, if there is one.
    pub crl_url: Option<&'a str>,
    /// The profile's name.
    pub profile_name: &'a str,
    /// Whether the CA was configured with a profile of that name and hash.
    pub profile_known: bool,
    /// The token's issuer, as extensions .1 and .8 must say it.
    pub issuer_claim: &'a str,
    /// The planned identity extensions: last arc and value.
    pub identity: Vec<(u8, &'a str)>,
}

/// One rule of the list.
pub struct Rule {
    /// `c00` … `c20`.
    pub id: &'static str,
    /// What it demands, in one line.
    pub summary: &'static str,
    check: Check,
}

/// Compares reading and plan; the error says what was found instead.
type Check = fn(&Reading<'_>, &Expected<'_>) -> Result<(), String>;

/// Every certificate rule, in the order of `docs/certificate-profile.md`.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule(NOT_READABLE, "one certificate in DER, no byte unaccounted for", tbs::every_byte),
    rule("c01", "version is v3", tbs::version),
    rule("c02", "serial is the planned one, positive, 9 to 19 octets", tbs::serial),
    rule("c03", "inner and outer signature algorithm are equal, and the CA key's", tbs::algorithm),
    rule("c04", "issuer is the CA's subject, byte for byte", tbs::issuer),
    rule("c05", "validity is the planned one, inside profile and issuer", tbs::validity),
    rule("c06", "subject is the empty SEQUENCE", tbs::subject),
    rule("c07", "subject key is the planned one, canonical, and of an allowed kind", tbs::subject_key),
    rule("c08", "critical SAN with the planned name and no other", extensions::san),
    rule("c09", "critical key usage, digitalSignature only", extensions::key_usage),
    rule("c10", "extended key usage is exactly codeSigning, not critical", extensions::extended_key_usage),
    rule("c11", "no basicConstraints", extensions::basic_constraints),
    rule("c12", "subject and authority key identifier, the latter the CA's", extensions::key_identifiers),
    rule("c13", "extensions on the list only, each once, in order, up to 1 kB", extensions::allow_list),
    rule("c14", "issuer extensions .1 and .8 both say the token's issuer", extensions::issuer_claim),
    rule("c15", "identity extensions are the planned ones, clean text, .8 and above one UTF8String", extensions::identity_text),
    rule("c16", "a precertificate has one critical poison and no SCT list", extensions::poison),
    rule("c17", "a final certificate has one SCT and no poison", extensions::sct_list),
    rule("c18", "no noRevAvail, no OCSP access", extensions::revocation_opt_outs),
    rule("c19", "CRL distribution point is the profile's, byte for byte", extensions::crl_distribution_point),
    rule("c20", "profile is known by name and hash", tbs::profile),
];

const fn rule(id: &'static str, summary: &'static str, check: Check) -> Rule {
    Rule { id, summary, check }
}

/// The rule that bytes break which are no certificate at all.
const NOT_READABLE: &str = "c00";

/// Evidence that a TBSCertificate passed every rule. It holds the bytes it is about, so it cannot
/// vouch for others; it is used up by the signature.
pub struct Linted {
    der: Vec<u8>,
    tbs: Range<usize>,
}

impl Linted {
    /// The TBSCertificate that was linted.
    pub fn tbs(&self) -> &[u8] {
        &self.der[self.tbs.clone()]
    }

    /// The certificate around it.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// Bytes in hex would fill a screen.
impl fmt::Debug for Linted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Linted({} octets)", self.der.len())
    }
}

/// Lints the TBSCertificate inside `der`, a Certificate whose signature may be a zero-length
/// BIT STRING: the signature is not read, so it makes no difference.
pub fn certificate(der: Vec<u8>, expected: &Expected<'_>) -> Result<Linted, Findings> {
    let reading = Reading::of(&der).map_err(|what| {
        Findings(vec![Finding {
            rule: NOT_READABLE,
            what,
        }])
    })?;
    let findings: Vec<Finding> = RULES
        .iter()
        .filter_map(|rule| {
            let what = (rule.check)(&reading, expected).err()?;
            Some(Finding {
                rule: rule.id,
                what,
            })
        })
        .collect();
    if findings.is_empty() {
        let tbs = reading.tbs();
        Ok(Linted { der, tbs })
    } else {
        Err(Findings(findings))
    }
}

/// What the rules found, in rule order; never empty in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings(pub Vec<Finding>);

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `c00` … `c20`.
    pub rule: &'static str,
    /// What was found, with the value.
    pub what: String,
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{} {}", finding.rule, finding.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}
