//! The inputs that fuzzing starts from and what it once found, through the functions that are
//! fuzzed, without any engine: `fuzz/` is not needed to build or test shortleaf.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

/// All inputs of one target: what is larger belongs in nobody's clone.
const CORPUS_BYTES_MAX: usize = 64 * 1024;

fn corpus(target: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("fuzz/corpus").join(target)
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(corpus(target)).expect("each target has a corpus");
    let mut inputs: Vec<_> = files
        .map(|file| file.expect("readable").path())
        .map(|path| (path.clone(), fs::read(path).expect("readable")))
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn every_kept_input_keeps_every_promise() {
    for target in targets::TARGETS {
        for (path, input) in inputs(target.name) {
            let kept = std::panic::catch_unwind(|| targets::judge(target, &input));
            assert!(kept.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn an_input_that_takes_too_long_is_a_finding() {
    // Computes a millisecond for each octet.
    let slow = targets::Target {
        name: "slow",
        run: |input| {
            let started = targets::thread_time();
            while (targets::thread_time() - started).as_millis() < input.len() as u128 {}
        },
    };
    targets::judge(&slow, &[0; 20]);
    let found = std::panic::catch_unwind(|| targets::judge(&slow, &[0; 60]));
    assert!(found.is_err());
}

#[test]
fn each_target_has_a_small_corpus_and_each_corpus_a_target() {
    for target in targets::TARGETS {
        let sizes = inputs(target.name)
            .into_iter()
            .map(|(_, input)| input.len());
        let (count, bytes) = sizes.fold((0, 0), |(n, sum), size| (n + 1, sum + size));
        assert!(count >= 5, "{}: {count} inputs", target.name);
        assert!(bytes <= CORPUS_BYTES_MAX, "{}: {bytes} octets", target.name);
    }
    let folders = fs::read_dir(corpus("")).expect("fuzz/corpus is part of the repository");
    for folder in folders.map(|folder| folder.expect("readable").file_name()) {
        let known = targets::TARGETS.iter().any(|target| folder == target.name);
        assert!(known, "{folder:?} is no target");
    }
}

fn keeps_its_promises(target: &str, input: &[u8]) {
    let target = targets::TARGETS.iter().find(|known| known.name == target);
    (target.expect("a target").run)(input);
}

/// What is done to a kept input: nothing that anybody would call well formed.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    /// From one place to another, once more at a third.
    Repeat(Index, Index, Index),
    /// The end of another kept input instead of one's own.
    Graft(Index, Index, Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    // Octets that mean something are worth more than others.
    let octet = || {
        prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"\x00\x01\x30\x80\x81\xff\"\\{}[]:,-=. \n\r\t"[..])
        ]
    };
    prop_oneof![
        (at(), octet()).prop_map(|(at, octet)| Edit::Set(at, octet)),
        (at(), octet()).prop_map(|(at, octet)| Edit::Insert(at, octet)),
        at().prop_map(Edit::Remove),
        (at(), at(), at()).prop_map(|(a, b, c)| Edit::Repeat(a, b, c)),
        (at(), at(), at()).prop_map(|(a, b, c)| Edit::Graft(a, b, c)),
    ]
}

impl Edit {
    fn of(&self, input: &mut Vec<u8>, others: &[(PathBuf, Vec<u8>)]) {
        let place = |at: &Index, input: &[u8]| at.index(input.len() + 1);
        match self {
            Self::Set(..) | Self::Remove(_) if input.is_empty() => {}
            Self::Set(at, octet) => {
                let at = at.index(input.len());
                input[at] = *octet;
            }
            Self::Remove(at) => drop(input.remove(at.index(input.len()))),
            Self::Insert(at, octet) => input.insert(place(at, input), *octet),
            Self::Repeat(from, to, at) => {
                let (from, to) = (place(from, input), place(to, input));
                let part = input[from.min(to)..from.max(to)].to_vec();
                let at = place(at, input);
                input.splice(at..at, part);
            }
            Self::Graft(which, from, at) => {
                let other = &others[which.index(others.len())].1;
                input.truncate(place(at, input));
                input.extend(&other[place(from, other)..]);
            }
        }
    }
}

/// Lines of PEM and what might be taken for them.
fn pemish() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => Just("-----BEGIN X-----"),
        4 => Just("-----END X-----"),
        4 => Just("AAEC"),
        1 => prop::sample::select(&[
            "-----BEGIN A KEY-----", "-----END A KEY-----", "-----BEGIN X----", "-----BEGIN  X-----",
            "----- BEGIN X-----", "-----BEGIN X-----AAEC", "-----END X-----AAEC", "AA==", "AB==", "AAE", "A A=",
            "Proc-Type: 4,ENCRYPTED", "", "#", "=", "\u{feff}", "\u{a0}",
        ][..]),
    ];
    let end = prop_oneof![
        8 => Just("\n"),
        1 => prop::sample::select(&["\r\n", "\r", " \n", "\t\r\n", "\u{b}\n", "\u{c}\n", "\n\n", ""][..]),
    ];
    prop::collection::vec((line, end), 0..9).prop_map(|lines| {
        let lines = lines.into_iter().map(|(line, end)| format!("{line}{end}"));
        lines.collect()
    })
}

/// Nested elements, of which one in some has a length that is not so.
fn derish() -> impl Strategy<Value = Vec<u8>> {
    let tag = prop::sample::select(
        &[
            0x01, 0x02, 0x03, 0x05, 0x06, 0x0c, 0x1f, 0x30, 0x31, 0x80, 0xa0, 0xa3, 0xbf,
        ][..],
    );
    let leaf = (tag.clone(), prop::collection::vec(any::<u8>(), 0..6));
    let leaf = leaf.prop_map(|(tag, content)| shortleaf::der::tlv(tag, &[&content]));
    leaf.prop_recursive(5, 64, 5, move |inner| {
        let parts = prop::collection::vec(inner, 0..5);
        (tag.clone(), parts, prop::option::weighted(0.1, any::<u8>())).prop_map(
            |(tag, parts, length)| {
                let mut whole = shortleaf::der::tlv(tag, &[&parts.concat()]);
                if let Some(length) = length {
                    whole[1] = length;
                }
                whole
            },
        )
    })
}

proptest! {
    #[test]
    fn what_resembles_a_kept_input_keeps_every_promise(
        seed in any::<Index>(),
        edits in prop::collection::vec(edit(), 1..6),
    ) {
        // One input of each target whose second opinion is another parser's.
        for target in ["answer", "csr", "der", "json", "jwks", "pem", "sct", "spki", "token"] {
            let inputs = inputs(target);
            let mut input = inputs[seed.index(inputs.len())].1.clone();
            for edit in &edits {
                edit.of(&mut input, &inputs);
            }
            input.truncate(20_000);
            keeps_its_promises(target, &input);
        }
    }

    #[test]
    fn whatever_looks_like_pem_says_the_same_to_the_pem_crate(text in pemish()) {
        keeps_its_promises("pem", text.as_bytes());
    }

    #[test]
    fn whatever_looks_like_der_has_the_same_lengths_to_the_der_crate(octets in derish()) {
        keeps_its_promises("der", &octets);
    }
}
