//! The `ottla` binary: see `ottla --help`.

use std::process::ExitCode;

/// Small and quick, and gives memory back: an idle broker is to stay small.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match ottla::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("ottla: {error:#}");
            ExitCode::FAILURE
        }
    }
}
