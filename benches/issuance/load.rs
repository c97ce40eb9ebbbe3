//! The load generator: one thread, raw sockets, one request in flight on each of N connections.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::cpu;
use crate::requests;

/// One answer in this many is kept whole, to be verified after the clock has stopped.
pub(crate) const KEEP_ONE_IN: usize = 100;

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// The file of requests, each sent once; empty for a GET of `/healthz` over and over.
    pub(crate) requests: Option<PathBuf>,
    pub(crate) connections: usize,
    pub(crate) warm_ms: u64,
    pub(crate) measure_ms: u64,
    /// Whose CPU time is read at both ends of the measured window.
    pub(crate) server_pid: u32,
}

/// What was seen in the measured window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Answers inside the window.
    pub(crate) answers: usize,
    /// Answers over all, the warm-up included.
    pub(crate) answers_in_all: usize,
    /// How often each status came, over all.
    pub(crate) statuses: BTreeMap<u16, usize>,
    /// The first answer that was not 200, or the first broken connection.
    pub(crate) first_failure: Option<String>,
    /// The window's length.
    pub(crate) seconds: f64,
    /// CPU the server used in the window, in nanoseconds.
    pub(crate) server_cpu_ns: u64,
    /// The minted requests were used up before the time was.
    pub(crate) ran_dry: bool,
    /// Latencies in microseconds.
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
    /// Which request, and the body of its answer.
    pub(crate) kept: Vec<(usize, String)>,
}

struct Window {
    at: Instant,
    usage: cpu::Usage,
    ticks: u64,
}

impl Window {
    fn edge(pid: u32) -> Self {
        Self {
            usage: cpu::Usage::of(pid),
            ticks: cpu::ticks(pid),
            at: Instant::now(),
        }
    }

    /// Nanoseconds of server CPU between the edges; by ticks of 10 ms if a thread has ended.
    fn cpu_until(&self, end: &Self) -> u64 {
        let by_ticks = (end.ticks - self.ticks) * 10_000_000;
        end.usage.since(&self.usage).unwrap_or(by_ticks)
    }
}

struct State {
    order: Order,
    requests: Vec<Rc<[u8]>>,
    next: usize,
    warm_until: Instant,
    start: Option<Window>,
    end: Option<Window>,
    latencies: Vec<u64>,
    answers_in_all: usize,
    statuses: BTreeMap<u16, usize>,
    first_failure: Option<String>,
    kept: Vec<(usize, String)>,
    ran_dry: bool,
}

impl State {
    /// The next request to send, while there is one and the time is not over.
    fn take(&mut self) -> Option<usize> {
        if self.end.is_some() {
            return None;
        }
        if self.order.requests.is_none() {
            return Some(0);
        }
        if self.next == self.requests.len() {
            self.ran_dry = true;
            self.finish();
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    fn finish(&mut self) {
        if self.end.is_none() {
            self.end = Some(Window::edge(self.order.server_pid));
        }
    }

    fn answered(&mut self, request: usize, sent: Instant, answer: &Answer) {
        let now = Instant::now();
        self.answers_in_all += 1;
        *self.statuses.entry(answer.status).or_default() += 1;
        if answer.status != 200 && self.first_failure.is_none() {
            let body = String::from_utf8_lossy(&answer.body);
            self.first_failure = Some(format!("{} {body}", answer.status));
        }
        if self.order.requests.is_some() && request.is_multiple_of(KEEP_ONE_IN) {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            self.kept.push((request, body));
        }
        match &self.start {
            None if now >= self.warm_until => {
                self.start = Some(Window::edge(self.order.server_pid));
            }
            Some(start) if self.end.is_none() => {
                let over = Duration::from_millis(self.order.measure_ms);
                let elapsed = now - start.at;
                self.latencies.push((now - sent).as_micros() as u64);
                if elapsed >= over {
                    self.finish();
                }
            }
            None | Some(_) => {}
        }
    }
}

/// Does it, on this thread.
pub(crate) fn run(order: Order) -> io::Result<Seen> {
    let requests = match &order.requests {
        Some(file) => requests::read(file)?,
        None => vec![b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec()],
    };
    let state = Rc::new(RefCell::new(State {
        warm_until: Instant::now() + Duration::from_millis(order.warm_ms),
        requests: requests.into_iter().map(Rc::from).collect(),
        next: 0,
        start: None,
        end: None,
        latencies: Vec::with_capacity(1 << 16),
        answers_in_all: 0,
        statuses: BTreeMap::new(),
        first_failure: None,
        kept: Vec::new(),
        ran_dry: false,
        order,
    }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let connections = state.borrow().order.connections;
    let all = LocalSet::new();
    for _ in 0..connections {
        let state = Rc::clone(&state);
        all.spawn_local(async move {
            if let Err(error) = connection(&state).await {
                let mut state = state.borrow_mut();
                state.first_failure.get_or_insert(error.to_string());
            }
        });
    }
    runtime.block_on(all);
    let state = Rc::try_unwrap(state)
        .map_err(|_| io::Error::other("a connection outlived its task"))?
        .into_inner();
    summary(state)
}

/// Sends and reads, one after the other, until there is nothing left to send.
async fn connection(state: &RefCell<State>) -> io::Result<()> {
    let address = state.borrow().order.address.clone();
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        let Some(number) = state.borrow_mut().take() else {
            return Ok(());
        };
        let request = Rc::clone(&state.borrow().requests[number]);
        let sent = Instant::now();
        stream.write_all(&request).await?;
        let answer = read_answer(&mut stream, &mut buffer).await?;
        state.borrow_mut().answered(number, sent, &answer);
    }
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// One HTTP/1.1 answer, with a length or in chunks. Nothing may follow it: one is in flight.
pub(crate) async fn read_answer(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<Answer> {
    buffer.clear();
    let head = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, buffer).await?;
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| io::Error::other("no status"))?;
    let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    if let Some(length) = header("content-length: ") {
        let length: usize = length.trim().parse().map_err(io::Error::other)?;
        while buffer.len() < head + length {
            more(stream, buffer).await?;
        }
        let body = buffer[head..].to_vec();
        if body.len() != length {
            return Err(io::Error::other("octets after the answer"));
        }
        return Ok(Answer { status, body });
    }
    if header("transfer-encoding: chunked").is_none() {
        return Err(io::Error::other("an answer without length or chunks"));
    }
    while !buffer[head..].ends_with(b"0\r\n\r\n") {
        more(stream, buffer).await?;
    }
    let body = dechunk(&buffer[head..]).ok_or_else(|| io::Error::other("bad chunks"))?;
    Ok(Answer { status, body })
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::Error::other("the server closed the connection")),
        _ => Ok(()),
    }
}

fn dechunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = find(rest, b"\r\n")?;
        let size = str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn summary(mut state: State) -> io::Result<Seen> {
    let none = || {
        let why = state.first_failure.clone();
        io::Error::other(why.unwrap_or_else(|| "nothing was answered".to_owned()))
    };
    let start = state.start.as_ref().ok_or_else(none)?;
    let end = state.end.as_ref().ok_or_else(none)?;
    let (seconds, server_cpu_ns) = ((end.at - start.at).as_secs_f64(), start.cpu_until(end));
    let latencies = &mut state.latencies;
    latencies.sort_unstable();
    let at = |share: f64| {
        let place = (latencies.len() as f64 * share) as usize;
        latencies
            .get(place.min(latencies.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    };
    Ok(Seen {
        answers: latencies.len(),
        answers_in_all: state.answers_in_all,
        seconds,
        server_cpu_ns,
        ran_dry: state.ran_dry,
        p50: at(0.50),
        p90: at(0.90),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        statuses: state.statuses,
        first_failure: state.first_failure,
        kept: state.kept,
    })
}
