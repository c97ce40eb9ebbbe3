//! Kinds of key, the signatures they make, and the list of pairs an operator certifies.
//!
//! Names are Fulcio's (`--client-signing-algorithms`), so its setting can be carried over. Not
//! offered are the ones it lists and cannot check a proof for: RSA-PSS and Ed25519ph.

use std::fmt;

/// The kind of a subject key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the standards' own")]
pub enum KeyKind {
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Ed25519,
}

impl KeyKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];

    /// Fulcio's name for this kind together with its [`scheme`](Self::scheme).
    pub fn algorithm_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa-sha2-256-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-384-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-512-nistp521",
            Self::Rsa2048 => "rsa-sign-pkcs1-2048-sha256",
            Self::Rsa3072 => "rsa-sign-pkcs1-3072-sha256",
            Self::Rsa4096 => "rsa-sign-pkcs1-4096-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The one scheme this kind proves possession with; no other pair can be permitted.
    pub fn scheme(self) -> Scheme {
        match self {
            Self::EcdsaP256 => Scheme::Ecdsa(Hash::Sha256),
            Self::EcdsaP384 => Scheme::Ecdsa(Hash::Sha384),
            Self::EcdsaP521 => Scheme::Ecdsa(Hash::Sha512),
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => Scheme::RsaPkcs1(Hash::Sha256),
            Self::Ed25519 => Scheme::Ed25519,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            Self::EcdsaP521 => "P-521",
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A hash of the SHA-2 family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the standards' own")]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// A signature scheme, as a signing request names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ECDSA over a hash (RFC 5758 §3.2).
    Ecdsa(Hash),
    /// RSASSA-PKCS1-v1_5 over a hash (RFC 4055 §5).
    RsaPkcs1(Hash),
    /// Pure Ed25519 (RFC 8410 §3).
    Ed25519,
}

/// AlgorithmIdentifier content octets. Parameters belong to the identifier and are compared with
/// it: absent for ECDSA and Ed25519, NULL for RSA.
const IDENTIFIERS: &[(&[u8], Scheme)] = &[
    (
        b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
        Scheme::Ecdsa(Hash::Sha256),
    ),
    (
        b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
        Scheme::Ecdsa(Hash::Sha384),
    ),
    (
        b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
        Scheme::Ecdsa(Hash::Sha512),
    ),
    (
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
        Scheme::RsaPkcs1(Hash::Sha256),
    ),
    (
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
        Scheme::RsaPkcs1(Hash::Sha384),
    ),
    (
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
        Scheme::RsaPkcs1(Hash::Sha512),
    ),
    (b"\x06\x03\x2b\x65\x70", Scheme::Ed25519),
];

impl Scheme {
    /// The scheme that the content octets of an AlgorithmIdentifier name, parameters included.
    pub(super) fn from_identifier(content: &[u8]) -> Option<Self> {
        IDENTIFIERS
            .iter()
            .find_map(|(octets, scheme)| (*octets == content).then_some(*scheme))
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecdsa(Hash::Sha256) => "ECDSA-SHA256",
            Self::Ecdsa(Hash::Sha384) => "ECDSA-SHA384",
            Self::Ecdsa(Hash::Sha512) => "ECDSA-SHA512",
            Self::RsaPkcs1(Hash::Sha256) => "RSA-SHA256",
            Self::RsaPkcs1(Hash::Sha384) => "RSA-SHA384",
            Self::RsaPkcs1(Hash::Sha512) => "RSA-SHA512",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// The key and hash pairs an instance certifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlgorithmList {
    permitted: Vec<KeyKind>,
}

/// A configured name that is none of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a signing algorithm this build can check a proof for")]
pub struct UnknownAlgorithm {
    /// The name as configured.
    pub name: String,
}

impl AlgorithmList {
    /// Every pair we can check a proof for: the default.
    pub fn all() -> Self {
        Self {
            permitted: KeyKind::ALL.to_vec(),
        }
    }

    /// Only the pairs with these names.
    pub fn from_names<S: AsRef<str>>(
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, UnknownAlgorithm> {
        let kind = |name: S| {
            let name = name.as_ref();
            let known = KeyKind::ALL.iter().find(|k| k.algorithm_name() == name);
            known.copied().ok_or_else(|| UnknownAlgorithm {
                name: name.to_owned(),
            })
        };
        let permitted = names.into_iter().map(kind).collect::<Result<_, _>>()?;
        Ok(Self { permitted })
    }

    /// The names, as [`Self::from_names`] takes them.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.permitted.iter().map(|kind| kind.algorithm_name())
    }

    /// Whether a signature of this scheme by this kind of key is on the list.
    pub(super) fn permits(&self, kind: KeyKind, scheme: Scheme) -> bool {
        scheme == kind.scheme() && self.permitted.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_takes_back_the_names_it_gives() {
        let names: Vec<_> = AlgorithmList::all().names().collect();
        assert_eq!(names.len(), 7);
        assert_eq!(AlgorithmList::from_names(names), Ok(AlgorithmList::all()));
    }

    #[test]
    fn a_name_whose_proofs_cannot_be_checked_is_refused() {
        let name = "rsa-sign-pss-2048-sha256".to_owned();
        assert_eq!(
            AlgorithmList::from_names(["ed25519", &name]),
            Err(UnknownAlgorithm { name })
        );
    }

    #[test]
    fn a_kind_is_permitted_with_its_own_hash_only() {
        let list = AlgorithmList::from_names(["ecdsa-sha2-384-nistp384"]).unwrap();
        assert!(list.permits(KeyKind::EcdsaP384, Scheme::Ecdsa(Hash::Sha384)));
        assert!(!list.permits(KeyKind::EcdsaP384, Scheme::Ecdsa(Hash::Sha256)));
        assert!(!list.permits(KeyKind::EcdsaP256, Scheme::Ecdsa(Hash::Sha256)));
    }

    #[test]
    fn an_identifier_with_other_parameters_names_nothing() {
        let rsa = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
        assert_eq!(
            Scheme::from_identifier(rsa),
            Some(Scheme::RsaPkcs1(Hash::Sha256))
        );
        assert_eq!(Scheme::from_identifier(&rsa[..11]), None);
        let ecdsa_with_null = b"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\x05\x00";
        assert_eq!(Scheme::from_identifier(ecdsa_with_null), None);
    }
}
