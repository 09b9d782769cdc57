//! Opening a log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};

use ottla_protocol::ids::{LeaderEpoch, Offset, Uuid};
use parking_lot::{Mutex, RwLock};

use super::{Appender, Log, LogOptions, Unflushed};
use crate::checkpoint::CheckpointError;
use crate::disk::Disk;
use crate::partition_metadata::{read_topic_id, write_topic_id};
use crate::recovery::{Damage, load};
use crate::segment::ScanError;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is of another topic that had the name (INCONSISTENT_TOPIC_ID).
    #[error("{} is of topic id {found}, not {expected}", dir.display())]
    InconsistentTopicId {
        /// The directory.
        dir: PathBuf,
        /// What was asked for.
        expected: Uuid,
        /// What `partition.metadata` says.
        found: Uuid,
    },
    /// The log is damaged in a place that recovery does not repair, or the disk refused.
    #[error(transparent)]
    Storage(#[from] ScanError),
    /// Records are missing that were committed, or on disk. Nothing has been cut.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error("{}: {error}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// `leader-epoch-checkpoint` could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl Log {
    /// Opens the log in `dir`, which is created if it does not exist.
    ///
    /// After an unclean stop what lies past the recovery point is checked, batch by batch, and the log ends before the
    /// first that is not whole; see [`Log::recovery`].
    ///
    /// # Errors
    /// The directory is of another topic, is damaged where it should not be, or the disk refused.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: &LogOptions) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Io { dir: dir.into(), error };
        disk.create_dir(dir).map_err(failed)?;
        if let Some(expected) = options.topic_id {
            claim(&*disk, dir, expected)?;
        }
        let loaded = load(&disk, dir, options)?;
        loaded.segments.iter().for_each(|segment| segment.release());
        let high_watermark = options
            .high_watermark
            .clamp(loaded.log_start_offset, loaded.log_end_offset);
        let mut producers = loaded.producers;
        producers.on_high_watermark(high_watermark);
        let recovery_point = match options.is_clean {
            true => loaded.log_end_offset,
            false => options.recovery_point.clamp(0, loaded.log_end_offset),
        };
        let latest_epoch = loaded.epochs.latest().unwrap_or(LeaderEpoch::NONE);
        let log = Self {
            disk,
            dir: dir.into(),
            segments: RwLock::new(loaded.segments),
            epochs: RwLock::new(loaded.epochs),
            are_epochs_dirty: AtomicBool::new(loaded.are_epochs_dirty),
            writing_epochs: Mutex::new(()),
            log_start_offset: AtomicI64::new(loaded.log_start_offset),
            log_end_offset: AtomicI64::new(loaded.log_end_offset),
            high_watermark: AtomicI64::new(high_watermark),
            first_unstable_offset: AtomicI64::new(producers.first_unstable_offset().unwrap_or(Offset::MAX)),
            recovery_point: AtomicI64::new(recovery_point),
            truncations: AtomicU64::new(0),
            replacements: AtomicU64::new(0),
            cleaned_up_to: AtomicI64::new(
                options
                    .cleaned_up_to
                    .map_or(-1, |offset| offset.min(loaded.log_end_offset)),
            ),
            compacting: Mutex::new(()),
            syncing: Mutex::new(()),
            sealing: Mutex::new(()),
            rolled: Mutex::default(),
            unflushed: Mutex::new(Unflushed {
                is_dir_dirty: loaded.is_dir_dirty,
                sealed: loaded.unflushed,
                ..Unflushed::default()
            }),
            doomed: Mutex::default(),
            is_closed: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            recovery: loaded.recovery,
            positions: Default::default(),
            appender: Mutex::new(Appender {
                config: options.config,
                writer: loaded.writer,
                producers,
                last_snapshot: loaded.last_snapshot,
                latest_epoch,
                append_times: Default::default(),
                has_rolled: false,
                batches: Vec::new(),
            }),
        };
        Ok(log)
    }
}

/// Makes sure that the directory is that of this topic.
fn claim(disk: &dyn Disk, dir: &Path, expected: Uuid) -> Result<(), OpenError> {
    let failed = |error| OpenError::Io { dir: dir.into(), error };
    match read_topic_id(disk, dir).map_err(failed)? {
        Some(found) if found != expected => Err(OpenError::InconsistentTopicId {
            dir: dir.into(),
            expected,
            found,
        }),
        Some(_) => Ok(()),
        None => write_topic_id(disk, dir, expected).map_err(failed),
    }
}
