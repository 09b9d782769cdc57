//! What can be set for one log.

use ottla_protocol::ids::{Offset, TimestampMs, Uuid};

/// The part of a topic's configuration that its log obeys; names and defaults are Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is rolled before it gets larger.
    pub segment_bytes: u64,
    /// `segment.ms`: a segment with data is rolled before it gets older.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: so much earlier at most, so that not all partitions roll at once.
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when an index would get larger.
    pub segment_index_bytes: u64,
    /// `index.interval.bytes`: an index entry for each such piece of log.
    pub index_interval_bytes: u64,
    /// `cleanup.policy` has `delete`: retention by time and size applies.
    pub is_deleted: bool,
    /// `cleanup.policy` has `compact`.
    pub is_compacted: bool,
    /// `retention.ms`; negative: for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative: no limit.
    pub retention_bytes: i64,
    /// `delete.retention.ms`: so long after compaction could first have removed it a tombstone stays.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: a record is not compacted before it is so old.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record is compacted when it is older.
    pub max_compaction_lag_ms: i64,
    /// `file.delete.delay.ms`: files of deleted segments stay so long for those who still read them.
    pub file_delete_delay_ms: i64,
    /// `producer.id.expiration.ms`: a producer is forgotten so long after its last batch.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        const HOUR_MS: i64 = 3_600_000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 168 * HOUR_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            is_deleted: true,
            is_compacted: false,
            retention_ms: 168 * HOUR_MS,
            retention_bytes: -1,
            delete_retention_ms: 24 * HOUR_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            file_delete_delay_ms: 60_000,
            producer_id_expiration_ms: 24 * HOUR_MS,
        }
    }
}

/// How a log is opened: what its directory does not say itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The configuration, until [`crate::Log::set_config`].
    pub config: LogConfig,
    /// The topic id that `partition.metadata` must have, written there if it is missing. `None`: do not look.
    pub topic_id: Option<Uuid>,
    /// Whether the log was closed before: then its files are taken as they are.
    pub is_clean: bool,
    /// From the checkpoint: up to here the log was on disk, so after an unclean stop only what follows is checked.
    pub recovery_point: Offset,
    /// From the checkpoint: where the log starts. The first segment's base offset if that is higher.
    pub log_start_offset: Offset,
    /// From the checkpoint; taken as close as the log allows.
    pub high_watermark: Offset,
    /// Whether the machine was started anew since the log was last used: what was not flushed may be lost, and nobody was
    /// promised that it is not. Without it a log that ends below its high watermark is damaged.
    pub has_lost_power: bool,
    /// Whether a log that has lost records which were committed, or on disk, is cut to what is left of it. Otherwise it
    /// is not opened ([`crate::OpenError::Damaged`]).
    pub accepts_loss: bool,
    /// From the checkpoint: up to where the log has been compacted, if it ever was.
    pub cleaned_up_to: Option<Offset>,
    /// The time.
    pub now_ms: TimestampMs,
}

impl LogOptions {
    /// Up to where the log must reach because of what was committed.
    pub(crate) fn promised_high_watermark(&self) -> Offset {
        match self.has_lost_power {
            true => self.high_watermark.min(self.recovery_point),
            false => self.high_watermark,
        }
    }
}

impl Default for LogOptions {
    /// A log that nothing is known of: all of it is checked.
    fn default() -> Self {
        Self {
            config: LogConfig::default(),
            topic_id: None,
            is_clean: false,
            recovery_point: 0,
            log_start_offset: 0,
            high_watermark: 0,
            has_lost_power: false,
            accepts_loss: false,
            cleaned_up_to: None,
            now_ms: 0,
        }
    }
}
