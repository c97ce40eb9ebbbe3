//! Verified claims to identity: one SAN, the challenge, the Fulcio extensions.
//!
//! A [`Mapping`] leads there, one for each type of issuer. An `email` issuer vouches for an address;
//! `uri`, `username`, `spiffe`, `kubernetes` and Chainguard for a subject; a CI provider's claims go
//! through templates, and each provider is data ([`Definition`]). Whatever the mapping, issuer and
//! subject extensions come from the token itself and no template can touch them.
//!
//! Values arrive in the certificate byte for byte. Where that cannot be, because a claim is
//! missing, is not a text, hides characters or is too long, there is no certificate: an identity
//! that was repaired on the way is somebody else's.

pub mod builtin;
mod domain;
mod email;
mod error;
pub mod fulcio;
mod ids;
mod issuer_type;
mod mapping;
mod path;
pub mod presets;
mod provider;
mod spiffe;
mod subject;
mod template;
mod uri;
mod values;

use crate::json::Object;
use crate::token::{IssuerUrl, VerifiedToken};

pub use domain::{DomainError, NameDomain, UriDomain};
pub use email::MAX_ADDRESS_BYTES;
pub use error::{Error, Problem, Purpose};
pub use ids::IdClaims;
pub use issuer_type::IssuerType;
pub use mapping::{Mapping, MappingError, Parameters, Providers, Setting};
pub use path::{ClaimPath, ClaimPathError, MAX_PATH_BYTES};
pub use provider::{Definition, MAX_RENDERED_BYTES, Provider, ProviderError};
pub use spiffe::{MAX_ID_BYTES, MAX_TRUST_DOMAIN_BYTES, TrustDomain, TrustDomainError};
pub use template::{MAX_NESTING, MAX_TEMPLATE_BYTES, TemplateError};
pub use values::MAX_CLAIM_BYTES;
pub(crate) use values::claim_text;

use template::Failure;

/// Last arcs of the extensions that come from the token itself.
const ISSUER: u8 = 1;
const ISSUER_V2: u8 = 8;
const TOKEN_SUBJECT: u8 = 24;

/// Longest user name with its domain, in bytes: an otherName has more headers than a URI.
pub const MAX_OTHER_NAME_BYTES: usize = 990;

/// The one name a leaf carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// rfc822Name, printable ASCII.
    Email(String),
    /// uniformResourceIdentifier, ASCII.
    Uri(String),
    /// otherName of type 1.3.6.1.4.1.57264.1.7: a UTF8String, `name!domain`.
    OtherName(String),
}

impl San {
    /// The name itself, without its type.
    pub fn name(&self) -> &str {
        match self {
            Self::Email(name) | Self::Uri(name) | Self::OtherName(name) => name,
        }
    }
}

/// A Fulcio extension, by its last arc under 1.3.6.1.4.1.57264.1, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Last arc: 1–6, 8–24.
    pub arc: u8,
    /// The value as text; 1–6 are written raw, the others as DER UTF8String.
    pub value: String,
}

/// Who the caller is, as the certificate will say it. Made only from a verified token.
#[derive(Clone, Debug)]
pub struct Principal {
    san: San,
    challenge: String,
    challenge_claim: &'static str,
    issuer: String,
    subject: String,
    extensions: Vec<Extension>,
}

impl Principal {
    /// The subject alternative name.
    pub fn san(&self) -> &San {
        &self.san
    }
    /// The exact text the proof of possession signs.
    pub fn challenge(&self) -> &str {
        &self.challenge
    }
    /// The claim that text stands in: `sub` or `email`.
    pub fn challenge_claim(&self) -> &'static str {
        self.challenge_claim
    }
    /// The issuer as extensions .1 and .8 say it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
    /// The token's `sub`.
    pub fn subject(&self) -> &str {
        &self.subject
    }
    /// Every Fulcio extension in certificate order: 1–6 (where present), 8, 9–23, 24.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }
}

/// What claims that nobody vouches for come to; no certificate can be made of it.
#[derive(Clone, Debug)]
pub struct Preview(Principal);

impl Preview {
    /// [`Principal::san`].
    pub fn san(&self) -> &San {
        self.0.san()
    }
    /// [`Principal::challenge`].
    pub fn challenge(&self) -> &str {
        self.0.challenge()
    }
    /// [`Principal::challenge_claim`].
    pub fn challenge_claim(&self) -> &'static str {
        self.0.challenge_claim()
    }
    /// [`Principal::extensions`].
    pub fn extensions(&self) -> &[Extension] {
        self.0.extensions()
    }
}

#[cfg(test)]
impl Principal {
    /// A principal that no token vouched for.
    pub(crate) fn for_test(san: San, issuer: &str, extensions: Vec<Extension>) -> Self {
        Self {
            san,
            challenge: "challenge".into(),
            challenge_claim: "sub",
            issuer: issuer.into(),
            subject: "subject".into(),
            extensions,
        }
    }
}

/// The name of the extension 1.3.6.1.4.1.57264.1.`arc`, as Fulcio's documentation has it.
pub fn extension_name(arc: u8) -> Option<&'static str> {
    Some(match arc {
        1 => "Issuer",
        2 => "GitHub Workflow Trigger",
        3 => "GitHub Workflow SHA",
        4 => "GitHub Workflow Name",
        5 => "GitHub Workflow Repository",
        6 => "GitHub Workflow Ref",
        8 => "Issuer (V2)",
        9 => "Build Signer URI",
        10 => "Build Signer Digest",
        11 => "Runner Environment",
        12 => "Source Repository URI",
        13 => "Source Repository Digest",
        14 => "Source Repository Ref",
        15 => "Source Repository Identifier",
        16 => "Source Repository Owner URI",
        17 => "Source Repository Owner Identifier",
        18 => "Build Config URI",
        19 => "Build Config Digest",
        20 => "Build Trigger",
        21 => "Run Invocation URI",
        22 => "Source Repository Visibility At Signing",
        23 => "Deployment Environment",
        24 => "Token Subject",
        _ => return None,
    })
}

/// Who a verified token names, under this mapping.
pub fn principal(token: &VerifiedToken, mapping: &Mapping) -> Result<Principal, Error> {
    let claimed = Claimed {
        issuer: token.issuer(),
        subject: token.subject(),
        claims: token.claims(),
    };
    named(&claimed, mapping)
}

/// Whom a token with these claims would name. Nobody vouches for them: this is for looking at.
pub fn preview(
    issuer: &IssuerUrl,
    subject: &str,
    claims: &Object,
    mapping: &Mapping,
) -> Result<Preview, Error> {
    let claimed = Claimed {
        issuer,
        subject,
        claims,
    };
    named(&claimed, mapping).map(Preview)
}

/// What a token says, verified or not.
struct Claimed<'a> {
    issuer: &'a IssuerUrl,
    subject: &'a str,
    claims: &'a Object,
}

fn named(token: &Claimed<'_>, mapping: &Mapping) -> Result<Principal, Error> {
    // The challenge is `sub` or the address, never a mixture: what a client signs, it has read in
    // its own token.
    let sub = || token.subject.to_owned();
    let (san, challenge, challenge_claim, from_templates) = match mapping {
        Mapping::Email {
            skip_verification, ..
        } => {
            let address = subject::address(token, *skip_verification)?;
            (San::Email(address.clone()), address, "email", Vec::new())
        }
        Mapping::Uri(domain) => (subject::uri(token, domain)?, sub(), "sub", Vec::new()),
        Mapping::Username(domain) => (subject::username(token, domain)?, sub(), "sub", Vec::new()),
        Mapping::Spiffe(domain) => (subject::spiffe(token, domain)?, sub(), "sub", Vec::new()),
        Mapping::Kubernetes => (subject::kubernetes(token)?, sub(), "sub", Vec::new()),
        Mapping::ChainguardIdentity => {
            let (claim, challenge) = subject::chainguard_challenge(token)?;
            (subject::chainguard(token)?, challenge, claim, Vec::new())
        }
        Mapping::CiProvider(provider) => {
            let (san, extensions) = from_provider(token, provider)?;
            (San::Uri(san), sub(), "sub", extensions)
        }
    };
    let issuer = issuer(token, mapping)?;
    let subject = sub();
    let in_extension = Purpose::Extension(TOKEN_SUBJECT);
    checked(token, "sub", in_extension, &subject, MAX_CLAIM_BYTES)?;
    let max = match &san {
        San::Email(_) | San::Uri(_) => MAX_RENDERED_BYTES,
        San::OtherName(_) => MAX_OTHER_NAME_BYTES,
    };
    checked(token, "sub", Purpose::San, san.name(), max)?;

    let from_token = [
        (ISSUER, &issuer),
        (ISSUER_V2, &issuer),
        (TOKEN_SUBJECT, &subject),
    ];
    let mut extensions = from_templates;
    extensions.extend(from_token.map(|(arc, value)| Extension {
        arc,
        value: value.clone(),
    }));
    extensions.sort_by_key(|extension| extension.arc);
    Ok(Principal {
        san,
        challenge,
        challenge_claim,
        issuer,
        subject,
        extensions,
    })
}

/// The issuer as extensions .1 and .8 will say it: `iss`, or for whom that issuer signs.
fn issuer(token: &Claimed<'_>, mapping: &Mapping) -> Result<String, Error> {
    let (claim, text) = match mapping {
        Mapping::Email {
            issuer: Some(path), ..
        } => (path.as_str(), subject::issuer_at(token, path)?),
        Mapping::Email { issuer: None, .. }
        | Mapping::Uri(_)
        | Mapping::Username(_)
        | Mapping::Spiffe(_)
        | Mapping::Kubernetes
        | Mapping::ChainguardIdentity
        | Mapping::CiProvider(_) => ("iss", token.issuer.as_str().to_owned()),
    };
    let purpose = Purpose::Extension(ISSUER);
    checked(token, claim, purpose, &text, MAX_CLAIM_BYTES)?;
    Ok(text)
}

fn from_provider(
    token: &Claimed<'_>,
    provider: &Provider,
) -> Result<(String, Vec<Extension>), Error> {
    let (san, extensions) = provider.render(token.claims).map_err(|refusal| {
        let (purpose, issuer) = (refusal.purpose, token.issuer.clone());
        match refusal.failure {
            Failure::Missing { name: claim } => Error::ClaimMissing {
                claim,
                purpose,
                issuer,
            },
            Failure::Invalid {
                name: claim,
                problem,
            } => Error::ClaimInvalid {
                claim,
                purpose,
                issuer,
                problem,
            },
        }
    })?;
    let printed = uri::print_back(&san).and_then(|uri| {
        // Escaping can treble it.
        values::check_text(&uri, MAX_RENDERED_BYTES)?;
        Ok(uri)
    });
    let uri =
        printed.map_err(|problem| invalid(token, &provider.san_claim(), Purpose::San, problem))?;
    Ok((uri, extensions))
}

/// The token's own claims obey the same limits as those that templates insert.
fn checked(
    token: &Claimed<'_>,
    claim: &str,
    purpose: Purpose,
    text: &str,
    max: usize,
) -> Result<(), Error> {
    values::check_text(text, max).map_err(|problem| invalid(token, claim, purpose, problem))
}

fn missing(token: &Claimed<'_>, claim: &str, purpose: Purpose) -> Error {
    Error::ClaimMissing {
        claim: claim.to_owned(),
        purpose,
        issuer: token.issuer.clone(),
    }
}

fn invalid(token: &Claimed<'_>, claim: &str, purpose: Purpose, problem: Problem) -> Error {
    Error::ClaimInvalid {
        claim: claim.to_owned(),
        purpose,
        issuer: token.issuer.clone(),
        problem,
    }
}

#[cfg(test)]
mod tests;
