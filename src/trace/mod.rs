//! W3C trace context (Recommendation, level 1): which trace a request belongs to, and how the
//! calls made for it say so.
//!
//! A request whose `traceparent` is whole joins that trace; any other begins one of its own. It is
//! never a reason to refuse anything. Where a request is worked on, its [`Context`] is around the
//! work ([`within`]): the log and the outbound calls find it there and need no argument for it, and
//! what is spawned takes it along ([`inherit`]).
//!
//! Not here: spans with a beginning and an end, sampling, export. The `sampled` flag of the caller
//! is passed on and means nothing to us. `docs/logging.md` has the limits.

mod wire;

pub use wire::{STATE_BYTES_MAX, STATE_MEMBERS_MAX};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::hash::sha256;
use crate::hex;

/// Octets of chance that a context takes: a trace id, and the seed of its span ids.
pub const SEED_BYTES: usize = 32;

tokio::task_local! {
    static HERE: Option<Context>;
}

/// 16 octets that one trace has everywhere; not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// 8 octets that one piece of work has in its trace; not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// One request's place in its trace. Clones are the same place.
#[derive(Clone)]
pub struct Context(Arc<Place>);

struct Place {
    trace_id: TraceId,
    span_id: SpanId,
    /// The span of the caller that this one is part of.
    parent: Option<SpanId>,
    sampled: bool,
    state: Option<String>,
    seed: [u8; 16],
    calls: AtomicU32,
}

/// The headers of one outbound call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// `traceparent`: our trace, the call's own span.
    pub parent: String,
    /// `tracestate` as it came, if it came whole.
    pub state: Option<String>,
}

impl Context {
    /// The place of a request with these `traceparent` and `tracestate` headers. Without a whole
    /// `traceparent`, or with several, a new trace begins whose id are the first 16 octets of
    /// `seed`, which has to be of chance.
    pub fn of<'h>(
        parents: impl IntoIterator<Item = &'h [u8]>,
        states: impl IntoIterator<Item = &'h [u8]>,
        seed: &[u8; SEED_BYTES],
    ) -> Self {
        let mut parents = parents.into_iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(only), None) => wire::parent(only),
            _ => None,
        };
        let (fresh, chance) = seed.split_at(16);
        let mut seed = [0; 16];
        seed.copy_from_slice(chance);
        let fresh = TraceId(nonzero(std::array::from_fn(|at| fresh[at])));
        Self(Arc::new(Place {
            trace_id: parent.map_or(fresh, |parent| parent.trace_id),
            span_id: SpanId(nonzero(std::array::from_fn(|at| seed[at]))),
            parent: parent.map(|parent| parent.span_id),
            sampled: parent.is_some_and(|parent| parent.sampled),
            // Of a trace that is not gone on with, it says nothing.
            state: parent.and_then(|_| wire::state(states)),
            seed,
            calls: AtomicU32::new(0),
        }))
    }

    /// The trace.
    pub fn trace_id(&self) -> TraceId {
        self.0.trace_id
    }

    /// The request, in the trace.
    pub fn span_id(&self) -> SpanId {
        self.0.span_id
    }

    /// The caller's span, if the caller named one.
    pub fn parent(&self) -> Option<SpanId> {
        self.0.parent
    }

    /// For one outbound call more. Its span id is of the request's seed and the call's number.
    pub fn outgoing(&self) -> Outgoing {
        let place = &*self.0;
        let call = place.calls.fetch_add(1, Ordering::Relaxed);
        let hash = sha256(&[&place.seed, &call.to_be_bytes()]);
        let span = SpanId(nonzero(std::array::from_fn(|at| hash[at])));
        let flags = if place.sampled { "01" } else { "00" };
        Outgoing {
            parent: format!("00-{}-{span}-{flags}", place.trace_id),
            state: place.state.clone(),
        }
    }
}

/// What zero would say, nobody may say: that there is no id.
fn nonzero<const N: usize>(mut octets: [u8; N]) -> [u8; N] {
    if octets == [0; N] {
        octets[N - 1] = 1;
    }
    octets
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// Its ids: the caller's `tracestate` is the caller's.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({}/{})", self.trace_id(), self.span_id())
    }
}

/// Does `work` in this place.
pub async fn within<F: Future>(place: Option<Context>, work: F) -> F::Output {
    HERE.scope(place, work).await
}

/// `work` for a task of its own, which would begin in no place otherwise.
pub fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> {
    HERE.scope(current(), work)
}

/// The place of the work that asks, if it is done for a request.
pub fn current() -> Option<Context> {
    HERE.try_with(Clone::clone).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const SEED: [u8; SEED_BYTES] = [0x5e; SEED_BYTES];

    fn context(parents: &[&'static [u8]], states: &[&'static [u8]]) -> Context {
        let (parents, states) = (parents.iter().copied(), states.iter().copied());
        Context::of(parents, states, &SEED)
    }

    #[test]
    fn a_caller_with_a_trace_is_joined_with_a_span_of_our_own() {
        let joined = context(&[PARENT], &[]);
        assert_eq!(
            joined.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736"
        );
        let parent = joined.parent().map(|span| span.to_string());
        assert_eq!(parent.as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(joined.span_id().to_string(), "5e".repeat(8));
    }

    #[test]
    fn without_one_trace_and_one_only_a_new_one_begins() {
        for parents in [&[][..], &[&b"nonsense"[..]], &[PARENT, PARENT]] {
            let fresh = context(parents, &[b"a=1"]);
            assert_eq!(fresh.trace_id().to_string(), "5e".repeat(16));
            assert_eq!((fresh.parent(), fresh.outgoing().state), (None, None));
        }
    }

    #[test]
    fn each_call_is_a_span_of_its_own_in_the_same_trace() {
        let place = context(&[PARENT], &[b"rojo=00f067aa0ba902b7", b"congo=t61rcWkgMzE"]);
        let (one, two) = (place.outgoing(), place.clone().outgoing());
        assert_ne!(one.parent, two.parent);
        for call in [one, two] {
            let own = Context::of([call.parent.as_bytes()], [], &SEED);
            assert_eq!(own.trace_id(), place.trace_id());
            assert_ne!(own.parent(), Some(place.span_id()));
            assert!(call.parent.ends_with("-01"), "{}", call.parent);
            let state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
            assert_eq!(call.state.as_deref(), Some(state));
        }
    }

    #[test]
    fn a_random_source_of_zeros_makes_no_forbidden_id() {
        let place = Context::of([], [], &[0; SEED_BYTES]);
        assert!(wire::parent(place.outgoing().parent.as_bytes()).is_some());
    }

    #[tokio::test]
    async fn the_place_is_around_the_work_and_goes_along_where_it_is_spawned() {
        let trace = || current().map(|place| place.trace_id());
        assert_eq!(trace(), None);
        let place = context(&[PARENT], &[]);
        let expected = Some(place.trace_id());
        within(Some(place), async {
            assert_eq!(trace(), expected);
            let alone = tokio::spawn(async move { trace() });
            assert_eq!(alone.await.unwrap(), None);
            let along = tokio::spawn(inherit(async move { trace() }));
            assert_eq!(along.await.unwrap(), expected);
        })
        .await;
    }
}
