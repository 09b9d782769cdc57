//! Writes logs with a bit of everything into a directory, for other programs to read: all codecs, several segments,
//! epochs, idempotent producers, committed, aborted and open transactions, retention, compaction, cuts, restarts.
//!
//! ```text
//! cargo run -p ottla-storage --example write_log -- DIR [SEED]
//! tests/clients/dumplog/run.sh DIR
//! ```
//!
//! DIR gets the logs `retained-0` and `compacted-0`. The seed decides everything; without one it is the time, and it is
//! printed.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ottla_protocol::ids::{LeaderEpoch, ProducerEpoch, ProducerId, Uuid};
use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::{BatchBuilder, Codec, Compression, EndTransactionMarker, NewRecord};
use ottla_storage::disk::RealDisk;
use ottla_storage::{Append, AppendOrigin, CompactionRequest, Log, LogConfig, LogOptions, TransactionCheck};

const START_MS: i64 = 1_700_000_000_000;
const ROUNDS: i64 = 2_000;
const PRODUCERS: usize = 7;
/// From this producer on they are transactional.
const FIRST_TRANSACTIONAL: usize = 4;
const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: write_log DIR [SEED]")?);
    let seed = match arguments.next() {
        Some(seed) => seed.parse()?,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    println!("seed {seed}");
    let config = LogConfig {
        segment_bytes: 60_000,
        index_interval_bytes: 500,
        file_delete_delay_ms: 0,
        producer_id_expiration_ms: i64::MAX,
        retention_ms: 15_000,
        retention_bytes: 400_000,
        delete_retention_ms: 2_000,
        ..LogConfig::default()
    };
    let compacted = LogConfig {
        is_deleted: false,
        is_compacted: true,
        ..config
    };
    for (name, config) in [("retained-0", config), ("compacted-0", compacted)] {
        let mut writer = Writer::open(&dir.join(name), config, seed)?;
        for round in 0..ROUNDS {
            writer.round(round)?;
        }
        writer.log.close()?;
    }
    Ok(())
}

/// A log with those who write to it.
struct Writer {
    random: u64,
    options: LogOptions,
    log: Log,
    epoch: i32,
    sequences: [i32; PRODUCERS],
    /// Whether each has a transaction open.
    is_open: [bool; PRODUCERS],
    now_ms: i64,
}

impl Writer {
    fn open(dir: &Path, config: LogConfig, seed: u64) -> Result<Self, Box<dyn Error>> {
        let options = LogOptions {
            config,
            topic_id: Some(Uuid([5; 16])),
            is_clean: true,
            now_ms: START_MS,
            ..LogOptions::default()
        };
        Ok(Self {
            random: seed,
            log: Log::open(Arc::new(RealDisk::new()), dir, &options)?,
            options,
            epoch: 0,
            sequences: [0; PRODUCERS],
            is_open: [false; PRODUCERS],
            now_ms: START_MS,
        })
    }

    /// A number below `end` (SplitMix64).
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn round(&mut self, round: i64) -> Result<(), Box<dyn Error>> {
        self.now_ms += 10;
        let producer = self.below(PRODUCERS as u64) as usize;
        // No transaction stays open for long, or nothing could be compacted; but for those of the end.
        let is_to_end = self.is_open[producer] && self.below(3) == 0;
        match is_to_end {
            true => self.end_transaction(producer)?,
            false => self.produce(producer, round)?,
        }
        self.log.set_high_watermark(self.log.log_end_offset());
        match self.below(200) {
            0 => self.epoch += 1,
            1..5 => self.clean()?,
            5 => self.open_again()?,
            6 if !self.options.config.is_compacted => {
                let (start, end) = (self.log.log_start_offset(), self.log.last_stable_offset());
                let offset = start + self.below((end - start).max(1) as u64) as i64;
                self.log.delete_records_before(offset)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn produce(&mut self, producer: usize, round: i64) -> Result<(), Box<dyn Error>> {
        let codec = CODECS[self.below(CODECS.len() as u64) as usize];
        let mut builder = BatchBuilder::new().codec(Codec::of(codec)).producer(
            ProducerId(producer as i64),
            ProducerEpoch(0),
            self.sequences[producer],
        );
        if producer >= FIRST_TRANSACTIONAL {
            builder = builder.transactional();
            self.is_open[producer] = true;
        }
        let count = 1 + self.below(5) as i64;
        for at in 0..count {
            // Every now and then time goes back.
            let timestamp = self.now_ms + at - if self.below(11) == 0 { 5_000 } else { 0 };
            let key = format!("key-{}", self.below(300));
            let value = format!("round {round}, record {at} {}", "x".repeat(self.below(300) as usize));
            let record = NewRecord::of(timestamp, key.as_bytes(), value.as_bytes());
            builder.append(&NewRecord {
                value: record.value.filter(|_| self.below(9) != 0),
                ..record
            });
        }
        self.sequences[producer] += count as i32;
        self.append(&builder.build(), AppendOrigin::Client)
    }

    fn end_transaction(&mut self, producer: usize) -> Result<(), Box<dyn Error>> {
        let marker = EndTransactionMarker {
            is_commit: self.below(2) == 0,
            coordinator_epoch: 1,
        };
        self.is_open[producer] = false;
        let producer = ProducerId(producer as i64);
        let marker = end_transaction_batch(marker, producer, ProducerEpoch(0), self.now_ms);
        self.append(&marker, AppendOrigin::Coordinator)
    }

    fn append(&mut self, batches: &[u8], origin: AppendOrigin) -> Result<(), Box<dyn Error>> {
        let is_stamped = origin == AppendOrigin::Client && self.below(13) == 0;
        self.log.append(Append {
            batches,
            leader_epoch: LeaderEpoch(self.epoch),
            origin,
            now_ms: self.now_ms,
            log_append_time: is_stamped.then_some(self.now_ms),
            transaction: TransactionCheck::Skipped,
        })?;
        Ok(())
    }

    /// Retains or compacts.
    fn clean(&mut self) -> Result<(), Box<dyn Error>> {
        self.log.sync()?;
        match self.options.config.is_compacted {
            true => {
                self.log.compact(CompactionRequest {
                    now_ms: self.now_ms,
                    map_bytes: 1 << 20,
                    map_load_factor: 0.9,
                    on_io: &mut |_| ControlFlow::Continue(()),
                })?;
            }
            false => drop(self.log.apply_retention(self.now_ms)?),
        }
        Ok(self.log.remove_doomed_files(self.now_ms)?)
    }

    /// Stops in an orderly way or not, and starts on the same files.
    fn open_again(&mut self) -> Result<(), Box<dyn Error>> {
        let is_clean = self.below(2) == 0;
        if is_clean {
            self.log.close()?;
        }
        self.options = LogOptions {
            is_clean,
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            high_watermark: self.log.high_watermark(),
            cleaned_up_to: self.log.cleaned_up_to(),
            now_ms: self.now_ms,
            ..self.options.clone()
        };
        self.log = Log::open(Arc::new(RealDisk::new()), self.log.dir(), &self.options)?;
        Ok(())
    }
}
