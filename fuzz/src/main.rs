//! The engine: libFuzzer around the target that `SHORTLEAF_FUZZ_TARGET` names.
//!
//! One program for all targets, because linking is what takes long. `.ci/fuzz` knows the flags.
#![no_main]

mod targets;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

static TARGET: OnceLock<&'static Target> = OnceLock::new();

/// Not where libFuzzer would read it: its command line is its own.
fn target() -> &'static Target {
    let name = std::env::var("SHORTLEAF_FUZZ_TARGET").unwrap_or_default();
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => target,
        None => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("SHORTLEAF_FUZZ_TARGET is {name:?}, not one of {names:?}");
            std::process::exit(2);
        }
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::judge(TARGET.get_or_init(target), input);
});
