//! Leader epochs of a log.

use std::io;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{LeaderEpoch, Offset};

use super::{Appender, Log};
use crate::leader_epoch::{EpochEndOffset, EpochEntry};

impl Log {
    /// The latest epoch that began in this log.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.read().latest()
    }

    /// The epoch in which the record at `offset` was appended.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.read().epoch_for_offset(offset)
    }

    /// Where `epoch` ended, as OffsetForLeaderEpoch answers: the largest epoch not above it, and where the next one
    /// begins, or the log end offset. `None` for one above the latest: the answer is (-1, -1).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<EpochEndOffset> {
        self.epochs.read().end_offset_for(epoch, self.log_end_offset())
    }

    /// All epochs with data here, oldest first.
    pub fn epochs(&self) -> Vec<EpochEntry> {
        self.epochs.read().entries().to_vec()
    }

    /// Notes, durably, that this broker leads in `epoch` from the log's end on. An epoch that is not above the latest
    /// changes nothing.
    ///
    /// # Errors
    /// The disk's; the next [`Log::sync`] tries again.
    pub fn assign_epoch(&self, epoch: LeaderEpoch) -> io::Result<()> {
        {
            let mut appender = self.appender.lock();
            if epoch > appender.latest_epoch {
                self.begin_epoch(&mut appender, epoch, self.log_end_offset());
            }
        }
        self.write_epochs()
    }

    /// Notes that `epoch` begins at `start_offset`; to the file it goes with the next sync.
    pub(super) fn begin_epoch(&self, appender: &mut Appender, epoch: LeaderEpoch, start_offset: Offset) {
        appender.latest_epoch = epoch;
        if self.epochs.write().assign(epoch, start_offset) {
            self.are_epochs_dirty.store(true, Ordering::Release);
        }
    }

    /// Writes the file, durably, if anything changed since.
    pub(super) fn write_epochs(&self) -> io::Result<()> {
        // One writer at a time: an older list must not replace a newer one.
        let _writing = self.writing_epochs.lock();
        if !self.are_epochs_dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let epochs = self.epochs.read().clone();
        epochs
            .write(&*self.disk, &self.dir)
            .inspect_err(|_| self.are_epochs_dirty.store(true, Ordering::Release))
    }
}
