//! One shard for each partition of `__consumer_offsets`: the only writer of its groups, used by one at a time.
//!
//! It lets `ottla_coordinator::Groups` decide each command, applies what was decided, appends it, and lets the answers go
//! when the high watermark has passed it. An answer that came without records waits for the records before it all the
//! same. Whoever brings a command uses the shard itself while nobody waits (`coordinator_shard/desk.rs`); what waits is
//! decided by the shard's task, and appended as one batch. The task loads the groups by replaying the log, and sees to
//! what comes by itself: time, other topics, the high watermark.
//!
//! Whatever goes wrong ends the shard: everybody who waits is told to ask again, and the next request starts a new
//! shard, which loads what is in the log. So there is no state that the log does not bear out.

mod desk;
mod transactions;

pub(crate) use super::journal::log::Producer;

use super::journal::{
    Journal, log,
    queue::{Queue, Queued, Turns, queue},
};
use crate::{coordinators::ImageView, partitions::Partition, stop::Stop, waiting::Interest};
use desk::{Desk, Place};
use ottla_coordinator::{Actions, Groups, GroupsConfig, Now, Reply, Ticket};
use ottla_protocol::{ErrorCode, Str, ids::Uuid};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc, time::Instant};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinHandle,
};

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

/// What comes of a request that is decided by whoever brings it.
enum Decided {
    Now(Reply),
    Later(oneshot::Receiver<Result<Reply, ErrorCode>>),
}

enum Command {
    Decide(Decide, Answer),
    Look(Look),
    Commit(transactions::Commit),
    End(transactions::End),
}

/// Topics that are gone and whose offsets the shard has not forgotten yet.
type Gone = Mutex<Vec<(Str, Uuid)>>;

/// A command that the shard's task is to obey.
struct Waiting {
    command: Command,
    place: Place,
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
    desk: Arc<Desk<Shard>>,
    queue: Queue<Waiting>,
    gone: Arc<Gone>,
}

/// Starts a shard. It takes commands at once and answers them when it has loaded.
pub(crate) fn start(setting: Setting) -> (ShardHandle, JoinHandle<()>) {
    let (queue, turns) = queue();
    let (desk, gone) = (Arc::<Desk<Shard>>::default(), Arc::<Gone>::default());
    let handle = ShardHandle {
        desk: desk.clone(),
        queue,
        gone: gone.clone(),
    };
    (handle, tokio::spawn(run(setting, desk, turns, gone)))
}

impl ShardHandle {
    /// Whether the shard has ended and another one is to be started.
    pub(crate) fn has_ended(&self) -> bool {
        self.queue.has_ended()
    }

    /// Has the shard decide, and waits until what it decided is committed, or for the answer that comes later.
    ///
    /// # Errors
    /// What the client is told: the coordinator is loading, or is none any more.
    pub(crate) async fn decide(
        &self,
        decide: impl FnOnce(&mut Groups, Ticket, Now) -> Actions + Send + 'static,
    ) -> Result<Reply, ErrorCode> {
        let answered = match self.at_once(decide, Shard::decide) {
            Ok(decided) => match decided? {
                Decided::Now(reply) => return Ok(reply),
                Decided::Later(answered) => answered,
            },
            Err(decide) => {
                let (answer, answered) = oneshot::channel();
                self.queue(Command::Decide(Box::new(decide), answer)).await?;
                answered
            }
        };
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
        self.queue.is_loaded()
    }

    /// Has the command obeyed, at once or when its turn comes.
    async fn send(&self, command: Command) -> Result<(), ErrorCode> {
        let obey = |shard: &mut Shard, command, now| {
            shard.obey(command, now)?;
            shard.finish()
        };
        match self.at_once(command, obey) {
            Ok(obeyed) => obeyed,
            Err(command) => self.queue(command).await,
        }
    }

    async fn queue(&self, command: Command) -> Result<(), ErrorCode> {
        let place = self.desk.queue();
        self.queue.send(Waiting { command, place }).await
    }

    /// Has the shard obey at once, unless it cannot.
    ///
    /// # Errors
    /// What was asked has to wait, and is given back.
    fn at_once<A, T>(
        &self,
        asked: A,
        obey: impl FnOnce(&mut Shard, A, Now) -> Result<T, ErrorCode>,
    ) -> Result<Result<T, ErrorCode>, A> {
        let Some(mut shard) = self.desk.at_once() else {
            return Err(asked);
        };
        if !shard.may_go_on() {
            // Its task is woken by what waits, and ends it.
            return Err(asked);
        }
        let obeyed = shard.work(|shard, now| obey(shard, asked, now));
        if shard.wants_its_task() {
            self.desk.bell.notify_one();
        }
        Ok(obeyed)
    }

    /// Topics are gone: their offsets go too, a little later.
    pub(crate) fn forget_topics(&self, topics: &[(Str, Uuid)]) {
        self.gone.lock().extend_from_slice(topics);
        self.desk.bell.notify_one();
    }
}

async fn run(setting: Setting, desk: Arc<Desk<Shard>>, mut turns: Turns<Waiting>, gone: Arc<Gone>) {
    let Setting {
        partition,
        config,
        stop,
        loading,
        view,
    } = setting;
    let replayed = Journal::replay(partition, &loading, move |partition| {
        log::replay_groups(partition, config)
    })
    .await;
    let Some((groups, journal)) = replayed else { return };
    let interest = journal.interest.clone();
    let mut shard = Shard {
        journal,
        groups,
        view,
        gone,
        waiting: HashMap::new(),
        tickets: 0,
        alarm: None,
        failed: None,
    };
    shard.begin();
    desk.open(shard);
    turns.open();
    let ended = serve(&desk, &mut turns, &interest, &stop).await;
    // When the queue is closed another shard begins to load: nobody may write by this one then.
    let closed = desk.close();
    drop(turns);
    // Where somebody has panicked, which has been reported, whoever waits hears of it when its answer is dropped.
    if let Some(shard) = closed {
        shard.end(ended);
    }
}

/// Sees to the shard until it cannot go on; returns what those who wait are told.
async fn serve(desk: &Desk<Shard>, turns: &mut Turns<Waiting>, interest: &Interest, stop: &Stop) -> ErrorCode {
    let mut batch = Vec::new();
    loop {
        let deadline = match take_turn(desk, batch.drain(..).filter_map(Queued::wanted)) {
            Ok(deadline) => deadline,
            Err(error) => return error,
        };
        tokio::select! {
            is_open = turns.next(&mut batch) => {
                if !is_open {
                    return ErrorCode::NotCoordinator;
                }
            }
            () = sleep_until(deadline) => {}
            () = interest.news() => {}
            () = desk.bell.notified() => {}
            () = stop.requested() => return ErrorCode::NotCoordinator,
        }
    }
}

/// Decides what has waited, and says when the groups want to be looked at next.
///
/// # Errors
/// What those who wait are told: the shard cannot go on.
fn take_turn(desk: &Desk<Shard>, batch: impl Iterator<Item = Waiting>) -> Result<Option<Instant>, ErrorCode> {
    let mut shard = desk.wait().ok_or(ErrorCode::CoordinatorNotAvailable)?;
    if shard.may_go_on() {
        // What went wrong is noted.
        let _ = shard.work(|shard, now| shard.obey_all(batch, now));
    }
    match shard.failed {
        Some(error) => Err(error),
        None => Ok(shard.set_alarm()),
    }
}

struct Shard {
    journal: Journal<Release>,
    groups: Groups,
    view: watch::Receiver<Arc<ImageView>>,
    gone: Arc<Gone>,
    /// Requests that have no answer yet.
    waiting: HashMap<Ticket, Answer>,
    tickets: u64,
    /// When the task looks at the groups, if nothing comes before.
    alarm: Option<Instant>,
    /// It cannot go on: what those who wait are told.
    failed: Option<ErrorCode>,
}

impl Shard {
    /// The groups have been loaded.
    fn begin(&mut self) {
        self.view.mark_changed();
        self.look_around();
        let actions = self.groups.on_loaded(self.journal.now());
        self.take(actions);
        self.failed = self.finish().err();
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
        Some(self.journal.moment(self.groups.next_deadline_ms()?))
    }

    /// The task looks at the groups when they want it; returns when that is.
    fn set_alarm(&mut self) -> Option<Instant> {
        self.alarm = self.deadline();
        self.alarm
    }

    /// Whether the state may be used; if not, why is noted.
    fn may_go_on(&mut self) -> bool {
        if self.failed.is_none() {
            self.failed = self.journal.check().err();
        }
        self.failed.is_none()
    }

    /// Whether the task has to see to the shard earlier than it means to.
    fn wants_its_task(&self) -> bool {
        let is_sooner = |deadline: Instant| self.alarm.is_none_or(|alarm| deadline < alarm);
        self.failed.is_some() || self.deadline().is_some_and(is_sooner)
    }

    /// Does all that is to be done now, and then what `obey` does.
    ///
    /// # Errors
    /// The shard cannot go on, which is noted.
    fn work<T>(&mut self, obey: impl FnOnce(&mut Self, Now) -> Result<T, ErrorCode>) -> Result<T, ErrorCode> {
        let now = self.journal.now();
        self.see_to(now);
        let obeyed = obey(self, now);
        // What happened while it was written has woken nobody.
        let failed = obeyed.as_ref().err().copied();
        self.failed = failed.or_else(|| self.journal.check().err());
        obeyed
    }

    /// Decides what time and other topics bring.
    fn see_to(&mut self, now: Now) {
        self.look_around();
        if self
            .groups
            .next_deadline_ms()
            .is_some_and(|deadline_ms| deadline_ms <= now.monotonic_ms)
        {
            let actions = self.groups.tick(now);
            self.take(actions);
        }
        let gone = std::mem::take(&mut *self.gone.lock());
        if !gone.is_empty() {
            let actions = self.groups.on_topics_deleted(&gone);
            self.take(actions);
        }
    }

    fn obey_all(&mut self, waiting: impl Iterator<Item = Waiting>, now: Now) -> Result<(), ErrorCode> {
        // Whoever waited has its place until the decision is made.
        let mut places = Vec::new();
        for Waiting { command, place } in waiting {
            places.push(place);
            self.obey(command, now)?;
            if self.journal.is_full() {
                self.finish()?;
            }
        }
        self.finish()
    }

    /// Decides for whoever is at the desk.
    fn decide(
        &mut self,
        decide: impl FnOnce(&mut Groups, Ticket, Now) -> Actions,
        now: Now,
    ) -> Result<Decided, ErrorCode> {
        let ticket = self.next_ticket();
        let mut actions = decide(&mut self.groups, ticket, now);
        let own = actions.replies.iter().position(|(asked, _)| *asked == ticket);
        let own = own.map(|at| actions.replies.remove(at).1);
        self.take(actions);
        self.finish()?;
        Ok(match own {
            Some(reply) if self.journal.is_committed() => Decided::Now(reply),
            own => {
                let (answer, answered) = oneshot::channel();
                match own {
                    Some(reply) => self.journal.hold(Release::Reply(answer, reply)),
                    None => drop(self.waiting.insert(ticket, answer)),
                }
                self.release();
                Decided::Later(answered)
            }
        })
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn obey(&mut self, command: Command, now: Now) -> Result<(), ErrorCode> {
        match command {
            Command::Decide(decide, answer) => {
                let ticket = self.next_ticket();
                let actions = decide(&mut self.groups, ticket, now);
                self.waiting.insert(ticket, answer);
                self.take(actions);
            }
            Command::Look(look) => self.journal.hold(look(&self.groups)),
            // The log may refuse them: what was decided before must not be refused with them.
            Command::Commit(commit) => {
                self.finish()?;
                self.commit(commit, now)?;
            }
            Command::End(end) => {
                self.finish()?;
                self.end_transaction(end)?;
            }
        }
        Ok(())
    }

    /// Makes a decision true here. It is told to nobody before it is in the log.
    fn take(&mut self, actions: Actions) {
        for record in actions.records {
            if let Err(error) = self.groups.apply(&record) {
                self.journal.not_readable(&error);
            }
            self.journal.push(record);
        }
        for (ticket, reply) in actions.replies {
            if let Some(answer) = self.waiting.remove(&ticket) {
                self.journal.hold(Release::Reply(answer, reply));
            }
        }
    }

    /// Appends what was decided; the answers wait until it is committed.
    ///
    /// # Errors
    /// As [`Journal::write`].
    fn finish(&mut self) -> Result<(), ErrorCode> {
        self.journal.write()?;
        self.release();
        Ok(())
    }

    fn release(&mut self) {
        while let Some(release) = self.journal.committed() {
            release.go();
        }
    }

    /// Tells everybody who waits. Whose answer was held hears the same when it is dropped.
    fn end(mut self: Box<Self>, error: ErrorCode) {
        self.journal.close();
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
