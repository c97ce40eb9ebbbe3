//! The strict reading of a JWS compact serialization that carries a JWT (RFC 7515 §3.1, RFC 7519).
//!
//! Everything that can be decided from the bytes alone is decided here, before any key is looked
//! up. The price of a hostile token is bounded by [`MAX_TOKEN_BYTES`] before it is even split
//! (CVE-2025-66506, CVE-2025-27144, CVE-2025-30204).

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;

use super::error::excerpt;
use super::{Algorithm, Error, Part};
use crate::b64::URL_SAFE_NO_PAD;
use crate::json::{self, Object, Value};
use crate::time::UnixSeconds;

/// Largest token accepted, in bytes, checked before anything is split or decoded.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Longest `kid` accepted, in bytes.
pub const MAX_KID_BYTES: usize = 256;

/// Header parameters that end the conversation, whatever their value: keys brought along
/// (`jku` … `x5u`, CVE-2018-0114), extensions that must be understood, compression, nesting, and
/// the parameters of encrypted tokens. `x5t` is a harmless hint, which GitHub sends, and is ignored.
const REFUSED_PARAMETERS: &[&str] = &[
    "jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "cty", "enc", "epk", "apu", "apv", "iv",
    "tag", "p2s", "p2c",
];

const INTEGER_SECONDS: &str = "an integer number of seconds";

/// A token that parsed strictly. Nothing in it is proven yet.
pub struct RawToken {
    text: String,
    /// Where the last dot is: signing input before it, signature after it.
    last_dot: usize,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Arc<Object>,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) audience: String,
    pub(super) jti: Option<String>,
    pub(super) expires_at: UnixSeconds,
    pub(super) issued_at: UnixSeconds,
    pub(super) not_before: Option<UnixSeconds>,
}

impl RawToken {
    /// Reads `text`, which must be the token and nothing else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(Error::TooLong { bytes: text.len() });
        }
        let [header, claims, signature] = three_parts(text)?;

        let header = object(Part::Header, header)?;
        let algorithm = algorithm(&header)?;
        refuse_parameters(&header)?;
        let kid = key_id(&header)?;
        if signature.is_empty() {
            return Err(Error::Unsigned);
        }
        octets(Part::Signature, signature)?;

        let claims = object(Part::Claims, claims)?;
        let issuer = required_text(&claims, "iss")?;
        let subject = required_text(&claims, "sub")?;
        if let Some(character) = hidden_character(&subject) {
            return Err(Error::ClaimUnprintable {
                claim: "sub",
                character,
            });
        }
        Ok(Self {
            last_dot: text.len() - signature.len() - 1,
            text: text.to_owned(),
            algorithm,
            kid,
            issuer,
            subject,
            audience: audience(&claims)?,
            jti: optional_text(&claims, "jti")?,
            expires_at: required_seconds(&claims, "exp")?,
            issued_at: required_seconds(&claims, "iat")?,
            not_before: seconds(&claims, "nbf")?,
            claims: Arc::new(claims),
        })
    }

    /// What the token says its issuer is. Good for choosing a policy, for nothing else.
    pub fn claimed_issuer(&self) -> &str {
        &self.issuer
    }

    /// What the token says, believed by nobody yet. Good for telling its owner, for nothing else.
    pub fn unproven_claims(&self) -> &Object {
        &self.claims
    }

    /// Header and claims as they were sent: what the signature is over.
    pub(super) fn signing_input(&self) -> &[u8] {
        &self.text.as_bytes()[..self.last_dot]
    }

    /// The signature, still in base64url.
    pub(super) fn signature(&self) -> &str {
        &self.text[self.last_dot + 1..]
    }

    /// The whole token as it was sent.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Nothing of a token that still buys a certificate goes into logs.
impl fmt::Debug for RawToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawToken").finish_non_exhaustive()
    }
}

/// The first character of `text` that no reader would see as itself: control characters, line
/// and paragraph separators, and the ones that change direction. In an identity they exist only
/// to make two names look alike.
pub(crate) fn hidden_character(text: &str) -> Option<char> {
    // Most texts are printable ASCII, where no character has to be taken apart.
    let printable = |all, octet| all & (0x20..=0x7e).contains(&octet);
    if text.bytes().fold(true, printable) {
        return None;
    }
    text.chars().find(|c| {
        c.is_control()
            || matches!(
                c,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            )
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
    })
}

/// Counts before it splits: five parts is an encrypted token, a million is an attack.
fn three_parts(text: &str) -> Result<[&str; 3], Error> {
    let dots = text.bytes().filter(|b| *b == b'.').count();
    let mut parts = text.splitn(3, '.');
    match (dots, parts.next(), parts.next(), parts.next()) {
        (2, Some(header), Some(claims), Some(signature)) => Ok([header, claims, signature]),
        _ => Err(Error::NotThreeParts { dots }),
    }
}

fn octets(part: Part, text: &str) -> Result<Vec<u8>, Error> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Error::NotBase64Url { part })
}

fn object(part: Part, text: &str) -> Result<Object, Error> {
    match json::parse(&octets(part, text)?) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::NotAnObject { part }),
        Err(problem) => Err(Error::NotJson { part, problem }),
    }
}

fn algorithm(header: &Object) -> Result<Algorithm, Error> {
    let name = header.get("alg").and_then(Value::as_str);
    let name = name.ok_or(Error::HeaderInvalid {
        parameter: "alg",
        want: "the name of an algorithm",
    })?;
    Algorithm::from_name(name).ok_or_else(|| Error::AlgorithmRefused { got: excerpt(name) })
}

fn refuse_parameters(header: &Object) -> Result<(), Error> {
    for (name, _) in header.iter() {
        if let Some(parameter) = REFUSED_PARAMETERS.iter().find(|refused| **refused == name) {
            return Err(Error::HeaderRefused { parameter });
        }
    }
    match header.get("typ") {
        None => Ok(()),
        Some(Value::String(kind)) if kind == "JWT" => Ok(()),
        Some(_) => Err(Error::HeaderInvalid {
            parameter: "typ",
            want: "\"JWT\"",
        }),
    }
}

fn key_id(header: &Object) -> Result<Option<String>, Error> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => {
            Ok(Some(kid.clone()))
        }
        Some(_) => Err(Error::HeaderInvalid {
            parameter: "kid",
            want: "a string of 1 to 256 bytes",
        }),
    }
}

/// A claim that, if present, is a string with something in it.
fn optional_text(claims: &Object, claim: &'static str) -> Result<Option<String>, Error> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(Error::ClaimMalformed {
            claim,
            want: "a string that is not empty",
        }),
    }
}

fn required_text(claims: &Object, claim: &'static str) -> Result<String, Error> {
    optional_text(claims, claim)?.ok_or(Error::ClaimMalformed {
        claim,
        want: "present",
    })
}

/// A claim that, if present, is a NumericDate without a fraction (RFC 7519 §2).
fn seconds(claims: &Object, claim: &'static str) -> Result<Option<UnixSeconds>, Error> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let number = if let Value::Number(number) = value {
        number.as_i64()
    } else {
        None // a string that spells a number is not one: CVE-2026-25537
    };
    match number {
        Some(seconds) => Ok(Some(UnixSeconds(seconds))),
        None => Err(Error::ClaimMalformed {
            claim,
            want: INTEGER_SECONDS,
        }),
    }
}

fn required_seconds(claims: &Object, claim: &'static str) -> Result<UnixSeconds, Error> {
    seconds(claims, claim)?.ok_or(Error::ClaimMalformed {
        claim,
        want: INTEGER_SECONDS,
    })
}

/// Exactly one audience, written as a string or as an array of one (RFC 7519 §4.1.3).
fn audience(claims: &Object) -> Result<String, Error> {
    let malformed = Error::ClaimMalformed {
        claim: "aud",
        want: "a string or an array of one string",
    };
    match claims.get("aud") {
        Some(Value::String(one)) => Ok(one.clone()),
        Some(Value::Array(all)) if all.iter().all(|a| a.as_str().is_some()) => match &all[..] {
            [Value::String(one)] => Ok(one.clone()),
            _ => Err(Error::AudienceCount { count: all.len() }),
        },
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests;
