//! Making the log durable, and letting go of what it holds in memory.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::Offset;

use super::{Log, Unflushed};
use crate::disk::remove_if_exists;
use crate::fault::Fault;
use crate::producer_state::snapshot;
use crate::segment::Segment;
use crate::segment::writer::trim;

/// Why the log was not made durable.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The disk could not make the data durable, and may have dropped it. The log is offline from now on: a second
    /// attempt could succeed without the data.
    #[error("a sync failed, the log is offline: {0}")]
    SyncFailed(io::Error),
    /// An index, snapshot or epoch file could not be written. A later sync tries again.
    #[error("the disk refused: {0}")]
    Io(#[from] io::Error),
    /// The log is offline.
    #[error("the log is offline")]
    Offline,
}

impl Log {
    /// Makes durable what was appended before the call. Returns the recovery point: all before it is on disk.
    ///
    /// Callers that come while another is at work are served together by the next round. The append lock is held only
    /// to see which segment is active.
    ///
    /// # Errors
    /// After [`SyncError::SyncFailed`] the log is offline.
    pub fn sync(&self) -> Result<Offset, SyncError> {
        self.sync_up_to(self.log_end_offset())
    }

    /// As [`Log::sync`], for what is before `offset`: done already if another caller's round has taken it along.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn sync_up_to(&self, offset: Offset) -> Result<Offset, SyncError> {
        if self.recovery_point() >= offset {
            return Ok(self.recovery_point());
        }
        let _round = self.syncing.lock();
        if self.recovery_point() >= offset {
            return Ok(self.recovery_point());
        }
        self.sync_round()
    }

    /// One round, for the holder of `syncing`.
    pub(super) fn sync_round(&self) -> Result<Offset, SyncError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(SyncError::Offline);
        }
        self.finish_rolls();
        let (active, log_end_offset) = {
            let mut appender = self.appender.lock();
            if let Err(error) = appender.writer.check() {
                self.take_offline();
                return Err(SyncError::SyncFailed(error));
            }
            appender.writer.note_sync();
            (appender.writer.segment().clone(), self.log_end_offset())
        };
        let unflushed = std::mem::take(&mut *self.unflushed.lock());
        if let Err(error) = self.finish(&unflushed, &active) {
            self.put_back(unflushed);
            return Err(error.into());
        }
        match self.sync_files(&unflushed, &active) {
            Ok(()) => {}
            // No descriptor for the file, say: it was not asked to be durable yet, and nothing of it was dropped.
            Err(error) if Fault::of(&error) == Fault::Process => {
                self.put_back(unflushed);
                return Err(error.into());
            }
            Err(error) => {
                self.take_offline();
                return Err(SyncError::SyncFailed(error));
            }
        }
        self.write_epochs()?;
        self.recovery_point.fetch_max(log_end_offset, Ordering::AcqRel);
        Ok(log_end_offset)
    }

    /// Does what could not be done when the segments were rolled. Doing it again is harmless.
    fn finish(&self, unflushed: &Unflushed, active: &Segment) -> io::Result<()> {
        for segment in &unflushed.sealed {
            trim(segment)?;
            segment.flush_indexes()?;
        }
        // A disk that is full says so here, where nothing is lost by it.
        active.txns.flush()
    }

    fn sync_files(&self, unflushed: &Unflushed, active: &Arc<Segment>) -> io::Result<()> {
        for segment in &unflushed.sealed {
            segment.sync()?;
            segment.release();
        }
        active.file()?.sync()?;
        let has_new_file = active.txns.sync_new()?;
        for offset in &unflushed.snapshots {
            snapshot::sync(&*self.disk, &snapshot::path(&self.dir, *offset))?;
        }
        match unflushed.is_dir_dirty || has_new_file {
            true => self.disk.sync_dir(&self.dir),
            false => Ok(()),
        }
    }

    fn put_back(&self, mut unflushed: Unflushed) {
        let mut since = self.unflushed.lock();
        unflushed.sealed.append(&mut since.sealed);
        unflushed.snapshots.append(&mut since.snapshots);
        unflushed.is_dir_dirty |= since.is_dir_dirty;
        *since = unflushed;
    }

    /// Writes a producer snapshot at the log's end, so that recovery need not read what is before it; durable with the
    /// next sync. Nothing happens if one is there.
    ///
    /// # Errors
    /// The disk's. The snapshots that are there stay good.
    pub fn snapshot_producers(&self) -> io::Result<()> {
        let (content, offset, before) = {
            let mut appender = self.appender.lock();
            let offset = self.log_end_offset();
            if appender.last_snapshot.is_some_and(|last| last >= offset) || offset == self.log_start_offset() {
                return Ok(());
            }
            (
                snapshot::encode(&appender.producers),
                offset,
                appender.last_snapshot.replace(offset),
            )
        };
        snapshot::write(&*self.disk, &self.dir, offset, &content)?;
        {
            let mut unflushed = self.unflushed.lock();
            unflushed.snapshots.push(offset);
            unflushed.is_dir_dirty = true;
        }
        match before {
            // The one before served the same purpose, unless it belongs to a segment.
            Some(before) if !self.has_segment_at(before) => {
                remove_if_exists(&*self.disk, &snapshot::path(&self.dir, before))
            }
            _ => Ok(()),
        }
    }

    fn has_segment_at(&self, base_offset: Offset) -> bool {
        self.segments
            .read()
            .binary_search_by_key(&base_offset, |segment| segment.base_offset())
            .is_ok()
    }

    /// Gives back what an idle log need not hold: the map, preallocated blocks, buffers and descriptors. The next
    /// append or read takes them again. Returns whether there was a map.
    ///
    /// # Errors
    /// The disk's; the log is usable nonetheless.
    pub fn release_idle(&self) -> io::Result<bool> {
        let was_mapped = {
            let mut appender = self.appender.lock();
            let was_mapped = appender.writer.is_mapped();
            if was_mapped {
                appender.writer.release()?;
            }
            appender.batches = Vec::new();
            was_mapped
        };
        self.positions.forget();
        self.all_segments().iter().for_each(|segment| segment.release());
        Ok(was_mapped)
    }

    /// Whether a map and preallocated blocks are held: [`Log::release_idle`] would give them back.
    pub fn is_mapped(&self) -> bool {
        self.appender.lock().writer.is_mapped()
    }

    /// Closes the log: indexes and producer snapshot written, preallocated room given back, all of it durable. Appends
    /// are refused from then on; what was read before stays readable.
    ///
    /// # Errors
    /// As [`Log::sync`]: the log must then be opened as after an unclean stop.
    pub fn close(&self) -> Result<(), SyncError> {
        let _round = self.syncing.lock();
        if self.has_failed.load(Ordering::Acquire) {
            return Err(SyncError::Offline);
        }
        {
            // From here on the log does not change.
            let _appender = self.appender.lock();
            self.is_closed.store(true, Ordering::Release);
        }
        self.finish_rolls();
        let is_dirty = self.is_dirty() || self.is_mapped();
        if is_dirty {
            self.snapshot_producers()?;
        }
        let active = {
            let mut appender = self.appender.lock();
            appender.writer.release()?;
            appender.writer.segment().clone()
        };
        if is_dirty {
            self.sync_round()?;
            active.sync().map_err(SyncError::SyncFailed)?;
        }
        self.all_segments().iter().for_each(|segment| segment.release());
        Ok(())
    }

    fn is_dirty(&self) -> bool {
        let unflushed = self.unflushed.lock();
        self.recovery_point() < self.log_end_offset()
            || unflushed.is_dir_dirty
            || self.are_epochs_dirty.load(Ordering::Acquire)
    }
}
