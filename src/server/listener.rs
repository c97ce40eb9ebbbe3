//! The accept loop, TLS, HTTP/1.1 and HTTP/2 (by ALPN or prior knowledge), with a bound on everything a peer can
//! make us hold: connections, headers, silence, age.
//!
//! It is our own because `axum::serve` has no time limit for headers, and hyper-util's protocol
//! detection waits for the first bytes, and HTTP/2 for the next, without any. What one request may
//! cost is not bounded here but in the router.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::Tls;
use super::crowd::{InUse, Seat};
use super::edge::{At, Closed, Edge, Open, Unopened};
use super::hall::{self, Hall, Received};
use super::hops::{Hops, ProxyError, proxied};
use super::wire::{self, Heads, Shape};

/// What one peer may make us hold.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections that are served at once; the last sixteenth is kept for networks that have none.
    /// Half as many more wait until one closes, or one that has no request in flight has made room.
    /// Every other stays in the kernel's queue.
    pub connections: usize,
    /// Of these, the ones of one address (a /64 of version 6). Over it, one of its own that has no
    /// request in flight makes room, or the newest is closed. None for no such limit. Trusted hops
    /// are exempt: whom they speak for they have to limit themselves.
    pub per_address: Option<usize>,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's headers may take, counted also while HTTP/1.1 waits for the next request.
    pub header: Duration,
    /// How long no byte may move in either direction.
    pub idle: Duration,
    /// How old a connection may become, so that load spreads anew.
    pub max_age: Duration,
    /// How long a connection that was told to close may take for what is in flight.
    pub finish: Duration,
    /// The same once the instance is stopping.
    pub drain: Duration,
}

impl ConnectionLimits {
    /// Connections that may be open at once, those that wait to be served included.
    pub fn open(&self) -> usize {
        self.connections + hall::standing(self.connections)
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 2048,
            per_address: None,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            max_age: Duration::from_secs(600),
            finish: Duration::from_secs(60),
            drain: Duration::from_secs(20),
        }
    }
}

/// Room for one 16 KiB token in a header, and as much again for the rest.
const MAX_HEADER_BYTES: usize = 32 << 10;
const MAX_HEADERS: usize = 64;
const MAX_STREAMS: u32 = 64;
/// A whole body fits, and no more than four of them wait unread on one connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// The smallest a peer may insist on (RFC 9113 §6.5.2).
const MAX_FRAME: u32 = 16 << 10;
/// Our largest answer is a few kilobytes.
const MAX_SEND_BUFFER: usize = 64 << 10;
/// Streams a peer may cancel before we have looked at them (CVE-2023-44487).
const MAX_RESET_BY_PEER: usize = 20;
/// Streams a peer may make us cancel by its mistakes (CVE-2025-8671).
const MAX_RESET_BY_US: usize = 64;

/// How long to wait when the system has no descriptor left for another connection.
const AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(50);
/// How long a connection may take to leave that has to make room: half a head is waited for no
/// longer, and whoever comes next waits as long.
const TO_MAKE_ROOM: Duration = Duration::from_millis(100);

/// How a listener meets its peers.
#[derive(Clone, Default)]
pub struct Front {
    /// What one peer may make us hold.
    pub limits: ConnectionLimits,
    /// Plain HTTP without.
    pub tls: Option<Arc<Tls>>,
    /// Who is believed about whom a connection is for.
    pub hops: Hops,
    /// Where what comes of connections is counted.
    pub edge: Edge,
}

/// Answers on `listener` until `stop`, then closes it, finishes what is in flight and returns.
pub async fn serve(listener: TcpListener, router: Router, front: Front, stop: CancellationToken) {
    let hall = Hall::new(front.limits.connections, front.limits.per_address);
    let connections = TaskTracker::new();
    let usher = Usher {
        router,
        front,
        stop: stop.clone(),
        connections: connections.clone(),
    };
    let received = async || {
        let (stream, peer) = loop {
            match listener.accept().await {
                Ok((stream, peer)) => break (stream, peer.ip()),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    hall.make_room();
                    sleep(AFTER_ACCEPT_ERROR).await;
                }
            }
        };
        // Who speaks for others has no network of its own.
        let address = (!usher.front.hops.trusts(peer)).then_some(peer);
        (stream, peer, hall.receive(address).await)
    };
    while let Some((stream, peer, received)) = stop.run_until_cancelled(received()).await {
        match received {
            Received::Seated(seat) => usher.meet(stream, peer, seat),
            Received::Stands(standing) => {
                let (usher, stop) = (usher.clone(), stop.clone());
                connections.spawn(async move {
                    // Nothing was asked yet, as below.
                    if let Some(seat) = stop.run_until_cancelled(standing.seat()).await {
                        usher.meet(stream, peer, seat);
                    }
                });
            }
        }
    }
    // Closed first: a peer that connects now is refused at once and goes to another instance.
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Takes those who have a seat to it.
#[derive(Clone)]
struct Usher {
    router: Router,
    front: Front,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Usher {
    fn meet(&self, mut stream: TcpStream, peer: IpAddr, seat: Seat) {
        let Front {
            limits,
            tls,
            hops,
            edge,
        } = &self.front;
        let open = edge.open();
        let seat = Arc::new(seat);
        if !hops.trusts(peer) && !seat.belongs_to(peer) {
            return edge.closed(Closed::AddressFull);
        }
        // Small answers: waiting to fill a segment only costs time. A failure costs only that.
        let _ = stream.set_nodelay(true);
        let (limits, stop) = (*limits, self.stop.clone());
        let mut meeting = Meeting {
            router: self.router.clone(),
            limits,
            seat,
            hops: hops.clone(),
            from: peer,
            edge: edge.clone(),
            open,
        };
        // Asked anew for each connection: the certificate may have been replaced.
        let acceptor = tls.as_ref().map(|tls| tls.acceptor());
        let speaks_proxy = hops.speaks_proxy(peer);
        match acceptor {
            None if !speaks_proxy => self.connections.spawn(connection(stream, meeting, stop)),
            acceptor => self.connections.spawn(async move {
                let opening = async {
                    if speaks_proxy && let Some(named) = proxied(&mut stream).await? {
                        if !meeting.hops.trusts(named) && !meeting.seat.belongs_to(named) {
                            return Err(Unusable::AddressFull);
                        }
                        meeting.from = named;
                    }
                    Ok(match acceptor {
                        Some(acceptor) => Opened::Tls(Box::new(acceptor.accept(stream).await?)),
                        None => Opened::Plain(stream),
                    })
                };
                // Nothing was asked yet: neither stopping nor another peer need wait for it.
                let opened: Result<Result<_, Unusable>, _> = tokio::select! {
                    opened = timeout(limits.handshake, opening) => opened,
                    () = stop.cancelled() => return,
                    () = meeting.seat.told_to_leave() => {
                        return meeting.edge.closed(Closed::MadeRoom);
                    }
                };
                match opened {
                    Ok(Ok(Opened::Tls(stream))) => connection(stream, meeting, stop).await,
                    Ok(Ok(Opened::Plain(stream))) => connection(stream, meeting, stop).await,
                    Ok(Err(Unusable::AddressFull)) => meeting.edge.closed(Closed::AddressFull),
                    Ok(Err(error)) => meeting.edge.unopened(error.kind(), &error),
                    Err(late) => meeting.edge.unopened(Unopened::Timeout, &late),
                }
            }),
        };
    }
}

/// What a connection is met with.
struct Meeting {
    router: Router,
    limits: ConnectionLimits,
    seat: Arc<Seat>,
    hops: Hops,
    /// Where it comes from: the peer, or whom a trusted one named.
    from: IpAddr,
    edge: Edge,
    open: Open,
}

/// A connection whose requests can be read.
enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("no TLS: {0}")]
    Tls(#[from] io::Error),
    #[error("the address has its share of connections")]
    AddressFull,
}

impl Unusable {
    fn kind(&self) -> Unopened {
        match self {
            Self::Proxy(_) => Unopened::ProxyHeader,
            Self::Tls(error) => Unopened::of_tls(error),
            Self::AddressFull => Unopened::Other,
        }
    }
}

/// One connection from its first byte to its last.
async fn connection<S>(stream: S, meeting: Meeting, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Meeting {
        router,
        limits,
        seat,
        hops,
        from,
        edge,
        open: _open,
    } = meeting;
    let start = Instant::now();
    let seen = Arc::new(Seen::default());
    let watched = Watched {
        stream,
        start,
        heads: Heads::new(),
        seen: seen.clone(),
    };
    let service = {
        let (seat, seen, edge) = (seat.clone(), seen.clone(), edge.clone());
        service_fn(move |mut request: Request<Incoming>| {
            let client = hops.client(from, request.headers());
            request.extensions_mut().insert(client);
            let (in_use, seen, edge) = (seat.in_use(), seen.clone(), edge.clone());
            answer(request, router.clone(), in_use, seen, edge)
        })
    };
    let builder = protocols(&limits);
    let mut http = pin!(builder.serve_connection(TokioIo::new(watched), service));

    let mut open = true;
    let mut deadline = start + limits.idle.min(limits.max_age);
    loop {
        tokio::select! {
            ended = http.as_mut() => {
                let at = match seen.in_a_head.load(Ordering::Relaxed) {
                    true => At::Head,
                    false => At::Between,
                };
                let why = ended.err().and_then(|error| Closed::of_http(&*error, at));
                // Told to leave, it was counted then.
                return why.filter(|_| open).into_iter().for_each(|why| edge.closed(why));
            }
            () = stop.cancelled(), if open || deadline > Instant::now() + limits.drain => {
                open = false;
                deadline = Instant::now() + limits.drain;
                http.as_mut().graceful_shutdown();
            }
            () = seat.told_to_leave(), if open => {
                edge.closed(Closed::MadeRoom);
                open = false;
                // A request may have come in the moment it was told.
                let finish = if seat.is_in_use() { limits.finish } else { TO_MAKE_ROOM };
                deadline = Instant::now() + finish;
                http.as_mut().graceful_shutdown();
            }
            () = sleep_until(deadline) => {
                // It was asked to finish and did not: it does not read, or it ignores GOAWAY.
                if !open {
                    return edge.closed(Closed::Unfinished);
                }
                let last = start + Duration::from_millis(seen.moved.load(Ordering::Relaxed));
                let (idle, age) = (last + limits.idle, start + limits.max_age);
                deadline = idle.min(age);
                if deadline <= Instant::now() {
                    edge.closed(if idle < age { Closed::Idle } else { Closed::Age });
                    open = false;
                    deadline = Instant::now() + limits.finish;
                    http.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// HTTP/1.1 and HTTP/2 with their limits. No keep-alive pings: their answers would count as life.
fn protocols(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES);
    // The number of CONTINUATION frames follows from the sizes of frame and header list.
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .max_frame_size(MAX_FRAME)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESET_BY_PEER)
        .max_local_error_reset_streams(MAX_RESET_BY_US);
    builder
}

/// One request. Whose length is not beyond doubt is the last of its connection.
async fn answer(
    request: Request<Incoming>,
    mut router: Router,
    _in_use: InUse,
    seen: Arc<Seen>,
    edge: Edge,
) -> Result<Response<Body>, Infallible> {
    let ambiguous = seen.ambiguous.get().copied();
    let fault = ambiguous.or_else(|| wire::fault(request.version(), request.headers()));
    let is_last = fault.is_some() || request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = match fault {
        Some(shape) => edge.refuse(shape, request.headers()),
        None => router.call(request).await?,
    };
    if is_last {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What was seen on the wire.
#[derive(Default)]
struct Seen {
    /// When a byte last moved, in milliseconds since the connection's start.
    moved: AtomicU64,
    /// That a request can be read in two ways, and how.
    ambiguous: OnceLock<Shape>,
    /// Whether a head has begun and is not yet whole.
    in_a_head: AtomicBool,
}

/// A stream that remembers when it last moved a byte, and looks at the heads of requests.
struct Watched<S> {
    stream: S,
    start: Instant,
    heads: Heads,
    seen: Arc<Seen>,
}

impl<S> Watched<S> {
    fn note<T>(&self, bytes: usize, poll: Poll<T>) -> Poll<T> {
        if bytes > 0 {
            let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.seen.moved.store(now, Ordering::Relaxed);
        }
        poll
    }

    fn note_written(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let bytes = match &poll {
            Poll::Ready(Ok(bytes)) => *bytes,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.note(bytes, poll)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(shape) = self.heads.take(&buf.filled()[before..]) {
            // Before the request is made of it: the service comes later. The first one stays.
            let _ = self.seen.ambiguous.set(shape);
        }
        let in_a_head = self.heads.in_a_head();
        self.seen.in_a_head.store(in_a_head, Ordering::Relaxed);
        self.note(buf.filled().len() - before, poll)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_written(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_written(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
