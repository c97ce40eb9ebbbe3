//! The Merkle tree of RFC 6962 §2: hashes, an append-only tree in memory, proofs and their checks.
//!
//! The tree keeps every complete subtree's hash (64 octets per leaf), so a root or a proof at any
//! past size costs O(log n) hashes. It holds hashes only: what the leaves say is its owner's.
//! Indices and sizes are `u64`, as logs write them. Checking a proof needs no tree.

use crate::hash::sha256;
use crate::hex;

/// A SHA-256 hash: of a leaf, of an inner node, or of a whole tree.
pub type Hash = [u8; 32];

/// Why a proof does not prove what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The leaf would lie outside the tree.
    #[error("leaf {index} is not in a tree of {size}")]
    IndexBeyondSize {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// A tree cannot grow into a smaller one.
    #[error("a tree of {old} cannot have grown into one of {new}")]
    Shrunk {
        /// The size before.
        old: u64,
        /// The size after.
        new: u64,
    },
    /// Too many or too few hashes for these sizes.
    #[error("a proof of {got} hashes does not fit these sizes")]
    ProofLength {
        /// How many there are.
        got: usize,
    },
    /// The proof leads to another root.
    #[error("the proof leads to root {}, the head says {}", hex::encode(.got), hex::encode(.want))]
    RootMismatch {
        /// The root computed.
        got: Hash,
        /// The root claimed.
        want: Hash,
    },
}

/// The hash of a leaf: SHA-256(`00` ‖ leaf).
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0x00], leaf])
}

/// The hash of an inner node: SHA-256(`01` ‖ left ‖ right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// An append-only tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// `levels[k][i]` is the hash over the leaves `i·2^k .. (i+1)·2^k`; complete subtrees only.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// A tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Adds a leaf by its hash and returns its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let index = self.size();
        let mut hash = leaf;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(hash);
            // An even count completes a pair, and the pair's parent belongs one level up.
            match nodes[..] {
                [.., left, right] if nodes.len().is_multiple_of(2) => {
                    hash = node_hash(&left, &right)
                }
                _ => break,
            }
        }
        index
    }

    /// The root over all leaves.
    pub fn root(&self) -> Hash {
        self.range(0, self.leaves())
    }

    /// The root as it was when the tree had `size` leaves; `None` if it never had that many.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        Some(self.range(0, self.past_size(size)?))
    }

    /// The index of the first leaf with this hash. Looks at every leaf.
    pub fn index_of(&self, leaf: &Hash) -> Option<u64> {
        let at = self.levels.first()?.iter().position(|hash| hash == leaf)?;
        Some(at as u64)
    }

    /// The audit path (RFC 6962 §2.1.1) of leaf `index` in the tree of `size` leaves, leaf side
    /// first; `None` if there is no such leaf or size.
    pub fn inclusion_proof(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        let size = self.past_size(size)?;
        let index = usize::try_from(index).ok().filter(|&i| i < size)?;
        let mut proof = Vec::new();
        let (mut start, mut end) = (0, size);
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(self.range(middle, end));
                end = middle;
            } else {
                proof.push(self.range(start, middle));
                start = middle;
            }
        }
        proof.reverse();
        Some(proof)
    }

    /// The proof (RFC 6962 §2.1.2) that the tree of `new` leaves begins with the tree of `old`;
    /// `None` unless `old <= new <=` the tree's size. Empty when `old` is 0 or `new`.
    pub fn consistency_proof(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        let (old, new) = (self.past_size(old)?, self.past_size(new)?);
        if old > new {
            return None;
        }
        let mut proof = Vec::new();
        if old == 0 || old == new {
            return Some(proof);
        }
        let (mut start, mut end) = (0, new);
        // Down to the smallest subtree whose right edge is the old tree's right edge.
        while old != end {
            let middle = start + split(end - start);
            if old <= middle {
                proof.push(self.range(middle, end));
                end = middle;
            } else {
                proof.push(self.range(start, middle));
                start = middle;
            }
        }
        // If that subtree is the whole old tree, the verifier has its hash: the old root.
        if start != 0 {
            proof.push(self.range(start, end));
        }
        proof.reverse();
        Some(proof)
    }

    fn leaves(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    fn past_size(&self, size: u64) -> Option<usize> {
        usize::try_from(size).ok().filter(|&s| s <= self.leaves())
    }

    /// The hash over leaves `start..end`. Callers split as the RFC does, so a power of two of
    /// leaves always starts at a multiple of itself: a complete subtree, kept in `levels`.
    fn range(&self, start: usize, end: usize) -> Hash {
        let count = end - start;
        if count == 0 {
            return empty_root();
        }
        if count.is_power_of_two() {
            let level = count.trailing_zeros() as usize;
            return self.levels[level][start >> level];
        }
        let middle = start + split(count);
        node_hash(&self.range(start, middle), &self.range(middle, end))
    }
}

/// Checks that the leaf is number `index` of the tree of `size` leaves with this root
/// (the walk of RFC 9162 §2.1.3.2, which gives RFC 6962's proofs a procedure).
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), Error> {
    if index >= size {
        return Err(Error::IndexBeyondSize { index, size });
    }
    let wrong_length = Error::ProofLength { got: proof.len() };
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if node % 2 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A node without right sibling is its own parent, until a level where it is a right child.
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    same_root(hash, root)
}

/// Checks that the tree of `new` leaves with `new_root` begins with the tree of `old` leaves with
/// `old_root` (RFC 9162 §2.1.4.2). Every tree begins with the empty one.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), Error> {
    if old > new {
        return Err(Error::Shrunk { old, new });
    }
    let wrong_length = Error::ProofLength { got: proof.len() };
    if old == 0 || old == new {
        let known = if old == 0 { &empty_root() } else { new_root };
        return match proof {
            [] => same_root(*known, old_root),
            _ => Err(wrong_length),
        };
    }
    let (mut node, mut last) = (old - 1, new - 1);
    let mut siblings = proof.iter();
    while node % 2 == 1 {
        node >>= 1;
        last >>= 1;
    }
    // At node 0 the walk starts from the whole old tree, whose hash we are given.
    let seed = if node == 0 {
        old_root
    } else {
        siblings.next().ok_or_else(|| wrong_length.clone())?
    };
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in siblings {
        if last == 0 {
            return Err(wrong_length);
        }
        if node % 2 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node % 2 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    same_root(old_hash, old_root)?;
    same_root(new_hash, new_root)
}

fn same_root(got: Hash, want: &Hash) -> Result<(), Error> {
    if got == *want {
        Ok(())
    } else {
        Err(Error::RootMismatch { got, want: *want })
    }
}

/// The largest power of two smaller than `count`, where RFC 6962 §2.1 divides a tree. `count > 1`.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    /// The two trees, ours and the oracle's, over the same `size` leaves.
    fn both(size: usize) -> (Tree, MemoryBackedTree<Sha256, [u8; 8]>) {
        let (mut ours, mut oracle) = (Tree::new(), MemoryBackedTree::new());
        for i in 0..size {
            ours.append(leaf_hash(&i.to_be_bytes()));
            oracle.push(i.to_be_bytes());
        }
        (ours, oracle)
    }

    fn leaf(index: usize) -> Hash {
        leaf_hash(&index.to_be_bytes())
    }

    fn agree(size: usize, index: usize, old: usize) {
        let (ours, oracle) = both(size);
        assert_eq!(ours.root().as_slice(), oracle.root().as_bytes().as_slice());

        let path = ours.inclusion_proof(index as u64, size as u64).unwrap();
        assert_eq!(path.concat(), oracle.prove_inclusion(index).as_bytes());
        let root = ours.root();
        verify_inclusion(&leaf(index), index as u64, size as u64, &path, &root).unwrap();

        let growth = ours.consistency_proof(old as u64, size as u64).unwrap();
        assert_eq!(
            growth.concat(),
            oracle.prove_consistency(size - old).as_bytes()
        );
        let old_root = ours.root_at(old as u64).unwrap();
        assert_eq!(old_root, both(old).0.root());
        verify_consistency(old as u64, &old_root, size as u64, &root, &growth).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn roots_and_proofs_agree_with_the_oracle(
            (size, index, old) in (1usize..600).prop_flat_map(|n| (Just(n), 0..n, 1..=n)),
        ) {
            agree(size, index, old);
        }

        #[test]
        fn a_proof_with_any_hash_changed_dropped_or_added_is_refused(
            (size, index, old) in (2usize..200).prop_flat_map(|n| (Just(n), 0..n, 1..n)),
            at in any::<prop::sample::Index>(),
        ) {
            let (tree, _) = both(size);
            let (size, index, old) = (size as u64, index as u64, old as u64);
            let (root, old_root) = (tree.root(), tree.root_at(old).unwrap());
            let path = tree.inclusion_proof(index, size).unwrap();
            let growth = tree.consistency_proof(old, size).unwrap();
            for (proof, is_path) in [(path, true), (growth, false)] {
                let check = |proof: &[Hash]| if is_path {
                    verify_inclusion(&leaf(index as usize), index, size, proof, &root)
                } else {
                    verify_consistency(old, &old_root, size, &root, proof)
                };
                prop_assert_eq!(check(&proof), Ok(()));
                let at = at.index(proof.len());
                let mut changed = proof.clone();
                changed[at][0] ^= 1;
                let is_mismatch = matches!(check(&changed), Err(Error::RootMismatch { .. }));
                prop_assert!(is_mismatch);
                let mut dropped = proof.clone();
                dropped.remove(at);
                prop_assert!(check(&dropped).is_err());
                let mut added = proof.clone();
                added.push([7; 32]);
                prop_assert!(check(&added).is_err());
            }
        }
    }

    #[test]
    fn trees_around_a_full_tile_agree_with_the_oracle() {
        for size in [1, 2, 3, 255, 256, 257] {
            for index in [0, size / 2, size - 1] {
                agree(size, index, index + 1);
            }
        }
    }

    #[test]
    fn every_proof_in_every_small_tree_agrees_with_the_oracle() {
        for size in 1..=17 {
            for index in 0..size {
                agree(size, index, index + 1);
            }
        }
    }

    #[test]
    fn the_empty_tree_has_the_root_the_rfc_gives_it() {
        let want = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex::encode(&Tree::new().root()), want);
        assert_eq!(hex::encode(&empty_root()), want);
    }

    #[test]
    fn a_leaf_and_a_node_over_the_same_octets_differ() {
        let both = [leaf(0), leaf(1)].concat();
        assert_ne!(leaf_hash(&both), node_hash(&leaf(0), &leaf(1)));
    }

    #[test]
    fn a_leaf_beyond_the_tree_is_refused() {
        let (tree, _) = both(5);
        assert_eq!(
            verify_inclusion(&leaf(0), 5, 5, &[], &tree.root()),
            Err(Error::IndexBeyondSize { index: 5, size: 5 })
        );
        assert_eq!(tree.inclusion_proof(5, 5), None);
        assert_eq!(tree.inclusion_proof(0, 6), None);
    }

    #[test]
    fn a_shrinking_tree_is_refused() {
        let (tree, _) = both(5);
        let (old, new) = (tree.root(), tree.root_at(4).unwrap());
        assert_eq!(
            verify_consistency(5, &old, 4, &new, &[]),
            Err(Error::Shrunk { old: 5, new: 4 })
        );
        assert_eq!(tree.consistency_proof(5, 4), None);
    }

    #[test]
    fn two_roots_for_one_size_are_refused_and_one_is_not() {
        let root = both(5).0.root();
        assert_eq!(verify_consistency(5, &root, 5, &root, &[]), Ok(()));
        assert_eq!(
            verify_consistency(5, &[9; 32], 5, &root, &[]),
            Err(Error::RootMismatch {
                got: root,
                want: [9; 32]
            })
        );
    }

    #[test]
    fn every_tree_begins_with_the_empty_one_and_only_under_its_root() {
        let root = both(5).0.root();
        assert_eq!(verify_consistency(0, &empty_root(), 5, &root, &[]), Ok(()));
        assert_eq!(
            verify_consistency(0, &root, 5, &root, &[]),
            Err(Error::RootMismatch {
                got: empty_root(),
                want: root
            })
        );
    }

    #[test]
    fn an_index_is_found_by_its_leaf() {
        let (tree, _) = both(9);
        assert_eq!(tree.index_of(&leaf(8)), Some(8));
        assert_eq!(tree.index_of(&leaf(9)), None);
    }
}
