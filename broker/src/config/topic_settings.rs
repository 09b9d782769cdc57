//! The settings of one topic, as its partitions use them.

use ottla_protocol::{
    ids::TimestampMs,
    records::{Codec, Compression, ProduceRules, TimestampType, TopicCompression},
};
use ottla_replication::config::{
    CompressionType, ConfigValues, Layers, TimestampType as ConfiguredTimestamp, TopicConfig, Value,
};
use ottla_storage::LogConfig;
use std::time::Duration;

/// The most that one batch may inflate to where it is looked at, whatever `max.decompressed.message.bytes` allows,
/// whose default is 2 GiB: inflated records are held as a whole, by each thread that looks at a batch.
const INFLATED_BYTES_MAX: usize = 128 << 20;

/// A topic's configuration with what the broker's own settings add.
#[derive(Clone, Debug)]
pub(crate) struct TopicSettings {
    pub(crate) topic: TopicConfig,
    /// `producer.id.expiration.ms`, a broker key.
    pub(crate) producer_id_expiration_ms: i64,
    /// `transaction.partition.verification.enable`, a broker key.
    pub(crate) verifies_transactions: bool,
}

impl TopicSettings {
    /// What counts for a topic with these overrides.
    pub(crate) fn resolve(overrides: &ConfigValues, layers: Layers<'_>) -> Self {
        Self {
            topic: TopicConfig::resolve(overrides, layers),
            producer_id_expiration_ms: layers.broker_number("producer.id.expiration.ms"),
            verifies_transactions: layers.broker_value("transaction.partition.verification.enable")
                != Some(Value::Boolean(false)),
        }
    }

    /// What the log obeys.
    pub(crate) fn log_config(&self) -> LogConfig {
        let size = |bytes: i32| u64::try_from(bytes).unwrap_or(0);
        LogConfig {
            segment_bytes: size(self.topic.segment_bytes),
            segment_ms: self.topic.segment_ms,
            segment_jitter_ms: self.topic.segment_jitter_ms,
            segment_index_bytes: size(self.topic.segment_index_bytes),
            index_interval_bytes: size(self.topic.index_interval_bytes),
            is_deleted: self.topic.cleanup_policy.delete,
            is_compacted: self.topic.cleanup_policy.compact,
            retention_ms: self.topic.retention_ms,
            retention_bytes: self.topic.retention_bytes,
            delete_retention_ms: self.topic.delete_retention_ms,
            min_compaction_lag_ms: self.topic.min_compaction_lag_ms,
            max_compaction_lag_ms: self.topic.max_compaction_lag_ms,
            file_delete_delay_ms: self.topic.file_delete_delay_ms,
            producer_id_expiration_ms: self.producer_id_expiration_ms,
        }
    }

    /// `flush.ms`; `None` where nothing is flushed by time.
    pub(crate) fn flush_interval(&self) -> Option<Duration> {
        match self.topic.flush_ms {
            i64::MAX => None,
            flush_ms => Some(Duration::from_millis(u64::try_from(flush_ms).unwrap_or(0))),
        }
    }

    /// What a producer's batch is held against, apart from what its request allows.
    pub(crate) fn produce_rules(&self, now_ms: TimestampMs) -> ProduceRules {
        let size = |bytes: i32| usize::try_from(bytes).unwrap_or(0);
        ProduceRules {
            max_message_bytes: size(self.topic.max_message_bytes),
            max_inflated_bytes: size(self.topic.max_decompressed_message_bytes).min(INFLATED_BYTES_MAX),
            timestamp_type: match self.topic.message_timestamp_type {
                ConfiguredTimestamp::CreateTime => TimestampType::CreateTime,
                ConfiguredTimestamp::LogAppendTime => TimestampType::LogAppendTime,
            },
            timestamp_before_max_ms: self.topic.message_timestamp_before_max_ms,
            timestamp_after_max_ms: self.topic.message_timestamp_after_max_ms,
            now_ms,
            is_compacted: self.topic.cleanup_policy.compact,
            compression: self.compression(),
            allow_transactional: false,
            allow_zstd: false,
            inspect_all: false,
        }
    }

    fn compression(&self) -> TopicCompression {
        let (compression, level) = match self.topic.compression_type {
            CompressionType::Producer => return TopicCompression::Producer,
            CompressionType::Uncompressed => (Compression::None, 0),
            CompressionType::Snappy => (Compression::Snappy, 0),
            CompressionType::Gzip => (Compression::Gzip, self.topic.compression_gzip_level),
            CompressionType::Lz4 => (Compression::Lz4, self.topic.compression_lz4_level),
            CompressionType::Zstd => (Compression::Zstd, self.topic.compression_zstd_level),
        };
        TopicCompression::Codec(Codec { compression, level })
    }

    /// Whether DeleteRecords is allowed: not on a topic that is only compacted.
    pub(crate) fn may_delete_records(&self) -> bool {
        self.topic.cleanup_policy.delete || !self.topic.cleanup_policy.compact
    }
}
