//! What runs rather than builds, and people: AWS roles, Google accounts, Kubernetes and SPIFFE
//! workloads, Chainguard identities, and addresses of any other provider.

use super::claims;
use super::facts::{Audience, DAY, Facts, HOUR, Limits, MINUTE, Reading, SEVERAL};
use super::site::{Place, Site, is_slug};
use crate::identity::{Definition, IdClaims};

/// A subject is all there is.
const SUBJECT: IdClaims = IdClaims {
    names: &["sub"],
    ..IdClaims::NONE
};

/// The address of any instance, whatever its path; a slash at its end is part of its name.
fn anywhere(site: &Site<'_>) -> Option<Place> {
    Place::at(site.origin)
}

/// An AWS account's own issuer for `sts:GetWebIdentityToken`. An ARN is no URL, so the name is the
/// issuer's address with the ARN as its path: unique, and of this account by its very beginning.
pub(super) const AWS: Facts = Facts {
    word: "aws",
    title: "AWS",
    claims: claims::AWS,
    issuer: None,
    shape: "https://ID.tokens.sts.global.api.aws, where ID is your account's",
    families: &[],
    place: |site| {
        let id = site.host.strip_suffix(".tokens.sts.global.api.aws")?;
        let fits = is_slug(id) && site.is(site.host) && site.path.is_empty();
        fits.then(|| Place::at(site.origin)).flatten()
    },
    reading: Reading::Table(Definition {
        required: &["sub"],
        begins: &[("sub", "arn:")],
        san: "{instance}/{{ .sub }}",
        ..Definition::EMPTY
    }),
    audience: Audience::Free,
    limits: Limits {
        // The caller chooses 1 to 60 minutes, and gets 5.
        max_token_age_s: 10 * MINUTE,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "a token is asked for by a call of its own, then put where cosign reads it for each image",
    },
    ids: SUBJECT,
    unverified: &[],
};

pub(super) const GOOGLE: Facts = Facts {
    word: "google",
    title: "Google",
    claims: claims::GOOGLE,
    issuer: Some("https://accounts.google.com"),
    shape: "https://accounts.google.com",
    families: &[],
    place: |site| site.only("accounts.google.com", site.origin),
    reading: Reading::Email,
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: HOUR,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "a metadata server may hand out one token of an hour again until it is nearly over",
    },
    ids: IdClaims {
        names: &["email"],
        ..IdClaims::NONE
    },
    unverified: &["that the metadata server keeps identity tokens, as it does access tokens"],
};

/// A cluster, in whatever cloud or none. AKS names its issuers with and without a slash at the
/// end, and discovery compares exactly (fulcio#2265): each form is a family of its own.
pub(super) const KUBERNETES: Facts = Facts {
    word: "kubernetes",
    title: "Kubernetes",
    claims: claims::KUBERNETES,
    issuer: None,
    shape: "the https address that the cluster's tokens have as iss",
    families: &[
        "https://oidc.eks.*.amazonaws.com/id/*",
        "https://container.googleapis.com/v1/projects/*/locations/*/clusters/*",
        "https://*.oic.prod-aks.azure.com/*/*",
        "https://*.oic.prod-aks.azure.com/*/*/",
        "https://oidc.prod-aks.azure.com/*",
        "https://oidc.prod-aks.azure.com/*/",
        "https://oidc.prod-aks.azure.com/*/*",
    ],
    place: anywhere,
    reading: Reading::Kubernetes,
    audience: Audience::Free,
    limits: Limits {
        // The kubelet replaces a token after 80 % of its life, or after 24 hours.
        max_token_age_s: DAY,
        max_token_lifetime_s: DAY,
        // A build controller signs all its cluster makes with the token it was last given.
        certificates_per_token: 256,
        why: "the kubelet writes a token long before it is used, and every reader gets the same",
    },
    ids: IdClaims {
        names: &[
            "/kubernetes.io/namespace",
            "/kubernetes.io/serviceaccount/name",
        ],
        ..IdClaims::NONE
    },
    unverified: &[],
};

pub(super) const SPIFFE: Facts = Facts {
    word: "spiffe",
    title: "SPIFFE",
    claims: claims::ANY,
    issuer: None,
    shape: "the https address of the trust domain's discovery provider",
    families: &[],
    place: anywhere,
    reading: Reading::Spiffe,
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: HOUR,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "an agent keeps a JWT-SVID and hands it out until half its life is over",
    },
    ids: SUBJECT,
    unverified: &["that other agents than SPIRE's keep tokens at most an hour"],
};

pub(super) const CHAINGUARD: Facts = Facts {
    word: "chainguard",
    title: "Chainguard",
    claims: claims::CHAINGUARD,
    issuer: Some("https://issuer.enforce.dev"),
    shape: "https://issuer.enforce.dev",
    families: &[],
    place: |site| site.only("issuer.enforce.dev", site.origin),
    reading: Reading::Chainguard,
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: HOUR,
        max_token_lifetime_s: HOUR,
        certificates_per_token: SEVERAL,
        why: "a token is exchanged for by a call of its own, then put where cosign reads it for each image",
    },
    ids: IdClaims {
        any_of: &["sub"],
        ..IdClaims::NONE
    },
    unverified: &["lifetime of its tokens: taken to be at most an hour"],
};

pub(super) const EMAIL: Facts = Facts {
    word: "email",
    title: "these",
    claims: claims::ANY,
    issuer: None,
    shape: "the https address of an OpenID Connect provider",
    families: &[],
    place: anywhere,
    reading: Reading::Email,
    audience: Audience::Free,
    limits: Limits {
        max_token_age_s: 10 * MINUTE,
        // Dex gives a day unless it is told otherwise.
        max_token_lifetime_s: DAY,
        certificates_per_token: 1,
        why: "somebody has just logged in to sign one thing",
    },
    ids: IdClaims {
        names: &["email"],
        ..IdClaims::NONE
    },
    unverified: &[],
};
