//! Writes the sound inputs of each kind into folders of a directory, for libFuzzer to begin with.
//!
//! ```text
//! cargo run -p ottla-fuzz --example seeds -- DIR
//! ```

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use ottla_fuzz::TARGETS;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = PathBuf::from(std::env::args().nth(1).ok_or("usage: seeds DIR")?);
    for target in TARGETS {
        let dir = dir.join(target.name);
        fs::create_dir_all(&dir)?;
        for (number, input) in (target.seeds)().iter().enumerate() {
            fs::write(dir.join(format!("seed-{number}")), input)?;
        }
    }
    Ok(())
}
