//! What a coordinator's shard writes, and what waits until it is committed.
//!
//! A shard is the only writer of its partition. It applies what it decides at once and appends it here; whatever rests on
//! that, an answer above all, is held until the high watermark has passed it.

pub(super) mod log;

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
use tokio::sync::{Semaphore, watch};

/// Commands that may wait for a shard; beyond that those who ask wait to ask.
pub(super) const QUEUE: usize = 1024;
/// How long a request waits for a shard that is being loaded before its client is told to try again.
const LOADING_PATIENCE: Duration = Duration::from_secs(1);
/// Commands decided before their records are written.
pub(super) const COMMANDS_PER_WRITE: usize = 256;
/// Bytes of records after which no further command is decided before they are written.
pub(super) const BYTES_PER_WRITE: usize = 512 << 10;

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
    /// Each with the offset that the high watermark must have reached.
    held: VecDeque<(Offset, H)>,
    started: Instant,
}

/// Records of one or more decisions that are written together, and what is held until they are committed.
pub(super) struct Entry<H> {
    records: Vec<CoordinatorRecord>,
    bytes: usize,
    pub(super) held: Vec<H>,
}

impl<H> Default for Entry<H> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            held: Vec::new(),
        }
    }
}

impl<H> Entry<H> {
    pub(super) fn push(&mut self, record: CoordinatorRecord) {
        self.bytes += record.key.len() + record.value.as_ref().map_or(0, |value| value.len());
        self.records.push(record);
    }

    /// Whether it is to be written before anything else is decided.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BYTES_PER_WRITE
    }
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

    /// Appends an entry, and holds what rests on it.
    ///
    /// # Errors
    /// Nothing was appended, though it has been applied: the shard must end.
    pub(super) fn write(&mut self, entry: Entry<H>) -> Result<(), ErrorCode> {
        if !entry.records.is_empty() {
            // Whoever writes looks at the high watermark next, without being told to.
            let appended = self
                .interest
                .without_news(|| log::append(&self.partition, &entry.records, None));
            self.end_offset = appended.map_err(|error| self.not_written(&error))?;
        }
        let end_offset = self.end_offset;
        self.held.extend(entry.held.into_iter().map(|held| (end_offset, held)));
        Ok(())
    }

    /// Notes that something was appended by other means, and ends there.
    pub(super) fn appended(&mut self, end_offset: Offset) {
        self.end_offset = end_offset;
    }

    /// Holds one more until all that was written is committed.
    pub(super) fn hold(&mut self, held: H) {
        self.held.push_back((self.end_offset, held));
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

/// Waits for a shard that is being loaded.
///
/// # Errors
/// It is not loaded yet, or has ended.
pub(super) async fn until_loaded(is_loaded: &watch::Receiver<bool>) -> Result<(), ErrorCode> {
    let mut is_loaded = is_loaded.clone();
    if *is_loaded.borrow_and_update() {
        return Ok(());
    }
    let loaded = is_loaded.wait_for(|is_loaded| *is_loaded);
    match tokio::time::timeout(LOADING_PATIENCE, loaded).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(ErrorCode::CoordinatorNotAvailable),
        Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}
