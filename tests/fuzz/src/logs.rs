//! The files of one log, one of which has been harmed.

use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ottla_protocol::ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use ottla_protocol::records::batch::batches as each_batch;
use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::{BatchBuilder, BatchHeader, EndTransactionMarker, NewRecord};
use ottla_storage::disk::RealDisk;
use ottla_storage::inspect::{Promise, verify_partition};
use ottla_storage::{Append, AppendOrigin, Log, LogConfig, LogOptions, TransactionCheck};
use ottla_tests::scratch::Scratch;

const NOW_MS: i64 = 1_700_000_000_000;
const PRODUCER: (ProducerId, ProducerEpoch) = (ProducerId(7), ProducerEpoch(0));

/// A log of three segments: indexes, a snapshot, epochs, an aborted transaction.
struct Sound {
    files: Vec<(String, Vec<u8>)>,
    /// End offset and bytes of each batch.
    batches: Vec<(Offset, Bytes)>,
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1_200,
        index_interval_bytes: 150,
        ..LogConfig::default()
    }
}

fn append(log: &Log, batch: &[u8], epoch: i32, origin: AppendOrigin) {
    log.append(Append {
        batches: batch,
        leader_epoch: LeaderEpoch(epoch),
        origin,
        now_ms: NOW_MS,
        log_append_time: None,
        transaction: TransactionCheck::Skipped,
    })
    .expect("a sound log takes a batch");
}

fn batch_of(number: i64, builder: BatchBuilder) -> Bytes {
    let mut builder = builder;
    for part in 0..1 + number % 3 {
        let value = [number as u8 + 1; 40];
        builder.append(&NewRecord::of(NOW_MS + number * 10 + part, b"key", &value));
    }
    builder.build()
}

fn sound() -> &'static Sound {
    static SOUND: OnceLock<Sound> = OnceLock::new();
    SOUND.get_or_init(|| {
        let scratch = Scratch::new("fuzz-sound");
        let dir = scratch.path().join("t-0");
        let options = LogOptions {
            config: config(),
            ..LogOptions::default()
        };
        let log = Log::open(Arc::new(RealDisk::new()), &dir, &options).expect("a new log");
        let mut sequence = 0;
        for number in 0..20 {
            let builder = match number % 4 {
                0 => BatchBuilder::new(),
                _ => BatchBuilder::new()
                    .producer(PRODUCER.0, PRODUCER.1, sequence)
                    .transactional(),
            };
            let batch = batch_of(number, builder);
            if number % 4 > 0 {
                sequence += 1 + (number % 3) as i32;
            }
            append(&log, &batch, (number / 8) as i32, AppendOrigin::Client);
            if number == 11 {
                let marker = EndTransactionMarker {
                    is_commit: false,
                    coordinator_epoch: 0,
                };
                let abort = end_transaction_batch(marker, PRODUCER.0, PRODUCER.1, NOW_MS);
                append(&log, &abort, 1, AppendOrigin::Coordinator);
            }
        }
        log.close().expect("it is closed");
        let batches = read_all(&log, 0);
        let entries = fs::read_dir(&dir).expect("the directory of the log");
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("an entry"))
            .map(|entry| {
                let content = fs::read(entry.path()).expect("a file of the log");
                (entry.file_name().into_string().expect("a name of ours"), content)
            })
            .collect();
        files.sort();
        Sound { files, batches }
    })
}

/// The batches from an offset on, as far as they can be read.
fn read_all(log: &Log, from: Offset) -> Vec<(Offset, Bytes)> {
    let mut read = Vec::new();
    let mut at = from;
    while let Ok(slice) = log.read(at, Offset::MAX, 400, true) {
        let next = slice.next_offset;
        let Ok(bytes) = slice.records.into_bytes() else { break };
        for found in each_batch(&bytes) {
            let Ok((header, batch)) = found else { return read };
            read.push((header.next_offset(), bytes.slice_ref(batch)));
        }
        if next <= at {
            break;
        }
        at = next;
    }
    read
}

/// Five bytes say which file, how the log is opened, and from which position the rest of the input stands in the file.
pub fn logs(data: &[u8]) {
    let [which, flags, at_high, at_low, ends, rest @ ..] = data else {
        return;
    };
    let sound = sound();
    let harmed = usize::from(*which) % sound.files.len();
    let scratch = Scratch::new("fuzz-log");
    let dir = scratch.path().join("t-0");
    fs::create_dir_all(&dir).expect("a directory");
    let mut is_of_records = false;
    let mut sound_bytes = 0;
    for (at, (name, content)) in sound.files.iter().enumerate() {
        let mut content = content.clone();
        if at == harmed {
            let position = usize::from(u16::from_be_bytes([*at_high, *at_low])) % (content.len() + 1);
            content = harm(content, position, rest, ends & 1 == 1);
            (is_of_records, sound_bytes) = (name.ends_with(".log"), position);
        }
        fs::write(dir.join(name), content).expect("a file");
    }
    let has = |bit: u8| flags & (1 << bit) != 0;
    let end = sound.batches.last().map_or(0, |last| last.0);
    let promised = if has(1) { end } else { 0 };
    let options = LogOptions {
        config: config(),
        is_clean: has(0),
        recovery_point: if has(2) { promised } else { 0 },
        high_watermark: promised,
        has_lost_power: has(3),
        accepts_loss: has(4),
        now_ms: NOW_MS,
        ..LogOptions::default()
    };
    inspect(&dir, &options);
    let Ok(log) = Log::open(Arc::new(RealDisk::new()), &dir, &options) else {
        return;
    };
    let read = read_all(&log, log.log_start_offset());
    if !is_of_records {
        assert_eq!(read, sound.batches, "{} does not hold records", sound.files[harmed].0);
        look_up_each(&log, &read);
    } else if !options.is_clean && options.recovery_point == 0 {
        let kept = kept_at_least(sound, harmed, sound_bytes);
        assert_eq!(
            read[..kept.min(read.len())],
            sound.batches[..kept],
            "what is before the harm stays"
        );
    }
    go_on(log, &dir, &options, &read);
}

/// Reads backwards, so that each read has to be found.
fn look_up_each(log: &Log, batches: &[(Offset, Bytes)]) {
    for (_, batch) in batches.iter().rev() {
        let header = BatchHeader::parse(batch).expect("it was read before");
        let slice = log.read(header.base_offset, Offset::MAX, 1, true).expect("it is there");
        let bytes = slice.records.into_bytes().expect("it is in memory");
        assert_eq!(bytes, *batch, "the batch at offset {}", header.base_offset);
    }
}

fn harm(mut content: Vec<u8>, position: usize, rest: &[u8], ends: bool) -> Vec<u8> {
    let after = (position + rest.len()).min(content.len());
    let behind = content.split_off(after);
    content.truncate(position);
    content.extend_from_slice(rest);
    if !ends {
        content.extend_from_slice(&behind);
    }
    content
}

/// How many batches lie before the harm.
fn kept_at_least(sound: &Sound, harmed: usize, sound_bytes: usize) -> usize {
    let logs = |(name, _): &&(String, Vec<u8>)| name.ends_with(".log");
    let before: usize = sound.files[..harmed]
        .iter()
        .filter(logs)
        .map(|(_, content)| content.len())
        .sum();
    let mut bytes = 0;
    let fits = |batch: &&(Offset, Bytes)| {
        bytes += batch.1.len();
        bytes <= before + sound_bytes
    };
    sound.batches.iter().take_while(fits).count()
}

fn inspect(dir: &Path, options: &LogOptions) {
    let promise = Promise {
        recovery_point: options.recovery_point,
        high_watermark: options.high_watermark,
        ..Promise::default()
    };
    // What it finds depends on the harm; that it comes to an end is what counts.
    let _ = verify_partition(dir, &promise, true, &mut |_| {}, &mut |_| {});
}

/// The log takes another batch, and has the same afterwards.
fn go_on(log: Log, dir: &Path, options: &LogOptions, read: &[(Offset, Bytes)]) {
    let batch = batch_of(0, BatchBuilder::new());
    let appended = log.append(Append {
        batches: &batch,
        leader_epoch: LeaderEpoch(9),
        origin: AppendOrigin::Client,
        now_ms: NOW_MS,
        log_append_time: None,
        transaction: TransactionCheck::Skipped,
    });
    if appended.is_err() || log.close().is_err() {
        assert!(options.is_clean, "what was checked can be used: {appended:?}");
        return;
    }
    let options = LogOptions {
        is_clean: true,
        high_watermark: log.log_end_offset(),
        recovery_point: log.log_end_offset(),
        ..options.clone()
    };
    drop(log);
    let again = Log::open(Arc::new(RealDisk::new()), dir, &options).expect("it was closed");
    let read_again = read_all(&again, again.log_start_offset());
    if !options.is_clean {
        assert_eq!(read_again[..read.len()], *read);
        assert_eq!(read_again.len(), read.len() + 1);
    }
}
