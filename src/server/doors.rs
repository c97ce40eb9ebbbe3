//! The public routes (Fulcio's, the trust files, `/healthz`) and what stands behind each.
//!
//! What everybody sees alike is rendered when it changes (`shown`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, EXPECT};
use axum::http::{HeaderMap, Response, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::admission::{Admission, Admitted};
use super::hops::Client;
use super::layers::{self, RequestId};
use super::rates::Addresses;
use super::request::{self, Asked, Reader};
use super::response;
use super::shown::Shown;
use super::sparing::Sparing;
use super::{Issuance, Metrics, Problem};
use crate::entropy::Entropy;
use crate::fault::{Fault, Reason};
use crate::issuance::{self, Issued};
use crate::rates::Rates;
use crate::telemetry::{self, Refusal};
use crate::time::Clock;
use crate::trace;

/// What one request may cost.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Largest body, in bytes. What is over it is never looked at.
    pub body_bytes: usize,
    /// How long the body may take to arrive.
    pub body: Duration,
    /// How many bodies may be on their way at once.
    pub reading: usize,
    /// How many certificates are worked on at once.
    pub in_flight: usize,
    /// How many requests may wait for that.
    pub queue: usize,
    /// How long one may wait.
    pub queue_wait: Duration,
    /// How many requests of every kind may be in the house.
    pub requests: usize,
    /// How long the whole request may take, from its headers to the answer's.
    pub whole: Duration,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * 1024,
            body: Duration::from_secs(30),
            // With the largest bodies, these three are 64 MiB.
            reading: 256,
            in_flight: 512,
            queue: 256,
            // sigstore-js gives up after five seconds, and the log wants most of them.
            queue_wait: Duration::from_secs(1),
            requests: 2048,
            whole: Duration::from_secs(60),
        }
    }
}

/// What the public doors are made of.
pub struct PublicParts {
    /// The service behind them.
    pub issuance: Arc<dyn Issuance>,
    /// Read once per signing request.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Where requests and decisions are counted.
    pub metrics: Arc<Metrics>,
    /// What is there to see.
    pub shown: Arc<Shown>,
    /// What one request may cost.
    pub limits: RequestLimits,
    /// How often an address may ask.
    pub rates: Rates,
}

/// The public doors' state.
pub struct Public {
    issuance: Arc<dyn Issuance>,
    clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limits: RequestLimits,
    admission: Admission,
    addresses: Addresses,
    /// Of the log, for those who ask too often.
    lines: Sparing,
    shown: Arc<Shown>,
}

impl Public {
    /// Opens nothing yet.
    pub fn new(parts: PublicParts) -> Self {
        Self {
            shown: parts.shown,
            issuance: parts.issuance,
            clock: parts.clock,
            entropy: parts.entropy,
            admission: Admission::new(parts.limits, parts.metrics.bodies()),
            metrics: parts.metrics,
            limits: parts.limits,
            addresses: Addresses::new(parts.rates),
            lines: Sparing::new(),
        }
    }
}

/// The routes of the public port.
pub fn public_router(public: Public) -> Router {
    let public = Arc::new(public);
    let doors = Router::new()
        .route("/api/v2/signingCert", post(signing_cert_v2))
        .route("/api/v2/trustBundle", get(trust_bundle))
        .route("/api/v2/configuration", get(configuration))
        .route("/api/v1/signingCert", post(signing_cert_v1))
        .route("/api/v1/rootCert", get(root_cert))
        .route("/trust/trusted_root.json", get(trusted_root))
        .route("/trust/signing_config.json", get(signing_config))
        .route("/trust/client_trust_config.json", get(client_trust_config))
        .route("/healthz", get(healthz))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn_with_state(public.clone(), layers::around))
        .with_state(public);
    Router::new().fallback_service(doors.map_request(one_leading_slash))
}

async fn signing_cert_v2(State(public): State<Arc<Public>>, request: Request) -> Response<Body> {
    match public.clone().sign(request::v2, request).await {
        Ok(issued) => response::v2(&issued, &public.shown.pages().active),
        Err(problem) => problem.into_response(),
    }
}

async fn signing_cert_v1(State(public): State<Arc<Public>>, request: Request) -> Response<Body> {
    match public.sign(request::v1, request).await {
        Ok(issued) => response::v1(&issued),
        Err(problem) => problem.into_response(),
    }
}

async fn trust_bundle(State(public): State<Arc<Public>>) -> Response<Body> {
    response::json(public.shown.pages().trust_bundle.clone())
}

async fn configuration(State(public): State<Arc<Public>>) -> Response<Body> {
    response::json(public.shown.pages().configuration.clone())
}

async fn root_cert(State(public): State<Arc<Public>>) -> Response<Body> {
    response::pem_chain(public.shown.pages().root_cert.clone())
}

async fn trusted_root(State(public): State<Arc<Public>>) -> Response<Body> {
    response::json(public.shown.pages().trusted_root.clone())
}

async fn signing_config(State(public): State<Arc<Public>>) -> Response<Body> {
    response::json(public.shown.pages().signing_config.clone())
}

async fn client_trust_config(State(public): State<Arc<Public>>) -> Response<Body> {
    response::json(public.shown.pages().client_trust_config.clone())
}

async fn healthz() -> Response<Body> {
    response::json(Bytes::from_static(response::SERVING.as_bytes()))
}

pub(super) async fn unknown_route() -> Problem {
    Problem::new(Reason::RouteUnknown)
}

pub(super) async fn unknown_method() -> Problem {
    Problem::new(Reason::MethodUnknown)
}

/// Who asks, as the log names them.
#[derive(Clone)]
struct Caller {
    request_id: RequestId,
    client: Option<IpAddr>,
}

impl Public {
    /// From request to decision. Each decision is told (of a flood some) and counted once, here.
    async fn sign(self: Arc<Self>, read: Reader, request: Request) -> Result<Issued, Problem> {
        let (parts, body) = request.into_parts();
        let caller = Caller {
            request_id: RequestId::of(&parts.extensions),
            client: parts.extensions.get().map(|Client(address)| *address),
        };
        let heard = async {
            self.admission.is_open()?;
            let taken = self.addresses.counted(caller.client).await?;
            match self.read(read, caller.client, &parts.headers, body).await {
                Ok(asked) => Ok((asked, taken)),
                Err(problem) => Err(self.addresses.settled(taken, problem).await),
            }
        };
        let decision = match heard.await {
            Ok(((Asked { token, proof }, admitted), taken)) => {
                let request = issuance::Request {
                    token,
                    proof,
                    request_id: caller.request_id.as_str().to_owned(),
                };
                // A task of its own: the decision is told and counted even if the caller hangs up.
                let public = self.clone();
                let by = caller.clone();
                let task = tokio::spawn(trace::inherit(async move {
                    let _admitted = admitted;
                    let now = public.clock.now();
                    let decision = match public.issuance.issue(request, now).await {
                        Ok(issued) => Ok(issued),
                        Err(problem) => Err(public.addresses.settled(taken, problem).await),
                    };
                    public.decided(&by, &decision);
                    decision
                }));
                match task.await {
                    Ok(decision) => return decision,
                    // It panicked: nobody aborts it.
                    Err(panic) => Err(Problem::new(Reason::Internal).caused_by(panic)),
                }
            }
            Err(problem) => Err(problem),
        };
        self.decided(&caller, &decision);
        decision
    }

    async fn read(
        &self,
        read: Reader,
        client: Option<IpAddr>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Asked, Admitted), Problem> {
        let limit = self.limits.body_bytes;
        let too_large = |rest: Body| {
            // Who waits to be asked for the body is not asked for it.
            if !headers.contains_key(EXPECT) {
                tokio::spawn(timeout(self.limits.body, discard(rest)));
            }
            Problem::new(Reason::RequestTooLarge)
                .detail(format!("the limit is {limit} bytes"))
                .with("limit", limit.to_string())
        };
        // Content-Length alone can be enough to know.
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(body));
        }
        // Nothing is unpacked for anybody.
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Problem::new(Reason::RequestMalformed)
                .detail("the body is compressed; send it as it is"));
        }
        let broken = |why| Problem::new(Reason::RequestMalformed).detail(why);
        let mut body = body;
        let arriving = timeout(self.limits.body, Limited::new(&mut body, limit).collect());
        match self.admission.read(client, arriving).await? {
            Err(_) => {
                self.admission.late();
                Err(broken("the body did not arrive in time"))
            }
            Ok(Err(e)) if e.is::<LengthLimitError>() => Err(too_large(body)),
            Ok(Err(_)) => Err(broken("the body did not arrive whole")),
            Ok(Ok(body)) => {
                let admitted = self.admission.admit(client).await?;
                Ok((read(headers, &body.to_bytes())?, admitted))
            }
        }
    }

    fn decided(&self, caller: &Caller, decision: &Result<Issued, Problem>) {
        match decision {
            Ok(issued) => {
                let issuer = self.issuance.configured_as(&issued.issuer);
                let issuer = issuer.as_deref();
                self.metrics.issued(issuer, issued.repeated);
                if issued.would_refuse {
                    self.metrics.would_refuse(issuer);
                }
                telemetry::issued(caller.request_id.as_str(), caller.client, issued);
            }
            Err(problem) => {
                let issuer = problem.issuer();
                let issuer = issuer.and_then(|issuer| self.issuance.configured_as(issuer));
                self.metrics.refused(issuer.as_deref(), problem.reason());
                if problem.reason() == Reason::RateLimited {
                    self.metrics.rate_limited(problem.member("limit"));
                }
                let line = match problem.reason().fault() {
                    Fault::Throttle => self.lines.line(),
                    Fault::Caller
                    | Fault::Credentials
                    | Fault::Policy
                    | Fault::Dependency
                    | Fault::Ours => Some(0),
                };
                let Some(left_out) = line else { return };
                let refusal = Refusal {
                    left_out,
                    reason: problem.reason(),
                    issuer: problem.issuer(),
                    identity: problem.identity(),
                    causes: &problem.told(),
                };
                telemetry::refused(caller.request_id.as_str(), caller.client, &refusal);
            }
        }
    }
}

/// How much of a body that is too large is taken and thrown away, in bytes.
const MAX_DISCARDED_BYTES: u64 = 8 * 1024 * 1024;

/// Takes the rest of a body while its refusal is on the way. A connection closed with bytes unread is
/// reset, and a client that sends everything before it reads would not learn why.
async fn discard(mut body: Body) {
    if body.size_hint().lower() > MAX_DISCARDED_BYTES {
        return;
    }
    let mut taken = 0;
    while let Some(Ok(frame)) = body.frame().await
        && taken <= MAX_DISCARDED_BYTES
    {
        taken += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

/// Clients given a base URL that ends in a slash ask for `//api/v2/…`, and mean `/api/v2/…`.
fn one_leading_slash(mut request: Request) -> Request {
    let uri = request.uri();
    let Some(rest) = uri.path_and_query().map(|pq| pq.as_str()) else {
        return request;
    };
    if rest.starts_with("//") {
        let mut parts = uri.clone().into_parts();
        let one = format!("/{}", rest.trim_start_matches('/'));
        parts.path_and_query = one.parse().ok();
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}
