//! A disk in memory that forgets what was not synced, and fails when told to. For tests.
//!
//! - A file is what the process sees, and what is on the disk; in between are dirty pages, and a length.
//!   [`DiskFile::sync`] makes all of a file durable.
//! - Creations, renames and removals are pending until [`Disk::sync_dir`] of their directory.
//! - A killed process loses nothing: another one sees what it saw.
//! - A power loss ([`FaultyDisk::power_loss`]) decides by its seed about every dirty page (old, new, or torn at a sector),
//!   every length and every pending change of a name, each by itself, so in no order.
//! - After [`FaultyDisk::fail_after`] everything fails that would change something, as for a process that is killed.
//!   [`FaultyDisk::fail_next_sync`] fails one sync as a kernel does: the pages count as clean from then on, and are lost.
//!   [`FaultyDisk::fill_up`] refuses room until it is told otherwise.
//! - After [`FaultyDisk::cool_down`] no file is in memory until somebody has waited for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::plain::plain_tail;
use super::{DirEntry, Disk, DiskFile, FileStatus, OpenMode, TailReader, TailWriter, may_wait, would_wait};
use crate::testing::Random;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultyDisk(Arc<Mutex<World>>);

#[derive(Clone, Debug)]
struct World {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending: Vec<Change>,
    dirs: BTreeSet<PathBuf>,
    /// Changes that are allowed yet.
    changes_left: u64,
    fails_next_sync: bool,
    is_full: bool,
    power_losses: u64,
    cold: BTreeSet<usize>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    modified_ms: i64,
}

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
enum Change {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    Remove(PathBuf),
}

impl Default for World {
    fn default() -> Self {
        Self {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            dirs: BTreeSet::new(),
            changes_left: u64::MAX,
            fails_next_sync: false,
            is_full: false,
            power_losses: 0,
            cold: BTreeSet::new(),
        }
    }
}

impl Change {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Rename(_, path, _) | Self::Remove(path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, inode) => drop(names.insert(path.clone(), *inode)),
            Self::Rename(from, to, inode) => {
                // What had the name meanwhile is not what was renamed.
                if names.get(from) == Some(inode) {
                    names.remove(from);
                }
                names.insert(to.clone(), *inode);
            }
            Self::Remove(path) => drop(names.remove(path)),
        }
    }
}

impl Inode {
    fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[position..end].copy_from_slice(bytes);
        self.dirty.extend(position / PAGE_BYTES..end.div_ceil(PAGE_BYTES));
    }

    fn set_len(&mut self, len: usize) {
        let before = self.content.len();
        self.content.resize(len, 0);
        // What is cut off and extended again reads as zeros.
        self.dirty
            .extend(len.min(before) / PAGE_BYTES..len.div_ceil(PAGE_BYTES));
    }

    /// What is left of the file after a power loss.
    fn lose_power(&mut self, random: &mut Random) {
        let len = match random.below(2) {
            0 => self.durable.len(),
            _ => self.content.len(),
        };
        let mut left = self.durable.clone();
        left.resize(len, 0);
        for page in std::mem::take(&mut self.dirty) {
            let is_torn = random.below(3) == 0;
            let is_new = random.below(2) == 0;
            let start = page * PAGE_BYTES;
            for sector in (start..start + PAGE_BYTES).step_by(SECTOR_BYTES) {
                let takes = if is_torn { random.below(2) == 0 } else { is_new };
                let end = (sector + SECTOR_BYTES).min(len).min(self.content.len());
                if takes && sector < end {
                    left[sector..end].copy_from_slice(&self.content[sector..end]);
                }
            }
        }
        (self.content, self.durable) = (left.clone(), left);
    }
}

impl World {
    fn change(&mut self) -> io::Result<()> {
        if self.changes_left == 0 {
            return Err(io::Error::other("killed"));
        }
        self.changes_left -= 1;
        Ok(())
    }

    fn take_room(&self) -> io::Result<()> {
        match self.is_full {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn record(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    fn inode_of(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FaultyDisk {
    /// Another disk with the same content, in every respect.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// Lets so many changes happen yet.
    pub(crate) fn fail_after(&self, changes: u64) {
        self.0.lock().changes_left = changes;
    }

    /// Fails the next sync of a file, whose pages are lost.
    pub(crate) fn fail_next_sync(&self) {
        self.0.lock().fails_next_sync = true;
    }

    /// Whether there is no room for more bytes.
    pub(crate) fn fill_up(&self, is_full: bool) {
        self.0.lock().is_full = is_full;
    }

    /// Everything works again.
    pub(crate) fn heal(&self) {
        let mut world = self.0.lock();
        (world.changes_left, world.fails_next_sync, world.is_full) = (u64::MAX, false, false);
    }

    /// Takes all files out of memory.
    pub(crate) fn cool_down(&self) {
        let mut world = self.0.lock();
        world.cold = (0..world.inodes.len()).collect();
    }

    /// What a power loss leaves. Files that are open must not be used any more.
    pub(crate) fn power_loss(&self, random: &mut Random) {
        let mut world = self.0.lock();
        let world = &mut *world;
        let mut names = std::mem::take(&mut world.durable_names);
        for change in world.pending.drain(..) {
            if random.below(2) == 0 {
                change.apply(&mut names);
            }
        }
        world.inodes.iter_mut().for_each(|inode| inode.lose_power(random));
        world.names = names.clone();
        world.durable_names = names;
        world.changes_left = u64::MAX;
        world.power_losses += 1;
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.0.lock();
        let inode = match world.inode_of(path) {
            Ok(inode) => inode,
            Err(_) if mode == OpenMode::Create => {
                world.change()?;
                world.take_room()?;
                world.inodes.push(Inode::default());
                let inode = world.inodes.len() - 1;
                world.record(Change::Create(path.into(), inode));
                inode
            }
            Err(error) => return Err(error),
        };
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn status(&self, path: &Path) -> io::Result<FileStatus> {
        let world = self.0.lock();
        if world.dirs.contains(path) {
            return Ok(FileStatus {
                len_bytes: 0,
                modified_ms: 0,
            });
        }
        let inode = &world.inodes[world.inode_of(path)?];
        Ok(FileStatus {
            len_bytes: inode.content.len() as u64,
            modified_ms: inode.modified_ms,
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        let inode = world.inode_of(from)?;
        world.change()?;
        world.record(Change::Rename(from.into(), to.into(), inode));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.inode_of(path)?;
        world.change()?;
        world.record(Change::Remove(path.into()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.lock().dirs.insert(path.into());
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        let world = &mut *world;
        world.names.retain(|name, _| !name.starts_with(path));
        world.durable_names.retain(|name, _| !name.starts_with(path));
        world.dirs.retain(|dir| !dir.starts_with(path));
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let world = self.0.lock();
        let name = |entry: &Path| entry.file_name().map(|name| name.to_string_lossy().into_owned());
        let within = |entry: &&PathBuf| entry.parent() == Some(path);
        let files = world.names.keys().filter(within).filter_map(|file| name(file));
        let dirs = world.dirs.iter().filter(within).filter_map(|dir| name(dir));
        let mut entries: Vec<DirEntry> = files
            .map(|name| DirEntry { name, is_dir: false })
            .chain(dirs.map(|name| DirEntry { name, is_dir: true }))
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.change()?;
        let world = &mut *world;
        let (durable, pending) = std::mem::take(&mut world.pending)
            .into_iter()
            .partition(|change: &Change| change.dir() == Some(path));
        world.pending = pending;
        let durable: Vec<Change> = durable;
        durable.iter().for_each(|change| change.apply(&mut world.durable_names));
        Ok(())
    }

    fn boot_id(&self) -> Option<String> {
        Some(self.0.lock().power_losses.to_string())
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

impl DiskFile for FaultyFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.inode].content.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut world = self.disk.0.lock();
        if world.cold.contains(&self.inode) {
            if !may_wait() {
                return Err(would_wait());
            }
            world.cold.remove(&self.inode);
        }
        let content = &world.inodes[self.inode].content;
        let start = (position as usize).min(content.len());
        let len = buffer.len().min(content.len() - start);
        buffer[..len].copy_from_slice(&content[start..start + len]);
        Ok(len)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        world.change()?;
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        if position as usize + bytes.len() > world.inodes[self.inode].content.len() {
            world.take_room()?;
        }
        world.inodes[self.inode].write(&bytes, position as usize);
        Ok(())
    }

    fn allocate(&self, end: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        if end as usize <= world.inodes[self.inode].content.len() {
            return Ok(());
        }
        world.change()?;
        world.take_room()?;
        world.inodes[self.inode].set_len(end as usize);
        Ok(())
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        world.change()?;
        world.inodes[self.inode].set_len(len_bytes as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        world.change()?;
        let fails = std::mem::take(&mut world.fails_next_sync);
        let inode = &mut world.inodes[self.inode];
        inode.dirty.clear();
        if fails {
            return Err(io::Error::other("injected: the pages are lost"));
        }
        inode.durable = inode.content.clone();
        Ok(())
    }

    fn set_modified(&self, modified_ms: i64) -> io::Result<()> {
        self.disk.0.lock().inodes[self.inode].modified_ms = modified_ms;
        Ok(())
    }

    fn tail(self: Arc<Self>, range: Range<u64>, start: u64) -> io::Result<(Box<dyn TailWriter>, Arc<dyn TailReader>)> {
        Ok(plain_tail(self, range, start))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
