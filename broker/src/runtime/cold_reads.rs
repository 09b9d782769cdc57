//! Reads that wait for the disk, on threads that may.
//!
//! A network thread serves what is in memory. What is not, it hands in here, and goes on with other connections until it
//! has been brought into memory. Only so many reads are under way at once; the others wait their turn, none is dropped
//! as long as somebody wants it.

use std::sync::Arc;
use tokio::{sync::Semaphore, task::JoinHandle};

/// Reads under way at once. A disk is busy with fewer; more would only cost threads.
const READS_MAX: usize = 16;

/// The reads under way.
#[derive(Debug)]
pub(crate) struct ColdReads {
    turns: Arc<Semaphore>,
}

/// A read that waits for its turn is given up with the one who wants it.
struct Wanted<T>(JoinHandle<T>);

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ColdReads {
    pub(crate) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(READS_MAX)),
        }
    }

    /// Runs `read` in its turn. `None` only if it panicked, or the process ends.
    pub(crate) async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turns = self.turns.clone();
        // A task of its own: an answer that is not the next one of its connection is not polled, and must not hold a
        // turn that it has been given meanwhile.
        let mut wanted = Wanted(tokio::spawn(async move {
            let turn = turns.acquire_owned().await.ok()?;
            // The turn ends with the read, even if nobody waits for it any more.
            let read = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                read()
            });
            read.await.ok()
        }));
        (&mut wanted.0).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::Pin,
        sync::mpsc,
        task::{Context, Waker},
    };

    #[test]
    fn who_waits_for_a_turn_and_is_not_looked_at_holds_nobody_up() {
        let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
        let reads = ColdReads::new();
        let (go, wait) = mpsc::channel::<()>();
        let wait = Arc::new(parking_lot::Mutex::new(wait));
        let _entered = runtime.enter();
        let mut begun: Vec<Pin<Box<dyn Future<Output = Option<()>>>>> = Vec::new();
        for number in 0..4 * READS_MAX {
            let wait = wait.clone();
            begun.push(Box::pin(reads.run(move || {
                if number < READS_MAX {
                    // Ends when the sender is gone.
                    let _ = wait.lock().recv();
                }
            })));
        }
        for read in &mut begun {
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        drop(go);
        assert_eq!(runtime.block_on(reads.run(|| 7)), Some(7));
    }
}
