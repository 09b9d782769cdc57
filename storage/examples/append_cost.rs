//! What an append costs: CPU seconds per GB for batches of some sizes, in one partition, on the disk of a directory.
//!
//! ```text
//! cargo run --release -p ottla-storage --example append_cost -- DIR [MB [BATCH_BYTES...]]
//! ```
//!
//! WITHOUT_MAPS=1: each append is a call (pwritev), none a copy into the map.
//!
//! The bars: 0.45 CPU-s/GB for batches of 1 KiB, 0.35 for 128 KiB. The figure is what this process spent, user and
//! system, between the first append and the last; flushing to the device is the kernel's and not in it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ottla_protocol::ids::LeaderEpoch;
use ottla_protocol::records::{BatchBuilder, NewRecord};
use ottla_storage::disk::RealDisk;
use ottla_storage::{Append, AppendOrigin, Log, LogConfig, LogOptions, TransactionCheck};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: append_cost DIR [MB [BATCH_BYTES...]]")?);
    let total_bytes = arguments
        .next()
        .map_or(Ok(2_000), |megabytes| megabytes.parse::<u64>())?
        * 1_000_000;
    let sizes: Vec<usize> = arguments.map(|size| size.parse()).collect::<Result<_, _>>()?;
    let sizes = if sizes.is_empty() {
        vec![1024, 4096, 16 * 1024, 128 * 1024, 1024 * 1024]
    } else {
        sizes
    };
    println!("batch bytes  CPU-s/GB  user-s/GB  MB/s  ns/append");
    for size in sizes {
        let dir = dir.join(format!("bench-{size}"));
        measure(&dir, size, total_bytes)?;
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(())
}

fn measure(dir: &Path, size: usize, total_bytes: u64) -> Result<(), Box<dyn Error>> {
    let options = LogOptions {
        config: LogConfig::default(),
        is_clean: true,
        ..LogOptions::default()
    };
    let disk = match std::env::var_os("WITHOUT_MAPS") {
        Some(_) => RealDisk::without_maps(),
        None => RealDisk::new(),
    };
    let log = Log::open(Arc::new(disk), dir, &options)?;
    let value = vec![7; size.saturating_sub(80)];
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(1_000, b"", &value));
    let batch = builder.build();
    let count = total_bytes / batch.len() as u64;
    let (user, system, start) = (user_seconds(), system_seconds(), Instant::now());
    for _ in 0..count {
        log.append(Append {
            batches: &batch,
            leader_epoch: LeaderEpoch(0),
            origin: AppendOrigin::Client,
            now_ms: 1_000,
            log_append_time: None,
            transaction: TransactionCheck::Skipped,
        })?;
    }
    let wall = start.elapsed().as_secs_f64();
    let (user, system) = (user_seconds() - user, system_seconds() - system);
    let gigabytes = (count * batch.len() as u64) as f64 / 1e9;
    println!(
        "{:>11}  {:>8.3}  {:>9.3}  {:>4.0}  {:>9.0}",
        batch.len(),
        (user + system) / gigabytes,
        user / gigabytes,
        gigabytes * 1000.0 / wall,
        wall * 1e9 / count as f64,
    );
    log.close()?;
    Ok(())
}

fn user_seconds() -> f64 {
    ticks(13)
}

fn system_seconds() -> f64 {
    ticks(14)
}

/// A field of `/proc/self/stat`, counted from 0, which is in hundredths of a second on every Linux there is.
fn ticks(field: usize) -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in field 1 may contain spaces, but ends with the last parenthesis.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name
        .split_whitespace()
        .nth(field - 2)
        .and_then(|ticks| ticks.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 100.0
}
