//! Groups under stress; see run.sh.
//!
//! The program is each of the members, a process of its own, and the driver that starts, pauses and kills them, and judges
//! by what they noted.

mod drive;
mod feed;
mod judge;
mod life;
mod member;
mod random;
mod witness;

use rustix::time::{ClockId, clock_gettime};
use std::{error::Error, process};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Microseconds of the machine's monotonic clock: members and driver compare theirs, and nobody sets it back.
fn now() -> u64 {
    let since = clock_gettime(ClockId::Monotonic);
    since.tv_sec as u64 * 1_000_000 + since.tv_nsec as u64 / 1000
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["drive"] => drive::run(),
        ["member", group, settings @ ..] => member::run(group, settings),
        ["witness"] => witness::run(),
        _ => Err("drive, witness, or member GROUP KEY=VALUE...".into()),
    };
    if let Err(error) = done {
        println!("FAIL {}: {error}", words.first().unwrap_or(&"start"));
        process::exit(1);
    }
}
