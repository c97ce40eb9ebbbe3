//! What is left of issuances that never ended.

use super::{Error, Inner};
use crate::audit::Value;
use crate::issuance::store::Selector;
use crate::time::{UnixMillis, UnixSeconds};

/// Age at which an intent without a final is given up. Far beyond the longest request.
pub const ORPHAN_AFTER_S: i64 = 300;

/// How many are given up, or deleted, in one commit.
const BATCH: usize = 256;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Intents given up.
    pub abandoned: usize,
    /// Token uses and retry entries forgotten.
    pub expired: usize,
    /// Records older than the retention period, deleted.
    pub forgotten: usize,
}

impl Inner {
    pub(super) async fn sweep(&self, now: UnixMillis) -> Result<Swept, Error> {
        self.refusals(now)?;
        // A clock set ahead would forget uses of tokens that are still good once it is set back, and
        // give up issuances under way.
        self.clock.check(now)?;
        let (store, second) = (&self.parts.store, now.seconds());
        let mut swept = Swept::default();
        loop {
            let orphans = store.orphans(second.plus(-ORPHAN_AFTER_S), BATCH).await?;
            if orphans.is_empty() {
                break;
            }
            for orphan in &orphans {
                // The precertificate may have been signed and logged, and the final may exist:
                // both count as issued until shown otherwise.
                let intent = &orphan.intent;
                let logged = orphan.submission.is_some().to_string();
                let fields = [
                    ("serial", Value::Octets(intent.serial.octets())),
                    ("ca", Value::Octets(&intent.issuing_ca.0)),
                    ("presumed_to_exist", Value::Text("true")),
                    ("logged", Value::Text(&logged)),
                ];
                self.write("abandoned", &intent.request_id, now, &fields)?;
            }
            // The lines are durable with this commit at the latest. A crash between the two
            // writes a line a second time, never none.
            let serials: Vec<_> = orphans.iter().map(|orphan| orphan.intent.serial).collect();
            store.abandon(&serials, second).await?;
            swept.abandoned += orphans.len();
        }
        swept.expired = store.expire(second).await?;
        if let Some(kept) = self.parts.retention {
            let kept = i64::try_from(kept.as_secs()).unwrap_or(i64::MAX);
            let before = UnixSeconds(second.0.saturating_sub(kept));
            swept.forgotten = self.forget(before, now).await?;
        }
        Ok(swept)
    }

    /// A line first: what was deleted cannot be told afterwards.
    async fn forget(&self, before: UnixSeconds, now: UnixMillis) -> Result<usize, Error> {
        let (store, all) = (&self.parts.store, Selector::default());
        let oldest = store.find_issued(&all, UnixSeconds(0), before, 1).await?;
        if oldest.is_empty() {
            return Ok(0);
        }
        let before_text = before.to_string();
        let fields = [("before", Value::Text(&before_text))];
        self.write("records_forgotten", "", now, &fields)?;
        let mut forgotten = 0;
        loop {
            let gone = store.forget(before, BATCH).await?;
            forgotten += gone;
            if gone < BATCH {
                return Ok(forgotten);
            }
        }
    }
}
