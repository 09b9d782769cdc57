//! A directory of logs: its lock, its identity, its checkpoints, and the partitions in it.
//!
//! A [`LogDir`] belongs to one process at a time. Opening it takes the lock and notes whether the last user closed it;
//! the marker of that is removed at once, so that a crash from here on is seen by the next one. [`LogDir::close`] puts
//! it back. Which partitions belong here, and what to do on a failure, is decided elsewhere.

mod closing;
mod future;
pub(crate) mod lock;
mod names;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_protocol::ids::{Offset, TimestampMs, Uuid};
use parking_lot::Mutex;

use crate::checkpoint::{
    CLEANER_FILE, CheckpointError, HIGH_WATERMARK_FILE, LOG_START_FILE, RECOVERY_POINT_FILE, read_offsets,
    write_offsets,
};
use crate::disk::{Disk, read_file, remove_if_exists, replace_file};
use crate::log::{Log, LogConfig, LogOptions, OpenError, SyncError, TruncateError};
use crate::meta_properties::{self, MetaProperties, MetaPropertiesError};
use crate::partition_metadata::read_topic_id;

pub use future::{FutureLog, PromoteError};
use lock::{DirLock, LockError};
pub(crate) use names::parse as parse_dir_name;
pub use names::{DirKind, TopicPartition};

/// Says that the directory was closed; with the epoch that the broker had (KIP-966).
pub(crate) const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Says in which boot of the machine the logs were last written: in another one what was not synced may be lost.
const BOOT_FILE: &str = ".boot-id";

/// A directory of logs, locked for this process.
#[derive(Debug)]
pub struct LogDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    properties: Option<MetaProperties>,
    clean_shutdown: Option<CleanShutdown>,
    checkpoints: Mutex<Checkpoints>,
    /// The boot in which it was last used, if it is not this one.
    earlier_boot: Option<String>,
    is_boot_noted: AtomicBool,
    /// The files of the checkpoints promise more than the logs that were opened have.
    is_promise_broken: AtomicBool,
    _lock: DirLock,
}

/// What the last user left when it closed the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The broker's epoch then; -1 if it had none. With it a broker shows the controller that it lost nothing (KIP-966).
    pub broker_epoch: i64,
}

/// A partition's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDir {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is. The topic of a deleted one may be cut short.
    pub partition: TopicPartition,
    /// What it is there for.
    pub kind: DirKind,
}

/// The offsets that are kept for each partition.
#[derive(Debug, Default)]
struct Checkpoints {
    recovery_points: BTreeMap<TopicPartition, Offset>,
    log_start_offsets: BTreeMap<TopicPartition, Offset>,
    high_watermarks: BTreeMap<TopicPartition, Offset>,
    cleaned_up_to: BTreeMap<TopicPartition, Offset>,
}

/// Why a log directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LogDirError {
    /// Another process has it.
    #[error("{} is in use{}", path.display(), pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
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
    /// `meta.properties` could not be read.
    #[error(transparent)]
    MetaProperties(#[from] MetaPropertiesError),
    /// A log could not be closed: the directory does not count as closed.
    #[error("{partition} could not be closed: {error}")]
    Close {
        /// The log.
        partition: TopicPartition,
        /// Why not.
        error: SyncError,
    },
}

impl LogDir {
    /// Takes the directory for this process; creates it if it does not exist.
    ///
    /// A checkpoint that cannot be read counts as empty: the logs are then checked from their beginning.
    ///
    /// # Errors
    /// Another process has it, or its `meta.properties` makes no sense, or the disk refused.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, LogDirError> {
        let failed = |error| LogDirError::Io {
            path: path.into(),
            error,
        };
        disk.create_dir(path).map_err(failed)?;
        let lock = DirLock::acquire(path).map_err(|error| match error {
            LockError::Held { pid } => LogDirError::Locked { path: path.into(), pid },
            LockError::Io(error) => failed(error),
        })?;
        let properties = meta_properties::read(&*disk, path)?;
        let clean_shutdown = take_clean_shutdown(&*disk, path).map_err(failed)?;
        let noted_boot = read_file(&*disk, &path.join(BOOT_FILE)).map_err(failed)?;
        let noted_boot = noted_boot.map(|id| String::from_utf8_lossy(&id).into_owned());
        let is_boot_noted = noted_boot == disk.boot_id();
        let read = |file| or_empty(read_offsets(&*disk, &path.join(file)));
        let checkpoints = Checkpoints {
            recovery_points: read(RECOVERY_POINT_FILE),
            log_start_offsets: read(LOG_START_FILE),
            high_watermarks: read(HIGH_WATERMARK_FILE),
            cleaned_up_to: read(CLEANER_FILE),
        };
        let is_unknown = noted_boot.is_none();
        let dir = Self {
            path: path.into(),
            properties,
            clean_shutdown,
            checkpoints: Mutex::new(checkpoints),
            earlier_boot: noted_boot.filter(|_| !is_boot_noted),
            is_boot_noted: AtomicBool::new(is_boot_noted),
            is_promise_broken: AtomicBool::new(false),
            disk,
            _lock: lock,
        };
        if is_unknown {
            dir.note_boot()?;
        }
        Ok(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is; `None` for one that nobody has used yet.
    pub fn properties(&self) -> Option<&MetaProperties> {
        self.properties.as_ref()
    }

    /// Makes it the directory of this cluster and node, durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn set_properties(&mut self, properties: MetaProperties) -> Result<(), LogDirError> {
        meta_properties::write(&*self.disk, &self.path, &properties).map_err(|error| self.failed(error))?;
        self.properties = Some(properties);
        Ok(())
    }

    /// What the last user left, if it closed the directory.
    pub fn clean_shutdown(&self) -> Option<CleanShutdown> {
        self.clean_shutdown
    }

    /// The directories of partitions, by name. The metadata log is one of them.
    ///
    /// # Errors
    /// The disk's.
    pub fn partitions(&self) -> Result<Vec<PartitionDir>, LogDirError> {
        let entries = self.disk.list(&self.path).map_err(|error| self.failed(error))?;
        let partition = |entry: crate::disk::DirEntry| {
            let (kind, partition) = names::parse(&entry.name)?;
            Some(PartitionDir {
                path: self.path.join(&entry.name),
                partition,
                kind,
            })
        };
        Ok(entries
            .into_iter()
            .filter(|entry| entry.is_dir)
            .filter_map(partition)
            .collect())
    }

    /// The topic id that a partition's directory says it is of.
    ///
    /// # Errors
    /// The disk's.
    pub fn topic_id(&self, dir: &Path) -> Result<Option<Uuid>, LogDirError> {
        read_topic_id(&*self.disk, dir).map_err(|error| self.failed(error))
    }

    /// How the log of a partition is to be opened, from the checkpoints.
    pub fn log_options(
        &self,
        partition: &TopicPartition,
        config: LogConfig,
        topic_id: Option<Uuid>,
        now_ms: TimestampMs,
    ) -> LogOptions {
        let checkpoints = self.checkpoints.lock();
        let of = |offsets: &BTreeMap<_, _>| offsets.get(partition).copied().unwrap_or(0);
        LogOptions {
            config,
            topic_id,
            is_clean: self.clean_shutdown.is_some(),
            recovery_point: of(&checkpoints.recovery_points),
            log_start_offset: of(&checkpoints.log_start_offsets),
            high_watermark: of(&checkpoints.high_watermarks),
            has_lost_power: self.earlier_boot.is_some(),
            accepts_loss: false,
            cleaned_up_to: checkpoints.cleaned_up_to.get(partition).copied(),
            now_ms,
        }
    }

    /// Opens the log of a partition, or creates it. [`LogDir::settle`] has to follow before it is used.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_log(
        &self,
        partition: &TopicPartition,
        config: LogConfig,
        topic_id: Option<Uuid>,
        now_ms: TimestampMs,
    ) -> Result<Log, OpenError> {
        let options = self.log_options(partition, config, topic_id, now_ms);
        self.open_log_with(partition, options)
    }

    /// As [`LogDir::open_log`], with options of the caller's.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_log_with(&self, partition: &TopicPartition, mut options: LogOptions) -> Result<Log, OpenError> {
        let dir = self.path.join(partition.dir_name());
        let status = self.disk.status(&dir);
        let is_new = status.is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_new {
            // What the checkpoints say is of an earlier log of this name.
            (options.recovery_point, options.high_watermark, options.log_start_offset) = (0, 0, 0);
            options.cleaned_up_to = None;
        }
        let log = Log::open(self.disk.clone(), &dir, &options)?;
        // Who accepts any loss knows from elsewhere what the log must have.
        if !options.accepts_loss && self.checkpoints.lock().retract(partition, &log) {
            self.is_promise_broken.store(true, Ordering::Release);
        }
        if let Some(from) = log.recovery().lost_from {
            let to = options.high_watermark - 1;
            tracing::error!(%partition, from, to, "a power loss has taken committed records that were not flushed");
        }
        if is_new {
            self.disk
                .sync_dir(&self.path)
                .map_err(|error| OpenError::Io { dir, error })?;
        }
        Ok(log)
    }

    /// Takes back, durably, what the checkpoints promise of logs that have been opened and do not have it, because a power
    /// loss has taken it or because it was of an earlier log of that name. Who does not would find, after another crash,
    /// what is appended now taken for what was promised then. Usually there is nothing to do.
    ///
    /// # Errors
    /// The disk's. Nothing may be appended to the logs that were opened since the last call.
    pub fn settle(&self) -> Result<(), LogDirError> {
        if !self.is_promise_broken.load(Ordering::Acquire) {
            return Ok(());
        }
        let checkpoints = self.checkpoints.lock();
        checkpoints
            .files()
            .try_for_each(|(file, offsets)| write_offsets(&*self.disk, &self.path.join(file), offsets))
            .map_err(|error| self.failed(error))?;
        self.is_promise_broken.store(false, Ordering::Release);
        Ok(())
    }

    /// Takes logs of deleted topics out of use: from here on their names are free. The files stay until
    /// [`LogDir::remove_dir`] of the directories that `deleted` gets; what was read before stays readable. Each log comes with
    /// a random id.
    ///
    /// # Errors
    /// The disk's, the first of them: the log that it met is offline nonetheless, the others are as without it.
    pub fn delete_logs(
        &self,
        logs: &[(&TopicPartition, &Log, Uuid)],
        deleted: &mut Vec<PathBuf>,
    ) -> Result<(), LogDirError> {
        logs.iter().for_each(|(_, log, _)| log.take_offline());
        let mut refused = None;
        let renamed: Vec<&TopicPartition> = logs
            .iter()
            .filter_map(
                |(partition, log, unique)| match self.rename_to_deleted(partition, log, *unique) {
                    Ok(dir) => {
                        deleted.push(dir);
                        Some(*partition)
                    }
                    Err(error) => {
                        refused.get_or_insert(error);
                        None
                    }
                },
            )
            .collect();
        self.free_names(Ok(()), renamed)?;
        refused.map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn rename_to_deleted(&self, partition: &TopicPartition, log: &Log, unique: Uuid) -> io::Result<PathBuf> {
        let deleted = self.path.join(names::deleted(partition, unique));
        self.disk.rename(log.dir(), &deleted).map(|()| deleted)
    }

    /// Sets a log aside that this node should not have, for a human to look at. Returns where it is now.
    ///
    /// `unique` is a random id.
    ///
    /// # Errors
    /// The disk's.
    pub fn set_aside(&self, partition: &TopicPartition, unique: Uuid) -> Result<PathBuf, LogDirError> {
        let stray = self.path.join(names::stray(partition, unique));
        let renamed = self.disk.rename(&self.path.join(partition.dir_name()), &stray);
        self.free_names(renamed.map(|()| stray), [partition])
    }

    /// What is renamed away, however many logs there are, is made durable once.
    fn free_names<'a, T>(
        &self,
        renamed: io::Result<T>,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<T, LogDirError> {
        let renamed = renamed
            .and_then(|renamed| self.disk.sync_dir(&self.path).map(|()| renamed))
            .map_err(|error| self.failed(error))?;
        partitions.into_iter().for_each(|partition| self.forget(partition));
        Ok(renamed)
    }

    fn forget(&self, partition: &TopicPartition) {
        let mut checkpoints = self.checkpoints.lock();
        checkpoints.recovery_points.remove(partition);
        checkpoints.log_start_offsets.remove(partition);
        checkpoints.high_watermarks.remove(partition);
        checkpoints.cleaned_up_to.remove(partition);
    }

    /// Removes the directory of a deleted log.
    ///
    /// # Errors
    /// The disk's. Opening the log directory again finds what is left, as [`DirKind::Deleted`].
    pub fn remove_dir(&self, deleted: &Path) -> Result<(), LogDirError> {
        self.disk.remove_dir(deleted).map_err(|error| self.failed(error))
    }

    /// Removes all records of a log at and after `offset`: [`Log::truncate_to`], before which what the checkpoints
    /// promise is taken back, so that a crash at any time leaves a log that may be opened.
    ///
    /// # Errors
    /// As [`Log::truncate_to`]; the log is as before if the checkpoints could not be written.
    pub fn truncate_log(
        &self,
        partition: &TopicPartition,
        log: &Log,
        offset: Offset,
        now_ms: TimestampMs,
    ) -> Result<bool, TruncateError> {
        // Held until the log is cut: nobody may note in between what is about to go.
        let mut checkpoints = self.checkpoints.lock();
        let end = log.end_after_truncation_to(offset)?;
        let Checkpoints {
            recovery_points,
            high_watermarks,
            cleaned_up_to,
            ..
        } = &mut *checkpoints;
        for (file, offsets) in [
            (RECOVERY_POINT_FILE, recovery_points),
            (HIGH_WATERMARK_FILE, high_watermarks),
            (CLEANER_FILE, cleaned_up_to),
        ] {
            let Some(promised) = offsets.get(partition).copied().filter(|promised| *promised > end) else {
                continue;
            };
            offsets.insert(partition.clone(), end);
            write_offsets(&*self.disk, &self.path.join(file), offsets).inspect_err(|_| {
                // What the file says is still promised, and has to be taken back the next time.
                offsets.insert(partition.clone(), promised);
            })?;
        }
        log.truncate_to(offset, now_ms)
    }

    /// Writes the checkpoints, durably. Partitions that are not in `logs` keep what was written before.
    ///
    /// Nothing is synced: a log's recovery point is where [`Log::sync`] has brought it.
    ///
    /// # Errors
    /// The disk's. Some of the files may be the old ones.
    pub fn write_checkpoints<'a>(
        &self,
        logs: impl IntoIterator<Item = (&'a TopicPartition, &'a Log)>,
    ) -> Result<(), LogDirError> {
        let mut checkpoints = self.checkpoints.lock();
        for (partition, log) in logs {
            checkpoints.note(partition, log);
        }
        let write = |file, offsets| write_offsets(&*self.disk, &self.path.join(file), offsets);
        write(RECOVERY_POINT_FILE, &checkpoints.recovery_points)
            .and_then(|()| write(LOG_START_FILE, &checkpoints.log_start_offsets))
            .and_then(|()| write(HIGH_WATERMARK_FILE, &checkpoints.high_watermarks))
            .map_err(|error| self.failed(error))
    }

    /// Notes, durably, that what the logs hold now was there in this boot of the machine: nothing of it is missing at
    /// the next start unless power is lost again.
    ///
    /// To be called once all logs have been opened and their checkpoints written: until then who is interrupted must
    /// know that power was lost. Where it is not known whether it was, the boot is noted at once. Later calls cost nothing.
    ///
    /// # Errors
    /// The disk's.
    pub fn note_boot(&self) -> Result<(), LogDirError> {
        if self.is_boot_noted.load(Ordering::Acquire) {
            return Ok(());
        }
        let path = self.path.join(BOOT_FILE);
        let noted = match self.disk.boot_id() {
            Some(id) => replace_file(&*self.disk, &path, id.as_bytes()),
            None => remove_if_exists(&*self.disk, &path),
        };
        noted.map_err(|error| self.failed(error))?;
        self.is_boot_noted.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes down, durably, up to where a log has been compacted. What is lost of it costs another pass.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_cleaner_checkpoint(&self, partition: &TopicPartition, log: &Log) -> Result<(), LogDirError> {
        let mut checkpoints = self.checkpoints.lock();
        match log.cleaned_up_to() {
            Some(offset) => checkpoints.cleaned_up_to.insert(partition.clone(), offset),
            None => checkpoints.cleaned_up_to.remove(partition),
        };
        drop(checkpoints);
        self.write_cleaned()
    }

    fn write_cleaned(&self) -> Result<(), LogDirError> {
        let checkpoints = self.checkpoints.lock();
        write_offsets(&*self.disk, &self.path.join(CLEANER_FILE), &checkpoints.cleaned_up_to)
            .map_err(|error| self.failed(error))
    }

    /// Closes the logs and marks the directory as closed: the next user takes the files as they are. The lock is given
    /// back when this is dropped; nothing may be opened in between.
    ///
    /// `logs` must be all that were opened; `threads` of them are closed at a time. The marker is written last, and not at all if a log could not be closed; the
    /// others are closed nonetheless.
    ///
    /// # Errors
    /// The first log that could not be closed, or the disk's.
    pub fn close<'a>(
        &self,
        logs: impl IntoIterator<Item = (&'a TopicPartition, &'a Log)>,
        broker_epoch: i64,
        threads: usize,
    ) -> Result<(), LogDirError> {
        let logs: Vec<_> = logs.into_iter().collect();
        let closed = closing::close_all(&logs, threads);
        self.write_checkpoints(logs)?;
        self.note_boot()?;
        closed?;
        let content = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
        replace_file(&*self.disk, &self.path.join(CLEAN_SHUTDOWN_FILE), content.as_bytes())
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> LogDirError {
        LogDirError::Io {
            path: self.path.clone(),
            error,
        }
    }
}

impl Checkpoints {
    /// In the order in which they are written.
    fn files(&self) -> impl Iterator<Item = (&'static str, &BTreeMap<TopicPartition, Offset>)> {
        [
            (RECOVERY_POINT_FILE, &self.recovery_points),
            (LOG_START_FILE, &self.log_start_offsets),
            (HIGH_WATERMARK_FILE, &self.high_watermarks),
            (CLEANER_FILE, &self.cleaned_up_to),
        ]
        .into_iter()
    }

    /// Lowers what is promised of a log to what it has. Returns whether that was too much.
    fn retract(&mut self, partition: &TopicPartition, log: &Log) -> bool {
        let end = log.log_end_offset();
        let mut is_broken = false;
        for offsets in [
            &mut self.recovery_points,
            &mut self.log_start_offsets,
            &mut self.high_watermarks,
            &mut self.cleaned_up_to,
        ] {
            if let Some(promised) = offsets.get_mut(partition).filter(|promised| **promised > end) {
                *promised = end;
                is_broken = true;
            }
        }
        is_broken
    }

    fn note(&mut self, partition: &TopicPartition, log: &Log) {
        self.recovery_points.insert(partition.clone(), log.recovery_point());
        self.high_watermarks.insert(partition.clone(), log.high_watermark());
        // As with Kafka there is an entry only where the first segment does not say it, for good.
        match log.log_start_offset() > log.first_durable_segment_offset() {
            true => self.log_start_offsets.insert(partition.clone(), log.log_start_offset()),
            false => self.log_start_offsets.remove(partition),
        };
    }
}

fn or_empty(read: Result<BTreeMap<TopicPartition, Offset>, CheckpointError>) -> BTreeMap<TopicPartition, Offset> {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "a checkpoint is not readable and counts as empty");
        BTreeMap::new()
    })
}

/// Reads the marker and removes it, durably.
fn take_clean_shutdown(disk: &dyn Disk, dir: &Path) -> io::Result<Option<CleanShutdown>> {
    let path = dir.join(CLEAN_SHUTDOWN_FILE);
    let Some(content) = read_file(disk, &path)? else {
        return Ok(None);
    };
    remove_if_exists(disk, &path)?;
    disk.sync_dir(dir)?;
    Ok(Some(CleanShutdown {
        broker_epoch: broker_epoch(&String::from_utf8_lossy(&content)).unwrap_or(-1),
    }))
}

/// The number behind `"brokerEpoch":` in the JSON that Kafka writes.
fn broker_epoch(content: &str) -> Option<i64> {
    let (_, rest) = content.split_once("\"brokerEpoch\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest
        .find(|letter: char| letter != '-' && !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
