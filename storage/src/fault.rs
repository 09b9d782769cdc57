//! What an error of the system says about the disk behind a log.
//!
//! Pure: an error number in, a verdict out. What is done about it, a log or a whole directory taken out of use, is
//! decided by those who know the directories.

use std::error::Error;
use std::io;

use rustix::io::Errno;

use crate::checkpoint::CheckpointError;
use crate::compaction::CompactionError;
use crate::log::{
    AppendError, CopyError, DeleteRecordsError, LookUpError, OpenError, ReadError, RetentionError, SyncError,
    TruncateError,
};
use crate::log_dir::{LogDirError, PromoteError};
use crate::meta_properties::MetaPropertiesError;
use crate::segment::ScanError;

/// Whose fault a failed operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The disk cannot be trusted any more (EIO, EROFS, a failed fsync, ...): nothing of it may be.
    Disk,
    /// There is no space left. Nothing is broken, and the same may work later.
    Full,
    /// A file or directory is not there (ENOENT, ENOTDIR): all of the disk, or only this.
    Missing,
    /// This process has run out of something (EMFILE, ENOMEM, ...): the disk is not to blame.
    Process,
    /// The log is damaged, and no other is known to be.
    Log,
}

impl Fault {
    /// Whose fault an error is. One that does not come from the system is about what a file contains.
    pub fn of(error: &io::Error) -> Self {
        let Some(number) = error.raw_os_error() else {
            return match error.kind() {
                io::ErrorKind::StorageFull => Self::Full,
                io::ErrorKind::OutOfMemory => Self::Process,
                _ => Self::Log,
            };
        };
        match Errno::from_raw_os_error(number) {
            Errno::NOSPC | Errno::DQUOT => Self::Full,
            Errno::NOENT | Errno::NOTDIR => Self::Missing,
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::INTR | Errno::NOBUFS => Self::Process,
            _ => Self::Disk,
        }
    }
}

/// An error that may be a disk's.
pub trait StorageError: Error {
    /// Whose fault it is; `None` where nothing is wrong but what was asked for, or where it has been said before: the log
    /// was offline.
    fn fault(&self) -> Option<Fault>;
}

impl StorageError for io::Error {
    fn fault(&self) -> Option<Fault> {
        Some(Fault::of(self))
    }
}

impl StorageError for ScanError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Io(error) => error.fault(),
            Self::Corrupt { .. } => Some(Fault::Log),
        }
    }
}

impl StorageError for ReadError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::OffsetOutOfRange { .. } => None,
            Self::Storage(error) => error.fault(),
        }
    }
}

impl StorageError for LookUpError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Storage(error) => error.fault(),
            _ => Some(Fault::Log),
        }
    }
}

impl StorageError for AppendError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Io(error) => error.fault(),
            _ => None,
        }
    }
}

impl StorageError for SyncError {
    fn fault(&self) -> Option<Fault> {
        match self {
            // Whatever the reason, what was to be written may be gone.
            Self::SyncFailed(_) => Some(Fault::Disk),
            Self::Io(error) => error.fault(),
            Self::Offline => None,
        }
    }
}

impl StorageError for TruncateError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Storage(error) => error.fault(),
            Self::Offline => None,
        }
    }
}

impl StorageError for DeleteRecordsError {
    fn fault(&self) -> Option<Fault> {
        None
    }
}

impl StorageError for RetentionError {
    fn fault(&self) -> Option<Fault> {
        self.error.fault()
    }
}

impl StorageError for CompactionError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Io(error) => error.fault(),
            Self::SyncFailed(_) => Some(Fault::Disk),
            Self::Damaged(_) | Self::Unreadable { .. } => Some(Fault::Log),
            Self::Busy | Self::Stopped | Self::Overtaken | Self::Offline => None,
        }
    }
}

impl StorageError for CheckpointError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Io { source, .. } => source.fault(),
            Self::Malformed { .. } => Some(Fault::Log),
        }
    }
}

impl StorageError for OpenError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Storage(error) => error.fault(),
            Self::Io { error, .. } => error.fault(),
            Self::Checkpoint(error) => error.fault(),
            Self::Damaged(_) | Self::InconsistentTopicId { .. } => Some(Fault::Log),
        }
    }
}

impl StorageError for LogDirError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Locked { .. } => None,
            Self::Io { error, .. } => error.fault(),
            Self::MetaProperties(MetaPropertiesError::Io { source, .. }) => source.fault(),
            Self::MetaProperties(_) => Some(Fault::Log),
            Self::Close { error, .. } => error.fault(),
        }
    }
}

/// Of the directory that is copied to; [`CopyError::Source`] is the other one's.
impl StorageError for CopyError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Source(error) => error.fault(),
            Self::Target(error) => error.fault(),
            Self::Cut(error) => error.fault(),
        }
    }
}

impl StorageError for PromoteError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Copy(error) => error.fault(),
            Self::Sync(error) => error.fault(),
            Self::Dir(error) => error.fault(),
            Self::Open(error) => error.fault(),
            Self::Incomplete { .. } => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(errno: Errno) -> Fault {
        Fault::of(&errno.into())
    }

    #[test]
    fn a_full_disk_is_not_a_broken_one() {
        assert_eq!([Errno::NOSPC, Errno::DQUOT].map(of), [Fault::Full; 2]);
    }

    #[test]
    fn a_process_that_runs_out_of_something_does_not_blame_the_disk() {
        let errors = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::INTR];
        assert_eq!(errors.map(of), [Fault::Process; 4]);
    }

    #[test]
    fn everything_else_that_the_system_says_is_the_disks() {
        let errors = [
            Errno::IO,
            Errno::ROFS,
            Errno::ACCESS,
            Errno::NODEV,
            Errno::STALE,
            Errno::BADF,
        ];
        assert_eq!(errors.map(of), [Fault::Disk; 6]);
        assert_eq!([Errno::NOENT, Errno::NOTDIR].map(of), [Fault::Missing; 2]);
    }

    #[test]
    fn what_does_not_come_from_the_system_is_about_one_log() {
        assert_eq!(Fault::of(&io::ErrorKind::UnexpectedEof.into()), Fault::Log);
    }

    #[test]
    fn a_failed_sync_is_the_disks_whatever_it_says() {
        let full = || io::Error::from(Errno::NOSPC);
        assert_eq!(SyncError::SyncFailed(full()).fault(), Some(Fault::Disk));
        assert_eq!(SyncError::Io(full()).fault(), Some(Fault::Full));
        assert_eq!(
            CompactionError::from(SyncError::SyncFailed(full())).fault(),
            Some(Fault::Disk)
        );
        assert_eq!(SyncError::Offline.fault(), None);
    }

    #[test]
    fn a_refusal_is_nobodys_fault() {
        let beyond = ReadError::OffsetOutOfRange { offset: 7, valid: 0..5 };
        assert_eq!(beyond.fault(), None);
        assert_eq!(AppendError::Empty.fault(), None);
        assert_eq!(AppendError::Io(Errno::IO.into()).fault(), Some(Fault::Disk));
    }
}
