//! Memory for the page cache, before a run needs it.
//!
//! A virtual machine whose host takes free memory back gets it again page by page when a file is written, and the host's
//! work is charged to whoever writes: 3 CPU seconds a GB have been seen where memory that is there takes 0.3. What a
//! broker costs would be lost in that, so each run finds memory that is there.

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use std::{fs::File, io::Write, path::Path, time::Duration};

/// As large as a large batch.
const PIECE: usize = 128 << 10;
/// A part of all memory that a run may be prepared with.
const PART: u64 = 8;

/// So many bytes are written into a file and the file is deleted, twice; what the second time cost, in CPU seconds per
/// GB, is the least that a broker can take, and tells whether the memory was there.
///
/// # Errors
/// The file cannot be written below `scratch`.
pub fn bring_in(scratch: &Path, bytes: u64) -> anyhow::Result<f64> {
    let pieces = bytes.min(super::machine::memory_bytes()? / PART).div_ceil(PIECE as u64);
    write_and_delete(scratch, pieces)?;
    let used = write_and_delete(scratch, pieces)?;
    Ok(used.as_secs_f64() * 1e9 / (pieces * PIECE as u64) as f64)
}

fn write_and_delete(scratch: &Path, pieces: u64) -> anyhow::Result<Duration> {
    let path = scratch.join("pages");
    let begun = processor_time();
    let written = File::create(&path).and_then(|mut file| {
        let piece = vec![1; PIECE];
        (0..pieces).try_for_each(|_| file.write_all(&piece))
    });
    let used = processor_time().saturating_sub(begun);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    std::fs::remove_file(&path)?;
    Ok(used)
}

/// Of this thread, so far.
fn processor_time() -> Duration {
    // The kernel gives no negative times.
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_costs_something_and_leaves_nothing() {
        let folder = std::env::temp_dir().join(format!("ottla-bench-pages.{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let cost = bring_in(&folder, 8 << 20).expect("room for 8 MiB");
        let left = std::fs::read_dir(&folder).expect("it is there").count();
        std::fs::remove_dir_all(&folder).expect("ours");
        assert!(cost > 0.0, "{cost}");
        assert_eq!(left, 0);
    }
}
