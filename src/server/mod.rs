//! The doors: Fulcio's REST API (v2 and v1), the trust files, health, readiness and metrics.
//!
//! A door reads a request within its limits, calls the issuance service once and writes the
//! answer; it decides nothing. Refusals get their status and text in [`problem`]. gRPC is
//! not here yet.

mod admission;
mod crowd;
mod doors;
mod edge;
mod hall;
mod hops;
mod layers;
mod listener;
mod metrics;
mod ops;
mod origin;
pub mod problem;
mod queues;
mod rates;
mod request;
mod response;
mod shown;
mod sparing;
mod tls;
mod wire;

pub use doors::{Public, PublicParts, RequestLimits, public_router};
pub use edge::Edge;
pub use hops::{Hops, ProxyHeader};
pub use listener::{ConnectionLimits, Front, serve};
pub use metrics::{Made, Metrics};
pub use ops::{KeyState, KeyStates, Ops, ops_router};
pub use problem::Problem;
pub use response::{IssuerName, OidcIssuer};
pub use shown::{Shown, Sight, TrustFiles};
pub use tls::{Tls, TlsError};

use async_trait::async_trait;

use crate::issuance::{Issued, Request, Service};
use crate::time::UnixMillis;

/// The part of a house that issuance needs, and whether it is fit; if not, why, in public words.
pub type Fitness = (&'static str, Result<(), String>);

/// What the doors need of the service behind them.
///
/// Contract: `issue` answers with a certificate that is stored and logged, or with why there is
/// none; it does not rely on being awaited to its end. `readiness` names each part once, in a
/// fixed order, and is asked at most every few seconds.
#[async_trait]
pub trait Issuance: Send + Sync {
    /// Asks for one certificate. `now` is the request's one clock reading.
    async fn issue(&self, request: Request, now: UnixMillis) -> Result<Issued, Problem>;
    /// Whether each part that issuance needs is fit now.
    async fn readiness(&self, now: UnixMillis) -> Vec<Fitness>;
    /// What an issuer is configured as, which is what metrics count it under: itself, or the
    /// pattern of its family.
    fn configured_as(&self, issuer: &str) -> Option<String> {
        Some(issuer.to_owned())
    }
}

#[async_trait]
impl Issuance for Service {
    async fn issue(&self, request: Request, now: UnixMillis) -> Result<Issued, Problem> {
        Ok(Service::issue(self, request, now).await?)
    }

    async fn readiness(&self, now: UnixMillis) -> Vec<Fitness> {
        Service::readiness(self, now).await
    }

    fn configured_as(&self, issuer: &str) -> Option<String> {
        Service::configured_as(self, issuer)
    }
}
