//! Why a request ends without a certificate: each room's error with its stable word, what may be
//! said about it in public, and when trying again may help.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::JUMP_MAX;
use super::store::StoreError;
use crate::ct::SubmitError;
use crate::fault::{Fault, Reason};
use crate::rates::Over;
use crate::rules::Refusal;
use crate::token::IssuerUrl;
use crate::{audit, ca, identity, possession, token};

/// A log may ask for much more; nobody's caller waits that long.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Why there is no certificate.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The token.
    #[error("{source}")]
    Token {
        /// The issuer it was held against, configured or of a configured family, if it got that far.
        issuer: Option<IssuerUrl>,
        /// What is wrong with it.
        source: Arc<token::Error>,
    },
    /// Its claims.
    #[error(transparent)]
    Identity(Arc<identity::Error>),
    /// The claim rules.
    #[error("{refusal}")]
    Rule {
        /// Whether the caller may know which rule, and what differed.
        explain: bool,
        /// Why there is no certificate.
        refusal: Arc<Refusal>,
    },
    /// The key or the proof.
    #[error(transparent)]
    Possession(#[from] possession::Error),
    /// The proof is not over this token's challenge.
    #[error("{source}, which is the token's {claim:?}")]
    Unproven {
        /// The claim whose value has to be signed.
        claim: &'static str,
        /// What the key says to the proof.
        source: possession::Error,
    },
    /// The token is bound to all the keys it may be: whether or not each got its certificate, it is
    /// theirs to ask for again.
    #[error("the token is bound to {limit} other key{}, which is all it may certify: use {} again, or a fresh token", if *limit == 1 { "" } else { "s" }, if *limit == 1 { "that key" } else { "one of them" })]
    Replayed {
        /// How many keys it may have certified.
        limit: u32,
    },
    /// The issuer, or the identity, asks too often.
    #[error("{over}")]
    TooOften {
        /// Which of the two, by which limit, and until when.
        over: Over,
    },
    /// Planning, encoding, linting, sealing or signing.
    #[error(transparent)]
    Ca(Arc<ca::Error>),
    /// No log gave an SCT.
    #[error("none of {} logs took the precertificate", failures.0.len())]
    NotLogged {
        /// Each log's answer.
        #[source]
        failures: Failures,
    },
    /// The record.
    #[error("could not record the issuance")]
    Store(#[from] StoreError),
    /// The trail.
    #[error("could not write the audit trail")]
    Audit(#[source] Arc<audit::Error>),
    /// Somebody set the clock.
    #[error("the wall clock and the monotonic clock are {by_ms} ms apart, at most {} are tolerated", JUMP_MAX.as_millis())]
    ClockJumped {
        /// How far.
        by_ms: u64,
    },
    /// The task that issued ended without an answer.
    #[error("the issuing task ended without an answer")]
    Died,
}

impl Error {
    pub(super) fn replayed(policy: &token::IssuerPolicy) -> Self {
        Self::Replayed {
            limit: policy.certificates_per_token,
        }
    }

    pub(super) fn token(issuer: IssuerUrl, source: token::Error) -> Self {
        Self::Token {
            issuer: Some(issuer),
            source: Arc::new(source),
        }
    }

    /// The stable word.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Token { source, .. } => source.reason(),
            Self::Identity(error) => error.reason(),
            Self::Rule { .. } => Reason::RuleRefused,
            Self::Possession(error) | Self::Unproven { source: error, .. } => error.reason(),
            Self::Replayed { .. } => Reason::TokenReplayed,
            Self::TooOften { .. } => Reason::RateLimited,
            Self::Ca(error) => error.reason(),
            Self::NotLogged { failures } => match failures.all_final() {
                true => Reason::CtLogRejected,
                false => Reason::CtLogUnavailable,
            },
            // A conflict that three serials did not mend is our random source or our file.
            Self::Store(StoreError::Conflict { .. } | StoreError::Corrupt { .. }) | Self::Died => {
                Reason::Internal
            }
            Self::Store(StoreError::Unavailable { .. } | StoreError::OutcomeUnknown)
            | Self::Audit(_) => Reason::StoreUnavailable,
            Self::ClockJumped { .. } => Reason::CaUnavailable,
        }
    }

    /// The configured issuer that an unverified token was held against, if it got that far.
    pub(super) fn issuer(&self) -> Option<&IssuerUrl> {
        if let Self::Token { issuer, .. } = self {
            return issuer.as_ref();
        }
        None
    }

    /// The claim rule that refused, or came closest.
    pub(super) fn rule(&self) -> Option<&str> {
        if let Self::Rule { refusal, .. } = self {
            return refusal.rule();
        }
        None
    }

    /// Safe, precise members for `ErrorInfo.metadata`: claim, extension, algorithm, limit. The
    /// issuer is [`Refused`]'s to add.
    ///
    /// [`Refused`]: super::Refused
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Token { source, .. } => of_token(source),
            Self::Identity(error) => vec![
                ("claim", error.claim().to_owned()),
                ("extension", error.extension().to_owned()),
            ],
            Self::Rule { explain, refusal } => match *explain {
                true => {
                    let rule = refusal.rule().map(|rule| ("rule", rule.to_owned()));
                    let claim = refusal.claim().map(|claim| ("claim", claim.to_owned()));
                    rule.into_iter().chain(claim).collect()
                }
                false => Vec::new(),
            },
            Self::Replayed { limit } => vec![("limit", limit.to_string())],
            Self::TooOften { over } => vec![("limit", over.dimension.as_str().to_owned())],
            Self::Unproven { claim, .. } => vec![("claim", (*claim).to_owned())],
            Self::Possession(error) => of_key(error),
            Self::Ca(_)
            | Self::NotLogged { .. }
            | Self::Store(_)
            | Self::Audit(_)
            | Self::ClockJumped { .. }
            | Self::Died => Vec::new(),
        }
    }

    /// The safe, precise addition to the public message: says what was wrong with which value;
    /// never a token, a key, or a dependency's own text.
    pub fn public_detail(&self) -> String {
        let (reason, fault) = (self.reason(), self.reason().fault());
        let told = match self {
            Self::Rule { explain: false, .. } => "no rule allows this identity",
            Self::Token { .. }
            | Self::Identity(_)
            | Self::Rule { .. }
            | Self::Possession(_)
            | Self::Unproven { .. }
            | Self::Replayed { .. }
            | Self::TooOften { .. } => return self.to_string(),
            Self::Ca(error) if fault == Fault::Credentials => return error.to_string(),
            Self::Ca(_) if reason == Reason::CaUnavailable => "the CA cannot sign now",
            Self::Ca(_) => "the certificate could not be made",
            Self::NotLogged { .. } if reason == Reason::CtLogRejected => {
                "every log refused the precertificate"
            }
            Self::NotLogged { .. } => "no log answered with a usable SCT in time",
            Self::Store(_) | Self::Audit(_) if fault == Fault::Dependency => {
                "the issuance cannot be recorded now"
            }
            Self::Store(_) | Self::Audit(_) | Self::Died => "internal error",
            Self::ClockJumped { .. } => "the CA's clock is not trusted now",
        };
        told.to_owned()
    }

    /// When trying again may help, where the failure itself says so; the usual advice for each
    /// reason is `server::problem`'s.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = match self {
            Self::NotLogged { failures } => failures.shortest_wait(),
            Self::Token { source, .. } => source.retry_after(),
            // Ours, and exact: coming back sooner would be in vain.
            Self::TooOften { over } => return Some(over.wait),
            Self::Identity(_)
            | Self::Rule { .. }
            | Self::Possession(_)
            | Self::Unproven { .. }
            | Self::Replayed { .. }
            | Self::Ca(_)
            | Self::Store(_)
            | Self::Audit(_)
            | Self::ClockJumped { .. }
            | Self::Died => None,
        };
        asked.map(|wait| wait.min(RETRY_AFTER_MAX))
    }
}

/// What the token's error names, beside the issuer.
fn of_token(error: &token::Error) -> Vec<(&'static str, String)> {
    use token::{Error as Token, KeyError};
    match error {
        Token::ClaimMalformed { claim, .. }
        | Token::ClaimUnprintable { claim, .. }
        | Token::NotYetValid { claim, .. } => vec![("claim", (*claim).to_owned())],
        Token::AudienceCount { .. } | Token::WrongAudience { .. } => {
            vec![("claim", "aud".to_owned())]
        }
        // Not under `issuer`: whatever a stranger writes there would name him one of ours.
        Token::UnknownIssuer { .. } => vec![("claim", "iss".to_owned())],
        Token::Expired { .. } | Token::LivesTooLong { .. } => vec![("claim", "exp".to_owned())],
        Token::TooOld { .. } => vec![("claim", "iat".to_owned())],
        Token::HeaderRefused { parameter } | Token::HeaderInvalid { parameter, .. } => {
            vec![("parameter", (*parameter).to_owned())]
        }
        Token::AlgorithmRefused { got } => vec![("algorithm", got.clone())],
        Token::Key(KeyError::AlgorithmRefused { algorithm, .. })
        | Token::SignatureInvalid { algorithm, .. } => vec![("algorithm", algorithm.to_string())],
        Token::Key(
            KeyError::Unknown { .. } | KeyError::OutOfReach { .. } | KeyError::Unavailable { .. },
        )
        | Token::TooLong { .. }
        | Token::NotThreeParts { .. }
        | Token::NotBase64Url { .. }
        | Token::NotJson { .. }
        | Token::NotAnObject { .. }
        | Token::Unsigned => Vec::new(),
    }
}

/// The algorithm that is not permitted: by the name it would have in the list, else by what the
/// signing request claims.
fn of_key(error: &possession::Error) -> Vec<(&'static str, String)> {
    use possession::Error as Possession;
    let algorithm = match error {
        Possession::NotPermitted { key, scheme } if *scheme == key.scheme() => {
            key.algorithm_name().to_owned()
        }
        Possession::NotPermitted { scheme, .. } => scheme.to_string(),
        Possession::Unrecognized { algorithm } => algorithm.clone(),
        Possession::Key(_)
        | Possession::Csr(_)
        | Possession::ProofInvalid { .. }
        | Possession::CsrSignatureInvalid { .. } => return Vec::new(),
    };
    vec![("algorithm", algorithm)]
}

/// Why each log gave no SCT, in the order they were asked. Several causes with one voice, because
/// a chain of causes has no room for siblings.
#[derive(Clone, Debug)]
pub struct Failures(Arc<[SubmitError]>);

impl Failures {
    fn all_final(&self) -> bool {
        let rejected = |failure: &SubmitError| matches!(failure, SubmitError::Rejected { .. });
        !self.0.is_empty() && self.0.iter().all(rejected)
    }

    fn shortest_wait(&self) -> Option<Duration> {
        let asked = self.0.iter().filter_map(|failure| match failure {
            SubmitError::Retryable { retry_after, .. } => *retry_after,
            SubmitError::Rejected { .. } => None,
        });
        asked.min()
    }
}

impl From<Vec<SubmitError>> for Failures {
    fn from(failures: Vec<SubmitError>) -> Self {
        Self(failures.into())
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{failure}")?;
            let mut cause = failure.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failures {}

impl From<token::Error> for Error {
    fn from(error: token::Error) -> Self {
        Self::Token {
            issuer: None,
            source: Arc::new(error),
        }
    }
}

impl From<identity::Error> for Error {
    fn from(error: identity::Error) -> Self {
        Self::Identity(Arc::new(error))
    }
}

impl From<ca::Error> for Error {
    fn from(error: ca::Error) -> Self {
        Self::Ca(Arc::new(error))
    }
}

impl From<audit::Error> for Error {
    fn from(error: audit::Error) -> Self {
        Self::Audit(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> StoreError {
        StoreError::Unavailable {
            source: Arc::new(std::io::Error::other("/var/lib/secret-path is full")),
        }
    }

    fn not_logged(failures: Vec<SubmitError>) -> Error {
        let failures = failures.into();
        Error::NotLogged { failures }
    }

    fn busy(seconds: u64) -> SubmitError {
        SubmitError::Retryable {
            log: "a".into(),
            retry_after: Some(Duration::from_secs(seconds)),
            source: Box::new(std::io::Error::other("10.0.0.7 says no")),
        }
    }

    fn refused() -> SubmitError {
        let log = "b".into();
        SubmitError::Rejected { log, status: 400 }
    }

    #[test]
    fn a_part_that_is_away_is_told_as_such_and_without_its_own_words() {
        let away = [
            Error::from(unavailable()),
            Error::from(StoreError::OutcomeUnknown),
            Error::from(audit::Error::Poisoned),
            not_logged(vec![busy(7), refused()]),
            Error::ClockJumped { by_ms: 6000 },
        ];
        for error in away {
            assert_eq!(error.reason().fault(), Fault::Dependency, "{error}");
            for secret in ["secret", "10.0", "6000"] {
                assert!(!error.public_detail().contains(secret), "{error}");
            }
        }
    }

    #[test]
    fn only_if_every_log_refuses_is_it_our_fault() {
        let all = not_logged(vec![refused(), refused()]);
        assert_eq!(all.reason(), Reason::CtLogRejected);
        assert_eq!(all.retry_after(), None);
        let none = not_logged(vec![]);
        assert_eq!(none.reason(), Reason::CtLogUnavailable);
    }

    #[test]
    fn what_each_log_said_is_among_the_causes() {
        let error = not_logged(vec![busy(7), refused()]);
        let causes = error.source().map(ToString::to_string);
        assert_eq!(
            causes.as_deref(),
            Some(
                "log a gave no usable SCT: 10.0.0.7 says no; \
                 log b refuses the entry with status 400"
            )
        );
    }

    #[test]
    fn the_shortest_wait_a_log_asks_for_is_passed_on_within_reason() {
        let wait = |failures| not_logged(failures).retry_after();
        assert_eq!(wait(vec![busy(90), busy(7)]), Some(Duration::from_secs(7)));
        assert_eq!(wait(vec![busy(86_400)]), Some(RETRY_AFTER_MAX));
    }

    #[test]
    fn an_issuer_whose_keys_are_away_says_when_they_are_looked_for_again() {
        let error = Error::from(token::Error::Key(token::KeyError::Unavailable {
            issuer: IssuerUrl::new("https://issuer.example").unwrap(),
            retry_after: Some(Duration::from_secs(23)),
            source: Arc::new(std::io::Error::other("10.0.0.7 says no")),
        }));
        assert_eq!(error.reason(), Reason::IdentityProviderUnavailable);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(23)));
        assert!(!error.public_detail().contains("10.0"));
    }

    #[test]
    fn a_store_that_contradicts_itself_is_our_fault() {
        let error = Error::from(StoreError::Corrupt { what: "final" });
        assert_eq!(error.reason(), Reason::Internal);
        assert_eq!(error.public_detail(), "internal error");
    }
}
