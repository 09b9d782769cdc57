//! A consumer with thousands of partitions of which few have anything new: the cost of a fetch should follow the few.
//!
//! A step is a produce request to the active partitions and an incremental fetch of all that is new. Steps without the
//! fetch are measured too, and taken off.

use super::{Case, Needs, Scenario};
use crate::{
    core::{
        figure::{Bar, Figure},
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
    },
    shell::{
        bench::Bench,
        client::{create_topic, delete_topics},
        offsets::Ends,
        process::Process,
        target::Target,
        wire,
    },
};
use anyhow::{Context, ensure};
use ottla_protocol::{
    messages::{
        FetchRequest, ProduceRequest,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    records::BatchHeader,
};
use ottla_tests::client::{Client, batch};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "wide-fetch",
    asks: "What does a fetch cost that covers thousands of partitions, of which one in a hundred has a new record?",
    needs: Needs::Plaintext,
    cases,
};

/// The last version that names topics, which spares the look-up of ids.
const VERSION: i16 = 12;
/// One in so many partitions is active.
const ONE_IN: i32 = 100;

struct WideFetch {
    partitions: i32,
    topics: BTreeMap<String, String>,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let counts: &[i32] = plan.pick(&[10_000], &[1_000, 10_000]);
    let case = |partitions: &i32| -> Box<dyn Case> {
        Box::new(WideFetch {
            partitions: *partitions,
            topics: BTreeMap::new(),
        })
    };
    counts.iter().map(case).collect()
}

impl Case for WideFetch {
    fn facts(&self) -> CaseFacts {
        let bar = (self.partitions == 10_000).then_some(Bar::Ratio(0.2));
        CaseFacts {
            name: format!("{} partitions, 1 % active", self.partitions),
            settings: vec![
                Setting::new("fetch", "v12, incremental in a session, max wait 500 ms, min bytes 1"),
                Setting::new("record bytes", "100"),
            ],
            figures: vec![
                Figure::less("cpu_ms_per_fetch", "broker CPU of a fetch", "ms").with_maybe_bar(bar),
                Figure::less("fetch_ms", "a fetch, mean", "ms"),
                Figure::less("anonymous_mib", "anonymous memory", "MiB"),
            ],
            axis: None,
        }
    }

    fn prepare(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<()> {
        let topic = bench.unique("wide-fetch");
        create_topic(target, &topic, self.partitions, &[])?;
        Ends::of(target, &topic, self.partitions)?;
        self.topics.insert(target.name.clone(), topic);
        Ok(())
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = &self.topics[&target.name];
        let ends = Ends::of(target, topic, self.partitions)?.each()?;
        let mut session = Session::open(wire::connect(target)?, topic, ends)?;
        let process = target.process();
        let half = bench.plan.duration() / 2;
        session.step()?;
        let with_fetch = session.measure(half, process, Session::step)?;
        let without = session.measure(half, process, Session::produce)?;
        let cpu_ms = with_fetch
            .cpu_ms
            .zip(without.cpu_ms)
            .map(|(with, without)| (with - without).max(0.0));
        Ok(Measured::default()
            .with("cpu_ms_per_fetch", cpu_ms)
            .with("fetch_ms", with_fetch.wall_ms - without.wall_ms)
            .with(
                "anonymous_mib",
                process
                    .map(|process| process.memory())
                    .transpose()?
                    .map(|memory| memory.anonymous_mib),
            ))
    }

    fn clean(&mut self, _: &Bench, target: &mut Target) -> anyhow::Result<()> {
        match self.topics.remove(&target.name) {
            Some(topic) => delete_topics(target, &[&topic]),
            None => Ok(()),
        }
    }
}

/// What a step costs, mean.
struct Cost {
    cpu_ms: Option<f64>,
    wall_ms: f64,
}

/// A fetch session over all partitions of a topic.
struct Session {
    client: Client,
    topic: String,
    /// Where each partition is read from.
    next: Vec<i64>,
    /// What the next request has to tell: partitions that were read.
    changed: Vec<i32>,
    produce: ProduceRequest,
    id: i32,
    epoch: i32,
}

impl Session {
    fn open(client: Client, topic: &str, ends: Vec<i64>) -> anyhow::Result<Self> {
        let partitions = ends.len() as i32;
        let active = (0..partitions).step_by(ONE_IN as usize);
        let data = active.map(|index| PartitionProduceData {
            index,
            records: Some(batch(&[&[b'w'; 100]])),
        });
        let produce = ProduceRequest {
            acks: 1,
            timeout_ms: 30_000,
            topic_data: vec![TopicProduceData {
                name: topic.into(),
                partition_data: data.collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut session = Self {
            client,
            topic: topic.to_owned(),
            next: ends,
            changed: (0..partitions).collect(),
            produce,
            id: 0,
            epoch: 0,
        };
        session.fetch(0)?;
        ensure!(session.id != 0, "the broker gives no fetch session");
        Ok(session)
    }

    /// One step: produce, then fetch what was produced.
    fn step(&mut self) -> anyhow::Result<()> {
        self.produce()?;
        let wanted = self.produce.topic_data[0].partition_data.len();
        let mut records = 0;
        while records < wanted {
            let came = self.fetch(500)?;
            ensure!(came > 0, "{records} of {wanted} records came");
            records += came;
        }
        Ok(())
    }

    fn produce(&mut self) -> anyhow::Result<()> {
        let response = self.client.call(&self.produce, wire::PRODUCE_VERSION)?;
        for partition in response.responses.iter().flat_map(|topic| &topic.partition_responses) {
            ensure!(
                partition.error_code == 0,
                "a record was refused with error {}",
                partition.error_code
            );
        }
        Ok(())
    }

    /// One fetch; returns how many records came.
    fn fetch(&mut self, max_wait_ms: i32) -> anyhow::Result<usize> {
        let partition = |index: i32| FetchPartition {
            partition: index,
            fetch_offset: self.next[index as usize],
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let partitions: Vec<_> = self.changed.drain(..).map(partition).collect();
        let topics = match partitions.is_empty() {
            true => vec![],
            false => vec![FetchTopic {
                topic: self.topic.as_str().into(),
                partitions,
                ..Default::default()
            }],
        };
        let request = FetchRequest {
            max_wait_ms,
            min_bytes: 1,
            max_bytes: 64 << 20,
            session_id: self.id,
            session_epoch: self.epoch,
            topics,
            ..Default::default()
        };
        let response = self.client.call(&request, VERSION)?;
        ensure!(
            response.error_code == 0,
            "the fetch was refused with error {}",
            response.error_code
        );
        self.id = response.session_id;
        self.epoch += 1;
        let mut records = 0;
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            ensure!(
                partition.error_code == 0,
                "a partition has error {}",
                partition.error_code
            );
            let mut bytes = partition.records.clone().unwrap_or_default();
            let next = self
                .next
                .get_mut(partition.partition_index as usize)
                .context("a partition that was not asked for")?;
            while let Ok(header) = BatchHeader::parse(&bytes) {
                if header.size_bytes() > bytes.len() {
                    break;
                }
                let end = header.last_offset() + 1;
                records += usize::try_from(end - *next).unwrap_or(0);
                *next = end;
                bytes = bytes.slice(header.size_bytes()..);
            }
            self.changed.push(partition.partition_index);
        }
        Ok(records)
    }

    /// Repeats a step for a time.
    fn measure(
        &mut self,
        duration: Duration,
        process: Option<Process>,
        mut step: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Cost> {
        let before = process.map(|process| process.cpu_seconds()).transpose()?;
        let begun = Instant::now();
        let mut steps = 0_u32;
        while begun.elapsed() < duration {
            step(self)?;
            steps += 1;
        }
        let wall_ms = begun.elapsed().as_secs_f64() * 1e3 / f64::from(steps);
        let after = process.map(|process| process.cpu_seconds()).transpose()?;
        let cpu_ms = after
            .zip(before)
            .map(|(after, before)| (after - before) * 1e3 / f64::from(steps));
        Ok(Cost { cpu_ms, wall_ms })
    }
}
