//! Members that join one group, in both protocols: until every partition has an owner, and what that costs.

use super::{Case, Needs, Scenario};
use crate::{
    core::{
        figure::Figure,
        plan::Plan,
        report::{CaseFacts, Measured, Setting},
    },
    shell::{
        bench::Bench,
        client::{consumer, create_topic, delete_topics, properties, until},
        offsets::Ends,
        target::Target,
    },
};
use rdkafka::consumer::Consumer;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

pub(super) const SCENARIO: Scenario = Scenario {
    name: "groups",
    asks: "How soon does a group of many new members have its partitions, and what does that cost?",
    needs: Needs::Nothing,
    cases,
};

const PATIENCE: Duration = Duration::from_secs(120);

struct Groups {
    protocol: &'static str,
    members: usize,
}

fn cases(plan: &Plan) -> Vec<Box<dyn Case>> {
    let members = plan.pick(20, 100);
    let case = |protocol| -> Box<dyn Case> { Box::new(Groups { protocol, members }) };
    ["consumer", "classic"].map(case).into()
}

/// A member that polls in a thread of its own and tells how many partitions it has.
struct Member {
    stop: Arc<AtomicBool>,
    owned: Arc<AtomicUsize>,
    polling: JoinHandle<()>,
}

impl Member {
    fn join(target: &Target, topic: &str, protocol: &str) -> anyhow::Result<Self> {
        let mut own = properties([("group.protocol", protocol), ("enable.auto.commit", "false")]);
        own.push(("group.id".to_owned(), topic.to_owned()));
        let consumer = consumer(target, &own)?;
        consumer.subscribe(&[topic])?;
        let (stop, owned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, tells) = (Arc::clone(&stop), Arc::clone(&owned));
        let polling = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // The topic is empty: what comes are events of the group.
                let _ = consumer.poll(Duration::from_millis(20));
                tells.store(
                    consumer.assignment().map_or(0, |owned| owned.count()),
                    Ordering::Relaxed,
                );
            }
        });
        Ok(Self { stop, owned, polling })
    }
}

impl Case for Groups {
    fn facts(&self) -> CaseFacts {
        CaseFacts {
            name: format!("{} members, protocol {}", self.members, self.protocol),
            settings: vec![
                Setting::new("group.protocol", self.protocol),
                Setting::new("partitions", self.members.to_string()),
                Setting::new("group.initial.rebalance.delay.ms", "0"),
                Setting::new("heartbeats and timeouts", "the defaults of broker and librdkafka"),
            ],
            figures: vec![
                Figure::less("seconds", "until every member has its partition", "s"),
                Figure::less("cpu_s", "broker CPU", "s"),
            ],
            axis: None,
        }
    }

    fn measure(&mut self, bench: &Bench, target: &mut Target) -> anyhow::Result<Measured> {
        let topic = bench.unique("groups");
        create_topic(target, &topic, self.members as i32, &[])?;
        Ends::of(target, &topic, self.members as i32)?;
        let process = target.process();
        let before = process.map(|process| process.cpu_seconds()).transpose()?;
        let begun = Instant::now();
        let members = (0..self.members).map(|_| Member::join(target, &topic, self.protocol));
        let members = members.collect::<anyhow::Result<Vec<_>>>()?;
        let is_shared_out = || members.iter().all(|member| member.owned.load(Ordering::Relaxed) == 1);
        let shared_out = until(PATIENCE, "every member to have its partition", || {
            Ok(is_shared_out().then(|| begun.elapsed()))
        });
        let after = process.map(|process| process.cpu_seconds()).transpose()?;
        for member in &members {
            member.stop.store(true, Ordering::Relaxed);
        }
        for member in members {
            member
                .polling
                .join()
                .map_err(|_| anyhow::anyhow!("a member's thread has panicked"))?;
        }
        delete_topics(target, &[&topic])?;
        Ok(Measured::default()
            .with("seconds", shared_out?.as_secs_f64())
            .with("cpu_s", after.zip(before).map(|(after, before)| after - before)))
    }
}
