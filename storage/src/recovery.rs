//! What opening a log does: taking stock of its directory, and after an unclean stop finding out where the log ends.
//!
//! A log that was closed is taken as it is; only what is behind the last index entry is walked to find the end. After an
//! unclean stop the batches past the recovery point are checked, and the log ends before the first that is not whole,
//! has a wrong checksum or does not follow the one before. The zeros of preallocated room are no damage. Indexes are
//! kept up to the recovery point, as far as they agree with the log, and built anew from there; so are leader epochs and
//! producer state.
//!
//! Only what nobody was promised is cut off. A log that would end below its high watermark, or below what is known to
//! have been on the disk, is left as it is and not opened ([`Damage`]), unless the loss was accepted. A power loss may
//! have taken what was committed and not flushed: then only what was on the disk counts.

mod check;
mod damage;
mod files;
mod swap;

use std::io;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::ids::Offset;

use crate::checkpoint::CheckpointError;
use crate::disk::Disk;
use crate::leader_epoch::LeaderEpochs;
use crate::log::{LogOptions, OpenError};
use crate::producer_state::{ProducerBatch, ProducerState, snapshot};
use crate::segment::writer::Writer;
use crate::segment::{Scan, ScanError, Segment};

pub use damage::{Damage, DamageKind};
pub(crate) use files::{mark_cut, remove_segment_files, remove_snapshots, unmark_cut};

/// What recovery found after an unclean stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of the log that were read to check them.
    pub checked_bytes: u64,
    /// Bytes that were cut off because they were not whole batches, without preallocated zeros.
    pub truncated_bytes: u64,
    /// Segments that were removed because the log ends before them.
    pub removed_segments: usize,
    /// Where the log ends now, if that is below the high watermark it had: what other replicas, or clients, may have
    /// taken for committed is missing here.
    pub lost_from: Option<Offset>,
}

/// A log's parts, ready to be used.
pub(crate) struct Loaded {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) writer: Writer,
    pub(crate) producers: ProducerState,
    pub(crate) last_snapshot: Option<Offset>,
    pub(crate) epochs: LeaderEpochs,
    pub(crate) are_epochs_dirty: bool,
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
    pub(crate) is_dir_dirty: bool,
    /// Sealed segments that may not be on the disk, or whose indexes may not be.
    pub(crate) unflushed: Vec<Arc<Segment>>,
    pub(crate) recovery: Recovery,
}

/// Loads the log in `dir`, repairing what an unclean stop left.
pub(crate) fn load(disk: &Arc<dyn Disk>, dir: &Path, options: &LogOptions) -> Result<Loaded, OpenError> {
    let failed = |error| OpenError::Io { dir: dir.into(), error };
    let files::Stock {
        mut segments,
        is_cut_marked,
    } = files::take_stock(disk, dir)?;
    if segments.is_empty() {
        nothing_is_left(dir, options).unless_accepted(options)?;
    }
    let mut epochs = read_epochs(&**disk, dir, &segments)?;
    let epochs_before = epochs.clone().unwrap_or_default();
    let mut recovery = Recovery::default();
    let mut checked = check::check_segments(disk, dir, &mut segments, options, &mut recovery)?;

    // An epoch file that is gone, or makes no sense, is made from the log, once its end is known.
    let mut epochs = match epochs.take() {
        Some(epochs) => epochs,
        None => scan_epochs(&segments)?,
    };
    if is_cut_marked {
        finish_cut(disk, dir, &segments).map_err(failed)?;
    }
    let is_new = checked.log_end_offset < options.log_start_offset || segments.is_empty();
    if is_new {
        // The files behind the log start are gone; what is left is no part of the log any more.
        start_over(disk, dir, &mut segments, options.log_start_offset).map_err(failed)?;
        checked.log_end_offset = options.log_start_offset;
        epochs = LeaderEpochs::default();
    }
    let (Some(first), Some(active)) = (segments.first(), segments.last().cloned()) else {
        return Err(failed(io::ErrorKind::NotFound.into()));
    };
    let log_start_offset = options.log_start_offset.max(first.base_offset());
    let log_end_offset = checked.log_end_offset;
    recovery.lost_from = (log_end_offset < options.high_watermark).then_some(log_end_offset);

    epochs.truncate_from_end(log_end_offset);
    epochs.truncate_from_start(log_start_offset);
    checked.epochs.iter().for_each(|entry| {
        if epochs.latest().is_none_or(|latest| entry.epoch > latest) {
            epochs.assign(entry.epoch, entry.start_offset);
        }
    });
    let (mut producers, last_snapshot) = load_producers(disk, dir, &segments, log_end_offset, checked.rebuilt_from)?;
    for segment in &checked.rebuilt {
        // Only now the aborted transactions are known. Those below the recovery point are not looked for again.
        if segment.txns.sync_new().map_err(failed)? {
            disk.sync_dir(dir).map_err(failed)?;
        }
    }
    let mut unflushed = std::mem::take(&mut checked.rebuilt);
    unflushed.retain(|segment| segments.iter().any(|kept| Arc::ptr_eq(kept, segment)));
    let has_rebuilt = !unflushed.is_empty();
    unflushed.retain(|segment| !Arc::ptr_eq(segment, &active));
    for segment in &unflushed {
        // The next recovery takes the indexes of what is below the recovery point as they are.
        segment.sync_indexes().map_err(failed)?;
    }
    if !unflushed.is_empty() {
        disk.sync_dir(dir).map_err(failed)?;
    }
    producers.expire(options.now_ms, options.config.producer_id_expiration_ms);
    let first_timestamp = active.first_timestamp()?;
    let writer = checked
        .writer
        .take()
        .filter(|writer| Arc::ptr_eq(writer.segment(), &active));
    Ok(Loaded {
        writer: writer.unwrap_or_else(|| Writer::new(active, first_timestamp, options.now_ms)),
        is_dir_dirty: !options.is_clean || is_new || has_rebuilt,
        unflushed,
        are_epochs_dirty: epochs != epochs_before,
        segments,
        producers,
        last_snapshot,
        epochs,
        log_start_offset,
        log_end_offset,
        recovery,
    })
}

/// Makes the end of a log durable whose cut was interrupted: the process saw it shorter than a power loss would leave it.
fn finish_cut(disk: &Arc<dyn Disk>, dir: &Path, segments: &[Arc<Segment>]) -> io::Result<()> {
    if let Some(active) = segments.last() {
        active.file()?.sync()?;
    }
    disk.sync_dir(dir)?;
    unmark_cut(&**disk, dir)
}

fn nothing_is_left(dir: &Path, options: &LogOptions) -> Damage {
    Damage {
        path: dir.into(),
        position: 0,
        kind: DamageKind::Missing,
        log_end_offset: options.log_start_offset,
        recovery_point: options.recovery_point,
        high_watermark: options.promised_high_watermark(),
    }
}

/// The epoch file; `None` where it has to be made anew.
fn read_epochs(disk: &dyn Disk, dir: &Path, segments: &[Arc<Segment>]) -> Result<Option<LeaderEpochs>, OpenError> {
    match LeaderEpochs::read(disk, dir) {
        Ok(epochs) if epochs.latest().is_some() => Ok(Some(epochs)),
        Ok(_) => Ok(segments
            .iter()
            .all(|segment| segment.size_bytes() == 0)
            .then(LeaderEpochs::default)),
        Err(CheckpointError::Malformed { path, line }) => {
            tracing::warn!(path = %path.display(), line, "the leader epochs are made anew from the log");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The leader epochs as the batches say them.
fn scan_epochs(segments: &[Arc<Segment>]) -> Result<LeaderEpochs, ScanError> {
    let mut epochs = LeaderEpochs::default();
    for segment in segments {
        for found in Scan::new(segment, 0..segment.size_bytes()) {
            let header = found?.header;
            let epoch = header.partition_leader_epoch;
            if epoch.is_some() && epochs.latest().is_none_or(|latest| epoch > latest) {
                epochs.assign(epoch, header.base_offset);
            }
        }
    }
    Ok(epochs)
}

/// Removes all segments and begins with an empty one at `offset`.
fn start_over(disk: &Arc<dyn Disk>, dir: &Path, segments: &mut Vec<Arc<Segment>>, offset: Offset) -> io::Result<()> {
    while let Some(segment) = segments.pop() {
        remove_segment_files(&**disk, dir, segment.base_offset())?;
    }
    remove_snapshots(&**disk, dir, |_| true)?;
    let segment = Segment::create(disk, dir, offset)?;
    segment.flush_indexes()?;
    segments.push(Arc::new(segment));
    // Without its first segment a log would look like one whose beginning was deleted.
    disk.sync_dir(dir)
}

/// The producer state at `end`, and the offset of the newest snapshot: the newest that is whole, and what the log says
/// after it. Snapshots past `end` are of a log that has been cut, and go.
///
/// Aborted transactions that end at or after `rebuilt_from` are added to the indexes, which have lost them.
pub(crate) fn load_producers(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    segments: &[Arc<Segment>],
    end: Offset,
    rebuilt_from: Option<Offset>,
) -> Result<(ProducerState, Option<Offset>), ScanError> {
    let start = segments.first().map_or(end, |first| first.base_offset());
    remove_snapshots(&**disk, dir, |offset| offset > end)?;
    let mut offsets = files::snapshot_offsets(&**disk, dir)?;
    let mut last_snapshot = offsets.last().copied();
    // To rebuild a transaction index takes the state from before it.
    offsets.retain(|offset| rebuilt_from.is_none_or(|rebuilt_from| *offset <= rebuilt_from));
    let mut state = ProducerState::default();
    let mut from = start;
    while let Some(offset) = offsets.pop() {
        if let Some(read) = snapshot::read(&**disk, dir, offset)? {
            (state, from) = (read, offset.max(start));
            break;
        }
        tracing::warn!(dir = %dir.display(), offset, "a producer snapshot is damaged, the log is read instead");
        remove_snapshots(&**disk, dir, |other| other == offset)?;
        if last_snapshot == Some(offset) {
            last_snapshot = offsets.last().copied();
        }
    }
    for segment in segments {
        replay(segment, from, &mut state, rebuilt_from)?;
    }
    Ok((state, last_snapshot))
}

/// Makes the batches of a segment from `from` on known to the producer state.
fn replay(
    segment: &Segment,
    from: Offset,
    state: &mut ProducerState,
    rebuilt_from: Option<Offset>,
) -> Result<(), ScanError> {
    let Some(first) = segment.find(from)? else {
        return Ok(());
    };
    for found in Scan::new(segment, first.position..segment.size_bytes()) {
        let found = found?;
        let header = found.header;
        if !header.producer_id.is_some() || header.base_offset < from {
            continue;
        }
        let bytes = match header.attributes.is_control() {
            true => segment.bytes(found.range())?,
            false => Default::default(),
        };
        let aborted = state.apply(&ProducerBatch::new(header, &bytes, header.base_offset));
        if let (Some(aborted), Some(rebuilt_from)) = (aborted, rebuilt_from)
            && aborted.last_offset >= rebuilt_from
        {
            segment.txns.push_if_missing(&aborted)?;
        }
    }
    Ok(())
}
