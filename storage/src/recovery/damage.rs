//! Records that are missing although somebody was promised them.

use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;

use crate::log::LogOptions;

/// What is wrong with a file where the log ends too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamageKind {
    /// There is something that is not a whole, unharmed batch.
    BadBatch,
    /// The file ends, or goes on with zeros.
    Missing,
}

/// A log that ends below what was committed, or known to be on the disk. It is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub struct Damage {
    /// The file with the damage.
    pub path: PathBuf,
    /// Where in the file it starts.
    pub position: u64,
    /// What is there.
    pub kind: DamageKind,
    /// The first offset that cannot be read.
    pub log_end_offset: Offset,
    /// Before this everything was known to be on the disk.
    pub recovery_point: Offset,
    /// Before this everything was committed. Where a power loss was, what of that was not flushed counts no more, and
    /// this is the recovery point.
    pub high_watermark: Offset,
}

impl Damage {
    /// The offset after the last one that somebody was promised.
    pub fn promised_end(&self) -> Offset {
        self.recovery_point.max(self.high_watermark)
    }

    /// Nothing, if nobody misses what is lost.
    pub(super) fn unless_accepted(self, options: &LogOptions) -> Result<(), Self> {
        // What is before the log start was given up.
        let is_lost = self.log_end_offset.max(options.log_start_offset) < self.promised_end();
        match is_lost && !options.accepts_loss {
            true => Err(self),
            false => Ok(()),
        }
    }

    fn describe(&self) -> String {
        let Self {
            path,
            position,
            log_end_offset,
            ..
        } = self;
        let what = match self.kind {
            DamageKind::BadBatch => "there is no whole batch",
            DamageKind::Missing => "the log ends",
        };
        let cause = match *log_end_offset < self.recovery_point {
            true => "they were on the disk, so it or somebody has changed the file",
            false => "they were committed but not flushed, and a power loss may have taken them",
        };
        format!(
            "{}: {what} at byte {position}; offsets {log_end_offset} to {} are missing: {cause}. Put the file back, or \
             stop the broker and accept the loss of what is behind offset {log_end_offset}: {}",
            path.display(),
            self.promised_end() - 1,
            self.accept_command()
        )
    }

    /// The command that accepts the loss.
    fn accept_command(&self) -> String {
        // The path of a log that has no segment any more is its directory.
        let dir = match self.path.extension() {
            Some(extension) if extension == "log" => self.path.parent(),
            _ => Some(self.path.as_path()),
        };
        let name = dir.and_then(Path::file_name).unwrap_or_default();
        let log_dir = dir.and_then(Path::parent).unwrap_or(Path::new("."));
        format!("ottla log accept-loss {} {}", log_dir.display(), name.display())
    }
}
