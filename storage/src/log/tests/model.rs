//! Random histories against a model that is a vector of batches, on each kind of disk.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::disk::Disk;

#[derive(Clone, Debug)]
enum Step {
    Append { count: usize, len: usize },
    Roll,
    Sync,
    Release,
    Close,
    Kill,
    Truncate { share: f64 },
    Delete { share: f64 },
    Retain,
    Read { share: f64, max_bytes: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (1_usize..6, prop_oneof![0_usize..300, 30_000_usize..70_000]).prop_map(|(count, len)| Step::Append { count, len }),
        1 => Just(Step::Roll),
        1 => Just(Step::Sync),
        1 => Just(Step::Release),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
        1 => (0.0..1.0).prop_map(|share| Step::Truncate { share }),
        1 => (0.0..1.0).prop_map(|share| Step::Delete { share }),
        1 => Just(Step::Retain),
        4 => (0.0..1.0, 1_usize..5_000).prop_map(|(share, max_bytes)| Step::Read { share, max_bytes }),
    ]
}

/// What the log must be: its batches, each with its first and last offset, and its ends.
#[derive(Default)]
struct Model {
    batches: Vec<(Offset, Offset, usize)>,
    start: Offset,
    end: Offset,
}

impl Model {
    fn offset(&self, share: f64) -> Offset {
        self.start + ((self.end - self.start) as f64 * share) as Offset
    }

    /// The batches that a read from `offset` may return.
    fn from(&self, offset: Offset) -> &[(Offset, Offset, usize)] {
        &self.batches[self.batches.partition_point(|(_, last, _)| *last < offset)..]
    }
}

struct Run {
    disk: Arc<dyn Disk>,
    dir: Scratch,
    model: Model,
    log: Log,
}

impl Run {
    fn new(disk: Arc<dyn Disk>) -> Self {
        let dir = scratch("model");
        let log = Log::open(disk.clone(), dir.path(), &Self::options()).unwrap();
        Self {
            disk,
            dir,
            model: Model::default(),
            log,
        }
    }

    fn options() -> LogOptions {
        LogOptions {
            config: LogConfig {
                segment_bytes: 400_000,
                retention_ms: -1,
                ..small_config()
            },
            ..clean()
        }
    }

    fn open_again(&mut self, is_clean: bool) {
        let options = LogOptions {
            is_clean,
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            high_watermark: self.log.high_watermark(),
            ..Self::options()
        };
        self.log = Log::open(self.disk.clone(), self.dir.path(), &options).unwrap();
        assert_eq!(self.log.recovery().lost_from, None);
        assert_eq!(self.log.recovery().truncated_bytes, 0);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append { count, len } => {
                let bytes = batch_at(&vec![self.model.end; count], len);
                let appended = append(&self.log, &bytes);
                assert_eq!(appended.base_offset, self.model.end);
                self.model
                    .batches
                    .push((appended.base_offset, appended.last_offset, bytes.len()));
                self.model.end = appended.last_offset + 1;
                // Everything is committed at once, but the last record.
                self.log.set_high_watermark(self.model.end - 1);
            }
            Step::Roll => drop(self.log.roll(0).unwrap()),
            Step::Sync => assert_eq!(self.log.sync().unwrap(), self.model.end),
            Step::Release => drop(self.log.release_idle().unwrap()),
            Step::Close => {
                self.log.close().unwrap();
                self.open_again(true);
            }
            Step::Kill => self.open_again(false),
            Step::Truncate { share } => self.truncate(self.model.offset(share)),
            Step::Delete { share } => {
                let offset = self.model.offset(share).min(self.log.high_watermark());
                self.model.start = self.log.delete_records_before(offset).unwrap();
            }
            Step::Retain => drop(self.log.apply_retention(1_000).unwrap()),
            Step::Read { share, max_bytes } => self.read(self.model.offset(share), max_bytes),
        }
    }

    fn truncate(&mut self, offset: Offset) {
        self.log.truncate_to(offset, 0).unwrap();
        let kept = self.model.batches.partition_point(|(_, last, _)| *last < offset);
        if offset < self.model.end {
            // A batch that reaches over the offset goes as a whole.
            let removed = self.model.batches.drain(kept..).next();
            self.model.end = removed.map_or(offset, |(base, ..)| base.min(offset));
        }
        self.model.start = self.model.start.min(self.model.end);
    }

    fn read(&self, offset: Offset, max_bytes: usize) {
        let slice = self.log.read(offset, Offset::MAX, max_bytes, true).unwrap();
        let expected = self.model.from(offset);
        let Some((base_offset, _, first_bytes)) = expected.first() else {
            assert!(slice.records.is_empty());
            return;
        };
        assert_eq!(slice.base_offset, *base_offset);
        assert!(slice.records.len() <= max_bytes.max(*first_bytes));
        assert!(slice.next_offset > offset);
    }

    fn check(&self) {
        assert_eq!(
            (self.log.log_start_offset(), self.log.log_end_offset()),
            (self.model.start, self.model.end)
        );
        assert!(self.log.high_watermark() <= self.model.end && self.log.high_watermark() >= self.model.start);
        let read: Vec<_> = read_all(&self.log, self.model.start)
            .iter()
            .map(|bytes| {
                let (header, _) = batches(bytes).next().unwrap().unwrap();
                (header.base_offset, header.last_offset(), bytes.len())
            })
            .collect();
        assert_eq!(read, self.model.from(self.model.start));
        if let Some((base_offset, last_offset, _)) = self.model.from(self.model.start).first() {
            // Each record's timestamp is its batch's base offset.
            let found = self.log.offset_for_timestamp(*base_offset).unwrap().unwrap();
            assert!((*base_offset..=*last_offset).contains(&found.offset));
        }
    }
}

/// A quarter of the usual number of cases, or of `PROPTEST_CASES`, as each writes files.
fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: usual.cases / 4,
        failure_persistence: None,
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_log_is_what_the_model_says(steps in vec(step(), 1..80), kind in 0..3) {
        let mut run = Run::new(match kind {
            0 => Arc::new(RealDisk::new()),
            1 => Arc::new(RealDisk::without_maps()),
            _ => Arc::new(crate::disk::faulty::FaultyDisk::default()),
        });
        for step in &steps {
            run.step(step);
        }
        run.check();
        run.open_again(false);
        run.check();
    }
}
