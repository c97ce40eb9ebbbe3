//! Asking a CA over REST v2 without any client library, and reading what came back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use x509_parser::prelude::*;

use crate::parts;
use crate::subject::Subject;

/// What a CA answered: leaf first, root last; DER.
pub(crate) struct Answer {
    /// The certificates.
    pub(crate) chain: Vec<Vec<u8>>,
    /// `signedCertificateEmbeddedSct` or `signedCertificateDetachedSct`.
    pub(crate) form: String,
}

impl Answer {
    /// The leaf.
    pub(crate) fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }
}

/// Asks for a certificate for `token` and `subject`, proving possession over `challenge`.
pub(crate) fn ask(url: &str, token: &str, subject: &Subject, challenge: &str) -> Answer {
    try_ask(url, token, subject, challenge)
        .unwrap_or_else(|(status, body)| panic!("{url}: {status} {body}"))
}

/// The same where a refusal is an answer too: its status and its body.
pub(crate) fn try_ask(
    url: &str,
    token: &str,
    subject: &Subject,
    challenge: &str,
) -> Result<Answer, (u16, Value)> {
    let request = json!({
        "credentials": { "oidcIdentityToken": token },
        "publicKeyRequest": {
            "publicKey": { "content": subject.spki_pem() },
            "proofOfPossession": STANDARD.encode(subject.prove(challenge)),
        },
    });
    let url = format!("{url}/api/v2/signingCert");
    let (status, body) = parts::http("POST", &url, Some(&request.to_string()))
        .unwrap_or_else(|| panic!("{url} does not answer"));
    let body: Value = serde_json::from_str(&body).expect("JSON");
    if status != 200 {
        return Err((status, body));
    }
    let (form, inner) = body
        .as_object()
        .and_then(|members| members.iter().next())
        .expect("one member");
    let chain = inner["chain"]["certificates"]
        .as_array()
        .expect("certificates")
        .iter()
        .map(|pem| certificate(pem.as_str().expect("a string")))
        .collect();
    Ok(Answer {
        chain,
        form: form.clone(),
    })
}

/// The DER of one certificate in PEM.
pub(crate) fn certificate(pem: &str) -> Vec<u8> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).expect("a PEM block");
    assert_eq!(pem.label, "CERTIFICATE");
    pem.contents
}

/// A certificate taken apart: each part's name and bytes, in the certificate's order.
pub(crate) type Parts = Vec<(String, Vec<u8>)>;

/// Takes a certificate apart.
pub(crate) fn dissect(der: &[u8]) -> Parts {
    let (rest, certificate) = X509Certificate::from_der(der).expect("a certificate");
    assert_eq!(rest, b"", "nothing follows a certificate");
    let tbs = &certificate.tbs_certificate;
    let algorithm = |id: &AlgorithmIdentifier<'_>| {
        let mut bytes = id.algorithm.to_id_string().into_bytes();
        // Present and NULL differs from absent.
        bytes.extend(id.parameters.as_ref().map_or(vec![], |any| {
            vec![0xff, any.header.tag().0 as u8]
                .into_iter()
                .chain(any.data.iter().copied())
                .collect()
        }));
        bytes
    };
    let time = |at: &ASN1Time| at.timestamp().to_be_bytes();
    let mut all = vec![
        ("version".to_owned(), vec![tbs.version.0 as u8]),
        ("serialNumber".to_owned(), tbs.raw_serial().to_vec()),
        ("signature".to_owned(), algorithm(&tbs.signature)),
        ("issuer".to_owned(), tbs.issuer.as_raw().to_vec()),
        (
            "validity".to_owned(),
            [
                time(&tbs.validity.not_before),
                time(&tbs.validity.not_after),
            ]
            .concat(),
        ),
        ("subject".to_owned(), tbs.subject.as_raw().to_vec()),
        (
            "subjectPublicKeyInfo".to_owned(),
            tbs.subject_pki.raw.to_vec(),
        ),
    ];
    for extension in tbs.extensions() {
        let mut bytes = vec![u8::from(extension.critical)];
        bytes.extend(extension.value);
        all.push((extension.oid.to_id_string(), bytes));
    }
    all.push((
        "signatureAlgorithm".to_owned(),
        algorithm(&certificate.signature_algorithm),
    ));
    all.push((
        "signatureValue".to_owned(),
        certificate.signature_value.data.to_vec(),
    ));
    all
}
