//! Provider metadata (OpenID Connect Discovery 1.0 §3, §4.3), as much of it as a verifier needs.
//!
//! Three members are read: `issuer`, `jwks_uri` and `id_token_signing_alg_values_supported`.
//! The rest is about logins and may be absent: GitHub's document has no
//! `authorization_endpoint`, and no document has to.

use super::error::excerpt;
use super::jwks::MAX_JWKS_BYTES;
use super::{Algorithm, IssuerUrl};
use crate::json::{self, Object, Value};

/// Largest document accepted, in bytes.
pub const MAX_METADATA_BYTES: usize = MAX_JWKS_BYTES;

/// Why bytes are not the metadata of the expected issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// Over [`MAX_METADATA_BYTES`].
    #[error("provider metadata of {bytes} bytes is larger than {MAX_METADATA_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not acceptable JSON.
    #[error("provider metadata is not strict JSON")]
    NotJson(#[from] json::Error),
    /// A member that is needed is absent or of the wrong kind.
    #[error("provider metadata has no usable {member:?}")]
    Member {
        /// Its name.
        member: &'static str,
    },
    /// The document speaks for somebody else.
    #[error("provider metadata is for issuer {got:?}, expected {want}")]
    WrongIssuer {
        /// Its `issuer`, shortened.
        got: String,
        /// Whom it was asked of.
        want: IssuerUrl,
    },
    /// None of the announced algorithms is one we check.
    #[error("provider announces no signature algorithm that is accepted")]
    NoAlgorithm,
}

/// What a provider says about its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// The issuer, equal to the expected one byte for byte.
    pub issuer: IssuerUrl,
    /// Where its keys are said to be. Whether that place may be asked is decided by the fetcher.
    pub jwks_uri: String,
    /// Its algorithms that are ours too; RS256 where it names none.
    pub algorithms: Vec<Algorithm>,
}

impl ProviderMetadata {
    /// Reads the document found at `expected_issuer`.
    pub fn parse(bytes: &[u8], expected_issuer: &IssuerUrl) -> Result<Self, MetadataError> {
        if bytes.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge { bytes: bytes.len() });
        }
        let document = json::parse(bytes)?;
        let empty = Object::default();
        let document = document.as_object().unwrap_or(&empty);

        let issuer = text(document, "issuer")?;
        if issuer != expected_issuer.as_str() {
            return Err(MetadataError::WrongIssuer {
                got: excerpt(issuer),
                want: expected_issuer.clone(),
            });
        }
        Ok(Self {
            issuer: expected_issuer.clone(),
            jwks_uri: text(document, "jwks_uri")?.to_owned(),
            algorithms: algorithms(document)?,
        })
    }
}

fn text<'a>(document: &'a Object, member: &'static str) -> Result<&'a str, MetadataError> {
    let text = document.get(member).and_then(Value::as_str);
    text.ok_or(MetadataError::Member { member })
}

fn algorithms(document: &Object) -> Result<Vec<Algorithm>, MetadataError> {
    let member = "id_token_signing_alg_values_supported";
    let Some(announced) = document.get(member) else {
        return Ok(vec![Algorithm::Rs256]);
    };
    let announced = announced.as_array();
    let mut common = Vec::new();
    for name in announced.ok_or(MetadataError::Member { member })? {
        let name = name.as_str().ok_or(MetadataError::Member { member })?;
        common.extend(Algorithm::from_name(name));
    }
    if common.is_empty() {
        return Err(MetadataError::NoAlgorithm);
    }
    Ok(common)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::jwks::KeySet;
    use super::*;

    fn issuer() -> IssuerUrl {
        IssuerUrl::new("https://issuer.example").unwrap()
    }

    fn parse(document: &serde_json::Value) -> Result<ProviderMetadata, MetadataError> {
        ProviderMetadata::parse(document.to_string().as_bytes(), &issuer())
    }

    fn document() -> serde_json::Value {
        json!({
            "issuer": "https://issuer.example",
            "jwks_uri": "https://issuer.example/keys",
            "id_token_signing_alg_values_supported": ["HS256", "ES256", "none", "RS256"],
        })
    }

    #[test]
    fn the_documents_of_github_kubernetes_and_google_are_read() {
        macro_rules! provider {
            ($name:literal, $issuer:literal, $jwks_uri:literal, $keys:literal) => {
                let issuer = IssuerUrl::new($issuer).unwrap();
                let document = include_bytes!(concat!("../../testdata/discovery/", $name, ".json"));
                let metadata = ProviderMetadata::parse(document, &issuer).unwrap();
                assert_eq!(metadata.jwks_uri, $jwks_uri);
                assert_eq!(metadata.algorithms, [Algorithm::Rs256]);
                let keys =
                    include_bytes!(concat!("../../testdata/discovery/", $name, "-jwks.json"));
                let keys = KeySet::parse(keys).unwrap();
                assert_eq!((keys.len(), keys.skipped()), ($keys, &[][..]));
            };
        }
        provider!(
            "github",
            "https://token.actions.githubusercontent.com",
            "https://token.actions.githubusercontent.com/.well-known/jwks",
            2
        );
        provider!(
            "kubernetes",
            "https://kubernetes.default.svc.cluster.local",
            "https://kubernetes.default.svc.cluster.local/openid/v1/jwks",
            1
        );
        provider!(
            "google",
            "https://accounts.google.com",
            "https://www.googleapis.com/oauth2/v3/certs",
            2
        );
    }

    #[test]
    fn the_algorithms_are_theirs_and_ours() {
        let metadata = parse(&document()).unwrap();
        assert_eq!(metadata.algorithms, [Algorithm::Es256, Algorithm::Rs256]);

        let mut silent = document();
        let members = silent.as_object_mut().unwrap();
        members.remove("id_token_signing_alg_values_supported");
        assert_eq!(parse(&silent).unwrap().algorithms, [Algorithm::Rs256]);

        let mut foreign = document();
        foreign["id_token_signing_alg_values_supported"] = json!(["HS256", "none"]);
        assert_eq!(parse(&foreign), Err(MetadataError::NoAlgorithm));
    }

    #[test]
    fn a_document_speaks_only_for_the_issuer_it_was_asked_of() {
        for other in [
            "https://issuer.example/",
            "https://Issuer.example",
            "issuer.example",
        ] {
            let mut document = document();
            document["issuer"] = json!(other);
            let expected = MetadataError::WrongIssuer {
                got: other.into(),
                want: issuer(),
            };
            assert_eq!(parse(&document), Err(expected));
        }
    }

    #[test]
    fn a_member_that_is_needed_has_its_kind() {
        for (member, value) in [
            ("issuer", json!(null)),
            ("issuer", json!(["https://issuer.example"])),
            ("jwks_uri", json!(null)),
            ("jwks_uri", json!({})),
            ("id_token_signing_alg_values_supported", json!("RS256")),
            ("id_token_signing_alg_values_supported", json!([1])),
        ] {
            let mut document = document();
            document[member] = value;
            assert_eq!(parse(&document), Err(MetadataError::Member { member }));
        }
        assert_eq!(
            parse(&json!([])),
            Err(MetadataError::Member { member: "issuer" })
        );
    }

    #[test]
    fn a_document_is_strict_json_of_bounded_size() {
        let large = vec![b' '; MAX_METADATA_BYTES + 1];
        let bytes = large.len();
        assert_eq!(
            ProviderMetadata::parse(&large, &issuer()),
            Err(MetadataError::TooLarge { bytes })
        );
        let twice = document()
            .to_string()
            .replacen('{', "{\"jwks_uri\":\"x\",", 1);
        let error = ProviderMetadata::parse(twice.as_bytes(), &issuer()).unwrap_err();
        assert!(matches!(error, MetadataError::NotJson(_)));
    }
}
