//! One task for each partition of `__consumer_offsets`: the only writer of its groups.
//!
//! It takes the commands that wait, lets `ottla_coordinator::Groups` decide each, applies what was decided, appends all
//! of it as one batch, and lets the answers go when the high watermark has passed it. An answer that came without
//! records waits for the records before it all the same. It loads the groups by replaying the log.
//!
//! Whatever goes wrong ends the shard: everybody who waits is told to ask again, and the next request starts a new
//! shard, which loads what is in the log. So there is no state that the log does not bear out.

pub(super) mod log;
mod transactions;

pub(crate) use transactions::Producer;

use crate::{
    clock::now_ms,
    coordinators::ImageView,
    partitions::Partition,
    stop::Stop,
    waiting::{Interest, RegistrationId},
};
use ottla_coordinator::{Actions, CoordinatorRecord, Groups, GroupsConfig, Now, Reply, Ticket};
use ottla_protocol::{
    ErrorCode, Str,
    ids::{LeaderEpoch, NodeId, Offset, Uuid},
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Commands that may wait for a shard; beyond that those who ask wait to ask.
const QUEUE: usize = 1024;
/// Commands decided before their records are written.
const COMMANDS_PER_WRITE: usize = 256;
/// Bytes of records after which no further command is decided before they are written.
const BYTES_PER_WRITE: usize = 512 << 10;
/// How long a request waits for a shard that is being loaded before its client is told to try again.
const LOADING_PATIENCE: Duration = Duration::from_secs(1);

/// Decides a request on the groups as they are.
type Decide = Box<dyn FnOnce(&mut Groups, Ticket, Now) -> Actions + Send>;
/// Looks at the groups and keeps what it saw until it may be told.
type Look = Box<dyn FnOnce(&Groups) -> Release + Send>;
type Answer = oneshot::Sender<Result<Reply, ErrorCode>>;

/// What is told to whom when all that it rests on is committed.
enum Release {
    Reply(Answer, Reply),
    Other(Box<dyn FnOnce() + Send>),
}

impl Release {
    fn go(self) {
        match self {
            Self::Reply(answer, reply) => {
                // Who asked may have gone.
                let _ = answer.send(Ok(reply));
            }
            Self::Other(release) => release(),
        }
    }
}

enum Command {
    Decide(Decide, Answer),
    Look(Look),
    Commit(transactions::Commit),
    End(transactions::End),
}

/// Topics that are gone and whose offsets the shard has not forgotten yet.
#[derive(Default)]
struct Gone {
    topics: Mutex<Vec<(Str, Uuid)>>,
    news: Notify,
}

/// What a new shard needs.
pub(crate) struct Setting {
    pub(crate) partition: Arc<Partition>,
    pub(crate) config: GroupsConfig,
    pub(crate) stop: Arc<Stop>,
    /// Bounds how many shards load at the same time.
    pub(crate) loading: Arc<Semaphore>,
    /// What the groups see of the cluster.
    pub(crate) view: watch::Receiver<Arc<ImageView>>,
}

/// Where requests to a shard go in.
#[derive(Clone)]
pub(crate) struct ShardHandle {
    commands: mpsc::Sender<Command>,
    is_loaded: watch::Receiver<bool>,
    gone: Arc<Gone>,
}

/// Starts a shard. It takes commands at once and answers them when it has loaded.
pub(crate) fn start(setting: Setting) -> (ShardHandle, JoinHandle<()>) {
    let (sender, commands) = mpsc::channel(QUEUE);
    let (loaded, is_loaded) = watch::channel(false);
    let gone = Arc::new(Gone::default());
    let handle = ShardHandle {
        commands: sender,
        is_loaded,
        gone: gone.clone(),
    };
    (handle, tokio::spawn(run(setting, commands, loaded, gone)))
}

impl ShardHandle {
    /// Whether the shard has ended and another one is to be started.
    pub(crate) fn has_ended(&self) -> bool {
        self.commands.is_closed()
    }

    /// Has the shard decide, and waits until what it decided is committed, or for the answer that comes later.
    ///
    /// # Errors
    /// What the client is told: the coordinator is loading, or is none any more.
    pub(crate) async fn decide(
        &self,
        decide: impl FnOnce(&mut Groups, Ticket, Now) -> Actions + Send + 'static,
    ) -> Result<Reply, ErrorCode> {
        self.loaded().await?;
        let (answer, answered) = oneshot::channel();
        self.send(Command::Decide(Box::new(decide), answer)).await?;
        answered.await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }

    /// Looks at the groups, once all that was decided before is committed.
    ///
    /// # Errors
    /// As [`ShardHandle::decide`].
    pub(crate) async fn look<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Groups) -> R + Send + 'static,
    ) -> Result<R, ErrorCode> {
        self.loaded().await?;
        let (answer, answered) = oneshot::channel();
        let look: Look = Box::new(move |groups| {
            let seen = look(groups);
            Release::Other(Box::new(move || {
                // Who asked may have gone.
                let _ = answer.send(seen);
            }))
        });
        self.send(Command::Look(look)).await?;
        answered.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    /// Whether it answers at once.
    pub(crate) fn is_loaded(&self) -> bool {
        *self.is_loaded.borrow() && !self.has_ended()
    }

    async fn send(&self, command: Command) -> Result<(), ErrorCode> {
        let sent = self.commands.send(command).await;
        sent.map_err(|_| ErrorCode::CoordinatorNotAvailable)
    }

    async fn loaded(&self) -> Result<(), ErrorCode> {
        until_loaded(&self.is_loaded).await
    }

    /// Topics are gone: their offsets go too, a little later.
    pub(crate) fn forget_topics(&self, topics: &[(Str, Uuid)]) {
        self.gone.topics.lock().extend_from_slice(topics);
        self.gone.news.notify_one();
    }
}

/// Waits for a shard that is being loaded.
///
/// # Errors
/// It is not loaded yet, or has ended.
pub(super) async fn until_loaded(is_loaded: &watch::Receiver<bool>) -> Result<(), ErrorCode> {
    let mut is_loaded = is_loaded.clone();
    if *is_loaded.borrow_and_update() {
        return Ok(());
    }
    let loaded = is_loaded.wait_for(|is_loaded| *is_loaded);
    match tokio::time::timeout(LOADING_PATIENCE, loaded).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => Err(ErrorCode::CoordinatorNotAvailable),
        Err(_) => Err(ErrorCode::CoordinatorLoadInProgress),
    }
}

async fn run(setting: Setting, commands: mpsc::Receiver<Command>, loaded: watch::Sender<bool>, gone: Arc<Gone>) {
    let Setting {
        partition,
        config,
        stop,
        loading,
        view,
    } = setting;
    let leader = partition.leader();
    let permit = loading.acquire().await;
    let from_log = partition.clone();
    let replayed = tokio::task::spawn_blocking(move || log::replay(&from_log, config)).await;
    drop(permit);
    let (groups, end_offset) = match replayed {
        Ok(Ok(replayed)) => replayed,
        Ok(Err(error)) => {
            partition.storage_fault(&error);
            return;
        }
        // A panic has been reported by its own hook.
        Err(_) => return,
    };
    let interest = Arc::<Interest>::default();
    let mut shard = Shard {
        registration: partition.interested.register(&interest, 0),
        partition,
        leader,
        groups,
        view,
        waiting: HashMap::new(),
        held: VecDeque::new(),
        end_offset,
        tickets: 0,
        started: Instant::now(),
    };
    shard.view.mark_changed();
    shard.look_around();
    let actions = shard.groups.on_loaded(shard.now());
    let mut write = Write::default();
    shard.take(actions, None, &mut write);
    let ended = match shard.finish(write) {
        Ok(()) => {
            loaded.send_replace(true);
            shard.serve(commands, &interest, &gone, &stop).await
        }
        Err(error) => error,
    };
    shard.end(ended);
}

/// What one or more decisions lead to.
#[derive(Default)]
struct Write {
    records: Vec<CoordinatorRecord>,
    bytes: usize,
    releases: Vec<Release>,
}

struct Shard {
    partition: Arc<Partition>,
    /// Who led, in which epoch, when the groups were loaded: they are this leader's alone.
    leader: (NodeId, LeaderEpoch),
    registration: RegistrationId,
    groups: Groups,
    view: watch::Receiver<Arc<ImageView>>,
    /// Requests that have no answer yet.
    waiting: HashMap<Ticket, Answer>,
    /// Answers, each with the offset that the high watermark must have reached.
    held: VecDeque<(Offset, Release)>,
    /// The offset after the last record written.
    end_offset: Offset,
    tickets: u64,
    started: Instant,
}

impl Shard {
    fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_millis();
        Now {
            monotonic_ms: i64::try_from(elapsed).unwrap_or(i64::MAX),
            wall_ms: now_ms(),
        }
    }

    /// Shows the groups the cluster as it is now.
    fn look_around(&mut self) {
        if self.view.has_changed().unwrap_or(false) {
            let view = self.view.borrow_and_update().clone();
            self.groups.see(view);
        }
    }

    /// When the groups want to be looked at next.
    fn deadline(&self) -> Option<Instant> {
        let after_ms = self.groups.next_deadline_ms()?;
        Some(self.started + Duration::from_millis(u64::try_from(after_ms).unwrap_or(0)))
    }

    /// Serves until it cannot any more; returns what those who wait are told.
    async fn serve(
        &mut self,
        mut commands: mpsc::Receiver<Command>,
        interest: &Interest,
        gone: &Gone,
        stop: &Stop,
    ) -> ErrorCode {
        let mut batch = Vec::new();
        loop {
            let deadline = self.deadline();
            tokio::select! {
                count = commands.recv_many(&mut batch, COMMANDS_PER_WRITE) => {
                    if count == 0 {
                        return ErrorCode::NotCoordinator;
                    }
                }
                () = sleep_until(deadline) => {}
                () = interest.news() => {}
                () = gone.news.notified() => {}
                () = stop.requested() => return ErrorCode::NotCoordinator,
            }
            if self.partition.is_gone() || self.partition.leader() != self.leader {
                return ErrorCode::NotCoordinator;
            }
            if self.partition.log().is_offline() {
                // What was written may never be committed.
                return ErrorCode::CoordinatorNotAvailable;
            }
            let topics = std::mem::take(&mut *gone.topics.lock());
            if let Err(error) = self.work(batch.drain(..), &topics) {
                return error;
            }
        }
    }

    fn work(&mut self, commands: impl Iterator<Item = Command>, gone: &[(Str, Uuid)]) -> Result<(), ErrorCode> {
        let mut write = Write::default();
        let now = self.now();
        self.look_around();
        if self
            .groups
            .next_deadline_ms()
            .is_some_and(|deadline_ms| deadline_ms <= now.monotonic_ms)
        {
            let actions = self.groups.tick(now);
            self.take(actions, None, &mut write);
        }
        if !gone.is_empty() {
            let actions = self.groups.on_topics_deleted(gone);
            self.take(actions, None, &mut write);
        }
        for command in commands {
            self.obey(command, &mut write)?;
            if write.bytes >= BYTES_PER_WRITE {
                self.finish(std::mem::take(&mut write))?;
            }
        }
        self.finish(write)
    }

    fn obey(&mut self, command: Command, write: &mut Write) -> Result<(), ErrorCode> {
        match command {
            Command::Decide(decide, answer) => {
                self.tickets += 1;
                let ticket = Ticket(self.tickets);
                let now = self.now();
                let actions = decide(&mut self.groups, ticket, now);
                self.take(actions, Some((ticket, answer)), write);
            }
            Command::Look(look) => write.releases.push(look(&self.groups)),
            // The log may refuse them: what was decided before must not be refused with them.
            Command::Commit(commit) => {
                self.finish(std::mem::take(write))?;
                self.commit(commit)?;
            }
            Command::End(end) => {
                self.finish(std::mem::take(write))?;
                self.end_transaction(end)?;
            }
        }
        Ok(())
    }

    /// Makes a decision true here. It is told to nobody before it is in the log. `asked`: who asked for it; most are answered
    /// by it.
    fn take(&mut self, actions: Actions, mut asked: Option<(Ticket, Answer)>, write: &mut Write) {
        for record in actions.records {
            if let Err(error) = self.groups.apply(&record) {
                tracing::error!(partition = self.partition.index, %error, "a decision cannot be read back");
            }
            write.bytes += record.key.len() + record.value.as_ref().map_or(0, |value| value.len());
            write.records.push(record);
        }
        for (ticket, reply) in actions.replies {
            let answer = match asked.take_if(|(own, _)| *own == ticket) {
                Some((_, answer)) => Some(answer),
                None => self.waiting.remove(&ticket),
            };
            write
                .releases
                .extend(answer.map(|answer| Release::Reply(answer, reply)));
        }
        self.waiting.extend(asked);
    }

    /// Appends what was decided; the answers wait until it is committed.
    ///
    /// # Errors
    /// Nothing was appended, though it has been applied: the shard must end.
    fn finish(&mut self, write: Write) -> Result<(), ErrorCode> {
        if !write.records.is_empty() {
            let appended = log::append(&self.partition, &write.records, None);
            let end_offset = appended.map_err(|error| {
                // What is wrong with the disk its directory has said.
                tracing::debug!(partition = self.partition.index, %error, "the groups cannot be written");
                ErrorCode::CoordinatorNotAvailable
            })?;
            self.end_offset = end_offset;
        }
        let end_offset = self.end_offset;
        self.held
            .extend(write.releases.into_iter().map(|release| (end_offset, release)));
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        let high_watermark = self.partition.log().high_watermark();
        while let Some((_, release)) = self.held.pop_front_if(|(offset, _)| *offset <= high_watermark) {
            release.go();
        }
    }

    /// Tells everybody who waits. Whose answer was held hears the same when it is dropped.
    fn end(mut self, error: ErrorCode) {
        self.partition.interested.unregister(self.registration);
        for (ticket, reply) in self.groups.fail_all(error).replies {
            if let Some(answer) = self.waiting.remove(&ticket) {
                let _ = answer.send(Ok(reply));
            }
        }
        for (_, answer) in self.waiting.drain() {
            let _ = answer.send(Err(error));
        }
    }
}

/// Ends at `deadline`; never without one.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
