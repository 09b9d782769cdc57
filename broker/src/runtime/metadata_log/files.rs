//! The files beside the metadata log: written whole, synced, and put in place by renaming.

use super::SnapshotId;
use bytes::Bytes;
use ottla_protocol::ids::{LeaderEpoch, NodeId};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

const QUORUM_STATE: &str = "quorum-state";

/// Why a file beside the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuorumFileError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: there is no number \"{key}\" in it", path.display())]
    Malformed { path: PathBuf, key: &'static str },
}

/// What `quorum-state` says that matters to a quorum of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QuorumState {
    pub(super) epoch: LeaderEpoch,
}

/// Reads `quorum-state`; `None` where this node has never voted.
pub(super) fn read_quorum_state(dir: &Path) -> Result<Option<QuorumState>, QuorumFileError> {
    let path = dir.join(QUORUM_STATE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let epoch = number(&text, "leaderEpoch").and_then(|number| i32::try_from(number).ok());
            let epoch = epoch.ok_or(QuorumFileError::Malformed {
                path,
                key: "leaderEpoch",
            })?;
            Ok(Some(QuorumState {
                epoch: LeaderEpoch(epoch),
            }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(QuorumFileError::Io { path, error }),
    }
}

/// The number of a key in a flat JSON object.
fn number(json: &str, key: &str) -> Option<i64> {
    let (_, rest) = json.split_once(&format!("\"{key}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = rest
        .find(|letter: char| letter != '-' && !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Says durably that this node leads `epoch`; before anything of that epoch is written.
pub(super) fn write_quorum_state(dir: &Path, epoch: LeaderEpoch, leader: NodeId) -> Result<(), QuorumFileError> {
    let json = format!(
        "{{\"leaderId\":{leader},\"leaderEpoch\":{epoch},\"votedId\":-1,\
         \"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}}"
    );
    write_whole(&dir.join(QUORUM_STATE), json.as_bytes())
}

/// The snapshots that are complete, oldest first.
pub(super) fn list_snapshots(dir: &Path) -> Result<Vec<SnapshotId>, QuorumFileError> {
    let failed = |error| QuorumFileError::Io {
        path: dir.into(),
        error,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        found.extend(entry.map_err(failed)?.file_name().to_str().and_then(SnapshotId::parse));
    }
    found.sort();
    Ok(found)
}

pub(super) fn read_snapshot(dir: &Path, id: SnapshotId) -> Result<Bytes, QuorumFileError> {
    let path = dir.join(id.file_name());
    fs::read(&path)
        .map(Bytes::from)
        .map_err(|error| QuorumFileError::Io { path, error })
}

pub(super) fn write_snapshot(dir: &Path, id: SnapshotId, contents: &[u8]) -> Result<(), QuorumFileError> {
    write_whole(&dir.join(id.file_name()), contents)
}

/// Keeps the two newest: the newest, and the one to fall back to.
pub(super) fn drop_old_snapshots(dir: &Path) -> Result<(), QuorumFileError> {
    let snapshots = list_snapshots(dir)?;
    for old in snapshots.iter().rev().skip(2) {
        let path = dir.join(old.file_name());
        fs::remove_file(&path).map_err(|error| QuorumFileError::Io { path, error })?;
    }
    Ok(())
}

/// Writes beside, syncs, renames, syncs the directory: afterwards the file has the old content or the new.
fn write_whole(path: &Path, contents: &[u8]) -> Result<(), QuorumFileError> {
    let part = path.with_added_extension("part");
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| QuorumFileError::Io {
        path: path.into(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_epoch_is_found_wherever_it_stands() {
        let apache = r#"{"leaderId":1,"leaderEpoch":12,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;
        assert_eq!(number(apache, "leaderEpoch"), Some(12));
        assert_eq!(number(apache, "votedId"), Some(-1));
        assert_eq!(number(apache, "epoch"), None);
    }
}
