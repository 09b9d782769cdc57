//! Logs that are moved here from another directory.
//!
//! The copy grows in a directory of its own name (`-future`). Taking the place of the log it was made from is one step
//! for everybody who uses the log: while nothing is appended, the rest is copied, the copy is renamed to what logs in
//! use are called, and the old log is renamed to what is to be removed. A process that dies in between leaves two whole
//! logs; the metadata, written before, say which one counts.

use std::path::{Path, PathBuf};

use ottla_protocol::ids::{Offset, TimestampMs, Uuid};

use super::{LogDir, LogDirError, TopicPartition, names};
use crate::disk::replace_file;
use crate::log::{CopyError, Log, LogConfig, LogOptions, OpenError, SyncError, copy_some};
use crate::producer_state::snapshot;

/// Copied at once in the last step, in which appends wait.
const LAST_BYTES: usize = 1 << 20;
/// A log that grows as fast as it is copied is given up waiting for.
const PIECES_MAX: usize = 256;
/// Each round copies and syncs what came during the one before.
const ROUNDS: usize = 3;

/// A copy that is being made.
#[derive(Debug)]
pub struct FutureLog {
    log: Log,
    /// How far the log was compacted when the copy began: what came later may have been copied before it was.
    cleaned_up_to: Option<Offset>,
}

impl FutureLog {
    /// The copy.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

/// Why a copy has not taken the place of the log. The log is in use as before.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// The rest could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The copy could not be made durable.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The copy could not be renamed.
    #[error(transparent)]
    Dir(#[from] LogDirError),
    /// The copy could not be opened under its name.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy does not end where the log does.
    #[error("the copy ends at offset {found}, the log at {expected}")]
    Incomplete {
        /// Where the copy ends.
        found: Offset,
        /// Where the log ends.
        expected: Offset,
    },
}

/// Copies up to where the log ends now, or a little later.
fn copy_most(source: &Log, target: &Log, now_ms: TimestampMs) -> Result<(), PromoteError> {
    for _ in 0..PIECES_MAX {
        let end = source.log_end_offset();
        copy_some(source, target, LAST_BYTES, now_ms)?;
        if target.log_end_offset() >= end {
            return Ok(());
        }
    }
    Err(PromoteError::Incomplete {
        found: target.log_end_offset(),
        expected: source.log_end_offset(),
    })
}

impl LogDir {
    /// Whether a copy of this partition's log can have a name.
    pub fn has_future_name(partition: &TopicPartition) -> bool {
        names::future(partition, Uuid::ZERO).is_some()
    }

    /// Opens the copy in `found`, which is one of the directories of this one, or begins one with the random id
    /// `unique`. `source` is the log that is copied.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_future(
        &self,
        partition: &TopicPartition,
        found: Result<&Path, Uuid>,
        source: &Log,
        (topic_id, config): (Uuid, LogConfig),
        now_ms: TimestampMs,
    ) -> Result<FutureLog, OpenError> {
        let dir = match found {
            Ok(path) => path.to_owned(),
            Err(unique) => {
                let name = names::future(partition, unique).unwrap_or_else(|| names::stray(partition, unique));
                self.path.join(name)
            }
        };
        let options = LogOptions {
            config,
            topic_id: Some(topic_id),
            now_ms,
            ..LogOptions::default()
        };
        let log = Log::open(self.disk.clone(), &dir, &options)?;
        self.disk
            .sync_dir(&self.path)
            .map_err(|error| OpenError::Io { dir, error })?;
        Ok(FutureLog {
            log,
            // Of one that was begun earlier nobody knows any more.
            cleaned_up_to: source.cleaned_up_to().filter(|_| found.is_err()),
        })
    }

    /// Puts the copy in the place of `source`, a log of `source_dir`. `install` gets the log as it is in its new place and
    /// has to show it to everybody. Appends to `source` wait meanwhile, and are refused afterwards: whoever is refused
    /// finds what was installed.
    ///
    /// Returns what is left of the old log, to be removed; an error if it could not be renamed and will be found again
    /// under its old name.
    ///
    /// # Errors
    /// `source` is in use as before; the copy is spent.
    pub fn promote(
        &self,
        partition: &TopicPartition,
        future: FutureLog,
        (source_dir, source): (&LogDir, &Log),
        (topic_id, unique): (Uuid, Uuid),
        now_ms: TimestampMs,
        install: impl FnOnce(Log),
    ) -> Result<Result<PathBuf, LogDirError>, PromoteError> {
        // The long part of it, while others append. What they append during the last round is little.
        for _ in 0..ROUNDS {
            copy_most(source, &future.log, now_ms)?;
            future.log.sync()?;
        }
        copy_most(source, &future.log, now_ms)?;
        self.note_future(partition, &future, source)?;
        source.hand_over(|producers, unwritten| {
            while copy_some(source, &future.log, LAST_BYTES, now_ms)? > 0 {}
            let (found, expected) = (future.log.log_end_offset(), source.log_end_offset());
            if found != expected {
                return Err(PromoteError::Incomplete { found, expected });
            }
            let log = self.rename_future(partition, future, source, (topic_id, producers), now_ms)?;
            log.adopt(unwritten);
            // Whoever reads the old log and misses its files finds this one.
            install(log);
            Ok(source_dir.free_names(source_dir.rename_to_deleted(partition, source, unique), [partition]))
        })
    }

    /// Puts into the checkpoints what the copy cannot say itself, before it counts.
    fn note_future(&self, partition: &TopicPartition, future: &FutureLog, source: &Log) -> Result<(), LogDirError> {
        {
            let mut checkpoints = self.checkpoints.lock();
            checkpoints.note(partition, &future.log);
            let start = source.log_start_offset();
            checkpoints.log_start_offsets.insert(partition.clone(), start);
            match future.cleaned_up_to {
                Some(offset) => checkpoints.cleaned_up_to.insert(partition.clone(), offset),
                None => checkpoints.cleaned_up_to.remove(partition),
            };
        }
        self.write_checkpoints([])?;
        self.write_cleaned()
    }

    fn rename_future(
        &self,
        partition: &TopicPartition,
        future: FutureLog,
        source: &Log,
        (topic_id, producers): (Uuid, &[u8]),
        now_ms: TimestampMs,
    ) -> Result<Log, PromoteError> {
        let options = LogOptions {
            config: future.log.config(),
            topic_id: Some(topic_id),
            is_clean: true,
            recovery_point: source.log_end_offset(),
            log_start_offset: source.log_start_offset(),
            high_watermark: source.high_watermark(),
            has_lost_power: false,
            accepts_loss: false,
            cleaned_up_to: future.cleaned_up_to,
            now_ms,
        };
        let from = future.log.dir().to_owned();
        future.log.close()?;
        drop(future);
        let to = self.path.join(partition.dir_name());
        let snapshot = snapshot::path(&from, source.log_end_offset());
        replace_file(&*self.disk, &snapshot, producers)
            .and_then(|()| self.disk.rename(&from, &to))
            .and_then(|()| self.disk.sync_dir(&self.path))
            .map_err(|error| self.failed(error))?;
        Log::open(self.disk.clone(), &to, &options).map_err(|error| {
            // The log that it was to replace goes on; what cannot be renamed back is found at the next start.
            let _ = self.disk.rename(&to, &from);
            PromoteError::Open(error)
        })
    }

    /// Removes a copy that is not wanted any more.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove_future(&self, future: FutureLog) -> Result<(), LogDirError> {
        future.log.take_offline();
        let dir = future.log.dir().to_owned();
        drop(future);
        self.remove_dir(&dir)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
