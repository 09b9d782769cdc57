//! Compaction of this log: the pass, see [`crate::compaction`].
//!
//! A pass reads and writes beside everybody else. Only when a new segment is whole does it take the locks that
//! truncation, retention and syncing take too, makes sure that the old ones are still what it has read, and puts the new
//! one in their place.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ottla_protocol::ids::{Offset, TimestampMs};

use super::Log;
use crate::compaction::filter::{Filter, Kept, emptied, note_keys};
use crate::compaction::offset_map::OffsetMap;
use crate::compaction::output::{Output, discard};
use crate::compaction::plan::{LogFacts, SegmentFacts, assess, group};
use crate::compaction::transactions::Transactions;
use crate::compaction::{Cleanable, CompactionError, CompactionRequest, CompactionStats};
use crate::disk::Disk;
use crate::segment::{BatchReader, CLEANED, SUFFIXES, SWAP, ScanError, Segment, path, tagged_path};

/// The caller is told of so many bytes at once.
const REPORT_BYTES: u64 = 64 * 1024;

/// Tells the caller of what was read and written, and sees to it that the pass ends when it has to.
struct Meter<'a> {
    log: &'a Log,
    truncations: u64,
    on_io: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    unreported: u64,
}

impl Meter<'_> {
    fn moved(&mut self, bytes: u64) -> Result<(), CompactionError> {
        self.unreported += bytes;
        if self.unreported < REPORT_BYTES {
            return Ok(());
        }
        self.log.check_undisturbed(self.truncations)?;
        match (self.on_io)(std::mem::take(&mut self.unreported)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(CompactionError::Stopped),
        }
    }
}

impl Log {
    /// What of the log can be compacted now; `None` if it is not compacted, or offline.
    ///
    /// # Errors
    /// Damage, and the disk's.
    pub fn compaction_state(&self, now_ms: TimestampMs) -> Result<Option<Cleanable>, ScanError> {
        let config = self.config();
        if !config.is_compacted || self.is_offline() {
            return Ok(None);
        }
        self.undisturbed(|| {
            let facts: Result<Vec<_>, ScanError> = self
                .all_segments()
                .iter()
                .map(|segment| {
                    Ok(SegmentFacts {
                        largest_timestamp: match config.min_compaction_lag_ms {
                            ..=0 => -1,
                            _ => segment.largest()?.timestamp,
                        },
                        first_timestamp: match config.max_compaction_lag_ms {
                            i64::MAX => None,
                            _ => segment.first_timestamp()?,
                        },
                        ..facts_of(segment)
                    })
                })
                .collect();
            let log = LogFacts {
                log_start_offset: self.log_start_offset(),
                last_stable_offset: self.last_stable_offset(),
                log_end_offset: self.log_end_offset(),
                cleaned_up_to: self.cleaned_up_to(),
            };
            Ok(assess(&facts?, &log, &config, now_ms))
        })
    }

    /// Up to where the log has been compacted, if it ever was: what goes into `cleaner-offset-checkpoint`.
    pub fn cleaned_up_to(&self) -> Option<Offset> {
        Some(self.cleaned_up_to.load(Ordering::Acquire)).filter(|offset| *offset >= 0)
    }

    /// Compacts the log as far as the memory goes: one pass. Reads and appends go on meanwhile.
    ///
    /// The dirty section begins after that where [`CompactionStats::end_offset`] says; this should be written down with
    /// [`crate::LogDir::write_cleaner_checkpoint`].
    ///
    /// # Errors
    /// The log is as before, or compacted up to some segment; if files could not be put in place it is offline.
    pub fn compact(&self, request: CompactionRequest<'_>) -> Result<CompactionStats, CompactionError> {
        let _turn = self.compacting.try_lock().ok_or(CompactionError::Busy)?;
        let truncations = self.truncations.load(Ordering::Acquire);
        let outcome = self.compact_undisturbed(request, truncations);
        match outcome {
            // What looked like damage, or like a missing file, was the log being cut.
            Err(_) if self.truncations.load(Ordering::Acquire) != truncations => Err(CompactionError::Overtaken),
            outcome => outcome,
        }
    }

    fn check_undisturbed(&self, truncations: u64) -> Result<(), CompactionError> {
        if self.is_offline() {
            return Err(CompactionError::Offline);
        }
        match self.truncations.load(Ordering::Acquire) == truncations {
            true => Ok(()),
            false => Err(CompactionError::Overtaken),
        }
    }

    fn compact_undisturbed(
        &self,
        request: CompactionRequest<'_>,
        truncations: u64,
    ) -> Result<CompactionStats, CompactionError> {
        self.finish_rolls();
        let CompactionRequest { now_ms, .. } = request;
        let Some(cleanable) = self.compaction_state(now_ms)? else {
            return Err(CompactionError::Offline);
        };
        let mut stats = CompactionStats {
            first_dirty_offset: cleanable.first_dirty_offset,
            end_offset: cleanable.first_dirty_offset,
            ..CompactionStats::default()
        };
        if cleanable.first_uncleanable_offset <= cleanable.first_dirty_offset {
            return Ok(stats);
        }
        let mut meter = Meter {
            log: self,
            truncations,
            on_io: request.on_io,
            unreported: 0,
        };
        let (last_records, config) = {
            let appender = self.appender.lock();
            (appender.producers.last_records(), appender.config)
        };
        // A record goes because there is a later one: that must not be lost with the power.
        self.sync()?;
        // Beside a `.cleaned` recovery does not believe in a `.swap`, so the name of none may be left on the disk.
        self.disk.sync_dir(&self.dir)?;
        let dirty = cleanable
            .first_uncleanable_offset
            .abs_diff(cleanable.first_dirty_offset);
        let expected = usize::try_from(dirty).unwrap_or(usize::MAX);
        let mut map = OffsetMap::new(request.map_bytes, request.map_load_factor, expected);
        stats.end_offset = self.fill(&mut map, &cleanable, &mut meter)?;
        stats.keys = map.len();

        let mut filter = Filter {
            map,
            end_offset: stats.end_offset,
            transactions: Transactions::default(),
            last_records,
            now_ms,
            delete_retention_ms: config.delete_retention_ms,
        };
        let sources = self.sealed_below(stats.end_offset);
        let facts: Vec<_> = sources.iter().map(|segment| facts_of(segment)).collect();
        let end = self
            .segment_after(sources.last().map_or(0, |last| last.base_offset()))
            .map_or(stats.end_offset, |after| after.base_offset());
        for range in group(&facts, &config, end) {
            self.compact_group(&sources[range], &mut filter, &mut meter, &mut stats)?;
        }
        self.cleaned_up_to.store(stats.end_offset, Ordering::Release);
        Ok(stats)
    }

    /// Sealed segments with an offset below `end_offset`.
    fn sealed_below(&self, end_offset: Offset) -> Vec<Arc<Segment>> {
        let mut segments = self.all_segments();
        segments.pop();
        segments.retain(|segment| segment.base_offset() < end_offset);
        segments
    }

    /// Notes the keys of the dirty section, as many as there is room for. Returns up to where they are known.
    fn fill(
        &self,
        map: &mut OffsetMap,
        cleanable: &Cleanable,
        meter: &mut Meter<'_>,
    ) -> Result<Offset, CompactionError> {
        let (start, end) = (cleanable.first_dirty_offset, cleanable.first_uncleanable_offset);
        let mut transactions = Transactions::default();
        transactions.expect(self.aborted_transactions(start, end)?);
        for segment in self.sealed_below(end) {
            let Some(first) = segment.find(start)? else { continue };
            let mut reader = BatchReader::new(&segment, first.position);
            while let Some((found, batch)) = reader.next()? {
                let header = found.header;
                if header.base_offset >= end {
                    return Ok(end);
                }
                meter.moved(batch.len() as u64)?;
                if header.attributes.is_control() {
                    transactions.on_control(&header, &batch);
                } else if !transactions.on_data(&header)
                    && let Some(full_at) = note_keys(map, &(start..end), &header, &batch)?
                {
                    return Ok(full_at);
                }
            }
        }
        Ok(end)
    }

    /// Writes what stays of these segments into one, which takes their place.
    fn compact_group(
        &self,
        sources: &[Arc<Segment>],
        filter: &mut Filter,
        meter: &mut Meter<'_>,
        stats: &mut CompactionStats,
    ) -> Result<(), CompactionError> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else {
            return Ok(());
        };
        let bytes_before: u64 = sources.iter().map(|segment| segment.size_bytes()).sum();
        let written = self.write_group(sources, first.base_offset(), last, filter, meter);
        let (is_changed, bytes_after) = match written {
            Ok(written) => written,
            Err(error) => {
                // What cannot be removed now goes when the log is opened.
                let _ = discard(&*self.disk, &self.dir, first.base_offset());
                return Err(error);
            }
        };
        stats.segments_before += sources.len();
        stats.segments_after += 1;
        stats.bytes_before += bytes_before;
        stats.bytes_after += bytes_after;
        if !is_changed && sources.len() == 1 {
            discard(&*self.disk, &self.dir, first.base_offset())?;
            return Ok(());
        }
        self.replace(sources, bytes_after, filter.now_ms, meter.truncations)
    }

    /// Writes the new segment, durably. Returns whether it differs from the old ones, and its size.
    fn write_group(
        &self,
        sources: &[Arc<Segment>],
        base_offset: Offset,
        last: &Segment,
        filter: &mut Filter,
        meter: &mut Meter<'_>,
    ) -> Result<(bool, u64), CompactionError> {
        let interval_bytes = self.config().index_interval_bytes;
        let mut output = Output::create(&self.disk, &self.dir, base_offset)?;
        let mut is_changed = false;
        // The last batch of all, if it has gone so far.
        let mut gone = None;
        for segment in sources {
            let end = self
                .segment_after(segment.base_offset())
                .map_or(Offset::MAX, |after| after.base_offset());
            let aborted = self.aborted_transactions(segment.base_offset(), end)?;
            filter.transactions.expect(aborted);
            let mut reader = BatchReader::new(segment, 0);
            while let Some((found, batch)) = reader.next()? {
                meter.moved(batch.len() as u64)?;
                let kept = filter.keep(&found.header, &batch)?;
                is_changed |= kept != Kept::Whole;
                gone = (kept == Kept::Nothing).then_some((found.header, batch.clone()));
                meter.moved(push(&mut output, &kept, &batch, interval_bytes)?)?;
            }
        }
        if let Some((header, batch)) = gone {
            // The last batch stays in any case, so that who reads gets past it, and so that recovery sees which
            // segments the new one was made from.
            push(&mut output, &emptied(&header), &batch, interval_bytes)?;
        }
        let aborted = filter.transactions.take_still_there();
        meter.moved(output.finish(&aborted, last.modified_ms()?)?)?;
        Ok((is_changed, output.size_bytes()))
    }

    /// Puts the segment that was written in the place of those that it was made from.
    ///
    /// The steps on the disk, each of which is durable before the next one begins, and what recovery makes of the files
    /// if it is the last one: (1) the new files as `.cleaned`: they are removed; (2) as `.swap`: the old ones are removed
    /// and the new ones get their names; (3) the old ones as `.deleted`, the new indexes in place: as before, but the
    /// indexes are built anew; (4) the new `.log` in place: nothing.
    fn replace(
        &self,
        sources: &[Arc<Segment>],
        size_bytes: u64,
        now_ms: TimestampMs,
        truncations: u64,
    ) -> Result<(), CompactionError> {
        let Some(base_offset) = sources.first().map(|first| first.base_offset()) else {
            return Ok(());
        };
        let _round = self.syncing.lock();
        let _sealing = self.sealing.lock();
        // A segment that was rolled during the pass must not be worked on any more.
        self.finish_rolls_sealing();
        self.check_undisturbed(truncations)?;
        if self.position_of(sources).is_none() {
            let _ = discard(&*self.disk, &self.dir, base_offset);
            return Err(CompactionError::Overtaken);
        }
        self.disk.sync_dir(&self.dir)?;
        for source in sources {
            source.pin()?;
        }
        let replaced = self
            .rename_all(base_offset, CLEANED, SWAP)
            .and_then(|()| self.disk.sync_dir(&self.dir))
            .and_then(|()| self.doom(sources, true, now_ms))
            .and_then(|()| self.put_in_place(base_offset))
            .and_then(|()| Segment::open(&self.disk, &self.dir, base_offset, size_bytes));
        let segment = replaced.inspect_err(|error| {
            tracing::error!(dir = %self.dir.display(), %error, "a compacted segment could not be put in place");
            self.take_offline();
        })?;
        {
            let mut segments = self.segments.write();
            if let Some(at) = position_in(&segments, sources) {
                segments.splice(at..at + sources.len(), [Arc::new(segment)]);
            }
        }
        // In this order: who is told that there is nothing any more sees that something has changed.
        self.replacements.fetch_add(1, Ordering::AcqRel);
        sources.iter().for_each(|source| source.retire());
        Ok(())
    }

    fn position_of(&self, sources: &[Arc<Segment>]) -> Option<usize> {
        position_in(&self.segments.read(), sources)
    }

    fn put_in_place(&self, base_offset: Offset) -> io::Result<()> {
        // The log last: while it is called `.swap`, recovery takes no index on trust.
        let (log, indexes) = SUFFIXES.split_at(1);
        for suffixes in [indexes, log] {
            for suffix in suffixes {
                let to = path(&self.dir, base_offset, suffix);
                rename_if_exists(&*self.disk, &tagged_path(&self.dir, base_offset, suffix, SWAP), &to)?;
            }
            self.disk.sync_dir(&self.dir)?;
        }
        Ok(())
    }

    fn rename_all(&self, base_offset: Offset, from: &str, to: &str) -> io::Result<()> {
        for suffix in SUFFIXES {
            let to = tagged_path(&self.dir, base_offset, suffix, to);
            rename_if_exists(&*self.disk, &tagged_path(&self.dir, base_offset, suffix, from), &to)?;
        }
        Ok(())
    }
}

/// Where `sources` are, if they are all there one after another, and not the active segment.
fn position_in(segments: &[Arc<Segment>], sources: &[Arc<Segment>]) -> Option<usize> {
    let at = segments.iter().position(|segment| Arc::ptr_eq(segment, &sources[0]))?;
    let there = segments.get(at..at + sources.len())?;
    let is_same = there.iter().zip(sources).all(|(one, other)| Arc::ptr_eq(one, other));
    (is_same && at + sources.len() < segments.len()).then_some(at)
}

fn facts_of(segment: &Segment) -> SegmentFacts {
    SegmentFacts {
        base_offset: segment.base_offset(),
        size_bytes: segment.size_bytes(),
        index_bytes: segment.index_bytes(),
        largest_timestamp: -1,
        first_timestamp: None,
    }
}

fn push(output: &mut Output, kept: &Kept, batch: &[u8], interval_bytes: u64) -> Result<u64, ScanError> {
    match kept {
        Kept::Whole => output.push(batch, interval_bytes),
        Kept::Part(batch) => output.push(batch, interval_bytes),
        Kept::Nothing => Ok(0),
    }
}

fn rename_if_exists(disk: &dyn Disk, from: &Path, to: &Path) -> io::Result<()> {
    match disk.rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
