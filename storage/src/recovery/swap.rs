//! Finishing or undoing what compaction was about when it was interrupted, by this broker or by Kafka.
//!
//! | files of a segment | what it means | what is done |
//! |---|---|---|
//! | `.cleaned` | being written | removed |
//! | `.cleaned` and `.swap` | whole, but not all of it renamed yet | both removed: the old segments are all there |
//! | `.log.swap` | about to take the place of the old segments, of which some may be gone | those are removed, it gets its name; its indexes are built anew |
//! | `.swap` without `.log.swap` | nothing that we or Kafka leave | removed |
//!
//! Which segments it was made from is not written anywhere: they are those that begin before it ends, as the last batch
//! of the last one of them always stays.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::Offset;

use super::files::{file_names, split};
use crate::disk::{Disk, remove_if_exists};
use crate::segment::{CLEANED, SUFFIXES, SWAP, ScanError, Segment, path, tagged_path};

/// Does so; `names` are the files of the directory. Returns the files that are there then.
///
/// # Errors
/// A `.swap` that is damaged is not thrown away: the segments that it was made from may be gone.
pub(super) fn finish_swaps(disk: &Arc<dyn Disk>, dir: &Path, names: Vec<String>) -> Result<Vec<String>, ScanError> {
    let offsets = |end: &str| -> Vec<Offset> {
        let with_end = names.iter().filter(|name| name.ends_with(end));
        with_end.filter_map(|name| Some(split(name)?.0)).collect()
    };
    let swaps = offsets(SWAP);
    if swaps.is_empty() {
        return Ok(names);
    }
    let unfinished = offsets(CLEANED).into_iter().min().unwrap_or(Offset::MAX);
    let mut whole: Vec<Offset> = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(SWAP)) {
        let Some((base_offset, suffix)) = split(name) else {
            continue;
        };
        let log = format!("{base_offset:020}.log{SWAP}");
        if base_offset >= unfinished || !names.contains(&log) {
            tracing::info!(dir = %dir.display(), name, "removing a file of a compaction that was interrupted");
            remove_if_exists(&**disk, &dir.join(name))?;
        } else if suffix == format!("log{SWAP}") {
            whole.push(base_offset);
        }
    }
    // Nothing that they replace may go before it is certain that they are there.
    disk.sync_dir(dir)?;
    for base_offset in whole {
        finish_swap(disk, dir, base_offset, &names)?;
    }
    disk.sync_dir(dir)?;
    Ok(file_names(&**disk, dir)?)
}

fn finish_swap(disk: &Arc<dyn Disk>, dir: &Path, base_offset: Offset, names: &[String]) -> Result<(), ScanError> {
    let size_bytes = disk.status(&tagged_path(dir, base_offset, "log", SWAP))?.len_bytes;
    let next_offset = {
        let swap = Segment::open_tagged(disk, dir, base_offset, size_bytes, SWAP)?;
        // The index need not be whole.
        swap.scan_next_offset()?
    };
    tracing::info!(dir = %dir.display(), base_offset, next_offset, "putting a compacted segment in place");
    let is_replaced = |offset: Offset| offset == base_offset || (base_offset..next_offset).contains(&offset);
    for name in names {
        let Some((offset, suffix)) = split(name) else { continue };
        let is_snapshot_between = suffix == "snapshot" && offset > base_offset;
        // An index under its own name may be the new one or the old one, and that of the others need not have come as far:
        // all are built anew.
        let is_index = SUFFIXES[1..].contains(&suffix.strip_suffix(SWAP).unwrap_or(suffix));
        if is_replaced(offset) && (suffix == SUFFIXES[0] || is_index || is_snapshot_between) {
            remove_if_exists(&**disk, &dir.join(name))?;
        }
    }
    // While the log is called `.swap`, this begins again; from then on it must not find an index.
    disk.sync_dir(dir)?;
    disk.rename(
        &tagged_path(dir, base_offset, SUFFIXES[0], SWAP),
        &path(dir, base_offset, SUFFIXES[0]),
    )?;
    Ok(())
}
