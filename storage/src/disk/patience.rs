//! Who must not wait for the disk says so here.
//!
//! A thread that serves many connections looks first at what is in memory. Whatever would have to wait for the disk then
//! fails with [`io::ErrorKind::WouldBlock`], and is done again by a thread that may wait. The mark is the thread's, as
//! what has to heed it lies below everything that reads: indexes, scans, and the opening of files.

use std::cell::Cell;
use std::io;

thread_local! {
    static MAY_WAIT: Cell<bool> = const { Cell::new(true) };
}

/// Runs `work`, in which reads and look-ups that would wait for the disk fail with [`io::ErrorKind::WouldBlock`].
///
/// Only for what reads: a change that is given up half way is not taken back.
pub fn without_waiting<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            MAY_WAIT.set(self.0);
        }
    }
    let _restore = Restore(MAY_WAIT.replace(false));
    work()
}

/// Whether this thread may wait for the disk now.
pub(crate) fn may_wait() -> bool {
    MAY_WAIT.get()
}

/// The error of what this thread must not do now.
pub(crate) fn would_wait() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
