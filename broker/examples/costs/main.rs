//! Hands a broker requests while callgrind counts: what a request costs in instructions and allocations.
//!
//!     valgrind --tool=callgrind --toggle-collect='*run_counted*' --dump-after='*end_figure*' --dump-instr=yes costs DIR
//!
//! Counted is only what happens within [`run_counted`]; after each call of [`end_figure`] callgrind writes what it has
//! counted since the one before. A line on standard output for each: the name of the figure and by how much its count is
//! to be divided. tests/it/costs.rs runs this and holds the figures against tests/budgets.toml.
//!
//! The broker in here is the one that the binary runs, with its allocator, but for sockets and threads: requests are
//! answered one after the other in the main thread. Every answer is looked at: a refusal is quick and would be praised.

mod client;
mod figures;

use std::process::ExitCode;

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does what is to be counted. Callgrind knows it by its name.
#[inline(never)]
fn run_counted(work: &mut dyn FnMut()) {
    work();
}

/// Ends a figure: what was counted since the one before is to be divided by `count`. Callgrind knows it by its name.
#[inline(never)]
fn end_figure(name: &str, count: usize) {
    println!("{count}\t{name}");
}

fn main() -> ExitCode {
    let Some(dir) = std::env::args().nth(1) else {
        eprintln!("usage: costs DIR");
        return ExitCode::FAILURE;
    };
    if cfg!(debug_assertions) {
        eprintln!("costs: the budgets are those of the release build");
        return ExitCode::FAILURE;
    }
    match figures::all(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("costs: {error:#}");
            ExitCode::FAILURE
        }
    }
}
