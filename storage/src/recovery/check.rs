//! Finding the end of the log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ids::Offset;
use ottla_protocol::records::BatchHeader;
use ottla_protocol::records::batch::{HEADER_BYTES, verify_crc};

use super::{Damage, DamageKind, Recovery, remove_segment_files};
use crate::disk::Disk;
use crate::leader_epoch::EpochEntry;
use crate::log::{LogOptions, OpenError};
use crate::segment::writer::Writer;
use crate::segment::{ScanError, Segment};

/// Read at once while checking; a larger batch is read whole.
const PIECE_BYTES: u64 = 1024 * 1024;

/// What checking the segments has brought.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) log_end_offset: Offset,
    /// Where the batches begin whose index entries were built anew.
    pub(super) rebuilt_from: Option<Offset>,
    /// The segments that were checked, whose indexes are new.
    pub(super) rebuilt: Vec<Arc<Segment>>,
    /// First batches of the epochs that were seen.
    pub(super) epochs: Vec<EpochEntry>,
    /// Whoever built the last segment's indexes goes on from there.
    pub(super) writer: Option<Writer>,
}

/// Finds the log's end. Segments behind it are removed from `segments` and from the disk.
pub(super) fn check_segments(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    segments: &mut Vec<Arc<Segment>>,
    options: &LogOptions,
    recovery: &mut Recovery,
) -> Result<Checked, OpenError> {
    let mut checked = Checked::default();
    let from = match options.is_clean {
        true => Offset::MAX,
        false => options.recovery_point,
    };
    let mut at = 0;
    while let Some(segment) = segments.get(at).cloned() {
        let next = segments.get(at + 1).map(|next| next.base_offset());
        at += 1;
        trim_indexes(&segment).map_err(ScanError::Io)?;
        // The recovery point is in or behind the next segment: this one is whole. Where the next one begins it is the
        // data alone that is known to be on the disk: the indexes are synced after the roll.
        let is_whole = next.is_some_and(|next| next < from) || (next.is_none() && options.is_clean);
        if is_whole && has_good_indexes(&segment, next).map_err(ScanError::Io)? {
            match next {
                Some(_) => continue,
                None => match segment.next_offset() {
                    Ok(next_offset) => {
                        check_loss(&segment, segment.size_bytes(), next_offset, Rest::Nothing, options)?;
                        checked.log_end_offset = next_offset;
                        continue;
                    }
                    // It was not closed after all.
                    Err(ScanError::Corrupt { .. }) => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
        let is_at_end = check_segment(&segment, from, next, options, recovery, &mut checked)?;
        checked.rebuilt.push(segment);
        if is_at_end {
            for removed in segments.drain(at..).rev() {
                tracing::warn!(dir = %dir.display(), base_offset = removed.base_offset(), "removing a segment behind the end of the log");
                remove_segment_files(&**disk, dir, removed.base_offset()).map_err(ScanError::Io)?;
                recovery.removed_segments += 1;
            }
        }
    }
    Ok(checked)
}

fn trim_indexes(segment: &Segment) -> io::Result<()> {
    segment.offsets.trim_zeros()?;
    segment.times.trim_zeros()?;
    segment.txns.trim_zeros()
}

/// Whether there are indexes whose last entries can be true; shorter ones than could be are good as well.
fn has_good_indexes(segment: &Segment, next: Option<Offset>) -> io::Result<bool> {
    if segment.size_bytes() == 0 {
        return Ok(true);
    }
    let offsets = segment.base_offset()..next.unwrap_or(Offset::MAX);
    let has_good_times = match segment.times.last()? {
        Some(entry) => entry.timestamp >= 0 && offsets.contains(&entry.offset),
        None => true,
    };
    Ok(has_good_times && segment.has_index_files()? && is_last_entry_good(segment)?)
}

fn is_last_entry_good(segment: &Segment) -> io::Result<bool> {
    match segment.offsets.last()? {
        Some(entry) => segment.is_good(&entry),
        None => Ok(true),
    }
}

/// Checks a segment from `from` on, cuts off what is no batch, and builds the indexes anew. Returns whether the log ends
/// in it although there are segments behind.
fn check_segment(
    segment: &Arc<Segment>,
    from: Offset,
    next: Option<Offset>,
    options: &LogOptions,
    recovery: &mut Recovery,
    checked: &mut Checked,
) -> Result<bool, OpenError> {
    let indexed_up_to = indexed_up_to(segment).map_err(ScanError::Io)?;
    let KeptIndexes {
        position,
        next_offset,
        knows_aborted_below,
    } = keep_indexes_below(segment, from, options)?;
    let first_timestamp = match position {
        0 => None,
        _ => segment.first_timestamp()?,
    };
    checked.rebuilt_from = checked.rebuilt_from.or(Some(knows_aborted_below));
    let file_bytes = segment.size_bytes();
    let mut walk = Walk {
        segment,
        position,
        next_offset,
        piece: Bytes::new(),
        piece_start: 0,
    };
    let mut writer = Writer::new(segment.clone(), first_timestamp, options.now_ms);
    while let Some(header) = walk.next_whole().map_err(ScanError::Io)? {
        let range_start = walk.position - header.size_bytes() as u64;
        writer.index(
            &header,
            header.last_offset(),
            range_start,
            options.config.index_interval_bytes,
        );
        note_epoch(&mut checked.epochs, &header);
    }
    recovery.checked_bytes += walk.position - position;
    checked.log_end_offset = walk.next_offset;
    let rest = rest_of(segment, walk.position..file_bytes).map_err(ScanError::Io)?;
    // A rolled segment that was not trimmed yet ends in zeros, and the next one follows it.
    let is_continued = rest != Rest::Damaged && next.is_some_and(|next| next == walk.next_offset);
    let has_hole = next.is_some_and(|next| next > walk.next_offset && !may_have_gap(walk.next_offset, next, options));
    let is_at_end = (rest != Rest::Nothing || has_hole) && !is_continued;
    if is_at_end || next.is_none() {
        check_loss(segment, walk.position, walk.next_offset, rest, options)?;
    }
    cut_off(&walk, rest, &writer, file_bytes).map_err(ScanError::Io)?;
    if indexed_up_to >= walk.next_offset {
        // Entries of what is gone must not come back and be taken for those of what is appended now.
        segment.sync_indexes().map_err(ScanError::Io)?;
    }
    if rest == Rest::Damaged {
        recovery.truncated_bytes += file_bytes - walk.position;
    }
    checked.writer = Some(writer);
    Ok(next.is_some() && is_at_end)
}

/// Whether a segment may end at `end` although the next one begins at `next`. Our compaction leaves no such gap, Kafka's
/// does, also in what was rolled so lately that the recovery point does not tell of it. Whole batches may be missing at
/// the end of a segment for another reason only where a power loss took them before they were flushed.
fn may_have_gap(end: Offset, next: Offset, options: &LogOptions) -> bool {
    let is_compacted = options.config.is_compacted || options.cleaned_up_to.is_some();
    let was_flushed = end < options.recovery_point || options.cleaned_up_to.is_some_and(|cleaned| next <= cleaned);
    is_compacted && (was_flushed || !options.has_lost_power)
}

/// The last offset that an index knows.
fn indexed_up_to(segment: &Segment) -> io::Result<Offset> {
    let by_offset = segment.offsets.last()?.map(|entry| entry.offset);
    let by_time = segment.times.last()?.map(|entry| entry.offset);
    Ok(by_offset.max(by_time).max(segment.txns.last_offset()?).unwrap_or(-1))
}

/// Refuses to let the log end here if somebody was promised more.
fn check_loss(
    segment: &Segment,
    position: u64,
    log_end_offset: Offset,
    rest: Rest,
    options: &LogOptions,
) -> Result<(), Damage> {
    let damage = Damage {
        path: segment.log_path().into(),
        position,
        kind: match rest {
            Rest::Damaged => DamageKind::BadBatch,
            Rest::Nothing | Rest::Zeros => DamageKind::Missing,
        },
        log_end_offset,
        recovery_point: options.recovery_point,
        high_watermark: options.promised_high_watermark(),
    };
    damage.unless_accepted(options)
}

/// Cuts off what is behind the last good batch, and writes the indexes.
fn cut_off(walk: &Walk<'_>, rest: Rest, writer: &Writer, file_bytes: u64) -> io::Result<()> {
    let segment = walk.segment;
    if file_bytes > walk.position {
        tracing::info!(path = %segment.log_path().display(), position = walk.position, ?rest, "cutting off what is no batch");
        let file = segment.file()?;
        file.set_len(walk.position)?;
        if rest == Rest::Damaged {
            // What is cut off must not come back behind what is appended now. Zeros may.
            file.sync()?;
        }
        writer.publish(walk.position);
    }
    segment.flush_indexes()
}

/// What of a segment's indexes is good, and from where to walk to build the rest.
struct KeptIndexes {
    position: u64,
    /// The least offset that the batch there may have.
    next_offset: Offset,
    /// The transaction index has all that were aborted by a marker before this.
    knows_aborted_below: Offset,
}

/// Keeps the index entries of batches before `from`, if they agree with the log.
fn keep_indexes_below(segment: &Segment, from: Offset, options: &LogOptions) -> Result<KeptIndexes, ScanError> {
    // Indexes of a segment that is appended to are not synced.
    segment.offsets.keep_rising()?;
    segment.times.keep_rising()?;
    segment.txns.keep_rising()?;
    segment.offsets.truncate_to(from)?;
    if !is_last_entry_good(segment)? || !segment.has_index_files()? {
        segment.offsets.truncate_to(Offset::MIN)?;
    }
    let Some(entry) = segment.offsets.last()? else {
        segment.times.truncate_to(Offset::MIN)?;
        segment.txns.truncate_to(segment.base_offset())?;
        segment.forget_largest();
        return Ok(KeptIndexes {
            position: 0,
            next_offset: segment.base_offset(),
            knows_aborted_below: segment.base_offset(),
        });
    };
    // The walk starts with the batch of the last entry, which is therefore added again.
    segment.offsets.drop_last()?;
    segment.times.truncate_to(entry.offset)?;
    // This index is synced with the log. One that counts as closed and is not may lack anything.
    let knows_aborted_below = match options.is_clean {
        true => entry.offset,
        false => from,
    };
    segment.txns.truncate_to(knows_aborted_below)?;
    segment.forget_largest();
    let mut known_up_to = segment.indexed_times_end()?;
    // A process that is killed leaves a time index that is at most an entry behind, if it is not empty for another
    // reason. After a power loss it may have lost any more than the offset index.
    if !options.has_lost_power
        && segment.times.last()?.is_some()
        && let Some(before) = segment.offsets.last()?
        && segment.is_good(&before)?
    {
        known_up_to = known_up_to.max(before.position);
    }
    segment.look_for_largest_in(known_up_to..entry.position)?;
    let header = segment.bytes(entry.position..entry.position + HEADER_BYTES as u64)?;
    let header = BatchHeader::parse(&header).map_err(|error| ScanError::corrupt(segment, entry.position, error))?;
    Ok(KeptIndexes {
        position: entry.position,
        next_offset: header.base_offset,
        knows_aborted_below,
    })
}

fn note_epoch(epochs: &mut Vec<EpochEntry>, header: &BatchHeader) {
    let epoch = header.partition_leader_epoch;
    if epoch.is_some() && epochs.last().is_none_or(|last| epoch > last.epoch) {
        epochs.push(EpochEntry {
            epoch,
            start_offset: header.base_offset,
        });
    }
}

/// Walks whole and unharmed batches that follow one another.
struct Walk<'a> {
    segment: &'a Segment,
    position: u64,
    next_offset: Offset,
    piece: Bytes,
    piece_start: u64,
}

impl Walk<'_> {
    /// Steps over the next batch; `None` where there is none that is good.
    fn next_whole(&mut self) -> io::Result<Option<BatchHeader>> {
        let Ok(header) = BatchHeader::parse(&self.bytes(HEADER_BYTES as u64)?) else {
            return Ok(None);
        };
        let batch = self.bytes(header.size_bytes() as u64)?;
        let fits = i32::try_from(header.last_offset() - self.segment.base_offset()).is_ok();
        if header.base_offset < self.next_offset || !fits || verify_crc(&batch).is_err() {
            return Ok(None);
        }
        self.position += header.size_bytes() as u64;
        self.next_offset = header.next_offset();
        Ok(Some(header))
    }

    /// Up to `len` bytes from the position on; fewer where the file ends.
    fn bytes(&mut self, len: u64) -> io::Result<Bytes> {
        let end = self.segment.size_bytes();
        let wanted_end = end.min(self.position.saturating_add(len));
        if self.position < self.piece_start || wanted_end > self.piece_start + self.piece.len() as u64 {
            let piece_end = end.min(self.position + PIECE_BYTES.max(len));
            self.piece = self.segment.bytes(self.position..piece_end)?;
            self.piece_start = self.position;
        }
        let at = (self.position - self.piece_start) as usize;
        Ok(self.piece.slice(at..at + (wanted_end - self.position) as usize))
    }
}

/// What is behind the last good batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// Preallocated room.
    Zeros,
    /// A batch that was not written to its end, or something else.
    Damaged,
}

fn rest_of(segment: &Segment, range: std::ops::Range<u64>) -> io::Result<Rest> {
    if range.is_empty() {
        return Ok(Rest::Nothing);
    }
    // Asked before anything is read: what the kernel reads ahead counts as written.
    for part in segment.file()?.written_in(range)? {
        let mut position = part.start;
        while position < part.end {
            let piece = segment.bytes(position..part.end.min(position + PIECE_BYTES))?;
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(Rest::Damaged);
            }
            position += piece.len() as u64;
        }
    }
    Ok(Rest::Zeros)
}
