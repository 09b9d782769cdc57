//! One partition: its log, who leads it, who waits for it.

use super::flushing::{FlushWait, Flushing};
use crate::{
    config::TopicSettings,
    fetching::{Answer, ColdRead, Limits, NoAnswer, diverging, partition_data},
    log_store::{Home, Occasion},
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
};
use ottla_storage::{
    Append, AppendError, AppendOrigin, Appended, DeleteRecordsError, Log, ReadError, Records, StorageError,
    TopicPartition, TransactionCheck, disk::without_waiting,
};
use std::{
    ops::Deref,
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
    /// Moving the log to another directory puts another one here.
    home: ArcSwap<Home>,
    pub(crate) interested: Interested,
    pub(super) flushing: Flushing,
    pub(super) settings: ArcSwap<TopicSettings>,
    /// `flush.messages`, apart from the other settings: each append looks at it.
    flush_messages: AtomicI64,
    leader: AtomicI32,
    leader_epoch: AtomicI32,
    is_gone: AtomicBool,
    /// A copy of the log is being made in another directory.
    is_moving: AtomicBool,
    complaints: Occasion,
}

/// The log as it is where it lies now.
pub(crate) struct CurrentLog(arc_swap::Guard<Arc<Home>>);

impl Deref for CurrentLog {
    type Target = Log;

    fn deref(&self) -> &Log {
        &self.0.log
    }
}

/// Where an append ended up.
pub(crate) struct Placed {
    pub(crate) appended: Appended,
    /// It counts only when it is on disk: wait for that before anybody is told.
    pub(crate) flush: Option<FlushWait>,
}

/// What a consumer must skip (KIP-98), as the wire has it.
fn told(aborted: Vec<ottla_storage::AbortedTransaction>) -> Vec<AbortedTransaction> {
    let tell = |aborted: ottla_storage::AbortedTransaction| AbortedTransaction {
        producer_id: aborted.producer_id.0,
        first_offset: aborted.first_offset,
    };
    aborted.into_iter().map(tell).collect()
}

impl Partition {
    pub(crate) fn new(topic: Str, topic_id: Uuid, index: i32, home: Home, settings: Arc<TopicSettings>) -> Self {
        // One replica: what is in the log is on every in-sync replica.
        home.log.set_high_watermark(home.log.log_end_offset());
        Self {
            topic,
            topic_id,
            index,
            home: ArcSwap::from_pointee(home),
            interested: Interested::default(),
            flushing: Flushing::new(),
            flush_messages: AtomicI64::new(settings.topic.flush_messages),
            settings: ArcSwap::new(settings),
            leader: AtomicI32::new(NodeId::NONE.0),
            leader_epoch: AtomicI32::new(LeaderEpoch::NONE.0),
            is_gone: AtomicBool::new(false),
            is_moving: AtomicBool::new(false),
            complaints: Occasion::default(),
        }
    }

    /// Its name as directories have it.
    pub(crate) fn name(&self) -> TopicPartition {
        TopicPartition::new(&self.topic, self.index)
    }

    /// The log. It may be replaced while this is held: what must not miss that uses [`Partition::on_log`].
    pub(crate) fn log(&self) -> CurrentLog {
        CurrentLog(self.home.load())
    }

    /// The log and where it lies.
    pub(crate) fn home(&self) -> Arc<Home> {
        self.home.load_full()
    }

    /// Does `work` on the log, once more if the log was replaced meanwhile: an error, or an effect on the old one, counts
    /// for nothing then.
    pub(crate) fn on_log<T>(&self, work: impl Fn(&Log) -> T) -> T {
        loop {
            let home = self.home.load();
            let done = work(&home.log);
            if Arc::ptr_eq(&home, &self.home.load()) {
                return done;
            }
        }
    }

    /// Another log takes over, which has all that this one had.
    pub(crate) fn move_to(&self, home: Home) {
        self.home.store(Arc::new(home));
        let log = self.log();
        // Settings and high watermark may have changed on the old one in the last moment.
        log.set_config(self.settings.load().log_config());
        if !self.flushes() {
            log.set_high_watermark(log.log_end_offset());
        }
        self.interested.wake();
    }

    /// Whether the directory of the log has failed.
    pub(crate) fn is_offline(&self) -> bool {
        self.home.load().dir.is_offline()
    }

    /// The directory of the log has failed: nothing is appended any more, and whoever waits is told.
    pub(crate) fn fail(&self) {
        self.log().take_offline();
        self.flushing.give_up();
        self.interested.wake();
    }

    /// Whether a copy of the log is being made in another directory.
    pub(crate) fn is_moving(&self) -> bool {
        self.is_moving.load(Ordering::Acquire)
    }

    pub(crate) fn set_moving(&self, is_moving: bool) {
        self.is_moving.store(is_moving, Ordering::Release);
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
        self.flush_messages
            .store(settings.topic.flush_messages, Ordering::Relaxed);
        self.settings.store(settings.clone());
        self.on_log(|log| log.set_config(settings.log_config()));
    }

    /// The topic has been deleted: nothing is appended any more, and waiting fetches look again.
    pub(crate) fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.log().take_offline();
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
            self.log().last_stable_offset()
        } else {
            self.log().high_watermark()
        }
    }

    /// Appends, and lets every fetch that waits know: at once, or when it is on disk.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(crate) fn append(self: &Arc<Self>, append: Append<'_>) -> Result<Placed, AppendError> {
        if self.is_offline() {
            return Err(AppendError::Offline);
        }
        let appended = self.on_log_or_again(|log| log.append(append));
        let appended = appended.inspect_err(|error| {
            self.storage_fault(error);
        })?;
        let end_offset = appended.last_offset + 1;
        let flush = self.must_flush(end_offset).then(|| self.begin_flush(end_offset));
        if flush.is_none() {
            self.publish(end_offset);
        }
        Ok(Placed { appended, flush })
    }

    /// As [`Partition::on_log`], for what has its effect or fails: only a failure is tried again on another log.
    pub(crate) fn on_log_or_again<T, E>(&self, work: impl Fn(&Log) -> Result<T, E>) -> Result<T, E> {
        loop {
            let home = self.home.load();
            let done = work(&home.log);
            if done.is_ok() || Arc::ptr_eq(&home, &self.home.load()) {
                return done;
            }
        }
    }

    /// Whether what is appended becomes readable only when it is on disk, now or by what is under way.
    fn flushes(&self) -> bool {
        self.flush_messages.load(Ordering::Relaxed) != i64::MAX
    }

    /// Whether `flush.messages` records or more before `end_offset` are not on disk.
    fn must_flush(&self, end_offset: Offset) -> bool {
        let flush_messages = self.flush_messages.load(Ordering::Relaxed);
        self.flushes() && end_offset - self.log().recovery_point() >= flush_messages
    }

    /// What is before `end_offset` may be read. The leader is the whole in-sync set: its log end is the high watermark.
    pub(super) fn publish(&self, end_offset: Offset) {
        self.on_log(|log| log.set_high_watermark(end_offset));
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
        transaction: TransactionCheck,
    ) -> Result<Appended, AppendError> {
        let placed = self.append(Append {
            batches,
            leader_epoch: self.leader().1,
            origin: AppendOrigin::Coordinator,
            now_ms,
            log_append_time: None,
            transaction,
        })?;
        Ok(placed.appended)
    }

    /// Moves the log start offset, and lets followers and consumers that wait know.
    ///
    /// # Errors
    /// The offset is out of range, or the disk refused.
    pub(crate) fn delete_records_before(&self, offset: Offset) -> Result<(), DeleteRecordsError> {
        self.on_log_or_again(|log| log.delete_records_before(offset))?;
        self.interested.wake();
        Ok(())
    }

    /// What a fetch gets: at most `room` bytes and its own limit, but a first batch whole (KIP-74). Nothing here waits for
    /// the disk unless `limits` allow it.
    ///
    /// # Errors
    /// The code for the client, or what has to be brought into memory before there is an answer.
    pub(crate) fn look(
        self: &Arc<Self>,
        asked: &FetchPartition,
        limits: Limits,
        room: usize,
        is_first: bool,
    ) -> Result<Answer, NoAnswer> {
        if self.is_offline() {
            return Err(ErrorCode::KafkaStorageError.into());
        }
        self.check_leader_epoch(asked.current_leader_epoch)?;
        let end = self.readable_end(limits.is_read_committed);
        let (high_watermark, last_stable) = (self.log().high_watermark(), self.log().last_stable_offset());
        let data = partition_data(high_watermark, last_stable, self.log().log_start_offset(), Bytes::new());
        if let Some((epoch, end_offset)) = self.divergence(asked) {
            return Ok(diverging(data, epoch, end_offset).into());
        }
        let max_bytes = room.min(asked.partition_max_bytes.max(0) as usize);
        let read = ColdRead {
            partition: self.clone(),
            from: asked.fetch_offset,
            upper_bound: end,
            max_bytes,
            at_least_one: is_first,
            is_read_committed: limits.is_read_committed,
        };
        let looked = match limits.may_wait {
            true => read.look(),
            false => without_waiting(|| read.look()),
        };
        let (slice, aborted) = match looked {
            Ok(looked) => looked,
            Err(ReadError::OffsetOutOfRange { .. }) => return Err(ErrorCode::OffsetOutOfRange.into()),
            Err(error) if error.would_wait() => return Err(NoAnswer::Cold(read)),
            Err(error @ ReadError::Storage(_)) => return Err(self.storage_fault(&error).into()),
        };
        let (records, region) = match slice.records {
            Records::Memory(bytes) => (bytes, None),
            Records::File(region) => (Bytes::new(), Some(region)),
        };
        let data = PartitionData {
            records: Some(records),
            aborted_transactions: aborted.map(told),
            ..data
        };
        Ok(Answer { data, region })
    }

    /// Where this log leaves the one that the client has read, if it does.
    fn divergence(&self, asked: &FetchPartition) -> Option<(i32, Offset)> {
        if asked.last_fetched_epoch < 0 {
            return None;
        }
        let last_fetched = LeaderEpoch(asked.last_fetched_epoch);
        let Some(end) = self.log().end_offset_for_epoch(last_fetched) else {
            return Some((-1, -1));
        };
        let diverges = end.epoch < last_fetched || end.end_offset < asked.fetch_offset;
        diverges.then_some((end.epoch.0, end.end_offset))
    }

    /// Has done what follows from an error of the log, and gives the code for the client.
    pub(crate) fn storage_fault(&self, error: &dyn StorageError) -> ErrorCode {
        if !self.is_gone() {
            self.home().dir.blame(error, &self.name(), &self.complaints);
        }
        ErrorCode::KafkaStorageError
    }
}
