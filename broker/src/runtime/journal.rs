//! What a coordinator's shard writes, and what waits until it is committed.
//!
//! A shard is the only writer of its partition. It applies what it decides at once and appends it here; whatever rests on
//! that, an answer above all, is held until the high watermark has passed it.

pub(super) mod log;
pub(super) mod queue;

use crate::{
    clock::now_ms,
    partitions::Partition,
    waiting::{Interest, RegistrationId},
};
use log::ReplayError;
use ottla_coordinator::{ApplyError, CoordinatorRecord, Now};
use ottla_protocol::{
    ErrorCode,
    ids::{LeaderEpoch, NodeId, Offset},
};
use ottla_storage::AppendError;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Bytes of records after which no further command is decided before they are written.
const BYTES_PER_WRITE: usize = 512 << 10;
/// Records for which there is room while none waits to be written.
const RECORDS_KEPT: usize = 16;
/// The offset of what rests on records that are not written yet; the high watermark never reaches it.
const NOT_WRITTEN: Offset = Offset::MAX;

/// The log of a shard. `H`: what is held until what was written before it is committed.
pub(super) struct Journal<H> {
    pub(super) partition: Arc<Partition>,
    /// Who led, in which epoch, when the log was replayed: the state is this leader's alone.
    pub(super) leader: (NodeId, LeaderEpoch),
    /// Told when the high watermark moves.
    pub(super) interest: Arc<Interest>,
    registration: RegistrationId,
    /// The offset after the last record written.
    end_offset: Offset,
    /// Of decisions that are to be written together.
    unwritten: Vec<CoordinatorRecord>,
    unwritten_bytes: usize,
    /// Each with the offset that the high watermark must have reached, which is [`NOT_WRITTEN`] while there is none.
    held: VecDeque<(Offset, H)>,
    started: Instant,
}

impl<H> Journal<H> {
    /// Makes the state out of the log, when it is its turn to. `None`: it cannot be read, and its directory has been told.
    pub(super) async fn replay<S: Send + 'static>(
        partition: Arc<Partition>,
        loading: &Semaphore,
        replay: impl FnOnce(&Partition) -> Result<(S, Offset), ReplayError> + Send + 'static,
    ) -> Option<(S, Self)> {
        let leader = partition.leader();
        let permit = loading.acquire().await;
        let from_log = partition.clone();
        let replayed = tokio::task::spawn_blocking(move || replay(&from_log)).await;
        drop(permit);
        // A panic has been reported by its own hook.
        let (state, end_offset) = match replayed.ok()? {
            Ok(replayed) => replayed,
            Err(error) => {
                partition.storage_fault(&error);
                return None;
            }
        };
        let interest = Arc::<Interest>::default();
        let journal = Self {
            registration: partition.interested.register(&interest, 0),
            partition,
            leader,
            interest,
            end_offset,
            unwritten: Vec::new(),
            unwritten_bytes: 0,
            held: VecDeque::new(),
            started: Instant::now(),
        };
        Some((state, journal))
    }

    pub(super) fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_millis();
        Now {
            monotonic_ms: i64::try_from(elapsed).unwrap_or(i64::MAX),
            wall_ms: now_ms(),
        }
    }

    /// The moment that is `monotonic_ms` on the clock of [`Journal::now`].
    pub(super) fn moment(&self, monotonic_ms: i64) -> Instant {
        self.started + Duration::from_millis(u64::try_from(monotonic_ms).unwrap_or(0))
    }

    /// Whether the state may go on to be used.
    ///
    /// # Errors
    /// The partition has another leader or is gone; or its log is offline, so that what was written may never be committed.
    pub(super) fn check(&self) -> Result<(), ErrorCode> {
        if self.partition.is_gone() || self.partition.leader() != self.leader {
            Err(ErrorCode::NotCoordinator)
        } else if self.partition.log().is_offline() {
            Err(ErrorCode::CoordinatorNotAvailable)
        } else {
            Ok(())
        }
    }

    /// A record that has been applied and is to be written.
    pub(super) fn push(&mut self, record: CoordinatorRecord) {
        self.unwritten_bytes += record.len_bytes();
        self.unwritten.push(record);
    }

    /// Whether there is so much to write that nothing else is decided before.
    pub(super) fn is_full(&self) -> bool {
        self.unwritten_bytes >= BYTES_PER_WRITE
    }

    /// Appends what is to be written.
    ///
    /// # Errors
    /// Nothing was appended, though it has been applied: the shard must end.
    pub(super) fn write(&mut self) -> Result<(), ErrorCode> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let appended = self.quietly(|partition| log::append(partition, &self.unwritten, None));
        self.unwritten.clear();
        self.unwritten.shrink_to(RECORDS_KEPT);
        self.unwritten_bytes = 0;
        let end_offset = appended.map_err(|error| self.not_written(&error))?;
        let newest = self.held.iter_mut().rev();
        for (offset, _) in newest.take_while(|(offset, _)| *offset == NOT_WRITTEN) {
            *offset = end_offset;
        }
        self.end_offset = end_offset;
        Ok(())
    }

    /// Has something appended of which the shard's task need not hear: whoever does so looks at the high watermark next.
    pub(super) fn quietly<T>(&self, append: impl FnOnce(&Arc<Partition>) -> T) -> T {
        self.interest.without_news(|| append(&self.partition))
    }

    /// Notes that something was appended by other means, and ends there. Nothing is to be written.
    pub(super) fn appended(&mut self, end_offset: Offset) {
        self.end_offset = end_offset;
    }

    /// Holds one more until all is committed that was written or is to be.
    pub(super) fn hold(&mut self, held: H) {
        let offset = match self.unwritten.is_empty() {
            true => self.end_offset,
            false => NOT_WRITTEN,
        };
        self.held.push_back((offset, held));
    }

    /// The code for those who wait, when the disk has refused.
    pub(super) fn not_written(&self, error: &AppendError) -> ErrorCode {
        let (topic, partition) = (&self.partition.topic, self.partition.index);
        // What is wrong with the disk its directory has said.
        tracing::debug!(%topic, partition, %error, "a coordinator cannot write");
        ErrorCode::CoordinatorNotAvailable
    }

    /// Tells of a record that was applied and could not be understood.
    pub(super) fn not_readable(&self, error: &ApplyError) {
        let (topic, partition) = (&self.partition.topic, self.partition.index);
        tracing::error!(%topic, partition, %error, "a decision cannot be read back");
    }

    /// Whether nothing is held, and all that was written is committed.
    pub(super) fn is_committed(&self) -> bool {
        self.held.is_empty() && self.end_offset <= self.partition.log().high_watermark()
    }

    /// The next of what is held whose turn has come.
    pub(super) fn committed(&mut self) -> Option<H> {
        let high_watermark = self.partition.log().high_watermark();
        let (_, held) = self.held.pop_front_if(|(offset, _)| *offset <= high_watermark)?;
        Some(held)
    }

    /// Is not told any more of the high watermark.
    pub(super) fn close(&self) {
        self.partition.interested.unregister(self.registration);
    }
}
