//! Latency at a fixed rate, from end to end: each record is due at a time, and counts from then until a consumer in this
//! process has it.

use super::{Case, Needs, Scenario, settings};
use crate::{
    core::{
        figure::{Bar, Figure},
        plan::{Plan, Set},
        report::{CaseFacts, Measured, Setting},
    },
    shell::{
        bench::Bench,
        client::{create_topic, delete_topics},
        offsets::Ends,
        paced::{self, Pace, Reading, Tail, WARM_UP},
        target::Target,
    },
};
use anyhow::ensure;
use std::time::Instant;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "latency",
    asks: "How long does a record take from when it was to be sent until a consumer has it, at a fixed rate?",
    needs: Needs::Nothing,
    cases,
};

const PARTITIONS: i32 = 6;
const RECORD_BYTES: usize = 1024;

struct Latency {
    megabytes_per_second: f64,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let rates: &[f64] = match plan.set {
        Set::Quick => &[20.0],
        Set::Full => &[20.0, 5.0, 50.0],
    };
    let case = |rate: &f64| -> Box<dyn Case> {
        Box::new(Latency {
            megabytes_per_second: *rate,
        })
    };
    rates.iter().map(case).collect()
}

impl Case for Latency {
    fn facts(&self) -> CaseFacts {
        let bar = (self.megabytes_per_second == 20.0).then_some(Bar::Ratio(0.5));
        let mut settings = settings(&paced::client_properties());
        settings.push(Setting::new("partitions", PARTITIONS.to_string()));
        settings.push(Setting::new("record bytes", RECORD_BYTES.to_string()));
        settings.push(Setting::new("due", "on a grid of 1 ms"));
        CaseFacts {
            name: format!("{} MB/s of 1 KiB records", self.megabytes_per_second),
            settings,
            figures: vec![
                Figure::less("p50_ms", "end to end, p50", "ms"),
                Figure::less("p90_ms", "end to end, p90", "ms"),
                Figure::less("p99_ms", "end to end, p99", "ms").with_maybe_bar(bar),
                Figure::less("p999_ms", "end to end, p99.9", "ms").with_maybe_bar(bar),
                Figure::less("max_ms", "end to end, greatest", "ms"),
                Figure::less("produce_p99_ms", "acknowledged, p99", "ms"),
                Figure::less("round_trip_p50_ms", "round trip of a produce request, p50", "ms"),
                Figure::less("round_trip_p99_ms", "round trip of a produce request, p99", "ms"),
                Figure::less("cpu_cores", "broker CPU", "cores"),
                Figure::told("late_p99_ms", "handed to the client too late, p99", "ms"),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("latency");
        create_topic(target, &topic, PARTITIONS, &[])?;
        let ends = Ends::of(target, &topic, PARTITIONS)?;
        let begun = Instant::now();
        let tail = Tail::begin(target, &topic, &Reading::Assigned(PARTITIONS), begun)?;
        let pace = Pace {
            record_bytes: RECORD_BYTES,
            bytes_per_second: self.megabytes_per_second * 1e6,
            duration: bench.plan.long_duration() + WARM_UP,
        };
        let process = target.process();
        let before = process.map(|process| process.cpu_seconds()).transpose()?;
        let paced = paced::produce(target, &topic, &pace, begun)?;
        let after = process.map(|process| process.cpu_seconds()).transpose()?;
        let appended = ends.sum()? as u64;
        ensure!(
            appended == paced.sent,
            "{} records were sent and the end offsets grew by {appended}",
            paced.sent
        );
        let received = tail.end(paced.sent)?;
        delete_topics(target, &[&topic])?;
        let mut measured = Measured::default()
            .with("p50_ms", received.ms_at(0.5))
            .with("p90_ms", received.ms_at(0.9))
            .with("p99_ms", received.ms_at(0.99))
            .with("p999_ms", received.ms_at(0.999))
            .with("max_ms", received.ms_at(1.0))
            .with("produce_p99_ms", paced.acknowledged.ms_at(0.99))
            .with("round_trip_p50_ms", paced.round_trips.p50())
            .with("round_trip_p99_ms", paced.round_trips.p99())
            .with(
                "cpu_cores",
                after
                    .zip(before)
                    .map(|(after, before)| (after - before) / pace.duration.as_secs_f64()),
            )
            .with("late_p99_ms", paced.late.ms_at(0.99));
        measured.curves = vec![received.curve("end to end"), paced.acknowledged.curve("acknowledged")];
        Ok(measured)
    }
}
