//! Octets as what differs from others that are kept already.
//!
//! The precertificate with its signature, the precertificate without one and the final certificate
//! are the same octets in the same places, but for two lengths at their beginning and their ends. So
//! octets are compared place by place and stand as runs: how many are as in the base, how many
//! follow that are not, and those. What has nothing in common with its base is one run after another
//! of others, four octets longer for every 65,535: whatever it is, it comes back as it was.

use super::fields::{Reader, Writer};

/// So many octets alike end a run of others. Fewer are cheaper among them.
const ALIKE: usize = 16;

/// Writes `octets` as what `base` makes of them: how many, then the runs.
pub(super) fn put(out: &mut Writer, base: &[u8], octets: &[u8]) {
    out.count(octets.len());
    let mut at = 0;
    while at < octets.len() {
        let others = base.get(at..).unwrap_or_default();
        let same = alike(others, &octets[at..]).min(u16::MAX.into());
        let from = at + same;
        at = from;
        while at < octets.len() && at - from < usize::from(u16::MAX) && !resumes(base, octets, at) {
            at += 1;
        }
        out.short(same);
        out.short(at - from);
        out.fixed(&octets[from..at]);
    }
}

/// What [`put`] wrote: never longer than `base` and the runs together.
pub(super) fn take(from: &mut Reader<'_>, base: &[u8]) -> Option<Vec<u8>> {
    let length = from.count()?;
    let mut octets = Vec::with_capacity(length.min(base.len() + from.len()));
    while octets.len() < length {
        let (same, others) = (from.short()?, from.short()?);
        let at = octets.len();
        let base = base.get(at..).unwrap_or_default();
        octets.extend_from_slice(base.get(..same)?);
        octets.extend_from_slice(from.take(others)?);
        // A run of nothing would be read for ever, and is never written.
        if octets.len() == at || octets.len() > length {
            return None;
        }
    }
    Some(octets)
}

/// How many octets both begin with.
fn alike(one: &[u8], other: &[u8]) -> usize {
    let chunks = one.chunks_exact(ALIKE).zip(other.chunks_exact(ALIKE));
    let whole = ALIKE * chunks.take_while(|(one, other)| one == other).count();
    let rest = one[whole..].iter().zip(&other[whole..]);
    whole + rest.take_while(|(one, other)| one == other).count()
}

/// Whether it is worth beginning a run at `at`.
fn resumes(base: &[u8], octets: &[u8], at: usize) -> bool {
    let next = octets.get(at..at + ALIKE);
    next.is_some() && base.get(at..at + ALIKE) == next
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put_alone(base: &[u8], octets: &[u8]) -> Vec<u8> {
        let mut out = Writer::new(Vec::new());
        put(&mut out, base, octets);
        out.into_bytes()
    }

    /// What comes back, if it is all there was.
    fn take_alone(base: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let mut from = Reader::new(bytes);
        take(&mut from, base).filter(|_| from.is_empty())
    }

    /// Octets, and others made of them by changes here and there.
    fn related() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
        let change = (
            any::<prop::sample::Index>(),
            0..40_usize,
            prop::collection::vec(0..3_u8, 0..40),
        );
        (
            prop::collection::vec(0..3_u8, 0..600),
            prop::collection::vec(change, 0..6),
        )
            .prop_map(|(base, changes)| {
                let mut octets = base.clone();
                for (at, out, new) in changes {
                    let at = at.index(octets.len() + 1);
                    let end = octets.len().min(at + out);
                    octets.splice(at..end, new);
                }
                (base, octets)
            })
    }

    proptest! {
        #[test]
        fn octets_come_back_as_they_were((base, octets) in related()) {
            prop_assert_eq!(take_alone(&base, &put_alone(&base, &octets)), Some(octets));
        }

        #[test]
        fn any_octets_come_back_beside_any_base(base: Vec<u8>, octets: Vec<u8>) {
            prop_assert_eq!(take_alone(&base, &put_alone(&base, &octets)), Some(octets));
        }

        #[test]
        fn whatever_is_read_ends_and_is_bounded(base: Vec<u8>, bytes: Vec<u8>) {
            if let Some(octets) = take_alone(&base, &bytes) {
                prop_assert!(octets.len() <= base.len() + bytes.len());
            }
        }
    }

    #[test]
    fn what_is_alike_costs_little_and_what_is_not_costs_itself() {
        let base = vec![7; 2000];
        let changed = [&[1, 2, 3, 4], &base[4..1990], &[9; 30][..]].concat();
        let bytes = put_alone(&base, &changed);
        assert_eq!(bytes.len(), 4 + (4 + 4) + (4 + 30));
        assert_eq!(take_alone(&base, &bytes), Some(changed));
        let strange = vec![1; 100_000];
        let bytes = put_alone(&base, &strange);
        assert_eq!(bytes.len(), 4 + (4 + 65_535) + (4 + 34_465));
        assert_eq!(take_alone(&base, &bytes), Some(strange));
        let long = vec![7; 70_000];
        let bytes = put_alone(&long, &long);
        assert_eq!(bytes.len(), 4 + 2 * 4);
        assert_eq!(take_alone(&long, &bytes), Some(long));
    }

    #[test]
    fn a_run_beyond_the_base_beyond_the_length_or_of_nothing_is_refused() {
        let runs = |length: u8, runs: &[u8]| [&[0, 0, 0, length], runs].concat();
        let base = [5; 4];
        assert_eq!(take_alone(&base, &runs(4, &[0, 4, 0, 0])), Some(vec![5; 4]));
        assert_eq!(take_alone(&base, &runs(5, &[0, 5, 0, 0])), None);
        assert_eq!(take_alone(&base, &runs(3, &[0, 4, 0, 0])), None);
        assert_eq!(take_alone(&base, &runs(4, &[0, 0, 0, 0])), None);
        assert_eq!(take_alone(&base, &runs(4, &[0, 3, 0, 1])), None);
    }
}
