//! One task for each partition of `__transaction_state`: the only writer of its transactions.
//!
//! It works as the shards of groups do (`coordinator_shard.rs`, and `journal.rs` for both): commands that wait are decided on
//! `ottla_coordinator::Transactions`, applied, appended as one batch, and answered when the high watermark has passed
//! it. No answer here waits for anything else. Besides, it has the markers written of transactions whose outcome is
//! committed: each ending is a task of its own, which ends before another shard of the partition begins, so that no
//! marker is late.
//!
//! Whatever goes wrong ends the shard: everybody who waits is told to ask again, and the next request starts a new
//! shard, which loads what is in the log.

use super::journal::{
    Journal, log,
    queue::{Queue, Queued, Turns, queue},
};
use crate::{
    broker::Broker,
    partitions::Partition,
    stop::Stop,
    transactions::{Ended, end},
};
use ottla_coordinator::{CoordinatorRecord, Decision, Ending, Now, Transactions, TransactionsConfig};
use ottla_protocol::{ErrorCode, Str, ids::ProducerId};
use ottla_replication::image::feature;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::{JoinHandle, JoinSet},
};

/// Lets an answer go.
type Release = Box<dyn FnOnce() + Send>;
/// Decides a request; returns what to write, and its answer.
type Command = Box<dyn FnOnce(&mut Transactions, Now) -> (Vec<CoordinatorRecord>, Release) + Send>;

/// What a new shard needs.
pub(crate) struct Setting {
    pub(crate) partition: Arc<Partition>,
    pub(crate) config: TransactionsConfig,
    pub(crate) stop: Arc<Stop>,
    /// Bounds how many shards load at the same time.
    pub(crate) loading: Arc<Semaphore>,
    pub(crate) broker: Weak<Broker>,
}

/// Where requests to a shard go in.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    queue: Queue<Command>,
    ends: Arc<Ends>,
}

/// Who waits until a transaction that is being ended is complete, by transactional id. An entry goes when that one is, or
/// nobody waits for it any more.
#[derive(Default)]
struct Ends(Mutex<HashMap<Str, Arc<Notify>>>);

impl Ends {
    fn of(&self, id: &Str) -> Arc<Notify> {
        self.0.lock().entry(id.clone()).or_default().clone()
    }

    /// Whoever has `waited` does not any more.
    fn leave(&self, id: &Str, waited: Arc<Notify>) {
        let mut waiting = self.0.lock();
        drop(waited);
        if waiting.get(id).is_some_and(|left| Arc::strong_count(left) == 1) {
            waiting.remove(id);
        }
    }

    fn complete(&self, id: &Str) {
        if let Some(waiting) = self.0.lock().remove(id) {
            waiting.notify_waiters();
        }
    }
}

/// Starts a shard. It takes commands at once and answers them when it has loaded.
pub(crate) fn start(setting: Setting) -> (ShardHandle, JoinHandle<()>) {
    let (queue, turns) = queue();
    let ends = Arc::<Ends>::default();
    let handle = ShardHandle {
        queue,
        ends: ends.clone(),
    };
    (handle, tokio::spawn(run(setting, turns, ends)))
}

impl ShardHandle {
    /// Whether the shard has ended and another one is to be started.
    pub(crate) fn has_ended(&self) -> bool {
        self.queue.has_ended()
    }

    /// Whether it answers at once.
    pub(crate) fn is_loaded(&self) -> bool {
        self.queue.is_loaded()
    }

    /// Has the shard decide, and waits until what it decided is committed.
    ///
    /// # Errors
    /// What the client is told: the coordinator is loading, or is none any more.
    pub(crate) async fn decide<R: Send + 'static>(
        &self,
        decide: impl FnOnce(&mut Transactions, Now) -> Decision<R> + Send + 'static,
    ) -> Result<R, ErrorCode> {
        let (answer, answered) = oneshot::channel();
        let command: Command = Box::new(move |transactions, now| {
            let decision = decide(transactions, now);
            let release: Release = Box::new(move || {
                // Who asked may have gone.
                let _ = answer.send(decision.reply);
            });
            (decision.records, release)
        });
        self.queue.send(command).await?;
        answered.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    /// As [`ShardHandle::decide`], once more when the transaction that the id has in hand is complete, if `is_early` says
    /// so of the answer; not later than after `patience`.
    ///
    /// # Errors
    /// As [`ShardHandle::decide`].
    pub(crate) async fn decide_after_end<R: Send + 'static>(
        &self,
        id: &Str,
        patience: Duration,
        decide: impl Fn(&mut Transactions, Now) -> Decision<R> + Clone + Send + 'static,
        is_early: impl Fn(&R) -> bool,
    ) -> Result<R, ErrorCode> {
        let answer = self.decide(decide.clone()).await?;
        if !is_early(&answer) {
            return Ok(answer);
        }
        let ends = self.ends.of(id);
        let answer = self.decide_when(&ends, patience, decide, is_early).await;
        self.ends.leave(id, ends);
        answer
    }

    async fn decide_when<R: Send + 'static>(
        &self,
        ends: &Notify,
        patience: Duration,
        decide: impl Fn(&mut Transactions, Now) -> Decision<R> + Clone + Send + 'static,
        is_early: impl Fn(&R) -> bool,
    ) -> Result<R, ErrorCode> {
        let mut ended = std::pin::pin!(ends.notified());
        ended.as_mut().enable();
        // It may have ended before anybody waited.
        let answer = self.decide(decide.clone()).await?;
        if !is_early(&answer) {
            return Ok(answer);
        }
        // Whoever waited long enough is told what is.
        let _ = tokio::time::timeout(patience, ended).await;
        self.decide(decide).await
    }
}

async fn run(setting: Setting, mut turns: Turns<Command>, ends: Arc<Ends>) {
    let Setting {
        partition,
        config,
        stop,
        loading,
        broker,
    } = setting;
    let replay = move |partition: &Partition| log::replay_transactions(partition, config);
    let Some((transactions, journal)) = Journal::replay(partition, &loading, replay).await else {
        return;
    };
    let mut shard = Shard {
        journal,
        transactions,
        broker,
        ends,
        jobs: JoinSet::new(),
    };
    let now = shard.journal.now();
    shard.transactions.on_loaded(now);
    if shard.finish().is_ok() {
        turns.open();
        shard.serve(&mut turns, &stop).await;
    }
    // Whoever waits hears of it when its answer is dropped. The next shard begins when the queue is closed: no marker of
    // this one may be under way then.
    shard.journal.close();
    shard.jobs.shutdown().await;
}

/// What waits until the log is committed.
enum Held {
    Answer(Release),
    Ending(Ending),
}

/// What a task of the shard has done.
enum Done {
    Ended(Ended),
    ProducerId(Option<ProducerId>),
}

struct Shard {
    journal: Journal<Held>,
    transactions: Transactions,
    broker: Weak<Broker>,
    ends: Arc<Ends>,
    /// One for each transaction that is being ended, and one at most that gets a producer id.
    jobs: JoinSet<Done>,
}

impl Shard {
    /// When the transactions want to be looked at next.
    fn deadline(&self) -> Instant {
        self.journal.moment(self.transactions.next_deadline_ms())
    }

    /// Serves until it cannot any more.
    async fn serve(&mut self, turns: &mut Turns<Command>, stop: &Stop) {
        let mut batch = Vec::new();
        let interest = self.journal.interest.clone();
        loop {
            let deadline = self.deadline();
            let mut done = None;
            tokio::select! {
                is_open = turns.next(&mut batch) => {
                    if !is_open {
                        return;
                    }
                }
                Some(joined) = self.jobs.join_next(), if !self.jobs.is_empty() => {
                    // A panic has been reported by its own hook; what it was to end is ended after the next load.
                    let Ok(joined) = joined else { return };
                    done = Some(joined);
                }
                () = tokio::time::sleep_until(deadline.into()) => {}
                () = interest.news() => {}
                () = stop.requested() => return,
            }
            if self.journal.check().is_err() || self.work(batch.drain(..).filter_map(Queued::wanted), done).is_err() {
                return;
            }
        }
    }

    /// # Errors
    /// The shard must end.
    fn work(&mut self, commands: impl Iterator<Item = Command>, done: Option<Done>) -> Result<(), ErrorCode> {
        let broker = self.broker.upgrade().ok_or(ErrorCode::NotCoordinator)?;
        let version = broker.image.load().features().level(feature::TRANSACTION_VERSION);
        self.transactions.see_version(i8::try_from(version).unwrap_or(i8::MAX));
        let now = self.journal.now();
        match done {
            Some(Done::Ended(Ended::Written(ending))) => {
                let decision = self.transactions.handle_markers_written(&ending, now);
                self.take(decision.records);
                self.ends.complete(&ending.transactional_id);
            }
            Some(Done::Ended(Ended::Fenced | Ended::Stopped)) => return Err(ErrorCode::NotCoordinator),
            Some(Done::ProducerId(Some(id))) => self.transactions.bring_producer_id(id, now),
            // It is wished for again when the transactions are next looked at.
            Some(Done::ProducerId(None)) | None => {}
        }
        if self.transactions.next_deadline_ms() <= now.monotonic_ms {
            let decision = self.transactions.tick(now);
            self.take(decision.records);
        }
        for command in commands {
            let (records, release) = command(&mut self.transactions, now);
            self.take(records);
            self.journal.hold(Held::Answer(release));
            if self.journal.is_full() {
                self.finish()?;
            }
        }
        if self.transactions.take_wish_for_producer_id() {
            self.jobs
                .spawn(async move { Done::ProducerId(broker.producer_ids.next(&broker).await.ok()) });
        }
        self.finish()
    }

    /// Makes a decision true here. It is told to nobody before it is in the log.
    fn take(&mut self, records: Vec<CoordinatorRecord>) {
        for record in records {
            if let Err(error) = self.transactions.apply(&record) {
                self.journal.not_readable(&error);
            }
            self.journal.push(record);
        }
    }

    /// Appends what was decided; answers and markers wait until it is committed.
    ///
    /// # Errors
    /// As [`Journal::write`].
    fn finish(&mut self) -> Result<(), ErrorCode> {
        for ending in self.transactions.take_endings() {
            self.journal.hold(Held::Ending(ending));
        }
        self.journal.write()?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        while let Some(held) = self.journal.committed() {
            match held {
                Held::Answer(release) => release(),
                Held::Ending(ending) => {
                    let ended = end(self.broker.clone(), ending, self.journal.leader.1);
                    self.jobs.spawn(async move { Done::Ended(ended.await) });
                }
            }
        }
    }
}
