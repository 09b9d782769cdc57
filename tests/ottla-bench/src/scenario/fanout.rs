//! One topic, more and more groups that read it as it grows.

use super::{Case, Needs, Scenario, settings};
use crate::{
    core::{
        figure::Figure,
        latency::Latencies,
        plan::Plan,
        report::{Axis, CaseFacts, Measured, Setting},
    },
    shell::{
        bench::Bench,
        client::{create_topic, delete_topics, until},
        offsets::Ends,
        paced::{self, Pace, Reading, Tail, WARM_UP},
        target::Target,
    },
};
use anyhow::ensure;
use std::time::{Duration, Instant};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "fanout",
    asks: "What does it cost to give the same records to more and more groups?",
    needs: Needs::Nothing,
    cases,
};

const PARTITIONS: i32 = 6;
const RECORD_BYTES: usize = 1024;
const MEGABYTES_PER_SECOND: f64 = 1.0;
const JOINING: Duration = Duration::from_secs(60);

struct Fanout {
    groups: u32,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let counts: &[u32] = plan.pick(&[1, 16], &[1, 16, 64]);
    let case = |groups: &u32| -> Box<dyn Case> { Box::new(Fanout { groups: *groups }) };
    counts.iter().map(case).collect()
}

impl Case for Fanout {
    fn facts(&self) -> CaseFacts {
        let mut settings = settings(&paced::client_properties());
        settings.push(Setting::new("partitions", PARTITIONS.to_string()));
        settings.push(Setting::new(
            "produced",
            format!("{MEGABYTES_PER_SECOND} MB/s of {RECORD_BYTES} bytes"),
        ));
        settings.push(Setting::new("group.protocol", "classic"));
        CaseFacts {
            name: match self.groups {
                1 => "1 group".to_owned(),
                many => format!("{many} groups"),
            },
            settings,
            figures: vec![
                Figure::less("cpu_s_per_gb", "broker CPU per GB given out", "CPU-s/GB"),
                Figure::less("cpu_cores", "broker CPU", "cores"),
                Figure::less("p99_ms", "end to end, p99 over all groups", "ms"),
            ],
            axis: Some(Axis {
                title: "groups",
                value: f64::from(self.groups),
            }),
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("fanout");
        create_topic(target, &topic, PARTITIONS, &[])?;
        let ends = Ends::of(target, &topic, PARTITIONS)?;
        let begun = Instant::now();
        let tail = |group| Tail::begin(target, &topic, &Reading::Group(format!("{topic}-{group}")), begun);
        let tails = (0..self.groups).map(tail).collect::<anyhow::Result<Vec<_>>>()?;
        until(JOINING, "all groups to have partitions", || {
            Ok(tails.iter().all(Tail::is_ready).then_some(()))
        })?;
        // Latency counts from a second after the records begin, not after the groups did.
        let pace = Pace {
            record_bytes: RECORD_BYTES,
            bytes_per_second: MEGABYTES_PER_SECOND * 1e6,
            duration: bench.plan.duration() + WARM_UP,
        };
        let process = target.process();
        let before = process.map(|process| process.cpu_seconds()).transpose()?;
        let paced = paced::produce(target, &topic, &pace, begun)?;
        let mut latencies = Latencies::default();
        for tail in tails {
            latencies.add(&tail.end(paced.sent)?);
        }
        let after = process.map(|process| process.cpu_seconds()).transpose()?;
        ensure!(
            ends.sum()? as u64 == paced.sent,
            "the end offsets did not grow by what was sent"
        );
        delete_topics(target, &[&topic])?;
        let gigabytes = paced.sent as f64 * RECORD_BYTES as f64 * f64::from(self.groups) / 1e9;
        let used = after.zip(before).map(|(after, before)| after - before);
        let mut measured = Measured::default()
            .with("cpu_s_per_gb", used.map(|used| used / gigabytes))
            .with("cpu_cores", used.map(|used| used / pace.duration.as_secs_f64()))
            .with("p99_ms", latencies.ms_at(0.99));
        measured.curves = vec![latencies.curve("end to end")];
        Ok(measured)
    }
}
