//! The public listener's certificate and key: read at the start, looked at again every few seconds.
//!
//! A new pair is for new connections; those that are open go on. Whoever writes the two files one
//! after the other is waited for: until they fit, the old pair stays in use.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::error::Error;
use super::files::{is_open_to_everybody, warn_of_open};
use super::watch::{FromFiles, Reading, Watch};
use crate::config::TlsSettings;
use crate::issuance::Service;
use crate::server::{Metrics, Tls};
use crate::time::{Clock, UnixSeconds};

/// How often it is said again that the certificate ends soon or has ended.
const SAY_AGAIN: Duration = Duration::from_secs(86_400);

/// A pair in use, and where it came from.
pub struct TlsFiles {
    files: TlsSettings,
    tls: Arc<Tls>,
    reading: Reading,
}

impl TlsFiles {
    /// Reads both files; they must fit.
    pub fn open(files: TlsSettings) -> Result<Self, Error> {
        let mut reading = Reading::default();
        let tls = Arc::new(read(&files, &mut reading)?);
        Ok(Self {
            files,
            tls,
            reading,
        })
    }

    /// As the listener uses it.
    pub(super) fn tls(&self) -> Arc<Tls> {
        self.tls.clone()
    }

    /// Where the key is.
    pub(super) fn key(&self) -> &Path {
        &self.files.key
    }

    /// Warns of a key that others than its owner can get at.
    pub(super) fn say_if_open(&self) {
        let path = self.key();
        if is_open_to_everybody(path) {
            warn_of_open(path);
        }
    }

    /// That the certificate has ended or will soon, and which file it is in.
    pub(super) fn notice(&self, now: UnixSeconds) -> Option<String> {
        notice(&self.tls, &self.files.chain, now)
    }

    /// The same, of whatever pair is in use then.
    pub(super) fn notices(&self) -> impl Fn(UnixSeconds) -> Option<String> + Send + use<> {
        let (tls, chain) = (Arc::clone(&self.tls), self.files.chain.clone());
        move |now| notice(&tls, &chain, now)
    }
}

fn notice(tls: &Tls, chain: &Path, now: UnixSeconds) -> Option<String> {
    let notice = tls.notice(now)?;
    Some(format!("{chain:?}: {notice}"))
}

/// Chain and key, which have to fit.
fn read(files: &TlsSettings, reading: &mut Reading) -> Result<Tls, Error> {
    let chain = reading.read(&files.chain)?;
    let key = Zeroizing::new(reading.read(&files.key)?);
    Tls::from_pem(&chain, &key).map_err(|source| Error::Tls {
        chain: files.chain.clone(),
        key: files.key.clone(),
        source,
    })
}

/// A pair that is replaced when its files change.
pub(super) struct TlsReload {
    files: TlsFiles,
    service: Arc<Service>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl TlsReload {
    /// The pair is known to the house from here on.
    pub(super) fn new(
        files: TlsFiles,
        service: Arc<Service>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let this = Self {
            files,
            service,
            metrics,
            clock,
        };
        this.in_use();
        this
    }

    /// Watches from what was read at the start.
    pub(super) fn watch(mut self) -> Watch<Self> {
        let in_use = std::mem::take(&mut self.files.reading);
        let metrics = Arc::clone(&self.metrics);
        Watch::new(self, in_use, metrics)
    }

    /// Has its key certified for nobody, and its end told.
    fn in_use(&self) {
        let tls = &self.files.tls;
        self.service.never_certify(&tls.spki());
        if let Some(end) = tls.not_after() {
            self.metrics.tls_not_after(end);
        }
    }
}

impl FromFiles for TlsReload {
    type New = Tls;
    const WHAT: &'static str = "tls";

    fn make(&mut self, reading: &mut Reading) -> Result<Tls, Error> {
        read(&self.files.files, reading)
    }

    fn take(&mut self, new: Tls) -> Result<(), Error> {
        self.files.tls.replace(new);
        self.in_use();
        self.files.say_if_open();
        say(&self.files.notice(self.clock.now().seconds()));
        Ok(())
    }
}

/// Warns of a certificate that ends soon or has ended, now and every day until told to stop.
pub(super) async fn say_when_it_ends(
    notice: impl Fn(UnixSeconds) -> Option<String>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    loop {
        say(&notice(clock.now().seconds()));
        let day = tokio::time::sleep(SAY_AGAIN);
        if stop.run_until_cancelled(day).await.is_none() {
            return;
        }
    }
}

fn say(notice: &Option<String>) {
    if let Some(notice) = notice {
        tracing::warn!("{notice}");
    }
}
