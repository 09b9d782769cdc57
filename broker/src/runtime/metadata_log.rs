//! `__cluster_metadata-0` on disk: the log, its snapshots, and the quorum of one that writes it.
//!
//! | file | what |
//! |---|---|
//! | `quorum-state` | epoch and vote, as JSON |
//! | `NNNNNNNNNNNNNNNNNNNN-EEEEEEEEEE.checkpoint` | a snapshot of all records before offset N, of epoch E |
//! | `*.log` and its indexes | the log |
//!
//! At each start the node elects itself: it writes the next epoch to `quorum-state`, syncs, and begins the epoch with
//! a LeaderChange record, as KRaft does (KIP-595).

mod files;
mod snapshot;

use crate::log_store::{LogStore, LogStoreError};
use bytes::Bytes;
use ottla_protocol::{
    Message,
    ids::{LeaderEpoch, Offset, TimestampMs},
    messages::{LeaderChangeMessage, MetadataRecord, leader_change_message::Voter},
    primitives::{DecodeError, EncodeError},
    records::{
        BatchBuilder, BatchError, ControlType, NewRecord,
        batch::{HEADER_BYTES, batches},
        compression::DecompressError,
        record::{MalformedRecord, records},
    },
};
use ottla_replication::{
    controller::record_version,
    image::{MetadataImage, Position},
};
use ottla_storage::{Append, AppendError, AppendOrigin, Log, LogConfig, ReadError, SyncError};
use parking_lot::Mutex;
use std::{io, path::PathBuf};

pub(crate) use files::QuorumFileError;
pub(crate) use snapshot::{QuorumFacts, SnapshotId};

/// Bytes read at once when the log is replayed.
const READ_BYTES: usize = 1 << 20;

/// A snapshot is due after so many bytes of records (`metadata.log.max.record.bytes.between.snapshots`).
const BYTES_BETWEEN_SNAPSHOTS: u64 = 20 << 20;

/// Why the metadata cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataLogError {
    #[error(transparent)]
    Store(#[from] LogStoreError),
    #[error(transparent)]
    QuorumFile(#[from] QuorumFileError),
    #[error("cannot read the metadata log: {0}")]
    Read(#[from] ReadError),
    #[error("cannot read the metadata log: {0}")]
    Io(#[from] io::Error),
    #[error("cannot append to the metadata log: {0}")]
    Append(#[from] AppendError),
    #[error("cannot sync the metadata log: {0}")]
    Sync(#[from] SyncError),
    #[error("cannot write a metadata record: {0}")]
    Encode(#[from] EncodeError),
    #[error("metadata batch at offset {offset}: {error}")]
    Batch { offset: Offset, error: BatchError },
    #[error("metadata batch at offset {offset}: {error}")]
    Inflate { offset: Offset, error: DecompressError },
    #[error("metadata batch at offset {offset}: {error}")]
    Malformed { offset: Offset, error: MalformedRecord },
    #[error("metadata record at offset {offset}: {error}")]
    Record { offset: Offset, error: DecodeError },
}

/// The metadata log, open for writing in this node's epoch.
pub(crate) struct MetadataLog {
    log: Log,
    dir: PathBuf,
    epoch: LeaderEpoch,
    facts: QuorumFacts,
    bytes_since_snapshot: Mutex<u64>,
}

/// What was found at the start.
pub(crate) struct Opened {
    pub(crate) log: MetadataLog,
    pub(crate) image: MetadataImage,
    /// There was no metadata: the cluster begins here.
    pub(crate) is_new: bool,
}

impl MetadataLog {
    /// Reads what is there, elects this node, and begins its epoch.
    ///
    /// # Errors
    /// The files are damaged or the disk refused.
    pub(crate) fn open(logs: &LogStore, facts: QuorumFacts, now_ms: TimestampMs) -> Result<Opened, MetadataLogError> {
        let log = logs.open_metadata_log(log_config())?;
        let dir = log.dir().to_owned();
        let before = files::read_quorum_state(&dir)?;
        let snapshots = files::list_snapshots(&dir)?;
        let is_new = snapshots.is_empty() && log.log_end_offset() == 0;
        let mut image = MetadataImage::default();
        if is_new {
            files::write_snapshot(&dir, SnapshotId::BOOTSTRAP, &snapshot::bootstrap(&facts)?)?;
        } else if let Some(newest) = snapshots.last() {
            replay(&files::read_snapshot(&dir, *newest)?, |record| image.apply(record))?;
            image.position = newest.position();
        }
        log.set_high_watermark(log.log_end_offset());
        let replayed = replay_log(&log, &mut image)?;
        let last_epoch = log
            .latest_epoch()
            .unwrap_or(LeaderEpoch(0))
            .max(before.map_or(LeaderEpoch(0), |it| it.epoch));
        let epoch = LeaderEpoch(last_epoch.0 + 1);
        files::write_quorum_state(&dir, epoch, facts.node_id)?;
        let log = Self {
            log,
            dir,
            epoch,
            facts,
            bytes_since_snapshot: Mutex::new(replayed),
        };
        image.position = log.begin_epoch(now_ms)?;
        Ok(Opened { log, image, is_new })
    }

    /// The log itself.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The epoch in which this node leads the quorum.
    pub(crate) fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The directory of the only voter.
    pub(crate) fn facts(&self) -> &QuorumFacts {
        &self.facts
    }

    /// The first record of an epoch says who leads and who voted (KIP-595).
    fn begin_epoch(&self, now_ms: TimestampMs) -> Result<Position, MetadataLogError> {
        let voter = || Voter {
            voter_id: self.facts.node_id.0,
            voter_directory_id: self.facts.directory_id,
        };
        let message = LeaderChangeMessage {
            version: 1,
            leader_id: self.facts.node_id.0,
            voters: vec![voter()],
            granting_voters: vec![voter()],
        };
        let value = message.to_bytes(1)?;
        let mut batch = BatchBuilder::new().control();
        batch.append(&NewRecord::of(now_ms, &ControlType::LeaderChange.key(), &value));
        let position = self.append_batch(&batch.build(), now_ms)?;
        self.sync()?;
        Ok(position)
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
        let mut batch = BatchBuilder::new();
        for record in records {
            let value = record.to_value(record_version(record, image.features()))?;
            batch.append(&NewRecord {
                timestamp: now_ms,
                key: None,
                value: Some(&value),
                headers: &[],
            });
        }
        self.append_batch(&batch.build(), now_ms)
    }

    fn append_batch(&self, batch: &[u8], now_ms: TimestampMs) -> Result<Position, MetadataLogError> {
        let appended = self.log.append(Append {
            batches: batch,
            leader_epoch: self.epoch,
            origin: AppendOrigin::Coordinator,
            now_ms,
            log_append_time: None,
        })?;
        *self.bytes_since_snapshot.lock() += batch.len() as u64;
        Ok(Position {
            offset: appended.last_offset,
            epoch: self.epoch,
            timestamp_ms: now_ms,
        })
    }

    /// Makes durable what was appended. Only then it is committed: this node is the majority.
    ///
    /// # Errors
    /// The log is unusable from then on.
    pub(crate) fn sync(&self) -> Result<(), MetadataLogError> {
        self.log.sync()?;
        self.log.set_high_watermark(self.log.log_end_offset());
        Ok(())
    }

    /// Writes a snapshot if enough has been appended since the last one.
    ///
    /// # Errors
    /// The disk's; the log is as good as before.
    pub(crate) fn snapshot_if_due(&self, image: &MetadataImage) -> Result<(), MetadataLogError> {
        if *self.bytes_since_snapshot.lock() < BYTES_BETWEEN_SNAPSHOTS {
            return Ok(());
        }
        self.snapshot(image)
    }

    /// Writes a snapshot of `image`, and drops all but the two newest.
    ///
    /// # Errors
    /// The disk's; the log is as good as before.
    pub(crate) fn snapshot(&self, image: &MetadataImage) -> Result<(), MetadataLogError> {
        let id = SnapshotId::of(image.position);
        files::write_snapshot(&self.dir, id, &snapshot::of_image(image, &self.facts)?)?;
        *self.bytes_since_snapshot.lock() = 0;
        Ok(files::drop_old_snapshots(&self.dir)?)
    }
}

/// The metadata log is neither retained by time nor compacted: snapshots stand for what is old.
fn log_config() -> LogConfig {
    LogConfig {
        is_deleted: false,
        retention_ms: -1,
        segment_ms: i64::MAX,
        ..LogConfig::default()
    }
}

/// Applies what the log has behind the image's position. Returns the bytes read.
fn replay_log(log: &Log, image: &mut MetadataImage) -> Result<u64, MetadataLogError> {
    let mut bytes_read = 0;
    let mut next = (image.position.offset + 1).max(log.log_start_offset());
    while next < log.log_end_offset() {
        let slice = log.read(next, log.log_end_offset(), READ_BYTES, true)?;
        let bytes = slice.records.into_bytes()?;
        bytes_read += bytes.len() as u64;
        replay(&bytes, |record| image.apply(record))?;
        if slice.next_offset <= next {
            break;
        }
        next = slice.next_offset;
        let epoch = log.epoch_for_offset(next - 1).unwrap_or(LeaderEpoch(0));
        image.position = Position {
            offset: next - 1,
            epoch,
            timestamp_ms: -1,
        };
    }
    Ok(bytes_read)
}

/// Hands every metadata record of `bytes` to `apply`; control records are the quorum's and are passed over.
fn replay(bytes: &[u8], mut apply: impl FnMut(&MetadataRecord)) -> Result<(), MetadataLogError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(item) = batches(rest).next() else { break };
        let (header, batch) = item.map_err(|error| MetadataLogError::Batch { offset: -1, error })?;
        rest = &rest[batch.len()..];
        let offset = header.base_offset;
        if header.attributes.is_control() {
            continue;
        }
        let section = section(&header, batch).map_err(|error| MetadataLogError::Inflate { offset, error })?;
        for record in records(&section, header.records_count) {
            let record = record.map_err(|error| MetadataLogError::Malformed { offset, error })?;
            let offset = offset + i64::from(record.offset_delta);
            let value = Bytes::copy_from_slice(record.value.unwrap_or_default());
            let record =
                MetadataRecord::from_value(value).map_err(|error| MetadataLogError::Record { offset, error })?;
            apply(&record);
        }
    }
    Ok(())
}

/// The records of a batch, inflated; Apache may have written the log with a codec.
fn section(header: &ottla_protocol::records::BatchHeader, batch: &[u8]) -> Result<Bytes, DecompressError> {
    let section = Bytes::copy_from_slice(&batch[HEADER_BYTES..]);
    let compression = header
        .attributes
        .compression()
        .unwrap_or(ottla_protocol::records::Compression::None);
    ottla_protocol::records::compression::decompress(compression, &section, READ_BYTES * 64)
}
