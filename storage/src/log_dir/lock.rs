//! `.lock`: one process at a time uses a log directory.
//!
//! Two locks are taken on the file: `flock`, which also keeps out a second user in this process, and the record lock
//! that Kafka takes, which also tells who holds it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock, flock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

const FILE: &str = ".lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct DirLock(File);

/// Why the lock was not taken.
#[derive(Debug)]
pub(crate) enum LockError {
    Held { pid: Option<i32> },
    Io(io::Error),
}

impl DirLock {
    /// Takes the lock, or says at once who has it.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(dir.join(FILE));
        let file = file.map_err(LockError::Io)?;
        let taken = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .and_then(|()| fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive));
        match taken {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK | Errno::ACCESS) => Err(LockError::Held { pid: holder(&file) }),
            Err(error) => Err(LockError::Io(error.into())),
        }
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started has a copy of the descriptor until it runs its
        // program. What cannot be given back now goes with the process.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// The process that has the record lock, if it is another one.
fn holder(file: &File) -> Option<i32> {
    let mine = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let theirs = fcntl_getlk(file, &mine).ok()??;
    Some(theirs.pid?.as_raw_nonzero().get())
}
