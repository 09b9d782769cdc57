//! Giving up what is damaged, because somebody said so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ottla_protocol::ids::Offset;

use super::verify::{file_names, offsets_of};
use super::{BatchFile, BatchFileError, OfflineDir, OfflineDirError, Promise};
use crate::TopicPartition;
use crate::segment::{SUFFIXES, path};

/// Ends the name of a copy of what was cut off.
const LOST: &str = ".lost";

/// What is wrong with a log, and what it takes to go on without it. Nothing has been changed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The log's directory.
    pub dir: PathBuf,
    /// The file with the damage; the directory if there is no segment at all.
    pub path: PathBuf,
    /// Where in the file it begins.
    pub position: u64,
    /// What stands there, in words.
    pub cause: String,
    /// Where the log will end: the first offset that is lost.
    pub log_end_offset: Offset,
    /// The offset after the last that is lost, as far as that is known.
    pub lost_end: Offset,
    /// Bytes that are cut off.
    pub lost_bytes: u64,
    /// Segments that go wholly, by base offset.
    pub removed_segments: Vec<Offset>,
}

/// Why a loss cannot be accepted.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    /// The disk refused. What was done so far may be done again.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        error: io::Error,
    },
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Dir(#[from] OfflineDirError),
}

fn failed(path: &Path) -> impl Fn(io::Error) -> LossError {
    move |error| LossError::Io {
        path: path.into(),
        error,
    }
}

/// Looks for the first damage of the log in `dir`; `None` if the next start takes all that was promised.
///
/// # Errors
/// The disk's.
pub fn find_loss(dir: &Path, promise: &Promise) -> Result<Option<Loss>, LossError> {
    let names = file_names(dir).map_err(failed(dir))?;
    let segments: Vec<Offset> = {
        let mut segments: Vec<Offset> = offsets_of(&names, "log").collect();
        segments.sort_unstable();
        segments
    };
    let mut end = promise.log_start_offset;
    let mut last = (PathBuf::from(dir), 0);
    for (at, base_offset) in segments.iter().enumerate() {
        let log = path(dir, *base_offset, "log");
        let mut file = BatchFile::open(&log).map_err(failed(&log))?;
        let cause = walk(&mut file, &mut end, *base_offset).map_err(failed(&log))?;
        last = (log.clone(), file.position());
        let Some(cause) = cause else { continue };
        let mut loss = Loss {
            dir: dir.into(),
            path: log,
            position: file.position(),
            cause,
            log_end_offset: end,
            lost_end: end.max(promise.end()),
            lost_bytes: file.size_bytes() - file.position(),
            removed_segments: segments[at + 1..].to_vec(),
        };
        let has_more = loss.look_behind(&mut file)?;
        // What nobody was promised the next start cuts off by itself.
        let is_torn_tail = !has_more && loss.removed_segments.is_empty() && end >= promise.end();
        return Ok((!is_torn_tail).then_some(loss));
    }
    let is_whole = end.max(promise.log_start_offset) >= promise.end();
    Ok((!is_whole).then(|| Loss {
        dir: dir.into(),
        path: last.0,
        position: last.1,
        cause: "the log ends".into(),
        log_end_offset: end,
        lost_end: promise.end(),
        lost_bytes: 0,
        removed_segments: Vec::new(),
    }))
}

/// Walks the whole batches from the start of a file and moves `end` behind them. Returns what is wrong behind the last.
fn walk(file: &mut BatchFile, end: &mut Offset, base_offset: Offset) -> io::Result<Option<String>> {
    let mut expected = base_offset;
    loop {
        let before = file.position();
        match file.next_batch() {
            Ok(None) => return Ok(None),
            Ok(Some(batch)) if batch.header.base_offset < expected => {
                file.seek(before);
                return Ok(Some(format!("the batch there begins before offset {expected}")));
            }
            Ok(Some(batch)) => {
                expected = batch.header.next_offset();
                *end = expected;
            }
            Err(BatchFileError::Io(error)) => return Err(error),
            Err(BatchFileError::Bad { .. }) if file.is_rest_zero()? => return Ok(None),
            Err(BatchFileError::Bad { error, .. }) => return Ok(Some(error.to_string())),
        }
    }
}

impl Loss {
    /// Finds out which whole batches are lost too, as they stand behind the damage. Returns whether there are any.
    fn look_behind(&mut self, file: &mut BatchFile) -> Result<bool, LossError> {
        let mut has_more = false;
        let path = self.path.clone();
        if file.skip_damage(self.log_end_offset).map_err(failed(&path))? {
            has_more = true;
            self.note_batches(file).map_err(failed(&path))?;
        }
        for base_offset in self.removed_segments.clone() {
            let log = crate::segment::path(&self.dir, base_offset, "log");
            let mut file = BatchFile::open(&log).map_err(failed(&log))?;
            self.lost_bytes += file.size_bytes();
            self.note_batches(&mut file).map_err(failed(&log))?;
        }
        Ok(has_more)
    }

    fn note_batches(&mut self, file: &mut BatchFile) -> io::Result<()> {
        loop {
            match file.next_batch() {
                Ok(None) => return Ok(()),
                Ok(Some(batch)) => self.lost_end = self.lost_end.max(batch.header.next_offset()),
                Err(BatchFileError::Io(error)) => return Err(error),
                Err(BatchFileError::Bad { .. }) => {
                    if file.is_rest_zero()? || !file.skip_damage(self.log_end_offset)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Cuts the log at the damage and lowers what is promised of it, so that the next start takes it as far as it is
    /// whole. What is cut off is kept beside it, in files that end with `.lost`, if `keeps_copy`. The indexes of the
    /// segment go; the start makes them anew. If this is interrupted, it can be done again.
    ///
    /// `dir` must be locked.
    ///
    /// # Errors
    /// The disk's, or a checkpoint's.
    pub fn accept(&self, dir: &OfflineDir, partition: &TopicPartition, keeps_copy: bool) -> Result<(), LossError> {
        assert!(dir.is_locked(), "a broker may write into {}", dir.path().display());
        dir.forget_clean_shutdown()?;
        for base_offset in self.removed_segments.iter().rev() {
            self.remove_segment(*base_offset, keeps_copy)?;
        }
        if self.path != self.dir {
            self.cut(keeps_copy).map_err(failed(&self.path))?;
        }
        self.remove_snapshots()?;
        let sync_dir = || File::open(&self.dir)?.sync_all();
        sync_dir().map_err(failed(&self.dir))?;
        Ok(dir.lower_promise(partition, self.log_end_offset)?)
    }

    /// The indexes first: without its log an index is an orphan that the start removes.
    fn remove_segment(&self, base_offset: Offset, keeps_copy: bool) -> Result<(), LossError> {
        for suffix in SUFFIXES.iter().rev() {
            let file = path(&self.dir, base_offset, suffix);
            let gone = match keeps_copy && *suffix == "log" {
                true => fs::rename(&file, lost(&file)),
                false => fs::remove_file(&file),
            };
            ignore_missing(gone).map_err(failed(&file))?;
        }
        Ok(())
    }

    fn cut(&self, keeps_copy: bool) -> io::Result<()> {
        let mut log = OpenOptions::new().read(true).write(true).open(&self.path)?;
        if keeps_copy && self.lost_bytes > 0 {
            log.seek(SeekFrom::Start(self.position))?;
            let mut copy = File::create(lost(&self.path))?;
            io::copy(&mut Read::by_ref(&mut log), &mut copy)?;
            copy.sync_all()?;
        }
        log.set_len(self.position)?;
        log.sync_all()?;
        for suffix in &SUFFIXES[1..] {
            ignore_missing(fs::remove_file(self.path.with_extension(suffix)))?;
        }
        Ok(())
    }

    /// Those that know of what is lost.
    fn remove_snapshots(&self) -> Result<(), LossError> {
        let names = file_names(&self.dir).map_err(failed(&self.dir))?;
        for offset in offsets_of(&names, "snapshot").filter(|offset| *offset > self.log_end_offset) {
            let file = path(&self.dir, offset, "snapshot");
            ignore_missing(fs::remove_file(&file)).map_err(failed(&file))?;
        }
        Ok(())
    }
}

fn lost(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(LOST);
    name.into()
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
