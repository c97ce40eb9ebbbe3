//! Refusals as they leave: google.rpc.Status in JSON with one google.rpc.ErrorInfo (AIP-193).
//!
//! This is the only place where a [`Reason`] becomes an HTTP status, a gRPC code and a public
//! text. The text begins with Fulcio's words, because clients match on them; what follows is ours
//! and says which value was wrong. The table people read is `docs/errors.md`, compared with this
//! file by a test. It does not log: see `telemetry::refused`.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;

use crate::fault::{Fault, Reason};
use crate::{issuance, possession, rates};

/// Longest addition to a public message, in bytes: a caller's own bytes are quoted in it.
const MAX_DETAIL_BYTES: usize = 1024;

/// `ErrorInfo.domain`: whose words the reasons are.
const DOMAIN: &str = "shortleaf";

/// The gRPC codes this service answers with. UNAUTHENTICATED is not among them: Fulcio's clients
/// expect a bad token to be an invalid argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// INVALID_ARGUMENT
    InvalidArgument = 3,
    /// NOT_FOUND
    NotFound = 5,
    /// PERMISSION_DENIED
    PermissionDenied = 7,
    /// RESOURCE_EXHAUSTED
    ResourceExhausted = 8,
    /// UNIMPLEMENTED
    Unimplemented = 12,
    /// INTERNAL
    Internal = 13,
    /// UNAVAILABLE
    Unavailable = 14,
}

impl Code {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The HTTP status grpc-gateway gives this code, which is what Fulcio answers.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// How one reason is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The gRPC code; the HTTP status follows from it.
    pub code: Code,
    /// How the public message begins.
    pub prefix: &'static str,
    /// What `Retry-After` says when the failure itself names no time.
    pub retry_after: Option<Duration>,
}

const INVALID_TOKEN: &str = "There was an error processing the identity token";
const CT_LOG: &str = "Error entering certificate in CTL";
/// Fulcio's other text for [`Reason::AlgorithmNotPermitted`]: nobody here can check such a signature.
const UNRECOGNIZED: &str = "unrecognized signature algorithm";

/// The table.
pub fn answer(reason: Reason) -> Answer {
    let never = |code, prefix| Answer {
        code,
        prefix,
        retry_after: None,
    };
    let later = |code, prefix, seconds| Answer {
        code,
        prefix,
        retry_after: Some(Duration::from_secs(seconds)),
    };
    match reason {
        Reason::RequestMalformed => never(Code::InvalidArgument, "The request could not be parsed"),
        Reason::RequestTooLarge => never(Code::InvalidArgument, "The request is too large"),
        Reason::RouteUnknown => never(Code::NotFound, "Not Found"),
        Reason::MethodUnknown => never(Code::Unimplemented, "Method Not Allowed"),
        Reason::TokenMissing
        | Reason::TokenMalformed
        | Reason::TokenIssuerUnknown
        | Reason::TokenAlgorithmRefused
        | Reason::TokenKeyUnknown
        | Reason::TokenSignatureInvalid
        | Reason::TokenAudienceMismatch
        | Reason::TokenExpired
        | Reason::TokenNotYetValid
        | Reason::TokenTooOld
        | Reason::TokenReplayed
        | Reason::ClaimMissing
        | Reason::ClaimInvalid
        | Reason::EmailUnverified => never(Code::InvalidArgument, INVALID_TOKEN),
        Reason::PublicKeyMalformed => never(
            Code::InvalidArgument,
            "The public key supplied in the request could not be parsed",
        ),
        Reason::PublicKeyInsecure => never(
            Code::InvalidArgument,
            "The public key supplied in the request is insecure",
        ),
        Reason::CsrMalformed => never(
            Code::InvalidArgument,
            "The certificate signing request could not be parsed",
        ),
        Reason::ProofInvalid => never(
            Code::InvalidArgument,
            "The signature supplied in the request could not be verified",
        ),
        Reason::AlgorithmNotPermitted => {
            never(Code::InvalidArgument, "signing algorithm not permitted")
        }
        Reason::RuleRefused => never(
            Code::PermissionDenied,
            "The rules of this instance do not admit this identity",
        ),
        Reason::IssuanceBlocked => never(
            Code::PermissionDenied,
            "Issuance to this identity or key is blocked",
        ),
        Reason::RateLimited => later(Code::ResourceExhausted, "Too many requests", 10),
        Reason::Overloaded => later(Code::Unavailable, "The service is busy", 2),
        Reason::CtLogUnavailable => later(Code::Unavailable, CT_LOG, 5),
        Reason::CtLogRejected => never(Code::Internal, CT_LOG),
        Reason::CaUnavailable => later(Code::Unavailable, "error communicating with CA backend", 5),
        Reason::IdentityProviderUnavailable => later(
            Code::Unavailable,
            "The identity provider is unavailable",
            10,
        ),
        Reason::StoreUnavailable => later(Code::Unavailable, "The store is unavailable", 5),
        Reason::Internal => never(Code::Internal, "Error marshaling code signing certificate"),
    }
}

/// A refusal on its way out.
#[derive(Clone, Debug)]
pub struct Problem {
    reason: Reason,
    prefix: &'static str,
    detail: String,
    metadata: Vec<(&'static str, String)>,
    /// Of the verified token; for our own log, the answer does not repeat it.
    identity: Option<Arc<str>>,
    retry_after: Option<Duration>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Problem {
    /// A refusal that says no more than its reason does.
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            prefix: answer(reason).prefix,
            detail: String::new(),
            metadata: Vec::new(),
            identity: None,
            retry_after: None,
            cause: None,
        }
    }

    /// Adds what was wrong with which value. It is public: no token, key or dependency's text.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self.detail
            .truncate(self.detail.floor_char_boundary(MAX_DETAIL_BYTES));
        self
    }

    /// Adds a member of `ErrorInfo.metadata`. Public as well.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }

    /// Says when trying again may help, where the failure knows better than the table.
    pub fn retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// Keeps the cause for our own log. It never leaves.
    pub fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// The stable word.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The HTTP status it leaves with.
    pub fn status(&self) -> StatusCode {
        answer(self.reason).code.status()
    }

    /// The configured issuer the token was held against, if it got that far.
    pub fn issuer(&self) -> Option<&str> {
        self.member("issuer")
    }

    /// A member of `ErrorInfo.metadata`.
    pub(super) fn member(&self, name: &str) -> Option<&str> {
        let (_, value) = self.metadata.iter().find(|(n, _)| *n == name)?;
        Some(value)
    }

    /// The name a certificate would have carried, if the token was good: for our own log only.
    pub fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// What led to it, outermost first; for our own log only.
    pub fn cause_chain(&self) -> Vec<String> {
        let mut chain = Vec::new();
        let mut next = self.cause.as_deref().map(|e| e as &dyn StdError);
        while let Some(error) = next {
            let text = error.to_string();
            // A transparent error repeats its source's words.
            if chain.last() != Some(&text) {
                chain.push(text);
            }
            next = error.source();
        }
        chain
    }

    /// What our own log says of it: causes, or where the caller can mend it, what the caller was
    /// told. That is public, so no token, key or proof is in it. Of a policy the log has the whole,
    /// which its operator may keep from callers.
    pub fn told(&self) -> Vec<String> {
        match self.reason.fault() {
            Fault::Dependency | Fault::Ours | Fault::Policy => self.cause_chain(),
            Fault::Caller | Fault::Credentials | Fault::Throttle => {
                let detail = Some(&self.detail).filter(|detail| !detail.is_empty());
                detail.into_iter().cloned().collect()
            }
        }
    }

    fn message(&self) -> String {
        let prefix = self.prefix;
        if self.detail.is_empty() {
            prefix.to_owned()
        } else {
            format!("{prefix}: {}", self.detail)
        }
    }
}

impl From<issuance::Refused> for Problem {
    fn from(refused: issuance::Refused) -> Self {
        let metadata = refused.metadata();
        let issuance::Refused { whom, error } = refused;
        let mut problem = Self::new(error.reason()).detail(error.public_detail());
        problem.identity = whom.san;
        if let issuance::Error::Possession(possession::Error::Unrecognized { algorithm }) = &error {
            problem.prefix = UNRECOGNIZED;
            problem = problem.detail(algorithm);
        }
        problem.metadata = metadata;
        problem.retry_after(error.retry_after()).caused_by(error)
    }
}

impl From<rates::Over> for Problem {
    fn from(over: rates::Over) -> Self {
        Self::new(Reason::RateLimited)
            .detail(over.to_string())
            .with("limit", over.dimension.as_str())
            .retry_after(Some(over.wait))
    }
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: String,
    details: [ErrorInfo<'a>; 1],
}

#[derive(Serialize)]
struct ErrorInfo<'a> {
    #[serde(rename = "@type")]
    type_url: &'static str,
    reason: &'static str,
    domain: &'static str,
    metadata: BTreeMap<&'static str, &'a str>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let answer = answer(self.reason);
        let status = Status {
            code: answer.code.number(),
            message: self.message(),
            details: [ErrorInfo {
                type_url: "type.googleapis.com/google.rpc.ErrorInfo",
                reason: self.reason.as_str(),
                domain: DOMAIN,
                metadata: self
                    .metadata
                    .iter()
                    .map(|(k, v)| (*k, v.as_str()))
                    .collect(),
            }],
        };
        let body = serde_json::to_vec(&status).expect("strings and one small number always encode");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = answer.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Only what is worth trying again carries the header, whatever the failure suggests.
        if let Some(default) = answer.retry_after {
            headers.insert(
                RETRY_AFTER,
                whole_seconds(self.retry_after.unwrap_or(default)),
            );
        }
        response
    }
}

/// delay-seconds (RFC 9110 §10.2.3), rounded up: too early helps nobody, and 0 means a hot loop.
fn whole_seconds(after: Duration) -> HeaderValue {
    let up = u64::from(after.subsec_nanos() > 0);
    HeaderValue::from(after.as_secs().saturating_add(up).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of `docs/errors.md`: reason, HTTP status, code, prefix, Retry-After.
    fn documented() -> Vec<[String; 5]> {
        include_str!("../../docs/errors.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| {
                let mut cells = line
                    .split('|')
                    .map(|c| c.trim().trim_matches('`').to_owned());
                std::array::from_fn(|_| cells.by_ref().find(|c| !c.is_empty()).unwrap())
            })
            .collect()
    }

    #[test]
    fn docs_errors_md_has_every_reason_in_order_with_what_the_code_answers() {
        let code: Vec<[String; 5]> = Reason::ALL
            .iter()
            .map(|reason| {
                let row = answer(*reason);
                [
                    reason.as_str().to_owned(),
                    row.code.status().as_u16().to_string(),
                    row.code.number().to_string(),
                    row.prefix.to_owned(),
                    row.retry_after
                        .map_or("–".to_owned(), |after| format!("{} s", after.as_secs())),
                ]
            })
            .collect();
        assert_eq!(documented(), code);
    }

    #[test]
    fn the_status_shows_whose_fault_it_is() {
        for reason in Reason::ALL {
            let status = answer(*reason).code.status().as_u16();
            let fits = match reason.fault() {
                Fault::Caller => [400, 404, 501].contains(&status),
                Fault::Credentials => status == 400,
                Fault::Policy => status == 403,
                // One caller is too fast, or all of them are.
                Fault::Throttle => [429, 503].contains(&status),
                Fault::Dependency => status == 503,
                Fault::Ours => status == 500,
            };
            assert!(fits, "{reason:?} is answered {status}");
        }
    }

    #[test]
    fn only_what_may_pass_later_says_when_to_retry() {
        for reason in Reason::ALL {
            let retries = matches!(reason.fault(), Fault::Throttle | Fault::Dependency);
            assert_eq!(answer(*reason).retry_after.is_some(), retries, "{reason:?}");
        }
    }

    #[test]
    fn retry_after_is_rounded_up_and_never_zero() {
        let header = |millis| whole_seconds(Duration::from_millis(millis));
        assert_eq!(header(0), "1");
        assert_eq!(header(1_000), "1");
        assert_eq!(header(1_001), "2");
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let problem = Problem::new(Reason::ClaimInvalid).detail("é".repeat(600) + "x");
        assert_eq!(problem.detail, "é".repeat(512));
    }

    #[test]
    fn the_cause_chain_reads_from_the_outside_in_and_says_nothing_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Same(#[source] Outer);
        #[derive(Debug, thiserror::Error)]
        #[error("could not reach the log")]
        struct Outer(#[source] std::io::Error);
        let cause = Same(Outer(std::io::Error::other("connection refused")));
        let problem = Problem::new(Reason::CtLogUnavailable).caused_by(cause);
        let chain = ["could not reach the log", "connection refused"];
        assert_eq!(problem.cause_chain(), chain);
    }
}
