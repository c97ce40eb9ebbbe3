//! One request for a certificate, as it is written at either door.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::world::subject::Subject;

/// The two REST APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    V2,
    V1,
}

impl Door {
    pub(crate) const BOTH: [Self; 2] = [Self::V2, Self::V1];

    /// Fulcio's status for a certificate.
    pub(crate) fn good_status(self) -> u16 {
        match self {
            Self::V2 => 200,
            Self::V1 => 201,
        }
    }
}

/// The key and its proof.
#[derive(Clone)]
pub(crate) enum Proof {
    Key { pem: String, signature: Vec<u8> },
    Csr(String),
}

impl Proof {
    /// `subject`'s proof over `challenge`.
    pub(crate) fn of(subject: &Subject, challenge: &str) -> Self {
        Self::Key {
            pem: subject.spki_pem(),
            signature: subject.prove(challenge),
        }
    }
}

/// What is asked, whatever the door.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) token: Option<String>,
    pub(crate) proof: Proof,
    /// `POST`, unless that is what is wrong.
    pub(crate) method: &'static str,
    /// Follows the door's path; empty, unless that is what is wrong.
    pub(crate) path_end: &'static str,
    /// Changes the finished body.
    pub(crate) edit: fn(String) -> String,
}

impl Ask {
    pub(crate) fn new(token: String, proof: Proof) -> Self {
        Self {
            token: Some(token),
            proof,
            method: "POST",
            path_end: "",
            edit: |body| body,
        }
    }

    /// The same with another proof.
    pub(crate) fn proven_by(&self, proof: Proof) -> Self {
        Self {
            proof,
            ..self.clone()
        }
    }

    /// The bytes on the wire. v2 has the token in the body, v1 in a header.
    pub(crate) fn http(&self, door: Door) -> String {
        let (path, header, body) = match door {
            Door::V2 => ("/api/v2/signingCert", None, self.v2()),
            Door::V1 => ("/api/v1/signingCert", self.token.as_ref(), self.v1()),
        };
        let header = header.map(|token| format!("authorization: Bearer {token}\r\n"));
        let body = (self.edit)(body);
        format!(
            "{} {path}{} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n{}\r\n{body}",
            self.method,
            self.path_end,
            body.len(),
            header.unwrap_or_default(),
        )
    }

    fn v2(&self) -> String {
        let mut body = match &self.proof {
            Proof::Key { pem, signature } => json!({ "publicKeyRequest": {
                "publicKey": { "algorithm": "ECDSA", "content": pem },
                "proofOfPossession": STANDARD.encode(signature),
            } }),
            Proof::Csr(pem) => json!({ "certificateSigningRequest": STANDARD.encode(pem) }),
        };
        if let Some(token) = &self.token {
            body["credentials"] = json!({ "oidcIdentityToken": token });
        }
        body.to_string()
    }

    fn v1(&self) -> String {
        let body = match &self.proof {
            Proof::Key { pem, signature } => json!({
                "publicKey": { "algorithm": "ecdsa", "content": STANDARD.encode(pem) },
                "signedEmailAddress": STANDARD.encode(signature),
            }),
            Proof::Csr(pem) => json!({ "certificateSigningRequest": STANDARD.encode(pem) }),
        };
        body.to_string()
    }

    /// What may be seen by nobody but the caller: the token and each of its parts, key and proof
    /// in the forms they are sent in.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let token = self.token.iter().flat_map(|token| {
            let parts = token.split('.').skip(1).map(str::to_owned);
            parts.chain([token.clone()])
        });
        let (pem, signature) = match &self.proof {
            Proof::Key { pem, signature } => (pem, &**signature),
            Proof::Csr(pem) => (pem, &[][..]),
        };
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        let lines = lines.map(str::to_owned);
        // Too short to be anybody's secret, and sure to be found somewhere by chance.
        let long_enough = |text: &String| text.len() >= 20;
        token
            .chain(lines)
            .chain([STANDARD.encode(signature), STANDARD.encode(pem)])
            .filter(long_enough)
            .collect()
    }
}
