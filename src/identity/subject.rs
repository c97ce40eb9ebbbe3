//! Identities that are one claim: an address, or a subject that its type gives a meaning.
//!
//! Each function answers with the SAN. What the certificate says beside it, issuer and subject, is
//! the same for all and made in [`super::principal`].

use super::domain::{NameDomain, UriDomain};
use super::path::ClaimPath;
use super::spiffe::TrustDomain;
use super::{Claimed, Error, Problem, Purpose, San, email, invalid, missing, uri};
use crate::json::Value;

/// The claim that holds what a cluster says about a service account.
const KUBERNETES: &str = "kubernetes.io";
/// Longest name in a cluster, in bytes (RFC 1123 subdomain, as Kubernetes limits it).
const MAX_KUBERNETES_NAME: usize = 253;

/// The address in `email`, verified unless the issuer is known not to say so.
pub(super) fn address(token: &Claimed<'_>, skip_verification: bool) -> Result<String, Error> {
    let address = text_at(token, "email", token.claims.get("email"))?;
    let address = address.ok_or_else(|| missing(token, "email", Purpose::San))?;
    if !email::is_address(address) {
        return Err(invalid(token, "email", Purpose::San, Problem::NotAnAddress));
    }
    let verified = token.claims.get("email_verified") == Some(&Value::Bool(true));
    if !verified && !skip_verification {
        return Err(Error::EmailUnverified {
            issuer: token.issuer.clone(),
        });
    }
    Ok(address.to_owned())
}

/// For whom an issuer signs that signs for others.
pub(super) fn issuer_at(token: &Claimed<'_>, path: &ClaimPath) -> Result<String, Error> {
    let purpose = Purpose::Extension(super::ISSUER);
    let found = path.find(token.claims);
    let found = match found {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text).filter(|text| !text.is_empty()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            return Err(invalid(token, path.as_str(), purpose, Problem::NotAString));
        }
    };
    let found = found.ok_or_else(|| missing(token, path.as_str(), purpose))?;
    Ok(found.clone())
}

/// `sub` as a URI of the issuer's domain.
pub(super) fn uri(token: &Claimed<'_>, domain: &UriDomain) -> Result<San, Error> {
    let uri = domain.check(token.subject);
    uri.map(San::Uri).map_err(|problem| of_sub(token, problem))
}

/// `sub` as a name, with the domain that makes it unique.
pub(super) fn username(token: &Claimed<'_>, domain: &NameDomain) -> Result<San, Error> {
    let name = domain.check(token.subject);
    name.map(San::OtherName)
        .map_err(|problem| of_sub(token, problem))
}

/// `sub` as a SPIFFE ID of the trust domain. Nothing in one needs escaping.
pub(super) fn spiffe(token: &Claimed<'_>, domain: &TrustDomain) -> Result<San, Error> {
    let id = token.subject;
    domain.check(id).map_err(|problem| of_sub(token, problem))?;
    Ok(San::Uri(id.to_owned()))
}

/// Namespace and service account, which both have to be there: an empty one would leave a name that
/// another cluster's account could have (Fulcio does not look).
pub(super) fn kubernetes(token: &Claimed<'_>) -> Result<San, Error> {
    let name_at = |path: &[&str]| {
        let claim = path.join("/");
        let text = text_at(token, &claim, token.claims.at(path))?;
        let text = text.ok_or_else(|| missing(token, &claim, Purpose::San))?;
        if !is_kubernetes_name(text) {
            let problem = Problem::NotAKubernetesName;
            return Err(invalid(token, &claim, Purpose::San, problem));
        }
        Ok(text)
    };
    let namespace = name_at(&[KUBERNETES, "namespace"])?;
    let account = name_at(&[KUBERNETES, "serviceaccount", "name"])?;
    Ok(San::Uri(format!(
        "https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"
    )))
}

/// Issuer and subject as one URL.
pub(super) fn chainguard(token: &Claimed<'_>) -> Result<San, Error> {
    let subject = token.subject;
    // Fulcio joins paths, which would swallow such a step; here it is nobody.
    if subject
        .split('/')
        .any(|step| matches!(step, "" | "." | ".."))
    {
        return Err(of_sub(token, Problem::NotAPath));
    }
    let issuer = token.issuer.as_str().trim_end_matches('/');
    let printed = uri::print_back(&format!("{issuer}/{subject}"));
    printed
        .map(San::Uri)
        .map_err(|problem| of_sub(token, problem))
}

/// What clients sign for Chainguard, and the claim it is: `email` where the token has one, else
/// `sub`.
pub(super) fn chainguard_challenge(token: &Claimed<'_>) -> Result<(&'static str, String), Error> {
    match text_at(token, "email", token.claims.get("email"))? {
        Some(_) => Ok(("email", address(token, false)?)),
        None => Ok(("sub", token.subject.to_owned())),
    }
}

/// A text that is there and not empty.
fn text_at<'a>(
    token: &Claimed<'_>,
    claim: &str,
    value: Option<&'a Value>,
) -> Result<Option<&'a str>, Error> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(invalid(token, claim, Purpose::San, Problem::NotAString))
        }
    }
}

fn of_sub(token: &Claimed<'_>, problem: Problem) -> Error {
    invalid(token, "sub", Purpose::San, problem)
}

/// Namespaces are labels, service accounts subdomains (Kubernetes, "Object Names and IDs").
fn is_kubernetes_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b);
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= MAX_KUBERNETES_NAME
        && text.bytes().all(allowed)
        && ends(text.bytes().next())
        && ends(text.bytes().last())
}

#[cfg(test)]
mod tests;
