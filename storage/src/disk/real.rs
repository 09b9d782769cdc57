//! The operating system's files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::FallocateFlags;

use super::map::map_tail;
use super::{DirEntry, Disk, DiskFile, FileStatus, OpenMode, TailReader, TailWriter};

/// Linux has taken at most this many parts in one call since ever.
const PARTS_PER_CALL: usize = 1024;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(mode != OpenMode::Read)
            .create(mode == OpenMode::Create);
        Ok(Arc::new(RealFile(Arc::new(options.open(path)?))))
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
}

#[derive(Debug)]
struct RealFile(Arc<File>);

impl DiskFile for RealFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        write_all(&self.0, parts, position)
    }

    fn allocate(&self, end: u64) -> io::Result<()> {
        let len = self.0.metadata()?.len();
        if end <= len {
            return Ok(());
        }
        Ok(rustix::fs::fallocate(&self.0, FallocateFlags::empty(), len, end - len)?)
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.0.set_len(len_bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn tail(self: Arc<Self>, range: Range<u64>, start: u64) -> io::Result<(Box<dyn TailWriter>, Arc<dyn TailReader>)> {
        map_tail(&self.0, range, start)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

/// Writes all parts at `position`, however often the kernel writes less than asked.
pub(super) fn write_all(file: &File, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
    let mut position = position;
    for parts in parts.chunks(PARTS_PER_CALL) {
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        let written = match rustix::io::pwritev(file, parts, position) {
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => 0,
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
