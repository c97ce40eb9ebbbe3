//! What went wrong with a log, precisely: for log lines and metrics, never for deciding.

use std::time::Duration;

use super::SctError;

/// Why one log gave no SCT, or no head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No usable answer in time.
    #[error("no usable answer within {} ms", budget.as_millis())]
    Timeout {
        /// The time there was.
        budget: Duration,
    },
    /// No connection.
    #[error("log cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke, or what came over it is not HTTP.
    #[error("connection to the log broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A redirect, which is never followed: the entry goes where the configuration says.
    #[error("log redirects with status {status}")]
    Redirect {
        /// HTTP status.
        status: u16,
    },
    /// 408, 425 or 429.
    #[error("log asks to come back later with status {status}")]
    Throttled {
        /// HTTP status.
        status: u16,
    },
    /// Any other status that is neither 200 nor final.
    #[error("log answers with status {status}")]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// The answer is not what was asked for, or does not verify.
    #[error("log's answer is not believed")]
    Answer(#[from] SctError),
    /// Our own log's key did not sign.
    #[error("log key did not sign")]
    Signing,
}

impl Failure {
    /// A fixed word for metrics and log lines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Broken(_) => "broken",
            Self::Redirect { .. } => "redirect",
            Self::Throttled { .. } => "throttled",
            Self::Status { .. } => "status",
            Self::Answer(error) => error.word(),
            Self::Signing => "signing",
        }
    }
}
