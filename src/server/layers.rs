//! What stands around every door: the request id, CORS, the time limit, panics, and the clock on
//! the wall that measures how long an answer took.

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD,
};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse;
use tokio::time::{Instant, timeout};

use super::doors::Public;
use super::{Metrics, Problem, admission};
use crate::fault::Reason;
use crate::{hex, trace};

/// Longest request id taken over from a caller.
const MAX_REQUEST_ID_BYTES: usize = 128;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What ties an answer to its line in the log. Visible ASCII, so it is a header value as it is.
#[derive(Clone, Debug)]
pub(super) struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's, if it is fit to be logged; else these 128 random bits, which are also the
    /// trace's id where the caller names no trace.
    pub(super) fn of_caller_or_new(headers: &HeaderMap, fresh: &[u8]) -> Self {
        let fit = |id: &&str| {
            (1..=MAX_REQUEST_ID_BYTES).contains(&id.len())
                && id.bytes().all(|octet| octet.is_ascii_graphic())
        };
        let given = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        if let Some(id) = given.filter(fit) {
            return Self(id.into());
        }
        Self(hex::encode(fresh).into())
    }

    /// The one [`around`] gave the request.
    pub(super) fn of(extensions: &Extensions) -> Self {
        let given = extensions.get::<Self>().cloned();
        given.unwrap_or_else(|| Self("".into()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Puts it on an answer.
    pub(super) fn mark(&self, headers: &mut HeaderMap) {
        let value = HeaderValue::from_str(&self.0).expect("visible ASCII is a header value");
        headers.insert(X_REQUEST_ID, value);
    }
}

/// Runs one request: gives it its id and its time limit, marks and counts the answer.
pub(super) async fn around(
    State(public): State<Arc<Public>>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let start = Instant::now();
    let in_flight = public.metrics.in_flight();
    let mut seed = [0; trace::SEED_BYTES];
    public.entropy.fill(&mut seed);
    let id = RequestId::of_caller_or_new(request.headers(), &seed[..16]);
    let place = place(request.headers(), &seed);
    request.extensions_mut().insert(id.clone());
    let door = request.extensions().get::<MatchedPath>().cloned();

    let mut response = if is_preflight(&request) {
        preflight()
    } else if in_flight.number() > public.limits.requests {
        admission::busy().into_response()
    } else {
        // No dependency may take this long and the body has its own limit: it is our fault.
        trace::within(Some(place), timeout(public.limits.whole, next.run(request)))
            .await
            .unwrap_or_else(|_| Problem::new(Reason::Internal).into_response())
    };

    let headers = response.headers_mut();
    id.mark(headers);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let door = door.as_ref().map_or(Metrics::NO_DOOR, MatchedPath::as_str);
    public
        .metrics
        .answered(door, response.status(), start.elapsed());
    response
}

/// Where the request stands in its caller's trace, or in a new one.
fn place(headers: &HeaderMap, seed: &[u8; trace::SEED_BYTES]) -> trace::Context {
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    trace::Context::of(values(TRACEPARENT), values(TRACESTATE), seed)
}

/// A browser asking whether it may ask (Fetch §3.2.2).
fn is_preflight(request: &Request) -> bool {
    *request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// `authorization` is not among the headers, as in Fulcio: a browser sends its token in the body.
fn preflight() -> Response<Body> {
    let allowed = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, HEAD"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "accept, content-type, x-requested-with",
        ),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

/// A panic is answered like any mistake of ours; the panic hook has told the log where.
pub(super) fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    Problem::new(Reason::Internal).into_response()
}
