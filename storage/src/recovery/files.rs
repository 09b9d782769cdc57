//! The files of a log's directory.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::Offset;

use super::swap::finish_swaps;
use crate::disk::{Disk, OpenMode, remove_if_exists};
use crate::producer_state::snapshot;
use crate::segment::{SUFFIXES, ScanError, Segment, path};

/// Digits of the offset in a file name.
const OFFSET_DIGITS: usize = 20;

/// There while the log is being cut. It need not be durable: a power loss leaves one state or the other, but a process
/// that is killed leaves one that is only seen, and that must not be built upon.
const CUT_MARKER: &str = "truncating";

/// Notes that the log is being cut.
pub(crate) fn mark_cut(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    disk.open(&dir.join(CUT_MARKER), OpenMode::Create).map(drop)
}

/// The cut is durable, or was not begun.
pub(crate) fn unmark_cut(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    remove_if_exists(disk, &dir.join(CUT_MARKER))
}

pub(super) fn file_names(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    let entries = disk.list(dir)?.into_iter().filter(|entry| !entry.is_dir);
    Ok(entries.map(|entry| entry.name).collect())
}

/// The offset and the suffix of a name like `00000000000000004711.log`.
pub(super) fn split(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_once('.')?;
    let is_offset = digits.len() == OFFSET_DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    Some((is_offset.then(|| digits.parse().ok())??, suffix))
}

/// Whether a file is left from something that was not finished, or was to be removed. Snapshots of the metadata log
/// (`offset-epoch.checkpoint`) have other names and are not looked at.
fn is_left_over(name: &str) -> bool {
    match split(name) {
        Some((_, suffix)) => suffix.ends_with(".deleted") || suffix.ends_with(".cleaned") || suffix.ends_with(".tmp"),
        None => false,
    }
}

/// What is in a log's directory.
pub(super) struct Stock {
    /// By base offset, each as long as its file.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Whether a cut was interrupted.
    pub(super) is_cut_marked: bool,
}

/// Removes left-overs and orphaned indexes, and opens the segments.
pub(super) fn take_stock(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Stock, ScanError> {
    let names = finish_swaps(disk, dir, file_names(&**disk, dir)?)?;
    let mut segments = Vec::new();
    for name in &names {
        if is_left_over(name) {
            tracing::info!(dir = %dir.display(), name, "removing a left-over file");
            remove_if_exists(&**disk, &dir.join(name))?;
        } else if let Some((base_offset, "log")) = split(name) {
            let size_bytes = disk.status(&dir.join(name))?.len_bytes;
            segments.push(Arc::new(Segment::open(disk, dir, base_offset, size_bytes)?));
        } else if let Some((base_offset, suffix)) = split(name)
            && SUFFIXES[1..].contains(&suffix)
            && !names.contains(&format!("{base_offset:020}.log"))
        {
            tracing::warn!(dir = %dir.display(), name, "removing an index without a log");
            remove_if_exists(&**disk, &dir.join(name))?;
        }
    }
    segments.sort_by_key(|segment| segment.base_offset());
    Ok(Stock {
        segments,
        is_cut_marked: names.iter().any(|name| name == CUT_MARKER),
    })
}

/// The offsets of the producer snapshots, rising.
pub(super) fn snapshot_offsets(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Offset>> {
    let mut offsets: Vec<Offset> = disk
        .list(dir)?
        .iter()
        .filter_map(|entry| split(&entry.name).filter(|(_, suffix)| *suffix == "snapshot"))
        .map(|(offset, _)| offset)
        .collect();
    offsets.sort_unstable();
    Ok(offsets)
}

/// Removes the producer snapshots with these offsets, durably: one that comes back after a power loss would describe a
/// log that is not there any more.
pub(crate) fn remove_snapshots(disk: &dyn Disk, dir: &Path, which: impl Fn(Offset) -> bool) -> io::Result<()> {
    let removed: Vec<Offset> = snapshot_offsets(disk, dir)?
        .into_iter()
        .filter(|offset| which(*offset))
        .collect();
    for offset in &removed {
        remove_if_exists(disk, &snapshot::path(dir, *offset))?;
    }
    match removed.is_empty() {
        true => Ok(()),
        false => disk.sync_dir(dir),
    }
}

/// Removes all files of a segment, the log last: without it the others are orphans. Durably, as the segment before this
/// one may go next, or others be written in its place.
pub(crate) fn remove_segment_files(disk: &dyn Disk, dir: &Path, base_offset: Offset) -> io::Result<()> {
    for suffix in SUFFIXES.iter().rev() {
        remove_if_exists(disk, &path(dir, base_offset, suffix))?;
    }
    disk.sync_dir(dir)
}
