//! What can be asked of the tables, and how each of it stands in the journal.

use crate::ca::Serial;
use crate::issuance::store::{Begun, Final, Submission, TokenUse};
use crate::store::fields::{Reader, Writer};
use crate::store::record::{Part, Row};

const INTENT: u8 = 1;
const SUBMISSION: u8 = 2;
const FINAL: u8 = 3;
const ABANDON: u8 = 4;
const EXPIRE: u8 = 5;
const PROBE: u8 = 6;
const FORGET: u8 = 7;
pub(super) const PART: u8 = 8;

/// One thing to be written.
#[derive(Debug)]
pub(super) enum Op {
    /// Encoded by the caller's thread.
    Intent {
        row: Row,
        token_use: TokenUse,
    },
    Submission(Submission),
    Final(Final),
    /// One of these two as what differs from the intent that is known under this serial.
    Part {
        serial: Serial,
        part: Part,
    },
    Abandon {
        serials: Vec<Serial>,
        at: i64,
    },
    Expire {
        now: i64,
    },
    Forget {
        before: i64,
        limit: u32,
    },
    /// Writes something that says nothing, to prove that writing works.
    Probe,
}

/// Token id and SPKI hash, one after the other.
pub(super) type TokenAndKey = [u8; 64];

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Written,
    /// Written: the final of this token and key.
    Finished(TokenAndKey),
    Exhausted,
    /// So much, and perhaps there is more of it.
    Expired {
        gone: usize,
        more: bool,
    },
    Forgotten(usize),
}

impl Op {
    pub(super) fn encode(&self, out: &mut Writer) {
        match self {
            Self::Intent { row, token_use } => {
                out.fixed(&[INTENT]);
                out.bytes(row.octets());
                out.fixed(&token_use.limit.to_be_bytes());
                out.seconds(token_use.expires_at);
            }
            Self::Submission(submission) => {
                out.fixed(&[SUBMISSION]);
                out.fixed(submission.serial.octets());
                out.bytes(&submission.precert_der);
                out.count(submission.scts.len());
                submission.scts.iter().for_each(|sct| out.bytes(sct));
            }
            Self::Final(leaf) => {
                out.fixed(&[FINAL]);
                out.fixed(leaf.serial.octets());
                out.seconds(leaf.at);
                out.bytes(&leaf.leaf_der);
            }
            Self::Part { serial, part } => {
                out.fixed(&[PART]);
                out.fixed(serial.octets());
                out.bytes(part.octets());
            }
            Self::Abandon { serials, at } => {
                out.fixed(&[ABANDON]);
                out.fixed(&at.to_be_bytes());
                out.count(serials.len());
                serials.iter().for_each(|serial| out.fixed(serial.octets()));
            }
            Self::Expire { now } => {
                out.fixed(&[EXPIRE]);
                out.fixed(&now.to_be_bytes());
            }
            Self::Forget { before, limit } => {
                out.fixed(&[FORGET]);
                out.fixed(&before.to_be_bytes());
                out.fixed(&limit.to_be_bytes());
            }
            Self::Probe => out.fixed(&[PROBE]),
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        match from.fixed()? {
            [INTENT] => Some(Self::Intent {
                row: Row::from_bytes(from.bytes()?.to_vec())?,
                token_use: TokenUse {
                    limit: u32::from_be_bytes(from.fixed()?),
                    expires_at: from.seconds()?,
                },
            }),
            [SUBMISSION] => Some(Self::Submission(Submission {
                serial: from.serial()?,
                precert_der: from.bytes()?.into(),
                scts: (0..from.count()?)
                    .map(|_| from.bytes().map(<[u8]>::to_vec))
                    .collect::<Option<_>>()?,
            })),
            [FINAL] => Some(Self::Final(Final {
                serial: from.serial()?,
                at: from.seconds()?,
                leaf_der: from.bytes()?.into(),
            })),
            [PART] => Some(Self::Part {
                serial: from.serial()?,
                part: Part::from_bytes(from.bytes()?.to_vec())?,
            }),
            [ABANDON] => Some(Self::Abandon {
                at: from.seconds()?.0,
                serials: (0..from.count()?)
                    .map(|_| from.serial())
                    .collect::<Option<_>>()?,
            }),
            [EXPIRE] => Some(Self::Expire {
                now: from.seconds()?.0,
            }),
            [FORGET] => Some(Self::Forget {
                before: from.seconds()?.0,
                limit: from.fixed().map(u32::from_be_bytes)?,
            }),
            [PROBE] => Some(Self::Probe),
            [_] => None,
        }
    }

    /// About how many octets it takes in the journal.
    pub(super) fn room(&self) -> usize {
        match self {
            Self::Intent { row, .. } => row.octets().len() + 32,
            Self::Submission(Submission {
                precert_der, scts, ..
            }) => precert_der.len() + scts.iter().map(|sct| sct.len() + 4).sum::<usize>() + 32,
            Self::Final(Final { leaf_der, .. }) => leaf_der.len() + 40,
            Self::Part { part, .. } => part.octets().len() + 32,
            Self::Abandon { serials, .. } => 24 * serials.len() + 16,
            Self::Expire { .. } | Self::Forget { .. } | Self::Probe => 16,
        }
    }

    /// Whether this alone is reason enough to commit: all but a submission.
    pub(super) fn wants_commit(&self) -> bool {
        match self {
            Self::Submission(_) => false,
            Self::Part { part, .. } => part.is_final(),
            Self::Intent { .. }
            | Self::Final(_)
            | Self::Abandon { .. }
            | Self::Expire { .. }
            | Self::Forget { .. }
            | Self::Probe => true,
        }
    }
}

impl From<Done> for Begun {
    fn from(done: Done) -> Self {
        match done {
            Done::Exhausted => Self::Exhausted,
            Done::Written | Done::Finished(_) | Done::Expired { .. } | Done::Forgotten(_) => {
                Self::Recorded
            }
        }
    }
}
