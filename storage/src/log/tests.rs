use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs};
use ottla_protocol::records::batch::{batches, verify_crc};
use ottla_protocol::records::{BatchBuilder, NewRecord};

use super::*;
use crate::compaction::{CompactionError, CompactionRequest, CompactionStats};
use crate::disk::RealDisk;
use crate::producer_state::AppendOrigin;
use crate::producer_state::verification::TransactionCheck;
use crate::recovery::{Damage, DamageKind};
use crate::testing::{Scratch, scratch};

mod basics;
mod compacting;
mod compaction_checker;
mod crash_model;
mod cutting;
mod failing;
mod faults;
mod live_transactions;
mod lookups;
mod model;
mod open_files;
mod producers;
mod reading;
mod rolling;
mod threads;
mod torn;
mod transactions;
mod unread;

fn small_config() -> LogConfig {
    LogConfig {
        segment_bytes: 4096,
        index_interval_bytes: 256,
        ..LogConfig::default()
    }
}

fn open(dir: &Path, options: &LogOptions) -> Log {
    Log::open(Arc::new(RealDisk::new()), dir, options).unwrap()
}

fn clean() -> LogOptions {
    LogOptions {
        config: small_config(),
        is_clean: true,
        ..LogOptions::default()
    }
}

fn unclean() -> LogOptions {
    LogOptions {
        config: small_config(),
        ..LogOptions::default()
    }
}

/// A batch with a record for each of these timestamps, whose values have `len` bytes.
fn batch_at(timestamps: &[TimestampMs], len: usize) -> Bytes {
    let value = vec![b'v'; len];
    let mut builder = BatchBuilder::new();
    for timestamp in timestamps {
        builder.append(&NewRecord::of(*timestamp, b"key", &value));
    }
    builder.build()
}

fn batch(count: usize) -> Bytes {
    batch_at(&vec![1_000; count], 50)
}

fn produced(id: i64, epoch: i16, first_sequence: i32, count: usize) -> Bytes {
    let mut builder = BatchBuilder::new().producer(ProducerId(id), ProducerEpoch(epoch), first_sequence);
    for _ in 0..count {
        builder.append(&NewRecord::of(1_000, b"key", b"value"));
    }
    builder.build()
}

fn client(batches: &[u8]) -> Append<'_> {
    Append {
        batches,
        leader_epoch: LeaderEpoch(0),
        origin: AppendOrigin::Client,
        now_ms: 1_000,
        log_append_time: None,
        transaction: TransactionCheck::Skipped,
    }
}

fn append(log: &Log, batches: &[u8]) -> Appended {
    log.append(client(batches)).unwrap()
}

/// Appends the same so many times.
fn fill(log: &Log, times: usize, batches: &[u8]) {
    for _ in 0..times {
        append(log, batches);
    }
}

/// All that can be read from `from` on, batch by batch.
fn read_all(log: &Log, from: Offset) -> Vec<Bytes> {
    let mut all = Vec::new();
    let mut from = from;
    loop {
        let slice = log.read(from, Offset::MAX, 1000, true).unwrap();
        if slice.records.is_empty() {
            return all;
        }
        assert!(slice.next_offset > from, "{} after {from}", slice.next_offset);
        from = slice.next_offset;
        let bytes = slice.records.into_bytes().unwrap();
        for batch in batches(&bytes) {
            let (_, batch) = batch.unwrap();
            verify_crc(batch).unwrap();
            all.push(Bytes::copy_from_slice(batch));
        }
    }
}

/// Copies a directory as a killed process leaves it: with all that was written, nothing closed.
fn copy_of(dir: &Path) -> Scratch {
    let copy = scratch("copy");
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}
