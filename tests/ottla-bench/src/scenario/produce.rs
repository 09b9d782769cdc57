//! Produce at full speed in many shapes. The cost of a request shows where batches are small, that of a byte where they
//! are large.

use super::{Case, Needs, Scenario, settings};
use crate::{
    core::{
        figure::{Bar, Figure},
        plan::{Plan, Set},
        report::{CaseFacts, Measured, Setting},
        shape::{Batching, Shape},
    },
    shell::{
        bench::{Bench, with_memory},
        client::{create_topic, delete_topics},
        offsets::Ends,
        pages, perf,
        produce::measure,
        target::Target,
    },
};
use std::time::Duration;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "produce",
    asks: "What does it cost to take records, by the size of batches, and how many are taken?",
    needs: Needs::Nothing,
    cases,
};

/// How long system calls are counted, after what is measured.
const COUNTING_SECONDS: f64 = 2.0;

struct Produce {
    shape: Shape,
    /// Of CPU per GB.
    bar: Option<Bar>,
    /// Whether it is the case of the bars of throughput and memory.
    is_bulk: bool,
    counts_system_calls: bool,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let mut shapes = quick_shapes();
    if plan.set == Set::Full {
        shapes.extend(full_shapes());
    }
    let case = |shape: Shape| -> Box<dyn Case> { Box::new(Produce::of(shape)) };
    shapes.into_iter().map(case).collect()
}

/// Those that have a bar.
fn quick_shapes() -> Vec<Shape> {
    vec![
        Shape::of(Batching::One),
        Shape::of(Batching::Bytes(16 << 10)),
        Shape::of(Batching::Bytes(128 << 10)),
    ]
}

/// Each differs from a quick one in one thing.
pub(super) fn full_shapes() -> Vec<Shape> {
    let usual = Shape::of(Batching::Bytes(64 << 10));
    let mut shapes: Vec<Shape> = [4 << 10, 64 << 10, 1_000_000]
        .map(|bytes| Shape::of(Batching::Bytes(bytes)))
        .to_vec();
    shapes.extend([100, 10 << 10, 100 << 10].map(|record_bytes| Shape {
        record_bytes,
        batching: Batching::Bytes(if record_bytes > 64 << 10 { 1_000_000 } else { 64 << 10 }),
        ..usual
    }));
    shapes.extend([1, 16, 1000].map(|partitions| Shape { partitions, ..usual }));
    shapes.extend(["gzip", "snappy", "lz4", "zstd"].map(|codec| Shape { codec, ..usual }));
    shapes.push(Shape { keys: true, ..usual });
    shapes.push(Shape { acks: "1", ..usual });
    shapes
}

impl Produce {
    fn of(shape: Shape) -> Self {
        let is_usual = shape == Shape::of(shape.batching);
        let bar = match shape.batching {
            Batching::One | Batching::Bytes(0x4000) if is_usual => Some(Bar::Ratio(1.0 / 3.0)),
            Batching::Bytes(0x2_0000) if is_usual => Some(Bar::Ratio(0.5)),
            _ => None,
        };
        Self {
            shape,
            bar,
            is_bulk: is_usual && shape.batching == Batching::Bytes(128 << 10),
            counts_system_calls: is_usual && shape.batching == Batching::Bytes(16 << 10),
        }
    }
}

impl Case for Produce {
    fn facts(&self) -> CaseFacts {
        let bulk = |bar| self.is_bulk.then_some(bar);
        let mut figures = vec![
            Figure::less("cpu_s_per_gb", "broker CPU", "CPU-s/GB").with_maybe_bar(self.bar),
            Figure::more("mb_per_s", "throughput", "MB/s").with_maybe_bar(bulk(Bar::Ratio(1.2))),
            Figure::less("anonymous_mib", "anonymous memory, peak", "MiB").with_maybe_bar(bulk(Bar::Ratio(0.05))),
            Figure::told("file_mib", "pages of files, peak", "MiB"),
            Figure::told("records_per_request", "records in a request", ""),
            Figure::told("file_cpu_s_per_gb", "writing into a file, CPU", "CPU-s/GB"),
        ];
        if self.counts_system_calls {
            let calls = Figure::less("system_calls_per_request", "system calls", "per request");
            figures.push(calls.with_bar(Bar::Value(2.5)));
        }
        let mut settings = settings(&self.shape.properties());
        settings.push(Setting::new("partitions", self.shape.partitions.to_string()));
        CaseFacts {
            name: self.shape.name(),
            settings,
            figures,
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("produce");
        create_topic(target, &topic, self.shape.partitions, &[])?;
        let ends = Ends::of(target, &topic, self.shape.partitions)?;
        let process = target.process();
        // A broker elsewhere has its own memory.
        let of_file = process.map(|_| pages::fill(&bench.scratch)).transpose()?;
        let watch = process.map(|process| process.watch());
        let mut calls = None;
        let flooded = measure(
            bench,
            target,
            &ends,
            (&topic, &self.shape),
            bench.plan.duration(),
            |requests| {
                if let (true, Some(process)) = (self.counts_system_calls, process) {
                    calls = perf::system_calls_per_second(process, COUNTING_SECONDS).map(|calls| calls / requests);
                }
                Ok(())
            },
        )?;
        let peak = watch.map(|watch| watch.peak()).transpose()?;
        delete_topics(target, &[&topic])?;
        let bytes = self.shape.record_bytes;
        let measured = Measured::default()
            .with("cpu_s_per_gb", flooded.growth.cpu_seconds_per_gigabyte(bytes))
            .with("mb_per_s", flooded.growth.megabytes_per_second(bytes))
            .with("records_per_request", flooded.records_per_request)
            .with("file_cpu_s_per_gb", of_file)
            .with("system_calls_per_request", calls);
        Ok(with_memory(measured, peak))
    }
}

/// Loads a broker before anything counts: small and large batches in turn, as a JVM compiles what it meets.
///
/// # Errors
/// The end offsets do not grow.
pub fn warm_up(bench: &Bench, target: &Target, duration: Duration) -> anyhow::Result<()> {
    let shapes = quick_shapes();
    let each = duration / shapes.len() as u32;
    for shape in &shapes {
        let topic = bench.unique("warm-up");
        create_topic(target, &topic, shape.partitions, &[])?;
        let ends = Ends::of(target, &topic, shape.partitions)?;
        measure(bench, target, &ends, (&topic, shape), each * 3 / 4, |_| Ok(()))?;
        let each_end = ends.each()?;
        crate::shell::reader::read(target, &topic, &each_end, std::time::Instant::now() + each / 4)?;
        delete_topics(target, &[&topic])?;
    }
    Ok(())
}
