//! The public listener's certificate and key: read at the start, looked at again every few seconds.
//!
//! A new pair is for new connections; those that are open go on. Whoever writes the two files one
//! after the other is waited for: until they fit, the old pair stays in use.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::error::Error;
use super::files::{is_open_to_everybody, read};
use super::whom::chain_of;
use crate::config::TlsSettings;
use crate::server::Tls;
use crate::time::{Clock, UnixSeconds};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often it is said again that the certificate ends soon or has ended.
const SAY_AGAIN: Duration = Duration::from_secs(86_400);

/// A pair in use, and where it came from.
pub struct TlsFiles {
    files: TlsSettings,
    tls: Arc<Tls>,
    seen: Content,
}

/// Both files, octet by octet: dates are coarse and can be kept.
#[derive(PartialEq, Eq)]
struct Content {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Content {
    fn read(files: &TlsSettings) -> Result<Self, Error> {
        Ok(Self {
            chain: read(&files.chain)?,
            key: Zeroizing::new(read(&files.key)?),
        })
    }
}

impl TlsFiles {
    /// Reads both files; they must fit.
    pub fn open(files: TlsSettings) -> Result<Self, Error> {
        let seen = Content::read(&files)?;
        let tls = Tls::from_pem(&seen.chain, &seen.key).map_err(|source| unfit(&files, source))?;
        let tls = Arc::new(tls);
        Ok(Self { files, tls, seen })
    }

    /// As the listener uses it.
    pub(super) fn tls(&self) -> Arc<Tls> {
        self.tls.clone()
    }

    /// Where the key is.
    pub(super) fn key(&self) -> &Path {
        &self.files.key
    }

    /// Takes over what changes, until told to stop; `taken` learns of the pair there is and of each
    /// new one. What cannot be used is told once, and every day that the certificate ends soon.
    pub(super) fn watch(
        self,
        taken: impl Fn(&Tls) + Send + 'static,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        // Before the first request.
        taken(&self.tls);
        self.watching(taken, clock, stop)
    }

    async fn watching(
        mut self,
        taken: impl Fn(&Tls) + Send + 'static,
        clock: Arc<dyn Clock>,
        stop: CancellationToken,
    ) {
        let mut told = None;
        let mut said = self.say_when_it_ends(&*clock);
        while stop
            .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
            .await
            .is_some()
        {
            // A file system may take its time.
            let looked = tokio::task::spawn_blocking(move || {
                let look = self.look();
                (self, look)
            });
            let Ok((this, look)) = looked.await else {
                return; // it panicked, and the panic hook has said where
            };
            self = this;
            match look {
                Ok(false) if said.elapsed() < SAY_AGAIN => {}
                Ok(false) => said = self.say_when_it_ends(&*clock),
                Ok(true) => {
                    taken(&self.tls);
                    told = None;
                    tracing::info!(chain = %self.files.chain.display(), "TLS certificate replaced");
                    said = self.say_when_it_ends(&*clock);
                    self.say_if_open();
                }
                Err(error) => {
                    let words = chain_of(&error);
                    if told.as_ref() != Some(&words) {
                        tracing::warn!(error = words, "the TLS certificate in use stays");
                    }
                    told = Some(words);
                }
            }
        }
    }

    /// Warns of a key that others than its owner can get at.
    pub(super) fn say_if_open(&self) {
        let path = self.key();
        if is_open_to_everybody(path) {
            tracing::warn!(path = %path.display(), "every user of this machine can get at this secret");
        }
    }

    /// Warns of a certificate that ends soon or has ended.
    fn say_when_it_ends(&self, clock: &dyn Clock) -> Instant {
        if let Some(notice) = self.notice(clock.now().seconds()) {
            tracing::warn!("{notice}");
        }
        Instant::now()
    }

    /// That the certificate has ended or will soon, and which file it is in.
    pub(super) fn notice(&self, now: UnixSeconds) -> Option<String> {
        let notice = self.tls.notice(now)?;
        Some(format!("{:?}: {notice}", self.files.chain))
    }

    /// Whether another pair was taken.
    fn look(&mut self) -> Result<bool, Error> {
        let now = Content::read(&self.files)?;
        if now == self.seen {
            return Ok(false);
        }
        let taken = self.tls.replace(&now.chain, &now.key);
        taken.map_err(|source| unfit(&self.files, source))?;
        self.seen = now;
        Ok(true)
    }
}

fn unfit(files: &TlsSettings, source: crate::server::TlsError) -> Error {
    Error::Tls {
        chain: files.chain.clone(),
        key: files.key.clone(),
        source,
    }
}
