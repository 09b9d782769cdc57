//! A broker of its own: from the start of the process to the first acknowledged record, what it takes while idle, and how
//! soon it is back after a kill under load.

use super::{Case, Needs, Scenario};
use crate::{
    core::{
        figure::{Bar, Figure},
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
    },
    shell::{bench::Bench, launch::LocalBroker, target::Target, wire},
};
use anyhow::Context;
use ottla_protocol::records::{BatchBuilder, NewRecord};
use ottla_tests::client::{Client, now_ms};
use std::time::Instant;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "start",
    asks: "How soon does a new node take its first record, what does it take while idle, how soon is it back after kill -9?",
    needs: Needs::Process,
    cases,
};

/// A second and a half of looks.
const IDLE_LOOKS: usize = 6;
const BATCH_BYTES: usize = 500_000;

struct Start {
    log_bytes: usize,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    vec![Box::new(Start {
        log_bytes: plan.pick(200_000_000, 2_000_000_000),
    })]
}

impl Case for Start {
    fn facts(&self) -> CaseFacts {
        CaseFacts {
            name: format!("a node alone, killed with {} MB in its log", self.log_bytes / 1_000_000),
            settings: vec![
                Setting::new("acks", "all"),
                Setting::new(
                    "first start",
                    "an empty folder; Apache Kafka formats it in the same process",
                ),
                Setting::new(
                    "log",
                    format!("one partition, batches of {BATCH_BYTES} bytes, nothing flushed by request"),
                ),
            ],
            figures: vec![
                Figure::less("start_ms", "start to the first acknowledged record", "ms").with_bar(Bar::Ratio(0.05)),
                Figure::less("idle_mib", "resident memory, idle", "MiB").with_bar(Bar::Value(15.0)),
                Figure::less("idle_anonymous_mib", "anonymous memory, idle", "MiB"),
                Figure::less(
                    "back_ms",
                    "kill -9 to the first acknowledged record, from the new start",
                    "ms",
                ),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let program = target.program.clone().context("its program is not here")?;
        let folder = bench.scratch.join(bench.unique("start"));
        let begun = Instant::now();
        let mut broker = LocalBroker::spawn(program, &folder)?;
        let answered = wire::first_acknowledgement(broker.address(), "first");
        broker.ensure_running()?;
        answered?;
        let start_ms = begun.elapsed().as_secs_f64() * 1e3;
        let idle = broker.process().idle_memory(IDLE_LOOKS)?;
        fill(&broker, self.log_bytes)?;
        broker.kill()?;
        let begun = Instant::now();
        broker.spawn_again()?;
        let answered = wire::first_acknowledgement(broker.address(), "first");
        broker.ensure_running()?;
        answered?;
        let back_ms = begun.elapsed().as_secs_f64() * 1e3;
        drop(broker);
        std::fs::remove_dir_all(&folder)?;
        Ok(Measured::default()
            .with("start_ms", start_ms)
            .with("idle_mib", idle.resident_mib)
            .with("idle_anonymous_mib", idle.anonymous_mib)
            .with("back_ms", back_ms))
    }
}

/// Produces so many bytes to the topic, one request after another.
fn fill(broker: &LocalBroker, bytes: usize) -> anyhow::Result<()> {
    let mut builder = BatchBuilder::new();
    let value = vec![b'x'; 1000];
    for _ in 0..BATCH_BYTES / value.len() {
        builder.append(&NewRecord::of(now_ms(), b"", &value));
    }
    let batch = builder.build();
    let mut client = Client::connect(broker.address())?;
    for _ in 0..bytes / BATCH_BYTES {
        let (code, _) = client.produce("first", 0, batch.clone(), -1)?;
        anyhow::ensure!(code == ottla_protocol::ErrorCode::None, "a batch was refused: {code:?}");
    }
    Ok(())
}
