//! The `shortleaf` program; everything it does is in the library.

use std::process::ExitCode;

/// A certificate takes hundreds of allocations, many of them given back by another thread than the
/// one that made them: glibc's takes locks for that and keeps merging what is asked for again at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shortleaf::cli::main()
}
