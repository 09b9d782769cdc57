//! `__cluster_metadata-0` on disk: what `ottla_replication::quorum` decides, done with files.
//!
//! | file | what |
//! |---|---|
//! | `quorum-state` | epoch and vote, as JSON |
//! | `NNNNNNNNNNNNNNNNNNNN-EEEEEEEEEE.checkpoint` | a snapshot of all records before offset N, of epoch E |
//! | `*.log` and its indexes | the log |
//!
//! Always true: `quorum-state` is on disk before a record of its epoch is written; a batch is synced before the next is
//! appended, so that after a crash at most the last one is torn; a snapshot stands for what was synced. Two snapshots
//! are kept, and the log from the older of them on, so that either may be lost.

mod check;
mod files;
mod replay;
mod snapshots;
mod start;

use crate::log_store::LogStoreError;
use ottla_protocol::{
    ids::{LeaderEpoch, NodeId, Offset, TimestampMs},
    messages::{DescribeQuorumRequest, DescribeQuorumResponse, MetadataRecord},
    primitives::EncodeError,
    records::BatchBuilder,
};
use ottla_replication::{
    image::{MetadataImage, Position},
    quorum::{Actions, Event, Quorum, QuorumError, control_batch, metadata_batch},
};
use ottla_storage::{
    Append, AppendError, AppendOrigin, Log, ReadError, RetentionError, SyncError, TransactionCheck, TruncateError,
};
use parking_lot::Mutex;
use std::{io, path::PathBuf};

pub(crate) use check::Damage;
pub(crate) use files::QuorumFileError;
use snapshots::Snapshots;
pub(crate) use start::MetadataLogSettings;

/// Why the metadata cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataLogError {
    #[error(transparent)]
    Store(#[from] LogStoreError),
    #[error(transparent)]
    QuorumFile(#[from] QuorumFileError),
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("{}: {error}", dir.display())]
    Quorum { dir: PathBuf, error: QuorumError },
    #[error(
        "{} is of node {found}, but node.id is {expected}: set node.id to {found}, or name this node's own directory \
         in log.dirs", path.display()
    )]
    ForeignQuorumState {
        path: PathBuf,
        found: NodeId,
        expected: NodeId,
    },
    #[error(
        "{}: the metadata log ends at offset {log_end_offset}, but it has reached {expected}: bring its files back, or, \
         if that is impossible, move all its *.log files away to start from the newest snapshot, which loses what \
         is not in it", dir.display()
    )]
    Shortened {
        dir: PathBuf,
        log_end_offset: Offset,
        expected: Offset,
    },
    #[error(
        "{}: the metadata log begins at offset {log_start_offset}, but the newest snapshot ends at {snapshot_end}: bring \
         back the snapshot file that ends at {log_start_offset} or later (*.checkpoint)", dir.display()
    )]
    Gap {
        dir: PathBuf,
        log_start_offset: Offset,
        snapshot_end: Offset,
    },
    #[error(
        "{} holds logs of topics, but the metadata that they belong to is gone: bring back the directory \
         __cluster_metadata-0, or name an empty directory in log.dirs", dir.display()
    )]
    Gone { dir: PathBuf },
    #[error("cannot read the metadata log: {0}")]
    Read(#[from] ReadError),
    #[error("cannot read the metadata log: {0}")]
    Io(#[from] io::Error),
    #[error("cannot append to the metadata log: {0}")]
    Append(#[from] AppendError),
    #[error("cannot sync the metadata log: {0}")]
    Sync(#[from] SyncError),
    #[error("cannot begin the metadata log anew behind its snapshot: {0}")]
    Truncate(#[from] TruncateError),
    #[error("cannot remove old segments of the metadata log: {0}")]
    Retention(#[from] RetentionError),
    #[error("cannot write a metadata record: {0}")]
    Encode(#[from] EncodeError),
}

/// The metadata log, open for writing in this node's epoch.
pub(crate) struct MetadataLog {
    log: Log,
    epoch: LeaderEpoch,
    quorum: Mutex<Quorum>,
    snapshots: Snapshots,
}

impl MetadataLog {
    /// The log itself.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Answers DescribeQuorum.
    pub(crate) fn describe(
        &self,
        request: &DescribeQuorumRequest,
        version: i16,
        now_ms: TimestampMs,
    ) -> DescribeQuorumResponse {
        self.quorum.lock().describe(request, version, now_ms)
    }

    /// Appends records as one batch. `image`: from which feature levels follow in which version each is written.
    ///
    /// # Errors
    /// Nothing was appended.
    pub(crate) fn append(
        &self,
        image: &MetadataImage,
        records: &[MetadataRecord],
        now_ms: TimestampMs,
    ) -> Result<Position, MetadataLogError> {
        self.append_batch(metadata_batch(records, image.features(), now_ms)?, now_ms)
    }

    fn append_batch(&self, batch: BatchBuilder, now_ms: TimestampMs) -> Result<Position, MetadataLogError> {
        let batch = batch.build();
        let appended = self.log.append(Append {
            batches: &batch,
            leader_epoch: self.epoch,
            origin: AppendOrigin::Coordinator,
            now_ms,
            log_append_time: None,
            transaction: TransactionCheck::Skipped,
        })?;
        self.snapshots.note(batch.len());
        Ok(Position {
            offset: appended.last_offset,
            epoch: self.epoch,
            timestamp_ms: now_ms,
        })
    }

    /// Makes durable what was appended, and tells the quorum, which decides what is committed by it.
    ///
    /// # Errors
    /// The log is unusable from then on.
    pub(crate) fn sync(&self) -> Result<(), MetadataLogError> {
        let end_offset = self.log.sync()?;
        let committed = self.quorum.lock().step(Event::Synced { end_offset });
        if let Some(high_watermark) = committed.high_watermark {
            self.log.set_high_watermark(high_watermark);
        }
        Ok(())
    }

    /// Does what follows from the start of an epoch; what is to be persisted has been.
    fn begin_epoch(&self, actions: &Actions, now_ms: TimestampMs) -> Result<Position, MetadataLogError> {
        let position = self.append_batch(control_batch(&actions.append, now_ms)?, now_ms)?;
        self.sync()?;
        Ok(position)
    }

    /// Writes a snapshot if enough has been appended since the last one, or long enough ago.
    ///
    /// # Errors
    /// The disk's; the log is as good as before.
    pub(crate) fn snapshot_if_due(&self, image: &MetadataImage, now_ms: TimestampMs) -> Result<(), MetadataLogError> {
        // Inside of a transaction of the log the image may yet be taken back.
        if !self.snapshots.is_due() || image.is_in_transaction() {
            return Ok(());
        }
        let voters = self.quorum.lock().voters().clone();
        self.snapshots.write(image, &voters, now_ms)?;
        self.snapshots.retain(&self.log, now_ms)
    }
}
