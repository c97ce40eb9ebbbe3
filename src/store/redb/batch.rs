//! A batch as the journal's payload: what has come to the audit log, and operations in their order.

use super::op::Op;
use super::schema2;
use crate::store::fields::{Reader, Writer};

/// The layout of a batch in the journal. A later one gets another octet and its own reader.
const VERSION: u8 = 3;
/// Written beside tables of schema 2.
const VERSION_2: u8 = 2;

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
pub(super) fn encode<'a>(
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
pub(super) fn decode(bytes: &[u8]) -> Option<Batch> {
    let mut from = Reader::new(bytes);
    let read = match from.fixed()? {
        [VERSION] => Op::decode,
        [VERSION_2] => schema2::decode_op,
        [_] => return None,
    };
    let lines = Lines {
        at: from.fixed().map(u64::from_be_bytes)?,
        octets: from.bytes()?.to_vec(),
    };
    let ops = (0..from.count()?)
        .map(|_| read(&mut from))
        .collect::<Option<_>>()?;
    from.is_empty().then_some(Batch { lines, ops })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{IssuingCaId, ProfileHash, Serial};
    use crate::issuance::store::{Final, Intent, Submission, TokenUse};
    use crate::store::record::{Part, Row};
    use crate::store::redb::op::PART;
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
        encode(Vec::new(), lines, ops.iter())
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let bytes = encoded(&lines(), &one_of_each());
        let read = decode(&bytes).unwrap();
        assert_eq!(format!("{:?}", read.ops), format!("{:?}", one_of_each()));
        assert_eq!(encoded(&read.lines, &read.ops), bytes);
    }

    #[test]
    fn every_cut_and_every_extra_octet_is_refused() {
        let mut bytes = encoded(&lines(), &one_of_each());
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_none(), "cut at {length}");
        }
        bytes.push(0);
        assert!(decode(&bytes).is_none());
    }

    #[test]
    fn neither_another_version_nor_an_unknown_operation_is_read() {
        let bytes = encoded(&Lines::default(), &[Op::Probe]);
        assert!(decode(&bytes).is_some());
        let changed = |at: usize, octet| {
            let mut bytes = bytes.clone();
            bytes[at] = octet;
            decode(&bytes)
        };
        assert!(changed(0, VERSION + 1).is_none());
        assert!(changed(bytes.len() - 1, PART + 1).is_none());
    }
}
