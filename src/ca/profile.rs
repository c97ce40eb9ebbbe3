//! Certificate profiles: what a leaf may contain and how long it lives.

/// SHA-256 over the profile's canonical description; stands in every audit line and record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProfileHash(pub [u8; 32]);

/// The profile of the leaves this instance issues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafProfile {
    /// A name; a changed profile is a new name.
    pub name: String,
    /// Seconds from notBefore to notAfter, both ends counted: notAfter = notBefore + lifetime − 1.
    pub lifetime_s: u32,
    /// Seconds notBefore lies before the request, 0 to 30.
    pub backdate_s: u32,
    /// `http` URL of the leaf CRL, if there is one.
    pub crl_url: Option<String>,
}

impl LeafProfile {
    /// The hash of every field above and of the extension order.
    pub fn hash(&self) -> ProfileHash {
        todo!()
    }
}
