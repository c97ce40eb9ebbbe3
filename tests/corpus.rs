//! The inputs that fuzzing starts from and what it once found, through the functions that are
//! fuzzed, without any engine: `fuzz/` is not needed to build or test shortleaf.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

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
