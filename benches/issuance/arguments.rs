//! What stands behind `--` of a benchmark's command.

use std::env;
use std::path::{Path, PathBuf};

/// The arguments of this process.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    pub(crate) fn given() -> Self {
        Self(env::args().skip(1).collect())
    }

    pub(crate) fn as_slice(&self) -> &[String] {
        &self.0
    }

    pub(crate) fn has(&self, flag: &str) -> bool {
        self.0.iter().any(|argument| argument == flag)
    }

    /// A short run that claims nothing.
    pub(crate) fn is_smoke(&self) -> bool {
        let set = env::var_os("SHORTLEAF_BENCH_SMOKE").is_some_and(|value| value != "0");
        set || self.has("--smoke")
    }

    /// Whether anybody wants to see it run: `cargo test --all-targets` starts it too, without the
    /// flag that `cargo bench` gives.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_smoke() || self.has("--bench")
    }

    /// Where results go.
    pub(crate) fn out(&self) -> PathBuf {
        let at = self.0.iter().position(|argument| argument == "--out");
        let named = at.and_then(|at| self.0.get(at + 1)).map(PathBuf::from);
        named.unwrap_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench"))
    }
}
