//! The values of one topic, typed, as its logs need them.

use super::{ConfigScope, ConfigValues, Layers, Value, definition};

/// What becomes of old segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CleanupPolicy {
    /// Segments are deleted by age and size.
    pub delete: bool,
    /// The last value of each key is kept.
    pub compact: bool,
}

/// In which form batches are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer sent them.
    Producer,
    /// Not compressed.
    Uncompressed,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Which time records carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// That of the append.
    LogAppendTime,
}

macro_rules! topic_config {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $key:literal as $read:ident;)*) => {
        /// Every value of a topic that its logs, its leader and its readers work with, in the key's own unit.
        #[derive(Clone, Debug, PartialEq)]
        pub struct TopicConfig {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl TopicConfig {
            /// The values that count for a topic with these overrides.
            pub fn resolve(overrides: &ConfigValues, layers: Layers<'_>) -> Self {
                Self { $($field: $read($key, overrides, layers),)* }
            }
        }
    };
}

topic_config! {
    /// Which cleaning applies; none of both keeps everything.
    cleanup_policy: CleanupPolicy = "cleanup.policy" as policy;
    /// In which form batches are stored.
    compression_type: CompressionType = "compression.type" as compression;
    /// Level of gzip.
    compression_gzip_level: i32 = "compression.gzip.level" as int;
    /// Level of LZ4.
    compression_lz4_level: i32 = "compression.lz4.level" as int;
    /// Level of Zstandard.
    compression_zstd_level: i32 = "compression.zstd.level" as int;
    /// How long tombstones stay readable.
    delete_retention_ms: i64 = "delete.retention.ms" as long;
    /// Time between dropping a segment and removing its files.
    file_delete_delay_ms: i64 = "file.delete.delay.ms" as long;
    /// Records between two flushes.
    flush_messages: i64 = "flush.messages" as long;
    /// Longest time without a flush.
    flush_ms: i64 = "flush.ms" as long;
    /// Bytes between two entries of the offset index.
    index_interval_bytes: i32 = "index.interval.bytes" as int;
    /// Bytes kept locally of a tiered log; -2 follows `retention_bytes`.
    local_retention_bytes: i64 = "local.retention.bytes" as long;
    /// Time kept locally of a tiered log; -2 follows `retention_ms`.
    local_retention_ms: i64 = "local.retention.ms" as long;
    /// Longest time that a record stays uncompacted.
    max_compaction_lag_ms: i64 = "max.compaction.lag.ms" as long;
    /// Largest size to which a batch may inflate.
    max_decompressed_message_bytes: i32 = "max.decompressed.message.bytes" as int;
    /// Largest batch that is accepted.
    max_message_bytes: i32 = "max.message.bytes" as int;
    /// How far ahead of the clock a timestamp may be.
    message_timestamp_after_max_ms: i64 = "message.timestamp.after.max.ms" as long;
    /// How far behind the clock a timestamp may be.
    message_timestamp_before_max_ms: i64 = "message.timestamp.before.max.ms" as long;
    /// Which time records carry.
    message_timestamp_type: TimestampType = "message.timestamp.type" as timestamp;
    /// Share of the log that must be dirty before it is compacted.
    min_cleanable_dirty_ratio: f64 = "min.cleanable.dirty.ratio" as double;
    /// Time for which a record is safe from compaction.
    min_compaction_lag_ms: i64 = "min.compaction.lag.ms" as long;
    /// In-sync replicas that acks=all needs.
    min_insync_replicas: i32 = "min.insync.replicas" as int;
    /// Whether files are allocated in full.
    preallocate: bool = "preallocate" as flag;
    /// Whether segments are tiered.
    remote_storage_enable: bool = "remote.storage.enable" as flag;
    /// Size above which segments are deleted; -1 is no limit.
    retention_bytes: i64 = "retention.bytes" as long;
    /// Age above which segments are deleted; -1 is no limit.
    retention_ms: i64 = "retention.ms" as long;
    /// Size at which a segment is closed.
    segment_bytes: i32 = "segment.bytes" as int;
    /// Largest size of an index file.
    segment_index_bytes: i32 = "segment.index.bytes" as int;
    /// Largest random time taken off `segment_ms`.
    segment_jitter_ms: i64 = "segment.jitter.ms" as long;
    /// Age at which a segment is closed.
    segment_ms: i64 = "segment.ms" as long;
    /// Whether a replica outside the ISR may lead.
    unclean_leader_election_enable: bool = "unclean.leader.election.enable" as flag;
}

fn value(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> Value {
    let key = definition(ConfigScope::Topic, name).expect("every field names a topic key");
    layers
        .topic_value(overrides, key)
        .0
        .expect("no topic key has a null default")
}

fn long(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> i64 {
    value(name, overrides, layers)
        .as_number()
        .expect("the field's key is a number")
}

fn int(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> i32 {
    i32::try_from(long(name, overrides, layers)).expect("the field's key is of type int")
}

fn double(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> f64 {
    value(name, overrides, layers)
        .as_double()
        .expect("the field's key is a number")
}

fn flag(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> bool {
    value(name, overrides, layers)
        .as_bool()
        .expect("the field's key is a boolean")
}

fn policy(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> CleanupPolicy {
    let value = value(name, overrides, layers);
    let has = |policy: &str| {
        value
            .as_list()
            .is_some_and(|items| items.iter().any(|item| item == policy))
    };
    CleanupPolicy {
        delete: has("delete"),
        compact: has("compact"),
    }
}

fn compression(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> CompressionType {
    match value(name, overrides, layers).as_text() {
        Some("uncompressed") => CompressionType::Uncompressed,
        Some("gzip") => CompressionType::Gzip,
        Some("snappy") => CompressionType::Snappy,
        Some("lz4") => CompressionType::Lz4,
        Some("zstd") => CompressionType::Zstd,
        _ => CompressionType::Producer,
    }
}

fn timestamp(name: &str, overrides: &ConfigValues, layers: Layers<'_>) -> TimestampType {
    match value(name, overrides, layers).as_text() {
        Some("LogAppendTime") => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_without_settings_has_kafkas_defaults() {
        let topic = TopicConfig::resolve(&ConfigValues::new(), Layers::defaults());
        assert_eq!(
            topic.cleanup_policy,
            CleanupPolicy {
                delete: true,
                compact: false
            }
        );
        assert_eq!(topic.compression_type, CompressionType::Producer);
        assert_eq!((topic.segment_bytes, topic.retention_ms), (1 << 30, 7 * 24 * 3_600_000));
        assert_eq!(topic.message_timestamp_type, TimestampType::CreateTime);
    }

    #[test]
    fn settings_of_the_topic_come_first_and_nonsense_is_passed_over() {
        let overrides = ConfigValues::from([
            ("cleanup.policy".into(), "compact".into()),
            ("segment.bytes".into(), "many".into()),
        ]);
        let file = ConfigValues::from([("log.segment.bytes".into(), "2097152".into())]);
        let topic = TopicConfig::resolve(
            &overrides,
            Layers {
                file: &file,
                ..Layers::defaults()
            },
        );
        assert_eq!(
            topic.cleanup_policy,
            CleanupPolicy {
                delete: false,
                compact: true
            }
        );
        assert_eq!(topic.segment_bytes, 2 << 20);
    }
}
