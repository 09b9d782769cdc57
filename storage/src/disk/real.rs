//! The operating system's files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{Advice, FallocateFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};

use super::map::map_tail;
use super::plain::plain_tail;
use super::{DirEntry, Disk, DiskFile, FileStatus, OpenFiles, OpenMode, TailReader, TailWriter, may_wait};

/// Linux has taken at most this many parts in one call since ever.
const PARTS_PER_CALL: usize = 1024;

/// So many parts of a file that were written are told apart; behind them everything counts as written.
const WRITTEN_PARTS_MAX: usize = 1024;

/// The file system of this machine.
#[derive(Clone, Debug)]
pub struct RealDisk {
    has_maps: bool,
    /// `None`: those of the process.
    open_files: Option<Arc<OpenFiles>>,
}

impl RealDisk {
    /// With memory maps for the ends of logs.
    pub const fn new() -> Self {
        Self {
            has_maps: true,
            open_files: None,
        }
    }

    /// Without maps: slower, but whatever the disk does comes as an error of a call.
    pub const fn without_maps() -> Self {
        Self {
            has_maps: false,
            open_files: None,
        }
    }

    /// Keeps at most so many files open, instead of half of what the process may.
    pub fn with_open_files(limit: usize) -> Self {
        Self {
            has_maps: true,
            open_files: Some(Arc::new(OpenFiles::with_limit(limit))),
        }
    }
}

impl Default for RealDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(mode != OpenMode::Read)
            .create(mode == OpenMode::Create);
        Ok(Arc::new(RealFile {
            file: options.open(path)?,
            has_maps: self.has_maps,
        }))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        let metadata = fs::metadata(path)?;
        let age = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let modified_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Ok(FileStatus {
            len_bytes: metadata.len(),
            modified_ms,
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry {
                    name,
                    is_dir: entry.file_type()?.is_dir(),
                });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn boot_id(&self) -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    fn open_files(&self) -> Option<&OpenFiles> {
        Some(self.open_files.as_deref().unwrap_or_else(|| OpenFiles::of_process()))
    }
}

#[derive(Debug)]
struct RealFile {
    file: File,
    has_maps: bool,
}

impl DiskFile for RealFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_some(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        write_all(&self.file, parts, position)
    }

    fn allocate(&self, end: u64) -> io::Result<()> {
        let len = self.file.metadata()?.len();
        if end <= len {
            return Ok(());
        }
        Ok(rustix::fs::fallocate(
            &self.file,
            FallocateFlags::empty(),
            len,
            end - len,
        )?)
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_modified(&self, modified_ms: i64) -> io::Result<()> {
        let age = Duration::from_millis(u64::try_from(modified_ms).unwrap_or(0));
        self.file.set_modified(UNIX_EPOCH + age)
    }

    fn tail(self: Arc<Self>, range: Range<u64>, start: u64) -> io::Result<(Box<dyn TailWriter>, Arc<dyn TailReader>)> {
        match self.has_maps {
            true => map_tail(&self.file, range, start),
            false => Ok(plain_tail(self, range, start)),
        }
    }

    fn written_in(&self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
        let mut written: Vec<Range<u64>> = Vec::new();
        let mut position = range.start;
        while position < range.end {
            if written.len() == WRITTEN_PARTS_MAX {
                written.push(position..range.end);
                break;
            }
            let start = match rustix::fs::seek(&self.file, SeekFrom::Data(position)) {
                Ok(start) => start,
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => position,
                Err(error) => return Err(error.into()),
            };
            if start >= range.end {
                break;
            }
            position = match rustix::fs::seek(&self.file, SeekFrom::Hole(start)) {
                Ok(hole) => hole.min(range.end),
                Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => range.end,
                Err(error) => return Err(error.into()),
            };
            written.push(start..position);
        }
        Ok(written)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn is_resident(&self, position: u64) -> bool {
        // At the end of the file there is nothing to wait for either.
        read_at_once(&self.file, &mut [0], position).is_ok()
    }

    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        Ok(rustix::fs::fadvise(
            &self.file,
            position,
            NonZeroU64::new(len),
            Advice::WillNeed,
        )?)
    }
}

impl RealFile {
    fn read_some(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        match may_wait() {
            true => self.file.read_at(buffer, position),
            false => read_at_once(&self.file, buffer, position),
        }
    }
}

/// Reads what is in memory. Of a file system that cannot tell, whatever there is is read.
fn read_at_once(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(buffer)], position, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) => file.read_at(buffer, position),
        read => Ok(read?),
    }
}

/// Writes all parts at `position`, however often the kernel writes less than asked.
pub(super) fn write_all(file: &File, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
    let mut position = position;
    for parts in parts.chunks(PARTS_PER_CALL) {
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        let written = match rustix::io::pwritev(file, parts, position) {
            Ok(written) => written,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        if written < wanted {
            write_rest(file, parts, written, position)?;
        }
        position += wanted as u64;
    }
    Ok(())
}

/// Writes what a short write of `parts` left over.
fn write_rest(file: &File, parts: &[IoSlice<'_>], written: usize, position: u64) -> io::Result<()> {
    let mut start = 0;
    for part in parts {
        let done = written.saturating_sub(start).min(part.len());
        if done < part.len() {
            file.write_all_at(&part[done..], position + (start + done) as u64)?;
        }
        start += part.len();
    }
    Ok(())
}
