//! What stands between those who log and standard error: a bounded queue and one thread that writes.
//!
//! A collector that stops reading fills its pipe, and then a write to it waits. Here only the thread
//! does: lines gather in the queue, and those it has no room for are lost, counted, and told of as
//! soon as a write has gone through again. What is in the queue when the log ends is written, for as
//! long as [`FLUSH_WITHIN`]; what a crash leaves in it is lost.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What the queue holds, in octets: some ten thousand lines. While it is written as much again may
/// gather.
const ROOM: usize = 4 << 20;
/// What an idle queue keeps of it.
const ROOM_KEPT: usize = 64 << 10;
/// How long the end of the log waits for whoever reads it.
pub(super) const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// Lines that found no room, or could not be written, in this process.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many lines of the log were lost since the process began.
pub fn lines_lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The queue, as a maker of writers each of whose writes is a line.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Told of lines, and of the end.
    come: Condvar,
    /// Told when all is written after the end.
    gone: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// Lost lines that nobody was told of yet.
    untold: u64,
    is_closed: bool,
    is_written: bool,
}

impl Queue {
    /// Starts the thread that writes to `sink`. It calls `tell` with the number of lines that were
    /// lost, before it writes the next ones; what that logs comes into this queue.
    pub(super) fn start(
        sink: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let queue = Self(Arc::default());
        let writer = queue.clone();
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_all_to(sink, &tell))?;
        Ok(queue)
    }

    /// Takes no more lines; waits until those that came are written, or that time is over.
    pub(super) fn close(&self, within: Duration) {
        let mut state = self.state();
        state.is_closed = true;
        self.0.come.notify_one();
        let waits = |state: &mut State| !state.is_written;
        let ended = self.0.gone.wait_timeout_while(state, within, waits);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.is_closed || state.lines.len() + line.len() > ROOM {
            state.lose(1);
            return;
        }
        state.lines.extend_from_slice(line);
        self.0.come.notify_one();
    }

    fn write_all_to(&self, mut sink: impl Write, tell: &impl Fn(u64)) {
        let (mut lines, mut flows) = (Vec::new(), true);
        loop {
            let state = self.state();
            let idle = |state: &mut State| state.lines.is_empty() && !state.is_closed;
            let state = self.0.come.wait_while(state, idle);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            if state.lines.is_empty() {
                state.is_written = true;
                self.0.gone.notify_all();
                return;
            }
            std::mem::swap(&mut lines, &mut state.lines);
            // Where nothing gets through, a line about it would not either.
            let lost = if flows {
                std::mem::take(&mut state.untold)
            } else {
                0
            };
            drop(state);
            if lost > 0 {
                tell(lost);
            }
            flows = sink.write_all(&lines).and_then(|()| sink.flush()).is_ok();
            if !flows {
                let unwritten = lines.iter().filter(|octet| **octet == b'\n').count();
                self.state().lose(unwritten as u64);
            }
            lines.clear();
            lines.shrink_to(ROOM_KEPT);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lose(&mut self, lines: u64) {
        self.untold += lines;
        LOST.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The subscriber writes an event in one piece.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Queue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Hands on what is written, each time after a word that it may.
    struct Pipe {
        may: Receiver<io::Result<()>>,
        wrote: Sender<Vec<u8>>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.may.recv().unwrap_or(Ok(()))?;
            let _ = self.wrote.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue before such a pipe.
    struct Scene {
        queue: Queue,
        let_pass: Sender<io::Result<()>>,
        written: Receiver<Vec<u8>>,
        told: Receiver<u64>,
    }

    fn scene() -> Scene {
        let (let_pass, may) = channel();
        let (wrote, written) = channel();
        let (tell, told) = channel();
        let tell = move |lost| tell.send(lost).unwrap();
        let queue = Queue::start(Pipe { may, wrote }, tell).unwrap();
        Scene {
            queue,
            let_pass,
            written,
            told,
        }
    }

    fn next<T>(from: &Receiver<T>) -> T {
        from.recv_timeout(PATIENCE).unwrap()
    }

    #[test]
    fn who_logs_waits_for_nobody_and_what_finds_no_room_is_told_once_it_flows_again() {
        let Scene {
            queue,
            let_pass,
            written,
            told,
        } = scene();
        let line = [b'x'; 1 << 10];
        queue.push(b"the first\n");
        // It is with the writer once the queue is empty; there is room for so many then.
        while !queue.state().lines.is_empty() {
            thread::yield_now();
        }
        let before = lines_lost();
        for _ in 0..ROOM / line.len() + 7 {
            queue.push(&line);
        }
        assert!(lines_lost() >= before + 7);
        assert!(told.try_recv().is_err(), "nothing flows yet");

        let_pass.send(Ok(())).unwrap();
        assert_eq!(next(&written), b"the first\n");
        assert_eq!(next(&told), 7);
        let_pass.send(Ok(())).unwrap();
        assert_eq!(next(&written).len(), ROOM);
        queue.push(b"the next\n");
        let_pass.send(Ok(())).unwrap();
        assert_eq!(next(&written), b"the next\n");
        assert!(told.try_recv().is_err(), "it is told once");
    }

    #[test]
    fn what_could_not_be_written_is_lost_and_told_with_what_could() {
        let Scene {
            queue,
            let_pass,
            written,
            told,
        } = scene();
        queue.push(b"one\n");
        let_pass.send(Err(io::Error::other("gone"))).unwrap();
        while queue.state().untold == 0 {
            thread::yield_now();
        }
        for line in [&b"two\n"[..], b"three\n"] {
            queue.push(line);
            let_pass.send(Ok(())).unwrap();
            assert_eq!(next(&written), line);
        }
        assert_eq!(next(&told), 1);
    }

    #[test]
    fn the_end_waits_for_what_is_in_the_queue_and_not_for_ever() {
        let Scene {
            queue,
            let_pass,
            written,
            told: _told,
        } = scene();
        queue.push(b"the last\n");
        queue.close(Duration::from_millis(10));
        assert!(written.try_recv().is_err());
        drop(let_pass);
        queue.close(PATIENCE);
        assert_eq!(written.try_recv().unwrap(), b"the last\n");
    }
}
