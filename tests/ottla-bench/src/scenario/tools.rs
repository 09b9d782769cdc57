//! Apache Kafka's own performance tools as the load, so that figures which others publish can be repeated.

use super::{Case, Needs, Scenario};
use crate::{
    core::{
        figure::{Bar, Figure},
        growth::Growth,
        plan::{Plan, Set},
        report::{CaseFacts, Measured, Setting},
        tool_output::{consumed_mb_per_s, latency_ms},
    },
    shell::{
        bench::Bench,
        client::{create_topic, delete_topics},
        java::{HEAP, Tool},
        offsets::Ends,
        pages,
        target::Target,
    },
};
use anyhow::{Context, ensure};
use std::{collections::BTreeMap, time::Duration};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "tools",
    asks: "What do Apache Kafka's own performance tools say?",
    needs: Needs::Plaintext,
    cases,
};

const PARTITIONS: i32 = 6;
const RECORD_BYTES: usize = 1 << 10;
const PRODUCER: [&str; 3] = ["acks=all", "linger.ms=5", "batch.size=131072"];
/// Round trips of one record after another.
const ROUND_TRIPS: u32 = 5_000;

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let records = (plan.seconds * 125e3) as i64;
    let mut cases: Vec<Box<dyn Case>> = vec![Box::new(ProducerPerformance { records })];
    if plan.set == Set::Full {
        cases.push(Box::new(ConsumerPerformance {
            records,
            topics: BTreeMap::new(),
        }));
        cases.push(Box::new(EndToEndLatency));
    }
    cases
}

struct ProducerPerformance {
    records: i64,
}

struct ConsumerPerformance {
    records: i64,
    topics: BTreeMap<String, String>,
}

struct EndToEndLatency;

fn produce(bench: &Bench, target: &Target, topic: &str, records: i64) -> anyhow::Result<Tool> {
    let (records, bytes) = (records.to_string(), RECORD_BYTES.to_string());
    let mut arguments = vec![
        "--bootstrap-server",
        &target.bootstrap,
        "--topic",
        topic,
        "--num-records",
        &records,
    ];
    arguments.extend(["--record-size", &bytes, "--throughput", "-1", "--command-property"]);
    arguments.extend(PRODUCER);
    Tool::start(bench.java()?, "ProducerPerformance", &arguments)
}

/// Of a tool that takes the topic of these cases through.
fn settings(client: Setting, records: i64) -> Vec<Setting> {
    vec![
        client,
        Setting::new("records", records.to_string()),
        Setting::new("record bytes", RECORD_BYTES.to_string()),
        Setting::new("partitions", PARTITIONS.to_string()),
        Setting::new("its JVM", HEAP.join(" ")),
    ]
}

/// Waits for the end of a tool, and for all of its records.
fn await_records(ends: &Ends, tool: Tool, records: i64) -> anyhow::Result<()> {
    tool.output()?;
    let appended: i64 = ends.at_rest()?.iter().sum();
    ensure!(
        appended == records,
        "the end offsets grew by {appended} instead of {records}"
    );
    Ok(())
}

impl Case for ProducerPerformance {
    fn facts(&self) -> CaseFacts {
        CaseFacts {
            name: "ProducerPerformance".to_owned(),
            settings: settings(Setting::new("producer", PRODUCER.join(" ")), self.records),
            figures: vec![
                Figure::more("mb_per_s", "throughput", "MB/s").with_bar(Bar::Ratio(1.2)),
                Figure::less("cpu_s_per_gb", "broker CPU", "CPU-s/GB"),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("tools");
        create_topic(target, &topic, PARTITIONS, &[])?;
        let ends = Ends::of(target, &topic, PARTITIONS)?;
        if target.process().is_some() {
            pages::fill(&bench.scratch)?;
        }
        let mut tool = produce(bench, target, &topic, self.records)?;
        // The start of its JVM is left out: from the first records that are seen to the last.
        let mut first = None;
        let last = loop {
            let has_ended = tool.has_ended()?;
            let look = ends.look(target)?;
            if look.end_offset >= self.records {
                break look;
            }
            if look.end_offset > 0 {
                first.get_or_insert(look);
            }
            ensure!(
                !has_ended,
                "ProducerPerformance has ended with {} of {} records",
                look.end_offset,
                self.records
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        let first = first.context("all records came between two looks")?;
        let growth = Growth::between(&first, &last)?;
        await_records(&ends, tool, self.records)?;
        delete_topics(target, &[&topic])?;
        Ok(Measured::default()
            .with("mb_per_s", growth.megabytes_per_second(RECORD_BYTES))
            .with("cpu_s_per_gb", growth.cpu_seconds_per_gigabyte(RECORD_BYTES)))
    }
}

impl Case for ConsumerPerformance {
    fn facts(&self) -> CaseFacts {
        CaseFacts {
            name: "ConsumerPerformance".to_owned(),
            settings: settings(Setting::new("consumer", "its defaults, one group a run"), self.records),
            figures: vec![
                Figure::more("mb_per_s", "throughput while it fetches, as it tells", "MB/s"),
                Figure::less("cpu_s", "broker CPU of the whole run", "s"),
            ],
            axis: None,
        }
    }

    fn prepare(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<()> {
        let topic = bench.unique("tools");
        create_topic(target, &topic, PARTITIONS, &[])?;
        let ends = Ends::of(target, &topic, PARTITIONS)?;
        await_records(&ends, produce(bench, target, &topic, self.records)?, self.records)?;
        self.topics.insert(target.name.clone(), topic);
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = &self.topics[&target.name];
        let (records, group) = (self.records.to_string(), bench.unique("group"));
        let before = target.process().map(|process| process.cpu_seconds()).transpose()?;
        let arguments = [
            "--bootstrap-server",
            &target.bootstrap,
            "--topic",
            topic,
            "--num-records",
            &records,
        ];
        let own = ["--group", &group, "--hide-header"];
        let tool = Tool::start(bench.java()?, "ConsumerPerformance", &[&arguments[..], &own].concat())?;
        let rate = consumed_mb_per_s(&tool.output()?, self.records)?;
        let after = target.process().map(|process| process.cpu_seconds()).transpose()?;
        Ok(Measured::default()
            .with("mb_per_s", rate)
            .with("cpu_s", after.zip(before).map(|(after, before)| after - before)))
    }

    fn clean(&mut self, _: &Bench, target: &mut Target) -> anyhow::Result<()> {
        match self.topics.remove(&target.name) {
            Some(topic) => delete_topics(target, &[&topic]),
            None => Ok(()),
        }
    }
}

impl Case for EndToEndLatency {
    fn facts(&self) -> CaseFacts {
        CaseFacts {
            name: "EndToEndLatency".to_owned(),
            settings: vec![
                Setting::new("round trips, one after another", ROUND_TRIPS.to_string()),
                Setting::new("acks", "all"),
                Setting::new("record bytes", "100"),
                Setting::new("its JVM", HEAP.join(" ")),
            ],
            figures: vec![
                Figure::less("mean_ms", "mean", "ms"),
                Figure::less("p99_ms", "p99, in whole ms", "ms"),
                Figure::less("p999_ms", "p99.9, in whole ms", "ms"),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("tools");
        create_topic(target, &topic, 1, &[])?;
        Ends::of(target, &topic, 1)?;
        let count = ROUND_TRIPS.to_string();
        let arguments = [target.bootstrap.as_str(), &topic, &count, "all", "100"];
        let told = latency_ms(&Tool::start(bench.java()?, "EndToEndLatency", &arguments)?.output()?)?;
        delete_topics(target, &[&topic])?;
        Ok(Measured::default()
            .with("mean_ms", told.mean)
            .with("p99_ms", told.p99)
            .with("p999_ms", told.p999))
    }
}
