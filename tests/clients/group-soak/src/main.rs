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

use std::{error::Error, process, time::SystemTime};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Microseconds since 1970. Members and driver run on one machine, so they compare.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("the clock is set").as_micros() as u64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["drive"] => drive::run(),
        ["member", group, settings @ ..] => member::run(group, settings),
        _ => Err("drive, or member GROUP KEY=VALUE...".into()),
    };
    if let Err(error) = done {
        println!("FAIL: {error}");
        process::exit(1);
    }
}
