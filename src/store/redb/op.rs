//! What can be asked of the tables, and how it stands in the journal.

use crate::ca::Serial;
use crate::issuance::store::{Begun, Final, Intent, Submission, TokenUse};
use crate::store::record::{self, Reader, Writer};

/// The layout of a batch in the journal. A later one gets another octet and its own reader.
const VERSION: u8 = 2;

const INTENT: u8 = 1;
const SUBMISSION: u8 = 2;
const FINAL: u8 = 3;
const ABANDON: u8 = 4;
const EXPIRE: u8 = 5;
const PROBE: u8 = 6;
const FORGET: u8 = 7;

/// What was written to the audit log since the batch before.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where in its file.
    pub(super) at: u64,
    pub(super) octets: Vec<u8>,
}

/// A batch as it comes back.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lines: Lines,
    pub(super) ops: Vec<Op>,
}

/// A batch as the journal's payload, behind what is in `out`: version, audit lines, count,
/// operations in their order.
pub(super) fn encode_batch<'a>(
    mut out: Vec<u8>,
    lines: &Lines,
    ops: impl ExactSizeIterator<Item = &'a Op> + Clone,
) -> Vec<u8> {
    out.reserve(ops.clone().map(Op::room).sum::<usize>() + lines.octets.len() + 64);
    let mut out = Writer::after(out, VERSION);
    out.fixed(&lines.at.to_be_bytes());
    out.bytes(&lines.octets);
    out.count(ops.len());
    ops.for_each(|op| op.encode(&mut out));
    out.into_bytes()
}

/// All of `bytes`, or nothing.
pub(super) fn decode_batch(bytes: &[u8]) -> Option<Batch> {
    let mut from = Reader::new(bytes);
    from.fixed().filter(|version| *version == [VERSION])?;
    let lines = Lines {
        at: from.fixed().map(u64::from_be_bytes)?,
        octets: from.bytes()?.to_vec(),
    };
    let ops = (0..from.count()?)
        .map(|_| Op::decode(&mut from))
        .collect::<Option<_>>()?;
    from.is_empty().then_some(Batch { lines, ops })
}

/// One thing to be written, encoded by the caller's thread.
#[derive(Debug)]
pub(super) enum Op {
    Intent {
        key: (i64, Serial),
        encoded: Vec<u8>,
        token_id: [u8; 32],
        spki_hash: [u8; 32],
        not_after: i64,
        token_use: TokenUse,
    },
    Submission {
        serial: Serial,
        encoded: Vec<u8>,
    },
    Final {
        serial: Serial,
        encoded: Vec<u8>,
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
    Expired(usize),
    Forgotten(usize),
}

impl Op {
    pub(super) fn intent(intent: &Intent, token_use: TokenUse) -> Self {
        Self::Intent {
            key: (intent.at.0, intent.serial),
            encoded: record::encode_intent(intent),
            token_id: *intent.token_id.octets(),
            spki_hash: intent.spki_hash,
            not_after: intent.not_after.0,
            token_use,
        }
    }

    pub(super) fn submission(submission: &Submission) -> Self {
        Self::Submission {
            serial: submission.serial,
            encoded: record::encode_submission(submission),
        }
    }

    pub(super) fn leaf(leaf: &Final) -> Self {
        Self::Final {
            serial: leaf.serial,
            encoded: record::encode_final(leaf),
        }
    }

    fn encode(&self, out: &mut Writer) {
        match self {
            Self::Intent {
                key: (at, serial),
                encoded,
                token_id,
                spki_hash,
                not_after,
                token_use,
            } => {
                out.fixed(&[INTENT]);
                out.fixed(&at.to_be_bytes());
                out.fixed(serial.octets());
                out.bytes(encoded);
                out.fixed(token_id);
                out.fixed(spki_hash);
                out.fixed(&not_after.to_be_bytes());
                out.fixed(&token_use.limit.to_be_bytes());
                out.seconds(token_use.expires_at);
            }
            Self::Submission { serial, encoded } => {
                out.fixed(&[SUBMISSION]);
                out.fixed(serial.octets());
                out.bytes(encoded);
            }
            Self::Final { serial, encoded } => {
                out.fixed(&[FINAL]);
                out.fixed(serial.octets());
                out.bytes(encoded);
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

    fn decode(from: &mut Reader<'_>) -> Option<Self> {
        match from.fixed()? {
            [INTENT] => Some(Self::Intent {
                key: (from.seconds()?.0, from.serial()?),
                encoded: from.bytes()?.to_vec(),
                token_id: from.fixed()?,
                spki_hash: from.fixed()?,
                not_after: from.seconds()?.0,
                token_use: TokenUse {
                    limit: u32::from_be_bytes(from.fixed()?),
                    expires_at: from.seconds()?,
                },
            }),
            [SUBMISSION] => Some(Self::Submission {
                serial: from.serial()?,
                encoded: from.bytes()?.to_vec(),
            }),
            [FINAL] => Some(Self::Final {
                serial: from.serial()?,
                encoded: from.bytes()?.to_vec(),
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
    fn room(&self) -> usize {
        match self {
            Self::Intent { encoded, .. } => encoded.len() + 160,
            Self::Submission { encoded, .. } | Self::Final { encoded, .. } => encoded.len() + 32,
            Self::Abandon { serials, .. } => 24 * serials.len() + 16,
            Self::Expire { .. } | Self::Forget { .. } | Self::Probe => 16,
        }
    }

    /// Whether this alone is reason enough to commit.
    pub(super) fn wants_commit(&self) -> bool {
        !matches!(self, Self::Submission { .. })
    }
}

impl From<Done> for Begun {
    fn from(done: Done) -> Self {
        match done {
            Done::Exhausted => Self::Exhausted,
            Done::Written | Done::Finished(_) | Done::Expired(_) | Done::Forgotten(_) => {
                Self::Recorded
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixSeconds;

    fn one_of_each() -> Vec<Op> {
        let serial = |octet| Serial::from_octets(&[octet; 19]).unwrap();
        vec![
            Op::Intent {
                key: (-1, serial(1)),
                encoded: vec![1; 700],
                token_id: [2; 32],
                spki_hash: [3; 32],
                not_after: i64::MAX,
                token_use: TokenUse {
                    limit: u32::MAX,
                    expires_at: UnixSeconds(i64::MIN),
                },
            },
            Op::Submission {
                serial: serial(1),
                encoded: vec![4; 3],
            },
            Op::Final {
                serial: serial(1),
                encoded: vec![],
            },
            Op::Abandon {
                serials: vec![serial(5), serial(6)],
                at: 7,
            },
            Op::Expire { now: 8 },
            Op::Forget {
                before: 9,
                limit: 10,
            },
            Op::Probe,
        ]
    }

    fn lines() -> Lines {
        let octets = b"{}\n".to_vec();
        Lines {
            at: u64::MAX,
            octets,
        }
    }

    fn encoded(lines: &Lines, ops: &[Op]) -> Vec<u8> {
        encode_batch(Vec::new(), lines, ops.iter())
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let ops = one_of_each();
        let read = decode_batch(&encoded(&lines(), &ops)).unwrap();
        assert_eq!(format!("{:?}", read.ops), format!("{ops:?}"));
        assert_eq!(format!("{:?}", read.lines), format!("{:?}", lines()));
    }

    #[test]
    fn every_cut_and_every_extra_octet_is_refused() {
        let mut bytes = encoded(&lines(), &one_of_each());
        for length in 0..bytes.len() {
            assert!(decode_batch(&bytes[..length]).is_none(), "cut at {length}");
        }
        bytes.push(0);
        assert!(decode_batch(&bytes).is_none());
    }

    #[test]
    fn neither_another_version_nor_an_unknown_operation_is_read() {
        let bytes = encoded(&Lines::default(), &[Op::Probe]);
        assert!(decode_batch(&bytes).is_some());
        let changed = |at: usize, octet| {
            let mut bytes = bytes.clone();
            bytes[at] = octet;
            decode_batch(&bytes)
        };
        assert!(changed(0, VERSION + 1).is_none());
        assert!(changed(bytes.len() - 1, FORGET + 1).is_none());
    }
}
