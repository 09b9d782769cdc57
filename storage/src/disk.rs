//! The one door to the file system.
//!
//! Everything the log does to files goes through [`Disk`] and [`DiskFile`], so that a disk which forgets what was not
//! flushed, or fails on command, can stand in for the real one. [`RealDisk`] is the operating system's.
//!
//! What holds for every implementation:
//! - a write, whether by [`DiskFile::write_at`] or through a [`TailWriter`], is seen at once by every reader of the
//!   file in this process, and survives the process; it survives a power loss only after [`DiskFile::sync`];
//! - a file that was created, renamed or removed is so for good only after [`Disk::sync_dir`] of its directory;
//! - a failed `sync` may have dropped the data: it must never be tried again as if a second success meant anything.

#[cfg(test)]
pub(crate) mod faulty;
mod map;
mod open_files;
mod patience;
mod plain;
mod real;

use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use open_files::Held;

pub use open_files::OpenFiles;
pub use patience::without_waiting;
pub(crate) use patience::{may_wait, would_wait};
pub use real::RealDisk;

/// How [`Disk::open`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; the file must exist.
    Read,
    /// For reading and writing; the file must exist.
    Write,
    /// For reading and writing; created empty where it does not exist.
    Create,
}

/// What a directory holds under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// The name without its directory. Names that are not UTF-8 are not ours and are not listed.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// Length and age of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Length in bytes.
    pub len_bytes: u64,
    /// When it was last written, milliseconds since 1970.
    pub modified_ms: i64,
}

/// A file system, or what plays one in a test.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Length and age of a file; `NotFound` where there is none.
    fn status(&self, path: &Path) -> io::Result<FileStatus>;
    /// Gives a file or directory another name, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and those above it. One that exists is not an error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes creations, renames and removals in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Names the time since the machine was started: what was written in it and not synced is there as long as it goes
    /// on, and may be lost when it is another. `None` where nobody knows.
    fn boot_id(&self) -> Option<String>;
    /// What bounds how many files of this disk are kept open; `None` where open files cost nothing.
    fn open_files(&self) -> Option<&OpenFiles> {
        None
    }
}

/// An open file. All methods take positions, none moves a cursor: a file may be shared between threads.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Length in bytes, with what was preallocated.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Reads until `buffer` is full or the file ends; returns how much was read. `WouldBlock` if that needs the disk and
    /// the thread must not wait for it ([`without_waiting`]).
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all `parts`, one after another, starting at `position`.
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Makes the file `end` bytes long with blocks behind every byte, new ones read as zero. Never makes it shorter.
    fn allocate(&self, end: u64) -> io::Result<()>;
    /// Cuts the file, or extends it sparsely.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;
    /// Makes content and length durable (fdatasync).
    fn sync(&self) -> io::Result<()>;
    /// Sets when the file was last written, milliseconds since 1970.
    fn set_modified(&self, modified_ms: i64) -> io::Result<()>;
    /// The part `range` of the file as memory for appending from `start` on, `range.start <= start`.
    ///
    /// The range must be allocated and `range.start` a multiple of [`PAGE_BYTES`]. Nobody may hold bytes of this
    /// file at or after `start`: they would change under them.
    fn tail(self: Arc<Self>, range: Range<u64>, start: u64) -> io::Result<(Box<dyn TailWriter>, Arc<dyn TailReader>)>;
    /// The parts of `range` outside of which nothing was ever written: there is at most room that was allocated. All of
    /// it where the file system cannot tell.
    fn written_in(&self, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
        Ok(vec![range])
    }
    /// The descriptor, for calls such as sendfile; `None` where there is none.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;
    /// Whether the byte at `position` can be read without waiting; `true` where nothing ever waits.
    fn is_resident(&self, position: u64) -> bool {
        let _ = position;
        true
    }
    /// Asks for `len` bytes to be brought into memory, without waiting for them.
    fn read_ahead(&self, position: u64, len: u64) -> io::Result<()> {
        let _ = (position, len);
        Ok(())
    }
}

/// What [`DiskFile::tail`] must start at a multiple of.
pub const PAGE_BYTES: u64 = 4096;

/// The one who appends to a window of a file. Bytes below [`TailWriter::written`] are never changed again.
pub trait TailWriter: Send + Sync + fmt::Debug {
    /// Where the window ends in the file.
    fn end(&self) -> u64;
    /// Up to where in the file bytes are written.
    fn written(&self) -> u64;
    /// Copies `parts` to the end of what is written, and shows them to the readers in one step. `file` is asked for the
    /// file if it is needed: a map does without. `will_sync` says that little more will come before the file is synced.
    ///
    /// # Errors
    /// The readers see nothing of the parts. They must fit: more bytes than the window has left are a bug.
    fn append(&mut self, parts: &[IoSlice<'_>], will_sync: bool, file: FileSource<'_>) -> io::Result<()>;
    /// Fails if bytes that were appended, or may be read, are not in the file: of a map that the disk let down.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens the file of a window, if it is not open.
pub type FileSource<'a> = &'a dyn Fn() -> io::Result<Arc<dyn DiskFile>>;

/// Reads a window of a file that is being appended to.
pub trait TailReader: Send + Sync + fmt::Debug {
    /// The part of the file that can be read here now.
    fn readable(&self) -> Range<u64>;
    /// The bytes of `range`, which must be readable. Real maps do not copy.
    ///
    /// # Errors
    /// The disk's, also those that [`TailReader::check`] tells of.
    fn read(self: Arc<Self>, range: Range<u64>) -> io::Result<Bytes>;
    /// As [`TailWriter::check`].
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is opened when it is needed and can be let go of at any time: by its owner, or because too many files are
/// open and this one has not been used of late ([`OpenFiles`]).
#[derive(Debug)]
pub(crate) struct FileSlot {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    held: Arc<Held>,
}

impl FileSlot {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self {
            disk,
            path,
            held: Arc::default(),
        }
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, opened with `mode` if it is not open.
    pub(crate) fn open(&self, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = {
            let mut held = self.held.state.lock();
            if let Some(file) = &held.file {
                self.held.note_use();
                return Ok(file.clone());
            }
            if held.is_pinned {
                return Err(io::ErrorKind::NotFound.into());
            }
            if !may_wait() {
                return Err(would_wait());
            }
            let file = self.disk.open(&self.path, mode)?;
            held.file = Some(file.clone());
            file
        };
        if let Some(open_files) = self.disk.open_files() {
            open_files.opened(&self.held);
        }
        Ok(file)
    }

    /// As [`FileSlot::open`] for a file that need not exist.
    pub(crate) fn open_existing(&self) -> io::Result<Option<Arc<dyn DiskFile>>> {
        match self.open(OpenMode::Write) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Length and age of the file, without opening it.
    pub(crate) fn status(&self) -> io::Result<FileStatus> {
        self.disk.status(&self.path)
    }

    /// Drops the descriptor, once those who still use it are done.
    pub(crate) fn close(&self) {
        let mut held = self.held.state.lock();
        if !held.is_pinned {
            held.file = None;
        }
    }

    /// Opens the file, if there is one, and keeps it: what happens to its name does not matter from here on.
    pub(crate) fn pin(&self) -> io::Result<()> {
        let file = self.open_existing()?;
        let mut held = self.held.state.lock();
        (held.file, held.is_pinned) = (file, true);
        Ok(())
    }

    /// Lets the file go for good: whoever comes now finds nothing.
    pub(crate) fn retire(&self) {
        let mut held = self.held.state.lock();
        (held.file, held.is_pinned) = (None, true);
    }
}

/// Reads exactly `len` bytes, or fails with `UnexpectedEof`.
pub(crate) fn read_exact(file: &dyn DiskFile, position: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; len];
    match file.read_at(&mut buffer, position)? {
        read if read == len => Ok(buffer),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads a small file whole; `None` where it does not exist.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = vec![0; usize::try_from(file.len_bytes()?).unwrap_or(usize::MAX)];
    let read = file.read_at(&mut content, 0)?;
    content.truncate(read);
    Ok(Some(content))
}

/// Replaces a small file so that a crash leaves either the old or the new content: temporary file, sync, rename,
/// sync of the directory.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let file = disk.open(&temporary, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_at(&[IoSlice::new(content)], 0)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => disk.sync_dir(dir),
        None => Ok(()),
    }
}

/// Removes a file that may already be gone.
pub(crate) fn remove_if_exists(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
