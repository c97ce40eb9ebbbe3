//! Where shortleaf's leaf may differ from Fulcio's for the same token and key under the same CA,
//! and why. Whatever is not in this table must be equal, byte for byte and in the same order.

/// A part of a certificate that is not compared.
pub(crate) struct Difference {
    /// Which part: a field by its RFC 5280 name, an extension by its object identifier.
    pub(crate) part: &'static str,
    /// Why it differs, and why that is right.
    pub(crate) why: &'static str,
}

/// All of them.
pub(crate) const DELIBERATE: &[Difference] = &[
    Difference {
        part: "serialNumber",
        why: "random on both sides; ours is always 19 octets and names the instance",
    },
    Difference {
        part: "validity",
        why: "two clocks; ours ends one second earlier, so that both ends count and the life is \
              exactly ten minutes",
    },
    Difference {
        part: "signatureValue",
        why: "over other bytes, and ECDSA is not deterministic",
    },
    Difference {
        part: "1.3.6.1.4.1.11129.2.4.2",
        why: "the SCT list: Fulcio runs without a log here, shortleaf issues nothing without one",
    },
];

/// An extension that only shortleaf's certificate for an identity in `types.rs` has.
pub(crate) struct Further {
    /// Whose.
    pub(crate) identity: &'static str,
    /// Its object identifier.
    pub(crate) part: &'static str,
    /// Why it is there.
    pub(crate) why: &'static str,
}

/// All of them.
pub(crate) const FURTHER: &[Further] = &[Further {
    identity: "github-workflow-environment",
    part: "1.3.6.1.4.1.57264.1.23",
    why: "Fulcio's coded type for GitHub is older than the extension for the environment, which \
          its template for the same tokens has; here both say the same",
}];

/// A claim that shortleaf wants and Fulcio does without.
pub(crate) struct Stricter {
    /// Which.
    pub(crate) claim: &'static str,
    /// Of which identities in `types.rs`.
    pub(crate) identities: &'static [&'static str],
    /// What Fulcio makes of a token without it, and why that is no identity.
    pub(crate) why: &'static str,
}

/// All of them. Where neither refuses, the certificates are compared like any other.
pub(crate) const STRICTER: &[Stricter] = &[
    Stricter {
        claim: "kubernetes.io",
        identities: &["kubernetes"],
        why: "a name without namespace and service account, which every cluster's tokens could \
              have",
    },
    Stricter {
        claim: "account_name",
        identities: &["codefresh-workflow"],
        why: "a name that lacks a step of its path: another account's pipeline could be read \
              into it",
    },
    Stricter {
        claim: "pipeline_name",
        identities: &["codefresh-workflow"],
        why: "a name whose pipeline is empty",
    },
    Stricter {
        claim: "oidc.circleci.com/project-id",
        identities: &["ci-circleci", "ci-circleci-ssh"],
        why: "`index` of what is not there is empty in Go, and the name is that of no project",
    },
    Stricter {
        claim: "oidc.circleci.com/pipeline-definition-id",
        identities: &["ci-circleci", "ci-circleci-ssh"],
        why: "the same; the name is that of every pipeline of the project",
    },
];
