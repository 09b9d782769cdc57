//! What a reader of cold history does to producers: the same fixed rate alone, then beside a reader whose every byte
//! comes from the disk.

use super::{Case, Needs, Scenario, settings};
use crate::{
    core::{
        figure::{Bar, Figure},
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
        shape::{Batching, Shape},
    },
    shell::{
        bench::Bench,
        client::{create_topic, delete_topics},
        offsets::Ends,
        paced::{self, Pace, Paced, WARM_UP},
        produce::fill,
        reader::read_at,
        target::Target,
    },
};
use anyhow::{Context, ensure};
use rustix::fs::{Advice, fadvise};
use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "catchup",
    asks: "What does a reader that catches up from the disk do to the latency of producers?",
    needs: Needs::Process,
    cases,
};

const MEGABYTES_PER_SECOND: f64 = 20.0;
/// A reader without a bound takes what the broker gives it, and the machine's processors with it: a broker that reads faster
/// leaves less to the producer. With this bound both do the same work.
const READ_MEGABYTES_PER_SECOND: f64 = 150.0;
const RECORD_BYTES: usize = 20_000;

struct Catchup {
    bytes: u64,
    /// The reader's bound, if it has one.
    read_megabytes_per_second: Option<f64>,
    /// By target: the topic with history, and its ends.
    old: BTreeMap<String, (String, Vec<i64>)>,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let case = |bound: &Option<f64>| -> Box<dyn Case> {
        Box::new(Catchup {
            bytes: plan.pick(500_000_000, 4_000_000_000),
            read_megabytes_per_second: *bound,
            old: BTreeMap::new(),
        })
    };
    let bounds: &[Option<f64>] = plan.pick(&[None], &[None, Some(READ_MEGABYTES_PER_SECOND)]);
    bounds.iter().map(case).collect()
}

/// The shape of history: one partition, large batches, sealed segments of 128 MB.
fn history() -> Shape {
    Shape {
        partitions: 1,
        record_bytes: 10 << 10,
        ..Shape::of(Batching::Bytes(1_000_000))
    }
}

impl Case for Catchup {
    fn facts(&self) -> CaseFacts {
        let mut settings = settings(&paced::client_properties());
        settings.push(Setting::new("record bytes", RECORD_BYTES.to_string()));
        settings.push(Setting::new("history, MB", (self.bytes / 1_000_000).to_string()));
        settings.push(Setting::new("segment.bytes of history", SEGMENT_BYTES));
        let bar = self.read_megabytes_per_second.is_none().then_some(Bar::Ratio(0.2));
        CaseFacts {
            name: match self.read_megabytes_per_second {
                None => format!("{MEGABYTES_PER_SECOND} MB/s beside a cold reader"),
                Some(bound) => format!("{MEGABYTES_PER_SECOND} MB/s beside a cold reader of {bound} MB/s"),
            },
            settings,
            figures: vec![
                Figure::less("beside_p99_ms", "acknowledged beside the reader, p99", "ms").with_maybe_bar(bar),
                Figure::less("alone_p99_ms", "acknowledged alone, p99", "ms"),
                Figure::less("harm", "p99 beside / alone", "times"),
                Figure::more("read_mb_per_s", "read from the disk", "MB/s"),
            ],
            axis: None,
        }
    }

    fn prepare(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<()> {
        let topic = bench.unique("history");
        create_topic(target, &topic, 1, &[("segment.bytes", SEGMENT_BYTES)])?;
        let ends = fill(target, &topic, &history(), self.bytes)?;
        self.old.insert(target.name.clone(), (topic, ends));
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("catchup");
        create_topic(target, &topic, 1, &[])?;
        let ends = Ends::of(target, &topic, 1)?;
        let duration = bench.plan.duration() + WARM_UP;
        let alone = produce(target, &topic, duration)?;
        let (old, old_ends) = &self.old[&target.name];
        let folder = target
            .data()
            .context("its files are not here")?
            .join(format!("{old}-0"));
        let shared = &*target;
        let bound = self
            .read_megabytes_per_second
            .map_or(f64::INFINITY, |bound| bound * 1e6);
        let stop = &AtomicBool::new(false);
        let (beside, bytes, seconds) = std::thread::scope(|scope| {
            let reader = scope.spawn(move || read_cold(shared, old, old_ends, &folder, (stop, bound)));
            let beside = produce(shared, &topic, duration);
            stop.store(true, Ordering::Relaxed);
            let (bytes, seconds) = reader
                .join()
                .map_err(|_| anyhow::anyhow!("the reader has panicked"))??;
            anyhow::Ok((beside?, bytes, seconds))
        })?;
        ensure!(bytes > 0, "the cold reader read nothing");
        ensure!(
            ends.sum()? as u64 == alone.sent + beside.sent,
            "the end offsets did not grow by what was sent"
        );
        delete_topics(target, &[&topic])?;
        let (alone_p99, beside_p99) = (alone.acknowledged.ms_at(0.99), beside.acknowledged.ms_at(0.99));
        let mut measured = Measured::default()
            .with("alone_p99_ms", alone_p99)
            .with("beside_p99_ms", beside_p99)
            .with("harm", beside_p99.zip(alone_p99).map(|(beside, alone)| beside / alone))
            .with("read_mb_per_s", bytes as f64 / 1e6 / seconds);
        measured.curves = vec![
            alone.acknowledged.curve("acknowledged alone"),
            beside.acknowledged.curve("acknowledged beside the reader"),
        ];
        Ok(measured)
    }

    fn clean(&mut self, _: &Bench, target: &mut Target) -> anyhow::Result<()> {
        match self.old.remove(&target.name) {
            Some((topic, _)) => delete_topics(target, &[&topic]),
            None => Ok(()),
        }
    }
}

const SEGMENT_BYTES: &str = "134217728";

fn produce(target: &Target, topic: &str, duration: Duration) -> anyhow::Result<Paced> {
    let pace = Pace {
        record_bytes: RECORD_BYTES,
        bytes_per_second: MEGABYTES_PER_SECOND * 1e6,
        duration,
    };
    paced::produce(target, topic, &pace, Instant::now())
}

/// Reads the history again and again, each time from the disk; returns bytes and seconds.
fn read_cold(
    target: &Target,
    topic: &str,
    ends: &[i64],
    folder: &Path,
    (stop, bytes_per_second): (&AtomicBool, f64),
) -> anyhow::Result<(u64, f64)> {
    let begun = Instant::now();
    let mut bytes = 0;
    while !stop.load(Ordering::Relaxed) {
        drop_from_memory(folder)?;
        // In slices, so that it ends soon after it is told to.
        let until = Instant::now() + Duration::from_secs(2);
        bytes += read_at(target, topic, ends, until, bytes_per_second)?;
    }
    Ok((bytes, begun.elapsed().as_secs_f64()))
}

/// Lets the kernel forget the files' pages; those that are mapped stay.
fn drop_from_memory(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("no files in {}", folder.display()))? {
        let file = File::open(entry?.path())?;
        file.sync_all()?;
        fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}
