//! Where commands stand before the task of a shard that is busy, or not loaded yet.

use ottla_protocol::ErrorCode;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// Commands that may wait for a shard; beyond that those who ask wait to ask.
const LENGTH: usize = 1024;
/// Commands that the task takes at once.
const COMMANDS_PER_TURN: usize = 256;
/// How long a request waits for a shard that is being loaded before its client is told to try again.
const LOADING_PATIENCE: Duration = Duration::from_secs(1);

/// Where commands go in.
pub(in crate::runtime) struct Queue<C> {
    commands: mpsc::Sender<Queued<C>>,
    is_loaded: watch::Receiver<bool>,
    patience: Duration,
}

impl<C> Clone for Queue<C> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            is_loaded: self.is_loaded.clone(),
            patience: self.patience,
        }
    }
}

/// Where the task takes them out.
pub(in crate::runtime) struct Turns<C> {
    commands: mpsc::Receiver<Queued<C>>,
    loaded: watch::Sender<bool>,
}

/// A command in the queue.
pub(in crate::runtime) struct Queued<C> {
    command: C,
    /// Whoever asked has been told to try again.
    is_given_up: Arc<AtomicBool>,
}

/// A queue, which takes commands at once.
pub(in crate::runtime) fn queue<C>() -> (Queue<C>, Turns<C>) {
    let (sender, commands) = mpsc::channel(LENGTH);
    let (loaded, is_loaded) = watch::channel(false);
    let queue = Queue {
        commands: sender,
        is_loaded,
        patience: LOADING_PATIENCE,
    };
    (queue, Turns { commands, loaded })
}

impl<C> Queue<C> {
    /// Whether the shard has ended and another one is to be started.
    pub(in crate::runtime) fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Whether the shard answers at once.
    pub(in crate::runtime) fn is_loaded(&self) -> bool {
        *self.is_loaded.borrow() && !self.has_ended()
    }

    /// Puts a command behind those that wait, and waits until the shard is loaded. Commands keep the order in which they
    /// come, those that came before the shard was loaded too.
    ///
    /// # Errors
    /// What the client is told: the shard has ended, or is not loaded yet. The command is not obeyed, unless the shard has
    /// begun to at this moment.
    pub(in crate::runtime) async fn send(&self, command: C) -> Result<(), ErrorCode> {
        let is_given_up = Arc::<AtomicBool>::default();
        let queued = Queued {
            command,
            is_given_up: is_given_up.clone(),
        };
        if *self.is_loaded.borrow() {
            return self.put(queued).await;
        }
        let taken = async {
            self.put(queued).await?;
            self.loaded().await
        };
        let in_time = tokio::time::timeout(self.patience, taken).await;
        let taken = in_time.unwrap_or(Err(ErrorCode::CoordinatorLoadInProgress));
        if taken.is_err() {
            is_given_up.store(true, Ordering::Relaxed);
        }
        taken
    }

    async fn put(&self, queued: Queued<C>) -> Result<(), ErrorCode> {
        let put = self.commands.send(queued).await;
        put.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    async fn loaded(&self) -> Result<(), ErrorCode> {
        let mut is_loaded = self.is_loaded.clone();
        let loaded = is_loaded.wait_for(|is_loaded| *is_loaded).await;
        loaded.map(drop).map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }
}

impl<C> Turns<C> {
    /// The shard is loaded.
    pub(in crate::runtime) fn open(&self) {
        self.loaded.send_replace(true);
    }

    /// Waits for commands and adds them to `batch`. Says no when nobody can bring any more. Nothing is lost when it is
    /// dropped before it has ended.
    pub(in crate::runtime) async fn next(&mut self, batch: &mut Vec<Queued<C>>) -> bool {
        self.commands.recv_many(batch, COMMANDS_PER_TURN).await > 0
    }
}

impl<C> Queued<C> {
    /// The command, if somebody still waits for its answer.
    pub(in crate::runtime) fn wanted(self) -> Option<C> {
        (!self.is_given_up.load(Ordering::Relaxed)).then_some(self.command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::Future, pin::pin, task::Context};

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(future)
    }

    /// Of a client that does not wait for the load.
    fn impatient(queue: Queue<i32>) -> Queue<i32> {
        Queue {
            patience: Duration::ZERO,
            ..queue
        }
    }

    async fn taken(turns: &mut Turns<i32>) -> Vec<i32> {
        let mut batch = Vec::new();
        assert!(turns.next(&mut batch).await);
        batch.into_iter().filter_map(Queued::wanted).collect()
    }

    #[test]
    fn what_came_before_the_shard_was_loaded_stands_before_what_comes_then() {
        block_on(async {
            let (queue, mut turns) = queue();
            let mut early = pin!(queue.send(1));
            let context = &mut Context::from_waker(std::task::Waker::noop());
            assert!(early.as_mut().poll(context).is_pending(), "it is not loaded");
            assert!(!queue.is_loaded());
            turns.open();
            assert!(queue.is_loaded());
            // Whoever came first has not heard of it yet.
            assert_eq!(queue.send(2).await, Ok(()));
            assert_eq!(early.await, Ok(()));
            assert_eq!(taken(&mut turns).await, [1, 2]);
        });
    }

    #[test]
    fn what_a_client_was_told_to_ask_again_is_not_obeyed_later() {
        block_on(async {
            let (queue, mut turns) = queue();
            let impatient = impatient(queue);
            assert_eq!(impatient.send(1).await, Err(ErrorCode::CoordinatorLoadInProgress));
            turns.open();
            assert_eq!(impatient.send(2).await, Ok(()));
            assert_eq!(taken(&mut turns).await, [2]);
        });
    }

    #[test]
    fn who_finds_the_queue_full_of_what_was_given_up_does_not_wait_longer() {
        block_on(async {
            let (queue, mut turns) = queue();
            let impatient = impatient(queue);
            for command in 0..2 * LENGTH as i32 {
                let sent = impatient.send(command).await;
                assert_eq!(sent, Err(ErrorCode::CoordinatorLoadInProgress), "{command}");
            }
            turns.open();
            let mut batch = Vec::new();
            while !turns.commands.is_empty() {
                assert!(turns.next(&mut batch).await);
            }
            assert_eq!(batch.len(), LENGTH);
            assert!(batch.into_iter().all(|queued| queued.wanted().is_none()));
        });
    }

    #[test]
    fn whoever_waits_hears_that_the_shard_has_ended() {
        block_on(async {
            let (queue, turns) = queue();
            let mut early = pin!(queue.send(1));
            let context = &mut Context::from_waker(std::task::Waker::noop());
            assert!(early.as_mut().poll(context).is_pending());
            drop(turns);
            assert_eq!(early.await, Err(ErrorCode::CoordinatorNotAvailable));
            assert!(queue.has_ended() && !queue.is_loaded());
            assert_eq!(queue.send(2).await, Err(ErrorCode::CoordinatorNotAvailable));
        });
    }
}
