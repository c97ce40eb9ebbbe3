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
