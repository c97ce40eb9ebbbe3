//! The claim rules: read at the start, looked at again every few seconds.
//!
//! A file that can be used is taken over whole, for requests that begin from then on; one that
//! cannot leaves the rules in use, and is told in the log and a metric. What is watched is the path,
//! read anew each time: Kubernetes swaps a link behind it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::Error;
use super::files::read_text;
use super::whom::{chain_of, rules_of};
use crate::config::IssuerSettings;
use crate::rules::RuleSet;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Rules in use, and where they came from.
#[derive(Clone, Debug)]
pub struct RuleFile {
    path: PathBuf,
    /// What they are held against: ids belong to providers.
    issuers: Vec<IssuerSettings>,
    rules: Arc<RuleSet>,
}

/// What became of a file that changed.
pub(super) enum Taken {
    /// These rules decide from here on.
    Rules(Arc<RuleSet>),
    /// The old ones do.
    Refused,
}

impl RuleFile {
    /// Reads the file; `warnings` gets what an operator should know.
    pub fn open(
        path: PathBuf,
        issuers: Vec<IssuerSettings>,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let rules = rules_of(&path, &read_text(&path)?, &issuers, warnings)?;
        Ok(Self {
            path,
            issuers,
            rules: Arc::new(rules),
        })
    }

    /// The rules as they are now.
    pub fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.rules)
    }

    /// Looks at the file until told to stop, and says what becomes of each change.
    pub(super) async fn watch(
        mut self,
        taken: impl Fn(Taken) + Send + 'static,
        stop: CancellationToken,
    ) {
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
                Ok(None) => {}
                Ok(Some(warnings)) => {
                    told = None;
                    for warning in warnings {
                        tracing::warn!("{warning}");
                    }
                    tracing::info!(path = %self.path.display(), rules = self.rules.len(), "rules replaced");
                    taken(Taken::Rules(self.rules()));
                }
                Err(error) => {
                    let words = chain_of(&error);
                    if told.as_ref() != Some(&words) {
                        tracing::warn!(error = words, "the rules in use stay");
                        taken(Taken::Refused);
                    }
                    told = Some(words);
                }
            }
        }
    }

    /// Whether there are other rules now, with what is to be said of them.
    fn look(&mut self) -> Result<Option<Vec<String>>, Error> {
        let text = read_text(&self.path)?;
        if RuleSet::hash_of(&text) == *self.rules.hash() {
            return Ok(None);
        }
        let mut warnings = Vec::new();
        let rules = rules_of(&self.path, &text, &self.issuers, &mut warnings)?;
        self.rules = Arc::new(rules);
        Ok(Some(warnings))
    }
}
