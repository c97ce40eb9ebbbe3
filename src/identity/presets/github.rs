//! GitHub Actions: at github.com, with data residency, and on one's own server.
//!
//! The claims are the same; the address they are read against is the issuer's. An enterprise's own
//! issuer is pinned by its exact name: a family of them would be everybody's (fulcio#1087).

use super::claims;
use super::facts::{Audience, Facts, HOUR, Limits, MINUTE, Reading};
use super::site::{Place, Site, is_slug};
use crate::identity::{IdClaims, builtin};

const DOTCOM: &str = "token.actions.githubusercontent.com";

const LIMITS: Limits = Limits {
    max_token_age_s: 10 * MINUTE,
    // Documented are 5 minutes; 6 hours were seen in a real token.
    max_token_lifetime_s: 6 * HOUR,
    certificates_per_token: 1,
    why: "a job asks for a token whenever it needs one, so an old or used one is nobody's",
};

const IDS: IdClaims = IdClaims {
    any_of: &["repository_id", "repository_owner_id"],
    ref_kind: Some("ref_type"),
    event: Some("event_name"),
    runner: Some("runner_environment"),
    ..IdClaims::NONE
};

pub(super) const DOTCOM_OR_ENTERPRISE: Facts = Facts {
    word: "github",
    title: "GitHub",
    claims: claims::GITHUB,
    issuer: Some("https://token.actions.githubusercontent.com"),
    shape: "https://token.actions.githubusercontent.com, with /ENTERPRISE if yours has its own issuer",
    families: &[],
    place: |site| match (site.is(DOTCOM), &site.path[..]) {
        (true, []) => Place::at("https://github.com"),
        (true, [slug]) if is_slug(slug) => Place::at("https://github.com"),
        _ => None,
    },
    reading: Reading::Table(builtin::GITHUB),
    audience: Audience::Free,
    limits: LIMITS,
    ids: IDS,
    unverified: &[],
};

pub(super) const DATA_RESIDENCY: Facts = Facts {
    word: "github-data-residency",
    title: "GitHub",
    claims: claims::GITHUB,
    issuer: None,
    shape: "https://token.actions.SUBDOMAIN.ghe.com, with /SUBDOMAIN if yours has its own issuer",
    families: &[],
    place: residency,
    reading: Reading::Table(builtin::GITHUB),
    audience: Audience::Free,
    limits: LIMITS,
    ids: IDS,
    unverified: &[],
};

fn residency(site: &Site<'_>) -> Option<Place> {
    let subdomain = site.host.strip_prefix("token.actions.")?;
    let subdomain = subdomain.strip_suffix(".ghe.com")?;
    let own = match &site.path[..] {
        [] => true,
        [slug] => *slug == subdomain,
        _ => false,
    };
    let fits = is_slug(subdomain) && site.is(site.host) && own;
    fits.then(|| format!("https://{subdomain}.ghe.com"))
        .and_then(|instance| Place::at(&instance))
}

pub(super) const ENTERPRISE_SERVER: Facts = Facts {
    word: "github-enterprise-server",
    title: "GitHub",
    claims: claims::GITHUB,
    issuer: None,
    shape: "https://HOST/_services/token",
    families: &[],
    place: |site| {
        let instance = site.before(&["_services", "token"])?;
        let whole = instance == site.origin && site.host != DOTCOM;
        whole.then(|| Place::at(&instance)).flatten()
    },
    reading: Reading::Table(builtin::GITHUB),
    audience: Audience::Free,
    limits: LIMITS,
    ids: IDS,
    unverified: &["lifetime of its tokens: taken to be github.com's"],
};
