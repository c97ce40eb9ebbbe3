//! Verified claims to identity: one SAN, the challenge, the Fulcio extensions.
//!
//! Two mappings lead there. An `email` issuer vouches for an address; a CI provider's claims go
//! through templates, and each provider is data ([`Definition`]). Whatever the mapping, issuer and
//! subject extensions come from the token itself and no template can touch them.
//!
//! Values arrive in the certificate byte for byte. Where that cannot be, because a claim is
//! missing, is not a text, hides characters or is too long, there is no certificate: an identity
//! that was repaired on the way is somebody else's.

mod email;
mod error;
mod provider;
mod template;
mod uri;
mod values;

use std::sync::Arc;

use crate::json::Value;
use crate::token::VerifiedToken;

pub use email::MAX_ADDRESS_BYTES;
pub use error::{Error, Problem, Purpose};
pub use provider::{Definition, MAX_RENDERED_BYTES, Provider, ProviderError};
pub use template::{MAX_NESTING, MAX_TEMPLATE_BYTES, TemplateError};
pub use values::MAX_CLAIM_BYTES;

use template::Failure;

/// Last arcs of the extensions that come from the token itself.
const ISSUER: u8 = 1;
const ISSUER_V2: u8 = 8;
const TOKEN_SUBJECT: u8 = 24;

/// How an issuer's claims become an identity.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// The issuer vouches for the address in `email`.
    Email {
        /// Take the address even where `email_verified` does not say `true`: for issuers that
        /// never send it.
        skip_verification: bool,
    },
    /// The issuer is a CI provider.
    CiProvider(Arc<Provider>),
}

/// The one name a leaf carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// rfc822Name, printable ASCII.
    Email(String),
    /// uniformResourceIdentifier, ASCII.
    Uri(String),
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
    // The challenge is `sub` or the address, never a mixture: what a client signs, it has read in
    // its own token.
    let (san, challenge, challenge_claim, from_templates) = match mapping {
        Mapping::Email { skip_verification } => {
            let address = verified_address(token, *skip_verification)?;
            (San::Email(address.clone()), address, "email", Vec::new())
        }
        Mapping::CiProvider(provider) => {
            let (san, extensions) = from_provider(token, provider)?;
            (San::Uri(san), token.subject().to_owned(), "sub", extensions)
        }
    };
    let issuer = token.issuer().as_str().to_owned();
    let subject = token.subject().to_owned();
    checked(token, "iss", ISSUER, &issuer)?;
    checked(token, "sub", TOKEN_SUBJECT, &subject)?;

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

fn from_provider(
    token: &VerifiedToken,
    provider: &Provider,
) -> Result<(String, Vec<Extension>), Error> {
    let (san, extensions) = provider.render(token.claims()).map_err(|refusal| {
        let (purpose, issuer) = (refusal.purpose, token.issuer().clone());
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

fn verified_address(token: &VerifiedToken, skip_verification: bool) -> Result<String, Error> {
    let address = match token.claims().get("email") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => return Err(invalid(token, "email", Purpose::San, Problem::NotAString)),
    };
    if address.is_empty() {
        return Err(Error::ClaimMissing {
            claim: "email".to_owned(),
            purpose: Purpose::San,
            issuer: token.issuer().clone(),
        });
    }
    if !email::is_address(address) {
        return Err(invalid(token, "email", Purpose::San, Problem::NotAnAddress));
    }
    let verified = token.claims().get("email_verified") == Some(&Value::Bool(true));
    if !verified && !skip_verification {
        return Err(Error::EmailUnverified {
            issuer: token.issuer().clone(),
        });
    }
    Ok(address.to_owned())
}

/// The token's own claims obey the same limits as those that templates insert.
fn checked(token: &VerifiedToken, claim: &str, arc: u8, text: &str) -> Result<(), Error> {
    values::check_text(text, MAX_CLAIM_BYTES)
        .map_err(|problem| invalid(token, claim, Purpose::Extension(arc), problem))
}

fn invalid(token: &VerifiedToken, claim: &str, purpose: Purpose, problem: Problem) -> Error {
    Error::ClaimInvalid {
        claim: claim.to_owned(),
        purpose,
        issuer: token.issuer().clone(),
        problem,
    }
}

#[cfg(test)]
mod tests;
