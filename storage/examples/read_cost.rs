//! What it costs to send what has been read: CPU seconds per GB of the sending thread over loopback, for reads of some
//! sizes, each by sendfile and by reading into memory.
//!
//! ```text
//! cargo run --release -p ottla-storage --example read_cost -- DIR [MB [BATCH_BYTES [READ_BYTES...]]]
//! ```
//!
//! The log is in the page cache. The receiver is another thread, which is not counted.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use ottla_protocol::ids::{LeaderEpoch, Offset};
use ottla_protocol::records::{BatchBuilder, NewRecord};
use ottla_storage::disk::RealDisk;
use ottla_storage::{Append, AppendOrigin, FileRegion, Log, LogConfig, LogOptions, Records, TransactionCheck};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: read_cost DIR [MB [BATCH_BYTES [READ_BYTES...]]]")?,
    );
    let mut number = || arguments.next().map(|text| text.parse::<usize>()).transpose();
    let total_bytes = number()?.unwrap_or(1_000) * 1_000_000;
    let batch_bytes = number()?.unwrap_or(16 * 1024);
    let mut sizes = Vec::new();
    while let Some(size) = number()? {
        sizes.push(size);
    }
    if sizes.is_empty() {
        sizes = [32, 64, 128, 256, 1024]
            .map(|kib| kib * 1024 + batch_bytes / 2)
            .to_vec();
    }
    let dir = dir.join("bench-read");
    let log = fill(&dir, batch_bytes, total_bytes)?;
    println!("batches of {batch_bytes}\nread bytes  from file  CPU-s/GB by sendfile  by memory");
    for size in sizes {
        // In turns, so that what else the machine does falls on both.
        let (mut by_file, mut by_memory, mut from_file) = (0.0, 0.0, 0.0);
        for _ in 0..3 {
            let (cost, share) = measure(&log, size, true)?;
            by_file += cost / 3.0;
            from_file = share;
            by_memory += measure(&log, size, false)?.0 / 3.0;
        }
        println!("{size:>10}  {from_file:>9.2}  {by_file:>20.3}  {by_memory:>9.3}");
    }
    drop(log);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn fill(dir: &std::path::Path, batch_bytes: usize, total_bytes: usize) -> Result<Log, Box<dyn Error>> {
    let options = LogOptions {
        config: LogConfig::default(),
        is_clean: true,
        ..LogOptions::default()
    };
    let log = Log::open(Arc::new(RealDisk::new()), dir, &options)?;
    let value = vec![7; batch_bytes.saturating_sub(80)];
    let mut builder = BatchBuilder::new();
    builder.append(&NewRecord::of(1_000, b"", &value));
    let batch = builder.build();
    for _ in 0..total_bytes / batch.len() {
        log.append(Append {
            batches: &batch,
            leader_epoch: LeaderEpoch(0),
            origin: AppendOrigin::Client,
            now_ms: 1_000,
            log_append_time: None,
            transaction: TransactionCheck::Skipped,
        })?;
    }
    log.roll(1_000)?;
    Ok(log)
}

/// Sends the whole log; returns the cost, and which share of the bytes the log left in the file.
fn measure(log: &Log, size: usize, by_file: bool) -> Result<(f64, f64), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut socket = TcpStream::connect(listener.local_addr()?)?;
    let (mut receiver, _) = listener.accept()?;
    let receiving = thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while receiver.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let (mut from, mut sent, mut from_file) = (0, 0, 0);
    let before = cpu_seconds();
    loop {
        let slice = log.read(from, Offset::MAX, size, true)?;
        let len = slice.records.len();
        if len == 0 {
            break;
        }
        from = slice.next_offset;
        sent += len;
        match slice.records {
            Records::File(region) if by_file => {
                from_file += len;
                send_file(&socket, region)?;
            }
            records => socket.write_all(&records.into_bytes()?)?,
        }
    }
    let cost = (cpu_seconds() - before) / (sent as f64 / 1e9);
    drop(socket);
    receiving.join().map_err(|_| "the receiver panicked")?;
    Ok((cost, from_file as f64 / sent as f64))
}

fn send_file(socket: &TcpStream, mut region: FileRegion) -> Result<(), Box<dyn Error>> {
    while !region.is_empty() {
        let mut position = region.position();
        let len = region.resident_len(1 << 20);
        let sent = rustix::fs::sendfile(socket, region.descriptor()?, Some(&mut position), len)?;
        region.advance(sent);
    }
    Ok(())
}

/// User and system time of this thread.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
