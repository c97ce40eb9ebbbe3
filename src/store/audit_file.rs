//! The audit log's file: append-only, owner-only, one `write` per line, synced by the store.
//!
//! A line is with the operating system when `append` returns, so it survives the death of the
//! process; it survives the loss of power once the store has committed, because the store calls
//! [`BeforeCommit`] first. A failed write or sync closes the log for good: what stands at the
//! file's end is then unknown, and nothing may be signed until a restart has looked.
//!
//! Rotation is not done here: the file grows until it is moved away while the process is down,
//! and a new file starts a new chain.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{BeforeCommit, sync_directory_of};
use crate::audit::{AuditLog, Chain, Error, Event, MAX_LINE_BYTES, Why};
use crate::time::UnixMillis;

/// How much of the file's end is checked at start. The whole is checked by `shortleaf audit verify`.
const TAIL_BYTES: u64 = 4 * MAX_LINE_BYTES as u64;

/// An open audit log.
#[derive(Debug)]
pub struct AuditFile {
    end: Mutex<End>,
    /// The same file for syncing, so that a sync does not hold up lines.
    sync: File,
    /// Lines written and lines known durable; equal when a sync would do nothing.
    written: AtomicU64,
    synced: AtomicU64,
    poisoned: AtomicBool,
}

#[derive(Debug)]
struct End {
    file: File,
    chain: Chain,
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

impl AuditFile {
    /// Opens or creates the log (mode 0600), checks its end and continues its chain. A torn last
    /// line is cut off and that fact recorded.
    pub fn open(path: &Path, now: UnixMillis) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
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

        let tail = Tail::read(&mut file).map_err(io)?;
        let chain = tail.chain().map_err(|(line, why)| OpenError::Damaged {
            path: path.to_owned(),
            line,
            why,
        })?;
        let torn = tail.torn();
        if torn > 0 {
            file.set_len(tail.length - torn).map_err(io)?;
        }
        sync_directory_of(path).map_err(io)?;

        let log = Self {
            sync: file.try_clone().map_err(io)?,
            end: Mutex::new(End { file, chain }),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
        };
        if torn > 0 {
            log.append(&Event {
                kind: "audit_repaired",
                at: now,
                request_id: String::new(),
                fields: vec![("cut_bytes", torn.to_string())],
            })
            .map_err(OpenError::Record)?;
        }
        Ok(log)
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
        self.sync.sync_data().map_err(|error| self.poison(error))?;
        self.synced.fetch_max(written, Ordering::AcqRel);
        Ok(())
    }

    fn poison(&self, error: io::Error) -> Error {
        self.poisoned.store(true, Ordering::Release);
        Error::Write(error)
    }
}

impl AuditLog for AuditFile {
    fn append(&self, event: &Event) -> Result<(), Error> {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        let (line, next) = end.chain.line(event);
        // One write(2): no other line can come between, and what a crash leaves is whole lines
        // and at most one cut short.
        match end.file.write(&line) {
            Ok(count) if count == line.len() => {}
            Ok(_) => return Err(self.poison(io::ErrorKind::WriteZero.into())),
            Err(error) => return Err(self.poison(error)),
        }
        end.chain = next;
        self.written.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
}

impl BeforeCommit for AuditFile {
    fn before_commit(&self) -> io::Result<()> {
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
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::audit;
    use crate::hex;

    const NOW: UnixMillis = UnixMillis(1_795_262_400_000);

    fn event(value: &str) -> Event {
        Event {
            kind: "issued",
            at: NOW,
            request_id: "r-1".into(),
            fields: vec![("serial", value.into())],
        }
    }

    fn log_of(path: &Path, lines: usize) {
        let log = AuditFile::open(path, NOW).unwrap();
        for line in 0..lines {
            log.append(&event(&line.to_string())).unwrap();
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
            log.append(&event(&der)).unwrap();
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

    #[test]
    fn a_failed_write_closes_the_log_for_good() {
        // /dev/full takes every open and refuses every write with ENOSPC.
        let full = || OpenOptions::new().append(true).open("/dev/full").unwrap();
        let log = AuditFile {
            end: Mutex::new(End {
                file: full(),
                chain: Chain::START,
            }),
            sync: full(),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            poisoned: AtomicBool::new(false),
        };
        assert!(matches!(log.append(&event("1")), Err(Error::Write(_))));
        assert!(matches!(log.append(&event("2")), Err(Error::Poisoned)));
        assert!(matches!(log.sync(), Err(Error::Poisoned)));
    }
}
