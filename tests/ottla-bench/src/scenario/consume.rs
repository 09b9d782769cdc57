//! Reads back what was produced, from memory that is warm: by a reader without a group, again and again.

use super::{Case, Needs, Scenario, produce::full_shapes, settings};
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
        produce::fill,
        reader::read,
        target::Target,
    },
};
use anyhow::ensure;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "consume",
    asks: "What does it cost to give out records that are in the page cache, and how many are given out?",
    needs: Needs::Nothing,
    cases,
};

/// Of the warm-up, before each shape.
const READING_PART: f64 = 0.25;

struct Consume {
    shape: Shape,
    bytes: u64,
    is_usual: bool,
    /// By target: the topic and its ends.
    topics: BTreeMap<String, (String, Vec<i64>)>,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let quick = vec![
        Shape::of(Batching::Bytes(16 << 10)),
        Shape::of(Batching::Bytes(128 << 10)),
    ];
    let mut shapes = quick;
    if plan.set == Set::Full {
        shapes.extend(full_shapes());
        shapes.push(Shape::of(Batching::One));
    }
    // The page cache has to hold it on both brokers.
    let bytes = (plan.seconds * 1e8) as u64;
    let case = |shape: Shape| -> Box<dyn Case> {
        let small = if shape.batching == Batching::One { 10 } else { 1 };
        Box::new(Consume {
            shape,
            bytes: bytes.min(1_000_000_000) / small,
            is_usual: shape == Shape::of(shape.batching),
            topics: BTreeMap::new(),
        })
    };
    shapes.into_iter().map(case).collect()
}

impl Case for Consume {
    fn facts(&self) -> CaseFacts {
        let bar = self.is_usual.then_some(Bar::Ratio(0.6));
        let mut settings = settings(&self.shape.properties());
        settings.push(Setting::new("partitions", self.shape.partitions.to_string()));
        settings.push(Setting::new("in the topic, bytes", self.bytes.to_string()));
        CaseFacts {
            name: self.shape.name(),
            settings,
            figures: vec![
                Figure::less("cpu_s_per_gb", "broker CPU", "CPU-s/GB").with_maybe_bar(bar),
                Figure::more("mb_per_s", "throughput", "MB/s"),
                Figure::less("anonymous_mib", "anonymous memory, peak", "MiB"),
                Figure::told("file_mib", "pages of files, peak", "MiB"),
            ],
            axis: None,
        }
    }

    fn prepare(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<()> {
        let topic = bench.unique("consume");
        create_topic(target, &topic, self.shape.partitions, &[])?;
        let ends = fill(target, &topic, &self.shape, self.bytes)?;
        // A JVM compiles while it gives records out too: Kafka takes twice as long for the first gigabytes.
        let until = Instant::now() + Duration::from_secs_f64(bench.plan.warm_up_seconds * READING_PART);
        while Instant::now() < until {
            read(target, &topic, &ends, until)?;
        }
        self.topics.insert(target.name.clone(), (topic, ends));
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let (topic, ends) = &self.topics[&target.name];
        let process = target.process();
        let watch = process.map(|process| process.watch());
        let begun = Instant::now();
        let before = process.map(|process| process.cpu_seconds()).transpose()?;
        let until = begun + bench.plan.duration();
        let mut bytes = 0;
        while Instant::now() < until {
            let round = read(target, topic, ends, until)?;
            bytes += round;
        }
        let seconds = begun.elapsed().as_secs_f64();
        ensure!(bytes > 0, "nothing was read in {seconds:.1} s");
        let after = process.map(|process| process.cpu_seconds()).transpose()?;
        let gigabytes = bytes as f64 / 1e9;
        let measured = Measured::default()
            .with(
                "cpu_s_per_gb",
                after.zip(before).map(|(after, before)| (after - before) / gigabytes),
            )
            .with("mb_per_s", gigabytes * 1e3 / seconds);
        Ok(with_memory(measured, watch.map(|watch| watch.peak()).transpose()?))
    }

    fn clean(&mut self, _: &Bench, target: &mut Target) -> anyhow::Result<()> {
        match self.topics.remove(&target.name) {
            Some((topic, _)) => delete_topics(target, &[&topic]),
            None => Ok(()),
        }
    }
}
