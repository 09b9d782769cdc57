//! End offsets, asked of the broker.

use super::{
    client::{consumer, properties, until},
    target::Target,
};
use crate::core::growth::Look;
use anyhow::{Context, bail};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::time::{Duration, Instant};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// The end of all partitions of a topic, looked at with a connection of its own.
pub struct Ends {
    consumer: BaseConsumer,
    asked: TopicPartitionList,
    begun: Instant,
}

impl Ends {
    /// Looks at this topic once all its partitions lead.
    ///
    /// # Errors
    /// They do not lead.
    pub fn of(target: &Target, topic: &str, partitions: i32) -> anyhow::Result<Self> {
        // Records of open transactions are appended too.
        let own = properties([
            ("group.id", "ottla-bench-ends"),
            ("isolation.level", "read_uncommitted"),
        ]);
        let consumer = consumer(target, &own)?;
        let mut asked = TopicPartitionList::new();
        for partition in 0..partitions {
            // As a time, this is the end (ListOffsets, timestamp -1).
            asked.add_partition_offset(topic, partition, Offset::End)?;
        }
        let ends = Self {
            consumer,
            asked,
            begun: Instant::now(),
        };
        until(PATIENCE, "all partitions to lead", || {
            // A broker that makes thousands tells of some first, and the client would believe that for minutes.
            ends.consumer.fetch_metadata(Some(topic), PATIENCE)?;
            ends.sum().map(Some)
        })?;
        Ok(ends)
    }

    /// The sum over all partitions.
    ///
    /// # Errors
    /// One has none to tell.
    pub fn sum(&self) -> anyhow::Result<i64> {
        Ok(self.each()?.iter().sum())
    }

    /// By partition, once nothing is appended any more: what was under way may come after its producer has ended, as
    /// the markers of a transaction do.
    ///
    /// # Errors
    /// They go on growing, or cannot be told.
    pub fn at_rest(&self) -> anyhow::Result<Vec<i64>> {
        let mut each = self.each()?;
        until(PATIENCE, "the topic to come to rest", || {
            std::thread::sleep(Duration::from_millis(100));
            let again = self.each()?;
            let is_at_rest = again == each;
            each.clone_from(&again);
            Ok(is_at_rest.then_some(again))
        })
    }

    /// By partition.
    ///
    /// # Errors
    /// One has none to tell.
    pub fn each(&self) -> anyhow::Result<Vec<i64>> {
        let answered = self
            .consumer
            .offsets_for_times(self.asked.clone(), PATIENCE)
            .context("the broker does not tell its end offsets")?;
        let mut ends = vec![0; self.asked.count()];
        for element in answered.elements() {
            element.error()?;
            let place = usize::try_from(element.partition())
                .ok()
                .and_then(|partition| ends.get_mut(partition));
            *place.context("a partition that was not asked for")? = match element.offset() {
                Offset::Offset(end) => end,
                // What was asked still stands there: a partition without an answer must not count as an empty one.
                other => bail!("partition {} has {other:?} for an end", element.partition()),
            };
        }
        Ok(ends)
    }

    /// The end and the broker's processor time, at this moment.
    ///
    /// # Errors
    /// Either cannot be told.
    pub fn look(&self, target: &Target) -> anyhow::Result<Look> {
        let end_offset = self.sum()?;
        let cpu_seconds = target.process().map(|process| process.cpu_seconds()).transpose()?;
        Ok(Look {
            at: self.begun.elapsed(),
            end_offset,
            cpu_seconds,
        })
    }
}
