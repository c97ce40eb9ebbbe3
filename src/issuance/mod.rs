//! The pipeline from request to certificate.

pub mod store;

use std::sync::Arc;
use std::time::Duration;

use crate::ca::Serial;
use crate::fault::Reason;
use crate::time::{UnixMillis, UnixSeconds};

/// What a caller asks for. Nothing in it is believed yet.
pub struct Request {
    /// The OIDC token, as it arrived.
    pub token: String,
    /// The key and the proof that the caller holds it.
    pub proof: Proof,
    /// For logs and the audit trail, at most 128 characters.
    pub request_id: String,
}

/// The two ways to show possession of a key.
pub enum Proof {
    /// A public key (PEM or DER) and a signature over the challenge.
    Signature {
        /// The key.
        public_key: Vec<u8>,
        /// The signature.
        signature: Vec<u8>,
    },
    /// A PKCS#10 request (PEM) that signs itself.
    Csr(Vec<u8>),
}

/// A certificate that is stored and logged, ready to leave.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The leaf, DER.
    pub leaf_der: Arc<[u8]>,
    /// Issuing CA first, root last, DER.
    pub chain: Arc<[Vec<u8>]>,
    /// Its serial.
    pub serial: Serial,
    /// The `iss` of the verified token.
    pub issuer: Arc<str>,
    /// Last second of validity.
    pub not_after: UnixSeconds,
    /// Whether the SCT is embedded; false only with `[ct] mode = "off"`.
    pub sct_embedded: bool,
    /// Whether this is the stored answer to an earlier request with the same token and key.
    pub repeated: bool,
}

/// Why there is no certificate.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Placeholder of the skeleton.
    #[error("no certificate")]
    Skeleton,
}

impl Error {
    /// The stable word.
    pub fn reason(&self) -> Reason {
        todo!()
    }
    /// Safe, precise members for `ErrorInfo.metadata`: claim, extension, issuer, algorithm, rule.
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        todo!()
    }
    /// The safe, precise addition to the public message: says what was wrong with which value;
    /// never a token, a key, or a dependency's own text.
    pub fn public_detail(&self) -> String {
        todo!()
    }
    /// When trying again may help.
    pub fn retry_after(&self) -> Option<Duration> {
        todo!()
    }
}

/// The issuance service: everything behind the doors.
pub struct Service {
    _p: (),
}

impl Service {
    /// The numbered pipeline. `now` is the request's one clock reading. Runs to its end even if
    /// the caller stops waiting.
    pub async fn issue(&self, request: Request, now: UnixMillis) -> Result<Issued, Error> {
        let _ = (request, now);
        todo!()
    }

    /// Whether each part that issuance needs is fit now: (`key`, `log`, `store`, `issuers`, `chain`), for `/readyz`.
    pub async fn readiness(&self, now: UnixMillis) -> Vec<(&'static str, Result<(), String>)> {
        let _ = now;
        todo!()
    }
}
