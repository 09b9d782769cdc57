//! Whether all files of a log are what they should be.
//!
//! Each batch is read and its checksum taken; what stands beside the log is held against the batches as they pass by.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use ottla_protocol::ids::{Offset, ProducerId, TimestampMs};
use ottla_protocol::records::BatchError;
use ottla_protocol::records::compression::decompress;
use ottla_protocol::records::record::check_records;

use super::{BatchAt, BatchFile, BatchFileError, IndexEntry, IndexKind, Promise, epochs, index_entries, producers};
use crate::checkpoint::CheckpointError;
use crate::leader_epoch::EpochEntry;
use crate::producer_state::ProducerBatch;
use crate::segment::path;

/// A batch inflates to so many bytes at most while its records are checked.
const INFLATED_BYTES_MAX: usize = 256 << 20;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The next start puts it right and nobody misses anything.
    Repaired,
    /// Records are lost, or files lead readers astray.
    Damage,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In which file.
    pub path: PathBuf,
    /// Where in the file, if that says something.
    pub position: Option<u64>,
    /// At which offset of the log, if that says something.
    pub offset: Option<Offset>,
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub wrong: Wrong,
}

/// What can be wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message of each variant says it")]
pub enum Wrong {
    #[error("no whole batch: {0}")]
    Batch(BatchError),
    #[error("the batch begins before offset {expected}, where the one before it ends")]
    OffsetsFall { expected: Offset },
    #[error("the batch ends more than 2^31 offsets behind the beginning of its segment")]
    TooFar,
    #[error("the records cannot be read: {0}")]
    Records(String),
    #[error("offsets up to {end} are missing, in a part of the log that was never compacted")]
    Gap { end: Offset },
    #[error("the log ends, but everything before offset {promised_end} was on the disk or committed")]
    EndsEarly { promised_end: Offset },
    #[error("what was begun last is not whole and will be cut off")]
    TornTail,
    #[error("the file is missing and will be made anew")]
    Missing,
    #[error("the last entry is cut off")]
    TornEntry,
    #[error("no batch that ends with this offset begins at byte {position} of the log")]
    NoBatch { position: u64 },
    #[error("no batch up to there has the timestamp {timestamp_ms}")]
    NoTimestamp { timestamp_ms: TimestampMs },
    #[error("the log has no abort marker of producer {producer_id} there")]
    NoMarker { producer_id: ProducerId },
    #[error("the transaction of producer {producer_id} that is aborted there is missing")]
    NoAborted { producer_id: ProducerId },
    #[error("the checksum or the form of the snapshot is wrong: it will be made anew")]
    Snapshot,
    #[error("the snapshot knows of offset {last_offset}, which is not before its own")]
    SnapshotAhead { last_offset: Offset },
    #[error("line {line} is not what a checkpoint has there: it will be made anew")]
    Checkpoint { line: usize },
    #[error("epoch {epoch} does not come after the one before it")]
    EpochsFall { epoch: i32 },
    #[error("the log has a batch of epoch {epoch} where the checkpoint has another")]
    OtherEpoch { epoch: i32 },
    #[error("a file of something that was interrupted; it will be removed or finished")]
    LeftOver,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Segments.
    pub segments: u64,
    /// Whole batches.
    pub batches: u64,
    /// Records, as the batches say.
    pub records: u64,
    /// Bytes of the logs.
    pub bytes: u64,
    /// Where the log ends: the offset after its last whole batch.
    pub log_end_offset: Offset,
}

/// Checks the log in `dir` and what stands beside it. `with_records`: also whether the records of each batch can be
/// read, which takes inflating them. `report` is told what is found, `progress` how many bytes have been read so far.
///
/// # Errors
/// The disk's.
pub fn verify_partition(
    dir: &Path,
    promise: &Promise,
    with_records: bool,
    report: &mut dyn FnMut(Finding),
    progress: &mut dyn FnMut(u64),
) -> io::Result<Totals> {
    let names = file_names(dir)?;
    let mut check = LogCheck {
        dir,
        promise,
        with_records,
        epochs: Vec::new(),
        open: BTreeMap::new(),
        next_offset: promise.log_start_offset,
        totals: Totals::default(),
        report,
        progress,
    };
    check.read_epochs();
    let segments: BTreeSet<Offset> = offsets_of(&names, "log").collect();
    for base_offset in &segments {
        let is_last = segments.last() == Some(base_offset);
        check.segment(*base_offset, is_last)?;
    }
    check.end(segments.last().copied());
    for offset in offsets_of(&names, "snapshot") {
        check.snapshot(offset)?;
    }
    for name in &names {
        let is_left_over = [".cleaned", ".swap", ".deleted", ".tmp"]
            .iter()
            .any(|end| name.ends_with(end));
        if is_left_over {
            check.tell(dir.join(name), None, None, Severity::Repaired, Wrong::LeftOver);
        }
    }
    check.totals.log_end_offset = check.next_offset;
    Ok(check.totals)
}

/// Names of the files in a directory, sorted.
pub(super) fn file_names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        names.extend(entry?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// The offsets in the names of files with this suffix.
pub(super) fn offsets_of<'a>(names: &'a [String], suffix: &'a str) -> impl Iterator<Item = Offset> + 'a {
    names.iter().filter_map(move |name| {
        let (digits, found) = name.split_once('.')?;
        let is_offset = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
        (found == suffix && is_offset).then(|| digits.parse().ok())?
    })
}

struct LogCheck<'a> {
    dir: &'a Path,
    promise: &'a Promise,
    with_records: bool,
    epochs: Vec<EpochEntry>,
    /// Producers with data since their last marker.
    open: BTreeMap<ProducerId, Offset>,
    next_offset: Offset,
    totals: Totals,
    report: &'a mut dyn FnMut(Finding),
    progress: &'a mut dyn FnMut(u64),
}

impl LogCheck<'_> {
    fn tell(&mut self, path: PathBuf, position: Option<u64>, offset: Option<Offset>, severity: Severity, wrong: Wrong) {
        (self.report)(Finding {
            path,
            position,
            offset,
            severity,
            wrong,
        });
    }

    fn read_epochs(&mut self) {
        let path = self.dir.join(crate::leader_epoch::FILE);
        match epochs(self.dir) {
            Ok(read) => self.epochs = read,
            Err(CheckpointError::Malformed { line, .. }) => {
                self.tell(path.clone(), None, None, Severity::Repaired, Wrong::Checkpoint { line });
            }
            Err(CheckpointError::Io { .. }) => {
                self.tell(path.clone(), None, None, Severity::Repaired, Wrong::Missing);
            }
        }
        let falls =
            |pair: &[EpochEntry]| pair[1].epoch <= pair[0].epoch || pair[1].start_offset <= pair[0].start_offset;
        let falling = self
            .epochs
            .windows(2)
            .find(|pair| falls(pair))
            .map(|pair| pair[1].epoch.0);
        if let Some(epoch) = falling {
            self.tell(path, None, None, Severity::Damage, Wrong::EpochsFall { epoch });
        }
    }

    fn segment(&mut self, base_offset: Offset, is_last: bool) -> io::Result<()> {
        let log = path(self.dir, base_offset, "log");
        let mut file = BatchFile::open(&log)?;
        let mut beside = Beside::open(self, base_offset, file.size_bytes() == 0)?;
        let mut is_first = true;
        self.totals.segments += 1;
        loop {
            match file.next_batch() {
                Ok(None) => break,
                Ok(Some(batch)) => {
                    let expected = if is_first {
                        base_offset.max(self.first_possible())
                    } else {
                        self.next_offset
                    };
                    self.batch(&log, base_offset, expected, &batch);
                    beside.batch(self, &batch);
                    is_first = false;
                }
                Err(BatchFileError::Io(error)) => return Err(error),
                Err(BatchFileError::Bad { position, error }) => {
                    if file.is_rest_zero()? {
                        break;
                    }
                    let from = self.next_offset.max(base_offset);
                    let goes_on = file.skip_damage(from)?;
                    let is_tail = !goes_on && is_last && self.next_offset >= self.promise.end();
                    let (severity, wrong) = match is_tail {
                        true => (Severity::Repaired, Wrong::TornTail),
                        false => (Severity::Damage, Wrong::Batch(error)),
                    };
                    self.tell(log.clone(), Some(position), Some(from), severity, wrong);
                    beside.is_disturbed = true;
                }
            }
        }
        self.totals.bytes += file.size_bytes();
        (self.progress)(self.totals.bytes);
        beside.end(self);
        Ok(())
    }

    /// Before this no batch can begin that follows those seen so far.
    fn first_possible(&self) -> Offset {
        match self.totals.batches {
            0 => 0,
            _ => self.next_offset,
        }
    }

    fn batch(&mut self, log: &Path, base_offset: Offset, expected: Offset, batch: &BatchAt) {
        let header = &batch.header;
        let mut damage = |wrong| {
            let (position, offset) = (Some(batch.position), Some(header.base_offset));
            self.tell(log.into(), position, offset, Severity::Damage, wrong);
        };
        if header.base_offset < expected {
            damage(Wrong::OffsetsFall { expected });
        }
        if header.last_offset() - base_offset > Offset::from(i32::MAX) {
            damage(Wrong::TooFar);
        }
        let has_gap = header.base_offset > self.next_offset && self.totals.batches > 0;
        if has_gap && self.next_offset >= self.promise.cleaned_up_to {
            let (offset, end) = (Some(self.next_offset), header.base_offset - 1);
            self.tell(
                log.into(),
                Some(batch.position),
                offset,
                Severity::Damage,
                Wrong::Gap { end },
            );
        }
        if self.with_records
            && let Err(reason) = records_of(batch)
        {
            let (position, offset) = (Some(batch.position), Some(header.base_offset));
            self.tell(log.into(), position, offset, Severity::Damage, Wrong::Records(reason));
        }
        self.check_epoch(log, batch);
        self.next_offset = header.next_offset();
        self.totals.batches += 1;
        self.totals.records += u64::from(header.records_count.unsigned_abs());
    }

    fn check_epoch(&mut self, log: &Path, batch: &BatchAt) {
        let header = &batch.header;
        let epoch = header.partition_leader_epoch;
        if !epoch.is_some() || self.epochs.is_empty() || header.base_offset < self.promise.log_start_offset {
            return;
        }
        let count = self
            .epochs
            .partition_point(|entry| entry.start_offset <= header.base_offset);
        let known = count.checked_sub(1).map(|at| self.epochs[at].epoch);
        // What was begun last may not be written down yet; the log says it.
        let is_newer = count == self.epochs.len() && known.is_some_and(|known| epoch > known);
        if known != Some(epoch) && !is_newer {
            let (position, offset) = (Some(batch.position), Some(header.base_offset));
            self.tell(
                log.into(),
                position,
                offset,
                Severity::Damage,
                Wrong::OtherEpoch { epoch: epoch.0 },
            );
        }
    }

    fn end(&mut self, last_segment: Option<Offset>) {
        let promised_end = self.promise.end();
        if self.next_offset.max(self.promise.log_start_offset) < promised_end {
            let file = last_segment.map_or(self.dir.into(), |base_offset| path(self.dir, base_offset, "log"));
            let wrong = Wrong::EndsEarly { promised_end };
            self.tell(file, None, Some(self.next_offset), Severity::Damage, wrong);
        }
    }

    fn snapshot(&mut self, offset: Offset) -> io::Result<()> {
        let file = path(self.dir, offset, "snapshot");
        let Some(producers) = producers(&file)? else {
            self.tell(file, None, Some(offset), Severity::Repaired, Wrong::Snapshot);
            return Ok(());
        };
        let starts = producers
            .iter()
            .filter_map(|producer| producer.current_txn_start_offset);
        if let Some(last_offset) = starts.max().filter(|last_offset| *last_offset >= offset) {
            let wrong = Wrong::SnapshotAhead { last_offset };
            self.tell(file, None, Some(offset), Severity::Damage, wrong);
        }
        Ok(())
    }
}

fn records_of(batch: &BatchAt) -> Result<(), String> {
    let compression = batch
        .header
        .attributes
        .compression()
        .map_err(|error| error.to_string())?;
    let section = batch.bytes.slice(ottla_protocol::records::batch::HEADER_BYTES..);
    let section = decompress(compression, &section, INFLATED_BYTES_MAX).map_err(|error| error.to_string())?;
    check_records(&section, batch.header.records_count).map_err(|error| error.to_string())
}

/// The indexes of a segment, gone through beside its batches.
struct Beside {
    base_offset: Offset,
    offsets: Entries,
    times: Entries,
    aborted: Entries,
    /// Whether a batch was passed over: what entries say of it cannot be judged.
    is_disturbed: bool,
}

/// An index's entries, the next one looked at.
struct Entries {
    path: PathBuf,
    entries: Vec<(u64, IndexEntry)>,
    next: usize,
}

impl Entries {
    fn read(check: &mut LogCheck<'_>, base_offset: Offset, kind: IndexKind, may_miss: bool) -> io::Result<Self> {
        let path = path(check.dir, base_offset, kind.suffix());
        let mut read = Self {
            path: path.clone(),
            entries: Vec::new(),
            next: 0,
        };
        match index_entries(&path, kind, base_offset) {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => read.entries.push(entry),
                        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                            check.tell(path.clone(), None, None, Severity::Repaired, Wrong::TornEntry);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !may_miss {
                    check.tell(path.clone(), None, None, Severity::Repaired, Wrong::Missing);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(read)
    }

    fn peek(&self) -> Option<(u64, IndexEntry)> {
        self.entries.get(self.next).copied()
    }
}

impl Beside {
    fn open(check: &mut LogCheck<'_>, base_offset: Offset, is_empty: bool) -> io::Result<Self> {
        Ok(Self {
            base_offset,
            offsets: Entries::read(check, base_offset, IndexKind::Offset, is_empty)?,
            times: Entries::read(check, base_offset, IndexKind::Time, is_empty)?,
            aborted: Entries::read(check, base_offset, IndexKind::Transaction, true)?,
            is_disturbed: false,
        })
    }

    fn batch(&mut self, check: &mut LogCheck<'_>, batch: &BatchAt) {
        self.offset_entries(check, batch);
        self.time_entries(check, batch);
        self.aborted_entries(check, batch);
        self.is_disturbed = false;
    }

    fn offset_entries(&mut self, check: &mut LogCheck<'_>, batch: &BatchAt) {
        while let Some((at, IndexEntry::Offset { offset, position })) = self.offsets.peek()
            && position <= batch.position
        {
            self.offsets.next += 1;
            let is_true = position == batch.position && offset == batch.header.last_offset();
            let is_of_damage = self.is_disturbed && position < batch.position;
            if !is_true && !is_of_damage {
                let wrong = Wrong::NoBatch { position };
                check.tell(
                    self.offsets.path.clone(),
                    Some(at),
                    Some(offset),
                    Severity::Damage,
                    wrong,
                );
            }
        }
    }

    fn time_entries(&mut self, check: &mut LogCheck<'_>, batch: &BatchAt) {
        while let Some((at, IndexEntry::Time { timestamp_ms, offset })) = self.times.peek()
            && offset <= batch.header.last_offset()
        {
            self.times.next += 1;
            let is_true = offset >= batch.header.base_offset && timestamp_ms == batch.header.max_timestamp;
            let is_of_damage = self.is_disturbed && offset < batch.header.base_offset;
            if !is_true && !is_of_damage {
                let wrong = Wrong::NoTimestamp { timestamp_ms };
                check.tell(self.times.path.clone(), Some(at), Some(offset), Severity::Damage, wrong);
            }
        }
    }

    fn aborted_entries(&mut self, check: &mut LogCheck<'_>, batch: &BatchAt) {
        let header = batch.header;
        let producer_id = header.producer_id;
        if !header.attributes.is_transactional() || !producer_id.is_some() {
            return;
        }
        let Some(marker) = ProducerBatch::new(header, &batch.bytes, header.base_offset).marker else {
            if !header.attributes.is_control() {
                check.open.entry(producer_id).or_insert(header.base_offset);
            }
            return;
        };
        self.aborted_before(check, header.base_offset);
        let had_data = check.open.remove(&producer_id).is_some();
        let is_listed = matches!(self.aborted.peek(), Some((_, IndexEntry::Transaction(aborted)))
            if aborted.last_offset == header.base_offset && aborted.producer_id == producer_id && !marker.is_commit);
        if is_listed {
            self.aborted.next += 1;
        } else if had_data && !marker.is_commit {
            let wrong = Wrong::NoAborted { producer_id };
            check.tell(
                self.aborted.path.clone(),
                None,
                Some(header.base_offset),
                Severity::Damage,
                wrong,
            );
        }
    }

    /// Passes over the entries before `offset`, for which there was no marker.
    fn aborted_before(&mut self, check: &mut LogCheck<'_>, offset: Offset) {
        while let Some((at, IndexEntry::Transaction(aborted))) = self.aborted.peek()
            && aborted.last_offset < offset
        {
            self.aborted.next += 1;
            let wrong = Wrong::NoMarker {
                producer_id: aborted.producer_id,
            };
            check.tell(
                self.aborted.path.clone(),
                Some(at),
                Some(aborted.last_offset),
                Severity::Damage,
                wrong,
            );
        }
    }

    /// Nothing is left that the entries could be of.
    fn end(&mut self, check: &mut LogCheck<'_>) {
        self.aborted_before(check, Offset::MAX);
        // Compaction and cuts leave indexes of their own; an entry beyond the last batch is of another log.
        if let Some((at, IndexEntry::Offset { offset, position })) = self.offsets.peek()
            && !self.is_disturbed
        {
            let wrong = Wrong::NoBatch { position };
            check.tell(
                self.offsets.path.clone(),
                Some(at),
                Some(offset),
                Severity::Damage,
                wrong,
            );
        }
        if let Some((at, IndexEntry::Time { timestamp_ms, offset })) = self.times.peek()
            && !self.is_disturbed
            && offset > self.base_offset
        {
            let wrong = Wrong::NoTimestamp { timestamp_ms };
            check.tell(self.times.path.clone(), Some(at), Some(offset), Severity::Damage, wrong);
        }
    }
}
