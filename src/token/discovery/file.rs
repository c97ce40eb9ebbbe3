//! A file of the configuration that is looked at again and again.
//!
//! Its content alone says whether it changed: dates are coarse, are kept by copying tools, and
//! move backwards when an older version is put back. Reading a few kilobytes now and then costs
//! nothing. A change that cannot be used is told once and leaves what is there in use.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file, and what it was when last looked at.
pub(super) struct Watched {
    path: PathBuf,
    limit: u64,
    seen: Mutex<Seen>,
}

enum Seen {
    Content(Vec<u8>),
    Unreadable(io::ErrorKind),
}

/// What looking at a file again found.
#[derive(Debug)]
pub(super) enum Look {
    /// Nothing new.
    Same,
    /// Another content, or the old one again after the file could not be read.
    Changed(Vec<u8>),
    /// It can no longer be read; told once.
    Unreadable(io::Error),
}

impl Watched {
    /// Reads `path`, of at most `limit` bytes, for the first time.
    pub(super) fn open(path: &Path, limit: u64) -> io::Result<(Self, Vec<u8>)> {
        let content = read(path, limit)?;
        let watched = Self {
            path: path.to_owned(),
            limit,
            seen: Mutex::new(Seen::Content(content.clone())),
        };
        Ok((watched, content))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads it again. Blocks for as long as the file system does.
    pub(super) fn look(&self) -> Look {
        // What was read from a pipe at the start cannot be read twice.
        if std::fs::metadata(&self.path).is_ok_and(|file| !file.is_file()) {
            return Look::Same;
        }
        let now = read(&self.path, self.limit);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (now, &*seen) {
            (Ok(content), Seen::Content(old)) if content == *old => Look::Same,
            (Ok(content), _) => {
                *seen = Seen::Content(content.clone());
                Look::Changed(content)
            }
            (Err(error), Seen::Unreadable(kind)) if error.kind() == *kind => Look::Same,
            (Err(error), _) => {
                *seen = Seen::Unreadable(error.kind());
                Look::Unreadable(error)
            }
        }
    }
}

fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        let told = format!("larger than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, told));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn changed(look: Look) -> Option<Vec<u8>> {
        match look {
            Look::Changed(content) => Some(content),
            Look::Same | Look::Unreadable(_) => None,
        }
    }

    #[test]
    fn content_and_not_its_date_says_that_a_file_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "one").unwrap();
        let date = fs::metadata(&path).unwrap().modified().unwrap();
        let (watched, first) = Watched::open(&path, 8).unwrap();
        assert_eq!(first, b"one");
        assert!(matches!(watched.look(), Look::Same));
        // Same length, same date.
        fs::write(&path, "two").unwrap();
        File::open(&path).unwrap().set_modified(date).unwrap();
        assert_eq!(changed(watched.look()).as_deref(), Some(&b"two"[..]));
        // Another date, same content.
        fs::write(&path, "two").unwrap();
        assert!(matches!(watched.look(), Look::Same));
        // As orchestrators do: a symbolic link that points elsewhere from one moment to the next.
        let (other, link) = (folder.path().join("other"), folder.path().join("link"));
        fs::write(&other, "three").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        fs::rename(&link, &path).unwrap();
        assert_eq!(changed(watched.look()).as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn a_file_that_went_away_is_told_once_and_noticed_when_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "one").unwrap();
        let (watched, _) = Watched::open(&path, 8).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(watched.look(), Look::Unreadable(_)));
        assert!(matches!(watched.look(), Look::Same));
        fs::write(&path, "123456789").unwrap();
        let Look::Unreadable(error) = watched.look() else {
            panic!("nine bytes are more than eight");
        };
        assert_eq!(error.to_string(), "larger than 8 bytes");
        fs::write(&path, "one").unwrap();
        assert_eq!(changed(watched.look()).as_deref(), Some(&b"one"[..]));
        assert!(Watched::open(&folder.path().join("absent"), 8).is_err());
    }

    #[test]
    fn what_is_no_file_is_read_once() {
        let (watched, content) = Watched::open(Path::new("/dev/null"), 8).unwrap();
        assert!(content.is_empty());
        assert!(matches!(watched.look(), Look::Same));
    }
}
