//! Topic keys, and the broker keys that set their defaults.

use super::definition::{Definition, definitions};

/// A broker key that a topic key falls back to, and the factor from its unit to that of the topic key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerSynonym {
    /// The broker key.
    pub name: &'static str,
    /// What its value is multiplied with, 1 if the units agree.
    pub factor: i64,
}

/// The broker keys that the topic key `name` falls back to; the first that has a value wins.
pub fn broker_synonyms(name: &str) -> &'static [BrokerSynonym] {
    let found = SYNONYMS.binary_search_by_key(&name, |(topic_key, _)| topic_key);
    found.map_or(&[], |index| SYNONYMS[index].1)
}

const MINUTES_MS: i64 = 60_000;
const HOURS_MS: i64 = 3_600_000;

macro_rules! synonyms {
    ($($topic_key:literal <- $($broker_key:literal $(* $factor:ident)?),+;)*) => {
        const SYNONYMS: &[(&str, &[BrokerSynonym])] = &[$((
            $topic_key,
            &[$(BrokerSynonym { name: $broker_key, factor: 1 $(* $factor)? },)+],
        ),)*];
    };
}

synonyms! {
    "cleanup.policy" <- "log.cleanup.policy";
    "compression.gzip.level" <- "compression.gzip.level";
    "compression.lz4.level" <- "compression.lz4.level";
    "compression.type" <- "compression.type";
    "compression.zstd.level" <- "compression.zstd.level";
    "delete.retention.ms" <- "log.cleaner.delete.retention.ms";
    "file.delete.delay.ms" <- "log.segment.delete.delay.ms";
    "flush.messages" <- "log.flush.interval.messages";
    "flush.ms" <- "log.flush.interval.ms", "log.flush.scheduler.interval.ms";
    "index.interval.bytes" <- "log.index.interval.bytes";
    "local.retention.bytes" <- "log.local.retention.bytes";
    "local.retention.ms" <- "log.local.retention.ms";
    "max.compaction.lag.ms" <- "log.cleaner.max.compaction.lag.ms";
    "max.decompressed.message.bytes" <- "max.decompressed.message.bytes";
    "max.message.bytes" <- "message.max.bytes";
    "message.timestamp.after.max.ms" <- "log.message.timestamp.after.max.ms";
    "message.timestamp.before.max.ms" <- "log.message.timestamp.before.max.ms";
    "message.timestamp.type" <- "log.message.timestamp.type";
    "min.cleanable.dirty.ratio" <- "log.cleaner.min.cleanable.ratio";
    "min.compaction.lag.ms" <- "log.cleaner.min.compaction.lag.ms";
    "min.insync.replicas" <- "min.insync.replicas";
    "preallocate" <- "log.preallocate";
    "remote.copy.lag.bytes" <- "log.remote.copy.lag.bytes";
    "remote.copy.lag.ms" <- "log.remote.copy.lag.ms";
    "retention.bytes" <- "log.retention.bytes";
    "retention.ms" <- "log.retention.ms", "log.retention.minutes" * MINUTES_MS, "log.retention.hours" * HOURS_MS;
    "segment.bytes" <- "log.segment.bytes";
    "segment.index.bytes" <- "log.index.size.max.bytes";
    "segment.jitter.ms" <- "log.roll.jitter.ms", "log.roll.jitter.hours" * HOURS_MS;
    "segment.ms" <- "log.roll.ms", "log.roll.hours" * HOURS_MS;
    "unclean.leader.election.enable" <- "unclean.leader.election.enable";
}

definitions! { TOPIC
    "cleanup.policy": List, "delete", ListOf(&["compact", "delete"]), Medium, ClusterWide,
        "How old segments go: delete drops them by age or size, compact keeps each key's last value; empty keeps all.";
    "compression.gzip.level": Int, "-1", BetweenOrMinusOne(1, 9), Medium, ClusterWide,
        "Level used when compression.type is gzip; -1 is the codec's own default.";
    "compression.lz4.level": Int, "9", Between(1, 17), Medium, ClusterWide,
        "Level used when compression.type is lz4.";
    "compression.type": String,
        "producer", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Medium, ClusterWide,
        "Codec in which batches are stored; producer keeps what the producer sent.";
    "compression.zstd.level": Int, "3", Between(-131_072, 22), Medium, ClusterWide,
        "Level used when compression.type is zstd.";
    "delete.retention.ms": Long, "86400000", AtLeast(0), Medium, ClusterWide,
        "How long a tombstone stays readable in a compacted topic after it was first cleaned.";
    "errors.deadletterqueue.group.enable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether share groups may use this topic as their dead letter queue (KIP-1191).";
    "file.delete.delay.ms": Long, "60000", AtLeast(0), Medium, ClusterWide,
        "Time between taking a segment out of the log and removing its files.";
    "flush.messages": Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide,
        "Records after which the log is flushed to disk; 1 makes every acknowledged append durable.";
    "flush.ms": Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide,
        "Longest time that a record may wait in memory before the log is flushed to disk.";
    "follower.replication.throttled.replicas": List, "", ThrottledReplicas, Medium, ClusterWide,
        "Replicas whose fetching is throttled, as partition:broker pairs, or * for all of them.";
    "index.interval.bytes": Int, "4096", AtLeast(0), Medium, ClusterWide,
        "Bytes of log between two entries of the offset index.";
    "leader.replication.throttled.replicas": List, "", ThrottledReplicas, Medium, ClusterWide,
        "Replicas whose serving is throttled on the leader, as partition:broker pairs, or * for all of them.";
    "local.retention.bytes": Long, "-2", AtLeast(-2), Medium, ClusterWide,
        "Bytes kept on local disk once segments are tiered; -2 means retention.bytes.";
    "local.retention.ms": Long, "-2", AtLeast(-2), Medium, ClusterWide,
        "Time for which segments stay on local disk once they are tiered; -2 means retention.ms.";
    "max.compaction.lag.ms": Long, "9223372036854775807", AtLeast(1), Medium, ClusterWide,
        "Longest time that a record may stay uncompacted.";
    "max.decompressed.message.bytes": Int, "2147483639", Between(1, 2_147_483_639), Medium, ClusterWide,
        "Largest size to which one batch may inflate.";
    "max.message.bytes": Int, "1048588", AtLeast(0), Medium, ClusterWide,
        "Largest record batch that is accepted, counted after compression.";
    "message.timestamp.after.max.ms": Long, "3600000", AtLeast(0), Medium, ClusterWide,
        "How far a record's timestamp may lie ahead of the broker's clock.";
    "message.timestamp.before.max.ms": Long, "9223372036854775807", AtLeast(0), Medium, ClusterWide,
        "How far a record's timestamp may lie behind the broker's clock.";
    "message.timestamp.type": String, "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide,
        "Whether records carry the producer's time (CreateTime) or the time of their append (LogAppendTime).";
    "min.cleanable.dirty.ratio": Double, "0.5", Between(0, 1), Medium, ClusterWide,
        "Share of the log that must be uncleaned before compaction looks at it.";
    "min.compaction.lag.ms": Long, "0", AtLeast(0), Medium, ClusterWide,
        "Time for which a record is safe from compaction.";
    "min.insync.replicas": Int, "1", AtLeast(1), Medium, ClusterWide,
        "Replicas that must have a record before acks=all is answered.";
    "preallocate": Boolean, "false", Any, Medium, ClusterWide,
        "Whether the file of a new segment is allocated in full at once.";
    "remote.copy.lag.bytes": Long, "-1", AtLeast(-1), Medium, ClusterWide,
        "Bytes by which tiering may stay behind before a closed segment is copied; -1 means local.retention.bytes.";
    "remote.copy.lag.ms": Long, "0", AtLeast(-1), Medium, ClusterWide,
        "Time for which a closed segment waits before it is tiered; -1 means local.retention.ms.";
    "remote.log.copy.disable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether tiered data become read-only: nothing new is copied away.";
    "remote.log.delete.on.disable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether tiered data are deleted when tiering is switched off for the topic.";
    "remote.storage.enable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether closed segments are tiered to remote storage.";
    "retention.bytes": Long, "-1", Any, Medium, ClusterWide,
        "Size per partition above which old segments are deleted; -1 is no limit.";
    "retention.ms": Long, "604800000", AtLeast(-1), Medium, ClusterWide,
        "Age above which segments are deleted; -1 is no limit.";
    "segment.bytes": Int, "1073741824", AtLeast(1_048_576), Medium, ClusterWide,
        "Size at which a segment is closed.";
    "segment.index.bytes": Int, "10485760", AtLeast(4), Medium, ClusterWide,
        "Largest size of an index file.";
    "segment.jitter.ms": Long, "0", AtLeast(0), Medium, ClusterWide,
        "Largest random time taken off segment.ms, so that segments are not all closed at once.";
    "segment.ms": Long, "604800000", AtLeast(1), Medium, ClusterWide,
        "Age at which a segment is closed even if it is not full.";
    "unclean.leader.election.enable": Boolean, "false", Any, Medium, ClusterWide,
        "Whether a replica outside the ISR may lead as a last resort, at the price of lost records.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigScope, definition};

    #[test]
    fn synonyms_join_keys_that_are_known_and_are_ascending() {
        assert!(SYNONYMS.is_sorted_by(|a, b| a.0 < b.0));
        for (topic_key, broker_keys) in SYNONYMS {
            assert!(definition(ConfigScope::Topic, topic_key).is_some(), "{topic_key}");
            for synonym in *broker_keys {
                assert!(
                    definition(ConfigScope::Broker, synonym.name).is_some(),
                    "{}",
                    synonym.name
                );
            }
        }
    }
}
