//! A log directory that no broker uses: its lock, and what its checkpoints promise.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;

use crate::checkpoint::{
    CLEANER_FILE, CheckpointError, HIGH_WATERMARK_FILE, LOG_START_FILE, RECOVERY_POINT_FILE, read_offsets,
    write_offsets,
};
use crate::disk::{Disk, RealDisk, remove_if_exists};
use crate::log_dir::CLEAN_SHUTDOWN_FILE;
use crate::log_dir::lock::{DirLock, LockError};
use crate::log_dir::parse_dir_name;
use crate::{DirKind, PartitionDir, TopicPartition};

/// Where a checkpoint's offset is kept.
type Field = fn(&mut Promise) -> &mut Offset;

/// What the checkpoints say of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promise {
    /// Before this everything was known to be on the disk.
    pub recovery_point: Offset,
    /// Before this everything was committed.
    pub high_watermark: Offset,
    /// What is before this is deleted.
    pub log_start_offset: Offset,
    /// Up to here the log has been compacted.
    pub cleaned_up_to: Offset,
}

impl Promise {
    /// The offset after the last one that somebody was promised.
    pub fn end(&self) -> Offset {
        self.recovery_point.max(self.high_watermark)
    }
}

/// Why a directory cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OfflineDirError {
    /// A broker has it.
    #[error("{} is in use{}: stop the broker first", path.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Which process, if that could be found out.
        pid: Option<i32>,
    },
    /// The disk refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// A checkpoint makes no sense.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A log directory.
#[derive(Debug)]
pub struct OfflineDir {
    path: PathBuf,
    lock: Option<DirLock>,
}

impl OfflineDir {
    /// The directory, without its lock: a broker may write into it meanwhile.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            lock: None,
        }
    }

    /// Keeps brokers out as long as this lives. The mark of a clean stop stays.
    ///
    /// # Errors
    /// A broker has the directory, or the disk refused.
    pub fn lock(&mut self) -> Result<(), OfflineDirError> {
        let path = || self.path.clone();
        self.lock = Some(DirLock::acquire(&self.path).map_err(|error| match error {
            LockError::Held { pid } => OfflineDirError::InUse { path: path(), pid },
            LockError::Io(error) => OfflineDirError::Io { path: path(), error },
        })?);
        Ok(())
    }

    /// Whether [`OfflineDir::lock`] was called.
    pub fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The partitions whose logs are in use, by name.
    ///
    /// # Errors
    /// The disk's.
    pub fn partitions(&self) -> Result<Vec<PartitionDir>, OfflineDirError> {
        let failed = |error| OfflineDirError::Io {
            path: self.path.clone(),
            error,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let parsed = name.to_str().and_then(parse_dir_name);
            if let Some((DirKind::Current, partition)) = parsed
                && entry.path().is_dir()
            {
                let path = entry.path();
                found.push(PartitionDir {
                    path,
                    partition,
                    kind: DirKind::Current,
                });
            }
        }
        found.sort_by(|one, other| one.partition.cmp(&other.partition));
        Ok(found)
    }

    /// What the checkpoints say of each log.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn promises(&self) -> Result<BTreeMap<TopicPartition, Promise>, OfflineDirError> {
        let mut promises: BTreeMap<TopicPartition, Promise> = BTreeMap::new();
        let fields: [(&str, Field); 4] = [
            (RECOVERY_POINT_FILE, |promise| &mut promise.recovery_point),
            (HIGH_WATERMARK_FILE, |promise| &mut promise.high_watermark),
            (LOG_START_FILE, |promise| &mut promise.log_start_offset),
            (CLEANER_FILE, |promise| &mut promise.cleaned_up_to),
        ];
        for (file, field) in fields {
            for (partition, offset) in read_offsets(&RealDisk::default(), &self.path.join(file))? {
                *field(promises.entry(partition).or_default()) = offset;
            }
        }
        Ok(promises)
    }

    /// Takes back that the directory was closed: the next start looks at what its logs end with.
    pub(super) fn forget_clean_shutdown(&self) -> Result<(), OfflineDirError> {
        let disk = RealDisk::default();
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        remove_if_exists(&disk, &path)
            .and_then(|()| disk.sync_dir(&self.path))
            .map_err(|error| OfflineDirError::Io { path, error })
    }

    /// Lowers what is promised of a log to `end`, durably.
    pub(super) fn lower_promise(&self, partition: &TopicPartition, end: Offset) -> Result<(), OfflineDirError> {
        let disk = RealDisk::default();
        for file in [HIGH_WATERMARK_FILE, RECOVERY_POINT_FILE, CLEANER_FILE] {
            let path = self.path.join(file);
            let mut offsets = read_offsets(&disk, &path)?;
            if let Some(offset) = offsets.get_mut(partition)
                && *offset > end
            {
                *offset = end;
                write_offsets(&disk, &path, &offsets).map_err(|error| OfflineDirError::Io { path, error })?;
            }
        }
        Ok(())
    }
}
