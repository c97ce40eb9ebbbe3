//! Which claims of a provider identify things for good, and which only name them.

/// The claims by which a provider identifies things for good.
///
/// Names of repositories, projects and organisations can be given up and taken by somebody else;
/// these numbers cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdClaims {
    /// Claims of which a rule has to name one. Empty where the provider has names only.
    pub any_of: &'static [&'static str],
    /// What the provider has instead, where `any_of` is empty.
    pub names: &'static [&'static str],
    /// The claim that says what kind of ref `ref` is.
    pub ref_kind: Option<&'static str>,
    /// The claim that says what started the job, where anyone may start one by a pull request.
    pub event: Option<&'static str>,
    /// The claim that tells the provider's own runners from others.
    pub runner: Option<&'static str>,
}

impl IdClaims {
    /// None of them, to be added to in a constant.
    pub const NONE: Self = Self {
        any_of: &[],
        names: &[],
        ref_kind: None,
        event: None,
        runner: None,
    };
}
