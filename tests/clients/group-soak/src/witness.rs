//! Shows that librdkafka joins a group again before its program has given up what it has, whatever the broker is.
//!
//! One member is called to rejoin, and its program does not look for callbacks. As soon as its client sees that a partition
//! has come it sends a JoinGroup all the same, and the coordinator gives the other member what the first one still has.
//! librdkafka 2.12.1, `rd_kafka_cgrp_metadata_update_check`: unlike its other callers it does not ask whether a rebalance is
//! going on. When this fails, a client that waits has come, and the judge need not look for `rejoined` any more.

use crate::Result;
use futures_executor::block_on;
use rdkafka::{
    ClientContext,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
};
use std::{
    collections::BTreeSet,
    env,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

const TOPIC: &str = "witness";
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two partitions that come: longer than the client takes to see one.
const PACE: Duration = Duration::from_secs(3);

/// What its program has been told that it has.
#[derive(Default)]
struct Told(Mutex<BTreeSet<i32>>);

impl Told {
    fn partitions(&self) -> MutexGuard<'_, BTreeSet<i32>> {
        self.0.lock().expect("no thread has panicked")
    }
}

impl ClientContext for Told {}

impl ConsumerContext for Told {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut partitions = self.partitions();
        partitions.clear();
        if let Rebalance::Assign(assigned) = rebalance {
            partitions.extend(assigned.elements().iter().map(|each| each.partition()));
        }
    }
}

fn member() -> Result<BaseConsumer<Told>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", env::var("BOOTSTRAP")?);
    config
        .set("group.id", TOPIC)
        .set("partition.assignment.strategy", "range");
    config
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500");
    config.set("topic.metadata.refresh.interval.ms", "1000");
    let member: BaseConsumer<Told> = config.create_with_context(Told::default())?;
    member.subscribe(&[TOPIC])?;
    Ok(member)
}

/// Has the member look for callbacks until it has something; `meanwhile` is called again and again.
fn until_it_has(member: &BaseConsumer<Told>, mut meanwhile: impl FnMut() -> Result) -> Result {
    let begin = Instant::now();
    while member.context().partitions().is_empty() {
        if begin.elapsed() > PATIENCE {
            return Err("it was given nothing".into());
        }
        // There is nothing to read.
        let _ = member.poll(Duration::from_millis(100));
        meanwhile()?;
    }
    Ok(())
}

pub(crate) fn run() -> Result {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", env::var("BOOTSTRAP")?)
        .create()?;
    let options = AdminOptions::new();
    let mut count = 4;
    let topic = NewTopic::new(TOPIC, count, TopicReplication::Fixed(1));
    block_on(admin.create_topics([&topic], &options))?;
    let busy = member()?;
    until_it_has(&busy, || Ok(()))?;
    let other = member()?;
    let mut last = Instant::now();
    let given = until_it_has(&other, || {
        if last.elapsed() > PACE {
            last = Instant::now();
            count += 1;
            let more = NewPartitions::new(TOPIC, usize::try_from(count)?);
            block_on(admin.create_partitions([&more], &options))?;
        }
        Ok(())
    });
    let (first, second) = (
        busy.context().partitions().clone(),
        other.context().partitions().clone(),
    );
    let both: Vec<&i32> = first.intersection(&second).collect();
    match given {
        Ok(()) if !both.is_empty() => {
            println!(
                "PASS the client joined again for a program that has {first:?}: the other one was given {second:?}"
            );
            println!("1 passed, 0 failed");
            Ok(())
        }
        _ => Err("the client waited for its program".into()),
    }
}
