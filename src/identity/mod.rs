//! Verified claims to identity: one SAN, the challenge, the Fulcio extensions.

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

/// What the extension `57264.1.<arc>` is called in Sigstore's registry of identifiers.
pub fn extension_name(arc: u8) -> Option<&'static str> {
    const NAMES: [&str; 24] = [
        "Issuer",
        "GitHub Workflow Trigger",
        "GitHub Workflow SHA",
        "GitHub Workflow Name",
        "GitHub Workflow Repository",
        "GitHub Workflow Ref",
        "",
        "Issuer (V2)",
        "Build Signer URI",
        "Build Signer Digest",
        "Runner Environment",
        "Source Repository URI",
        "Source Repository Digest",
        "Source Repository Ref",
        "Source Repository Identifier",
        "Source Repository Owner URI",
        "Source Repository Owner Identifier",
        "Build Config URI",
        "Build Config Digest",
        "Build Trigger",
        "Run Invocation URI",
        "Source Repository Visibility At Signing",
        "Deployment Environment",
        "Token Subject",
    ];
    // .7 is the otherName type of username identities: a name's type, not an extension.
    let name = NAMES.get(usize::from(arc.checked_sub(1)?))?;
    (!name.is_empty()).then_some(*name)
}
