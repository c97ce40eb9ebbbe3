//! What there is to know of a provider, in one shape for all.

use super::site::{Place, Site};
use crate::identity::{Definition, IdClaims};

/// A provider as its file writes it down.
pub(super) struct Facts {
    /// Its word in configuration.
    pub(super) word: &'static str,
    /// Whose its tokens are, in words.
    pub(super) title: &'static str,
    /// The claims they have beside the registered ones; none where whoever runs it chooses.
    pub(super) claims: &'static [&'static str],
    /// The issuer, where there is only one.
    pub(super) issuer: Option<&'static str>,
    /// The issuers it is for, in words.
    pub(super) shape: &'static str,
    /// Families of issuers that are one provider's.
    pub(super) families: &'static [&'static str],
    /// Whether this is one of its issuers, and what the URL says.
    pub(super) place: fn(&Site<'_>) -> Option<Place>,
    /// How its claims become an identity.
    pub(super) reading: Reading,
    /// What its tokens are for.
    pub(super) audience: Audience,
    /// How long and how often one of its tokens is taken.
    pub(super) limits: Limits,
    /// What rules should ask for.
    pub(super) ids: IdClaims,
    /// What no public source says, and was taken to be so.
    pub(super) unverified: &'static [&'static str],
}

/// How a provider's claims become an identity.
pub(super) enum Reading {
    Email,
    Spiffe,
    Kubernetes,
    Chainguard,
    /// By templates, with `{instance}`, `{host}` and `{account}` from the issuer's URL.
    Table(Definition<'static>),
}

/// What a provider writes into `aud`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// What the caller asks for: this CA's own address is best.
    Free,
    /// This, unless the caller asks for something else; `{account}` is the issuer's account.
    Usual(&'static str),
    /// This and nothing else: the same token is taken wherever that audience is.
    Fixed(&'static str),
}

/// How long and how often one token is taken, unless configuration says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest age since `iat`, in seconds.
    pub max_token_age_s: i64,
    /// Largest `exp − iat`, in seconds.
    pub max_token_lifetime_s: i64,
    /// How many different keys one token may have certified.
    pub certificates_per_token: u32,
    /// Why these.
    pub why: &'static str,
}

pub(super) const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// Images a job signs with the token in its environment, of which cosign reads the same one for
/// each. Not measured; a job that signs more needs a higher number.
pub(super) const SEVERAL: u32 = 16;
