//! The page cache, before a run needs it.
//!
//! A broker that has run for a while finds memory full of older files: a page for what it writes is taken from one that
//! nobody reads. On a machine with much free memory it gets new ones, and where that is a virtual machine whose host takes
//! free memory back, the host's work for each new page is charged to whoever writes: 3 CPU seconds a GB have been seen
//! where memory that is there takes 0.3. What a broker costs would be lost in that. So each run finds memory full.

use super::machine;
use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// As large as a large batch.
const PIECE: usize = 128 << 10;
/// What is written to find out what a GB costs.
const SAMPLE_BYTES: u64 = 256 << 20;
/// Of so many bytes is each file that memory is filled with. They have holes only, so they take no space on the disk.
const FILLER_BYTES: u64 = 1 << 30;

/// Fills free memory with pages of files that nobody needs. Returns what a file of a quarter of a GB costs then, in CPU
/// seconds per GB: the least that a broker can take.
///
/// The files stay below `scratch`, or their pages would be free again.
///
/// # Errors
/// Files cannot be written below `scratch`.
pub fn fill(scratch: &Path) -> anyhow::Result<f64> {
    for _ in 0..=machine::memory_bytes()? / FILLER_BYTES {
        let before = machine::free_bytes()?;
        read_holes(scratch)?;
        // Else pages of the ones before were taken.
        if before.saturating_sub(machine::free_bytes()?) < FILLER_BYTES / 2 {
            break;
        }
    }
    let used = write_and_delete(scratch, SAMPLE_BYTES / PIECE as u64)?;
    Ok(used.as_secs_f64() * 1e9 / SAMPLE_BYTES as f64)
}

fn read_holes(scratch: &Path) -> anyhow::Result<()> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let path = scratch.join(format!("filler-{}", MADE.fetch_add(1, Ordering::Relaxed)));
    let read = File::create_new(&path)
        .and_then(|file| file.set_len(FILLER_BYTES))
        .and_then(|()| File::open(&path))
        .and_then(|mut file| {
            let mut piece = vec![0; PIECE];
            while file.read(&mut piece)? > 0 {}
            io::Result::Ok(())
        });
    read.with_context(|| format!("cannot fill memory with {}", path.display()))
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
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_sample_costs_something_and_what_is_left_takes_no_space() {
        let folder = std::env::temp_dir().join(format!("ottla-bench-pages.{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        read_holes(&folder).expect("no space is needed");
        let cost = write_and_delete(&folder, 64).expect("room for 8 MiB");
        let left: Vec<_> = std::fs::read_dir(&folder).expect("it is there").flatten().collect();
        let blocks = left.iter().map(|entry| entry.metadata().expect("ours").blocks());
        assert_eq!((left.len(), blocks.sum::<u64>()), (1, 0));
        std::fs::remove_dir_all(&folder).expect("ours");
        assert!(cost > Duration::ZERO, "{cost:?}");
    }
}
