//! Why log directories or logs cannot be used.

use ottla_protocol::ids::Uuid;
use ottla_storage::{Fault, LogDirError, OpenError, StorageError};
use std::path::PathBuf;

/// Why the log directories or a log in them cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogStoreError {
    /// The directory.
    #[error(transparent)]
    Dir(#[from] LogDirError),
    /// A log in it.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// Directories that do not belong together.
    #[error("{}: {key} is {found}, but {expected} {where_from}", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// The key of its `meta.properties`.
        key: &'static str,
        /// What it says.
        found: String,
        /// What it should say.
        expected: String,
        /// Who says so.
        where_from: &'static str,
    },
    /// Logs of nobody.
    #[error(
        "{} holds logs, but no meta.properties that says whose they are: bring the file back, or name an empty directory",
        dir.display()
    )]
    Unowned {
        /// The directory.
        dir: PathBuf,
    },
    /// Two directories that are one.
    #[error("{} and {} have the same directory.id {id}: one is a copy of the other", dir.display(), other.display())]
    SameId {
        /// The directory.
        dir: PathBuf,
        /// The other one.
        other: PathBuf,
        /// Their id.
        id: Uuid,
    },
    /// No directory is left.
    #[error("none of the log directories can be used")]
    NoneLeft,
    /// The log may lie in a directory that is offline.
    #[error("its log is in a log directory that is offline, or not one of log.dirs")]
    OutOfReach,
    /// There are several logs of a partition.
    #[error(
        "its log is found in {}, and the metadata do not say which one counts: move all but one away while the broker is \
         stopped",
        dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" and ")
    )]
    Ambiguous {
        /// The directories.
        dirs: Vec<PathBuf>,
    },
}

impl LogStoreError {
    /// Whether the system refused something, which the directory has to know and says.
    pub(crate) fn is_of_the_system(&self) -> bool {
        !matches!(self.fault(), None | Some(Fault::Log))
    }

    /// Whether the same may work later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.fault(), Some(Fault::Full | Fault::Process))
    }
}

impl StorageError for LogStoreError {
    fn fault(&self) -> Option<Fault> {
        match self {
            Self::Dir(error) => error.fault(),
            Self::Log(error) => error.fault(),
            _ => None,
        }
    }
}
