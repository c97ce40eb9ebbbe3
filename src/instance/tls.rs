//! The public listener's certificate and key: read at the start, looked at again every few seconds.
//!
//! A new pair is for new connections; those that are open go on. Whoever writes the two files one
//! after the other is waited for: until they fit, the old pair stays in use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::files::read;
use super::parts::Error;
use crate::config::TlsSettings;
use crate::server::Tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

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

    /// Takes over what changes, until told to stop. What cannot be used is told once.
    pub(super) async fn watch(mut self, stop: CancellationToken) {
        let mut told = None;
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
                Ok(false) => {}
                Ok(true) => {
                    told = None;
                    tracing::info!(chain = ?self.files.chain, "TLS certificate replaced");
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

/// An error and its causes, outermost first.
fn chain_of(error: &Error) -> String {
    let mut words = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(error) = next {
        words = format!("{words}: {error}");
        next = error.source();
    }
    words
}
