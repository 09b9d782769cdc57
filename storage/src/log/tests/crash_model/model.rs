//! What one log must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::batch::HEADER_BYTES;
use ottla_protocol::records::record::records;

use super::*;

/// A record, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp: TimestampMs,
    pub(super) producer: i64,
    /// Sequence of the last record of its batch.
    pub(super) last_sequence: i32,
}

/// How a log came to be opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// It was closed.
    Clean,
    /// The process was killed; the page cache is there.
    Kill,
    /// What was not synced may be there or not.
    PowerLoss,
}

/// The records of a log and what was promised of them.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) is_compacted: bool,
    /// All that were appended and not cut off, also those that compaction may have taken.
    pub(super) records: BTreeMap<Offset, Record>,
    /// Where batches end.
    pub(super) batch_ends: BTreeSet<Offset>,
    pub(super) start: Offset,
    pub(super) end: Offset,
    pub(super) high_watermark: Offset,
    /// The high watermark that the leader knows: a restart may lower the log's, but nothing before it is cut off.
    pub(super) committed: Offset,
    /// Before this a power loss takes nothing.
    pub(super) flushed: Offset,
    /// What the checkpoints say at least.
    pub(super) noted_start: Offset,
    pub(super) noted_high_watermark: Offset,
    /// Where a cut was to be made that did not come to its end.
    pub(super) cut_at: Option<Offset>,
}

impl Model {
    /// Records at and after `end` are gone, and what was promised of them.
    pub(super) fn cut(&mut self, end: Offset) {
        drop(self.records.split_off(&end));
        drop(self.batch_ends.split_off(&(end + 1)));
        self.end = end;
        for promise in [
            &mut self.flushed,
            &mut self.start,
            &mut self.high_watermark,
            &mut self.committed,
            &mut self.noted_high_watermark,
        ] {
            *promise = (*promise).min(end);
        }
    }

    /// Where a log has nothing left behind the start that is noted, it goes on there.
    fn possible_ends(&self, restart: Restart) -> RangeInclusive<Offset> {
        let least = match restart {
            Restart::Clean | Restart::Kill => self.end,
            Restart::PowerLoss => self.flushed.max(self.noted_start),
        };
        least.min(self.cut_at.unwrap_or(Offset::MAX))..=self.end.max(self.noted_start)
    }

    /// Holds what was opened against what was promised, and goes on with what there is.
    pub(super) fn take_over(&mut self, log: &Log, restart: Restart) {
        let ends = self.possible_ends(restart);
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        assert!(
            ends.contains(&end),
            "the log ends at {end}, not in {ends:?}: {restart:?}"
        );
        let starts = self.noted_start..=self.start.max(self.noted_start);
        assert!(starts.contains(&start), "the log starts at {start}, not in {starts:?}");
        let high_watermark = log.high_watermark();
        let least = self.noted_high_watermark.min(end);
        assert!(
            (least..=end).contains(&high_watermark),
            "the high watermark is {high_watermark}, not from {least} to {end}: {restart:?}"
        );
        let most = self.committed.max(start);
        assert!(
            high_watermark <= most,
            "the high watermark is {high_watermark}, although nothing after {most} was ever committed: {restart:?}"
        );
        let flushed = self.flushed;
        self.cut(end);
        (self.start, self.high_watermark, self.cut_at) = (start, high_watermark, None);
        self.flushed = flushed.min(end).max(log.recovery_point());
        self.check(log);
    }

    /// Everything that can be read is what was written, and nothing is missing that must not be.
    pub(super) fn check(&self, log: &Log) {
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (self.start, self.end));
        let read = read_records(log, self.start);
        match self.is_compacted {
            false => assert_eq!(read, self.records.range(self.start..self.end).map(owned).collect()),
            true => self.check_compacted(&read),
        }
        self.check_producers(log, &read);
        self.check_times(log, &read);
    }

    fn check_compacted(&self, read: &BTreeMap<Offset, Record>) {
        for (offset, record) in read {
            assert_eq!(Some(record), self.records.get(offset), "at {offset}");
        }
        let mut last: BTreeMap<&[u8], Offset> = BTreeMap::new();
        for (offset, record) in self.records.range(self.start..self.end) {
            last.insert(&record.key, *offset);
        }
        // Tombstones too: their time never comes here.
        for (key, offset) in last {
            let key = String::from_utf8_lossy(key);
            assert!(
                read.contains_key(&offset),
                "the last record of {key}, at {offset}, is gone"
            );
        }
    }

    /// Who has a record in the log is known by it. Where compaction has taken the last one, by a later one.
    fn check_producers(&self, log: &Log, read: &BTreeMap<Offset, Record>) {
        let known: BTreeMap<i64, i32> = log
            .producers()
            .iter()
            .map(|producer| (producer.producer_id.0, producer.last_sequence))
            .collect();
        let last: BTreeMap<i64, i32> = read
            .values()
            .map(|record| (record.producer, record.last_sequence))
            .collect();
        for (producer, sequence) in last.into_iter().filter(|(producer, _)| *producer >= 0) {
            let is_right = known
                .get(&producer)
                .is_some_and(|known| *known == sequence || (self.is_compacted && *known > sequence));
            assert!(is_right, "producer {producer} is at {sequence}, not {known:?}");
        }
    }

    fn check_times(&self, log: &Log, read: &BTreeMap<Offset, Record>) {
        let largest = read.values().map(|record| record.timestamp).max();
        let found = log.max_timestamp().unwrap().map(|found| found.timestamp);
        assert_eq!(found.filter(|_| largest.is_some()), largest);
        let Some(timestamp) = read.values().nth(read.len() / 2).map(|record| record.timestamp) else {
            return;
        };
        let expected = read.iter().find(|(_, record)| record.timestamp >= timestamp);
        let found = log.offset_for_timestamp(timestamp).unwrap();
        assert_eq!(found.map(|found| found.offset), expected.map(|(offset, _)| *offset));
    }
}

fn owned((offset, record): (&Offset, &Record)) -> (Offset, Record) {
    (*offset, record.clone())
}

/// All records from `from` on.
fn read_records(log: &Log, from: Offset) -> BTreeMap<Offset, Record> {
    let mut all = BTreeMap::new();
    for batch in read_all(log, from) {
        let header = BatchHeader::parse(&batch).unwrap();
        for record in records(&batch[HEADER_BYTES..], header.records_count) {
            let record = record.unwrap();
            let offset = header.base_offset + i64::from(record.offset_delta);
            let read = Record {
                key: record.key.unwrap().to_vec(),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp(header.base_timestamp),
                producer: header.producer_id.0,
                last_sequence: header.last_sequence(),
            };
            if offset >= from {
                assert_eq!(all.insert(offset, read), None, "{offset} twice");
            }
        }
    }
    all
}
