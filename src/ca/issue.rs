//! The steps from plan to signed leaf; each consumes the one before.
//!
//! `Plan` → `Tbs<Precert>` → `Signed<Precert>` → `Tbs<Leaf>` → `Signed<Leaf>`; where certificates are
//! not logged, `Plan` → `Tbs<Leaf>` → `Signed<Leaf>`. A `Tbs` exists only
//! for bytes that passed the lint, and nothing else reaches the signer. `seal` takes the
//! precertificate by value, so no second final can grow from it.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::encode::{self, Body, Content, EncodeError, Last};
use super::pair;
use super::{Authority, Error, LeafProfile, Serial, Signer};
use crate::ct::{self, PreEntry, VerifiedSct};
use crate::der::{self, Reader, tag};
use crate::identity::{Principal, San};
use crate::lint::{self, Linted};
use crate::possession::PossessedKey;
use crate::time::UnixSeconds;
use crate::x509::{SignatureAlgorithm, oid};

/// The longest extension value and name, in octets; the linter holds the same line.
const MAX_VALUE: usize = 1024;
/// Room for tag and length around a text of up to [`MAX_VALUE`].
const HEADER: usize = 4;

/// The longest certificate, in octets; the linter holds the same line.
const MAX_CERTIFICATE: usize = 16 * 1024;
/// What a final has beside its body, at most: the SCT list (20 octets around its value), the
/// signature and its algorithm (119 with P-384), the header of it all.
const BESIDE_BODY: usize = MAX_VALUE + 20 + 119 + 4;

/// Everything that decides a certificate, fixed before the first byte is encoded.
#[derive(Clone)]
pub struct Plan {
    authority: Arc<Authority>,
    profile: Arc<LeafProfile>,
    serial: Serial,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    principal: Arc<Principal>,
    key: Arc<PossessedKey>,
}

/// Marks a precertificate (RFC 6962 §3.1).
#[derive(Debug)]
pub enum Precert {}
/// Marks a final certificate.
#[derive(Debug)]
pub enum Leaf {}

/// Linted bytes, about to be signed.
pub struct Tbs<P> {
    plan: Arc<Plan>,
    body: Body,
    linted: Linted,
    _kind: PhantomData<P>,
}

/// Signed bytes.
pub struct Signed<P> {
    plan: Arc<Plan>,
    body: Body,
    signature: Vec<u8>,
    der: Arc<[u8]>,
    /// Where in `der` the TBSCertificate lies.
    tbs: Range<usize>,
    entry: OnceLock<PreEntry>,
    _kind: PhantomData<P>,
}

impl Plan {
    /// Fixes serial, names and validity. `now` is the request's one clock reading.
    pub fn new(
        authority: Arc<Authority>,
        profile: Arc<LeafProfile>,
        serial: Serial,
        principal: impl Into<Arc<Principal>>,
        key: impl Into<Arc<PossessedKey>>,
        now: UnixSeconds,
    ) -> Result<Self, Error> {
        let (principal, key) = (principal.into(), key.into());
        check_names(&principal)?;
        let (first, last) = (authority.not_before(), authority.not_after());
        if !(first..=last).contains(&now) {
            return Err(Error::AuthorityNotValid {
                not_before: first,
                not_after: last,
                now,
            });
        }
        // Both ends count, hence the second less. No leaf outlives a CA above it, or begins earlier.
        let not_before = profile.not_before(now).max(first);
        let lifetime = i64::from(profile.lifetime_s());
        let not_after = not_before.plus(lifetime - 1).min(last);
        Ok(Self {
            authority,
            profile,
            serial,
            not_before,
            not_after,
            principal,
            key,
        })
    }
    /// The same with a shorter life, both ends counted: never a longer one.
    #[must_use]
    pub fn no_longer_than(mut self, longest: Duration) -> Self {
        let seconds = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
        let last = self.not_before.plus(seconds.max(1).saturating_sub(1));
        self.not_after = self.not_after.min(last);
        self
    }

    /// The issuing CA.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }
    /// The profile.
    pub fn profile(&self) -> &LeafProfile {
        &self.profile
    }
    /// The serial.
    pub fn serial(&self) -> Serial {
        self.serial
    }
    /// First second of validity.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }
    /// Last second of validity, inclusive.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }
    /// Who it is for.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }
    /// Whose key it binds.
    pub fn key(&self) -> &PossessedKey {
        &self.key
    }

    /// Encodes the precertificate and lints the exact bytes.
    pub fn precertificate(self) -> Result<Tbs<Precert>, Error> {
        self.first(Last::Poison, lint::Kind::Precert)
    }

    /// For `[ct] mode = "off"` only: the final at once, without an SCT list. No log takes a
    /// precertificate, so none is made.
    pub fn leaf_without_log(self) -> Result<Tbs<Leaf>, Error> {
        self.first(Last::Nothing, lint::Kind::LeafWithoutLog)
    }

    fn first<P>(self, last: Last<'_>, kind: lint::Kind) -> Result<Tbs<P>, Error> {
        let body = encode::body(&self.authority, &self.content())?;
        check_length(body.tbs())?;
        let unsigned = body.unsigned(last, self.authority.algorithm());
        Tbs::linted(Arc::new(self), body, unsigned, kind)
    }

    /// What the encoder is told.
    fn content(&self) -> Content<'_> {
        Content {
            serial: self.serial,
            not_before: self.not_before,
            not_after: self.not_after,
            spki: self.key.spki_der(),
            san: self.principal.san(),
            identity: self.principal.extensions(),
            crl_url: self.profile.crl_url(),
        }
    }

    /// What the linter is told: from the plan and the CA's certificate, not from our encoding.
    fn expected(&self, kind: lint::Kind) -> lint::Expected<'_> {
        let issuing = self.authority.issuing();
        let san = match self.principal.san() {
            San::Email(_) => lint::SanKind::Email,
            San::Uri(_) => lint::SanKind::Uri,
            San::OtherName(_) => lint::SanKind::OtherName,
        };
        let name = self.principal.san().name();
        let extensions = self.principal.extensions().iter();
        lint::Expected {
            kind,
            serial: self.serial.octets(),
            algorithm: self.authority.algorithm(),
            issuer_name: issuing.subject(),
            issuer_ski: self.authority.ski(),
            issuer_not_before: issuing.not_before(),
            issuer_not_after: issuing.not_after(),
            not_before: self.not_before,
            not_after: self.not_after,
            lifetime_s: self.profile.lifetime_s(),
            san,
            name,
            spki: self.key.spki_der(),
            crl_url: self.profile.crl_url(),
            profile_name: self.profile.name(),
            profile_known: self.authority.knows(&self.profile),
            issuer_claim: self.principal.issuer(),
            identity: extensions.map(|e| (e.arc, e.value.as_str())).collect(),
        }
    }
}

/// GeneralNames, [0] OtherName, its type, [0] value, UTF8String.
const OTHER_NAME_HEADERS: usize = 4 * HEADER + 2 + oid::USERNAME.len();

/// What a claim may put into a certificate at all: said here as the caller's fault, before the
/// linter would say it as ours.
fn check_names(principal: &Principal) -> Result<(), Error> {
    let name = principal.san().name();
    // IA5String without blanks and controls, or UTF8String without controls; longer ones are
    // nobody's identity.
    let (fits, most) = match principal.san() {
        San::Email(_) | San::Uri(_) => {
            let plain = name.bytes().all(|c| c.is_ascii_graphic());
            (plain, MAX_VALUE - 2 * HEADER)
        }
        San::OtherName(_) => {
            let plain = !name.chars().any(char::is_control);
            (plain, MAX_VALUE - OTHER_NAME_HEADERS)
        }
    };
    if !fits || !(1..=most).contains(&name.len()) {
        let name = name.to_owned();
        return Err(Error::San { name });
    }
    for extension in principal.extensions() {
        let value = &extension.value;
        let octets = value.len();
        if octets > MAX_VALUE - HEADER {
            let arc = extension.arc;
            return Err(Error::ValueTooLong { arc, octets });
        }
        // Most are plain ASCII, where no character has to be taken apart.
        let printable = |all, octet| all & (0x20..=0x7e).contains(&octet);
        let plain = value.bytes().fold(true, printable);
        if value.is_empty() || (!plain && value.chars().any(char::is_control)) {
            return Err(Error::ValueText {
                arc: extension.arc,
                value: value.clone(),
            });
        }
    }
    Ok(())
}

/// Claims can be legal one by one and too long together. The final is the longer one, and it would
/// be found too long only when the precertificate is signed and logged.
fn check_length(body: &[u8]) -> Result<(), Error> {
    match body.len() + BESIDE_BODY {
        0..=MAX_CERTIFICATE => Ok(()),
        octets => Err(Error::TooLong {
            octets,
            max: MAX_CERTIFICATE,
        }),
    }
}

impl<P> Tbs<P> {
    /// The one way to a `Tbs`: the exact bytes pass the lint.
    fn linted(
        plan: Arc<Plan>,
        body: Body,
        unsigned: Vec<u8>,
        kind: lint::Kind,
    ) -> Result<Self, Error> {
        let linted = lint::certificate(unsigned, &plan.expected(kind)).map_err(Error::Lint)?;
        Ok(Self {
            plan,
            body,
            linted,
            _kind: PhantomData,
        })
    }
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// The exact to-be-signed bytes.
    pub fn tbs(&self) -> &[u8] {
        self.linted.tbs()
    }
    /// The linted form for the intent: TBS, algorithm, zero-length signature.
    pub fn unsigned_der(&self) -> &[u8] {
        self.linted.der()
    }
    /// Signs, and checks that what was signed is what was linted.
    pub async fn sign(self, signer: &dyn Signer) -> Result<Signed<P>, Error> {
        let authority = &self.plan.authority;
        let algorithm = authority.algorithm();
        // After a rotation another key may be at hand: precertificate and final stay with one CA.
        if signer.algorithm() != algorithm || signer.spki() != authority.issuing().spki() {
            return Err(Error::WrongSigner {
                authority: authority.id(),
            });
        }
        let linted = self.linted.tbs();
        let signature = signer.sign(linted).await?;
        check_signature(&signature, algorithm)?;
        let der = encode::signed(linted, algorithm, &signature);
        let tbs = tbs_of(&der)?;
        if &der[tbs.clone()] != linted {
            return Err(Error::NotWhatWasLinted);
        }
        Ok(Signed {
            plan: self.plan,
            body: self.body,
            signature,
            der,
            tbs,
            entry: OnceLock::new(),
            _kind: PhantomData,
        })
    }
}

impl<P> Signed<P> {
    /// What was planned.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// The signature, as it stands in the BIT STRING.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
    /// The certificate, shared by all who keep it.
    pub fn der(&self) -> &Arc<[u8]> {
        &self.der
    }
}

impl Signed<Precert> {
    /// What goes to the logs; made once, for it is hashed.
    pub fn entry(&self) -> &PreEntry {
        self.entry.get_or_init(|| {
            let authority = &self.plan.authority;
            PreEntry::new(
                self.der.clone(),
                authority.chain_der().clone(),
                authority.issuing().spki(),
                self.body.tbs().clone(),
                self.plan.not_after,
            )
        })
    }

    /// Puts exactly one SCT in the poison's place, lints the exact bytes, and proves that they
    /// correspond to the precertificate.
    pub fn seal(self, scts: Vec<VerifiedSct>) -> Result<Tbs<Leaf>, Error> {
        // Python and two Rust clients refuse a certificate with two.
        let [sct] = scts.as_slice() else {
            return Err(Error::SctCount { got: scts.len() });
        };
        if sct.entry_key() != self.entry().dedupe_key() {
            return Err(Error::SctNotForThisPrecertificate);
        }
        let last = &ct::sct_list(&[sct.sct()]);
        let algorithm = self.plan.authority.algorithm();
        let unsigned = self.body.unsigned(Last::SctList(last), algorithm);
        let tbs = Tbs::linted(self.plan, self.body, unsigned, lint::Kind::Leaf)?;
        pair::check(&self.der[self.tbs], tbs.tbs())?;
        Ok(tbs)
    }
}

/// SEQUENCE of r and s, both positive and no wider than the field. Whether it verifies is the
/// signer's own concern (see [`Signer`]).
fn check_signature(signature: &[u8], algorithm: SignatureAlgorithm) -> Result<(), Error> {
    // Of a positive INTEGER in its one form: no sign, a zero only in front of a set top bit.
    let digits = |content: &[u8]| match content {
        [0, digits @ ..] if digits.first() >= Some(&0x80) => Some(digits.len()),
        digits @ [1..=0x7f, ..] => Some(digits.len()),
        _ => None,
    };
    let parse = || -> Result<bool, der::Error> {
        let mut pair = Reader::new(der::single(signature, tag::SEQUENCE)?.content);
        let (r, s) = (pair.expect(tag::INTEGER)?, pair.expect(tag::INTEGER)?);
        pair.end()?;
        let fits = |octets| octets <= algorithm.field_octets();
        Ok(digits(r.content).is_some_and(fits) && digits(s.content).is_some_and(fits))
    };
    match parse() {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Error::SignatureForm {
            octets: signature.len(),
        }),
    }
}

/// Where the TBSCertificate of a certificate lies, read back from its bytes.
fn tbs_of(certificate: &[u8]) -> Result<Range<usize>, EncodeError> {
    let content = der::single(certificate, tag::SEQUENCE)?.content;
    let tbs = Reader::new(content).expect(tag::SEQUENCE)?.whole;
    let start = certificate.len() - content.len();
    Ok(start..start + tbs.len())
}
