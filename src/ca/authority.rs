//! An issuing CA: its chain, read and checked once, and the bytes leaves copy from it.
//!
//! Every check here stands for a client that would otherwise refuse each leaf later: a CA that
//! loads is one whose certificates verify everywhere (RFC 5280 §6.1, with codeSigning).

use x509_parser::extensions::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_parser::prelude::FromDer;

use super::profile::{LeafProfile, ProfileHash};
use crate::hash::sha256;
use crate::hex;
use crate::time::UnixSeconds;
use crate::x509::{Certificate, SignatureAlgorithm, oid};

/// The longest chain, issuing CA and root included.
pub const MAX_CHAIN: usize = 8;

/// Names an issuing CA in plans, records and audit lines: SHA-256 of its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IssuingCaId(pub [u8; 32]);

/// Lower-case hex.
impl std::fmt::Display for IssuingCaId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// An issuing CA whose chain was checked: issuing certificate first, self-signed root last.
#[derive(Clone, Debug)]
pub struct Authority {
    id: IssuingCaId,
    chain: Vec<Certificate>,
    algorithm: SignatureAlgorithm,
    ski: Vec<u8>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    /// What its leaves may look like.
    profiles: Vec<ProfileHash>,
}

/// Why a chain does not make an issuing CA. Certificates are counted from 0, the issuing one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// There is no certificate.
    #[error("the chain is empty")]
    Empty,
    /// There are too many certificates.
    #[error("the chain has {got} certificates, at most {MAX_CHAIN} are read")]
    TooLong {
        /// How many there are.
        got: usize,
    },
    /// Not a CA, or not marked as one with a critical BasicConstraints.
    #[error("certificate {at} has no critical BasicConstraints with cA = TRUE")]
    NotCa {
        /// Which certificate.
        at: usize,
    },
    /// A key usage is absent.
    #[error("certificate {at} has no key usage {usage}")]
    KeyUsage {
        /// Which certificate.
        at: usize,
        /// The usage that is missing.
        usage: &'static str,
    },
    /// No key identifier for others to point at.
    #[error("certificate {at} has no subject key identifier")]
    NoKeyIdentifier {
        /// Which certificate.
        at: usize,
    },
    /// A key that some client cannot use.
    #[error("certificate {at} has a key that is neither P-384 nor P-256 in its canonical form")]
    KeyKind {
        /// Which certificate.
        at: usize,
    },
    /// codeSigning is not passed down.
    #[error("certificate {at} does not allow codeSigning as an extended key usage")]
    CodeSigning {
        /// Which certificate.
        at: usize,
    },
    /// A critical extension that clients may not know.
    #[error("certificate {at} has the critical extension {oid}")]
    CriticalExtension {
        /// Which certificate.
        at: usize,
        /// Dotted identifier.
        oid: String,
    },
    /// An extension of ours that does not parse.
    #[error("certificate {at} has a malformed {extension}")]
    MalformedExtension {
        /// Which certificate.
        at: usize,
        /// Its name.
        extension: &'static str,
    },
    /// The validity has not begun.
    #[error("certificate {at} is valid from {not_before}, now is {now}")]
    NotYetValid {
        /// Which certificate.
        at: usize,
        /// Its first second.
        not_before: UnixSeconds,
        /// Now.
        now: UnixSeconds,
    },
    /// The validity is over.
    #[error("certificate {at} was valid until {not_after}, now is {now}")]
    Expired {
        /// Which certificate.
        at: usize,
        /// Its last second.
        not_after: UnixSeconds,
        /// Now.
        now: UnixSeconds,
    },
    /// Two CAs of one name; verifiers that find an issuer by name take the wrong one.
    #[error("certificates {first} and {second} have the same subject")]
    SameName {
        /// The earlier.
        first: usize,
        /// The later.
        second: usize,
    },
    /// The next certificate is not the issuer.
    #[error("certificate {at} was not issued by certificate {}: {why}", .at + 1)]
    NotIssuedByNext {
        /// Which certificate.
        at: usize,
        /// What does not match: the name, the key identifier or the signature.
        why: &'static str,
    },
    /// The issuer allows fewer CAs below itself.
    #[error("certificate {at} allows {allowed} CAs below it, the chain has {got}")]
    PathLength {
        /// Which certificate.
        at: usize,
        /// pathLenConstraint.
        allowed: u32,
        /// How many there are.
        got: usize,
    },
    /// The last certificate is not a self-signed root.
    #[error("the last certificate, {at}, is not self-signed")]
    NoRoot {
        /// Which certificate.
        at: usize,
    },
    /// The private key is another certificate's.
    #[error("the CA key does not belong to the issuing certificate")]
    KeyMismatch,
}

impl AuthorityError {
    /// What to try, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "give the issuing CA's certificate first, then up to its root, as PEM",
            Self::TooLong { .. } => "leave out certificates that are not on the path to the root",
            Self::NotCa { .. }
            | Self::KeyUsage { .. }
            | Self::NoKeyIdentifier { .. }
            | Self::KeyKind { .. }
            | Self::CriticalExtension { .. }
            | Self::MalformedExtension { .. }
            | Self::SameName { .. } => {
                "have the certificate issued again by its CA profile, or try `shortleaf ca init`"
            }
            Self::CodeSigning { .. } => {
                "have the certificate issued again with extended key usage codeSigning"
            }
            Self::NotYetValid { .. } => "check this machine's clock",
            Self::Expired { .. } => "renew the certificate, or check this machine's clock",
            Self::NotIssuedByNext { .. } => {
                "order the file: issuing CA first, each certificate followed by its issuer"
            }
            Self::PathLength { .. } => "use an issuing CA nearer to that certificate",
            Self::NoRoot { .. } => "append the self-signed root at the end of the file",
            Self::KeyMismatch => "give the key and the certificate that were made together",
        }
    }
}

impl Authority {
    /// Checks a chain, issuing CA first and root last, against the CA profile and the signer's
    /// public key (`spki`), at `now`. A self-signed issuing CA alone is a chain.
    pub fn new(
        chain: Vec<Certificate>,
        spki: &[u8],
        now: UnixSeconds,
    ) -> Result<Self, AuthorityError> {
        if chain.len() > MAX_CHAIN {
            return Err(AuthorityError::TooLong { got: chain.len() });
        }
        let issuing = chain.first().ok_or(AuthorityError::Empty)?;
        for at in 0..chain.len() {
            check_certificate(&chain, at, now)?;
        }
        check_names(&chain)?;
        for at in 0..chain.len() - 1 {
            check_link(&chain, at)?;
        }
        check_root(&chain)?;
        if issuing.spki() != spki {
            return Err(AuthorityError::KeyMismatch);
        }
        let mut not_before = issuing.not_before();
        let mut not_after = issuing.not_after();
        for certificate in &chain {
            not_before = not_before.max(certificate.not_before());
            not_after = not_after.min(certificate.not_after());
        }
        Ok(Self {
            id: IssuingCaId(sha256(&[issuing.der()])),
            algorithm: key_algorithm(issuing, 0)?,
            ski: key_identifier(issuing, 0)?.to_vec(),
            not_before,
            not_after,
            chain,
            profiles: Vec::new(),
        })
    }
    /// Also issues leaves of `profile`. Without any it issues none: rule c20 refuses each.
    #[must_use]
    pub fn with_profile(mut self, profile: &LeafProfile) -> Self {
        self.profiles.push(profile.hash());
        self
    }
    /// Whether it was configured with this very profile, by the hash that also covers its name.
    pub fn knows(&self, profile: &LeafProfile) -> bool {
        self.profiles.contains(&profile.hash())
    }
    /// Its id.
    pub fn id(&self) -> IssuingCaId {
        self.id
    }
    /// Issuing CA first, root last.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }
    /// The issuing certificate.
    pub fn issuing(&self) -> &Certificate {
        &self.chain[0]
    }
    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
    /// The issuing certificate's subject key identifier, which leaves repeat.
    pub fn ski(&self) -> &[u8] {
        &self.ski
    }
    /// From when on every certificate of the chain is valid.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }
    /// Until when every certificate of the chain is valid, inclusive.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }
}

fn check_certificate(
    chain: &[Certificate],
    at: usize,
    now: UnixSeconds,
) -> Result<(), AuthorityError> {
    let certificate = &chain[at];
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
    if now < not_before {
        return Err(AuthorityError::NotYetValid {
            at,
            not_before,
            now,
        });
    }
    if now > not_after {
        return Err(AuthorityError::Expired { at, not_after, now });
    }
    let allowed = path_length(certificate, at)?;
    // Below certificate `at` stand `at` CAs, then the leaf, which does not count.
    if let Some(allowed) = allowed.filter(|allowed| u64::from(*allowed) < at as u64) {
        return Err(AuthorityError::PathLength {
            at,
            allowed,
            got: at,
        });
    }
    check_key_usage(certificate, at)?;
    check_code_signing(chain, at)?;
    key_identifier(certificate, at)?;
    key_algorithm(certificate, at)?;
    check_critical(certificate, at)
}

/// pathLenConstraint, if there is one.
fn path_length(certificate: &Certificate, at: usize) -> Result<Option<u32>, AuthorityError> {
    let extension = certificate
        .extensions()
        .find(|extension| extension.oid == oid::BASIC_CONSTRAINTS)
        .filter(|extension| extension.critical)
        .ok_or(AuthorityError::NotCa { at })?;
    match BasicConstraints::from_der(extension.value) {
        Ok(([], constraints)) if constraints.ca => Ok(constraints.path_len_constraint),
        Ok(([], _)) => Err(AuthorityError::NotCa { at }),
        Ok(_) | Err(_) => Err(AuthorityError::MalformedExtension {
            at,
            extension: "basicConstraints",
        }),
    }
}

fn check_key_usage(certificate: &Certificate, at: usize) -> Result<(), AuthorityError> {
    let missing = |usage| Err(AuthorityError::KeyUsage { at, usage });
    let Some(value) = certificate.extension(oid::KEY_USAGE) else {
        return missing("keyCertSign");
    };
    let Ok(([], usage)) = KeyUsage::from_der(value) else {
        return Err(AuthorityError::MalformedExtension {
            at,
            extension: "keyUsage",
        });
    };
    if !usage.key_cert_sign() {
        return missing("keyCertSign");
    }
    // Only the issuing CA signs a list of leaves; what is above signs its own elsewhere.
    if at == 0 && !usage.crl_sign() {
        return missing("cRLSign");
    }
    Ok(())
}

/// Go wants every CA on the path to allow what the leaf is for, so an issuing CA below a root
/// says codeSigning, and what is above it does not say otherwise.
fn check_code_signing(chain: &[Certificate], at: usize) -> Result<(), AuthorityError> {
    let Some(value) = chain[at].extension(oid::EXTENDED_KEY_USAGE) else {
        return match at == 0 && chain.len() > 1 {
            true => Err(AuthorityError::CodeSigning { at }),
            false => Ok(()),
        };
    };
    let Ok(([], usage)) = ExtendedKeyUsage::from_der(value) else {
        return Err(AuthorityError::MalformedExtension {
            at,
            extension: "extKeyUsage",
        });
    };
    match usage.code_signing || (usage.any && at > 0) {
        true => Ok(()),
        false => Err(AuthorityError::CodeSigning { at }),
    }
}

fn key_identifier(certificate: &Certificate, at: usize) -> Result<&[u8], AuthorityError> {
    certificate
        .ski()
        .filter(|ski| !ski.is_empty())
        .ok_or(AuthorityError::NoKeyIdentifier { at })
}

fn key_algorithm(
    certificate: &Certificate,
    at: usize,
) -> Result<SignatureAlgorithm, AuthorityError> {
    SignatureAlgorithm::of_key(certificate.spki()).ok_or(AuthorityError::KeyKind { at })
}

/// Name constraints among others: a constraint on DNS names says nothing of ours, one on URIs or
/// addresses forbids them, and clients disagree on which they check.
fn check_critical(certificate: &Certificate, at: usize) -> Result<(), AuthorityError> {
    const KNOWN: &[&[u8]] = &[
        oid::BASIC_CONSTRAINTS,
        oid::KEY_USAGE,
        oid::EXTENDED_KEY_USAGE,
    ];
    let mut critical = certificate.extensions().filter(|one| one.critical);
    match critical.find(|one| !KNOWN.contains(&one.oid)) {
        None => Ok(()),
        Some(one) => Err(AuthorityError::CriticalExtension {
            at,
            oid: oid::dotted(one.oid).unwrap_or_default(),
        }),
    }
}

fn check_names(chain: &[Certificate]) -> Result<(), AuthorityError> {
    for (second, later) in chain.iter().enumerate() {
        let earlier = &chain[..second];
        if let Some(first) = earlier.iter().position(|c| c.subject() == later.subject()) {
            return Err(AuthorityError::SameName { first, second });
        }
    }
    Ok(())
}

fn check_link(chain: &[Certificate], at: usize) -> Result<(), AuthorityError> {
    let (below, above) = (&chain[at], &chain[at + 1]);
    let fail = |why| Err(AuthorityError::NotIssuedByNext { at, why });
    if below.issuer() != above.subject() {
        return fail("its issuer is another name");
    }
    if below.aki().is_some_and(|aki| Some(aki) != above.ski()) {
        return fail("its authority key identifier is another key's");
    }
    match is_signed_by(below, above) {
        true => Ok(()),
        false => fail("its signature does not verify"),
    }
}

fn check_root(chain: &[Certificate]) -> Result<(), AuthorityError> {
    let at = chain.len() - 1;
    let root = &chain[at];
    match root.issuer() == root.subject() && is_signed_by(root, root) {
        true => Ok(()),
        false => Err(AuthorityError::NoRoot { at }),
    }
}

/// The signature verifies by the issuer's key, with the one hash that belongs to its curve.
fn is_signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let named = SignatureAlgorithm::from_identifier(certificate.signature_algorithm());
    named.is_some_and(|algorithm| {
        algorithm
            .verify(issuer.spki(), certificate.tbs(), certificate.signature())
            .is_ok()
    })
}
