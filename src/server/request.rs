//! Signing requests as real clients write them, read by our own reader over [`json`]: the proto3
//! JSON mapping of Fulcio's messages, tolerant where clients differ and strict where two readers
//! could disagree.
//!
//! Tolerated: camelCase or snake_case, unknown members, `null` for absent, anything at all as
//! `algorithm`, either base64 alphabet with or without padding, an empty body. Refused: one field
//! under two names, both members of a oneof, a member of the wrong type. Tokens, keys and proofs
//! are not looked into here.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Problem;
use crate::fault::Reason;
use crate::issuance::Proof;
use crate::json::{self, Object, Value};

/// Token and proof, taken out of whichever envelope they came in.
pub(super) struct Asked {
    pub(super) token: String,
    pub(super) proof: Proof,
}

/// Reads one door's envelope.
pub(super) type Reader = fn(&HeaderMap, &[u8]) -> Result<Asked, Problem>;

/// `dev.sigstore.fulcio.v2.CreateSigningCertificateRequest`.
pub(super) fn v2(headers: &HeaderMap, body: &[u8]) -> Result<Asked, Problem> {
    let body = parse(body)?;
    let request = Message(Some(&body));
    let credentials = request.message(CREDENTIALS)?.unwrap_or_default();
    let in_body = credentials.string(OIDC_IDENTITY_TOKEN)?.unwrap_or_default();
    let key = request.message(PUBLIC_KEY_REQUEST)?;
    let csr = request.bytes(CERTIFICATE_SIGNING_REQUEST)?;
    let proof = match (key, csr) {
        (Some(_), Some(_)) => {
            return Err(Malformed::OneofTwice(
                PUBLIC_KEY_REQUEST.camel,
                CERTIFICATE_SIGNING_REQUEST.camel,
            )
            .into());
        }
        (None, Some(csr)) => Proof::Csr(csr),
        (key, None) => {
            let key = key.unwrap_or_default();
            let public_key = key.message(PUBLIC_KEY)?.unwrap_or_default();
            // Without a key this stays empty and is refused as such, but after the token.
            Proof::Signature {
                public_key: public_key.string(CONTENT)?.unwrap_or_default().into(),
                signature: key.bytes(PROOF_OF_POSSESSION)?.unwrap_or_default(),
            }
        }
    };
    let token = match in_body {
        "" => from_header(headers)?,
        token => token.to_owned(),
    };
    Ok(Asked { token, proof })
}

/// `dev.sigstore.fulcio.v1beta.CreateSigningCertificateRequest`: the token only in the header,
/// the key as bytes, and no oneof: a request in it wins over a key.
pub(super) fn v1(headers: &HeaderMap, body: &[u8]) -> Result<Asked, Problem> {
    let body = parse(body)?;
    let request = Message(Some(&body));
    let public_key = request.message(PUBLIC_KEY)?.unwrap_or_default();
    let content = public_key.bytes(CONTENT)?.unwrap_or_default();
    let signature = request.bytes(SIGNED_EMAIL_ADDRESS)?.unwrap_or_default();
    let csr = request.bytes(CERTIFICATE_SIGNING_REQUEST)?;
    let proof = match csr {
        Some(csr) if !csr.is_empty() => Proof::Csr(csr),
        _ => Proof::Signature {
            public_key: content,
            signature,
        },
    };
    let token = from_header(headers)?;
    Ok(Asked { token, proof })
}

/// The token in `Authorization`, with its scheme or bare.
fn from_header(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(missing()),
        (Some(value), None) => value,
        // Which of two tokens counts is not ours to guess.
        (Some(_), Some(_)) => {
            return Err(Problem::new(Reason::TokenMalformed)
                .detail("there is more than one Authorization header"));
        }
    };
    let text = value.to_str().map_err(|_| {
        Problem::new(Reason::TokenMalformed).detail("the Authorization header is not ASCII")
    })?;
    let token = match text.split_at_checked(BEARER.len()) {
        // The scheme is case-insensitive (RFC 9110 §11.1).
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(BEARER) => token.trim_matches(' '),
        _ if text.eq_ignore_ascii_case(BEARER.trim_end()) => "",
        _ => text,
    };
    if token.is_empty() {
        return Err(missing());
    }
    Ok(token.to_owned())
}

const BEARER: &str = "Bearer ";

fn missing() -> Problem {
    Problem::new(Reason::TokenMissing).detail("the request carries no token")
}

/// A field's two names in proto3 JSON.
#[derive(Clone, Copy)]
struct Field {
    camel: &'static str,
    snake: &'static str,
}

const fn field(camel: &'static str, snake: &'static str) -> Field {
    Field { camel, snake }
}

const CREDENTIALS: Field = field("credentials", "credentials");
const OIDC_IDENTITY_TOKEN: Field = field("oidcIdentityToken", "oidc_identity_token");
const PUBLIC_KEY_REQUEST: Field = field("publicKeyRequest", "public_key_request");
const PUBLIC_KEY: Field = field("publicKey", "public_key");
const CONTENT: Field = field("content", "content");
const PROOF_OF_POSSESSION: Field = field("proofOfPossession", "proof_of_possession");
const SIGNED_EMAIL_ADDRESS: Field = field("signedEmailAddress", "signed_email_address");
const CERTIFICATE_SIGNING_REQUEST: Field =
    field("certificateSigningRequest", "certificate_signing_request");

/// A message as its JSON object; an absent one has no fields.
#[derive(Clone, Copy, Default)]
struct Message<'a>(Option<&'a Object>);

impl<'a> Message<'a> {
    /// The field's value under either name; `null` is absent, both names are one too many.
    fn value(self, field: Field) -> Result<Option<&'a Value>, Malformed> {
        let get = |name| self.0.and_then(|object| object.get(name));
        let value = match (get(field.camel), get(field.snake)) {
            (Some(_), Some(_)) if field.camel != field.snake => {
                return Err(Malformed::TwoNames(field.camel, field.snake));
            }
            (camel, snake) => camel.or(snake),
        };
        Ok(value.filter(|value| **value != Value::Null))
    }

    fn message(self, field: Field) -> Result<Option<Self>, Malformed> {
        let as_message = |value: &'a Value| match value.as_object() {
            Some(object) => Ok(Self(Some(object))),
            None => Err(Malformed::WrongType(field.camel, "an object")),
        };
        self.value(field)?.map(as_message).transpose()
    }

    fn string(self, field: Field) -> Result<Option<&'a str>, Malformed> {
        let as_string = |value: &'a Value| match value.as_str() {
            Some(text) => Ok(text),
            None => Err(Malformed::WrongType(field.camel, "a string")),
        };
        self.value(field)?.map(as_string).transpose()
    }

    fn bytes(self, field: Field) -> Result<Option<Vec<u8>>, Malformed> {
        let as_bytes = |text| match decode(text) {
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(Malformed::WrongType(field.camel, "base64")),
        };
        self.string(field)?.map(as_bytes).transpose()
    }
}

/// The outermost object. A body of no bytes is an empty one.
fn parse(body: &[u8]) -> Result<Object, Malformed> {
    if body.is_empty() {
        return Ok(Object::default());
    }
    match json::parse(body)? {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Malformed::NotAnObject)
        }
    }
}

/// Base64 (RFC 4648 §4 or §5, never a mixture), padded or not.
fn decode(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    const ANY_PADDING: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
    if text.contains(['-', '_']) {
        URL_SAFE.decode(text)
    } else {
        STANDARD.decode(text)
    }
}

/// Why a body is not one of our messages. Quotes field names, never values.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Malformed {
    #[error(transparent)]
    Json(#[from] json::Error),
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("{0} and {1} are the same field")]
    TwoNames(&'static str, &'static str),
    #[error("only one of {0} and {1} may be given")]
    OneofTwice(&'static str, &'static str),
    #[error("{0} is not {1}")]
    WrongType(&'static str, &'static str),
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Self::new(Reason::RequestMalformed).detail(malformed.to_string())
    }
}
