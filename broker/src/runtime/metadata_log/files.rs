//! The files beside the metadata log: written whole, synced, and put in place by renaming.

use bytes::Bytes;
use ottla_replication::quorum::{MalformedQuorumState, QuorumState, SnapshotId};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

const QUORUM_STATE: &str = "quorum-state";
/// Ends the name of a file that is being written.
const PART: &str = "part";

/// Why a file beside the metadata log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QuorumFileError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "{}: {error}; it says in which epoch this node has led: bring it back, or move it away if the metadata log beside \
         it is whole", path.display()
    )]
    Malformed { path: PathBuf, error: MalformedQuorumState },
}

/// Where `quorum-state` lies.
pub(super) fn quorum_state_path(dir: &Path) -> PathBuf {
    dir.join(QUORUM_STATE)
}

/// Reads `quorum-state`; `None` where this node has never voted.
pub(super) fn read_quorum_state(dir: &Path) -> Result<Option<QuorumState>, QuorumFileError> {
    let path = quorum_state_path(dir);
    match fs::read_to_string(&path) {
        Ok(text) => match QuorumState::from_json(&text) {
            Ok(state) => Ok(Some(state)),
            Err(error) => Err(QuorumFileError::Malformed { path, error }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(QuorumFileError::Io { path, error }),
    }
}

/// Writes `quorum-state`, durably.
pub(super) fn write_quorum_state(dir: &Path, state: &QuorumState) -> Result<(), QuorumFileError> {
    write_whole(&quorum_state_path(dir), state.to_json().as_bytes())
}

/// The snapshots that are complete, oldest first. What a crash left half written is removed.
pub(super) fn list_snapshots(dir: &Path) -> Result<Vec<SnapshotId>, QuorumFileError> {
    let failed = |error| QuorumFileError::Io {
        path: dir.into(),
        error,
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == PART) {
            remove(path)?;
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        found.extend(name.and_then(SnapshotId::parse));
    }
    found.sort();
    Ok(found)
}

/// The content of a snapshot.
pub(super) fn read_snapshot(dir: &Path, id: SnapshotId) -> Result<Bytes, QuorumFileError> {
    let path = dir.join(id.file_name());
    fs::read(&path)
        .map(Bytes::from)
        .map_err(|error| QuorumFileError::Io { path, error })
}

/// Writes a snapshot, durably.
pub(super) fn write_snapshot(dir: &Path, id: SnapshotId, contents: &[u8]) -> Result<(), QuorumFileError> {
    write_whole(&dir.join(id.file_name()), contents)
}

/// Removes a snapshot.
pub(super) fn remove_snapshot(dir: &Path, id: SnapshotId) -> Result<(), QuorumFileError> {
    remove(dir.join(id.file_name()))
}

fn remove(path: PathBuf) -> Result<(), QuorumFileError> {
    fs::remove_file(&path).map_err(|error| QuorumFileError::Io { path, error })
}

/// Writes beside, syncs, renames, syncs the directory: afterwards the file has the old content or the new.
fn write_whole(path: &Path, contents: &[u8]) -> Result<(), QuorumFileError> {
    let part = path.with_added_extension(PART);
    let write = || {
        let mut file = File::create(&part)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| {
        // A full disk is not made fuller by each attempt; if this fails too, the next start removes it.
        let _ = fs::remove_file(&part);
        QuorumFileError::Io {
            path: path.into(),
            error,
        }
    })
}
