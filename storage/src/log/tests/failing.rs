//! A disk that is full, or does not write what it was given.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::disk::{DirEntry, Disk, DiskFile, FileStatus, OpenMode, TailReader, TailWriter};

/// The real disk, which refuses on command.
#[derive(Debug, Default)]
struct Failing {
    disk: RealDisk,
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    is_full: AtomicBool,
    fails_sync: AtomicBool,
}

#[derive(Debug)]
struct FailingFile {
    file: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl Faults {
    fn space(&self) -> io::Result<()> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Disk for Failing {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode == OpenMode::Create && self.disk.status(path).is_err() {
            self.faults.space()?;
        }
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(FailingFile {
            file,
            faults: self.faults.clone(),
        }))
    }
    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        self.disk.status(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
}

impl DiskFile for FailingFile {
    fn len_bytes(&self) -> io::Result<u64> {
        self.file.len_bytes()
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.file.read_at(buffer, position)
    }
    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.faults.space()?;
        self.file.write_at(parts, position)
    }
    fn allocate(&self, end: u64) -> io::Result<()> {
        self.faults.space()?;
        self.file.allocate(end)
    }
    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.file.set_len(len_bytes)
    }
    fn sync(&self) -> io::Result<()> {
        // As a kernel does: the pages are dropped, and the next attempt finds nothing to complain about.
        match self.faults.fails_sync.swap(false, Ordering::Relaxed) {
            true => Err(io::Error::other("injected")),
            false => self.file.sync(),
        }
    }
    fn set_modified(&self, modified_ms: i64) -> io::Result<()> {
        self.file.set_modified(modified_ms)
    }
    fn tail(self: Arc<Self>, range: Range<u64>, start: u64) -> io::Result<(Box<dyn TailWriter>, Arc<dyn TailReader>)> {
        self.file.clone().tail(range, start)
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }
}

fn open_on(faults: &Arc<Faults>, dir: &Path, options: &LogOptions) -> Log {
    let disk = Failing {
        disk: RealDisk::new(),
        faults: faults.clone(),
    };
    Log::open(Arc::new(disk), dir, options).unwrap()
}

#[test]
fn a_full_disk_refuses_appends_until_there_is_room_again() {
    let dir = scratch("full");
    let faults = Arc::new(Faults::default());
    let log = open_on(&faults, dir.path(), &clean());
    append(&log, &batch(1));
    log.release_idle().unwrap();
    for round in 0..3 {
        faults.is_full.store(true, Ordering::Relaxed);
        // What is allocated takes some more batches; then nothing fits, and nothing of what does not fit is seen.
        let refused = (0..1_000).find_map(|_| log.append(client(&batch(20))).err());
        assert!(matches!(refused, Some(AppendError::Io(error)) if error.kind() == io::ErrorKind::StorageFull));
        let end = log.log_end_offset();
        assert_eq!(read_all(&log, 0).len() as i64, (end - 1 - round) / 20 + 1 + round);
        let _ = log.sync();
        assert!(!log.is_offline());
        faults.is_full.store(false, Ordering::Relaxed);
        assert_eq!(append(&log, &batch(1)).base_offset, end);
    }
    log.sync().unwrap();
    let expected = read_all(&log, 0);
    log.close().unwrap();
    assert_eq!(read_all(&open(dir.path(), &clean()), 0), expected);
}

#[test]
fn after_a_failed_sync_the_log_is_offline_for_good() {
    let dir = scratch("sync");
    let faults = Arc::new(Faults::default());
    let log = open_on(&faults, dir.path(), &clean());
    append(&log, &batch(1));
    log.sync().unwrap();
    append(&log, &batch(1));
    faults.fails_sync.store(true, Ordering::Relaxed);
    assert!(matches!(log.sync(), Err(SyncError::SyncFailed(_))));
    assert!(log.is_offline());
    assert!(matches!(log.sync(), Err(SyncError::Offline)), "it is not tried again");
    assert_eq!(log.recovery_point(), 1);
    assert!(matches!(log.append(client(&batch(1))), Err(AppendError::Offline)));
    assert!(matches!(log.close(), Err(SyncError::Offline)));
    assert_eq!(read_all(&log, 0).len(), 2, "reading goes on");
}
