//! One member: reads, commits what it has read, and notes on its standard output what happens to it. It leaves when its
//! standard input ends.
//!
//! librdkafka of the classic protocol joins again as soon as it sees that topics or partitions have come, also while a
//! callback waits that is to tell its program what to give up or what it has been given (`run.sh witness` shows it, against
//! any broker). Others then have those partitions before the program knows. The client's log tells of it, and the member
//! notes `rejoined`.

use crate::{Result, now};
use rdkafka::{
    ClientContext, TopicPartitionList,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    message::Message,
    topic_partition_list::Offset,
};
use std::{
    collections::BTreeMap,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Records after which a member commits at the latest.
const BATCH: usize = 50;

#[derive(Default)]
struct Notes {
    /// Whether a callback waits. The client's log comes through the queue of the callbacks, before those that wait.
    is_pending: AtomicBool,
}

impl ClientContext for Notes {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        let is_pending = self.is_pending.load(Ordering::SeqCst);
        match facility {
            "ASSIGN" if text.contains(": delegating ") => self.is_pending.store(true, Ordering::SeqCst),
            "CGRPJOINSTATE" if text.contains("assign-call -> init") => {
                println!("{} rejoined {}", now(), if is_pending { "before" } else { "after" });
            }
            "SESSTMOUT" => println!("{} error {text}", now()),
            _ => {}
        }
    }
}

impl ConsumerContext for Notes {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let at = now();
        self.is_pending.store(false, Ordering::SeqCst);
        let (what, partitions) = match rebalance {
            Rebalance::Assign(partitions) => ("assigned", partitions),
            Rebalance::Revoke(partitions) if consumer.assignment_lost() => ("lost", partitions),
            Rebalance::Revoke(partitions) => ("revoked", partitions),
            Rebalance::Error(error) => {
                println!("{at} error {error}");
                return;
            }
        };
        let elements = partitions.elements();
        let named = elements
            .iter()
            .map(|each| format!(" {} {}", each.topic(), each.partition()));
        println!("{at} {what}{}", named.collect::<String>());
    }
}

pub(crate) fn run(group: &str, settings: &[&str]) -> Result {
    let is_leaving = Arc::new(AtomicBool::new(false));
    let told = is_leaving.clone();
    thread::spawn(move || {
        // Whatever ends it, the driver is gone or wants the member to go.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::SeqCst);
    });
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", std::env::var("BOOTSTRAP")?);
    config.set("group.id", group).set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest");
    config.set("topic.metadata.refresh.interval.ms", "1000");
    config.set("reconnect.backoff.max.ms", "500");
    config.set("debug", "cgrp").set_log_level(RDKafkaLogLevel::Debug);
    for setting in settings {
        let (key, value) = setting.split_once('=').ok_or("KEY=VALUE")?;
        config.set(key, value);
    }
    let consumer: BaseConsumer<Notes> = config.create_with_context(Notes::default())?;
    consumer.subscribe(&["^soak-.*"])?;
    while !is_leaving.load(Ordering::SeqCst) {
        let next = read(&consumer);
        if !next.is_empty() {
            commit(&consumer, next)?;
        }
    }
    println!("{} leaving", now());
    drop(consumer);
    Ok(())
}

/// Some records; returns where to go on.
fn read(consumer: &BaseConsumer<Notes>) -> BTreeMap<(String, i32), i64> {
    let mut next = BTreeMap::new();
    let mut patience = Duration::from_millis(200);
    for _ in 0..BATCH {
        match consumer.poll(patience) {
            None => break,
            // The client goes on by itself, or it ends and is missed.
            Some(Err(error)) => println!("{} error {error}", now()),
            Some(Ok(message)) => {
                let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
                println!("{} read {topic} {partition} {offset}", now());
                next.insert((topic.to_owned(), partition), offset + 1);
                patience = Duration::ZERO;
            }
        }
    }
    next
}

fn commit(consumer: &BaseConsumer<Notes>, next: BTreeMap<(String, i32), i64>) -> Result {
    let mut offsets = TopicPartitionList::new();
    for ((topic, partition), offset) in &next {
        offsets.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    let begun = now();
    match consumer.commit(&offsets, CommitMode::Sync) {
        Ok(()) => {
            for ((topic, partition), offset) in next {
                println!("{} committed {begun} {topic} {partition} {offset}", now());
            }
        }
        // What was given up since, or while the broker was away: whoever has it next reads it again.
        Err(error) => println!("{} refused {error}", now()),
    }
    Ok(())
}
