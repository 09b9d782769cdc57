//! One partition: its log, who leads it, who waits for it.

use super::flushing::{FlushWait, Flushing};
use crate::{
    config::TopicSettings,
    fetching::{diverging, partition_data},
    waiting::Interested,
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use ottla_protocol::{
    ErrorCode, Str,
    ids::{LeaderEpoch, NodeId, Offset, TimestampMs, Uuid},
    messages::{
        fetch_request::FetchPartition,
        fetch_response::{AbortedTransaction, PartitionData},
    },
    records::{ProduceError, validate_produce},
};
use ottla_storage::{Append, AppendError, AppendOrigin, Appended, DeleteRecordsError, Log, ReadError};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering},
    },
};

/// One partition that has a log here.
pub(crate) struct Partition {
    pub(crate) topic: Str,
    pub(crate) topic_id: Uuid,
    pub(crate) index: i32,
    pub(crate) log: Log,
    pub(crate) interested: Interested,
    pub(super) flushing: Flushing,
    pub(super) settings: ArcSwap<TopicSettings>,
    /// `flush.messages`, apart from the other settings: each append looks at it.
    flush_messages: AtomicI64,
    leader: AtomicI32,
    leader_epoch: AtomicI32,
    is_gone: AtomicBool,
}

/// Where an append ended up.
pub(crate) struct Placed {
    pub(crate) appended: Appended,
    /// It counts only when it is on disk: wait for that before anybody is told.
    pub(crate) flush: Option<FlushWait>,
}

/// Why a produce to one partition failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProduceFailure {
    #[error(transparent)]
    Invalid(#[from] ProduceError),
    #[error(transparent)]
    NotAppended(#[from] AppendError),
}

impl Partition {
    pub(crate) fn new(topic: Str, topic_id: Uuid, index: i32, log: Log, settings: Arc<TopicSettings>) -> Self {
        // One replica: what is in the log is on every in-sync replica.
        log.set_high_watermark(log.log_end_offset());
        Self {
            topic,
            topic_id,
            index,
            log,
            interested: Interested::default(),
            flushing: Flushing::new(),
            flush_messages: AtomicI64::new(settings.topic.flush_messages),
            settings: ArcSwap::new(settings),
            leader: AtomicI32::new(NodeId::NONE.0),
            leader_epoch: AtomicI32::new(LeaderEpoch::NONE.0),
            is_gone: AtomicBool::new(false),
        }
    }

    /// Who leads, and since which epoch.
    pub(crate) fn leader(&self) -> (NodeId, LeaderEpoch) {
        (
            NodeId(self.leader.load(Ordering::Acquire)),
            LeaderEpoch(self.leader_epoch.load(Ordering::Acquire)),
        )
    }

    pub(crate) fn set_leader(&self, leader: NodeId, epoch: LeaderEpoch) {
        self.leader.store(leader.0, Ordering::Release);
        self.leader_epoch.store(epoch.0, Ordering::Release);
    }

    /// Whether DeleteRecords is allowed here.
    pub(crate) fn may_delete_records(&self) -> bool {
        self.settings.load().may_delete_records()
    }

    /// `min.cleanable.dirty.ratio`.
    pub(crate) fn min_cleanable_dirty_ratio(&self) -> f64 {
        self.settings.load().topic.min_cleanable_dirty_ratio
    }

    /// Takes over the settings of the topic, which its partitions share.
    pub(crate) fn set_settings(&self, settings: Arc<TopicSettings>) {
        self.log.set_config(settings.log_config());
        self.flush_messages
            .store(settings.topic.flush_messages, Ordering::Relaxed);
        self.settings.store(settings);
    }

    /// The topic has been deleted: nothing is appended any more, and waiting fetches look again.
    pub(crate) fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.log.take_offline();
        self.interested.wake();
    }

    /// Whether the topic has been deleted.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Compares the leader epoch that a client believes in (KIP-320); -1 says that it does not know.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH below the current one, UNKNOWN_LEADER_EPOCH above it.
    pub(crate) fn check_leader_epoch(&self, believed: i32) -> Result<(), ErrorCode> {
        let current = self.leader().1.0;
        match believed {
            believed if believed < 0 || believed == current => Ok(()),
            believed if believed < current => Err(ErrorCode::FencedLeaderEpoch),
            _ => Err(ErrorCode::UnknownLeaderEpoch),
        }
    }

    /// The offset after the last one that a consumer may read.
    pub(crate) fn readable_end(&self, is_read_committed: bool) -> Offset {
        if is_read_committed {
            self.log.last_stable_offset()
        } else {
            self.log.high_watermark()
        }
    }

    /// Checks and appends what a producer sent.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(crate) fn produce(self: &Arc<Self>, records: Bytes, allow_zstd: bool) -> Result<Placed, ProduceFailure> {
        let now_ms = crate::clock::now_ms();
        let settings = self.settings.load();
        let validated = validate_produce(records, &settings.produce_rules(now_ms, allow_zstd))?;
        let append = Append {
            batches: &validated.batch,
            leader_epoch: self.leader().1,
            origin: AppendOrigin::Client,
            now_ms,
            log_append_time: validated.log_append_time,
        };
        Ok(self.append(append)?)
    }

    /// Appends, and lets every fetch that waits know: at once, or when it is on disk.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(crate) fn append(self: &Arc<Self>, append: Append<'_>) -> Result<Placed, AppendError> {
        let appended = self.log.append(append)?;
        let end_offset = appended.last_offset + 1;
        let flush = self.must_flush(end_offset).then(|| self.begin_flush(end_offset));
        if flush.is_none() {
            self.publish(end_offset);
        }
        Ok(Placed { appended, flush })
    }

    /// Whether `flush.messages` records or more before `end_offset` are not on disk.
    fn must_flush(&self, end_offset: Offset) -> bool {
        let flush_messages = self.flush_messages.load(Ordering::Relaxed);
        flush_messages != i64::MAX && end_offset - self.log.recovery_point() >= flush_messages
    }

    /// What is before `end_offset` may be read. The leader is the whole in-sync set: its log end is the high watermark.
    pub(super) fn publish(&self, end_offset: Offset) {
        self.log.set_high_watermark(end_offset);
        self.interested.wake();
    }

    /// Appends what a coordinator wrote. It is committed when the high watermark has passed it.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(crate) fn append_internal(
        self: &Arc<Self>,
        batches: &[u8],
        now_ms: TimestampMs,
    ) -> Result<Appended, AppendError> {
        let placed = self.append(Append {
            batches,
            leader_epoch: self.leader().1,
            origin: AppendOrigin::Coordinator,
            now_ms,
            log_append_time: None,
        })?;
        Ok(placed.appended)
    }

    /// Moves the log start offset, and lets followers and consumers that wait know.
    ///
    /// # Errors
    /// The offset is out of range, or the disk refused.
    pub(crate) fn delete_records_before(&self, offset: Offset) -> Result<(), DeleteRecordsError> {
        self.log.delete_records_before(offset)?;
        self.interested.wake();
        Ok(())
    }

    /// What a fetch gets: at most `room` bytes and its own limit, but a first batch whole (KIP-74).
    ///
    /// # Errors
    /// The code for the client.
    pub(crate) fn look(
        &self,
        asked: &FetchPartition,
        is_read_committed: bool,
        room: usize,
        is_first: bool,
    ) -> Result<PartitionData, ErrorCode> {
        self.check_leader_epoch(asked.current_leader_epoch)?;
        let end = self.readable_end(is_read_committed);
        let (high_watermark, last_stable) = (self.log.high_watermark(), self.log.last_stable_offset());
        let data = partition_data(high_watermark, last_stable, self.log.log_start_offset(), Bytes::new());
        if let Some((epoch, end_offset)) = self.divergence(asked) {
            return Ok(diverging(data, epoch, end_offset));
        }
        let max_bytes = room.min(asked.partition_max_bytes.max(0) as usize);
        let slice = match self.log.read(asked.fetch_offset, end, max_bytes, is_first) {
            Ok(slice) => slice,
            Err(ReadError::OffsetOutOfRange { .. }) => return Err(ErrorCode::OffsetOutOfRange),
            Err(error @ ReadError::Storage(_)) => return Err(self.storage_fault(&error)),
        };
        let records = slice.records.into_bytes().map_err(|error| self.storage_fault(&error))?;
        let read = asked.fetch_offset..slice.next_offset;
        let aborted_transactions = is_read_committed.then(|| self.aborted_in(read)).transpose()?;
        Ok(PartitionData {
            records: Some(records),
            aborted_transactions,
            ..data
        })
    }

    /// What a consumer must skip in these offsets (KIP-98).
    fn aborted_in(&self, offsets: Range<Offset>) -> Result<Vec<AbortedTransaction>, ErrorCode> {
        let found = self.log.aborted_transactions(offsets.start, offsets.end);
        let found = found.map_err(|error| self.storage_fault(&error))?;
        let listed = found.into_iter().map(|aborted| AbortedTransaction {
            producer_id: aborted.producer_id.0,
            first_offset: aborted.first_offset,
        });
        Ok(listed.collect())
    }

    /// Where this log leaves the one that the client has read, if it does.
    fn divergence(&self, asked: &FetchPartition) -> Option<(i32, Offset)> {
        if asked.last_fetched_epoch < 0 {
            return None;
        }
        let last_fetched = LeaderEpoch(asked.last_fetched_epoch);
        let Some(end) = self.log.end_offset_for_epoch(last_fetched) else {
            return Some((-1, -1));
        };
        let diverges = end.epoch < last_fetched || end.end_offset < asked.fetch_offset;
        diverges.then_some((end.epoch.0, end.end_offset))
    }

    /// Logs what the disk said, once, and gives the code for the client.
    pub(crate) fn storage_fault(&self, error: &dyn std::error::Error) -> ErrorCode {
        tracing::error!(topic = %self.topic, partition = self.index, error = %error, "the log cannot be used");
        ErrorCode::KafkaStorageError
    }
}
