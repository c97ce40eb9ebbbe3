//! What can be asked of the tables, and how it stands in the journal.

use super::schema2;
use crate::ca::Serial;
use crate::issuance::store::{Begun, Final, Submission, TokenUse};
use crate::store::fields::{Reader, Writer};
use crate::store::record::{Part, Row};

/// The layout of a batch in the journal. A later one gets another octet and its own reader.
const VERSION: u8 = 3;
/// Written beside tables of schema 2.
const VERSION_2: u8 = 2;

const INTENT: u8 = 1;
const SUBMISSION: u8 = 2;
const FINAL: u8 = 3;
const ABANDON: u8 = 4;
const EXPIRE: u8 = 5;
const PROBE: u8 = 6;
const FORGET: u8 = 7;
const PART: u8 = 8;

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
    let mut out = Writer::new(out);
    out.fixed(&[VERSION]);
    out.fixed(&lines.at.to_be_bytes());
    out.bytes(&lines.octets);
    out.count(ops.len());
    ops.for_each(|op| op.encode(&mut out));
    out.into_bytes()
}

/// All of `bytes`, or nothing.
pub(super) fn decode_batch(bytes: &[u8]) -> Option<Batch> {
    let mut from = Reader::new(bytes);
    let decode = match from.fixed()? {
        [VERSION] => Op::decode,
        [VERSION_2] => schema2::decode_op,
        [_] => return None,
    };
    let lines = Lines {
        at: from.fixed().map(u64::from_be_bytes)?,
        octets: from.bytes()?.to_vec(),
    };
    let ops = (0..from.count()?)
        .map(|_| decode(&mut from))
        .collect::<Option<_>>()?;
    from.is_empty().then_some(Batch { lines, ops })
}

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
    fn encode(&self, out: &mut Writer) {
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
    fn room(&self) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{IssuingCaId, ProfileHash};
    use crate::issuance::store::Intent;
    use crate::time::UnixSeconds;
    use crate::token::TokenId;

    fn one_of_each() -> Vec<Op> {
        let serial = |octet| Serial::from_octets(&[octet; 19]).unwrap();
        vec![
            Op::Intent {
                row: Row::new(&Intent {
                    serial: serial(1),
                    unsigned: [1; 700].into(),
                    token_hash: [2; 32],
                    token_id: TokenId::from_octets([2; 32]),
                    spki_hash: [3; 32],
                    issuing_ca: IssuingCaId([4; 32]),
                    profile: ProfileHash([5; 32]),
                    request_id: "r-1".into(),
                    kid: None,
                    issuer: "https://issuer.example".into(),
                    subject: String::new(),
                    san: "email:a@example.com".into(),
                    rule: None,
                    rules: None,
                    extensions: [].into(),
                    at: UnixSeconds(-1),
                    not_after: UnixSeconds(i64::MAX),
                }),
                token_use: TokenUse {
                    limit: u32::MAX,
                    expires_at: UnixSeconds(i64::MIN),
                },
            },
            Op::Submission(Submission {
                serial: serial(1),
                precert_der: [4; 3].into(),
                scts: vec![vec![5; 119], vec![]],
            }),
            Op::Final(Final {
                serial: serial(1),
                leaf_der: [].into(),
                at: UnixSeconds(6),
            }),
            Op::Part {
                serial: serial(1),
                part: Part::from_bytes(vec![1, 2, 3]).unwrap(),
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
        let bytes = encoded(&lines(), &one_of_each());
        let read = decode_batch(&bytes).unwrap();
        assert_eq!(format!("{:?}", read.ops), format!("{:?}", one_of_each()));
        assert_eq!(encoded(&read.lines, &read.ops), bytes);
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
        assert!(changed(bytes.len() - 1, PART + 1).is_none());
    }
}
