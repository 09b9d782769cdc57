//! Writes a log with a bit of everything into a directory, for other programs to read: all codecs, several segments,
//! epochs, idempotent producers, committed and aborted transactions.
//!
//! ```text
//! cargo run -p ottla-storage --example write_log -- DIR/topic-0 [kill]
//! java -cp 'kafka/*' org.apache.kafka.tools.DumpLogSegments --deep-iteration --files ...
//! ```
//!
//! With `kill` the log is not closed.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ottla_protocol::ids::{LeaderEpoch, ProducerEpoch, ProducerId, Uuid};
use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::{BatchBuilder, Codec, Compression, EndTransactionMarker, NewRecord};
use ottla_storage::disk::RealDisk;
use ottla_storage::{Append, AppendOrigin, Log, LogConfig, LogOptions};

const START_MS: i64 = 1_700_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("usage: write_log DIR/topic-0 [kill]")?);
    let is_killed = arguments.next().is_some();
    let config = LogConfig {
        segment_bytes: 100_000,
        ..LogConfig::default()
    };
    let options = LogOptions {
        config,
        topic_id: Some(Uuid([5; 16])),
        is_clean: true,
        ..LogOptions::default()
    };
    let log = Log::open(Arc::new(RealDisk::new()), &dir, &options)?;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    let mut sequences = [0; 7];
    for round in 0..2_000_i64 {
        let producer = (round % 7) as usize;
        let count = 1 + round % 5;
        let mut builder = BatchBuilder::new()
            .codec(Codec::of(codecs[(round % 5) as usize]))
            .producer(ProducerId(producer as i64), ProducerEpoch(0), sequences[producer]);
        // The last producer is transactional.
        if producer == 6 {
            builder = builder.transactional();
        }
        for at in 0..count {
            // Every now and then time goes back.
            let timestamp = START_MS + round * 10 + at - if round % 11 == 0 { 5_000 } else { 0 };
            let value = format!("round {round}, record {at} {}", "x".repeat((round % 300) as usize));
            builder.append(&NewRecord::of(timestamp, b"key", value.as_bytes()));
        }
        sequences[producer] += count as i32;
        append(&log, &builder.build(), round, AppendOrigin::Client)?;
        if producer == 6 && round % 3 == 0 {
            let marker = EndTransactionMarker {
                is_commit: round % 2 == 0,
                coordinator_epoch: 1,
            };
            let marker = end_transaction_batch(marker, ProducerId(6), ProducerEpoch(0), START_MS + round * 10);
            append(&log, &marker, round, AppendOrigin::Coordinator)?;
        }
    }
    log.set_high_watermark(log.log_end_offset());
    println!(
        "{} records in {} segments, stable to {}",
        log.log_end_offset(),
        log.segment_count(),
        log.last_stable_offset()
    );
    if !is_killed {
        log.close()?;
    }
    Ok(())
}

fn append(log: &Log, batches: &[u8], round: i64, origin: AppendOrigin) -> Result<(), Box<dyn Error>> {
    let leader_epoch = LeaderEpoch((round / 500) as i32);
    let log_append_time = (round % 13 == 0).then_some(START_MS + round * 10);
    log.append(Append {
        batches,
        leader_epoch,
        origin,
        now_ms: START_MS + round * 10,
        log_append_time,
    })?;
    Ok(())
}
