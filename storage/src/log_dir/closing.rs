//! Closing many logs at once: each waits for the disk, which serves several as fast as one.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{LogDirError, TopicPartition};
use crate::log::Log;

/// Closes all of them with so many threads. Returns the first error; the others are closed nonetheless.
pub(super) fn close_all(logs: &[(&TopicPartition, &Log)], threads: usize) -> Result<(), LogDirError> {
    let next = AtomicUsize::new(0);
    let first_error = Mutex::new(None);
    let close_next = || {
        while let Some((partition, log)) = logs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = log.close() {
                let partition = (*partition).clone();
                first_error
                    .lock()
                    .get_or_insert(LogDirError::Close { partition, error });
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(logs.len()) {
            scope.spawn(close_next);
        }
        close_next();
    });
    first_error.into_inner().map_or(Ok(()), Err)
}
