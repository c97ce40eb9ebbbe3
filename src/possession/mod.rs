//! The caller's key, and the proof that the caller holds it.

/// The kind of a subject key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum KeyKind {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
}

/// A public key that its sender has shown to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PossessedKey {
    spki_der: Vec<u8>,
    kind: KeyKind,
}

impl PossessedKey {
    /// SubjectPublicKeyInfo, canonical DER.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki_der
    }
    /// The kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }
}
