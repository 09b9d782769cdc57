//! Reads a topic from its beginning to its end, with librdkafka.

use super::{
    client::{consumer, properties},
    target::Target,
};
use anyhow::ensure;
use rdkafka::{Message, Offset, TopicPartitionList, consumer::Consumer};
use std::time::{Duration, Instant};

/// How long no record may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads all that lies before these ends, or until the time is up; returns how many bytes of values came.
///
/// # Errors
/// Records do not come.
pub fn read(target: &Target, topic: &str, ends: &[i64], until: Instant) -> anyhow::Result<u64> {
    read_at(target, topic, ends, until, f64::INFINITY)
}

/// The same at so many bytes a second at most.
///
/// # Errors
/// Records do not come.
pub fn read_at(
    target: &Target,
    topic: &str,
    ends: &[i64],
    until: Instant,
    bytes_per_second: f64,
) -> anyhow::Result<u64> {
    let own = properties([
        ("group.id", "ottla-bench-reader"),
        ("enable.auto.commit", "false"),
        ("queued.max.messages.kbytes", "65536"),
    ]);
    let consumer = consumer(target, &own)?;
    let mut all = TopicPartitionList::new();
    for partition in 0..ends.len() {
        all.add_partition_offset(topic, partition as i32, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let wanted: i64 = ends.iter().sum();
    let (mut received, mut bytes) = (0, 0);
    let (mut last, begun) = (Instant::now(), Instant::now());
    while received < wanted && Instant::now() < until {
        match consumer.poll(Duration::from_millis(100)) {
            Some(message) => {
                let message = message?;
                received += 1;
                bytes += message.payload().map_or(0, <[u8]>::len) as u64;
                last = Instant::now();
                let due = begun + Duration::from_secs_f64(bytes as f64 / bytes_per_second);
                std::thread::sleep(due.saturating_duration_since(last));
            }
            None => ensure!(
                last.elapsed() < PATIENCE,
                "{received} of {wanted} records came, and no more for {PATIENCE:?}"
            ),
        }
    }
    Ok(bytes)
}
