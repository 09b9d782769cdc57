//! Whether the metadata log is whole, before it is opened: opening cuts off what is damaged, which is right for a torn
//! tail and would silently take committed metadata with it anywhere else.
//!
//! The writer syncs each batch before it appends the next. So a crash can tear only the last one; damage with a whole
//! batch behind it, or before an offset that is known to be committed, is something else, and stops the start.

use super::{files::QuorumFileError, replay::BatchFault};
use ottla_protocol::{
    ids::Offset,
    records::batch::{batches, verify_crc},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A file of the metadata that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("{} is damaged at byte {position}: {fault}; {way_out}", path.display())]
pub(crate) struct Damage {
    pub(super) path: PathBuf,
    pub(super) position: usize,
    pub(super) fault: BatchFault,
    /// What a person can do.
    pub(super) way_out: &'static str,
}

/// For damage of the log behind the newest snapshot.
const CUT_LOG: &str = "bring the file back from a copy; or, without every change of metadata behind that byte, cut the file \
     there, remove later segments and replication-offset-checkpoint";
/// For damage of the log before the newest snapshot.
const LEAVE_LOG: &str = "bring the file back from a copy; or, without what is behind the newest snapshot, move all *.log files \
     away";
/// For damage of a snapshot.
pub(super) const RESTORE_SNAPSHOT: &str = "bring the file back from a copy, or move it away: the log and the snapshot before \
     it have the same metadata";

/// Checks the segments in `dir`. `committed_end`: everything before this offset is known to have been committed;
/// `snapshot_end`: where the newest snapshot ends.
pub(super) fn check_segments(
    dir: &Path,
    committed_end: Offset,
    snapshot_end: Offset,
) -> Result<(), super::MetadataLogError> {
    let mut torn: Option<Damage> = None;
    for path in segments(dir).map_err(|error| io_error(dir, error))? {
        let bytes = fs::read(&path).map_err(|error| io_error(&path, error))?;
        if let (Some(damage), true) = (torn.take(), bytes.iter().any(|byte| *byte != 0)) {
            return Err(damage.into());
        }
        let (next_offset, position, fault) = walk(&bytes, base_offset(&path));
        let Some(fault) = fault else { continue };
        let is_last_batch = next_offset >= committed_end && !has_whole_batch(&bytes[position + 1..], next_offset);
        let damage = Damage {
            path,
            position,
            fault,
            way_out: way_out(next_offset, snapshot_end),
        };
        match is_last_batch {
            true => torn = Some(damage),
            false => return Err(damage.into()),
        }
    }
    if let Some(torn) = torn {
        tracing::warn!(file = %torn.path.display(), position = torn.position, "a torn batch at the metadata log's end is cut off");
    }
    Ok(())
}

fn way_out(damaged_offset: Offset, snapshot_end: Offset) -> &'static str {
    if damaged_offset < snapshot_end {
        LEAVE_LOG
    } else {
        CUT_LOG
    }
}

/// Damage that was found when the batch at `offset` was read, which lies behind the newest snapshot: where it stands.
pub(super) fn damage_at(dir: &Path, offset: Offset, fault: BatchFault) -> Damage {
    let segments = segments(dir).unwrap_or_default();
    let segment = segments.into_iter().rfind(|path| base_offset(path) <= offset);
    let bytes = segment
        .as_ref()
        .and_then(|path| fs::read(path).ok())
        .unwrap_or_default();
    let before = batches(&bytes)
        .map_while(Result::ok)
        .take_while(|(header, _)| header.base_offset < offset);
    Damage {
        position: before.map(|(_, batch)| batch.len()).sum(),
        path: segment.unwrap_or_else(|| dir.into()),
        fault,
        way_out: CUT_LOG,
    }
}

fn io_error(path: &Path, error: io::Error) -> QuorumFileError {
    QuorumFileError::Io {
        path: path.into(),
        error,
    }
}

/// The segments by offset; none where there is no directory yet.
fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn base_offset(segment: &Path) -> Offset {
    let stem = segment.file_stem().and_then(|stem| stem.to_str());
    stem.and_then(|stem| stem.parse().ok()).unwrap_or(0)
}

/// Walks whole batches from the segment's beginning. Returns the offset and the byte behind the last one, and what is
/// wrong there, if it is not the end or preallocated room.
fn walk(bytes: &[u8], base_offset: Offset) -> (Offset, usize, Option<BatchFault>) {
    let (mut next_offset, mut position) = (base_offset, 0);
    for item in batches(bytes) {
        let checked = item.and_then(|(header, batch)| verify_crc(batch).map(|()| (header.next_offset(), batch.len())));
        match checked {
            Ok((next, size)) => {
                next_offset = next;
                position += size;
            }
            Err(error) => {
                let is_room = bytes[position..].iter().all(|byte| *byte == 0);
                return (next_offset, position, (!is_room).then(|| error.into()));
            }
        }
    }
    (next_offset, position, None)
}

/// Whether a whole batch stands anywhere in `bytes` that the log can have had behind `next_offset`.
fn has_whole_batch(bytes: &[u8], next_offset: Offset) -> bool {
    let is_batch = |at: usize| match batches(&bytes[at..]).next() {
        Some(Ok((header, batch))) => header.base_offset > next_offset && verify_crc(batch).is_ok(),
        _ => false,
    };
    (0..bytes.len()).any(is_batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::{
        ids::LeaderEpoch,
        records::{BatchBuilder, NewRecord},
    };

    fn batch(base_offset: Offset) -> Vec<u8> {
        let mut batch = BatchBuilder::new();
        batch.append(&NewRecord::of(1, b"key", b"value"));
        batch
            .base_offset(base_offset)
            .leader_epoch(LeaderEpoch(1))
            .build()
            .to_vec()
    }

    /// Three batches with offsets 0, 1, 2, and room behind them.
    fn segment() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..3).flat_map(batch).collect();
        bytes.resize(bytes.len() + 4096, 0);
        bytes
    }

    fn verdict(bytes: &[u8], committed_end: Offset) -> Result<(), (usize, String)> {
        let dir = std::env::temp_dir().join(format!("ottla-check-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&dir).expect("a new folder");
        fs::write(dir.join("00000000000000000000.log"), bytes).expect("a new file");
        let checked = check_segments(&dir, committed_end, 0);
        fs::remove_dir_all(&dir).expect("the folder is there");
        checked.map_err(|error| match error {
            super::super::MetadataLogError::Damaged(damage) => (damage.position, damage.to_string()),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn whole_batches_with_room_behind_them_are_no_damage() {
        assert_eq!(verdict(&segment(), 3), Ok(()));
        assert_eq!(verdict(&[0; 4096], 0), Ok(()));
        assert_eq!(verdict(&[], 0), Ok(()));
    }

    #[test]
    fn a_torn_last_batch_is_left_to_recovery_unless_it_was_committed() {
        let size = batch(0).len();
        let mut torn = segment();
        torn[3 * size - 1] ^= 1;
        assert_eq!(verdict(&torn, 2), Ok(()));
        assert_eq!(verdict(&torn[..3 * size - 5], 2), Ok(()));
        let (position, _) = verdict(&torn, 3).expect_err("offset 2 was committed");
        assert_eq!(position, 2 * size);
    }

    #[test]
    fn damage_before_a_whole_batch_is_named_with_file_and_byte() {
        let size = batch(0).len();
        let mut damaged = segment();
        damaged[size + 30] ^= 1;
        let (position, message) = verdict(&damaged, 0).expect_err("there is a batch behind");
        assert_eq!(position, size);
        assert!(
            message.contains("00000000000000000000.log is damaged at byte"),
            "{message}"
        );
    }
}
