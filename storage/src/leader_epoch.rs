//! The leaders a partition has had, and where in the log each one began (KIP-101): `leader-epoch-checkpoint`.
//!
//! Both epochs and start offsets rise strictly. Whoever lost the leadership finds here up to where its log and the new
//! leader's agree. The batches carry their epochs too, so what the file misses after a crash is read back from them.

use std::io;
use std::path::Path;

use ottla_protocol::ids::{LeaderEpoch, Offset};

use crate::checkpoint::{CheckpointError, read_entries, write_entries};
use crate::disk::Disk;

/// Name of the file in the partition's directory.
pub(crate) const FILE: &str = "leader-epoch-checkpoint";

/// An epoch and the first offset that was appended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    /// The epoch.
    pub epoch: LeaderEpoch,
    /// Its first offset.
    pub start_offset: Offset,
}

/// An epoch and the offset after the last one that was appended in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch known that is not above the one asked for.
    pub epoch: LeaderEpoch,
    /// Where the next epoch starts; the log end offset for the latest.
    pub end_offset: Offset,
}

/// The entries of the file as they stand there; none where there is no file.
pub(crate) fn read_lines(disk: &dyn Disk, dir: &Path) -> Result<Vec<EpochEntry>, CheckpointError> {
    let parse = |line: &str| {
        let (epoch, start_offset) = line.split_once(' ')?;
        let entry = EpochEntry {
            epoch: LeaderEpoch(epoch.parse().ok()?),
            start_offset: start_offset.parse().ok()?,
        };
        (entry.epoch.is_some() && entry.start_offset >= 0).then_some(entry)
    };
    read_entries(disk, &dir.join(FILE), parse)
}

/// The epochs of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// Reads the file; empty where there is none. Entries that do not rise are dropped as [`LeaderEpochs::assign`] does.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Self, CheckpointError> {
        let mut epochs = Self::default();
        for entry in read_lines(disk, dir)? {
            epochs.assign(entry.epoch, entry.start_offset);
        }
        Ok(epochs)
    }

    /// Replaces the file, durably.
    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let line = |entry: &EpochEntry| format!("{} {}", entry.epoch, entry.start_offset);
        write_entries(disk, &dir.join(FILE), self.entries.iter().map(line))
    }

    pub(crate) fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    pub(crate) fn latest(&self) -> Option<LeaderEpoch> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Notes that `epoch` begins at `start_offset`. Entries that contradict it go: nothing was written in them, or
    /// they are of a log that has been cut since. Returns whether anything changed.
    pub(crate) fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if let Some(last) = self.entries.last()
            && last.epoch == epoch
            && last.start_offset <= start_offset
        {
            return false;
        }
        while self
            .entries
            .last()
            .is_some_and(|last| last.epoch >= epoch || last.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// The epoch that `offset` was appended in.
    pub(crate) fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let count = self.entries.partition_point(|entry| entry.start_offset <= offset);
        Some(self.entries.get(count.checked_sub(1)?)?.epoch)
    }

    /// Where `epoch` ended, as OffsetForLeaderEpoch answers it: `None` for one above the latest, and without entries.
    pub(crate) fn end_offset_for(&self, epoch: LeaderEpoch, log_end_offset: Offset) -> Option<EpochEndOffset> {
        if !epoch.is_some() {
            return None;
        }
        if self.latest()? == epoch {
            return Some(EpochEndOffset {
                epoch,
                end_offset: log_end_offset,
            });
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(above)?.start_offset;
        // Before the first known epoch everything is gone: where the log goes on is the best that can be said.
        let epoch = above.checked_sub(1).map_or(epoch, |below| self.entries[below].epoch);
        Some(EpochEndOffset { epoch, end_offset })
    }

    /// Forgets what starts at or after `end_offset`. Returns whether anything changed.
    pub(crate) fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let count = self.entries.len();
        self.entries.retain(|entry| entry.start_offset < end_offset);
        self.entries.len() != count
    }

    /// Forgets what ends before `start_offset`; the epoch that goes on over it starts there now.
    pub(crate) fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let below = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(last) = below.checked_sub(1) else { return false };
        let is_changed = last > 0 || self.entries[last].start_offset < start_offset;
        self.entries.drain(..last);
        self.entries[0].start_offset = start_offset;
        is_changed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, Offset)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start_offset) in entries {
            epochs.assign(LeaderEpoch(*epoch), *start_offset);
        }
        epochs
    }

    #[test]
    fn the_end_of_an_epoch_is_where_the_next_one_starts() {
        let epochs = epochs(&[(0, 0), (3, 5)]);
        let end = |epoch| {
            epochs
                .end_offset_for(LeaderEpoch(epoch), 10)
                .map(|end| (end.epoch.0, end.end_offset))
        };
        assert_eq!(end(0), Some((0, 5)));
        assert_eq!(end(1), Some((0, 5)));
        assert_eq!(end(2), Some((0, 5)));
        assert_eq!(end(3), Some((3, 10)));
        assert_eq!(end(4), None);
        assert_eq!(end(-1), None);
    }

    #[test]
    fn an_epoch_older_than_the_log_ends_where_the_log_begins() {
        let epochs = epochs(&[(4, 100), (6, 200)]);
        let end = epochs.end_offset_for(LeaderEpoch(2), 300);
        assert_eq!(
            end,
            Some(EpochEndOffset {
                epoch: LeaderEpoch(2),
                end_offset: 100
            })
        );
    }

    #[test]
    fn a_new_entry_drops_those_it_contradicts() {
        assert_eq!(epochs(&[(1, 10), (2, 20), (3, 20)]), epochs(&[(1, 10), (3, 20)]));
        assert_eq!(epochs(&[(1, 10), (5, 30), (4, 40)]), epochs(&[(1, 10), (4, 40)]));
        assert_eq!(epochs(&[(1, 10), (1, 12)]), epochs(&[(1, 10)]));
    }

    #[test]
    fn cutting_at_the_start_keeps_the_epoch_that_goes_on() {
        let mut cut = epochs(&[(1, 0), (2, 20), (3, 40)]);
        assert!(cut.truncate_from_start(30));
        assert_eq!(cut, epochs(&[(2, 30), (3, 40)]));
        assert!(!cut.truncate_from_start(30));
        assert_eq!(cut.epoch_for_offset(29), None);
        assert_eq!(cut.epoch_for_offset(39), Some(LeaderEpoch(2)));
        assert_eq!(cut.epoch_for_offset(40), Some(LeaderEpoch(3)));
    }

    #[test]
    fn cutting_at_the_end_forgets_epochs_that_began_after_it() {
        let mut cut = epochs(&[(1, 0), (2, 20), (3, 40)]);
        assert!(cut.truncate_from_end(20));
        assert_eq!(cut, epochs(&[(1, 0)]));
    }
}
