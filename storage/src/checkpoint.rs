//! Checkpoint files: small text files that are replaced whole.
//!
//! ```text
//! 0                      version
//! 2                      number of entries
//! orders 0 4711          one entry a line; fields are separated by single spaces
//! orders 1 42
//! ```
//!
//! The log directory's four offset checkpoints and a partition's `leader-epoch-checkpoint` have this form. An empty
//! file has no entries: that is how Kafka creates them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;

use crate::TopicPartition;
use crate::disk::{Disk, read_file, replace_file};

const VERSION: &str = "0";

/// Up to where each log is known to be on disk.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// The high watermark of each log.
pub const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";
/// Where each log starts, if that is not where its first segment does.
pub const LOG_START_FILE: &str = "log-start-offset-checkpoint";

/// Up to where each log has been compacted.
pub const CLEANER_FILE: &str = "cleaner-offset-checkpoint";

/// Why a checkpoint file was not read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The content is not what a checkpoint looks like.
    #[error("{}: line {line} is not what a checkpoint of version 0 has there", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The first line that is wrong, counted from 1.
        line: usize,
    },
}

/// Reads the entries of a checkpoint, each made of its line by `parse`; none where there is no file.
pub(crate) fn read_entries<T>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, CheckpointError> {
    let content = read_file(disk, path).map_err(|source| CheckpointError::Io {
        path: path.into(),
        source,
    })?;
    let malformed = |line| CheckpointError::Malformed {
        path: path.into(),
        line,
    };
    let content = content.unwrap_or_default();
    let text = std::str::from_utf8(&content).map_err(|_| malformed(1))?;
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => {}
        Some(_) => return Err(malformed(1)),
    }
    let Some(count) = lines.next() else {
        return Ok(Vec::new());
    };
    let count: usize = count.parse().map_err(|_| malformed(2))?;
    let mut entries = Vec::new();
    for (at, line) in lines.enumerate() {
        entries.push(parse(line).ok_or_else(|| malformed(at + 3))?);
    }
    if entries.len() != count {
        return Err(malformed(2));
    }
    Ok(entries)
}

/// Replaces a checkpoint by these lines, so that a crash leaves the old ones or the new ones.
pub(crate) fn write_entries(
    disk: &dyn Disk,
    path: &Path,
    entries: impl ExactSizeIterator<Item = String>,
) -> io::Result<()> {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{VERSION}\n{}", entries.len());
    for entry in entries {
        let _ = writeln!(text, "{entry}");
    }
    replace_file(disk, path, text.as_bytes())
}

/// Reads one of a log directory's offset checkpoints.
///
/// # Errors
/// A file that is there but not readable. What to do is the caller's choice: a lost recovery point costs time, a
/// lost high watermark is legal.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<BTreeMap<TopicPartition, Offset>, CheckpointError> {
    let parse = |line: &str| {
        let mut fields = line.split(' ');
        let (topic, partition, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let partition = TopicPartition::new(topic, partition.parse().ok()?);
        fields.next().is_none().then_some((partition, offset.parse().ok()?))
    };
    Ok(read_entries(disk, path, parse)?.into_iter().collect())
}

/// Replaces one of a log directory's offset checkpoints, durably.
///
/// # Errors
/// The disk's; the old content is then still there.
pub fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &BTreeMap<TopicPartition, Offset>) -> io::Result<()> {
    let line = |(partition, offset): (&TopicPartition, &Offset)| {
        format!("{} {} {offset}", partition.topic, partition.partition)
    };
    write_entries(disk, path, offsets.iter().map(line))
}
