//! Topics by the thousand: how soon they are made and gone, and what each takes.

use super::{Case, Needs, Scenario};
use crate::{
    core::{
        figure::Figure,
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
    },
    shell::{bench::Bench, client::delete_topics, target::Target, wire},
};
use std::time::Instant;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "topics",
    asks: "How soon are thousands of topics made, and what does each take?",
    needs: Needs::Plaintext,
    cases,
};

/// Of one request.
const AT_ONCE: usize = 100;

struct Topics {
    count: usize,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    vec![Box::new(Topics {
        count: plan.pick(1_000, 10_000),
    })]
}

impl Case for Topics {
    fn facts(&self) -> CaseFacts {
        CaseFacts {
            name: format!("{} topics of one partition", self.count),
            settings: vec![
                Setting::new("topics in a request", AT_ONCE.to_string()),
                Setting::new("replicas", "the broker's default"),
            ],
            figures: vec![
                Figure::less("ms_per_topic", "made and led, each", "ms"),
                Figure::less("cpu_ms_per_topic", "broker CPU, each", "ms"),
                Figure::less("anonymous_kib_per_topic", "anonymous memory, each", "KiB"),
                Figure::less("delete_ms_per_topic", "deleted, each", "ms"),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let stem = bench.unique("topics");
        let names: Vec<String> = (0..self.count).map(|number| format!("{stem}-{number}")).collect();
        let process = target.process();
        let used = || {
            process
                .map(|process| anyhow::Ok((process.cpu_seconds()?, process.memory()?.anonymous_mib)))
                .transpose()
        };
        let mut client = wire::connect(target)?;
        let (before, begun) = (used()?, Instant::now());
        for some in names.chunks(AT_ONCE) {
            wire::create_topics(&mut client, some, 1)?;
        }
        // Topics are made in order: the last one that leads is the end.
        wire::until_led(&mut client, &names[self.count - 1], 1)?;
        let seconds = begun.elapsed().as_secs_f64();
        let after = used()?;
        let begun = Instant::now();
        for some in names.chunks(AT_ONCE) {
            delete_topics(target, &some.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        let deleting = begun.elapsed().as_secs_f64();
        let count = self.count as f64;
        let growth = after
            .zip(before)
            .map(|(after, before)| (after.0 - before.0, after.1 - before.1));
        Ok(Measured::default()
            .with("ms_per_topic", seconds * 1e3 / count)
            .with("cpu_ms_per_topic", growth.map(|(cpu, _)| cpu * 1e3 / count))
            .with(
                "anonymous_kib_per_topic",
                growth.map(|(_, mib)| (mib * 1024.0 / count).max(0.0)),
            )
            .with("delete_ms_per_topic", deleting * 1e3 / count))
    }
}
