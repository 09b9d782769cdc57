//! Random keyed histories, compacted again and again with little memory and interrupted, against a model (I18).
//!
//! A seed decides everything; a failure names it. `OTTLA_SEED=n` runs that one alone, `OTTLA_SEEDS=n` so many of them.
//!
//! It runs on the disk that forgets ([`crate::disk::faulty`]): processes are killed in the middle of a pass, and power is
//! lost at any time. Then all that was synced is there, and nothing that was not written.
//!
//! Shown to turn red, put in one at a time: a tombstone dropped in the first pass, or kept for ever; an abort marker
//! dropped with its data; a commit marker dropped before its data; keys of aborted records in the map; the last batch of
//! a producer dropped; the transaction index not carried over; a `.swap` thrown away by recovery; old segments left
//! beside a finished `.swap`; no sync of the data below the recovery point, of sealed segments, of the transaction index,
//! of what recovery has checked, before a pass, of the directory between two steps of a replacement, or of a log's first
//! segment; a hole between segments accepted; the index of a segment trusted that ends at the recovery point.
//! [`super::compacting`] turns red when a marker goes without a horizon, when markers are deduplicated by key, and when
//! the last batch of a log goes; [`super::torn`] when something is cut below the high watermark.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;

use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::builder::end_transaction_batch;
use ottla_protocol::records::compression::decompress;
use ottla_protocol::records::record::records;
use ottla_protocol::records::{BatchHeader, Codec, Compression, EndTransactionMarker};

use super::*;
use crate::disk::Disk;
use crate::disk::faulty::FaultyDisk;
use crate::testing::Random;

/// Keys of a history.
const KEYS: u64 = 8;
const DIR: &str = "/log";
/// Retention of tombstones.
const RETENTION_MS: i64 = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: TimestampMs,
    /// Last offset of its batch.
    batch_end: Offset,
    /// Whose transaction it is part of, until that ends.
    transaction: Option<i64>,
    is_aborted: bool,
    /// Whose transaction it was part of, and the offset of the marker.
    ended: Option<(i64, Offset)>,
}

struct History {
    random: Random,
    disk: FaultyDisk,
    is_large: bool,
    log: Log,
    now_ms: TimestampMs,
    /// Every record that was ever appended, markers excepted.
    written: BTreeMap<Offset, Written>,
    sequences: HashMap<i64, i32>,
    open: HashSet<i64>,
    /// When each tombstone may go at the earliest.
    horizons: HashMap<Offset, TimestampMs>,
    /// When each must go at the latest, if a pass comes by.
    latest_horizons: HashMap<Offset, TimestampMs>,
    /// Up to where a pass has come.
    cleaned_up_to: Offset,
}

fn options(log: Option<&Log>, is_large: bool) -> LogOptions {
    let config = LogConfig {
        is_deleted: false,
        is_compacted: true,
        delete_retention_ms: RETENTION_MS,
        // Large ones have indexes of several sectors.
        segment_bytes: if is_large { 30_000 } else { 2_000 },
        index_interval_bytes: if is_large { 0 } else { 200 },
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    };
    let options = LogOptions {
        config,
        ..LogOptions::default()
    };
    match log {
        None => options,
        Some(log) => LogOptions {
            recovery_point: log.recovery_point(),
            log_start_offset: log.log_start_offset(),
            high_watermark: log.high_watermark(),
            cleaned_up_to: log.cleaned_up_to(),
            ..options
        },
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::default();
        let is_large = seed.is_multiple_of(5);
        Self {
            is_large,
            log: Log::open(Arc::new(disk.clone()), Path::new(DIR), &options(None, is_large)).unwrap(),
            random: Random::new(seed),
            disk,
            now_ms: 1_000,
            written: BTreeMap::new(),
            sequences: HashMap::new(),
            open: HashSet::new(),
            horizons: HashMap::new(),
            latest_horizons: HashMap::new(),
            cleaned_up_to: 0,
        }
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(20) as i64;
        match self.random.below(20) {
            0..=8 => self.append(),
            9..=10 => self.end_transaction(),
            11 => drop(self.log.roll(self.now_ms).unwrap()),
            12 => drop(self.log.sync().unwrap()),
            13 => drop(self.log.release_idle().unwrap()),
            14..=16 => self.compact(),
            17 => self.compact_until_killed(),
            18 => self.open_again(),
            19 if self.random.below(2) == 0 => self.lose_power(),
            _ => self.log.remove_doomed_files(i64::MAX).unwrap(),
        }
        // Everything is committed at once, but for the last record now and then.
        let behind = i64::from(self.random.below(4) == 0);
        self.log.set_high_watermark(self.log.log_end_offset() - behind);
    }

    /// Appends a batch in some codec: of nobody, of an idempotent producer, or within a transaction.
    fn append(&mut self) {
        let codecs = [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ];
        let codec = Codec::of(codecs[self.random.below(5) as usize]);
        let id = self.random.below(5) as i64;
        let (is_idempotent, is_transactional) = (id > 0, id > 2);
        let count = 1 + self.random.below(4) as i32;
        let mut builder = BatchBuilder::new().codec(codec);
        if is_idempotent {
            let sequence = self.sequences.entry(id).or_insert(0);
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), *sequence);
            *sequence += count;
        }
        if is_transactional {
            builder = builder.transactional();
            self.open.insert(id);
        }
        let base_offset = self.log.log_end_offset();
        for delta in 0..count {
            let offset = base_offset + i64::from(delta);
            let key = format!("key-{}", self.random.below(KEYS)).into_bytes();
            let len = self.random.below(120) as usize;
            let value = (self.random.below(5) > 0).then(|| format!("{offset} {}", "v".repeat(len)).into_bytes());
            let written = Written {
                timestamp: self.now_ms - self.random.below(30) as i64,
                key,
                value,
                batch_end: base_offset + i64::from(count) - 1,
                transaction: is_transactional.then_some(id),
                is_aborted: false,
                ended: None,
            };
            builder.append(&NewRecord {
                timestamp: written.timestamp,
                key: Some(&written.key),
                value: written.value.as_deref(),
                headers: &[],
            });
            self.written.insert(offset, written);
        }
        assert_eq!(append(&self.log, &builder.build()).base_offset, base_offset);
    }

    fn end_transaction(&mut self) {
        let mut open: Vec<i64> = self.open.iter().copied().collect();
        open.sort_unstable();
        if open.is_empty() {
            return;
        }
        let id = open[self.random.below(open.len() as u64) as usize];
        let is_commit = self.random.below(2) == 0;
        let marker = EndTransactionMarker {
            is_commit,
            coordinator_epoch: 0,
        };
        let marker = end_transaction_batch(marker, ProducerId(id), ProducerEpoch(0), self.now_ms);
        let append = Append {
            origin: AppendOrigin::Coordinator,
            ..client(&marker)
        };
        let marker = self.log.append(append).unwrap().base_offset;
        self.open.remove(&id);
        for written in self
            .written
            .values_mut()
            .filter(|written| written.transaction == Some(id))
        {
            written.transaction = None;
            written.is_aborted = !is_commit;
            written.ended = Some((id, marker));
        }
    }

    fn request_memory(&mut self) -> usize {
        match self.random.below(3) {
            0 => 1 << 20,
            _ => 24 * (2 + self.random.below(2 * KEYS) as usize),
        }
    }

    fn compact(&mut self) {
        let map_bytes = self.request_memory();
        let outcome = self.log.compact(CompactionRequest {
            now_ms: self.now_ms,
            map_bytes,
            map_load_factor: 0.9,
            on_io: &mut |_| ControlFlow::Continue(()),
        });
        let stats = outcome.unwrap();
        self.note_pass(stats.end_offset);
        if map_bytes == 1 << 20 && stats.segments_before > 0 {
            self.check_nothing_is_left_over(&stats);
        }
        self.check();
    }

    fn note_pass(&mut self, end_offset: Offset) {
        assert!(end_offset >= self.cleaned_up_to, "{end_offset}");
        self.cleaned_up_to = end_offset;
        self.note_horizons(end_offset, true);
    }

    fn note_horizons(&mut self, end: Offset, is_done: bool) {
        let horizon = self.now_ms + RETENTION_MS;
        for (offset, written) in &self.written {
            if written.value.is_none() && written.batch_end < end {
                self.horizons.entry(*offset).or_insert(horizon);
                if is_done {
                    self.latest_horizons.entry(*offset).or_insert(horizon);
                }
            }
        }
    }

    /// A pass that the process does not survive, with the directory as it is then; or one that it just survives.
    fn compact_until_killed(&mut self) {
        let map_bytes = self.request_memory();
        self.disk.fail_after(self.random.below(100));
        let outcome = self.log.compact(CompactionRequest {
            now_ms: self.now_ms,
            map_bytes,
            map_load_factor: 0.9,
            on_io: &mut |_| ControlFlow::Continue(()),
        });
        self.disk.fail_after(u64::MAX);
        match outcome {
            Ok(stats) => self.note_pass(stats.end_offset),
            // Part of it may be done, so that tombstones may have got their horizon.
            Err(error) => {
                let is_the_disks = matches!(error, CompactionError::Io(_) | CompactionError::SyncFailed(_));
                assert!(is_the_disks, "{error}");
                self.note_horizons(self.log.last_stable_offset(), false);
            }
        }
        match self.random.below(2) {
            0 => self.open_again(),
            _ => self.lose_power(),
        }
    }

    /// As after kill -9: nothing is closed.
    fn open_again(&mut self) {
        let options = options(Some(&self.log), self.is_large);
        let producers = producers_of(&self.log);
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        self.log = Log::open(disk, Path::new(DIR), &options).unwrap();
        assert_eq!(producers_of(&self.log), producers);
        assert_eq!(self.log.recovery().truncated_bytes, 0);
        self.check();
    }

    /// As after a power cut: what was synced is there, and nothing but what was written.
    fn lose_power(&mut self) {
        let promised = self.log.recovery_point();
        let options = LogOptions {
            // What was not synced may be lost although it was committed.
            high_watermark: promised.min(self.log.high_watermark()),
            has_lost_power: true,
            ..options(Some(&self.log), self.is_large)
        };
        self.disk.power_loss(&mut self.random);
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        self.log = Log::open(disk, Path::new(DIR), &options).unwrap();
        let end = self.log.log_end_offset();
        assert!(end >= promised, "{end} is left of {promised}");
        drop(self.written.split_off(&end));
        for written in self.written.values_mut() {
            if let Some((id, _)) = written.ended.take_if(|(_, marker)| *marker >= end) {
                (written.transaction, written.is_aborted) = (Some(id), false);
            }
        }
        let producers = producers_of(&self.log);
        self.sequences = producers.iter().map(|(id, last, _)| (id.0, last + 1)).collect();
        self.open = producers
            .iter()
            .filter(|(.., is_open)| *is_open)
            .map(|(id, ..)| id.0)
            .collect();
        let expected: HashSet<i64> = self
            .written
            .values()
            .filter_map(|written| written.transaction)
            .collect();
        assert_eq!(self.open, expected, "open transactions");
        self.horizons.retain(|offset, _| *offset < end);
        self.latest_horizons.retain(|offset, _| *offset < end);
        self.cleaned_up_to = self.log.cleaned_up_to().unwrap_or(0).min(end);
        self.log.set_high_watermark(end);
        self.check();
    }

    fn check(&mut self) {
        let read = self.read_all();
        self.check_records(&read);
        self.check_last_values(&read);
        self.check_lookups(&read);
        if self.random.below(4) == 0 {
            self.check_rebuilt_producers();
        }
    }

    /// Everything from the first offset to the last, as a consumer gets there.
    fn read_all(&self) -> Vec<(BatchHeader, Vec<Read>)> {
        let (mut from, mut read) = (0, Vec::new());
        let mut last_offset = -1;
        while from < self.log.log_end_offset() {
            let slice = self.log.read(from, Offset::MAX, 1_000, true).unwrap();
            assert!(slice.next_offset > from, "a reader is stuck at {from}");
            from = slice.next_offset;
            for batch in batches(&slice.records.into_bytes().unwrap()) {
                let (header, bytes) = batch.unwrap();
                verify_crc(bytes).unwrap();
                assert!(header.base_offset > last_offset, "{header:?} after {last_offset}");
                last_offset = header.last_offset();
                read.push((header, records_of(&header, bytes)));
            }
        }
        read
    }

    /// What is there is what was written, at its offset.
    fn check_records(&self, read: &[(BatchHeader, Vec<Read>)]) {
        for (header, records) in read.iter().filter(|(header, _)| !header.attributes.is_control()) {
            for record in records {
                let written = self.written.get(&record.offset).unwrap();
                assert_eq!(
                    (&record.key, &record.value, record.timestamp),
                    (&written.key, &written.value, written.timestamp),
                    "{header:?}"
                );
            }
        }
    }

    /// A read_committed consumer ends up with the last committed value of each key.
    fn check_last_values(&self, read: &[(BatchHeader, Vec<Read>)]) {
        let end = self.log.last_stable_offset();
        let mut seen: HashMap<Vec<u8>, (Offset, Option<Vec<u8>>)> = HashMap::new();
        let aborted = self.log.aborted_transactions(0, end).unwrap();
        for (header, records) in read {
            let is_aborted = aborted.iter().any(|aborted| {
                aborted.producer_id == header.producer_id
                    && (aborted.first_offset..=aborted.last_offset).contains(&header.base_offset)
            });
            if header.attributes.is_control() || (is_aborted && header.attributes.is_transactional()) {
                continue;
            }
            for record in records.iter().filter(|record| record.offset < end) {
                assert!(
                    !self.written[&record.offset].is_aborted,
                    "{} of {header:?} is aborted: {aborted:?}",
                    record.offset
                );
                seen.insert(record.key.clone(), (record.offset, record.value.clone()));
            }
        }
        let mut expected: BTreeMap<&Vec<u8>, (Offset, &Written)> = BTreeMap::new();
        for (offset, written) in self.written.range(..end).filter(|(_, written)| !written.is_aborted) {
            expected.insert(&written.key, (*offset, written));
        }
        for (key, (offset, written)) in expected {
            let key_name = String::from_utf8_lossy(key);
            match seen.remove(key) {
                Some(seen) => assert_eq!(seen, (offset, written.value.clone()), "{key_name}"),
                None => {
                    assert_eq!(
                        written.value, None,
                        "the last value of {key_name}, at {offset}, is gone"
                    );
                    let horizon = self.horizons.get(&offset).copied().unwrap_or(i64::MAX);
                    assert!(
                        horizon <= self.now_ms,
                        "the tombstone at {offset} went before {horizon}, at {}",
                        self.now_ms
                    );
                }
            }
        }
        assert!(seen.is_empty(), "{seen:?}");
    }

    fn check_lookups(&mut self, read: &[(BatchHeader, Vec<Read>)]) {
        let timestamp = 1_000 + self.random.below((self.now_ms - 999) as u64) as i64;
        let records = read.iter().flat_map(|(_, records)| records);
        let expected = records.clone().find(|record| record.timestamp >= timestamp);
        let found = self.log.offset_for_timestamp(timestamp).unwrap();
        assert_eq!(
            found.map(|found| (found.offset, found.timestamp)),
            expected.map(|record| (record.offset, record.timestamp))
        );
    }

    /// After a pass that saw everything there is one record of a key, and no tombstone whose time has passed.
    fn check_nothing_is_left_over(&self, stats: &CompactionStats) {
        let end = stats.end_offset;
        let mut keys = HashSet::new();
        for (header, records) in self.read_all() {
            if header.attributes.is_control() || header.last_offset() >= end {
                continue;
            }
            for record in &records {
                // Before the dirty section this pass has not looked for replacements among clean records.
                let is_new = record.offset >= stats.first_dirty_offset;
                assert!(
                    !is_new || keys.insert(record.key.clone()),
                    "{} is replaced",
                    record.offset
                );
                let horizon = self.latest_horizons.get(&record.offset).copied();
                assert!(
                    record.value.is_some() || horizon.is_none_or(|horizon| horizon > self.now_ms),
                    "the tombstone at {} stays for ever",
                    record.offset
                );
            }
        }
    }

    /// The log alone says what the producers are.
    fn check_rebuilt_producers(&self) {
        let copy = self.disk.copy();
        for entry in copy.list(Path::new(DIR)).unwrap() {
            if ["snapshot", "index", "checkpoint"]
                .iter()
                .any(|end| entry.name.ends_with(end))
            {
                copy.remove_file(&Path::new(DIR).join(entry.name)).unwrap();
            }
        }
        let rebuilt = Log::open(Arc::new(copy), Path::new(DIR), &options(None, self.is_large)).unwrap();
        assert_eq!(producers_of(&rebuilt), producers_of(&self.log));
        assert_eq!(rebuilt.latest_epoch(), self.log.latest_epoch());
        assert_eq!(rebuilt.log_end_offset(), self.log.log_end_offset());
    }
}

/// Sequence and open transaction of each producer that ever wrote data.
fn producers_of(log: &Log) -> Vec<(ProducerId, i32, bool)> {
    let producers = log.producers();
    let known = producers.iter().filter(|producer| producer.last_sequence >= 0);
    let of = |producer: &ProducerDescription| {
        let is_open = producer.current_txn_start_offset.is_some();
        (producer.producer_id, producer.last_sequence, is_open)
    };
    known.map(of).collect()
}

#[derive(Debug)]
struct Read {
    offset: Offset,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: TimestampMs,
}

fn records_of(header: &BatchHeader, batch: &[u8]) -> Vec<Read> {
    let compressed = Bytes::copy_from_slice(&batch[HEADER_BYTES..]);
    let section = decompress(header.attributes.compression().unwrap(), &compressed, 1 << 20).unwrap();
    let read = records(&section, header.records_count).map(|record| {
        let record = record.unwrap();
        Read {
            offset: header.base_offset + i64::from(record.offset_delta),
            key: record.key.unwrap().to_vec(),
            value: record.value.map(<[u8]>::to_vec),
            timestamp: record.timestamp(header.base_timestamp),
        }
    });
    read.collect()
}

#[test]
fn every_history_keeps_its_last_values() {
    crate::testing::for_each_seed(60, |seed| {
        let mut history = History::new(seed);
        for _ in 0..if history.is_large { 450 } else { 150 } {
            history.step();
        }
        history.log.roll(0).unwrap();
        history.log.set_high_watermark(history.log.log_end_offset());
        history.compact();
        history.open_again();
    });
}
