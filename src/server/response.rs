//! Certificates, bundles and configuration as they leave: Fulcio's proto3 JSON and PEM, to the
//! byte. One top-level key and no other: sigstore-rs refuses an answer with a key it does not know.

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::issuance::Issued;
use crate::x509::pem;

const CERTIFICATE: &str = "CERTIFICATE";

/// What `/healthz` says while the process lives. It is no statement about being able to issue.
pub(super) const SERVING: &str = r#"{"status":"SERVING"}"#;

/// An issuer as `GET /api/v2/configuration` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OidcIssuer {
    /// Its exact URL, or the pattern of a family of issuers.
    #[serde(flatten)]
    pub name: IssuerName,
    /// The audience a token must have.
    pub audience: String,
    /// The claim the proof of possession signs.
    pub challenge_claim: String,
    /// For SPIFFE issuers, else empty.
    pub spiffe_trust_domain: String,
    /// Fulcio's word for how claims become an identity: `email`, `ci-provider`, …
    pub issuer_type: String,
    /// For issuers of type `uri` and `username`, else empty.
    pub subject_domain: String,
    /// Whether an address counts although the issuer does not vouch for it.
    pub skip_email_verification: bool,
}

/// The oneof of OIDCIssuer. Its order is the answer's: fixed issuers first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum IssuerName {
    /// The `iss` of every token of this issuer.
    #[serde(rename = "issuerUrl")]
    Url(String),
    /// A pattern with `*`.
    #[serde(rename = "wildcardIssuerUrl")]
    Wildcard(String),
}

#[derive(Serialize)]
struct CertificateChain {
    certificates: Vec<String>,
}

#[derive(Serialize)]
struct TrustBundle {
    chains: Vec<CertificateChain>,
}

#[derive(Serialize)]
struct Configuration {
    issuers: Vec<OidcIssuer>,
}

/// A CA's chain as it stands in every answer, written once.
pub(super) struct WrittenChain {
    certificates: Vec<Vec<u8>>,
    /// JSON strings, each after a comma.
    json: String,
}

impl WrittenChain {
    pub(super) fn new(certificates: &[Vec<u8>]) -> Self {
        let mut json = String::new();
        for der in certificates {
            json.push(',');
            put_armoured(&mut json, der);
        }
        let certificates = certificates.to_vec();
        Self { certificates, json }
    }
}

/// `SigningCertificate` of v2: leaf, its issuer, …, root. Written by hand: there is nothing in it
/// that would have to be escaped but the ends of lines.
pub(super) fn v2(issued: &Issued, active: &WrittenChain) -> Response<Body> {
    let (kind, rest) = match issued.sct_embedded {
        true => ("signedCertificateEmbeddedSct", "]}}}"),
        // Certificate logging is off: there is no timestamp, and Fulcio writes the empty scalar.
        false => (
            "signedCertificateDetachedSct",
            r#"]},"signedCertificateTimestamp":""}}"#,
        ),
    };
    let mut body = String::with_capacity(2 * issued.leaf_der.len() + active.json.len() + 256);
    for part in ["{\"", kind, r#"":{"chain":{"certificates":["#] {
        body.push_str(part);
    }
    put_armoured(&mut body, &issued.leaf_der);
    if *issued.chain == active.certificates {
        body.push_str(&active.json);
    } else {
        body.push_str(&WrittenChain::new(&issued.chain).json);
    }
    body.push_str(rest);
    json(body.into())
}

/// The certificates of v1: PEM, a blank line between. Status 201 is all the Go client takes.
/// No `SCT` header: an SCT is embedded, or there is none.
pub(super) fn v1(issued: &Issued) -> Response<Body> {
    let mut response = pem_chain(blank_lines_between(&certificates(issued)));
    *response.status_mut() = StatusCode::CREATED;
    response
}

/// `TrustBundle` of v2: every chain, the active one first.
pub(super) fn trust_bundle(chains: &[Vec<Vec<u8>>]) -> Bytes {
    encode(&TrustBundle {
        chains: chains
            .iter()
            .map(|chain| CertificateChain {
                certificates: chain.iter().map(|der| armoured(der)).collect(),
            })
            .collect(),
    })
}

/// The same certificates as one PEM text.
pub(super) fn root_cert(chains: &[Vec<Vec<u8>>]) -> Bytes {
    let texts: Vec<String> = chains.iter().flatten().map(|der| armoured(der)).collect();
    blank_lines_between(&texts)
}

/// `Configuration` of v2, sorted, so that two instances and two calls agree.
pub(super) fn configuration(mut issuers: Vec<OidcIssuer>) -> Bytes {
    issuers.sort();
    encode(&Configuration { issuers })
}

/// 200 with JSON.
pub(super) fn json(body: Bytes) -> Response<Body> {
    typed("application/json", body)
}

/// 200 with certificates.
pub(super) fn pem_chain(body: Bytes) -> Response<Body> {
    typed("application/pem-certificate-chain", body)
}

fn typed(content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn certificates(issued: &Issued) -> Vec<String> {
    let leaf = std::iter::once(&*issued.leaf_der);
    leaf.chain(issued.chain.iter().map(Vec::as_slice))
        .map(armoured)
        .collect()
}

fn armoured(der: &[u8]) -> String {
    pem::encode(CERTIFICATE, der)
}

/// The same as a JSON string.
fn put_armoured(out: &mut String, der: &[u8]) {
    out.push('"');
    pem::append(out, CERTIFICATE, der, "\\n");
    out.push('"');
}

/// Each text already ends its line.
fn blank_lines_between(texts: &[String]) -> Bytes {
    Bytes::from(texts.join("\n").trim_end().to_owned())
}

fn encode(message: &impl Serialize) -> Bytes {
    let body = serde_json::to_vec(message).expect("strings, lists and booleans always encode");
    Bytes::from(body)
}
