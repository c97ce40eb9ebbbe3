//! The audit log's file: append-only, owner-only, made durable by the store.
//!
//! A line is with the operating system when `append` returns, so it survives the death of the
//! process; what several requests append at the same moment goes there in one `write`. It survives
//! the loss of power with the store's next batch, because the store's journal carries it along
//! ([`Carried`]) until the file itself is synced, and a start puts it back. A failed write or sync
//! closes the log for good: what stands at the file's end is then unknown, and nothing may be signed
//! until a restart has looked.
//!
//! Rotation is not done here: the file grows until it is moved away while the process is down,
//! and a new file starts a new chain.

use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::task::yield_now;

use super::{Carried, Restore, sync_directory_of};
use crate::audit::{AuditLog, Chain, Error, Event, MAX_LINE_BYTES, Value, Why};
use crate::time::UnixMillis;

/// How much of the file's end is checked at start. The whole is checked by `shortleaf audit verify`.
const TAIL_BYTES: u64 = 4 * MAX_LINE_BYTES as u64;

/// The room of more lines than usually go out together is given back.
const MAX_ROOM_KEPT: usize = 256 << 10;

/// An open audit log.
#[derive(Debug)]
pub struct AuditFile {
    end: Mutex<End>,
    /// The same file for syncing and reading, so that neither holds up lines.
    beside: File,
    /// Octets written and octets known durable; equal when a sync would do nothing. What stands
    /// in [`End::lines`] is not among them.
    written: AtomicU64,
    synced: AtomicU64,
    poisoned: AtomicBool,
}

#[derive(Debug)]
struct End {
    file: File,
    /// Ends in the last of `lines`.
    chain: Chain,
    /// Lines on their way to the file; kept for its room.
    lines: Vec<u8>,
}

/// Why an audit log cannot be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file could not be opened, read or cut.
    #[error("could not open the audit log {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Another process is writing to it.
    #[error("the audit log {} is in use by another process", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// Its last lines are damaged, beyond the one that a crash may cut short.
    #[error("the end of the audit log {} is damaged: {line} whole lines from the end, a line {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How many whole lines stand after it.
        line: usize,
        /// How it fails.
        why: Why,
    },
    /// The repair could not be recorded.
    #[error("could not record the repair of the audit log")]
    Record(#[source] Error),
}

/// A log that is this process's, and at whose end nobody has looked yet.
#[derive(Debug)]
pub struct LockedAudit {
    file: File,
    path: PathBuf,
    /// Up to here a loss of power took nothing; unknown without a store that kept account.
    durable: Cell<Option<u64>>,
}

impl LockedAudit {
    /// Opens or creates the log (mode 0600) for this process alone.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => io(source),
        })?;
        sync_directory_of(path).map_err(io)?;
        let path = path.to_owned();
        let durable = Cell::new(None);
        Ok(Self {
            file,
            path,
            durable,
        })
    }

    /// Checks the log's end and continues its chain. A torn last line is cut off and that fact
    /// recorded.
    pub fn resume(mut self, now: UnixMillis) -> Result<AuditFile, OpenError> {
        let io = |source| OpenError::Io {
            path: self.path.clone(),
            source,
        };
        let mut tail = Tail::read(&mut self.file).map_err(io)?;
        let mut torn = tail.torn();
        // A loss of power leaves of what was not durable any page or none, in any order.
        if tail.chain().is_err()
            && let Some(durable) = self.durable.get()
            && durable < tail.length
        {
            let lost = tail.length - durable;
            self.file.set_len(durable).map_err(io)?;
            tail = Tail::read(&mut self.file).map_err(io)?;
            torn = lost;
        } else if torn > 0 {
            self.file.set_len(tail.length - torn).map_err(io)?;
            tail.length -= torn;
        }
        let chain = tail.chain().map_err(|(line, why)| OpenError::Damaged {
            path: self.path.clone(),
            line,
            why,
        })?;
        let log = AuditFile {
            beside: self.file.try_clone().map_err(io)?,
            end: Mutex::new(End {
                file: self.file,
                chain,
                lines: Vec::new(),
            }),
            written: AtomicU64::new(tail.length),
            synced: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
        };
        if torn > 0 {
            log.append(&Event {
                kind: "audit_repaired",
                at: now,
                request_id: "",
                fields: &[("cut_bytes", Value::Text(&torn.to_string()))],
            })
            .map_err(OpenError::Record)?;
        }
        Ok(log)
    }
}

impl Restore for LockedAudit {
    fn settle(&self) -> io::Result<u64> {
        self.file.sync_data()?;
        Ok(self.file.metadata()?.len())
    }

    fn durable_to(&self, end: u64) {
        self.durable.set(self.durable.get().max(Some(end)));
    }

    /// Over whatever a loss of power left there. What the file does not reach cannot be restored:
    /// it was moved away, or cut, before the start that would have needed it.
    fn restore(&self, at: u64, octets: &[u8]) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length < at {
            return Err(io::Error::other(format!(
                "{} has {length} octets, and what is missing begins at {at}: put the log back that \
                 was here when the process ended, and move it after a clean stop",
                self.path.display()
            )));
        }
        // Not by the handle that appends: it would write at the end, wherever it is told to.
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all_at(octets, at)?;
        file.sync_data()?;
        self.durable_to(at + octets.len() as u64);
        Ok(())
    }
}

impl AuditFile {
    /// [`LockedAudit::open`] and [`LockedAudit::resume`]: a log that no store carries along.
    pub fn open(path: &Path, now: UnixMillis) -> Result<Self, OpenError> {
        LockedAudit::open(path)?.resume(now)
    }

    /// Makes every line written so far durable (`fdatasync`). Free if they are already.
    pub fn sync(&self) -> Result<(), Error> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        let written = self.written.load(Ordering::Acquire);
        if self.synced.load(Ordering::Acquire) >= written {
            return Ok(());
        }
        // After a failed sync the kernel may call the pages clean although they never reached the
        // disk, so a second try would prove nothing.
        self.beside
            .sync_data()
            .map_err(|error| self.poison(error))?;
        self.synced.fetch_max(written, Ordering::AcqRel);
        Ok(())
    }

    /// Gives the line its place in the chain; where it ends. It is not written by that.
    fn put(&self, event: &Event<'_>) -> Result<u64, Error> {
        let mut end = self.end();
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        let End { chain, lines, .. } = &mut *end;
        *chain = chain.line(event, lines);
        Ok(self.written.load(Ordering::Acquire) + lines.len() as u64)
    }

    /// Writes all lines on their way, unless somebody else has written those up to `ends`.
    fn write_to(&self, ends: u64) -> Result<(), Error> {
        let mut end = self.end();
        if self.written.load(Ordering::Acquire) >= ends {
            return Ok(());
        }
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        let End { file, lines, .. } = &mut *end;
        // One write(2): what a crash leaves is whole lines and at most one cut short.
        match file.write(lines) {
            Ok(count) if count == lines.len() => {}
            Ok(_) => return Err(self.poison(io::ErrorKind::WriteZero.into())),
            Err(error) => return Err(self.poison(error)),
        }
        let octets = lines.len() as u64;
        lines.clear();
        lines.shrink_to(MAX_ROOM_KEPT);
        self.written.fetch_add(octets, Ordering::AcqRel);
        Ok(())
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poison(&self, error: io::Error) -> Error {
        self.poisoned.store(true, Ordering::Release);
        Error::Write(error)
    }
}

#[async_trait]
impl AuditLog for AuditFile {
    fn append(&self, event: &Event<'_>) -> Result<(), Error> {
        let ends = self.put(event)?;
        self.write_to(ends)
    }

    async fn append_with_others(&self, event: &Event<'_>) -> Result<(), Error> {
        let ends = self.put(event)?;
        // Whoever else is about to write puts a line behind this one first. Under load the requests
        // of one batch of the store go on side by side; alone, this is a look around.
        yield_now().await;
        self.write_to(ends)
    }
}

impl Carried for AuditFile {
    fn written(&self) -> io::Result<u64> {
        match self.poisoned.load(Ordering::Acquire) {
            true => Err(io::Error::other(Error::Poisoned)),
            false => Ok(self.written.load(Ordering::Acquire)),
        }
    }

    fn read(&self, from: u64, octets: &mut [u8]) -> io::Result<()> {
        self.beside.read_exact_at(octets, from)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync().map_err(io::Error::other)
    }
}

/// The end of the file as found at start.
struct Tail {
    /// Of the whole file.
    length: u64,
    bytes: Vec<u8>,
    /// Whether `bytes` is the whole file.
    whole: bool,
}

impl Tail {
    fn read(file: &mut File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let start = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(Self {
            length,
            bytes,
            whole: start == 0,
        })
    }

    /// Bytes after the last newline.
    fn torn(&self) -> u64 {
        let whole_lines = self.bytes.iter().rposition(|octet| *octet == b'\n');
        (self.bytes.len() - whole_lines.map_or(0, |at| at + 1)) as u64
    }

    /// The chain that the whole lines end in; else which line, counted back from the last, is
    /// damaged.
    fn chain(&self) -> Result<Chain, (usize, Why)> {
        if !self.whole && !self.bytes.contains(&b'\n') {
            // Where the chain stands cannot be seen from here.
            return Err((0, Why::TooLong));
        }
        let lines = &self.bytes[..self.bytes.len() - self.torn() as usize];
        // Where the window cuts into a line, that line is not looked at.
        let first = match lines.iter().position(|octet| *octet == b'\n') {
            Some(at) if !self.whole => at + 1,
            _ => 0,
        };
        let lines: Vec<&[u8]> = lines[first..].split_inclusive(|o| *o == b'\n').collect();
        let mut chain = Chain::START;
        for (index, line) in lines.iter().enumerate() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let follows = if index == 0 && !self.whole {
                Chain::ending_in(line)
            } else {
                chain.followed_by(line)
            };
            chain = follows.map_err(|why| (lines.len() - 1 - index, why))?;
        }
        Ok(chain)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::os::unix::fs::PermissionsExt as _;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;
    use crate::audit;
    use crate::hex;

    const NOW: UnixMillis = UnixMillis(1_795_262_400_000);

    fn append(log: &AuditFile, value: &str) -> Result<(), Error> {
        log.append(&Event {
            kind: "issued",
            at: NOW,
            request_id: "r-1",
            fields: &[("serial", Value::Text(value))],
        })
    }

    fn log_of(path: &Path, lines: usize) {
        let log = AuditFile::open(path, NOW).unwrap();
        for line in 0..lines {
            append(&log, &line.to_string()).unwrap();
        }
        log.sync().unwrap();
    }

    fn summary(path: &Path) -> audit::Summary {
        audit::verify(std::fs::read(path).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn the_chain_goes_on_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        log_of(&path, 2);
        log_of(&path, 3);
        assert_eq!((summary(&path).lines, summary(&path).torn_tail), (5, 0));
    }

    #[test]
    fn the_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        log_of(&path, 1);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_cut_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        log_of(&path, 3);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        log_of(&path, 1);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(summary(&path).lines, 4);
        assert!(
            text.lines().nth(2).unwrap().contains("audit_repaired"),
            "{text}"
        );
    }

    #[test]
    fn damage_before_the_last_line_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        log_of(&path, 3);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(
            &path,
            text.replacen("\"serial\":\"1\"", "\"serial\":\"7\"", 1),
        )
        .unwrap();
        let error = AuditFile::open(&path, NOW).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::Damaged {
                    line: 1,
                    why: Why::Checksum,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_log_longer_than_the_window_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let log = AuditFile::open(&path, NOW).unwrap();
        let der = hex::encode(&vec![0xa5; 50_000]);
        for _ in 0..15 {
            append(&log, &der).unwrap();
        }
        drop(log);
        assert!(std::fs::metadata(&path).unwrap().len() > TAIL_BYTES);
        log_of(&path, 1);
        assert_eq!(summary(&path).lines, 16);
    }

    #[test]
    fn two_processes_cannot_write_one_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let _first = AuditFile::open(&path, NOW).unwrap();
        let error = AuditFile::open(&path, NOW).unwrap_err();
        assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    }

    fn event<'a>(fields: &'a [(&'static str, Value<'a>)]) -> Event<'a> {
        Event {
            kind: "issued",
            at: NOW,
            request_id: "r-1",
            fields,
        }
    }

    #[tokio::test]
    async fn lines_of_several_go_out_together() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let log = AuditFile::open(&path, NOW).unwrap();
        let (one, other) = (event(&[]), event(&[("serial", Value::Text("2"))]));
        let looks_on = async {
            // Both have put their lines, and neither has written.
            assert_eq!(summary(&path).lines, 0);
        };
        let (first, second, ()) = tokio::join!(
            biased;
            log.append_with_others(&one),
            log.append_with_others(&other),
            looks_on,
        );
        first.unwrap();
        second.unwrap();
        assert_eq!(summary(&path).lines, 2);
    }

    #[tokio::test]
    async fn a_line_whose_request_went_away_goes_out_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.jsonl");
        let log = AuditFile::open(&path, NOW).unwrap();
        let event = event(&[]);
        let mut gone = log.append_with_others(&event);
        assert!(poll_once(gone.as_mut()).await.is_pending());
        drop(gone);
        append(&log, "2").unwrap();
        assert_eq!((summary(&path).lines, summary(&path).torn_tail), (2, 0));
    }

    #[tokio::test]
    async fn a_write_that_fails_fails_everyone_it_was_for() {
        let log = full_log();
        let event = event(&[]);
        let (first, second) = tokio::join!(
            biased;
            log.append_with_others(&event),
            log.append_with_others(&event),
        );
        assert!(matches!(first, Err(Error::Write(_))));
        assert!(matches!(second, Err(Error::Poisoned)));
    }

    async fn poll_once<F: Future + ?Sized>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
    }

    /// A log on a disk without space.
    fn full_log() -> AuditFile {
        // /dev/full takes every open and refuses every write with ENOSPC.
        let full = || OpenOptions::new().append(true).open("/dev/full").unwrap();
        AuditFile {
            end: Mutex::new(End {
                file: full(),
                chain: Chain::START,
                lines: Vec::new(),
            }),
            beside: full(),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
        }
    }

    #[test]
    fn a_failed_write_closes_the_log_for_good() {
        let log = full_log();
        assert!(matches!(append(&log, "1"), Err(Error::Write(_))));
        assert!(matches!(append(&log, "2"), Err(Error::Poisoned)));
        assert!(matches!(log.sync(), Err(Error::Poisoned)));
    }
}
