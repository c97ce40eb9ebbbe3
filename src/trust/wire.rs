//! The trust files, member for member, in the order they are written.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::{AuthorityEntry, Error, LogEntry, TrustInputs, Window, certificate};
use crate::ct::{KeyKind, LogKey};
use crate::time::UnixSeconds;

pub(super) const TRUSTED_ROOT: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
const SIGNING_CONFIG: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
const CLIENT_TRUST_CONFIG: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";

/// A message read from a JSON object alone. What serde derives takes a list of the members' values
/// for the object as well, which no other reader of these files does.
#[derive(Default, Serialize)]
#[serde(transparent)]
pub(super) struct Message<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Message<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        from.deserialize_map(Members(PhantomData)).map(Self)
    }
}

impl<T> Deref for Message<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TrustedRoot {
    pub(super) media_type: String,
    pub(super) certificate_authorities: Vec<Message<CertificateAuthority>>,
    #[serde(default)]
    pub(super) ctlogs: Vec<Message<TransparencyLog>>,
    #[serde(default, skip_deserializing)]
    pub(super) tlogs: Vec<()>,
    #[serde(default, skip_deserializing)]
    pub(super) timestamp_authorities: Vec<()>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateAuthority {
    #[serde(default)]
    pub(super) subject: Message<Subject>,
    #[serde(default)]
    pub(super) uri: String,
    pub(super) cert_chain: Message<CertificateChain>,
    pub(super) valid_for: Message<ValidFor>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subject {
    pub(super) organization: String,
    pub(super) common_name: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct CertificateChain {
    pub(super) certificates: Vec<Message<RawCertificate>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawCertificate {
    pub(super) raw_bytes: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ValidFor {
    pub(super) start: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TransparencyLog {
    pub(super) base_url: String,
    pub(super) hash_algorithm: String,
    pub(super) public_key: Message<PublicKey>,
    pub(super) log_id: Message<KeyId>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublicKey {
    pub(super) raw_bytes: String,
    pub(super) key_details: String,
    pub(super) valid_for: Message<ValidFor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeyId {
    pub(super) key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SigningConfig {
    pub(super) media_type: &'static str,
    pub(super) ca_urls: Vec<Service>,
    pub(super) oidc_urls: Vec<Service>,
    pub(super) rekor_tlog_urls: Vec<Service>,
    pub(super) tsa_urls: Vec<Service>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Service {
    pub(super) url: String,
    pub(super) major_api_version: u32,
    pub(super) valid_for: ValidFor,
    pub(super) operator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientTrustConfig {
    pub(super) media_type: &'static str,
    pub(super) trusted_root: TrustedRoot,
    pub(super) signing_config: SigningConfig,
}

impl TrustedRoot {
    pub(super) fn of(inputs: &TrustInputs) -> Result<Self, Error> {
        if inputs.authorities.is_empty() {
            return Err(Error::NoAuthority);
        }
        let authorities = inputs.authorities.iter().map(CertificateAuthority::of);
        let logs = inputs.logs.iter().map(TransparencyLog::of);
        Ok(Self {
            media_type: TRUSTED_ROOT.into(),
            certificate_authorities: authorities
                .map(|one| one.map(Message))
                .collect::<Result<_, _>>()?,
            ctlogs: logs.map(|one| one.map(Message)).collect::<Result<_, _>>()?,
            tlogs: vec![],
            timestamp_authorities: vec![],
        })
    }
}

impl ClientTrustConfig {
    pub(super) fn of(inputs: &TrustInputs) -> Result<Self, Error> {
        Ok(Self {
            media_type: CLIENT_TRUST_CONFIG,
            trusted_root: TrustedRoot::of(inputs)?,
            signing_config: SigningConfig::of(inputs)?,
        })
    }
}

impl CertificateAuthority {
    pub(super) fn of(entry: &AuthorityEntry) -> Result<Self, Error> {
        let uri = || entry.uri.clone();
        let Some((root, below)) = entry.chain.split_last() else {
            return Err(Error::EmptyChain { uri: uri() });
        };
        let position = below.len();
        // The message asks for the subject of the root; the chain has the rest.
        let read = certificate(root).ok_or_else(|| Error::Certificate {
            uri: uri(),
            position,
        })?;
        let certificates = entry.chain.iter().map(|der| {
            Message(RawCertificate {
                raw_bytes: BASE64.encode(der),
            })
        });
        Ok(Self {
            subject: Message(Subject::of(read.subject())),
            uri: uri(),
            cert_chain: Message(CertificateChain {
                certificates: certificates.collect(),
            }),
            valid_for: Message(ValidFor::new(entry.valid_from, entry.valid_to)),
        })
    }
}

impl Subject {
    fn of(name: &X509Name<'_>) -> Self {
        let text = |attribute: Option<&AttributeTypeAndValue<'_>>| {
            let text = attribute.and_then(|a| a.as_str().ok());
            text.unwrap_or_default().to_owned()
        };
        Self {
            organization: text(name.iter_organization().next()),
            common_name: text(name.iter_common_name().next()),
        }
    }
}

impl TransparencyLog {
    pub(super) fn of(entry: &LogEntry) -> Result<Self, Error> {
        let log = || entry.base_url.clone();
        let key = LogKey::from_spki_der(&entry.spki)
            .map_err(|source| Error::LogKey { log: log(), source })?;
        Ok(Self {
            base_url: log(),
            hash_algorithm: "SHA2_256".into(),
            public_key: Message(PublicKey {
                raw_bytes: BASE64.encode(&entry.spki),
                key_details: key_details(key.kind(), &entry.base_url)?.into(),
                // sigstore-go refuses a log without a start.
                valid_for: Message(ValidFor::new(entry.valid_from, None)),
            }),
            log_id: Message(KeyId {
                key_id: BASE64.encode(key.id().0),
            }),
        })
    }
}

/// `PublicKeyDetails` of Sigstore's protobufs. The number in an RSA name is the exact length of the
/// modulus; those marked deprecated there are of no fixed length, and nothing is written with them.
fn key_details(kind: KeyKind, log: &str) -> Result<&'static str, Error> {
    match kind {
        KeyKind::EcdsaP256 => Ok("PKIX_ECDSA_P256_SHA_256"),
        KeyKind::Rsa { bits: 2048 } => Ok("PKIX_RSA_PKCS1V15_2048_SHA256"),
        KeyKind::Rsa { bits: 3072 } => Ok("PKIX_RSA_PKCS1V15_3072_SHA256"),
        KeyKind::Rsa { bits: 4096 } => Ok("PKIX_RSA_PKCS1V15_4096_SHA256"),
        KeyKind::Rsa { bits } => Err(Error::LogKeyLength {
            log: log.to_owned(),
            bits,
        }),
    }
}

impl SigningConfig {
    pub(super) fn of(inputs: &TrustInputs) -> Result<Self, Error> {
        let starts = inputs.authorities.iter().map(|entry| entry.valid_from);
        let start = starts.min().ok_or(Error::NoAuthority)?;
        Ok(Self {
            media_type: SIGNING_CONFIG,
            ca_urls: vec![Service {
                url: inputs.base_url.clone(),
                // The version of the API's meaning; its path says v2.
                major_api_version: 1,
                valid_for: ValidFor::new(start, None),
                operator: inputs.operator.clone(),
            }],
            oidc_urls: vec![],
            rekor_tlog_urls: vec![],
            tsa_urls: vec![],
        })
    }
}

impl ValidFor {
    fn new(start: UnixSeconds, end: Option<UnixSeconds>) -> Self {
        Self {
            start: start.to_string(),
            end: end.map(|end| end.to_string()),
        }
    }

    pub(super) fn window(&self) -> Result<Window, Error> {
        let end = self.end.as_deref().map(moment).transpose()?;
        let start = moment(&self.start)?;
        Ok(Window { start, end })
    }
}

fn moment(text: &str) -> Result<UnixSeconds, Error> {
    let read: Result<jiff::Timestamp, _> = text.parse();
    read.map(|at| UnixSeconds(at.as_second()))
        .map_err(|_| Error::Time { got: text.into() })
}
