//! Says whether a certificate of ours means what it claims: issued by a CA we trust, logged,
//! fit for code signing, and for the identity the caller asked about.
//!
//! Every step names the attack it stops. Nothing is optional, and there is no default identity:
//! a valid certificate for somebody else is not a weaker yes, it is a no. The time is an
//! argument; for a ten-minute certificate it must come from a signed timestamp or be now.
//! Artefact signatures, timestamps and revocation are not this room's business yet.

mod chain;
mod inspect;
mod leaf;
mod sct;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use inspect::{Extension, Inspection, Name, Value, inspect};

pub use crate::trust::{TrustMaterial, TrustedAuthority, TrustedLog, Window};

use std::fmt;

use crate::ct::LogId;
use crate::identity::San;
use crate::time::UnixSeconds;

/// Whom the caller expects: an identity *and* the issuer who vouched for it. One without the
/// other means nothing: any issuer can say any name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityPolicy {
    issuer: String,
    identity: San,
}

impl IdentityPolicy {
    /// Both exact; neither may be empty.
    pub fn new(issuer: impl Into<String>, identity: San) -> Result<Self, Error> {
        let issuer = issuer.into();
        let name = identity.name();
        match (issuer.is_empty(), name.is_empty()) {
            (true, _) => Err(Error::PolicyWithout { part: "issuer" }),
            (_, true) => Err(Error::PolicyWithout { part: "identity" }),
            _ => Ok(Self { issuer, identity }),
        }
    }
}

/// A certificate that passed every step, and what the steps found. Made only by [`certificate`].
#[derive(Clone, Debug)]
pub struct VerifiedCertificate {
    inspection: Inspection,
    issuer: String,
    identity: San,
    checks: Vec<Check>,
}

impl VerifiedCertificate {
    /// The certificate, decoded.
    pub fn inspection(&self) -> &Inspection {
        &self.inspection
    }
    /// Who vouched for the identity.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// Whose certificate this is.
    pub fn identity(&self) -> &San {
        &self.identity
    }
    /// What was checked, in order.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// A check that was made and passed; prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// A path to a trusted root, every certificate on it valid and fit for code signing.
    Chain {
        /// Subjects from the issuing CA to the root.
        path: Vec<String>,
        /// The moment the path was checked for.
        at: UnixSeconds,
    },
    /// The leaf keeps the profile.
    Profile,
    /// Extensions .1 and .8 name the same issuer.
    IssuerAgrees,
    /// SCTs of known logs are for this certificate.
    Logged {
        /// The logs.
        logs: Vec<LogId>,
    },
    /// Issuer and identity are the ones asked for.
    Identity,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chain { path, at } => {
                write!(f, "chain to a trusted root at {at}: {}", path.join(" → "))
            }
            Self::Profile => f.write_str("leaf for code signing only, with one name"),
            Self::IssuerAgrees => f.write_str("both issuer extensions agree"),
            Self::Logged { logs } => write!(f, "logged: {} verified SCT(s)", logs.len()),
            Self::Identity => f.write_str("issuer and identity are the ones asked for"),
        }
    }
}

/// Verifies `leaf` at the moment `at`. `intermediates` help to find a path and are not trusted.
pub fn certificate(
    leaf: &[u8],
    intermediates: &[Vec<u8>],
    trust: &TrustMaterial,
    policy: &IdentityPolicy,
    at: UnixSeconds,
) -> Result<VerifiedCertificate, Error> {
    // 1. Read all of the bytes. Stops: hiding a second meaning behind or between what is read.
    let inspection = inspect(leaf)?;
    // 2. A path to a trusted root, for code signing, at that time. Stops: a certificate by
    //    anybody else, a retired or expired CA, a CA for another purpose, an expired leaf.
    let path = chain::verify(&inspection, leaf, intermediates, trust, at)?;
    // 3. The leaf's own profile. Stops: a CA or TLS certificate taken for a signer's, a second
    //    name that another verifier would read.
    let identity = leaf::profile(&inspection)?;
    // 4. One issuer under both identifiers. Stops: one verifier reading .1, another .8.
    let issuer = leaf::issuer(&inspection)?;
    // 5. An SCT over this very certificate. Stops: a CA that issues in secret.
    let logs = sct::verify(&inspection, path.issuer_spki(), &trust.logs, at)?;
    // 6. Issuer and identity asked for. Stops: a good certificate of the wrong person, and the
    //    right name vouched for by the wrong issuer.
    if issuer != policy.issuer {
        let want = policy.issuer.clone();
        return Err(Error::WrongIssuer { got: issuer, want });
    }
    if identity != policy.identity {
        return Err(Error::WrongIdentity {
            got: identity,
            want: policy.identity.clone(),
        });
    }
    let checks = vec![
        Check::Chain {
            path: path.subjects().to_vec(),
            at,
        },
        Check::Profile,
        Check::IssuerAgrees,
        Check::Logged { logs },
        Check::Identity,
    ];
    Ok(VerifiedCertificate {
        inspection,
        issuer,
        identity,
        checks,
    })
}

/// Which step failed, for whoever turns an [`Error`] into an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The question was incomplete.
    Policy,
    /// The bytes are no certificate.
    Read,
    /// No path to a trusted root.
    Chain,
    /// The certificate is not valid at that time.
    Time,
    /// Not a leaf of the profile.
    Profile,
    /// No verified SCT.
    Log,
    /// Another issuer or identity.
    Identity,
}

/// Why a certificate is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller left out whom to expect.
    #[error("the policy names no {part}")]
    PolicyWithout {
        /// What is missing.
        part: &'static str,
    },
    /// The bytes are not one DER certificate.
    #[error("not a certificate: {what}")]
    Malformed {
        /// What is wrong with them.
        what: &'static str,
    },
    /// No trusted CA was in use at that time.
    #[error("none of the {known} trusted CAs is in use at {at}")]
    NoAuthorityAt {
        /// How many there are.
        known: usize,
        /// The moment asked for.
        at: UnixSeconds,
    },
    /// The trusted root itself is not valid at that time.
    #[error("the root {root} is valid {not_before} to {not_after}, the time is {at}")]
    RootOutsideValidity {
        /// Its subject.
        root: String,
        /// Its first second.
        not_before: UnixSeconds,
        /// Its last second.
        not_after: UnixSeconds,
        /// The moment asked for.
        at: UnixSeconds,
    },
    /// A CA on the path may not sign certificates.
    #[error("the CA {subject} lacks keyCertSign")]
    NotACertificateSigner {
        /// Its subject.
        subject: String,
    },
    /// The leaf is not valid at that time.
    #[error("the certificate is valid {not_before} to {not_after}, the time is {at}")]
    OutsideValidity {
        /// Its first second.
        not_before: UnixSeconds,
        /// Its last second.
        not_after: UnixSeconds,
        /// The moment asked for.
        at: UnixSeconds,
    },
    /// No path to a trusted root.
    #[error("no path from {issuer} to a trusted root")]
    Untrusted {
        /// Who is said to have issued the leaf.
        issuer: String,
        /// What the path search ran into.
        #[source]
        source: webpki::Error,
    },
    /// An extension the profile demands is absent.
    #[error("the certificate has no {name}")]
    ExtensionMissing {
        /// Its name.
        name: &'static str,
    },
    /// An extension stands there twice.
    #[error("the certificate has {oid} more than once")]
    ExtensionTwice {
        /// Its identifier.
        oid: String,
    },
    /// An extension is there and not what the profile demands.
    #[error("{name} is {got}, the profile demands {want}")]
    ExtensionNotOfProfile {
        /// Its name.
        name: &'static str,
        /// What it says.
        got: String,
        /// What it must say.
        want: &'static str,
    },
    /// The two issuer extensions differ.
    #[error("issuer extension .1 says {v1:?}, .8 says {v2:?}")]
    IssuersDisagree {
        /// What .1 says.
        v1: String,
        /// What .8 says.
        v2: String,
    },
    /// The certificate was never logged.
    #[error("the certificate has no SCT list")]
    NotLogged,
    /// None of the SCTs is by a log we know.
    #[error("none of the {scts} SCTs is by one of the {known} trusted logs")]
    NoKnownLog {
        /// How many SCTs the certificate has.
        scts: usize,
        /// How many logs are trusted.
        known: usize,
    },
    /// A known log's SCT is not for this certificate, or not by the log's key.
    #[error("the SCT of log {log} does not verify")]
    SctInvalid {
        /// The log.
        log: LogId,
        /// Why.
        #[source]
        source: crate::ct::SctError,
    },
    /// A known log's SCT is from a time the log is not trusted for, or from the future.
    #[error("the SCT of log {log} is dated {dated}, which is not acceptable at {at}")]
    SctTime {
        /// The log.
        log: LogId,
        /// The SCT's timestamp.
        dated: UnixSeconds,
        /// The moment asked for.
        at: UnixSeconds,
    },
    /// Somebody else vouched for the identity.
    #[error("the identity issuer is {got:?}, expected {want:?}")]
    WrongIssuer {
        /// Who did.
        got: String,
        /// Who should have.
        want: String,
    },
    /// The certificate is somebody else's.
    #[error("the identity is {got:?}, expected {want:?}")]
    WrongIdentity {
        /// Whose it is.
        got: San,
        /// Whose it should be.
        want: San,
    },
}

impl Error {
    /// The step that failed.
    pub fn step(&self) -> Step {
        match self {
            Self::PolicyWithout { .. } => Step::Policy,
            Self::Malformed { .. } => Step::Read,
            Self::NoAuthorityAt { .. }
            | Self::RootOutsideValidity { .. }
            | Self::NotACertificateSigner { .. }
            | Self::Untrusted { .. } => Step::Chain,
            Self::OutsideValidity { .. } => Step::Time,
            Self::ExtensionMissing { .. }
            | Self::ExtensionTwice { .. }
            | Self::ExtensionNotOfProfile { .. }
            | Self::IssuersDisagree { .. } => Step::Profile,
            Self::NotLogged
            | Self::NoKnownLog { .. }
            | Self::SctInvalid { .. }
            | Self::SctTime { .. } => Step::Log,
            Self::WrongIssuer { .. } | Self::WrongIdentity { .. } => Step::Identity,
        }
    }
}
