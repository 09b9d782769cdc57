//! What a read found, on its way to the reader: bytes, or a part of a segment's file.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{DiskFile, read_exact};

/// Between two looks whether a file is in memory. The kernel reads at least so much at once.
const PROBE_STEP_BYTES: u64 = 128 * 1024;

/// Between two looks at what the kernel was asked to read: it does so in pieces, which may come in any order.
const WAIT_STEP_BYTES: u64 = 32 * 1024;

/// Shows that bytes of a segment's file are on their way: who cuts it has to leave them alone.
#[derive(Clone, Debug)]
pub(crate) struct Lease(#[expect(dead_code, reason = "it is counted, not looked at")] Arc<()>);

/// Counts the leases of one segment.
#[derive(Debug, Default)]
pub(crate) struct Leases(Arc<()>);

impl Leases {
    pub(crate) fn take(&self) -> Lease {
        Lease(self.0.clone())
    }

    pub(crate) fn are_out(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// Where the bytes of a read are.
#[derive(Clone, Debug)]
pub enum Records {
    /// In memory: for the end of the log a view of the map, without a copy.
    Memory(Bytes),
    /// Still in a file, to be sent from there.
    File(FileRegion),
}

impl Records {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(region) => region.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, read from the file if they are still there.
    ///
    /// # Errors
    /// The disk's.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes),
            Self::File(region) => region.read(),
        }
    }
}

/// A part of a file that does not change as long as this lives, whatever becomes of the segment: it may be deleted,
/// compacted away, or cut. Has a descriptor and at least one byte.
#[derive(Clone, Debug)]
pub struct FileRegion {
    file: Arc<dyn DiskFile>,
    position: u64,
    len: usize,
    lease: Lease,
}

impl FileRegion {
    pub(super) fn new(file: Arc<dyn DiskFile>, position: u64, len: usize, lease: Lease) -> Self {
        Self {
            file,
            position,
            len,
            lease,
        }
    }

    /// Where the part starts in the file.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all of it has been taken by [`FileRegion::advance`].
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The file, for sendfile.
    ///
    /// # Errors
    /// Never for a region that came from a log: what has no descriptor is read into memory.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        self.file.descriptor().ok_or(io::ErrorKind::Unsupported.into())
    }

    /// Leaves `len` bytes at the front out.
    ///
    /// # Panics
    /// There are fewer.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.len, "{len} of {} bytes", self.len);
        self.position += len as u64;
        self.len -= len;
    }

    /// How many of the first `len` bytes are in memory, as far as looking at some of them tells: they can be sent
    /// without waiting for the disk.
    pub fn resident_len(&self, len: usize) -> usize {
        let end = self.position + len.min(self.len) as u64;
        let mut at = self.position;
        while at < end {
            if !self.file.is_resident(at) {
                return (at - self.position) as usize;
            }
            at += PROBE_STEP_BYTES - at % PROBE_STEP_BYTES;
        }
        match end > self.position && !self.file.is_resident(end - 1) {
            true => ((end - 1) / PROBE_STEP_BYTES * PROBE_STEP_BYTES).saturating_sub(self.position) as usize,
            false => (end - self.position) as usize,
        }
    }

    /// Has the first `len` bytes brought into memory, and waits until they are there.
    ///
    /// # Errors
    /// The disk's; the file may have been cut from outside.
    pub fn bring_in(&self, len: usize) -> io::Result<()> {
        let end = self.position + len.min(self.len) as u64;
        self.file.read_ahead(self.position, end - self.position)?;
        let mut at = self.position;
        while at < end {
            read_exact(&*self.file, at, 1)?;
            at += WAIT_STEP_BYTES - at % WAIT_STEP_BYTES;
        }
        read_exact(&*self.file, end.saturating_sub(1), 1).map(drop)
    }

    /// The bytes themselves.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self) -> io::Result<Bytes> {
        let _lease = &self.lease;
        Ok(read_exact(&*self.file, self.position, self.len)?.into())
    }
}
