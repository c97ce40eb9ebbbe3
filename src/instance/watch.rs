//! Files that are taken over when they change, while the instance runs.
//!
//! Content decides, not dates: dates are coarse, are kept by copying tools, and move backwards when
//! an older version is put back. What is watched are paths, opened anew each time: Kubernetes swaps
//! a link behind them. What belongs together is read together, and read once more before it is
//! used: had anything moved meanwhile, it could be half of one state and half of another. It is
//! taken over whole or not at all; what cannot be used leaves in use what was there before, is told
//! once in the log, and by a metric for as long as it lasts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::files;
use crate::hash::sha256;
use crate::server::Metrics;

/// How often files are looked at.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What could not be used is tried again even if nothing changed: time makes a certificate valid.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// Who writes several files gets this part of the time between two looks, from the first that is
/// seen to have changed.
const SETTLE_PART: u32 = 8;

/// Files that were read, and what each held then.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading(BTreeMap<PathBuf, Held>);

/// Hashes and not contents: there are keys among them.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    Content([u8; 32]),
    Unreadable(io::ErrorKind),
    TooLarge,
    /// A pipe: what was read from it at the start cannot be read twice.
    Stream,
}

impl Reading {
    /// A file, noted.
    pub(super) fn read(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        let read = files::read(path);
        self.0.insert(path.to_owned(), Held::of(path, &read));
        read
    }

    /// A file of text, noted.
    pub(super) fn read_text(&mut self, path: &Path) -> Result<String, Error> {
        files::text(path, self.read(path)?)
    }

    /// Notes a file that somebody else read.
    pub(super) fn note(&mut self, path: &Path, hash: [u8; 32]) {
        let held = match is_stream(path) {
            true => Held::Stream,
            false => Held::Content(hash),
        };
        self.0.insert(path.to_owned(), held);
    }

    /// What this file held.
    pub(super) fn hash_of(&self, path: &Path) -> Option<[u8; 32]> {
        match self.0.get(path)? {
            Held::Content(hash) => Some(*hash),
            Held::Unreadable(_) | Held::TooLarge | Held::Stream => None,
        }
    }

    /// Whether every file still holds what it held. Blocks for as long as the file system does.
    fn is_current(&self) -> bool {
        self.0.iter().all(|(path, held)| match held {
            Held::Stream => true,
            Held::Content(_) | Held::Unreadable(_) | Held::TooLarge => {
                // A secret among them is forgotten at once.
                let read = files::read(path).map(zeroize::Zeroizing::new);
                *held == Held::of(path, &read)
            }
        })
    }

    /// The files that held something else before, or were not read.
    fn since(&self, before: &Self) -> Vec<String> {
        let changed = self
            .0
            .iter()
            .filter(|(path, held)| before.0.get(*path) != Some(held));
        changed
            .map(|(path, _)| path.display().to_string())
            .collect()
    }
}

impl Held {
    fn of(path: &Path, read: &Result<impl AsRef<[u8]>, Error>) -> Self {
        match read {
            Ok(_) if is_stream(path) => Self::Stream,
            Ok(content) => Self::Content(sha256(&[content.as_ref()])),
            Err(Error::Unreadable { source, .. }) => Self::Unreadable(source.kind()),
            Err(_) => Self::TooLarge,
        }
    }
}

fn is_stream(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| !file.is_file())
}

/// What is made of files.
pub(super) trait FromFiles: Send + 'static {
    /// Read and judged, and not in use yet.
    type New;
    /// What they are about, for the log and metrics.
    const WHAT: &'static str;

    /// Reads them all through `reading` and judges them as a start does.
    fn make(&mut self, reading: &mut Reading) -> Result<Self::New, Error>;

    /// Has these be used from here on.
    fn take(&mut self, new: Self::New) -> Result<(), Error>;
}

/// Something made of files, and what is there of them.
pub(super) struct Watch<F> {
    files: F,
    /// What is in use was made of this.
    in_use: Reading,
    refused: Option<Refused>,
    metrics: Arc<Metrics>,
}

/// What could not be used.
struct Refused {
    reading: Reading,
    at: Instant,
    why: String,
}

/// What became of a look.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Nothing new.
    Same,
    /// Something changed; whoever writes may not be done.
    Changed,
}

impl<F: FromFiles> Watch<F> {
    /// Of files that were read just now.
    pub(super) fn new(files: F, in_use: Reading, metrics: Arc<Metrics>) -> Self {
        metrics.reload_refused(F::WHAT, false);
        Self {
            files,
            in_use,
            refused: None,
            metrics,
        }
    }

    /// Takes over what changes, until told to stop.
    pub(super) async fn run(mut self, every: Duration, stop: CancellationToken) {
        let pause = |time| stop.run_until_cancelled(tokio::time::sleep(time));
        while pause(every).await.is_some() {
            let Some((this, look)) = self.beside(Self::look).await else {
                return;
            };
            self = this;
            if look == Look::Same {
                continue;
            }
            if pause(every / SETTLE_PART).await.is_none() {
                return;
            }
            let Some((this, ())) = self.beside(Self::turn).await else {
                return;
            };
            self = this;
        }
    }

    /// On a thread where a file system may take its time, and an encrypted key too. None if it
    /// panicked; the panic hook has said where.
    async fn beside<T: Send + 'static>(mut self, work: fn(&mut Self) -> T) -> Option<(Self, T)> {
        let work = tokio::task::spawn_blocking(move || {
            let done = work(&mut self);
            (self, done)
        });
        work.await.ok()
    }

    fn look(&mut self) -> Look {
        if self.in_use.is_current() {
            if self.refused.take().is_some() {
                self.metrics.reload_refused(F::WHAT, false);
                tracing::info!(what = F::WHAT, "the files say again what is in use");
            }
            return Look::Same;
        }
        match &self.refused {
            Some(refused) if refused.at.elapsed() < TRY_AGAIN && refused.reading.is_current() => {
                Look::Same
            }
            Some(_) | None => Look::Changed,
        }
    }

    /// Takes what is there now, unless it moves or cannot be used.
    fn turn(&mut self) {
        let mut reading = Reading::default();
        let made = self.files.make(&mut reading);
        if !reading.is_current() {
            return; // the next look sees that, too
        }
        match made.and_then(|new| self.files.take(new)) {
            Ok(()) => {
                let changed = reading.since(&self.in_use).join(", ");
                tracing::info!(what = F::WHAT, changed, "took over what changed");
                self.metrics.reloaded(F::WHAT, true);
                self.in_use = reading;
                self.refused = None;
            }
            Err(error) => {
                let why = error.with_causes();
                if self.refused.as_ref().is_none_or(|before| before.why != why) {
                    tracing::warn!(
                        what = F::WHAT,
                        error = why,
                        "what changed cannot be used; what was there stays in use"
                    );
                    self.metrics.reloaded(F::WHAT, false);
                }
                self.refused = Some(Refused {
                    reading,
                    at: Instant::now(),
                    why,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::time::UnixSeconds;

    /// Two files that have to say the same, as a key and its chain do.
    struct Pair {
        folder: PathBuf,
        /// What is in use.
        taken: Vec<String>,
        /// What happens between the two reads.
        between: Box<dyn FnMut() + Send>,
    }

    impl FromFiles for Pair {
        type New = String;
        const WHAT: &'static str = "pair";

        fn make(&mut self, reading: &mut Reading) -> Result<String, Error> {
            let one = reading.read_text(&self.folder.join("one"))?;
            (self.between)();
            let path = self.folder.join("two");
            match reading.read_text(&path)? == one {
                true => Ok(one),
                false => Err(Error::TooLarge { path, limit: 0 }),
            }
        }

        fn take(&mut self, new: String) -> Result<(), Error> {
            self.taken.push(new);
            Ok(())
        }
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn new(content: &str) -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            place.write(content, content);
            place
        }

        fn write(&self, one: &str, two: &str) {
            fs::write(self.0.path().join("one"), one).unwrap();
            fs::write(self.0.path().join("two"), two).unwrap();
        }

        fn watch(&self) -> Watch<Pair> {
            let mut files = Pair {
                folder: self.0.path().to_owned(),
                taken: Vec::new(),
                between: Box::new(|| ()),
            };
            let mut reading = Reading::default();
            files.make(&mut reading).unwrap();
            let metrics = Arc::new(Metrics::new([], UnixSeconds(0)));
            Watch::new(files, reading, metrics)
        }
    }

    fn counted(watch: &Watch<Pair>, line: &str) -> bool {
        let text = watch.metrics.render();
        text.lines().any(|one| one == line)
    }

    /// Looks, and takes its turn where something changed.
    fn look(watch: &mut Watch<Pair>) -> Look {
        let look = watch.look();
        if look == Look::Changed {
            watch.turn();
        }
        look
    }

    #[test]
    fn content_and_not_its_date_says_that_something_changed() {
        let place = Place::new("old");
        let mut watch = place.watch();
        place.write("old", "old");
        assert_eq!(look(&mut watch), Look::Same);
        let path = place.0.path().join("two");
        let date = fs::metadata(&path).unwrap().modified().unwrap();
        place.write("new", "new");
        let file = fs::File::open(&path).unwrap();
        file.set_modified(date).unwrap();
        assert_eq!(look(&mut watch), Look::Changed);
        assert_eq!(watch.files.taken, ["new"]);
        assert_eq!(look(&mut watch), Look::Same);
        let taken = r#"shortleaf_reloads_total{what="pair",result="taken"} 1"#;
        assert!(counted(&watch, taken));
    }

    #[test]
    fn what_cannot_be_used_is_told_once_and_shown_until_it_is_mended() {
        let place = Place::new("old");
        let mut watch = place.watch();
        place.write("new", "old");
        assert_eq!(look(&mut watch), Look::Changed);
        assert_eq!(look(&mut watch), Look::Same, "it is known already");
        assert!(watch.files.taken.is_empty());
        let refusals = r#"shortleaf_reloads_total{what="pair",result="refused"} 1"#;
        let refused = |n: u8| format!("shortleaf_reload_refused{{what=\"pair\"}} {n}");
        assert!(counted(&watch, refusals) && counted(&watch, &refused(1)));
        // Back to what is in use, which is nothing to take over.
        place.write("old", "old");
        assert_eq!(look(&mut watch), Look::Same);
        assert!(counted(&watch, &refused(0)));
        // Gone, and there again.
        fs::remove_file(place.0.path().join("two")).unwrap();
        assert_eq!(look(&mut watch), Look::Changed);
        assert_eq!(look(&mut watch), Look::Same);
        assert!(counted(&watch, &refused(1)));
        place.write("new", "new");
        assert_eq!(look(&mut watch), Look::Changed);
        assert!(counted(&watch, &refused(0)));
        assert_eq!(watch.files.taken, ["new"]);
    }

    #[test]
    fn what_could_not_be_used_is_tried_again_after_a_while() {
        let place = Place::new("old");
        let mut watch = place.watch();
        place.write("new", "old");
        look(&mut watch);
        let refused = watch.refused.as_mut().unwrap();
        refused.at = refused.at.checked_sub(TRY_AGAIN).unwrap();
        assert_eq!(look(&mut watch), Look::Changed);
        let refusals = r#"shortleaf_reloads_total{what="pair",result="refused"} 1"#;
        assert!(counted(&watch, refusals), "the same is not told twice");
    }

    #[test]
    fn files_that_move_while_they_are_read_wait_for_the_next_look() {
        let place = Place::new("old");
        let mut watch = place.watch();
        let path = place.0.path().to_owned();
        // As a volume does: a link is exchanged, and all the files are others.
        for (folder, content) in [("1", "one"), ("2", "two")] {
            let folder = path.join(folder);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("one"), content).unwrap();
            fs::write(folder.join("two"), "two").unwrap();
        }
        let swap = move |to: &str| {
            symlink(to, path.join("..tmp")).unwrap();
            fs::rename(path.join("..tmp"), path.join("..data")).unwrap();
        };
        for name in ["one", "two"] {
            let path = place.0.path().join(name);
            fs::remove_file(&path).unwrap();
            symlink(Path::new("..data").join(name), &path).unwrap();
        }
        swap("1");
        let mut swaps = ["2"].into_iter();
        watch.files.between = Box::new(move || swaps.next().into_iter().for_each(&swap));
        assert_eq!(look(&mut watch), Look::Changed);
        assert!(watch.files.taken.is_empty() && watch.refused.is_none());
        assert_eq!(look(&mut watch), Look::Changed);
        assert_eq!(watch.files.taken, ["two"]);
    }

    #[test]
    fn what_is_no_file_is_read_once() {
        let mut reading = Reading::default();
        let stream = Path::new("/dev/null");
        assert!(reading.read(stream).unwrap().is_empty());
        assert!(reading.is_current());
        assert_eq!(reading.hash_of(stream), None);
    }
}
