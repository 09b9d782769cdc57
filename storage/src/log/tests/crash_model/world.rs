//! A log directory with three logs, what happens to it, and what goes wrong.

use std::io::IoSlice;
use std::ops::ControlFlow;

use ottla_protocol::ids::Uuid;

use super::model::{Model, Record, Restart};
use super::*;
use crate::disk::faulty::FaultyDisk;
use crate::disk::{Disk, OpenMode};
use crate::testing::Random;
use crate::{LogDir, TopicPartition};

/// One log, and what it must be.
struct Place {
    name: TopicPartition,
    config: LogConfig,
    log: Log,
    model: Model,
    sequences: [i32; 3],
}

pub(super) struct World {
    random: Random,
    disk: FaultyDisk,
    /// The lock on the directory is a real one.
    scratch: Scratch,
    dir: Option<LogDir>,
    places: Vec<Place>,
    now_ms: TimestampMs,
    trace: Vec<String>,
}

/// Whether the disk let it be done. If not, the process is as good as dead.
type Done = Result<(), ()>;

fn config(is_deleted: bool, is_compacted: bool) -> LogConfig {
    LogConfig {
        segment_bytes: 2_000,
        index_interval_bytes: 150,
        is_deleted,
        is_compacted,
        retention_ms: 4_000,
        retention_bytes: 6_000,
        delete_retention_ms: i64::MAX / 2,
        file_delete_delay_ms: 500,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let disk = FaultyDisk::default();
        let scratch = scratch("crash-model");
        let dir = LogDir::open(Arc::new(disk.clone()), scratch.path()).unwrap();
        let kinds = [("kept", true, false), ("compacted", false, true), ("both", true, true)];
        let places = kinds.map(|(topic, is_deleted, is_compacted)| {
            let name = TopicPartition::new(topic, 0);
            let config = config(is_deleted, is_compacted);
            Place {
                log: dir.open_log(&name, config, Some(Uuid([1; 16])), 0).unwrap(),
                name,
                config,
                model: Model {
                    is_compacted,
                    ..Model::default()
                },
                sequences: [0; 3],
            }
        });
        Self {
            random: Random::new(seed),
            disk,
            scratch,
            dir: Some(dir),
            places: places.into(),
            now_ms: 1_000,
            trace: Vec::new(),
        }
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.clone()
    }

    fn note(&mut self, what: &str) {
        let ends: Vec<_> = self.places.iter().map(|place| place.log.log_end_offset()).collect();
        let line = format!("{what} {ends:?}");
        if std::env::var_os("OTTLA_TRACE").is_some() {
            eprintln!("{line}");
        }
        self.trace.push(line);
    }

    pub(super) fn step(&mut self) {
        match self.random.below(40) {
            0..=29 => self.work().unwrap(),
            30 => self.restart_cleanly(),
            31 | 32 => self.crash(Restart::Kill),
            33 | 34 => self.crash(Restart::PowerLoss),
            35 | 36 => self.work_until_the_disk_fails(),
            37 => self.work_on_a_full_disk(),
            38 => self.fail_a_sync(),
            _ => self.harm_a_copy(),
        }
        self.note("step");
    }

    /// Something that a broker does.
    fn work(&mut self) -> Done {
        self.now_ms += self.random.below(60) as i64;
        let at = self.random.below(self.places.len() as u64) as usize;
        let kind = self.random.below(24);
        self.note(&format!("{} {kind}", self.places[at].name));
        match kind {
            0..=10 => self.append(at),
            11 => {
                let place = &mut self.places[at];
                place.log.sync().map_err(drop)?;
                place.model.flushed = place.model.end;
                Ok(())
            }
            12 => self.places[at].log.roll(self.now_ms).map(drop).map_err(drop),
            13 | 14 => self.commit(at),
            15 => self.cut(at),
            16 => self.delete_records(at),
            17 => self.retain(at),
            18 | 19 => self.compact(at),
            20 => self.write_checkpoints(),
            21 => self.places[at].log.release_idle().map(drop).map_err(drop),
            22 => self.places[at].log.snapshot_producers().map_err(drop),
            _ => self.places[at].log.remove_doomed_files(self.now_ms).map_err(drop),
        }
    }

    fn append(&mut self, at: usize) -> Done {
        let (random, place) = (&mut self.random, &mut self.places[at]);
        let count = 1 + random.below(4) as usize;
        let producer = random.below(4) as usize;
        let mut builder = BatchBuilder::new();
        let mut last_sequence = -1;
        if let Some(sequence) = place.sequences.get(producer) {
            builder = builder.producer(ProducerId(producer as i64), ProducerEpoch(0), *sequence);
            last_sequence = sequence + count as i32 - 1;
        }
        let mut written = Vec::new();
        for _ in 0..count {
            let len = random.below(150) as usize;
            written.push(Record {
                key: format!("key-{}", random.below(6)).into_bytes(),
                value: (random.below(5) > 0).then(|| vec![random.next() as u8; len]),
                timestamp: self.now_ms - random.below(30) as i64,
                producer: place.sequences.get(producer).map_or(-1, |_| producer as i64),
                last_sequence,
            });
        }
        for record in &written {
            builder.append(&NewRecord {
                timestamp: record.timestamp,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &[],
            });
        }
        let batch = builder.build();
        let append = Append {
            now_ms: self.now_ms,
            ..client(&batch)
        };
        let appended = place.log.append(append).map_err(|error| {
            assert!(matches!(error, AppendError::Io(_)), "{error}");
        })?;
        assert_eq!(appended.base_offset, place.model.end);
        place.model.records.extend((appended.base_offset..).zip(written));
        place.model.end = appended.last_offset + 1;
        place.model.batch_ends.insert(place.model.end);
        if let Some(sequence) = place.sequences.get_mut(producer) {
            *sequence = last_sequence + 1;
        }
        Ok(())
    }

    fn commit(&mut self, at: usize) -> Done {
        let Place { log, model, .. } = &mut self.places[at];
        // Followers fetch whole batches, so the high watermark is between two.
        let ends: Vec<Offset> = model.batch_ends.range(model.high_watermark..).copied().collect();
        if ends.is_empty() {
            return Ok(());
        }
        model.high_watermark = ends[self.random.below(ends.len() as u64) as usize];
        model.committed = model.committed.max(model.high_watermark);
        log.set_high_watermark(model.high_watermark);
        Ok(())
    }

    /// Cuts off what is not committed.
    fn cut(&mut self, at: usize) -> Done {
        let place = &mut self.places[at];
        let range = place.model.committed..=place.model.end;
        let to = range.start() + self.random.below((range.end() - range.start() + 1).unsigned_abs()) as i64;
        let Some(dir) = &self.dir else { return Err(()) };
        match dir.truncate_log(&place.name, &place.log, to, self.now_ms) {
            Ok(_) => {
                let end = place.log.log_end_offset();
                assert!(
                    end <= to && (end == to || place.model.records.contains_key(&end)),
                    "{end} {to}"
                );
                place.model.cut(end);
                place.renew_sequences();
                Ok(())
            }
            Err(_) => {
                // The batch that reaches over the place goes as a whole.
                let end = (to - 4).max(place.model.committed);
                place.model.cut_at = Some(end);
                place.model.flushed = place.model.flushed.min(end);
                place.model.noted_high_watermark = place.model.noted_high_watermark.min(end);
                Err(())
            }
        }
    }

    fn delete_records(&mut self, at: usize) -> Done {
        let Place { log, model, .. } = &mut self.places[at];
        let range = model.start..=model.high_watermark;
        let offset = range.start() + self.random.below((range.end() - range.start() + 1).unsigned_abs()) as i64;
        model.start = log.delete_records_before(offset).unwrap();
        Ok(())
    }

    fn retain(&mut self, at: usize) -> Done {
        let place = &mut self.places[at];
        let outcome = place.log.apply_retention(self.now_ms);
        place.model.start = place.log.log_start_offset();
        outcome.map(drop).map_err(drop)
    }

    fn compact(&mut self, at: usize) -> Done {
        let place = &mut self.places[at];
        if !place.config.is_compacted {
            return Ok(());
        }
        let outcome = place.log.compact(CompactionRequest {
            now_ms: self.now_ms,
            map_bytes: 24 * (2 + self.random.below(12) as usize),
            map_load_factor: 0.9,
            on_io: &mut |_| ControlFlow::Continue(()),
        });
        let Some(dir) = &self.dir else { return Err(()) };
        outcome.map_err(drop)?;
        place.model.flushed = place.model.flushed.max(place.log.recovery_point());
        dir.write_cleaner_checkpoint(&place.name, &place.log).map_err(drop)
    }

    fn write_checkpoints(&mut self) -> Done {
        let Some(dir) = &self.dir else { return Err(()) };
        let logs = self.places.iter().map(|place| (&place.name, &place.log));
        dir.write_checkpoints(logs).map_err(drop)?;
        dir.note_boot().map_err(drop)?;
        for Place { model, .. } in &mut self.places {
            (model.noted_start, model.noted_high_watermark) = (model.start, model.high_watermark);
        }
        Ok(())
    }

    pub(super) fn restart_cleanly(&mut self) {
        if let Some(dir) = self.dir.take() {
            let logs = self.places.iter().map(|place| (&place.name, &place.log));
            dir.close(logs, 1, 1).unwrap();
        }
        for Place { model, .. } in &mut self.places {
            (model.noted_start, model.noted_high_watermark) = (model.start, model.high_watermark);
            model.flushed = model.end;
        }
        self.open(Restart::Clean);
    }

    fn crash(&mut self, restart: Restart) {
        self.dir = None;
        self.disk.heal();
        if restart == Restart::PowerLoss {
            self.disk.power_loss(&mut self.random);
        }
        self.open(restart);
    }

    fn crash_somehow(&mut self) {
        match self.random.below(2) {
            0 => self.crash(Restart::Kill),
            _ => self.crash(Restart::PowerLoss),
        }
    }

    fn open(&mut self, restart: Restart) {
        self.note(&format!("{restart:?}"));
        let dir = LogDir::open(Arc::new(self.disk.clone()), self.scratch.path()).unwrap();
        for place in &mut self.places {
            let log = dir.open_log(&place.name, place.config, Some(Uuid([1; 16])), self.now_ms);
            place.log = log.unwrap_or_else(|error| panic!("{}: {error}", place.name));
            place.model.take_over(&place.log, restart);
            place.renew_sequences();
        }
        dir.settle().unwrap();
        self.dir = Some(dir);
    }

    /// The process dies, or the machine, after so many changes on the disk, in the middle of whatever it does.
    fn work_until_the_disk_fails(&mut self) {
        self.disk.fail_after(self.random.below(40));
        let has_failed = (0..30).any(|_| self.work().is_err());
        self.note(if has_failed { "failed" } else { "not failed" });
        self.crash_somehow();
    }

    /// What is refused has no effect, and there is room again later.
    fn work_on_a_full_disk(&mut self) {
        self.disk.fill_up(true);
        let has_failed = (0..10).any(|_| self.work().is_err());
        self.disk.fill_up(false);
        // What stopped half way may have taken a log offline; a restart brings it back.
        if has_failed && self.places.iter().any(|place| place.log.is_offline()) {
            self.crash_somehow();
        }
        self.places.iter().for_each(|place| {
            if place.model.cut_at.is_none() {
                place.model.check(&place.log);
            }
        });
    }

    /// The kernel could not write the pages back, and forgets them.
    fn fail_a_sync(&mut self) {
        let at = self.random.below(self.places.len() as u64) as usize;
        self.disk.fail_next_sync();
        let place = &self.places[at];
        if place.log.sync().is_ok() {
            // There was nothing to sync; the next one may fail elsewhere.
            self.crash_somehow();
            return;
        }
        let batch = batch(1);
        assert!(
            place.log.append(client(&batch)).is_err(),
            "after a failed sync nothing is taken"
        );
        assert!(place.log.sync().is_err(), "a failed sync does not succeed later");
        // Pages that count as clean are gone with the power only.
        self.crash_somehow();
    }

    /// Files that were damaged while the process was down, tried on a copy.
    fn harm_a_copy(&mut self) {
        let at = self.random.below(self.places.len() as u64) as usize;
        let copy = self.disk.copy();
        if self.random.below(2) == 0 {
            self.lie_in_an_index(at, &copy);
        } else {
            self.flip_a_committed_bit(at, &copy);
        }
    }

    fn options(&self, at: usize) -> LogOptions {
        let place = &self.places[at];
        LogOptions {
            recovery_point: place.log.recovery_point(),
            log_start_offset: place.model.start,
            high_watermark: place.model.high_watermark,
            config: place.config,
            cleaned_up_to: place.log.cleaned_up_to(),
            ..LogOptions::default()
        }
    }

    fn lie_in_an_index(&mut self, at: usize, copy: &FaultyDisk) {
        let options = self.options(at);
        let place = &self.places[at];
        let indexes: Vec<_> = copy
            .list(place.log.dir())
            .unwrap()
            .into_iter()
            .filter(|entry| entry.name.ends_with(".index"))
            .collect();
        let index = &indexes[self.random.below(indexes.len() as u64) as usize].name;
        let file = copy.open(&place.log.dir().join(index), OpenMode::Write).unwrap();
        let entries = file.len_bytes().unwrap() / 8;
        if entries > 0 {
            let entry = self.random.below(entries) * 8;
            let (offset, position) = (self.random.below(40) as u32, self.random.below(2_000) as u32);
            let lie = [offset.to_be_bytes(), position.to_be_bytes()].concat();
            file.write_at(&[IoSlice::new(&lie)], entry).unwrap();
        }
        let log = Log::open(Arc::new(copy.clone()), place.log.dir(), &options).unwrap();
        for offset in place.model.start..place.model.end {
            let found = log.read(offset, Offset::MAX, 1, true).unwrap();
            let expected = place.log.read(offset, Offset::MAX, 1, true).unwrap();
            assert_eq!(
                (found.base_offset, found.next_offset),
                (expected.base_offset, expected.next_offset),
                "at {offset} with a lie in {index}"
            );
        }
    }

    fn flip_a_committed_bit(&mut self, at: usize, copy: &FaultyDisk) {
        let options = self.options(at);
        let place = &self.places[at];
        let (from, to) = (options.recovery_point.max(place.model.start), options.high_watermark);
        if from >= to {
            return;
        }
        let offset = from + self.random.below((to - from).unsigned_abs()) as i64;
        let (segment, _) = place.log.segment_and_next(offset).unwrap();
        let Some(found) = segment.find(offset).unwrap() else {
            return;
        };
        // Behind what the checksum does not cover.
        let covered = found.range().start + 21..found.range().end;
        let position = covered.start + self.random.below(covered.end - covered.start);
        let path = segment.log_path();
        let file = copy.open(path, OpenMode::Write).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, position).unwrap();
        byte[0] ^= 1 << self.random.below(8);
        file.write_at(&[IoSlice::new(&byte)], position).unwrap();
        let opened = Log::open(Arc::new(copy.clone()), place.log.dir(), &options);
        let Err(OpenError::Damaged(damage)) = opened else {
            panic!("byte {position} of {} was flipped: {opened:?}", path.display());
        };
        assert!(damage.log_end_offset <= offset, "{damage}");
        assert_eq!(damage.path, path);
        let mut left = [0];
        file.read_at(&mut left, position).unwrap();
        assert_eq!(
            (left, file.len_bytes().unwrap() > position),
            (byte, true),
            "it is left as it was"
        );
    }
}

impl Place {
    /// Producers go on behind what the log has of them.
    fn renew_sequences(&mut self) {
        self.sequences = [0; 3];
        for producer in self.log.producers() {
            self.sequences[producer.producer_id.0 as usize] = producer.last_sequence + 1;
        }
    }
}
