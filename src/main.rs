//! The `shortleaf` program; everything it does is in the library.

use std::process::ExitCode;

/// An issuance makes a few hundred small allocations on one thread and frees some on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    shortleaf::cli::main()
}
